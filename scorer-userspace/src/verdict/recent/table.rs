//! Verdicts of the last calls, found by Call-ID.

use std::{
    hash::BuildHasher as _,
    sync::{Mutex, MutexGuard, PoisonError},
};

use hashbrown::HashMap;
use tokio::sync::oneshot;

use super::{Entry, ident};

/// A bounded number of verdicts; the oldest makes room.
#[derive(Debug)]
#[expect(clippy::vec_box, reason = "entries come and go by their boxes, unmoved")]
pub struct Table {
    entries: Vec<Box<Entry>>,
    /// From hashes of Call-ID, and of Call-ID and From tag, to places.
    index: HashMap<u64, u32>,
    next: usize,
    capacity: usize,
    /// Callers choose Call-IDs: where they lie is not theirs to choose.
    hasher: foldhash::quality::RandomState,
}

impl Table {
    /// An empty one for `capacity` verdicts, at least one.
    pub fn new(capacity: usize) -> Self {
        Self {
            entries: Vec::new(),
            index: HashMap::new(),
            next: 0,
            capacity: capacity.clamp(1, 1 << 24),
            hasher: foldhash::quality::RandomState::default(),
        }
    }

    fn call_hash(&self, call_id: &[u8]) -> u64 {
        self.hasher.hash_one((0u8, call_id))
    }

    fn attempt_hash(&self, call_id: &[u8], from_tag: &[u8]) -> u64 {
        self.hasher.hash_one((1u8, call_id, from_tag))
    }

    /// Takes a verdict in; gives back the one that made room.
    pub fn insert(&mut self, entry: Box<Entry>) -> Option<Box<Entry>> {
        let keys =
            [self.call_hash(entry.call_id()), self.attempt_hash(entry.call_id(), entry.from_tag())];
        let place = self.next;
        let old = if place < self.entries.len() {
            let old = std::mem::replace(&mut self.entries[place], entry);
            let gone =
                [self.call_hash(old.call_id()), self.attempt_hash(old.call_id(), old.from_tag())];
            for key in gone {
                // A newer verdict of the same call stays.
                if self.index.get(&key) == Some(&(place as u32)) {
                    self.index.remove(&key);
                }
            }
            Some(old)
        } else {
            self.entries.push(entry);
            None
        };
        for key in keys {
            self.index.insert(key, place as u32);
        }
        self.next = (place + 1) % self.capacity;
        old
    }

    fn at(&self, key: u64) -> Option<&Entry> {
        self.entries.get(*self.index.get(&key)? as usize).map(|entry| &**entry)
    }

    /// The newest verdict of a Call-ID.
    pub fn call(&self, call_id: &[u8]) -> Option<&Entry> {
        let mut room = [0; 32];
        let call_id = ident(call_id, &mut room);
        self.at(self.call_hash(call_id)).filter(|entry| entry.call_id() == call_id)
    }

    /// The newest verdict of a Call-ID with this From tag.
    pub fn attempt(&self, call_id: &[u8], from_tag: &[u8]) -> Option<&Entry> {
        let mut rooms = [[0; 32]; 2];
        let [room, other] = &mut rooms;
        let (call_id, from_tag) = (ident(call_id, room), ident(from_tag, other));
        self.at(self.attempt_hash(call_id, from_tag))
            .filter(|entry| entry.call_id() == call_id && entry.from_tag() == from_tag)
    }
}

/// The table between threads, and who waits for a verdict.
#[derive(Debug)]
pub struct Recent(Mutex<Shared>);

#[derive(Debug)]
struct Shared {
    table: Table,
    /// By hash of the Call-ID.
    waiting: HashMap<u64, Vec<(u64, oneshot::Sender<()>)>>,
    next: u64,
}

/// Either what was looked for, or the way to wait for it.
#[derive(Debug)]
pub enum Found<T> {
    /// It is there.
    Now(T),
    /// It may come.
    Later(Waiting),
}

/// A place among those who wait.
#[derive(Debug)]
pub struct Waiting {
    key: u64,
    number: u64,
    /// Fires when there is a verdict.
    pub news: oneshot::Receiver<()>,
}

impl Recent {
    /// An empty one for `capacity` verdicts.
    pub fn new(capacity: usize) -> Self {
        let (table, waiting) = (Table::new(capacity), HashMap::new());
        Self(Mutex::new(Shared { table, waiting, next: 0 }))
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a verdict in and wakes who waits for it; gives back the one that made room.
    pub fn insert(&self, entry: Box<Entry>) -> Option<Box<Entry>> {
        let mut shared = self.shared();
        if !shared.waiting.is_empty() {
            let key = shared.table.call_hash(entry.call_id());
            for (_, waiting) in shared.waiting.remove(&key).unwrap_or_default() {
                let _ = waiting.send(());
            }
        }
        shared.table.insert(entry)
    }

    /// What `read` makes of the newest verdict of a Call-ID.
    pub fn call<T>(&self, call_id: &[u8], read: impl FnOnce(&Entry) -> T) -> Option<T> {
        self.shared().table.call(call_id).map(read)
    }

    /// The same of a Call-ID with a From tag.
    pub fn attempt<T>(
        &self,
        call_id: &[u8],
        from_tag: &[u8],
        read: impl FnOnce(&Entry) -> T,
    ) -> Option<T> {
        self.shared().table.attempt(call_id, from_tag).map(read)
    }

    /// The same, or a place to wait at. Whoever gives up must [`Self::leave`].
    pub fn call_or_wait<T>(&self, call_id: &[u8], read: impl FnOnce(&Entry) -> T) -> Found<T> {
        let mut shared = self.shared();
        if let Some(entry) = shared.table.call(call_id) {
            return Found::Now(read(entry));
        }
        let key = shared.table.call_hash(ident(call_id, &mut [0; 32]));
        let number = shared.next;
        shared.next += 1;
        let (send, news) = oneshot::channel();
        shared.waiting.entry(key).or_default().push((number, send));
        Found::Later(Waiting { key, number, news })
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.shared().waiting.values().map(Vec::len).sum()
    }

    /// Gives a place up.
    pub fn leave(&self, waiting: &Waiting) {
        let mut shared = self.shared();
        if let Some(list) = shared.waiting.get_mut(&waiting.key) {
            list.retain(|(number, _)| *number != waiting.number);
            if list.is_empty() {
                shared.waiting.remove(&waiting.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Entry, Found, Recent, Table};
    use crate::verdict::recent::tests::entry;

    fn call_id(entry: &Entry) -> Vec<u8> {
        entry.call_id().to_vec()
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut table = Table::new(3);
        assert!(table.call(b"a").is_none());
        for (id, tag) in [("a", "1"), ("b", "1"), ("a", "2")] {
            assert!(table.insert(entry(id, tag)).is_none());
        }
        assert_eq!(table.call(b"a").map(Entry::from_tag), Some(&b"2"[..]));
        assert_eq!(table.attempt(b"a", b"1").map(Entry::from_tag), Some(&b"1"[..]));
        assert_eq!(table.insert(entry("c", "1")).as_deref().map(call_id), Some(b"a".to_vec()));
        assert!(table.attempt(b"a", b"1").is_none() && table.call(b"a").is_some());
        for i in 0..10_000 {
            table.insert(entry(&i.to_string(), ""));
        }
        assert!(table.index.len() <= 6, "{}", table.index.len());
        assert!(table.call(b"9999").is_some() && table.call(b"9996").is_none());
    }

    #[test]
    fn very_long_ids_are_found() {
        let (mut table, long) = (Table::new(3), "x".repeat(60_000));
        table.insert(entry(&long, &long));
        assert!(table.attempt(long.as_bytes(), long.as_bytes()).is_some());
        assert!(table.call(long.as_bytes()).is_some_and(|entry| entry.call_id().len() == 32));
        assert!(table.call(&long.as_bytes()[1..]).is_none());
    }

    #[test]
    fn who_waits_is_woken_and_may_leave() {
        let recent = Recent::new(4);
        let later = |id: &[u8]| match recent.call_or_wait(id, call_id) {
            Found::Later(waiting) => waiting,
            Found::Now(_) => panic!("not there yet"),
        };
        let (mut one, mut two, other) = (later(b"a"), later(b"a"), later(b"b"));
        recent.leave(&two);
        recent.insert(entry("a", "1"));
        assert!(one.news.try_recv().is_ok() && two.news.try_recv().is_err());
        assert!(matches!(recent.call_or_wait(b"a", call_id), Found::Now(_)));
        recent.leave(&other);
        assert!(recent.shared().waiting.is_empty());
    }
}
