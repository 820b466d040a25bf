//! What is remembered of past calls, in bounded memory: decayed counts, outcomes,
//! rhythm, profiles, dialogs.
//!
//! Time is the packets' own. Keys are hashes with a secret; no number is kept.

mod decay;
mod dialog;
mod elsewhere;
mod entry;
mod facts;
mod keys;
mod marks;
pub(crate) mod pages;
mod profile;
mod sketch;
mod small;
mod snapshot;
pub(crate) mod table;

use std::{
    hash::{BuildHasher as _, Hasher as _},
    net::IpAddr,
};

use foldhash::{SharedSeed, quality::SeedableRandomState};
use hashbrown::HashMap;

use crate::{profiles::Profiles, time::Timestamp};
use dialog::{Dialog, PARTIES};
use elsewhere::Elsewhere;
use entry::{Added, Entry, Own};
use profile::Profile;
use small::Small;
use table::{Aged, Table};

pub use decay::HALF_LIVES;
pub use dialog::{Change, Event, Progress, Ringing, Seen, Taken};
pub use entry::Known;
pub(crate) use entry::Outcome;
pub use facts::{CallFact, EndedFact, Fact, LabelFact, Merged};
pub use keys::CallKeys;
pub use marks::{HOSTS, Mark, Marks};
pub(crate) use pages::prefetch;
pub use profile::Person;
pub use small::Few;
pub use snapshot::{Cursor, SnapshotError, Writer, save};

/// A call shorter than this, from answer or, unanswered, from INVITE, is brief.
pub const BRIEF: f64 = 6.0;

/// Signatures of confirmed fraud that calls are compared with.
const FRAUD_SIGNATURES: usize = 256;
/// Keys that confirmed fraud is linked to.
const LINKS: usize = 1 << 16;

/// Size of the history.
#[derive(Clone, Debug)]
pub struct HistoryConfig {
    /// Bytes it may take.
    pub bytes: usize,
    /// Bytes that the profiles of callers may take beside it; 0 for none.
    pub profile_bytes: usize,
    /// Whether every key has a secret of this process in it, so that nobody can
    /// pick Call-IDs or numbers whose keys fall together or drive others out. Without,
    /// every run gives the same, to the last eviction.
    pub secret: bool,
    /// The secret that all hosts of a cluster hash with, so that a key is the same at
    /// each of them; `None` outside a cluster.
    pub shared: Option<[u64; 2]>,
}

impl Default for HistoryConfig {
    fn default() -> Self {
        Self { bytes: 256 << 20, profile_bytes: 64 << 20, secret: false, shared: None }
    }
}

/// What was known before a call.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the keys of these names document them")]
pub struct Recall {
    pub caller: Known,
    pub network: Known,
    pub callee: Known,
    pub source: Known,
    pub trunk: Known,
    pub fingerprint: Known,
    pub pair: Few,
    pub range: Few,
    pub country: Few,
    pub origid: Few,
    pub order: Few,
    pub agent: Few,
    pub codecs: Few,
    pub agent_order: Few,
    pub agent_sdp: Few,
    /// Calls of everybody, half-life of a day.
    pub everybody: f32,
    pub person: Person,
    /// Likeness to the nearest signature of confirmed fraud; NaN without any.
    pub fraud_likeness: f32,
    /// Confirmed fraud calls of the same fingerprint at the same source, or the same
    /// range of numbers.
    pub linked_fraud: f32,
}

impl Default for Recall {
    fn default() -> Self {
        let (known, few) = (Known::NONE, Few::NONE);
        Self {
            caller: known,
            network: known,
            callee: known,
            source: known,
            trunk: known,
            fingerprint: known,
            pair: few,
            range: few,
            country: few,
            origid: few,
            order: few,
            agent: few,
            codecs: few,
            agent_order: few,
            agent_sdp: few,
            everybody: 0.0,
            person: Person::NEW,
            fraud_likeness: f32::NAN,
            linked_fraud: 0.0,
        }
    }
}

/// Counters of callers, callees, sources and the like, profiles, and the dialogs
/// under way.
#[derive(Debug)]
pub struct History {
    entries: Table<Entry>,
    few: Table<Small>,
    profiles: Table<Profile>,
    dialogs: Table<Dialog>,
    everybody: Small,
    fraud_signatures: Vec<u64>,
    /// Where the next signature goes once all places are taken.
    next_signature: usize,
    links: HashMap<u64, u32>,
    secret: [u64; 2],
    hashes: SeedableRandomState,
    /// Who is behind calls, whatever numbers they show.
    pub(crate) callers: Option<Profiles>,
    /// Calls that other hosts of a cluster told of.
    elsewhere: Option<Elsewhere>,
    /// How much of the hosts' facts is counted.
    pub(crate) marks: Marks,
}

impl History {
    /// A history that knows nothing.
    pub fn new(config: &HistoryConfig) -> Self {
        let secret = if let Some(shared) = config.shared {
            shared
        } else if config.secret {
            // Two numbers of the standard library's own random state.
            let state = std::hash::RandomState::new();
            [state.hash_one(1), state.hash_one(2)]
        } else {
            [0x5c0_7e7, 0x5c0_7e8]
        };
        Self::with_secret(config, secret)
    }

    fn with_secret(config: &HistoryConfig, secret: [u64; 2]) -> Self {
        // What a call adds: six entries and nine of few counts, of which many are
        // shared; a dialog and a profile.
        let part = |hundredths: usize| config.bytes / 100 * hundredths;
        Self {
            entries: Table::new(part(56)),
            few: Table::new(part(24)),
            profiles: Table::new(part(10)),
            dialogs: Table::new(part(10)),
            everybody: bytemuck::Zeroable::zeroed(),
            fraud_signatures: Vec::new(),
            next_signature: 0,
            links: HashMap::new(),
            secret,
            hashes: seeded(secret),
            callers: (config.profile_bytes > 0).then(|| Profiles::new(config.profile_bytes)),
            elsewhere: config.shared.map(|_| Elsewhere::new()),
            marks: if config.shared.is_some() { Marks::new() } else { Marks::default() },
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

    /// Key of two keys; 0 where one of them is.
    pub fn join(&self, a: u64, b: u64) -> u64 {
        if a == 0 || b == 0 { 0 } else { self.hashes.hash_one((a, b)) | 1 }
    }

    /// Entries that made room for others, over all tables.
    pub fn evicted(&self) -> u64 {
        let callers = self.callers.as_ref().map_or(0, |callers| callers.evicted);
        self.entries.evicted
            + self.few.evicted
            + self.profiles.evicted
            + self.dialogs.evicted
            + callers
    }

    /// New keys that were not let in, over all tables: a flood of numbers that call
    /// once does this.
    pub fn refused(&self) -> u64 {
        self.entries.refused + self.few.refused + self.profiles.refused
    }

    /// Entries there is room for, over all tables.
    pub fn capacity(&self) -> usize {
        self.entries.capacity()
            + self.few.capacity()
            + self.profiles.capacity()
            + self.dialogs.capacity()
    }

    /// Takes all of its memory now, so that no call waits for it.
    pub fn populate(&self) {
        self.entries.populate();
        self.few.populate();
        self.profiles.populate();
        self.dialogs.populate();
        if let Some(callers) = &self.callers {
            callers.populate();
        }
    }

    /// Bytes it takes when all of it has been used.
    pub fn bytes(&self) -> usize {
        self.entries.bytes() + self.few.bytes() + self.profiles.bytes() + self.dialogs.bytes()
    }

    /// Has the keys on their way that [`Self::invite`] will compare: call it as soon as
    /// the call's are known, do something else, and then [`Self::prefetch_values`].
    pub fn prefetch(&self, dialog: u64, keys: &CallKeys) {
        self.dialogs.prefetch_keys(dialog);
        for key in keys.parties() {
            self.entries.prefetch_keys(key);
        }
        for key in keys.few() {
            self.few.prefetch_keys(key);
        }
        self.profiles.prefetch_keys(keys.profile);
    }

    /// Has what stands behind the keys on its way, too: do something else once more
    /// before [`Self::invite`].
    pub fn prefetch_values(&self, dialog: u64, keys: &CallKeys) {
        self.dialogs.prefetch_value(dialog);
        for key in keys.parties() {
            self.entries.prefetch_value(key);
        }
        for key in keys.few() {
            self.few.prefetch_value(key);
        }
        self.profiles.prefetch_value(keys.profile);
    }

    /// Writes to `recall` what was known before a call, and counts it; whether each
    /// party's partner is new to it.
    fn recall_and_count(
        &mut self,
        keys: &CallKeys,
        now: Timestamp,
        recall: &mut Recall,
    ) -> [bool; PARTIES] {
        let (parties, few) = (keys.parties(), keys.few());
        let mut new_partners = [false; PARTIES];
        for (party, known) in recall.parties_mut().into_iter().enumerate() {
            *known = Known::NONE;
            if parties[party] == 0 {
                continue;
            }
            *known = Known::NEW;
            // A callee, a source's and a fingerprint's partners are callers.
            let partner = if party < 2 { keys.callee } else { keys.caller };
            let added = Added {
                partner,
                dialled: if party < 2 { keys.dialled } else { 0 },
                withheld: keys.withheld,
                special: keys.night && party < 2,
                high_cost: keys.high_cost,
            };
            if let Some(entry) = self.entries.entry(parties[party], now) {
                (*known, new_partners[party]) = entry.value.visit(now, &added);
                entry.value.credit(entry.before);
            }
        }
        for (key, known) in few.into_iter().zip(recall.few_mut()) {
            *known = Few::NONE;
            if key == 0 {
                continue;
            }
            *known = Few::NEW;
            if let Some(entry) = self.few.entry(key, now) {
                if entry.known {
                    *known = entry.value.known(now, None);
                }
                entry.value.count(now, keys.withheld);
                entry.value.credit(entry.before);
            }
        }
        recall.everybody = self.everybody.known(now, None).calls[decay::DAY];
        self.everybody.count(now, keys.withheld);
        self.recall_person(keys, now, false, recall);
        if let Some(entry) = self.profiles.entry(keys.profile, now) {
            entry.value.count(now, keys.shown(), keys.order, keys.callee, keys.signature);
        }
        new_partners
    }

    /// The same before a further attempt of a call whose first one was counted.
    fn recall(
        &mut self,
        keys: &CallKeys,
        now: Timestamp,
        own: &[Own; PARTIES],
        recall: &mut Recall,
    ) {
        let parties = keys.parties();
        for (party, known) in recall.parties_mut().into_iter().enumerate() {
            *known = match (parties[party], self.entries.get(parties[party])) {
                (0, _) => Known::NONE,
                (_, None) => Known::NEW,
                (_, Some(entry)) => entry.known(now, Some(own[party])),
            };
        }
        for (key, known) in keys.few().into_iter().zip(recall.few_mut()) {
            *known = match (key, self.few.get(key)) {
                (0, _) => Few::NONE,
                (_, None) => Few::NEW,
                (_, Some(entry)) => entry.known(now, Some(own[0].seconds)),
            };
        }
        recall.everybody = self.everybody.known(now, Some(own[0].seconds)).calls[decay::DAY];
        self.recall_person(keys, now, true, recall);
    }

    fn recall_person(&mut self, keys: &CallKeys, now: Timestamp, again: bool, recall: &mut Recall) {
        let signature = keys.signature;
        recall.person = self
            .profiles
            .get(keys.profile)
            .map_or(Person::NEW, |profile| profile.known(now, signature, again));
        let likest = self
            .fraud_signatures
            .iter()
            .map(|fraud| (fraud ^ signature).count_ones())
            .min()
            .map(|away| 1.0 - away as f32 / 64.0);
        recall.fraud_likeness = likest.unwrap_or(f32::NAN);
        recall.linked_fraud = if self.links.is_empty() {
            0.0
        } else {
            [keys::of(keys::Kind::Fingerprint, keys.fingerprint), keys.range]
                .iter()
                .map(|key| self.links.get(key).copied().unwrap_or(0))
                .max()
                .unwrap_or(0) as f32
        };
    }

    fn retransmitted(&mut self, source: u64, now: Timestamp) {
        if let Some(entry) = self.entries.get(keys::of(keys::Kind::Source, source)) {
            entry.retransmitted(now);
        }
    }

    /// Remembers the score a call got, for its caller's profile.
    pub fn scored(&mut self, profile: u64, probability: f32) {
        if let Some(profile) = self.profiles.get(profile) {
            profile.scored(probability);
        }
    }

    /// Takes a label for a call that is still remembered as a dialog, given by an
    /// organisation (0 is one's own; at most 31). What the other hosts of a cluster shall
    /// count, and whether it is this one that tells; `None` when the call is not known.
    pub fn label(
        &mut self,
        dialog: u64,
        fraud: bool,
        organisation: u8,
        now: Timestamp,
    ) -> Option<(LabelFact, bool)> {
        let known = self.dialogs.get(dialog).copied()?;
        let label = LabelFact {
            dialog,
            at: now,
            profile: known.profile,
            signature: known.signature,
            fingerprint: known.fingerprint(),
            range: known.range,
            fraud,
            organisation,
        };
        let own = known.is_own();
        if own {
            self.take_label(&label);
        }
        Some((label, own))
    }

    /// How much of the hosts' facts is counted.
    pub const fn marks(&self) -> &Marks {
        &self.marks
    }
}

/// The hash functions of a secret. `SharedSeed` wants to live for ever: there is one
/// history in a process, in tests a few.
fn seeded(secret: [u64; 2]) -> SeedableRandomState {
    let shared: &'static SharedSeed = Box::leak(Box::new(SharedSeed::from_u64(secret[0])));
    SeedableRandomState::with_seed(secret[1], shared)
}

impl Recall {
    /// In the order of [`CallKeys::parties`].
    fn parties_mut(&mut self) -> [&mut Known; PARTIES] {
        [
            &mut self.caller,
            &mut self.network,
            &mut self.callee,
            &mut self.source,
            &mut self.trunk,
            &mut self.fingerprint,
        ]
    }

    /// In the order of [`CallKeys::few`].
    fn few_mut(&mut self) -> [&mut Few; 9] {
        [
            &mut self.pair,
            &mut self.range,
            &mut self.country,
            &mut self.origid,
            &mut self.order,
            &mut self.agent,
            &mut self.codecs,
            &mut self.agent_order,
            &mut self.agent_sdp,
        ]
    }
}

#[cfg(test)]
mod merging;
#[cfg(test)]
mod tests;
