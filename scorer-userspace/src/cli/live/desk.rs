//! The scoring thread's desk: the engine, and where its verdicts go. The thread
//! that works at it never waits.

use std::{
    cell::Cell,
    path::Path,
    sync::{
        Arc, PoisonError,
        atomic::Ordering,
        mpsc::{SyncSender, TrySendError},
    },
};

use anyhow::Context as _;

use crate::{
    api,
    capture::{Frame, LinkType, pcap},
    cli::keeping::{Fresh, Snapshots},
    cluster::Seat,
    engine::{Assessment, Engine, Urgent},
    metrics::{DELIVER_SAMPLE, Profiles, Shared, Snapshot},
    model::InUse,
    output::Style,
    records::{Mode, Recorder, RecordsConfig, RecordsError, Stats, hep},
    share::Asker,
    tap::{monotonic, wall},
    time::Timestamp,
    verdict::{
        deliver::{Deliveries, timed},
        recent::Questions,
    },
};

/// A block of lines is handed over when it has this many bytes, or when packets pause.
const BLOCK: usize = 32 << 10;

/// Questions looked into before packets have their turn.
const QUESTIONS_AT_ONCE: usize = 8;

/// What the scoring thread owns.
pub(in crate::cli) struct Desk {
    pub(super) engine: Engine,
    pub(super) snapshots: Option<Snapshots>,
    pub(super) fresh: Arc<Fresh>,
    /// Share of calls that a model on trial scores.
    pub(super) share: f64,
    pub(super) out: Out,
    /// Calls that a consortium's hub is asked about.
    pub(super) asker: Option<Asker>,
    /// INVITEs that a redirect server wants scored.
    pub(super) questions: Option<Questions>,
    pub(super) save: Option<pcap::Writer>,
    pub(super) save_error: Option<std::io::Error>,
    pub(super) shared: Arc<Shared>,
    /// Its place in the cluster, where there is one.
    pub(super) seat: Option<Seat>,
}

/// Where every verdict goes.
pub(super) struct Out {
    style: Style,
    lines: SyncSender<Vec<u8>>,
    block: Vec<u8>,
    deliveries: Deliveries,
    records: Records,
    /// To the API.
    feed: Option<api::Feed>,
}

/// Where calls are kept.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) recorder: Option<Recorder>,
    pub(super) hep: Option<hep::Exporter>,
}

impl Records {
    /// Begins to keep calls as configured; the counters, where it does.
    pub(super) fn start(
        config: &RecordsConfig,
    ) -> Result<(Self, Option<Arc<Stats>>), RecordsError> {
        let recorder = Recorder::start(config, Mode::Live)?;
        let stats = recorder.as_ref().map(Recorder::stats).unwrap_or_default();
        let hep = hep::Exporter::start(&config.hep, Arc::clone(&stats))?;
        let used = recorder.is_some() || hep.is_some();
        Ok((Self { recorder, hep }, used.then_some(stats)))
    }
}

impl Out {
    pub(super) fn new(
        style: Style,
        lines: SyncSender<Vec<u8>>,
        deliveries: Deliveries,
        records: Records,
        feed: Option<api::Feed>,
    ) -> Self {
        Self { style, lines, block: Vec::with_capacity(2 * BLOCK), deliveries, records, feed }
    }

    fn verdict(&mut self, assessment: &Assessment<'_>, latency: Option<u64>) {
        self.deliveries.send(assessment, latency.unwrap_or(0));
        let Records { recorder, hep } = &mut self.records;
        if let Some(recorder) = recorder {
            recorder.call(assessment, latency);
        }
        if let Some(hep) = hep {
            hep.call(assessment, latency);
        }
        if let Some(feed) = &mut self.feed {
            feed.call(assessment, latency);
        }
        self.style.line(assessment, latency, &mut self.block);
    }

    /// Tells a verdict that takes the place of one told before; its record stays.
    fn update(&mut self, assessment: &Assessment<'_>) {
        self.deliveries.send(assessment, 0);
        if let Some(feed) = &mut self.feed {
            feed.call(assessment, None);
        }
        self.style.line(assessment, None, &mut self.block);
    }

    /// Waits until all that was recorded is written.
    pub(super) fn finish(self) {
        let Records { recorder, hep } = self.records;
        recorder.map(Recorder::finish);
        if let Some(hep) = hep {
            hep.finish();
        }
    }

    /// How calls went on.
    fn changes(&mut self, engine: &mut Engine) {
        let (recorder, feed) = (&mut self.records.recorder, &mut self.feed);
        if recorder.is_none() && feed.is_none() {
            return;
        }
        for change in engine.changes() {
            if let Some(recorder) = recorder {
                recorder.change(change);
            }
            if let Some(feed) = feed {
                feed.change(change);
            }
        }
        for ringing in engine.ringing() {
            if let Some(feed) = feed {
                feed.ringing(ringing);
            }
        }
    }
}

impl Desk {
    /// Creates the file that frames are saved to, if they are.
    pub(super) fn saving(save: Option<&Path>) -> anyhow::Result<Option<pcap::Writer>> {
        save.map(|path| {
            pcap::Writer::create(path).with_context(|| format!("cannot write {}", path.display()))
        })
        .transpose()
    }

    /// Takes a frame that the kernel stamped at `stamp` and that was taken up at `taken`,
    /// where that is known (`CLOCK_MONOTONIC`, ns); `also` is called with the verdicts of
    /// the calls first seen in it, and who cannot wait `at_once`, before.
    pub(in crate::cli) fn frame(
        &mut self,
        frame: &Frame<'_>,
        stamp: u64,
        taken: Option<u64>,
        mut at_once: Option<&mut dyn FnMut(&Urgent<'_>)>,
        also: &mut dyn FnMut(&Assessment<'_>),
    ) {
        let Self { engine, out, save, save_error, shared, asker, seat, .. } = self;
        if let Some(writer) = save
            && let Err(error) = writer.write(frame)
        {
            log::error!("cannot save frames any more: {error}");
            *save_error = Some(error);
            *save = None;
        }
        // When who cannot wait was told.
        let urgent_at = Cell::new(None);
        let mut urgently = |urgent: &Urgent<'_>| {
            if let Some(at_once) = &mut at_once {
                let now = monotonic();
                urgent_at.set(Some(now));
                let verdict = timed(&urgent.verdict, now.saturating_sub(stamp));
                at_once(&Urgent { verdict, ..*urgent });
            }
        };
        engine.inspect_at_once(frame, &mut urgently, &mut |assessment| {
            let now = monotonic();
            let judged = urgent_at.take().unwrap_or(now);
            let latency = judged.saturating_sub(stamp);
            shared.latency.record(latency);
            let stages = &shared.stages;
            if let Some(taken) = taken {
                stages.wait.record(taken.saturating_sub(stamp));
                stages.score.record(judged.saturating_sub(taken));
            }
            let verdict = timed(&assessment.verdict, latency);
            let assessment = Assessment { verdict, ..*assessment };
            also(&assessment);
            out.verdict(&assessment, Some(latency));
            if let Some(asker) = asker.as_mut() {
                asker.call(&assessment);
            }
            if assessment.verdict.call.is_multiple_of(DELIVER_SAMPLE) {
                stages.deliver.record(monotonic().saturating_sub(now));
            }
        });
        out.changes(engine);
        if let Some(seat) = seat {
            seat.tell(engine);
        }
        if out.block.len() >= BLOCK {
            hand_over(out, shared);
        }
    }

    /// Scores what a redirect server asks about and counts what other hosts told, a few at
    /// a time; false when there was nothing.
    pub(in crate::cli) fn aside(&mut self) -> bool {
        self.update();
        let counted = self.seat.as_mut().is_some_and(|seat| seat.take(&mut self.engine));
        self.questions() | counted
    }

    fn questions(&mut self) -> bool {
        for count in 0..QUESTIONS_AT_ONCE {
            let question = self.questions.as_mut().and_then(Questions::take);
            let Some(question) = question else { return count > 0 };
            let frame = Frame {
                link: LinkType::Ethernet,
                timestamp: wall(),
                bytes: &question.frame,
                wire_length: question.frame.len() as u32,
                scan: None,
            };
            self.frame(&frame, question.stamp, None, None, &mut |_| {});
            if let Some(feed) = self.out.deliveries.recent() {
                feed.done(question.id, question.frame);
            }
        }
        true
    }

    /// Tells verdicts anew that the consortium's hub has changed.
    fn update(&mut self) {
        let Self { engine, out, asker: Some(asker), .. } = self else { return };
        while let Some(pending) = asker.answer() {
            engine.again(&pending, &mut |assessment| out.update(assessment));
            asker.give_back(pending);
        }
    }

    /// Does what can wait until packets pause; `None` is the end.
    pub(in crate::cli) fn idle(&mut self, now: Option<Timestamp>) {
        self.update();
        let Self { engine, snapshots, fresh, share, out, save, shared, seat, .. } = self;
        engine.settle(now, &mut |assessment| {
            // The stamp of the kernel is not at hand any more; the packet's time is.
            let latency = now.map(|now| now.0.saturating_sub(assessment.meta.timestamp.0));
            out.verdict(assessment, latency);
        });
        out.changes(engine);
        if let Some(env) = fresh.env.take() {
            fresh.env.give_back(engine.set_env(env));
        }
        if let Some(InUse { champion: Some(champion), challenger }) = fresh.models.take() {
            fresh.models.give_back(engine.set_models(champion, challenger, *share));
        }
        if let Some(index) = fresh.consortium.take()
            && let Some(old) = engine.set_consortium(index)
        {
            fresh.consortium.give_back(old);
        }
        if let Some(now) = now {
            for (call_id, fraud) in fresh.labels() {
                engine.label(call_id.as_bytes(), fraud, 0, now);
            }
        }
        if let Some(seat) = seat {
            seat.tell(engine);
            // A redirect server that is the source is never aside.
            seat.take(engine);
        }
        if let (Some(snapshots), Some(now)) = (snapshots, now) {
            snapshots.step(engine.history(), now);
        }
        hand_over(out, shared);
        out.deliveries.alive(monotonic());
        if let Some(writer) = save {
            // An error comes up again, and is told, at the next frame.
            let _ = writer.flush();
        }
        shared.alive.fetch_add(1, Ordering::Relaxed);
        // A scrape that holds the lock gets the next copy.
        if let Ok(mut copy) = shared.snapshot.try_lock() {
            *copy = snapshot(engine, copy.skipped);
        }
    }

    /// Tells how many ring records were refused.
    pub(in crate::cli) fn skipped(&self, skipped: u64) {
        self.shared.snapshot.lock().unwrap_or_else(PoisonError::into_inner).skipped = skipped;
    }
}

/// A copy of what the engine counted.
pub(super) fn snapshot(engine: &Engine, skipped: u64) -> Snapshot {
    Snapshot {
        engine: *engine.stats(),
        assembler: engine.packets(),
        evicted: engine.evicted(),
        refused: engine.history().refused(),
        history: engine.history().bytes() as u64,
        profiles: engine
            .history()
            .callers
            .as_ref()
            .map(|callers| Profiles { bytes: callers.bytes() as u64, evicted: callers.evicted }),
        skipped,
        models: InUse {
            champion: Some(Arc::clone(engine.model())),
            challenger: engine.challenger().cloned(),
        },
        trial: *engine.trial(),
        drift: engine.drift(),
        env: Arc::downgrade(engine.env()),
    }
}

/// Gives the block to the writer. While standard output is blocked and the queue
/// full, lines are dropped and counted: packets do not wait for a reader.
fn hand_over(out: &mut Out, shared: &Shared) {
    if out.block.is_empty() {
        return;
    }
    let full = std::mem::replace(&mut out.block, Vec::with_capacity(2 * BLOCK));
    if let Err(TrySendError::Full(lost) | TrySendError::Disconnected(lost)) =
        out.lines.try_send(full)
    {
        let count = lost.iter().filter(|byte| **byte == b'\n').count();
        shared.output_dropped.fetch_add(count as u64, Ordering::Relaxed);
    }
}
