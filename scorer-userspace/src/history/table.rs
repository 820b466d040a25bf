//! A table of fixed size that never grows and never moves what is in it.

use bytemuck::Pod;

use super::pages::{Pages, prefetch};

/// Ways of a set: a key may stand in any of them.
const WAYS: usize = 8;

/// What a table can tell the age of.
pub(super) trait Aged: Pod {
    /// When it was last touched, ns.
    fn touched(&self) -> u64;
}

/// Set-associative: a key has eight places, and when all are taken the one
/// touched longest ago makes room. Look-ups are O(1), memory is taken once.
#[derive(Debug)]
pub(super) struct Table<V> {
    /// 0 is empty. A set's keys are one cache line.
    keys: Pages<[u64; WAYS]>,
    values: Pages<[V; WAYS]>,
    /// Live entries that made room.
    pub(super) evicted: u64,
}

impl<V: Aged> Table<V> {
    /// Room for `entries`, rounded up to a power of two.
    pub(super) fn new(entries: usize) -> Self {
        let sets = (entries / WAYS).clamp(1, 1 << 26).next_power_of_two();
        Self { keys: Pages::new(sets), values: Pages::new(sets), evicted: 0 }
    }

    fn set_of(&self, key: u64) -> usize {
        // Hashes are best in their high bits.
        (key >> 20) as usize & (self.keys.len() - 1)
    }

    /// Has the keys on their way that a look-up of `key` will compare.
    pub(super) fn prefetch_keys(&self, key: u64) {
        prefetch(&self.keys.get()[self.set_of(key)]);
    }

    /// Has the value of `key` on its way, if it is there.
    pub(super) fn prefetch_value(&self, key: u64) {
        let set = self.set_of(key);
        if let Some(way) = way(&self.keys.get()[set], key) {
            prefetch(&self.values.get()[set][way]);
        }
    }

    /// The value of `key` (not 0).
    pub(super) fn get(&mut self, key: u64) -> Option<&mut V> {
        let set = self.set_of(key);
        let way = way(&self.keys.get()[set], key)?;
        Some(&mut self.values.get_mut()[set][way])
    }

    /// The value of `key` (not 0), all zero when it is new, and whether it was there.
    pub(super) fn entry(&mut self, key: u64) -> (&mut V, bool) {
        let set = self.set_of(key);
        let keys = &mut self.keys.get_mut()[set];
        let values = &mut self.values.get_mut()[set];
        if let Some(way) = way(keys, key) {
            return (&mut values[way], true);
        }
        let way = way(keys, 0).unwrap_or_else(|| {
            self.evicted += 1;
            let oldest = values.iter().enumerate().min_by_key(|(_, value)| value.touched());
            oldest.map_or(0, |(way, _)| way)
        });
        keys[way] = key;
        values[way] = V::zeroed();
        (&mut values[way], false)
    }

    /// Entries there is room for.
    pub(super) fn capacity(&self) -> usize {
        self.keys.len() * WAYS
    }
}

/// Which of a set's keys it is; all are compared at once.
#[inline]
fn way(keys: &[u64; WAYS], key: u64) -> Option<usize> {
    let found = keys
        .iter()
        .enumerate()
        .fold(0u32, |found, (way, known)| found | u32::from(*known == key) << way);
    (found != 0).then(|| found.trailing_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use super::{Aged, Table};

    #[derive(Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
    #[repr(C)]
    struct Stamp(u64);

    impl Aged for Stamp {
        fn touched(&self) -> u64 {
            self.0
        }
    }

    #[test]
    fn a_million_keys_stay_within_bounds_and_the_latest_remain() {
        let mut table = Table::<Stamp>::new(1024);
        assert_eq!(table.capacity(), 1024);
        for i in 1..=1_000_000u64 {
            table.entry(i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).0.0 = i;
        }
        assert_eq!(table.capacity(), 1024);
        assert_eq!(table.evicted, 1_000_000 - 1024);
        let last = 1_000_000u64.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        assert_eq!(table.get(last).map(|stamp| stamp.0), Some(1_000_000));
        assert!(table.get(0x9e37_79b9_7f4a_7c15).is_none());
    }
}
