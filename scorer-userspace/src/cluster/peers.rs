//! Which hosts are alive, and how far their clocks are off.
//!
//! Each host says its time once a second, past JetStream: what is heard is fresh, so that
//! the difference to this host's clock is the clocks', and some milliseconds.

use std::{
    cell::RefCell,
    collections::HashMap,
    sync::{PoisonError, atomic::Ordering},
    time::Duration,
};

use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::{
    Site,
    link::Linked,
    seal::{Head, Kind, Secret},
};
use crate::history::HOSTS;

/// How often a host says that it is alive.
const EVERY: Duration = Duration::from_secs(1);

/// What it says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Alive {
    /// Its clock, ns since 1970.
    pub(super) sent: u64,
    pub(super) version: String,
    /// Facts told in this run.
    pub(super) told: u64,
    pub(super) counted: u64,
    pub(super) spool_bytes: u64,
    /// Facts that are lost: queue and spool were full.
    pub(super) dropped: u64,
    pub(super) lag_ms: u64,
}

/// What is known of the others.
#[derive(Debug, Default)]
pub(super) struct Peers(RefCell<HashMap<String, Peer>>);

#[derive(Debug)]
struct Peer {
    /// How far it is ahead, ns.
    skew: i64,
    /// Its last message, so that an old one that somebody sends again says nothing.
    last: (u64, u64),
    told: bool,
}

impl Peers {
    /// How far a host's clock is ahead, ns; 0 where it is not known.
    pub(super) fn skew(&self, host: &str) -> i64 {
        self.0.borrow().get(host).map_or(0, |peer| peer.skew)
    }

    fn heard(&self, site: &Site, head: &Head, alive: &Alive, now: u64) {
        let mut peers = self.0.borrow_mut();
        let full = peers.len() >= HOSTS;
        let this = (head.epoch, head.first);
        let skew = alive.sent.wrapping_sub(now) as i64;
        let peer = match peers.get_mut(&head.host) {
            Some(peer) => peer,
            None if full => return,
            None => {
                peers.entry(head.host.clone()).or_insert(Peer { skew, last: (0, 0), told: false })
            }
        };
        if this <= peer.last {
            return;
        }
        (peer.last, peer.skew) = (this, skew);
        let off = skew.unsigned_abs() > site.config.skew.as_nanos() as u64;
        if off != peer.told {
            peer.told = off;
            let seconds = skew as f64 / 1e9;
            if off {
                log::warn!(
                    "the clock of host {} is {seconds:+.1} s off this one's: times of its calls are \
                     set right by that; check NTP at both",
                    head.host
                );
            } else {
                log::info!("the clock of host {} is right again", head.host);
            }
        }
        let mut skews = site.stats.skew.lock().unwrap_or_else(PoisonError::into_inner);
        skews.insert(head.host.clone(), skew as f64 / 1e9);
    }
}

/// Says that this host is alive, and listens to the others, for ever.
pub(super) async fn run(site: &Site, link: &Linked, peers: &Peers) {
    tokio::join!(say(site, link), listen(site, link, peers));
}

async fn say(site: &Site, link: &Linked) {
    let subject = link.subject(Kind::Alive, &site.host);
    for first in 0.. {
        sleep(EVERY).await;
        // What waits for a connection would be old when it is sent.
        if !link.is_connected() {
            continue;
        }
        let of = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let stats = &site.stats;
        let alive = Alive {
            sent: site.now(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            told: of(&stats.told),
            counted: of(&stats.counted),
            spool_bytes: of(&stats.spool_bytes),
            dropped: of(&stats.queue_full) + of(&stats.spool_dropped),
            lag_ms: of(&stats.lag_ms),
        };
        let Ok(body) = serde_json::to_vec(&alive) else { continue };
        let (host, epoch) = (site.host.clone(), site.epoch);
        let head = Head { kind: Kind::Alive, host, epoch, first, count: 1 };
        let message = site.secret.seal(&head, body);
        // Another one comes in a second.
        let _ = link.client.publish(subject.clone(), message.into()).await;
    }
}

async fn listen(site: &Site, link: &Linked, peers: &Peers) {
    loop {
        if let Ok(mut messages) = link.client.subscribe(link.subject(Kind::Alive, "*")).await {
            while let Some(message) = messages.next().await {
                if let Some((head, alive)) = read(&site.secret, &message.payload)
                    && head.host != site.host
                {
                    peers.heard(site, &head, &alive, site.now());
                }
            }
        }
        sleep(EVERY).await;
    }
}

/// What a host says, if it is one of the cluster.
pub(super) fn read(secret: &Secret, message: &[u8]) -> Option<(Head, Alive)> {
    let (head, body) = secret.open(message).ok()?;
    let alive = serde_json::from_slice(&body).ok()?;
    (head.kind == Kind::Alive).then_some((head, alive))
}
