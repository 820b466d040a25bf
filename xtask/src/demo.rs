//! The main job, shown.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::{
    lab::{CARRIER, EDGE, INTERFACE, Lab, Running},
    run::{cargo, check, is_root, root, say},
    setup,
};

#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// How long calls come in, seconds
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// With an optimised build (the first takes some ten minutes)
    #[arg(long)]
    release: bool,
    /// Save the frames, as tests/data/demo.pcap was made
    #[arg(long, value_name = "FILE.pcap")]
    save: Option<PathBuf>,
    /// Replay a capture even as root
    #[arg(long)]
    replay: bool,
}

/// Scenario file, calls a second, and who that is.
const CALLERS: [(&str, &str, &str); 4] = [
    ("ordinary", "4", "subscribers of the carrier"),
    ("withheld", "1", "one withheld caller who keeps calling one callee"),
    ("spoofed", "1", "numbers that are not the network's"),
    ("scanner", "2", "a scanning tool"),
];

pub(crate) fn run(args: &DemoArgs) -> Result<()> {
    let scorer = build(args.release)?;
    if !is_root() || args.replay {
        if !args.replay {
            say("not root: no network namespaces and no XDP; replaying a capture instead");
        }
        let capture = root().join("tests/data/demo.pcap");
        return check(std::process::Command::new(scorer).arg("replay").arg(capture));
    }
    setup::run(setup::Purpose::Demo)?;
    if !args.release {
        say(
            "this is a development build: its latencies are not the product's (--release shows those)",
        );
    }
    let lab = Lab::new().context("cannot make the lab's network namespaces")?;
    say(&format!("lab: carrier {CARRIER} -- veth -- edge {EDGE} ({INTERFACE})"));
    let mut answering = lab.edge("sipp");
    let answering = Running(
        answering
            .args(["-sn", "uas", "-i", EDGE, "-p", "5060", "-nostdin"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start SIPp")?,
    );
    let mut tap = lab.edge(&scorer.display().to_string());
    tap.args(["tap", "-i", INTERFACE]);
    if let Some(file) = &args.save {
        tap.arg("--save").arg(file);
    }
    let tap = Running(tap.spawn().context("cannot start scorer")?);
    // Attaching takes some tens of milliseconds.
    sleep(Duration::from_secs(1));
    let start = Instant::now();
    let scenarios = root().join("tests/scenarios");
    let mut callers = Vec::new();
    for (name, rate, who) in CALLERS {
        say(&format!("{rate} calls a second: {who}"));
        callers.push(caller(&lab, &scenarios, name, rate, args.seconds)?);
    }
    while start.elapsed() < Duration::from_secs(args.seconds) {
        sleep(Duration::from_millis(100));
    }
    drop(callers);
    let status = tap.end()?;
    drop(answering);
    if !status.success() {
        bail!("scorer tap ended with {status}");
    }
    Ok(())
}

fn caller(lab: &Lab, scenarios: &Path, name: &str, rate: &str, seconds: u64) -> Result<Running> {
    let calls = seconds * rate.parse::<u64>().unwrap_or(1);
    let mut sipp = lab.carrier("sipp");
    sipp.arg("-sf").arg(scenarios.join(format!("{name}.xml")));
    sipp.arg("-inf").arg(scenarios.join("numbers.csv"));
    sipp.args(["-i", CARRIER, "-r", rate, "-m", &calls.to_string(), "-nostdin", EDGE]);
    let child = sipp.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    Ok(Running(child.context("cannot start SIPp")?))
}

/// Builds `scorer`; where it is.
fn build(release: bool) -> Result<PathBuf> {
    say("building scorer (the first build compiles tract and aya: some minutes)");
    let mut command = cargo(["build", "--quiet", "--package", "scorer-userspace"]);
    if release {
        command.arg("--release");
    }
    check(&mut command)?;
    let built =
        root().join("target").join(if release { "release" } else { "debug" }).join("scorer");
    fs::canonicalize(&built).with_context(|| format!("{} is not there", built.display()))
}
