//! Rules as calls are held against them: no allocation, a few tens of nanoseconds.
//!
//! What a call has one of (a score, a caller, a callee, a source, a minute …) is looked
//! up once, and gives a row of bits: the rules that it does not rule out. The rows are
//! joined with AND, and of the few rules left the tags and lists are compared, in their
//! order. (The bit vector scheme of packet classification: Lakshman and Stiliadis,
//! SIGCOMM 1998.)

use std::{collections::HashMap, net::IpAddr};

use super::{
    Facts, Rule,
    clock::Zone,
    rule::{self, Conditions, NO_NUMBER, Numbers},
    spans::{Key, Spans},
};
use crate::steps::Steps;

/// Bits of a row in one word.
const WORD: usize = u64::BITS as usize;
/// Rows that may be joined for a call: score, level, four of numbers and whether they
/// are shown, trunk, source, and a minute in each of a few zones.
const JOINED: usize = 16;
/// Zones at most.
pub(super) const ZONES: usize = JOINED - 8;

/// What is left to compare of a rule.
#[derive(Clone, Copy, Debug)]
struct Rest {
    any: u32,
    all: u32,
    none: u32,
    lists_any: u16,
    lists_none: u16,
}

/// The rules.
#[derive(Debug)]
pub(super) struct Compiled {
    /// Words of a row.
    words: usize,
    /// Rows, one behind the other; the first has every rule.
    rows: Box<[u64]>,
    rest: Box<[Rest]>,
    score: Box<[u32]>,
    level: Box<[u32]>,
    withheld: [u32; 2],
    caller: Option<Steps<u64>>,
    network: Option<Steps<u64>>,
    callee: Option<Steps<u64>>,
    sources: Option<(Steps<u32>, Steps<u128>)>,
    /// Names of trunks, and the row of each; the last row is of others and none.
    trunks: Option<Trunks>,
    times: Box<[(Zone, Steps<u16>)]>,
}

/// Names, and the row of each.
type Trunks = (Box<[Box<str>]>, Box<[u32]>);

impl Compiled {
    pub(super) fn new(rules: &[Rule]) -> Self {
        let mut rows = Rows::new(rules.len());
        let all = |which: &dyn Fn(&Conditions) -> bool| -> Vec<u64> {
            let mut row = vec![0; rules.len().div_ceil(WORD).max(1)];
            for (i, _) in rules.iter().enumerate().filter(|(_, rule)| which(&rule.when)) {
                row[i / WORD] |= 1 << (i % WORD);
            }
            row
        };
        let score = (0..=100)
            .map(|score| rows.number(all(&|when| (when.score.0..=when.score.1).contains(&score))));
        let score = score.collect();
        let level =
            (0..4).map(|level| rows.number(all(&|when| when.levels & 1 << level != 0))).collect();
        let withheld = [false, true].map(|is| rows.number(all(&|when| when.withheld != Some(!is))));
        let mut numbers = |of: fn(&Conditions) -> Option<&Numbers>| {
            let sets: Vec<_> =
                rules.iter().map(|rule| of(&rule.when).map(|numbers| &numbers.spans)).collect();
            rows.steps(&sets)
        };
        let caller = numbers(|when| when.caller.as_ref());
        let network = numbers(|when| when.network.as_ref());
        let callee = numbers(|when| when.callee.as_ref());
        let v4: Vec<_> =
            rules.iter().map(|rule| rule.when.sources.as_ref().map(|s| &s.v4)).collect();
        let v6: Vec<_> =
            rules.iter().map(|rule| rule.when.sources.as_ref().map(|s| &s.v6)).collect();
        let sources = rows.steps(&v4).zip(rows.steps(&v6));
        let mut names: Vec<Box<str>> =
            rules.iter().filter_map(|rule| rule.when.trunks.as_ref()).flatten().cloned().collect();
        names.sort_unstable();
        names.dedup();
        let trunks = (!names.is_empty()).then(|| {
            let of = |name: Option<&Box<str>>| {
                all(&|when| {
                    let named =
                        |trunks: &Vec<Box<str>>| name.is_some_and(|name| trunks.contains(name));
                    when.trunks.as_ref().is_none_or(named)
                })
            };
            let mut numbers: Vec<u32> =
                names.iter().map(|name| rows.number(of(Some(name)))).collect();
            numbers.push(rows.number(of(None)));
            (names.into(), numbers.into())
        });
        let mut zones: Vec<&Zone> = Vec::new();
        for times in rules.iter().filter_map(|rule| rule.when.times.as_ref()) {
            if !zones.contains(&&*times.zone) {
                zones.push(&times.zone);
            }
        }
        let times = zones.into_iter().filter_map(|zone| {
            let in_zone = |rule: &'_ Rule| {
                let times = rule.when.times.as_ref().filter(|times| *times.zone == *zone);
                times.map(|times| times.week.clone())
            };
            let weeks: Vec<_> = rules.iter().map(in_zone).collect();
            let sets: Vec<_> = weeks.iter().map(Option::as_ref).collect();
            Some((zone.clone(), rows.steps(&sets)?))
        });
        let times = times.collect();
        let rest = rules.iter().map(|rule| Rest {
            any: rule.when.tags_any.0,
            all: rule.when.tags_all.0,
            none: rule.when.tags_none.0,
            lists_any: rule.when.lists_any.0,
            lists_none: rule.when.lists_none.0,
        });
        Self {
            words: rows.words,
            rest: rest.collect(),
            rows: rows.all.into(),
            score,
            level,
            withheld,
            caller,
            network,
            callee,
            sources,
            trunks,
            times,
        }
    }

    /// Calls `each` with the numbers of the rules that match, in their order, until it
    /// says that this was enough.
    pub(super) fn matching(&self, facts: &Facts<'_>, mut each: impl FnMut(usize) -> bool) {
        let mut joined = [0u32; JOINED];
        let mut count = 0;
        let mut join = |row: u32| {
            // Row 0 has every rule, and rules nothing out.
            if row != 0 && count < JOINED {
                joined[count] = row;
                count += 1;
            }
        };
        join(self.score[usize::from(facts.score.min(100))]);
        join(self.level[facts.level as usize & 3]);
        join(self.withheld[usize::from(facts.withheld)]);
        for (steps, number) in [
            (&self.caller, &facts.caller),
            (&self.network, &facts.network),
            (&self.callee, &facts.callee),
        ] {
            if let Some(steps) = steps {
                join(steps.at(rule::key(number.as_ref())));
            }
        }
        if let Some((v4, v6)) = &self.sources {
            join(match facts.source {
                IpAddr::V4(address) => v4.at(address.into()),
                IpAddr::V6(address) => v6.at(address.into()),
            });
        }
        if let Some((names, rows)) = &self.trunks {
            let known =
                facts.trunk.and_then(|trunk| names.iter().position(|name| **name == *trunk));
            join(rows[known.unwrap_or(names.len())]);
        }
        for (zone, steps) in &self.times {
            join(steps.at(zone.minute(facts.time)));
        }
        for word in 0..self.words {
            let row = |row: u32| self.rows[row as usize * self.words + word];
            let mut left = joined[..count].iter().fold(row(0), |left, joined| left & row(*joined));
            while left != 0 {
                let number = word * WORD + left.trailing_zeros() as usize;
                left &= left - 1;
                if self.rest[number].holds(facts) && each(number) {
                    return;
                }
            }
        }
    }
}

impl Rest {
    fn holds(&self, facts: &Facts<'_>) -> bool {
        let (tags, lists) = (facts.tags.0, facts.lists.0);
        (self.any == 0 || tags & self.any != 0)
            && tags & self.all == self.all
            && tags & self.none == 0
            && (self.lists_any == 0 || lists & self.lists_any != 0)
            && lists & self.lists_none == 0
    }
}

/// Rows that differ, with their numbers.
struct Rows {
    words: usize,
    all: Vec<u64>,
    known: HashMap<Vec<u64>, u32>,
}

impl Rows {
    fn new(rules: usize) -> Self {
        let words = rules.div_ceil(WORD).max(1);
        let mut rows = Self { words, all: Vec::new(), known: HashMap::new() };
        let mut every = vec![0; words];
        (0..rules).for_each(|i| every[i / WORD] |= 1 << (i % WORD));
        rows.number(every);
        rows
    }

    fn number(&mut self, row: Vec<u64>) -> u32 {
        let next = (self.all.len() / self.words) as u32;
        *self.known.entry(row).or_insert_with_key(|row| {
            self.all.extend_from_slice(row);
            next
        })
    }

    /// The rules that a key leaves, given each rule's set of keys; those without a set
    /// are always left. `None` where no rule has one.
    fn steps<K: Key>(&mut self, sets: &[Option<&Spans<K>>]) -> Option<Steps<K>> {
        if sets.iter().all(Option::is_none) {
            return None;
        }
        let mut row = vec![0; self.words];
        let mut changes = Vec::new();
        for (i, set) in sets.iter().enumerate() {
            match set {
                None => row[i / WORD] |= 1 << (i % WORD),
                Some(set) => {
                    for (first, last) in set.iter() {
                        changes.push((first, i));
                        // Both ends change the bit: spans of a set do not touch.
                        if let Some(after) = last.after() {
                            changes.push((after, i));
                        }
                    }
                }
            }
        }
        changes.sort_unstable_by_key(|(key, _)| *key);
        let before = self.number(row.clone());
        let mut steps = Vec::with_capacity(changes.len());
        for same in changes.chunk_by(|(a, _), (b, _)| a == b) {
            for (_, i) in same {
                row[i / WORD] ^= 1 << (i % WORD);
            }
            steps.push((same[0].0, self.number(row.clone())));
        }
        Some(Steps::new(steps, before))
    }
}

/// No number stands in any span.
const _: () = assert!(NO_NUMBER > 2 * rule::AS_DIALLED);
