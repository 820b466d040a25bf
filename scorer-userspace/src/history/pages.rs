//! Zeroed memory in large pages.

use std::ptr::NonNull;

use bytemuck::Pod;
use memmap2::MmapMut;

/// A slice of fixed length that begins as zeros. On Linux it asks for huge pages:
/// tables are read all over, and with small ones nearly every read would miss the
/// TLB, too.
pub(crate) struct Pages<T> {
    /// Where the slice begins; it is reached by this alone, hundreds of times a call.
    data: NonNull<T>,
    length: usize,
    /// `None` where memory could not be mapped; then `_heap` has it.
    map: Option<MmapMut>,
    _heap: Vec<T>,
}

// SAFETY: the memory is this value's own, as that of a `Vec` is.
unsafe impl<T: Send> Send for Pages<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Pages<T> {}

impl<T: Pod> Pages<T> {
    pub(crate) fn new(length: usize) -> Self {
        const HUGE: usize = 2 << 20;
        let bytes = length * size_of::<T>();
        // The kernel aligns large maps to huge pages.
        let mut map = (bytes >= HUGE).then(|| MmapMut::map_anon(bytes).ok()).flatten();
        let mut heap = if map.is_some() { Vec::new() } else { bytemuck::zeroed_vec(length) };
        let data = if let Some(map) = &mut map {
            const { assert!(align_of::<T>() <= 4096, "maps begin with a page") };
            // A wish: without it all works, slower.
            #[cfg(target_os = "linux")]
            let _ = map.advise(memmap2::Advice::HugePage);
            NonNull::from(&mut map[..]).cast()
        } else {
            NonNull::from(&mut heap[..]).cast()
        };
        Self { data, length, map, _heap: heap }
    }

    /// Has the memory in place now, and not when it is first written to: clearing a
    /// huge page takes longer than a call.
    pub(crate) fn populate(&self) {
        if let Some(map) = &self.map {
            // Linux 5.14; before, pages come as they are touched.
            #[cfg(target_os = "linux")]
            let _ = map.advise(memmap2::Advice::PopulateWrite);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    #[inline]
    pub(crate) fn get(&self) -> &[T] {
        // SAFETY: so many `T` are there, all zeros or written as such, for as long as `self`
        // is, and none is written to but by way of `get_mut`.
        unsafe { std::slice::from_raw_parts(self.data.as_ptr(), self.length) }
    }

    #[inline]
    pub(crate) fn get_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and `self` is borrowed by one alone.
        unsafe { std::slice::from_raw_parts_mut(self.data.as_ptr(), self.length) }
    }
}

impl<T> std::fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pages").field("length", &self.length).finish_non_exhaustive()
    }
}

/// Has the cache line of `place` on its way.
#[inline(always)]
pub(crate) fn prefetch<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint about an address; SSE is part of x86-64.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(
            std::ptr::from_ref(place).cast(),
        );
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}
