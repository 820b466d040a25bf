//! Simulated traffic before those who know SIP better than we do.

use std::{
    collections::HashSet,
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use scorer_tests::{
    lab::{CARRIER, EDGE, Lab, Running},
    scorer, shared, sip,
};

fn simulate(args: &[&str]) -> Output {
    Command::new(scorer::binary()).arg("simulate").args(args).output().expect("scorer runs")
}

/// Call-IDs of a file of labels.
fn labelled(path: &Path) -> HashSet<String> {
    let text = std::fs::read_to_string(path).expect("labels");
    text.lines().skip(1).filter_map(|line| line.split(',').next().map(str::to_owned)).collect()
}

#[test]
fn tshark_finds_nothing_malformed_and_every_call() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (capture, mix) = (path("calls.pcap"), path("mix.toml"));
    std::fs::write(&mix, "fraud = 0.3\n").expect("written");
    let made = simulate(&["--calls", "4000", "--seed", "11", "--mix", &mix, "--out", &capture]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let tshark = |filter: &str, fields: &[&str]| {
        let mut command = Command::new("/usr/bin/tshark");
        command.args(["-r", &capture, "-Y", filter, "-T", "fields"]);
        for field in fields {
            command.args(["-e", field]);
        }
        let output = command.stderr(Stdio::null()).output().expect("tshark");
        assert!(output.status.success());
        String::from_utf8(output.stdout).expect("text")
    };
    assert_eq!(tshark("_ws.malformed", &["frame.number", "sip.Request-Line"]), "");
    let seen: HashSet<_> = tshark("sip.Method == \"INVITE\" && !sip.to.tag", &["sip.Call-ID"])
        .lines()
        .map(str::to_owned)
        .collect();
    let labelled = labelled(&folder.path().join("calls.csv"));
    assert_eq!(labelled.len(), 4_000);
    assert_eq!(seen, labelled);
    // And so does the scorer.
    let replayed = scorer::replay(capture.as_ref());
    let verdicts: HashSet<_> = String::from_utf8_lossy(&replayed.stdout)
        .lines()
        .map(|line| {
            let verdict: serde_json::Value = serde_json::from_str(line).expect("JSON");
            verdict["call_id"].as_str().expect("a Call-ID").to_owned()
        })
        .collect();
    assert_eq!(verdicts, labelled);
}

/// Every header style is accepted by a router and by a test tool, over a real network,
/// while the tap watches.
#[test]
fn kamailio_and_sipp_accept_every_call() {
    if !shared::privileged() {
        return;
    }
    let (lab, folder) = (Lab::new(), tempfile::tempdir().expect("a folder"));
    let labels = folder.path().join("labels.csv");
    let call = |port: u16, calls: &str, seed: &str| {
        let mut command = lab.carrier(scorer::binary());
        command.args([
            "simulate",
            "--to",
            &format!("{EDGE}:{port}"),
            "--from",
            &format!("{CARRIER}:0"),
        ]);
        command.args(["--calls", calls, "--seed", seed, "--speed", "40", "--labels"]).arg(&labels);
        let output = command.output().expect("scorer runs");
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{words}");
        assert!(words.contains(&format!("made {calls} calls")), "{words}");
        assert!(words.contains(" 0 unanswered"), "{words}");
        words
    };
    let router = sip::kamailio(&lab, folder.path());
    let tap = scorer::tap(&lab, "auto", folder.path(), &[]);
    call(5060, "800", "3");
    let (verdicts, words) = tap.finish();
    drop(router);
    assert_eq!(verdicts.lines().count(), 800, "{words}");
    assert_eq!(labelled(&labels).len(), 800);
    let log = std::fs::read_to_string(folder.path().join("kamailio.log")).expect("a log");
    assert!(!log.contains("parse_msg") && !log.contains("bad "), "{log}");

    let mut answering = lab.edge("/usr/bin/sipp");
    answering.args(["-sn", "uas", "-i", EDGE, "-p", "5070", "-nostdin", "-trace_err"]);
    answering.current_dir(folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
    let answering = Running(answering.spawn().expect("sipp starts"));
    std::thread::sleep(Duration::from_millis(500));
    let words = call(5070, "200", "4");
    assert!(words.contains("200 answered"), "{words}");
    drop(answering);
}

#[test]
fn what_cannot_be_simulated_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let mix = path("mix.toml");
    std::fs::write(&mix, "frauds = 0.3\n").expect("written");
    let missing = path("missing.toml");
    for (args, says) in [
        (&["--out", "/nonexistent/x.pcap"][..], "cannot write /nonexistent/x.pcap"),
        (&["--mix", &mix, "--out", "/dev/null"], "unknown field `frauds`"),
        (&["--mix", &missing, "--out", "/dev/null"], "cannot read"),
        (&["--to", "8.8.8.8:5060"], "not in a lab"),
        (&["--to", "127.0.0.1:9", "--speed", "0"], "--speed is 0"),
        (&[], "--out"),
    ] {
        let output = simulate(args);
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {words}");
        assert!(words.contains(says), "{args:?}: {words}");
    }
}
