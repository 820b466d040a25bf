//! Organisations share confirmed fraudsters in real time: a consortium.
//!
//! Members publish signed [`event`]s that name callers by pseudonyms alone, over a NATS
//! server of the consortium's [`hub`]. A running scorer follows them ([`follow`]), believes
//! what its [`guard`] lets pass, and looks calls up in an immutable [`index`]. See
//! docs/consortium.md and docs/privacy.md.

mod ask;
pub mod blind;
mod client;
mod directory;
pub mod event;
mod follow;
pub mod guard;
mod home;
pub mod hub;
pub mod index;
mod memory;
mod nats;
pub mod pseudonym;
mod publish;
pub(crate) mod sketch;
mod stats;
pub mod stix;
mod store;

use std::{path::PathBuf, time::Duration};

pub use self::{
    ask::{Asker, Pending},
    client::HubClient,
    directory::{Directory, Epoch, Member, Mode},
    follow::{Following, Put},
    guard::{Bounds, Refusal},
    home::{Bundle, Home},
    index::{Index, Match, Quorum, Shared},
    nats::Connection,
    publish::{Publisher, Words},
    stats::Stats,
    store::{Own, Row, Status, Store},
};

/// Members of a consortium at most.
pub const MEMBERS: usize = 128;

/// How a scorer takes part.
#[derive(Clone, Debug, PartialEq)]
pub struct ConsortiumConfig {
    /// Folder that `scorer consortium join` made; `None` is no consortium.
    pub folder: Option<PathBuf>,
    /// How much members are trusted, 0–100; others as the hub says.
    pub trust: Vec<(String, u8)>,
    /// When what several say is strong.
    pub quorum: Quorum,
    /// Bounds of what a member may say.
    pub bounds: Bounds,
    /// How often the hub is asked for members and keys.
    pub refresh: Duration,
}

impl Default for ConsortiumConfig {
    fn default() -> Self {
        Self {
            folder: None,
            trust: Vec::new(),
            quorum: Quorum::default(),
            bounds: Bounds::default(),
            refresh: Duration::from_secs(5),
        }
    }
}

/// Why there is no sharing.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// A file.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// What is in it.
    #[error("{}: {what}", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong, what to do.
        what: String,
    },
    /// The database.
    #[error("{}: {source}", path.display())]
    Database {
        /// Which.
        path: PathBuf,
        /// Cause.
        #[source]
        source: rusqlite::Error,
    },
    /// The hub.
    #[error("the hub at {url}: {what}")]
    Hub {
        /// Where.
        url: String,
        /// What it said.
        what: String,
    },
    /// NATS.
    #[error("the NATS server at {url}: {what}")]
    Nats {
        /// Where.
        url: String,
        /// What it said.
        what: String,
    },
    /// Keys and certificates.
    #[error("{0}")]
    Crypto(String),
    /// What cannot be.
    #[error("{0}")]
    Invalid(String),
}

/// Now, ms since 1970.
pub(crate) fn now() -> u64 {
    crate::tap::wall().0 / 1_000_000
}

/// Random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], ShareError> {
    let mut bytes = [0; N];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes)
        .map_err(|_| ShareError::Crypto("the system has no random numbers".into()))?;
    Ok(bytes)
}

/// Writes a file that its owner alone can read, whole or not at all.
pub(crate) fn write_secret(path: &std::path::Path, text: &[u8]) -> Result<(), ShareError> {
    crate::private::replace(path, text)
        .map_err(|source| ShareError::File { path: path.to_owned(), source })
}
