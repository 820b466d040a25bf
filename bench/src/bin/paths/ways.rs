//! The ways that are measured, each in a lab of its own.

use std::{
    fs,
    net::UdpSocket,
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    sys::signal::Signal,
    sys::socket::{MsgFlags, MultiHeaders, sendmmsg},
};
use scorer_tests::{
    bump::{Bump, CARRIER, CARRIER_SIDE, CORE, CORE_SIDE, Inline, NEAR, drain},
    lab::Running,
    scorer::binary,
    shared::root,
};
use tempfile::TempDir;

use super::{
    COUNT, RATE,
    flow::{self, Latency},
    process,
};

/// Every INVITE is tagged; the scoring thread is alone on its CPU but for the kernel.
const CONFIG: &str = "[tap]\ncpu = 1\n[history]\nmib = 64\n[policy]\nfile = \"POLICY\"\n";
const POLICY: &str = "[[rule]]\nname = \"all\"\naction = \"tag\"\n";

fn config(folder: &Path, more: &str) -> Result<String> {
    let policy = folder.join("policy.toml");
    fs::write(&policy, POLICY)?;
    Ok(CONFIG.replace("POLICY", &policy.display().to_string()) + more)
}

fn run(mut command: Command) -> Result<()> {
    let status = command.stdout(Stdio::null()).status()?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}

/// A lab whose host forwards as any Linux bridge does.
fn bridged() -> Result<Bump> {
    let lab = Bump::new();
    for args in [
        "link add br0 type bridge".to_owned(),
        format!("link set {CARRIER_SIDE} master br0"),
        format!("link set {CORE_SIDE} master br0"),
        "link set br0 up".to_owned(),
    ] {
        let mut command = lab.host("/usr/sbin/ip");
        command.args(args.split(' '));
        run(command)?;
    }
    // A bridge takes its time to learn that a port may forward.
    sleep(Duration::from_secs(1));
    Ok(lab)
}

/// The scoring thread never sleeps between two calls of a run.
const SPIN: &str = "cpu = 1\nspin_us = 100000";

/// A lab whose host runs `scorer inline`.
fn inlined(spin: bool) -> Result<(Bump, TempDir, Inline)> {
    let (lab, folder) = (Bump::new(), tempfile::tempdir()?);
    let mut config = config(folder.path(), "")?;
    if spin {
        config = config.replace("cpu = 1", SPIN);
    }
    let inline = lab.inline(folder.path(), &["--mode", "native"], &config);
    sleep(Duration::from_millis(500));
    Ok((lab, folder, inline))
}

/// How many a scorer says it has tagged.
fn tagged(words: &str) -> f64 {
    let digits = words.split("tagged ").nth(1).unwrap_or_default();
    digits.split(|c: char| !c.is_ascii_digit()).next().and_then(|n| n.parse().ok()).unwrap_or(0.0)
}

pub(crate) fn bridge() -> Result<Latency> {
    flow::latency(&bridged()?, 5060, 5060, COUNT, RATE)
}

pub(crate) fn inline() -> Result<Latency> {
    through_inline(false)
}

pub(crate) fn inline_spinning() -> Result<Latency> {
    through_inline(true)
}

fn through_inline(spin: bool) -> Result<Latency> {
    let (lab, _folder, inline) = inlined(spin)?;
    let latency = flow::latency(&lab, 5060, 5060, COUNT, RATE)?;
    let (_, words) = inline.finish();
    // Those sent to warm up may be late.
    ensure!(tagged(&words) >= f64::from(COUNT), "not all were tagged: {words}");
    Ok(latency)
}

fn kamailio(lab: &Bump, folder: &Path, config: &str, more: &[&str]) -> Result<Running> {
    let own = folder.join(config);
    fs::create_dir_all(&own)?;
    let mut command = lab.core("/usr/sbin/kamailio");
    command.args(["-DD", "-E", "-m", "512", "-M", "16", "-Y"]);
    command.arg(&own).arg("-f").arg(root().join("bench/kamailio").join(config)).args(more);
    command.stdout(Stdio::null()).stderr(fs::File::create(own.join("log"))?);
    let mut running = Running(command.spawn()?);
    sleep(Duration::from_secs(2));
    if running.0.try_wait()?.is_some() {
        anyhow::bail!("Kamailio has ended: {}", fs::read_to_string(own.join("log"))?);
    }
    Ok(running)
}

/// `scorer tap` or `redirect` beside the router.
fn scorer(lab: &Bump, folder: &Path, args: &[&str], more: &str) -> Result<Running> {
    let path = folder.join("scorer.toml");
    fs::write(&path, config(folder, more)?)?;
    let mut command = lab.core(binary());
    command.args(args).args(["--format", "jsonl", "--config"]).arg(path).stdin(Stdio::null());
    command.stdout(fs::File::create(folder.join("verdicts"))?);
    command.stderr(fs::File::create(folder.join("words"))?);
    let running = Running(command.spawn()?);
    sleep(Duration::from_secs(2));
    Ok(running)
}

const ROUTER: [&str; 2] = ["-l", "udp:10.97.0.2:5060"];
const ASKED: [&str; 2] = ["-l", "udp:127.0.0.1:5070"];
const TAP: [&str; 5] = ["tap", "-i", NEAR, "--mode", "native"];

fn routed(
    more: &[&str],
    beside: impl FnOnce(&Bump, &Path) -> Result<Option<Running>>,
    measure: impl FnOnce(&Bump) -> Result<Latency>,
) -> Result<Latency> {
    let (lab, folder) = (bridged()?, tempfile::tempdir()?);
    let _beside = beside(&lab, folder.path())?;
    let _router = kamailio(&lab, folder.path(), "router.cfg", &[&ROUTER, more].concat())?;
    measure(&lab)
}

fn through(lab: &Bump) -> Result<Latency> {
    flow::latency(lab, 5060, 5071, COUNT, RATE)
}

pub(crate) fn router_alone() -> Result<Latency> {
    routed(&[], |_, _| Ok(None), through)
}

fn http(lab: &Bump, folder: &Path) -> Result<Option<Running>> {
    scorer(lab, folder, &TAP, "[deliver]\nhttp = \"127.0.0.1:9465\"\n").map(Some)
}

pub(crate) fn router_http() -> Result<Latency> {
    routed(&["-A", "HTTP"], http, through)
}

pub(crate) fn router_redirect_peer() -> Result<Latency> {
    let beside =
        |lab: &Bump, folder: &Path| kamailio(lab, folder, "redirect.cfg", &ASKED).map(Some);
    routed(&["-A", "REDIRECT"], beside, through)
}

pub(crate) fn router_redirect() -> Result<Latency> {
    let beside = |lab: &Bump, folder: &Path| {
        let args = ["redirect", "--listen", "127.0.0.1:5070"];
        scorer(lab, folder, &args, "").map(Some)
    };
    routed(&["-A", "REDIRECT"], beside, through)
}

pub(crate) fn out_of_band() -> Result<Latency> {
    let (lab, folder) = (bridged()?, tempfile::tempdir()?);
    let path = folder.path();
    let text = config(path, "")?.replace("cpu = 1", SPIN);
    fs::write(path.join("spin.toml"), text)?;
    let mut command = lab.core(binary());
    command.args(TAP).args(["--format", "jsonl", "--config"]).arg(path.join("spin.toml"));
    command.stdout(fs::File::create(path.join("verdicts"))?).stdin(Stdio::null());
    command.stderr(fs::File::create(path.join("words"))?);
    let tap = Running(command.spawn()?);
    sleep(Duration::from_secs(2));
    flow::latency(&lab, 5060, 5060, COUNT, RATE)?;
    tap.signal(Signal::SIGINT);
    tap.wait();
    let text = fs::read_to_string(path.join("verdicts"))?;
    let mut all = Vec::new();
    // Behind those sent to warm up.
    for line in text.lines().skip(200) {
        let verdict: serde_json::Value = serde_json::from_str(line)?;
        all.push(verdict["latency_ns"].as_u64().context("a latency")?);
    }
    ensure!(all.len() == COUNT as usize, "{} verdicts", all.len());
    Latency::of(all)
}

/// Sends all messages in batches, evenly at `rate` a second, or as fast as can be;
/// seconds it took.
fn flood(sender: &UdpSocket, messages: &[Vec<u8>], rate: Option<u32>) -> Result<f64> {
    use std::os::fd::AsRawFd as _;
    let start = Instant::now();
    let mut headers = MultiHeaders::<()>::preallocate(16, None);
    for (i, batch) in messages.chunks(16).enumerate() {
        if let Some(rate) = rate {
            let due = start + Duration::from_nanos(i as u64 * 16 * 1_000_000_000 / u64::from(rate));
            // Sleeping is too coarse for what is left.
            while let Some(left) = due.checked_duration_since(Instant::now()) {
                if left > Duration::from_micros(200) {
                    sleep(left.saturating_sub(Duration::from_micros(150)));
                }
            }
        }
        let parts: Vec<_> = batch.iter().map(|message| [std::io::IoSlice::new(message)]).collect();
        let none = vec![None; batch.len()];
        let sent =
            sendmmsg(sender.as_raw_fd(), &mut headers, &parts, &none, [], MsgFlags::empty())?
                .count();
        ensure!(sent == batch.len(), "not all could be sent");
    }
    Ok(start.elapsed().as_secs_f64())
}

fn sender(lab: &Bump, port: u16) -> Result<UdpSocket> {
    let sender = lab.inside_carrier(|| UdpSocket::bind((CARRIER, 5060)))?;
    sender.connect((CORE, port))?;
    // The neighbour is known before it counts.
    sender.send(b"\r\n\r\n")?;
    sleep(Duration::from_millis(100));
    Ok(sender)
}

/// How many messages a second, and what became of them.
pub(crate) fn rates() -> Result<()> {
    println!(
        "| INVITEs a second, for 2 s | came | scored and tagged | scorer's CPU µs an INVITE |"
    );
    println!("|---|---|---|---|");
    for rate in [5_000, 10_000, 20_000, 30_000, 40_000, 60_000, 80_000, 100_000] {
        let (lab, _folder, inline) = inlined(false)?;
        let messages: Vec<_> = (0..2 * rate).map(|i| flow::text(i).into_bytes()).collect();
        let taken = lab.listen(5060);
        let sender = sender(&lab, 5060)?;
        let pid = inline.process.0.id();
        drain(&taken, Duration::from_millis(100));
        let before = lab.inside_core(process::datagrams)?;
        let busy = process::cpu(pid)?;
        let took = flood(&sender, &messages, Some(rate))?;
        sleep(Duration::from_millis(500));
        drain(&taken, Duration::from_millis(100));
        let came = lab.inside_core(process::datagrams)? - before;
        let busy = process::cpu(pid)? - busy;
        let (_, words) = inline.finish();
        let tagged = tagged(&words);
        let sent = messages.len() as f64;
        println!(
            "| {:.0} | {:.2} % | {:.2} % | {:.1} |",
            sent / took,
            came as f64 / sent * 100.0,
            tagged / sent * 100.0,
            busy * 1e6 / sent
        );
    }
    println!();
    Ok(())
}

/// What traffic that is not SIP pays.
pub(crate) fn others() -> Result<()> {
    const PACKETS: usize = 400_000;
    println!("| 172 bytes of RTP, as fast as they go | ns a packet, best of 5 |\n|---|---|");
    let messages = vec![vec![0x80; 172]; PACKETS];
    let best = |lab: &Bump| -> Result<f64> {
        let _taken = lab.listen(20_000);
        let sender = sender(lab, 20_000)?;
        let mut best = f64::INFINITY;
        for _ in 0..5 {
            best = best.min(flood(&sender, &messages, None)?);
        }
        Ok(best * 1e9 / PACKETS as f64)
    };
    println!("| bridge in the kernel | {:.0} |", best(&bridged()?)?);
    let (lab, _folder, inline) = inlined(false)?;
    println!("| scorer inline | {:.0} |\n", best(&lab)?);
    inline.finish();
    Ok(())
}

/// What a scorer without calls takes.
pub(crate) fn idle() -> Result<()> {
    const SECONDS: u64 = 10;
    println!("| without calls | share of a core |\n|---|---|");
    let share = |pid: u32| -> Result<f64> {
        let before = process::cpu(pid)?;
        sleep(Duration::from_secs(SECONDS));
        Ok((process::cpu(pid)? - before) / SECONDS as f64 * 100.0)
    };
    let (_lab, _folder, inline) = inlined(false)?;
    println!("| scorer inline | {:.1} % |", share(inline.process.0.id())?);
    inline.finish();
    let (lab, folder) = (bridged()?, tempfile::tempdir()?);
    let tap = scorer(&lab, folder.path(), &TAP, "")?;
    println!("| scorer tap | {:.1} % |", share(tap.0.id())?);
    Ok(())
}
