//! A real router behind the scorer: what docs/routers.md says it does, it does.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use scorer_tests::{
    bump::{Bump, CARRIER, CORE},
    lab::Running,
    shared, sip,
};

/// Every tagged call is a high one, whatever the model thinks of a lab.
const CONFIG: &str = "[levels]\nmedium = 0\nhigh = 0\ncritical = 100\n[history]\nmib = 16\n\
                      [inline]\ndeadline_ms = 1000\nbudget_us = 1000000\n";

const POLICY: &str = r#"
[[rule]]
name = "suspects"
caller_number = "+44163296001"
action = "tag"

[[rule]]
name = "refused"
caller_number = "+44163296003"
action = "reject"
response = 607
"#;

fn sipp(mut command: Command, folder: &Path, address: &str) -> Command {
    command.current_dir(folder).args(["-i", address, "-nostdin", "-timeout", "120s"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Someone who answers in the core; statistics go to `NAME.csv`.
fn answering(lab: &Bump, folder: &Path, port: &str, name: &str) -> Running {
    let mut command = sipp(lab.core("/usr/bin/sipp"), folder, CORE);
    command.args(["-sn", "uas", "-p", port, "-trace_stat", "-fd", "1", "-stf"]).arg(name);
    Running(command.spawn().expect("sipp starts"))
}

/// Calls of one caller, each a line of SIPp's statistics file NAME.
fn calls(lab: &Bump, folder: &Path, port: &str, caller: &str, rate: u32, count: u32) -> Running {
    let scenario = shared::root().join("tests/scenarios/routed.xml");
    let mut command = sipp(lab.carrier("/usr/bin/sipp"), folder, CARRIER);
    command.arg("-sf").arg(scenario).args(["-p", port, "-key", "caller", caller]);
    command.args(["-m", &count.to_string(), "-r", &rate.to_string(), "-trace_stat", "-fd", "1"]);
    command.args(["-stf", &format!("{caller}.csv"), CORE]);
    Running(command.spawn().expect("sipp starts"))
}

fn outcome(folder: &Path, name: &str) -> (u64, u64, u64) {
    let own = folder.join(name.trim_start_matches('+').to_owned() + "-stat");
    std::fs::create_dir_all(&own).expect("a folder");
    std::fs::copy(folder.join(format!("{name}.csv")), own.join("stat.csv")).expect("statistics");
    sip::outcome(&own)
}

#[test]
fn kamailio_sends_risky_calls_elsewhere() {
    if !shared::privileged() {
        return;
    }
    let (lab, folder) = (Bump::new(), tempfile::tempdir().expect("a folder"));
    let path = folder.path();
    let policy = path.join("policy.toml");
    std::fs::write(&policy, POLICY).expect("written");
    let inline = lab.inline(
        path,
        &[],
        &format!("{CONFIG}[policy]\nfile = {:?}\n", policy.display().to_string()),
    );
    let _ordinary = answering(&lab, path, "5070", "ordinary.csv");
    let _desk = answering(&lab, path, "5080", "desk.csv");
    let config = shared::root().join("tests/kamailio/risk.cfg");
    let up = || {
        let mut probe = sipp(lab.carrier("/usr/bin/sipp"), path, CARRIER);
        probe.arg("-sf").arg(shared::root().join("tests/scenarios/options.xml"));
        probe.args(["-m", "1", CORE]).status().is_ok_and(|status| status.success())
    };
    let _router = sip::router(lab.core("/usr/sbin/kamailio"), path, &config, CORE, up);
    // Together a hundred calls a second for a minute.
    let (good, suspect, refused) = ("+441632960999", "+441632960011", "+441632960031");
    let running = [
        calls(&lab, path, "6001", good, 80, 4_800),
        calls(&lab, path, "6002", suspect, 15, 900),
        calls(&lab, path, "6003", refused, 5, 300),
    ];
    let statuses: Vec<_> = running.into_iter().map(Running::wait).collect();
    let (verdicts, words) = inline.finish();
    assert_eq!(outcome(path, good), (4_800, 0, 0), "{statuses:?}\n{words}");
    assert_eq!(outcome(path, suspect), (900, 0, 0), "{statuses:?}\n{words}");
    // Each of them got 607 and nothing else, and was content: see the scenario.
    assert_eq!(outcome(path, refused), (300, 0, 0), "{statuses:?}\n{words}");
    assert_eq!(verdicts.len(), 6_000, "{words}");
    // Who answered whom.
    let answered = |name: &str| {
        let text = std::fs::read_to_string(path.join(name)).expect("statistics");
        let mut lines = text.lines();
        let names: Vec<_> = lines.next().expect("names").split(';').collect();
        let at = names.iter().position(|name| *name == "IncomingCall(C)").expect("a column");
        let last = lines.last().expect("a line").split(';').nth(at).expect("a value");
        last.parse::<u64>().expect("a number")
    };
    assert_eq!((answered("ordinary.csv"), answered("desk.csv")), (4_800, 900), "{words}");
    assert!(words.contains("tagged 900") && words.contains("rejected 300"), "{words}");
}

#[test]
fn the_documented_configuration_is_the_one_that_is_run() {
    let read = |path: &str| std::fs::read_to_string(shared::root().join(path)).expect(path);
    assert!(read("docs/routers.md").contains(&read("tests/kamailio/risk.cfg")));
}
