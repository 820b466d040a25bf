//! Lists, labels and cases, the same at every host.
//!
//! What changed here is found by the audit trails, and published as it is now: one
//! message for each item, of which JetStream keeps the last. Of two versions the later
//! counts, by (time, host), everywhere. A version's time is that of the change, and later
//! than the version it replaces, so that what somebody changes after having seen
//! something counts, whatever the clocks say. JetStream takes a version only behind the
//! one that its sender knew: the last one there is the one that counts, and a new host
//! needs no other.
//!
//! What is known of the others' versions is in `state.sqlite` in the spool. What came
//! from others and was written here is no change: it is known by its hash.

use std::{collections::HashMap, path::PathBuf, time::Duration};

use async_nats::jetstream::{
    Message,
    consumer::{DeliverPolicy, pull},
    stream::Stream,
};
use futures::StreamExt as _;
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};
use tokio::time::{sleep, timeout};

use super::{
    ClusterError, Site, Stores,
    items::{Files, Item, ItemError, State, hash, is_kept},
    link::{Linked, Unpublished, Which},
    seal::{Head, Kind},
    stats::add,
};
use crate::sqlite;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_millis(250);
/// Before the stream is asked for anew.
const AGAIN: Duration = Duration::from_millis(500);
/// Changes looked up, and messages taken, at a time: counts must not wait for them.
const AT_ONCE: u32 = 200;
/// Times that a version is published anew since another came before.
const TRIES: usize = 8;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS item (
        name TEXT PRIMARY KEY,
        at INTEGER NOT NULL,
        host TEXT NOT NULL,
        hash TEXT NOT NULL,
        sequence INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS mark (
        name TEXT PRIMARY KEY,
        value INTEGER NOT NULL
    ) STRICT;";

/// Places of cursors in the files, and of the stream.
const MARKS: [&str; 4] = ["lists", "cases", "labels", "stream"];

/// What is said of an item.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Said {
    item: Item,
    /// `None`: it is no more.
    state: Option<State>,
    /// Its version's time, ms since 1970.
    at: i64,
    /// Who did it.
    by: String,
}

/// What is known of an item.
#[derive(Clone, Debug, Default)]
struct Known {
    at: i64,
    host: String,
    hash: String,
    /// Number of its last message in the stream; 0 for none.
    sequence: u64,
}

/// A change here that is not published yet.
#[derive(Clone, Debug)]
struct Dirty {
    item: Item,
    at: i64,
    by: String,
}

/// What is known, and the files.
#[derive(Debug)]
pub(super) struct Replica {
    path: PathBuf,
    database: Connection,
    files: Files,
    stores: Stores,
    /// How far the files' trails are read.
    read: [i64; 3],
    dirty: HashMap<String, Dirty>,
    /// Number of the next message sealed.
    next: u64,
    me: String,
}

impl Replica {
    pub(super) fn open(site: &Site, stores: &Stores) -> Result<Self, ClusterError> {
        let path = site.config.spool()?.join("state.sqlite");
        let failed = |error| ClusterError::State { path: path.clone(), error };
        let database = sqlite::open(&path, SCHEMA).map_err(failed)?;
        let mut this = Self {
            path: path.clone(),
            database,
            files: Files::default(),
            stores: stores.clone(),
            read: [0; 3],
            dirty: HashMap::new(),
            next: 0,
            me: site.host.clone(),
        };
        if let Err(error) = this.files.make(stores) {
            log::error!("{error}; lists, labels and cases are shared when it can be used");
        }
        for (cursor, name) in MARKS[..3].iter().enumerate() {
            this.read[cursor] = this.mark(name).map_err(failed)?;
        }
        Ok(this)
    }

    fn mark(&self, name: &str) -> rusqlite::Result<i64> {
        let query = "SELECT value FROM mark WHERE name = ?";
        let value = self.database.query_row(query, [name], |row| row.get(0)).optional()?;
        Ok(value.unwrap_or(0))
    }

    fn set_mark(&self, name: &str, value: i64) -> rusqlite::Result<()> {
        let query = "INSERT INTO mark VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
        self.database.prepare_cached(query)?.execute(params![name, value]).map(drop)
    }

    fn known(&self, name: &str) -> rusqlite::Result<Option<Known>> {
        let query = "SELECT at, host, hash, sequence FROM item WHERE name = ?";
        let mut statement = self.database.prepare_cached(query)?;
        let known = statement.query_row([name], |row| {
            Ok(Known {
                at: row.get(0)?,
                host: row.get(1)?,
                hash: row.get(2)?,
                sequence: row.get::<_, i64>(3)? as u64,
            })
        });
        known.optional()
    }

    fn note(&self, name: &str, known: &Known) -> rusqlite::Result<()> {
        let query = "INSERT INTO item VALUES (?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET
             at = excluded.at, host = excluded.host, hash = excluded.hash, sequence = excluded.sequence";
        let Known { at, host, hash, sequence } = known;
        let row = params![name, at, host, hash, *sequence as i64];
        self.database.prepare_cached(query)?.execute(row).map(drop)
    }

    /// Reads on in the trails; whether there was anything.
    fn collect(&mut self, site: &Site) -> Result<bool, ItemError> {
        let changes = self.files.changes(&self.stores, &mut self.read, AT_ONCE)?;
        let any = !changes.is_empty();
        for (item, at, by) in changes {
            self.dirty.insert(site.secret.name(&item.key()), Dirty { item, at, by });
        }
        Ok(any)
    }

    /// Publishes what changed here.
    async fn publish(&mut self, site: &Site, link: &Linked, stream: &Stream) -> Result<(), Failed> {
        while self.collect(site)? {
            // A file that was brought in: what is read is sent, then more is read.
            self.send_dirty(site, link, stream).await?;
        }
        self.send_dirty(site, link, stream).await
    }

    async fn send_dirty(
        &mut self,
        site: &Site,
        link: &Linked,
        stream: &Stream,
    ) -> Result<(), Failed> {
        let names: Vec<_> = self.dirty.keys().cloned().collect();
        for names in names.chunks(64) {
            let mut sealed = Vec::new();
            for name in names {
                let Some(dirty) = self.dirty.get(name).cloned() else { continue };
                let state = match self.files.state(&self.stores, &dirty.item) {
                    Err(error) if error.is_invalid() => None,
                    state => state?,
                };
                let known = self.known(name)?.unwrap_or_default();
                let hash = hash(state.as_ref());
                // It came from others, or is as it was.
                if known.hash == hash || known.hash.is_empty() && state.is_none() {
                    self.dirty.remove(name);
                    continue;
                }
                let at = dirty.at.max(known.at + 1);
                let said = Said { item: dirty.item, state, at, by: dirty.by };
                sealed.push((name, said, known, hash));
            }
            let mut sent = Vec::new();
            for (name, said, known, _) in &sealed {
                let (message, id) = self.seal(site, said);
                let subject = link.subject(Kind::State, name);
                sent.push(async move {
                    link.publish(subject, &id, message, Some(known.sequence)).await
                });
            }
            let results = futures::future::join_all(sent).await;
            for ((name, said, _, hash), result) in sealed.into_iter().zip(results) {
                let done = match result {
                    Ok((sequence, _)) => Some(sequence),
                    Err(Unpublished::Overtaken) => self.contend(site, link, stream, &said).await?,
                    Err(Unpublished::Unreachable) => return Err(Failed::Nats),
                };
                if let Some(sequence) = done {
                    let known = Known { at: said.at, host: self.me.clone(), hash, sequence };
                    self.note(name, &known)?;
                    add(&site.stats.state_out, 1);
                    self.dirty.remove(name);
                }
            }
        }
        if self.dirty.is_empty() {
            for (name, read) in MARKS.iter().zip(self.read) {
                self.set_mark(name, read)?;
            }
        }
        Ok(())
    }

    fn seal(&mut self, site: &Site, said: &Said) -> (Vec<u8>, String) {
        let (host, epoch, first) = (site.host.clone(), site.epoch, self.next);
        self.next += 1;
        let head = Head { kind: Kind::State, host, epoch, first, count: 1 };
        let body = serde_json::to_vec(said).unwrap_or_default();
        (site.secret.seal(&head, body), head.id())
    }

    /// Another version came before: publishes behind it, if it is older; the number, or
    /// `None` where the other one counts.
    async fn contend(
        &mut self,
        site: &Site,
        link: &Linked,
        stream: &Stream,
        said: &Said,
    ) -> Result<Option<u64>, Failed> {
        let name = site.secret.name(&said.item.key());
        let subject = link.subject(Kind::State, &name);
        for _ in 0..TRIES {
            let last = timeout(AGAIN * 10, stream.get_last_raw_message_by_subject(&subject)).await;
            let last = last.map_err(|_| Failed::Nats)?.map_err(|_| Failed::Nats)?;
            if let Ok((head, body)) = site.secret.open(&last.payload)
                && let Ok(other) = serde_json::from_slice::<Said>(&body)
                && (other.at, &head.host) > (said.at, &self.me)
            {
                // It is on its way here, or was taken already.
                self.dirty.remove(&name);
                self.take(site, &head.host, &other, last.sequence)?;
                return Ok(None);
            }
            let (message, id) = self.seal(site, said);
            match link.publish(subject.clone(), &id, message, Some(last.sequence)).await {
                Ok((sequence, _)) => return Ok(Some(sequence)),
                Err(Unpublished::Overtaken) => {}
                Err(Unpublished::Unreachable) => return Err(Failed::Nats),
            }
        }
        Err(Failed::Nats)
    }

    /// Takes messages of the stream.
    fn apply(&mut self, site: &Site, messages: &[Message]) -> Result<(), Failed> {
        // What changed here and is not read yet may be later than what came.
        self.collect(site)?;
        let mut last = 0;
        for message in messages {
            let Ok(info) = message.info() else { continue };
            last = info.stream_sequence;
            let opened = site.secret.open(&message.payload).ok();
            let said = opened.and_then(|(head, body)| {
                let said = serde_json::from_slice::<Said>(&body).ok()?;
                (head.kind == Kind::State).then_some((head.host, said))
            });
            match said {
                Some((host, said)) => self.take(site, &host, &said, last)?,
                None => add(&site.stats.state_refused, 1),
            }
        }
        self.set_mark(MARKS[3], last as i64)?;
        Ok(())
    }

    /// Has an item be as a host says, if that is the later version.
    fn take(&mut self, site: &Site, host: &str, said: &Said, sequence: u64) -> Result<(), Failed> {
        let name = site.secret.name(&said.item.key());
        let known = self.known(&name)?.unwrap_or_default();
        let pending = self
            .dirty
            .get(&name)
            .is_some_and(|dirty| (dirty.at.max(known.at + 1), &*self.me) > (said.at, host));
        if pending || (known.at, &*known.host) >= (said.at, host) {
            let sequence = known.sequence.max(sequence);
            let at = if pending { known.at.max(said.at) } else { known.at };
            self.note(&name, &Known { at, sequence, ..known })?;
            add(&site.stats.state_older, u64::from(host != self.me));
            return Ok(());
        }
        if !is_kept(&self.stores, &said.item) {
            return Ok(());
        }
        let by = format!("{} via {host}", said.by);
        let by = (&*by, said.at / 1_000);
        match self.files.apply(&self.stores, &said.item, said.state.as_ref(), by) {
            Ok(None) => {}
            Ok(Some(case)) => {
                // Nothing to be told of: it stands for one that is on its way.
                let item = Item::Case { name: case };
                let hash = hash(self.files.state(&self.stores, &item)?.as_ref());
                let name = site.secret.name(&item.key());
                if self.known(&name)?.is_none() {
                    self.note(&name, &Known { hash, ..Known::default() })?;
                }
            }
            Err(error) if error.is_invalid() => {
                add(&site.stats.state_refused, 1);
                log::warn!("what host {host} says of a list, label or case is not taken: {error}");
            }
            Err(error) => return Err(error.into()),
        }
        let hash = hash(self.files.state(&self.stores, &said.item)?.as_ref());
        self.note(&name, &Known { at: said.at, host: host.to_owned(), hash, sequence })?;
        add(&site.stats.state_in, 1);
        Ok(())
    }
}

/// Why it goes on in a moment.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("NATS cannot be had")]
    Nats,
    #[error(transparent)]
    Item(#[from] ItemError),
    #[error(transparent)]
    State(#[from] rusqlite::Error),
}

/// Works for ever.
pub(super) async fn run(mut replica: Replica, site: &Site, link: &Linked) {
    let mut told = false;
    loop {
        match follow(&mut replica, site, link, &mut told).await {
            Ok(()) | Err(Failed::Nats) => {}
            Err(error) if !told => {
                told = true;
                log::error!(
                    "lists, labels and cases are not shared until this is mended: {error} ({})",
                    replica.path.display()
                );
            }
            Err(_) => {}
        }
        sleep(AGAIN).await;
    }
}

async fn follow(
    replica: &mut Replica,
    site: &Site,
    link: &Linked,
    told: &mut bool,
) -> Result<(), Failed> {
    let mut stream = link.stream(Which::State).await.ok_or(Failed::Nats)?;
    let last = stream.info().await.map_err(|_| Failed::Nats)?.state.last_sequence;
    let deliver_policy = match replica.mark(MARKS[3])? as u64 {
        0 => DeliverPolicy::All,
        // It was made anew.
        before if before > last => DeliverPolicy::All,
        before => DeliverPolicy::ByStartSequence { start_sequence: before + 1 },
    };
    let config = pull::OrderedConfig { deliver_policy, ..pull::OrderedConfig::default() };
    let made = timeout(AGAIN * 10, stream.create_consumer(config)).await;
    let consumer = made.map_err(|_| Failed::Nats)?.map_err(|_| Failed::Nats)?;
    let mut messages = consumer.messages().await.map_err(|_| Failed::Nats)?;
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            first = messages.next() => {
                let Some(Ok(first)) = first else { return Err(Failed::Nats) };
                let mut batch = vec![first];
                while batch.len() < AT_ONCE as usize {
                    match timeout(Duration::from_millis(2), messages.next()).await {
                        Ok(Some(Ok(next))) => batch.push(next),
                        Err(_) => break,
                        Ok(_) => return Err(Failed::Nats),
                    }
                }
                replica.apply(site, &batch)?;
            }
            _ = ticks.tick() => {
                replica.publish(site, link, &stream).await?;
                if std::mem::take(told) {
                    log::info!("lists, labels and cases are shared again");
                }
            }
        }
    }
}
