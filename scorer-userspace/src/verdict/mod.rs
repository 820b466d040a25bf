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

use crate::features::{COUNT, Group, Said, Saying, listed::says as listed_words, says};

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

/// Calls `each` for the contributions that count, with their features; NaN does not. A few
/// of hundreds do: sixty-four are asked at a time.
fn evidence(contributions: &[f32], mut each: impl FnMut(usize, f32)) {
    let mut take = |first: usize, chunk: &[f32; 64]| {
        let mut marks = counting(chunk);
        while marks != 0 {
            let at = marks.trailing_zeros() as usize;
            marks &= marks - 1;
            each(first + at, chunk[at]);
        }
    };
    let (chunks, rest) = contributions.as_chunks::<64>();
    for (i, chunk) in chunks.iter().enumerate() {
        take(64 * i, chunk);
    }
    if !rest.is_empty() {
        let mut last = [f32::NAN; 64];
        last[..rest.len()].copy_from_slice(rest);
        take(64 * chunks.len(), &last);
    }
}

/// Bit *i* is set when contribution *i* counts.
#[cfg(target_arch = "x86_64")]
fn counting(contributions: &[f32; 64]) -> u64 {
    use std::arch::x86_64::{_mm_cmpge_ps, _mm_loadu_ps, _mm_movemask_ps, _mm_set1_ps};
    let (fours, _) = contributions.as_chunks::<4>();
    fours.iter().rev().fold(0, |marks, four| {
        // SAFETY: SSE is part of x86_64, and the load takes any alignment.
        let bits = unsafe {
            _mm_movemask_ps(_mm_cmpge_ps(_mm_loadu_ps(four.as_ptr()), _mm_set1_ps(LEAST)))
        };
        marks << 4 | bits as u64
    })
}

/// The same on other machines.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn counting_plainly(contributions: &[f32; 64]) -> u64 {
    contributions.iter().rev().fold(0, |marks, c| marks << 1 | u64::from(*c >= LEAST))
}
#[cfg(not(target_arch = "x86_64"))]
use counting_plainly as counting;

/// Places of reasons on their way: many times as many as are shown, so that what is
/// grouped can still rise.
const PLACES: usize = 64;

/// Reasons on their way, by places.
struct Found {
    feature: [u16; PLACES],
    /// What they contribute, with those that say the same.
    sum: [f32; PLACES],
    said: [Said; PLACES],
    count: usize,
}

impl Found {
    const NONE: Self = Self {
        feature: [NO_REASON; PLACES],
        sum: [0.0; PLACES],
        said: [Said { text: 0, named: false }; PLACES],
        count: 0,
    };

    /// The first of those that contribute least.
    fn weakest(&self) -> usize {
        let least = |a: usize, b: usize| if self.sum[b] < self.sum[a] { b } else { a };
        (0..PLACES).fold(0, least)
    }

    /// Rises with its strength: what can be named comes before what is only unusual, and
    /// what contributes more before what does less. Contributions are above 0, of which
    /// the bits rise as the numbers do.
    fn strength(&self, place: usize) -> u32 {
        u32::from(self.said[place].named) << 31 | self.sum[place].to_bits()
    }
}

impl Reasons {
    /// Picks them from the contributions of all features.
    pub fn pick(values: &[f32], contributions: &[f32]) -> Self {
        let mut found = Found::NONE;
        // For each text the place of the reason that gives it, plus one.
        let mut places = [0u8; TEXTS];
        let saying = Saying::new();
        evidence(contributions, |index, contribution| {
            let feature = index as u16;
            let Some(said) = saying.of(feature, values.get(index).copied().unwrap_or(f32::NAN))
            else {
                return;
            };
            let place = usize::from(said.text) % TEXTS;
            let known = usize::from(places[place]);
            let is_new = known == 0;
            let mut at = if is_new { found.count } else { known - 1 };
            if at == PLACES {
                // The weakest makes room for what is stronger.
                at = found.weakest();
                if contribution <= found.sum[at] {
                    return;
                }
                places[usize::from(found.said[at].text) % TEXTS] = 0;
                (found.sum[at], found.count) = (0.0, PLACES - 1);
            }
            // Without a branch from here on: whether a text is new is as good as chance.
            found.count += usize::from(is_new);
            places[place] = at as u8 + 1;
            let stronger = contribution > found.sum[at];
            found.feature[at] = if stronger { feature } else { found.feature[at] };
            found.said[at] = if stronger { said } else { found.said[at] };
            found.sum[at] += contribution;
        });
        let mut strengths = [0; PLACES];
        for (place, strength) in strengths[..found.count].iter_mut().enumerate() {
            *strength = found.strength(place);
        }
        let none = Reason { feature: NO_REASON, value: f32::NAN, contribution: 0.0 };
        let (mut list, count) = ([none; REASONS], found.count.min(REASONS));
        for reason in &mut list[..count] {
            // The first of those that are as strong: they keep the registry's order.
            let (mut at, mut most) = (0, 0);
            for (place, strength) in strengths[..found.count].iter().enumerate() {
                let stronger = *strength > most;
                at = if stronger { place } else { at };
                most = if stronger { *strength } else { most };
            }
            strengths[at] = 0;
            let feature = found.feature[at];
            let value = values.get(usize::from(feature)).copied().unwrap_or(f32::NAN);
            *reason = Reason { feature, value, contribution: found.sum[at] };
        }
        Self { list, count }
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
    use proptest::prelude::*;

    use super::{LEAST, PLACES, Reason, Reasons, Thresholds, counting, counting_plainly, evidence};
    use crate::features::{COUNT, Said, id, says};
    use scorer_common::verdict::{Level, NO_REASON, REASONS};

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

    proptest! {
        #[test]
        fn what_counts_is_told_the_plain_way(
            contributions in prop::collection::vec(
                prop_oneof![Just(f32::NAN), Just(LEAST), Just(f32::INFINITY), -0.2..0.2f32],
                0..200,
            ),
        ) {
            for chunk in contributions.as_chunks::<64>().0 {
                prop_assert_eq!(counting(chunk), counting_plainly(chunk));
            }
            let plain: Vec<_> =
                contributions.iter().copied().enumerate().filter(|(_, c)| *c >= LEAST).collect();
            let mut found = Vec::new();
            evidence(&contributions, |index, contribution| found.push((index, contribution)));
            prop_assert_eq!(found, plain);
        }

        #[test]
        fn more_texts_than_places_are_picked_as_one_by_one_would(
            values in prop::collection::vec(
                prop_oneof![Just(f32::NAN), 0.0..3.0f32, Just(1.0)], COUNT),
            contributions in prop::collection::vec(
                prop_oneof![Just(0.0), Just(0.1f32), 0.0..1.0f32], COUNT),
        ) {
            let picked = Reasons::pick(&values, &contributions);
            // By their bits: NaN is a value, too.
            let bits = |reasons: &[Reason]| -> Vec<_> {
                let bits = |r: &Reason| (r.feature, r.value.to_bits(), r.contribution.to_bits());
                reasons.iter().map(bits).collect()
            };
            prop_assert_eq!(bits(picked.as_slice()), bits(&plainly(&values, &contributions)));
        }
    }

    /// The same in the plainest way.
    fn plainly(values: &[f32], contributions: &[f32]) -> Vec<Reason> {
        let mut found: Vec<(Said, Reason)> = Vec::new();
        for (feature, (value, contribution)) in (0..).zip(values.iter().zip(contributions)) {
            if contribution.is_nan() || *contribution < LEAST {
                continue;
            }
            let (said, value) = (says(feature, *value).expect("known"), *value);
            let mut new = (said, Reason { feature, value, contribution: *contribution });
            if let Some(same) = found.iter_mut().find(|(known, _)| known.text == said.text) {
                let sum = same.1.contribution + contribution;
                if *contribution > same.1.contribution {
                    *same = new;
                }
                same.1.contribution = sum;
            } else if found.len() < PLACES {
                found.push(new);
            } else {
                let by = |a: &&mut (Said, Reason), b: &&mut (Said, Reason)| {
                    a.1.contribution.total_cmp(&b.1.contribution)
                };
                let least = found.iter_mut().min_by(by).expect("some");
                if least.1.contribution < *contribution {
                    std::mem::swap(least, &mut new);
                }
            }
        }
        // Stable: equal ones keep their order.
        found.sort_by(|(a, x), (b, y)| {
            b.named.cmp(&a.named).then(y.contribution.total_cmp(&x.contribution))
        });
        found.into_iter().take(REASONS).map(|(_, reason)| reason).collect()
    }
}
