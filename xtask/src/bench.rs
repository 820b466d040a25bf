//! `scorer replay` beside tshark and sngrep, on one generated capture; and the ways of
//! verdicts beside plain forwarding and Kamailio.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};

use crate::{
    run::{cargo, check, root, say},
    setup,
};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// `scorer replay` beside tshark and sngrep
    Replay,
    /// Ways of verdicts beside a bridge and Kamailio that asks (root)
    Paths,
}

#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    /// What to measure
    #[arg(value_enum, default_value_t = What::Replay)]
    what: What,
    /// INVITEs in the capture
    #[arg(long, default_value_t = 100_000)]
    calls: u32,
    /// Runs of scorer; the median counts. The peers run once
    #[arg(long, default_value_t = 5)]
    runs: usize,
}

pub(crate) fn run(args: &BenchArgs) -> Result<()> {
    setup::run(setup::Purpose::Bench)?;
    say("building with optimisation (the first time some ten minutes)");
    let release = root().join("target/release");
    check(&mut cargo(["build", "--quiet", "--release", "--package", "scorer-userspace"]))?;
    if args.what == What::Paths {
        setup::run(setup::Purpose::Test)?;
        // Not measured itself.
        check(&mut cargo(["build", "--quiet", "--package", "scorer-bench", "--bin", "paths"]))?;
        let mut paths = Command::new(root().join("target/debug/paths"));
        return check(paths.env("SCORER_BINARY", release.join("scorer")));
    }
    check(&mut cargo(["build", "--quiet", "--release", "--package", "scorer-bench"]))?;
    let capture = root().join(format!("target/bench-{}.pcap", args.calls));
    check(Command::new(release.join("generate")).arg(args.calls.to_string()).arg(&capture))?;
    say(&format!("{} INVITEs, {} bytes", args.calls, fs::metadata(&capture)?.len()));
    let mut times = Vec::new();
    for _ in 0..args.runs.max(1) {
        let mut scorer = one_core(&release.join("scorer"));
        times.push(seconds(scorer.args(["replay", "--format", "jsonl"]).arg(&capture))?);
    }
    times.sort_by(f64::total_cmp);
    let scorer = times[times.len() / 2];
    let mut tshark = one_core(Path::new("tshark"));
    tshark.arg("-r").arg(&capture).args(["-Y", "sip.Method == \"INVITE\"", "-T", "fields"]);
    for field in [
        "frame.time_epoch",
        "ip.src",
        "sip.Call-ID",
        "sip.from.user",
        "sip.to.user",
        "sip.User-Agent",
    ] {
        tshark.args(["-e", field]);
    }
    let tshark = seconds(&mut tshark)?;
    let mut sngrep = one_core(Path::new("sngrep"));
    // Reads a file and writes one, without its screen.
    let out = root().join("target/bench-sngrep.pcap");
    // Its limit on dialogs is 20,000 unless told.
    sngrep
        .args(["-N", "-q", "-l", &(args.calls + 1).to_string(), "-I"])
        .arg(&capture)
        .arg("-O")
        .arg(&out);
    let sngrep = seconds(&mut sngrep)?;
    let each = |seconds: f64| seconds * 1e6 / f64::from(args.calls);
    println!("| what | s | µs an INVITE | ratio |\n|---|---|---|---|");
    for (name, time) in [("scorer replay", scorer), ("sngrep", sngrep), ("tshark", tshark)] {
        println!("| {name} | {time:.2} | {:.2} | {:.1} |", each(time), time / scorer);
    }
    Ok(())
}

/// On CPU 0 alone.
fn one_core(program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", "0"]).arg(program);
    command
}

fn seconds(command: &mut Command) -> Result<f64> {
    let start = Instant::now();
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    let status = status.context("cannot run a peer")?;
    anyhow::ensure!(status.success(), "{command:?} failed ({status})");
    Ok(start.elapsed().as_secs_f64())
}
