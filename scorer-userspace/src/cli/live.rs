//! Live scoring: three threads. The scoring thread owns the engine and the rings
//! and never waits; the writer waits for standard output; the main thread waits
//! for signals and serves metrics.

use std::{
    io::Write as _,
    path::Path,
    process::ExitCode,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use scorer_common::Counter;
use tokio::signal::unix::{SignalKind, signal};

use super::{
    keeping::{self, Fresh, Snapshots},
    summary,
};
use crate::{
    capture::pcap,
    config::Config,
    engine::Engine,
    metrics::{self, Latency, Shared, Snapshot},
    model::{InUse, Model},
    output::Style,
    tap::{Consumer, Tap, TapError, monotonic, wall},
    time::Timestamp,
};

/// Blocks of lines that may wait for the writer.
const QUEUE: usize = 1024;
/// A block is handed over when it has this many bytes, or when packets pause.
const BLOCK: usize = 32 << 10;
/// How long the last lines may take to be read after the end.
const LAST_LINES: Duration = Duration::from_secs(2);

pub(super) fn run(
    config: &Config,
    model: &Arc<Model>,
    save: Option<&Path>,
) -> anyhow::Result<ExitCode> {
    let save = save
        .map(|path| {
            pcap::Writer::create(path).with_context(|| format!("cannot write {}", path.display()))
        })
        .transpose()?;
    thread::Builder::new()
        .name("warm-up".into())
        .spawn(crate::number::warm_up)
        .context("cannot start a thread")?;
    // Whatever is wrong with its files comes up before the tap is attached.
    let used = keeping::models(config, model)?;
    let champion = used.champion.unwrap_or_else(|| Arc::clone(model));
    let mut engine = Engine::new(&config.engine, Arc::clone(&champion))?;
    engine.set_models(champion, used.challenger, config.models.share);
    keeping::restore(config, &mut engine, wall());
    engine.history().populate();
    if let Some(store) = keeping::certificates(&config.stir)? {
        engine.set_store(Arc::new(store));
    }
    let mut tap = Tap::attach(&config.tap)?;
    for attached in tap.attached() {
        let mode = if attached.native { "native" } else { "generic" };
        log::info!(
            "tapping {} (XDP, {mode} mode), model {}",
            attached.interface,
            engine.model().name()
        );
    }
    let shared = Arc::new(Shared {
        kernel: tap.counters(),
        snapshot: Mutex::new(snapshot(&engine, 0)),
        latency: Latency::default(),
        output_dropped: AtomicU64::new(0),
    });
    let stop = Arc::new(AtomicBool::new(false));
    let consumer = tap.take_consumer().ok_or_else(|| anyhow!("the tap has no reader"))?;
    let (lines, queue) = sync_channel::<Vec<u8>>(QUEUE);
    let header = config.style.header();

    let writer_stop = Arc::clone(&stop);
    let writer = thread::Builder::new()
        .name("writer".into())
        .spawn(move || write_lines(&queue, header, &writer_stop))
        .context("cannot start the writer")?;
    let fresh = Arc::new(Fresh::default());
    let mut scoring = Scoring {
        engine,
        snapshots: Snapshots::start(config),
        fresh: Arc::clone(&fresh),
        share: config.models.share,
        consumer,
        style: config.style,
        lines,
        block: Vec::with_capacity(2 * BLOCK),
        save,
        save_error: None,
        shared: Arc::clone(&shared),
    };
    let scoring_stop = Arc::clone(&stop);
    let scoring = thread::Builder::new()
        .name("scoring".into())
        .spawn(move || {
            let result = scoring.run(&scoring_stop);
            // Whatever ended it, the others need not wait on.
            scoring_stop.store(true, Ordering::Release);
            (scoring, result)
        })
        .context("cannot start the scoring thread")?;

    wait(&stop, config, model, &shared, &fresh, &mut tap)?;
    stop.store(true, Ordering::Release);
    let (scoring, result) = scoring.join().map_err(|_| anyhow!("the scoring thread panicked"))?;
    let Scoring { engine, save_error, lines, snapshots, .. } = scoring;
    if let Some(snapshots) = snapshots {
        snapshots.finish(engine.history(), wall());
    }
    // The writer ends when nobody can send any more.
    drop(lines);
    let written = end_writer(writer)?;
    let kernel = tap.counters().read()?;
    drop(tap);
    totals(&kernel, &shared, &engine);
    result?;
    if let Some(error) = save_error {
        return Err(error).context("frames were not all saved");
    }
    written.context("cannot write verdicts to standard output")?;
    Ok(ExitCode::SUCCESS)
}

/// Waits for a signal, or for the scoring thread to end, and serves metrics.
fn wait(
    stop: &AtomicBool,
    config: &Config,
    model: &Arc<Model>,
    shared: &Arc<Shared>,
    fresh: &Fresh,
    tap: &mut Tap,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let ended = async {
            while !stop.load(Ordering::Acquire) {
                tap.flush_log();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let serve = async {
            match config.metrics {
                Some(address) => metrics::serve(address, Arc::clone(shared)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => Ok(()),
            _ = terminate.recv() => Ok(()),
            () = ended => Ok(()),
            () = keeping::watch(config, model, fresh) => Ok(()),
            result = serve => {
                stop.store(true, Ordering::Release);
                result.map_err(anyhow::Error::from)
            }
        }
    })
}

struct Scoring {
    engine: Engine,
    snapshots: Option<Snapshots>,
    fresh: Arc<Fresh>,
    share: f64,
    consumer: Consumer,
    style: Style,
    lines: SyncSender<Vec<u8>>,
    block: Vec<u8>,
    save: Option<pcap::Writer>,
    save_error: Option<std::io::Error>,
    shared: Arc<Shared>,
}

impl Scoring {
    fn run(&mut self, stop: &AtomicBool) -> Result<(), TapError> {
        let Self {
            engine,
            snapshots,
            fresh,
            share,
            consumer,
            style,
            lines,
            block,
            save,
            save_error,
            shared,
        } = self;
        let shared: &Shared = shared;
        // Both callbacks use these, one at a time.
        let state = std::cell::RefCell::new((engine, block, save, save_error));
        let snapshots = std::cell::RefCell::new(snapshots);
        let mut each = |frame: &crate::capture::Frame<'_>, stamp: u64| {
            let (engine, block, save, save_error) = &mut *state.borrow_mut();
            if let Some(writer) = save
                && let Err(error) = writer.write(frame)
            {
                log::error!("cannot save frames any more: {error}");
                **save_error = Some(error);
                **save = None;
            }
            engine.inspect(frame, &mut |assessment| {
                let latency = monotonic().saturating_sub(stamp);
                shared.latency.record(latency);
                style.line(assessment, Some(latency), block);
            });
            if block.len() >= BLOCK {
                hand_over(block, lines, shared);
            }
        };
        let idle = |now: Option<Timestamp>| {
            let (engine, block, save, _) = &mut *state.borrow_mut();
            engine.settle(now, &mut |assessment| {
                // The stamp of the kernel is not at hand any more; the packet's time is.
                let latency = now.map(|now| now.0.saturating_sub(assessment.meta.timestamp.0));
                style.line(assessment, latency, block);
            });
            if let Some(env) = fresh.env.take() {
                fresh.env.give_back(engine.set_env(env));
            }
            if let Some(InUse { champion: Some(champion), challenger }) = fresh.models.take() {
                fresh.models.give_back(engine.set_models(champion, challenger, *share));
            }
            if let Some(now) = now {
                for (call_id, fraud) in fresh.labels() {
                    engine.label(call_id.as_bytes(), fraud, 0, now);
                }
            }
            if let (Some(snapshots), Some(now)) = (&mut *snapshots.borrow_mut(), now) {
                snapshots.step(engine.history(), now);
            }
            hand_over(block, lines, shared);
            if let Some(writer) = save {
                // An error comes up again, and is told, at the next frame.
                let _ = writer.flush();
            }
            // A scrape that holds the lock gets the next copy.
            if let Ok(mut copy) = shared.snapshot.try_lock() {
                *copy = snapshot(engine, copy.skipped);
            }
        };
        let result = consumer.run(stop, &mut each, &mut |now| idle(Some(now)));
        idle(None);
        let mut snapshot = shared.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        snapshot.skipped = consumer.skipped();
        result
    }
}

/// A copy of what the engine counted.
fn snapshot(engine: &Engine, skipped: u64) -> Snapshot {
    Snapshot {
        engine: *engine.stats(),
        assembler: engine.packets(),
        evicted: engine.evicted(),
        refused: engine.history().refused(),
        skipped,
        models: InUse {
            champion: Some(Arc::clone(engine.model())),
            challenger: engine.challenger().cloned(),
        },
        trial: *engine.trial(),
        drift: engine.drift(),
    }
}

/// Gives the block to the writer. While standard output is blocked and the queue
/// full, lines are dropped and counted: packets do not wait for a reader.
fn hand_over(block: &mut Vec<u8>, lines: &SyncSender<Vec<u8>>, shared: &Shared) {
    if block.is_empty() {
        return;
    }
    let full = std::mem::replace(block, Vec::with_capacity(2 * BLOCK));
    if let Err(TrySendError::Full(lost) | TrySendError::Disconnected(lost)) = lines.try_send(full) {
        let count = lost.iter().filter(|byte| **byte == b'\n').count();
        shared.output_dropped.fetch_add(count as u64, Ordering::Relaxed);
    }
}

/// Writes blocks until nobody sends any more. A reader that has gone away ends
/// the program without an error.
fn write_lines(queue: &Receiver<Vec<u8>>, header: &str, stop: &AtomicBool) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    let mut put = |bytes: &[u8]| stdout.write_all(bytes).and_then(|()| stdout.flush());
    let mut result = put(header.as_bytes());
    while result.is_ok() {
        match queue.recv() {
            Ok(block) => result = put(&block),
            Err(_) => return Ok(()),
        }
    }
    stop.store(true, Ordering::Release);
    result.or_else(|error| match error.kind() {
        std::io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error),
    })
}

/// Waits for the writer, but not for ever for a reader that does not read.
fn end_writer(
    writer: thread::JoinHandle<std::io::Result<()>>,
) -> anyhow::Result<std::io::Result<()>> {
    let since = Instant::now();
    while !writer.is_finished() && since.elapsed() < LAST_LINES {
        thread::sleep(Duration::from_millis(5));
    }
    if writer.is_finished() {
        return writer.join().map_err(|_| anyhow!("the writer panicked"));
    }
    // The process ends soon, and the thread with it.
    Ok(Err(std::io::Error::new(
        std::io::ErrorKind::TimedOut,
        "its reader has not read for two seconds; the last verdicts are lost",
    )))
}

fn totals(kernel: &[u64; Counter::COUNT], shared: &Shared, engine: &Engine) {
    let of = |counter: Counter| kernel[counter as usize];
    eprintln!(
        "kernel: {} packets, {} INVITEs, {} dialog messages, {} segments, {} fragments, {} other SIP",
        of(Counter::Packets),
        of(Counter::Invites),
        of(Counter::Dialogs),
        of(Counter::Segments),
        of(Counter::Fragments),
        of(Counter::OtherSip)
    );
    let latency = &shared.latency;
    if let (Some(p50), Some(p99)) = (latency.quantile(0.5), latency.quantile(0.99)) {
        let us = |ns: u64| ns as f64 / 1e3;
        eprintln!(
            "latency from the kernel's stamp: p50 <= {} µs, p99 <= {} µs, max {:.1} µs",
            us(p50),
            us(p99),
            us(latency.max())
        );
    }
    let skipped = shared.snapshot.lock().unwrap_or_else(PoisonError::into_inner).skipped;
    eprintln!(
        "dropped: {} INVITEs and {} other records at full rings, {} oversize, {} refused records, {} lines at blocked output",
        of(Counter::InviteRingFull),
        of(Counter::DialogRingFull),
        of(Counter::Oversize),
        skipped,
        shared.output_dropped.load(Ordering::Relaxed)
    );
    summary::print(&engine.packets(), engine.stats());
    summary::trial(engine);
}
