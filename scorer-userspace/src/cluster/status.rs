//! How a cluster is, as `scorer cluster status` tells it: asked of NATS, not of a scorer.

use std::{collections::BTreeMap, time::Duration};

use futures::StreamExt as _;

use super::{
    ClusterConfig, ClusterError,
    link::{Linked, Which, options},
    peers,
    seal::Kind,
};

/// A host.
#[derive(Clone, Debug, PartialEq)]
pub struct HostStatus {
    /// Version of its scorer.
    pub version: String,
    /// Its run, ms since 1970.
    pub run: u64,
    /// Seconds that its clock is ahead of this host's.
    pub skew: f64,
    /// Facts it told and counted of others in this run.
    pub told: u64,
    /// Facts of others that it counted.
    pub counted: u64,
    /// Bytes that wait on its disk.
    pub spool_bytes: u64,
    /// Facts it lost.
    pub dropped: u64,
    /// Milliseconds from storing to receiving the last message.
    pub lag_ms: u64,
}

/// A cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    /// Hosts that are alive.
    pub hosts: BTreeMap<String, HostStatus>,
    /// Streams: messages, bytes, and the server that leads it; `None` where it cannot be
    /// had.
    pub streams: BTreeMap<&'static str, Option<(u64, u64, String)>>,
}

/// Listens for so long.
///
/// # Errors
/// When NATS or the secret cannot be had.
pub async fn status(config: &ClusterConfig, wait: Duration) -> Result<Status, ClusterError> {
    let secret = config.secret()?;
    let options = options(config)?.name("scorer cluster status");
    let link = Linked::connect(options, config.clone()).await?;
    let mut status = Status::default();
    let subscribed = link.client.subscribe(link.subject(Kind::Alive, "*")).await;
    let mut messages = subscribed.map_err(|error| ClusterError::Connect {
        servers: config.servers.join(", "),
        what: error.to_string(),
    })?;
    let listen = async {
        while let Some(message) = messages.next().await {
            let Some((head, alive)) = peers::read(&secret, &message.payload) else { continue };
            let host = HostStatus {
                version: alive.version,
                run: head.epoch,
                skew: alive.sent.wrapping_sub(super::now()) as i64 as f64 / 1e9,
                told: alive.told,
                counted: alive.counted,
                spool_bytes: alive.spool_bytes,
                dropped: alive.dropped,
                lag_ms: alive.lag_ms,
            };
            status.hosts.insert(head.host, host);
        }
    };
    let _ = tokio::time::timeout(wait, listen).await;
    for (name, which) in [("facts", Which::Facts), ("state", Which::State)] {
        let stream = link.look(which).await;
        let about = stream.map(|stream| {
            let info = stream.cached_info();
            let leader = info.cluster.as_ref().and_then(|cluster| cluster.leader.clone());
            (info.state.messages, info.state.bytes, leader.unwrap_or_default())
        });
        status.streams.insert(name, about);
    }
    Ok(status)
}
