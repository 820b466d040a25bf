//! Callers as persons: whatever numbers and signalling they use. A profile's key is
//! the network's number, else the number shown, else the signalling and where it
//! comes from.

use bytemuck::{Pod, Zeroable};

use super::{sketch::linear_count, table::Aged};
use crate::time::Timestamp;

/// What is remembered of a caller.
#[derive(Clone, Copy, Debug, Zeroable, Pod)]
#[repr(C)]
pub(super) struct Profile {
    last: u64,
    /// Bits for linear counting, of ever.
    numbers: u64,
    fingerprints: u64,
    callees: u64,
    /// How its last call was signalled, see [`super::CallKeys::signature`].
    signature: u64,
    calls: u32,
    /// First call and last label, seconds since 1970.
    first: u32,
    last_label: u32,
    /// Labels given to its calls.
    fraud: u32,
    genuine: u32,
    /// Mean of its scores, exponentially weighted; 0–1.
    risk: f32,
    /// One bit for each organisation that confirmed fraud.
    organisations: u32,
    spare: u32,
}

const _: () = assert!(size_of::<Profile>() == 72);

impl Aged for Profile {
    const BY_FREQUENCY: bool = true;

    fn worth(&self, _: Timestamp) -> f32 {
        // What somebody has labelled is worth more than any number of calls.
        self.calls as f32 + 1_000.0 * (self.fraud + self.genuine).min(1_000) as f32
    }
}

/// What a caller was before a call.
#[derive(Clone, Copy, Debug)]
pub struct Person {
    /// Seconds since the first call; NaN before it.
    pub age: f32,
    /// Calls ever.
    pub calls: f32,
    /// Numbers used.
    pub numbers: f32,
    /// Header fingerprints used.
    pub fingerprints: f32,
    /// Numbers called.
    pub callees: f32,
    /// Share of the signature's bits that are as in the last call; NaN before it.
    pub likeness: f32,
    /// Mean score of its calls, 0–1; NaN before the first.
    pub risk: f32,
    /// Calls labelled fraud.
    pub fraud: f32,
    /// Organisations that confirmed fraud.
    pub organisations: f32,
    /// Share of its labels that say genuine; NaN without any.
    pub genuine: f32,
    /// Seconds since its last label; NaN without any.
    pub since_label: f32,
}

impl Person {
    /// Never seen.
    pub const NEW: Self = Self {
        age: f32::NAN,
        calls: 0.0,
        numbers: 0.0,
        fingerprints: 0.0,
        callees: 0.0,
        likeness: f32::NAN,
        risk: f32::NAN,
        fraud: 0.0,
        organisations: 0.0,
        genuine: f32::NAN,
        since_label: f32::NAN,
    };
}

/// Share of bits that two signatures have alike.
pub(super) fn likeness(a: u64, b: u64) -> f32 {
    1.0 - (a ^ b).count_ones() as f32 / 64.0
}

impl Profile {
    /// What is known at `now`; `again`: the call is counted already.
    pub(super) fn known(&self, now: Timestamp, signature: u64, again: bool) -> Person {
        let calls = self.calls.saturating_sub(u32::from(again));
        if calls == 0 {
            return Person { fraud: self.fraud as f32, ..Person::NEW };
        }
        let seconds = now.0 / 1_000_000_000;
        let since = |past: u32| seconds.saturating_sub(u64::from(past)) as f32;
        let labels = self.fraud + self.genuine;
        let share = |part: u32| if labels > 0 { part as f32 / labels as f32 } else { f32::NAN };
        Person {
            age: since(self.first),
            calls: calls as f32,
            numbers: linear_count(self.numbers.count_ones()),
            fingerprints: linear_count(self.fingerprints.count_ones()),
            callees: linear_count(self.callees.count_ones()),
            likeness: likeness(self.signature, signature),
            risk: self.risk,
            fraud: self.fraud as f32,
            organisations: self.organisations.count_ones() as f32,
            genuine: share(self.genuine),
            since_label: if labels > 0 { since(self.last_label) } else { f32::NAN },
        }
    }

    /// One more call, by hashes.
    pub(super) fn count(
        &mut self,
        now: Timestamp,
        number: u64,
        fingerprint: u64,
        callee: u64,
        signature: u64,
    ) {
        let second = (now.0 / 1_000_000_000).min(u64::from(u32::MAX)) as u32;
        self.first = if self.calls == 0 { second } else { self.first.min(second) };
        // One that another host tells late is not the last.
        if self.last <= now.0 {
            self.last = now.0;
            self.signature = signature;
        }
        self.calls = self.calls.saturating_add(1);
        self.numbers |= 1 << (number >> 58);
        self.fingerprints |= 1 << (fingerprint >> 58);
        self.callees |= 1 << (callee >> 58);
    }

    /// The score its call got.
    pub(super) fn scored(&mut self, probability: f32) {
        let weight = 1.0 / (self.calls.clamp(1, 16)) as f32;
        self.risk += weight * (probability - self.risk);
    }

    /// A label on one of its calls, by organisation 0–31.
    pub(super) fn label(&mut self, now: Timestamp, fraud: bool, organisation: u8) {
        if fraud {
            self.fraud = self.fraud.saturating_add(1);
            self.organisations |= 1 << (organisation & 31);
        } else {
            self.genuine = self.genuine.saturating_add(1);
        }
        self.last_label = (now.0 / 1_000_000_000).min(u64::from(u32::MAX)) as u32;
    }
}
