//! Calls through the tapped interface reach Kamailio whatever happens to the tap.

use std::{thread::sleep, time::Duration};

use nix::sys::signal::Signal;
use scorer_tests::{lab::Lab, scorer, shared, sip};

const CALLS: u32 = 1_000;
/// Some five seconds.
const RATE: u32 = 200;

/// Makes the calls while `meanwhile` does something to the tap; none may be lost.
fn no_call_is_lost(meanwhile: impl FnOnce(&Lab, &std::path::Path)) {
    let (lab, folder) = (Lab::new(), tempfile::tempdir().expect("a folder"));
    let _router = sip::kamailio(&lab, folder.path());
    let calls = sip::calls(&lab, folder.path(), CALLS, RATE);
    meanwhile(&lab, folder.path());
    let status = calls.wait();
    let (good, bad, repeated) = sip::outcome(folder.path());
    assert_eq!((good, bad), (u64::from(CALLS), 0), "SIPp: {status}");
    // What is lost on the way SIP repairs by repeating; nothing was to repair.
    assert_eq!(repeated, 0, "retransmissions");
}

#[test]
fn while_it_runs_and_every_call_has_one_verdict() {
    if !shared::privileged() {
        return;
    }
    let (lab, folder) = (Lab::new(), tempfile::tempdir().expect("a folder"));
    let _router = sip::kamailio(&lab, folder.path());
    let tap = scorer::tap(&lab, "native", folder.path(), &[]);
    let status = sip::calls(&lab, folder.path(), CALLS, RATE).wait();
    let (verdicts, words) = tap.finish();
    let (good, bad, _) = sip::outcome(folder.path());
    assert_eq!((good, bad), (u64::from(CALLS), 0), "SIPp: {status}");
    assert_eq!(verdicts.lines().count(), CALLS as usize, "{words}");
    let calls: std::collections::HashSet<_> = verdicts
        .lines()
        .map(|line| {
            let verdict: serde_json::Value = serde_json::from_str(line).expect("JSON");
            verdict["call_id"].as_str().expect("a Call-ID").to_owned()
        })
        .collect();
    assert_eq!(calls.len(), CALLS as usize);
    assert!(words.contains("0 INVITEs and 0 other records at full rings"), "{words}");
}

#[test]
fn while_it_starts_and_stops() {
    if !shared::privileged() {
        return;
    }
    no_call_is_lost(|lab, folder| {
        for _ in 0..3 {
            sleep(Duration::from_millis(400));
            let tap = scorer::tap(lab, "native", folder, &[]);
            sleep(Duration::from_millis(400));
            let _ = tap.finish();
        }
    });
}

#[test]
fn while_it_is_killed() {
    if !shared::privileged() {
        return;
    }
    no_call_is_lost(|lab, folder| {
        for mode in ["native", "generic", "native"] {
            sleep(Duration::from_millis(400));
            let tap = scorer::tap(lab, mode, folder, &[]);
            sleep(Duration::from_millis(400));
            tap.process.signal(Signal::SIGKILL);
            assert!(!tap.process.wait().success());
        }
    });
}

#[test]
fn while_it_is_wedged() {
    if !shared::privileged() {
        return;
    }
    no_call_is_lost(|lab, folder| {
        let tap = scorer::tap(lab, "native", folder, &[]);
        sleep(Duration::from_millis(500));
        tap.process.signal(Signal::SIGSTOP);
        sleep(Duration::from_secs(5));
        tap.process.signal(Signal::SIGCONT);
        let _ = tap.finish();
    });
}
