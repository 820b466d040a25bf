//! What lies in a folder of records, told by its names.
//!
//! ```text
//! calls-18a2f4c01d3b5e00.arrows                       a segment, by its id
//! calls-20261125T080000.000000000Z-20261125T085959.123456789Z-18a2f4c01d3b5e00.parquet
//! calls-…-18a2f4c01d3b5e00-p.parquet                  the same, numbers replaced
//! *.damaged                                           set aside
//! *.tmp                                               being made; worthless after a crash
//! lock, keep.lock                                     who writes, who rewrites
//! close                                               a wish that segments be closed
//! pseudonym.key                                       the key of pseudonyms
//! ```
//!
//! The times in a name are those of its first and last row. A Parquet file has the id
//! of the segment it was made from: where both lie there, the segment is done with.
//! Where a file lies there with numbers and with pseudonyms, the former is done with.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use super::RecordsError;
use crate::{private, time::Timestamp};

/// Which of the two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Calls,
    Outcomes,
}

impl Kind {
    pub(super) const ALL: [Self; 2] = [Self::Calls, Self::Outcomes];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Outcomes => "outcomes",
        }
    }
}

/// A segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SegmentFile {
    pub(super) kind: Kind,
    pub(super) id: u64,
    pub(super) path: PathBuf,
}

/// A Parquet file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ParquetFile {
    pub(super) kind: Kind,
    pub(super) id: u64,
    /// Of the first and the last row.
    pub(super) times: [Timestamp; 2],
    pub(super) pseudonymised: bool,
    pub(super) bytes: u64,
    pub(super) path: PathBuf,
}

/// A file and its rows: made anew it has another size.
pub(super) type Key = (Kind, u64, bool, u64);

impl ParquetFile {
    /// Which rows they are.
    pub(super) const fn key(&self) -> Key {
        (self.kind, self.id, self.pseudonymised, self.bytes)
    }
}

/// All that counts in a folder, each sorted by time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) segments: Vec<SegmentFile>,
    pub(super) files: Vec<ParquetFile>,
    /// Segments and files that others stand for: left over by a crash.
    pub(super) done_with: Vec<PathBuf>,
    /// Half-made files.
    pub(super) half_made: Vec<PathBuf>,
    /// Files that were set aside.
    pub(super) damaged: Vec<PathBuf>,
}

const SEGMENT: &str = ".arrows";
const PARQUET: &str = ".parquet";
pub(super) const TEMPORARY: &str = ".tmp";
const DAMAGED: &str = ".damaged";
/// A wish that the writer close its segments.
pub(super) const CLOSE: &str = "close";

pub(super) fn segment_path(folder: &Path, kind: Kind, id: u64) -> PathBuf {
    folder.join(format!("{}-{id:016x}{SEGMENT}", kind.name()))
}

pub(super) fn parquet_path(
    folder: &Path,
    kind: Kind,
    id: u64,
    times: [Timestamp; 2],
    pseudonymised: bool,
) -> PathBuf {
    let [first, last] = times.map(stamp);
    let mark = if pseudonymised { "-p" } else { "" };
    folder.join(format!("{}-{first}-{last}-{id:016x}{mark}{PARQUET}", kind.name()))
}

/// RFC 3339 without the signs that need quoting in a shell.
fn stamp(time: Timestamp) -> String {
    time.to_string().replace(['-', ':'], "")
}

fn time(stamp: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = stamp.parse().ok()?;
    u64::try_from(time.as_nanosecond()).ok().map(Timestamp)
}

enum Named {
    Segment(Kind, u64),
    Parquet { kind: Kind, id: u64, times: [Timestamp; 2], pseudonymised: bool },
}

fn parse(name: &str) -> Option<Named> {
    let (kind, rest) = name.split_once('-')?;
    let kind = Kind::ALL.into_iter().find(|known| known.name() == kind)?;
    if let Some(id) = rest.strip_suffix(SEGMENT) {
        return Some(Named::Segment(kind, u64::from_str_radix(id, 16).ok()?));
    }
    let rest = rest.strip_suffix(PARQUET)?;
    let (rest, pseudonymised) = match rest.strip_suffix("-p") {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    let mut parts = rest.split('-');
    let times = [time(parts.next()?)?, time(parts.next()?)?];
    let id = u64::from_str_radix(parts.next()?, 16).ok()?;
    parts.next().is_none().then_some(Named::Parquet { kind, id, times, pseudonymised })
}

/// Whether a name is that of a Parquet file of records.
pub(super) fn is_parquet(name: &str) -> bool {
    matches!(parse(name), Some(Named::Parquet { .. }))
}

/// Looks at a folder. Files of other names are left alone.
pub(super) fn list(folder: &Path) -> Result<Listing, RecordsError> {
    let mut segments = Vec::new();
    let mut files: HashMap<(Kind, u64), ParquetFile> = HashMap::new();
    let mut listing = Listing::default();
    let failed = || RecordsError::io("read the folder", folder);
    for entry in fs::read_dir(folder).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        let (path, name) = (entry.path(), entry.file_name());
        let Some(name) = name.to_str() else { continue };
        if name.ends_with(TEMPORARY) {
            listing.half_made.push(path);
            continue;
        }
        if name.ends_with(DAMAGED) {
            listing.damaged.push(path);
            continue;
        }
        match parse(name) {
            None => {}
            Some(Named::Segment(kind, id)) => segments.push(SegmentFile { kind, id, path }),
            Some(Named::Parquet { kind, id, times, pseudonymised }) => {
                // It may be deleted at this very moment.
                let Ok(about) = entry.metadata() else { continue };
                let file = ParquetFile { kind, id, times, pseudonymised, bytes: about.len(), path };
                match files.get(&(kind, id)) {
                    Some(known) if known.pseudonymised => listing.done_with.push(file.path),
                    _ => {
                        let old = files.insert((kind, id), file);
                        listing.done_with.extend(old.map(|old| old.path));
                    }
                }
            }
        }
    }
    for segment in segments {
        if files.contains_key(&(segment.kind, segment.id)) {
            listing.done_with.push(segment.path);
        } else {
            listing.segments.push(segment);
        }
    }
    listing.files = files.into_values().collect();
    listing.files.sort_by_key(|file| (file.times, file.id));
    listing.segments.sort_by_key(|segment| segment.id);
    Ok(listing)
}

/// Makes what was created, renamed or removed in a folder last.
pub(super) fn sync_folder(folder: &Path) -> Result<(), RecordsError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(RecordsError::io("write the folder", folder))
}

/// Sets a file aside, and says so.
pub(super) fn set_aside(path: &Path, what: &str) -> Result<PathBuf, RecordsError> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(DAMAGED);
    let aside = PathBuf::from(aside);
    fs::rename(path, &aside).map_err(RecordsError::io("set aside", path))?;
    log::error!("{}: {what}; it is set aside as {}", path.display(), aside.display());
    Ok(aside)
}

/// Held while a folder is written.
#[derive(Debug)]
pub(super) struct WriterLock(#[expect(dead_code, reason = "its being open is the lock")] File);

fn lock_file(folder: &Path, name: &str) -> Result<File, RecordsError> {
    let path = folder.join(name);
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(RecordsError::io("open", &path))
}

impl WriterLock {
    /// Makes the folder where there is none, and takes it.
    pub(super) fn make(folder: &Path) -> Result<Self, RecordsError> {
        private::make_folder(folder).map_err(RecordsError::io("make the folder", folder))?;
        Self::take(folder)
    }

    /// # Errors
    /// [`RecordsError::InUse`] when another process has it.
    pub(super) fn take(folder: &Path) -> Result<Self, RecordsError> {
        let file = lock_file(folder, "lock")?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(fs::TryLockError::WouldBlock) => Err(RecordsError::InUse(folder.to_owned())),
            Err(fs::TryLockError::Error(source)) => {
                Err(RecordsError::io("lock", &folder.join("lock"))(source))
            }
        }
    }
}

/// Held while files are made, rewritten or deleted. Waits for another process's.
#[derive(Debug)]
pub(super) struct KeeperLock(#[expect(dead_code, reason = "its being open is the lock")] File);

impl KeeperLock {
    pub(super) fn take(folder: &Path) -> Result<Self, RecordsError> {
        let file = lock_file(folder, "keep.lock")?;
        file.lock().map_err(RecordsError::io("lock", &folder.join("keep.lock")))?;
        Ok(Self(file))
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, list, parquet_path, segment_path};
    use crate::{private::create, time::Timestamp};

    #[test]
    fn names_tell_which_files_count() {
        let at = tempfile::tempdir().unwrap();
        let folder = at.path();
        let times = [Timestamp(1_760_000_000_000_000_001), Timestamp(1_760_000_003_000_000_000)];
        let with_numbers = parquet_path(folder, Kind::Calls, 7, times, false);
        let without = parquet_path(folder, Kind::Calls, 7, times, true);
        let done = segment_path(folder, Kind::Calls, 7);
        let live = segment_path(folder, Kind::Calls, 8);
        for path in [&with_numbers, &without, &done, &live] {
            create(path).unwrap();
        }
        for other in ["calls-x.arrows", "calls-1-2-3.parquet", "notes.txt", "a.tmp", "b.damaged"] {
            create(&folder.join(other)).unwrap();
        }
        let listing = list(folder).unwrap();
        assert_eq!(listing.segments.iter().map(|s| s.id).collect::<Vec<_>>(), [8]);
        assert_eq!(listing.files.len(), 1);
        let file = &listing.files[0];
        assert_eq!((file.times, file.pseudonymised, file.kind), (times, true, Kind::Calls));
        let mut done_with = listing.done_with;
        done_with.sort();
        let mut expected = [done, with_numbers];
        expected.sort();
        assert_eq!(done_with, expected);
        assert_eq!((listing.half_made.len(), listing.damaged.len()), (1, 1));
    }
}
