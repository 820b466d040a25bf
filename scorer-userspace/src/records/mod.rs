//! Call records: every call on disk, to be looked at later.
//!
//! ```text
//! scoring thread -> queue -> writer -> Arrow IPC segment -> Parquet file
//!                            (every half second)  (every hour, or when it is full)
//! ```
//!
//! The scoring thread copies a call into a slot made beforehand and goes on; when
//! none is free the record is dropped and counted. Three threads do the rest: one
//! appends, one waits for the disk, one makes Parquet files and keeps house.
//!
//! A folder has one writer and any number of readers. What each file is stands in its
//! name ([`files`]), so that a crash at any step leaves either the old state or the
//! new one. Everything that needs DataFusion is in [`query`].

mod archive;
mod callers;
mod columns;
mod counts;
mod encode;
mod files;
pub mod hep;
mod keep;
mod number;
mod one;
mod parquet_file;
mod pseudonym;
pub mod query;
mod recorder;
mod seek;
mod segment;
mod slot;
mod stats;
mod tally;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

pub use archive::{Archive, Archived};
pub(crate) use archive::{finished, is_finished_name};
pub use callers::{Caller, Callers, Different, Told};
pub use columns::{CALLS, Column, LATER, OUTCOMES, Type, markdown};
pub use counts::{By, Count, Keyed, NONE, OTHERS};
pub(crate) use keep::stand_back;
pub use keep::{Checked, Erased, Kept, check, erase, maintain};
pub use number::Sought;
pub use recorder::{Mode, Recorder, Totals};
pub(crate) use slot::{Slot, Text};
pub use stats::Stats;
pub use tally::{Span, Tally};

/// What is recorded, where, and for how long.
#[derive(Clone, Debug)]
pub struct RecordsConfig {
    /// Folder of the records; `None` records nothing.
    pub folder: Option<PathBuf>,
    /// Record every feature's value, too.
    pub features: bool,
    /// Calls that may wait for the writer; each takes about 3 kB.
    pub queue: usize,
    /// Older records are deleted.
    pub keep: Option<Duration>,
    /// The oldest records are deleted when all take more, bytes.
    pub most_bytes: Option<u64>,
    /// In older records numbers are replaced by pseudonyms.
    pub pseudonymise: Option<Duration>,
    /// Country code of national numbers, by which forms of one number are known.
    pub home: Option<u16>,
    /// Collector that INVITEs and verdicts are sent to.
    pub hep: hep::HepConfig,
}

impl Default for RecordsConfig {
    fn default() -> Self {
        Self {
            folder: None,
            features: true,
            queue: 16_384,
            keep: Some(90 * DAY),
            most_bytes: None,
            pseudonymise: None,
            home: None,
            hep: hep::HepConfig::default(),
        }
    }
}

const DAY: Duration = Duration::from_hours(24);

/// Why records cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// A file or folder.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Another process writes there.
    #[error("{} is written by another scorer; give each its own folder", .0.display())]
    InUse(PathBuf),
    /// The process that writes does not answer.
    #[error("the scorer that writes {} has not closed its segments within {} s; is it stuck?", path.display(), seconds)]
    NoAnswer {
        /// Folder.
        path: PathBuf,
        /// How long it was waited for.
        seconds: u64,
    },
    /// A folder that is none of records.
    #[error("there are no records in {}: {why}", path.display())]
    NoRecords {
        /// Folder.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Not what it should be.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// File.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Arrow.
    #[error("{}: {source}", path.display())]
    Arrow {
        /// File.
        path: PathBuf,
        /// Cause.
        #[source]
        source: arrow::error::ArrowError,
    },
    /// Parquet.
    #[error("{}: {source}", path.display())]
    Parquet {
        /// File.
        path: PathBuf,
        /// Cause.
        #[source]
        source: parquet::errors::ParquetError,
    },
    /// Object storage.
    #[error("cannot archive to {url}: {source}")]
    Archive {
        /// Where.
        url: String,
        /// Cause.
        #[source]
        source: object_store::Error,
    },
    /// No place to archive to.
    #[error("{0:?} is no place to archive to; write file:///FOLDER or s3://BUCKET/PREFIX")]
    NoArchive(String),
    /// The number to be erased is none.
    #[error("{0:?} is no telephone number; write it as +441632960001")]
    NoNumber(String),
    /// The collector.
    #[error("cannot send HEP to {address}: {source}")]
    Hep {
        /// Where.
        address: SocketAddr,
        /// Cause.
        #[source]
        source: io::Error,
    },
}

impl RecordsError {
    /// Whether it may pass by itself: another scorer ends, a disk gets room.
    fn may_pass(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        match self {
            Self::InUse(_) => true,
            Self::Io { source, .. } => {
                matches!(source.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem)
            }
            _ => false,
        }
    }

    fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }

    fn arrow(path: &Path) -> impl Fn(arrow::error::ArrowError) -> Self {
        let path = path.to_owned();
        move |source| Self::Arrow { path: path.clone(), source }
    }

    fn parquet(path: &Path) -> impl Fn(parquet::errors::ParquetError) -> Self {
        let path = path.to_owned();
        move |source| Self::Parquet { path: path.clone(), source }
    }
}
