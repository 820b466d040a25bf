//! Several hosts as one: three with a NATS server each, in namespaces.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use scorer_tests::{
    calls::{Invite, tags, texts},
    cluster::{Host, Hosts},
    lab::Lab,
    scorer, shared,
};
use serde_json::Value;

/// Calls of one who shows another number each time.
fn fraudster(call: usize) -> Invite {
    Invite::of(&format!("+4416329600{:02}", call % 4), "+441632960777")
        .to(&format!("+44207946{call:04}"))
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
            start.elapsed() < Duration::from_secs(60),
            "{what} at {}: {}",
            host.name(),
            host.words()
        );
        sleep(Duration::from_millis(20));
    }
}

fn listed(host: &Host) -> Vec<String> {
    let shown = host.must(&["list", "show", "--format", "jsonl"]);
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
    std::fs::write(&config, "[numbers]\nhome_country = 44\n[history]\nmib = 16\n[profiles]\nmib = 8\n")
        .expect("written");
    let more = ["--config", &config.display().to_string()];
    let alone = scorer::tap(&lab, "generic", folder.path(), &more);
    let expected: Vec<_> = (0..30)
        .map(|call| {
            let id = format!("call-{call}");
            let text = fraudster(call).text(&id);
            lab.send(&[scorer_tests::frames::udp4(text.as_bytes(), 5060)]);
            alone.verdict(&id)
        })
        .collect();
    alone.finish();
    assert!(!tags(&expected[1]).contains(&"repeat") && tags(&expected[2]).contains(&"repeat"));

    let Some(mut hosts) = Hosts::new(3) else { return };
    hosts.hosts.iter_mut().for_each(Host::start);
    // The streams are there once a first fact went round.
    let mut told = [0; 3];
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
    let status = hosts.hosts[0].must(&["cluster", "status"]);
    println!("{status}");
    assert!(status.contains("3 hosts alive") && status.contains("edge-3"), "{status}");
    assert_eq!(status.matches("led by n").count(), 2, "{status}");
    for host in &mut hosts.hosts {
        let (_, words) = host.tap.take().expect("it runs").finish();
        assert!(!words.contains("panicked") && !words.contains("ERROR"), "{words}");
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
    let profiles: Vec<_> =
        hosts.hosts.iter().zip(["call-27", "call-28", "call-29"]).map(|(h, id)| of(h, id)).collect();
    assert!(profiles.iter().all(|profile| *profile == profiles[0]), "{profiles:?}");
    profiles[0].clone()
}
