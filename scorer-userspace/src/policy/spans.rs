//! Sets of numbers, addresses and minutes: sorted spans that do not touch.

/// Keys that can be counted through.
pub(super) trait Key: Copy + Ord {
    /// The next one, if there is one.
    fn after(self) -> Option<Self>;
}

macro_rules! keys {
    ($($kind:ty),+) => {
        $(impl Key for $kind {
            fn after(self) -> Option<Self> {
                self.checked_add(1)
            }
        })+
    };
}

keys!(u16, u32, u64, u128);

/// A set; first and last of each span are inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spans<K>(Vec<(K, K)>);

impl<K> Default for Spans<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Key> FromIterator<(K, K)> for Spans<K> {
    fn from_iter<I: IntoIterator<Item = (K, K)>>(spans: I) -> Self {
        let mut all: Vec<_> = spans.into_iter().collect();
        all.sort_unstable();
        let mut joined: Vec<(K, K)> = Vec::with_capacity(all.len());
        for (first, last) in all {
            match joined.last_mut() {
                Some((_, end)) if end.after().is_none_or(|after| first <= after) => {
                    *end = last.max(*end);
                }
                _ => joined.push((first, last)),
            }
        }
        Self(joined)
    }
}

impl<K: Key> Spans<K> {
    pub(super) fn iter(&self) -> impl Iterator<Item = (K, K)> {
        self.0.iter().copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn contains(&self, key: K) -> bool {
        let at = self.0.partition_point(|(first, _)| *first <= key);
        at > 0 && self.0[at - 1].1 >= key
    }

    /// Whether every key of `other` is in this set.
    pub(super) fn covers(&self, other: &Self) -> bool {
        other.0.iter().all(|(first, last)| {
            let at = self.0.partition_point(|(start, _)| start <= first);
            at > 0 && self.0[at - 1].1 >= *last
        })
    }

    /// What is in both.
    pub(super) fn and(&self, other: &Self) -> Self {
        let (mut a, mut b) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut both = Vec::new();
        while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
            let (first, last) = (x.0.max(y.0), x.1.min(y.1));
            if first <= last {
                both.push((first, last));
            }
            if x.1 <= y.1 {
                a.next();
            } else {
                b.next();
            }
        }
        both.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::Spans;

    fn spans() -> impl Strategy<Value = Vec<(u16, u16)>> {
        prop::collection::vec(
            (0..60u16, 0..9u16).prop_map(|(first, more)| (first, first + more)),
            0..8,
        )
    }

    fn set(spans: &[(u16, u16)]) -> BTreeSet<u16> {
        spans.iter().flat_map(|(first, last)| *first..=*last).collect()
    }

    proptest! {
        #[test]
        fn as_sets_do(a in spans(), b in spans()) {
            let (x, y) = (a.iter().copied().collect::<Spans<_>>(), b.iter().copied().collect::<Spans<_>>());
            let (s, t) = (set(&a), set(&b));
            for key in 0..80 {
                prop_assert_eq!(x.contains(key), s.contains(&key));
                prop_assert_eq!(x.and(&y).contains(key), s.contains(&key) && t.contains(&key));
            }
            prop_assert_eq!(x.covers(&y), t.is_subset(&s));
        }
    }

    #[test]
    fn up_to_the_last_key() {
        let all = Spans::from_iter([(0u16, u16::MAX), (3, 4)]);
        assert!(all.contains(u16::MAX) && all.covers(&Spans::from_iter([(9, u16::MAX)])));
        assert_eq!(all.iter().count(), 1);
    }
}
