//! What a hub keeps: a folder with certificates and a SQLite file of members and epochs.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    authority::{self, Pair, Use},
    conf::{self, User},
};
use crate::{
    private,
    share::{
        Bundle, Directory, Epoch, MEMBERS, Member, Mode, ShareError, blind::Evaluator,
        event::is_name, now, random, write_secret,
    },
    sqlite,
};

/// What a consortium is made with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name, of a-z, 0-9 and -.
    pub name: String,
    /// How pseudonyms are made.
    pub mode: Mode,
    /// The hub as members reach it, `https://HOST:PORT`.
    pub url: String,
    /// The NATS server as members reach it, `tls://HOST:PORT`.
    pub nats: String,
    /// Days that an epoch lasts.
    pub epoch_days: u32,
    /// Blind evaluations of a member in a minute.
    pub evaluations: u32,
}

/// A member's new bundle.
#[derive(Debug)]
pub struct Invited {
    /// To be handed over, once, over a channel that is trusted.
    pub bundle: Bundle,
    /// Whether it was a member before; its old bundle is worth nothing any more.
    pub again: bool,
}

/// A hub's folder.
#[derive(Debug)]
pub struct Hub {
    folder: PathBuf,
    database: Connection,
}

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS setting (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS member (
        name TEXT PRIMARY KEY,
        nkey TEXT NOT NULL,
        certificate BLOB NOT NULL,
        key BLOB,
        trust INTEGER NOT NULL,
        invited INTEGER NOT NULL,
        revoked INTEGER
    ) STRICT;
    CREATE TABLE IF NOT EXISTS epoch (
        number INTEGER PRIMARY KEY, began INTEGER NOT NULL, seed BLOB NOT NULL
    ) STRICT;";

const STATE: &str = "hub.sqlite";

impl Hub {
    /// Makes a consortium in a new folder: authority, certificates, the first epoch, the
    /// NATS server's configuration.
    ///
    /// # Errors
    /// [`ShareError`]: a folder that has one, a URL that is none.
    pub fn create(folder: &Path, settings: &Settings) -> Result<Self, ShareError> {
        if !is_name(&settings.name) {
            return Err(ShareError::Invalid("its name must be of a-z, 0-9 and -".into()));
        }
        let hosts = [host(&settings.url, "https://")?, host(&settings.nats, "tls://")?];
        let failed = |source| ShareError::File { path: folder.to_owned(), source };
        private::make_folder(folder).map_err(failed)?;
        if folder.join(STATE).exists() {
            let what = "has a consortium already".into();
            return Err(ShareError::Content { path: folder.to_owned(), what });
        }
        let root = authority::create(&settings.name)?;
        let signed = (&*settings.name, &*root.key);
        let put = |name: &str, text: &str| write_secret(&folder.join(name), text.as_bytes());
        put("authority.pem", &root.certificate)?;
        put("authority.key", &root.key)?;
        for (name, (host, _)) in ["hub", "nats"].into_iter().zip(&hosts) {
            let pair = authority::sign(signed, name, vec![host.clone()], Use::Server)?;
            put(&format!("{name}.pem"), &pair.certificate)?;
            put(&format!("{name}.key"), &pair.key)?;
        }
        // With which the hub is a client of the NATS server.
        let pair = authority::sign(signed, "hub", Vec::new(), Use::Client)?;
        put("client.pem", &pair.certificate)?;
        put("client.key", &pair.key)?;
        let nkey = nkeys::KeyPair::new_user();
        let seed = nkey.seed().map_err(|error| ShareError::Crypto(error.to_string()))?;
        put("nats.seed", &seed)?;
        write_secret(&folder.join(STATE), b"")?;
        let this = Self::open_with(folder)?;
        for (key, value) in [
            ("name", settings.name.clone()),
            ("mode", settings.mode.name().to_owned()),
            ("url", settings.url.trim_end_matches('/').to_owned()),
            ("nats", settings.nats.clone()),
            ("nkey", nkey.public_key()),
            ("epoch_days", settings.epoch_days.to_string()),
            ("evaluations", settings.evaluations.to_string()),
        ] {
            this.set(key, &value)?;
        }
        this.rotate()?;
        this.write_conf()?;
        Ok(this)
    }

    /// Opens one that was made.
    ///
    /// # Errors
    /// [`ShareError`], when there is none.
    pub fn open(folder: &Path) -> Result<Self, ShareError> {
        if !folder.join(STATE).exists() {
            let what = "has no consortium; `scorer consortium hub init` makes one".into();
            return Err(ShareError::Content { path: folder.to_owned(), what });
        }
        Self::open_with(folder)
    }

    fn open_with(folder: &Path) -> Result<Self, ShareError> {
        let path = folder.join(STATE);
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        match sqlite::open(&path, SCHEMA) {
            Ok(database) => Ok(Self { folder, database }),
            Err(source) => Err(ShareError::Database { path, source }),
        }
    }

    fn failed(&self) -> impl Fn(rusqlite::Error) -> ShareError + use<> {
        let path = self.folder.join(STATE);
        move |source| ShareError::Database { path: path.clone(), source }
    }

    fn set(&self, key: &str, value: &str) -> Result<(), ShareError> {
        let sql =
            "INSERT INTO setting VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value";
        self.database.execute(sql, [key, value]).map(drop).map_err(self.failed())
    }

    fn setting(&self, key: &str) -> Result<String, ShareError> {
        let sql = "SELECT value FROM setting WHERE key = ?1";
        let found = self.database.query_row(sql, [key], |row| row.get(0)).optional();
        found.map_err(self.failed())?.ok_or_else(|| ShareError::Content {
            path: self.folder.clone(),
            what: format!("its setting {key} is missing; restore it from a backup"),
        })
    }

    fn number(&self, key: &str) -> Result<u32, ShareError> {
        Ok(self.setting(key)?.parse().unwrap_or(1))
    }

    /// What is in one of its files.
    pub(super) fn text(&self, name: &str) -> Result<String, ShareError> {
        let path = self.folder.join(name);
        std::fs::read_to_string(&path).map_err(|source| ShareError::File { path, source })
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How pseudonyms are made.
    ///
    /// # Errors
    /// Those of the database.
    pub fn mode(&self) -> Result<Mode, ShareError> {
        Ok(if self.setting("mode")? == "blind" { Mode::Blind } else { Mode::Keyed })
    }

    /// Blind evaluations of a member in a minute.
    ///
    /// # Errors
    /// Those of the database.
    pub fn evaluations(&self) -> Result<u32, ShareError> {
        self.number("evaluations")
    }

    /// The NATS server as it is reached.
    ///
    /// # Errors
    /// Those of the database.
    pub fn nats(&self) -> Result<String, ShareError> {
        self.setting("nats")
    }

    /// Begins the next epoch; its number.
    ///
    /// # Errors
    /// Those of the database.
    pub fn rotate(&self) -> Result<u32, ShareError> {
        let seed = random::<32>()?;
        let put = || {
            let sql = "SELECT coalesce(max(number), 0) + 1 FROM epoch";
            let number: u32 = self.database.query_row(sql, [], |row| row.get(0))?;
            let row = params![number, now() as i64, seed];
            self.database.execute("INSERT INTO epoch VALUES (?1, ?2, ?3)", row)?;
            // Keys that nobody needs any more are forgotten: what they named stays unknown.
            self.database.execute("DELETE FROM epoch WHERE number < ?1 - 1", [number])?;
            Ok(number)
        };
        put().map_err(self.failed())
    }

    /// Begins the next epoch where the current one has had its days.
    ///
    /// # Errors
    /// Those of the database.
    pub fn rotate_when_due(&self) -> Result<Option<u32>, ShareError> {
        let days = u64::from(self.number("epoch_days")?.max(1));
        let sql = "SELECT coalesce(max(began), 0) FROM epoch";
        let began: i64 =
            self.database.query_row(sql, [], |row| row.get(0)).map_err(self.failed())?;
        let due = began as u64 + days * 86_400_000 <= now();
        due.then(|| self.rotate()).transpose()
    }

    /// Seed of an epoch's key.
    ///
    /// # Errors
    /// Those of the database.
    pub(super) fn seed(&self, epoch: u32) -> Result<Option<Vec<u8>>, ShareError> {
        let sql = "SELECT seed FROM epoch WHERE number = ?1";
        self.database.query_row(sql, [epoch], |row| row.get(0)).optional().map_err(self.failed())
    }

    /// What members are told.
    ///
    /// # Errors
    /// Those of the database.
    pub fn directory(&self) -> Result<Directory, ShareError> {
        let mode = self.mode()?;
        let read = || {
            let sql = "SELECT number, began, seed FROM epoch ORDER BY number DESC LIMIT 2";
            let mut all = self.database.prepare(sql)?;
            let rows = all.query_map([], |row| {
                Ok((row.get(0)?, row.get::<_, i64>(1)? as u64, row.get::<_, Vec<u8>>(2)?))
            })?;
            let epochs: Vec<(u32, u64, Vec<u8>)> = rows.collect::<Result<_, _>>()?;
            let sql = "SELECT name, coalesce(key, x''), trust, revoked FROM member ORDER BY name";
            let mut all = self.database.prepare(sql)?;
            let rows = all.query_map([], |row| {
                Ok(Member {
                    name: row.get(0)?,
                    key: row.get(1)?,
                    trust: row.get(2)?,
                    revoked: row.get::<_, Option<i64>>(3)?.map(|at| at as u64),
                })
            })?;
            Ok((epochs, rows.collect::<Result<Vec<_>, _>>()?))
        };
        let (epochs, members) = read().map_err(self.failed())?;
        let epochs = epochs.into_iter().map(|(number, from, seed)| {
            let key = match mode {
                Mode::Keyed => seed,
                Mode::Blind => Evaluator::new(&seed)?.public(),
            };
            Ok(Epoch { number, from, key })
        });
        let epochs = epochs.collect::<Result<_, ShareError>>()?;
        Ok(Directory { consortium: self.setting("name")?, mode, epochs, members })
    }

    /// The member whose certificate has this SHA-256 and who is not revoked.
    ///
    /// # Errors
    /// Those of the database.
    pub(super) fn who(&self, digest: &[u8]) -> Result<Option<String>, ShareError> {
        let sql = "SELECT name FROM member WHERE certificate = ?1 AND revoked IS NULL";
        self.database.query_row(sql, [digest], |row| row.get(0)).optional().map_err(self.failed())
    }

    /// Takes the key that a member signs with; false where it told another before.
    ///
    /// # Errors
    /// Those of the database.
    pub(super) fn register(&self, member: &str, key: &[u8]) -> Result<bool, ShareError> {
        let sql = "UPDATE member SET key = ?2 WHERE name = ?1 AND (key IS NULL OR key = ?2)";
        let changed = self.database.execute(sql, params![member, key]).map_err(self.failed())?;
        Ok(changed == 1)
    }

    /// Invites a member, or gives it another certificate: its signing key is forgotten,
    /// and it joins again.
    ///
    /// # Errors
    /// [`ShareError`]: a name that cannot be, too many members.
    pub fn invite(&self, name: &str, trust: u8) -> Result<Invited, ShareError> {
        if !is_name(name) {
            return Err(ShareError::Invalid(format!(
                "{name:?} cannot be a member's name: 1 to 32 of a-z, 0-9 and -"
            )));
        }
        let known = self.directory()?.members;
        let again = known.iter().any(|member| member.name == name);
        if !again && known.len() >= MEMBERS {
            return Err(ShareError::Invalid(format!("there are {MEMBERS} members, the most")));
        }
        let (consortium, key) = (self.setting("name")?, self.text("authority.key")?);
        let Pair { certificate, key, digest } =
            authority::sign((&consortium, &key), name, vec![], Use::Client)?;
        let nkey = nkeys::KeyPair::new_user();
        let seed = nkey.seed().map_err(|error| ShareError::Crypto(error.to_string()))?;
        let sql = "INSERT INTO member VALUES (?1, ?2, ?3, NULL, ?4, ?5, NULL)
            ON CONFLICT DO UPDATE SET nkey = excluded.nkey, certificate = excluded.certificate,
            key = NULL, trust = excluded.trust, invited = excluded.invited, revoked = NULL";
        let row = params![name, nkey.public_key(), digest, trust.min(100), now() as i64];
        self.database.execute(sql, row).map_err(self.failed())?;
        self.write_conf()?;
        let bundle = Bundle {
            version: 1,
            consortium,
            member: name.to_owned(),
            hub: self.setting("url")?,
            nats: self.setting("nats")?,
            authority: self.text("authority.pem")?,
            certificate,
            key,
            nkey: seed,
        };
        Ok(Invited { bundle, again })
    }

    /// Revokes a member: it is told nothing more, may publish nothing more, and what it
    /// said is forgotten by the others. False where it is none.
    ///
    /// # Errors
    /// Those of the database.
    pub fn revoke(&self, name: &str) -> Result<bool, ShareError> {
        let sql = "UPDATE member SET revoked = ?2 WHERE name = ?1 AND revoked IS NULL";
        let changed =
            self.database.execute(sql, params![name, now() as i64]).map_err(self.failed())?;
        if changed == 1 {
            self.write_conf()?;
        }
        Ok(changed == 1)
    }

    /// Writes the NATS server's configuration, and has a server that runs on this host
    /// read it.
    fn write_conf(&self) -> Result<(), ShareError> {
        let read = || {
            let sql = "SELECT name, nkey FROM member WHERE revoked IS NULL ORDER BY name";
            let mut all = self.database.prepare(sql)?;
            let rows = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<Result<Vec<(String, String)>, _>>()
        };
        let members = read().map_err(self.failed())?;
        let users: Vec<_> = members.iter().map(|(name, nkey)| User { name, nkey }).collect();
        let (_, port) = host(&self.setting("nats")?, "tls://")?;
        let listen = format!("0.0.0.0:{port}");
        let (name, hub) = (self.setting("name")?, self.setting("nkey")?);
        let text = conf::write(&name, &listen, &self.folder, &hub, &users);
        write_secret(&self.folder.join("nats.conf"), text.as_bytes())?;
        reload(&self.folder.join("nats.pid"));
        Ok(())
    }
}

/// Has the server of a pid file read its configuration, if that is one.
fn reload(path: &Path) {
    let pid = std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok());
    let Some(pid) = pid.filter(|pid: &i32| *pid > 1) else { return };
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    if name.trim() != "nats-server" {
        return;
    }
    let pid = nix::unistd::Pid::from_raw(pid);
    match nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGHUP) {
        Ok(()) => log::info!("nats-server {pid} reads its configuration anew"),
        Err(error) => log::warn!("nats-server {pid} was not told to read it anew: {error}"),
    }
}

/// Host and port of a URL.
fn host(url: &str, scheme: &str) -> Result<(String, u16), ShareError> {
    let wrong = || ShareError::Invalid(format!("{url} must be {scheme}HOST:PORT"));
    let rest = url.strip_prefix(scheme).ok_or_else(wrong)?;
    let (host, port) = rest.trim_end_matches('/').rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse().map_err(|_| wrong())?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let named = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
    let good = !host.is_empty() && named || host.parse::<IpAddr>().is_ok();
    if good { Ok((host.to_owned(), port)) } else { Err(wrong()) }
}
