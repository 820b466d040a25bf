//! Policies good, bad and hostile; what they decide, against the plain reading.

use std::{fmt::Write as _, path::Path};

use proptest::prelude::*;
use scorer_common::verdict::{Action, Level, Tag, Tags};

use super::{Decision, Example, Facts, Got, Policy, PolicyError, Response, Site, Tally};
use crate::{
    lists::{List, ListSet},
    number::Number,
    time::Timestamp,
    verdict::Thresholds,
};

fn site() -> Site {
    let trunks = vec!["carrier-a".to_owned(), "carrier-b".to_owned()];
    Site { home_country: Some(44), levels: Some(Thresholds::default()), trunks: Some(trunks) }
}

fn parse(text: &str) -> Result<Policy, PolicyError> {
    Policy::parse(text, Path::new("p.toml"), &site())
}

fn number(text: &str) -> Option<Number> {
    Number::parse(text.as_bytes(), Some(44))
}

/// Tuesday 2026-11-24 08:00 UTC.
const TUESDAY: u64 = 1_795_507_200;

fn facts(score: u8, caller: &str, callee: &str) -> Facts<'static> {
    Facts {
        score,
        level: Thresholds::default().level(score),
        tags: Tags::NONE,
        lists: ListSet::default(),
        caller: number(caller),
        network: number(caller),
        callee: number(callee),
        withheld: false,
        trunk: Some("carrier-a"),
        source: [192, 0, 2, 1].into(),
        time: Timestamp::new(TUESDAY, 0),
    }
}

fn tags(list: &[Tag]) -> Tags {
    let mut tags = Tags::NONE;
    for tag in list {
        tags.insert(*tag);
    }
    tags
}

/// Action and rule.
fn of<'p>(policy: &'p Policy, facts: &Facts<'_>) -> (Action, Option<&'p str>) {
    let decision = policy.decide(facts);
    (decision.action, decision.rule)
}

const BOOK: &str = r#"
time_zone = "Europe/London"

[default]
action = "tag"

[destinations]
bank = ["+442079460", "+442079461000-+442079461999"]
shop = "+442079469"

[[rule]]
name = "own staff"
tags_all = "allowlisted"
action = "pass"

[[rule]]
name = "trial"
score_from = 50
dry_run = true
action = "drop"

[[rule]]
name = "bank, denied"
destination = "bank"
lists_any = ["deny_number", "deny_profile"]
action = "reject"
response = 607

[[rule]]
name = "bank"
comment = "a bank's line is worth a person's look"
destination = "bank"
level = ["medium", "high", "critical"]
action = "divert"
divert = { user = "fraud-desk", host = "192.0.2.9:5080" }

[[rule]]
name = "nights"
time = "22:00-06:00"
weekday = "mon-fri"
caller_country = [33, "+353"]
tags_any = ["spoofed", "voip"]
tags_none = "attested"
trunk = "carrier-b"
source = ["192.0.2.0/24", "2001:db8::/32"]
withheld = false
action = "reject"
"#;

#[test]
fn rules_in_their_order() {
    let policy = parse(&BOOK.replace("bank, denied", "bank-denied")).expect("good");
    assert!(policy.warnings().is_empty(), "{:?}", policy.warnings());
    let call = facts(95, "+441632960001", "+442079460123");
    let decision = policy.decide(&call);
    let target = decision.target.expect("a target");
    assert_eq!((decision.action, decision.rule), (Action::Divert, Some("bank")));
    assert_eq!(
        (target.user.as_deref(), target.host.as_deref()),
        (Some("fraud-desk"), Some("192.0.2.9:5080"))
    );
    let dry = decision.dry_run.expect("the trial matched");
    assert_eq!((dry.action, dry.rule), (Action::Drop, Some("trial")));
    assert_eq!(of(&policy, &facts(95, "+441632960001", "02079469001")), (Action::Tag, None));
    let denied = Facts { lists: [List::DenyProfile].into_iter().collect(), ..call };
    let decision = policy.decide(&denied);
    assert_eq!((decision.action, decision.response), (Action::Reject, Response::Unwanted));
    let own = Facts { tags: tags(&[Tag::Allowlisted]), ..denied };
    assert_eq!(of(&policy, &own), (Action::Pass, Some("own staff")));
    // An emergency call passes untouched, also where the default is to tag.
    let emergency = Facts { tags: tags(&[Tag::Emergency]), ..denied };
    assert_eq!(policy.decide(&emergency), Decision::PASS);
    assert!(policy.explain(&emergency, true).emergency);
    let hits: Vec<_> = policy.rules().iter().map(|rule| (&*rule.name, rule.hits())).collect();
    assert_eq!(
        hits,
        [("own staff", 1), ("trial", 3), ("bank-denied", 1), ("bank", 1), ("nights", 0)]
    );
    let next =
        parse(BOOK.replace("bank, denied", "x").as_str()).expect("good").counting_on(&policy);
    assert_eq!(next.rules().iter().map(super::Rule::hits).collect::<Vec<_>>(), [1, 3, 0, 1, 0]);
}

#[test]
fn hours_and_places() {
    let policy = parse(&BOOK.replace("bank, denied", "b")).expect("good");
    let night = Facts {
        tags: tags(&[Tag::Voip]),
        trunk: Some("carrier-b"),
        time: Timestamp::new(TUESDAY + 15 * 3_600, 0),
        ..facts(10, "+33142000000", "+442079469001")
    };
    let matches = |facts: Facts<'_>| of(&policy, &facts).1 == Some("nights");
    assert!(matches(night));
    // Friday's night lasts to Saturday morning, Saturday's is no working day's.
    let hour = |hours: u64| Timestamp::new(TUESDAY + hours * 3_600, 0);
    assert!(matches(Facts { time: hour(4 * 24 - 3), ..night }));
    assert!(!matches(Facts { time: hour(4 * 24 + 15), ..night }));
    // Summer time: 21:30 UTC is 22:30 in London.
    assert!(matches(Facts { time: Timestamp::new(1_782_941_400, 0), ..night }));
    assert!(matches(Facts { source: "2001:db8::1".parse().expect("an address"), ..night }));
    for other in [
        Facts { time: hour(0), ..night },
        Facts { caller: number("+442079460001"), ..night },
        Facts { caller: None, ..night },
        Facts { tags: tags(&[Tag::Voip, Tag::Attested]), ..night },
        Facts { tags: Tags::NONE, ..night },
        Facts { trunk: None, ..night },
        Facts { trunk: Some("carrier-c"), ..night },
        Facts { withheld: true, ..night },
        Facts { source: [198, 51, 100, 1].into(), ..night },
        Facts { source: "2001:db9::1".parse().expect("an address"), ..night },
    ] {
        assert!(!matches(other), "{other:?}");
    }
}

#[test]
fn observing_holds_everything_back_and_shows_it() {
    let policy = parse("observe = true\n[[rule]]\nname = \"r\"\nscore_from = 50\naction = \"reject\"\nresponse = 603").expect("good");
    let decision = policy.decide(&facts(60, "+1", "+2"));
    assert_eq!((decision.action, decision.rule), (Action::Pass, Some("r")));
    let would = decision.would.expect("held back");
    assert_eq!((would.action, would.response), (Action::Reject, Response::Decline));
    assert_eq!(decision.meant(), (Action::Reject, Some("r")));
    assert_eq!(policy.decide(&facts(40, "+1", "+2")), Decision::PASS);
    let acting = parse("").expect("nothing is a policy").observing(true);
    assert!(acting.observes());
}

#[test]
fn explained() {
    let policy = parse(&BOOK.replace("bank, denied", "b")).expect("good");
    let explanation = policy.explain(&facts(95, "+441632960001", "+442079460123"), true);
    let looked: Vec<_> = explanation.looked.iter().map(|l| (&*l.rule.name, l.matched)).collect();
    assert_eq!(looked, [("own staff", false), ("trial", true), ("b", false), ("bank", true)]);
    let check = &explanation.looked[2].checks;
    assert!(
        check
            .iter()
            .any(|c| c.holds && c.asks.contains("destination bank") && c.has == "+44********23"),
        "{check:?}"
    );
    assert!(
        check.iter().any(|c| !c.holds && c.asks.contains("deny_profile") && c.has == "none"),
        "{check:?}"
    );
}

/// Lines and columns of all that is wrong.
fn faults(text: &str) -> Vec<String> {
    match parse(text) {
        Err(PolicyError::Faults(faults)) => faults.iter().map(ToString::to_string).collect(),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn every_fault_with_its_place() {
    let text = "observ = true\n[[rule]]\nname = \"a\"\naction = \"rejct\"\nscor_from = 5\n\
                [[rule]]\nname = \"a\"\ntags_any = [\"spoofed\", \"robocal\"]\n  level = 3\naction = \"divert\"\n\
                [[rule]]\naction = \"pass\"\nresponse = 607\nsource = \"1.2.3\"\n";
    assert_eq!(
        faults(text),
        [
            "p.toml:1:1: a policy has no key \"observ\"; did you mean observe?",
            "p.toml:4:10: the action must be one of pass, tag, divert, reject, drop; did you mean reject?",
            "p.toml:5:1: a rule has no key \"scor_from\"; did you mean score_from?",
            "p.toml:7:8: there is a rule a before; names must differ",
            "p.toml:8:24: tags_any has no \"robocal\"; did you mean robocall?",
            "p.toml:9:11: level must be a string, or a list of strings",
            "p.toml:10:10: the action divert needs divert = { user = …, host = … }",
            "p.toml:11:1: a rule needs a name",
            "p.toml:13:12: only the action reject has a response, not pass",
            "p.toml:14:10: source must be addresses or prefixes, such as \"192.0.2.0/24\"",
        ]
    );
    // Faults of the syntax, more than one, with what else is wrong.
    let broken = faults("a = \n[default\naction = \"pas\"\n");
    assert!(broken.len() >= 2 && broken[0].starts_with("p.toml:1:"), "{broken:?}");
    let rule = |line: &str| format!("[[rule]]\nname = \"r\"\naction = \"pass\"\n{line}\n");
    for (line, says) in [
        ("score_from = 101", "from 0 to 100"),
        ("score_from = 60\nscore_to = 50", "no score is"),
        ("caller_country = 4", "country codes"),
        ("caller_number = \"alice\"", "must be prefixes"),
        ("caller_number = \"+45-+44\"", "must be prefixes"),
        ("caller_number = []", "has no numbers"),
        ("destination = \"bnak\"", "[destinations] has no \"bnak\""),
        ("time = \"25:00-26:00\"", "must be FROM-TO"),
        ("time = \"06:00-06:00\"", "must be FROM-TO"),
        ("weekday = \"monday\"", "weekday must be"),
        ("time = \"06:00-07:00\"\ntime_zone = \"Mars\"", "no such time zone"),
        ("time_zone = \"UTC\"", "says nothing"),
        ("withheld = \"yes\"", "true or false"),
        ("divert = { user = \"x\" }", "only the action divert"),
        ("lists_any = \"deny_numbr\"", "did you mean deny_number?"),
        ("trunk = []", "must not be empty"),
        ("dry_run = 1", "true or false"),
        ("comment = 1979-05-27", "must be a string"),
    ] {
        let found = faults(&rule(line));
        assert!(found.iter().any(|fault| fault.contains(says)), "{line}: {found:?}");
    }
    for target in [
        "{}",
        "{ user = \"a b\" }",
        "{ host = \"evil\\r\\nVia: x\" }",
        "{ host = \"h:0\" }",
        "{ host = \"\" }",
        "{ host = \"1.2.3\" }",
        "{ usr = \"x\" }",
    ] {
        let text = format!("[[rule]]\nname = \"r\"\naction = \"divert\"\ndivert = {target}\n");
        assert!(!faults(&text).is_empty(), "{target}");
    }
    for host in [
        "192.0.2.1",
        "192.0.2.1:5060",
        "[2001:db8::1]:5080",
        "[2001:db8::1]",
        "desk.example",
        "desk:5060",
    ] {
        let text = format!(
            "[[rule]]\nname = \"r\"\naction = \"divert\"\ndivert = {{ host = \"{host}\" }}\n"
        );
        assert!(parse(&text).is_ok(), "{host}");
    }
}

#[test]
fn what_is_odd_is_warned_of() {
    let rule =
        |name: &str, line: &str| format!("[[rule]]\nname = \"{name}\"\naction = \"tag\"\n{line}\n");
    let all = rule("first", "score_from = 40");
    for (text, says) in [
        (
            all.clone() + &rule("second", "score_from = 50\ntags_all = \"voip\""),
            "second is never reached: rule first in line 2",
        ),
        (
            rule("first", "caller_number = \"+44\"")
                + &rule("second", "caller_country = 44\nwithheld = true"),
            "never reached",
        ),
        (
            rule("first", "tags_any = [\"voip\", \"spoofed\"]")
                + &rule("second", "tags_all = \"voip\""),
            "never reached",
        ),
        (rule("r", "tags_all = \"voip\"\ntags_none = \"voip\""), "never matches"),
        (rule("r", "lists_any = \"scanner\"\nlists_none = \"scanner\""), "never matches"),
        (rule("r", "level = \"critical\"\nscore_to = 50"), "never matches"),
        (rule("r", "caller_country = 33\ncaller_number = \"+44\""), "no number meets"),
        (rule("r", "tags_any = \"emergency\""), "never acted on"),
        (rule("r", "trunk = \"carrier-c\""), "no trunk \"carrier-c\"; did you mean carrier-"),
        (rule("r", "caller_number = \"4420794600\""), "write +4420794600"),
    ] {
        let policy = parse(&text).expect("good, if odd");
        let warnings: Vec<_> = policy.warnings().iter().map(ToString::to_string).collect();
        assert!(warnings.iter().any(|warning| warning.contains(says)), "{text}\n{warnings:?}");
    }
    let fine = all.clone() + &rule("second", "score_from = 30");
    assert!(parse(&fine).expect("good").warnings().is_empty());
    let dry = all.replace("action", "dry_run = true\naction") + &rule("second", "score_from = 50");
    assert!(parse(&dry).expect("good").warnings().is_empty(), "a dry run takes no calls");
}

#[test]
fn calls_are_tallied() {
    let policy = parse(&BOOK.replace("bank, denied", "b")).expect("good");
    let mut tally = Tally::default();
    let example =
        Example { call_id: b"1\x1b[2J@h", caller: b"+441632960001", callee: b"+442079460123" };
    let got = Got { action: Action::Pass, rule: None };
    for score in [10, 95, 95, 95, 95] {
        tally.add(&policy, &facts(score, "+441632960001", "+442079460123"), got, example);
    }
    let text = tally.table();
    assert!(text.contains("4  divert   bank                     critical  pass     -"), "{text}");
    assert!(text.contains("1  tag      -                        low       pass     -"), "{text}");
    assert!(text.contains("4  first matched by trial, a dry run"), "{text}");
    assert!(text.contains("5 of 5 calls would get another action"), "{text}");
    assert!(
        text.contains("+44********01") && !text.contains("960001") && !text.contains('\x1b'),
        "{text}"
    );
    assert_eq!(text.matches("1?[2J@h").count(), 4, "three examples of a kind: {text}");
}

#[test]
fn files_that_cannot_be() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("p.toml");
    assert!(matches!(Policy::load(&path, &site()), Err(PolicyError::Read { .. })));
    std::fs::write(&path, b"observe = true\n# \xff").expect("written");
    let error = Policy::load(&path, &site()).expect_err("no UTF-8").to_string();
    assert!(error.contains(":2:3: is not UTF-8"), "{error}");
    std::fs::write(&path, vec![b'#'; (1 << 20) + 1]).expect("written");
    assert!(matches!(Policy::load(&path, &site()), Err(PolicyError::Large { .. })));
    let many: String =
        (0..600).map(|i| format!("[[rule]]\nname = \"r{i}\"\naction = \"pass\"\n")).collect();
    assert!(faults(&many)[0].contains("600 rules; 512 are the most"));
    let zones: String = (0..9).map(|i| format!("[[rule]]\nname = \"r{i}\"\naction = \"tag\"\nweekday = \"mon\"\ntime_zone = \"+0{i}:00\"\n")).collect();
    assert!(faults(&zones)[0].contains("at most 8 time zones"));
}

/// A rule's text with a few conditions, all of which some calls of [`call`] meet.
fn rule() -> impl Strategy<Value = String> {
    let condition = prop_oneof![
        (0..=100u8, 0..=100u8).prop_map(|(a, b)| format!(
            "score_from = {}\nscore_to = {}",
            a.min(b),
            a.max(b)
        )),
        Just("level = [\"low\", \"critical\"]".to_owned()),
        prop::sample::select(vec![
            "tags_any = [\"voip\", \"spoofed\"]",
            "tags_all = \"voip\"",
            "tags_none = [\"voip\", \"attested\"]"
        ])
        .prop_map(str::to_owned),
        prop::sample::select(vec![
            "lists_any = \"deny_number\"",
            "lists_none = [\"deny_number\", \"scanner\"]"
        ])
        .prop_map(str::to_owned),
        "caller_number = \"\\+44[1-3]{0,3}\"",
        "callee_number = \\[\"\\+4[1-4]\", \"1[0-9]{0,2}\"\\]",
        "network_country = (44|33|1)",
        Just("callee_country = [44, 33]".to_owned()),
        any::<bool>().prop_map(|withheld| format!("withheld = {withheld}")),
        "trunk = \"carrier-[ab]\"",
        "source = \\[\"192\\.0\\.2\\.[0-9]/2[4-9]\", \"2001:db8::/3[0-9]\"\\]",
        "time = \"0[0-9]:00-1[0-9]:00\"\ntime_zone = \"[+]0[0-4]:00\"",
        "weekday = \"(mon|tue|sun)\"",
    ];
    prop::collection::btree_map("[a-z]", condition, 0..5).prop_map(|conditions| {
        let mut keys = std::collections::BTreeSet::new();
        let lines = conditions
            .into_values()
            .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
        let lines: Vec<_> =
            lines.filter(|line| keys.insert(line.split(' ').next().map(str::to_owned))).collect();
        let zone_alone = lines.iter().any(|line| line.starts_with("time_zone"))
            && !lines.iter().any(|line| line.starts_with("time =") || line.starts_with("weekday"));
        if zone_alone { String::new() } else { lines.join("\n") }
    })
}

fn call() -> impl Strategy<Value = Facts<'static>> {
    let user = || {
        prop::sample::select(vec![
            "+44123",
            "+441632960001",
            "+33142000000",
            "+12025550100",
            "112",
            "10",
            "01632960001",
            "alice",
            "+4433",
        ])
    };
    let place = prop::sample::select(vec![
        "192.0.2.3",
        "192.0.2.200",
        "198.51.100.1",
        "2001:db8::1",
        "::1",
    ]);
    let trunk =
        prop::sample::select(vec![None, Some("carrier-a"), Some("carrier-b"), Some("other")]);
    let few = (0..=100u8, any::<bool>(), 0..16u8, 0..4u8);
    (few, user(), user(), user(), place, trunk, 0..1_300_000u64).prop_map(
        |(
            (score, withheld, tag_bits, list_bits),
            caller,
            network,
            callee,
            source,
            trunk,
            seconds,
        )| {
            let some = [Tag::Voip, Tag::Spoofed, Tag::Attested, Tag::Emergency];
            let mut set = Tags::NONE;
            // Emergency calls seldom.
            let bits = if seconds % 10 == 0 { tag_bits } else { tag_bits & 7 };
            some.iter()
                .enumerate()
                .filter(|(i, _)| bits & 1 << i != 0)
                .for_each(|(_, tag)| set.insert(*tag));
            let lists = [List::DenyNumber, List::Scanner].into_iter().enumerate();
            Facts {
                tags: set,
                lists: lists
                    .filter(|(i, _)| list_bits & 1 << i != 0)
                    .map(|(_, list)| list)
                    .collect(),
                caller: number(caller),
                network: number(network),
                callee: number(callee),
                withheld,
                trunk,
                source: source.parse().expect("an address"),
                time: Timestamp::new(TUESDAY + seconds, 0),
                ..facts(score, "", "")
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// What is compiled decides as the conditions read, also over more than a word of
    /// rules; and a rule that another is said to cover decides no call.
    #[test]
    fn compiled_as_written(
        rules in prop::collection::vec((rule(), any::<bool>()), 0..90),
        calls in prop::collection::vec(call(), 1..30),
    ) {
        let mut text = String::from("[default]\naction = \"drop\"\n");
        for (i, (rule, dry)) in rules.iter().enumerate() {
            let _ = writeln!(text, "[[rule]]\nname = \"r{i}\"\naction = \"tag\"\ndry_run = {dry}\n{rule}");
        }
        let policy = parse(&text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        for facts in &calls {
            let decision = policy.decide(facts);
            let explanation = policy.explain(facts, false);
            let matched = explanation.looked.iter().filter(|looked| looked.matched);
            let first = matched.clone().find(|looked| !looked.rule.dry_run).map(|looked| &*looked.rule.name);
            let dry = matched.clone().find(|looked| looked.rule.dry_run).map(|looked| &*looked.rule.name);
            prop_assert_eq!(decision.rule, first, "{:?}\n{}", facts, text);
            prop_assert_eq!(decision.dry_run.and_then(|would| would.rule), dry);
            if let Some(name) = first {
                let unreached = format!("rule {name} is never reached");
                prop_assert!(!policy.warnings().iter().any(|warning| warning.what.starts_with(&unreached)), "{}", text);
            }
            let emergency = facts.tags.contains(Tag::Emergency);
            prop_assert_eq!(decision.action == Action::Pass, emergency);
        }
    }

    #[test]
    fn hostile_text(text in "\\PC{0,200}") {
        let _ = parse(&text).map_err(|error| error.to_string());
    }

    #[test]
    fn nearly_policies(
        key in "(name|action|score_from|tags_any|caller_number|time|weekday|divert|response|destination|source|x)",
        value in "(-?[0-9]{1,25}|\"[a-z+0-9:./-]{0,20}\"|\\[[\"a, ]{0,9}\\]|\\{[a-z= \"]{0,12}\\}|true|1979-05-27|0x[f]{1,20}|nan)",
    ) {
        let _ = parse(&format!("[[rule]]\nname = \"r\"\naction = \"tag\"\n{key} = {value}\n"));
    }
}

#[test]
fn deep_and_long_policies_are_refused_quickly() {
    let deep = format!("a = {}", "[".repeat(100_000));
    assert!(parse(&deep).is_err());
    let wide = format!(
        "[[rule]]\nname = \"r\"\naction = \"tag\"\ntags_any = [{}]",
        "\"x\",".repeat(100_000)
    );
    assert!(parse(&wide).is_err());
    let keys: String = (0..50_000).map(|i| format!("k{i} = 1\n")).collect();
    let error = parse(&keys).expect_err("unknown keys").to_string();
    assert!(error.ends_with("and 100 more"), "{}", &error[error.len() - 80..]);
}

#[test]
fn levels_of_records() {
    let record = super::Record {
        score: 80,
        level: Level::High,
        tags: tags(&[Tag::Withheld]),
        lists: [List::AllowNumber, List::DenySource].into_iter().collect(),
        caller: b"anonymous",
        network: Some(b"01632960001"),
        callee: b"+442079460123",
        trunk: None,
        source: [192, 0, 2, 1].into(),
        time: Timestamp(0),
    };
    let facts = Facts::of_record(&record, Some(44));
    assert!(facts.withheld && facts.caller == facts.network);
    assert_eq!(
        facts.caller.map(|number| number.as_bytes().to_vec()),
        Some(b"441632960001".to_vec())
    );
    // Not tagged allowlisted: something contradicts.
    assert_eq!(facts.lists, [List::DenySource].into_iter().collect());
}
