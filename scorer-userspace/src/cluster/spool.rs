//! Messages that wait for NATS, on disk: a file each, the oldest first, within a bound.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use super::{ClusterError, seal::Head};
use crate::private;

const ENDING: &str = ".waits";

/// The folder.
#[derive(Debug)]
pub(super) struct Spool {
    folder: PathBuf,
    files: VecDeque<(PathBuf, u64)>,
    bytes: u64,
    most: u64,
    next: u64,
    last_epoch: u64,
    /// Held while the folder is ours.
    _lock: File,
}

impl Spool {
    /// Opens the folder, or makes it, with what an earlier run left.
    pub(super) fn open(folder: &Path, most: u64) -> Result<Self, ClusterError> {
        let failed = |source| ClusterError::Spool { path: folder.to_owned(), source };
        private::make_folder(folder).map_err(failed)?;
        let lock = File::create(folder.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(ClusterError::InUse(folder.to_owned()));
            }
            Err(fs::TryLockError::Error(source)) => return Err(failed(source)),
        }
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if let Some(name) = name.strip_suffix(ENDING)
                && let Ok(number) = u64::from_str_radix(name, 16)
            {
                let length = fs::metadata(&path).map_err(failed)?.len();
                found.push((number, path, length));
            }
        }
        found.sort_unstable();
        let last_epoch = found.last().map_or(0, |(_, path, _)| {
            let head = fs::read(path).ok().and_then(|bytes| Head::read(&bytes));
            head.map_or(0, |(head, _)| head.epoch)
        });
        let next = found.last().map_or(0, |(number, ..)| number + 1);
        let bytes = found.iter().map(|(_, _, length)| length).sum();
        let files = found.into_iter().map(|(_, path, length)| (path, length)).collect();
        let folder = folder.to_owned();
        Ok(Self { folder, files, bytes, most, next, last_epoch, _lock: lock })
    }

    /// The run of what waits; 0 when nothing does.
    pub(super) const fn last_epoch(&self) -> u64 {
        self.last_epoch
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Bytes that wait.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Puts a message behind the others; how many things the oldest had that made room.
    pub(super) fn push(&mut self, message: &[u8]) -> io::Result<u64> {
        let mut lost = 0;
        let length = message.len() as u64;
        while self.bytes + length > self.most
            && let Some(oldest) = self.front()
        {
            lost += Head::read(&oldest).map_or(0, |(head, _)| u64::from(head.count));
            self.pop();
        }
        let path = self.folder.join(format!("{:016x}{ENDING}", self.next));
        let partial = path.with_extension("partial");
        let mut file = private::create(&partial)?;
        file.write_all(message)?;
        file.sync_data()?;
        fs::rename(&partial, &path)?;
        self.next += 1;
        self.files.push_back((path, length));
        self.bytes += length;
        Ok(lost)
    }

    /// The oldest message. One that cannot be read is told and left out.
    pub(super) fn front(&mut self) -> Option<Vec<u8>> {
        loop {
            let (path, _) = self.files.front()?;
            match fs::read(path) {
                Ok(bytes) if Head::read(&bytes).is_some() => return Some(bytes),
                Ok(_) => log::error!("{}: is no message and is left out", path.display()),
                Err(error) => log::error!("{}: {error}; it is left out", path.display()),
            }
            self.pop();
        }
    }

    /// Takes the oldest away.
    pub(super) fn pop(&mut self) {
        if let Some((path, length)) = self.files.pop_front() {
            self.bytes -= length;
            if let Err(error) = fs::remove_file(&path) {
                // It would be sent once more by the next run, and known there.
                log::warn!("cannot remove {}: {error}", path.display());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Spool;
    use crate::cluster::{
        ClusterError,
        seal::{Head, Kind, Secret},
    };

    fn message(first: u64) -> Vec<u8> {
        let head = Head { kind: Kind::Facts, host: "a".into(), epoch: 3, first, count: 10 };
        Secret::new(&[1; 32]).seal(&head, vec![0; 1_000])
    }

    #[test]
    fn in_order_within_its_bound_and_over_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), 5_500).unwrap();
        assert!(spool.is_empty() && spool.front().is_none());
        assert!(matches!(Spool::open(folder.path(), 1), Err(ClusterError::InUse(_))));
        for first in 0..4 {
            assert_eq!(spool.push(&message(first)).unwrap(), 0);
        }
        drop(spool);
        std::fs::write(folder.path().join("0000000000000001.waits"), b"damaged").unwrap();
        let mut spool = Spool::open(folder.path(), 5_500).unwrap();
        assert_eq!((spool.last_epoch(), spool.front()), (3, Some(message(0))));
        spool.pop();
        assert_eq!(spool.front(), Some(message(2)), "the damaged one is left out");
        // Two more find room, the third takes the oldest one's.
        let lost: Vec<_> = (4..8).map(|first| spool.push(&message(first)).unwrap()).collect();
        assert_eq!(lost, [0, 0, 0, 10]);
        assert_eq!(spool.front(), Some(message(3)));
        assert!(spool.bytes() <= 5_500);
        while spool.front().is_some() {
            spool.pop();
        }
        assert_eq!((spool.bytes(), spool.is_empty()), (0, true));
    }
}
