//! Tells systemd that scoring goes on (sd_notify(3), `Type=notify`, `WatchdogSec=`).
//! Without systemd nothing is told.

use std::sync::{Arc, atomic::Ordering};

use sd_notify::NotifyState;

use crate::metrics::Shared;

/// One for the main thread.
pub(super) struct Watchdog {
    shared: Arc<Shared>,
    seen: u64,
}

impl Watchdog {
    /// Tells that the program is up.
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        tell(NotifyState::Ready);
        Self { shared: Arc::clone(shared), seen: u64::MAX }
    }

    /// Tells that the scoring thread is alive, if it has moved since the last time: it
    /// is that thread which must not hang, not this one.
    pub(super) fn pat(&mut self) {
        let alive = self.shared.alive.load(Ordering::Relaxed);
        if alive != self.seen {
            self.seen = alive;
            tell(NotifyState::Watchdog);
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        tell(NotifyState::Stopping);
    }
}

fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        log::debug!("systemd cannot be told: {error}");
    }
}
