//! What a long-lived scorer keeps up beside scoring: the history's snapshots, and
//! tables that change on disk.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::Context as _;

use crate::{
    config::{Config, StirConfig},
    engine::Engine,
    env::{Env, Renewal},
    features::names,
    history::{self, Cursor, History},
    labels::Labels,
    model::{Folder, InUse, Model},
    share::Index,
    stir::{self, Https, Store, StoreConfig},
    time::Timestamp,
};

/// Pieces of a snapshot that may wait for the disk.
const PIECES: usize = 64;
/// Pieces copied at a time; together well under a millisecond.
const AT_ONCE: usize = 4;
/// How often the policy and the store of lists are looked at; large files seldomer.
const LOOK: Duration = Duration::from_millis(250);
/// How often models and labels are.
const SOON: Duration = Duration::from_millis(500);

/// Takes up the history of the last run, if there is one.
pub(super) fn restore(config: &Config, engine: &mut Engine, now: Timestamp) {
    let Some(path) = config.snapshot.as_deref().filter(|path| path.exists()) else { return };
    match History::restore(path, &config.engine.history, now) {
        Ok(history) => {
            log::info!("took up the history in {}", path.display());
            engine.set_history(history);
        }
        Err(error) => log::warn!("{error}"),
    }
}

/// Certificates of signers, fetched by a thread of their own; none without anchors.
pub(super) fn certificates(config: &StirConfig) -> anyhow::Result<Option<Store>> {
    let Some(config) = store_config(config)? else { return Ok(None) };
    let store = Store::new(config, Box::new(Https::new())).context("cannot start a thread")?;
    Ok(Some(store))
}

/// Certificates in the configured folder, and no others: nothing is fetched.
pub(crate) fn kept_certificates(config: &StirConfig) -> anyhow::Result<Option<Store>> {
    Ok(store_config(config)?.map(Store::offline))
}

fn store_config(config: &StirConfig) -> anyhow::Result<Option<StoreConfig>> {
    let Some(path) = &config.anchors else { return Ok(None) };
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let anchors = stir::anchors(&text)
        .with_context(|| format!("{} cannot be used as trust anchors", path.display()))?;
    anyhow::ensure!(!anchors.is_empty(), "{} has no certificate in PEM form", path.display());
    Ok(Some(StoreConfig {
        anchors,
        hosts: config.hosts.clone(),
        folder: config.folder.clone(),
        keep: config.keep,
    }))
}

/// What goes to the thread that writes.
enum Piece {
    Head(Vec<u8>),
    Part(Vec<u8>),
    End,
}

/// Writes snapshots piece by piece.
pub(super) struct Snapshots {
    path: PathBuf,
    every: Duration,
    next: Instant,
    cursor: Option<Cursor>,
    /// What the disk had no room for yet.
    waiting: Option<Piece>,
    pieces: SyncSender<Piece>,
    thread: JoinHandle<()>,
}

impl Snapshots {
    /// `None` when none are configured.
    pub(super) fn start(config: &Config) -> Option<Self> {
        let path = config.snapshot.clone()?;
        let (pieces, queue) = sync_channel(PIECES);
        let target = path.clone();
        let thread = std::thread::Builder::new().name("snapshot".into()).spawn(move || {
            let mut writer: Option<history::Writer> = None;
            for piece in queue {
                let result = match piece {
                    Piece::Head(head) => {
                        history::Writer::create(&target, &head).map(|new| writer = Some(new))
                    }
                    Piece::Part(part) => writer.as_mut().map_or(Ok(()), |writer| writer.add(&part)),
                    Piece::End => writer.take().map_or(Ok(()), history::Writer::finish),
                };
                if let Err(error) = result {
                    log::error!("{error}");
                    writer = None;
                }
            }
        });
        let every = config.snapshot_every;
        let next = Instant::now() + every;
        let thread = thread.inspect_err(|error| log::error!("no snapshots: {error}")).ok()?;
        Some(Self { path, every, next, cursor: None, waiting: None, pieces, thread })
    }

    /// Copies the next pieces, if it is time.
    pub(super) fn step(&mut self, history: &History, now: Timestamp) {
        if self.cursor.is_none() && self.waiting.is_none() {
            if Instant::now() < self.next {
                return;
            }
            self.next = Instant::now() + self.every;
            self.cursor = Some(Cursor::default());
            self.waiting = Some(Piece::Head(history.snapshot_head(now)));
        }
        for _ in 0..AT_ONCE {
            let piece = match (self.waiting.take(), &mut self.cursor) {
                (Some(piece), _) => piece,
                (None, None) => return,
                (None, Some(cursor)) => {
                    let mut part = Vec::new();
                    if !history.snapshot_step(cursor, &mut part) {
                        self.cursor = None;
                        self.waiting = Some(Piece::End);
                    }
                    Piece::Part(part)
                }
            };
            match self.pieces.try_send(piece) {
                Ok(()) => {}
                Err(TrySendError::Full(piece)) => {
                    // What waits already comes behind it.
                    if self.waiting.is_none() {
                        self.waiting = Some(piece);
                    } else {
                        // The last part and the end at once: begin anew next time.
                        self.waiting = None;
                    }
                    return;
                }
                Err(TrySendError::Disconnected(_)) => {
                    self.cursor = None;
                    return;
                }
            }
        }
    }

    /// Ends the thread, then writes all of the history.
    pub(super) fn finish(self, history: &History, now: Timestamp) {
        let Self { path, pieces, thread, .. } = self;
        drop(pieces);
        if thread.join().is_err() {
            log::error!("the thread that writes snapshots panicked");
        }
        save(history, &path, now);
    }
}

fn save(history: &History, path: &Path, now: Timestamp) {
    match history::save(history, path, now) {
        Ok(()) => log::info!("the history is kept in {}", path.display()),
        Err(error) => log::error!("{error}"),
    }
}

/// Something made anew, on its way to the scoring thread, and what it replaces on its
/// way back.
#[derive(Debug)]
pub(super) struct Slot<T> {
    new: Mutex<Option<T>>,
    old: Mutex<Vec<T>>,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self { new: Mutex::new(None), old: Mutex::new(Vec::new()) }
    }
}

impl<T> Slot<T> {
    /// What is new, if anything is. Never waits.
    pub(super) fn take(&self) -> Option<T> {
        self.new.try_lock().ok()?.take()
    }

    /// Takes what is no longer in use, to be freed elsewhere.
    pub(super) fn give_back(&self, used: T) {
        if let Ok(mut old) = self.old.try_lock() {
            old.push(used);
        }
    }

    pub(super) fn put(&self, new: T) {
        *self.new.lock().unwrap_or_else(PoisonError::into_inner) = Some(new);
    }

    pub(super) fn free_old(&self) {
        let old = std::mem::take(&mut *self.old.lock().unwrap_or_else(PoisonError::into_inner));
        drop(old);
    }
}

/// All that may change while calls are scored.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    /// Tables and lists.
    pub(super) env: Slot<Arc<Env>>,
    /// Models; both as they shall be.
    pub(super) models: Slot<InUse>,
    /// What other organisations say.
    pub(super) consortium: Slot<Arc<Index>>,
    /// Labels: Call-ID, and whether it was fraud.
    labels: Mutex<Vec<(String, bool)>>,
}

/// Labels handed over at a time, so that taking them does not hold up calls.
const LABELS: usize = 64;

impl Fresh {
    /// Labels that came, a few at a time. Never waits.
    pub(super) fn labels(&self) -> Vec<(String, bool)> {
        let Ok(mut labels) = self.labels.try_lock() else { return Vec::new() };
        let few = labels.len().min(LABELS);
        labels.drain(..few).collect()
    }
}

/// The models that are in use by the configuration and its folder.
pub(super) fn models(config: &Config, configured: &Arc<Model>) -> anyhow::Result<InUse> {
    let names = names();
    let mut used = match &config.models.folder {
        Some(folder) => Folder::new(folder).in_use(&names)?,
        None => InUse::default(),
    };
    if let (None, Some(path)) = (&used.challenger, &config.models.challenger) {
        used.challenger = Some(Arc::new(Model::load(path, &names)?));
    }
    used.champion.get_or_insert_with(|| Arc::clone(configured));
    Ok(used)
}

/// Looks at files for ever; those that cannot be used leave the old ones in use. `env`
/// is what the engine began with.
pub(super) async fn watch(config: &Config, configured: &Arc<Model>, env: Arc<Env>, fresh: &Fresh) {
    let engine = &config.engine;
    tokio::join!(
        watch_env(Renewal::new(&engine.env, engine.levels, env), fresh),
        watch_models(config, configured, fresh),
        watch_labels(config, fresh)
    );
}

async fn watch_env(mut renewal: Renewal, fresh: &Fresh) {
    loop {
        tokio::time::sleep(LOOK).await;
        fresh.env.free_old();
        // A million entries take a second to read; signals and scrapes do not wait for it.
        let look = tokio::task::spawn_blocking(move || {
            let new = renewal.look();
            (renewal, new)
        });
        let Ok((next, new)) = look.await else {
            return log::error!(
                "files are not looked at any more: the thread that did it panicked"
            );
        };
        renewal = next;
        if let Some(env) = new {
            fresh.env.put(env);
        }
    }
}

async fn watch_models(config: &Config, configured: &Arc<Model>, fresh: &Fresh) {
    let Some(folder) = &config.models.folder else { return };
    let state = Folder::new(folder).state_file();
    let changed = || std::fs::metadata(&state).and_then(|about| about.modified()).ok();
    let mut seen = changed();
    loop {
        tokio::time::sleep(SOON).await;
        fresh.models.free_old();
        let now = changed();
        if now == seen {
            continue;
        }
        seen = now;
        match models(config, configured) {
            Ok(used) => {
                let name = |model: &Option<Arc<Model>>| {
                    model.as_ref().map_or("none", |model| model.name()).to_owned()
                };
                let (champion, challenger) = (name(&used.champion), name(&used.challenger));
                log::info!("model {champion} scores, on trial: {challenger}");
                fresh.models.put(used);
            }
            Err(error) => log::error!("{error:#}; the models in use stay"),
        }
    }
}

async fn watch_labels(config: &Config, fresh: &Fresh) {
    let Some(path) = &config.labels else { return };
    let opened = Labels::open(path).and_then(|labels| labels.last().map(|last| (labels, last)));
    let (labels, mut last) = match opened {
        Ok(opened) => opened,
        Err(error) => return log::error!("{error}; labels are not taken up"),
    };
    loop {
        tokio::time::sleep(SOON).await;
        match labels.since(last, 1_000) {
            Ok(new) => {
                let Some((number, _)) = new.last() else { continue };
                last = *number;
                let mut waiting = fresh.labels.lock().unwrap_or_else(PoisonError::into_inner);
                waiting.extend(new.into_iter().map(|(_, label)| (label.call_id, label.fraud)));
            }
            Err(error) => log::error!("{error}; looked at again in a moment"),
        }
    }
}
