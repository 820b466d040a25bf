//! What is remembered of a caller, a callee, a source …: decayed counts, outcomes,
//! partners, rhythm, in 96 bytes.

use bytemuck::{Pod, Zeroable};

use super::{
    decay::{self, DAY, HOUR},
    sketch::linear_count,
    table::Aged,
};
use crate::{maths::ln, time::Timestamp};

/// Length of a period of the sketch of partners, seconds.
const PERIOD: u64 = 1_800;
/// Calls believed to be in progress are forgotten after this long without news:
/// BYEs get lost.
const HANGING: f32 = 7_200.0;

/// What is counted for a key.
#[derive(Clone, Copy, Debug, Zeroable, Pod)]
#[repr(C)]
pub(super) struct Entry {
    /// Last call, ns; the counts are of that time.
    last: u64,
    /// Different partners in this period and the one before: bit maps for
    /// linear counting.
    sketch: [u64; 2],
    /// Calls, for each of [`decay::HALF_LIVES`].
    calls: [f32; 5],
    // Half-life of an hour from here on.
    answered: f32,
    brief: f32,
    cancelled: f32,
    failed: f32,
    /// Sum of the times to answer, seconds.
    setup: f32,
    withheld: f32,
    /// Calls at night for callers, retransmissions for sources; half-life of a day.
    special: f32,
    high_cost: f32,
    /// First seen, seconds since 1970.
    first: u32,
    /// The last number dialled, its last nine digits.
    dialled: u32,
    /// Number of the period `sketch[0]` is about; wraps.
    period: u16,
    in_progress: u16,
    /// Of ln of the seconds between calls, plus 5: mean and variance, exponentially
    /// weighted, in units of 1/4096.
    gap_mean: u16,
    gap_variance: u16,
    /// Numbers dialled one after the other that differ by one.
    run: u16,
    /// Gaps that the statistics are of, at most 255.
    gaps: u16,
}

const _: () = assert!(size_of::<Entry>() == 96);

impl Aged for Entry {
    const BY_FREQUENCY: bool = true;

    fn worth(&self, now: Timestamp) -> f32 {
        let seconds = now.seconds_since(Timestamp(self.last)) as f32;
        self.calls[DAY] * decay::after(seconds)[DAY]
    }
}

/// A call, as what it adds to a key.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Added {
    /// Hash of the partner.
    pub(super) partner: u64,
    /// The number dialled, its last nine digits; 0 where it is none.
    pub(super) dialled: u32,
    pub(super) withheld: bool,
    pub(super) special: bool,
    pub(super) high_cost: bool,
}

/// How a call went on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// After so many seconds.
    Answered(f32),
    /// Answered, and over within [`super::BRIEF`].
    Brief,
    /// Over after a while.
    Over,
    /// Cancelled by the caller within [`super::BRIEF`].
    BriefCancel,
    Cancelled,
    Failed,
}

/// What a key was before a call: the facts that features are made of.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Calls, for each of [`decay::HALF_LIVES`].
    pub calls: [f32; 5],
    /// Seconds since the last call; NaN before the first.
    pub since_last: f32,
    /// Seconds since the first; NaN before it.
    pub age: f32,
    /// Different partners in the last half to whole hour.
    pub partners: f32,
    /// Shares of the calls whose outcome is known; NaN where there is none.
    pub answered: f32,
    /// Answered calls, or cancelled ones, of a few seconds.
    pub brief: f32,
    /// Cancelled by the caller.
    pub cancelled: f32,
    /// Failed.
    pub failed: f32,
    /// Mean seconds to answer; NaN where none was answered.
    pub setup: f32,
    /// Share of withheld calls of the last hour; NaN without calls.
    pub withheld: f32,
    /// Withheld calls, half-life of an hour.
    pub withheld_calls: f32,
    /// Share of calls at night, or of retransmissions; NaN without calls.
    pub special: f32,
    /// Share of calls to high-cost ranges; NaN without calls.
    pub high_cost: f32,
    /// Calls in progress.
    pub in_progress: f32,
    /// 1 for gaps all alike, towards 0 for irregular ones; NaN before the fourth.
    pub regularity: f32,
    /// Numbers dialled one after the other that differ by one.
    pub run: f32,
    /// Calls of the last minute against what the last day would make usual.
    pub burst: f32,
}

impl Known {
    /// Nothing is known of the key: no calls yet.
    pub const NEW: Self = Self {
        calls: [0.0; 5],
        since_last: f32::NAN,
        age: f32::NAN,
        partners: 0.0,
        answered: f32::NAN,
        brief: f32::NAN,
        cancelled: f32::NAN,
        failed: f32::NAN,
        setup: f32::NAN,
        withheld: f32::NAN,
        withheld_calls: 0.0,
        special: f32::NAN,
        high_cost: f32::NAN,
        in_progress: 0.0,
        regularity: f32::NAN,
        run: 0.0,
        burst: f32::NAN,
    };

    /// There is no such key, as when the network gives no number.
    pub const NONE: Self = Self { calls: [f32::NAN; 5], partners: f32::NAN, ..Self::NEW };

    /// Whether the key was seen before.
    pub fn is_new(&self) -> bool {
        self.age.is_nan()
    }
}

/// A call that was counted before, to be taken out again: a second attempt must not
/// see the first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own {
    /// How long ago.
    pub(super) seconds: f32,
    /// Its partner was new to the sketch then.
    pub(super) new_partner: bool,
}

impl Entry {
    /// Brings the counts to `now`; seconds since the last update. Time that runs
    /// backwards stands still.
    fn age(&mut self, now: Timestamp) -> f32 {
        let seconds = now.seconds_since(Timestamp(self.last)) as f32;
        if seconds > 0.0 {
            let left = decay::after(seconds);
            for (count, left) in self.calls.iter_mut().zip(left) {
                *count *= left;
            }
            let hour = [
                &mut self.answered,
                &mut self.brief,
                &mut self.cancelled,
                &mut self.failed,
                &mut self.setup,
                &mut self.withheld,
                &mut self.high_cost,
            ];
            for count in hour {
                *count *= left[HOUR];
            }
            self.special *= left[DAY];
            if seconds > HANGING {
                self.in_progress = 0;
            }
            self.last = now.0;
        }
        let period = (self.last / 1_000_000_000 / PERIOD) as u16;
        if period != self.period {
            let previous = if period == self.period.wrapping_add(1) { self.sketch[0] } else { 0 };
            self.sketch = [0, previous];
            self.period = period;
        }
        seconds
    }

    /// What is known at `now`.
    pub(super) fn known(&mut self, now: Timestamp, own: Option<Own>) -> Known {
        let since_last = self.age(now);
        self.known_after(now, since_last, own)
    }

    fn known_after(&self, now: Timestamp, since_last: f32, own: Option<Own>) -> Known {
        let mut calls = self.calls;
        let mut partners = (self.sketch[0] | self.sketch[1]).count_ones();
        let mut in_progress = self.in_progress;
        if let Some(own) = own {
            for (count, left) in calls.iter_mut().zip(decay::after(own.seconds)) {
                *count = (*count - left).max(0.0);
            }
            partners = partners.saturating_sub(u32::from(own.new_partner));
            in_progress = in_progress.saturating_sub(1);
        }
        let ended = self.answered + self.cancelled + self.failed;
        let (hour, day) = (self.calls[HOUR], self.calls[DAY]);
        // Eight lanes, so that they are divided at once.
        let counts = [
            self.answered,
            self.brief,
            self.cancelled,
            self.failed,
            self.withheld,
            self.special,
            self.high_cost,
            self.setup,
        ];
        let of = [ended, ended, ended, ended, hour, day, hour, self.answered];
        // All are shares but the time to answer.
        let most = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, f32::INFINITY];
        let mut shares = [0.0; 8];
        for lane in 0..8 {
            let share = (counts[lane] / of[lane]).min(most[lane]);
            // Of less than a quarter of a call it says nothing any more.
            shares[lane] = if of[lane] > 0.25 { share } else { f32::NAN };
        }
        let [answered, brief, cancelled, failed, withheld, special, high_cost, setup] = shares;
        let usual = calls[DAY] / (86_400.0 / std::f32::consts::LN_2) * 60.0;
        // Alone in the table: the attempt that is being made again.
        let alone = own.is_some() && calls[DAY] < 0.01;
        Known {
            calls,
            since_last: if alone { f32::NAN } else { since_last },
            age: if alone {
                f32::NAN
            } else {
                (now.0 / 1_000_000_000).saturating_sub(u64::from(self.first)) as f32
            },
            partners: linear_count(partners),
            answered,
            brief,
            cancelled,
            failed,
            setup,
            withheld,
            withheld_calls: self.withheld,
            special,
            high_cost,
            in_progress: f32::from(in_progress),
            regularity: self.regularity(),
            run: f32::from(self.run),
            burst: calls[1] / (usual + 1.0),
        }
    }

    fn regularity(&self) -> f32 {
        if self.gaps < 3 {
            return f32::NAN;
        }
        // The variance of a logarithm is that of relative differences.
        1.0 / (1.0 + 4.0 * (f32::from(self.gap_variance) / 4_096.0).sqrt())
    }

    /// What is known, and one more call; whether its partner is new to the sketch.
    pub(super) fn visit(&mut self, now: Timestamp, added: &Added) -> (Known, bool) {
        if self.last == 0 {
            self.last = now.0;
            self.period = (now.0 / 1_000_000_000 / PERIOD) as u16;
            self.first = (now.0 / 1_000_000_000).min(u64::from(u32::MAX)) as u32;
            return (Known::NEW, self.count(added));
        }
        let since = self.age(now);
        let known = self.known_after(now, since, None);
        self.gap(since);
        (known, self.count(added))
    }

    fn count(&mut self, added: &Added) -> bool {
        for count in &mut self.calls {
            *count += 1.0;
        }
        self.withheld += f32::from(u8::from(added.withheld));
        self.special += f32::from(u8::from(added.special));
        self.high_cost += f32::from(u8::from(added.high_cost));
        self.in_progress = self.in_progress.saturating_add(1);
        if added.dialled != 0 {
            let next = added.dialled.abs_diff(self.dialled) == 1;
            self.run = if next { self.run.saturating_add(1) } else { 0 };
            self.dialled = added.dialled;
        }
        let bit = 1 << (added.partner >> 58);
        let new = (self.sketch[0] | self.sketch[1]) & bit == 0;
        self.sketch[0] |= bit;
        new
    }

    /// One more call of a time that may lie before the last: then it counts as much as is
    /// left of it. Gaps and sequences are of calls in their order alone.
    pub(super) fn merge(&mut self, at: Timestamp, added: &Added) {
        if self.last <= at.0 {
            self.visit(at, added);
            return;
        }
        let seconds = Timestamp(self.last).seconds_since(at) as f32;
        let left = decay::after(seconds);
        for (count, left) in self.calls.iter_mut().zip(left) {
            *count += left;
        }
        let one = |so: bool, left: f32| if so { left } else { 0.0 };
        self.withheld += one(added.withheld, left[HOUR]);
        self.special += one(added.special, left[DAY]);
        self.high_cost += one(added.high_cost, left[HOUR]);
        if seconds <= HANGING {
            self.in_progress = self.in_progress.saturating_add(1);
        }
        self.first = self.first.min((at.0 / 1_000_000_000) as u32);
        let bit = 1 << (added.partner >> 58);
        let period = (at.0 / 1_000_000_000 / PERIOD) as u16;
        if period == self.period {
            self.sketch[0] |= bit;
        } else if period == self.period.wrapping_sub(1) {
            self.sketch[1] |= bit;
        }
    }

    /// Calls that were made before the key was let into the table.
    pub(super) fn credit(&mut self, calls: u8) {
        for count in &mut self.calls[HOUR..] {
            *count += f32::from(calls);
        }
    }

    fn gap(&mut self, seconds: f32) {
        let value = ((ln(seconds.max(0.01)) + 5.0) * 4_096.0).clamp(0.0, 65_535.0);
        let weight = 1.0 / f32::from(self.gaps + 1).min(8.0);
        let away = value - f32::from(self.gap_mean);
        if self.gaps > 0 {
            // In units of 1/4096 of the square.
            let square = away * away / 4_096.0;
            let variance = f32::from(self.gap_variance);
            self.gap_variance = (variance + weight * (square - variance)).min(65_535.0) as u16;
        }
        self.gap_mean = (f32::from(self.gap_mean) + weight * away) as u16;
        self.gaps = (self.gaps + 1).min(255);
    }

    /// What 1 counted at `now` is in counts that are of the last call: [`Self::last`]
    /// is of calls alone, since rhythm and gaps are.
    fn ahead(&self, now: Timestamp) -> [f32; 5] {
        let last = Timestamp(self.last);
        if now < last {
            return decay::after(last.seconds_since(now) as f32);
        }
        decay::after(now.seconds_since(last) as f32).map(|left| 1.0 / left)
    }

    /// One more retransmission.
    pub(super) fn retransmitted(&mut self, now: Timestamp) {
        self.special += self.ahead(now)[DAY];
    }

    /// How a call that was counted went on.
    pub(super) fn outcome(&mut self, now: Timestamp, outcome: Outcome) {
        let one = self.ahead(now)[HOUR];
        let mut over = true;
        match outcome {
            Outcome::Answered(seconds) => {
                self.answered += one;
                self.setup += one * seconds;
                over = false;
            }
            // The answer was counted when it came.
            Outcome::Brief => self.brief += one,
            Outcome::Over => {}
            Outcome::BriefCancel => {
                self.cancelled += one;
                self.brief += one;
            }
            Outcome::Cancelled => self.cancelled += one,
            Outcome::Failed => self.failed += one,
        }
        self.in_progress = self.in_progress.saturating_sub(u16::from(over));
    }
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable as _;

    use super::{Added, Entry, Outcome, Own};
    use crate::time::Timestamp;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::new(1_000_000 + seconds, 0)
    }

    #[test]
    fn counts_halve() {
        let mut entry = Entry::zeroed();
        for _ in 0..8 {
            entry.visit(at(0), &Added::default());
        }
        let later = entry.known(at(60), None);
        assert!((later.calls[1] - 4.0).abs() < 1e-3 && (later.calls[3] - 7.91).abs() < 0.01);
        assert!((later.since_last - 60.0).abs() < 1e-3 && (later.age - 60.0).abs() < 1e-3);
        // Backwards: nothing grows.
        let before = entry.known(at(0), None);
        assert!((before.calls[1] - 4.0).abs() < 1e-3);
        assert!(later.burst > 3.0);
    }

    #[test]
    fn own_call_is_taken_out() {
        let mut entry = Entry::zeroed();
        let (_, new_partner) = entry.visit(at(0), &Added { partner: 7, ..Added::default() });
        let known = entry.known(at(1), Some(Own { seconds: 1.0, new_partner }));
        assert!(known.calls.iter().all(|count| *count < 1e-3) && known.partners == 0.0);
        assert!(known.is_new() && known.since_last.is_nan() && known.in_progress == 0.0);
    }

    #[test]
    fn outcomes_become_shares() {
        let mut entry = Entry::zeroed();
        for _ in 0..4 {
            entry.visit(at(0), &Added::default());
        }
        assert!(entry.known(at(0), None).answered.is_nan());
        assert!((entry.known(at(0), None).in_progress - 4.0).abs() < 1e-6);
        for outcome in [
            Outcome::Answered(4.0),
            Outcome::Brief,
            Outcome::Failed,
            Outcome::BriefCancel,
            Outcome::Answered(8.0),
        ] {
            entry.outcome(at(1), outcome);
        }
        let known = entry.known(at(1), None);
        let close = |a: f32, b: f32| (a - b).abs() < 1e-3;
        assert!(close(known.answered, 0.5) && close(known.brief, 0.5), "{known:?}");
        assert!(close(known.cancelled, 0.25) && close(known.failed, 0.25), "{known:?}");
        assert!(close(known.setup, 6.0) && close(known.in_progress, 1.0), "{known:?}");
        assert!(close(entry.known(at(10_000), None).in_progress, 0.0));
    }

    #[test]
    fn rhythm_and_sequences() {
        let (mut robot, mut person) = (Entry::zeroed(), Entry::zeroed());
        let mut second = 0;
        for i in 0..20u32 {
            let added = Added { dialled: 700_000 + i, ..Added::default() };
            robot.visit(at(u64::from(i) * 10), &added);
            second += [3, 200, 17, 900, 41][i as usize % 5];
            let added = Added { dialled: 700_000 + i * 37 % 11, ..Added::default() };
            person.visit(at(second), &added);
        }
        let (robot, person) = (robot.known(at(200), None), person.known(at(second), None));
        assert!(robot.regularity > 0.9 && person.regularity < 0.3, "{robot:?} {person:?}");
        assert!((robot.run - 19.0).abs() < 1e-6 && person.run < 2.0);
    }

    #[test]
    fn partners_are_of_this_hour() {
        let mut entry = Entry::zeroed();
        for i in 0..10u64 {
            entry.visit(at(0), &Added { partner: i << 58, ..Added::default() });
        }
        assert!(entry.known(at(0), None).partners > 8.0);
        assert!(entry.known(at(4_000), None).partners < 0.1);
    }
}
