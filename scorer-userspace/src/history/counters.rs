//! Decayed counts and a sketch of different partners, one cache line a key.

use std::sync::LazyLock;

use bytemuck::{Pod, Zeroable};

use super::table::Aged;
use crate::time::Timestamp;

/// What is counted for a caller, a callee, a source ….
#[derive(Clone, Copy, Debug, Zeroable, Pod)]
#[repr(C, align(64))]
pub(super) struct Counts {
    /// Last update, ns.
    last: u64,
    /// Different partners in this period and the one before: bit maps for
    /// linear counting.
    sketch: [u64; 2],
    /// Number of the period `sketch[0]` is about.
    period: u32,
    /// Calls, short and long half-life.
    short: f32,
    long: f32,
    /// Calls whose outcome is known, and of these, long half-life.
    ended: f32,
    answered: f32,
    brief: f32,
    failed: f32,
    padding: [u32; 3],
}

const _: () = assert!(size_of::<Counts>() == 64);

impl Aged for Counts {
    fn touched(&self) -> u64 {
        self.last
    }
}

/// Half-lives and period of a kind of key, seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) short: f32,
    pub(super) long: f32,
    /// Of the sketch of partners.
    pub(super) period: u32,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Answered,
    /// Answered, and over within [`super::BRIEF`].
    Brief,
    /// Cancelled by the caller within [`super::BRIEF`].
    BriefCancel,
    Cancelled,
    Failed,
}

/// A call that was counted before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own {
    /// How long ago.
    pub(super) seconds: f64,
    /// Its partner was new to the sketch then.
    pub(super) new_partner: bool,
}

/// What is known of a key at some time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known {
    pub(super) short: f32,
    pub(super) long: f32,
    pub(super) partners: f32,
    pub(super) since_last: f32,
    /// Shares of the calls whose outcome is known.
    pub(super) answered: Option<f32>,
    pub(super) brief: Option<f32>,
    pub(super) failed: Option<f32>,
}

fn half(seconds: f64, half_life: f32) -> f32 {
    if seconds == 0.0 { 1.0 } else { (-(seconds as f32) / half_life).exp2() }
}

impl Counts {
    /// Brings the counts to `now`. Time that runs backwards stands still.
    fn age(&mut self, now: Timestamp, pace: Pace) {
        let seconds = now.seconds_since(Timestamp(self.last));
        let (short, long) = (half(seconds, pace.short), half(seconds, pace.long));
        self.short *= short;
        self.long *= long;
        for count in [&mut self.ended, &mut self.answered, &mut self.brief, &mut self.failed] {
            *count *= long;
        }
        self.last = self.last.max(now.0);
        let period = (self.last / 1_000_000_000) as u32 / pace.period;
        if period != self.period {
            let previous = if period == self.period.wrapping_add(1) { self.sketch[0] } else { 0 };
            self.sketch = [0, previous];
            self.period = period;
        }
    }

    /// One more call, with the partner of hash `partner`; whether the sketch had not
    /// seen it.
    pub(super) fn count(&mut self, now: Timestamp, pace: Pace, partner: u64) -> bool {
        self.age(now, pace);
        let bit = 1 << (partner >> 58);
        let new = (self.sketch[0] | self.sketch[1]) & bit == 0;
        self.short += 1.0;
        self.long += 1.0;
        self.sketch[0] |= bit;
        new
    }

    /// One more outcome.
    pub(super) fn outcome(&mut self, now: Timestamp, pace: Pace, outcome: Outcome) {
        self.age(now, pace);
        match outcome {
            Outcome::Answered => {
                self.ended += 1.0;
                self.answered += 1.0;
            }
            // The answer was counted when it came.
            Outcome::Brief => self.brief += 1.0,
            Outcome::BriefCancel => {
                self.ended += 1.0;
                self.brief += 1.0;
            }
            Outcome::Cancelled => self.ended += 1.0,
            Outcome::Failed => {
                self.ended += 1.0;
                self.failed += 1.0;
            }
        }
    }

    /// What is known at `now`, without one's `own` call (a second attempt must not
    /// see the first).
    pub(super) fn known(&mut self, now: Timestamp, pace: Pace, own: Option<Own>) -> Known {
        let since_last = now.seconds_since(Timestamp(self.last)) as f32;
        self.age(now, pace);
        let less = |count: f32, half_life| match own {
            Some(own) => (count - half(own.seconds, half_life)).max(0.0),
            None => count,
        };
        // A share of less than a quarter of a call says nothing any more.
        let share = |count: f32| (self.ended > 0.25).then(|| (count / self.ended).min(1.0));
        Known {
            short: less(self.short, pace.short),
            long: less(self.long, pace.long),
            partners: linear_count(
                // After a while the sketch may have forgotten it.
                (self.sketch[0] | self.sketch[1])
                    .count_ones()
                    .saturating_sub(u32::from(own.is_some_and(|own| own.new_partner))),
            ),
            since_last,
            answered: share(self.answered),
            brief: share(self.brief),
            failed: share(self.failed),
        }
    }
}

/// Linear counting over 64 bits (Whang, Vander-Zanden, Taylor 1990): within 10 %
/// or two up to 40, still rising to about 270, where the map is full.
fn linear_count(ones: u32) -> f32 {
    static BY_ONES: LazyLock<[f32; 65]> = LazyLock::new(|| {
        std::array::from_fn(|ones| -64.0 * ((64.0 - ones as f32).max(0.95) / 64.0).ln())
    });
    BY_ONES[ones.min(64) as usize]
}

#[cfg(test)]
mod tests {
    use super::{Counts, Outcome, Own, Pace, linear_count};
    use crate::time::Timestamp;
    use bytemuck::Zeroable as _;

    const PACE: Pace = Pace { short: 60.0, long: 3600.0, period: 3600 };

    #[test]
    fn counts_halve() {
        let mut counts = Counts::zeroed();
        let start = Timestamp::new(1_000_000, 0);
        for _ in 0..8 {
            counts.count(start, PACE, 0);
        }
        let later = counts.known(Timestamp::new(1_000_060, 0), PACE, None);
        assert!((later.short - 4.0).abs() < 1e-3 && (later.long - 7.91).abs() < 0.01);
        assert!((later.since_last - 60.0).abs() < 1e-3);
        // Backwards: nothing grows.
        let before = counts.known(Timestamp::new(1_000_000, 0), PACE, None);
        assert!((before.short - 4.0).abs() < 1e-3);
    }

    #[test]
    fn own_call_is_taken_out() {
        let mut counts = Counts::zeroed();
        counts.count(Timestamp::new(500, 0), PACE, 0);
        let own = counts.known(
            Timestamp::new(501, 0),
            PACE,
            Some(Own { seconds: 1.0, new_partner: true }),
        );
        assert!(own.short < 1e-3 && own.long < 1e-3 && own.partners == 0.0);
    }

    #[test]
    fn shares_and_periods() {
        let mut counts = Counts::zeroed();
        let now = Timestamp::new(7200, 0);
        assert_eq!(counts.known(now, PACE, None).answered, None);
        counts.outcome(now, PACE, Outcome::Answered);
        counts.outcome(now, PACE, Outcome::Brief);
        counts.outcome(now, PACE, Outcome::Failed);
        let known = counts.known(now, PACE, None);
        assert_eq!((known.answered, known.brief, known.failed), (Some(0.5), Some(0.5), Some(0.5)));
        counts.count(now, PACE, 1 << 58);
        counts.count(Timestamp::new(7200 + 3600, 0), PACE, 2 << 58);
        assert!(counts.known(Timestamp::new(10_900, 0), PACE, None).partners > 1.9);
        assert!(counts.known(Timestamp::new(7200 * 4, 0), PACE, None).partners < 0.1);
    }

    #[test]
    fn linear_counting_is_as_good_as_documented() {
        let mut state = 1u64;
        for true_count in 1..=40 {
            let mut sum = 0.0;
            for _ in 0..200 {
                let mut map = 0u64;
                for _ in 0..true_count {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    map |= 1 << (state >> 58);
                }
                sum += linear_count(map.count_ones());
            }
            let mean = sum / 200.0;
            let error = (mean - true_count as f32).abs();
            assert!(error <= (0.1 * true_count as f32).max(2.0), "{true_count}: {mean}");
        }
    }
}
