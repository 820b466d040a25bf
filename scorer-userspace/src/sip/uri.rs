//! URIs, name-addr values, parameters (RFC 3261 section 19.1 and 25.1, RFC 3966).

use super::{
    find, find2, same,
    text::{is_blank, number, quoted, split_at_byte, starts_with, trim},
};

/// A URI's scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the schemes")]
pub enum Scheme {
    Sip,
    Sips,
    Tel,
    Other,
}

impl Scheme {
    #[inline]
    fn parse(text: &[u8]) -> Self {
        match text {
            // As nearly all are written.
            b"sip" => return Self::Sip,
            b"tel" => return Self::Tel,
            _ => {}
        }
        let text = trim(text);
        [(&b"sip"[..], Self::Sip), (b"sips", Self::Sips), (b"tel", Self::Tel)]
            .into_iter()
            .find(|(name, _)| text.eq_ignore_ascii_case(name))
            .map_or(Self::Other, |(_, scheme)| scheme)
    }
}

/// A URI, its parts as they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uri<'a> {
    /// All of it.
    pub raw: &'a [u8],
    /// Scheme.
    pub scheme: Scheme,
    /// User part without its parameters and password; the number of a tel URI.
    /// Escapes as they stand.
    pub user: Option<&'a [u8]>,
    /// User part with its parameters, without the password.
    pub user_full: Option<&'a [u8]>,
    /// Parameters in the user part (`;npdi;rn=…` before the @).
    pub user_params: Params<'a>,
    /// Host without brackets; empty for tel.
    pub host: &'a [u8],
    /// Port.
    pub port: Option<u16>,
    /// URI parameters.
    pub params: Params<'a>,
}

impl<'a> Uri<'a> {
    /// Parses one URI; what is not sip, sips or tel has only `raw`.
    pub fn parse(raw: &'a [u8]) -> Self {
        let raw = trim(raw);
        let mut uri = Self {
            raw,
            scheme: Scheme::Other,
            user: None,
            user_full: None,
            user_params: Params(&[]),
            host: &[],
            port: None,
            params: Params(&[]),
        };
        let (scheme, Some(rest)) = split_at_byte(raw, b':') else { return uri };
        uri.scheme = Scheme::parse(scheme);
        if uri.scheme == Scheme::Tel {
            let (number, params) = split_at_byte(rest, b';');
            uri.user = Some(trim(number));
            uri.user_full = uri.user;
            uri.params = Params(params.unwrap_or_default());
            return uri;
        }
        if uri.scheme == Scheme::Other {
            return uri;
        }
        // An @ must be escaped everywhere but behind the user part.
        let (before, after) = split_at_byte(rest, b'@');
        let host = if let Some(host) = after {
            let (full, _password) = split_at_byte(before, b':');
            let (user, params) = split_at_byte(full, b';');
            uri.user = Some(user);
            uri.user_full = Some(full);
            uri.user_params = Params(params.unwrap_or_default());
            host
        } else {
            rest
        };
        let end = find2(host, b';', b'?').unwrap_or(host.len());
        (uri.host, uri.port) = host_port(&host[..end]);
        if host.get(end) == Some(&b';') {
            uri.params = Params(split_at_byte(&host[end + 1..], b'?').0);
        }
        uri
    }
}

/// Host without brackets, and port where it is one.
pub(super) fn host_port(text: &[u8]) -> (&[u8], Option<u16>) {
    let text = trim(text);
    let (host, port) = if let [b'[', rest @ ..] = text {
        let (host, after) = split_at_byte(rest, b']');
        (host, after.and_then(|after| split_at_byte(after, b':').1))
    } else {
        split_at_byte(text, b':')
    };
    let port = port.and_then(number).and_then(|port| u16::try_from(port).ok());
    (trim(host), port)
}

/// `name=value` pairs between semicolons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Params<'a>(pub &'a [u8]);

impl<'a> Params<'a> {
    /// Value of the first `name` (compared without case), unquoted; empty for a flag.
    #[inline]
    pub fn get(&self, name: &[u8]) -> Option<&'a [u8]> {
        // Most often there are none.
        if self.0.is_empty() { None } else { self.search(name) }
    }

    fn search(&self, name: &[u8]) -> Option<&'a [u8]> {
        let first = name.first()? | 0x20;
        let mut rest = self.0;
        while !rest.is_empty() {
            let (param, after) = split_param(rest);
            rest = after;
            // Nearly all others are told by their first letter.
            let may_be = param.first().is_some_and(|byte| byte | 0x20 == first || is_blank(*byte));
            if may_be
                && let (key, value) = split_at_byte(param, b'=')
                && (same(key, name) || trim(key).eq_ignore_ascii_case(name))
            {
                return Some(unquote(trim(value.unwrap_or_default())));
            }
        }
        None
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            while !rest.is_empty() {
                let (param, after) = split_param(rest);
                rest = after;
                let (name, value) = split_at_byte(param, b'=');
                let name = trim(name);
                if !name.is_empty() {
                    return Some((name, unquote(trim(value.unwrap_or_default()))));
                }
            }
            None
        })
    }
}

/// Splits at the first semicolon that is not in a quoted string.
pub(super) fn split_param(text: &[u8]) -> (&[u8], &[u8]) {
    let mut from = 0;
    while let Some(at) = find2(&text[from..], b';', b'"') {
        let at = from + at;
        if text[at] == b';' {
            return (&text[..at], &text[at + 1..]);
        }
        from = at + quoted(&text[at..]);
    }
    (text, &[])
}

fn unquote(text: &[u8]) -> &[u8] {
    match text {
        [b'"', inner @ .., b'"'] => inner,
        _ => text,
    }
}

/// `"display" <uri>;params` or `uri;params`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameAddr<'a> {
    /// Display name, without quotes, escapes as they stand.
    pub display: Option<&'a [u8]>,
    /// URI.
    pub uri: Uri<'a>,
    /// Header parameters.
    pub params: Params<'a>,
}

impl<'a> NameAddr<'a> {
    /// Parses one value; `None` when it is empty or `*`.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let value = trim(value);
        if value.is_empty() || value == b"*" {
            return None;
        }
        let (display, rest) = if value[0] == b'"' {
            let (name, rest) = value.split_at(quoted(value));
            (Some(unquote(name)), rest)
        } else {
            (None, value)
        };
        let Some(open) = find(rest, b'<') else {
            // Without brackets parameters are the header's (RFC 3261 section 20).
            let (uri, params) = split_bare(trim(rest));
            return Some(Self { display, uri: Uri::parse(uri), params: Params(params) });
        };
        let before = trim(&rest[..open]);
        let display = display.or((!before.is_empty()).then_some(before));
        let (uri, after) = split_at_byte(&rest[open + 1..], b'>');
        let params = after.and_then(|after| split_at_byte(after, b';').1).unwrap_or_default();
        Some(Self { display, uri: Uri::parse(uri), params: Params(params) })
    }

    /// The `tag` parameter.
    pub fn tag(&self) -> Option<&'a [u8]> {
        self.params.get(b"tag")
    }
}

/// Splits a URI without brackets from header parameters: at the first semicolon
/// behind the user part, which may hold some itself.
fn split_bare(text: &[u8]) -> (&[u8], &[u8]) {
    let user_end = find(text, b'@').unwrap_or(0);
    match find(&text[user_end..], b';') {
        Some(at) => (&text[..user_end + at], &text[user_end + at + 1..]),
        None => (text, &[]),
    }
}

/// One Via value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via<'a> {
    /// `UDP`, `TCP`, `TLS`, … as it stands.
    pub transport: &'a [u8],
    /// sent-by host, without brackets.
    pub host: &'a [u8],
    /// sent-by port.
    pub port: Option<u16>,
    /// Parameters: branch, received, rport, ….
    pub params: Params<'a>,
}

impl<'a> Via<'a> {
    /// Parses one value. Blanks around the slashes are legal.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let value = trim(value);
        // As nearly all write it.
        let rest = if let Some(rest) = value.strip_prefix(b"SIP/2.0/") {
            rest
        } else if starts_with(value, b"SIP") {
            let (_protocol, rest) = split_at_byte(value, b'/');
            split_at_byte(rest?, b'/').1?
        } else {
            return None;
        };
        let rest = trim(rest);
        let end = rest.iter().position(|b| is_blank(*b)).unwrap_or(rest.len());
        let (transport, rest) = rest.split_at(end);
        let (sent_by, params) = split_at_byte(rest, b';');
        let (host, port) = host_port(sent_by);
        Some(Self { transport, host, port, params: Params(params.unwrap_or_default()) })
    }

    /// The `branch` parameter.
    pub fn branch(&self) -> Option<&'a [u8]> {
        self.params.get(b"branch")
    }
}

#[cfg(test)]
mod tests {
    use super::{NameAddr, Scheme, Uri, Via};

    #[test]
    fn uris() {
        let uri = Uri::parse(b"sip:+44123;npdi:pw@[2001:db8::1]:5070;user=phone;lr?Subject=a");
        assert_eq!(uri.scheme, Scheme::Sip);
        assert_eq!(uri.user, Some(&b"+44123"[..]));
        assert_eq!(uri.user_full, Some(&b"+44123;npdi"[..]));
        assert_eq!(uri.user_params.get(b"NPDI"), Some(&b""[..]));
        assert_eq!((uri.host, uri.port), (&b"2001:db8::1"[..], Some(5070)));
        assert_eq!(uri.params.get(b"user"), Some(&b"phone"[..]));
        assert_eq!(uri.params.get(b"lr"), Some(&b""[..]));
        let tel = Uri::parse(b"TEL:+44-20-7946;phone-context=x");
        assert_eq!((tel.scheme, tel.user), (Scheme::Tel, Some(&b"+44-20-7946"[..])));
        let host = Uri::parse(b"sips:example.com:99999");
        assert_eq!((host.user, host.host, host.port), (None, &b"example.com"[..], None));
        assert_eq!(Uri::parse(b"http://x@y").scheme, Scheme::Other);
        assert_eq!(Uri::parse(b"").scheme, Scheme::Other);
    }

    #[test]
    fn name_addrs() {
        let a = NameAddr::parse(b"\"A \\\"B\\\" <x>\" <sip:1@h;p=1>;tag=\"q;r\";x").unwrap();
        assert_eq!(a.display, Some(&b"A \\\"B\\\" <x>"[..]));
        assert_eq!(a.uri.user, Some(&b"1"[..]));
        assert_eq!(a.uri.params.get(b"p"), Some(&b"1"[..]));
        assert_eq!((a.tag(), a.params.get(b"x")), (Some(&b"q;r"[..]), Some(&b""[..])));
        let b = NameAddr::parse(b"sip:a;b@h;tag=1").unwrap();
        assert_eq!((b.uri.user, b.tag()), (Some(&b"a"[..]), Some(&b"1"[..])));
        let c = NameAddr::parse(b"Bell, Alexander\r\n <sip:c@h>\r\n ; tag = 2").unwrap();
        assert_eq!(c.display, Some(&b"Bell, Alexander"[..]));
        assert_eq!(c.tag(), Some(&b"2"[..]));
        let d = NameAddr::parse(b"<sip:d@h").unwrap();
        assert_eq!(d.uri.host, b"h");
        assert!(NameAddr::parse(b" * ").is_none());
    }

    #[test]
    fn vias() {
        let via =
            Via::parse(b"SIP / 2.0\r\n / UDP  first.example.com: 4000;ttl=16 ;branch=z9").unwrap();
        assert_eq!(
            (via.transport, via.host, via.port),
            (&b"UDP"[..], &b"first.example.com"[..], Some(4000))
        );
        assert_eq!(via.branch(), Some(&b"z9"[..]));
        let six = Via::parse(b"SIP/2.0/TCP [2001:db8::9]:5060").unwrap();
        assert_eq!(six.host, b"2001:db8::9");
        assert!(Via::parse(b"HTTP/1.1").is_none());
    }
}
