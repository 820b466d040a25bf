//! Rates of the last minute.

use std::collections::{BTreeMap, VecDeque};

use scorer_common::verdict::Level;

use super::{call::Call, ring::Ring};
use crate::time::Timestamp;

/// Rates as the source tells them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::top) struct Rates {
    /// Calls in the last minute.
    pub calls: f64,
    /// Of them with a level of high or critical.
    pub high: f64,
    /// Kernel stamp to verdict, µs: half and 99 % of calls are within.
    pub latency: Option<(f64, f64)>,
    /// INVITEs and other records lost, since the start.
    pub drops: Option<u64>,
    /// Calls under way.
    pub active: Option<u64>,
}

/// Seconds of a window.
const WINDOW: u64 = 60;

/// Calls a minute, counted here: by second of the calls' own time.
#[derive(Debug, Default)]
pub(super) struct Minute {
    /// Second, calls, high ones; oldest first.
    seconds: VecDeque<(u64, u32, u32)>,
}

impl Minute {
    pub(super) fn count(&mut self, call: &Call) {
        let second = call.ts.0 / 1_000_000_000;
        let high = u32::from(call.level >= Level::High);
        // Packets come a little out of order at most; what is older counts with the latest.
        match self.seconds.back_mut() {
            Some((latest, calls, highs)) if *latest >= second => {
                *calls += 1;
                *highs += high;
            }
            _ => self.seconds.push_back((second, 1, high)),
        }
        while self.seconds.front().is_some_and(|(old, ..)| *old + WINDOW <= second) {
            self.seconds.pop_front();
        }
    }

    /// Those of the minute before `now`.
    pub(super) fn rates(&self, now: Timestamp) -> (f64, f64) {
        let now = now.0 / 1_000_000_000;
        let within = self.seconds.iter().filter(|(second, ..)| second + WINDOW > now);
        let (calls, high) = within.fold((0, 0), |(c, h), (_, calls, high)| (c + calls, h + high));
        (f64::from(calls), f64::from(high))
    }
}

/// How often something occurs among the calls that are kept, most often first.
pub(super) fn most<'a>(
    ring: &'a Ring,
    of: impl Fn(&'a Call) -> Vec<&'a str>,
) -> Vec<(&'a str, usize)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, call) in ring.iter() {
        for name in of(call).into_iter().filter(|name| !name.is_empty()) {
            *counts.entry(name).or_default() += 1;
        }
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}

#[cfg(test)]
mod tests {
    use super::Minute;
    use crate::{time::Timestamp, top::tests::call};

    #[test]
    fn a_minute() {
        let mut minute = Minute::default();
        for second in 0..120 {
            let mut call = call(second, if second % 2 == 0 { 95 } else { 5 });
            call.ts = Timestamp::new(1_000 + second, 0);
            minute.count(&call);
        }
        assert_eq!(minute.seconds.len(), 60);
        assert_eq!(minute.rates(Timestamp::new(1_119, 0)), (60.0, 30.0));
        assert_eq!(minute.rates(Timestamp::new(1_149, 0)), (30.0, 15.0));
        assert_eq!(minute.rates(Timestamp::new(2_000, 0)), (0.0, 0.0));
    }
}
