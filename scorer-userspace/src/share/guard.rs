//! Which events are believed. Pure: what it decides depends on what came, in the order of
//! the stream, and on the stream's own clock, so that every member decides the same.

use std::collections::HashMap;

use super::event::{Event, EventError, LARGEST, Signed};

/// Why an event is refused, as metrics and `status` name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Refusal {
    /// More bytes than an event has.
    TooLarge,
    /// A version that is not known.
    UnknownVersion,
    /// No event.
    Malformed,
    /// Nobody of that name is a member, or another's name is used.
    UnknownIssuer,
    /// The member was revoked.
    Revoked,
    /// More than a member may say in a minute.
    RateLimited,
    /// Not the issuer's signature.
    Forged,
    /// An epoch whose key is not, or no longer, known.
    WrongEpoch,
    /// Pseudonyms made with another key than the epoch's.
    WrongKey,
    /// A sequence that was there, or one before.
    Replayed,
    /// Its time is long before it was sent.
    BackDated,
    /// Its time is after it was sent.
    FutureDated,
    /// It was over when it was sent.
    Expired,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::TooLarge,
        Self::UnknownVersion,
        Self::Malformed,
        Self::UnknownIssuer,
        Self::Revoked,
        Self::RateLimited,
        Self::Forged,
        Self::WrongEpoch,
        Self::WrongKey,
        Self::Replayed,
        Self::BackDated,
        Self::FutureDated,
        Self::Expired,
    ];

    /// Name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::UnknownVersion => "unknown_version",
            Self::Malformed => "malformed",
            Self::UnknownIssuer => "unknown_issuer",
            Self::Revoked => "revoked",
            Self::RateLimited => "rate_limited",
            Self::Forged => "forged",
            Self::WrongEpoch => "wrong_epoch",
            Self::WrongKey => "wrong_key",
            Self::Replayed => "replayed",
            Self::BackDated => "back_dated",
            Self::FutureDated => "future_dated",
            Self::Expired => "expired",
        }
    }

    /// What it means.
    pub const fn help(self) -> &'static str {
        match self {
            Self::TooLarge => "more bytes than an event has",
            Self::UnknownVersion => "a version of events that this scorer does not know",
            Self::Malformed => "no event, or not in the one encoding",
            Self::UnknownIssuer => "nobody of that name is a member, or a member used another's",
            Self::Revoked => "the member was revoked",
            Self::RateLimited => "more than consortium.events_per_minute of one member",
            Self::Forged => "not signed by the issuer",
            Self::WrongEpoch => "pseudonyms of an epoch whose key is not, or no longer, known",
            Self::WrongKey => "pseudonyms made with another key than the epoch's",
            Self::Replayed => "a sequence that was there, or one before",
            Self::BackDated => "dated more than consortium.skew_seconds before it was sent",
            Self::FutureDated => "dated more than consortium.skew_seconds after it was sent",
            Self::Expired => "over when it was sent",
        }
    }
}

/// Bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Events of a member in a minute; as many at once.
    pub per_minute: u32,
    /// How far an event's time may be from the stream's, ms.
    pub skew: u64,
    /// How long an event holds at most, ms; one that says more holds so long.
    pub longest: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { per_minute: 60, skew: 300_000, longest: 90 * 86_400_000 }
    }
}

/// A member as the guard knows it.
#[derive(Clone, Debug, Default)]
struct Known {
    /// Ed25519, 32 bytes; empty until it has joined.
    key: Vec<u8>,
    revoked: bool,
    last: u64,
    /// Thousandths of an event that it may still send, and when that was reckoned.
    left: u64,
    at: u64,
}

/// Judges events.
#[derive(Debug)]
pub struct Guard {
    bounds: Bounds,
    members: HashMap<String, Known>,
    epochs: Vec<(u32, [u8; 8])>,
}

impl Guard {
    /// One that knows nobody.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, members: HashMap::new(), epochs: Vec::new() }
    }

    /// Tells a member's key, and whether it is revoked. What was counted stays.
    pub fn member(&mut self, name: &str, key: &[u8], revoked: bool) {
        let full = u64::from(self.bounds.per_minute) * 1_000;
        let new = || Known { left: full, ..Known::default() };
        let known = self.members.entry(name.to_owned()).or_insert_with(new);
        known.key = key.to_vec();
        known.revoked = revoked;
    }

    /// Tells the epochs whose keys are known, and what each makes of the known text.
    pub fn epochs(&mut self, epochs: Vec<(u32, [u8; 8])>) {
        self.epochs = epochs;
    }

    /// Tells a member's last sequence, as after a restart.
    pub fn last(&mut self, name: &str, sequence: u64) {
        if let Some(known) = self.members.get_mut(name) {
            known.last = known.last.max(sequence);
        }
    }

    /// Goes back to these last sequences, where what was judged since could not be kept.
    pub fn rewind(&mut self, sequences: &[(String, u64)]) {
        self.members.values_mut().for_each(|known| known.last = 0);
        for (name, sequence) in sequences {
            self.last(name, *sequence);
        }
    }

    /// Whether an event speaks of a member or an epoch that is not known here, though it
    /// may be to the hub.
    pub fn is_news(&self, bytes: &[u8]) -> bool {
        Signed::decode(bytes).is_ok_and(|Signed { event, .. }| {
            let newest = self.epochs.iter().map(|(epoch, _)| *epoch).max().unwrap_or(0);
            event.epoch > newest || self.members.get(&event.issuer).is_none_or(|k| k.key.is_empty())
        })
    }

    /// Judges what a member sent; `stored` is when the stream took it, ms since 1970.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn judge(&mut self, member: &str, bytes: &[u8], stored: u64) -> Result<Event, Refusal> {
        let bounds = self.bounds;
        let known = self.members.get_mut(member).ok_or(Refusal::UnknownIssuer)?;
        if known.revoked {
            return Err(Refusal::Revoked);
        }
        // Before anything that costs: what is refused counts, too.
        if !known.may_send(bounds.per_minute, stored) {
            return Err(Refusal::RateLimited);
        }
        if bytes.len() > LARGEST {
            return Err(Refusal::TooLarge);
        }
        let signed = Signed::decode(bytes).map_err(Refusal::from)?;
        if signed.event.issuer != member {
            return Err(Refusal::UnknownIssuer);
        }
        let mut event = signed.verify(&known.key).map_err(Refusal::from)?;
        match self.epochs.iter().find(|(epoch, _)| *epoch == event.epoch) {
            None => return Err(Refusal::WrongEpoch),
            Some((_, check)) if *check != event.check => return Err(Refusal::WrongKey),
            Some(_) => {}
        }
        if event.sequence <= known.last {
            return Err(Refusal::Replayed);
        }
        if event.time.saturating_add(bounds.skew) < stored {
            return Err(Refusal::BackDated);
        }
        if event.time > stored.saturating_add(bounds.skew) {
            return Err(Refusal::FutureDated);
        }
        if event.kind.accuses() && event.expires <= stored {
            return Err(Refusal::Expired);
        }
        known.last = event.sequence;
        event.expires = event.expires.min(event.time.saturating_add(bounds.longest));
        Ok(event)
    }
}

impl Known {
    /// A bucket that fills in a minute, by the stream's clock.
    fn may_send(&mut self, per_minute: u32, now: u64) -> bool {
        let full = u64::from(per_minute) * 1_000;
        let since = now.saturating_sub(self.at);
        self.at = self.at.max(now);
        let new = since.saturating_mul(u64::from(per_minute)) / 60;
        self.left = self.left.saturating_add(new).min(full);
        let may = self.left >= 1_000;
        if may {
            self.left -= 1_000;
        }
        may
    }
}

impl From<EventError> for Refusal {
    fn from(error: EventError) -> Self {
        match error {
            EventError::Large => Self::TooLarge,
            EventError::Version(_) => Self::UnknownVersion,
            EventError::Malformed(_) => Self::Malformed,
            EventError::Signature => Self::Forged,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ring::signature::KeyPair as _;

    use super::{Bounds, Guard, Refusal};
    use crate::share::event::{
        Event, LARGEST,
        tests::{event, key},
    };

    const NOW: u64 = 1_760_000_000_000;

    fn guard(per_minute: u32) -> Guard {
        let mut guard = Guard::new(Bounds { per_minute, ..Bounds::default() });
        guard.member("carrier-a", key(1).public_key().as_ref(), false);
        guard.member("carrier-b", key(2).public_key().as_ref(), false);
        guard.epochs(vec![(1, [7; 8]), (2, [8; 8])]);
        guard
    }

    #[test]
    fn every_cause() {
        let mut guard = guard(1_000);
        let good = event("carrier-a", 10, NOW);
        let signed = |event: &Event| event.sign(&key(1));
        let mut judge = |member: &str, bytes: &[u8]| guard.judge(member, bytes, NOW).err();
        assert_eq!(judge("carrier-a", &signed(&good)), None);
        let next = Event { sequence: 11, ..good.clone() };
        for (bytes, why) in [
            (signed(&good), Refusal::Replayed),
            (signed(&Event { sequence: 9, ..good.clone() }), Refusal::Replayed),
            (next.sign(&key(2)), Refusal::Forged),
            (signed(&Event { epoch: 3, ..next.clone() }), Refusal::WrongEpoch),
            (signed(&Event { epoch: 2, ..next.clone() }), Refusal::WrongKey),
            (signed(&Event { time: NOW - 400_000, ..next.clone() }), Refusal::BackDated),
            (
                signed(&Event { time: NOW + 400_000, expires: NOW + 900_000, ..next.clone() }),
                Refusal::FutureDated,
            ),
            (signed(&Event { time: NOW - 9, expires: NOW - 1, ..next.clone() }), Refusal::Expired),
            (signed(&Event { issuer: "carrier-b".into(), ..next.clone() }), Refusal::UnknownIssuer),
            (vec![0; LARGEST + 1], Refusal::TooLarge),
            (b"SCE\x09".to_vec(), Refusal::UnknownVersion),
            (b"hello".to_vec(), Refusal::Malformed),
        ] {
            assert_eq!(judge("carrier-a", &bytes), Some(why));
        }
        assert_eq!(judge("carrier-x", &signed(&next)), Some(Refusal::UnknownIssuer));
        // What was refused has not moved the sequence.
        assert_eq!(judge("carrier-a", &signed(&next)), None);
        let far = Event { sequence: 12, expires: u64::MAX, ..good.clone() };
        let kept = guard.judge("carrier-a", &signed(&far), NOW).expect("taken");
        assert_eq!(kept.expires, NOW + Bounds::default().longest);
        guard.member("carrier-a", key(1).public_key().as_ref(), true);
        let next = Event { sequence: 13, ..good };
        assert_eq!(guard.judge("carrier-a", &signed(&next), NOW), Err(Refusal::Revoked));
    }

    #[test]
    fn a_flood_of_one_is_not_the_others() {
        let mut guard = guard(60);
        let mut send = |member: &str, seed, sequence, at| {
            guard.judge(member, &event(member, sequence, at).sign(&key(seed)), at)
        };
        let taken = (1..=500).filter(|i| send("carrier-a", 1, *i, NOW + i).is_ok()).count();
        assert_eq!(taken, 60);
        assert_eq!(send("carrier-a", 1, 501, NOW + 600), Err(Refusal::RateLimited));
        assert!(send("carrier-b", 2, 1, NOW + 600).is_ok());
        // One a second comes back.
        assert!(send("carrier-a", 1, 501, NOW + 2_000).is_ok());
    }

    proptest! {
        /// In any minute no more than twice what a minute allows, whatever the clock says.
        #[test]
        fn rate(steps in prop::collection::vec(0..3_000u64, 1..300), per_minute in 1..50u32) {
            let mut guard = guard(per_minute);
            let mut at = NOW;
            let mut taken = Vec::new();
            for step in steps {
                at += step;
                // Not an event at all: it costs its sender all the same.
                if guard.judge("carrier-a", b"x", at) != Err(Refusal::RateLimited) {
                    taken.push(at);
                }
            }
            for (i, start) in taken.iter().enumerate() {
                let within = taken[i..].iter().take_while(|at| *at - start < 60_000).count();
                prop_assert!(within <= 2 * per_minute as usize);
            }
        }

        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300), at in any::<u64>()) {
            let mut guard = guard(100);
            prop_assert!(guard.judge("carrier-a", &bytes, at).is_err());
        }
    }
}
