//! What is served, where, and to whom.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::Role;

/// Certificate and key of a server.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Certificate chain, PEM.
    pub cert: Option<PathBuf>,
    /// Its key, PEM.
    pub key: Option<PathBuf>,
    /// Certificates of authorities, PEM: clients must have a certificate of one of them.
    pub client_ca: Option<PathBuf>,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// Address that is listened at.
    pub listen: Option<SocketAddr>,
    /// Unix socket.
    pub socket: Option<PathBuf>,
    /// TLS, which an address that is not loopback must have.
    pub tls: Tls,
    /// What a peer on loopback may do without a token.
    pub open_loopback: Option<Role>,
    /// Requests a second of one token; twice as many at once.
    pub rate: u32,
    /// Memory for the last calls, with their INVITEs, bytes.
    pub memory: usize,
    /// Streams at a time.
    pub streams: usize,
    /// Questions to the records at a time.
    pub queries: usize,
    /// Time that a question to the records may take.
    pub query_time: Duration,
    /// Memory that a question to the records may take, bytes.
    pub query_memory: usize,
}

impl ApiConfig {
    /// Whether anything is served.
    pub fn is_on(&self) -> bool {
        self.listen.is_some() || self.socket.is_some()
    }
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            listen: None,
            socket: None,
            tls: Tls::default(),
            open_loopback: None,
            rate: 50,
            memory: 64 << 20,
            streams: 32,
            queries: 2,
            query_time: Duration::from_secs(10),
            query_memory: 256 << 20,
        }
    }
}
