//! Frames before and after the judge, read back with etherparse.

use std::{net::IpAddr, sync::Arc};

use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
use proptest::prelude::*;
use scorer_common::{
    Verdict, steer,
    verdict::{Action, NO_REASON, Tag, VERSION},
};

use super::{Fresh, Judge, JudgeConfig, JudgeStats, Plan};
use crate::{
    policy::{Response, Target},
    sip::{HeaderName, Message, Scratch},
};

const INVITE: &str = "INVITE sip:+442079460123@edge.example.net:5070;user=phone SIP/2.0\r\n\
Via: SIP/2.0/UDP 10.0.0.9:5080;branch=z9hG4bK-1;rport, SIP/2.0/UDP 10.0.0.8;branch=z9hG4bK-0\r\n\
Max-Forwards: 69\r\n\
To: <sip:+442079460123@edge.example.net>\r\n\
From: \"Alice\" <sip:+441632960001@carrier.example.net>;tag=8f3b\r\n\
Call-ID: a1@192.0.2.1\r\n\
CSeq: 7 INVITE\r\n\
Content-Type: application/sdp\r\n\
Content-Length: 5\r\n\
\r\n\
v=0\r\n";

const FORGED: &str = "x-call-risk: 0;level=low\r\n ;model=mine\r\nVia: ";

fn config() -> JudgeConfig {
    JudgeConfig {
        header: "X-Call-Risk".into(),
        mtu_onwards: 1_500,
        mtu_back: 1_500,
        call_info: Some("<https://example.com/jcard>;purpose=jwscard".into()),
        observe: false,
    }
}

fn verdict(tags: u32) -> Verdict {
    Verdict {
        version: VERSION,
        score: 87,
        level: 2,
        action: 0,
        tags,
        call: 0xab,
        timestamp: 1,
        fingerprint: 2,
        model: 3,
        reasons: [NO_REASON; 5],
        reserved: [0; 6],
        probability: 0.87,
        latency: 5,
    }
}

fn fresh(action: Action) -> Fresh {
    let target = Target { user: Some("900".into()), host: Some("ivr.example.net:5090".into()) };
    Fresh {
        verdict: verdict(0),
        action,
        response: Response::Rejected,
        target: (action == Action::Divert).then(|| Arc::new(target)),
    }
}

/// A judge that has been told what to do with the next frame.
fn told(action: Action) -> Judge {
    let mut judge = Judge::new(config());
    judge.fresh = Some(fresh(action));
    judge.model = Arc::from("ensemble-1");
    judge
}

fn udp4(text: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
        .ipv4([192, 0, 2, 1], [192, 0, 2, 2], 61)
        .udp(5066, 5060);
    let mut frame = Vec::new();
    builder.write(&mut frame, text).unwrap();
    frame
}

fn udp6(text: &[u8]) -> Vec<u8> {
    let (mut a, mut b) = ([0; 16], [0; 16]);
    (a[0], a[15], b[0], b[15]) = (0xfd, 1, 0xfd, 2);
    let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
        .ipv6(a, b, 61)
        .udp(5066, 5060);
    let mut frame = Vec::new();
    builder.write(&mut frame, text).unwrap();
    frame
}

fn tagged(frame: &[u8]) -> Vec<u8> {
    [&frame[..12], &[0x88, 0xa8, 0, 7, 0x81, 0, 0, 9], &frame[12..]].concat()
}

/// A frame's addresses, ports and text; fails where a length or checksum is wrong.
struct Read {
    source: (IpAddr, u16),
    destination: (IpAddr, u16),
    text: String,
}

fn read(frame: &[u8]) -> Read {
    let packet = SlicedPacket::from_ethernet(frame).expect("a frame");
    let Some(TransportSlice::Udp(udp)) = packet.transport else { panic!("no UDP") };
    let (header, payload) = (udp.to_header(), udp.payload());
    assert_eq!(usize::from(header.length), payload.len() + 8);
    let (source, destination) = match packet.net.expect("IP") {
        NetSlice::Ipv4(ip) => {
            let head = ip.header().to_header();
            assert_eq!(head.header_checksum, head.calc_header_checksum());
            if header.checksum != 0 {
                let sum = header.calc_checksum_ipv4_raw(head.source, head.destination, payload);
                assert_eq!(header.checksum, sum.unwrap());
            }
            (IpAddr::from(head.source), IpAddr::from(head.destination))
        }
        NetSlice::Ipv6(ip) => {
            let head = ip.header().to_header();
            let sum = header.calc_checksum_ipv6_raw(head.source, head.destination, payload);
            assert_eq!(header.checksum, sum.unwrap());
            (IpAddr::from(head.source), IpAddr::from(head.destination))
        }
        NetSlice::Arp(_) => panic!("ARP"),
    };
    Read {
        source: (source, header.source_port),
        destination: (destination, header.destination_port),
        text: String::from_utf8(payload.to_vec()).expect("text"),
    }
}

const LINE: &str = "X-Call-Risk: 87;level=high;model=ensemble-1;id=00000000000000ab\r\n";

#[test]
fn tag_goes_in_and_forged_ones_come_out() {
    let forged = INVITE
        .replacen("Via: ", FORGED, 1)
        .replace("Content-Type", "X-CALL-RISK : 1\r\nContent-Type");
    let wanted = INVITE.replace("\r\n\r\n", &format!("\r\n{LINE}\r\n"));
    for frame in
        [udp4(forged.as_bytes()), udp6(forged.as_bytes()), tagged(&udp4(forged.as_bytes()))]
    {
        let mut judge = told(Action::Tag);
        assert_eq!(judge.judge(&frame), Plan::OnChanged);
        let out = read(judge.out());
        assert_eq!(out.text, wanted);
        assert_eq!(out.source.1, 5066);
        // VLAN tags and addresses as they were.
        assert_eq!(judge.out()[..14], frame[..14]);
        assert_eq!((judge.stats().tagged, judge.stats().forged), (1, 1));
        // A retransmission, of which the engine says nothing, gets the same; a fork
        // with another branch agrees.
        let first = judge.out().to_vec();
        assert_eq!(judge.judge(&frame), Plan::OnChanged);
        assert_eq!(judge.out(), first);
        let fork = udp4(forged.replace("z9hG4bK-1", "z9hG4bK-2").as_bytes());
        assert_eq!(judge.judge(&fork), Plan::OnChanged);
        assert!(read(judge.out()).text.contains(LINE));
        // CANCEL and ACK go on in the kernel from now on.
        assert_eq!(judge.take_followed(), None);
        let cancel = INVITE.replacen("INVITE", "CANCEL", 1).replace("7 INVITE", "7 CANCEL");
        assert_eq!(judge.judge(&udp4(cancel.as_bytes())), Plan::On);
    }
}

#[test]
fn pass_touches_nothing_but_forged_headers() {
    let frame = udp4(INVITE.as_bytes());
    let mut judge = told(Action::Pass);
    assert_eq!(judge.judge(&frame), Plan::On);
    let forged = INVITE.replacen("Via: ", FORGED, 1);
    let mut judge = told(Action::Pass);
    assert_eq!(judge.judge(&udp4(forged.as_bytes())), Plan::OnChanged);
    assert_eq!(read(judge.out()).text, INVITE);
    // Without a word of the engine and without memory it goes on.
    assert_eq!(Judge::new(config()).judge(&frame), Plan::On);
}

#[test]
fn observing_changes_nothing() {
    let forged = INVITE.replacen("Via: ", FORGED, 1);
    for action in [Action::Tag, Action::Divert, Action::Reject, Action::Drop] {
        let mut judge = told(action);
        judge.config.observe = true;
        for _ in 0..2 {
            assert_eq!(judge.judge(&udp4(forged.as_bytes())), Plan::On);
        }
        assert_eq!(judge.stats(), &JudgeStats { observed: 1, passed: 2, ..JudgeStats::default() });
    }
}

#[test]
fn emergency_calls_are_never_acted_on() {
    for action in [Action::Tag, Action::Divert, Action::Reject, Action::Drop] {
        let mut judge = told(action);
        judge.fresh.as_mut().unwrap().verdict = verdict(1 << Tag::Emergency as u32);
        assert_eq!(judge.judge(&udp4(INVITE.as_bytes())), Plan::On);
        assert_eq!(judge.stats().emergency, 1);
    }
}

#[test]
fn divert_is_the_same_for_all_that_belongs_to_the_invite() {
    let mut judge = told(Action::Divert);
    let frame = udp4(INVITE.as_bytes());
    for _ in 0..2 {
        assert_eq!(judge.judge(&frame), Plan::OnChanged);
        let text = read(judge.out()).text;
        assert!(
            text.starts_with("INVITE sip:900@ivr.example.net:5090;user=phone SIP/2.0\r\n"),
            "{text}"
        );
        assert!(text.contains(LINE) && text.contains("To: <sip:+442079460123@edge"), "{text}");
        assert_eq!(judge.take_followed(), Some(steer::call_hash(b"a1@192.0.2.1")));
    }
    let of = |method: &str| {
        let text = INVITE.replacen("INVITE", method, 1).replace("7 INVITE", &format!("7 {method}"));
        udp4(text.as_bytes())
    };
    for method in ["CANCEL", "ACK"] {
        assert_eq!(judge.judge(&of(method)), Plan::OnChanged, "{method}");
        let text = read(judge.out()).text;
        assert!(text.starts_with(&format!("{method} sip:900@ivr.example.net:5090;")), "{text}");
        assert!(!text.contains("X-Call-Risk"), "{text}");
    }
    // The ACK of a 2xx goes where the callee's Contact says.
    let ack = INVITE
        .replacen("INVITE sip:+442079460123@edge.example.net:5070", "ACK sip:me@10.1.1.1", 1)
        .replace("7 INVITE", "7 ACK");
    assert_eq!(judge.judge(&udp4(ack.as_bytes())), Plan::On);
    // Another call of the same parties is another call.
    let other = INVITE.replace("a1@", "a2@");
    assert_eq!(judge.judge(&udp4(other.as_bytes())), Plan::On);
    assert_eq!((judge.stats().diverted, judge.stats().followed), (2, 2));
}

#[test]
fn diverted_uris() {
    let target = |user: Option<&str>, host: Option<&str>| Target {
        user: user.map(Into::into),
        host: host.map(Into::into),
    };
    for (uri, to, wanted) in [
        (
            "sip:1;npdi@h:5070;user=phone?x=y",
            target(Some("9"), None),
            "sip:9@h:5070;user=phone?x=y",
        ),
        ("sip:1;npdi@h:5070;user=phone", target(None, Some("g")), "sip:1;npdi@g;user=phone"),
        ("sips:h", target(Some("9"), None), "sips:9@h"),
        ("sip:[2001:db8::1]:5061;lr", target(None, Some("[::1]")), "sip:[::1];lr"),
        ("tel:+441632960001;npdi", target(Some("+441632960002"), None), "tel:+441632960002"),
        ("tel:+441632960001", target(None, Some("g")), "sip:+441632960001@g;user=phone"),
        ("<sip:1@h>", target(Some("9"), None), "sip:9@h"),
        ("urn:service:sos", target(Some("9"), None), ""),
    ] {
        let text = INVITE.replace("sip:+442079460123@edge.example.net:5070;user=phone", uri);
        let mut scratch = Scratch::new();
        let message = Message::parse(text.as_bytes(), None, &mut scratch).unwrap();
        let mut out = Vec::new();
        super::edit::diverted(&message, &to, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), wanted, "{uri}");
    }
}

#[test]
fn reject_answers_and_absorbs() {
    for (frame, response, line) in [
        (udp4(INVITE.as_bytes()), Response::Rejected, "SIP/2.0 608 Rejected\r\n"),
        (udp6(INVITE.as_bytes()), Response::Unwanted, "SIP/2.0 607 Unwanted\r\n"),
        (tagged(&udp4(INVITE.as_bytes())), Response::Decline, "SIP/2.0 603 Decline\r\n"),
    ] {
        let mut judge = told(Action::Reject);
        judge.fresh.as_mut().unwrap().response = response;
        assert_eq!(judge.judge(&frame), Plan::Back);
        let (request, reply) = (read(&frame), read(judge.out()));
        assert_eq!((reply.source, reply.destination), (request.destination, request.source));
        assert_eq!(judge.out()[..6], frame[6..12]);
        assert_eq!(judge.out()[6..12], frame[..6]);
        let text = &reply.text;
        assert!(text.starts_with(line), "{text}");
        let received = ";rport=5066, SIP/2.0".to_string();
        assert!(!text.contains(&received));
        let received = request.source.0;
        let top = format!(
            "Via: SIP/2.0/UDP 10.0.0.9:5080;branch=z9hG4bK-1;rport=5066;received={received}\r\n"
        );
        assert!(text.contains(&top), "{text}");
        assert!(text.contains("Via: SIP/2.0/UDP 10.0.0.8;branch=z9hG4bK-0\r\n"), "{text}");
        let code = response.code();
        assert!(text.contains(&format!("Reason: SIP;cause={code};text=")), "{text}");
        assert_eq!(text.contains("Call-Info: <https://example.com/jcard>"), code == 608);
        let mut scratch = Scratch::new();
        let reply = Message::parse(text.as_bytes(), None, &mut scratch).unwrap();
        assert!(reply.to().unwrap().tag().is_some());
        assert_eq!(reply.cseq().unwrap().0, 7);
        assert_eq!(reply.header(HeaderName::ContentLength), Some(&b"0"[..]));
        // The same for a retransmission; nothing of its ACK; 200 for a CANCEL.
        let first = judge.out().to_vec();
        assert_eq!(judge.judge(&frame), Plan::Back);
        assert_eq!(judge.out(), first);
        assert_eq!(judge.take_followed(), Some(steer::call_hash(b"a1@192.0.2.1")));
        let ack = INVITE.replacen("INVITE", "ACK", 1).replace("7 INVITE", "7 ACK");
        assert_eq!(judge.judge(&udp4(ack.as_bytes())), Plan::Nowhere);
        let cancel = INVITE.replacen("INVITE", "CANCEL", 1).replace("7 INVITE", "7 CANCEL");
        assert_eq!(judge.judge(&udp4(cancel.as_bytes())), Plan::Back);
        assert!(read(judge.out()).text.starts_with("SIP/2.0 200 OK\r\n"));
        assert_eq!((judge.stats().rejected, judge.stats().followed), (2, 2));
    }
}

#[test]
fn where_responses_go() {
    let answered = |via: &str| {
        let text = INVITE.replacen("Via: SIP/2.0/UDP 10.0.0.9:5080;branch=z9hG4bK-1;rport", via, 1);
        let mut judge = told(Action::Reject);
        assert_eq!(judge.judge(&udp4(text.as_bytes())), Plan::Back);
        let reply = read(judge.out());
        (reply.destination.1, reply.text.lines().nth(1).unwrap().to_owned())
    };
    assert_eq!(
        answered("Via: SIP/2.0/UDP 192.0.2.1:5080;branch=z9"),
        (5080, "Via: SIP/2.0/UDP 192.0.2.1:5080;branch=z9".into())
    );
    assert_eq!(
        answered("Via: SIP/2.0/UDP pbx.example.com;branch=z9"),
        (5060, "Via: SIP/2.0/UDP pbx.example.com;branch=z9;received=192.0.2.1".into())
    );
    assert_eq!(
        answered("v: SIP/2.0/UDP 192.0.2.1; rport ;branch=z9"),
        (5066, "Via: SIP/2.0/UDP 192.0.2.1; rport=5066 ;branch=z9;received=192.0.2.1".into())
    );
}

#[test]
fn drop_drops_all_of_it() {
    let mut judge = told(Action::Drop);
    let frame = udp4(INVITE.as_bytes());
    assert_eq!(judge.judge(&frame), Plan::Nowhere);
    assert_eq!(judge.judge(&frame), Plan::Nowhere);
    assert!(judge.take_followed().is_some());
    let cancel = INVITE.replacen("INVITE", "CANCEL", 1).replace("7 INVITE", "7 CANCEL");
    assert_eq!(judge.judge(&udp4(cancel.as_bytes())), Plan::Nowhere);
}

#[test]
fn what_cannot_be_changed_goes_on_and_so_does_what_follows_it() {
    let cancel = INVITE.replacen("INVITE", "CANCEL", 1).replace("7 INVITE", "7 CANCEL");
    let no_blank_line = INVITE.split("\r\n\r\n").next().unwrap();
    let no_via = INVITE.replacen("Via", "X-Via", 1);
    let long = INVITE.replace("v=0\r\n", &"a=x\r\n".repeat(220));
    for (text, actions, count) in [
        (no_blank_line, &[Action::Tag, Action::Divert][..], (1, 0)),
        (&*no_via, &[Action::Reject], (1, 0)),
        (&*long, &[Action::Tag, Action::Divert], (0, 1)),
    ] {
        for action in actions {
            let mut judge = told(*action);
            let frame = udp4(text.as_bytes());
            assert_eq!(judge.judge(&frame), Plan::On, "{text}");
            assert_eq!((judge.stats().unfit, judge.stats().too_long), count);
            assert_eq!(judge.judge(&udp4(cancel.as_bytes())), Plan::On);
            assert_eq!(judge.take_followed(), None);
        }
    }
    // The largest that still fits is changed.
    let room = 1_500 - 28 - INVITE.len() - LINE.len();
    for (more, plan) in [(room, Plan::OnChanged), (room + 1, Plan::On)] {
        let text = INVITE.replace("v=0\r\n", &format!("v=0\r\n{}", "x".repeat(more)));
        assert_eq!(told(Action::Tag).judge(&udp4(text.as_bytes())), plan);
    }
}

#[test]
fn checksums_that_came() {
    let udp = 34;
    let mut none = udp4(INVITE.as_bytes());
    none[udp + 6..udp + 8].fill(0);
    let mut judge = told(Action::Tag);
    assert_eq!(judge.judge(&none), Plan::OnChanged);
    assert_eq!(judge.out()[udp + 6..udp + 8], [0, 0]);
    // A sender on this host leaves the sum of the pseudo header for its card.
    let mut left = udp4(INVITE.as_bytes());
    let length = (INVITE.len() + 8) as u32;
    let words = [0xc000, 0x0201, 0xc000, 0x0202, 17, length];
    let sum: u32 = words.iter().sum();
    left[udp + 6..udp + 8].copy_from_slice(&(((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
    let mut judge = told(Action::Tag);
    assert_eq!(judge.judge(&left), Plan::OnChanged);
    assert!(read(judge.out()).text.contains(LINE));
    // A wrong one is not made right.
    let mut wrong = udp4(INVITE.as_bytes());
    wrong[udp + 20] ^= 1;
    let mut judge = told(Action::Tag);
    assert_eq!(judge.judge(&wrong), Plan::On);
    assert_eq!(judge.stats().bad_checksum, 1);
}

#[test]
fn late_ones_pass_and_stay_passed() {
    let mut judge = told(Action::Reject);
    let frame = udp4(INVITE.as_bytes());
    assert_eq!(judge.late(&frame), Plan::On);
    assert_eq!(judge.judge(&frame), Plan::On);
    assert_eq!(judge.stats(), &JudgeStats { late: 1, passed: 1, ..JudgeStats::default() });
    assert_eq!(judge.take_followed(), None);
}

#[test]
fn one_sent_before_it_is_scored_loses_its_forged_header() {
    let mut judge = Judge::new(config());
    let forged = udp4(INVITE.replacen("Via: ", FORGED, 1).as_bytes());
    // Nothing is known of it when it goes on …
    assert_eq!(judge.judge(&forged), Plan::OnChanged);
    assert_eq!(read(judge.out()).text, INVITE);
    // … and what the engine says after that no longer changes it.
    judge.fresh = Some(fresh(Action::Reject));
    judge.scored_after();
    assert_eq!(judge.judge(&forged), Plan::OnChanged);
    assert_eq!(read(judge.out()).text, INVITE);
    let stats = JudgeStats { late: 1, passed: 1, forged: 2, ..JudgeStats::default() };
    assert_eq!(judge.stats(), &stats);
    // Scored already: its retransmission is not late for the first time.
    judge.scored_after();
    assert_eq!(judge.stats(), &stats);
    assert_eq!(judge.take_followed(), None);
}

#[test]
fn line_ends_without_cr() {
    let text = INVITE.replace("\r\n", "\n");
    let mut judge = told(Action::Tag);
    assert_eq!(judge.judge(&udp4(text.as_bytes())), Plan::OnChanged);
    let out = read(judge.out()).text;
    assert!(out.contains(&format!("Content-Length: 5\n{LINE}\nv=0\n")), "{out}");
}

proptest! {
    /// Whatever comes, what goes is a frame of right lengths and sums, and holds no
    /// risk header but ours.
    #[test]
    fn hostile_messages(
        cut in 0usize..420,
        at in 0usize..420,
        junk in prop::collection::vec(any::<u8>(), 0..12),
        action in 1u8..5,
    ) {
        let mut text = INVITE.replacen("Via: ", FORGED, 1).into_bytes();
        let at = at.min(text.len());
        text.splice(at..at, junk);
        text.truncate(text.len() - cut.min(text.len() / 2));
        let action = [Action::Tag, Action::Divert, Action::Reject, Action::Drop][usize::from(action) - 1];
        let mut judge = told(action);
        let frame = udp4(&text);
        let plan = judge.judge(&frame);
        if matches!(plan, Plan::OnChanged | Plan::Back) {
            let packet = SlicedPacket::from_ethernet(judge.out()).expect("a frame");
            let Some(TransportSlice::Udp(udp)) = packet.transport else { panic!("no UDP") };
            let mut scratch = Scratch::new();
            let message = Message::parse(udp.payload(), None, &mut scratch).expect("a message");
            let ours = message.headers().filter(|header| {
                header.raw_name.eq_ignore_ascii_case(b"X-Call-Risk")
            });
            for header in ours {
                prop_assert!(header.value.starts_with(b"87;level=high"), "{:?}", header);
            }
        }
    }

    /// Any bytes for a frame.
    #[test]
    fn any_frame(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut judge = told(Action::Reject);
        prop_assert_eq!(judge.judge(&bytes), Plan::On);
    }
}

#[test]
fn what_was_read_is_used_for_the_same_bytes_alone() {
    let frame = udp4(INVITE.as_bytes());
    let other = INVITE.replacen("Via: ", FORGED, 1);
    let (mut scratch, mut second) = (Scratch::default(), Scratch::default());
    let text = &frame[frame.len() - INVITE.len()..];
    let read = Message::parse(text, None, &mut scratch).expect("an INVITE");
    let elsewhere = Message::parse(other.as_bytes(), None, &mut second).expect("an INVITE");
    let mut plain = told(Action::Tag);
    assert_eq!(plain.judge(&frame), Plan::OnChanged);
    for read in [&read, &elsewhere] {
        let mut judge = told(Action::Tag);
        assert_eq!(judge.judge_read(&frame, Some(read)), Plan::OnChanged);
        assert_eq!(judge.out(), plain.out());
        assert_eq!(judge.stats(), plain.stats());
    }
}
