//! Facts: what a call adds to a history, as another host of a cluster is told it. Keys
//! are hashes with the cluster's secret; nothing of a call stands in clear but the last
//! digits dialled, which sequences are told by.

use super::{
    CallKeys, History,
    dialog::{FORGOTTEN, PARTIES},
    elsewhere::Claim,
    entry::{Added, Outcome},
    keys,
};
use crate::{
    profiles::{Belongs, Evidence},
    time::Timestamp,
};

/// Something that happened at one host and counts at all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fact {
    /// A new call.
    Call(CallFact),
    /// How a call went on.
    Ended(EndedFact),
    /// What a call was, as somebody said.
    Labelled(LabelFact),
}

/// A new call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CallFact {
    /// Key of its Call-ID.
    pub dialog: u64,
    /// When its INVITE was seen.
    pub at: Timestamp,
    pub(crate) parties: [u64; PARTIES],
    pub(crate) few: [u64; 9],
    pub(crate) profile: u64,
    pub(crate) signature: u64,
    /// Of the hashes of caller, number, callee and header order the six bits that
    /// sketches of partners take.
    pub(crate) sketched: [u8; 4],
    pub(crate) dialled: u32,
    pub(crate) withheld: bool,
    pub(crate) night: bool,
    pub(crate) high_cost: bool,
    /// What the model said, 0–1.
    pub probability: f32,
    /// Id of a profile that begins with it.
    pub id: u64,
    /// Who is behind it.
    pub evidence: Evidence,
}

/// How a call went on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EndedFact {
    /// Key of its Call-ID.
    pub dialog: u64,
    /// When.
    pub at: Timestamp,
    pub(crate) parties: [u64; PARTIES],
    pub(crate) outcome: Outcome,
}

/// A label of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelFact {
    /// Key of its Call-ID.
    pub dialog: u64,
    /// When it was taken.
    pub at: Timestamp,
    pub(crate) profile: u64,
    pub(crate) signature: u64,
    pub(crate) fingerprint: u64,
    pub(crate) range: u64,
    /// Fraud, or genuine.
    pub fraud: bool,
    /// Whose it is; 0 is one's own organisation.
    pub organisation: u8,
}

/// What became of another host's fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merged {
    /// It counts.
    Counted,
    /// It is of a call that counts already: both hosts saw it, or a third one told.
    SameCall,
}

impl CallFact {
    /// Of a call's keys; what only the engine knows is filled in there.
    pub(crate) fn new(dialog: u64, keys: &CallKeys, at: Timestamp) -> Self {
        Self {
            dialog,
            at,
            parties: keys.parties(),
            few: keys.few(),
            profile: keys.profile,
            signature: keys.signature,
            sketched: [keys.caller, keys.shown(), keys.callee, keys.order]
                .map(|key| (key >> 58) as u8),
            dialled: keys.dialled,
            withheld: keys.withheld,
            night: keys.night,
            high_cost: keys.high_cost,
            probability: 0.0,
            id: 0,
            evidence: Evidence::default(),
        }
    }
}

impl Fact {
    /// When it happened.
    pub const fn at(&self) -> Timestamp {
        match self {
            Self::Call(fact) => fact.at,
            Self::Ended(fact) => fact.at,
            Self::Labelled(fact) => fact.at,
        }
    }

    /// Has it happen at another time.
    pub const fn set_at(&mut self, at: Timestamp) {
        match self {
            Self::Call(fact) => fact.at = at,
            Self::Ended(fact) => fact.at = at,
            Self::Labelled(fact) => fact.at = at,
        }
    }
}

impl History {
    /// Counts what another host told. A fact may be older than what was counted last:
    /// then it counts as much as is left of it.
    pub fn merge(&mut self, host: u64, fact: &Fact) -> Merged {
        match fact {
            Fact::Call(call) => self.merge_call(host, call),
            Fact::Ended(ended) => {
                if self.is_anothers(ended.dialog, host) {
                    return Merged::SameCall;
                }
                self.count_outcome(&ended.parties, ended.at, ended.outcome);
                Merged::Counted
            }
            Fact::Labelled(label) => {
                if self.is_anothers(label.dialog, host) {
                    return Merged::SameCall;
                }
                self.take_label(label);
                Merged::Counted
            }
        }
    }

    /// Whether a call is counted by this host itself, or by what a third one told.
    fn is_anothers(&mut self, dialog: u64, host: u64) -> bool {
        let own = self.dialogs.get(dialog).is_some_and(|known| known.is_own());
        let owner = self.elsewhere.as_ref().and_then(|calls| calls.owner(dialog));
        own || owner.is_some_and(|owner| owner != host)
    }

    fn merge_call(&mut self, host: u64, call: &CallFact) -> Merged {
        let here = self.dialogs.get(call.dialog).is_some_and(|known| {
            known.is_own() && call.at.apart(Timestamp(known.started)) < FORGOTTEN
        });
        if here {
            return Merged::SameCall;
        }
        if let Some(calls) = &mut self.elsewhere
            && calls.claim(call.dialog, host, call.at) == Claim::Again
        {
            return Merged::SameCall;
        }
        let at = call.at;
        let [caller, shown, callee, order] = call.sketched.map(|bits| u64::from(bits) << 58);
        for (party, key) in call.parties.into_iter().enumerate() {
            if key == 0 {
                continue;
            }
            let added = Added {
                partner: if party < 2 { callee } else { caller },
                dialled: if party < 2 { call.dialled } else { 0 },
                withheld: call.withheld,
                special: call.night && party < 2,
                high_cost: call.high_cost,
            };
            if let Some(entry) = self.entries.entry(key, at) {
                entry.value.merge(at, &added);
                entry.value.credit(entry.before);
            }
        }
        for key in call.few.into_iter().filter(|key| *key != 0) {
            if let Some(entry) = self.few.entry(key, at) {
                entry.value.merge(at, call.withheld);
                entry.value.credit(entry.before);
            }
        }
        self.everybody.merge(at, call.withheld);
        if call.profile != 0
            && let Some(entry) = self.profiles.entry(call.profile, at)
        {
            entry.value.count(at, shown, order, callee, call.signature);
            entry.value.scored(call.probability);
        }
        if let Some(callers) = &mut self.callers {
            let found = callers.find(&call.evidence, at);
            let _: Belongs = callers.take(&found, &call.evidence, call.id, at);
        }
        Merged::Counted
    }

    pub(super) fn count_outcome(
        &mut self,
        parties: &[u64; PARTIES],
        at: Timestamp,
        outcome: Outcome,
    ) {
        for party in parties {
            if *party != 0
                && let Some(entry) = self.entries.get(*party)
            {
                entry.outcome(at, outcome);
            }
        }
    }

    pub(super) fn take_label(&mut self, label: &LabelFact) {
        if let Some(profile) = self.profiles.get(label.profile) {
            profile.label(label.at, label.fraud, label.organisation);
        }
        if !label.fraud {
            return;
        }
        if self.fraud_signatures.len() < super::FRAUD_SIGNATURES {
            self.fraud_signatures.push(label.signature);
        } else {
            self.fraud_signatures[self.next_signature % super::FRAUD_SIGNATURES] = label.signature;
        }
        self.next_signature = (self.next_signature + 1) % super::FRAUD_SIGNATURES;
        for key in [label.fingerprint, label.range] {
            if key != 0 && (self.links.len() < super::LINKS || self.links.contains_key(&key)) {
                *self.links.entry(key).or_default() += 1;
            }
        }
    }
}

// Kinds of keys are mixed in before they travel.
const _: () = assert!(keys::of(keys::Kind::Caller, 1) != keys::of(keys::Kind::Callee, 1));
