//! Cases in the lists' SQLite file, with a trail of every change that is only added to.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};
use scorer_common::verdict::Action;

use super::{Attached, Case, CaseError, Note, Orders, Status};
use crate::{lists, policy::Response, profiles::Portrait, sqlite};

/// Longest text, bytes.
const LONGEST: usize = 4_000;
/// Longest name, characters.
const LONGEST_NAME: usize = 64;
/// Profiles of a case at most.
const PROFILES: usize = 256;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS fraud_case (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        status TEXT NOT NULL CHECK (status IN ('open', 'closed')),
        method TEXT NOT NULL,
        reason TEXT NOT NULL,
        action TEXT NOT NULL,
        response INTEGER NOT NULL,
        target TEXT NOT NULL,
        author TEXT NOT NULL,
        created INTEGER NOT NULL,
        changed INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS case_profile (
        fraud_case INTEGER NOT NULL REFERENCES fraud_case (id),
        profile TEXT NOT NULL,
        portrait TEXT NOT NULL,
        author TEXT NOT NULL,
        created INTEGER NOT NULL,
        UNIQUE (fraud_case, profile)
    ) STRICT;
    CREATE TABLE IF NOT EXISTS case_note (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        fraud_case INTEGER NOT NULL REFERENCES fraud_case (id),
        at INTEGER NOT NULL,
        author TEXT NOT NULL,
        text TEXT NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS case_audit (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at INTEGER NOT NULL,
        author TEXT NOT NULL,
        what TEXT NOT NULL CHECK (what IN ('open', 'change', 'note', 'attach', 'detach', 'close', 'reopen')),
        name TEXT NOT NULL,
        old TEXT NOT NULL,
        new TEXT NOT NULL
    ) STRICT;
    CREATE TRIGGER IF NOT EXISTS case_audit_is_not_changed BEFORE UPDATE ON case_audit
        BEGIN SELECT RAISE(ABORT, 'the audit trail is only added to'); END;
    CREATE TRIGGER IF NOT EXISTS case_audit_is_not_cut BEFORE DELETE ON case_audit
        BEGIN SELECT RAISE(ABORT, 'the audit trail is only added to'); END;";

/// One line of the audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// When, seconds since 1970.
    pub at: i64,
    /// Who.
    pub author: String,
    /// `open`, `change`, `note`, `attach`, `detach`, `close` or `reopen`.
    pub what: String,
    /// What it was before; empty where there was nothing.
    pub old: String,
    /// What it is since; empty where it is no more.
    pub new: String,
}

/// The file.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    database: Connection,
}

impl Store {
    /// Opens the file to change it, or makes it.
    ///
    /// # Errors
    /// When it is no such database or cannot be written.
    pub fn open(path: &Path) -> Result<Self, CaseError> {
        // Lists and cases share it: whoever comes first makes it whole.
        lists::Store::open(path)?;
        let database = sqlite::open(path, SCHEMA).map_err(failed(path))?;
        Ok(Self { path: path.to_owned(), database })
    }

    /// Opens the file to look, which waits for nobody. A file of lists alone has no
    /// cases.
    ///
    /// # Errors
    /// When there is none, or no such database.
    pub fn look(path: &Path) -> Result<Self, CaseError> {
        lists::Store::look(path)?;
        let database = sqlite::look(path).map_err(failed(path))?;
        Ok(Self { path: path.to_owned(), database })
    }

    /// Opens a case.
    ///
    /// # Errors
    /// When there is one of the name, a text is too long, or it cannot be written.
    pub fn create(&mut self, case: &Case) -> Result<(), CaseError> {
        checked_name(&case.name)?;
        checked(&[&case.method, &case.orders.reason])?;
        let failed = failed(&self.path);
        let transaction = self.database.transaction().map_err(&failed)?;
        if id_of(&transaction, &case.name).map_err(&failed)?.is_some() {
            return Err(CaseError::Exists(case.name.clone()));
        }
        let create = || -> rusqlite::Result<()> {
            let Orders { action, response, target, reason } = &case.orders;
            transaction.execute(
                "INSERT INTO fraud_case (name, status, method, reason, action, response, target,
                 author, created, changed) VALUES (?, 'open', ?, ?, ?, ?, ?, ?, ?, ?)",
                params![
                    case.name,
                    case.method,
                    reason,
                    action.map_or("policy", Action::name),
                    response.code(),
                    target,
                    case.author,
                    case.created,
                    case.created,
                ],
            )?;
            let told = case.orders.told();
            audit(&transaction, (&case.author, case.created), "open", &case.name, ("", &told))
        };
        create().map_err(&failed)?;
        transaction.commit().map_err(failed)
    }

    /// Attaches a profile to a case; false when it was attached, and now has another
    /// portrait.
    ///
    /// # Errors
    /// When there is no such case, it has too many, or it cannot be written.
    pub fn attach(&mut self, name: &str, profile: &Attached) -> Result<bool, CaseError> {
        let failed = failed(&self.path);
        let transaction = self.database.transaction().map_err(&failed)?;
        let id = known(&transaction, name, &failed)?;
        let hex = format!("{:016x}", profile.profile);
        let count = |query: &str| {
            transaction.query_row(query, params![id, hex], |row| row.get::<_, i64>(0))
        };
        let was = "SELECT count(*) FROM case_profile WHERE fraud_case = ? AND profile = ?";
        let was = count(was).map_err(&failed)? > 0;
        let others = "SELECT count(*) FROM case_profile WHERE fraud_case = ? AND profile != ?";
        if count(others).map_err(&failed)? >= PROFILES as i64 {
            return Err(CaseError::Invalid(format!("a case has {PROFILES} profiles at most")));
        }
        let portrait = profile.portrait.to_json();
        let attach = || -> rusqlite::Result<()> {
            transaction.execute(
                "INSERT INTO case_profile (fraud_case, profile, portrait, author, created)
                 VALUES (?, ?, ?, ?, ?)
                 ON CONFLICT (fraud_case, profile) DO UPDATE SET portrait = excluded.portrait",
                params![id, hex, portrait, profile.author, profile.created],
            )?;
            touch(&transaction, id, profile.created)?;
            let by = (&*profile.author, profile.created);
            audit(&transaction, by, "attach", name, ("", &hex))
        };
        attach().map_err(&failed)?;
        transaction.commit().map_err(failed)?;
        Ok(!was)
    }

    /// Takes a profile off a case; false when it is not attached.
    ///
    /// # Errors
    /// When there is no such case, or it cannot be written.
    pub fn detach(&mut self, name: &str, profile: u64, by: (&str, i64)) -> Result<bool, CaseError> {
        let failed = failed(&self.path);
        let transaction = self.database.transaction().map_err(&failed)?;
        let id = known(&transaction, name, &failed)?;
        let hex = format!("{profile:016x}");
        let detach = || -> rusqlite::Result<usize> {
            let gone = transaction.execute(
                "DELETE FROM case_profile WHERE fraud_case = ? AND profile = ?",
                params![id, hex],
            )?;
            if gone > 0 {
                touch(&transaction, id, by.1)?;
                audit(&transaction, by, "detach", name, (&hex, ""))?;
            }
            Ok(gone)
        };
        let gone = detach().map_err(&failed)?;
        transaction.commit().map_err(failed)?;
        Ok(gone > 0)
    }

    /// Adds a note.
    ///
    /// # Errors
    /// When there is no such case, the text is too long, or it cannot be written.
    pub fn note(&mut self, name: &str, text: &str, by: (&str, i64)) -> Result<(), CaseError> {
        checked(&[text])?;
        let failed = failed(&self.path);
        let transaction = self.database.transaction().map_err(&failed)?;
        let id = known(&transaction, name, &failed)?;
        let add = || -> rusqlite::Result<()> {
            transaction.execute(
                "INSERT INTO case_note (fraud_case, at, author, text) VALUES (?, ?, ?, ?)",
                params![id, by.1, by.0, text],
            )?;
            touch(&transaction, id, by.1)?;
            audit(&transaction, by, "note", name, ("", text))
        };
        add().map_err(&failed)?;
        transaction.commit().map_err(failed)
    }

    /// Closes a case or opens it again; false when it is so already.
    ///
    /// # Errors
    /// When there is no such case, or it cannot be written.
    pub fn set_status(
        &mut self,
        name: &str,
        status: Status,
        by: (&str, i64),
    ) -> Result<bool, CaseError> {
        let failed = failed(&self.path);
        let transaction = self.database.transaction().map_err(&failed)?;
        let id = known(&transaction, name, &failed)?;
        let set = || -> rusqlite::Result<usize> {
            let changed = transaction.execute(
                "UPDATE fraud_case SET status = ?1, changed = ?2 WHERE id = ?3 AND status != ?1",
                params![status.name(), by.1, id],
            )?;
            if changed > 0 {
                let (what, old) = match status {
                    Status::Closed => ("close", Status::Open),
                    Status::Open => ("reopen", Status::Closed),
                };
                audit(&transaction, by, what, name, (old.name(), status.name()))?;
            }
            Ok(changed)
        };
        let changed = set().map_err(&failed)?;
        transaction.commit().map_err(failed)?;
        Ok(changed > 0)
    }

    /// Changes what is done at the next call.
    ///
    /// # Errors
    /// When there is no such case, a text is too long, or it cannot be written.
    pub fn order(&mut self, name: &str, orders: &Orders, by: (&str, i64)) -> Result<(), CaseError> {
        checked(&[&orders.reason])?;
        let old = self.case(name)?.orders;
        let failed = failed(&self.path);
        let transaction = self.database.transaction().map_err(&failed)?;
        let id = known(&transaction, name, &failed)?;
        let set = || -> rusqlite::Result<()> {
            transaction.execute(
                "UPDATE fraud_case SET action = ?, response = ?, target = ?, reason = ?,
                 changed = ? WHERE id = ?",
                params![
                    orders.action.map_or("policy", Action::name),
                    orders.response.code(),
                    orders.target,
                    orders.reason,
                    by.1,
                    id
                ],
            )?;
            audit(&transaction, by, "change", name, (&old.told(), &orders.told()))
        };
        set().map_err(&failed)?;
        transaction.commit().map_err(failed)
    }

    /// All cases, by name, with their profiles and notes.
    ///
    /// # Errors
    /// Those of the database.
    pub fn cases(&self) -> Result<Vec<Case>, CaseError> {
        self.select(None)
    }

    /// One case.
    ///
    /// # Errors
    /// When there is none of the name, and those of the database.
    pub fn case(&self, name: &str) -> Result<Case, CaseError> {
        self.select(Some(name))?.pop().ok_or_else(|| CaseError::Unknown(name.to_owned()))
    }

    /// The case of a name, or all.
    fn select(&self, name: Option<&str>) -> Result<Vec<Case>, CaseError> {
        let failed = failed(&self.path);
        if !self.has_cases().map_err(&failed)? {
            return Ok(Vec::new());
        }
        let read = || -> rusqlite::Result<Vec<Case>> {
            let mut statement = self.database.prepare_cached(
                "SELECT id, name, status, method, reason, action, response, target, author,
                 created, changed FROM fraud_case WHERE ?1 IS NULL OR name = ?1 ORDER BY name",
            )?;
            let mut rows = statement.query([name])?;
            let mut cases = Vec::new();
            while let Some(row) = rows.next()? {
                cases.push(self.read(row)?);
            }
            Ok(cases)
        };
        read().map_err(failed)
    }

    /// What was done to a case, oldest first.
    ///
    /// # Errors
    /// Those of the database.
    pub fn trail(&self, name: &str) -> Result<Vec<Change>, CaseError> {
        let failed = failed(&self.path);
        let read = || -> rusqlite::Result<Vec<Change>> {
            let mut statement = self.database.prepare(
                "SELECT at, author, what, old, new FROM case_audit WHERE name = ? ORDER BY id",
            )?;
            let rows = statement.query_map([name], of_change)?;
            rows.collect()
        };
        read().map_err(failed)
    }

    /// Lines of the audit trail behind that of a number, oldest first, at most `most`: their
    /// numbers, names of cases, and what was done.
    ///
    /// # Errors
    /// Those of the database.
    pub(crate) fn audit_after(
        &self,
        after: i64,
        most: u32,
    ) -> Result<Vec<(i64, String, Change)>, CaseError> {
        let failed = failed(&self.path);
        if !self.has_cases().map_err(&failed)? {
            return Ok(Vec::new());
        }
        let read = || -> rusqlite::Result<_> {
            let mut statement = self.database.prepare_cached(
                "SELECT at, author, what, old, new, id, name FROM case_audit WHERE id > ?
                 ORDER BY id LIMIT ?",
            )?;
            let rows = statement.query_map([after, i64::from(most)], |row| {
                Ok((row.get(5)?, row.get(6)?, of_change(row)?))
            })?;
            rows.collect()
        };
        read().map_err(failed)
    }

    /// Takes what another host of the cluster says of a case, but for its profiles and
    /// notes; `by` said so, and when.
    ///
    /// # Errors
    /// When it cannot be, or cannot be written.
    pub(crate) fn replicate(&mut self, case: &Case, by: (&str, i64)) -> Result<(), CaseError> {
        checked_name(&case.name)?;
        checked(&[&case.method, &case.orders.reason])?;
        let old = match self.case(&case.name) {
            Ok(old) => Some(old),
            Err(CaseError::Unknown(_)) => None,
            Err(error) => return Err(error),
        };
        if old.is_none() {
            self.create(case)?;
        }
        let failed = failed(&self.path);
        let transaction = self.database.transaction().map_err(&failed)?;
        let id = known(&transaction, &case.name, &failed)?;
        let write = || -> rusqlite::Result<()> {
            let Orders { action, response, target, reason } = &case.orders;
            transaction.execute(
                "UPDATE fraud_case SET status = ?, method = ?, reason = ?, action = ?,
                 response = ?, target = ?, author = ?, created = ?, changed = ? WHERE id = ?",
                params![
                    case.status.name(),
                    case.method,
                    reason,
                    action.map_or("policy", Action::name),
                    response.code(),
                    target,
                    case.author,
                    case.created,
                    by.1,
                    id
                ],
            )?;
            let name = &*case.name;
            let (was, orders) =
                old.as_ref().map_or((Status::Open, &case.orders), |old| (old.status, &old.orders));
            if was != case.status {
                let what = if case.status == Status::Closed { "close" } else { "reopen" };
                audit(&transaction, by, what, name, (was.name(), case.status.name()))?;
            }
            if *orders != case.orders {
                audit(&transaction, by, "change", name, (&orders.told(), &case.orders.told()))?;
            }
            Ok(())
        };
        write().map_err(&failed)?;
        transaction.commit().map_err(failed)
    }

    /// Makes a case that nothing is known of yet but its name, and that does nothing: what
    /// hangs on it came before it. False where there is one.
    ///
    /// # Errors
    /// When it cannot be, or cannot be written.
    pub(crate) fn foreshadow(&mut self, name: &str, by: (&str, i64)) -> Result<bool, CaseError> {
        let case = Case {
            name: name.to_owned(),
            status: Status::Open,
            method: String::new(),
            orders: Orders { action: None, ..Orders::default() },
            author: by.0.to_owned(),
            created: by.1,
            changed: by.1,
            profiles: Vec::new(),
            notes: Vec::new(),
        };
        match self.create(&case) {
            Err(CaseError::Exists(_)) => Ok(false),
            done => done.map(|()| true),
        }
    }

    /// Number of the last change of cases; 0 when there is none.
    pub(super) fn last(&self) -> Result<i64, CaseError> {
        let failed = failed(&self.path);
        if !self.has_cases().map_err(&failed)? {
            return Ok(0);
        }
        self.database
            .query_row("SELECT coalesce(max(id), 0) FROM case_audit", [], |row| row.get(0))
            .map_err(failed)
    }

    fn has_cases(&self) -> rusqlite::Result<bool> {
        let query = "SELECT count(*) FROM sqlite_schema WHERE name = 'fraud_case'";
        self.database.query_row(query, [], |row| row.get::<_, i64>(0)).map(|count| count > 0)
    }

    fn read(&self, row: &Row<'_>) -> rusqlite::Result<Case> {
        let id: i64 = row.get(0)?;
        let mut statement = self.database.prepare_cached(
            "SELECT profile, portrait, author, created FROM case_profile WHERE fraud_case = ?
             ORDER BY created, profile",
        )?;
        let profiles = statement.query_map([id], |row| {
            let hex: String = row.get(0)?;
            let portrait: String = row.get(1)?;
            Ok(Attached {
                profile: u64::from_str_radix(&hex, 16).unwrap_or(0),
                // What another version wrote may not be read: the id still stands.
                portrait: Portrait::from_json(&portrait).unwrap_or_default(),
                author: row.get(2)?,
                created: row.get(3)?,
            })
        })?;
        let profiles = profiles.collect::<rusqlite::Result<_>>()?;
        let mut statement = self.database.prepare_cached(
            "SELECT at, author, text FROM case_note WHERE fraud_case = ? ORDER BY id",
        )?;
        let notes = statement.query_map([id], |row| {
            Ok(Note { at: row.get(0)?, author: row.get(1)?, text: row.get(2)? })
        })?;
        let notes = notes.collect::<rusqlite::Result<_>>()?;
        let status: String = row.get(2)?;
        let action: String = row.get(5)?;
        Ok(Case {
            name: row.get(1)?,
            status: Status::by_name(&status),
            method: row.get(3)?,
            orders: Orders {
                reason: row.get(4)?,
                action: Action::by_name(&action),
                response: Response::by_code(row.get(6)?).unwrap_or_default(),
                target: row.get(7)?,
            },
            author: row.get(8)?,
            created: row.get(9)?,
            changed: row.get(10)?,
            profiles,
            notes,
        })
    }
}

/// A row that begins with time, author, what, old and new.
fn of_change(row: &Row<'_>) -> rusqlite::Result<Change> {
    Ok(Change {
        at: row.get(0)?,
        author: row.get(1)?,
        what: row.get(2)?,
        old: row.get(3)?,
        new: row.get(4)?,
    })
}

fn failed(path: &Path) -> impl Fn(rusqlite::Error) -> CaseError + use<> {
    let path = path.to_owned();
    move |error| CaseError::Store(lists::StoreError::Database { path: path.clone(), error })
}

fn id_of(transaction: &Transaction<'_>, name: &str) -> rusqlite::Result<Option<i64>> {
    transaction
        .query_row("SELECT id FROM fraud_case WHERE name = ?", [name], |row| row.get(0))
        .optional()
}

fn known(
    transaction: &Transaction<'_>,
    name: &str,
    failed: &dyn Fn(rusqlite::Error) -> CaseError,
) -> Result<i64, CaseError> {
    id_of(transaction, name).map_err(failed)?.ok_or_else(|| CaseError::Unknown(name.to_owned()))
}

fn touch(transaction: &Transaction<'_>, id: i64, now: i64) -> rusqlite::Result<()> {
    transaction.execute("UPDATE fraud_case SET changed = ? WHERE id = ?", params![now, id])?;
    Ok(())
}

fn audit(
    transaction: &Transaction<'_>,
    (author, at): (&str, i64),
    what: &str,
    name: &str,
    (old, new): (&str, &str),
) -> rusqlite::Result<()> {
    transaction.execute(
        "INSERT INTO case_audit (at, author, what, name, old, new) VALUES (?, ?, ?, ?, ?, ?)",
        params![at, author, what, name, old, new],
    )?;
    Ok(())
}

fn checked_name(name: &str) -> Result<(), CaseError> {
    let good = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.chars().count() > LONGEST_NAME || !name.chars().all(good) {
        return Err(CaseError::Invalid(format!(
            "a case's name has 1 to {LONGEST_NAME} letters, digits, - _ or ., such as bank-spoof-3"
        )));
    }
    Ok(())
}

fn checked(texts: &[&str]) -> Result<(), CaseError> {
    for text in texts {
        if text.len() > LONGEST || text.chars().any(|c| c.is_control() && c != '\n') {
            return Err(CaseError::Invalid(format!(
                "a text has at most {LONGEST} bytes and no control characters"
            )));
        }
    }
    Ok(())
}
