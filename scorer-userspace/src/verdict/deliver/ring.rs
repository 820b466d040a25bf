//! The shared-memory ring: one writer, any number of readers, no system call a
//! verdict. Layout and protocol are in docs/verdict-abi.md and
//! packaging/include/scorer_verdict.h.
//!
//! A slot is a sequence lock: an odd sequence says it is being written. Readers
//! cannot hold the writer up; one that is too slow loses verdicts and sees that.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
    ptr::NonNull,
    sync::atomic::{AtomicU32, AtomicU64, Ordering, fence},
};

use memmap2::{MmapOptions, MmapRaw};
use nix::fcntl::{Flock, FlockArg};

use super::DeliverError;
use crate::verdict::wire::RECORD;

/// First eight bytes: `SCORERVR`.
pub const MAGIC: u64 = u64::from_le_bytes(*b"SCORERVR");
/// Layout version.
pub const VERSION: u32 = 1;
/// Bytes of the header; slots begin behind it.
pub const HEADER: usize = 4096;
/// Bytes of a slot.
pub const SLOT: usize = 128;

/// First page of the file.
#[derive(Debug)]
#[repr(C)]
pub struct Header {
    /// [`MAGIC`]; written last, so that a file being made is none yet.
    pub magic: AtomicU64,
    /// [`VERSION`].
    pub version: AtomicU32,
    /// [`HEADER`].
    pub header_size: AtomicU32,
    /// [`SLOT`].
    pub slot_size: AtomicU32,
    /// Number of slots, a power of two.
    pub slots: AtomicU32,
    /// Process that writes; 0 when it has ended well.
    pub writer: AtomicU32,
    /// Zero.
    pub reserved: AtomicU32,
    /// Zero, up to the end of the cache line.
    pub padding: [AtomicU64; 4],
    /// Verdicts written since the file was made: position of the next one.
    pub head: AtomicU64,
    /// When the writer was last alive, `CLOCK_MONOTONIC`, ns; at least every 200 ms.
    pub alive: AtomicU64,
}

/// One verdict.
#[derive(Debug)]
#[repr(C)]
pub struct Slot {
    /// 2 × position + 2 when the verdict of that position is in it, odd while it is
    /// being written.
    pub sequence: AtomicU64,
    /// [`crate::verdict::wire::key`] of the Call-ID.
    pub key: AtomicU64,
    /// The same function of the From tag.
    pub from_tag: AtomicU64,
    /// Zero.
    pub reserved: [AtomicU64; 5],
    /// The record.
    pub record: [AtomicU64; RECORD / 8],
}

const _: () = assert!(size_of::<Slot>() == SLOT && size_of::<Header>() <= HEADER);
const _: () = assert!(std::mem::offset_of!(Header, head) == 64);
const _: () = assert!(std::mem::offset_of!(Slot, record) == 64);

/// The writer.
#[derive(Debug)]
pub(super) struct Ring {
    map: MmapRaw,
    mask: u64,
    head: u64,
    /// Nobody else writes while this is held.
    _lock: Flock<File>,
}

impl Ring {
    /// Takes the file over, or makes it anew where it is missing or of another layout.
    /// Readers that have it open go on reading where it is taken over.
    pub(super) fn open(path: &Path, slots: u32, group: Option<u32>) -> Result<Self, DeliverError> {
        let error = |source| DeliverError::Ring { path: path.to_owned(), source };
        let length = HEADER + slots as usize * SLOT;
        let lock = lock(path).map_err(error)?;
        let about = lock.metadata().map_err(error)?;
        // What another user made, that user may change or cut short.
        if !about.is_file() || about.uid() != nix::unistd::geteuid().as_raw() || about.nlink() > 1 {
            return Err(DeliverError::NotOurs { path: path.to_owned() });
        }
        if about.len() != 0 && about.len() != length as u64 {
            // Readers of the old one keep it; a cut one would kill them.
            std::fs::remove_file(path).map_err(error)?;
            drop(lock);
            return Self::open(path, slots, group);
        }
        lock.set_len(length as u64).map_err(error)?;
        if let Some(group) = group {
            std::os::unix::fs::fchown(&*lock, None, Some(group)).map_err(error)?;
        }
        let map = MmapOptions::new().len(length).map_raw(&*lock).map_err(error)?;
        let mut ring = Self { map, mask: u64::from(slots) - 1, head: 0, _lock: lock };
        ring.begin(slots);
        Ok(ring)
    }

    /// Writes the header, or goes on where the last writer ended.
    fn begin(&mut self, slots: u32) {
        let header = self.header();
        let good = header.magic.load(Ordering::Acquire) == MAGIC
            && header.version.load(Ordering::Relaxed) == VERSION
            && header.slot_size.load(Ordering::Relaxed) == SLOT as u32
            && header.slots.load(Ordering::Relaxed) == slots;
        let head = if good { header.head.load(Ordering::Relaxed) } else { 0 };
        if !good {
            header.magic.store(0, Ordering::Relaxed);
            header.version.store(VERSION, Ordering::Relaxed);
            header.header_size.store(HEADER as u32, Ordering::Relaxed);
            header.slot_size.store(SLOT as u32, Ordering::Relaxed);
            header.slots.store(slots, Ordering::Relaxed);
            header.head.store(0, Ordering::Relaxed);
            for position in 0..u64::from(slots) {
                self.slot(position).sequence.store(0, Ordering::Relaxed);
            }
        }
        let header = self.header();
        header.writer.store(std::process::id(), Ordering::Relaxed);
        header.magic.store(MAGIC, Ordering::Release);
        self.head = head;
    }

    fn header(&self) -> &Header {
        let start = self.start().cast::<Header>();
        // SAFETY: the map is a page at least, page-aligned, and lives as long as
        // self; all of it is accessed through atomics. Only this user can cut it.
        unsafe { start.as_ref() }
    }

    fn slot(&self, position: u64) -> &Slot {
        let offset = HEADER + (position & self.mask) as usize * SLOT;
        // SAFETY: the mask keeps the slot in the map, whose length was made for it;
        // for the rest as above.
        unsafe { self.start().add(offset).cast::<Slot>().as_ref() }
    }

    fn start(&self) -> NonNull<u8> {
        // A map of more than nothing is nowhere at null.
        NonNull::new(self.map.as_mut_ptr()).unwrap_or(NonNull::dangling())
    }

    /// Adds a verdict.
    pub(super) fn write(&mut self, key: u64, from_tag: u64, record: &[u8; RECORD]) {
        let position = self.head;
        let slot = self.slot(position);
        slot.sequence.store(2 * position + 1, Ordering::Relaxed);
        // The odd number is seen before any word of the verdict is.
        fence(Ordering::Release);
        slot.key.store(key, Ordering::Relaxed);
        slot.from_tag.store(from_tag, Ordering::Relaxed);
        for (place, word) in slot.record.iter().zip(record.chunks_exact(8)) {
            let word = u64::from_le_bytes(std::array::from_fn(|i| word[i]));
            place.store(word.to_le(), Ordering::Relaxed);
        }
        slot.sequence.store(2 * position + 2, Ordering::Release);
        self.header().head.store(position + 1, Ordering::Release);
        self.head = position + 1;
    }

    /// Says that the writer lives.
    pub(super) fn alive(&self, now: u64) {
        self.header().alive.store(now, Ordering::Relaxed);
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.header().writer.store(0, Ordering::Release);
    }
}

/// Opens or makes the file and locks it; a link is not followed.
fn lock(path: &Path) -> std::io::Result<Flock<File>> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o640)
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
        .open(path)?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| match error {
        nix::errno::Errno::EWOULDBLOCK => std::io::Error::new(
            std::io::ErrorKind::AddrInUse,
            "another process writes to it: each scorer needs a ring of its own",
        ),
        error => error.into(),
    })
}

#[cfg(test)]
mod tests {
    use std::{
        path::Path,
        sync::atomic::{AtomicBool, Ordering, fence},
    };

    use super::{HEADER, MAGIC, Ring, SLOT, Slot};

    /// What docs/verdict-abi.md tells readers to do.
    fn read(slot: &Slot, position: u64) -> Option<(u64, [u64; 8])> {
        let before = slot.sequence.load(Ordering::Acquire);
        if before != 2 * position + 2 {
            return None;
        }
        let key = slot.key.load(Ordering::Relaxed);
        let record = std::array::from_fn(|i| slot.record[i].load(Ordering::Relaxed));
        fence(Ordering::Acquire);
        (slot.sequence.load(Ordering::Relaxed) == before).then_some((key, record))
    }

    fn open(path: &Path) -> Ring {
        Ring::open(path, 8, None).expect("a ring")
    }

    #[test]
    fn wraps_around_and_is_taken_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ring");
        let mut ring = open(&path);
        for i in 0..20u64 {
            ring.write(i, 0, &[i as u8; 64]);
        }
        for position in 0..20 {
            let word = u64::from_ne_bytes([position as u8; 8]);
            let expected = (position >= 12).then_some((position, [word; 8]));
            assert_eq!(read(ring.slot(position), position), expected);
        }
        assert!(Ring::open(&path, 8, None).is_err(), "one writer at a time");
        drop(ring);
        let mut ring = open(&path);
        assert_eq!(read(ring.slot(19), 19).map(|(key, _)| key), Some(19));
        ring.write(20, 0, &[0; 64]);
        assert_eq!(ring.header().head.load(Ordering::Relaxed), 21);
        assert_eq!(ring.header().magic.load(Ordering::Relaxed), MAGIC);
        drop(ring);
        let larger = Ring::open(&path, 16, None).expect("made anew");
        assert_eq!(larger.header().head.load(Ordering::Relaxed), 0);
        assert_eq!(std::fs::metadata(&path).expect("there").len(), (HEADER + 16 * SLOT) as u64);
    }

    #[test]
    fn links_and_rubbish() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, link) = (folder.path().join("ring"), folder.path().join("link"));
        std::fs::write(&path, vec![0xaa; HEADER + 8 * SLOT]).expect("written");
        std::os::unix::fs::symlink(&path, &link).expect("a link");
        assert!(Ring::open(&link, 8, None).is_err());
        std::fs::remove_file(&link).expect("removed");
        std::fs::hard_link(&path, &link).expect("a link");
        assert!(Ring::open(&path, 8, None).is_err());
        std::fs::remove_file(&link).expect("removed");
        let ring = open(&path);
        assert_eq!(ring.header().head.load(Ordering::Relaxed), 0);
        assert!(Ring::open(folder.path(), 8, None).is_err());
    }

    /// No reader ever takes half of one verdict and half of another for one.
    #[test]
    fn readers_beside_the_writer() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut ring = open(&folder.path().join("ring"));
        let again = MapOf::new(&folder.path().join("ring"));
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut seen = 0u64;
                while !done.load(Ordering::Acquire) || seen == 0 {
                    let head = again.head();
                    let Some(position) = head.checked_sub(1) else { continue };
                    if let Some((key, record)) = read(again.slot(position), position) {
                        assert_eq!(key, position);
                        assert!(record.iter().all(|word| *word == record[0]), "{record:x?}");
                        seen += 1;
                    }
                }
            });
            for i in 0..200_000u64 {
                ring.write(i, 0, &[i as u8; 64]);
            }
            done.store(true, Ordering::Release);
        });
    }

    #[expect(clippy::cast_ptr_alignment, reason = "pages and slots are aligned")]
    impl MapOf {
        fn new(path: &Path) -> Self {
            let file = std::fs::OpenOptions::new().read(true).write(true).open(path).expect("open");
            Self(memmap2::MmapOptions::new().map_raw(&file).expect("mapped"))
        }

        fn head(&self) -> u64 {
            // SAFETY: the file is a page at least and is accessed through atomics.
            let header = unsafe { &*self.0.as_ptr().cast::<super::Header>() };
            header.head.load(Ordering::Acquire)
        }

        fn slot(&self, position: u64) -> &Slot {
            let offset = HEADER + (position & 7) as usize * SLOT;
            // SAFETY: there are eight slots.
            unsafe { &*self.0.as_ptr().add(offset).cast::<Slot>() }
        }
    }

    /// The file mapped a second time, as a reader has it.
    struct MapOf(memmap2::MmapRaw);
}
