//! The history on disk, so that a restart forgets nothing.
//!
//! ```text
//! "SCORHIS1"  layout u64  secret 2×u64  created u64 (ns)
//! sections:   kind u8 (1–4 tables, 5 rest, 6–8 callers' profiles, 9 marks)  bytes u32  entries
//! 0xff        SHA-256 of all before
//! ```
//!
//! Written piece by piece, a few sets of a table at a time: the scoring thread
//! copies, another one writes. The pieces are of slightly different moments, which
//! matters to nobody; each entry is whole. The file has the secret of the hashes in
//! it and no number, and is readable by its owner alone.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use bytemuck::Pod;
use sha2::{Digest as _, Sha256};

use super::{Aged, Dialog, Entry, History, HistoryConfig, Marks, Profile, Small, Table, decay};
use crate::{private, profiles, time::Timestamp};

const MAGIC: &[u8; 8] = b"SCORHIS1";
const END: u8 = 0xff;
/// The part that is no table.
const REST: u8 = 5;
/// Callers' profiles: tokens, profiles, and the rest of them.
const CALLERS: [u8; 3] = [6, 7, 8];
/// How much of a cluster's facts is counted.
const MARKS: u8 = 9;
/// Sets copied in a step; some 200 kB, well under a tenth of a millisecond.
const STEP: usize = 128;
/// Older ones say nothing about today, seconds.
const TOO_OLD: f64 = 14.0 * 86_400.0;
/// A section at most, bytes: what a step writes.
const SECTION: usize = 4 << 20;

/// Rises when the fields of anything that is written change places.
const ORDER: u64 = 1;
/// Changes with the size of anything that is written.
const LAYOUT: u64 = ORDER << 62 ^ (size_of::<Entry>() as u64) << 48
    | (size_of::<Small>() as u64) << 32
    | (size_of::<Profile>() as u64) << 16
    | size_of::<Dialog>() as u64 ^ profiles::LAYOUT << 32;

/// Why a snapshot was not taken up.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Cannot be read or written.
    #[error("cannot access the history's snapshot {}: {source}", path.display())]
    Io {
        /// File.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Not one of ours, of another version, cut short, or changed.
    #[error("the history's snapshot {} is not used: {what}; it will be written anew", path.display())]
    Refused {
        /// File.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
}

/// How far a snapshot has been written.
#[derive(Debug, Default)]
pub struct Cursor {
    table: u8,
    set: usize,
}

impl History {
    /// The start of a snapshot.
    pub fn snapshot_head(&self, now: Timestamp) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        for word in [LAYOUT, self.secret[0], self.secret[1], now.0] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out
    }

    /// Adds the next piece to `out`; false when that was the last.
    pub fn snapshot_step(&self, cursor: &mut Cursor, out: &mut Vec<u8>) -> bool {
        let sets = match cursor.table {
            0 => section(&self.entries, 1, cursor.set, out),
            1 => section(&self.few, 2, cursor.set, out),
            2 => section(&self.profiles, 3, cursor.set, out),
            3 => section(&self.dialogs, 4, cursor.set, out),
            4 => match &self.callers {
                Some(callers) => section(callers.tokens(), CALLERS[0], cursor.set, out),
                None => 0,
            },
            5 => match &self.callers {
                Some(callers) => framed(CALLERS[1], out, |out| callers.dump(cursor.set, STEP, out)),
                None => 0,
            },
            _ => {
                self.rest(out);
                return false;
            }
        };
        cursor.set += STEP;
        if cursor.set >= sets {
            *cursor = Cursor { table: cursor.table + 1, set: 0 };
        }
        true
    }

    fn rest(&self, out: &mut Vec<u8>) {
        let mut body = bytemuck::bytes_of(&self.everybody).to_vec();
        body.extend_from_slice(&(self.fraud_signatures.len() as u32).to_le_bytes());
        for signature in &self.fraud_signatures {
            body.extend_from_slice(&signature.to_le_bytes());
        }
        for (key, count) in &self.links {
            body.extend_from_slice(&key.to_le_bytes());
            body.extend_from_slice(&count.to_le_bytes());
        }
        out.push(REST);
        out.extend_from_slice(&(body.len() as u32).to_le_bytes());
        out.extend_from_slice(&body);
        if let Some(callers) = &self.callers {
            framed(CALLERS[2], out, |out| out.extend_from_slice(&callers.rest()));
        }
        if self.elsewhere.is_some() {
            framed(MARKS, out, |out| self.marks.dump(out));
        }
    }

    /// A history from a snapshot, of the size configured now.
    ///
    /// # Errors
    /// [`SnapshotError`]; nothing of a snapshot is used unless all of it is whole.
    pub fn restore(
        path: &Path,
        config: &HistoryConfig,
        now: Timestamp,
    ) -> Result<Self, SnapshotError> {
        let io = |source| SnapshotError::Io { path: path.to_owned(), source };
        let refused = |what| SnapshotError::Refused { path: path.to_owned(), what };
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        // Bytes on disk are at most what the tables take in memory, and a little.
        let most = (config.bytes + config.profile_bytes) as u64 * 2 + (64 << 20);
        if length > most {
            return Err(refused("it is larger than twice the history may be"));
        }
        let mut bytes = Vec::with_capacity(length as usize);
        file.take(most).read_to_end(&mut bytes).map_err(io)?;
        let Some((body, sum)) = bytes.split_last_chunk::<32>() else {
            return Err(refused("it is cut short"));
        };
        if !body.starts_with(MAGIC) {
            return Err(refused("it is no snapshot"));
        }
        if Sha256::digest(body)[..] != sum[..] {
            return Err(refused("it is damaged or cut short"));
        }
        let word = |at: usize| {
            body.get(at..).and_then(<[u8]>::first_chunk).map(|word| u64::from_le_bytes(*word))
        };
        let (Some(layout), Some(a), Some(b), Some(created)) =
            (word(8), word(16), word(24), word(32))
        else {
            return Err(refused("it is cut short"));
        };
        if layout != LAYOUT {
            return Err(refused("another version of scorer wrote it"));
        }
        if now.seconds_since(Timestamp(created)) > TOO_OLD {
            return Err(refused("it is older than two weeks"));
        }
        if config.shared.is_some_and(|shared| shared != [a, b]) {
            return Err(refused("it was written with another secret than the cluster's"));
        }
        let mut history = Self::with_secret(config, [a, b]);
        let mut rest = &body[40..];
        loop {
            match rest {
                [END] => return Ok(history),
                [kind, a, b, c, d, after @ ..] => {
                    let length = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
                    let Some((section, after)) = after.split_at_checked(length) else { break };
                    let taken = match kind {
                        1 => fill(&mut history.entries, section),
                        2 => fill(&mut history.few, section),
                        3 => fill(&mut history.profiles, section),
                        4 => fill(&mut history.dialogs, section),
                        5 => history.take_rest(section),
                        6..=8 => history.take_callers(*kind, section),
                        &MARKS => history.take_marks(section),
                        _ => false,
                    };
                    if !taken {
                        break;
                    }
                    rest = after;
                }
                _ => break,
            }
        }
        Err(refused("its parts contradict each other"))
    }

    fn take_callers(&mut self, kind: u8, section: &[u8]) -> bool {
        // Switched off since.
        let Some(callers) = &mut self.callers else { return true };
        match kind {
            6 => fill(callers.tokens_mut(), section),
            7 => callers.fill(section),
            _ => callers.take_rest(section),
        }
    }

    fn take_marks(&mut self, section: &[u8]) -> bool {
        // Out of the cluster since.
        if self.elsewhere.is_none() {
            return true;
        }
        let Some(marks) = Marks::read(section) else { return false };
        self.marks = marks;
        true
    }

    fn take_rest(&mut self, section: &[u8]) -> bool {
        let Some((everybody, rest)) = section.split_at_checked(size_of::<Small>()) else {
            return false;
        };
        self.everybody = bytemuck::pod_read_unaligned(everybody);
        let Some((count, rest)) = rest.split_first_chunk::<4>() else { return false };
        let count = u32::from_le_bytes(*count) as usize;
        let Some((signatures, links)) = rest.split_at_checked(count.saturating_mul(8)) else {
            return false;
        };
        if count > super::FRAUD_SIGNATURES {
            return false;
        }
        self.fraud_signatures =
            signatures.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
        for link in links.as_chunks::<12>().0.iter().take(super::LINKS) {
            let (key, count) = link.split_at(8);
            let key: u64 = bytemuck::pod_read_unaligned(key);
            self.links.insert(key, bytemuck::pod_read_unaligned(count));
        }
        true
    }
}

/// Adds a piece of a table; how many sets it has.
fn section<V: Aged>(table: &Table<V>, kind: u8, set: usize, out: &mut Vec<u8>) -> usize {
    let sets = table.sets();
    framed(kind, out, |out| (set..(set + STEP).min(sets)).for_each(|set| table.dump(set, out)));
    sets
}

/// Adds what `write` writes as a section, or nothing where that is empty.
fn framed<T>(kind: u8, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    let at = out.len();
    out.extend_from_slice(&[kind, 0, 0, 0, 0]);
    let result = write(out);
    let length = out.len() - at - 5;
    if length == 0 {
        out.truncate(at);
    } else {
        out[at + 1..at + 5].copy_from_slice(&(length as u32).to_le_bytes());
    }
    result
}

fn fill<V: Aged + Pod>(table: &mut Table<V>, section: &[u8]) -> bool {
    let entry = 8 + size_of::<V>();
    if section.len() > SECTION || !section.len().is_multiple_of(entry) {
        return false;
    }
    for bytes in section.chunks_exact(entry) {
        let (key, value) = bytes.split_at(8);
        let key: u64 = bytemuck::pod_read_unaligned(key);
        if key != 0 {
            // In a smaller table some find no room.
            table.restore(key, &bytemuck::pod_read_unaligned(value));
        }
    }
    true
}

/// Writes a snapshot's pieces to a file beside `path`, then puts it in its place.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    partial: PathBuf,
    file: File,
    sum: Sha256,
}

impl Writer {
    /// Begins.
    ///
    /// # Errors
    /// [`SnapshotError::Io`].
    pub fn create(path: &Path, head: &[u8]) -> Result<Self, SnapshotError> {
        let mut name = path.as_os_str().to_owned();
        name.push(".partial");
        let partial = PathBuf::from(name);
        let file = private::create(&partial)
            .map_err(|source| SnapshotError::Io { path: partial.clone(), source })?;
        let mut writer = Self { path: path.to_owned(), partial, file, sum: Sha256::new() };
        writer.add(head)?;
        Ok(writer)
    }

    /// Adds a piece.
    ///
    /// # Errors
    /// [`SnapshotError::Io`].
    pub fn add(&mut self, piece: &[u8]) -> Result<(), SnapshotError> {
        self.sum.update(piece);
        self.file
            .write_all(piece)
            .map_err(|source| SnapshotError::Io { path: self.partial.clone(), source })
    }

    /// Ends: what is on disk under the name is whole, the old one or this.
    ///
    /// # Errors
    /// [`SnapshotError::Io`].
    pub fn finish(mut self) -> Result<(), SnapshotError> {
        self.add(&[END])?;
        let Self { path, partial, mut file, sum } = self;
        file.write_all(&sum.finalize())
            .and_then(|()| file.sync_all())
            .and_then(|()| std::fs::rename(&partial, &path))
            .map_err(|source| SnapshotError::Io { path: partial, source })
    }
}

/// Writes all of a history at once, as at the end of a process.
///
/// # Errors
/// [`SnapshotError::Io`].
pub fn save(history: &History, path: &Path, now: Timestamp) -> Result<(), SnapshotError> {
    let mut writer = Writer::create(path, &history.snapshot_head(now))?;
    let (mut cursor, mut piece) = (Cursor::default(), Vec::new());
    loop {
        piece.clear();
        let more = history.snapshot_step(&mut cursor, &mut piece);
        writer.add(&piece)?;
        if !more {
            return writer.finish();
        }
    }
}

// The half-lives are part of what the counts mean.
const _: () = assert!(decay::HALF_LIVES.len() == 5);
