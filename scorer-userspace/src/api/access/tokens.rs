//! Tokens, and who changed what through the API: in the SQLite file of the lists.
//!
//! A token is `scorer_ID_SECRET`. The secret is 256 random bits; only its Argon2id hash
//! (RFC 9106) is kept.

use std::path::{Path, PathBuf};

use argon2::{
    Argon2, PasswordHash, PasswordHasher as _, PasswordVerifier as _, password_hash::SaltString,
};
use ring::rand::{SecureRandom as _, SystemRandom};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::Serialize;

use super::Role;
use crate::{
    hex::hex,
    lists::{self, StoreError},
    sqlite,
};

/// Bytes of a secret.
const SECRET: usize = 32;
/// Longest name, bytes.
const LONGEST: usize = 100;
/// What tokens begin with, so that tools that look for leaked secrets know them.
const PREFIX: &str = "scorer_";

/// Why tokens cannot be kept or had.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The database.
    #[error("{}: {source}", path.display())]
    Database {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// The lists' part of it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What cannot be.
    #[error("{0}")]
    Invalid(String),
    /// There is one of this name.
    #[error("there is a token {0} already; revoke it, or choose another name")]
    Exists(String),
    /// No randomness, or no hash.
    #[error("cannot make a token: {0}")]
    Make(String),
}

/// A token as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its public part, 8 hexadecimal digits.
    pub id: String,
    /// Whose it is; unique among those that hold.
    pub name: String,
    /// What its bearer may do.
    pub role: Role,
    /// Who made it.
    pub author: String,
    /// When, seconds since 1970.
    pub created: i64,
    /// When it stops; `None` for never.
    pub expires: Option<i64>,
    /// When it was revoked.
    pub revoked: Option<i64>,
    /// Argon2id, in PHC form.
    hash: String,
}

/// A change through the API, or of tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Number, rising.
    pub id: i64,
    /// When, seconds since 1970.
    #[serde(skip)]
    pub at: i64,
    /// Who.
    pub who: String,
    /// As what.
    pub role: String,
    /// From where.
    pub peer: String,
    /// What was asked: method and path.
    pub what: String,
    /// HTTP status of the answer; 0 on the command line.
    pub status: u16,
    /// What was changed.
    pub object: String,
}

/// The file.
#[derive(Debug)]
pub struct Tokens {
    path: PathBuf,
    database: Connection,
}

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS api_token (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        role TEXT NOT NULL CHECK (role IN ('viewer', 'analyst', 'admin')),
        hash TEXT NOT NULL,
        author TEXT NOT NULL,
        created INTEGER NOT NULL,
        expires INTEGER,
        revoked INTEGER
    ) STRICT;
    CREATE UNIQUE INDEX IF NOT EXISTS api_token_name ON api_token (name) WHERE revoked IS NULL;
    CREATE TABLE IF NOT EXISTS api_audit (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at INTEGER NOT NULL,
        who TEXT NOT NULL,
        role TEXT NOT NULL,
        peer TEXT NOT NULL,
        what TEXT NOT NULL,
        status INTEGER NOT NULL,
        object TEXT NOT NULL
    ) STRICT;
    CREATE TRIGGER IF NOT EXISTS api_audit_is_not_changed BEFORE UPDATE ON api_audit
        BEGIN SELECT RAISE(ABORT, 'the audit trail is not changed'); END;
    CREATE TRIGGER IF NOT EXISTS api_audit_is_not_cut BEFORE DELETE ON api_audit
        BEGIN SELECT RAISE(ABORT, 'the audit trail is not cut'); END;";

impl Tokens {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// When it is no such database or cannot be written.
    pub fn open(path: &Path) -> Result<Self, TokenError> {
        let failed = |source| TokenError::Database { path: path.to_owned(), source };
        // A file without lists would be none to whoever looks for them.
        drop(lists::Store::open(path)?);
        let database = sqlite::open(path, SCHEMA).map_err(failed)?;
        Ok(Self { path: path.to_owned(), database })
    }

    fn failed(&self) -> impl Fn(rusqlite::Error) -> TokenError + use<> {
        let path = self.path.clone();
        move |source| TokenError::Database { path: path.clone(), source }
    }

    /// Makes a token; it is told this once.
    ///
    /// # Errors
    /// When it cannot be, or cannot be written.
    pub fn add(
        &self,
        name: &str,
        role: Role,
        (by, now): (&str, i64),
        expires: Option<i64>,
    ) -> Result<String, TokenError> {
        if name.is_empty() || name.len() > LONGEST || name.chars().any(char::is_control) {
            let what =
                format!("a token's name has 1 to {LONGEST} bytes, none of them control characters");
            return Err(TokenError::Invalid(what));
        }
        if expires.is_some_and(|at| at <= now) {
            return Err(TokenError::Invalid("the token would be over already".into()));
        }
        let random = SystemRandom::new();
        let (mut id, mut secret, mut salt) = ([0; 4], [0; SECRET], [0; 16]);
        for bytes in [&mut id[..], &mut secret[..], &mut salt[..]] {
            let failed = |_| TokenError::Make("the kernel gives no random bytes".into());
            random.fill(bytes).map_err(failed)?;
        }
        let (id, secret) = (hex(&id), hex(&secret));
        let failed = |error: argon2::password_hash::Error| TokenError::Make(error.to_string());
        let salt = SaltString::encode_b64(&salt).map_err(failed)?;
        let hash =
            Argon2::default().hash_password(secret.as_bytes(), &salt).map_err(failed)?.to_string();
        let insert = "INSERT INTO api_token (id, name, role, hash, author, created, expires)
                      VALUES (?, ?, ?, ?, ?, ?, ?)";
        let done =
            self.database.execute(insert, params![id, name, role.name(), hash, by, now, expires]);
        match done {
            Ok(_) => Ok(format!("{PREFIX}{id}_{secret}")),
            Err(rusqlite::Error::SqliteFailure(error, _))
                if error.code == rusqlite::ErrorCode::ConstraintViolation =>
            {
                Err(TokenError::Exists(name.to_owned()))
            }
            Err(error) => Err(self.failed()(error)),
        }
    }

    /// Revokes the token of a name; false when none of it holds.
    ///
    /// # Errors
    /// Those of the database.
    pub fn revoke(&self, name: &str, now: i64) -> Result<bool, TokenError> {
        let update = "UPDATE api_token SET revoked = ? WHERE name = ? AND revoked IS NULL";
        let done = self.database.execute(update, params![now, name]).map_err(self.failed())?;
        Ok(done > 0)
    }

    /// All tokens, the newest first.
    ///
    /// # Errors
    /// Those of the database.
    pub fn list(&self) -> Result<Vec<Token>, TokenError> {
        let failed = self.failed();
        let query = "SELECT id, name, role, author, created, expires, revoked, hash FROM api_token
                     ORDER BY created DESC, id";
        let mut statement = self.database.prepare(query).map_err(&failed)?;
        let rows = statement.query_map([], |row| {
            Ok(Token {
                id: row.get(0)?,
                name: row.get(1)?,
                // The table's check leaves no other.
                role: Role::by_name(&row.get::<_, String>(2)?).unwrap_or(Role::Viewer),
                author: row.get(3)?,
                created: row.get(4)?,
                expires: row.get(5)?,
                revoked: row.get(6)?,
                hash: row.get(7)?,
            })
        });
        rows.map_err(&failed)?.collect::<Result<_, _>>().map_err(failed)
    }

    /// Grows when another process has changed the file.
    pub(super) fn version(&self) -> Result<i64, TokenError> {
        let version = self.database.query_row("PRAGMA data_version", [], |row| row.get(0));
        version.map_err(self.failed())
    }

    /// Writes down a change.
    ///
    /// # Errors
    /// Those of the database.
    pub fn note(&self, entry: &Entry) -> Result<(), TokenError> {
        let Entry { id: _, at, who, role, peer, what, status, object } = entry;
        let insert = "INSERT INTO api_audit (at, who, role, peer, what, status, object)
                      VALUES (?, ?, ?, ?, ?, ?, ?)";
        self.database
            .execute(insert, params![at, who, role, peer, what, status, object])
            .map_err(self.failed())?;
        Ok(())
    }

    /// The last changes before the one with number `before`, newest first.
    ///
    /// # Errors
    /// Those of the database.
    pub fn audit(&self, before: Option<i64>, most: u32) -> Result<Vec<Entry>, TokenError> {
        let failed = self.failed();
        let query = "SELECT id, at, who, role, peer, what, status, object FROM api_audit
                     WHERE id < ? ORDER BY id DESC LIMIT ?";
        let mut statement = self.database.prepare(query).map_err(&failed)?;
        let rows = statement.query_map(params![before.unwrap_or(i64::MAX), most], |row| {
            Ok(Entry {
                id: row.get(0)?,
                at: row.get(1)?,
                who: row.get(2)?,
                role: row.get(3)?,
                peer: row.get(4)?,
                what: row.get(5)?,
                status: row.get(6)?,
                object: row.get(7)?,
            })
        });
        rows.map_err(&failed)?.collect::<Result<_, _>>().map_err(failed)
    }

    /// Whether there is a token at all that holds at `now`.
    ///
    /// # Errors
    /// Those of the database.
    pub fn any(&self, now: i64) -> Result<bool, TokenError> {
        let query = "SELECT 1 FROM api_token
                     WHERE revoked IS NULL AND (expires IS NULL OR expires > ?) LIMIT 1";
        let any = self.database.query_row(query, [now], |_| Ok(())).optional();
        Ok(any.map_err(self.failed())?.is_some())
    }
}

impl Token {
    /// Whether it may be used at `now`.
    pub fn holds(&self, now: i64) -> bool {
        self.revoked.is_none() && self.expires.is_none_or(|at| at > now)
    }

    /// Whether `secret` is its own. Takes tens of milliseconds and 19 MiB.
    pub(super) fn is(&self, secret: &str) -> bool {
        PasswordHash::new(&self.hash)
            .is_ok_and(|hash| Argon2::default().verify_password(secret.as_bytes(), &hash).is_ok())
    }

    /// Tells two tokens of one id apart.
    pub(super) fn hash(&self) -> &str {
        &self.hash
    }
}

/// Id and secret of a token as it is sent; `None` when it is none.
pub(super) fn parts(token: &str) -> Option<(&str, &str)> {
    let (id, secret) = token.strip_prefix(PREFIX)?.split_once('_')?;
    let is_hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    (is_hex(id, 8) && is_hex(secret, 2 * SECRET)).then_some((id, secret))
}

#[cfg(test)]
mod tests {
    use super::{Entry, Role, TokenError, Tokens, parts};

    #[test]
    fn made_once_used_and_revoked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lists.db");
        let tokens = Tokens::open(&path).unwrap();
        assert!(!tokens.any(5).unwrap());
        let text = tokens.add("wall", Role::Viewer, ("ops", 5), Some(100)).unwrap();
        let (id, secret) = parts(&text).expect("a token");
        let kept = tokens.list().unwrap().remove(0);
        assert_eq!((kept.id.as_str(), kept.role, kept.name.as_str()), (id, Role::Viewer, "wall"));
        assert!(kept.is(secret) && !kept.is(&secret.replace(&secret[..1], "g")));
        assert!(!std::fs::read(&path).unwrap().windows(64).any(|w| w == secret.as_bytes()));
        assert!(kept.holds(99) && !kept.holds(100));
        let again = tokens.add("wall", Role::Admin, ("ops", 6), None);
        assert!(matches!(again, Err(TokenError::Exists(_))), "{again:?}");
        assert!(tokens.revoke("wall", 7).unwrap() && !tokens.revoke("wall", 8).unwrap());
        assert!(!tokens.list().unwrap()[0].holds(8));
        tokens.add("wall", Role::Admin, ("ops", 9), None).expect("the name is free again");
        for (name, expires) in [("", None), ("a\nb", None), ("late", Some(9))] {
            assert!(tokens.add(name, Role::Viewer, ("ops", 9), expires).is_err(), "{name:?}");
        }
    }

    #[test]
    fn what_is_no_token() {
        for wrong in ["", "scorer_", "scorer_12345678_", "scorer_1234567g_00", "Bearer x"] {
            assert!(parts(wrong).is_none(), "{wrong}");
        }
        assert!(parts(&format!("scorer_1234abcd_{}", "0".repeat(64))).is_some());
        assert!(parts(&format!("scorer_1234abcd_{}", "é".repeat(32))).is_none());
    }

    #[test]
    fn the_audit_trail_is_not_changed() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = Tokens::open(&folder.path().join("lists.db")).unwrap();
        for id in 1..=3 {
            let entry = Entry {
                id,
                at: 100 + id,
                who: "ops".into(),
                role: "admin".into(),
                peer: "127.0.0.1".into(),
                what: "POST /v1/labels".into(),
                status: 201,
                object: "a@b fraud".into(),
            };
            tokens.note(&entry).unwrap();
            assert_eq!(tokens.audit(None, 10).unwrap()[0], entry);
        }
        assert_eq!(tokens.audit(Some(3), 1).unwrap()[0].id, 2);
        for cut in ["DELETE FROM api_audit", "UPDATE api_audit SET who = 'x'"] {
            assert!(tokens.database.execute(cut, []).is_err(), "{cut}");
        }
    }
}
