//! What call records cost: bytes a call on disk, the scoring thread's share, and whether
//! the writer keeps pace with 10,000 calls a second and bursts of 50,000, all on one core.
//!
//! `cargo bench -p scorer-bench --bench records [-- size|cost|pace]`. Times are of CPU,
//! which other work on the machine moves little; what means something are the ratios.

use std::{
    fs,
    path::Path,
    sync::{Arc, atomic::Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    sys::resource::{Usage, UsageWho, getrusage},
    time::{ClockId, clock_gettime},
    unistd::Pid,
};
use scorer::{
    capture::{Frame, LinkType},
    engine::{Engine, EngineConfig},
    features::names,
    model::Model,
    records::{Mode, Recorder, RecordsConfig},
    time::Timestamp,
};
use scorer_bench::calls::{Kept, traffic};

/// Simulated calls that sizes are measured with.
const CALLS: u64 = 100_000;
/// Of them, those that are sent again and again for pace.
const KEPT: u64 = 20_000;
/// Calls a second, for so many seconds.
const SUSTAINED: (u32, u32) = (10_000, 60);
/// Calls within a second, so many times, with as many seconds between.
const BURST: (u32, u32, u32) = (50_000, 5, 4);

fn main() -> Result<()> {
    let asked: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let wanted = |name: &str| asked.is_empty() || asked.iter().any(|arg| arg == name);
    let folder = tempfile::tempdir()?;
    if wanted("size") {
        for features in [true, false] {
            size(&folder.path().join(format!("size-{features}")), features)?;
        }
    }
    if wanted("cost") || wanted("pace") {
        let calls = kept()?;
        if wanted("cost") {
            cost(&calls, &folder.path().join("cost"))?;
        }
        if wanted("pace") {
            for features in [true, false] {
                pace(&calls, &folder.path().join(format!("pace-{features}")), features)?;
            }
        }
    }
    Ok(())
}

fn engine() -> Result<Engine> {
    Ok(Engine::new(&EngineConfig::default(), Arc::new(Model::builtin(&names())?))?)
}

fn config(folder: &Path, features: bool) -> RecordsConfig {
    RecordsConfig {
        folder: Some(folder.to_owned()),
        features,
        keep: None,
        ..RecordsConfig::default()
    }
}

/// Bytes a call on disk.
fn size(folder: &Path, features: bool) -> Result<()> {
    let mut engine = engine()?;
    let mut recorder =
        Recorder::start(&config(folder, features), Mode::Replay)?.context("there is a folder")?;
    traffic(CALLS, &mut |frame| {
        engine.inspect(frame, &mut |assessment| recorder.call(assessment, Some(9_000)));
        engine.changes().for_each(|change| recorder.change(change));
    })?;
    let totals = recorder.finish();
    let [calls, outcomes] = ["calls-", "outcomes-"].map(|kind| bytes(folder, kind));
    let each = |bytes: u64| bytes as f64 / totals.calls as f64;
    println!(
        "size, features {features}: {} calls, {} outcomes; {:.1} bytes a call, {:.1} more for its outcomes",
        totals.calls,
        totals.outcomes,
        each(calls),
        each(outcomes)
    );
    Ok(())
}

/// Bytes of the files of a kind.
fn bytes(folder: &Path, kind: &str) -> u64 {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let of_kind = files.filter(|file| file.file_name().to_string_lossy().starts_with(kind));
    of_kind.filter_map(|file| file.metadata().ok()).map(|about| about.len()).sum()
}

fn kept() -> Result<Vec<Kept>> {
    let mut engine = engine()?;
    let mut calls = Vec::new();
    traffic(KEPT, &mut |frame| {
        engine.inspect(frame, &mut |assessment| calls.push(Kept::of(assessment)));
    })?;
    Ok(calls)
}

/// CPU time of this thread, and of the process.
fn cpu() -> Result<[Duration; 2]> {
    let thread = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?;
    let process = getrusage(UsageWho::RUSAGE_SELF)?;
    let time = |value: nix::sys::time::TimeVal| {
        Duration::from_micros((value.tv_sec() * 1_000_000 + value.tv_usec()) as u64)
    };
    let sum = |usage: Usage| time(usage.user_time()) + time(usage.system_time());
    Ok([thread.into(), sum(process)])
}

/// What recording adds to the scoring thread's work.
fn cost(calls: &[Kept], folder: &Path) -> Result<()> {
    let mut engine = engine()?;
    let mut frames = Vec::new();
    traffic(KEPT, &mut |frame| frames.push((frame.timestamp, frame.bytes.to_vec())))?;
    let [before, _] = cpu()?;
    let mut scored = 0_u64;
    for (timestamp, bytes) in &frames {
        let frame = Frame {
            link: LinkType::Ethernet,
            timestamp: *timestamp,
            bytes,
            wire_length: bytes.len() as u32,
            scan: None,
        };
        engine.inspect(&frame, &mut |_| scored += 1);
    }
    let [after, _] = cpu()?;
    let score = after.saturating_sub(before).as_secs_f64() / scored as f64;
    // As many as the queue takes: copies, no waiting.
    let config = RecordsConfig { queue: calls.len(), ..config(folder, true) };
    let mut recorder = Recorder::start(&config, Mode::Live)?.context("there is a folder")?;
    let now = calls[0].at();
    let [before, _] = cpu()?;
    for (key, call) in calls.iter().enumerate() {
        call.record(&mut recorder, now, key as u64, None);
    }
    let [after, _] = cpu()?;
    let copy = after.saturating_sub(before).as_secs_f64() / calls.len() as f64;
    recorder.finish();
    println!(
        "cost: {:.2} µs to score a call, {:.2} µs to hand it to the recorder: {:.1} % more",
        score * 1e6,
        copy * 1e6,
        100.0 * copy / score
    );
    Ok(())
}

/// Everything on one core: whoever sends the calls, the writer, and the keeper that makes
/// Parquet files meanwhile.
fn pace(calls: &[Kept], folder: &Path, features: bool) -> Result<()> {
    let mut one = CpuSet::new();
    one.set(0)?;
    // Threads that are started from here on inherit it.
    sched_setaffinity(Pid::from_raw(0), &one)?;
    let mut recorder =
        Recorder::start(&config(folder, features), Mode::Live)?.context("there is a folder")?;
    let stats = recorder.stats();
    let mut key = 0;
    let mut send = |rate: u32, count: u32, recorder: &mut Recorder| {
        let start = Instant::now();
        let mut sent = 0;
        // What is due, then a nap, as packets come: the sender is not the load.
        while sent < count {
            let due = (start.elapsed().as_secs_f64() * f64::from(rate)) as u32;
            while sent < due.min(count) {
                let now = Timestamp(1_760_000_000_000_000_000 + key * 20_000);
                calls[key as usize % calls.len()].record(recorder, now, key, None);
                key += 1;
                sent += 1;
            }
            sleep(Duration::from_millis(1));
        }
        start.elapsed()
    };
    let counted = || {
        let of = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        (of(&stats.queue_full) + of(&stats.disk), stats.deepest.swap(0, Ordering::Relaxed))
    };
    let [_, before] = cpu()?;
    let (rate, seconds) = SUSTAINED;
    let took = send(rate, rate * seconds, &mut recorder);
    let [_, after] = cpu()?;
    let (lost, deepest) = counted();
    let busy = after.saturating_sub(before).as_secs_f64();
    println!(
        "pace, features {features}: {} calls in {:.1} s, {lost} lost, at most {deepest} waiting; CPU {busy:.1} s: {:.1} µs a call, so a core takes {:.0} a second",
        rate * seconds,
        took.as_secs_f64(),
        busy * 1e6 / f64::from(rate * seconds),
        f64::from(rate * seconds) / busy,
    );
    let (count, times, pause) = BURST;
    for _ in 0..times {
        let took = send(count, count, &mut recorder);
        sleep(Duration::from_secs(pause.into()));
        let (now_lost, deepest) = counted();
        println!(
            "burst, features {features}: {count} calls in {:.2} s, {} lost, at most {deepest} waiting",
            took.as_secs_f64(),
            now_lost - lost
        );
    }
    let totals = recorder.finish();
    println!("written {} calls, lost {}", totals.calls, totals.lost);
    Ok(())
}
