//! Certificates at hand, and the thread that gets others.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};

use sha2::{Digest as _, Sha256};

use super::{
    certificate::{Anchor, Certificate},
    fetch::{self, Fetch, FetchError},
};
use crate::{hex::hex, time::Timestamp};

/// Certificates and failures remembered.
const ENTRIES: usize = 4_096;
/// Fetches that may wait.
const QUEUE: usize = 256;
/// After a failure it is not tried again for this long, longer each time.
const RETRY: Duration = Duration::from_mins(1);
/// A URL at most, bytes.
const URL: usize = 512;

/// What is configured.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Trust anchors.
    pub anchors: Vec<Anchor>,
    /// Hosts that certificates are got from; empty for any.
    pub hosts: Vec<String>,
    /// Where certificates are kept over restarts.
    pub folder: Option<PathBuf>,
    /// How long a certificate is used before it is got again.
    pub keep: Duration,
}

/// What there is at a URL.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// The certificate.
    Ready(Arc<Certificate>),
    /// It is being got.
    Pending,
    /// It cannot be had.
    Failed,
}

#[derive(Clone, Debug)]
enum State {
    Ready(Arc<Certificate>, Timestamp),
    Pending,
    Failed { again: Timestamp, times: u32 },
}

type Entries = HashMap<String, State>;

/// Certificates by URL.
#[derive(Debug)]
pub struct Store {
    entries: Arc<Mutex<Entries>>,
    source: Source,
    hosts: Vec<String>,
}

/// Who gets certificates that are not at hand.
#[derive(Debug)]
enum Source {
    /// A thread that fetches them.
    Thread(SyncSender<(String, Timestamp)>),
    /// The caller, from the folder, which has them or not.
    Folder(StoreConfig),
}

/// Fetches nothing.
#[derive(Debug)]
struct Nowhere;

impl Fetch for Nowhere {
    fn fetch(&self, _: &str) -> Result<Vec<u8>, FetchError> {
        Err(FetchError::Failed("nothing is fetched here".into()))
    }
}

impl Store {
    /// Certificates that a folder has, for captures: no thread, nothing is fetched, and
    /// the same input gives the same answers. As live, the first call from a signer
    /// finds its certificate pending.
    pub fn offline(config: StoreConfig) -> Self {
        let hosts = config.hosts.clone();
        Self { entries: Arc::default(), source: Source::Folder(config), hosts }
    }

    /// Starts the thread. It ends with the store.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn new(config: StoreConfig, fetch: Box<dyn Fetch>) -> std::io::Result<Self> {
        let entries = Arc::new(Mutex::new(Entries::new()));
        let (queue, jobs) = sync_channel(QUEUE);
        let (shared, hosts) = (Arc::clone(&entries), config.hosts.clone());
        std::thread::Builder::new()
            .name("certificates".into())
            .spawn(move || work(&jobs, &shared, &config, &*fetch))?;
        Ok(Self { entries, source: Source::Thread(queue), hosts })
    }

    /// What there is at a URL. Never waits: while the other thread holds the table, it
    /// is pending.
    pub fn look_up(&self, url: &str, now: Timestamp) -> Lookup {
        let Some(host) = fetch::host(url).filter(|_| url.len() <= URL) else {
            return Lookup::Failed;
        };
        if !self.hosts.is_empty()
            && !self.hosts.iter().any(|known| known.eq_ignore_ascii_case(host))
        {
            return Lookup::Failed;
        }
        let Ok(mut entries) = self.entries.try_lock() else { return Lookup::Pending };
        match entries.get(url) {
            Some(State::Ready(certificate, until)) if now <= *until => {
                return Lookup::Ready(Arc::clone(certificate));
            }
            Some(State::Pending) => return Lookup::Pending,
            Some(State::Failed { again, .. }) if now < *again => return Lookup::Failed,
            _ => {}
        }
        make_room(&mut entries);
        let queue = match &self.source {
            Source::Thread(queue) => queue,
            Source::Folder(config) => {
                let result = get(url, now, config, &Nowhere);
                let state = outcome(url, now, config, result, entries.get(url));
                entries.insert(url.to_owned(), state);
                return Lookup::Pending;
            }
        };
        // When the queue is full the next call asks again.
        if queue.try_send((url.to_owned(), now)).is_ok() {
            let times = match entries.get(url) {
                Some(State::Failed { times, .. }) => *times,
                _ => 0,
            };
            if times == 0 {
                entries.insert(url.to_owned(), State::Pending);
            }
        }
        Lookup::Pending
    }

    /// Whether a certificate was had from a URL's host.
    pub fn knows_host(&self, url: &str) -> bool {
        let Some(host) = fetch::host(url) else { return false };
        let Ok(entries) = self.entries.try_lock() else { return false };
        entries.iter().take(ENTRIES).any(|(known, state)| {
            matches!(state, State::Ready(..)) && fetch::host(known) == Some(host)
        })
    }
}

/// Some entry goes when the table is full: a failure before a certificate.
fn make_room(entries: &mut Entries) {
    if entries.len() < ENTRIES {
        return;
    }
    let victim = entries
        .iter()
        .find(|(_, state)| matches!(state, State::Failed { .. }))
        .or_else(|| entries.iter().next())
        .map(|(url, _)| url.clone());
    if let Some(victim) = victim {
        entries.remove(&victim);
    }
}

fn work(
    jobs: &Receiver<(String, Timestamp)>,
    entries: &Mutex<Entries>,
    config: &StoreConfig,
    fetch: &dyn Fetch,
) {
    for (url, now) in jobs {
        // The lock is not held while it is fetched.
        let result = get(&url, now, config, fetch);
        let mut entries = entries.lock().unwrap_or_else(PoisonError::into_inner);
        let state = outcome(&url, now, config, result, entries.get(&url));
        entries.insert(url, state);
    }
}

/// What is known of a URL after it was looked for.
fn outcome(
    url: &str,
    now: Timestamp,
    config: &StoreConfig,
    result: Result<Certificate, FetchError>,
    before: Option<&State>,
) -> State {
    match result {
        Ok(certificate) => {
            let keep = now.plus(config.keep);
            let end = Timestamp::new(certificate.valid.1.max(0) as u64, 0);
            // An expired one is news, too, for a while.
            let until = if end < now { now.plus(RETRY) } else { keep.min(end) };
            State::Ready(Arc::new(certificate), until)
        }
        Err(error) => {
            log::debug!("no certificate from {}: {error}", fetch::host(url).unwrap_or("?"));
            let times = match before {
                Some(State::Failed { times, .. }) => times + 1,
                _ => 1,
            };
            State::Failed { again: now.plus(RETRY * times.min(60)), times }
        }
    }
}

fn get(
    url: &str,
    now: Timestamp,
    config: &StoreConfig,
    fetch: &dyn Fetch,
) -> Result<Certificate, FetchError> {
    let failed = |what: &dyn std::fmt::Display| FetchError::Failed(what.to_string());
    let path = config.folder.as_deref().map(|folder| file(folder, url));
    if let Some(text) = path.as_deref().and_then(|path| kept(path, now, config.keep)) {
        match Certificate::read(&text, &config.anchors) {
            Ok(certificate) => return Ok(certificate),
            Err(error) => log::warn!("a certificate kept on disk is not used: {error}"),
        }
    }
    let text = fetch.fetch(url)?;
    let certificate = Certificate::read(&text, &config.anchors).map_err(|error| failed(&error))?;
    if let Some(path) = &path
        && let Err(error) = keep(path, &text)
    {
        log::warn!("cannot keep a certificate in {}: {error}", path.display());
    }
    Ok(certificate)
}

/// A file's name tells nothing and cannot lead elsewhere.
fn file(folder: &Path, url: &str) -> PathBuf {
    let digest = Sha256::digest(url.as_bytes());
    folder.join(hex(&digest) + ".pem")
}

/// What is on disk, if it is not too old.
fn kept(path: &Path, now: Timestamp, keep: Duration) -> Option<Vec<u8>> {
    let about = std::fs::metadata(path).ok()?;
    let written = about.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    let fresh = Timestamp::new(written.as_secs(), 0).plus(keep) >= now;
    (fresh && about.len() <= 64 << 10).then(|| std::fs::read(path).ok())?
}

/// Puts a certificate where a [`Store`] with this folder finds it.
///
/// # Errors
/// Those of the file system.
pub fn keep_certificate(folder: &Path, url: &str, text: &[u8]) -> std::io::Result<()> {
    keep(&file(folder, url), text)
}

fn keep(path: &Path, text: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let partial = path.with_extension("partial");
    std::fs::write(&partial, text)?;
    std::fs::rename(&partial, path)
}
