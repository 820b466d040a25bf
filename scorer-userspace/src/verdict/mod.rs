//! From features to a verdict: level, tags, reasons.

mod listed;
mod tags;

use scorer_common::verdict::{Level, NO_REASON, REASONS};

pub use listed::{Effect, ListRules};
pub(crate) use listed::{feature as list_feature, rule};
pub use tags::tags;

use crate::features::says;

/// Score from which a level begins, 0–100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// [`Level::Medium`].
    pub medium: u8,
    /// [`Level::High`].
    pub high: u8,
    /// [`Level::Critical`].
    pub critical: u8,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { medium: 40, high: 70, critical: 90 }
    }
}

impl Thresholds {
    /// Level of a score.
    pub const fn level(&self, score: u8) -> Level {
        if score >= self.critical {
            Level::Critical
        } else if score >= self.high {
            Level::High
        } else if score >= self.medium {
            Level::Medium
        } else {
            Level::Low
        }
    }
}

impl Thresholds {
    /// Score from which a level begins.
    pub const fn begin(&self, level: Level) -> u8 {
        match level {
            Level::Low => 0,
            Level::Medium => self.medium,
            Level::High => self.high,
            Level::Critical => self.critical,
        }
    }
}

/// One reason for a score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reason {
    /// Index into [`crate::features::REGISTRY`].
    pub feature: u16,
    /// Its value.
    pub value: f32,
    /// What it contributed, log-odds; above zero speaks for fraud.
    pub contribution: f32,
}

/// Less than this (log-odds) is no reason.
const LEAST: f32 = 0.05;

/// The strongest evidence for fraud, at most [`REASONS`]; features that say the
/// same in words give one reason, with what they contribute together.
#[derive(Clone, Copy, Debug)]
pub struct Reasons {
    list: [Reason; REASONS],
    count: usize,
}

impl Reasons {
    /// Picks them from the contributions of all features.
    pub fn pick(values: &[f32], contributions: &[f32]) -> Self {
        let none = Reason { feature: NO_REASON, value: f32::NAN, contribution: 0.0 };
        // Four times as many as are shown, so that what is grouped can still rise.
        let mut found = [none; 4 * REASONS];
        let mut count = 0;
        // A few of hundreds count: eight are passed over at a time. NaN is none either.
        let counts = |contribution: &f32| *contribution >= LEAST;
        let some = contributions
            .chunks(8)
            .enumerate()
            .filter(|(_, chunk)| chunk.iter().fold(false, |any, c| any | counts(c)))
            .flat_map(|(i, chunk)| (8 * i..).zip(chunk))
            .filter(|(_, contribution)| counts(contribution));
        for (index, contribution) in some {
            let feature = index as u16;
            let value = values.get(index).copied().unwrap_or(f32::NAN);
            let (text, _) = says(feature, value);
            let same = found[..count]
                .iter_mut()
                .find(|reason| says(reason.feature, reason.value).0 == text);
            if let Some(reason) = same {
                if *contribution > reason.contribution {
                    reason.feature = feature;
                    reason.value = value;
                }
                reason.contribution += contribution;
                continue;
            }
            let reason = Reason { feature, value, contribution: *contribution };
            if count < found.len() {
                found[count] = reason;
                count += 1;
            } else if let Some(weakest) =
                found.iter_mut().min_by(|a, b| a.contribution.total_cmp(&b.contribution))
                && weakest.contribution < *contribution
            {
                *weakest = reason;
            }
        }
        // What can be named before what is only unusual. Stable, so that equal
        // contributions keep the registry's order.
        let named = |reason: &Reason| says(reason.feature, reason.value).1;
        found[..count].sort_by(|a, b| {
            named(b).cmp(&named(a)).then(b.contribution.total_cmp(&a.contribution))
        });
        let mut list = [none; REASONS];
        list.copy_from_slice(&found[..REASONS]);
        Self { list, count: count.min(REASONS) }
    }

    /// Says `reason` first, in place of another that says the same in words.
    pub(crate) fn first(&mut self, reason: Reason) {
        let text = |reason: &Reason| says(reason.feature, reason.value).0;
        let shown = &mut self.list[..self.count];
        let same = shown.iter().position(|known| text(known) == text(&reason));
        if same.is_none() && self.count < REASONS {
            self.count += 1;
        }
        // What stood there, or the last, makes room.
        let end = same.unwrap_or(self.count - 1);
        self.list[..=end].rotate_right(1);
        self.list[0] = reason;
    }

    /// Strongest first.
    pub fn as_slice(&self) -> &[Reason] {
        &self.list[..self.count]
    }

    /// Feature ids as a verdict carries them.
    pub fn ids(&self) -> [u16; REASONS] {
        self.list.map(|reason| reason.feature)
    }
}

#[cfg(test)]
mod tests {
    use super::{Reasons, Thresholds};
    use crate::features::{COUNT, id};
    use scorer_common::verdict::{Level, NO_REASON};

    #[test]
    fn levels() {
        let thresholds = Thresholds::default();
        for (score, level) in [
            (0, Level::Low),
            (39, Level::Low),
            (40, Level::Medium),
            (70, Level::High),
            (100, Level::Critical),
        ] {
            assert_eq!(thresholds.level(score), level);
        }
    }

    #[test]
    fn reasons_are_sorted_and_grouped() {
        let mut values = [1.0; COUNT];
        let mut contributions = [0.0; COUNT];
        let at = usize::from;
        contributions[at(id::FROM_ANONYMOUS)] = 0.4;
        // These two say the same in words.
        values[at(id::CALLER_REPEATED_DIGITS)] = 5.0;
        values[at(id::CALLER_SEQUENTIAL_DIGITS)] = 6.0;
        contributions[at(id::CALLER_REPEATED_DIGITS)] = 0.3;
        contributions[at(id::CALLER_SEQUENTIAL_DIGITS)] = 0.5;
        contributions[at(id::PAI_COUNT)] = -3.0;
        contributions[at(id::USER_AGENT_IS_SCANNER)] = f32::NAN;
        let reasons = Reasons::pick(&values, &contributions);
        let list: Vec<_> = reasons.as_slice().iter().map(|r| (r.feature, r.contribution)).collect();
        assert_eq!(list, [(id::CALLER_SEQUENTIAL_DIGITS, 0.8), (id::FROM_ANONYMOUS, 0.4)]);
        assert_eq!(reasons.ids()[2], NO_REASON);
        // What cannot be named comes last, however strong: an unusual, but valid, number.
        contributions[at(id::CALLER_E164_VALID)] = 2.0;
        let reasons = Reasons::pick(&values, &contributions);
        let features: Vec<_> = reasons.as_slice().iter().map(|r| r.feature).collect();
        let last = id::CALLER_E164_VALID;
        assert_eq!(features, [id::CALLER_SEQUENTIAL_DIGITS, id::FROM_ANONYMOUS, last]);
        let all = Reasons::pick(&values, &[1.0; COUNT]);
        assert_eq!(all.as_slice().len(), 5);
    }
}
