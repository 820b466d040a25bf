//! Joins IP fragments (RFC 791, RFC 8200 section 4.5) in bounded memory.

use std::{collections::VecDeque, net::IpAddr, time::Duration};

use hashbrown::HashMap;

use super::decode::{Fragment, Ip};
use crate::time::Timestamp;

/// A datagram's payload at most, bytes.
const DATAGRAM: usize = 65_535;
/// Parts of one datagram at most.
const PARTS: usize = 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    id: u32,
}

#[derive(Debug)]
struct Entry {
    since: Timestamp,
    /// Tells this datagram from an earlier one of the same key.
    number: u64,
    data: Vec<u8>,
    /// Ranges that have come, in no order.
    parts: Vec<(u32, u32)>,
    /// Known once the last fragment has come.
    total: Option<u32>,
    received: u32,
    /// The first part's.
    ttl: u8,
}

/// A joined datagram.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) payload: Vec<u8>,
    pub(super) parts: u16,
    /// The first part's, which has the transport header.
    pub(super) ttl: u8,
}

/// What became of a fragment.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The datagram is whole.
    Whole(Joined),
    /// More has to come.
    Kept,
    /// Lies about its place, or disagrees with another: the datagram is given up.
    Refused,
}

/// Datagrams under way.
#[derive(Debug)]
pub(super) struct Defragmenter {
    /// Hashed with a secret: addresses and identification are the sender's choice.
    entries: HashMap<Key, Entry>,
    /// Oldest first; may hold what is done with.
    order: VecDeque<(Key, u64)>,
    capacity: usize,
    total_bytes: usize,
    timeout: Duration,
    /// Bytes held for all of them.
    held: usize,
    next: u64,
    /// Datagrams given up to make room or for their age.
    pub(super) expired: u64,
}

impl Defragmenter {
    pub(super) fn new(capacity: usize, total_bytes: usize, timeout: Duration) -> Self {
        Self {
            entries: HashMap::new(),
            order: VecDeque::new(),
            capacity: capacity.max(1),
            total_bytes,
            timeout,
            held: 0,
            next: 0,
            expired: 0,
        }
    }

    /// Takes one fragment.
    pub(super) fn push(&mut self, ip: &Ip<'_>, fragment: Fragment, now: Timestamp) -> Outcome {
        while self.oldest_since().is_some_and(|since| since.plus(self.timeout) < now) {
            self.give_up_oldest();
        }
        let (start, length) = (fragment.offset, ip.payload.len() as u32);
        let end = start + length;
        // Every part but the last is a multiple of eight bytes.
        if length == 0 || end as usize > DATAGRAM || (fragment.more && length % 8 != 0) {
            return Outcome::Refused;
        }
        let key = Key {
            source: ip.source,
            destination: ip.destination,
            protocol: ip.protocol,
            id: fragment.id,
        };
        if !self.entries.contains_key(&key) {
            while self.entries.len() >= self.capacity {
                self.give_up_oldest();
            }
            self.order.push_back((key, self.next));
            self.entries.insert(
                key,
                Entry {
                    since: now,
                    number: self.next,
                    data: Vec::new(),
                    parts: Vec::new(),
                    total: None,
                    received: 0,
                    ttl: ip.ttl,
                },
            );
            self.next += 1;
        }
        let Some(entry) = self.entries.get_mut(&key) else { return Outcome::Refused };
        let held = entry.data.capacity();
        if start == 0 {
            entry.ttl = ip.ttl;
        }
        let added = entry.add(start, end, ip.payload, fragment.more);
        self.held = self.held - held + entry.data.capacity();
        if added == Some(false) {
            while self.held > self.total_bytes && !self.entries.is_empty() {
                self.give_up_oldest();
            }
            return Outcome::Kept;
        }
        match (self.remove(key), added) {
            (Some(entry), Some(true)) => {
                let parts = entry.parts.len() as u16;
                Outcome::Whole(Joined { parts, ttl: entry.ttl, payload: entry.data })
            }
            _ => Outcome::Refused,
        }
    }

    fn remove(&mut self, key: Key) -> Option<Entry> {
        let entry = self.entries.remove(&key)?;
        self.held -= entry.data.capacity();
        // What is done with leaves from the front in time; many that are done with
        // behind one that waits are cleared together.
        if self.order.len() > 2 * self.capacity {
            let entries = &self.entries;
            self.order.retain(|(key, number)| is_under_way(entries, key, *number));
        }
        Some(entry)
    }

    /// When the oldest began; clears what is done with off the front.
    fn oldest_since(&mut self) -> Option<Timestamp> {
        while let Some((key, number)) = self.order.front() {
            if is_under_way(&self.entries, key, *number) {
                return self.entries.get(key).map(|entry| entry.since);
            }
            self.order.pop_front();
        }
        None
    }

    fn give_up_oldest(&mut self) {
        if self.oldest_since().is_some()
            && let Some((key, _)) = self.order.pop_front()
        {
            self.remove(key);
            self.expired += 1;
        }
    }
}

fn is_under_way(entries: &HashMap<Key, Entry>, key: &Key, number: u64) -> bool {
    entries.get(key).is_some_and(|entry| entry.number == number)
}

impl Entry {
    /// Whether the datagram is whole now; `None` when the part does not fit.
    fn add(&mut self, start: u32, end: u32, bytes: &[u8], more: bool) -> Option<bool> {
        if self.parts.contains(&(start, end)) {
            // A mirrored or repeated part must say the same.
            let same = self.data.get(start as usize..end as usize) == Some(bytes);
            return same.then_some(false);
        }
        // Overlaps are an old way around inspection (RFC 5722): given up.
        let overlaps = self.parts.iter().any(|(from, to)| start < *to && *from < end);
        let beyond = self.total.is_some_and(|total| end > total);
        let short = !more && self.parts.iter().any(|(_, to)| *to > end);
        let two_ends = !more && self.total.is_some();
        if overlaps || beyond || short || two_ends || self.parts.len() >= PARTS {
            return None;
        }
        if self.data.len() < end as usize {
            self.data.resize(end as usize, 0);
        }
        self.data[start as usize..end as usize].copy_from_slice(bytes);
        self.parts.push((start, end));
        self.received += end - start;
        if !more {
            self.total = Some(end);
        }
        Some(self.total == Some(self.received))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Defragmenter, Outcome};
    use crate::{
        capture::decode::{Fragment, Ip},
        time::Timestamp,
    };
    use std::time::Duration;

    fn part(payload: &[u8], id: u32, offset: u32, more: bool) -> (Ip<'_>, Fragment) {
        let ip = Ip {
            source: [192, 0, 2, 1].into(),
            destination: [192, 0, 2, 2].into(),
            protocol: 17,
            payload,
            ttl: 64,
            dscp: 0,
            id: Some(1),
            dont_fragment: false,
            fragment: None,
            vlan: None,
            tunnelled: false,
        };
        (ip, Fragment { id, offset, more })
    }

    proptest! {
        #[test]
        fn any_order_and_repetition(order in Just((0..10usize).collect::<Vec<_>>()).prop_shuffle(), twice in 0..10usize) {
            let data: Vec<u8> = (0..157u8).collect();
            let chunks: Vec<_> = data.chunks(16).collect();
            let mut pool = Defragmenter::new(4, 1 << 20, Duration::from_secs(3));
            let mut whole = None;
            for index in order.iter().take(9).chain([&order[twice.min(8)], &order[9]]) {
                let (ip, fragment) = part(chunks[*index], 7, *index as u32 * 16, *index != 9);
                match pool.push(&ip, fragment, Timestamp(0)) {
                    Outcome::Whole(joined) => whole = Some(joined),
                    Outcome::Kept => {}
                    Outcome::Refused => prop_assert!(false, "refused"),
                }
            }
            let whole = whole.unwrap();
            prop_assert_eq!((whole.payload, whole.parts), (data, 10));
            prop_assert!(pool.entries.is_empty());
        }
    }

    #[test]
    fn endless_first_parts_stay_within_bounds() {
        let mut pool = Defragmenter::new(8, 1 << 20, Duration::from_secs(3));
        for id in 0..100_000 {
            let (ip, fragment) = part(&[0; 64], id, 65_000, true);
            pool.push(&ip, fragment, Timestamp(u64::from(id)));
        }
        assert_eq!((pool.entries.len(), pool.expired), (8, 99_992));
        let (ip, fragment) = part(&[0; 64], 1, 0, true);
        pool.push(&ip, fragment, Timestamp::new(60, 0));
        assert_eq!((pool.entries.len(), pool.expired), (1, 100_000));
    }

    #[test]
    fn lies_are_refused() {
        let push = |parts: &[(&[u8], u32, bool)]| {
            let mut pool = Defragmenter::new(8, 1 << 20, Duration::from_secs(3));
            let mut last = Outcome::Kept;
            for (bytes, offset, more) in parts {
                let (ip, fragment) = part(bytes, 1, *offset, *more);
                last = pool.push(&ip, fragment, Timestamp(0));
            }
            matches!(last, Outcome::Refused)
        };
        assert!(push(&[(&[0; 16], 0, true), (&[1; 16], 8, true)]), "overlap");
        assert!(push(&[(&[0; 16], 0, true), (&[1; 16], 0, true)]), "disagreeing copy");
        assert!(push(&[(&[0; 15], 0, true)]), "not a multiple of eight");
        assert!(push(&[(&[0; 600], 65_000, false)]), "beyond a datagram");
        assert!(push(&[(&[0; 16], 16, false), (&[0; 8], 40, false)]), "two ends");
        assert!(push(&[(&[], 0, true)]), "empty");
    }

    #[test]
    fn all_together_are_bounded() {
        let mut pool = Defragmenter::new(60_000, 1 << 20, Duration::from_secs(3));
        for id in 0..2_000 {
            let (ip, fragment) = part(&[0; 64], id, 65_000, true);
            pool.push(&ip, fragment, Timestamp(0));
            assert!(pool.held <= 1 << 20);
        }
        assert!(pool.entries.len() <= 16 && pool.expired > 1_900);
        let held: usize = pool.entries.values().map(|entry| entry.data.capacity()).sum();
        assert_eq!(pool.held, held);
        // One that waits, many that are done with behind it.
        let mut pool = Defragmenter::new(8, 1 << 20, Duration::from_secs(3));
        for id in 0..2_000 {
            for (offset, more) in [(0, true), (64, id == 0)] {
                let (ip, fragment) = part(&[0; 64], id, offset, more);
                pool.push(&ip, fragment, Timestamp(0));
            }
            assert!(pool.entries.len() == 1 && pool.order.len() <= 17);
        }
        assert_eq!(pool.expired, 0);
    }
}
