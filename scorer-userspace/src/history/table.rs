//! A table of fixed size that never grows and never moves what is in it.

use bytemuck::Zeroable;

/// Ways of a set: a key may stand in any of them.
const WAYS: usize = 8;

/// What a table can tell the age of.
pub(super) trait Aged: Zeroable + Copy {
    /// When it was last touched, ns.
    fn touched(&self) -> u64;
}

/// Set-associative: a key has eight places, and when all are taken the one
/// touched longest ago makes room. Look-ups are O(1), memory is taken once and
/// untouched pages of it cost nothing.
#[derive(Debug)]
pub(super) struct Table<V> {
    /// 0 is empty.
    keys: Vec<[u64; WAYS]>,
    values: Vec<[V; WAYS]>,
    /// Live entries that made room.
    pub(super) evicted: u64,
}

impl<V: Aged> Table<V> {
    /// Room for `entries`, rounded up to a power of two.
    pub(super) fn new(entries: usize) -> Self {
        let sets = (entries / WAYS).clamp(1, 1 << 26).next_power_of_two();
        Self { keys: bytemuck::zeroed_vec(sets), values: bytemuck::zeroed_vec(sets), evicted: 0 }
    }

    fn set_of(&self, key: u64) -> usize {
        // Hashes are best in their high bits.
        (key >> 20) as usize & (self.keys.len() - 1)
    }

    /// The value of `key` (not 0).
    pub(super) fn get(&mut self, key: u64) -> Option<&mut V> {
        let set = self.set_of(key);
        let way = self.keys[set].iter().position(|known| *known == key)?;
        Some(&mut self.values[set][way])
    }

    /// The value of `key` (not 0), all zero when it is new.
    pub(super) fn entry(&mut self, key: u64) -> &mut V {
        let set = self.set_of(key);
        let keys = &mut self.keys[set];
        let values = &mut self.values[set];
        let way = keys.iter().position(|known| *known == key).unwrap_or_else(|| {
            let way = keys.iter().position(|known| *known == 0).unwrap_or_else(|| {
                self.evicted += 1;
                let oldest = values.iter().enumerate().min_by_key(|(_, value)| value.touched());
                oldest.map_or(0, |(way, _)| way)
            });
            keys[way] = key;
            values[way] = V::zeroed();
            way
        });
        &mut values[way]
    }

    /// Entries there is room for.
    pub(super) fn capacity(&self) -> usize {
        self.keys.len() * WAYS
    }
}

#[cfg(test)]
mod tests {
    use super::{Aged, Table};

    #[derive(Clone, Copy, bytemuck::Zeroable)]
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
            table.entry(i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).0 = i;
        }
        assert_eq!(table.capacity(), 1024);
        assert_eq!(table.evicted, 1_000_000 - 1024);
        let last = 1_000_000u64.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        assert_eq!(table.get(last).map(|stamp| stamp.0), Some(1_000_000));
        assert!(table.get(0x9e37_79b9_7f4a_7c15).is_none());
    }
}
