//! Whether today's calls are like those a model was trained on: the population
//! stability index of each feature and of the score, over a day.
//!
//! PSI = sum over bins of (now - then) ln(now / then); below 0.1 nothing has changed,
//! above 0.25 much has (Siddiqi, Credit Risk Scorecards, 2006). What it is measured
//! against comes with the model: `scorer.reference` in its metadata, a line a feature:
//! name; edges of bins; shares of calls, those without a value first.

use std::sync::Arc;

use crate::time::Timestamp;

/// Bins at most, without the one of missing values.
const BINS: usize = 10;
/// Fewer calls say nothing.
const LEAST: u32 = 500;
/// A share at least, since a bin may have been empty.
const FLOOR: f64 = 1e-4;
/// Nanoseconds.
const DAY: u64 = 86_400_000_000_000;

/// How one value was spread in training.
#[derive(Clone, Debug, PartialEq)]
struct Spread {
    /// Place in a row of features; one past the last is the score.
    column: usize,
    name: String,
    edges: Vec<f32>,
    shares: Vec<f32>,
}

/// What calls were like in training.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference(Vec<Spread>);

impl Reference {
    /// From a model's metadata; features that are not known any more are left out.
    ///
    /// # Errors
    /// A text that says which line cannot be read.
    pub fn read(text: &str, features: &[&str]) -> Result<Self, String> {
        let mut spreads = Vec::new();
        for line in text.lines() {
            let wrong = || format!("a line of scorer.reference cannot be read: {line:.40}");
            let numbers = |part: &str| -> Option<Vec<f32>> {
                let numbers = part.split(',').filter(|n| !n.is_empty()).map(str::parse);
                let numbers: Vec<f32> = numbers.collect::<Result<_, _>>().ok()?;
                numbers.iter().all(|n| n.is_finite()).then_some(numbers)
            };
            let mut parts = line.split(';');
            let (Some(name), Some(edges), Some(shares), None) =
                (parts.next(), parts.next(), parts.next(), parts.next())
            else {
                return Err(wrong());
            };
            let (edges, shares) =
                (numbers(edges).ok_or_else(wrong)?, numbers(shares).ok_or_else(wrong)?);
            let rising = edges.windows(2).all(|pair| pair[0] < pair[1]);
            if edges.len() >= BINS || shares.len() != edges.len() + 2 || !rising {
                return Err(wrong());
            }
            let column = match name {
                "score" => Some(features.len()),
                name => features.iter().position(|known| *known == name),
            };
            if let Some(column) = column {
                spreads.push(Spread { column, name: name.to_owned(), edges, shares });
            }
        }
        Ok(Self(spreads))
    }
}

/// PSI of a whole day.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Day {
    /// Calls looked at.
    pub calls: u32,
    /// Name and index of every feature; `score` is the score.
    pub index: Vec<(String, f32)>,
}

/// Counts a day's calls.
#[derive(Clone, Debug)]
pub struct Drift {
    reference: Arc<Reference>,
    counts: Vec<[u32; BINS + 1]>,
    calls: u32,
    day: u64,
    last: Option<Arc<Day>>,
}

impl Drift {
    /// Nothing counted yet.
    pub fn new(reference: Arc<Reference>) -> Self {
        let counts = vec![[0; BINS + 1]; reference.0.len()];
        Self { reference, counts, calls: 0, day: 0, last: None }
    }

    /// Takes one call: its features and its score, 0 to 100.
    pub fn count(&mut self, features: &[f32], score: f32, now: Timestamp) {
        let day = now.0 / DAY;
        if day != self.day {
            self.turn();
            self.day = day;
        }
        self.calls += 1;
        for (spread, counts) in self.reference.0.iter().zip(&mut self.counts) {
            let value = features.get(spread.column).copied().unwrap_or(score);
            let bin = if value.is_nan() {
                0
            } else {
                1 + spread.edges.iter().filter(|edge| value > **edge).count()
            };
            counts[bin] += 1;
        }
    }

    /// Closes a day.
    fn turn(&mut self) {
        if self.calls >= LEAST {
            let index = self.reference.0.iter().zip(&self.counts).map(|(spread, counts)| {
                let psi: f64 = spread
                    .shares
                    .iter()
                    .zip(counts)
                    .map(|(then, now)| {
                        let then = f64::from(*then).max(FLOOR);
                        let now = (f64::from(*now) / f64::from(self.calls)).max(FLOOR);
                        (now - then) * (now / then).ln()
                    })
                    .sum();
                (spread.name.clone(), psi as f32)
            });
            self.last = Some(Arc::new(Day { calls: self.calls, index: index.collect() }));
        }
        self.calls = 0;
        self.counts.fill([0; BINS + 1]);
    }

    /// The last whole day with enough calls.
    pub fn last(&self) -> Option<Arc<Day>> {
        self.last.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::{DAY, Drift, Reference};
    use crate::time::Timestamp;
    use std::sync::Arc;

    const TEXT: &str = "a;1.0,2.0;0.1,0.3,0.3,0.3\ngone;;0.0,1.0\nscore;50.0;0.0,0.9,0.1";

    /// PSI of `a` and of the score over a day of calls.
    fn day(values: impl Fn(u32) -> (f32, f32)) -> Vec<(String, f32)> {
        let reference = Arc::new(Reference::read(TEXT, &["a", "b"]).unwrap());
        let mut drift = Drift::new(reference);
        for i in 0..1_000 {
            let (a, score) = values(i);
            drift.count(&[a, 7.0], score, Timestamp(u64::from(i) + DAY));
            assert!(drift.last().is_none());
        }
        drift.count(&[0.0, 0.0], 0.0, Timestamp(2 * DAY));
        let day = drift.last().expect("a day is over");
        assert_eq!(day.calls, 1_000);
        day.index.clone()
    }

    #[test]
    fn the_same_has_no_drift_and_another_has() {
        let alike = |i: u32| match i % 10 {
            0 => f32::NAN,
            1..4 => 1.0,
            4..7 => 2.0,
            _ => 3.0,
        };
        let score = |i: u32| if i.is_multiple_of(10) { 80.0 } else { 3.0 };
        let same = day(|i| (alike(i), score(i)));
        assert_eq!(same.len(), 2, "what is not known any more is left out");
        assert!(same.iter().all(|(_, psi)| psi.abs() < 1e-4), "{same:?}");
        let other = day(|i| (f32::NAN, score(i)));
        // (1 - .1) ln 10 + 3 (.0001 - .3) ln (.0001 / .3), by hand.
        assert!((other[0].1 - 9.275).abs() < 0.01, "{other:?}");
        assert!(other[1].1.abs() < 1e-4);
        let higher = day(|i| (alike(i), 80.0));
        assert!(higher[1].1 > 0.25 && higher[0].1.abs() < 1e-4);
    }

    #[test]
    fn few_calls_say_nothing_and_bad_lines_are_refused() {
        let mut drift = Drift::new(Arc::new(Reference::read(TEXT, &["a"]).unwrap()));
        drift.count(&[1.0], 1.0, Timestamp(DAY));
        drift.count(&[1.0], 1.0, Timestamp(2 * DAY));
        assert!(drift.last().is_none());
        for bad in ["a", "a;1;0.5,0.5", "a;2,1;0,0,0,0", "a;x;0,0,0", "a;nan;0,0,0", "a;;;"] {
            assert!(Reference::read(bad, &["a"]).is_err(), "{bad}");
        }
    }
}
