//! The thread that appends to segments. It may wait for the disk; nobody waits for it.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Sender, SyncSender},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use rtrb::{Consumer, Producer};

use super::{
    encode::{BATCH, CallRows, OutcomeRows},
    files::{self, CLOSE, Kind, SegmentFile, WriterLock, segment_path},
    segment::Segment,
    slot::Slot,
    stats::{Stats, add},
};
use crate::history::Change;

/// Rows wait no longer than this before they are in the file, and the disk is asked to
/// take them.
const EVERY: Duration = Duration::from_millis(500);
/// How long it sleeps when there is nothing to do. At 50,000 calls a second 500 come
/// meanwhile.
const NAP: Duration = Duration::from_millis(10);
/// After an error the disk is tried again so often.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// A segment is closed when it has so many bytes or rows: it is read whole by queries.
const SEGMENT_BYTES: u64 = 128 << 20;
const SEGMENT_ROWS: usize = 1 << 18;
/// And when it is so old.
const HOUR: Duration = Duration::from_hours(1);

/// What the thread works with.
pub(super) struct Writer {
    pub(super) folder: PathBuf,
    pub(super) full: Consumer<Box<Slot>>,
    pub(super) free: Producer<Box<Slot>>,
    pub(super) changes: Consumer<Change>,
    pub(super) stats: Arc<Stats>,
    pub(super) stop: Arc<AtomicBool>,
    /// Segments are closed at the end.
    pub(super) close_at_end: bool,
    /// Takes closed segments.
    pub(super) closed: Sender<SegmentFile>,
    /// Takes files to be synced; one that waits already stands for those behind it.
    pub(super) sync: SyncSender<Arc<File>>,
    pub(super) features: bool,
}

impl Writer {
    /// Works until it is told to stop and the queues are empty; gives back the lock.
    pub(super) fn run(mut self, lock: Option<WriterLock>) -> Option<WriterLock> {
        let mut calls = CallRows::new(self.features);
        let mut outcomes = OutcomeRows::new();
        let mut streams = Streams::new(&self.folder, self.closed.clone());
        match lock {
            Some(lock) => streams.take_up(lock),
            None => streams.look(&self.stats),
        }
        let mut flushed = Instant::now();
        loop {
            // Read before the queues: what was put there before it was set is taken.
            let stopping = self.stop.load(Ordering::Acquire);
            let depth = self.full.slots();
            self.stats.deepest.fetch_max(depth as u64, Ordering::Relaxed);
            let taken = self.take_calls(&mut calls, &mut streams)
                + self.take_changes(&mut outcomes, &mut streams);
            let now = Instant::now();
            if now.duration_since(flushed) >= EVERY {
                flushed = now;
                self.put_calls(&mut calls, &mut streams);
                self.put_outcomes(&mut outcomes, &mut streams);
                self.tick(&mut streams);
            }
            if taken == 0 {
                if stopping {
                    break;
                }
                thread::sleep(NAP);
            }
        }
        self.put_calls(&mut calls, &mut streams);
        self.put_outcomes(&mut outcomes, &mut streams);
        for stream in [&mut streams.calls, &mut streams.outcomes] {
            if self.close_at_end {
                close(stream, &self.closed);
            } else if let Some(segment) = &stream.segment
                && let Err(error) = segment.file().sync_data()
            {
                log::error!("cannot write {}: {error}", segment.path.display());
            }
        }
        streams.lock
    }

    /// Takes calls from the queue, at most a batch.
    fn take_calls(&mut self, rows: &mut CallRows, streams: &mut Streams) -> usize {
        let mut taken = 0;
        while taken < BATCH
            && let Ok(slot) = self.full.pop()
        {
            taken += 1;
            if streams.calls.is_over_at(slot.ts) {
                self.put_calls(rows, streams);
                close(&mut streams.calls, &self.closed);
            }
            streams.calls.begin(slot.ts);
            rows.push(&slot);
            // There is room: the slots are as many as the queue is long.
            let _ = self.free.push(slot);
            if rows.len() == BATCH {
                self.put_calls(rows, streams);
            }
        }
        taken
    }

    fn take_changes(&mut self, rows: &mut OutcomeRows, streams: &mut Streams) -> usize {
        let mut taken = 0;
        while taken < BATCH
            && let Ok(change) = self.changes.pop()
        {
            taken += 1;
            if streams.outcomes.is_over_at(change.at.0) {
                self.put_outcomes(rows, streams);
                close(&mut streams.outcomes, &self.closed);
            }
            streams.outcomes.begin(change.at.0);
            rows.push(&change);
            if rows.len() == BATCH {
                self.put_outcomes(rows, streams);
            }
        }
        taken
    }

    fn put_calls(&self, rows: &mut CallRows, streams: &mut Streams) {
        if rows.len() > 0 {
            let schema = Arc::clone(rows.schema());
            let batch = rows.finish().map_err(io::Error::other);
            let count = batch.as_ref().map_or(0, RecordBatch::num_rows);
            if streams.append(Kind::Calls, batch, &schema, &self.stats) {
                add(&self.stats.calls, count as u64);
            }
            self.close_full(&mut streams.calls);
        }
    }

    fn put_outcomes(&self, rows: &mut OutcomeRows, streams: &mut Streams) {
        if rows.len() > 0 {
            let schema = Arc::clone(rows.schema());
            let batch = rows.finish().map_err(io::Error::other);
            let count = batch.as_ref().map_or(0, RecordBatch::num_rows);
            if streams.append(Kind::Outcomes, batch, &schema, &self.stats) {
                add(&self.stats.outcomes, count as u64);
            }
            self.close_full(&mut streams.outcomes);
        }
    }

    fn close_full(&self, stream: &mut Stream) {
        if stream
            .segment
            .as_ref()
            .is_some_and(|segment| segment.bytes() >= SEGMENT_BYTES || segment.rows >= SEGMENT_ROWS)
        {
            close(stream, &self.closed);
        }
    }

    /// What is due twice a second.
    fn tick(&self, streams: &mut Streams) {
        streams.look(&self.stats);
        for stream in [&mut streams.calls, &mut streams.outcomes] {
            if let Some(segment) = &stream.segment
                && segment.bytes() != stream.synced
            {
                stream.synced = segment.bytes();
                // When the last one still waits, this is said again at the next tick.
                if self.sync.try_send(segment.file()).is_err() {
                    stream.synced = 0;
                }
            }
            if stream.opened.elapsed() >= HOUR {
                close(stream, &self.closed);
            }
        }
        let wish = self.folder.join(CLOSE);
        if wish.exists() {
            close(&mut streams.calls, &self.closed);
            close(&mut streams.outcomes, &self.closed);
            if let Err(error) = std::fs::remove_file(&wish) {
                log::error!("cannot remove {}: {error}", wish.display());
            }
        }
    }
}

/// Hands the segment over to be made a Parquet file.
fn close(stream: &mut Stream, closed: &Sender<SegmentFile>) {
    if let Some(segment) = stream.segment.take() {
        let Segment { id, path, .. } = segment;
        // Nobody takes it at the end: then the next run does.
        let _ = closed.send(SegmentFile { kind: stream.kind, id, path });
    }
    stream.hour = None;
}

/// One of the two streams.
struct Stream {
    kind: Kind,
    segment: Option<Segment>,
    /// Hour of its first row, since 1970.
    hour: Option<u64>,
    opened: Instant,
    /// Bytes the disk was asked to take.
    synced: u64,
}

impl Stream {
    fn new(kind: Kind) -> Self {
        Self { kind, segment: None, hour: None, opened: Instant::now(), synced: 0 }
    }

    /// Whether a row of that time belongs in the next segment. One of an hour before
    /// does not: packets come out of order, and so do captures.
    fn is_over_at(&self, ns: u64) -> bool {
        self.hour.is_some_and(|hour| ns / 3_600_000_000_000 > hour)
    }

    fn begin(&mut self, ns: u64) {
        self.hour.get_or_insert(ns / 3_600_000_000_000);
    }
}

/// Both, and what is wrong with their disk.
struct Streams {
    folder: PathBuf,
    /// Held while the folder is ours.
    lock: Option<WriterLock>,
    closed: Sender<SegmentFile>,
    calls: Stream,
    outcomes: Stream,
    last_id: u64,
    trouble: Option<Trouble>,
}

struct Trouble {
    next_try: Instant,
    lost: u64,
}

impl Streams {
    fn new(folder: &Path, closed: Sender<SegmentFile>) -> Self {
        Self {
            folder: folder.to_owned(),
            lock: None,
            closed,
            calls: Stream::new(Kind::Calls),
            outcomes: Stream::new(Kind::Outcomes),
            last_id: 0,
            trouble: None,
        }
    }

    /// The folder is ours: what an earlier run left is made Parquet files.
    fn take_up(&mut self, lock: WriterLock) {
        self.lock = Some(lock);
        match files::list(&self.folder) {
            Ok(left) => {
                for segment in left.segments {
                    let _ = self.closed.send(segment);
                }
            }
            Err(error) => log::error!("{error}; what an earlier run left stays until a restart"),
        }
    }

    /// Tries to have the folder, where it was full or another's at first.
    fn look(&mut self, stats: &Stats) {
        if self.lock.is_some() || self.waits(Instant::now()) {
            return;
        }
        let taken = WriterLock::make(&self.folder).map(|lock| self.take_up(lock));
        self.went(taken.map_err(io::Error::other), 0, stats);
    }

    /// Whether it is not yet time to try the disk again.
    fn waits(&self, now: Instant) -> bool {
        self.trouble.as_ref().is_some_and(|trouble| now < trouble.next_try)
    }

    /// Appends rows, or counts them as lost; whether they are in the file.
    fn append(
        &mut self,
        kind: Kind,
        batch: io::Result<RecordBatch>,
        schema: &SchemaRef,
        stats: &Stats,
    ) -> bool {
        let rows = batch.as_ref().map_or(0, RecordBatch::num_rows) as u64;
        self.look(stats);
        if let Some(trouble) = &mut self.trouble
            && (self.lock.is_none() || Instant::now() < trouble.next_try)
        {
            trouble.lost += rows;
            add(&stats.disk, rows);
            return false;
        }
        let result = batch.and_then(|batch| self.try_append(kind, &batch, schema));
        if let Ok(bytes) = &result {
            add(&stats.bytes, *bytes);
        }
        self.went(result.map(|_| ()), rows, stats)
    }

    /// Tells when recording is paused, and when it goes on; `rows` are lost after an
    /// error. Whether there was none.
    fn went(&mut self, result: io::Result<()>, rows: u64, stats: &Stats) -> bool {
        match result {
            Ok(()) => {
                if let Some(Trouble { lost, .. }) = self.trouble.take() {
                    stats.paused.store(false, Ordering::Relaxed);
                    log::warn!("records are written again; {lost} were lost meanwhile");
                }
                true
            }
            Err(error) => {
                let lost = self.trouble.as_ref().map_or(0, |trouble| trouble.lost) + rows;
                if self.trouble.is_none() {
                    stats.paused.store(true, Ordering::Relaxed);
                    let folder = self.folder.display();
                    log::error!(
                        "recording is paused, calls are scored on: cannot write to {folder}: {error}; tried again every second"
                    );
                }
                self.trouble = Some(Trouble { next_try: Instant::now() + TRY_AGAIN, lost });
                add(&stats.disk, rows);
                false
            }
        }
    }

    fn try_append(
        &mut self,
        kind: Kind,
        batch: &RecordBatch,
        schema: &SchemaRef,
    ) -> io::Result<u64> {
        let id = self.next_id();
        let stream = match kind {
            Kind::Calls => &mut self.calls,
            Kind::Outcomes => &mut self.outcomes,
        };
        if stream.segment.is_none() {
            let path = segment_path(&self.folder, kind, id);
            stream.segment = Some(Segment::create(&path, id, schema)?);
            stream.opened = Instant::now();
            stream.synced = 0;
            self.last_id = id;
        }
        stream.segment.as_mut().map_or(Ok(0), |segment| segment.append(batch))
    }

    /// Ids rise, also over restarts: they are the time of day.
    fn next_id(&self) -> u64 {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        (now.as_nanos() as u64).max(self.last_id + 1)
    }
}
