//! What organisations tell each other: a signed event, and its one encoding.
//!
//! All numbers are big-endian. What is absent is zero. The signature (Ed25519, RFC 8032)
//! is over [`CONTEXT`] and every byte before it:
//!
//! | bytes | what |
//! |---|---|
//! | 3 | `SCE` |
//! | 1 | version, 1 |
//! | 1 | kind: 1 confirmed, 2 suspected, 3 cleared, 4 expired |
//! | 1 | category |
//! | 1 | confidence, 0–100 |
//! | 1 | which pseudonyms there are: 1 number, 2 network number, 4 fingerprint, 8 sketch |
//! | 4 | calls that are the evidence |
//! | 4 | epoch of the pseudonyms |
//! | 8 | what the epoch's key makes of a known text |
//! | 8 | sequence of the issuer |
//! | 8 | sequence of the issuer's event that this one withdraws |
//! | 8, 8 | time, expiry; milliseconds since 1970 |
//! | 4 × 16 | pseudonyms |
//! | 1, 1–32 | length of the issuer's name, the name |
//! | 64 | signature |

use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};

/// Bytes of an event at most.
pub const LARGEST: usize = FIXED + 1 + NAME + SIGNATURE;
/// The version that is written and read.
pub const VERSION: u8 = 1;

const MAGIC: [u8; 3] = *b"SCE";
const FIXED: usize = 8 + 4 + 4 + 8 + 4 * 8 + PSEUDONYMS * PSEUDONYM;
const SIGNATURE: usize = 64;
/// Bytes of a member's name at most.
const NAME: usize = 32;
const PSEUDONYMS: usize = 4;
/// Bytes of a pseudonym.
pub const PSEUDONYM: usize = 16;
/// Stands before what is signed, so that a signature is for nothing else.
const CONTEXT: &[u8] = b"scorer consortium event\0";

/// What stands for a number or a way of signalling.
pub type Pseudonym = [u8; PSEUDONYM];

/// What is said of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// Fraud, looked into by a human.
    Confirmed = 1,
    /// Probably fraud.
    Suspected = 2,
    /// Not fraud: what was said before is withdrawn.
    Cleared = 3,
    /// No longer held for true: what was said before ends early.
    Expired = 4,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Confirmed, Self::Suspected, Self::Cleared, Self::Expired];

    /// Name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Suspected => "suspected",
            Self::Cleared => "cleared",
            Self::Expired => "expired",
        }
    }

    /// Whether it speaks against a caller.
    pub const fn accuses(self) -> bool {
        matches!(self, Self::Confirmed | Self::Suspected)
    }
}

macro_rules! categories {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal),+ $(,)?) => {
        /// The kind of fraud.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Category { $($(#[doc = $doc])+ $variant),+ }

        impl Category {
            /// All of them, by number.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Name in output.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

categories! {
    /// Not told.
    Other = "other",
    /// A caller who claims to be a bank, a ministry, a firm.
    Impersonation = "impersonation",
    /// Calls without end that sell or deceive by machine.
    Robocall = "robocall",
    /// Rings to be called back at a price.
    Wangiri = "wangiri",
    /// Traffic pumped to high-cost ranges.
    Irsf = "irsf",
    /// Floods of calls.
    Tdos = "tdos",
    /// Calls that go round an operator's charges.
    Bypass = "bypass",
    /// Probing of equipment, registrations, extensions.
    Scanning = "scanning",
    /// Threats and harassment.
    Harassment = "harassment",
}

impl Category {
    /// The category of this name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|category| category.name() == name)
    }
}

/// Pseudonyms of one caller; those that are not known are absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// Of a number that the caller shows and is known to be its own.
    pub number: Option<Pseudonym>,
    /// Of the number that the network asserts.
    pub network: Option<Pseudonym>,
    /// Of how it signals.
    pub fingerprint: Option<Pseudonym>,
    /// Of who is behind the signalling.
    pub sketch: Option<Pseudonym>,
}

impl Subject {
    const fn parts(&self) -> [Option<Pseudonym>; PSEUDONYMS] {
        [self.number, self.network, self.fingerprint, self.sketch]
    }

    /// Whether nobody can be found by it: a fingerprint alone is many callers'.
    pub const fn is_nobody(&self) -> bool {
        self.number.is_none()
            && self.network.is_none()
            && (self.fingerprint.is_none() || self.sketch.is_none())
    }

    /// Whether the two name one caller.
    pub fn meets(&self, other: &Self) -> bool {
        let numbers = [self.number, self.network];
        let same =
            |pseudonym: &Option<Pseudonym>| pseudonym.is_some() && numbers.contains(pseudonym);
        let sketched = |subject: &Self| subject.sketch.zip(subject.fingerprint);
        [other.number, other.network].iter().any(same)
            || sketched(self).is_some() && sketched(self) == sketched(other)
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What is said.
    pub kind: Kind,
    /// Of which fraud.
    pub category: Category,
    /// How sure the issuer is, 0–100.
    pub confidence: u8,
    /// Calls that are the evidence.
    pub evidence: u32,
    /// Epoch of the pseudonyms.
    pub epoch: u32,
    /// What the epoch's key makes of a known text.
    pub check: [u8; 8],
    /// Rises with every event of the issuer.
    pub sequence: u64,
    /// The issuer's event that is withdrawn; 0 for those of the same caller.
    pub refers: u64,
    /// When, ms since 1970.
    pub time: u64,
    /// Until when, ms since 1970.
    pub expires: u64,
    /// Whom it is about.
    pub subject: Subject,
    /// Name of the organisation that says it.
    pub issuer: String,
}

/// Why bytes are no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Too many.
    #[error("it has more than {LARGEST} bytes")]
    Large,
    /// A version that is not known here.
    #[error("it is of version {0}, and {VERSION} is known here; a newer scorer reads it")]
    Version(u8),
    /// Not as it must be.
    #[error("it is no event: {0}")]
    Malformed(&'static str),
    /// Not signed by this key.
    #[error("its signature is not the issuer's")]
    Signature,
}

/// An event, and what of the bytes is signed.
#[derive(Debug)]
pub struct Signed<'a> {
    /// What it says; believed only after [`Self::verify`].
    pub event: Event,
    bytes: &'a [u8],
}

/// Whether a name can be a member's: it is part of NATS subjects and of file names.
pub fn is_name(name: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=NAME).contains(&name.len()) && name.bytes().all(good) && !name.starts_with('-')
}

impl Event {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(LARGEST);
        out.extend_from_slice(&MAGIC);
        let parts = self.subject.parts();
        let which = (0..).zip(&parts).fold(0, |all, (i, part)| all | u8::from(part.is_some()) << i);
        let category = self.category as u8;
        out.extend_from_slice(&[VERSION, self.kind as u8, category, self.confidence, which]);
        out.extend_from_slice(&self.evidence.to_be_bytes());
        out.extend_from_slice(&self.epoch.to_be_bytes());
        out.extend_from_slice(&self.check);
        for word in [self.sequence, self.refers, self.time, self.expires] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        for part in parts {
            out.extend_from_slice(&part.unwrap_or_default());
        }
        out.push(self.issuer.len() as u8);
        out.extend_from_slice(self.issuer.as_bytes());
        out
    }

    /// Its bytes, signed.
    ///
    /// # Panics
    /// When the issuer's name is none ([`is_name`]).
    pub fn sign(&self, key: &Ed25519KeyPair) -> Vec<u8> {
        assert!(is_name(&self.issuer), "an issuer has a name");
        let mut out = self.encode();
        let signature = key.sign(&[CONTEXT, &out].concat());
        out.extend_from_slice(signature.as_ref());
        out
    }
}

/// Reads big-endian words.
struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], EventError> {
        let (first, rest) =
            self.0.split_first_chunk().ok_or(EventError::Malformed("it is cut short"))?;
        self.0 = rest;
        Ok(*first)
    }

    fn many(&mut self, count: usize) -> Result<&'a [u8], EventError> {
        let (first, rest) =
            self.0.split_at_checked(count).ok_or(EventError::Malformed("it is cut short"))?;
        self.0 = rest;
        Ok(first)
    }
}

impl<'a> Signed<'a> {
    /// Reads bytes; there is one encoding of an event, and no other is taken.
    ///
    /// # Errors
    /// [`EventError`], all but [`EventError::Signature`].
    pub fn decode(bytes: &'a [u8]) -> Result<Self, EventError> {
        let malformed = EventError::Malformed;
        if bytes.len() > LARGEST {
            return Err(EventError::Large);
        }
        let mut words = Words(bytes);
        if words.bytes()? != MAGIC {
            return Err(malformed("it does not begin as one"));
        }
        let [version] = words.bytes()?;
        if version != VERSION {
            return Err(EventError::Version(version));
        }
        let [kind, category, confidence, which] = words.bytes()?;
        let kind = Kind::ALL.into_iter().find(|known| *known as u8 == kind);
        let kind = kind.ok_or(malformed("its kind is not known"))?;
        let category = Category::ALL.get(usize::from(category)).copied();
        let category = category.ok_or(malformed("its category is not known"))?;
        if confidence > 100 {
            return Err(malformed("its confidence is above 100"));
        }
        let evidence = u32::from_be_bytes(words.bytes()?);
        let epoch = u32::from_be_bytes(words.bytes()?);
        let check = words.bytes()?;
        let mut word = || words.bytes().map(u64::from_be_bytes);
        let [sequence, refers, time, expires] = [word()?, word()?, word()?, word()?];
        let mut parts = [None; PSEUDONYMS];
        for (i, part) in parts.iter_mut().enumerate() {
            let pseudonym: Pseudonym = words.bytes()?;
            if which >> i & 1 == 1 {
                *part = Some(pseudonym);
            } else if pseudonym != Pseudonym::default() {
                return Err(malformed("a pseudonym that is absent is not zero"));
            }
        }
        if which >> PSEUDONYMS != 0 {
            return Err(malformed("it has pseudonyms of an unknown kind"));
        }
        let [number, network, fingerprint, sketch] = parts;
        let subject = Subject { number, network, fingerprint, sketch };
        let [length] = words.bytes()?;
        let issuer = std::str::from_utf8(words.many(usize::from(length))?).unwrap_or_default();
        if !is_name(issuer) {
            return Err(malformed("its issuer has no name"));
        }
        let _: [u8; SIGNATURE] = words.bytes()?;
        if !words.0.is_empty() {
            return Err(malformed("something stands behind it"));
        }
        if kind.accuses() && (subject.is_nobody() || expires <= time) {
            return Err(malformed("it names nobody, or ends before it begins"));
        }
        if !kind.accuses() && subject == Subject::default() && refers == 0 {
            return Err(malformed("it withdraws nothing"));
        }
        let issuer = issuer.to_owned();
        let event = Event {
            kind,
            category,
            confidence,
            evidence,
            epoch,
            check,
            sequence,
            refers,
            time,
            expires,
            subject,
            issuer,
        };
        Ok(Self { event, bytes })
    }

    /// Whether it is signed by this key (32 bytes); the event.
    ///
    /// # Errors
    /// [`EventError::Signature`].
    pub fn verify(self, key: &[u8]) -> Result<Event, EventError> {
        let (signed, signature) = self.bytes.split_at(self.bytes.len() - SIGNATURE);
        UnparsedPublicKey::new(&ED25519, key)
            .verify(&[CONTEXT, signed].concat(), signature)
            .map_err(|_| EventError::Signature)?;
        Ok(self.event)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;
    use ring::signature::{Ed25519KeyPair, KeyPair as _};

    use super::{Category, Event, EventError, Kind, LARGEST, Signed, Subject, is_name};

    pub(crate) fn key(seed: u8) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("32 bytes")
    }

    pub(crate) fn event(issuer: &str, sequence: u64, time: u64) -> Event {
        Event {
            kind: Kind::Confirmed,
            category: Category::Impersonation,
            confidence: 90,
            evidence: 3,
            epoch: 1,
            check: [7; 8],
            sequence,
            refers: 0,
            time,
            expires: time + 86_400_000,
            subject: Subject { network: Some([9; 16]), ..Subject::default() },
            issuer: issuer.to_owned(),
        }
    }

    #[test]
    fn read_as_it_was_signed() {
        let (ann, bob) = (key(1), key(2));
        let said = event("carrier-a", 5, 1_760_000_000_000);
        let bytes = said.sign(&ann);
        let read = |bytes: &[u8], key: &Ed25519KeyPair| {
            Signed::decode(bytes)?.verify(key.public_key().as_ref())
        };
        assert_eq!(read(&bytes, &ann), Ok(said.clone()));
        assert_eq!(read(&bytes, &bob), Err(EventError::Signature));
        // Every bit counts.
        for at in 0..bytes.len() * 8 {
            let mut bent = bytes.clone();
            bent[at / 8] ^= 1 << (at % 8);
            assert!(read(&bent, &ann).is_err(), "bit {at}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(matches!(read(&longer, &ann), Err(EventError::Malformed(_))));
        assert_eq!(read(&[0; LARGEST + 1], &ann), Err(EventError::Large));
        let mut newer = bytes.clone();
        newer[3] = 2;
        assert_eq!(read(&newer, &ann), Err(EventError::Version(2)));
        // A fingerprint alone names nobody.
        let crowd = Subject { fingerprint: Some([1; 16]), ..Subject::default() };
        let bytes = Event { subject: crowd, ..said }.sign(&ann);
        assert!(matches!(read(&bytes, &ann), Err(EventError::Malformed(_))));
        for (name, good) in [("a", true), ("a-1", true), ("", false), ("A", false), ("a.b", false)]
        {
            assert_eq!(is_name(name), good, "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..2 * LARGEST)) {
            let _ = Signed::decode(&bytes);
        }

        #[test]
        fn nearly_an_event(
            at in 0..400usize,
            to in any::<u8>(),
            cut in 0..400usize,
            name in "[a-z][a-z0-9-]{0,31}",
        ) {
            let whole = event(&name, 1, 1).sign(&key(3));
            prop_assert!(Signed::decode(&whole).is_ok());
            let mut bytes = whole.clone();
            let at = at % bytes.len();
            bytes[at] = to;
            bytes.truncate(cut);
            // Whatever is still read has this one encoding.
            if let Ok(signed) = Signed::decode(&bytes) {
                let encoded = signed.event.encode();
                prop_assert_eq!(&encoded[..], &bytes[..encoded.len()]);
            }
        }
    }
}
