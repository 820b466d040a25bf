//! Entries of lists as they are looked up: immutable, made off the scoring thread.
//!
//! Numbers, fingerprints and profiles stand in open tables of which a look-up that finds
//! nothing reads one cache line. Ranges and prefixes are cut into blocks that lie one
//! within the other or apart; a function of steps gives the innermost block, and each
//! block knows the one around it.

use std::net::IpAddr;

use hashbrown::HashMap;

use super::{
    Entry, List,
    value::{self, Value},
};
use crate::{
    env::{Trunks, contains, prefix},
    history::prefetch,
    number::DIGITS_PACKED,
    steps::Steps,
};

/// There is none.
const NONE: u32 = u32::MAX;
/// Entries at most, of one index.
const ENTRIES: usize = 10_000_000;
/// Names of trunks and prefixes that an allowed entry may come from, at most.
const PLACES: usize = 32;

/// What is kept of an entry beside what it names.
#[derive(Clone, Copy, Debug)]
struct Kept {
    /// Stops at this second since 1970; [`NONE`] for never.
    until: u32,
    /// Of a consortium entry: when it was last shared.
    at: u32,
    /// In [`Index::words`].
    reason: u32,
    /// In [`Index::places`]; [`NONE`] where it may come from anywhere.
    places: u32,
    /// Row of the store; [`NONE`] for an entry of a file.
    row: u32,
    /// Another entry that names the same.
    next: u32,
    list: List,
    organisations: u8,
}

/// Where calls of an allowed entry come from.
#[derive(Clone, Debug, Default)]
struct Places {
    prefixes: Vec<(IpAddr, u8)>,
    trunks: Vec<u16>,
}

/// An entry that was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    /// Number in the index.
    pub(super) id: u32,
    pub(super) list: List,
    /// Row of the store, if it is of the store.
    pub(super) row: Option<u32>,
    /// How narrow it is: leading digits or bits, one more for a whole number.
    pub(super) narrow: u8,
    pub(super) organisations: u8,
    pub(super) at: u32,
}

/// The index.
#[derive(Debug)]
pub(super) struct Index {
    kept: Box<[Kept]>,
    words: Box<[Box<str>]>,
    places: Box<[Places]>,
    numbers: Table,
    fingerprints: Table,
    profiles: Table,
    ranges: Blocks<u64>,
    v4: Blocks<u32>,
    v6: Blocks<u128>,
    /// First entry of each configured trunk.
    trunks: Box<[u32]>,
    bytes: usize,
}

impl Default for Index {
    fn default() -> Self {
        Builder::new(&Trunks::default()).finish()
    }
}

impl Index {
    /// Whether nothing is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Entries in it.
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// Has on its way from memory what the look-ups of a call will read: numbers
    /// ([`Number::packed`], 0 for none), fingerprint and profile.
    ///
    /// [`Number::packed`]: crate::number::Number::packed
    pub(super) fn prefetch(&self, numbers: [u64; 2], (fingerprint, profile): (u64, u64)) {
        for packed in numbers {
            self.numbers.prefetch(packed);
        }
        self.fingerprints.prefetch(fingerprint);
        self.profiles.prefetch(profile);
    }

    /// Calls `each` with entries that name this number ([`crate::number::Number::packed`]
    /// and `aligned`), and are not over at `now`, seconds since 1970.
    pub(super) fn number(
        &self,
        (packed, aligned): (u64, u64),
        now: u32,
        each: &mut dyn FnMut(Found),
    ) {
        // First what the cache holds.
        self.blocks(&self.ranges, aligned, now, each);
        self.chain(self.numbers.get(packed), DIGITS_PACKED as u8 + 1, now, each);
    }

    /// The same for a fingerprint, a profile, a source address and a trunk.
    pub(super) fn signalling(
        &self,
        (fingerprint, profile): (u64, u64),
        source: IpAddr,
        trunk: Option<u16>,
        now: u32,
        each: &mut dyn FnMut(Found),
    ) {
        match source {
            IpAddr::V4(v4) => self.blocks(&self.v4, u32::from(v4), now, each),
            IpAddr::V6(v6) => self.blocks(&self.v6, u128::from(v6), now, each),
        }
        self.chain(self.fingerprints.get(fingerprint), 0, now, each);
        self.chain(self.profiles.get(profile), 0, now, each);
        let trunk = trunk.and_then(|trunk| self.trunks.get(usize::from(trunk)));
        self.chain(trunk.copied().unwrap_or(NONE), 0, now, each);
    }

    /// Why an entry is there, as its author says.
    pub(super) fn reason(&self, id: u32) -> &str {
        let reason =
            self.kept.get(id as usize).and_then(|kept| self.words.get(kept.reason as usize));
        reason.map_or("", |reason| &**reason)
    }

    /// Whether an entry's calls come from such a source; `None` where it names none.
    pub(super) fn comes_from(&self, id: u32, source: IpAddr, trunk: Option<u16>) -> Option<bool> {
        let places = self.places.get(self.kept.get(id as usize)?.places as usize)?;
        let by_trunk = trunk.is_some_and(|trunk| places.trunks.contains(&trunk));
        Some(by_trunk || places.prefixes.iter().any(|(net, bits)| contains(*net, *bits, source)))
    }

    /// Bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn counted(self) -> Self {
        let tables = [&self.numbers, &self.fingerprints, &self.profiles];
        let bytes = size_of_val(&*self.kept)
            + self.words.iter().map(|words| words.len() + size_of::<Box<str>>()).sum::<usize>()
            + tables.into_iter().map(Table::bytes).sum::<usize>()
            + self.ranges.bytes()
            + self.v4.bytes()
            + self.v6.bytes();
        Self { bytes, ..self }
    }

    fn chain(&self, first: u32, narrow: u8, now: u32, each: &mut dyn FnMut(Found)) {
        let mut id = first;
        while let Some(kept) = self.kept.get(id as usize) {
            kept.tell(id, narrow, now, each);
            id = kept.next;
        }
    }

    fn blocks<K: Copy + Ord>(
        &self,
        blocks: &Blocks<K>,
        key: K,
        now: u32,
        each: &mut dyn FnMut(Found),
    ) {
        if blocks.steps.is_flat() {
            return;
        }
        let mut at = blocks.steps.at(key);
        while let Some(block) = blocks.nodes.get(at as usize) {
            if let Some(kept) = self.kept.get(block.entry as usize) {
                kept.tell(block.entry, block.narrow, now, each);
            }
            at = block.around;
        }
    }
}

impl Kept {
    fn tell(&self, id: u32, narrow: u8, now: u32, each: &mut dyn FnMut(Found)) {
        if self.until > now {
            let row = (self.row != NONE).then_some(self.row);
            let Self { list, organisations, at, .. } = *self;
            each(Found { id, list, row, narrow, organisations, at });
        }
    }
}

/// Keys other than 0 in open addressing, at most half of the places taken.
#[derive(Debug)]
struct Table {
    keys: Box<[u64]>,
    ids: Box<[u32]>,
    shift: u32,
}

impl Table {
    /// Of pairs with keys that differ.
    fn new(pairs: &[(u64, u32)]) -> Self {
        if pairs.is_empty() {
            return Self { keys: Box::default(), ids: Box::default(), shift: 0 };
        }
        let size = (2 * pairs.len()).next_power_of_two().max(16);
        let shift = 64 - size.trailing_zeros();
        let (mut keys, mut ids) = (vec![0; size], vec![NONE; size]);
        for (key, id) in pairs {
            let mut slot = Self::slot(*key, shift);
            while keys[slot] != 0 {
                slot = (slot + 1) & (size - 1);
            }
            (keys[slot], ids[slot]) = (*key, *id);
        }
        Self { keys: keys.into(), ids: ids.into(), shift }
    }

    fn slot(key: u64, shift: u32) -> usize {
        // The finaliser of splitmix64: every bit of the key counts.
        let key = (key ^ key >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let key = (key ^ key >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (key >> shift) as usize
    }

    fn get(&self, key: u64) -> u32 {
        if self.keys.is_empty() || key == 0 {
            return NONE;
        }
        let mut slot = Self::slot(key, self.shift);
        loop {
            match self.keys[slot] {
                0 => return NONE,
                known if known == key => return self.ids[slot],
                _ => slot = (slot + 1) & (self.keys.len() - 1),
            }
        }
    }

    fn prefetch(&self, key: u64) {
        if !self.keys.is_empty() && key != 0 {
            prefetch(&self.keys[Self::slot(key, self.shift)]);
        }
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.keys) + size_of_val(&*self.ids)
    }
}

/// A block of keys.
#[derive(Clone, Copy, Debug)]
struct Block {
    entry: u32,
    /// The smallest that lies around it.
    around: u32,
    narrow: u8,
}

/// Blocks, and the innermost for every key.
#[derive(Debug)]
struct Blocks<K> {
    steps: Steps<K>,
    nodes: Box<[Block]>,
}

/// A block before its place among others is known.
struct Loose<K> {
    first: K,
    last: K,
    narrow: u8,
    entry: u32,
}

impl<K: Copy + Ord> Blocks<K> {
    /// `next` is the key after another, if there is one. Of two blocks one must hold the
    /// other, or they must be apart.
    fn new(mut loose: Vec<Loose<K>>, next: impl Fn(K) -> Option<K>) -> Self {
        loose.sort_by(|a, b| {
            a.first.cmp(&b.first).then(b.last.cmp(&a.last)).then(a.entry.cmp(&b.entry))
        });
        let mut nodes: Vec<Block> = Vec::with_capacity(loose.len());
        let mut steps = Vec::with_capacity(2 * loose.len());
        // The blocks around the present key: number and last key.
        let mut open: Vec<(u32, K)> = Vec::new();
        let close = |open: &mut Vec<(u32, K)>, steps: &mut Vec<(K, u32)>| {
            let Some((_, last)) = open.pop() else { return };
            if let Some(after) = next(last) {
                steps.push((after, open.last().map_or(NONE, |(around, _)| *around)));
            }
        };
        for block in &loose {
            while open.last().is_some_and(|(_, last)| *last < block.first) {
                close(&mut open, &mut steps);
            }
            let around = open.last().map_or(NONE, |(around, _)| *around);
            let number = nodes.len() as u32;
            nodes.push(Block { entry: block.entry, around, narrow: block.narrow });
            steps.push((block.first, number));
            open.push((number, block.last));
        }
        while !open.is_empty() {
            close(&mut open, &mut steps);
        }
        Self { steps: Steps::new(steps, NONE), nodes: nodes.into() }
    }

    fn bytes(&self) -> usize {
        self.steps.bytes() + size_of_val(&*self.nodes)
    }
}

/// Takes entries one by one.
pub(super) struct Builder<'t> {
    configured: &'t Trunks,
    kept: Vec<Kept>,
    words: Interned,
    places: Vec<Places>,
    known_places: HashMap<String, u32>,
    numbers: Vec<(u64, u32)>,
    fingerprints: Vec<(u64, u32)>,
    profiles: Vec<(u64, u32)>,
    ranges: Vec<Loose<u64>>,
    v4: Vec<Loose<u32>>,
    v6: Vec<Loose<u128>>,
    trunks: Vec<(u64, u32)>,
}

#[derive(Default)]
struct Interned {
    known: HashMap<Box<str>, u32>,
    list: Vec<Box<str>>,
}

impl Interned {
    fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.known.get(text) {
            return *number;
        }
        let number = self.list.len() as u32;
        self.list.push(text.into());
        self.known.insert(text.into(), number);
        number
    }
}

impl<'t> Builder<'t> {
    pub(super) fn new(configured: &'t Trunks) -> Self {
        Self {
            configured,
            kept: Vec::new(),
            words: Interned::default(),
            places: Vec::new(),
            known_places: HashMap::new(),
            numbers: Vec::new(),
            fingerprints: Vec::new(),
            profiles: Vec::new(),
            ranges: Vec::new(),
            v4: Vec::new(),
            v6: Vec::new(),
            trunks: Vec::new(),
        }
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn add(&mut self, entry: &Entry<'_>, home: Option<u16>) -> Result<(), &'static str> {
        if self.kept.len() >= ENTRIES {
            return Err("there are more than ten million entries; leave some out");
        }
        let (value, _) = value::read(entry.list, entry.value, home)?;
        let places = self.places(entry.from)?;
        let id = self.kept.len() as u32;
        self.kept.push(Kept {
            until: entry.expires.map_or(NONE, |at| at.clamp(0, i64::from(NONE - 1)) as u32),
            at: entry.shared_at,
            reason: self.words.number(entry.reason),
            places,
            row: entry.row.unwrap_or(NONE),
            next: NONE,
            list: entry.list,
            organisations: entry.organisations,
        });
        match (value, entry.list) {
            (Value::Number(key), _) => self.numbers.push((key, id)),
            (Value::Range(first, last), _) => self.range(first, last, id),
            (Value::Hash(key), List::AllowFingerprint | List::DenyFingerprint) => {
                self.fingerprints.push((key, id));
            }
            (Value::Hash(key), _) => self.profiles.push((key, id)),
            (Value::Source(IpAddr::V4(v4), bits), _) => {
                let first = u32::from(v4);
                let last = first | u32::MAX.checked_shr(u32::from(bits)).unwrap_or(0);
                self.v4.push(Loose { first, last, narrow: bits, entry: id });
            }
            (Value::Source(IpAddr::V6(v6), bits), _) => {
                let first = u128::from(v6);
                let last = first | u128::MAX.checked_shr(u32::from(bits)).unwrap_or(0);
                self.v6.push(Loose { first, last, narrow: bits, entry: id });
            }
            (Value::Trunk(name), _) => {
                // One that is not configured carries no calls.
                let at = self.configured.0.iter().position(|trunk| *trunk.name == *name);
                if let Some(at) = at {
                    self.trunks.push((at as u64 + 1, id));
                }
            }
        }
        Ok(())
    }

    /// Cuts a range into blocks of ten, a hundred … numbers that begin alike.
    fn range(&mut self, first: u64, last: u64, entry: u32) {
        let mut at = first;
        loop {
            let (mut size, mut narrow) = (1, DIGITS_PACKED as u8);
            while narrow > 0 && at.is_multiple_of(size * 10) && last - at >= size * 10 - 1 {
                size *= 10;
                narrow -= 1;
            }
            self.ranges.push(Loose { first: at, last: at + (size - 1), narrow, entry });
            if last - at < size {
                return;
            }
            at += size;
        }
    }

    /// Reads where an allowed entry's calls come from: names of trunks and prefixes,
    /// between spaces or semicolons.
    fn places(&mut self, text: &str) -> Result<u32, &'static str> {
        if text.trim().is_empty() {
            return Ok(NONE);
        }
        if let Some(known) = self.known_places.get(text) {
            return Ok(*known);
        }
        let mut places = Places::default();
        for name in names_of(text) {
            if places.prefixes.len() + places.trunks.len() >= PLACES {
                return Err("an entry may come from 32 places at most");
            }
            let trunk = self.configured.0.iter().position(|trunk| trunk.name == name);
            match (trunk, prefix(name)) {
                (Some(trunk), _) => places.trunks.push(trunk as u16),
                (None, Some(prefix)) => places.prefixes.push(prefix),
                // A trunk that is not configured carries no calls.
                (None, None) => {}
            }
        }
        let number = self.places.len() as u32;
        self.places.push(places);
        self.known_places.insert(text.to_owned(), number);
        Ok(number)
    }

    pub(super) fn finish(mut self) -> Index {
        let numbers = linked(self.numbers, &mut self.kept);
        let fingerprints = linked(self.fingerprints, &mut self.kept);
        let profiles = linked(self.profiles, &mut self.kept);
        let mut trunks = vec![NONE; self.configured.0.len()];
        for (key, first) in linked(self.trunks, &mut self.kept) {
            trunks[key as usize - 1] = first;
        }
        Index {
            numbers: Table::new(&numbers),
            fingerprints: Table::new(&fingerprints),
            profiles: Table::new(&profiles),
            ranges: Blocks::new(alone(self.ranges, &self.kept), |key| key.checked_add(1)),
            v4: Blocks::new(alone(self.v4, &self.kept), |key| key.checked_add(1)),
            v6: Blocks::new(alone(self.v6, &self.kept), |key| key.checked_add(1)),
            trunks: trunks.into(),
            kept: self.kept.into(),
            words: self.words.list.into(),
            places: self.places.into(),
            bytes: 0,
        }
        .counted()
    }
}

/// The places named in a text.
pub(crate) fn names_of(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', ';', ',']).filter(|name| !name.is_empty())
}

/// One pair for each key, its entries chained. Of several that say the same from the
/// same origin, the last counts.
fn linked(mut pairs: Vec<(u64, u32)>, kept: &mut [Kept]) -> Vec<(u64, u32)> {
    pairs.sort_unstable();
    let mut firsts: Vec<(u64, u32)> = Vec::with_capacity(pairs.len());
    let mut seen: Vec<(List, bool)> = Vec::new();
    for (key, id) in pairs.into_iter().rev() {
        let of = &kept[id as usize];
        let origin = (of.list, of.row == NONE);
        match firsts.last_mut() {
            Some((known, first)) if *known == key => {
                if !seen.contains(&origin) {
                    seen.push(origin);
                    kept[id as usize].next = *first;
                    *first = id;
                }
            }
            _ => {
                seen.clear();
                seen.push(origin);
                firsts.push((key, id));
            }
        }
    }
    firsts
}

/// Of blocks that are the same, of one list and from the same origin, the last.
fn alone<K: Copy + Ord>(mut loose: Vec<Loose<K>>, kept: &[Kept]) -> Vec<Loose<K>> {
    let origin = |block: &Loose<K>| {
        let of = &kept[block.entry as usize];
        (block.first, block.last, of.list, of.row == NONE)
    };
    loose.sort_by_key(|block| (origin(block), std::cmp::Reverse(block.entry)));
    loose.dedup_by_key(|block| origin(block));
    loose
}
