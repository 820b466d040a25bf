//! Replies to requests (RFC 3261 section 8.2.6), built with rsip.

use std::net::SocketAddr;

use rsip::{headers::UntypedHeader as _, message::HasHeaders as _, prelude::HeadersExt as _};

use super::{
    HeaderName, Message, Via,
    text::{is_blank, split_at_byte, split_value, trim},
    uri::split_param,
};

/// Why no reply can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// A reply needs this header of the request.
    #[error("the request has no {0} header, which a reply must repeat")]
    Missing(&'static str),
}

/// What a reply says beside what it repeats of the request.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// Status code.
    pub code: u16,
    /// Reason phrase.
    pub phrase: &'a str,
    /// To tag, where the request has none.
    pub tag: &'a str,
    /// Where the request came from: what the topmost Via is told (RFC 3581).
    pub peer: Option<SocketAddr>,
    /// Further headers, names and values, without line ends.
    pub headers: &'a [(&'a str, &'a str)],
}

/// Reply to `request` with `code` and its standard reason phrase; `tag` becomes
/// the To tag where the request has none.
///
/// # Errors
/// [`ReplyError`] when the request lacks what a reply must repeat.
pub fn reply(request: &Message<'_>, code: u16, tag: &str) -> Result<Vec<u8>, ReplyError> {
    let phrase = rsip::StatusCode::from(code).to_string();
    let phrase = phrase.split_once(' ').map_or("", |(_, phrase)| phrase);
    answer(request, &Answer { code, phrase, tag, peer: None, headers: &[] })
}

/// Reply to `request`. What is not UTF-8 in it is repeated with U+FFFD instead: a
/// reply that finds its transaction by the branch is better than none.
///
/// # Errors
/// [`ReplyError`] when the request lacks what a reply must repeat.
pub fn answer(request: &Message<'_>, answer: &Answer<'_>) -> Result<Vec<u8>, ReplyError> {
    let mut headers = rsip::Headers::default();
    for (i, via) in request.all(HeaderName::Via).enumerate() {
        let mut line = unfold(via);
        if let Some(peer) = answer.peer.filter(|_| i == 0) {
            line = told(&line, peer);
        }
        headers.push(rsip::headers::Via::new(line).into());
    }
    if headers.iter().next().is_none() {
        return Err(ReplyError::Missing("Via"));
    }
    let header =
        |name: HeaderName| request.header(name).map(unfold).ok_or(ReplyError::Missing(name.long()));
    let mut to = header(HeaderName::To)?;
    if request.to().is_some_and(|to| to.tag().is_none()) {
        to.push_str(";tag=");
        to.push_str(answer.tag);
    }
    headers.push(rsip::headers::From::new(header(HeaderName::From)?).into());
    headers.push(rsip::headers::To::new(to).into());
    headers.push(rsip::headers::CallId::new(header(HeaderName::CallId)?).into());
    headers.push(rsip::headers::CSeq::new(header(HeaderName::CSeq)?).into());
    for (name, value) in answer.headers {
        headers.push(rsip::Header::Other((*name).to_owned(), (*value).to_owned()));
    }
    headers.push(rsip::headers::ContentLength::new("0").into());
    let response = rsip::Response {
        status_code: rsip::StatusCode::Other(answer.code, answer.phrase.to_owned()),
        version: rsip::Version::V2,
        headers,
        body: Vec::new(),
    };
    debug_assert!(response.call_id_header().is_ok() && response.headers().iter().count() > 5);
    Ok(response.into())
}

/// Where a reply goes that answers a request from `peer` over UDP (RFC 3261 section
/// 18.2.2, RFC 3581 section 4): never to another address than the request came from.
pub fn destination(request: &Message<'_>, peer: SocketAddr) -> SocketAddr {
    let mut to = peer;
    if let Some(via) = request.top_via()
        && via.params.get(b"rport").is_none()
    {
        to.set_port(via.port.filter(|port| *port != 0).unwrap_or(5060));
    }
    to
}

/// A line of Via values, the first of which says where the request came from:
/// `received` where sent-by is not that address or `rport` was asked for, and `rport`
/// (RFC 3261 section 18.2.1, RFC 3581 section 4).
fn told(line: &str, peer: SocketAddr) -> String {
    let (first, others) = split_value(line.as_bytes());
    let (sent_by, params) = split_at_byte(first, b';');
    let mut out = text(sent_by);
    let mut rest = params.unwrap_or_default();
    let mut asked = false;
    while !rest.is_empty() {
        let (param, after) = split_param(rest);
        rest = after;
        let name = trim(split_at_byte(param, b'=').0);
        asked |= name.eq_ignore_ascii_case(b"rport");
        let ours = [&b"rport"[..], b"received"].iter().any(|our| name.eq_ignore_ascii_case(our));
        if !ours && !name.is_empty() {
            out.push(';');
            out.push_str(&text(param));
        }
    }
    let address = peer.ip().to_canonical();
    let host = Via::parse(first).and_then(|via| std::str::from_utf8(via.host).ok()?.parse().ok());
    if asked || host != Some(address) {
        out.push_str(";received=");
        out.push_str(&address.to_string());
    }
    if asked {
        out.push_str(";rport=");
        out.push_str(&peer.port().to_string());
    }
    if !others.is_empty() {
        out.push_str(", ");
        out.push_str(&text(others));
    }
    out
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(trim(bytes)).into_owned()
}

/// A value on one line.
fn unfold(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    let mut line = String::with_capacity(text.len());
    let blank = |c: char| u8::try_from(c).is_ok_and(is_blank);
    for part in text.split(blank).filter(|part| !part.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(part);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::{destination, told};
    use crate::sip::{Message, Scratch};

    #[test]
    fn via_says_where_the_request_came_from() {
        let told = |line: &str| told(line, "192.0.2.9:6000".parse().expect("an address"));
        assert_eq!(
            told("SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK1"),
            "SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK1"
        );
        assert_eq!(
            told(
                "SIP/2.0/UDP 10.0.0.1;rport;branch=z9hG4bK1;received=1.2.3.4, SIP/2.0/UDP b;rport"
            ),
            "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1;received=192.0.2.9;rport=6000, SIP/2.0/UDP b;rport"
        );
        assert_eq!(told("SIP/2.0/UDP edge.example"), "SIP/2.0/UDP edge.example;received=192.0.2.9");
        assert_eq!(
            told("SIP/2.0/UDP h;x=\"a;rport\";;rport=1"),
            "SIP/2.0/UDP h;x=\"a;rport\";received=192.0.2.9;rport=6000"
        );
    }

    #[test]
    fn replies_go_where_requests_come_from() {
        let to = |via: &str| {
            let text = format!("INVITE sip:a@b SIP/2.0\r\nVia: {via}\r\n\r\n");
            let mut scratch = Scratch::new();
            let request = Message::parse(text.as_bytes(), None, &mut scratch).expect("a request");
            destination(&request, "192.0.2.9:6000".parse().expect("an address")).to_string()
        };
        assert_eq!(to("SIP/2.0/UDP 10.0.0.1:5080;rport"), "192.0.2.9:6000");
        assert_eq!(to("SIP/2.0/UDP 10.0.0.1:5080;maddr=198.51.100.1"), "192.0.2.9:5080");
        assert_eq!(to("SIP/2.0/UDP 10.0.0.1"), "192.0.2.9:5060");
        assert_eq!(to("SIP/2.0/UDP 10.0.0.1:0"), "192.0.2.9:5060");
    }
}
