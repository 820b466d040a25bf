//! What is delivered where.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

/// Ways of verdicts out of band; all are off by default.
#[derive(Clone, Debug)]
pub struct DeliverConfig {
    /// Receivers of datagrams.
    pub receivers: Vec<Receiver>,
    /// Pin of the BPF map.
    pub map: Option<PathBuf>,
    /// Calls in the map.
    pub map_entries: u32,
    /// File of the shared-memory ring.
    pub ring: Option<PathBuf>,
    /// Verdicts in the ring; a power of two.
    pub ring_slots: u32,
    /// Group that may read map and ring.
    pub group: Option<String>,
    /// Where verdicts are asked for over HTTP.
    pub http: Option<SocketAddr>,
    /// How long an HTTP request may wait at most.
    pub http_wait: Duration,
    /// Verdicts kept for HTTP and the redirect server.
    pub recent: usize,
}

impl Default for DeliverConfig {
    fn default() -> Self {
        Self {
            receivers: Vec::new(),
            map: None,
            map_entries: 65_536,
            ring: None,
            ring_slots: 4_096,
            group: None,
            http: None,
            http_wait: Duration::from_secs(2),
            recent: 16_384,
        }
    }
}

/// Who gets a datagram a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// Address.
    pub to: To,
    /// What is in a datagram.
    pub form: Form,
}

/// Address of a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// Unix datagram socket by its path.
    Unix(PathBuf),
    /// Unix datagram socket in the abstract name space.
    Abstract(String),
    /// UDP.
    Udp(SocketAddr),
}

impl std::fmt::Display for To {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Abstract(name) => write!(f, "unix:@{name}"),
            Self::Udp(address) => write!(f, "udp:{address}"),
        }
    }
}

/// What is in a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The line of `--format jsonl`.
    Json,
    /// The 64-byte record.
    Record,
}

/// Longest path of a Unix socket, bytes (`sockaddr_un` less the final zero).
const LONGEST: usize = 107;

impl Receiver {
    /// Parses `unix:/run/router/verdicts json`, `unix:@name record`,
    /// `udp:127.0.0.1:9000 json`, `udp:9000 record` (loopback).
    ///
    /// # Errors
    /// What it must be.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| {
            format!(
                "`{text}` {what}; a receiver is such as \"unix:/run/router/verdicts json\" or \
                 \"udp:127.0.0.1:9000 record\""
            )
        };
        let (to, form) = text.rsplit_once(' ').ok_or_else(|| wrong("has no form"))?;
        let form = match form {
            "json" => Form::Json,
            "record" => Form::Record,
            _ => return Err(wrong("must end with json or record")),
        };
        let to = to.trim();
        let to = if let Some(path) = to.strip_prefix("unix:") {
            let name = path.strip_prefix('@');
            if name.unwrap_or(path).is_empty() || path.len() > LONGEST {
                return Err(wrong("must name a socket in at most 107 bytes"));
            }
            name.map_or_else(|| To::Unix(path.into()), |name| To::Abstract(name.to_owned()))
        } else if let Some(address) = to.strip_prefix("udp:") {
            let port = || Some(SocketAddr::from((Ipv4Addr::LOCALHOST, address.parse().ok()?)));
            let address = address.parse().ok().or_else(port);
            let good =
                address.filter(|address| address.port() != 0 && !address.ip().is_unspecified());
            To::Udp(good.ok_or_else(|| wrong("must have an address and a port, no name"))?)
        } else {
            return Err(wrong("must begin with unix: or udp:"));
        };
        Ok(Self { to, form })
    }
}

#[cfg(test)]
mod tests {
    use super::{Form, Receiver, To};

    #[test]
    fn receivers() {
        let parse = |text| Receiver::parse(text).expect("a receiver");
        assert_eq!(
            parse("unix:/run/a b json"),
            Receiver { to: To::Unix("/run/a b".into()), form: Form::Json }
        );
        assert_eq!(parse("unix:@scorer record").to, To::Abstract("scorer".into()));
        assert_eq!(parse("udp:9000 record").to.to_string(), "udp:127.0.0.1:9000");
        assert_eq!(parse("udp:[::1]:9000 json").to.to_string(), "udp:[::1]:9000");
        let long = format!("unix:/{} json", "x".repeat(107));
        for bad in [
            "",
            "udp:9000",
            "udp:9000 xml",
            "tcp:9000 json",
            "unix: json",
            "unix:@ json",
            "udp:router:9000 json",
            "udp:127.0.0.1:0 json",
            "udp:0.0.0.0:1 json",
            "udp:70000 json",
            &long,
        ] {
            assert!(Receiver::parse(bad).is_err(), "{bad}");
        }
    }
}
