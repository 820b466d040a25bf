//! What people found out about calls afterwards: kept with time and author in one
//! SQLite file. Nothing is overwritten; of several labels of a call the one that was said
//! last counts, of those of one second the one that came last.

use std::{
    io,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};

use crate::sqlite;

/// Longest Call-ID, author and note, bytes.
const LONGEST: usize = 1_024;

/// A label.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// Call-ID as it stands.
    pub call_id: String,
    /// Fraud, or genuine.
    pub fraud: bool,
    /// Who says so.
    pub by: String,
    /// When it was said, seconds since 1970.
    pub at: i64,
    /// How much it counts in training; 1 is an ordinary one.
    pub weight: f64,
    /// Why.
    pub note: String,
}

/// A row of a CSV file; all but the first two may be missing.
#[derive(Debug, Deserialize, Serialize)]
struct Written {
    call_id: String,
    label: String,
    #[serde(default)]
    by: Option<String>,
    #[serde(default)]
    at: Option<String>,
    #[serde(default)]
    weight: Option<f64>,
    #[serde(default)]
    note: Option<String>,
}

/// Why labels cannot be kept or had.
#[derive(Debug, thiserror::Error)]
pub enum LabelError {
    /// The database.
    #[error("{}: {source}", path.display())]
    Database {
        /// Where.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// A CSV file.
    #[error("cannot read the labels: {0}")]
    Csv(#[from] csv::Error),
    /// A label that cannot be.
    #[error("line {line}: {what}")]
    Line {
        /// Which.
        line: u64,
        /// What is wrong.
        what: String,
    },
    /// A label that cannot be.
    #[error("{0}")]
    Invalid(String),
}

/// The file.
#[derive(Debug)]
pub struct Labels {
    path: PathBuf,
    database: Connection,
}

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS label (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        call_id TEXT NOT NULL,
        fraud INTEGER NOT NULL CHECK (fraud IN (0, 1)),
        by TEXT NOT NULL,
        at INTEGER NOT NULL,
        weight REAL NOT NULL CHECK (weight > 0 AND weight <= 1000),
        note TEXT NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS label_call ON label (call_id, id);";

impl Labels {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// When it is no such database or cannot be written.
    pub fn open(path: &Path) -> Result<Self, LabelError> {
        let failed = |source| LabelError::Database { path: path.to_owned(), source };
        let database = sqlite::open(path, SCHEMA).map_err(failed)?;
        Ok(Self { path: path.to_owned(), database })
    }

    fn failed(&self) -> impl Fn(rusqlite::Error) -> LabelError + use<> {
        let path = self.path.clone();
        move |source| LabelError::Database { path: path.clone(), source }
    }

    /// Adds a label.
    ///
    /// # Errors
    /// When it cannot be, or cannot be written.
    pub fn add(&self, label: &Label) -> Result<(), LabelError> {
        check(label).map_err(LabelError::Invalid)?;
        insert(&self.database, label).map_err(self.failed())
    }

    /// Adds all labels of a CSV file (call_id, label, and perhaps by, at, weight, note),
    /// or none if one of them cannot be; `by` and `now` stand for what is missing.
    ///
    /// # Errors
    /// With the line that is wrong.
    pub fn import(&mut self, from: impl io::Read, by: &str, now: i64) -> Result<u64, LabelError> {
        let failed = self.failed();
        let transaction = self.database.transaction().map_err(&failed)?;
        let mut count = 0;
        let mut reader = csv::Reader::from_reader(from);
        for (line, row) in (2..).zip(reader.deserialize()) {
            let written: Written = row?;
            let label = label(written, by, now).map_err(|what| LabelError::Line { line, what })?;
            insert(&transaction, &label).map_err(&failed)?;
            count += 1;
        }
        transaction.commit().map_err(failed)?;
        Ok(count)
    }

    /// Labels given after the one with the number `after`, at most `most`, with theirs.
    ///
    /// # Errors
    /// Those of the database.
    pub fn since(&self, after: i64, most: u32) -> Result<Vec<(i64, Label)>, LabelError> {
        let failed = self.failed();
        let query = "SELECT id, call_id, fraud, by, at, weight, note FROM label
                     WHERE id > ? ORDER BY id LIMIT ?";
        let mut statement = self.database.prepare(query).map_err(&failed)?;
        let rows = statement
            .query_map(params![after, most], |row| Ok((row.get(0)?, of_row(row)?)))
            .map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    /// Number of the last label; 0 when there is none.
    ///
    /// # Errors
    /// Those of the database.
    pub fn last(&self) -> Result<i64, LabelError> {
        let query = "SELECT id FROM label ORDER BY id DESC LIMIT 1";
        let last = self.database.query_row(query, [], |row| row.get(0)).optional();
        Ok(last.map_err(self.failed())?.unwrap_or(0))
    }

    /// Adds a label of another host of the cluster; false where it is there already.
    ///
    /// # Errors
    /// When it cannot be, or cannot be written.
    pub(crate) fn replicate(&self, label: &Label) -> Result<bool, LabelError> {
        check(label).map_err(LabelError::Invalid)?;
        let failed = self.failed();
        let query = "SELECT count(*) FROM label
                     WHERE call_id = ? AND fraud = ? AND by = ? AND at = ? AND weight = ? AND note = ?";
        let Label { call_id, fraud, by, at, weight, note } = label;
        let known: i64 = self
            .database
            .query_row(query, params![call_id, fraud, by, at, weight, note], |row| row.get(0))
            .map_err(&failed)?;
        if known == 0 {
            insert(&self.database, label).map_err(failed)?;
        }
        Ok(known == 0)
    }

    /// The label of a call that counts.
    ///
    /// # Errors
    /// Those of the database.
    pub fn of(&self, call_id: &str) -> Result<Option<Label>, LabelError> {
        Ok(self.all_of(call_id, 1)?.pop())
    }

    /// The labels of a call, the last first, at most `most`.
    ///
    /// # Errors
    /// Those of the database.
    pub fn all_of(&self, call_id: &str, most: u32) -> Result<Vec<Label>, LabelError> {
        let failed = self.failed();
        let query = "SELECT id, call_id, fraud, by, at, weight, note FROM label
                     WHERE call_id = ? ORDER BY at DESC, id DESC LIMIT ?";
        let mut statement = self.database.prepare_cached(query).map_err(&failed)?;
        let rows = statement.query_map(params![call_id, most], of_row).map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    /// Labels given before the one with the number `before`, the last first, at most
    /// `most`, with theirs.
    ///
    /// # Errors
    /// Those of the database.
    pub fn before(&self, before: i64, most: u32) -> Result<Vec<(i64, Label)>, LabelError> {
        let failed = self.failed();
        let query = "SELECT id, call_id, fraud, by, at, weight, note FROM label
                     WHERE id < ? ORDER BY id DESC LIMIT ?";
        let mut statement = self.database.prepare_cached(query).map_err(&failed)?;
        let rows = statement
            .query_map(params![before, most], |row| Ok((row.get(0)?, of_row(row)?)))
            .map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    /// Calls `each` with the label of every call that counts.
    ///
    /// # Errors
    /// Those of the database.
    pub fn counting(&self, mut each: impl FnMut(Label)) -> Result<(), LabelError> {
        let failed = self.failed();
        let query = "SELECT id, call_id, fraud, by, at, weight, note FROM label AS this
                     WHERE id = (SELECT id FROM label WHERE call_id = this.call_id
                                 ORDER BY at DESC, id DESC LIMIT 1) ORDER BY id";
        let mut statement = self.database.prepare(query).map_err(&failed)?;
        let rows = statement.query_map([], of_row).map_err(&failed)?;
        for row in rows {
            each(row.map_err(&failed)?);
        }
        Ok(())
    }

    /// Writes every label as CSV, as [`Self::import`] reads it.
    ///
    /// # Errors
    /// Those of the database and of `out`.
    pub fn export(&self, out: impl io::Write) -> Result<u64, LabelError> {
        let mut writer = csv::Writer::from_writer(out);
        let (mut after, mut count) = (0, 0);
        loop {
            let labels = self.since(after, 10_000)?;
            let Some((last, _)) = labels.last() else { break };
            after = *last;
            for (_, label) in labels {
                writer.serialize(Written {
                    call_id: label.call_id,
                    label: if label.fraud { "fraud" } else { "genuine" }.to_owned(),
                    by: Some(label.by),
                    at: jiff::Timestamp::from_second(label.at).ok().map(|at| at.to_string()),
                    weight: Some(label.weight),
                    note: Some(label.note),
                })?;
                count += 1;
            }
        }
        writer.flush().map_err(csv::Error::from)?;
        Ok(count)
    }
}

fn insert(database: &Connection, label: &Label) -> rusqlite::Result<()> {
    let query =
        "INSERT INTO label (call_id, fraud, by, at, weight, note) VALUES (?, ?, ?, ?, ?, ?)";
    let Label { call_id, fraud, by, at, weight, note } = label;
    database.prepare(query)?.execute(params![call_id, fraud, by, at, weight, note])?;
    Ok(())
}

fn of_row(row: &Row<'_>) -> rusqlite::Result<Label> {
    Ok(Label {
        call_id: row.get(1)?,
        fraud: row.get(2)?,
        by: row.get(3)?,
        at: row.get(4)?,
        weight: row.get(5)?,
        note: row.get(6)?,
    })
}

fn check(label: &Label) -> Result<(), String> {
    if label.call_id.is_empty() {
        return Err("the Call-ID is empty".into());
    }
    for (name, text) in [("Call-ID", &label.call_id), ("author", &label.by), ("note", &label.note)]
    {
        if text.len() > LONGEST {
            return Err(format!("the {name} has {} bytes; {LONGEST} are the most", text.len()));
        }
    }
    if !(label.weight > 0.0 && label.weight <= 1_000.0) {
        return Err(format!("the weight is {}; it must be above 0 and at most 1000", label.weight));
    }
    Ok(())
}

fn label(written: Written, by: &str, now: i64) -> Result<Label, String> {
    let fraud = match &*written.label {
        "fraud" => true,
        "genuine" => false,
        other => return Err(format!("the label is {other:?}; it must be fraud or genuine")),
    };
    let at = match written.at.as_deref() {
        None | Some("") => now,
        Some(text) => text
            .parse::<jiff::Timestamp>()
            .map_err(|error| format!("at: {error}; write it as 2026-11-02T08:00:00Z"))?
            .as_second(),
    };
    let label = Label {
        call_id: written.call_id,
        fraud,
        by: written.by.filter(|by| !by.is_empty()).unwrap_or_else(|| by.to_owned()),
        at,
        weight: written.weight.unwrap_or(1.0),
        note: written.note.unwrap_or_default(),
    };
    check(&label)?;
    Ok(label)
}

#[cfg(test)]
mod tests {
    use super::{Label, LabelError, Labels};

    fn label(call_id: &str, fraud: bool) -> Label {
        let by = "ann".to_owned();
        Label {
            call_id: call_id.into(),
            fraud,
            by,
            at: 1_700_000_000,
            weight: 1.0,
            note: String::new(),
        }
    }

    #[test]
    fn the_last_label_of_a_call_counts_and_all_are_kept() {
        let at = tempfile::tempdir().unwrap();
        let path = at.path().join("labels.sqlite");
        let labels = Labels::open(&path).unwrap();
        assert_eq!(labels.last().unwrap(), 0);
        labels.add(&label("a", true)).unwrap();
        labels.add(&label("b", true)).unwrap();
        labels.add(&label("a", false)).unwrap();
        drop(labels);
        let labels = Labels::open(&path).unwrap();
        let mut counting = Vec::new();
        labels.counting(|label| counting.push((label.call_id, label.fraud))).unwrap();
        assert_eq!(counting, [("b".into(), true), ("a".into(), false)]);
        let since = labels.since(1, 10).unwrap();
        assert_eq!(since.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [2, 3]);
        assert_eq!((since[1].1.clone(), labels.last().unwrap()), (label("a", false), 3));
        assert!(labels.add(&label("", true)).is_err());
        assert!(labels.add(&Label { weight: f64::NAN, ..label("c", true) }).is_err());
        assert!(labels.add(&label(&"x".repeat(2_000), true)).is_err());
    }

    #[test]
    fn files_come_in_whole_or_not_at_all_and_go_out_again() {
        let at = tempfile::tempdir().unwrap();
        let mut labels = Labels::open(&at.path().join("l")).unwrap();
        let good = "call_id,label,by,at,weight\nx@1,fraud,bob,2026-11-02T08:00:00Z,2\n\"y,1\",genuine,,,\n";
        assert_eq!(labels.import(good.as_bytes(), "cli", 5).unwrap(), 2);
        let bad = "call_id,label\nz,fraud\nw,maybe\n";
        let error = labels.import(bad.as_bytes(), "cli", 5).unwrap_err();
        assert!(matches!(error, LabelError::Line { line: 3, .. }), "{error}");
        assert_eq!(labels.last().unwrap(), 2, "nothing of the bad file is there");
        let mut out = Vec::new();
        assert_eq!(labels.export(&mut out).unwrap(), 2);
        let mut again = Labels::open(&at.path().join("m")).unwrap();
        assert_eq!(again.import(&out[..], "other", 9).unwrap(), 2);
        assert_eq!(again.since(0, 9).unwrap(), labels.since(0, 9).unwrap());
    }

    #[test]
    fn another_file_is_refused() {
        let at = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(at.path(), b"this is not a database, but it is long enough to be read")
            .unwrap();
        assert!(Labels::open(at.path()).unwrap_err().to_string().contains("not a database"));
    }
}
