//! When the scoring thread spins, and when it sleeps.

use std::time::{Duration, Instant};

/// Being woken up takes some fifty microseconds, which is more than scoring takes. So
/// the thread spins while calls come close together, and sleeps where they do not.
#[derive(Debug)]
pub(crate) struct Spin {
    least: Duration,
    most: Duration,
    /// Between INVITEs, on a sliding average of eight.
    gap: Duration,
    invite: Instant,
    last: Instant,
}

/// No gap counts for more: after a quiet night a few calls show that it is day.
const QUIET: Duration = Duration::from_secs(1);

impl Spin {
    /// Spins for `least` after anything came, and for `most` while INVITEs come at less
    /// than half of that from each other.
    pub(crate) fn new(least: Duration, most: Duration) -> Self {
        let now = Instant::now();
        Self { least, most, gap: QUIET, invite: now, last: now }
    }

    /// Something came at `now`, an INVITE or not.
    pub(crate) fn found(&mut self, now: Instant, is_invite: bool) {
        self.last = now;
        if is_invite {
            let gap = now.saturating_duration_since(self.invite).min(QUIET);
            self.gap = (self.gap * 7 + gap) / 8;
            self.invite = now;
        }
    }

    /// Whether to look again at once.
    pub(crate) fn goes_on(&self, now: Instant) -> bool {
        let close =
            self.gap <= self.most / 2 && now.saturating_duration_since(self.invite) < self.most;
        close || now.saturating_duration_since(self.last) < self.least
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether it still spins `after` the last of `count` INVITEs that came `gap` apart.
    fn spins(gap: u64, count: u32, after: u64) -> bool {
        let milliseconds = Duration::from_millis;
        let mut spin = Spin::new(Duration::from_micros(200), milliseconds(5));
        let mut now = Instant::now();
        for _ in 0..count {
            now += milliseconds(gap);
            spin.found(now, true);
        }
        spin.goes_on(now + milliseconds(after))
    }

    #[test]
    fn spins_while_calls_are_close_and_sleeps_when_they_are_not() {
        assert!(spins(1, 100, 4), "a thousand a second");
        assert!(!spins(1, 100, 6), "they have ended");
        assert!(!spins(20, 100, 4), "fifty a second");
        assert!(spins(20, 100, 0), "one just came");
        assert!(!spins(1, 3, 4), "three are no crowd");
    }

    #[test]
    fn only_invites_make_a_crowd() {
        let mut spin = Spin::new(Duration::from_micros(200), Duration::from_millis(5));
        let mut now = Instant::now();
        for _ in 0..1_000 {
            now += Duration::from_micros(300);
            spin.found(now, false);
        }
        assert!(spin.goes_on(now + Duration::from_micros(100)));
        assert!(!spin.goes_on(now + Duration::from_micros(300)));
    }
}
