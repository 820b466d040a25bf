//! Real SIP elements: Kamailio answers, SIPp calls.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    lab::{CARRIER, EDGE, Lab, Running},
    shared::root,
};

/// Kamailio at the edge, answering every call itself.
///
/// # Panics
/// When it does not come up.
pub fn kamailio(lab: &Lab, folder: &Path) -> Running {
    kamailio_at(lab.edge("/usr/sbin/kamailio"), folder, EDGE, || {
        let mut probe = sipp(lab, folder);
        probe.args(["-sf"]).arg(root().join("tests/scenarios/options.xml")).args(["-m", "1", EDGE]);
        probe.status().expect("sipp").success()
    })
}

/// Kamailio started by `command`, listening on `address`; up when `is_up` says so.
///
/// # Panics
/// When it does not come up.
pub fn kamailio_at(
    command: Command,
    folder: &Path,
    address: &str,
    is_up: impl Fn() -> bool,
) -> Running {
    router(command, folder, &root().join("tests/kamailio/answer.cfg"), address, is_up)
}

/// The same with another configuration.
///
/// # Panics
/// When it does not come up.
pub fn router(
    mut command: Command,
    folder: &Path,
    config: &Path,
    address: &str,
    is_up: impl Fn() -> bool,
) -> Running {
    let log = std::fs::File::create(folder.join("kamailio.log")).expect("a log");
    command.args(["-DD", "-E", "-f"]).arg(config).args(["-l", &format!("udp:{address}:5060")]);
    command.args(["-m", "64", "-M", "8", "-Y"]).arg(folder);
    command.stdout(Stdio::null()).stderr(log);
    let running = Running(command.spawn().expect("kamailio starts"));
    // Up when it answers an OPTIONS.
    let start = Instant::now();
    loop {
        if is_up() {
            return running;
        }
        let log = std::fs::read_to_string(folder.join("kamailio.log")).unwrap_or_default();
        assert!(start.elapsed() < Duration::from_secs(20), "kamailio does not answer: {log}");
    }
}

/// SIPp on the far side, silent.
pub fn sipp(lab: &Lab, folder: &Path) -> Command {
    let mut command = lab.carrier("/usr/bin/sipp");
    command.current_dir(folder).args(["-i", CARRIER, "-nostdin", "-timeout", "90s"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// SIPp making calls; its statistics go to `stat.csv`.
///
/// # Panics
/// When it does not start.
pub fn calls(lab: &Lab, folder: &Path, count: u32, rate: u32) -> Running {
    let mut command = sipp(lab, folder);
    command.args(["-sn", "uac", "-d", "20", "-m", &count.to_string(), "-r", &rate.to_string()]);
    command.args(["-trace_stat", "-stf", "stat.csv", "-fd", "1", EDGE]);
    Running(command.spawn().expect("sipp starts"))
}

/// Successful and failed calls, retransmissions, as SIPp's last line of
/// statistics says.
///
/// # Panics
/// When there are no statistics.
pub fn outcome(folder: &Path) -> (u64, u64, u64) {
    let [good, bad, again] =
        counts(folder, ["SuccessfulCall(C)", "FailedCall(C)", "Retransmissions(C)"]);
    (good, bad, again)
}

/// Columns of SIPp's last line of statistics, by their names.
///
/// # Panics
/// When there are no statistics, or no such columns.
pub fn counts<const N: usize>(folder: &Path, columns: [&str; N]) -> [u64; N] {
    let text = std::fs::read_to_string(folder.join("stat.csv")).expect("statistics");
    let mut lines = text.lines();
    let names: Vec<_> = lines.next().expect("names").split(';').collect();
    let last: Vec<_> = lines.last().expect("a line").split(';').collect();
    columns.map(|name| {
        let index = names.iter().position(|known| *known == name).expect("a column");
        last[index].parse().expect("a number")
    })
}
