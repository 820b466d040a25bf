//! A table of fixed size that never grows and never moves what is in it.

use bytemuck::Pod;

use super::{
    pages::{Pages, prefetch},
    sketch::Frequency,
};
use crate::time::Timestamp;

/// Ways of a set: a key may stand in any of them.
pub(crate) const WAYS: usize = 8;

/// What a table needs to know of its values.
pub(crate) trait Aged: Pod {
    /// A new key must have been seen as often as the least worthy one of its set
    /// before it takes that one's place.
    const BY_FREQUENCY: bool;

    /// How worthy it is of its place: calls, decayed to `now`; or of tables without
    /// admission anything that is less for what should go first.
    fn worth(&self, now: Timestamp) -> f32;
}

/// Set-associative: a key has eight places. When all are taken the least worthy
/// makes room, if the new key is more worthy by what the frequency sketch
/// remembers of it; so a flood of keys that never come again drives nobody out.
/// Look-ups are O(1), memory is taken once.
#[derive(Debug)]
pub(crate) struct Table<V> {
    /// 0 is empty. A set's keys are one cache line.
    keys: Pages<[u64; WAYS]>,
    values: Pages<[V; WAYS]>,
    frequency: Frequency,
    /// Live entries that made room.
    pub(crate) evicted: u64,
    /// New keys that were not let in.
    pub(crate) refused: u64,
}

/// A value and what is known about how it came.
pub(crate) struct Entry<'t, V> {
    pub(crate) value: &'t mut V,
    /// It was there before.
    pub(crate) known: bool,
    /// How often it was asked for in vain before, lately.
    pub(crate) before: u8,
}

impl<V: Aged> Table<V> {
    /// As many entries as fit `bytes`, at least eight.
    pub(crate) fn new(bytes: usize) -> Self {
        let sets = (bytes / Self::set_bytes()).max(1);
        Self {
            keys: Pages::new(sets),
            values: Pages::new(sets),
            // One to two bytes an entry, as [`Self::set_bytes`] counts.
            frequency: Frequency::new(if V::BY_FREQUENCY { sets * WAYS } else { 1 }),
            evicted: 0,
            refused: 0,
        }
    }

    const fn set_bytes() -> usize {
        WAYS * (size_of::<u64>() + size_of::<V>() + 2)
    }

    fn set_of(&self, key: u64) -> usize {
        // The high half scaled to the number of sets: any number will do.
        (((key >> 32) * self.keys.len() as u64) >> 32) as usize
    }

    /// Has the keys on their way that a look-up of `key` will compare.
    #[inline]
    pub(crate) fn prefetch_keys(&self, key: u64) {
        prefetch(&self.keys.get()[self.set_of(key)]);
    }

    /// Has the value of `key` on its way, or the place that it will get; where none is free,
    /// what tells which makes room.
    #[inline]
    pub(crate) fn prefetch_value(&self, key: u64) {
        let set = self.set_of(key);
        let (keys, values) = (&self.keys.get()[set], &self.values.get()[set]);
        match way(keys, key).or_else(|| way(keys, 0)) {
            Some(way) => {
                // All of its lines: where the first and the last differ, also that.
                let value = bytemuck::bytes_of(&values[way]);
                value.iter().step_by(64).chain(value.last()).for_each(prefetch);
            }
            None => values.iter().for_each(prefetch),
        }
    }

    /// The value of `key` (not 0).
    pub(crate) fn get(&mut self, key: u64) -> Option<&mut V> {
        let set = self.set_of(key);
        let way = way(&self.keys.get()[set], key)?;
        Some(&mut self.values.get_mut()[set][way])
    }

    /// The value of `key` (not 0), all zero when it is new; `None` when it is new
    /// and its set is full of more worthy ones.
    pub(crate) fn entry(&mut self, key: u64, now: Timestamp) -> Option<Entry<'_, V>> {
        let set = self.set_of(key);
        let keys = &mut self.keys.get_mut()[set];
        let values = &mut self.values.get_mut()[set];
        if let Some(way) = way(keys, key) {
            return Some(Entry { value: &mut values[way], known: true, before: 0 });
        }
        let mut before = 0;
        let way = if let Some(way) = way(keys, 0) {
            way
        } else {
            let worths: [f32; WAYS] = std::array::from_fn(|way| values[way].worth(now));
            let (way, least) = worths
                .iter()
                .enumerate()
                .min_by(|a, b| a.1.total_cmp(b.1))
                .map_or((0, 0.0), |(way, worth)| (way, *worth));
            if V::BY_FREQUENCY {
                before = self.frequency.add(key);
                if f32::from(before) + 1.0 <= least {
                    self.refused += 1;
                    return None;
                }
            }
            self.evicted += 1;
            way
        };
        keys[way] = key;
        values[way] = V::zeroed();
        Some(Entry { value: &mut values[way], known: false, before })
    }

    /// Has all of its memory in place.
    pub(crate) fn populate(&self) {
        self.keys.populate();
        self.values.populate();
    }

    /// Entries there is room for.
    pub(crate) fn capacity(&self) -> usize {
        self.keys.len() * WAYS
    }

    /// Bytes it takes when all of it has been touched.
    pub(crate) fn bytes(&self) -> usize {
        self.keys.len() * WAYS * (size_of::<u64>() + size_of::<V>()) + self.frequency.bytes()
    }

    /// Sets.
    pub(crate) fn sets(&self) -> usize {
        self.keys.len()
    }

    /// Adds the live entries of one set, key and value, to `out`.
    pub(crate) fn dump(&self, set: usize, out: &mut Vec<u8>) {
        for (key, value) in self.keys.get()[set].iter().zip(&self.values.get()[set]) {
            if *key != 0 {
                out.extend_from_slice(&key.to_le_bytes());
                out.extend_from_slice(bytemuck::bytes_of(value));
            }
        }
    }

    /// Puts an entry back, as [`Self::dump`] wrote it; false when there is no room.
    pub(crate) fn restore(&mut self, key: u64, value: &V) -> bool {
        let set = self.set_of(key);
        let keys = &mut self.keys.get_mut()[set];
        let Some(way) = way(keys, key).or_else(|| way(keys, 0)) else { return false };
        keys[way] = key;
        self.values.get_mut()[set][way] = *value;
        true
    }
}

/// Which of a set's keys it is.
#[inline]
fn way(keys: &[u64; WAYS], key: u64) -> Option<usize> {
    let mut marks = halves(keys, key as u32);
    while marks != 0 {
        let way = marks.trailing_zeros() as usize;
        if keys[way % WAYS] == key {
            return Some(way);
        }
        marks &= marks - 1;
    }
    None
}

/// Bit *i* is set where the lower half of key *i* is this one; all are compared at once.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn halves(keys: &[u64; WAYS], half: u32) -> u32 {
    use std::arch::x86_64::{
        _mm_castps_si128, _mm_cmpeq_epi32, _mm_loadu_ps, _mm_movemask_epi8, _mm_packs_epi16,
        _mm_packs_epi32, _mm_set1_epi32, _mm_setzero_si128, _mm_shuffle_ps,
    };
    // SAFETY: SSE2 is part of x86_64; a set is 64 bytes, and the loads take any alignment.
    unsafe {
        let two = |at: usize| _mm_loadu_ps(keys.as_ptr().add(at).cast());
        let lower = |at: usize| {
            let four = _mm_shuffle_ps::<0b10_00_10_00>(two(at), two(at + 2));
            _mm_cmpeq_epi32(_mm_castps_si128(four), _mm_set1_epi32(half.cast_signed()))
        };
        let eight = _mm_packs_epi32(lower(0), lower(4));
        _mm_movemask_epi8(_mm_packs_epi16(eight, _mm_setzero_si128())) as u32
    }
}

/// The same on other machines.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn halves_plainly(keys: &[u64; WAYS], half: u32) -> u32 {
    let marks = keys.iter().enumerate();
    marks.fold(0, |marks, (way, key)| marks | u32::from(*key as u32 == half) << way)
}
#[cfg(not(target_arch = "x86_64"))]
use halves_plainly as halves;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Aged, Table, WAYS, halves, halves_plainly, way};
    use crate::time::Timestamp;

    proptest! {
        #[test]
        fn ways_are_told_the_same_on_all_machines(
            // Keys that are alike in their lower halves, in their upper ones, or altogether.
            keys in prop::array::uniform8(
                prop_oneof![Just(0u64), Just(7), 0..3u64, (0..3u64).prop_map(|n| n << 32 | 7)],
            ),
            key in prop_oneof![Just(0u64), Just(7), Just(1 << 32 | 7)],
        ) {
            const { assert!(WAYS == 8) };
            prop_assert_eq!(halves(&keys, key as u32), halves_plainly(&keys, key as u32));
            prop_assert_eq!(way(&keys, key), keys.iter().position(|known| *known == key));
        }
    }

    #[derive(Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
    #[repr(C)]
    struct Calls(f32);

    impl Aged for Calls {
        const BY_FREQUENCY: bool = true;

        fn worth(&self, _: Timestamp) -> f32 {
            self.0
        }
    }

    fn key(i: u64) -> u64 {
        i.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
    }

    fn call(table: &mut Table<Calls>, i: u64) -> bool {
        match table.entry(key(i), Timestamp(0)) {
            Some(entry) => {
                entry.value.0 += 1.0;
                entry.known
            }
            None => false,
        }
    }

    #[test]
    fn a_flood_drives_nobody_out_who_called_twice() {
        let mut table = Table::<Calls>::new(64 << 10);
        let known = table.capacity() as u64 / 2;
        for _ in 0..3 {
            for i in 1..=known {
                call(&mut table, i);
            }
        }
        for i in 0..1_000_000 {
            call(&mut table, 1_000_000 + i);
        }
        let still = (1..=known).filter(|i| table.get(key(*i)).is_some()).count() as u64;
        // Sets that were full of known ones before the flood lost some to each other.
        assert!(still * 1000 >= known * 980, "{still} of {known}");
        assert!(table.refused > 0 && table.bytes() <= 64 << 10);
        // Somebody new who keeps calling gets in.
        let newcomer = (0..40).any(|_| call(&mut table, 7_777_777));
        assert!(newcomer);
    }

    #[test]
    fn dumped_and_restored() {
        let mut table = Table::<Calls>::new(32 << 10);
        for i in 1..500 {
            call(&mut table, i);
        }
        let mut bytes = Vec::new();
        (0..table.sets()).for_each(|set| table.dump(set, &mut bytes));
        // Another size: the keys say where they belong.
        let mut other = Table::<Calls>::new(64 << 10);
        let (entries, _) = bytes.as_chunks::<12>();
        for entry in entries {
            let (key, value) = entry.split_at(8);
            let key = u64::from_le_bytes(key.try_into().expect("eight bytes"));
            assert!(other.restore(key, &bytemuck::pod_read_unaligned(value)));
        }
        assert!((1..500).all(|i| other.get(key(i)).is_some() == table.get(key(i)).is_some()));
    }
}
