//! A member's folder: its bundle from the hub, its signing key, its store.

use std::path::{Path, PathBuf};

use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde::{Deserialize, Serialize};

use super::{HubClient, ShareError, Store, event::is_name, write_secret};
use crate::private;

/// What a hub gives a member: how it is reached, and the member's certificate. Secret.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// 1.
    pub version: u32,
    /// Name of the consortium.
    pub consortium: String,
    /// The member's name.
    pub member: String,
    /// The hub, `https://…`.
    pub hub: String,
    /// Its NATS server, `tls://…`.
    pub nats: String,
    /// Certificate of the consortium's authority, PEM.
    pub authority: String,
    /// The member's certificate, PEM.
    pub certificate: String,
    /// Its key, PEM.
    pub key: String,
    /// Seed of its key for NATS.
    pub nkey: String,
}

impl std::fmt::Debug for Bundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bundle").field("member", &self.member).finish_non_exhaustive()
    }
}

/// Bytes of a bundle at most.
const LARGEST: u64 = 64 << 10;

impl Bundle {
    /// Reads one.
    ///
    /// # Errors
    /// [`ShareError`], when it cannot be read or is none.
    pub fn read(path: &Path) -> Result<Self, ShareError> {
        use std::io::Read as _;
        let failed = |source| ShareError::File { path: path.to_owned(), source };
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(LARGEST).read_to_string(&mut text).map_err(failed)?;
        let wrong = |what: String| ShareError::Content { path: path.to_owned(), what };
        let this: Self = serde_json::from_str(&text).map_err(|error| {
            wrong(format!("is no bundle ({error}); `scorer consortium hub invite` makes one"))
        })?;
        if this.version != 1 {
            return Err(wrong(format!("is of version {}; a newer scorer reads it", this.version)));
        }
        if !is_name(&this.member) {
            return Err(wrong("its member has no name of a-z, 0-9 and -".into()));
        }
        Ok(this)
    }
}

/// The folder.
#[derive(Debug)]
pub struct Home {
    /// Where.
    pub folder: PathBuf,
    /// From the hub.
    pub bundle: Bundle,
    key: Ed25519KeyPair,
}

const BUNDLE: &str = "member.json";
const SIGNING: &str = "signing.key";
const STORE: &str = "consortium.sqlite";

impl Home {
    /// Makes the folder of a bundle, with a signing key of its own whose public half the
    /// hub is told, and asks the hub for members and keys.
    ///
    /// # Errors
    /// [`ShareError`]: a folder that is in use, a hub that refuses.
    pub fn join(bundle: Bundle, folder: &Path) -> Result<Self, ShareError> {
        let failed = |source| ShareError::File { path: folder.to_owned(), source };
        private::make_folder(folder).map_err(failed)?;
        if let Ok(old) = Bundle::read(&folder.join(BUNDLE))
            && (&old.consortium, &old.member) != (&bundle.consortium, &bundle.member)
        {
            let what = format!("is {}'s of {}; join in another", old.member, old.consortium);
            return Err(ShareError::Content { path: folder.to_owned(), what });
        }
        let signing = folder.join(SIGNING);
        if !signing.exists() {
            let made = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new())
                .map_err(|_| ShareError::Crypto("a signing key cannot be made".into()))?;
            write_secret(&signing, made.as_ref())?;
        }
        let this = Self { key: read_key(&signing)?, folder: folder.to_owned(), bundle };
        let hub = HubClient::new(&this.bundle)?;
        hub.register(this.public_key())?;
        let directory = hub.directory()?;
        let text = serde_json::to_vec_pretty(&this.bundle).unwrap_or_default();
        write_secret(&folder.join(BUNDLE), &text)?;
        this.store()?.set_directory(&directory)?;
        Ok(this)
    }

    /// Opens one that was joined.
    ///
    /// # Errors
    /// [`ShareError`], when there is none.
    pub fn open(folder: &Path) -> Result<Self, ShareError> {
        let path = folder.join(BUNDLE);
        if !path.exists() {
            let what = "no consortium was joined here; `scorer consortium join BUNDLE` does it";
            return Err(ShareError::Content { path: folder.to_owned(), what: what.into() });
        }
        let bundle = Bundle::read(&path)?;
        let key = read_key(&folder.join(SIGNING))?;
        Ok(Self { folder: folder.to_owned(), bundle, key })
    }

    /// What is known and said.
    ///
    /// # Errors
    /// Those of the database.
    pub fn store(&self) -> Result<Store, ShareError> {
        Store::open(&self.folder.join(STORE))
    }

    /// The same of a folder, to look.
    ///
    /// # Errors
    /// Those of the database.
    pub fn look(folder: &Path) -> Result<Store, ShareError> {
        Store::look(&folder.join(STORE))
    }

    /// Key that events are signed with.
    pub fn key(&self) -> &Ed25519KeyPair {
        &self.key
    }

    /// Its public half, 32 bytes.
    pub fn public_key(&self) -> &[u8] {
        self.key.public_key().as_ref()
    }
}

fn read_key(path: &Path) -> Result<Ed25519KeyPair, ShareError> {
    let bytes =
        std::fs::read(path).map_err(|source| ShareError::File { path: path.to_owned(), source })?;
    Ed25519KeyPair::from_pkcs8(&bytes).map_err(|error| ShareError::Content {
        path: path.to_owned(),
        what: format!("is no signing key: {error}"),
    })
}
