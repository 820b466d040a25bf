//! Lists of who is allowed and who is denied: by number, range, source, trunk,
//! fingerprint or profile.
//!
//! They come from CSV files and from one SQLite file ([`Store`]) with an audit trail. On
//! the scoring thread they are an immutable index ([`Lists`]) made elsewhere and swapped
//! between two calls; see docs/lists.md.

mod file;
mod index;
mod names;
mod store;
mod value;

use std::{net::IpAddr, path::PathBuf, sync::Arc};

use hashbrown::HashSet;

use self::index::{Builder, Found, Index};
use crate::{env::Trunks, number::Number, time::Timestamp};

pub use self::{
    file::{COLUMNS, Row, Rows, parse_expiry},
    names::{List, ListSet},
    store::{Audit, Follower, Imported, News, Store, StoreError, Stored},
    value::{Value, is_national, read as read_value},
};
pub(crate) use self::{
    index::names_of,
    value::{leading, span},
};

/// An entry on its way into an index.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The list.
    pub list: List,
    /// What it names, in any form that [`read_value`] reads.
    pub value: &'a str,
    /// Why, in its author's words.
    pub reason: &'a str,
    /// When it stops, seconds since 1970; `None` for never.
    pub expires: Option<i64>,
    /// Where an allowed caller calls from: trunks and prefixes; empty for anywhere.
    pub from: &'a str,
    /// Row of the store; `None` for an entry of a file.
    pub row: Option<u32>,
    /// Of a consortium entry: organisations that share it.
    pub organisations: u8,
    /// Of a consortium entry: when it was last shared, seconds since 1970.
    pub shared_at: u32,
}

/// Whom a call is from, and how it came.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// The number shown.
    pub shown: Option<&'a Number>,
    /// The network's number.
    pub network: Option<&'a Number>,
    /// Header fingerprint.
    pub fingerprint: u64,
    /// Signature of the profile.
    pub profile: u64,
    /// Source address.
    pub source: IpAddr,
    /// Index of the configured trunk.
    pub trunk: Option<u16>,
    /// When, in packets' time.
    pub now: Timestamp,
}

/// An entry that a call was found by, to be asked about in the same [`Lists`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Its list.
    pub list: List,
    changed: bool,
    id: u32,
}

/// Which lists name a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hits {
    /// The lists.
    pub lists: ListSet,
    /// The strongest entry that denies it.
    pub deny: Option<Hit>,
    /// The strongest entry that allows it.
    pub allow: Option<Hit>,
    /// The number shown and the network's differ, and only one of them is allowed.
    pub half_allowed: bool,
    /// Whether the call came from where the allowed number calls from; `None` where its
    /// entry does not say.
    pub from_usual: Option<bool>,
    /// Organisations that share the number.
    pub consortium: u8,
    /// Seconds since it was last shared; NaN when it is not.
    pub consortium_age: f32,
}

impl Hits {
    /// Names the call by an open case, which stands before what other entries deny.
    pub(crate) fn denied_by_case(&mut self) {
        self.lists.insert(List::DenyProfile);
        self.deny = Some(Hit { list: List::DenyProfile, changed: false, id: u32::MAX });
    }
}

impl Hit {
    /// Whether it is of a case, and no entry's.
    pub(crate) const fn is_case(self) -> bool {
        self.id == u32::MAX
    }
}

impl Default for Hits {
    fn default() -> Self {
        Self {
            lists: ListSet::default(),
            deny: None,
            allow: None,
            half_allowed: false,
            from_usual: None,
            consortium: 0,
            consortium_age: f32::NAN,
        }
    }
}

/// Why a list cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// Cannot be read.
    #[error("cannot read the list {}: {source}", path.display())]
    Io {
        /// File.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// A line says nothing that can be understood.
    #[error("{}, line {line}: {what}", path.display())]
    Line {
        /// File.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// What is wrong, what to do.
        what: String,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The lists as calls are looked up in them: what was loaded, and the few entries of the
/// store that changed since, so that a change of one among a million is quick.
#[derive(Clone, Debug, Default)]
pub struct Lists {
    loaded: Arc<Index>,
    changed: Arc<Index>,
    /// Rows of the store that `loaded` no longer speaks for.
    stale: Arc<HashSet<u32>>,
}

impl Lists {
    /// Reads files, and the store's entries, if there is one.
    ///
    /// # Errors
    /// [`ListError`], with the line.
    pub fn load(
        files: &[PathBuf],
        store: Option<&Store>,
        trunks: &Trunks,
        home: Option<u16>,
    ) -> Result<Self, ListError> {
        let mut builder = Builder::new(trunks);
        for path in files {
            file::load(path, &mut |line, entry| {
                builder.add(&entry, home).map_err(|what| ListError::Line {
                    path: path.clone(),
                    line,
                    what: what.to_owned(),
                })
            })?;
        }
        if let Some(store) = store {
            store.each(None, &mut |entry| {
                // What the store took in is good; what another version of the program
                // took in may not be, and must not keep the others out.
                if let Err(what) = builder.add(&entry, home) {
                    log::warn!(
                        "the list store has an entry of {} that is passed over: {what}",
                        entry.list.name()
                    );
                }
            })?;
        }
        Ok(Self { loaded: Arc::new(builder.finish()), ..Self::default() })
    }

    /// From entries, for tests and benchmarks.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub fn from_entries<'a>(
        entries: impl IntoIterator<Item = Entry<'a>>,
        trunks: &Trunks,
        home: Option<u16>,
    ) -> Result<Self, &'static str> {
        let mut builder = Builder::new(trunks);
        for entry in entries {
            builder.add(&entry, home)?;
        }
        Ok(Self { loaded: Arc::new(builder.finish()), ..Self::default() })
    }

    /// These lists with other entries for some rows of the store.
    ///
    /// # Errors
    /// Those of the store.
    pub fn with_changes(
        &self,
        store: &Store,
        rows: &[i64],
        trunks: &Trunks,
        home: Option<u16>,
    ) -> Result<Self, StoreError> {
        let mut builder = Builder::new(trunks);
        store.each(Some(rows), &mut |entry| {
            if let Err(what) = builder.add(&entry, home) {
                log::warn!(
                    "the list store has an entry of {} that is passed over: {what}",
                    entry.list.name()
                );
            }
        })?;
        let stale = rows.iter().filter_map(|row| u32::try_from(*row).ok()).collect();
        let loaded = Arc::clone(&self.loaded);
        Ok(Self { loaded, changed: Arc::new(builder.finish()), stale: Arc::new(stale) })
    }

    /// Entries in all, those that are over among them.
    pub fn len(&self) -> usize {
        self.loaded.len() + self.changed.len() - self.stale.len().min(self.loaded.len())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.loaded.is_empty() && self.changed.is_empty()
    }

    /// Bytes that the index takes.
    pub fn bytes(&self) -> usize {
        self.loaded.bytes() + self.changed.bytes()
    }

    /// Why an entry is there, as its author says; empty where nothing is said.
    pub fn reason(&self, hit: Hit) -> &str {
        self.index(hit.changed).reason(hit.id)
    }

    fn index(&self, changed: bool) -> &Index {
        if changed { &self.changed } else { &self.loaded }
    }

    /// Which lists name a call.
    ///
    /// Of the entries that name a number the narrowest counts, an allowed number within
    /// a denied range is allowed, and where two are as narrow the one that denies; the
    /// same for sources. Entries stop at their time.
    pub fn look(&self, query: &Query<'_>) -> Hits {
        let mut hits = Hits::default();
        if self.is_empty() {
            return hits;
        }
        let now = (query.now.0 / 1_000_000_000).min(u64::from(u32::MAX) - 1) as u32;
        let key = (query.fingerprint, query.profile);
        let shown = query.shown.map(Number::keys);
        // The same number is asked about once.
        let network = query.network.map(Number::keys).filter(|keys| shown != Some(*keys));
        let packed = [shown, network].map(|keys| keys.map_or(0, |(packed, _)| packed));
        self.loaded.prefetch(packed, key);
        let shown = shown.map(|keys| self.number(keys, now, &mut hits));
        let network = network.map(|keys| self.number(keys, now, &mut hits));
        let mut source = Sides::default();
        let mut rest = Sides::default();
        for changed in [false, true] {
            let each = &mut |found: Found| {
                if self.is_stale(changed, &found) {
                    return;
                }
                match found.list {
                    List::AllowSource | List::DenySource => source.add(found, changed),
                    List::Scanner => hits.lists.insert(List::Scanner),
                    _ => rest.add(found, changed),
                }
            };
            self.index(changed).signalling(key, query.source, query.trunk, now, each);
        }
        source.settle();
        hits.half_allowed = match (shown, network) {
            (Some(shown), Some(network)) => shown.allow.is_some() != network.allow.is_some(),
            _ => false,
        };
        for sides in shown.into_iter().chain(network).chain([source, rest]) {
            hits.lists.0 |= sides.lists.0;
            hits.deny = stronger(hits.deny, sides.deny);
            hits.allow = stronger(hits.allow, sides.allow);
        }
        hits.from_usual = hits
            .allow
            .and_then(|hit| self.index(hit.changed).comes_from(hit.id, query.source, query.trunk));
        hits
    }

    fn number(&self, keys: (u64, u64), now: u32, hits: &mut Hits) -> Sides {
        let mut sides = Sides::default();
        for changed in [false, true] {
            self.index(changed).number(keys, now, &mut |found| {
                if self.is_stale(changed, &found) {
                    return;
                }
                if found.list == List::Consortium {
                    hits.lists.insert(List::Consortium);
                    hits.consortium = found.organisations;
                    hits.consortium_age = now.saturating_sub(found.at) as f32;
                } else {
                    sides.add(found, changed);
                }
            });
        }
        sides.settle();
        sides
    }

    /// Whether the store has changed what was loaded.
    fn is_stale(&self, changed: bool, found: &Found) -> bool {
        !changed && found.row.is_some_and(|row| self.stale.contains(&row))
    }
}

/// What the entries say that name one number, one source, or the signalling.
#[derive(Clone, Copy, Debug, Default)]
struct Sides {
    lists: ListSet,
    allow: Option<Hit>,
    deny: Option<Hit>,
    narrow_allow: u8,
    narrow_deny: u8,
}

impl Sides {
    fn add(&mut self, found: Found, changed: bool) {
        let hit = Hit { list: found.list, changed, id: found.id };
        self.lists.insert(found.list);
        let (side, narrow) = if found.list.denies() {
            (&mut self.deny, &mut self.narrow_deny)
        } else {
            (&mut self.allow, &mut self.narrow_allow)
        };
        if side.is_none() || found.narrow > *narrow {
            *narrow = found.narrow;
        } else if rank(found.list) >= side.map_or(u8::MAX, |side| rank(side.list)) {
            return;
        }
        *side = Some(hit);
    }

    /// The narrower side counts.
    fn settle(&mut self) {
        if self.allow.is_some() && self.deny.is_some() {
            if self.narrow_allow > self.narrow_deny {
                self.deny = None;
                self.lists = self.lists.without(ListSet::DENY);
            } else {
                self.allow = None;
                self.lists = self.lists.without(ListSet::ALLOW);
            }
        }
    }
}

/// The one whose list says more.
fn stronger(a: Option<Hit>, b: Option<Hit>) -> Option<Hit> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if rank(b.list) < rank(a.list) { b } else { a }),
        (a, b) => a.or(b),
    }
}

/// How much an entry says of who calls, from 0: a number or the person before the place
/// it comes from, and that before a way of signalling that others share.
const fn rank(list: List) -> u8 {
    match list {
        List::AllowNumber | List::DenyNumber => 0,
        List::AllowProfile | List::DenyProfile => 1,
        List::AllowRange | List::DenyRange => 2,
        List::AllowSource | List::DenySource => 3,
        List::AllowTrunk | List::DenyTrunk => 4,
        _ => 5,
    }
}

#[cfg(test)]
mod tests;
