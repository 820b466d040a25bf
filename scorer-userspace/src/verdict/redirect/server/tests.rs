//! Requests, good and hostile.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use proptest::prelude::*;
use scorer_common::verdict::Action;

use super::{PENDING, Server, Step};
use crate::{
    policy::{Decision, Response},
    sip::{HeaderName, Message, Scratch, StartLine},
    verdict::{
        recent::{Outcome, tests::assessed},
        redirect::{Outbox, RedirectConfig, RedirectStats},
    },
};

const PEER: &str = "192.0.2.9:6000";

fn peer() -> SocketAddr {
    PEER.parse().expect("an address")
}

fn server(config: RedirectConfig) -> Server {
    let local = "192.0.2.1:5070".parse().expect("an address");
    Server::new(config, local, Arc::new(RedirectStats::default()))
}

fn request(method: &str, id: &str, more: &str) -> Vec<u8> {
    format!(
        "{method} sip:+442079460123@h SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1;rport;branch=z9hG4bK{id}\r\n\
         Via: SIP/2.0/UDP 192.0.2.77;branch=z9hG4bKc\r\nFrom: <sip:+441632960001@c>;tag=f{id}\r\n\
         To: <sip:+442079460123@h>{more}\r\nCall-ID: {id}\r\nCSeq: 1 {method}\r\n\r\n"
    )
    .into_bytes()
}

/// Code of an answer that has all that it must have.
fn code(answer: &(SocketAddr, Vec<u8>)) -> u16 {
    let mut scratch = Scratch::new();
    let message = Message::parse(&answer.1, None, &mut scratch).expect("a message");
    for name in [HeaderName::Via, HeaderName::From, HeaderName::CallId, HeaderName::CSeq] {
        assert!(message.has(name), "{}", answer.1.escape_ascii());
    }
    assert!(message.to().is_some_and(|to| to.tag().is_some()));
    match *message.start() {
        StartLine::Status { code, .. } => code,
        StartLine::Request { .. } => panic!("no answer"),
    }
}

#[test]
fn an_invite_is_asked_about_once_and_answered_alike() {
    let (mut server, now, mut out) = (server(RedirectConfig::default()), Instant::now(), vec![]);
    let invite = request("INVITE", "a", "");
    let Step::Ask(number) = server.take(&invite, peer(), now, &mut out) else { panic!("asked") };
    assert_eq!(server.ids(number), Some((&b"a"[..], &b"fa"[..])));
    assert_eq!(server.take(&invite, peer(), now, &mut out), Step::Done);
    assert!(out.is_empty(), "a retransmission meanwhile");
    let reject =
        Decision { action: Action::Reject, response: Response::Unwanted, ..Decision::PASS };
    assessed("a", "fa", reject, |assessment| {
        let outcome = Outcome::of(assessment);
        assert_eq!(server.verdict(b"a", b"other", &outcome, now, &mut out), 0);
        assert_eq!(server.verdict(b"a", b"fa", &outcome, now, &mut out), 1);
    });
    assert_eq!((out[0].0, code(&out[0])), (peer(), 607));
    let text = String::from_utf8(out[0].1.clone()).expect("text");
    assert!(text.starts_with("SIP/2.0 607 Unwanted\r\n"), "{text}");
    let via = "Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKa;received=192.0.2.9;rport=6000\r\n";
    assert!(text.contains(via) && text.contains("X-Call-Risk: 87;level=high;"), "{text}");
    // ACKs are absorbed, retransmissions get the same to the byte.
    assert_eq!(server.take(&request("ACK", "a", ";tag=x"), peer(), now, &mut out), Step::Done);
    assert_eq!(server.take(&invite, peer(), now, &mut out), Step::Done);
    assert_eq!((out.len(), &out[0].1), (2, &out[1].1));
    server.answer(number, None, now, &mut out);
    assert_eq!(out.len(), 2, "answered once");
    // Found by its branch when cancelled too late.
    server.take(&request("CANCEL", "a", ""), peer(), now, &mut out);
    assert_eq!(code(&out[2]), 200);
}

#[test]
fn what_is_late_or_too_many_goes_on() {
    let config = RedirectConfig { allow_code: 404, ..RedirectConfig::default() };
    let (mut server, now, mut out) = (server(config), Instant::now(), vec![]);
    assert_eq!(server.patience(now), None);
    for i in 0..PENDING {
        let step = server.take(&request("INVITE", &i.to_string(), ""), peer(), now, &mut out);
        assert!(matches!(step, Step::Ask(_)));
    }
    assert!(out.is_empty());
    let more = request("INVITE", "more", "");
    assert_eq!(server.take(&more, peer(), now, &mut out), Step::Done);
    assert_eq!(code(&out[0]), 404);
    server.expire(now + Duration::from_millis(49), &mut out);
    assert_eq!(out.len(), 1);
    assert_eq!(server.patience(now), Some(Duration::from_millis(50)));
    server.expire(now + Duration::from_millis(50), &mut out);
    assert_eq!(out.len(), PENDING + 1);
    assert!(out.iter().all(|answer| code(answer) == 404));
    assert!(!String::from_utf8_lossy(&out[5].1).contains("X-Call-Risk"));
    let stats = server.stats();
    assert_eq!((stats.events.busy.get(), stats.events.late.get()), (1, PENDING as u64));
    assert_eq!(stats.answers().collect::<Vec<_>>(), [(404, PENDING as u64 + 1)]);
}

#[test]
fn other_methods() {
    let (mut server, now, mut out) = (server(RedirectConfig::default()), Instant::now(), vec![]);
    for (method, more, expected) in [
        ("OPTIONS", "", 200),
        ("CANCEL", "", 481),
        ("BYE", ";tag=x", 481),
        ("INVITE", ";tag=x", 481),
        ("REGISTER", "", 405),
        ("MESSAGE", "", 405),
        ("FROBNICATE", "", 501),
    ] {
        let bytes = request(method, "o", more);
        assert_eq!(server.take(&bytes, peer(), now, &mut out), Step::Done);
        let answer = out.pop().expect("an answer");
        assert_eq!(code(&answer), expected, "{method}");
    }
    // A CANCEL in time: 200 to it, 487 to the INVITE.
    let step = server.take(&request("INVITE", "c", ""), peer(), now, &mut out);
    assert!(matches!(step, Step::Ask(_)));
    server.take(&request("CANCEL", "c", ""), peer(), now, &mut out);
    assert_eq!(out.iter().map(code).collect::<Vec<_>>(), [200, 487]);
    out.clear();
    for silent in [
        &b"\r\n\r\n"[..],
        b"",
        b"rubbish",
        b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a\r\n\r\n",
        b"INVITE sip:a@b SIP/2.0\r\n\r\n",
        b"OPTIONS sip:a@b SIP/2.0\r\nVia: rubbish\r\nFrom: a\r\nTo: b\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n\r\n",
        b"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nFrom: a\r\nTo: b\r\nCall-ID: c\r\nCSeq: 1 BYE\r\n\r\n",
    ] {
        assert_eq!(server.take(silent, peer(), now, &mut out), Step::Done);
    }
    assert!(out.is_empty());
    assert_eq!(server.stats().events.malformed.get(), 5);
}

#[test]
fn only_peers_may_ask() {
    let peers = vec![("10.0.0.0".parse().expect("an address"), 8)];
    let config = RedirectConfig { peers, ..RedirectConfig::default() };
    let (mut server, now, mut out) = (server(config), Instant::now(), vec![]);
    server.take(&request("OPTIONS", "o", ""), peer(), now, &mut out);
    assert!(out.is_empty());
    let mapped = "[::ffff:10.1.2.3]:5060".parse().expect("an address");
    server.take(&request("OPTIONS", "o", ""), mapped, now, &mut out);
    assert_eq!(out.len(), 1);
}

/// Everything that comes of one datagram, verdicts included.
fn drive(server: &mut Server, datagram: &[u8], out: &mut Outbox) {
    let now = Instant::now();
    if let Step::Ask(number) = server.take(datagram, peer(), now, out) {
        let frame = server.frame(number);
        assert!(frame.is_none_or(|frame| frame.len() > datagram.len() / 2));
        assessed("x", "t", Decision::PASS, |assessment| {
            server.answer(number, Some(&Outcome::of(assessment)), now, out);
        });
    }
}

proptest! {
    #[test]
    fn no_bytes_do_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut out = vec![];
        drive(&mut server(RedirectConfig::default()), &bytes, &mut out);
        prop_assert!(out.is_empty());
    }

    /// Any bytes in place of any header's value, of the URI, and of whole lines: at
    /// most one answer, and one that our own parser reads, with the headers that we
    /// put in once and nothing else put in.
    #[test]
    fn hostile_requests(
        uri in prop::collection::vec(any::<u8>(), 1..40),
        values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 5),
        line in 0usize..6,
        via in any::<bool>(),
    ) {
        let names = ["Via: SIP/2.0/UDP a;", "From: ", "To: ", "Call-ID: ", "X: "];
        let mut bytes = b"INVITE ".to_vec();
        bytes.extend_from_slice(&uri);
        bytes.extend_from_slice(b" SIP/2.0\r\nCSeq: 1 INVITE\r\n");
        for (i, (name, value)) in names.iter().zip(&values).enumerate() {
            bytes.extend_from_slice(name.as_bytes());
            // One of them hostile, the others plain.
            if i == line { bytes.extend_from_slice(value) } else { bytes.extend_from_slice(b"<sip:a@b>") }
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        let mut out = vec![];
        let config = RedirectConfig { source_from_via: via, ..RedirectConfig::default() };
        drive(&mut server(config), &bytes, &mut out);
        prop_assert!(out.len() <= 1);
        for (to, answer) in &out {
            prop_assert_eq!(to.ip(), peer().ip());
            let mut scratch = Scratch::new();
            let message = Message::parse(&answer[..], None, &mut scratch).expect("readable");
            let lines = message.headers().filter(|header| header.raw_name == b"Contact").count();
            prop_assert_eq!(lines, 1);
            prop_assert!(!message.has(HeaderName::Other) || message.headers().filter(|h| h.raw_name == b"X-Call-Risk").count() == 1);
            prop_assert!(message.headers().len() <= 12, "{}", answer.escape_ascii());
        }
    }
}
