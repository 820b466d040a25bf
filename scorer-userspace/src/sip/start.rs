//! First line of a message (RFC 3261 sections 7.1 and 7.2).

use super::text::{split_at_byte, starts_with, trim};

/// Request methods (RFC 3261, 3262, 3265, 3311, 3428, 3515, 3903, 6086).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the methods")]
pub enum Method {
    Invite,
    Ack,
    Bye,
    Cancel,
    Register,
    Options,
    Prack,
    Subscribe,
    Notify,
    Publish,
    Info,
    Refer,
    Message,
    Update,
    /// Any other token.
    Other,
}

const METHODS: [(&[u8], Method); 14] = [
    (b"INVITE", Method::Invite),
    (b"ACK", Method::Ack),
    (b"BYE", Method::Bye),
    (b"CANCEL", Method::Cancel),
    (b"REGISTER", Method::Register),
    (b"OPTIONS", Method::Options),
    (b"PRACK", Method::Prack),
    (b"SUBSCRIBE", Method::Subscribe),
    (b"NOTIFY", Method::Notify),
    (b"PUBLISH", Method::Publish),
    (b"INFO", Method::Info),
    (b"REFER", Method::Refer),
    (b"MESSAGE", Method::Message),
    (b"UPDATE", Method::Update),
];

impl Method {
    /// The method that `token` spells. Methods differ by case (RFC 3261 section
    /// 7.1), INVITE is taken in any: some stacks do, so an attacker may.
    pub fn parse(token: &[u8]) -> Self {
        if token == b"INVITE" || token.eq_ignore_ascii_case(b"INVITE") {
            return Self::Invite;
        }
        METHODS.iter().find(|(name, _)| *name == token).map_or(Self::Other, |(_, method)| *method)
    }
}

/// First line of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartLine<'a> {
    /// Request line.
    Request {
        /// Method.
        method: Method,
        /// Method as it stands.
        token: &'a [u8],
        /// Request-URI as it stands.
        uri: &'a [u8],
    },
    /// Status line.
    Status {
        /// Status code, 100–699.
        code: u16,
        /// Reason phrase.
        reason: &'a [u8],
    },
}

impl<'a> StartLine<'a> {
    /// Parses a line without its end; `None` when it is neither.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        if starts_with(line, b"SIP/") {
            let (_version, rest) = split_at_byte(line, b' ');
            let (code, reason) = split_at_byte(trim(rest?), b' ');
            let code = u16::try_from(super::text::number(code)?).ok()?;
            return (100..700)
                .contains(&code)
                .then(|| Self::Status { code, reason: trim(reason.unwrap_or_default()) });
        }
        let line = trim(line);
        let (token, rest) = split_at_byte(line, b' ');
        // The version is behind the last blank, so that a URI with blanks in it
        // (RFC 4475 section 3.1.2.7) is taken whole.
        let rest = trim(rest?);
        let version = memchr::memrchr(b' ', rest).map(|at| (at, &rest[at + 1..]));
        let uri = match version {
            Some((at, version)) if starts_with(version, b"SIP/") => trim(&rest[..at]),
            _ => return None,
        };
        let is_token = !token.is_empty() && token.iter().all(|byte| is_token(*byte));
        (is_token && !uri.is_empty()).then(|| Self::Request {
            method: Method::parse(token),
            token,
            uri,
        })
    }
}

/// RFC 3261 section 25.1, `token`.
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~')
}

#[cfg(test)]
mod tests {
    use super::{Method, StartLine};

    #[test]
    fn lines() {
        let request = |line| match StartLine::parse(line) {
            Some(StartLine::Request { method, uri, .. }) => (method, uri),
            other => panic!("{other:?}"),
        };
        assert_eq!(request(b"INVITE sip:a@b SIP/2.0"), (Method::Invite, &b"sip:a@b"[..]));
        assert_eq!(request(b"invite  sip:a@b  SIP/7.0 "), (Method::Invite, &b"sip:a@b"[..]));
        assert_eq!(request(b"ACK sip:a b@c SIP/2.0"), (Method::Ack, &b"sip:a b@c"[..]));
        assert_eq!(request(b"!interesting~Method x:y SIP/2.0").0, Method::Other);
        assert!(matches!(
            StartLine::parse(b"SIP/2.0 200 "),
            Some(StartLine::Status { code: 200, reason: b"" })
        ));
        for bad in [
            &b""[..],
            b"INVITE",
            b"INVITE sip:a@b",
            b"GET / HTTP/1.1",
            b"SIP/2.0 99 x",
            b"SIP/2.0 4294967301 better not break the receiver",
            b"SIP/2.0",
            b"A(B x SIP/2.0",
        ] {
            assert_eq!(StartLine::parse(bad), None, "{}", bad.escape_ascii());
        }
    }
}
