//! Questions to the records: a few at a time, each bounded in rows, time and memory.

use std::{sync::Arc, time::Duration};

use arrow::{array::RecordBatch, json::LineDelimitedWriter};
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use super::problem::Problem;
use crate::{
    records::{
        Span, Tally,
        query::{Limits, OutputError, QueryError, Store},
    },
    time::Timestamp,
};

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

    /// Their counts.
    pub(super) fn tally(&self) -> &Arc<Tally> {
        &self.tally
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
        self.work(move |store, limits| {
            let mut lines = LineDelimitedWriter::new(Vec::new());
            store.query(&sql, limits, &mut |batch: &RecordBatch| {
                lines.write(batch).map_err(OutputError::from)
            })?;
            lines.finish().map_err(OutputError::from)?;
            Ok(lines.into_inner())
        })
        .await
        .and_then(|lines| {
            serde_json::Deserializer::from_slice(&lines)
                .into_iter()
                .collect::<Result<Vec<T>, _>>()
                .map_err(|error| Problem::internal(&error))
        })
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

/// A time as it stands in SQL.
pub(super) fn in_sql(time: Timestamp) -> String {
    format!("TIMESTAMP '{time}'")
}
