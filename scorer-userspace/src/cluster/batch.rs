//! Facts as bytes. A key that a batch has twice, as most keys of a call, stands in it
//! once: a number below that of the keys so far says which, the next number that eight
//! bytes of a new one follow.
//!
//! Facts one after the other, each: a byte whose low half is its kind and whose high half
//! has its flags; nanoseconds since the one before (zigzag varint); keys; the rest.

use std::collections::HashMap;

use crate::{
    history::{CallFact, EndedFact, Fact, LabelFact, Outcome},
    profiles::{Evidence, KINDS},
    time::Timestamp,
};

/// Facts of a batch at most.
pub(super) const MOST: usize = 2_048;

const CALL: u8 = 0;
const ENDED: u8 = 1;
const LABELLED: u8 = 2;

/// Writes facts.
#[derive(Debug)]
pub(super) struct Encoder {
    out: Vec<u8>,
    known: HashMap<u64, u32, foldhash::fast::RandomState>,
    last: u64,
    count: u32,
}

impl Default for Encoder {
    fn default() -> Self {
        let mut known = HashMap::default();
        known.insert(0, 0);
        Self { out: Vec::new(), known, last: 0, count: 0 }
    }
}

impl Encoder {
    /// How many there are.
    pub(super) const fn count(&self) -> u32 {
        self.count
    }

    /// The bytes.
    pub(super) fn finish(self) -> Vec<u8> {
        self.out
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }

    fn key(&mut self, key: u64) {
        let next = self.known.len() as u32;
        if let Some(at) = self.known.get(&key) {
            return self.varint(u64::from(*at));
        }
        self.known.insert(key, next);
        self.varint(u64::from(next));
        self.out.extend_from_slice(&key.to_le_bytes());
    }

    fn head(&mut self, kind: u8, flags: u8, at: Timestamp) {
        self.out.push(kind | flags << 4);
        let away = at.0.wrapping_sub(self.last) as i64;
        self.last = at.0;
        self.varint((away << 1 ^ away >> 63) as u64);
        self.count += 1;
    }

    /// Adds one.
    pub(super) fn add(&mut self, fact: &Fact) {
        match fact {
            Fact::Call(call) => {
                let flags = u8::from(call.withheld)
                    | u8::from(call.night) << 1
                    | u8::from(call.high_cost) << 2;
                self.head(CALL, flags, call.at);
                self.key(call.dialog);
                for key in call.parties.iter().chain(&call.few).chain(&call.evidence.0) {
                    self.key(*key);
                }
                self.key(call.profile);
                self.key(call.signature);
                self.key(call.id);
                self.out.extend_from_slice(&call.sketched);
                self.out.extend_from_slice(&call.dialled.to_le_bytes());
                self.out.extend_from_slice(&call.probability.to_le_bytes());
            }
            Fact::Ended(ended) => {
                let (flags, seconds) = match ended.outcome {
                    Outcome::Answered(seconds) => (0, Some(seconds)),
                    Outcome::Brief => (1, None),
                    Outcome::Over => (2, None),
                    Outcome::BriefCancel => (3, None),
                    Outcome::Cancelled => (4, None),
                    Outcome::Failed => (5, None),
                };
                self.head(ENDED, flags, ended.at);
                self.key(ended.dialog);
                ended.parties.iter().for_each(|key| self.key(*key));
                if let Some(seconds) = seconds {
                    self.out.extend_from_slice(&seconds.to_le_bytes());
                }
            }
            Fact::Labelled(label) => {
                self.head(LABELLED, u8::from(label.fraud), label.at);
                for key in
                    [label.dialog, label.profile, label.signature, label.fingerprint, label.range]
                {
                    self.key(key);
                }
                self.out.push(label.organisation);
            }
        }
    }
}

/// Reads facts; ends at the first that is none.
#[derive(Debug)]
struct Decoder<'a> {
    rest: &'a [u8],
    known: Vec<u64>,
    last: u64,
}

impl Decoder<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*bytes)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.take()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn key(&mut self) -> Option<u64> {
        let at = usize::try_from(self.varint()?).ok()?;
        if at == self.known.len() {
            // A new one takes nine bytes: there are never many more of them than bytes.
            let key = u64::from_le_bytes(self.take()?);
            self.known.push(key);
            return Some(key);
        }
        self.known.get(at).copied()
    }

    fn keys<const N: usize>(&mut self) -> Option<[u64; N]> {
        let mut keys = [0; N];
        for key in &mut keys {
            *key = self.key()?;
        }
        Some(keys)
    }

    fn float(&mut self) -> Option<f32> {
        self.take().map(f32::from_le_bytes).filter(|value| value.is_finite())
    }

    fn fact(&mut self) -> Option<Fact> {
        let [head] = self.take()?;
        let flags = head >> 4;
        let away = self.varint()?;
        let away = (away >> 1) as i64 ^ -((away & 1) as i64);
        let at = Timestamp(self.last.wrapping_add(away as u64));
        self.last = at.0;
        match head & 0xf {
            CALL => {
                let dialog = self.key()?;
                let parties = self.keys()?;
                let few = self.keys()?;
                let evidence = Evidence(self.keys::<KINDS>()?);
                let [profile, signature, id] = self.keys()?;
                let sketched = self.take::<4>()?.map(|bits| bits & 63);
                let dialled = u32::from_le_bytes(self.take()?);
                let probability = self.float()?.clamp(0.0, 1.0);
                Some(Fact::Call(CallFact {
                    dialog,
                    at,
                    parties,
                    few,
                    profile,
                    signature,
                    sketched,
                    dialled,
                    withheld: flags & 1 != 0,
                    night: flags & 2 != 0,
                    high_cost: flags & 4 != 0,
                    probability,
                    id,
                    evidence,
                }))
            }
            ENDED => {
                let dialog = self.key()?;
                let parties = self.keys()?;
                let outcome = match flags {
                    0 => Outcome::Answered(self.float()?.clamp(0.0, 86_400.0)),
                    1 => Outcome::Brief,
                    2 => Outcome::Over,
                    3 => Outcome::BriefCancel,
                    4 => Outcome::Cancelled,
                    5 => Outcome::Failed,
                    _ => return None,
                };
                Some(Fact::Ended(EndedFact { dialog, at, parties, outcome }))
            }
            LABELLED => {
                let [dialog, profile, signature, fingerprint, range] = self.keys()?;
                let [organisation] = self.take()?;
                Some(Fact::Labelled(LabelFact {
                    dialog,
                    at,
                    profile,
                    signature,
                    fingerprint,
                    range,
                    fraud: flags & 1 != 0,
                    organisation: organisation & 31,
                }))
            }
            _ => None,
        }
    }
}

/// The facts of a batch; `None` unless there are just `count` and all are good.
pub(super) fn decode(bytes: &[u8], count: u32) -> Option<Vec<Fact>> {
    let count = usize::try_from(count).ok().filter(|count| *count <= MOST)?;
    let mut decoder = Decoder { rest: bytes, known: vec![0], last: 0 };
    let facts: Vec<_> = std::iter::from_fn(|| decoder.fact()).take(count).collect();
    (facts.len() == count && decoder.rest.is_empty()).then_some(facts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Encoder, MOST, decode};
    use crate::{
        history::{CallFact, CallKeys, EndedFact, Fact, LabelFact, Outcome},
        profiles::{Evidence, KINDS},
        time::Timestamp,
    };

    fn call(i: u64) -> CallFact {
        let keys = CallKeys {
            caller: i << 57 | 3,
            callee: i * 7 + 1,
            source: 9,
            dialled: i as u32,
            withheld: i.is_multiple_of(2),
            high_cost: i.is_multiple_of(3),
            ..CallKeys::default()
        };
        let at = Timestamp(1_700_000_000_000_000_000 + i * 1_000_003);
        let fact = CallFact::new(i + 1, &keys, at);
        CallFact { probability: 0.25, id: i, evidence: Evidence([i; KINDS]), ..fact }
    }

    fn all() -> Vec<Fact> {
        let mut facts = Vec::new();
        for i in 0..20 {
            let new = call(i);
            facts.push(Fact::Call(new));
            let (dialog, parties) = (new.dialog, new.parties);
            for outcome in [
                Outcome::Answered(1.5),
                Outcome::Brief,
                Outcome::Over,
                Outcome::BriefCancel,
                Outcome::Cancelled,
                Outcome::Failed,
            ] {
                let at = Timestamp(new.at.0 - 5_000);
                facts.push(Fact::Ended(EndedFact { dialog, at, parties, outcome }));
            }
            facts.push(Fact::Labelled(LabelFact {
                dialog,
                at: new.at,
                profile: 5,
                signature: u64::MAX,
                fingerprint: 8,
                range: 0,
                fraud: i.is_multiple_of(2),
                organisation: 3,
            }));
        }
        facts
    }

    fn encode(facts: &[Fact]) -> (Vec<u8>, u32) {
        let mut encoder = Encoder::default();
        for fact in facts {
            encoder.add(fact);
        }
        let count = encoder.count();
        (encoder.finish(), count)
    }

    #[test]
    fn read_as_they_were_written() {
        let facts = all();
        let (bytes, count) = encode(&facts);
        assert_eq!(decode(&bytes, count), Some(facts));
        // Not one more or less, not a byte more or less.
        assert_eq!((decode(&bytes, count - 1), decode(&bytes, count + 1)), (None, None));
        assert_eq!(decode(&bytes[..bytes.len() - 1], count), None);
        assert_eq!(decode(&[&bytes[..], &[0]].concat(), count), None);
        assert_eq!(decode(&[], MOST as u32 + 1), None);
        let (bytes, _) = encode(&[Fact::Ended(EndedFact {
            dialog: 1,
            at: Timestamp(1),
            parties: [0; 6],
            outcome: Outcome::Answered(f32::NAN),
        })]);
        assert_eq!(decode(&bytes, 1), None, "no number");
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..400), count in 0u32..50,
        ) {
            let _ = decode(&bytes, count);
        }

        #[test]
        fn a_changed_byte_is_read_or_refused(at in 0usize..4_000, to in any::<u8>()) {
            let (mut bytes, count) = encode(&all());
            let length = bytes.len();
            bytes[at % length] = to;
            let _ = decode(&bytes, count);
        }
    }
}
