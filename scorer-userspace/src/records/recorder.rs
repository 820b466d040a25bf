//! The scoring thread's end: copies calls into slots, never waits.

use std::{
    fs::File,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rtrb::{Consumer, Producer, RingBuffer};

use super::{
    RecordsConfig, RecordsError,
    files::WriterLock,
    keep::Keeper,
    slot::Slot,
    stats::{Stats, add},
    writer::Writer,
};
use crate::{engine::Assessment, history::Change};

/// Changes of calls that may wait for the writer; a call has two or so.
const CHANGES: usize = 65_536;

/// Where calls come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Packets now: nothing waits, what does not fit is dropped.
    Live,
    /// A capture: nothing is lost, all is in Parquet files at the end, and nothing is
    /// deleted for its age.
    Replay,
}

/// Takes calls and how they went on.
#[derive(Debug)]
pub struct Recorder {
    mode: Mode,
    free: Consumer<Box<Slot>>,
    full: Producer<Box<Slot>>,
    changes: Producer<Change>,
    stats: Arc<Stats>,
    stop: Arc<AtomicBool>,
    threads: Threads,
}

#[derive(Debug)]
struct Threads {
    writer: JoinHandle<Option<WriterLock>>,
    sync: JoinHandle<()>,
    keeper: JoinHandle<()>,
}

/// What was recorded in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Calls written.
    pub calls: u64,
    /// Outcomes written.
    pub outcomes: u64,
    /// Calls and outcomes that were not.
    pub lost: u64,
}

impl Recorder {
    /// Begins to record into the configured folder; `None` without one. Segments that
    /// an earlier run left are made Parquet files meanwhile. Live, a folder that is full
    /// or another's is waited for, with recording paused.
    ///
    /// # Errors
    /// When the folder cannot be used.
    pub fn start(config: &RecordsConfig, mode: Mode) -> Result<Option<Self>, RecordsError> {
        let Some(folder) = &config.folder else { return Ok(None) };
        let lock = match WriterLock::make(folder) {
            Ok(lock) => Some(lock),
            Err(error) if mode == Mode::Live && error.may_pass() => None,
            Err(error) => return Err(error),
        };
        let stats = Arc::new(Stats::default());
        let stop = Arc::new(AtomicBool::new(false));
        let (mut slots, free) = RingBuffer::new(config.queue);
        let (full, filled) = RingBuffer::new(config.queue);
        for _ in 0..config.queue {
            // As many as there is room for.
            let _ = slots.push(Slot::new());
        }
        let (changes, changed) = RingBuffer::new(CHANGES);
        let (closed, to_make) = mpsc::channel();
        let (sync, to_sync) = mpsc::sync_channel(2);
        let writer = Writer {
            folder: folder.clone(),
            full: filled,
            free: slots,
            changes: changed,
            stats: Arc::clone(&stats),
            stop: Arc::clone(&stop),
            close_at_end: mode == Mode::Replay,
            closed,
            sync,
            features: config.features,
        };
        let keeper = Keeper {
            config: config.clone(),
            folder: folder.clone(),
            mode,
            stats: Arc::clone(&stats),
            stop: Arc::clone(&stop),
        };
        let threads = Threads {
            writer: spawn("records", folder, move || writer.run(lock))?,
            sync: spawn("records-sync", folder, move || sync_files(&to_sync))?,
            keeper: spawn("records-keep", folder, move || keeper.run(&to_make))?,
        };
        Ok(Some(Self { mode, free, full, changes, stats, stop, threads }))
    }

    /// Counters, to be read at any time.
    pub fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.stats)
    }

    /// Takes a call.
    pub fn call(&mut self, assessment: &Assessment<'_>, latency: Option<u64>) {
        let Some(mut slot) = self.free_slot() else {
            add(&self.stats.queue_full, 1);
            return;
        };
        slot.fill(assessment, latency);
        // There is room: the slots are as many as the queue is long.
        let _ = self.full.push(slot);
    }

    /// Takes how a call went on.
    pub fn change(&mut self, change: Change) {
        while self.changes.push(change).is_err() {
            if self.mode == Mode::Live || self.changes.is_abandoned() {
                add(&self.stats.queue_full, 1);
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn free_slot(&mut self) -> Option<Box<Slot>> {
        loop {
            match self.free.pop() {
                Ok(slot) => return Some(slot),
                Err(_) if self.mode == Mode::Live || self.full.is_abandoned() => return None,
                Err(_) => thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    /// Waits until all is written.
    pub fn finish(self) -> Totals {
        let Self { stats, stop, threads, .. } = self;
        stop.store(true, Ordering::Release);
        let Threads { writer, sync, keeper } = threads;
        // Each ends when the one before it sends no more; the folder is held until then.
        let lock = writer.join();
        for panicked in [lock.is_err(), sync.join().is_err(), keeper.join().is_err()] {
            if panicked {
                log::error!("a thread that writes records panicked");
            }
        }
        let of = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        Totals {
            calls: of(&stats.calls),
            outcomes: of(&stats.outcomes),
            lost: of(&stats.queue_full) + of(&stats.disk),
        }
    }
}

fn spawn<T: Send + 'static>(
    name: &str,
    folder: &Path,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, RecordsError> {
    thread::Builder::new()
        .name(name.into())
        .spawn(run)
        .map_err(RecordsError::io("start a thread for", folder))
}

/// Waits for the disk, so that the writer need not.
fn sync_files(files: &Receiver<Arc<File>>) {
    let mut failed = false;
    for file in files {
        match file.sync_data() {
            Ok(()) => failed = false,
            Err(error) if !failed => {
                failed = true;
                log::error!("records may be lost in a power cut: cannot sync: {error}");
            }
            Err(_) => {}
        }
    }
}
