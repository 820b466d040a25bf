//! Inline mode beside the router: INVITEs come back in by a veth pair.

use std::{path::Path, process::Stdio};

use nix::sys::signal::Signal;
use scorer_tests::{
    bump::Inline,
    lab::{BpfFs, INTERFACE, Lab, Running},
    scorer, shared, sip,
};

const CALLS: u32 = 1_000;
const RATE: u32 = 200;
const PATIENT: &str = "[inline]\ndeadline_ms = 1000\nbudget_us = 1000000\n[history]\nmib = 16\n";

fn inline(lab: &Lab, folder: &Path, pins: &BpfFs, mode: &str) -> Inline {
    let config = folder.join("inline.toml");
    let pins = pins.path().join("scorer");
    let text = format!("{PATIENT}[kernel]\npins = {:?}\n", pins.display().to_string());
    std::fs::write(&config, text).expect("written");
    let (verdicts, words) = (folder.join("verdicts.jsonl"), folder.join("words.txt"));
    let mut command = lab.edge(scorer::binary());
    command.args(["inline", "--nic", INTERFACE, "--local", "--mode", mode, "--format", "jsonl"]);
    command.arg("--config").arg(config).stdin(Stdio::null());
    command.stdout(std::fs::File::create(&verdicts).expect("a file"));
    command.stderr(std::fs::File::create(&words).expect("a file"));
    let inline = Inline { process: Running(command.spawn().expect("it starts")), verdicts, words };
    inline.wait_for("inline on");
    inline
}

fn links(lab: &Lab) -> String {
    let output = lab.edge("ip").args(["-br", "link"]).output().expect("ip runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn every_call_comes_back_in_and_is_answered() {
    if !shared::privileged() {
        return;
    }
    for mode in ["native", "generic"] {
        let (lab, folder, pins) =
            (Lab::new(), tempfile::tempdir().expect("a folder"), BpfFs::new());
        // As strict as hosts are: what comes by another interface than it would go.
        let strict = ["-qw", "net.ipv4.conf.all.rp_filter=1"];
        assert!(lab.edge("sysctl").args(strict).status().is_ok_and(|status| status.success()));
        let _router = sip::kamailio(&lab, folder.path());
        let inline = inline(&lab, folder.path(), &pins, mode);
        assert!(links(&lab).contains("scr"), "{}", links(&lab));
        let status = sip::calls(&lab, folder.path(), CALLS, RATE).wait();
        let (verdicts, words) = inline.finish();
        let outcome = sip::outcome(folder.path());
        assert_eq!(outcome, (CALLS.into(), 0, 0), "{mode}: {status}\n{words}");
        assert_eq!(verdicts.len(), CALLS as usize, "{words}");
        assert!(words.contains(&format!("{CALLS} INVITEs handed over")), "{words}");
        assert!(!links(&lab).contains("scr"), "the pair stays: {}", links(&lab));
    }
}

#[test]
fn killed_it_costs_no_call_and_the_pair_is_made_anew() {
    if !shared::privileged() {
        return;
    }
    let (lab, folder, pins) = (Lab::new(), tempfile::tempdir().expect("a folder"), BpfFs::new());
    let _router = sip::kamailio(&lab, folder.path());
    let mut running = inline(&lab, folder.path(), &pins, "native");
    let calls = sip::calls(&lab, folder.path(), CALLS, RATE);
    for _ in 0..3 {
        std::thread::sleep(std::time::Duration::from_millis(500));
        running.process.signal(Signal::SIGKILL);
        assert!(!running.process.wait().success());
        running = inline(&lab, folder.path(), &pins, "native");
    }
    let status = calls.wait();
    let (_, words) = running.finish();
    let (good, bad, repeated) = sip::outcome(folder.path());
    assert_eq!((good, bad), (CALLS.into(), 0), "{status}\n{words}");
    println!("killed: {repeated} retransmissions");
}
