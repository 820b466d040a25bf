//! Live scoring: three threads. The scoring thread owns the engine and the rings
//! and never waits; the writer waits for standard output; the main thread waits
//! for signals and serves metrics.

mod desk;
mod source;
mod watchdog;
mod ways;
mod writer;

use std::{
    path::Path,
    process::ExitCode,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::sync_channel,
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use scorer_common::Counter;

use super::{
    keeping::{self, Fresh, Snapshots},
    summary,
};
use crate::{
    api,
    cluster::{Cluster, Seat, Stores},
    config::Config,
    engine::Engine,
    env::Env,
    metrics::{self, Latency, Shared, Stages},
    model::Model,
    share::{Following, ShareError},
    tap::wall,
};

use desk::{Desk, Out, Records, snapshot};
pub(super) use source::Source;
use watchdog::Watchdog;
use ways::Ways;
use writer::{end_writer, write_lines};

/// Blocks of lines that may wait for the writer.
const QUEUE: usize = 1024;

/// Scores what comes from the source that `attach` gives.
pub(super) fn run(
    config: &Config,
    model: &Arc<Model>,
    save: Option<&Path>,
    attach: impl FnOnce() -> anyhow::Result<Source>,
) -> anyhow::Result<ExitCode> {
    let save = Desk::saving(save)?;
    let mut config = config.clone();
    // All hosts of a cluster hash alike.
    config.engine.history.shared = config.cluster.history_secret()?;
    let config = &config;
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
    if config.consortium.folder.is_some() {
        engine.join_consortium();
    }
    if let Some(store) = keeping::certificates(&config.stir)? {
        engine.set_store(Arc::new(store));
    }
    let fresh = Arc::new(Fresh::default());
    let slot = Arc::clone(&fresh);
    let put = Box::new(move |index| {
        slot.consortium.put(index);
        slot.consortium.free_old();
    });
    let mut following = match Following::start(&config.consortium, put) {
        // A store that is damaged or held by another is no reason not to score.
        Err(error @ ShareError::Database { .. }) => {
            log::error!("{error}; the consortium is not followed");
            None
        }
        result => result?,
    };
    // What is known counts from the first call on.
    if let Some(index) = fresh.consortium.take() {
        engine.set_consortium(index);
    }
    let (records, record_stats) = Records::start(&config.records)?;
    let (mut ways, deliveries, questions) = Ways::open(config)?;
    let mut source = attach()?;
    let (seat, cluster) = join(config, &engine)?.unzip();
    if let Some(redirect) = source.redirect() {
        ways.stats.redirect = Some(redirect);
    }
    for what in source.about() {
        log::info!("{what}, model {}", engine.model().name());
    }
    let shared = Arc::new(Shared {
        kernel: source.counters(),
        alive: AtomicU64::new(0),
        inline: Mutex::default(),
        out_of_band: ways.stats.clone(),
        snapshot: Mutex::new(snapshot(&engine, 0)),
        latency: Latency::default(),
        stages: Stages::default(),
        output_dropped: AtomicU64::new(0),
        records: record_stats,
        api: config.api.is_on().then(Arc::default),
        consortium: following.as_ref().map(|following| Arc::clone(&following.stats)),
        cluster: seat.as_ref().map(Seat::stats),
    });
    let stop = Arc::new(AtomicBool::new(false));
    let mut reader = source.take_reader().ok_or_else(|| anyhow!("there is nobody to read"))?;
    // Dropped in this order, too: the API's thread ends when nobody can send any more.
    let (server, feed) = serving(config, &shared, &ways, &source)?;
    let (lines, queue) = sync_channel::<Vec<u8>>(QUEUE);
    let header = config.style.header();

    let writer_stop = Arc::clone(&stop);
    let writer = thread::Builder::new()
        .name("writer".into())
        .spawn(move || write_lines(&queue, header, &writer_stop))
        .context("cannot start the writer")?;
    let keeper = ways.keep()?;
    let env = Arc::clone(engine.env());
    let mut desk = Desk {
        engine,
        snapshots: Snapshots::start(config),
        fresh: Arc::clone(&fresh),
        share: config.models.share,
        out: Out::new(config.style, lines, deliveries, records, feed),
        asker: following.as_mut().and_then(|following| following.asker.take()),
        questions,
        save,
        save_error: None,
        shared: Arc::clone(&shared),
        seat,
    };
    let scoring_stop = Arc::clone(&stop);
    let scoring = thread::Builder::new()
        .name("scoring".into())
        .spawn(move || {
            let result = reader.run(&mut desk, &scoring_stop);
            // Whatever ended it, the others need not wait on.
            scoring_stop.store(true, Ordering::Release);
            (desk, result)
        })
        .context("cannot start the scoring thread")?;

    let waited = wait(&stop, config, model, env, &shared, &fresh, (&mut source, &ways));
    stop.store(true, Ordering::Release);
    drop(following);
    let (desk, result) = scoring.join().map_err(|_| anyhow!("the scoring thread panicked"))?;
    let Desk { engine, save_error, out, snapshots, seat, .. } = desk;
    // Its end is that of the cluster's thread, once what was told is stored.
    drop(seat);
    if let Some(snapshots) = snapshots {
        snapshots.finish(engine.history(), wall());
    }
    // The writer, the keeper and the API's end when nobody can send any more.
    out.finish();
    drop(server);
    if let Some(cluster) = cluster {
        cluster.finish();
    }
    let written = end_writer(writer)?;
    if keeper.is_some_and(|keeper| keeper.join().is_err()) {
        log::error!("the thread that keeps verdicts panicked");
    }
    waited?;
    let kernel = source.counters().map(|counters| counters.read()).transpose()?;
    drop(source);
    totals(kernel.as_ref(), &shared, &engine);
    result?;
    if let Some(error) = save_error {
        return Err(error).context("frames were not all saved");
    }
    written.context("cannot write verdicts to standard output")?;
    Ok(ExitCode::SUCCESS)
}

/// Joins the cluster, where one is configured.
fn join(config: &Config, engine: &Engine) -> anyhow::Result<Option<(Seat, Cluster)>> {
    if !config.cluster.is_on() {
        return Ok(None);
    }
    let stores = Stores {
        lists: config.engine.env.store.clone(),
        labels: config.labels.clone(),
        records: config.records.folder.clone(),
    };
    Ok(Some(Cluster::start(&config.cluster, &stores, engine.history().marks())?))
}

/// Begins to serve the API, where it is configured; the scoring thread's end of it.
fn serving(
    config: &Config,
    shared: &Arc<Shared>,
    ways: &Ways,
    source: &Source,
) -> anyhow::Result<(Option<api::Server>, Option<api::Feed>)> {
    let Some(stats) = &shared.api else { return Ok((None, None)) };
    let (feed, mail) = api::feed().context("cannot make a queue")?;
    let scoring = api::Scoring { mail, shared: Arc::clone(shared), recent: ways.recent() };
    let about = api::About {
        mode: source.mode(),
        interfaces: source.about(),
        models: shared.snapshot.lock().unwrap_or_else(PoisonError::into_inner).models.clone(),
        doctor: super::doctor::found,
    };
    let server = api::Server::start(config, about, Some(scoring), Arc::clone(stats))?;
    Ok((Some(server), Some(feed)))
}

/// Waits for a signal, or for the scoring thread to end, and serves metrics.
fn wait(
    stop: &AtomicBool,
    config: &Config,
    model: &Arc<Model>,
    env: Arc<Env>,
    shared: &Arc<Shared>,
    fresh: &Fresh,
    (source, ways): (&mut Source, &Ways),
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut watchdog = Watchdog::new(shared);
        let ended = async {
            while !stop.load(Ordering::Acquire) {
                source.flush_log();
                watchdog.pat();
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
            result = super::ended() => result.map_err(anyhow::Error::from),
            () = ended => Ok(()),
            () = keeping::watch(config, model, env, fresh) => Ok(()),
            result = ways.serve() => result,
            result = serve => {
                stop.store(true, Ordering::Release);
                result.map_err(anyhow::Error::from)
            }
        }
    })
}

fn totals(kernel: Option<&[u64; Counter::COUNT]>, shared: &Shared, engine: &Engine) {
    let of = |counter: Counter| kernel.map_or(0, |kernel| kernel[counter as usize]);
    if kernel.is_some() {
        eprintln!(
            "kernel: {} packets, {} INVITEs, {} dialog messages, {} segments, {} fragments, {} other SIP",
            of(Counter::Packets),
            of(Counter::Invites),
            of(Counter::Dialogs),
            of(Counter::Segments),
            of(Counter::Fragments),
            of(Counter::OtherSip)
        );
    }
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
    summary::out_of_band(&shared.out_of_band);
    if let (Some(inline), Some(kernel)) =
        (*shared.inline.lock().unwrap_or_else(PoisonError::into_inner), kernel)
    {
        summary::inline(&inline, kernel);
    }
    summary::print(&engine.packets(), engine.stats());
    summary::trial(engine);
    if let Some(records) = &shared.records {
        summary::records(records);
    }
}
