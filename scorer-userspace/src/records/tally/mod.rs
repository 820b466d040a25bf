//! Counts of calls over any time, added up from those of files.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::{
    RecordsError,
    callers::Callers,
    counts::{By, Count, Counts, Keyed, MINUTE, Stopped, Wanted, add},
    files::{self, Kind, Listing, ParquetFile},
    query::QueryError,
};
use crate::time::Timestamp;

/// A file may go between its being listed and opened: made Parquet, deleted for its age.
const TRIES: usize = 3;
/// Calls of a folder, counted: whole files once, the rest when it is asked for.
#[derive(Debug)]
pub struct Tally {
    folder: PathBuf,
    files: Mutex<HashMap<files::Key, Arc<Counts>>>,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// From then.
    pub since: Timestamp,
    /// Until before then.
    pub until: Timestamp,
    /// How long it may take; `None` for as long as it takes.
    pub time: Option<Duration>,
}

impl Span {
    fn has(&self, file: &ParquetFile) -> bool {
        file.times[1] >= self.since && file.times[0] < self.until
    }

    /// Whether nothing of a file lies outside.
    fn holds(&self, file: &ParquetFile) -> bool {
        file.times[0] >= self.since && file.times[1] < self.until
    }
}

impl Tally {
    /// Of a folder, of which nothing is counted yet.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), files: Mutex::default() }
    }

    /// Calls by time, in steps of so many nanoseconds since 1970.
    ///
    /// # Errors
    /// [`QueryError::TooLong`]: what was counted until then need not be counted again.
    /// [`QueryError::Records`] when the folder or a segment cannot be read.
    pub fn over(&self, span: Span, step: u64) -> Result<BTreeMap<u64, Count>, QueryError> {
        let mut all: BTreeMap<u64, Count> = BTreeMap::new();
        for counts in self.gather(&Wanted { step: step.max(1), ..Wanted::NOTHING }, span)? {
            for (at, count) in &counts.steps {
                all.entry(at / step.max(1) * step).or_default().add(*count);
            }
        }
        Ok(all)
    }

    /// Calls by key.
    ///
    /// # Errors
    /// As [`Self::over`].
    pub fn by(&self, by: By, span: Span) -> Result<Keyed, QueryError> {
        let mut all = Keyed::default();
        self.by_hour(by, span, &mut |_, key, count| add(&mut all, key, count))?;
        Ok(all)
    }

    /// Calls by key, with the beginning of an hour that they are of, in nanoseconds since
    /// 1970; more than once for the same hour and key.
    ///
    /// # Errors
    /// As [`Self::over`].
    pub fn by_hour(
        &self,
        by: By,
        span: Span,
        each: &mut dyn FnMut(u64, &str, Count),
    ) -> Result<(), QueryError> {
        for counts in self.gather(&Wanted { by: &[by], ..Wanted::NOTHING }, span)? {
            for hour in &counts.hours {
                for (key, count) in &hour.by[by as usize] {
                    each(hour.at, key, *count);
                }
            }
        }
        Ok(())
    }

    /// Callers: of each file those that stand out in it, so that of others, and of calls in
    /// other files, some are missing.
    ///
    /// # Errors
    /// As [`Self::over`].
    pub fn callers(&self, span: Span) -> Result<Callers, QueryError> {
        let mut all = Callers::default();
        for counts in self.gather(&Wanted { callers: true, ..Wanted::NOTHING }, span)? {
            all.merge(&counts.callers);
        }
        Ok(all)
    }

    /// Counts whole files that were not counted yet, the latest first, and forgets those of
    /// files that are gone; how many files it counted.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn keep(&self, stop: &AtomicBool) -> Result<usize, RecordsError> {
        let listing = files::list(&self.folder)?;
        let calls = || listing.files.iter().rev().filter(|file| file.kind == Kind::Calls);
        {
            let there: HashSet<files::Key> = calls().map(ParquetFile::key).collect();
            self.known().retain(|key, _| there.contains(key));
        }
        let mut counted = 0;
        for file in calls() {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            if self.known().contains_key(&file.key()) {
                continue;
            }
            match self.whole(file, None) {
                Ok(_) => counted += 1,
                Err(Stopped::Failed(error)) => log::debug!("not counted: {error}"),
                Err(Stopped::Late) => {}
            }
        }
        Ok(counted)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<files::Key, Arc<Counts>>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The counts of a whole file.
    fn whole(&self, file: &ParquetFile, deadline: Option<Instant>) -> Result<Arc<Counts>, Stopped> {
        if let Some(counts) = self.known().get(&file.key()) {
            return Ok(Arc::clone(counts));
        }
        let wanted = Wanted { deadline, ..Wanted::ALL };
        let counts = Arc::new(Counts::of_file(&file.path, &wanted)?);
        self.known().insert(file.key(), Arc::clone(&counts));
        Ok(counts)
    }

    /// The counts of all that lies in a time.
    fn gather(&self, wanted: &Wanted<'_>, span: Span) -> Result<Vec<Arc<Counts>>, QueryError> {
        let deadline = span.time.and_then(|time| Instant::now().checked_add(time));
        let wanted = Wanted { span: [span.since, span.until], deadline, ..*wanted };
        let mut tries = 0;
        loop {
            let listing = files::list(&self.folder)?;
            tries += 1;
            match self.gather_of(&listing, &wanted, span) {
                Ok(all) => return Ok(all),
                Err(Stopped::Failed(error)) if tries < TRIES && is_gone(&error) => {}
                Err(Stopped::Failed(error)) => return Err(error.into()),
                Err(Stopped::Late) => {
                    return Err(QueryError::TooLong(span.time.unwrap_or_default()));
                }
            }
        }
    }

    fn gather_of(
        &self,
        listing: &Listing,
        wanted: &Wanted<'_>,
        span: Span,
    ) -> Result<Vec<Arc<Counts>>, Stopped> {
        let mut all = Vec::new();
        let calls = listing.files.iter().filter(|file| file.kind == Kind::Calls && span.has(file));
        for file in calls {
            let counted = if span.holds(file) && wanted.step.is_multiple_of(MINUTE) {
                self.whole(file, wanted.deadline)
            } else {
                Counts::of_file(&file.path, wanted).map(Arc::new)
            };
            match counted {
                Ok(counts) => all.push(counts),
                Err(Stopped::Failed(error @ RecordsError::Damaged { .. })) => {
                    log::warn!("{error}; it is left out, `scorer records maintain` sets it aside");
                }
                Err(stopped) => return Err(stopped),
            }
        }
        for segment in listing.segments.iter().filter(|segment| segment.kind == Kind::Calls) {
            all.push(Arc::new(Counts::of_segment(&segment.path, wanted)?));
        }
        Ok(all)
    }
}

fn is_gone(error: &RecordsError) -> bool {
    matches!(error, RecordsError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

#[cfg(test)]
mod tests;
