//! How many INVITEs may wait: as many as are scored within their budget. Handing over
//! more would make every one of them late, and none would be acted on.

use std::time::Duration;

use scorer_common::steer::BACKLOG;

/// How long one INVITE takes, on a sliding average.
#[derive(Debug)]
pub(super) struct Service {
    budget: u64,
    /// ns.
    each: u64,
}

/// What a first INVITE is taken to need, ns.
const FIRST: u64 = 30_000;
/// So many may always wait: a site's calls come in small bursts.
const LEAST: u64 = 16;

impl Service {
    pub(super) fn new(budget: Duration) -> Self {
        Self { budget: budget.as_nanos() as u64, each: FIRST }
    }

    /// `count` INVITEs took `nanos`.
    pub(super) fn took(&mut self, nanos: u64, count: usize) {
        let each = nanos / (count as u64).max(1);
        // One that was interrupted says little of the next.
        let each = each.min(self.budget);
        self.each = (self.each * 31 + each) / 32;
    }

    /// By how many fewer than the kernel's bound may wait.
    pub(super) fn spare(&self) -> u64 {
        // A quarter of the budget is left for the way there and back.
        let most = (self.budget / 4 * 3 / self.each.max(1)).clamp(LEAST, BACKLOG);
        BACKLOG - most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_wait_than_can_be_scored_in_time() {
        let waiting = |each: u64| {
            let mut service = Service::new(Duration::from_millis(2));
            for _ in 0..1_000 {
                service.took(16 * each, 16);
            }
            BACKLOG - service.spare()
        };
        assert_eq!(waiting(15_000), 100);
        assert_eq!(waiting(100), BACKLOG);
        assert_eq!(waiting(5_000_000), LEAST);
        // Before anything is known.
        assert_eq!(BACKLOG - Service::new(Duration::from_millis(2)).spare(), 50);
    }
}
