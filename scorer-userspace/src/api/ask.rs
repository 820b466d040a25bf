//! Questions to the records: a few at a time, each bounded in rows, time and memory.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use arrow::{array::RecordBatch, json::LineDelimitedWriter};
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use super::problem::Problem;
use crate::{
    records::{
        Span, Tally,
        query::{Limits, OutputError, QueryError, Store},
        stand_back,
    },
    time::Timestamp,
};

/// How often new files are looked for, and whether it shall end.
const EVERY: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(100);
/// How long a question may wait for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// Records, and what questions to them may take.
#[derive(Debug)]
pub(super) struct Questions {
    store: Arc<Store>,
    tally: Arc<Tally>,
    places: Semaphore,
    limits: Limits,
}

impl Questions {
    /// `at_once` questions at a time, each within `limits`.
    pub(super) fn new(store: Arc<Store>, at_once: usize, limits: Limits) -> Self {
        let tally = Arc::new(Tally::new(store.folder()));
        Self { store, tally, places: Semaphore::new(at_once.max(1)), limits }
    }

    /// The records.
    pub(super) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Reads what is new in memory, so that questions find it there, again and again until
    /// told to stop.
    pub(super) fn follow(&self, stop: &AtomicBool) {
        stand_back();
        while !stop.load(Ordering::Relaxed) {
            if let Err(error) = self.store.keep(stop) {
                log::warn!("every file is opened for a call: {error}");
            }
            if let Err(error) = self.tally.keep(stop) {
                log::warn!("calls are not counted: {error}");
            }
            let next = Instant::now() + EVERY;
            while Instant::now() < next && !stop.load(Ordering::Relaxed) {
                thread::sleep(LOOK);
            }
        }
    }

    /// What `ask` has of their counts, in its turn.
    ///
    /// # Errors
    /// A [`Problem`]: no place, too long.
    pub(super) async fn counted<T: Send + 'static>(
        &self,
        [since, until]: [Timestamp; 2],
        ask: impl FnOnce(&Tally, Span) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, Problem> {
        let tally = Arc::clone(&self.tally);
        self.work(move |_, limits| ask(&tally, Span { since, until, time: limits.time })).await
    }

    /// The answer's rows, each as its members.
    ///
    /// # Errors
    /// A [`Problem`]: no place, too long, too large, or a damaged file.
    pub(super) async fn rows<T: DeserializeOwned + Send + 'static>(
        &self,
        sql: String,
    ) -> Result<Vec<T>, Problem> {
        self.work(move |store, limits| lines(store, &sql, limits))
            .await
            .and_then(|lines| parsed(&lines))
    }

    /// The same within a time; `None` when that is up.
    ///
    /// # Errors
    /// As [`Self::rows`], but for too long.
    pub(super) async fn rows_within<T: DeserializeOwned + Send + 'static>(
        &self,
        sql: String,
        time: Duration,
    ) -> Result<Option<Vec<T>>, Problem> {
        let within = move |store: &Store, limits: &Limits| {
            let time = limits.time.map_or(time, |most| most.min(time));
            match lines(store, &sql, &Limits { time: Some(time), ..*limits }) {
                Ok(lines) => Ok(Some(lines)),
                Err(QueryError::TooLong(_)) => Ok(None),
                Err(error) => Err(error),
            }
        };
        self.work(within).await?.map(|lines| parsed(&lines)).transpose()
    }

    /// What `work` makes of the records, in its turn.
    pub(super) async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store, &Limits) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, Problem> {
        let place = tokio::time::timeout(PATIENCE, self.places.acquire()).await;
        let Ok(Ok(_place)) = place else {
            return Err(Problem::busy("too many questions to the records at once; ask again"));
        };
        let (store, limits) = (Arc::clone(&self.store), self.limits);
        let done = tokio::task::spawn_blocking(move || work(&store, &limits)).await;
        Ok(done.map_err(|error| Problem::internal(&error))??)
    }
}

/// An answer as lines of JSON.
fn lines(store: &Store, sql: &str, limits: &Limits) -> Result<Vec<u8>, QueryError> {
    let mut lines = LineDelimitedWriter::new(Vec::new());
    store.query(sql, limits, &mut |batch: &RecordBatch| {
        lines.write(batch).map_err(OutputError::from)
    })?;
    lines.finish().map_err(OutputError::from)?;
    Ok(lines.into_inner())
}

/// The members of each line.
fn parsed<T: DeserializeOwned>(lines: &[u8]) -> Result<Vec<T>, Problem> {
    serde_json::Deserializer::from_slice(lines)
        .into_iter()
        .collect::<Result<_, _>>()
        .map_err(|error| Problem::internal(&error))
}

/// How long a call's outcome may come after it.
const TALK: Duration = Duration::from_hours(24);

/// By when the outcome of a call of a time has come; no later than a record can tell.
pub(super) fn talked(call: Timestamp) -> Timestamp {
    call.plus(TALK).min(Timestamp(i64::MAX as u64))
}

/// A time as it stands in SQL.
pub(super) fn in_sql(time: Timestamp) -> String {
    format!("TIMESTAMP '{time}'")
}
