//! The kernel stamps packets with `CLOCK_MONOTONIC`; verdicts carry wall time.

use nix::time::{ClockId, clock_gettime};

use crate::time::Timestamp;

fn now(clock: ClockId) -> u64 {
    // Both clocks exist on every Linux; a failure would be a broken kernel.
    clock_gettime(clock).map_or(0, |time| {
        (time.tv_sec() as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec() as u64)
    })
}

/// `CLOCK_MONOTONIC`, ns: the clock of the kernel's stamps.
pub fn monotonic() -> u64 {
    now(ClockId::CLOCK_MONOTONIC)
}

/// Wall time.
pub fn wall() -> Timestamp {
    Timestamp(now(ClockId::CLOCK_REALTIME))
}

/// Turns monotonic stamps into wall time.
#[derive(Debug)]
pub(crate) struct Clock {
    offset: u64,
    next: u64,
}

/// How often the offset is taken anew: wall time may be stepped.
const INTERVAL: u64 = 1_000_000_000;

impl Clock {
    pub(crate) fn new() -> Self {
        let mut clock = Self { offset: 0, next: 0 };
        clock.refresh(monotonic());
        clock
    }

    fn refresh(&mut self, stamp: u64) {
        self.offset = now(ClockId::CLOCK_REALTIME).wrapping_sub(monotonic());
        self.next = stamp.saturating_add(INTERVAL);
    }

    pub(crate) fn wall(&mut self, stamp: u64) -> Timestamp {
        if stamp >= self.next {
            self.refresh(stamp);
        }
        Timestamp(stamp.wrapping_add(self.offset))
    }
}
