//! Whether the scoring thread turns.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Without a beat for so long it does not turn.
const PATIENCE: Duration = Duration::from_secs(3);

/// The last beat that was seen.
#[derive(Debug)]
pub(super) struct Pulse(Mutex<(u64, Instant)>);

impl Pulse {
    pub(super) fn new() -> Self {
        Self(Mutex::new((0, Instant::now())))
    }

    /// Takes in a count of beats; whether it has grown lately. Asked seldomer than once
    /// in [`PATIENCE`] it knows nothing of the time between, and trusts a count that grew.
    pub(super) fn beats(&self, beats: u64) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if beats != last.0 {
            *last = (beats, Instant::now());
        }
        last.1.elapsed() < PATIENCE
    }
}
