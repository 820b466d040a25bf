//! Calls through the whole engine.

use std::{cell::RefCell, collections::BTreeSet, sync::Arc};

use scorer_common::{
    Scan,
    verdict::{Tag, Tags},
};

use super::{Engine, EngineConfig};
use crate::{
    capture::{Frame, LinkType, pcap},
    features::{self, id},
    history::HistoryConfig,
    model::Model,
    testing::shared,
    time::Timestamp,
};

mod coverage;

fn engine() -> Engine {
    let model = Model::baseline(&features::names()).expect("the built-in model");
    let history = HistoryConfig { bytes: 4 << 20, secret: true, ..HistoryConfig::default() };
    Engine::new(&EngineConfig { history, ..EngineConfig::default() }, Arc::new(model))
        .expect("the built-in tables")
}

/// One verdict, kept.
#[derive(Clone, Debug, PartialEq)]
struct Kept {
    call_id: String,
    from_user: String,
    to_user: String,
    score: u8,
    tags: Tags,
    features: Vec<u32>,
}

fn inspect(engine: &mut Engine, frame: &Frame<'_>) -> Vec<Kept> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut kept = Vec::new();
    engine.inspect(frame, &mut |a| {
        kept.push(Kept {
            call_id: text(a.call_id),
            from_user: text(a.from_user),
            to_user: text(a.to_user),
            score: a.verdict.score,
            tags: Tags(a.verdict.tags),
            features: a.features.iter().map(|value| value.to_bits()).collect(),
        });
    });
    kept
}

fn udp(text: &str) -> Vec<u8> {
    let builder = etherparse::PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4([192, 0, 2, 1], [192, 0, 2, 2], 61)
        .udp(5060, 5060);
    let mut bytes = Vec::new();
    builder.write(&mut bytes, text.as_bytes()).expect("a frame");
    bytes
}

fn frame(bytes: &[u8], seconds: f64) -> Frame<'_> {
    Frame {
        link: LinkType::Ethernet,
        timestamp: Timestamp(1_700_000_000_000_000_000 + (seconds * 1e9) as u64),
        bytes,
        wire_length: bytes.len() as u32,
        scan: None,
    }
}

struct Invite<'a> {
    from: &'a str,
    to: &'a str,
    call_id: &'a str,
    cseq: u32,
    branch: &'a str,
    to_tag: &'a str,
    extra: &'a str,
}

const PLAIN: Invite<'_> = Invite {
    from: "<sip:+441632960001@carrier.example>",
    to: "+442079460123",
    call_id: "1@h",
    cseq: 1,
    branch: "z9hG4bK1",
    to_tag: "",
    extra: "P-Asserted-Identity: <sip:+441632960001@carrier.example>\r\n",
};

impl Invite<'_> {
    fn text(&self) -> String {
        let Self { from, to, call_id, cseq, branch, to_tag, extra } = self;
        format!(
            "INVITE sip:{to}@edge.example SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch={branch}\r\n\
             Max-Forwards: 69\r\nFrom: {from};tag=a1b2c3\r\nTo: <sip:{to}@edge.example>{to_tag}\r\n\
             Call-ID: {call_id}\r\nCSeq: {cseq} INVITE\r\nContact: <sip:+441632960001@192.0.2.1>\r\n\
             {extra}Allow: INVITE, ACK\r\nSupported: timer\r\nContent-Length: 0\r\n\r\n"
        )
    }

    fn send(&self, engine: &mut Engine, seconds: f64) -> Vec<Kept> {
        inspect(engine, &frame(&udp(&self.text()), seconds))
    }
}

#[test]
fn who_cannot_wait_is_told_first() {
    let mut engine = engine();
    let bytes = udp(&PLAIN.text());
    let told = RefCell::new(Vec::new());
    // The second is a retransmission, of which nobody is told.
    for seconds in [0.0, 0.1] {
        engine.inspect_at_once(
            &frame(&bytes, seconds),
            &mut |urgent| {
                let call_id = urgent.message.call_id().unwrap_or_default().to_vec();
                let what = (urgent.verdict, urgent.decision, urgent.model.to_owned(), call_id);
                told.borrow_mut().push((true, format!("{what:?}")));
            },
            &mut |a| {
                let what = (a.verdict, a.decision, a.model.to_owned(), a.call_id.to_vec());
                told.borrow_mut().push((false, format!("{what:?}")));
            },
        );
    }
    let told = told.into_inner();
    let [(true, first), (false, second)] = &told[..] else { panic!("{told:?}") };
    assert_eq!(first, second);
}

#[test]
fn one_verdict_a_call_attempt() {
    let mut engine = engine();
    assert_eq!(PLAIN.send(&mut engine, 0.0).len(), 1);
    // A mirrored copy, then the sender's own retransmission.
    assert_eq!(PLAIN.send(&mut engine, 0.001).len(), 0);
    assert_eq!(PLAIN.send(&mut engine, 0.6).len(), 0);
    assert_eq!(engine.packets().mirrored, 1);
    assert_eq!(engine.stats().retransmissions, 1);
    assert_eq!(Invite { branch: "z9hG4bK2", ..PLAIN }.send(&mut engine, 0.7).len(), 0);
    assert_eq!(engine.stats().forked, 1);
    let again = Invite { cseq: 2, branch: "z9hG4bK3", ..PLAIN }.send(&mut engine, 0.8);
    assert_eq!(again.len(), 1);
    assert!(!again[0].tags.contains(Tag::Repeat));
    assert_eq!(Invite { to_tag: ";tag=b", cseq: 3, ..PLAIN }.send(&mut engine, 1.0).len(), 0);
    assert_eq!((engine.stats().reinvites, engine.stats().verdicts()), (1, 2));
    let other = Invite { call_id: "2@h", ..PLAIN }.send(&mut engine, 2.0);
    assert_eq!(other.len(), 1);
}

#[test]
fn what_is_said_of_calls() {
    let mut engine = engine();
    let ordinary = PLAIN.send(&mut engine, 0.0).remove(0);
    assert!(ordinary.score < 15, "{}", ordinary.score);
    assert!(!ordinary.tags.contains(Tag::Spoofed) && ordinary.tags.contains(Tag::Unattested));
    let spoofed =
        Invite { call_id: "s", extra: "P-Asserted-Identity: <sip:+33142000000@x>\r\n", ..PLAIN };
    let spoofed = spoofed.send(&mut engine, 10.0).remove(0);
    assert!(spoofed.tags.contains(Tag::Spoofed) && spoofed.score > ordinary.score);
    let withheld = |call_id| Invite {
        from: "\"Anonymous\" <sip:anonymous@anonymous.invalid>",
        call_id,
        extra: "P-Asserted-Identity: <tel:+441632960777>\r\nPrivacy: id\r\n",
        ..PLAIN
    };
    let first = withheld("w1").send(&mut engine, 20.0).remove(0);
    assert!(first.tags.contains(Tag::Withheld) && !first.tags.contains(Tag::RepeatWithheld));
    withheld("w2").send(&mut engine, 30.0);
    let third = withheld("w3").send(&mut engine, 40.0).remove(0);
    assert!(third.tags.contains(Tag::RepeatWithheld) && third.tags.contains(Tag::Repeat));
    assert!(third.score > first.score);
    let scanner = Invite {
        from: "\"sipvicious\" <sip:100@1.1.1.1>",
        to: "100",
        call_id: "x",
        extra: "User-Agent: friendly-scanner\r\n",
        ..PLAIN
    };
    let scanner = scanner.send(&mut engine, 50.0).remove(0);
    assert!(scanner.tags.contains(Tag::Scanner) && scanner.score > 85, "{}", scanner.score);
    let abroad = Invite { to: "+88213001234", call_id: "irsf", ..PLAIN }.send(&mut engine, 60.0);
    assert!(abroad[0].tags.contains(Tag::International) && abroad[0].tags.contains(Tag::HighCost));
    let emergency = Invite { to: "112", call_id: "e", ..PLAIN }.send(&mut engine, 70.0);
    assert!(emergency[0].tags.contains(Tag::Emergency));
    let near = Invite { to: "+441632960199", call_id: "n", ..PLAIN }.send(&mut engine, 80.0);
    assert!(near[0].tags.contains(Tag::Neighbour));
}

#[test]
fn the_kernels_scan_changes_nothing() {
    let bytes = udp(&PLAIN.text());
    let scan = Scan::of(PLAIN.text().as_bytes());
    let with = inspect(&mut engine(), &Frame { scan: Some(&scan), ..frame(&bytes, 0.0) });
    assert_eq!(with, inspect(&mut engine(), &frame(&bytes, 0.0)));
    assert_eq!(with.len(), 1);
}

/// Rows of tshark's view that give no verdict, with the reason.
const EXCEPTIONS: &[(&str, &str)] = &[];

#[test]
fn every_invite_that_tshark_sees() {
    let Some(table) = shared("corpora/invites.psv") else { return };
    let Some(folder) = shared("corpora/pcap") else { return };
    let table = std::fs::read_to_string(table).expect("the table");
    let mut expected = BTreeSet::new();
    for row in table.lines().skip(1) {
        let fields: Vec<_> = row.split('|').collect();
        let [file, _, call_id, from, to, to_tag, ..] = fields[..] else { panic!("{row}") };
        if to_tag.is_empty() && !EXCEPTIONS.contains(&(file, call_id)) {
            let row = [file, call_id, from, to].map(str::to_owned);
            expected.insert(row);
        }
    }
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).expect("captures") {
        let path = entry.expect("entry").path();
        let file = path.file_name().expect("name").to_string_lossy().into_owned();
        let mut reader = pcap::Reader::open(&path).expect("a capture");
        let mut engine = engine();
        loop {
            match reader.next() {
                Ok(Some(frame)) => {
                    for kept in inspect(&mut engine, &frame) {
                        found.insert([file.clone(), kept.call_id, kept.from_user, kept.to_user]);
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    println!("{error}");
                    break;
                }
            }
        }
    }
    let missing: Vec<_> = expected.difference(&found).collect();
    let more: Vec<_> = found.difference(&expected).collect();
    assert!(missing.is_empty() && more.is_empty(), "missing {missing:#?}\nmore {more:#?}");
    assert!(expected.len() > 25);
}

#[test]
fn features_can_take_both_ends() {
    // What every feature is for a plain call and for an odd one.
    let plain = PLAIN.send(&mut engine(), 0.0).remove(0).features;
    let odd = "INVITE sip:+88213001234@x SIP/2.0\nv: SIP/2.0/UDP 10.0.0.1:5060;branch=1\nFROM: \"+33142000000\"\n <sip:+441111112345@10.0.0.9>\nt: <sip:other@x>\ni: abc\nCSeq: 900 INVITE\nm: <sip:zzz@192.168.0.4>\nX-A: 1\nFoo: 1\nDiversion: <sip:1@x>, <sip:2@x>\nHistory-Info: <sip:1@x>;index=1\nDate: now\nSession-Expires: 90\nIdentity: x\nPrivacy: id\nRemote-Party-ID: <sip:+33142000000@x>\nUser-Agent: sipcli/v1.8\nRecord-Route: <sip:x>\nc: application/sdp\nl: 999\n\nv=0\no=- 1 1 IN IP4 192.168.0.4\nc=IN IP4 192.168.0.4\nm=audio 4 RTP/AVP 0 101\na=rtpmap:101 telephone-event/8000\n";
    let odd = inspect(&mut engine(), &frame(&udp(odd), 0.0)).remove(0).features;
    let (plain, odd): (Vec<_>, Vec<_>) = (
        plain.into_iter().map(f32::from_bits).collect(),
        odd.into_iter().map(f32::from_bits).collect(),
    );
    for (feature, expected_plain, expected_odd) in [
        (id::FROM_DISPLAY_PRESENT, 0.0, 1.0),
        (id::FROM_DISPLAY_IS_NUMBER, 0.0, 1.0),
        (id::FROM_DISPLAY_DIFFERS_FROM_USER, 0.0, 1.0),
        (id::FROM_USER_IS_E164, 1.0, 1.0),
        (id::FROM_HOST_IS_IP, 0.0, 1.0),
        (id::FROM_HOST_PRIVATE_IP, 0.0, 1.0),
        (id::PAI_COUNT, 1.0, 0.0),
        (id::PAI_MATCHES_FROM, 1.0, f32::NAN),
        (id::PRIVACY_ID, 0.0, 1.0),
        (id::NUMBER_WITHHELD, 0.0, 1.0),
        (id::NETWORK_NUMBER_KNOWN, 1.0, 1.0),
        (id::PRESENTATION_DIFFERS_FROM_NETWORK, 0.0, 1.0),
        (id::TO_MATCHES_REQUEST_URI, 1.0, 0.0),
        (id::CONTACT_USER_MATCHES_FROM, 1.0, 0.0),
        (id::DIVERSION_COUNT, 0.0, 2.0),
        (id::HISTORY_INFO_DEPTH, 0.0, 1.0),
        (id::CALLER_LENGTH, 12.0, 12.0),
        (id::CALLER_REPEATED_DIGITS, 3.0, 6.0),
        (id::CALLER_SEQUENTIAL_DIGITS, 2.0, 5.0),
        (id::CALLER_DIGITS_SHARED_WITH_CALLEE, 2.0, 0.0),
        (id::INTERNATIONAL_CALL, 0.0, 1.0),
        (id::CALLEE_HIGH_COST, 0.0, 1.0),
        (id::HEADER_COUNT, 11.0, 19.0),
        (id::COMPACT_FORMS, 0.0, 6.0),
        (id::FOLDED_LINES, 0.0, 1.0),
        (id::CASE_ODDITIES, 0.0, 1.0),
        (id::UNKNOWN_HEADERS, 0.0, 1.0),
        (id::X_HEADERS, 0.0, 1.0),
        (id::P_HEADERS, 1.0, 0.0),
        (id::VIA_COUNT, 1.0, 1.0),
        (id::VIA_PRIVATE_IP, 0.0, 1.0),
        (id::BRANCH_COOKIE, 1.0, 0.0),
        (id::BRANCH_LENGTH, 8.0, 1.0),
        (id::CALLID_LENGTH, 3.0, 3.0),
        (id::CALLID_HAS_HOST, 1.0, 0.0),
        (id::TAG_LENGTH, 6.0, 0.0),
        (id::MAX_FORWARDS, 69.0, f32::NAN),
        (id::USER_AGENT_PRESENT, 0.0, 1.0),
        (id::USER_AGENT_IS_SCANNER, 0.0, 1.0),
        (id::ALLOW_PRESENT, 1.0, 0.0),
        (id::SUPPORTED_PRESENT, 1.0, 0.0),
        (id::DATE_PRESENT, 0.0, 1.0),
        (id::CONTENT_LENGTH_ERROR, 0.0, 1.0),
        (id::SESSION_EXPIRES_PRESENT, 0.0, 1.0),
        (id::RECORD_ROUTES, 0.0, 1.0),
        (id::CONTACT_PRIVATE_IP, 0.0, 1.0),
        (id::SDP_PRESENT, 0.0, 1.0),
        (id::SDP_MEDIA_COUNT, f32::NAN, 1.0),
        (id::SDP_CODEC_COUNT, f32::NAN, 2.0),
        (id::SDP_CONNECTION_IP_DIFFERS_FROM_SOURCE, f32::NAN, 1.0),
        (id::SDP_ORIGIN_IP_PRIVATE, f32::NAN, 1.0),
        (id::SDP_DTMF, f32::NAN, 1.0),
        (id::SOURCE_PORT_IS_SIP, 1.0, 1.0),
        (id::TTL_HOPS, 3.0, 3.0),
        (id::UDP_CHECKSUM_ZERO, 0.0, 0.0),
        (id::PACKETS, 1.0, 1.0),
        (id::TRANSPORT_TCP, 0.0, 0.0),
        (id::SOURCE_VIA_DIFFERS, 0.0, 1.0),
        (id::IDENTITY_COUNT, 0.0, 1.0),
        (id::CALLER_SECONDS_SINCE_LAST, f32::NAN, f32::NAN),
        (id::FINGERPRINT_NEW_FOR_SOURCE, f32::NAN, f32::NAN),
    ] {
        let name = features::REGISTRY[usize::from(feature)].name;
        let same = |a: f32, b: f32| a == b || a.is_nan() && b.is_nan();
        let index = usize::from(feature);
        assert!(same(plain[index], expected_plain), "{name}, plain: {}", plain[index]);
        assert!(same(odd[index], expected_odd), "{name}, odd: {}", odd[index]);
    }
}

#[test]
fn junk_gives_nothing_and_breaks_nothing() {
    let mut engine = engine();
    for text in [
        "INVITE sip:a SIP/2.0\r\n\r\n",
        "INVITE x SIP/2.0",
        "SIP/2.0 200 OK\r\n\r\n",
        "BYE sip:x SIP/2.0\r\nCall-ID: none\r\n\r\n",
        "INVITE \r\n\r\n            ",
    ] {
        inspect(&mut engine, &frame(&udp(text), 0.0));
    }
    let whole = udp(&PLAIN.text());
    for end in 0..whole.len() {
        inspect(&mut engine, &frame(&whole[..end], 1.0 + end as f64));
    }
    assert!(engine.stats().parse_failures.iter().sum::<u64>() > 0);
}
