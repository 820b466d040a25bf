//! What a member knows and has said, in one SQLite file: a restart goes on with it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Directory, ShareError, event::Event};
use crate::{private, sqlite};

/// The file.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    database: Connection,
}

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS event (
        issuer TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        stored INTEGER NOT NULL,
        bytes BLOB NOT NULL,
        PRIMARY KEY (issuer, sequence)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS member (name TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS count (
        member TEXT NOT NULL, what TEXT NOT NULL, n INTEGER NOT NULL,
        PRIMARY KEY (member, what)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS own (
        sequence INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        kind TEXT NOT NULL,
        about TEXT NOT NULL,
        bytes BLOB NOT NULL,
        sent INTEGER NOT NULL
    ) STRICT;";

/// An event that is kept.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its bytes, as they were signed.
    pub bytes: Vec<u8>,
    /// When the stream took it, ms since 1970.
    pub stored: u64,
}

/// An event of the member's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// Its sequence.
    pub sequence: u64,
    /// When, ms since 1970.
    pub at: u64,
    /// Kind.
    pub kind: String,
    /// Whom it is about, masked.
    pub about: String,
    /// As it was signed.
    pub bytes: Vec<u8>,
    /// Whether the server has it.
    pub sent: bool,
}

/// What `status` tells.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Members and keys; `None` before the hub was first reached.
    pub directory: Option<Directory>,
    /// Position in the stream, and how many messages were behind it when last looked.
    pub position: u64,
    /// Messages that were not read yet.
    pub lag: u64,
    /// Whether NATS was connected, and when that was written, ms since 1970.
    pub connected: bool,
    /// When the running scorer last wrote, ms since 1970.
    pub at: u64,
    /// By member, what was taken (`taken`) and refused (by cause).
    pub counts: BTreeMap<String, BTreeMap<String, u64>>,
    /// By member, events that hold.
    pub active: BTreeMap<String, u64>,
}

impl Status {
    /// As JSON, without anything of a caller.
    pub fn to_json(&self, config: &super::ConsortiumConfig) -> serde_json::Value {
        use serde_json::json;
        let time =
            |ms: u64| jiff::Timestamp::from_millisecond(ms as i64).ok().map(|at| at.to_string());
        let directory = self.directory.as_ref();
        let nothing = BTreeMap::new();
        let mut total: BTreeMap<&str, u64> = BTreeMap::new();
        for (what, n) in self.counts.values().flatten().filter(|(what, _)| *what != "taken") {
            *total.entry(what).or_default() += n;
        }
        let members =
            directory.map_or(&[][..], |directory| &directory.members).iter().map(|member| {
                let counts = self.counts.get(&member.name).unwrap_or(&nothing);
                let refused: BTreeMap<_, _> =
                    counts.iter().filter(|(what, _)| *what != "taken").collect();
                let own = config.trust.iter().find(|(name, _)| *name == member.name);
                json!({
                    "name": member.name,
                    "trust": own.map_or(member.trust, |(_, trust)| *trust),
                    "joined": !member.key.is_empty(),
                    "revoked": member.revoked.and_then(time),
                    "taken": counts.get("taken").copied().unwrap_or(0),
                    "active": self.active.get(&member.name).copied().unwrap_or(0),
                    "refused": refused,
                })
            });
        json!({
            "consortium": directory.map(|directory| &directory.consortium),
            "mode": directory.map(|directory| directory.mode.name()),
            "epoch": directory.and_then(|directory| directory.epochs.first()).map(|epoch| epoch.number),
            "connected": self.connected,
            "position": self.position,
            "lag": self.lag,
            "as_of": if self.at == 0 { None } else { time(self.at) },
            "quorum": {"members": config.quorum.members, "weight": config.quorum.weight},
            "refused": total,
            "members": members.collect::<Vec<_>>(),
        })
    }
}

impl Store {
    /// Opens the file, or makes it, readable by its owner alone.
    ///
    /// # Errors
    /// [`ShareError::Database`].
    pub fn open(path: &Path) -> Result<Self, ShareError> {
        // Keys of epochs stand in it.
        if let Err(source) = private::create_new(path)
            && source.kind() != std::io::ErrorKind::AlreadyExists
        {
            return Err(ShareError::File { path: path.to_owned(), source });
        }
        Self::with(path, sqlite::open(path, SCHEMA))
    }

    /// Opens a file that there is, to look.
    ///
    /// # Errors
    /// [`ShareError::Database`].
    pub fn look(path: &Path) -> Result<Self, ShareError> {
        Self::with(path, sqlite::look(path))
    }

    fn with(path: &Path, opened: rusqlite::Result<Connection>) -> Result<Self, ShareError> {
        let path = path.to_owned();
        match opened {
            Ok(database) => Ok(Self { path, database }),
            Err(source) => Err(ShareError::Database { path, source }),
        }
    }

    fn failed(&self) -> impl Fn(rusqlite::Error) -> ShareError + use<> {
        let path = self.path.clone();
        move |source| ShareError::Database { path: path.clone(), source }
    }

    fn state(&self, key: &str) -> Result<Option<String>, ShareError> {
        let sql = "SELECT value FROM state WHERE key = ?1";
        self.database.query_row(sql, [key], |row| row.get(0)).optional().map_err(self.failed())
    }

    fn number(&self, key: &str) -> Result<u64, ShareError> {
        Ok(self.state(key)?.and_then(|text| text.parse().ok()).unwrap_or(0))
    }

    fn set(&self, key: &str, value: &str) -> Result<(), ShareError> {
        let sql =
            "INSERT INTO state VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value";
        self.database.execute(sql, [key, value]).map(drop).map_err(self.failed())
    }

    /// Members and keys as the hub last told them.
    ///
    /// # Errors
    /// [`ShareError`].
    pub fn directory(&self) -> Result<Option<Directory>, ShareError> {
        let Some(text) = self.state("directory")? else { return Ok(None) };
        let wrong = |what| ShareError::Content { path: self.path.clone(), what };
        Directory::parse(text.as_bytes()).map(Some).map_err(wrong)
    }

    /// Keeps them.
    ///
    /// # Errors
    /// [`ShareError::Database`].
    pub fn set_directory(&self, directory: &Directory) -> Result<(), ShareError> {
        self.set("directory", &directory.to_json())
    }

    /// Last message of the stream that was read.
    ///
    /// # Errors
    /// [`ShareError::Database`].
    pub fn position(&self) -> Result<u64, ShareError> {
        self.number("position")
    }

    /// When the server took that message, ms since 1970.
    ///
    /// # Errors
    /// [`ShareError::Database`].
    pub fn position_at(&self) -> Result<u64, ShareError> {
        self.number("position_at")
    }

    /// Begins a change of several.
    ///
    /// # Errors
    /// [`ShareError::Database`].
    pub fn begin(&self) -> Result<(), ShareError> {
        self.database.execute_batch("BEGIN IMMEDIATE").map_err(self.failed())
    }

    /// Ends it: all of it stands, and that the stream was read to a message, taken then.
    ///
    /// # Errors
    /// [`ShareError::Database`].
    pub fn commit(&self, position: u64, at: u64) -> Result<(), ShareError> {
        self.set("position", &position.to_string())?;
        self.set("position_at", &at.to_string())?;
        self.database.execute_batch("COMMIT").map_err(self.failed())
    }

    /// Gives it up.
    pub fn roll_back(&self) {
        let _ = self.database.execute_batch("ROLLBACK");
    }

    /// Keeps an event that was taken; one that withdraws only moves the sequence.
    ///
    /// # Errors
    /// [`ShareError::Database`].
    pub fn take(&self, event: &Event, bytes: &[u8], stored: u64) -> Result<(), ShareError> {
        let word = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let put = || {
            let member =
                "INSERT INTO member VALUES (?1, ?2) ON CONFLICT DO UPDATE SET last = excluded.last";
            // Sequences are of 64 bits without a sign.
            self.database.execute(member, params![event.issuer, event.sequence as i64])?;
            if event.kind.accuses() {
                let row = params![
                    event.issuer,
                    event.sequence as i64,
                    word(event.expires),
                    word(stored),
                    bytes
                ];
                self.database
                    .execute("INSERT OR REPLACE INTO event VALUES (?1, ?2, ?3, ?4, ?5)", row)?;
            }
            Ok(())
        };
        put().map_err(self.failed())
    }

    /// Forgets an event.
    ///
    /// # Errors
    /// [`ShareError::Database`].
    pub fn forget(&self, issuer: &str, sequence: u64) -> Result<(), ShareError> {
        let sql = "DELETE FROM event WHERE issuer = ?1 AND sequence = ?2";
        self.database
            .execute(sql, params![issuer, sequence as i64])
            .map(drop)
            .map_err(self.failed())
    }

    /// Forgets what is over.
    ///
    /// # Errors
    /// [`ShareError::Database`].
    pub fn forget_before(&self, now: u64) -> Result<(), ShareError> {
        let sql = "DELETE FROM event WHERE expires <= ?1";
        self.database.execute(sql, [now as i64]).map(drop).map_err(self.failed())
    }

    /// Events that are kept, in the order of issuers and sequences.
    ///
    /// # Errors
    /// [`ShareError::Database`].
    pub fn events(&self, each: &mut dyn FnMut(Row)) -> Result<(), ShareError> {
        let mut read = || {
            let mut all = self
                .database
                .prepare("SELECT bytes, stored FROM event ORDER BY issuer, sequence")?;
            let rows = all.query_map([], |row| {
                Ok(Row { bytes: row.get(0)?, stored: row.get::<_, i64>(1)? as u64 })
            })?;
            rows.into_iter().try_for_each(|row| row.map(&mut *each))
        };
        read().map_err(self.failed())
    }

    /// Last sequence of each member.
    ///
    /// # Errors
    /// [`ShareError::Database`].
    pub fn sequences(&self) -> Result<Vec<(String, u64)>, ShareError> {
        let read = || {
            let mut all = self.database.prepare("SELECT name, last FROM member")?;
            let rows = all.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)))?;
            rows.collect::<Result<Vec<_>, _>>()
        };
        read().map_err(self.failed())
    }

    /// Counts what became of a member's message.
    ///
    /// # Errors
    /// [`ShareError::Database`].
    pub fn count(&self, member: &str, what: &str, n: u64) -> Result<(), ShareError> {
        let sql =
            "INSERT INTO count VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET n = n + excluded.n";
        self.database.execute(sql, params![member, what, n as i64]).map(drop).map_err(self.failed())
    }

    /// Writes how the follower stands.
    ///
    /// # Errors
    /// [`ShareError::Database`].
    pub fn stands(&self, connected: bool, lag: u64) -> Result<(), ShareError> {
        self.set("connected", if connected { "1" } else { "0" })?;
        self.set("lag", &lag.to_string())?;
        self.set("at", &super::now().to_string())
    }

    /// What `status` tells.
    ///
    /// # Errors
    /// [`ShareError`].
    pub fn status(&self) -> Result<Status, ShareError> {
        let mut status = Status {
            directory: self.directory()?,
            position: self.position()?,
            lag: self.number("lag")?,
            connected: self.number("connected")? == 1,
            at: self.number("at")?,
            ..Status::default()
        };
        let mut read = || {
            let mut all = self.database.prepare("SELECT member, what, n FROM count")?;
            let rows = all.query_map([], |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, String>(1)?,
                    row.get::<_, i64>(2)? as u64,
                ))
            })?;
            for row in rows {
                let (member, what, n) = row?;
                status.counts.entry(member).or_default().insert(what, n);
            }
            let sql = "SELECT issuer, count(*) FROM event WHERE expires > ?1 GROUP BY issuer";
            let mut all = self.database.prepare(sql)?;
            let rows = all.query_map([super::now() as i64], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)? as u64))
            })?;
            status.active = rows.collect::<Result<_, _>>()?;
            Ok(())
        };
        read().map_err(self.failed())?;
        Ok(status)
    }

    /// Signs and keeps an event of the member's own with the next sequence: the time in
    /// µs, so that it rises whoever counts.
    ///
    /// # Errors
    /// [`ShareError::Database`].
    pub fn say(
        &self,
        event: &mut Event,
        about: &str,
        sign: impl FnOnce(&Event) -> Vec<u8>,
    ) -> Result<Vec<u8>, ShareError> {
        self.begin()?;
        let put = |event: &mut Event| {
            let last = "SELECT coalesce(max(sequence), 0) FROM own";
            let last: i64 = self.database.query_row(last, [], |row| row.get(0))?;
            event.sequence = (last as u64 + 1).max(super::now() * 1_000);
            let bytes = sign(event);
            let row =
                params![event.sequence as i64, event.time as i64, event.kind.name(), about, bytes];
            self.database.execute("INSERT INTO own VALUES (?1, ?2, ?3, ?4, ?5, 0)", row)?;
            self.database.execute_batch("COMMIT")?;
            Ok(bytes)
        };
        put(event).inspect_err(|_| self.roll_back()).map_err(self.failed())
    }

    /// Tells that the server has one.
    ///
    /// # Errors
    /// [`ShareError::Database`].
    pub fn sent(&self, sequence: u64) -> Result<(), ShareError> {
        let sql = "UPDATE own SET sent = 1 WHERE sequence = ?1";
        self.database.execute(sql, [sequence as i64]).map(drop).map_err(self.failed())
    }

    /// Events of the member's own, oldest first.
    ///
    /// # Errors
    /// [`ShareError::Database`].
    pub fn own(&self) -> Result<Vec<Own>, ShareError> {
        let read = || {
            let sql = "SELECT sequence, at, kind, about, bytes, sent FROM own ORDER BY sequence";
            let mut all = self.database.prepare(sql)?;
            let rows = all.query_map([], |row| {
                Ok(Own {
                    sequence: row.get::<_, i64>(0)? as u64,
                    at: row.get::<_, i64>(1)? as u64,
                    kind: row.get(2)?,
                    about: row.get(3)?,
                    bytes: row.get(4)?,
                    sent: row.get(5)?,
                })
            })?;
            rows.collect::<Result<Vec<_>, _>>()
        };
        read().map_err(self.failed())
    }
}
