//! The cluster's secret, and how messages are sealed with it: whoever runs the NATS
//! servers, or reads their disks, sees sizes and times and nothing else, and whoever
//! may publish there but has no secret can have nothing counted.
//!
//! ```text
//! "SC" version u8  kind u8  name's length u8  name  epoch u64  first u64  count u32  sealed
//! ```
//!
//! All but `sealed` is authenticated. The key is of kind, host and run (epoch), the nonce
//! is `first`, which never comes twice in a run.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf, hmac,
};

use super::ClusterError;
use crate::hex::hex;

/// Bytes of a message that are no body: with the longest name.
const MAGIC: [u8; 3] = *b"SC\x01";
/// Shortest secret, bytes.
const SHORTEST: usize = 32;
/// Longest body that is opened, bytes; NATS takes messages of 1 MiB unless told otherwise.
pub(super) const LARGEST: usize = 1 << 20;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// Facts to be counted.
    Facts = 1,
    /// The state of an entry, a case, a label.
    State = 2,
    /// That a host is alive.
    Alive = 3,
    /// A part of a file of records.
    Records = 4,
}

/// What stands before the sealed part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) host: String,
    /// The host's run.
    pub(super) epoch: u64,
    /// Number of the first thing in it, of that run and kind.
    pub(super) first: u64,
    /// How many there are.
    pub(super) count: u32,
}

/// Why a message was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("it is no message of a cluster, or of another version")]
    Foreign,
    #[error("it is sealed with another secret, or was changed on its way")]
    Sealed,
    #[error("its parts contradict each other")]
    Contradiction,
}

/// The secret.
#[derive(Debug, Clone)]
pub(super) struct Secret {
    master: hkdf::Prk,
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl Secret {
    /// Reads it from a file that nobody else may read.
    pub(super) fn read(path: &Path) -> Result<Self, ClusterError> {
        let io = |source| ClusterError::Secret { path: path.to_owned(), source };
        let about = fs::metadata(path).map_err(io)?;
        if about.mode() & 0o077 != 0 {
            return Err(ClusterError::SecretOpen(path.to_owned()));
        }
        let bytes = fs::read(path).map_err(io)?;
        let text = bytes.trim_ascii();
        if text.len() < SHORTEST {
            return Err(ClusterError::SecretShort(path.to_owned()));
        }
        Ok(Self::new(text))
    }

    pub(super) fn new(bytes: &[u8]) -> Self {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"scorer cluster 1");
        Self { master: salt.extract(bytes) }
    }

    fn bytes<const N: usize>(&self, info: &[&[u8]]) -> [u8; N] {
        let mut out = [0; N];
        // 255 hashes are the most that can be had; these are one or two.
        let okm = self.master.expand(info, Length(N)).expect("a short key");
        okm.fill(&mut out).expect("of its own length");
        out
    }

    /// What keys of histories are hashed with.
    pub(super) fn history(&self) -> [u64; 2] {
        let bytes: [u8; 16] = self.bytes(&[b"history"]);
        let (words, _) = bytes.as_chunks::<8>();
        [u64::from_le_bytes(words[0]), u64::from_le_bytes(words[1])]
    }

    /// A name for something, 32 hex digits, that says nothing of it.
    pub(super) fn name(&self, of: &str) -> String {
        let key: [u8; 32] = self.bytes(&[b"names"]);
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), of.as_bytes());
        hex(&tag.as_ref()[..16])
    }

    fn key(&self, head: &Head) -> LessSafeKey {
        let epoch = head.epoch.to_le_bytes();
        let kind = [head.kind as u8];
        let info: [&[u8]; 4] = [b"message", &kind, &epoch, head.host.as_bytes()];
        let okm = self.master.expand(&info, &AES_256_GCM).expect("a short key");
        LessSafeKey::new(UnboundKey::from(okm))
    }

    /// Seals a body. A head comes once.
    pub(super) fn seal(&self, head: &Head, mut body: Vec<u8>) -> Vec<u8> {
        let mut out = head.bytes();
        let key = self.key(head);
        key.seal_in_place_append_tag(nonce(head.first), Aad::from(&out), &mut body)
            .expect("a body is far below what can be sealed");
        out.append(&mut body);
        out
    }

    /// Opens a message.
    pub(super) fn open(&self, message: &[u8]) -> Result<(Head, Vec<u8>), Refused> {
        let (head, at) = Head::read(message).ok_or(Refused::Foreign)?;
        if message.len() - at > LARGEST {
            return Err(Refused::Contradiction);
        }
        let (front, sealed) = message.split_at(at);
        let mut body = sealed.to_vec();
        let opened = self.key(&head).open_in_place(nonce(head.first), Aad::from(front), &mut body);
        let length = opened.map_err(|_| Refused::Sealed)?.len();
        body.truncate(length);
        Ok((head, body))
    }
}

fn nonce(number: u64) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[..8].copy_from_slice(&number.to_le_bytes());
    Nonce::assume_unique_for_key(nonce)
}

impl Kind {
    const ALL: [Self; 4] = [Self::Facts, Self::State, Self::Alive, Self::Records];
}

impl Head {
    fn bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.push(self.kind as u8);
        out.push(self.host.len() as u8);
        out.extend_from_slice(self.host.as_bytes());
        out.extend_from_slice(&self.epoch.to_le_bytes());
        out.extend_from_slice(&self.first.to_le_bytes());
        out.extend_from_slice(&self.count.to_le_bytes());
        out
    }

    /// The head of a message, not authenticated, and its length.
    pub(super) fn read(message: &[u8]) -> Option<(Self, usize)> {
        let rest = message.strip_prefix(&MAGIC)?;
        let (&[kind, length], rest) = rest.split_first_chunk()?;
        let kind = Kind::ALL.into_iter().find(|known| *known as u8 == kind)?;
        let (host, rest) = rest.split_at_checked(usize::from(length))?;
        let host = std::str::from_utf8(host).ok().filter(|host| super::is_name(host))?;
        let (epoch, rest) = rest.split_first_chunk()?;
        let (first, rest) = rest.split_first_chunk()?;
        let (count, rest) = rest.split_first_chunk()?;
        let head = Self {
            kind,
            host: host.to_owned(),
            epoch: u64::from_le_bytes(*epoch),
            first: u64::from_le_bytes(*first),
            count: u32::from_le_bytes(*count),
        };
        Some((head, message.len() - rest.len()))
    }

    /// By which JetStream knows that a message came before.
    pub(super) fn id(&self) -> String {
        format!("{}-{}-{:x}-{:x}", self.host, self.kind as u8, self.epoch, self.first)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Head, Kind, Refused, Secret};

    fn head() -> Head {
        Head { kind: Kind::Facts, host: "edge-1".into(), epoch: 7, first: 1_000, count: 3 }
    }

    #[test]
    fn opened_by_those_who_know_the_secret() {
        let secret = Secret::new(&[1; 32]);
        let message = secret.seal(&head(), b"body".to_vec());
        assert!(!message.windows(4).any(|part| part == b"body"));
        assert_eq!(secret.open(&message), Ok((head(), b"body".to_vec())));
        assert_eq!(Secret::new(&[2; 32]).open(&message), Err(Refused::Sealed));
        // Of another host, run or number: each byte of it counts.
        for at in 0..message.len() {
            let mut changed = message.clone();
            changed[at] ^= 1;
            assert!(secret.open(&changed).is_err(), "byte {at}");
        }
        assert_ne!(secret.history(), Secret::new(&[2; 32]).history());
        assert_ne!(secret.name("a"), secret.name("b"));
    }

    proptest! {
        #[test]
        fn whatever_comes_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let secret = Secret::new(&[1; 32]);
            prop_assert!(secret.open(&bytes).is_err());
            let mut ours = secret.seal(&head(), Vec::new());
            ours.truncate(bytes.len());
            prop_assert!(secret.open(&ours).is_err() || bytes.len() >= ours.len());
        }
    }
}
