//! What is remembered of past calls: decayed counters and dialogs, in bounded
//! memory.
//!
//! Time is the packets' own. Keys are hashes; no number is kept.

mod counters;
mod dialog;
mod pages;
mod table;

use std::{
    hash::{BuildHasher as _, Hasher as _},
    net::IpAddr,
};

use foldhash::quality::SeedableRandomState;

use crate::time::Timestamp;
use counters::{Counts, Known, Outcome, Own, Pace};
use dialog::Dialog;
use table::Table;

pub use dialog::{Event, Seen};

/// A call shorter than this, from answer or, unanswered, from INVITE, is brief.
pub const BRIEF: f64 = 6.0;

const CALLER: Pace = Pace { short: 60.0, long: 3600.0, period: 3600 };
const CALLEE: Pace = Pace { short: 60.0, long: 3600.0, period: 600 };
const SOURCE: Pace = Pace { short: 10.0, long: 60.0, period: 3600 };
const PAIR: Pace = Pace { short: 60.0, long: 3600.0, period: 3600 };

/// Sizes of the tables, entries (64 bytes each and 8 for the key).
#[derive(Clone, Debug)]
pub struct HistoryConfig {
    /// Callers, and as many callees.
    pub callers: usize,
    /// Source addresses.
    pub sources: usize,
    /// Pairs of caller and callee.
    pub pairs: usize,
    /// Dialogs under way or lately ended.
    pub dialogs: usize,
    /// Whether every key has a secret of this process in it, so that nobody can
    /// pick Call-IDs or numbers whose keys fall together or drive others out. Without,
    /// every run gives the same, to the last eviction.
    pub secret: bool,
}

impl Default for HistoryConfig {
    fn default() -> Self {
        Self { callers: 1 << 18, sources: 1 << 14, pairs: 1 << 18, dialogs: 1 << 17, secret: false }
    }
}

/// Who calls whom from where; hashes, 0 where unknown.
#[derive(Clone, Copy, Debug)]
pub struct CallKeys {
    /// Network number, else number shown, else source and user.
    pub caller: u64,
    /// Number or user called.
    pub callee: u64,
    /// Both.
    pub pair: u64,
    /// Source address.
    pub source: u64,
    /// Header fingerprint at this source.
    pub fingerprint: u64,
    /// The number is withheld.
    pub withheld: bool,
}

/// What was known before a call.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the features of these names document them")]
pub struct Recall {
    pub caller_1m: f32,
    pub caller_1h: f32,
    pub callee_1m: f32,
    pub callee_1h: f32,
    pub source_10s: f32,
    pub source_1m: f32,
    pub pair_1h: f32,
    pub withheld_to_callee_1h: f32,
    pub caller_since_last: Option<f32>,
    pub caller_distinct_callees: f32,
    pub callee_distinct_callers: f32,
    pub caller_answered: Option<f32>,
    pub caller_short: Option<f32>,
    pub caller_failed: Option<f32>,
    pub source_failed: Option<f32>,
    pub fingerprint_new: Option<bool>,
}

/// Counters of callers, callees, sources and pairs, and the dialogs under way.
#[derive(Debug)]
pub struct History {
    callers: Table<Counts>,
    callees: Table<Counts>,
    sources: Table<Counts>,
    pairs: Table<Counts>,
    withheld: Table<Counts>,
    fingerprints: Table<Counts>,
    dialogs: Table<Dialog>,
    hashes: SeedableRandomState,
}

impl History {
    /// A history that knows nothing.
    pub fn new(config: &HistoryConfig) -> Self {
        Self {
            callers: Table::new(config.callers),
            callees: Table::new(config.callers),
            sources: Table::new(config.sources),
            pairs: Table::new(config.pairs),
            withheld: Table::new(config.callers / 4),
            fingerprints: Table::new(config.sources * 4),
            dialogs: Table::new(config.dialogs),
            hashes: if config.secret {
                SeedableRandomState::random()
            } else {
                SeedableRandomState::fixed()
            },
        }
    }

    /// Key of a byte string, never 0; `kind` keeps kinds apart.
    pub fn key(&self, kind: u8, bytes: &[u8]) -> u64 {
        let mut hasher = self.hashes.build_hasher();
        hasher.write_u8(kind);
        hasher.write(bytes);
        hasher.finish() | 1
    }

    /// Key of an address.
    pub fn address_key(&self, address: IpAddr) -> u64 {
        self.hashes.hash_one(address) | 1
    }

    /// Key of two keys.
    pub fn join(&self, a: u64, b: u64) -> u64 {
        self.hashes.hash_one((a, b)) | 1
    }

    /// Entries that made room for others, over all tables.
    pub fn evicted(&self) -> u64 {
        [
            &self.callers,
            &self.callees,
            &self.sources,
            &self.pairs,
            &self.withheld,
            &self.fingerprints,
        ]
        .iter()
        .map(|table| table.evicted)
        .sum::<u64>()
            + self.dialogs.evicted
    }

    /// Entries there is room for, over all tables.
    pub fn capacity(&self) -> usize {
        [
            &self.callers,
            &self.callees,
            &self.sources,
            &self.pairs,
            &self.withheld,
            &self.fingerprints,
        ]
        .iter()
        .map(|table| table.capacity())
        .sum::<usize>()
            + self.dialogs.capacity()
    }

    /// Has the memory on its way that [`Self::invite`] will need: call it as soon as
    /// the keys are known, and do something else before.
    pub fn prefetch(&self, dialog: u64, keys: &CallKeys) {
        self.dialogs.prefetch_keys(dialog);
        self.callers.prefetch_keys(keys.caller);
        self.callees.prefetch_keys(keys.callee);
        self.sources.prefetch_keys(keys.source);
        self.pairs.prefetch_keys(keys.pair);
        self.withheld.prefetch_keys(keys.callee);
        self.fingerprints.prefetch_keys(keys.fingerprint);
    }

    /// What was known before a call, which is counted; and whether caller and callee
    /// are new to each other.
    fn recall_and_count(&mut self, keys: &CallKeys, now: Timestamp) -> (Recall, [bool; 2]) {
        self.callers.prefetch_value(keys.caller);
        self.callees.prefetch_value(keys.callee);
        self.sources.prefetch_value(keys.source);
        self.pairs.prefetch_value(keys.pair);
        self.fingerprints.prefetch_value(keys.fingerprint);
        let visit = |table: &mut Table<Counts>, key: u64, pace, partner| {
            let (counts, was_there) = table.entry(key);
            let known = was_there.then(|| counts.known(now, pace, None));
            let new = counts.count(now, pace, partner);
            (known, new)
        };
        let withheld = if keys.withheld {
            visit(&mut self.withheld, keys.callee, PAIR, keys.caller).0
        } else {
            self.withheld.get(keys.callee).map(|counts| counts.known(now, PAIR, None))
        };
        let (caller, new_callee) = visit(&mut self.callers, keys.caller, CALLER, keys.callee);
        let (callee, new_caller) = visit(&mut self.callees, keys.callee, CALLEE, keys.caller);
        let looked = Looked {
            caller,
            callee,
            source: visit(&mut self.sources, keys.source, SOURCE, keys.callee).0,
            pair: visit(&mut self.pairs, keys.pair, PAIR, 0).0,
            withheld,
            fingerprint: visit(&mut self.fingerprints, keys.fingerprint, PAIR, 0).0.is_some(),
        };
        (looked.recall(true), [new_callee, new_caller])
    }

    /// What is known before a further attempt of a call whose first one was counted
    /// `seconds` ago; `new` as [`Self::recall_and_count`] said then.
    fn recall(
        &mut self,
        keys: &CallKeys,
        now: Timestamp,
        seconds: f64,
        [new_callee, new_caller]: [bool; 2],
    ) -> Recall {
        let own = |new_partner| Some(Own { seconds, new_partner });
        let known = |table: &mut Table<Counts>, key: u64, pace, own| {
            table.get(key).map(|counts| counts.known(now, pace, own))
        };
        let withheld = own(false).filter(|_| keys.withheld);
        Looked {
            caller: known(&mut self.callers, keys.caller, CALLER, own(new_callee)),
            callee: known(&mut self.callees, keys.callee, CALLEE, own(new_caller)),
            source: known(&mut self.sources, keys.source, SOURCE, own(false)),
            pair: known(&mut self.pairs, keys.pair, PAIR, own(false)),
            withheld: known(&mut self.withheld, keys.callee, PAIR, withheld),
            fingerprint: self.fingerprints.get(keys.fingerprint).is_some(),
        }
        .recall(false)
    }

    fn outcome(&mut self, caller: u64, source: u64, now: Timestamp, outcome: Outcome) {
        if let Some(counts) = self.callers.get(caller) {
            counts.outcome(now, CALLER, outcome);
        }
        if let Some(counts) = self.sources.get(source) {
            counts.outcome(now, SOURCE, outcome);
        }
    }
}

/// What the tables had for a call.
struct Looked {
    caller: Option<Known>,
    callee: Option<Known>,
    source: Option<Known>,
    pair: Option<Known>,
    withheld: Option<Known>,
    fingerprint: bool,
}

impl Looked {
    /// `first`: the call is not among what was counted.
    fn recall(&self, first: bool) -> Recall {
        let c = self.caller.unwrap_or_default();
        let e = self.callee.unwrap_or_default();
        let s = self.source.unwrap_or_default();
        let counted = |known: &Known| first || known.long > 0.01;
        Recall {
            caller_1m: c.short,
            caller_1h: c.long,
            callee_1m: e.short,
            callee_1h: e.long,
            source_10s: s.short,
            source_1m: s.long,
            pair_1h: self.pair.unwrap_or_default().long,
            withheld_to_callee_1h: self.withheld.unwrap_or_default().long,
            caller_since_last: self.caller.filter(counted).map(|known| known.since_last),
            caller_distinct_callees: c.partners,
            callee_distinct_callers: e.partners,
            caller_answered: c.answered,
            caller_short: c.brief,
            caller_failed: c.failed,
            source_failed: s.failed,
            fingerprint_new: self.source.is_some().then_some(!self.fingerprint),
        }
    }
}

#[cfg(test)]
mod tests;
