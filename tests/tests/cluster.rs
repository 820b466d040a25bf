//! Several hosts as one: three with a NATS server each, in namespaces.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use scorer_tests::{
    calls::{Invite, tags, texts},
    cluster::{Host, Hosts},
    lab::Lab,
    nats, scorer, shared,
};
use serde_json::Value;

/// Calls of one who shows another number each time.
fn fraudster(call: usize) -> Invite {
    Invite::of(&format!("+4416329600{:02}", call % 4), "+441632960777")
        .to(&format!("+44207946{call:04}"))
}

/// Calls of as many others: what everybody has in common tells nobody.
const OTHERS: usize = 40;

/// One of them.
fn other(call: usize) -> Invite {
    let number = format!("+441614960{call:03}");
    Invite::of(&number, &number).to(&format!("+4420794607{call:02}"))
}

/// They call, over all hosts.
fn others_call(hosts: &Hosts, told: &mut [u64]) {
    for call in 0..OTHERS {
        let number = call % hosts.hosts.len();
        hosts.hosts[number].call(&other(call), &format!("other-{call}"));
        told[number] += 1;
    }
    settle(hosts, told);
}

/// What is said of a call that must not depend on which host saw it, or when.
fn said(verdict: &Value) -> (Vec<&str>, u64, u64) {
    let number = |key: &str| verdict[key].as_u64().unwrap_or(0);
    (tags(verdict), number("profile_calls"), number("score"))
}

/// Facts that hosts told, and that each counted of the others'.
fn settle(hosts: &Hosts, told: &[u64]) {
    for (number, host) in hosts.hosts.iter().enumerate() {
        let others: u64 =
            told.iter().enumerate().filter(|(other, _)| *other != number).map(|(_, n)| n).sum();
        wait(host, "counts", || host.facts("counted") >= others);
        assert_eq!(host.facts("counted"), others, "not once: {}", host.words());
    }
}

fn wait(host: &Host, what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(
            start.elapsed() < Duration::from_mins(1),
            "{what} at {}: {}",
            host.name(),
            host.words()
        );
        sleep(Duration::from_millis(20));
    }
}

fn listed(host: &Host) -> Vec<String> {
    // Not there yet, or being made.
    let shown = host.ask(&["list", "show", "--format", "jsonl"]).unwrap_or_default();
    shown.lines().map(str::to_owned).collect()
}

#[test]
fn thirty_calls_over_three_hosts_are_as_on_one() {
    if !shared::privileged() {
        return;
    }
    // One host that is in no cluster.
    let lab = Lab::new();
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("scorer.toml");
    std::fs::write(
        &config,
        "[numbers]\nhome_country = 44\n[history]\nmib = 16\n[profiles]\nmib = 8\n",
    )
    .expect("written");
    let more = ["--config", &config.display().to_string()];
    let alone = scorer::tap(&lab, "generic", folder.path(), &more);
    let one = |call: Invite, id: String| {
        lab.send(&[scorer_tests::frames::udp4(call.text(&id).as_bytes(), 5060)]);
        alone.verdict(&id)
    };
    for call in 0..OTHERS {
        one(other(call), format!("other-{call}"));
    }
    let expected: Vec<_> =
        (0..30).map(|call| one(fraudster(call), format!("call-{call}"))).collect();
    alone.finish();
    // Four numbers: the third call of the first one is the ninth.
    let repeats: Vec<_> = expected.iter().map(|v| tags(v).contains(&"repeat")).collect();
    assert_eq!(repeats.iter().position(|repeats| *repeats), Some(8), "{repeats:?}");

    let Some(mut hosts) = Hosts::new(3) else { return };
    hosts.hosts.iter_mut().for_each(Host::start);
    let mut told = [0; 3];
    others_call(&hosts, &mut told);
    for (call, alone) in expected.iter().enumerate() {
        let verdict = hosts.hosts[call % 3].call(&fraudster(call), &format!("call-{call}"));
        assert_eq!(said(&verdict).0, said(alone).0, "call {call}: {verdict}\n{alone}");
        assert_eq!(said(&verdict).1, said(alone).1, "call {call}: {verdict}\n{alone}");
        told[call % 3] += 1;
        settle(&hosts, &told);
    }
    for host in &hosts.hosts {
        for nothing in ["queue_full", "spool_dropped", "missed", "duplicate", "clamped"] {
            assert_eq!(host.facts(nothing), 0, "{nothing} at {}", host.name());
        }
    }
    // How calls go on counts everywhere, too.
    let answer = |id: &str| {
        let head = format!("Call-ID: {id}\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n");
        format!(
            "SIP/2.0 486 Busy Here\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKx\r\n\
             From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\n{head}"
        )
    };
    hosts.hosts[0].send(&answer("call-27"));
    told[0] += 1;
    settle(&hosts, &told);

    // A case that is opened at one host catches the fraudster at another, with the number
    // withheld, within a second or so.
    let profile = expected_profile(&hosts);
    let at = |host: &Host, args: &[&str]| host.must(&[args, &["--by", "ann"]].concat());
    let case = ["case", "open", "ring-1", "--profile", &profile, "--reason", "rings everybody"];
    at(&hosts.hosts[0], &case);
    for number in [1, 2] {
        let host = &hosts.hosts[number];
        let start = Instant::now();
        let mut calls = 0;
        wait(host, "the case", || {
            calls += 1;
            let id = format!("case-{number}-{calls}");
            let verdict = host.call(&Invite::withheld("+441632960777"), &id);
            told[number] += 1;
            verdict["rule"] == "case:ring-1"
        });
        println!("the case acts at {} after {:?}", host.name(), start.elapsed());
    }
    // Lists: a change at one is one at all, with who and why.
    let number = "+441632960123";
    let entry = ["list", "add", "deny_number", number, "--reason", "threats", "--expires", "30d"];
    at(&hosts.hosts[1], &entry);
    hosts.wait("the entry", |host| listed(host).len() == 1);
    let first = listed(&hosts.hosts[0]);
    assert!(first[0].contains("threats") && first[0].contains("\"ann\""), "{first:?}");
    for host in &hosts.hosts {
        assert_eq!(listed(host), first, "{}", host.name());
    }
    let audit = hosts.hosts[2].must(&["list", "audit"]);
    assert!(audit.contains("ann via edge-2"), "{audit}");
    for host in &hosts.hosts {
        wait(host, "the entry acts", || {
            let id = format!("deny-{}", told.iter().sum::<u64>());
            told[host_number(host)] += 1;
            let verdict = host.call(&Invite::of(number, number), &id);
            texts(&verdict).iter().any(|text| text.contains("threats"))
        });
    }
    // Away again, from a third.
    at(&hosts.hosts[2], &["list", "remove", "deny_number", number]);
    hosts.wait("the removal", |host| listed(host).is_empty());
    // A label is at all.
    hosts.hosts[0].must(&["label", "call-1", "--fraud", "--by", "bob", "--note", "called back"]);
    hosts.wait("the label", |host| labels(host) == 1);
    settle_at_least(&hosts, &told);
    // A backup of a host that runs, put back elsewhere.
    let [backup, root] = ["backup", "root"].map(|name| hosts.hosts[1].path(name));
    hosts.hosts[1].must(&["backup", &backup]);
    let ran = scorer::run(&["restore", &backup, "--root", &root]);
    assert!(ran.code == 0 && ran.err.contains("lists.sqlite"), "{}", ran.err);
    let store = format!("{root}{}", hosts.hosts[1].path("lists.sqlite"));
    let shown = scorer::run(&["case", "--store", &store, "show", "ring-1"]);
    assert!(shown.out.contains("rings everybody"), "{} {}", shown.out, shown.err);
    let ran = scorer::run(&["restore", &backup, "--root", &root]);
    assert!(ran.code == 2 && ran.err.contains("is there already"), "{}", ran.err);

    let status = hosts.hosts[0].must(&["cluster", "status"]);
    println!("{status}");
    assert!(status.contains("3 hosts alive") && status.contains("edge-3"), "{status}");
    assert_eq!(status.matches("led by n").count(), 2, "{status}");
    for host in &mut hosts.hosts {
        let (_, words) = host.tap.take().expect("it runs").finish();
        // The store of lists is not there until another host has had something in it.
        let wrong = |line: &str| line.contains("ERROR") && !line.contains("there is no list store");
        assert!(!words.contains("panicked") && !words.lines().any(wrong), "{words}");
    }
}

fn host_number(host: &Host) -> usize {
    host.name().trim_start_matches("edge-").parse::<usize>().expect("a number") - 1
}

/// With labels, which hosts that know the call tell, beside calls.
fn settle_at_least(hosts: &Hosts, told: &[u64]) {
    for (number, host) in hosts.hosts.iter().enumerate() {
        let others: u64 =
            told.iter().enumerate().filter(|(other, _)| *other != number).map(|(_, n)| n).sum();
        wait(host, "counts", || host.facts("counted") >= others);
    }
}

fn labels(host: &Host) -> i64 {
    let database = rusqlite::Connection::open(host.path("labels.sqlite")).expect("open");
    database.query_row("SELECT count(*) FROM label", [], |row| row.get(0)).unwrap_or(0)
}

/// The fraudster's profile, which is the same at all hosts.
fn expected_profile(hosts: &Hosts) -> String {
    let of = |host: &Host, id: &str| {
        let verdict = host.tap.as_ref().expect("it runs").verdict(id);
        verdict["profile"].as_str().expect("an id").to_owned()
    };
    let profiles: Vec<_> = hosts
        .hosts
        .iter()
        .zip(["call-27", "call-28", "call-29"])
        .map(|(h, id)| of(h, id))
        .collect();
    assert!(profiles.iter().all(|profile| *profile == profiles[0]), "{profiles:?}");
    profiles[0].clone()
}

/// What hosts say of the next call of a caller: that all its calls are counted, once.
fn calls_of(host: &Host, id: &str, caller: &str) -> u64 {
    let verdict = host.call(&Invite::of(caller, caller), id);
    verdict["profile_calls"].as_u64().unwrap_or(0)
}

/// One host cut off and healed, its lists changed on both sides meanwhile; one killed and
/// back; one upgraded. Nothing is lost, nothing counts twice.
#[test]
fn cut_off_killed_and_upgraded() {
    if !shared::privileged() {
        return;
    }
    let Some(mut hosts) = Hosts::new(3) else { return };
    hosts.hosts.iter_mut().for_each(Host::start);
    let caller = "+441632960777";
    let mut told = [0u64; 3];
    others_call(&hosts, &mut told);
    let others = told.iter().sum::<u64>();
    let mut ids = 0;
    let mut call = |hosts: &Hosts, told: &mut [u64], number: usize| {
        ids += 1;
        let verdict = hosts.hosts[number].call(&Invite::of(caller, caller), &format!("c-{ids}"));
        told[number] += 1;
        verdict
    };
    for number in [0, 1, 2, 0, 1, 2] {
        call(&hosts, &mut told, number);
    }
    settle(&hosts, &told);
    let by = |host: &Host, args: &[&str], by: &str| host.must(&[args, &["--by", by]].concat());
    by(
        &hosts.hosts[0],
        &["list", "add", "deny_number", "+441632960100", "--reason", "first"],
        "ann",
    );
    hosts.wait("the first entry", |host| listed(host).len() == 1);

    // The third is cut off: it knows what it knew, and counts on.
    hosts.set_link(2, false);
    for number in [0, 1, 2, 2, 2, 0] {
        let verdict = call(&hosts, &mut told, number);
        assert!(tags(&verdict).contains(&"repeat"), "{verdict}");
    }
    // Changes on both sides: of different things, and of the same one, later at the third.
    let [one, _, three] = [0, 1, 2].map(|number| &hosts.hosts[number]);
    by(one, &["list", "add", "deny_number", "+441632960101", "--reason", "majority"], "ann");
    by(three, &["list", "add", "deny_number", "+441632960102", "--reason", "alone"], "cleo");
    by(one, &["list", "add", "deny_number", "+441632960100", "--reason", "earlier"], "ann");
    sleep(Duration::from_millis(1_100));
    by(three, &["list", "add", "deny_number", "+441632960100", "--reason", "later"], "cleo");
    wait(three, "the spool", || three.metric("scorer_cluster_spool_bytes") > 0.0);
    // The other two are a majority: they go on among them.
    let mut before = [0; 2];
    for (number, host) in hosts.hosts[..2].iter().enumerate() {
        before[number] = told[1 - number] + told[2] - 3;
        wait(host, "the majority's counts", || host.facts("counted") >= before[number]);
        assert_eq!(host.facts("counted"), before[number], "the third is cut off");
    }
    wait(&hosts.hosts[1], "the majority's entry", || listed(&hosts.hosts[1]).len() == 2);
    hosts.set_link(2, true);
    settle(&hosts, &told);
    hosts.wait("one spool", |host| host.metric("scorer_cluster_spool_bytes") == 0.0);
    hosts.wait("all entries", |host| listed(host).len() == 3);
    hosts
        .wait("the later one", |host| listed(host).iter().any(|entry| entry.contains("\"later\"")));
    assert!(listed(&hosts.hosts[0]).iter().all(|entry| !entry.contains("earlier")));
    let all = listed(&hosts.hosts[0]);
    hosts.wait("the same lists", |host| listed(host) == all);

    // The second is killed, scorer and NATS server: two of three servers go on.
    hosts.hosts[1].tap.as_ref().expect("it runs").process.signal(nix::sys::signal::Signal::SIGKILL);
    hosts.hosts[1].tap.take().expect("it ran").process.wait();
    let killed = hosts.hosts[1].nats.take().expect("it runs");
    killed.signal(nix::sys::signal::Signal::SIGKILL);
    killed.wait();
    let mut while_down = [0u64; 3];
    for number in [0, 2, 0, 2] {
        call(&hosts, &mut told, number);
        while_down[number] += 1;
    }
    for (number, other) in [(0usize, 2usize), (2, 0)] {
        let host = &hosts.hosts[number];
        let expected = told[1] + told[other];
        wait(host, "counts of two", || host.facts("counted") >= expected);
        assert_eq!(host.facts("counted"), expected, "{}", host.words());
    }
    // Back without a snapshot: what was told is in the stream, its own calls, too.
    hosts.hosts[1].start_nats();
    hosts.hosts[1].start();
    let total: u64 = told.iter().sum();
    wait(&hosts.hosts[1], "all counts after a kill", || hosts.hosts[1].facts("counted") >= total);
    assert_eq!(hosts.hosts[1].facts("counted"), total);
    assert_eq!(calls_of(&hosts.hosts[1], "after-kill", caller), total - others + 1);
    wait(&hosts.hosts[1], "its lists", || listed(&hosts.hosts[1]) == all);

    // The first is upgraded: stopped, and started; the others take calls meanwhile. It
    // takes up its snapshot, and what came since.
    told = [told[0], told[1] + 1, told[2]];
    wait(&hosts.hosts[0], "the last call", || hosts.hosts[0].facts("counted") >= told[1] + told[2]);
    let (_, words) = hosts.hosts[0].tap.take().expect("it runs").finish();
    assert!(words.contains("the history is kept in"), "{words}");
    for _ in 0..3 {
        call(&hosts, &mut told, 2);
    }
    hosts.hosts[0].start();
    assert!(hosts.hosts[0].words().contains("took up the history"), "{}", hosts.hosts[0].words());
    wait(&hosts.hosts[0], "what came meanwhile", || hosts.hosts[0].facts("counted") >= 3);
    assert_eq!(hosts.hosts[0].facts("counted"), 3, "no more than that");
    let total: u64 = told.iter().sum();
    assert_eq!(calls_of(&hosts.hosts[0], "after-upgrade", caller), total - others + 1);
    // At the others as well: each probe is one call more.
    sleep(Duration::from_secs(1));
    assert_eq!(calls_of(&hosts.hosts[2], "at-the-third", caller), total - others + 2);
    for host in &hosts.hosts {
        for nothing in ["queue_full", "spool_dropped", "missed"] {
            assert_eq!(host.facts(nothing), 0, "{nothing} at {}: {}", host.name(), host.words());
        }
    }
    for host in &mut hosts.hosts {
        let (_, words) = host.tap.take().expect("it runs").finish();
        assert!(!words.contains("panicked"), "{words}");
    }
}

/// Hosts within this process, through a NATS server on a loopback address.
mod within {
    use std::{path::Path, sync::Arc, time::SystemTime};

    use scorer::{
        capture::{Frame, LinkType},
        cluster::{Cluster, ClusterConfig, Seat, Stats, Stores},
        engine::{Engine, EngineConfig},
        features,
        history::HistoryConfig,
        model::Model,
        time::Timestamp,
    };
    use scorer_common::verdict::{Tag, Tags};
    use scorer_tests::{calls::Invite, frames::udp4};

    pub(crate) struct Within {
        pub engine: Engine,
        pub seat: Seat,
        pub stats: Arc<Stats>,
        pub cluster: Cluster,
        ahead: i64,
    }

    impl Within {
        pub(crate) fn new(folder: &Path, port: u16, name: &str, ahead: i64) -> Self {
            let secret = folder.join("secret");
            if !secret.exists() {
                let made = scorer_tests::scorer::run(&[
                    "cluster",
                    "secret",
                    &secret.display().to_string(),
                ]);
                assert_eq!(made.code, 0, "{}", made.err);
            }
            let config = ClusterConfig {
                servers: vec![format!("nats://127.0.0.1:{port}")],
                host: Some(name.to_owned()),
                secret: Some(secret),
                spool: Some(folder.join(name)),
                clock_ahead: ahead,
                ..ClusterConfig::default()
            };
            let history = HistoryConfig {
                bytes: 4 << 20,
                profile_bytes: 1 << 20,
                secret: true,
                shared: config.history_secret().expect("a secret"),
            };
            let model = Arc::new(Model::builtin(&features::names()).expect("built in"));
            let config_of = EngineConfig { history, ..EngineConfig::default() };
            let engine = Engine::new(&config_of, model).expect("an engine");
            let marks = engine.history().marks().clone();
            let (seat, cluster) =
                Cluster::start(&config, &Stores::default(), &marks).expect("started");
            let stats = seat.stats();
            Self { engine, seat, stats, cluster, ahead }
        }

        /// A call now, by this host's clock; its tags.
        pub(crate) fn call(&mut self, call: &Invite, id: &str) -> Vec<&'static str> {
            let bytes = udp4(call.text(id).as_bytes(), 5060);
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after");
            let frame = Frame {
                link: LinkType::Ethernet,
                timestamp: Timestamp((since.as_nanos() as u64).saturating_add_signed(self.ahead)),
                bytes: &bytes,
                wire_length: bytes.len() as u32,
                scan: None,
            };
            let mut tags = Vec::new();
            self.engine.inspect(&frame, &mut |assessment| {
                tags = Tags(assessment.verdict.tags).iter().map(Tag::name).collect();
            });
            self.seat.tell(&mut self.engine);
            tags
        }

        pub(crate) fn take(&mut self) {
            while self.seat.take(&mut self.engine) {}
        }

        pub(crate) fn facts(&self, what: &str) -> u64 {
            let name = "scorer_cluster_facts_total";
            let samples = self.stats.samples();
            let found = samples.iter().find(|(known, label, _)| *known == name && *label == what);
            found.expect("there is such a count").2
        }

        pub(crate) fn finish(self) {
            drop(self.seat);
            self.cluster.finish();
        }
    }
}

#[test]
fn clocks_that_are_off_are_told_and_set_right() {
    const HOUR: i64 = 3_600_000_000_000;
    let folder = tempfile::tempdir().expect("a folder");
    let Some(_server) = nats::alone(folder.path(), 24_223) else { return };
    let host = |name: &str, ahead| within::Within::new(folder.path(), 24_223, name, ahead);
    let mut right = host("right", 0);
    for (name, ahead) in [("fast", HOUR), ("slow", -HOUR)] {
        let mut off = host(name, ahead);
        let start = Instant::now();
        let expected = ahead as f64 / 1e9;
        // Before it is known: what lies ahead is taken as now.
        while right.stats.skews().get(name).is_none_or(|skew| (skew - expected).abs() > 5.0) {
            assert!(start.elapsed() < Duration::from_mins(1), "{:?}", right.stats.skews());
            sleep(Duration::from_millis(50));
        }
        let number = format!("+44163296000{}", name.len());
        let caller = if name == "fast" { number } else { "+441632960009".to_owned() };
        let call = Invite::of(&caller, &caller);
        let (counted, clamped) = (right.facts("counted"), right.facts("clamped"));
        for i in 0..2 {
            off.call(&call, &format!("{name}-{i}"));
        }
        while right.facts("counted") < counted + 2 {
            assert!(start.elapsed() < Duration::from_mins(1), "{name}");
            right.take();
            sleep(Duration::from_millis(20));
        }
        assert_eq!(right.facts("clamped"), clamped + 2, "{name}");
        // As if just now: an hour ago they would count half, and not repeat.
        let tags = right.call(&call, &format!("{name}-right"));
        assert!(tags.contains(&"repeat"), "{name}: {tags:?}");
        off.finish();
    }
    right.finish();
}

/// A NATS server that is away: what is told waits on disk, over a restart, too, and counts
/// once when it is back.
#[test]
fn what_waits_on_disk_is_told_by_the_next_run() {
    let folder = tempfile::tempdir().expect("a folder");
    if nats::server().is_none() {
        return;
    }
    let caller = Invite::of("+441632960777", "+441632960777");
    let mut lonely = within::Within::new(folder.path(), 24_224, "lonely", 0);
    for i in 0..3 {
        lonely.call(&caller, &format!("lonely-{i}"));
    }
    lonely.finish();
    let waiting = std::fs::read_dir(folder.path().join("lonely")).expect("a spool");
    let waits = waiting.filter(|entry| {
        entry.as_ref().is_ok_and(|entry| entry.path().extension().is_some_and(|end| end == "waits"))
    });
    // A file for each piece that would have been sent: on a slow machine there are several.
    assert!((1..=3).contains(&waits.count()));
    let _server = nats::alone(folder.path(), 24_224);
    let mut other = within::Within::new(folder.path(), 24_224, "other", 0);
    // Without a snapshot: it counts its own of the run before, as the other does.
    let mut again = within::Within::new(folder.path(), 24_224, "lonely", 0);
    let start = Instant::now();
    while [&other, &again].iter().any(|host| host.facts("counted") < 3) {
        assert!(start.elapsed() < Duration::from_mins(1));
        other.take();
        again.take();
        sleep(Duration::from_millis(20));
    }
    for host in [&mut other, &mut again] {
        assert_eq!((host.facts("counted"), host.facts("duplicate")), (3, 0));
        assert!(host.call(&caller, &format!("next-{host:p}")).contains(&"repeat"));
    }
    other.finish();
    again.finish();
}
