//! Several edge hosts of one organisation as one: they count each other's calls, and
//! share lists, labels and cases. Built on NATS JetStream; one host alone needs none of it.
//!
//! ```text
//! scoring thread -> queue -> cluster thread -> JetStream -> cluster thread -> queue -> scoring thread
//!   (its facts)              batches, sealed    (others)     decoded, once            counted between calls
//! ```
//!
//! The packet path reads local memory and waits for nothing: a full queue drops a fact
//! and counts it, a lost NATS has batches go to disk. Each fact has a number of its host
//! and run, and a history knows how far it has counted each host's
//! ([`crate::history::Marks`], part of its snapshots), so that none counts twice, whatever
//! JetStream delivers again. docs/cluster.md tells how to run it, docs/scale.md what it
//! costs.

mod batch;
mod items;
mod link;
mod peers;
mod receive;
mod records;
mod replica;
mod seal;
mod seat;
mod spool;
mod stats;
mod status;
mod tell;
#[cfg(test)]
mod tests;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use rtrb::RingBuffer;
use sha2::{Digest as _, Sha256};

use crate::history::{Mark, Marks};

pub use records::archive;
pub use seat::Seat;
pub use stats::Stats;
pub use status::{HostStatus, Status, status};

use link::Link;
use peers::Peers;
use seal::Secret;
use spool::Spool;

/// Facts of this host that may wait for the cluster thread; 8 MB.
const OUTBOX: usize = 1 << 15;
/// Facts of others that may wait for the scoring thread; what comes beyond waits in
/// JetStream.
const INBOX: usize = 1 << 13;

/// How the hosts of a cluster find and trust each other.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// NATS servers, `nats://` or `tls://`; empty for no cluster.
    pub servers: Vec<String>,
    /// Name of the cluster.
    pub name: String,
    /// Name of this host in it; `None` for the system's.
    pub host: Option<String>,
    /// File of the secret that all its hosts have.
    pub secret: Option<PathBuf>,
    /// NATS credentials (`.creds`).
    pub credentials: Option<PathBuf>,
    /// Authority of the servers' certificates, PEM.
    pub tls_ca: Option<PathBuf>,
    /// This host's certificate and its key, PEM.
    pub tls_cert: Option<PathBuf>,
    /// Key of that certificate.
    pub tls_key: Option<PathBuf>,
    /// Folder for what waits while NATS cannot be had, and for what is known of the state.
    pub spool: Option<PathBuf>,
    /// Bytes that may wait.
    pub spool_bytes: u64,
    /// Copies of each stream among the servers.
    pub replicas: usize,
    /// How long JetStream keeps facts for hosts that were away.
    pub keep: Duration,
    /// Bytes it keeps of them at most.
    pub keep_bytes: u64,
    /// Bytes of records that may wait in JetStream for the archive; 0 sends none.
    pub records_bytes: u64,
    /// How far a host's clock may be off before its times are corrected.
    pub skew: Duration,
    /// How far this host's clock is taken to be ahead, ns: for tests of clocks that are off.
    #[doc(hidden)]
    pub clock_ahead: i64,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            name: "scorer".into(),
            host: None,
            secret: None,
            credentials: None,
            tls_ca: None,
            tls_cert: None,
            tls_key: None,
            spool: None,
            spool_bytes: 256 << 20,
            replicas: 1,
            keep: Duration::from_hours(24),
            keep_bytes: 1 << 30,
            records_bytes: 0,
            skew: Duration::from_secs(2),
            clock_ahead: 0,
        }
    }
}

/// Why there is no cluster.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The secret.
    #[error("cannot read the cluster's secret {}: {source}", path.display())]
    Secret {
        /// File.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Others may read it.
    #[error("others may read the cluster's secret {}; chmod 600 it", .0.display())]
    SecretOpen(PathBuf),
    /// It could be guessed.
    #[error("the cluster's secret {} is shorter than 32 bytes; `scorer cluster secret FILE` makes one", .0.display())]
    SecretShort(PathBuf),
    /// Something is not configured.
    #[error("{0}")]
    Config(String),
    /// The spool.
    #[error("cannot use the cluster's spool {}: {source}", path.display())]
    Spool {
        /// Folder or file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The spool is another process's.
    #[error("{} is the spool of another scorer that runs; give each its own folder", .0.display())]
    InUse(PathBuf),
    /// What is known of lists, labels and cases.
    #[error("{}: {error}", path.display())]
    State {
        /// File.
        path: PathBuf,
        /// Why; all of it stands in the message.
        error: rusqlite::Error,
    },
    /// NATS.
    #[error("cannot connect to NATS at {servers}: {what}")]
    Connect {
        /// Where.
        servers: String,
        /// Why.
        what: String,
    },
    /// A thread.
    #[error("cannot start the cluster's thread: {0}")]
    Thread(#[source] io::Error),
}

impl ClusterConfig {
    /// Whether there is a cluster.
    pub fn is_on(&self) -> bool {
        !self.servers.is_empty()
    }

    /// What all its hosts hash their histories' keys with; `None` without a cluster.
    ///
    /// # Errors
    /// When the secret cannot be had.
    pub fn history_secret(&self) -> Result<Option<[u64; 2]>, ClusterError> {
        self.is_on().then(|| self.secret().map(|secret| secret.history())).transpose()
    }

    fn secret(&self) -> Result<Secret, ClusterError> {
        let missing = || {
            let what = "cluster.secret_file is missing: the file that all hosts of the cluster \
                        have; `scorer cluster secret FILE` makes one";
            ClusterError::Config(what.into())
        };
        Secret::read(self.secret.as_deref().ok_or_else(missing)?)
    }

    /// This host's name.
    ///
    /// # Errors
    /// When it can name no host.
    pub fn host(&self) -> Result<String, ClusterError> {
        let system = || std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let name = self.host.clone().unwrap_or_else(system);
        let name = name.trim().to_ascii_lowercase();
        if is_name(&name) {
            return Ok(name);
        }
        Err(ClusterError::Config(format!(
            "{name:?} cannot be the name of a host: cluster.host takes 1 to 63 of a–z, 0–9, -"
        )))
    }

    fn spool(&self) -> Result<&Path, ClusterError> {
        self.spool.as_deref().ok_or_else(|| {
            let what = "cluster.spool is missing: a folder for what waits while NATS cannot be had";
            ClusterError::Config(what.into())
        })
    }
}

/// Whether something can name a host or a cluster: it stands in NATS subjects.
pub(crate) fn is_name(name: &str) -> bool {
    let good = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    (1..=63).contains(&name.len()) && name.bytes().all(good)
}

/// A host's name as marks have it.
pub(crate) fn host_id(name: &str) -> u64 {
    let digest = Sha256::digest(name.as_bytes());
    let first = digest.first_chunk().copied().unwrap_or_default();
    u64::from_le_bytes(first) | 1
}

impl Site {
    /// Time now by this host's clock, ns since 1970.
    fn now(&self) -> u64 {
        now().saturating_add_signed(self.config.clock_ahead)
    }
}

/// Time now, ns since 1970.
fn now() -> u64 {
    crate::tap::wall().0
}

/// Where this host keeps what it shares.
#[derive(Clone, Debug, Default)]
pub struct Stores {
    /// Lists and cases.
    pub lists: Option<PathBuf>,
    /// Labels.
    pub labels: Option<PathBuf>,
    /// Folder of records.
    pub records: Option<PathBuf>,
}

/// The cluster thread, to be waited for at the end.
#[derive(Debug)]
pub struct Cluster {
    thread: JoinHandle<()>,
}

/// What all parts of the thread know.
#[derive(Debug)]
struct Site {
    config: ClusterConfig,
    secret: Secret,
    host: String,
    /// This run's number.
    epoch: u64,
    stats: Arc<Stats>,
}

impl Cluster {
    /// Joins the cluster: the scoring thread's end, and the thread. `marks` are the
    /// history's. NATS need not be there yet.
    ///
    /// # Errors
    /// When something is missing in the configuration, or a file cannot be used.
    pub fn start(
        config: &ClusterConfig,
        stores: &Stores,
        marks: &Marks,
    ) -> Result<(Seat, Self), ClusterError> {
        let host = config.host()?;
        let secret = config.secret()?;
        let spool = Spool::open(config.spool()?, config.spool_bytes)?;
        let me = host_id(&host);
        // Later than every run before it, whatever the clock says.
        let epoch = (now() / 1_000_000).max(marks.of(me).epoch + 1).max(spool.last_epoch() + 1);
        let stats = Arc::new(Stats::default());
        let site = Arc::new(Site {
            config: config.clone(),
            secret,
            host,
            epoch,
            stats: Arc::clone(&stats),
        });
        let link = Link::new(&site)?;
        let replica = replica::Replica::open(&site, stores)?;
        let (out, outbox) = RingBuffer::new(OUTBOX);
        let (inbox, incoming) = RingBuffer::new(INBOX);
        let own = Mark { host: me, epoch, next: 0 };
        let seat = Seat::new(out, incoming, Arc::clone(&stats), own);
        let marks = marks.clone();
        let folder = stores.records.clone().filter(|_| config.records_bytes > 0);
        log::info!("cluster {}: this is host {}, run {epoch}", config.name, site.host);
        let work = move || async move {
            let link = match link.connect().await {
                Ok(link) => link,
                // Only for what waiting does not cure.
                Err(error) => return log::error!("{error}; this host is alone"),
            };
            let peers = Peers::default();
            let others = async {
                tokio::join!(
                    receive::run(&site, &link, &peers, marks, inbox),
                    peers::run(&site, &link, &peers),
                    replica::run(replica, &site, &link),
                    async {
                        if let Some(folder) = &folder {
                            records::run(&site, &link, folder).await;
                        }
                    },
                );
            };
            tokio::select! {
                () = others => {}
                () = tell::run(&site, &link, outbox, spool) => {}
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(ClusterError::Thread)?;
        let thread = std::thread::Builder::new()
            .name("cluster".into())
            .spawn(move || runtime.block_on(work()))
            .map_err(ClusterError::Thread)?;
        Ok((seat, Self { thread }))
    }

    /// Waits until what was told is sent, or on disk. The seat must be gone.
    pub fn finish(self) {
        if self.thread.join().is_err() {
            log::error!("the cluster's thread panicked");
        }
    }
}
