//! Counters for Prometheus, served over HTTP, off unless asked for.
//!
//! The scoring thread never waits for a scrape: it hands a copy of its counters
//! over now and then, and keeps the latency histogram in plain atomics.

mod histogram;
mod server;
mod table;

pub use histogram::Latency;
pub use server::{MetricsError, serve};
pub use table::{FAMILIES, Family, markdown};

use std::sync::{Arc, Mutex, Weak};

use crate::{
    capture::AssemblerStats,
    engine::{EngineStats, TrialStats},
    env::Env,
    model::{Day, InUse},
    tap::CounterReader,
};

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

/// What a scrape reads.
#[derive(Debug)]
pub struct Shared {
    /// Counters of the kernel's program.
    pub kernel: CounterReader,
    /// Latest copy of the scoring thread's counters.
    pub snapshot: Mutex<Snapshot>,
    /// Kernel stamp to verdict.
    pub latency: Latency,
    /// Lines that found the output blocked.
    pub output_dropped: std::sync::atomic::AtomicU64,
}
