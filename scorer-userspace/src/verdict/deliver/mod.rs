//! Verdicts out of band: to whoever wants them, without holding a call up.
//!
//! The scoring thread calls [`Deliveries::send`] for every verdict. It never waits,
//! allocates nothing once warm, and counts what could not be delivered, per way.

mod bpf_map;
mod config;
mod datagram;
pub mod ring;
mod stats;

use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use scorer_common::Verdict;

pub use config::{DeliverConfig, Form, Receiver, To};
pub use stats::{Count, DeliveryStats, ReceiverStats, WayStats};

pub(crate) use stats::counts;

use bpf_map::CallMap;
use datagram::Datagrams;
use ring::Ring;

use super::{recent::Feed, wire};
use crate::{
    engine::Assessment,
    output::{Format, Style, json_line},
};

/// Why verdicts cannot be delivered as configured.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// No socket.
    #[error("cannot make a socket for {to}: {source}")]
    Socket {
        /// Receiver.
        to: String,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// The kernel refused the map.
    #[error(
        "cannot make the BPF map {}: {}; it needs CAP_BPF, /sys/fs/bpf to be mounted (`mount -t \
         bpf bpf /sys/fs/bpf`), and a path without a dot", path.display(), chain(source)
    )]
    Map {
        /// Its pin.
        path: PathBuf,
        /// Cause.
        #[source]
        source: Box<aya::maps::MapError>,
    },
    /// The pin's folder or rights cannot be set.
    #[error("cannot pin the BPF map at {}: {source}; the path must be in a BPF file system", path.display())]
    Pin {
        /// Its pin.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// The ring's file cannot be used.
    #[error("cannot use {} as a ring of verdicts: {source}", path.display())]
    Ring {
        /// File.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// The ring's file is another user's.
    #[error("{} is no plain file of this user; remove it or choose another deliver.ring", path.display())]
    NotOurs {
        /// File.
        path: PathBuf,
    },
    /// There is no such group.
    #[error("there is no group {name} (deliver.group)")]
    Group {
        /// Its name.
        name: String,
    },
}

/// An error and its causes in one line: aya keeps the errno in a cause.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Every way that is configured.
#[derive(Debug)]
pub struct Deliveries {
    lines: Vec<Datagrams>,
    records: Vec<Datagrams>,
    map: Option<CallMap>,
    ring: Option<Ring>,
    recent: Option<Feed>,
    style: Style,
    line: Vec<u8>,
    stats: Arc<DeliveryStats>,
}

impl Deliveries {
    /// Opens the ways of `config`; numbers in lines are masked with `mask`. `recent` is
    /// where verdicts are handed over for HTTP and redirect.
    ///
    /// # Errors
    /// [`DeliverError`]. A receiver that is not there yet is none.
    pub fn open(
        config: &DeliverConfig,
        mask: bool,
        recent: Option<Feed>,
    ) -> Result<Self, DeliverError> {
        let group = config.group.as_deref().map(group).transpose()?;
        let (mut lines, mut records) = (Vec::new(), Vec::new());
        let mut receivers = Vec::new();
        for Receiver { to, form } in &config.receivers {
            let datagrams = Datagrams::new(to.clone())
                .map_err(|source| DeliverError::Socket { to: to.to_string(), source })?;
            if let To::Udp(address) = to
                && !address.ip().is_loopback()
            {
                log::warn!("verdicts go to {address} over the network as they are, unencrypted");
            }
            receivers.push(Arc::clone(datagrams.stats()));
            match form {
                Form::Json => lines.push(datagrams),
                Form::Record => records.push(datagrams),
            }
        }
        let open_map = |path: &PathBuf| CallMap::open(path, config.map_entries, group);
        let open_ring = |path: &PathBuf| Ring::open(path, config.ring_slots, group);
        Ok(Self {
            lines,
            records,
            map: config.map.as_ref().map(open_map).transpose()?,
            ring: config.ring.as_ref().map(open_ring).transpose()?,
            recent,
            style: Style { format: Format::Jsonl, mask, features: false },
            line: Vec::with_capacity(4096),
            stats: Arc::new(DeliveryStats { receivers, ways: WayStats::default() }),
        })
    }

    /// Counters, for other threads.
    pub fn stats(&self) -> &Arc<DeliveryStats> {
        &self.stats
    }

    /// Sends a verdict every way; `latency` is from the kernel's stamp on, ns.
    ///
    /// What waits least comes first: memory, then other processes' sockets.
    pub fn send(&mut self, assessment: &Assessment<'_>, latency: u64) {
        let Self { lines, records, map, ring, recent, style, line, stats } = self;
        let verdict = timed(&assessment.verdict, latency);
        let ways = &stats.ways;
        if ring.is_some() || map.is_some() || !records.is_empty() {
            let record = wire::bytes(&verdict);
            let key = wire::key(assessment.call_id);
            if let Some(ring) = ring {
                ring.write(key, wire::key(assessment.from_tag), &record);
                ways.ring_sent.add();
            }
            if let Some(map) = map {
                if map.put(key, &record) { ways.map_sent.add() } else { ways.map_failed.add() }
            }
            for receiver in records {
                receiver.send(&record);
            }
        }
        if lines.is_empty() && recent.is_none() {
            return;
        }
        line.clear();
        json_line(assessment, *style, Some(latency), line);
        for receiver in lines.iter_mut() {
            receiver.send(line);
        }
        if let Some(recent) = recent {
            if line.len() > LONGEST_KEPT {
                line.clear();
                json_line(&cut(assessment), *style, Some(latency), line);
            }
            let sent = recent.verdict(assessment, &verdict, line);
            if sent { ways.recent_sent.add() } else { ways.recent_full.add() }
        }
    }

    /// Where the scoring thread answers questions of others.
    pub(crate) fn recent(&mut self) -> Option<&mut Feed> {
        self.recent.as_mut()
    }

    /// To be called at least every 200 ms, with `CLOCK_MONOTONIC`, ns: readers of the
    /// ring see that the scorer lives.
    pub fn alive(&self, now: u64) {
        if let Some(ring) = &self.ring {
            ring.alive(now);
        }
    }
}

/// Longest line that is kept, bytes.
const LONGEST_KEPT: usize = 8 << 10;
/// Longest text of a stranger in a line that would be longer, bytes.
const LONGEST_TEXT: usize = 128;

/// The same with every text of the caller's cut, so that its line is short.
fn cut<'a>(assessment: &Assessment<'a>) -> Assessment<'a> {
    let cut = |text: &'a [u8]| text.get(..LONGEST_TEXT).unwrap_or(text);
    Assessment {
        call_id: cut(assessment.call_id),
        caller: cut(assessment.caller),
        callee: cut(assessment.callee),
        from_user: cut(assessment.from_user),
        to_user: cut(assessment.to_user),
        network_number: assessment.network_number.map(cut),
        ..*assessment
    }
}

/// The record with its latency, ns, saturating.
pub fn timed(verdict: &Verdict, latency: u64) -> Verdict {
    Verdict { latency: u32::try_from(latency).unwrap_or(u32::MAX), ..*verdict }
}

/// A group's number, from its name or as it stands.
fn group(name: &str) -> Result<u32, DeliverError> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let group = nix::unistd::Group::from_name(name).ok().flatten();
    let missing = || DeliverError::Group { name: name.to_owned() };
    Ok(group.ok_or_else(missing)?.gid.as_raw())
}

/// How often the log may name a way that fails.
const QUIET: Duration = Duration::from_mins(1);
/// How soon it is first looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Says in the log, for every way at most once a minute, what could not be delivered.
/// For ever; the scoring thread only counts.
pub async fn watch(stats: &DeliveryStats) {
    let ways = &stats.ways;
    let lost = |way: usize| match stats.receivers.get(way) {
        Some(receiver) => receiver.missing.get() + receiver.full.get() + receiver.failed.get(),
        None if way == stats.receivers.len() => ways.map_failed.get(),
        None => ways.recent_full.get(),
    };
    let count = stats.receivers.len() + 2;
    let mut told: Vec<(u64, Option<tokio::time::Instant>)> = vec![(0, None); count];
    loop {
        tokio::time::sleep(LOOK).await;
        for (way, (before, when)) in told.iter_mut().enumerate() {
            let now = lost(way);
            if now == *before || when.is_some_and(|when| when.elapsed() < QUIET) {
                continue;
            }
            let new = now - *before;
            (*before, *when) = (now, Some(tokio::time::Instant::now()));
            match stats.receivers.get(way) {
                Some(receiver) => {
                    let error = receiver.error.load(Ordering::Relaxed);
                    let error = match error {
                        0 => "it does not read fast enough".to_owned(),
                        error => std::io::Error::from_raw_os_error(error).to_string(),
                    };
                    log::warn!("{new} verdicts did not reach {}: {error}", receiver.name);
                }
                None if way == stats.receivers.len() => {
                    log::warn!("the kernel did not take {new} verdicts into the BPF map");
                }
                None => log::warn!("{new} verdicts were not handed over for HTTP and redirect"),
            }
        }
    }
}
