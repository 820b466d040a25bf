//! One rule: its conditions as they are meant. [`super::compiled`] makes them fast, and
//! a test holds the two against each other.

use std::{
    net::IpAddr,
    sync::{Arc, atomic::AtomicU64},
};

use scorer_common::verdict::{Action, Level, Tag, Tags};

use super::{
    Facts, Response, Target,
    clock::{self, Zone},
    spans::Spans,
};
use crate::{
    lists::{List, ListSet},
    number::{Number, mask},
};

/// A rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Name.
    pub name: Box<str>,
    /// What it is for.
    pub comment: Box<str>,
    /// Only counted and shown.
    pub dry_run: bool,
    /// What is to be done with calls it matches.
    pub action: Action,
    /// How a call is refused, where it is.
    pub response: Response,
    /// Where a call is diverted to, where it is.
    pub target: Option<Target>,
    /// Line of the file, from 1.
    pub line: usize,
    pub(super) when: Conditions,
    /// Calls it decided, or would have; shared with the rule of this name in the policies
    /// before and after.
    pub(super) hits: Arc<AtomicU64>,
}

/// All of them must hold.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Conditions {
    pub(super) score: (u8, u8),
    /// A bit for each level.
    pub(super) levels: u8,
    pub(super) tags_any: Tags,
    pub(super) tags_all: Tags,
    pub(super) tags_none: Tags,
    pub(super) lists_any: ListSet,
    pub(super) lists_none: ListSet,
    pub(super) caller: Option<Numbers>,
    pub(super) network: Option<Numbers>,
    pub(super) callee: Option<Numbers>,
    pub(super) withheld: Option<bool>,
    pub(super) trunks: Option<Vec<Box<str>>>,
    pub(super) sources: Option<Sources>,
    pub(super) times: Option<Times>,
}

/// Every level.
pub(super) const LEVELS: u8 = 0b1111;

impl Default for Conditions {
    fn default() -> Self {
        Self {
            score: (0, 100),
            levels: LEVELS,
            tags_any: Tags::NONE,
            tags_all: Tags::NONE,
            tags_none: Tags::NONE,
            lists_any: ListSet::default(),
            lists_none: ListSet::default(),
            caller: None,
            network: None,
            callee: None,
            withheld: None,
            trunks: None,
            sources: None,
            times: None,
        }
    }
}

/// Numbers, by [`key`].
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Numbers {
    pub(super) spans: Spans<u64>,
    /// As written.
    pub(super) said: String,
}

/// Addresses.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sources {
    pub(super) v4: Spans<u32>,
    pub(super) v6: Spans<u128>,
    pub(super) said: String,
}

/// Minutes of the week.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Times {
    pub(super) zone: Arc<Zone>,
    pub(super) week: Spans<u16>,
    pub(super) said: String,
}

/// Where numbers begin that are dialled as they stand: short codes, and national ones
/// where no home country is configured.
pub(super) const AS_DIALLED: u64 = 1_000_000_000_000_000_000;

/// No number; in no set.
pub(super) const NO_NUMBER: u64 = u64::MAX;

/// A number as a key of [`Numbers`].
pub(super) fn key(number: Option<&Number>) -> u64 {
    match number {
        None => NO_NUMBER,
        Some(number) if number.is_full() => number.aligned(),
        Some(number) => AS_DIALLED + number.aligned(),
    }
}

/// One condition of a rule before one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The condition, in words.
    pub asks: String,
    /// What the call has.
    pub has: String,
    /// Whether it holds.
    pub holds: bool,
}

impl Conditions {
    /// Every condition that is set, before a call.
    pub(super) fn checks(&self, facts: &Facts<'_>, masked: bool) -> Vec<Check> {
        let mut checks = Vec::new();
        let mut check = |asks: String, has: String, holds| checks.push(Check { asks, has, holds });
        let (from, to) = self.score;
        if self.score != (0, 100) {
            let holds = (from..=to).contains(&facts.score);
            check(format!("score from {from} to {to}"), facts.score.to_string(), holds);
        }
        if self.levels != LEVELS {
            let names = Level::ALL.into_iter().filter(|level| self.levels & 1 << *level as u8 != 0);
            let asks = format!("level {}", joined(names.map(Level::name)));
            check(asks, facts.level.name().into(), self.levels & 1 << facts.level as u8 != 0);
        }
        let has = || joined(facts.tags.iter().map(Tag::name));
        let asks = |word: &str, tags: Tags| {
            format!("{word} of the tags {}", joined(tags.iter().map(Tag::name)))
        };
        let (any, all, none) = (self.tags_any, self.tags_all, self.tags_none);
        if any != Tags::NONE {
            check(asks("any", any), has(), facts.tags.0 & any.0 != 0);
        }
        if all != Tags::NONE {
            check(asks("all", all), has(), facts.tags.0 & all.0 == all.0);
        }
        if none != Tags::NONE {
            check(asks("none", none), has(), facts.tags.0 & none.0 == 0);
        }
        let has = || joined(facts.lists.iter().map(List::name));
        let asks = |word: &str, lists: ListSet| {
            format!("{word} of the lists {}", joined(lists.iter().map(List::name)))
        };
        if self.lists_any != ListSet::default() {
            check(asks("any", self.lists_any), has(), facts.lists.meets(self.lists_any));
        }
        if self.lists_none != ListSet::default() {
            check(asks("none", self.lists_none), has(), !facts.lists.meets(self.lists_none));
        }
        for (name, numbers, number) in [
            ("caller", &self.caller, facts.caller),
            ("network number", &self.network, facts.network),
            ("callee", &self.callee, facts.callee),
        ] {
            if let Some(numbers) = numbers {
                let asks = format!("{name} in {}", numbers.said);
                check(asks, shown(number, masked), numbers.spans.contains(key(number.as_ref())));
            }
        }
        if let Some(withheld) = self.withheld {
            let word = |withheld| if withheld { "withheld" } else { "shown" };
            let asks = format!("number {}", word(withheld));
            check(asks, word(facts.withheld).into(), facts.withheld == withheld);
        }
        if let Some(trunks) = &self.trunks {
            let holds = facts.trunk.is_some_and(|trunk| trunks.iter().any(|name| &**name == trunk));
            let asks = format!("trunk {}", joined(trunks.iter().map(|name| &**name)));
            check(asks, facts.trunk.unwrap_or("none").into(), holds);
        }
        if let Some(sources) = &self.sources {
            let asks = format!("source in {}", sources.said);
            check(asks, facts.source.to_string(), sources.contains(facts.source));
        }
        if let Some(times) = &self.times {
            let minute = times.zone.minute(facts.time);
            let has = format!("{} {}", clock::shown(minute), times.zone.name);
            check(format!("time {}", times.said), has, times.week.contains(minute));
        }
        checks
    }

    /// Whether every call that `other` matches is one that these match. May say no where
    /// it is so, never yes where it is not.
    pub(super) fn cover(&self, other: &Self) -> bool {
        let within = |a: u32, b: u32| a & !b == 0;
        let any = |mine: u32, theirs: u32, must: u32| {
            mine == 0 || must & mine != 0 || theirs != 0 && within(theirs, mine)
        };
        let numbers = |mine: &Option<Numbers>, theirs: &Option<Numbers>| match (mine, theirs) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(mine), Some(theirs)) => mine.spans.covers(&theirs.spans),
        };
        self.score.0 <= other.score.0
            && self.score.1 >= other.score.1
            && within(u32::from(other.levels), u32::from(self.levels))
            && any(self.tags_any.0, other.tags_any.0, other.tags_all.0)
            && within(self.tags_all.0, other.tags_all.0)
            && within(self.tags_none.0, other.tags_none.0)
            && any(self.lists_any.0.into(), other.lists_any.0.into(), 0)
            && within(self.lists_none.0.into(), other.lists_none.0.into())
            && (self.withheld.is_none() || self.withheld == other.withheld)
            && match (&self.trunks, &other.trunks) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(mine), Some(theirs)) => theirs.iter().all(|name| mine.contains(name)),
            }
            && match (&self.times, &other.times) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(mine), Some(theirs)) => {
                    mine.zone == theirs.zone && mine.week.covers(&theirs.week)
                }
            }
            && match (&self.sources, &other.sources) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(mine), Some(theirs)) => {
                    mine.v4.covers(&theirs.v4) && mine.v6.covers(&theirs.v6)
                }
            }
            && numbers(&self.caller, &other.caller)
            && numbers(&self.network, &other.network)
            && numbers(&self.callee, &other.callee)
    }
}

impl Sources {
    fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => self.v4.contains(v4.into()),
            IpAddr::V6(v6) => self.v6.contains(v6.into()),
        }
    }
}

fn joined<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn shown(number: Option<Number>, masked: bool) -> String {
    let Some(number) = number else { return "no number".to_owned() };
    let digits = String::from_utf8_lossy(number.as_bytes());
    let text = if number.is_full() { format!("+{digits}") } else { digits.into_owned() };
    if masked { mask(text.as_bytes()).to_string() } else { text }
}
