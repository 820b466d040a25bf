//! Lists kept in one SQLite file, with a trail of every change that is only added to.

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OptionalExtension as _, Row as SqlRow, params};

use super::{Entry, List, ListError, file, is_national, read_value};
use crate::sqlite;

/// Longest reason, author and place, bytes.
const LONGEST: usize = 500;
/// Wrong lines of an import that are told one by one.
const TOLD: usize = 100;
/// Rows that may have changed before all are read anew.
const FEW: i64 = 5_000;

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database.
    #[error("the list store {}: {error}{}", path.display(), advice(error))]
    Database {
        /// Where.
        path: PathBuf,
        /// Why; all of it stands in the message.
        error: rusqlite::Error,
    },
    /// There is none.
    #[error("there is no list store {}; `scorer list add` makes it", path.display())]
    Missing {
        /// Where.
        path: PathBuf,
    },
    /// An entry that cannot be.
    #[error("{0}")]
    Invalid(String),
    /// A file that cannot be read.
    #[error("cannot read the file: {0}")]
    Read(#[from] std::io::Error),
    /// A file with lines that cannot be, where all must be good; nothing of it was added.
    #[error("nothing was imported: {} of its lines are wrong", .0.wrong)]
    Refused(Box<Imported>),
}

fn advice(error: &rusqlite::Error) -> &'static str {
    use rusqlite::ErrorCode::{
        CannotOpen, DatabaseBusy, DatabaseCorrupt, DatabaseLocked, NotADatabase, ReadOnly,
    };
    match error.sqlite_error_code() {
        Some(DatabaseBusy | DatabaseLocked) => "; another process holds it, try again",
        Some(DatabaseCorrupt | NotADatabase) => {
            "; restore it from a backup, or `sqlite3 FILE .recover` what can be saved"
        }
        Some(CannotOpen | ReadOnly) => "; check that its folder can be written to",
        _ => "",
    }
}

/// An entry as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The list.
    pub list: List,
    /// What it names, in the one form.
    pub value: String,
    /// Why.
    pub reason: String,
    /// Who says so.
    pub author: String,
    /// Since when, seconds since 1970.
    pub created: i64,
    /// When it stops; `None` for never.
    pub expires: Option<i64>,
    /// Where an allowed caller calls from; empty for anywhere.
    pub from: String,
}

impl Stored {
    /// Whether it is over at `now`.
    pub fn is_over(&self, now: i64) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }

    /// For the audit trail, one line of JSON.
    fn told(&self) -> String {
        let time =
            |at: i64| jiff::Timestamp::from_second(at).map(|at| at.to_string()).unwrap_or_default();
        serde_json::json!({
            "reason": self.reason,
            "author": self.author,
            "created": time(self.created),
            "expires": self.expires.map(time),
            "from": self.from,
        })
        .to_string()
    }
}

/// One line of the audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Number, rising.
    pub id: i64,
    /// When, seconds since 1970.
    pub at: i64,
    /// Who.
    pub author: String,
    /// `add`, `change`, `remove` or `import`.
    pub what: String,
    /// Of which list.
    pub list: String,
    /// Which entry.
    pub value: String,
    /// What it was before, JSON; empty where there was none.
    pub old: String,
    /// What it is since, JSON; empty where it is no more.
    pub new: String,
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Entries that are new.
    pub added: u64,
    /// Entries that were there and are another now.
    pub changed: u64,
    /// Entries that were there just so.
    pub same: u64,
    /// Numbers without a country code among all of these ([`is_national`]).
    pub national: u64,
    /// Lines that were passed over.
    pub wrong: u64,
    /// The first of them, and what is wrong.
    pub told: Vec<(u64, String)>,
}

/// The file.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    database: Connection,
}

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS entry (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        list TEXT NOT NULL,
        value TEXT NOT NULL,
        reason TEXT NOT NULL,
        author TEXT NOT NULL,
        created INTEGER NOT NULL,
        expires INTEGER,
        came_from TEXT NOT NULL,
        UNIQUE (list, value)
    ) STRICT;
    CREATE TABLE IF NOT EXISTS audit (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at INTEGER NOT NULL,
        author TEXT NOT NULL,
        what TEXT NOT NULL CHECK (what IN ('add', 'change', 'remove', 'import')),
        entry INTEGER NOT NULL,
        list TEXT NOT NULL,
        value TEXT NOT NULL,
        old TEXT NOT NULL,
        new TEXT NOT NULL
    ) STRICT;
    CREATE TRIGGER IF NOT EXISTS audit_is_not_changed BEFORE UPDATE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit trail is only added to'); END;
    CREATE TRIGGER IF NOT EXISTS audit_is_not_cut BEFORE DELETE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit trail is only added to'); END;";

const COLUMNS: &str = "list, value, reason, author, created, expires, came_from";

impl Store {
    /// Opens the file to change it, or makes it.
    ///
    /// # Errors
    /// When it is no such database or cannot be written.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |error| StoreError::Database { path: path.to_owned(), error };
        let database = sqlite::open(path, SCHEMA).map_err(failed)?;
        Ok(Self { path: path.to_owned(), database })
    }

    /// Opens the file to look, which waits for nobody.
    ///
    /// # Errors
    /// When there is none, or no such database.
    pub fn look(path: &Path) -> Result<Self, StoreError> {
        let failed = |error| StoreError::Database { path: path.to_owned(), error };
        if !path.exists() {
            return Err(StoreError::Missing { path: path.to_owned() });
        }
        let database = sqlite::look(path).map_err(failed)?;
        database
            .query_row("SELECT count(*) FROM (SELECT 1 FROM entry LIMIT 1)", [], |_| Ok(()))
            .map_err(failed)?;
        Ok(Self { path: path.to_owned(), database })
    }

    fn failed(&self) -> impl Fn(rusqlite::Error) -> StoreError + use<> {
        let path = self.path.clone();
        move |error| StoreError::Database { path: path.clone(), error }
    }

    /// Adds an entry, or makes it another; true when it is new. Its value may be in any
    /// form; `home` is the country code of national numbers.
    ///
    /// # Errors
    /// When it cannot be, or cannot be written.
    pub fn add(
        &mut self,
        entry: &Stored,
        by: &str,
        now: i64,
        home: Option<u16>,
    ) -> Result<bool, StoreError> {
        let failed = self.failed();
        let entry = checked(Cow::Borrowed(entry), home).map_err(StoreError::Invalid)?;
        let transaction = self.database.transaction().map_err(&failed)?;
        let done = put(&transaction, &entry, (by, now), None).map_err(&failed)?;
        transaction.commit().map_err(failed)?;
        Ok(done == Done::Added)
    }

    /// Removes an entry; false when there is none.
    ///
    /// # Errors
    /// When the value cannot be, or it cannot be removed.
    pub fn remove(
        &mut self,
        list: List,
        value: &str,
        by: &str,
        now: i64,
        home: Option<u16>,
    ) -> Result<bool, StoreError> {
        let failed = self.failed();
        let (_, value) =
            read_value(list, value, home).map_err(|what| StoreError::Invalid(what.to_owned()))?;
        let transaction = self.database.transaction().map_err(&failed)?;
        let Some((id, old)) = find(&transaction, list, &value).map_err(&failed)? else {
            return Ok(false);
        };
        let remove = || {
            transaction.prepare_cached("DELETE FROM entry WHERE id = ?")?.execute([id])?;
            write_audit(&transaction, (by, now), "remove", id, (list, &value), (&old.told(), ""))
        };
        remove().map_err(&failed)?;
        transaction.commit().map_err(failed)?;
        Ok(true)
    }

    /// Adds the entries of a CSV file. Lines that are wrong are passed over and told, or,
    /// when `strict`, nothing is imported. `by` and `now` stand for what is missing.
    ///
    /// # Errors
    /// Those of the file and of the database; [`StoreError::Refused`] when strict.
    pub fn import(
        &mut self,
        from: impl std::io::BufRead,
        by: &str,
        now: i64,
        home: Option<u16>,
        strict: bool,
    ) -> Result<Imported, StoreError> {
        let failed = self.failed();
        let transaction = self.database.transaction().map_err(&failed)?;
        let mut done = Imported::default();
        let mut rows = file::Rows::new(from);
        while let Some((line, row)) = rows.next_row()? {
            let entry = row.and_then(|row| {
                let entry = Stored {
                    list: row.list,
                    value: row.value.into_owned(),
                    reason: row.reason.into_owned(),
                    author: if row.author.is_empty() {
                        by.to_owned()
                    } else {
                        row.author.into_owned()
                    },
                    created: row.created.unwrap_or(now),
                    expires: row.expires,
                    from: row.from.into_owned(),
                };
                checked(Cow::Owned(entry), home)
            });
            match entry {
                // It is only read on, for what else is wrong.
                Ok(_) if strict && done.wrong > 0 => {}
                Ok(entry) => {
                    done.national += u64::from(is_national(entry.list, &entry.value));
                    match put(&transaction, &entry, (by, now), Some("import")).map_err(&failed)? {
                        Done::Added => done.added += 1,
                        Done::Changed => done.changed += 1,
                        Done::Same => done.same += 1,
                    }
                }
                Err(what) => {
                    done.wrong += 1;
                    if done.told.len() < TOLD {
                        done.told.push((line, what));
                    }
                }
            }
        }
        if strict && done.wrong > 0 {
            // The transaction ends with nothing of it done.
            return Err(StoreError::Refused(Box::new(done)));
        }
        transaction.commit().map_err(failed)?;
        Ok(done)
    }

    /// Calls `each` with all entries, in the order of lists and values.
    ///
    /// # Errors
    /// Those of the database.
    pub fn entries(&self, each: &mut dyn FnMut(Stored)) -> Result<(), StoreError> {
        let failed = self.failed();
        let query = format!("SELECT id, {COLUMNS} FROM entry ORDER BY list, value");
        let mut statement = self.database.prepare(&query).map_err(&failed)?;
        let mut rows = statement.query([]).map_err(&failed)?;
        while let Some(row) = rows.next().map_err(&failed)? {
            if let Some((_, entry)) = stored(row).map_err(&failed)? {
                each(entry);
            }
        }
        Ok(())
    }

    /// Entries of `lists` behind the one of this list and value, in the order of names of
    /// lists and values, at most `most`; with `q` those in whose value or reason it stands.
    ///
    /// # Errors
    /// Those of the database.
    pub fn page(
        &self,
        lists: &[List],
        after: Option<(&str, &str)>,
        q: Option<&str>,
        most: u32,
    ) -> Result<Vec<Stored>, StoreError> {
        let failed = self.failed();
        // Names of lists are ours.
        let names: Vec<_> = lists.iter().map(|list| format!("'{}'", list.name())).collect();
        let query = format!(
            "SELECT id, {COLUMNS} FROM entry WHERE list IN ({}) AND (list, value) > (?1, ?2)
             AND (?3 IS NULL OR instr(value, ?3) OR instr(reason, ?3))
             ORDER BY list, value LIMIT ?4",
            names.join(", ")
        );
        let (list, value) = after.unwrap_or_default();
        let mut statement = self.database.prepare(&query).map_err(&failed)?;
        let mut rows = statement.query(rusqlite::params![list, value, q, most]).map_err(&failed)?;
        let mut entries = Vec::new();
        while let Some(row) = rows.next().map_err(&failed)? {
            entries.extend(stored(row).map_err(&failed)?.map(|(_, entry)| entry));
        }
        Ok(entries)
    }

    /// Calls `each` with the last `most` lines of the audit trail, oldest first.
    ///
    /// # Errors
    /// Those of the database.
    pub fn audit(&self, most: u32, each: &mut dyn FnMut(Audit)) -> Result<(), StoreError> {
        let failed = self.failed();
        let query = "SELECT * FROM (SELECT id, at, author, what, list, value, old, new FROM audit
                     ORDER BY id DESC LIMIT ?) ORDER BY id";
        let mut statement = self.database.prepare(query).map_err(&failed)?;
        let mut rows = statement.query([most]).map_err(&failed)?;
        while let Some(row) = rows.next().map_err(&failed)? {
            each(of_audit(row).map_err(&failed)?);
        }
        Ok(())
    }

    /// An entry by its value in the one form.
    ///
    /// # Errors
    /// Those of the database.
    pub(crate) fn get(&self, list: List, value: &str) -> Result<Option<Stored>, StoreError> {
        let found = find(&self.database, list, value).map_err(self.failed())?;
        Ok(found.map(|(_, entry)| entry))
    }

    /// Lines of the audit trail behind that of a number, oldest first, at most `most`.
    ///
    /// # Errors
    /// Those of the database.
    pub(crate) fn audit_after(&self, after: i64, most: u32) -> Result<Vec<Audit>, StoreError> {
        let failed = self.failed();
        let query = "SELECT id, at, author, what, list, value, old, new FROM audit
                     WHERE id > ? ORDER BY id LIMIT ?";
        let mut statement = self.database.prepare_cached(query).map_err(&failed)?;
        let rows = statement.query_map([after, i64::from(most)], of_audit).map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    /// Takes what another host of the cluster says of an entry: as it is now, or that it
    /// is no more; `by` did it, and when. False where it is so already.
    ///
    /// # Errors
    /// When it cannot be, or cannot be written.
    pub(crate) fn replicate(
        &mut self,
        list: List,
        value: &str,
        entry: Option<&Stored>,
        by: (&str, i64),
    ) -> Result<bool, StoreError> {
        let failed = self.failed();
        if let Some(entry) = entry {
            let entry = checked(Cow::Borrowed(entry), None).map_err(StoreError::Invalid)?;
            let transaction = self.database.transaction().map_err(&failed)?;
            let done = put(&transaction, &entry, by, None).map_err(&failed)?;
            transaction.commit().map_err(failed)?;
            return Ok(done != Done::Same);
        }
        self.remove(list, value, by.0, by.1, None)
    }

    /// Calls `each` with all entries, or those of some rows, as an index takes them.
    ///
    /// # Errors
    /// Those of the database.
    pub(super) fn each(
        &self,
        rows: Option<&[i64]>,
        each: &mut dyn FnMut(Entry<'_>),
    ) -> Result<(), StoreError> {
        let failed = self.failed();
        let mut tell = |row: &SqlRow<'_>| -> rusqlite::Result<()> {
            let text = |at: usize| Ok::<_, rusqlite::Error>(row.get_ref(at)?.as_str()?);
            let Some(list) = List::by_name(text(1)?) else { return Ok(()) };
            each(Entry {
                list,
                value: text(2)?,
                reason: text(3)?,
                expires: row.get(6)?,
                from: text(7)?,
                row: u32::try_from(row.get::<_, i64>(0)?).ok(),
                organisations: 0,
                shared_at: 0,
            });
            Ok(())
        };
        let mut go = |condition: &str, row: Option<i64>| -> rusqlite::Result<()> {
            let query = format!("SELECT id, {COLUMNS} FROM entry {condition}");
            let mut statement = self.database.prepare_cached(&query)?;
            let mut rows = match row {
                Some(row) => statement.query([row])?,
                None => statement.query([])?,
            };
            while let Some(row) = rows.next()? {
                tell(row)?;
            }
            Ok(())
        };
        match rows {
            None => go("", None),
            Some(rows) => rows.iter().try_for_each(|row| go("WHERE id = ?", Some(*row))),
        }
        .map_err(failed)
    }

    /// Number of the last line of the audit trail; 0 when there is none.
    fn last(&self) -> Result<i64, StoreError> {
        let query = "SELECT id FROM audit ORDER BY id DESC LIMIT 1";
        let last = self.database.query_row(query, [], |row| row.get(0)).optional();
        Ok(last.map_err(self.failed())?.unwrap_or(0))
    }

    /// Rows that changed after a line of the audit trail; `None` when they may be many.
    fn changed_since(&self, last: i64) -> Result<Option<Vec<i64>>, StoreError> {
        if self.last()? - last > FEW {
            return Ok(None);
        }
        let failed = self.failed();
        let query = "SELECT DISTINCT entry FROM audit WHERE id > ?";
        let mut statement = self.database.prepare_cached(query).map_err(&failed)?;
        let rows = statement.query_map([last], |row| row.get(0)).map_err(&failed)?;
        rows.collect::<Result<_, _>>().map(Some).map_err(failed)
    }

    /// A number that is another when another process has changed the file.
    fn version(&self) -> Result<i64, StoreError> {
        self.database.query_row("PRAGMA data_version", [], |row| row.get(0)).map_err(self.failed())
    }
}

#[derive(PartialEq)]
enum Done {
    Added,
    Changed,
    Same,
}

/// An entry with its value in the one form.
fn checked(mut entry: Cow<'_, Stored>, home: Option<u16>) -> Result<Cow<'_, Stored>, String> {
    if entry.list == List::Consortium {
        // A store does not know who shares it, and since when.
        return Err("numbers of a consortium stand in lists.files, not in the store".to_owned());
    }
    let (_, value) = read_value(entry.list, &entry.value, home).map_err(str::to_owned)?;
    if entry.value != value {
        entry.to_mut().value = value;
    }
    let texts = [("reason", &entry.reason), ("author", &entry.author), ("from", &entry.from)];
    for (name, text) in texts {
        if text.len() > LONGEST {
            return Err(format!("the {name} has {} bytes; {LONGEST} are the most", text.len()));
        }
        if text.chars().any(char::is_control) {
            return Err(format!("the {name} has control characters"));
        }
    }
    if !entry.from.is_empty() && !entry.list.allows() {
        return Err("only an entry that allows can say where its calls come from".to_owned());
    }
    if super::names_of(&entry.from).count() > 32 {
        return Err("an entry may come from 32 places at most".to_owned());
    }
    Ok(entry)
}

fn of_audit(row: &SqlRow<'_>) -> rusqlite::Result<Audit> {
    Ok(Audit {
        id: row.get(0)?,
        at: row.get(1)?,
        author: row.get(2)?,
        what: row.get(3)?,
        list: row.get(4)?,
        value: row.get(5)?,
        old: row.get(6)?,
        new: row.get(7)?,
    })
}

fn stored(row: &SqlRow<'_>) -> rusqlite::Result<Option<(i64, Stored)>> {
    let Some(list) = List::by_name(row.get_ref(1)?.as_str()?) else { return Ok(None) };
    let entry = Stored {
        list,
        value: row.get(2)?,
        reason: row.get(3)?,
        author: row.get(4)?,
        created: row.get(5)?,
        expires: row.get(6)?,
        from: row.get(7)?,
    };
    Ok(Some((row.get(0)?, entry)))
}

fn find(database: &Connection, list: List, value: &str) -> rusqlite::Result<Option<(i64, Stored)>> {
    let query = format!("SELECT id, {COLUMNS} FROM entry WHERE list = ? AND value = ?");
    let mut statement = database.prepare_cached(&query)?;
    statement.query_row([list.name(), value], stored).optional().map(Option::flatten)
}

/// Writes an entry and the trail of it.
fn put(
    database: &Connection,
    entry: &Stored,
    by: (&str, i64),
    what: Option<&str>,
) -> rusqlite::Result<Done> {
    let known = find(database, entry.list, &entry.value)?;
    let Stored { list, value, reason, author, created, expires, from } = entry;
    let (id, old, done) = match known {
        Some((_, old)) if old == *entry => return Ok(Done::Same),
        Some((id, old)) => {
            let query = "UPDATE entry SET reason = ?, author = ?, created = ?, expires = ?, came_from = ? WHERE id = ?";
            database
                .prepare_cached(query)?
                .execute(params![reason, author, created, expires, from, id])?;
            (id, old.told(), Done::Changed)
        }
        None => {
            let query = "INSERT INTO entry (list, value, reason, author, created, expires, came_from) VALUES (?, ?, ?, ?, ?, ?, ?)";
            let row = params![list.name(), value, reason, author, created, expires, from];
            database.prepare_cached(query)?.execute(row)?;
            (database.last_insert_rowid(), String::new(), Done::Added)
        }
    };
    let what = what.unwrap_or(if done == Done::Added { "add" } else { "change" });
    write_audit(database, by, what, id, (*list, value), (&old, &entry.told()))?;
    Ok(done)
}

fn write_audit(
    database: &Connection,
    (by, now): (&str, i64),
    what: &str,
    entry: i64,
    (list, value): (List, &str),
    (old, new): (&str, &str),
) -> rusqlite::Result<()> {
    let query = "INSERT INTO audit (at, author, what, entry, list, value, old, new) VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    database.prepare_cached(query)?.execute(params![
        now,
        by,
        what,
        entry,
        list.name(),
        value,
        old,
        new
    ])?;
    Ok(())
}

/// What became of the store since the last look.
#[derive(Debug)]
pub enum News {
    /// Nothing.
    Same,
    /// These rows changed since all were last read.
    Few(Vec<i64>),
    /// All must be read anew.
    All,
}

/// Looks at a store again and again, for another process's changes.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    store: Option<Store>,
    /// Which file it is: device and number.
    file: Option<(u64, u64)>,
    version: i64,
    /// Last line of the audit trail when all were read.
    read: i64,
}

impl Follower {
    /// Of the store at `path`, of which nothing has been read.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), store: None, file: None, version: -1, read: -1 }
    }

    /// Whether anything changed. After an error the next look tries again.
    ///
    /// # Errors
    /// When the store cannot be looked at.
    pub fn look(&mut self) -> Result<News, StoreError> {
        let file = sqlite::identity(&self.path);
        if self.store.is_none() || file != self.file {
            self.store = None;
            self.store = Some(Store::look(&self.path)?);
            (self.file, self.version, self.read) = (file, -1, -1);
        }
        let Some(store) = &self.store else { return Ok(News::Same) };
        let version = store.version()?;
        if version == self.version {
            return Ok(News::Same);
        }
        if self.read < 0 {
            return Ok(News::All);
        }
        Ok(store.changed_since(self.read)?.map_or(News::All, News::Few))
    }

    /// Loads what [`Self::look`] says: `lists` with the few that changed, or, by `all`,
    /// everything. What fails is news again.
    ///
    /// # Errors
    /// Those of `few` and `all`.
    pub fn take(
        &mut self,
        news: &News,
        few: impl FnOnce(&Store, &[i64]) -> Result<super::Lists, ListError>,
        all: impl FnOnce(&Store) -> Result<super::Lists, ListError>,
    ) -> Result<Option<super::Lists>, ListError> {
        let Some(store) = &self.store else { return Ok(None) };
        // Before what is read: what comes meanwhile is news of the next look.
        let (version, last) = (store.version()?, store.last()?);
        let lists = match news {
            News::Same => return Ok(None),
            News::Few(rows) => few(store, rows)?,
            News::All => {
                let lists = all(store)?;
                self.read = last;
                lists
            }
        };
        self.version = version;
        Ok(Some(lists))
    }

    /// Drops what is open, so that the next look opens the file anew.
    pub fn forget(&mut self) {
        self.store = None;
    }
}
