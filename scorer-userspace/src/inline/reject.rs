//! Responses of a stateless user agent server (RFC 3261 section 8.2.7): the same
//! request gets the same response, so nothing is kept but the decision.

use std::{io::Write as _, net::SocketAddr};

use crate::sip::{HeaderName, Message, Via};

/// A status line and the headers that go with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Status<'a> {
    pub(super) code: u16,
    pub(super) phrase: &'a str,
    /// Header lines, each with its end.
    pub(super) more: &'a [u8],
}

/// Port that a response goes to (RFC 3261 section 18.2.2, RFC 3581 section 4).
pub(super) fn port(message: &Message<'_>, source: SocketAddr) -> u16 {
    let Some(via) = message.top_via() else { return source.port() };
    if via.params.get(b"rport").is_some() {
        return source.port();
    }
    via.port.unwrap_or(5060)
}

/// Whether a response can be made: it repeats these.
pub(super) fn can_answer(message: &Message<'_>) -> bool {
    [HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq]
        .into_iter()
        .all(|name| message.has(name))
}

/// Adds the response to `message`, which came from `source`; `tag` becomes To's.
pub(super) fn write(
    message: &Message<'_>,
    status: &Status<'_>,
    source: SocketAddr,
    tag: u64,
    out: &mut Vec<u8>,
) {
    // Writing to a Vec cannot fail.
    let _ = write!(out, "SIP/2.0 {} {}\r\n", status.code, status.phrase);
    for (i, via) in message.values(HeaderName::Via).enumerate() {
        out.extend_from_slice(b"Via: ");
        if i == 0 {
            top_via(via, source, out);
        } else {
            out.extend_from_slice(via);
        }
        out.extend_from_slice(b"\r\n");
    }
    for name in [HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq] {
        out.extend_from_slice(name.long().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(message.header(name).unwrap_or_default());
        if name == HeaderName::To && message.to().is_some_and(|to| to.tag().is_none()) {
            let _ = write!(out, ";tag={tag:016x}");
        }
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(status.more);
    out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
}

/// The topmost Via with what RFC 3261 section 18.2.1 and RFC 3581 section 4 add:
/// `received` where the sender's address is another than it says, and `rport`'s value.
fn top_via(value: &[u8], source: SocketAddr, out: &mut Vec<u8>) {
    let Some(via) = Via::parse(value) else {
        out.extend_from_slice(value);
        return;
    };
    let rport = via.params.get(b"rport").is_some_and(<[u8]>::is_empty);
    let is_source = std::str::from_utf8(via.host)
        .is_ok_and(|host| host.parse().is_ok_and(|host: std::net::IpAddr| host == source.ip()));
    if rport {
        // The parameter is a flag: its value goes right behind its name.
        let params = via.params.0;
        let flag = params
            .split(|byte| *byte == b';')
            .find(|param| param.trim_ascii().eq_ignore_ascii_case(b"rport"));
        let end = flag.map_or(value.len(), |flag| {
            let flag = flag.trim_ascii_end();
            flag.as_ptr() as usize + flag.len() - value.as_ptr() as usize
        });
        out.extend_from_slice(&value[..end]);
        let _ = write!(out, "={}", source.port());
        out.extend_from_slice(&value[end..]);
    } else {
        out.extend_from_slice(value);
    }
    if (rport || !is_source) && via.params.get(b"received").is_none() {
        let _ = write!(out, ";received={}", source.ip());
    }
}
