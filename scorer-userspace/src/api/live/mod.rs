//! What happens now: calls as they are scored, kept in memory and told to streams.
//!
//! ```text
//! scoring thread -> Feed -> keeper's thread -> Memory
//!                                           -> streams (each drops what it cannot take)
//! ```

mod feed;
mod keeper;
mod memory;

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use serde::Serialize;
use serde_json::json;
use tokio::sync::broadcast;

pub use feed::{Feed, Mail, feed};

pub(super) use feed::Seen;
pub(super) use keeper::run;
pub(super) use memory::{Kept, Memory};

use super::item::{Item, Outcome};
use crate::{
    metrics::Shared,
    time::Timestamp,
    verdict::{http::HttpStats, recent::Recent},
};

/// Events that a stream may lag behind before it loses some.
const EVENTS: usize = 2_048;

/// See the module.
#[derive(Debug)]
pub(super) struct Live {
    memory: Mutex<Memory>,
    events: broadcast::Sender<Arc<Event>>,
    dropped: Arc<AtomicU64>,
    waiting: AtomicU64,
    room: AtomicU64,
    last: Mutex<Option<Rates>>,
    /// The scorer's counters.
    pub(super) shared: Arc<Shared>,
    /// Verdicts by Call-ID, where they are kept.
    pub(super) recent: Option<(Arc<Recent>, Arc<HttpStats>)>,
}

/// One event of a stream.
#[derive(Debug)]
pub(super) struct Event {
    /// A call, for filters.
    pub(super) item: Option<Item>,
    /// Name, and data as JSON: in full, and masked.
    pub(super) name: &'static str,
    full: String,
    masked: String,
}

/// How a call went on.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Update {
    pub(super) call: String,
    #[serde(flatten)]
    pub(super) outcome: Outcome,
}

/// What a second was like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rates {
    ts: Timestamp,
    calls_per_min: u64,
    high_per_min: u64,
    p50: Option<f64>,
    p99: Option<f64>,
    drops: u64,
    active: usize,
}

impl Event {
    fn call(item: Item) -> Self {
        let text = |item: &Item| serde_json::to_string(item).unwrap_or_default();
        let (full, masked) = (text(&item), text(&item.clone().masked()));
        Self { item: Some(item), name: "call", full, masked }
    }

    fn update(update: &Update) -> Self {
        let full = serde_json::to_string(update).unwrap_or_default();
        Self { item: None, name: "update", masked: full.clone(), full }
    }

    fn rates(rates: &Rates) -> Self {
        let full = rates.json().to_string();
        Self { item: None, name: "rates", masked: full.clone(), full }
    }

    /// Its data.
    pub(super) fn data(&self, masked: bool) -> &str {
        if masked { &self.masked } else { &self.full }
    }
}

impl Rates {
    /// As it is told.
    pub(super) fn json(&self) -> serde_json::Value {
        json!({
            "ts": self.ts.to_string(),
            "calls_per_min": self.calls_per_min,
            "high_per_min": self.high_per_min,
            "latency_us": {"p50": self.p50, "p99": self.p99},
            "drops": self.drops,
            "active": self.active,
        })
    }
}

impl Live {
    /// Of `mail`, with `bytes` of memory for calls.
    pub(super) fn new(
        mail: &Mail,
        bytes: usize,
        shared: Arc<Shared>,
        recent: Option<(Arc<Recent>, Arc<HttpStats>)>,
    ) -> Self {
        Self {
            memory: Mutex::new(Memory::new(bytes)),
            events: broadcast::Sender::new(EVENTS),
            dropped: mail.dropped(),
            waiting: AtomicU64::new(0),
            room: AtomicU64::new(0),
            last: Mutex::default(),
            shared,
            recent,
        }
    }

    /// Calls in memory.
    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What happens from now on.
    pub(super) fn listen(&self) -> broadcast::Receiver<Arc<Event>> {
        self.events.subscribe()
    }

    /// The last second.
    pub(super) fn rates(&self) -> Option<Rates> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls that wait for the keeper, how many may, and what was dropped.
    pub(super) fn queue(&self) -> (u64, u64, u64) {
        let of = |value: &AtomicU64| value.load(Ordering::Relaxed);
        (of(&self.waiting), of(&self.room), of(&self.dropped))
    }

    fn second(&self, mut rates: Rates, waiting: usize, room: usize) {
        self.waiting.store(waiting as u64, Ordering::Relaxed);
        self.room.store(room as u64, Ordering::Relaxed);
        rates.drops = self.drops();
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(rates);
        if self.events.receiver_count() > 0 {
            let _ = self.events.send(Arc::new(Event::rates(&rates)));
        }
    }

    /// Calls and verdicts that were lost, wherever, since the start.
    fn drops(&self) -> u64 {
        use scorer_common::Counter;
        let shared = &self.shared;
        let kernel = shared.kernel.as_ref().and_then(|kernel| kernel.read().ok());
        let kernel = kernel.map_or(0, |counts| {
            [Counter::InviteRingFull, Counter::DialogRingFull, Counter::Oversize]
                .map(|counter| counts[counter as usize])
                .iter()
                .sum()
        });
        let records = shared.records.as_ref().map_or(0, |stats| {
            stats.queue_full.load(Ordering::Relaxed) + stats.disk.load(Ordering::Relaxed)
        });
        let inline = *shared.inline.lock().unwrap_or_else(PoisonError::into_inner);
        kernel
            + records
            + shared.output_dropped.load(Ordering::Relaxed)
            + self.dropped.load(Ordering::Relaxed)
            + inline.map_or(0, |inline| inline.lost)
    }
}
