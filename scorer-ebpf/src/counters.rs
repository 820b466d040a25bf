//! Per-CPU counters: one look-up a packet, then plain additions.

use scorer_common::Counter;

use crate::maps::COUNTERS;

/// This CPU's counters.
#[derive(Clone, Copy)]
pub struct Counters(*mut [u64; Counter::COUNT]);

impl Counters {
    /// This CPU's counters; `None` cannot happen, but the verifier wants it said.
    #[inline(always)]
    pub fn get() -> Option<Self> {
        COUNTERS.get_ptr_mut(0).map(Self)
    }

    /// Adds one. The target has no atomic addition, and needs none: the counters
    /// are this CPU's, and XDP programs do not interrupt each other on it.
    #[inline(always)]
    pub fn add(self, counter: Counter) {
        // SAFETY: the pointer is to a live map value, the index below its length.
        unsafe {
            let slot = self.0.cast::<u64>().add(counter as usize);
            slot.write(slot.read().wrapping_add(1));
        }
    }
}
