//! What the hub tells its members: who they are, and the keys of epochs.

use serde::{Deserialize, Serialize};

use super::{ShareError, pseudonym::Keys};

/// How pseudonyms are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Members have the epoch's key, and match at once
    Keyed,
    /// The hub alone has it, and is asked blindly (RFC 9497)
    Blind,
}

impl Mode {
    /// Name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Keyed => "keyed",
            Self::Blind => "blind",
        }
    }
}

/// Bytes as base64 in JSON.
pub(super) mod bytes {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(in crate::share) fn serialize<S: Serializer>(
        bytes: &[u8],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(in crate::share) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(from)?).map_err(D::Error::custom)
    }
}

/// An epoch of pseudonyms.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Epoch {
    /// From 1.
    pub number: u32,
    /// When it began, ms since 1970.
    pub from: u64,
    /// `keyed`: its key. `blind`: the hub's public key.
    #[serde(with = "bytes")]
    pub key: Vec<u8>,
}

impl std::fmt::Debug for Epoch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Epoch").field("number", &self.number).finish_non_exhaustive()
    }
}

/// A member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Name, or the pseudonym that it goes by.
    pub name: String,
    /// Public key that its events are signed with (Ed25519); empty until it has joined.
    #[serde(with = "bytes")]
    pub key: Vec<u8>,
    /// How much the hub would trust it, 0–100.
    pub trust: u8,
    /// When it was revoked, ms since 1970; `None` where it is a member.
    pub revoked: Option<u64>,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    /// Name of the consortium.
    pub consortium: String,
    /// How pseudonyms are made.
    pub mode: Mode,
    /// The current epoch first, then the one before, if there was one.
    pub epochs: Vec<Epoch>,
    /// Members, revoked ones among them.
    pub members: Vec<Member>,
}

impl Directory {
    /// Reads what a hub sent.
    ///
    /// # Errors
    /// When it is no directory, or breaks a bound.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let this: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if this.members.len() > super::MEMBERS {
            return Err(format!("it names more than {} members", super::MEMBERS));
        }
        if this.epochs.is_empty() || this.epochs.len() > 2 {
            return Err("it must have the current epoch, and one before at most".into());
        }
        if !this.members.iter().all(|member| super::event::is_name(&member.name)) {
            return Err("a member's name is none".into());
        }
        Ok(this)
    }

    /// As it is kept.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The current epoch.
    ///
    /// # Errors
    /// When there is none.
    pub fn current(&self) -> Result<&Epoch, ShareError> {
        self.epochs.first().ok_or_else(|| ShareError::Invalid("there is no epoch".into()))
    }

    /// Keys of a `keyed` consortium.
    pub fn keys(&self) -> Vec<Keys> {
        self.epochs.iter().map(|epoch| Keys::new(epoch.number, &epoch.key)).collect()
    }

    /// What tells each epoch's key from others. Of a `blind` one the public key does.
    pub fn checks(&self) -> Vec<(u32, [u8; 8])> {
        self.keys().iter().map(|keys| (keys.epoch, keys.check)).collect()
    }
}
