//! Counters for Prometheus, served over HTTP, off unless asked for.
//!
//! The scoring thread never waits for a scrape: it hands a copy of its counters
//! over now and then, and keeps the latency histogram in plain atomics.

mod histogram;
mod process;
mod server;
mod table;

pub use histogram::{DELIVER_SAMPLE, Latency, Stages};
pub use server::{MetricsError, serve};
pub use table::{FAMILIES, Family, markdown};

use std::sync::{Arc, Mutex, Weak};

use crate::{
    api::ApiStats,
    capture::AssemblerStats,
    cluster,
    engine::{EngineStats, TrialStats},
    env::Env,
    inline::JudgeStats,
    model::{Day, InUse},
    records,
    tap::CounterReader,
    verdict::{deliver::DeliveryStats, http::HttpStats, redirect::RedirectStats},
};

/// Counters of verdicts out of band.
#[derive(Clone, Debug, Default)]
pub struct OutOfBand {
    /// What the scoring thread delivered.
    pub deliveries: Arc<DeliveryStats>,
    /// Requests over HTTP, where it is on.
    pub http: Option<Arc<HttpStats>>,
    /// The redirect server, where there is one.
    pub redirect: Option<Arc<RedirectStats>>,
}

/// What the scoring thread tells.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Calls.
    pub engine: EngineStats,
    /// Packets in user space.
    pub assembler: AssemblerStats,
    /// History entries that made room.
    pub evicted: u64,
    /// Keys that a full history did not let in.
    pub refused: u64,
    /// Memory of the history, bytes.
    pub history: u64,
    /// Callers' profiles; `None` where they are off.
    pub profiles: Option<Profiles>,
    /// Ring records refused.
    pub skipped: u64,
    /// Models in use.
    pub models: InUse,
    /// How they compare.
    pub trial: TrialStats,
    /// How far calls are from those of training.
    pub drift: Option<Arc<Day>>,
    /// What calls are judged by: lists, policy with its counts. Weak, so that the scoring
    /// thread, which replaces this copy, is never the one that frees it.
    pub env: Weak<Env>,
}

/// Callers' profiles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Profiles {
    /// Memory for them, bytes.
    pub bytes: u64,
    /// Those that made room for others.
    pub evicted: u64,
}

/// What became of frames in inline mode.
#[derive(Clone, Copy, Debug, Default)]
pub struct InlineStats {
    /// Of those that were judged.
    pub judged: JudgeStats,
    /// Frames lost since there was no memory or no room to send them.
    pub lost: u64,
}

/// What a scrape reads.
#[derive(Debug)]
pub struct Shared {
    /// Counters of the kernel's program, where there is one.
    pub kernel: Option<CounterReader>,
    /// Counters of verdicts out of band.
    pub out_of_band: OutOfBand,
    /// Grows while the scoring thread is alive.
    pub alive: std::sync::atomic::AtomicU64,
    /// Latest copy of inline mode's; `None` in other modes.
    pub inline: Mutex<Option<InlineStats>>,
    /// Latest copy of the scoring thread's counters.
    pub snapshot: Mutex<Snapshot>,
    /// Kernel stamp to verdict.
    pub latency: Latency,
    /// Where that time goes, and what comes after.
    pub stages: Stages,
    /// Lines that found the output blocked.
    pub output_dropped: std::sync::atomic::AtomicU64,
    /// What became of records, where calls are recorded.
    pub records: Option<Arc<records::Stats>>,
    /// What became of requests to the API, where it is served.
    pub api: Option<Arc<ApiStats>>,
    /// How the consortium is followed, where one is joined.
    pub consortium: Option<Arc<crate::share::Stats>>,
    /// The cluster, where this host is in one.
    pub cluster: Option<Arc<cluster::Stats>>,
}
