//! `scorer policy`, and what a policy does to calls: per destination, as a dry run, and
//! when its file changes under a running tap.

use std::{
    path::PathBuf,
    thread::sleep,
    time::{Duration, Instant},
};

use scorer_tests::{
    calls::{self, Invite, capture},
    frames::udp4,
    lab::Lab,
    model,
    scorer::{self, Ran, run},
    shared::{self, root},
};
use serde_json::Value;

/// A folder with a configuration, a place for a policy, a trunk, and a model that says
/// 75 of every call.
struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let site = Self { folder: tempfile::tempdir().expect("a folder") };
        let config = format!(
            "[numbers]\nhome_country = 44\n[lists]\nfiles = [{:?}]\n[policy]\nfile = {:?}\n\
             [history]\nmib = 16\n[sources]\ntrunks = [\"carrier-a 192.0.2.0/24\"]\n",
            site.text("lists.csv"),
            site.text("policy.toml")
        );
        std::fs::write(site.path("scorer.toml"), config).expect("written");
        std::fs::write(site.path("lists.csv"), "deny_number,+441632960666,rude\n")
            .expect("written");
        model::constant(&site.path("model.onnx"), 75);
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn write(&self, policy: &str) {
        std::fs::write(self.path("policy.toml"), policy).expect("written");
    }

    /// A command with the configuration and the model.
    fn scored(&self, args: &[&str]) -> Ran {
        let (config, model) = (self.text("scorer.toml"), self.text("model.onnx"));
        run(&[args, &["--config", &config, "--model", &model]].concat())
    }

    fn check(&self) -> Ran {
        let config = self.text("scorer.toml");
        run(&["policy", "check", &self.text("policy.toml"), "--config", &config])
    }

    /// Verdicts on calls of a capture, which is left in `calls.pcap`.
    fn replay(&self, calls: &[Invite]) -> Vec<Value> {
        capture(&self.path("calls.pcap"), calls);
        let ran = self.scored(&["replay", "--format", "jsonl", &self.text("calls.pcap")]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran.out.lines().map(calls::verdict).collect()
    }
}

/// Action and rule.
fn decided(verdict: &Value) -> (&str, &str) {
    (verdict["action"].as_str().unwrap_or("-"), verdict["rule"].as_str().unwrap_or("-"))
}

const BOOK: &str = r#"
[default]
action = "tag"

[destinations]
bank = "+442079460"
shop = "+441632961"

[[rule]]
name = "trial"
score_from = 60
dry_run = true
action = "drop"

[[rule]]
name = "denied"
lists_any = "deny_number"
action = "reject"
response = 607

[[rule]]
name = "bank"
comment = "a person looks at it"
destination = "bank"
level = ["medium", "high"]
trunk = "carrier-a"
action = "divert"
divert = { user = "fraud-desk", host = "192.0.2.9:5080" }

[[rule]]
name = "shop"
destination = "shop"
score_from = 90
action = "reject"
"#;

const BANK: &str = "+442079460123";
const SHOP: &str = "+441632961123";

fn of(caller: &str, callee: &str) -> Invite {
    Invite::of(caller, caller).to(callee)
}

/// The bank's line, the shop's, a denied caller, an emergency number.
fn four() -> [Invite; 4] {
    [
        of("+441632960001", BANK),
        of("+441632960001", SHOP),
        of("+441632960666", SHOP),
        of("+441632960666", "999"),
    ]
}

/// One caller, one score: what is done depends on who is called.
#[test]
fn a_banks_line_differs_from_a_shops() {
    let site = Site::new();
    site.write(BOOK);
    let verdicts = site.replay(&four());
    let actions: Vec<_> = verdicts.iter().map(decided).collect();
    assert_eq!(actions, [("divert", "bank"), ("tag", "-"), ("reject", "denied"), ("pass", "-")]);
    // The dry run is shown beside what was done, but not with an emergency call.
    let dry = serde_json::json!({"rule": "trial", "action": "drop"});
    let shown: Vec<_> = verdicts.iter().map(|verdict| &verdict["dry_run"]).collect();
    assert_eq!(shown, [&dry, &dry, &dry, &Value::Null]);
    // Over another way the bank's rule does not hold; only observed, nothing is done.
    let elsewhere = of("+441632960001", BANK).from([203, 0, 113, 9]);
    assert_eq!(decided(&site.replay(&[elsewhere])[0]), ("tag", "-"));
    site.write(&format!("observe = true\n{BOOK}"));
    let verdict = site.replay(&four()).remove(0);
    assert_eq!((decided(&verdict), &verdict["would"]), (("pass", "bank"), &"divert".into()));
}

#[test]
fn explained_and_simulated_over_a_capture() {
    let site = Site::new();
    site.write(BOOK);
    site.replay(&four());
    let calls = site.text("calls.pcap");
    let explain = |id: &str, more: &[&str]| {
        let ran = site.scored(&[&["policy", "explain", id, "--capture", &calls], more].concat());
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran.out
    };
    let says = |text: &str, lines: &[&str]| {
        let mut rest = text.lines();
        for line in lines {
            assert!(rest.any(|said| said.trim() == *line), "{line:?} is not next in\n{text}");
        }
    };
    says(
        &explain("call-0", &[]),
        &[
            "rule trial (line 10) matches, a dry run: the next rules are looked at",
            "yes  score from 60 to 100: the call has 75",
            "rule denied (line 16) does not match",
            "no   any of the lists deny_number: the call has none",
            "rule bank (line 22) MATCHES",
            "# a person looks at it",
            "yes  level medium, high: the call has high",
            "yes  callee in destination bank: the call has +442079460123",
            "yes  trunk carrier-a: the call has carrier-a",
            "-> divert (rule bank) to user fraud-desk, host 192.0.2.9:5080",
            "dry run: drop (trial)",
        ],
    );
    says(
        &explain("call-1", &["--mask"]),
        &["no   callee in destination bank: the call has +44********23", "-> tag (default)"],
    );
    let denied = explain("call-2", &[]);
    says(
        &denied,
        &[
            "deny_number raised: rude (the model alone says 75)",
            "-> reject (rule denied) with 607 Unwanted",
        ],
    );
    says(
        &explain("call-3", &[]),
        &["an emergency call: no rule is looked at, it is never acted on", "-> pass (emergency)"],
    );
    let ran = site.scored(&["policy", "explain", "nobody", "--capture", &calls]);
    assert!(ran.code == 2 && ran.err.contains("no call with the Call-ID nobody"), "{}", ran.err);

    // Another policy over the same calls, beside what they got.
    std::fs::write(
        site.path("next.toml"),
        "[[rule]]\nname = \"all high\"\nlevel = [\"high\", \"critical\"]\naction = \"reject\"\n",
    )
    .expect("written");
    let next = site.text("next.toml");
    let ran = site.scored(&["policy", "simulate", "--policy", &next, "--capture", &calls]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let rows: Vec<Vec<_>> = ran.out.lines().map(|line| line.split_whitespace().collect()).collect();
    for row in [
        &["1", "reject", "all", "high", "high", "divert", "bank"][..],
        &["1", "reject", "all", "high", "high", "tag", "-"],
        &["1", "reject", "all", "high", "critical", "reject", "denied"],
        &["1", "pass", "-", "critical", "pass", "-"],
        &["2", "of", "4", "calls", "would", "get", "another", "action"],
    ] {
        assert!(rows.iter().any(|found| found == row), "{row:?} is not in\n{}", ran.out);
    }
    assert!(ran.out.contains("call-1 (+44********01 to +44********23)"), "{}", ran.out);
    // The same policy changes nothing.
    let ran = site.scored(&["policy", "simulate", "--capture", &calls]);
    assert!(ran.out.contains("0 of 4 calls would get another action"), "{}", ran.out);
    assert!(ran.out.contains("3  first matched by trial, a dry run"), "{}", ran.out);
    // What cannot be used is said.
    for (args, says) in [
        (&["simulate", "--capture", "/nonexistent.pcap"][..], "/nonexistent.pcap"),
        (
            &["simulate", "--capture", &calls, "--policy", "/nonexistent.toml"],
            "cannot read the policy",
        ),
        (&["simulate"], "--capture"),
    ] {
        let ran = site.scored(&[&["policy"], args].concat());
        assert!(ran.code == 2 && ran.err.contains(says), "{args:?}: {}", ran.err);
    }
    let ran = run(&["policy", "simulate", "--capture", &calls]);
    assert!(
        ran.code == 2 && ran.err.contains("give --policy FILE, or --config FILE"),
        "{}",
        ran.err
    );
}

#[test]
fn checked_with_line_and_column() {
    let site = Site::new();
    let file = site.text("policy.toml");
    site.write(BOOK);
    let ran = site.check();
    assert_eq!((ran.code, &*ran.out), (0, ""), "{}", ran.err);
    assert!(ran.err.contains("4 rules (1 dry run), else tag"), "{}", ran.err);
    // One fault each; the rule's own three lines come first.
    let rule = "[[rule]]\nname = \"r\"\naction = \"tag\"\n";
    for (line, place, says) in [
        ("scor_from = 5", "4:1", "a rule has no key \"scor_from\"; did you mean score_from?"),
        ("score_from = 101", "4:14", "score_from must be from 0 to 100"),
        ("score_from = \"5\"", "4:14", "score_from must be a whole number"),
        ("score_from = 60\nscore_to = 50", "4:14", "no score is from score_from to score_to"),
        ("level = \"hihg\"", "4:9", "level has no \"hihg\"; did you mean high?"),
        (
            "tags_any = [\"voip\", \"robocal\"]",
            "4:21",
            "tags_any has no \"robocal\"; did you mean robocall?",
        ),
        (
            "lists_any = \"deny_numbr\"",
            "4:13",
            "lists_any has no \"deny_numbr\"; did you mean deny_number?",
        ),
        ("caller_country = 4", "4:18", "caller_country must be country codes"),
        ("caller_number = \"alice\"", "4:17", "caller_number must be prefixes or FIRST-LAST"),
        (
            "callee_number = [\"+44\", \"+45-+44\"]",
            "4:25",
            "callee_number must be prefixes or FIRST-LAST",
        ),
        ("destination = \"bank\"", "4:15", "[destinations] has no \"bank\""),
        ("withheld = \"yes\"", "4:12", "withheld must be true or false"),
        ("source = \"192.0.2.0/33\"", "4:10", "source must be addresses or prefixes"),
        ("time = \"25:00-26:00\"", "4:8", "time must be FROM-TO, such as \"22:00-06:00\""),
        ("weekday = \"monday\"", "4:11", "weekday must be mon, tue"),
        ("time = \"06:00-07:00\"\ntime_zone = \"Mars\"", "5:13", "there is no such time zone"),
        ("trunk = []", "4:9", "trunk must not be empty; leave it out"),
        ("response = 607", "4:12", "only the action reject has a response, not tag"),
        ("divert = { user = \"x\" }", "4:10", "only the action divert has a target, not tag"),
        (
            "[[rule]]\nname = \"r\"\naction = \"pass\"",
            "5:8",
            "there is a rule r before; names must differ",
        ),
        (
            "[[rule]]\naction = \"rejct\"",
            "5:10",
            "the action must be one of pass, tag, divert, reject, drop; did you mean reject?",
        ),
        (
            "[[rule]]\nname = \"s\"\naction = \"divert\"",
            "6:10",
            "the action divert needs divert = { user = …, host = … }",
        ),
        ("tags_any = voip", "4:12", "string values must be quoted"),
        ("observ = true", "4:1", "a rule has no key \"observ\""),
    ] {
        site.write(&format!("{rule}{line}\n"));
        let ran = site.check();
        let said = format!("{file}:{place}: {says}");
        assert_eq!(ran.code, 2, "{line}: {}", ran.err);
        assert!(ran.err.starts_with("error: ") && ran.err.contains(&said), "{said}\n{}", ran.err);
    }
    // All of them at once, in the order of the file.
    site.write("observ = true\n[[rule]]\nname = \"a\"\naction = \"rejct\"\nscore_from = 500\n");
    let ran = site.check();
    let places: Vec<_> = ran.err.lines().filter_map(|line| line.split(&*file).nth(1)).collect();
    assert!(
        places.iter().zip([":1:1: ", ":4:10: ", ":5:14: "]).all(|(said, at)| said.starts_with(at)),
        "{places:?}"
    );
    assert_eq!(places.len(), 3, "{}", ran.err);
    // What can be, but is odd, gives a code of its own.
    for (text, says) in [
        (
            format!("{rule}trunk = \"carrier-x\"\n"),
            ":4:9: sources.trunks has no trunk \"carrier-x\"; did you mean carrier-a?",
        ),
        (
            format!("{rule}[[rule]]\nname = \"s\"\naction = \"drop\"\nscore_from = 50\n"),
            ":5:8: rule s is never reached: rule r in line 2 takes all its calls",
        ),
        (
            format!("{rule}level = \"critical\"\nscore_to = 50\n"),
            ":2:8: rule r: no score from 0 to 50 is of these levels; it never matches",
        ),
    ] {
        site.write(&text);
        let ran = site.check();
        assert_eq!(ran.code, 1, "{text}: {}", ran.err);
        assert!(ran.err.contains(&format!("warning: {file}{says}")), "{says}\n{}", ran.err);
    }
    std::fs::remove_file(site.path("policy.toml")).expect("removed");
    let ran = site.check();
    assert!(ran.code == 2 && ran.err.contains("cannot read the policy"), "{}", ran.err);
}

/// What operators start from, and what the book shows, can be used as it stands.
#[test]
fn examples_are_good() {
    let example = root().join("packaging/policy.toml");
    let ran = run(&["policy", "check", &example.display().to_string()]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("observes only"), "nothing is acted on: {}", ran.err);
    let book = std::fs::read_to_string(root().join("docs/policy.md")).expect("the book");
    let examples: Vec<_> =
        book.split("```toml\n").skip(1).filter_map(|text| text.split("```").next()).collect();
    assert!(examples.len() >= 3, "{}", examples.len());
    let folder = tempfile::tempdir().expect("a folder");
    // The names that the book uses.
    let config = folder.path().join("scorer.toml").display().to_string();
    std::fs::write(
        &config,
        "[sources]\ntrunks = [\"carrier-a 192.0.2.0/24\", \"carrier-b 198.51.100.0/24\"]\n",
    )
    .expect("written");
    for text in examples {
        let file = folder.path().join("policy.toml").display().to_string();
        std::fs::write(&file, text).expect("written");
        let ran = run(&["policy", "check", &file, "--config", &config]);
        assert_eq!(ran.code, 0, "{}\n{text}", ran.err);
    }
}

#[test]
fn read_again_under_a_running_tap() {
    if !shared::privileged() {
        return;
    }
    let site = Site::new();
    // With a fault at the start nothing is attached, and all is said.
    site.write("[[rule]]\nname = \"a\"\naction = \"rejct\"\n");
    let ran = site.scored(&["tap", "-i", "lo"]);
    assert!(
        ran.code == 2 && ran.err.contains("policy.toml:3:10: the action must be"),
        "{}",
        ran.err
    );

    site.write(BOOK);
    let lab = Lab::new();
    let (config, model) = (site.text("scorer.toml"), site.text("model.onnx"));
    let more = ["--config", &config, "--model", &model];
    let tap = scorer::tap(&lab, "auto", site.folder.path(), &more);
    let words = || std::fs::read_to_string(&tap.words).expect("words");
    let mut calls = 0;
    let mut call = |invite: Invite| {
        let id = format!("live-{calls}");
        calls += 1;
        lab.send(&[udp4(invite.text(&id).as_bytes(), 5060)]);
        tap.verdict(&id)
    };
    // Waits until it has said something so often.
    let says = |what: &str, times: usize| {
        let start = Instant::now();
        while words().matches(what).count() < times {
            assert!(start.elapsed() < Duration::from_secs(20), "{what}: {}", words());
            sleep(Duration::from_millis(10));
        }
        println!("{what}: after {} ms", start.elapsed().as_millis());
        // From the thread that reads to the one that scores.
        sleep(Duration::from_millis(200));
    };
    let [bank, shop, denied, _] = four();
    let verdict = call(bank.clone());
    assert_eq!(decided(&verdict), ("divert", "bank"));
    assert_eq!(verdict["dry_run"]["rule"], "trial");
    assert_eq!(decided(&call(shop.clone())), ("tag", "-"));
    assert_eq!(decided(&call(denied)), ("reject", "denied"));
    // Stricter for the shop, too: the next call gets it.
    let stricter = BOOK.replace("score_from = 90", "score_from = 70");
    site.write(&stricter);
    says("the policy was read anew", 1);
    assert_eq!(decided(&call(shop.clone())), ("reject", "shop"));
    // Broken: the place is said, and what was in use stays.
    site.write(&stricter.replace("\"reject\"\nresponse", "\"rejct\"\nresponse"));
    says("what was loaded before stays in use", 1);
    assert!(words().contains("policy.toml:18:10: the action must be"), "{}", words());
    assert_eq!(decided(&call(shop.clone())), ("reject", "shop"));
    // Gone, half written, and good again.
    std::fs::remove_file(site.path("policy.toml")).expect("removed");
    says("cannot read the policy", 1);
    assert_eq!(decided(&call(shop.clone())), ("reject", "shop"));
    site.write(BOOK.split_inclusive("fraud-").next().expect("some of it"));
    says("what was loaded before stays in use", 3);
    assert_eq!(decided(&call(bank)), ("divert", "bank"));
    site.write(BOOK);
    says("the policy was read anew", 2);
    assert_eq!(decided(&call(shop)), ("tag", "-"));
    tap.finish();
}
