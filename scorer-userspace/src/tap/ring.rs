//! Consumer side of a BPF ring buffer (kernel: `kernel/bpf/ringbuf.c`).
//!
//! aya has one too; it publishes every record as it is read and cannot show the
//! next record without taking it. Two rings read in the order of their stamps
//! need just that.
#![expect(clippy::cast_ptr_alignment, reason = "pages and ring records are aligned to eight bytes")]

use std::{
    os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd},
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

use memmap2::{Mmap, MmapMut, MmapOptions};

use super::TapError;

const BUSY: u32 = 1 << 31;
const DISCARDED: u32 = 1 << 30;
/// Length and page offset before every record.
const HEADER: usize = 8;

/// One ring. The kernel writes, this reads; nobody else reads.
#[derive(Debug)]
pub(super) struct Ring {
    fd: OwnedFd,
    /// First page: how far we have read. Ours to write.
    consumer: MmapMut,
    /// Second page: how far the kernel has written; then the data, mapped twice
    /// in a row, so that a record never wraps.
    producer: Mmap,
    page: usize,
    mask: usize,
    /// Read up to here; published lazily.
    position: u64,
}

impl Ring {
    /// Maps the ring behind `fd`, which holds `size` bytes (a power of two).
    pub(super) fn new(fd: OwnedFd, size: usize) -> Result<Self, TapError> {
        let page = page_size();
        let error = |source| TapError::system("cannot map a ring buffer", source);
        // SAFETY: the file is a BPF ring buffer map, which nobody can truncate;
        // the kernel gives the first page to user space to write.
        let consumer = unsafe { MmapOptions::new().len(page).map_mut(&fd) }.map_err(error)?;
        // SAFETY: as above; the kernel changes the bytes under the map, so they
        // are only read through atomics or after an acquire of their header.
        let producer =
            unsafe { MmapOptions::new().offset(page as u64).len(page + 2 * size).map(&fd) }
                .map_err(error)?;
        let mut ring = Self { fd, consumer, producer, page, mask: size - 1, position: 0 };
        ring.position = ring.published().load(Ordering::Relaxed);
        Ok(ring)
    }

    fn published(&self) -> &AtomicU64 {
        // SAFETY: the page is mapped for as long as self lives, is aligned, and
        // the kernel and this type access it atomically.
        unsafe { &*self.consumer.as_ptr().cast::<AtomicU64>() }
    }

    fn produced(&self) -> u64 {
        // SAFETY: as above; first word of the second page.
        let position = unsafe { &*self.producer.as_ptr().cast::<AtomicU64>() };
        position.load(Ordering::Acquire)
    }

    /// Passes by discarded records and gives the next one with its size in the ring.
    fn head(&mut self) -> Option<(usize, usize)> {
        let produced = self.produced();
        while self.position < produced {
            let at = self.page + (self.position as usize & self.mask);
            // SAFETY: records start on multiples of eight below `mask`, and the
            // data are mapped twice, so the header lies in the map.
            let header = unsafe { &*self.producer.as_ptr().add(at).cast::<AtomicU32>() };
            let length = header.load(Ordering::Acquire);
            if length & BUSY != 0 {
                return None;
            }
            let size = (length & !(BUSY | DISCARDED)) as usize;
            if length & DISCARDED == 0 {
                return Some((at + HEADER, size));
            }
            self.position += step(size);
        }
        None
    }

    /// The next record, without taking it.
    pub(super) fn peek(&mut self) -> Option<&[u8]> {
        let (at, size) = self.head()?;
        self.producer.get(at..at + size)
    }

    /// Takes the record that [`Self::peek`] has shown. Its bytes stay valid
    /// until [`Self::publish`].
    pub(super) fn take(&mut self) {
        if let Some((_, size)) = self.head() {
            self.position += step(size);
        }
    }

    /// Gives the space of taken records back to the kernel.
    pub(super) fn publish(&self) {
        self.published().store(self.position, Ordering::Release);
    }

    /// How many bytes were taken and not yet given back.
    pub(super) fn unpublished(&self) -> u64 {
        self.position - self.published().load(Ordering::Relaxed)
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

const fn step(size: usize) -> u64 {
    (HEADER + size).next_multiple_of(8) as u64
}

fn page_size() -> usize {
    nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)
        .ok()
        .flatten()
        .and_then(|size| usize::try_from(size).ok())
        .unwrap_or(4096)
}

/// Duplicates the descriptor of a map, to outlive aya's own.
pub(super) fn duplicate(fd: BorrowedFd<'_>) -> Result<OwnedFd, TapError> {
    fd.try_clone_to_owned().map_err(|source| {
        TapError::system(format!("cannot duplicate fd {}", fd.as_raw_fd()), source)
    })
}
