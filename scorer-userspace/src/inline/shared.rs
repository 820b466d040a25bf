//! Memory that the kernel's program and the scoring thread share: no system call
//! tells that the thread is alive, or what it has taken.
#![expect(clippy::cast_ptr_alignment, reason = "maps begin on a page and hold words")]

use std::{
    os::fd::AsFd as _,
    sync::atomic::{AtomicU64, Ordering},
};

use aya::maps::Map;
use memmap2::{MmapMut, MmapOptions};
use scorer_common::{
    maps,
    steer::{Backlog, Beat, QUEUES},
};

use crate::tap::TapError;

/// The deadline, and the backlogs of all queues.
#[derive(Debug)]
pub(super) struct Shared {
    beat: MmapMut,
    backlogs: MmapMut,
    /// By how many frames each queue's count of taken ones lags behind, so that fewer
    /// may wait than the kernel's bound ([`scorer_common::steer::BACKLOG`]).
    spare: [u64; QUEUES as usize],
}

fn map(map: &Map, name: &'static str, length: usize) -> Result<MmapMut, TapError> {
    let Map::Array(data) = map else {
        let source = aya::maps::MapError::InvalidMapType { map_type: 0 };
        return Err(TapError::map(name, source));
    };
    // SAFETY: a BPF array, which nobody can truncate; the kernel changes its bytes,
    // which are therefore only accessed as atomics.
    unsafe { MmapOptions::new().len(length).map_mut(&data.fd().as_fd()) }
        .map_err(|source| TapError::system(format!("cannot map {name}"), source))
}

impl Shared {
    pub(super) fn new(beat: &Map, backlogs: &Map) -> Result<Self, TapError> {
        Ok(Self {
            beat: map(beat, maps::BEAT, size_of::<Beat>())?,
            backlogs: map(backlogs, maps::BACKLOGS, QUEUES as usize * size_of::<Backlog>())?,
            spare: [0; QUEUES as usize],
        })
    }

    /// INVITEs may be handed over up to `deadline` (`CLOCK_MONOTONIC`, ns); 0 is not
    /// at all.
    pub(super) fn beat(&self, deadline: u64) {
        word(&self.beat, 0).store(deadline, Ordering::Relaxed);
    }

    /// Tells that one more frame of a queue was taken, and that `spare` fewer than the
    /// kernel's bound may wait.
    pub(super) fn taken(&mut self, queue: u32, spare: u64) {
        let before = std::mem::replace(&mut self.spare[queue as usize], spare);
        let taken = word(&self.backlogs, 2 * queue as usize + 1);
        let count = before.wrapping_sub(spare).wrapping_add(1);
        taken.store(taken.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }

    /// Tells that nothing of a queue waits: what was counted wrongly, or was lost with
    /// an earlier socket, counts no more. `spare` as in [`Self::taken`].
    pub(super) fn taken_all(&mut self, queue: u32, spare: u64) {
        self.spare[queue as usize] = spare;
        let sent = word(&self.backlogs, 2 * queue as usize).load(Ordering::Relaxed);
        let sent = sent.wrapping_sub(spare);
        let taken = word(&self.backlogs, 2 * queue as usize + 1);
        // Looked at in every turn: the kernel keeps its cache line unless it must not.
        if taken.load(Ordering::Relaxed) != sent {
            taken.store(sent, Ordering::Relaxed);
        }
    }
}

impl Drop for Shared {
    /// Nobody takes anything any more.
    fn drop(&mut self) {
        self.beat(0);
    }
}

const _: () = assert!(std::mem::offset_of!(Backlog, sent) == 0);
const _: () = assert!(std::mem::offset_of!(Backlog, taken) == 8);

fn word(map: &MmapMut, index: usize) -> &AtomicU64 {
    assert!((index + 1) * 8 <= map.len(), "a word of the map");
    // SAFETY: inside the map, which is page-aligned and lives as long as the
    // reference; both sides access it a word at a time.
    unsafe { &*map.as_ptr().cast::<AtomicU64>().add(index) }
}
