//! SQL over the records: DataFusion over Parquet files and live segments as one.
//!
//! | table | rows |
//! |---|---|
//! | `calls` | calls, with their outcome and label |
//! | `features` | the same, and a column a feature |
//! | `outcomes` | how calls changed |
//!
//! Beside SQL's own functions there is `area(number)`: its first six characters, which
//! tell country and area but not whom; of what is no number `name`.
//!
//! Only reading is possible, and only of these. A query runs on one core, in bounded
//! memory and time. Nothing outside this module knows DataFusion.

mod area;
mod output;
mod sieve;
mod stored;
mod table;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
    time::{Duration, Instant},
};

use datafusion::{
    common::config::ConfigOptions,
    error::DataFusionError,
    execution::{
        context::SQLOptions,
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        memory_pool::GreedyMemoryPool,
        runtime_env::RuntimeEnvBuilder,
    },
    prelude::{SessionConfig, SessionContext},
};
use futures::StreamExt as _;

pub use area::area;
pub use output::{Format, Output, OutputError, ParquetOutput, Sink};
pub use stored::{StoredCall, StoredOutcome};

use super::{RecordsError, columns::LATER, number::Sought, pseudonym::Key};
use crate::time::Timestamp;
use sieve::Sieve;
use table::{Calls, Outcomes};

/// Bytes of a query at most.
const LONGEST: usize = 64 << 10;
/// Deep expressions are worked through by recursion.
const STACK: usize = 256 << 20;
/// A file may go between its being listed and opened: made Parquet, deleted for its age.
const TRIES: usize = 3;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The folder, or a file in it.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// Labels.
    #[error(transparent)]
    Labels(#[from] crate::labels::LabelError),
    /// Not SQL, or of no such table or column.
    #[error("{0}")]
    Sql(String),
    /// A file cannot be read.
    #[error(
        "a file of the records is damaged ({0}); `scorer records check` finds it and sets it aside"
    )]
    Damaged(String),
    /// It would change something.
    #[error("records can only be read: SELECT and EXPLAIN work, {0} does not")]
    ReadOnly(String),
    /// A defect, or a file so damaged that its decoder panicked.
    #[error(
        "the query cannot be worked out; if `scorer records check` finds all files whole, this is a defect"
    )]
    Panicked,
    /// It took too long.
    #[error("the query took longer than {} s; narrow it with WHERE ts >= …, or give it more --timeout", .0.as_secs())]
    TooLong(Duration),
    /// It took too much memory.
    #[error("the query needs more than {} MiB; narrow it with WHERE ts >= …, or give it more --memory", .0 >> 20)]
    TooLarge(usize),
    /// The answer could not be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// What a query may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Rows of the answer at most; `None` for all.
    pub rows: Option<usize>,
    /// Time.
    pub time: Option<Duration>,
    /// Bytes of memory that sorting, grouping and joining may take.
    pub memory: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { rows: Some(10_000), time: Some(Duration::from_mins(1)), memory: 512 << 20 }
    }
}

/// Records to be queried.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
    labels: Option<PathBuf>,
    session: Session,
    sieve: Arc<Sieve>,
}

/// What queries of one store share, with the memory that they may take together. Made by
/// the first of them: some milliseconds go into it.
#[derive(Clone, Default)]
struct Session(Arc<Mutex<Option<(usize, SessionContext)>>>);

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session")
    }
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Rows that were given out.
    pub rows: usize,
    /// There were more.
    pub cut: bool,
}

impl Store {
    /// Records of a folder, with labels from the file of `scorer label`.
    ///
    /// # Errors
    /// When there is no such folder.
    pub fn open(folder: &Path, labels: Option<&Path>) -> Result<Self, QueryError> {
        if !folder.is_dir() {
            let (path, why) = (folder.to_owned(), "there is no such folder");
            return Err(RecordsError::NoRecords { path, why }.into());
        }
        let (folder, labels) = (folder.to_owned(), labels.map(Path::to_owned));
        Ok(Self { folder, labels, session: Session::default(), sieve: Arc::default() })
    }

    /// The forms a number may stand in, its pseudonym included.
    ///
    /// # Errors
    /// When the key of pseudonyms cannot be read.
    pub fn forms(&self, number: &Sought) -> Result<Vec<String>, QueryError> {
        let mut forms = number.forms();
        let key = Key::read(&self.folder, None)?;
        forms.extend(key.map(|key| key.of_number(number.number())));
        Ok(forms)
    }

    /// Parts of a time, the latest first, such that each but the first few holds about as
    /// much as all before it: who looks for the latest rows asks them one after another
    /// and stops when there are enough. From `since` until before `until`.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn windows(
        &self,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<[Timestamp; 2]>, QueryError> {
        let mut files = super::files::list(&self.folder)?.files;
        files.retain(|file| {
            file.kind == super::files::Kind::Calls
                && file.times[0] < until
                && file.times[1] >= since
        });
        files.sort_by_key(|file| std::cmp::Reverse(file.times[1]));
        let spans = files.iter().map(|file| (file.times, file.bytes));
        Ok(windows(spans, since, until))
    }

    /// Time of the first and the last stored call, by the names of files; `None` when all
    /// is in segments still.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn span(&self) -> Result<Option<[Timestamp; 2]>, QueryError> {
        let files = super::files::list(&self.folder)?.files;
        let first = files.iter().map(|file| file.times[0]).min();
        Ok(first.zip(files.iter().map(|file| file.times[1]).max()).map(|(a, b)| [a, b]))
    }

    /// Bytes of all files of records.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn bytes(&self) -> Result<u64, QueryError> {
        let listing = super::files::list(&self.folder)?;
        let of = |path: &Path| std::fs::metadata(path).map_or(0, |about| about.len());
        let segments: u64 = listing.segments.iter().map(|segment| of(&segment.path)).sum();
        Ok(segments + listing.files.iter().map(|file| file.bytes).sum::<u64>())
    }

    /// Features of a call by its time and key, in registry order, NaN where one is
    /// missing; `None` where none are kept.
    ///
    /// # Errors
    /// When the folder or a segment cannot be read.
    pub fn features(&self, ts: Timestamp, call: u64) -> Result<Option<Vec<f32>>, QueryError> {
        Ok(super::one::features(&self.folder, ts, call)?)
    }

    /// Time (ns since 1970) and key of every call since `since` that has one of the
    /// Call-IDs, the latest first.
    ///
    /// # Errors
    /// [`QueryError::TooLong`] after `time`; when the folder cannot be read.
    pub fn seek(
        &self,
        call_ids: &std::collections::HashSet<String>,
        since: Timestamp,
        time: Option<Duration>,
    ) -> Result<Vec<(u64, u64)>, QueryError> {
        let deadline = time.and_then(|time| Instant::now().checked_add(time));
        let (found, all) = super::seek::seek(&self.folder, call_ids, since, deadline)?;
        if all { Ok(found) } else { Err(QueryError::TooLong(time.unwrap_or_default())) }
    }

    /// Reads and keeps what tells which files need not be opened for a Call-ID, a number, a
    /// profile: of files that have come since it was called last. For who asks again and
    /// again; it takes longer than a question.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn keep(&self, stop: &AtomicBool) -> Result<(), QueryError> {
        Ok(self.sieve.keep(&self.folder, stop)?)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Answers a query: `sink` is given the columns, then the rows as they come.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn query(
        &self,
        sql: &str,
        limits: &Limits,
        sink: &mut dyn Sink,
    ) -> Result<Answered, QueryError> {
        if sql.len() > LONGEST {
            let what = format!("the query has {} bytes; {LONGEST} are the most", sql.len());
            return Err(QueryError::Sql(what));
        }
        let answer = || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .map_err(RecordsError::io("start a runtime for", &self.folder))?;
            runtime.block_on(async {
                let work = self.answer(sql, limits, sink);
                match limits.time {
                    None => work.await,
                    Some(time) => tokio::time::timeout(time, work)
                        .await
                        .unwrap_or(Err(QueryError::TooLong(time))),
                }
            })
        };
        // Of the stack only what is used is taken.
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new()
                .name("query".into())
                .stack_size(STACK)
                .spawn_scoped(scope, answer)
                .map_err(RecordsError::io("start a thread for", &self.folder))?;
            // A decoder that panics on damaged bytes, or DataFusion on what it did not expect.
            thread.join().unwrap_or_else(|_| Err(QueryError::Panicked))
        })
    }

    async fn answer(
        &self,
        sql: &str,
        limits: &Limits,
        sink: &mut dyn Sink,
    ) -> Result<Answered, QueryError> {
        let started = Instant::now();
        let failed = |error: DataFusionError| explain(&error, limits);
        let mut tries = 0;
        let (mut stream, first) = loop {
            let context = self.context(limits).map_err(failed)?;
            let options = SQLOptions::new()
                .with_allow_ddl(false)
                .with_allow_dml(false)
                .with_allow_statements(false);
            let frame = context.sql_with_options(sql, options).await.map_err(failed)?;
            let frame = match limits.rows {
                // One more tells whether the answer was cut.
                Some(rows) => frame.limit(0, Some(rows.saturating_add(1))).map_err(failed)?,
                None => frame,
            };
            let opened = match frame.execute_stream().await {
                Ok(mut stream) => stream.next().await.transpose().map(|first| (stream, first)),
                Err(error) => Err(error),
            };
            tries += 1;
            match opened {
                Ok(opened) => break opened,
                Err(error) if tries < TRIES && is_gone(&error) => {}
                Err(error) => return Err(failed(error)),
            }
        };
        sink.begin(&stream.schema())?;
        let mut answered = Answered { rows: 0, cut: false };
        let mut next = first;
        while let Some(batch) = next {
            // The timer looks only where the work waits, and rounds up to a millisecond.
            if let Some(time) = limits.time
                && started.elapsed() >= time
            {
                return Err(QueryError::TooLong(time));
            }
            let left = limits.rows.map_or(usize::MAX, |rows| rows - answered.rows);
            let batch = if batch.num_rows() > left {
                answered.cut = true;
                batch.slice(0, left)
            } else {
                batch
            };
            answered.rows += batch.num_rows();
            sink.rows(&batch)?;
            if answered.cut {
                break;
            }
            next = stream.next().await.transpose().map_err(failed)?;
        }
        Ok(answered)
    }

    /// The session; another where the memory is to be another.
    fn context(&self, limits: &Limits) -> Result<SessionContext, DataFusionError> {
        let mut shared = self.session.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((memory, context)) = &*shared
            && *memory == limits.memory
        {
            return Ok(context.clone());
        }
        let context = self.new_context(limits)?;
        *shared = Some((limits.memory, context.clone()));
        Ok(context)
    }

    fn new_context(&self, limits: &Limits) -> Result<SessionContext, DataFusionError> {
        let mut options = ConfigOptions::new();
        options.execution.target_partitions = 1;
        // Would open every file before the first row is looked for.
        options.execution.collect_statistics = false;
        options.execution.parquet.pushdown_filters = true;
        options.execution.parquet.schema_force_view_types = false;
        options.catalog.information_schema = true;
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(GreedyMemoryPool::new(limits.memory)))
            // A file tells of 370 columns, some 200 kB, before it gives a row: who asks again
            // need not read that again.
            .with_metadata_cache_limit(limits.memory / 2)
            // Numbers do not go to another place on disk.
            .with_disk_manager_builder(
                DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled),
            )
            .build_arc()?;
        let context = SessionContext::new_with_config_rt(SessionConfig::from(options), runtime);
        let sieve = || Arc::clone(&self.sieve);
        let calls = |all| Arc::new(Calls::new(&self.folder, self.labels.as_deref(), all, sieve()));
        context.register_table("calls", calls(false))?;
        context.register_table("features", calls(true))?;
        context.register_table("outcomes", Arc::new(Outcomes::new(&self.folder, sieve())))?;
        context.register_udf(area::function());
        Ok(context)
    }
}

/// Bytes of files in the first window that has any.
const FIRST_WINDOW: u64 = 8 << 20;

/// See [`Store::windows`]; files with their times and bytes, the last first.
pub(crate) fn windows(
    files: impl Iterator<Item = ([Timestamp; 2], u64)>,
    since: Timestamp,
    until: Timestamp,
) -> Vec<[Timestamp; 2]> {
    let mut windows = Vec::new();
    let mut high = until;
    let (mut room, mut taken, mut low) = (FIRST_WINDOW, 0, until);
    for (times, bytes) in files {
        let behind = Timestamp(times[1].0.saturating_add(1));
        if windows.is_empty() && taken == 0 && behind < high {
            // What is in segments only, or nothing.
            windows.push([behind.max(since), high]);
            (high, low) = (behind, behind);
        }
        low = low.min(times[0]).max(since);
        taken += bytes;
        if taken >= room && low < high {
            windows.push([low, high]);
            (high, taken, room) = (low, 0, room * 4);
        }
    }
    if since < high {
        windows.push([since, high]);
    }
    windows
}

/// Whether a file was not there any more.
fn is_gone(error: &DataFusionError) -> bool {
    let text = error.to_string();
    text.contains("No such file")
        || text.contains("not found: No such")
        || text.contains("NotFound")
}

/// What is wrong, in words that say what to do.
fn explain(error: &DataFusionError, limits: &Limits) -> QueryError {
    let root = error.find_root();
    if matches!(root, DataFusionError::ResourcesExhausted(_)) {
        return QueryError::TooLarge(limits.memory);
    }
    if let DataFusionError::SQL(error, _) = root {
        return QueryError::Sql(error.to_string());
    }
    let text = root.strip_backtrace();
    if matches!(root, DataFusionError::ParquetError(_)) {
        return QueryError::Damaged(text);
    }
    for what in ["DDL not supported: ", "DML not supported: ", "Statement not supported: "] {
        if let Some((_, statement)) = text.split_once(what) {
            return QueryError::ReadOnly(statement.to_owned());
        }
    }
    let known = crate::features::names();
    let text = text.trim_start_matches("Error during planning: ");
    let text = text.trim_start_matches("Schema error: ");
    // The names of some 350 columns help nobody.
    let text = text.split(" Valid fields are").next().unwrap_or(text);
    let asked = text
        .strip_prefix("No field named ")
        .and_then(|rest| rest.split_whitespace().next())
        .map(|name| name.trim_end_matches(['.', ',']).rsplit('.').next().unwrap_or(name));
    match asked {
        Some(column) if known.contains(&column) => QueryError::Sql(format!(
            "{column} is a feature: ask for it FROM features, which has all columns of calls, too"
        )),
        Some(column) => QueryError::Sql(format!(
            "there is no column {column}; docs/records-schema.md lists them, and so does DESCRIBE calls"
        )),
        None => QueryError::Sql(text.to_owned()),
    }
}

/// A text as it stands in SQL.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Whether a column is one that comes later.
fn is_later(name: &str) -> bool {
    LATER.iter().any(|column| column.name == name)
}

#[cfg(test)]
mod tests {
    use super::{FIRST_WINDOW, windows};
    use crate::time::Timestamp;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn windows_cover_a_time_without_gaps(
            files in prop::collection::vec((0..1_000u64, 0..50u64, 0..4 * FIRST_WINDOW), 0..30),
            since in 0..1_000u64,
            length in 0..1_000u64,
        ) {
            let (since, until) = (Timestamp(since), Timestamp(since + length));
            let mut files: Vec<_> = files
                .into_iter()
                .map(|(first, span, bytes)| ([first, first + span].map(Timestamp), bytes))
                .filter(|(times, _)| times[0] < until && times[1] >= since)
                .collect();
            files.sort_by_key(|(times, _)| std::cmp::Reverse(times[1]));
            let windows = windows(files.into_iter(), since, until);
            let mut high = until;
            for [low, top] in &windows {
                prop_assert_eq!(*top, high);
                prop_assert!(low < top || windows.len() == 1, "{:?}", windows);
                high = *low;
            }
            prop_assert!(high == since || since == until);
        }
    }
}
