//! Counting without remembering: how many different partners, how often a key.

use std::sync::LazyLock;

/// Linear counting over 64 bits (Whang, Vander-Zanden, Taylor 1990) from the number
/// of bits set: within 10 % or two up to 40, still rising to about 270, where the
/// map is full.
pub(crate) fn linear_count(ones: u32) -> f32 {
    static BY_ONES: LazyLock<[f32; 65]> = LazyLock::new(|| {
        std::array::from_fn(|ones| -64.0 * ((64.0 - ones as f32).max(0.95) / 64.0).ln())
    });
    BY_ONES[ones.min(64) as usize]
}

/// How often keys were asked for lately that no table holds: the sketch of TinyLFU
/// (Einziger, Friedman, Manes 2017), counters of eight bits, four for each key.
#[derive(Debug)]
pub(crate) struct Frequency {
    counters: Box<[u8]>,
    additions: usize,
    /// Up to here the counters have been halved in this round; at the end, none
    /// is under way.
    halved: usize,
}

/// Counters halved with each addition while a round is under way: all at once
/// would be a pause.
const STEP: usize = 64;

impl Frequency {
    /// `counters` is rounded up to a power of two.
    pub(crate) fn new(counters: usize) -> Self {
        let length = counters.max(STEP).next_power_of_two();
        Self { counters: vec![0; length].into(), additions: 0, halved: length }
    }

    /// Adds one; how often it was added before, lately.
    pub(crate) fn add(&mut self, key: u64) -> u8 {
        let mask = self.counters.len() - 1;
        let mut hash = key;
        let places: [usize; 4] = std::array::from_fn(|_| {
            hash = (hash ^ hash >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            (hash >> 23) as usize & mask
        });
        let least = places.iter().map(|place| self.counters[*place]).min().unwrap_or(0);
        for place in places {
            // Only the larger ones err: conservative update.
            let counter = &mut self.counters[place];
            *counter = (*counter).max(least.saturating_add(1));
        }
        self.additions += 1;
        // A counter is added to once on average in a round: what came once does not
        // look as if it came often.
        if self.additions >= self.counters.len() / 4 {
            self.additions = 0;
            self.halved = 0;
        }
        if self.halved < self.counters.len() {
            let end = (self.halved + STEP).min(self.counters.len());
            for counter in &mut self.counters[self.halved..end] {
                *counter /= 2;
            }
            self.halved = end;
        }
        least
    }

    /// Bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.counters.len()
    }
}

#[cfg(test)]
mod tests {
    use super::{Frequency, linear_count};

    #[test]
    fn linear_counting_is_as_good_as_documented() {
        let mut state = 1u64;
        for true_count in 1..=40 {
            let mut sum = 0.0;
            for _ in 0..200 {
                let mut map = 0u64;
                for _ in 0..true_count {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    map |= 1 << (state >> 58);
                }
                sum += linear_count(map.count_ones());
            }
            let mean = sum / 200.0;
            let error = (mean - true_count as f32).abs();
            assert!(error <= (0.1 * true_count as f32).max(2.0), "{true_count}: {mean}");
        }
        assert!((linear_count(64) - 269.0).abs() < 1.0);
    }

    #[test]
    fn frequent_keys_are_told_from_a_flood_and_forgotten() {
        let mut sketch = Frequency::new(4096);
        let key = |i: u64| i.wrapping_mul(0x2545_f491_4f6c_dd1d);
        for _ in 0..10 {
            sketch.add(key(1));
        }
        let mut often = 0;
        for i in 0..900 {
            often += u32::from(sketch.add(key(1_000 + i)) >= 5);
        }
        assert!(sketch.add(key(1)) >= 10 && often < 40, "{often}");
        for i in 0..200_000 {
            sketch.add(key(10_000 + i % 20));
        }
        assert!(sketch.add(key(1)) <= 5, "halved again and again");
    }
}
