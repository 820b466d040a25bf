//! A function of steps: which value stands for a key, from sorted starts.
//!
//! Number ranges, address prefixes and hours of the week are all told this way: a few
//! comparisons per level of a static B-tree of sixteen keys a node, of which all but
//! the last levels stay in the cache.

/// Keys compared at a time: two cache lines of u64.
const NODE: usize = 16;

/// Values of half-open intervals that together cover every key. Immutable.
#[derive(Clone, Debug)]
pub(crate) struct Steps<K> {
    /// Starts; behind them, level by level, every sixteenth of the level before.
    levels: Vec<Box<[K]>>,
    values: Box<[u32]>,
    /// Of keys before the first start.
    before: u32,
}

impl<K: Copy + Ord> Steps<K> {
    /// From `(start, value)` in rising order of starts, of equal ones the last counts.
    /// `before` is the value of keys before the first.
    pub(crate) fn new(steps: impl IntoIterator<Item = (K, u32)>, before: u32) -> Self {
        let (mut starts, mut values) = (Vec::new(), Vec::new());
        let mut last = before;
        for (start, value) in steps {
            if starts.last() == Some(&start) {
                starts.pop();
                values.pop();
                last = values.last().copied().unwrap_or(before);
            }
            if value != last {
                debug_assert!(starts.last().is_none_or(|known| *known < start));
                starts.push(start);
                values.push(value);
                last = value;
            }
        }
        let mut levels = vec![starts.into_boxed_slice()];
        while let Some(below) = levels.last().filter(|level| level.len() > NODE) {
            let above: Box<[K]> = below.iter().copied().step_by(NODE).collect();
            levels.push(above);
        }
        Self { levels, values: values.into(), before }
    }

    /// The value that stands for `key`.
    pub(crate) fn at(&self, key: K) -> u32 {
        let mut node = 0;
        for level in self.levels.iter().rev() {
            let keys = &level[node..level.len().min(node + NODE)];
            // Without branches: the count of starts at or before the key.
            let count = keys.iter().map(|start| usize::from(*start <= key)).sum::<usize>();
            let Some(last) = (node + count).checked_sub(1) else { return self.before };
            node = last * NODE;
        }
        self.values[node / NODE]
    }

    /// Whether every key has the same value.
    pub(crate) fn is_flat(&self) -> bool {
        self.values.is_empty()
    }

    /// Bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        let keys: usize = self.levels.iter().map(|level| size_of_val(&**level)).sum();
        keys + size_of_val(&*self.values)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Steps;

    proptest! {
        #[test]
        fn the_last_start_before_a_key_counts(
            starts in prop::collection::btree_map(any::<u16>(), 0..4u32, 0..600),
            keys in prop::collection::vec(any::<u16>(), 1..50),
        ) {
            let steps = Steps::new(starts.iter().map(|(k, v)| (*k, *v)), 9);
            for key in keys.iter().chain(starts.keys()) {
                let expected = starts.range(..=key).next_back().map_or(9, |(_, value)| *value);
                prop_assert_eq!(steps.at(*key), expected);
            }
        }
    }

    #[test]
    fn of_equal_starts_the_last_counts() {
        let steps = Steps::new([(1, 5), (3, 6), (3, 5), (4, 7)], 0);
        assert_eq!([0, 1, 3, 4, 9].map(|key| steps.at(key)), [0, 5, 5, 7, 7]);
        assert!(Steps::<u8>::new([], 3).is_flat());
        assert_eq!(Steps::<u8>::new([], 3).at(7), 3);
    }
}
