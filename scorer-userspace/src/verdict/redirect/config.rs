//! What a redirect server answers.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// The redirect server; off without an address.
#[derive(Clone, Debug)]
pub struct RedirectConfig {
    /// Where it listens, UDP.
    pub listen: Option<SocketAddr>,
    /// Who may ask: addresses and prefix lengths; empty is everybody.
    pub peers: Vec<(IpAddr, u8)>,
    /// How long a request may wait for its verdict.
    pub deadline: Duration,
    /// Answer to calls that may go on.
    pub allow_code: u16,
    /// Answer to calls that are diverted.
    pub divert_code: u16,
    /// Answer to calls that are refused; `None` is what policy says of each.
    pub reject_code: Option<u16>,
    /// Answer to calls that policy drops: a redirect server cannot drop.
    pub drop_code: u16,
    /// Contact of calls that may go on, `{user}` being the called one's; `None` is the
    /// Request-URI.
    pub contact: Option<Box<str>>,
    /// Name of the risk header.
    pub header: Box<str>,
    /// Call-Info in 608 responses (RFC 8688).
    pub call_info: Option<Box<str>>,
    /// The call came from whom the second Via names, not from the router.
    pub source_from_via: bool,
}

impl Default for RedirectConfig {
    fn default() -> Self {
        Self {
            listen: None,
            peers: Vec::new(),
            deadline: Duration::from_millis(50),
            allow_code: 302,
            divert_code: 302,
            reject_code: None,
            drop_code: 603,
            contact: None,
            header: "X-Call-Risk".into(),
            call_info: None,
            source_from_via: false,
        }
    }
}

/// Whether `name` may name a header (RFC 3261 section 25.1, token).
pub(crate) fn is_header_name(name: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._!%*+`'~".contains(&byte);
    !name.is_empty() && name.len() <= 64 && name.bytes().all(good)
}

/// Whether `value` can be a header's value: printable, on one line.
pub(crate) fn is_header_value(value: &str) -> bool {
    value.len() <= 256 && value.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}
