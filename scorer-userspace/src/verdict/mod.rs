//! From features to a verdict: level, tags, reasons.

pub mod deliver;
pub mod header;
pub mod http;
pub mod keeper;
mod listed;
pub mod recent;
pub mod redirect;
mod tags;
pub mod wire;

use scorer_common::verdict::{Level, NO_REASON, REASONS};

pub use listed::{Effect, ListRules};
pub(crate) use listed::{feature as list_feature, rule};
pub use tags::tags;

use crate::features::{COUNT, Group, Said, listed::says as listed_words, says};

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

/// More than there are texts.
const TEXTS: usize = 512;
const _: () = assert!(TEXTS > COUNT + Group::COUNT);

/// The contributions that count, with their features; NaN does not. A few of hundreds
/// do: sixteen are passed over at a time.
fn evidence(contributions: &[f32]) -> impl Iterator<Item = (usize, f32)> + '_ {
    let counts = |contribution: &f32| *contribution >= LEAST;
    let (chunks, rest) = contributions.as_chunks::<16>();
    let any = move |chunk: &[f32; 16]| chunk.iter().map(|c| u32::from(counts(c))).sum::<u32>() > 0;
    chunks
        .iter()
        .enumerate()
        .filter(move |(_, chunk)| any(chunk))
        .flat_map(|(i, chunk)| (16 * i..).zip(chunk))
        .chain((16 * chunks.len()..).zip(rest))
        .filter(move |(_, contribution)| counts(contribution))
        .map(|(index, contribution)| (index, *contribution))
}

/// A reason on its way into the list.
#[derive(Clone, Copy)]
struct Found {
    reason: Reason,
    said: Said,
}

impl Found {
    /// What can be named comes before what is only unusual.
    fn is_stronger_than(&self, other: &Self) -> bool {
        let (a, b) = (self.reason.contribution, other.reason.contribution);
        self.said.named.cmp(&other.said.named).then(a.total_cmp(&b)).is_gt()
    }
}

impl Reasons {
    /// Picks them from the contributions of all features.
    pub fn pick(values: &[f32], contributions: &[f32]) -> Self {
        let none = Reason { feature: NO_REASON, value: f32::NAN, contribution: 0.0 };
        let nothing = Found { reason: none, said: Said { text: u16::MAX, named: false } };
        // Four times as many as are shown, so that what is grouped can still rise.
        let mut found = [nothing; 4 * REASONS];
        let mut count = 0;
        // Once all places are taken: none of them has less, since they only rise.
        let mut least = f32::NEG_INFINITY;
        // For each text the place of the reason that gives it, plus one.
        let mut places = [0u8; TEXTS];
        for (index, contribution) in evidence(contributions) {
            let feature = index as u16;
            let value = values.get(index).copied().unwrap_or(f32::NAN);
            let Some(said) = says(feature, value) else { break };
            let reason = Reason { feature, value, contribution };
            let place = &mut places[usize::from(said.text) % TEXTS];
            if let Some(same) = found.get_mut(usize::from(*place).wrapping_sub(1)) {
                let sum = same.reason.contribution + contribution;
                if contribution > same.reason.contribution {
                    *same = Found { reason, said };
                }
                same.reason.contribution = sum;
                continue;
            }
            let new = Found { reason, said };
            if count < found.len() {
                found[count] = new;
                count += 1;
                *place = count as u8;
            } else if contribution > least
                && let Some((at, weakest)) =
                    found.iter_mut().enumerate().min_by(|(_, a), (_, b)| {
                        a.reason.contribution.total_cmp(&b.reason.contribution)
                    })
            {
                least = weakest.reason.contribution;
                if least < contribution {
                    *place = at as u8 + 1;
                    places[usize::from(weakest.said.text) % TEXTS] = 0;
                    *weakest = new;
                }
            }
        }
        let mut strongest = [nothing; REASONS];
        let mut shown = 0;
        for new in &found[..count] {
            // Behind all that are as strong: equal contributions keep the registry's order.
            let weaker = |known: &Found| new.is_stronger_than(known);
            let place = strongest[..shown].iter().position(weaker).unwrap_or(shown);
            if place < REASONS {
                shown = (shown + 1).min(REASONS);
                strongest.copy_within(place..shown - 1, place + 1);
                strongest[place] = *new;
            }
        }
        Self { list: strongest.map(|found| found.reason), count: shown }
    }

    /// Says `reason` first, in place of another that says the same in words.
    pub(crate) fn first(&mut self, reason: Reason) {
        // What contradicts a list has words of its own, which no number stands for.
        let text = |reason: &Reason| match listed_words(reason.feature, reason.value) {
            Some(words) => (Some(words), None),
            None => (None, says(reason.feature, reason.value).map(|said| said.text)),
        };
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
