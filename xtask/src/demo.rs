//! The main job, shown: simulated carrier traffic with fraud in it comes over a veth pair
//! into the XDP program, until Ctrl-C; verdicts in this terminal, the dashboard on
//! loopback.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::{
    forward::forward,
    lab::{CARRIER, EDGE, INTERFACE, Lab, Running},
    run::{cargo, check, is_root, root, say},
    setup,
    site::{Listen, Site},
};

#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// End by itself after so many seconds, instead of at Ctrl-C
    #[arg(long = "for", value_name = "SECONDS")]
    seconds: Option<u64>,
    /// Port of the dashboard on 127.0.0.1
    #[arg(long, default_value_t = 8600)]
    port: u16,
    /// The same seed gives the same callers
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// With an optimised build (the first takes some ten minutes)
    #[arg(long)]
    release: bool,
    /// Save the frames
    #[arg(long, value_name = "FILE.pcap")]
    save: Option<PathBuf>,
    /// SIPp's calls instead of simulated ones, as tests/data/demo.pcap was made
    #[arg(long)]
    sipp: bool,
    /// Show recorded calls alone even as root: no namespaces, no XDP
    #[arg(long)]
    replay: bool,
}

/// Calls of one run of the simulator; then another begins with the next seed.
const CALLS: &str = "1000000";

/// Scenario file, calls a second, and who that is.
const CALLERS: [(&str, &str, &str); 4] = [
    ("ordinary", "4", "subscribers of the carrier"),
    ("withheld", "1", "one withheld caller who keeps calling one callee"),
    ("spoofed", "1", "numbers that are not the network's"),
    ("scanner", "2", "a scanning tool"),
];

pub(crate) fn run(args: &DemoArgs) -> Result<()> {
    // Before anything is made that must be taken away again.
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [2, 15] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("cannot wait for Ctrl-C")?;
    }
    let scorer = build(args.release)?;
    let end = args.seconds.map(Duration::from_secs);
    if !is_root() || args.replay {
        if !args.replay {
            say("not root: no network namespaces and no XDP; showing recorded calls instead");
        }
        return recorded(args, &scorer, end, &stop);
    }
    setup::run(setup::Purpose::Demo)?;
    if !args.release {
        say(
            "this is a development build: its latencies are not the product's (--release shows those)",
        );
    }
    let site = Site::new(&scorer, args.seed, Listen::Socket)?;
    let lab = Lab::new().context("cannot make the lab's network namespaces")?;
    say(&format!("lab: carrier {CARRIER} -- veth -- edge {EDGE} ({INTERFACE})"));
    let mut tap = lab.edge(&scorer.display().to_string());
    tap.args(["tap", "-i", INTERFACE, "--config"]).arg(site.config());
    if let Some(file) = &args.save {
        tap.arg("--save").arg(file);
    }
    let mut tap = Running(tap.spawn().context("cannot start scorer")?);
    // Attaching takes some tens of milliseconds on a machine that is not busy.
    let start = Instant::now();
    let up = site.path("api.sock");
    while start.elapsed() < Duration::from_secs(1)
        || site.has_api && !up.exists() && start.elapsed() < Duration::from_secs(30)
    {
        sleep(Duration::from_millis(100));
    }
    if site.has_api {
        let address = forward(args.port, &site.path("api.sock"))?;
        say(&format!("open http://{address}/"));
    } else {
        say("this scorer has no API: there is no dashboard");
    }
    let traffic = if args.sipp {
        Traffic::sipp(&lab, args.seconds.unwrap_or(3_600))?
    } else {
        say("calls of a simulated carrier, fraud among them; Ctrl-C ends");
        Traffic::Simulated { run: None, seed: args.seed }
    };
    let result = keep_on(traffic, &lab, &site, &scorer, &mut tap, end, &stop);
    let status = tap.end()?;
    result?;
    if !status.success() {
        bail!("scorer tap ended with {status}");
    }
    Ok(())
}

/// Who calls.
enum Traffic {
    /// The simulator's run, and the next one's seed.
    Simulated { run: Option<Running>, seed: u64 },
    /// SIPp: one who answers, several who call.
    Sipp { _processes: Vec<Running> },
}

/// Keeps calls coming until it is enough.
fn keep_on(
    mut traffic: Traffic,
    lab: &Lab,
    site: &Site,
    scorer: &Path,
    tap: &mut Running,
    end: Option<Duration>,
    stop: &AtomicBool,
) -> Result<()> {
    let start = Instant::now();
    while !stop.load(Ordering::Relaxed) && end.is_none_or(|end| start.elapsed() < end) {
        // Ctrl-C comes to it as well, and it may be the first to have ended.
        if let Some(status) = tap.ended()? {
            if stop.load(Ordering::Relaxed) || status.success() {
                return Ok(());
            }
            bail!("scorer tap ended with {status}");
        }
        if let Traffic::Simulated { run, seed } = &mut traffic {
            let over = run.as_mut().map_or(Ok(true), |run| run.ended().map(|end| end.is_some()))?;
            if over {
                let mut simulate = lab.carrier(&scorer.display().to_string());
                simulate.args(["simulate", "--interface", "carrier0", "--calls", CALLS]);
                simulate.args(["--seed", &seed.to_string(), "--mix"]).arg(site.mix());
                let simulate = simulate.stderr(Stdio::null()).spawn();
                *run = Some(Running(simulate.context("cannot start the simulator")?));
                *seed += 1;
            }
        }
        sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// Recorded calls, without a tap.
fn recorded(
    args: &DemoArgs,
    scorer: &Path,
    end: Option<Duration>,
    stop: &AtomicBool,
) -> Result<()> {
    let site = Site::new(scorer, args.seed, Listen::Port(args.port))?;
    if !site.has_api {
        say("this scorer has no API: there is no dashboard; these are the recorded calls");
        let mut calls = Command::new(scorer);
        calls.args(["calls", "--since", "7d", "--level", "high", "--config"]).arg(site.config());
        return check(&mut calls);
    }
    let serve = Command::new(scorer).arg("serve").arg("--config").arg(site.config()).spawn();
    let mut serve = Running(serve.context("cannot start scorer")?);
    say(&format!("open http://127.0.0.1:{}/", args.port));
    let start = Instant::now();
    while !stop.load(Ordering::Relaxed) && end.is_none_or(|end| start.elapsed() < end) {
        if let Some(status) = serve.ended()? {
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            bail!("scorer serve ended with {status}");
        }
        sleep(Duration::from_millis(100));
    }
    let status = serve.end()?;
    if !status.success() {
        bail!("scorer serve ended with {status}");
    }
    Ok(())
}

impl Traffic {
    fn sipp(lab: &Lab, seconds: u64) -> Result<Self> {
        let mut answering = lab.edge("sipp");
        answering.args(["-sn", "uas", "-i", EDGE, "-p", "5060", "-nostdin"]);
        let mut processes = vec![quietly(&mut answering)?];
        let scenarios = root().join("tests/scenarios");
        for (name, rate, who) in CALLERS {
            say(&format!("{rate} calls a second: {who}"));
            let calls = seconds * rate.parse::<u64>().unwrap_or(1);
            let mut sipp = lab.carrier("sipp");
            sipp.arg("-sf").arg(scenarios.join(format!("{name}.xml")));
            sipp.arg("-inf").arg(scenarios.join("numbers.csv"));
            sipp.args(["-i", CARRIER, "-r", rate, "-m", &calls.to_string(), "-nostdin", EDGE]);
            processes.push(quietly(&mut sipp)?);
        }
        Ok(Self::Sipp { _processes: processes })
    }
}

fn quietly(sipp: &mut Command) -> Result<Running> {
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
