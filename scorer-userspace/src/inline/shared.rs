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
        })
    }

    /// INVITEs may be handed over up to `deadline` (`CLOCK_MONOTONIC`, ns); 0 is not
    /// at all.
    pub(super) fn beat(&self, deadline: u64) {
        word(&self.beat, 0).store(deadline, Ordering::Relaxed);
    }

    /// Tells that `count` more frames of a queue were taken.
    pub(super) fn taken(&self, queue: u32, count: u64) {
        let taken = word(&self.backlogs, 2 * queue as usize + 1);
        taken.store(taken.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }

    /// Tells that nothing of a queue waits: what was counted wrongly, or was lost with
    /// an earlier socket, counts no more.
    pub(super) fn taken_all(&self, queue: u32) {
        let sent = word(&self.backlogs, 2 * queue as usize).load(Ordering::Relaxed);
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
