//! Getting certificates over HTTPS, carefully: their addresses come from strangers.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use ureq::{
    Agent,
    http::Uri,
    tls::{RootCerts, TlsConfig},
    unversioned::{
        resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver},
        transport::{DefaultConnector, NextTimeout},
    },
};

/// A chain at most, bytes.
const LARGEST: u64 = 64 << 10;
/// All of a fetch.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Why a certificate was not had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Not https, or no URL.
    #[error("its address is no https URL")]
    Address,
    /// Its host is not on the list of hosts.
    #[error("its host is not among `stir.hosts`")]
    Host,
    /// The server, the network or what was sent.
    #[error("{0}")]
    Failed(String),
}

/// Something that gets what is at a URL.
pub trait Fetch: Send {
    /// Gets it.
    ///
    /// # Errors
    /// [`FetchError`].
    fn fetch(&self, url: &str) -> Result<Vec<u8>, FetchError>;
}

/// Over HTTPS, from public addresses only.
#[derive(Debug)]
pub struct Https {
    agent: Agent,
}

impl Https {
    /// As it is to be used.
    pub fn new() -> Self {
        Self::with(false, RootCerts::WebPki)
    }

    /// `anywhere` allows private addresses, for tests.
    pub(super) fn with(anywhere: bool, roots: RootCerts) -> Self {
        let config = Agent::config_builder()
            .https_only(true)
            .max_redirects(0)
            .timeout_global(Some(TIMEOUT))
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .user_agent(concat!("scorer/", env!("CARGO_PKG_VERSION")))
            .build();
        let resolver = Public { inner: DefaultResolver::default(), anywhere };
        Self { agent: Agent::with_parts(config, DefaultConnector::default(), resolver) }
    }
}

impl Default for Https {
    fn default() -> Self {
        Self::new()
    }
}

impl Fetch for Https {
    fn fetch(&self, url: &str) -> Result<Vec<u8>, FetchError> {
        let failed = |error: ureq::Error| FetchError::Failed(error.to_string());
        let mut response = self.agent.get(url).call().map_err(failed)?;
        // Redirects are not followed, and are no answer.
        if response.status() != 200 {
            return Err(FetchError::Failed(format!("the server said {}", response.status())));
        }
        response.body_mut().with_config().limit(LARGEST).read_to_vec().map_err(failed)
    }
}

/// Host of an https URL.
pub(super) fn host(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    // Names and passwords in front of the host are a trick.
    if authority.contains('@') {
        return None;
    }
    let host = authority
        .strip_prefix('[')
        .map_or_else(|| authority.split(':').next(), |literal| literal.split(']').next())?;
    (!host.is_empty()).then_some(host)
}

/// Resolves names and leaves out addresses that are not public. What it returns is
/// what is connected to, so a name that changes meanwhile gains nothing.
#[derive(Debug)]
struct Public {
    inner: DefaultResolver,
    anywhere: bool,
}

impl Resolver for Public {
    fn resolve(
        &self,
        uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.inner.resolve(uri, config, timeout)?;
        let mut kept = self.empty();
        for address in &found {
            if self.anywhere || is_public(*address) {
                kept.push(*address);
            }
        }
        if kept.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(kept) }
    }
}

/// Not loopback, private, shared, link-local, multicast, documentation, reserved
/// (IANA special-purpose address registries).
pub(super) fn is_public(address: SocketAddr) -> bool {
    match address.ip().to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_broadcast()
                || v4.is_documentation()
                || v4.is_multicast()
                || a == 0
                || a >= 240
                || (a == 100 && b & 0xc0 == 64)
                || (a == 198 && b & 0xfe == 18)
                || (a, b, c) == (192, 0, 0)
                || (a, b, c) == (192, 88, 99))
        }
        // Global unicast is 2000::/3; of it not documentation, 6to4, Teredo.
        IpAddr::V6(v6) => {
            let [a, b, ..] = v6.segments();
            a & 0xe000 == 0x2000
                && a != 0x2002
                && !(a == 0x2001 && (b == 0xdb8 || b < 0x200))
                && a != 0x3fff
        }
    }
}
