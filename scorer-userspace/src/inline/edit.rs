//! Changes to a message: the risk header put in, forged ones taken out, the
//! Request-URI changed. The text between changes is copied as it stands.

use std::ops::Range;

use crate::{
    policy::Target,
    sip::{Message, Scheme, StartLine},
};

/// What is to be changed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Changes<'a> {
    /// Header line to put in, name and value without a line's end; none where empty.
    pub(super) header: &'a [u8],
    /// Name of headers to take out, compared without case.
    pub(super) forged: &'a [u8],
    /// What the Request-URI becomes; as it stands where empty.
    pub(super) uri: &'a [u8],
}

/// Offset of a part of a message.
fn place(message: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr() as usize - message.as_ptr() as usize;
    start..start + part.len()
}

/// Where the header section ends: the blank line's offset. `None` where there is no
/// blank line, so that nothing can be put before it.
fn blank_line(message: &Message<'_>) -> Option<usize> {
    let bytes = message.bytes();
    let head = &bytes[..bytes.len() - message.body_on_wire()];
    let blank = if head.ends_with(b"\n\r\n") {
        2
    } else if head.ends_with(b"\n\n") {
        1
    } else {
        return None;
    };
    Some(head.len() - blank)
}

/// Whether a header of that name is in the message.
pub(super) fn has(message: &Message<'_>, name: &[u8]) -> bool {
    message.headers().any(|header| header.raw_name.eq_ignore_ascii_case(name))
}

/// Adds the changed message to `out`; false, and nothing added, where it has no
/// blank line.
pub(super) fn write(message: &Message<'_>, changes: &Changes<'_>, out: &mut Vec<u8>) -> bool {
    let Some(blank) = blank_line(message) else { return false };
    let bytes = message.bytes();
    let mut done = 0;
    let mut copy_to = |out: &mut Vec<u8>, to: usize, next: usize| {
        out.extend_from_slice(&bytes[done..to]);
        done = next;
    };
    if let StartLine::Request { uri, .. } = message.start()
        && !changes.uri.is_empty()
    {
        let uri = place(bytes, uri);
        copy_to(out, uri.start, uri.end);
        out.extend_from_slice(changes.uri);
    }
    let mut headers = message.headers().peekable();
    while let Some(header) = headers.next() {
        if !header.raw_name.eq_ignore_ascii_case(changes.forged) {
            continue;
        }
        let start = place(bytes, header.raw_name).start;
        let end = headers.peek().map_or(blank, |next| place(bytes, next.raw_name).start);
        copy_to(out, start, end);
    }
    copy_to(out, blank, blank);
    if !changes.header.is_empty() {
        out.extend_from_slice(changes.header);
        out.extend_from_slice(b"\r\n");
    }
    copy_to(out, bytes.len(), bytes.len());
    true
}

/// Writes to `out` what a Request-URI becomes when the call is diverted to `target`;
/// nothing where it cannot be.
///
/// User and host are the target's where it has them; scheme, port of an unchanged
/// host and parameters stay. A tel URI with a new host becomes a sip URI (RFC 3261
/// section 19.1.6).
pub(super) fn diverted(message: &Message<'_>, target: &Target, out: &mut Vec<u8>) {
    out.clear();
    let Some(uri) = message.request_uri() else { return };
    let (user, host) = (target.user.as_deref(), target.host.as_deref());
    match (uri.scheme, host) {
        (Scheme::Tel, None) => {
            out.extend_from_slice(b"tel:");
            out.extend_from_slice(user.map_or(uri.user.unwrap_or_default(), str::as_bytes));
        }
        (Scheme::Tel, Some(host)) => {
            out.extend_from_slice(b"sip:");
            out.extend_from_slice(user.map_or(uri.user.unwrap_or_default(), str::as_bytes));
            out.push(b'@');
            out.extend_from_slice(host.as_bytes());
            out.extend_from_slice(b";user=phone");
        }
        (Scheme::Sip | Scheme::Sips, _) => {
            let Some(colon) = memchr::memchr(b':', uri.raw) else { return };
            let (scheme, rest) = uri.raw.split_at(colon + 1);
            let at = memchr::memchr(b'@', rest);
            let (own_user, behind) = match at {
                Some(at) => (Some(&rest[..at]), &rest[at + 1..]),
                None => (None, rest),
            };
            let end = memchr::memchr2(b';', b'?', behind).unwrap_or(behind.len());
            out.extend_from_slice(scheme);
            if let Some(user) = user.map(str::as_bytes).or(own_user) {
                out.extend_from_slice(user);
                out.push(b'@');
            }
            out.extend_from_slice(host.map_or(&behind[..end], str::as_bytes));
            out.extend_from_slice(&behind[end..]);
        }
        (Scheme::Other, _) => {}
    }
}
