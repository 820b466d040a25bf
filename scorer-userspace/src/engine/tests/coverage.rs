//! Every feature takes at least two values, over crafted calls and the captures.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use etherparse::PacketBuilder;

use super::{Engine, EngineConfig, frame};
use crate::{
    capture::pcap,
    env::{EnvConfig, Trunks},
    features::{self, Group, REGISTRY},
    history::HistoryConfig,
    isup::build::{Number, iam},
    model::Model,
    stir::{Fetch, FetchError, Store, StoreConfig, anchors},
    testing::shared,
};

/// Values of each feature that were seen; NaN is one of them.
struct Seen(Vec<BTreeSet<u32>>);

impl Seen {
    fn inspect(&mut self, engine: &mut Engine, bytes: &[u8], seconds: f64) {
        self.frame(engine, &frame(bytes, seconds));
    }

    fn frame(&mut self, engine: &mut Engine, frame: &crate::capture::Frame<'_>) {
        engine.inspect(frame, &mut |assessment| {
            for (seen, value) in self.0.iter_mut().zip(assessment.features) {
                // -0 and 0 are one; so are all NaN.
                let value = if value.is_nan() { f32::NAN } else { value + 0.0 };
                seen.insert(value.to_bits());
            }
        });
    }
}

fn udp_from(source: [u8; 4], port: u16, text: &[u8]) -> Vec<u8> {
    let builder =
        PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(source, [203, 0, 113, 2], 61).udp(port, 5060);
    let mut bytes = Vec::new();
    builder.write(&mut bytes, text).expect("a frame");
    bytes
}

/// A call of an ordinary carrier; `change` replaces lines by their beginning, or adds.
fn invite(number: u32, change: &[(&str, &str)], body: (&str, &[u8])) -> Vec<u8> {
    let mut lines = vec![
        "INVITE sip:+442079460123@edge.example SIP/2.0".to_owned(),
        format!("Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{number:08x}"),
        "Max-Forwards: 69".into(),
        "From: <sip:+441632960001@carrier.example>;tag=a1b2c3d4".into(),
        "To: <sip:+442079460123@edge.example>".into(),
        format!("Call-ID: {number}@192.0.2.1"),
        "CSeq: 1 INVITE".into(),
        "Contact: <sip:+441632960001@192.0.2.1>".into(),
    ];
    for (start, line) in change {
        match lines.iter_mut().find(|line| line.starts_with(start)) {
            Some(found) if !start.is_empty() => *found = (*line).to_owned(),
            _ => lines.push((*line).to_owned()),
        }
    }
    if !body.0.is_empty() {
        lines.push(format!("Content-Type: {}", body.0));
    }
    lines.push(format!("Content-Length: {}", body.1.len()));
    let mut text = lines.join("\r\n").into_bytes();
    text.extend_from_slice(b"\r\n\r\n");
    text.extend_from_slice(body.1);
    text
}

const NONE: (&str, &[u8]) = ("", b"");
const SDP: &[u8] = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 10000 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\na=maxptime:40\r\n";
const ODD_SDP: &[u8] = b"v=0\no=user 1700000000 2 IN IP4 10.0.0.1\ns=SIP Call\nb=AS:84\nc=IN IP4 10.0.0.1\nt=0 0\na=ice-ufrag:x\na=fingerprint:sha-256 aa\nm=audio 23457 UDP/TLS/RTP/SAVPF 111 18 100 96\na=rtpmap:111 opus/48000/2\na=rtpmap:18 G729/8000\na=rtpmap:96 AMR/8000\na=rtpmap:100 telephone-event/8000\na=fmtp:111 x=1\na=ptime:30\na=maxptime:60\na=sendonly\na=rtcp:23458\na=rtcp-mux\nm=video 0 RTP/AVP 97\nm=image 9 udptl t38";

/// A line's beginning, and what stands there instead.
type Change<'a> = (&'a str, &'a str);
/// Changes, then Content-Type and body.
type Case<'a> = (Vec<Change<'a>>, (&'a str, &'a [u8]));

/// Single calls, each odd in its own way.
fn odd_calls() -> Vec<Vec<u8>> {
    let sdp = ("application/sdp", SDP);
    let cases: Vec<Case<'_>> = vec![
        (vec![], NONE),
        (vec![], sdp),
        (vec![], ("application/sdp", ODD_SDP)),
        (
            vec![
                ("From", "From: \"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=1"),
                ("", "Privacy: id;critical"),
                (
                    "",
                    "P-Asserted-Identity: <sip:+441632960001@other.example;cpc=payphone>, <tel:+441632960001>",
                ),
            ],
            sdp,
        ),
        (
            vec![
                (
                    "From",
                    "From: \"+33142000000\" <sip:01632960001;oli=27;verstat=TN-Validation-Passed@10.0.0.1;user=phone;cpc=ordinary>;tag=x",
                ),
                ("", "Privacy: header;user"),
                ("", "P-Preferred-Identity: <sip:+441632960001@x>"),
                ("", "Remote-Party-ID: <sip:+441632960009@x>;screen=yes;privacy=full"),
            ],
            sdp,
        ),
        (
            vec![
                ("From", "From: <tel:+441632960001;verstat=TN-Validation-Failed;oli=0>;tag=x"),
                ("", "P-Preferred-Identity: <sip:+441632960009@x>"),
                ("", "Remote-Party-ID: <sip:+441632960001@x>;screen=no;privacy=off"),
                ("", "P-Asserted-Identity: <sip:+441632960777@carrier.example>"),
            ],
            sdp,
        ),
        (
            vec![
                ("", "Diversion: <sip:+441632960002@x>;reason=unconditional"),
                ("", "History-Info: <sip:+441632960002@x;cause=302>;index=1"),
                ("", "Referred-By: <sip:a@b>"),
            ],
            sdp,
        ),
        (
            vec![
                ("", "Diversion: <sip:+441632960002@x>;reason=user-busy"),
                (
                    "",
                    "History-Info: <sip:a@b?Reason=SIP%3Bcause%3D486>;index=1,<sip:b@c>;index=1.1",
                ),
                ("To", "To: <sip:someone@else>"),
            ],
            sdp,
        ),
        (
            vec![
                ("", "P-Charging-Vector: icid-value=1234;icid-generated-at=x"),
                ("", "P-Access-Network-Info: 3GPP"),
                ("", "P-Early-Media: supported"),
                ("", "Reason: SIP;cause=302"),
                ("", "Call-Info: <http://x>"),
                ("", "Alert-Info: <http://x>"),
                ("", "User-to-User: 00"),
                ("", "Geolocation: <cid:a>"),
                ("", "Resource-Priority: ets.0"),
                ("", "Require: 100rel"),
                ("", "Accept: application/sdp"),
            ],
            sdp,
        ),
        (
            vec![
                ("", "P-Charging-Vector: icid-value=aF-9;x"),
                ("", "Accept: application/sdp, text/plain"),
                ("", "Allow: INVITE, ACK"),
                ("", "Supported: timer"),
                ("", "Session-Expires: 1800;refresher=uac"),
                ("", "Min-SE: 90"),
                ("", "Date: Tue, 14 Nov 2023 22:13:20 GMT"),
                ("", "User-Agent: Asterisk PBX 18"),
            ],
            sdp,
        ),
        (
            vec![
                ("", "Allow: INVITE, ACK, UPDATE"),
                ("", "Supported: 100rel, replaces"),
                ("", "Session-Expires: 90"),
                ("", "Min-SE: 600"),
                ("", "Date: Tue, 14 Nov 2023 22:13:00 GMT"),
                ("", "User-Agent: friendly-scanner"),
                ("", "Record-Route: <sip:x;lr>"),
            ],
            sdp,
        ),
        (
            vec![
                ("Via", "Via: SIP/2.0/UDP 10.0.0.1:5060;branch=abc;rport;received=192.0.2.9"),
                ("", "Via: SIP/2.0/TCP 10.0.0.2;branch=z9hG4bKzz"),
                ("Max-", "Max-Forwards: 12"),
                ("Call-ID", "Call-ID: f81d4fae-7dec-11d0-a765-00a0c91e6bf6"),
                ("CSeq", "CSeq: 900 INVITE"),
                ("Contact", "Contact: <sip:other@10.0.0.1:40000>"),
            ],
            sdp,
        ),
        (
            vec![
                ("Call-ID", "Call-ID: zz@10.0.0.1"),
                ("From", "From: <sip:+442079460001@carrier.fr>"),
                ("", "X-Odd:  1"),
                ("", "Foo: 1"),
                ("", "s: compact"),
                ("", "CALL-INFO: x"),
                ("", "Subject: a"),
                ("", "Folded: a\r\n b"),
                ("", "no colon at all"),
                ("", "User-Agent : x"),
            ],
            ("application/sdp", b"v=0\r\ns=\r\n"),
        ),
        (vec![("From", "From: <sip:+449098790001@carrier.uk>;tag=1")], NONE),
        (
            vec![
                ("From", "From: <sip:+448081570192@x>;tag=1"),
                ("INVITE", "INVITE sip:+448081570192@x SIP/2.0"),
            ],
            NONE,
        ),
        (
            vec![
                ("From", "From: <sip:+443001234567@x>;tag=1"),
                ("INVITE", "INVITE sip:118500@x SIP/2.0"),
            ],
            NONE,
        ),
        (
            vec![
                ("From", "From: <sip:+88213123456@x>;tag=1"),
                ("INVITE", "INVITE sip:112@x SIP/2.0"),
            ],
            NONE,
        ),
        (
            vec![
                ("From", "From: <sip:+447012345678@x>;tag=1"),
                ("INVITE", "INVITE sip:+449098790001@x SIP/2.0"),
            ],
            NONE,
        ),
        (
            vec![
                ("From", "From: <sip:+445612345678@x>;tag=1"),
                ("INVITE", "INVITE sip:+447400123456@x SIP/2.0"),
            ],
            NONE,
        ),
        (
            vec![
                ("From", "From: <sip:+447400123456@x>;tag=1"),
                ("INVITE", "INVITE sip:+25261123456@x SIP/2.0"),
            ],
            NONE,
        ),
        (
            vec![
                ("From", "From: <sip:+25261123456@x>;tag=1"),
                ("INVITE", "INVITE sip:+442079460123@x SIP/2.0"),
            ],
            NONE,
        ),
        (vec![("From", "From: <sip:+442079460123@x>;tag=1")], NONE),
        (vec![("From", "From: <sip:+4444207946012345@x>;tag=1")], NONE),
        (vec![("From", "From: <sip:+442079460666@x>;tag=1")], NONE),
        (vec![("From", "From: <sip:+442079461666@x>;tag=1")], NONE),
        (vec![("From", "From: <sip:+441111111111@x>;tag=1")], NONE),
        (vec![("From", "From: <sip:+33123456789@x>;tag=1")], NONE),
        (vec![("From", "From: <sip:+442079460001@carrier.co.uk>;tag=1")], NONE),
        (vec![("", "Identity: junk")], NONE),
        (vec![("", "Content-Length: 7")], NONE),
    ];
    let mut calls: Vec<Vec<u8>> = cases
        .iter()
        .enumerate()
        .map(|(i, (change, body))| invite(i as u32, change, *body))
        .collect();
    // ISUP, whole and cut.
    let number = |digits, nature, presentation, screening| Number {
        digits,
        nature,
        presentation,
        screening,
    };
    let mut one = iam(
        &number("442079460123", 4, 0, 0),
        Some(&number("441632960001", 4, 0, 3)),
        Some(&number("441632960001", 4, 0, 0)),
        false,
        20,
    );
    let mut two = iam(
        &number("442079460999", 4, 0, 0),
        Some(&number("1632960009", 3, 1, 1)),
        Some(&number("441632960777", 4, 0, 0)),
        true,
        3,
    );
    one[1] = 1;
    (two[4], two[9 + 8 + 3]) = (15, 0x25);
    let pai = ("", "P-Asserted-Identity: <sip:+441632960001@carrier.example>");
    for (i, body) in [&one[..], &two[..], &two[..two.len() - 4]].into_iter().enumerate() {
        calls.push(invite(500 + i as u32, &[pai], ("application/ISUP;version=itu-t92+", body)));
    }
    calls
}

/// Signs PASSporTs for the test's certificate.
type Key = ring::signature::EcdsaKeyPair;

/// A PASSporT, signed if there is a key.
#[expect(clippy::too_many_arguments, reason = "a claim each")]
fn passport(
    key: Option<&Key>,
    ppt: &str,
    attest: &str,
    orig: &str,
    dest: &str,
    iat: u64,
    extra: &str,
    host: &str,
) -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as B64};
    let header = format!(r#"{{"alg":"ES256","ppt":"{ppt}","x5u":"https://{host}/c.pem"}}"#);
    let payload = format!(
        r#"{{"attest":"{attest}","dest":{{"tn":["{dest}"]}},"iat":{iat},"orig":{{"tn":"{orig}"}}{extra}}}"#
    );
    let signed = format!("{}.{}", B64.encode(header), B64.encode(payload));
    let random = ring::rand::SystemRandom::new();
    let signature = key.map_or_else(
        || B64.encode([7; 64]),
        |key| B64.encode(key.sign(&random, signed.as_bytes()).expect("signed")),
    );
    format!("Identity: {signed}.{signature};info=<https://{host}/c.pem>")
}

fn signed_calls(key: &Key) -> Vec<Vec<u8>> {
    const CALLER: &str = "441632960001";
    const CALLEE: &str = "442079460123";
    let at = 1_700_000_000;
    let id = r#","origid":"o-1""#;
    let lines = [
        vec![passport(Some(key), "shaken", "A", CALLER, CALLEE, at, id, "a.example")],
        vec![passport(Some(key), "shaken", "A", CALLER, CALLEE, at, id, "a.example")],
        vec![passport(
            None,
            "shaken",
            "B",
            "4416329",
            "1",
            at - 900,
            r#","origid":"o-2""#,
            "expired.example",
        )],
        vec![passport(None, "shaken", "C", CALLER, CALLEE, at, "", "late.example")],
        vec![passport(None, "rcd", "", CALLER, CALLEE, at, "", "a.example")],
        vec![
            passport(None, "shaken", "A", CALLER, "442079460002", at, id, "a.example"),
            passport(
                None,
                "div",
                "",
                CALLER,
                CALLEE,
                at,
                r#","div":{"tn":"442079460002"}"#,
                "a.example",
            ),
        ],
        vec![
            passport(None, "shaken", "A", CALLER, "442079460002", at, id, "a.example"),
            passport(
                None,
                "div",
                "",
                CALLER,
                CALLEE,
                at,
                r#","div":{"tn":"442079460777"}"#,
                "a.example",
            ),
        ],
    ];
    let mut calls: Vec<Vec<u8>> = lines
        .iter()
        .enumerate()
        .map(|(i, lines)| {
            let lines: Vec<(&str, &str)> = lines.iter().map(|line| ("", line.as_str())).collect();
            invite(600 + i as u32, &lines, NONE)
        })
        .collect();
    // Fully attested, though it cannot call; and from abroad.
    for (i, number) in ["449098790001", "33123456789"].into_iter().enumerate() {
        let line = passport(None, "shaken", "A", number, CALLEE, at, id, "a.example");
        let from = format!("From: <sip:+{number}@x>;tag=1");
        calls.push(invite(650 + i as u32, &[("From", &from), ("", &line)], NONE));
    }
    calls
}

/// Gives certificates of a CA that nobody trusts and of one that is trusted.
struct Certificates {
    trusted: String,
    expired: String,
}

impl Fetch for Certificates {
    fn fetch(&self, url: &str) -> Result<Vec<u8>, FetchError> {
        match url {
            "https://a.example/c.pem" => Ok(self.trusted.clone().into_bytes()),
            "https://expired.example/c.pem" => Ok(self.expired.clone().into_bytes()),
            _ => {
                std::thread::sleep(Duration::from_millis(300));
                Err(FetchError::Address)
            }
        }
    }
}

fn store() -> (Store, Key) {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
    let at = |seconds| time::OffsetDateTime::from_unix_timestamp(seconds).expect("a time");
    let mut ca = CertificateParams::new(Vec::new()).expect("params");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name.push(DnType::CommonName, "test CA");
    let key = KeyPair::generate().expect("a key");
    let anchor = ca.self_signed(&key).expect("signed").pem();
    let issuer = Issuer::new(ca, key);
    let mut leaf = CertificateParams::new(Vec::new()).expect("params");
    leaf.not_before = at(1_600_000_000);
    leaf.not_after = at(1_900_000_000);
    let key = KeyPair::generate().expect("a key");
    let trusted = leaf.signed_by(&key, &issuer).expect("signed").pem();
    leaf.not_after = at(1_650_000_000);
    let expired = leaf.self_signed(&key).expect("signed").pem();
    let config = StoreConfig {
        anchors: anchors(anchor.as_bytes()).expect("anchors"),
        hosts: Vec::new(),
        folder: None,
        keep: Duration::from_hours(1),
    };
    let random = ring::rand::SystemRandom::new();
    let algorithm = &ring::signature::ECDSA_P256_SHA256_FIXED_SIGNING;
    let key = Key::from_pkcs8(algorithm, &key.serialize_der(), &random).expect("a key");
    (Store::new(config, Box::new(Certificates { trusted, expired })).expect("a thread"), key)
}

fn engine(folder: &std::path::Path) -> (Engine, Key) {
    let tables = folder.join("ranges.csv");
    std::fs::write(
        &tables,
        "44,complete\n4420,allocated\n4416,allocated\n442079460666,do_not_originate\n442079461666,protected\n\
         252,high_cost\n252,risk:0.8\n44,risk:0.1\n118500,short_code\n112,emergency\n",
    )
    .expect("written");
    let lists = folder.join("lists.csv");
    let text = invite(0, &[], NONE);
    let order = scorer_common::Scan::of(&text).fingerprint;
    let profile = profile_of(&text);
    std::fs::write(
        &lists,
        format!(
            "allow_number,+33123456789\ndeny_number,+441111111111\ndeny_range,+8821\n\
             deny_fingerprint,{order:016x}\ndeny_profile,{profile}\nallow_source,2001:db8::/32\ndeny_source,198.51.100.0/24\n\
             scanner,198.51.100.9\nconsortium,+25261123456,2,1600000000\n\
             consortium,+88213123456,1,1650000000\n"
        ),
    )
    .expect("written");
    let env = EnvConfig {
        home_country: None,
        tables: vec![tables],
        lists: vec![lists],
        addresses: Some(
            concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/addresses.mmdb").into(),
        ),
        trunks: Trunks::parse(["a 192.0.2.0/24 44", "b 2001:db8::/32"].into_iter())
            .expect("trunks"),
        ..EnvConfig::default()
    };
    let config = EngineConfig {
        history: HistoryConfig { bytes: 8 << 20, secret: true, ..HistoryConfig::default() },
        env,
        ..EngineConfig::default()
    };
    let model = Arc::new(Model::builtin(&features::names()).expect("the built-in model"));
    let mut engine = Engine::new(&config, model).expect("tables");
    let (store, key) = store();
    engine.set_store(Arc::new(store));
    (engine, key)
}

/// The last part of a call's signature, as an operator copies it from the output.
fn profile_of(text: &[u8]) -> String {
    let bytes = udp_from([192, 0, 2, 1], 5060, text);
    let mut profile = String::new();
    super::engine().inspect(&frame(&bytes, 0.0), &mut |assessment| {
        let signature = assessment.signature.to_string();
        profile = signature.rsplit('_').next().unwrap_or_default().to_owned();
    });
    profile
}

/// The same call in packets of all kinds.
fn packets(seen: &mut Seen, engine: &mut Engine) {
    let text = |number| invite(number, &[], NONE);
    let mut odd = udp_from([192, 0, 2, 7], 40_000, &text(700));
    // DSCP 46, identification and flags, TTL 120, no checksum.
    (odd[15], odd[18], odd[19], odd[20], odd[22]) = (46 << 2, 0, 9, 0, 120);
    (odd[40], odd[41]) = (0, 0);
    seen.inspect(engine, &odd, 300.0);
    let mut tagged = udp_from([198, 51, 100, 9], 5060, &text(701));
    tagged.splice(12..12, [0x81, 0, 0, 100]);
    seen.inspect(engine, &tagged, 301.0);
    let mut tagged = udp_from([198, 51, 100, 9], 5060, &text(711));
    tagged.splice(12..12, [0x81, 0, 0, 101]);
    seen.inspect(engine, &tagged, 301.5);
    let mut six = Vec::new();
    PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv6("2001:db8::1".parse::<std::net::Ipv6Addr>().expect("v6").octets(), [0x20; 16], 60)
        .udp(5060, 5060)
        .write(&mut six, &text(702))
        .expect("a frame");
    seen.inspect(engine, &six, 302.0);
    // IP in IP.
    let inner = &udp_from([192, 0, 2, 7], 5060, &text(703))[14..];
    let total = (20 + inner.len()) as u16;
    let mut outer = vec![2; 12];
    outer.extend([8, 0, 0x45, 0, (total >> 8) as u8, total as u8, 0, 9, 0x40, 0, 60, 4, 0, 0]);
    outer.extend([10, 0, 0, 1, 10, 0, 0, 2]);
    outer.extend(inner);
    seen.inspect(engine, &outer, 303.0);
    // Two over one TCP connection, the second in two segments.
    let stream = [text(704), text(705)];
    let cuts = [0, stream[0].len(), stream[0].len() + 100, stream[0].len() + stream[1].len()];
    let all = stream.concat();
    for (i, cut) in cuts.windows(2).enumerate() {
        let mut bytes = Vec::new();
        PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4([192, 0, 2, 8], [203, 0, 113, 2], 61)
            .tcp(40_000, 5060, 1 + cut[0] as u32, 65_535)
            .write(&mut bytes, &all[cut[0]..cut[1]])
            .expect("a frame");
        seen.inspect(engine, &bytes, 304.0 + i as f64);
    }
}

/// Callers with habits: a dialler, a machine, a withheld repeater, a flood.
fn habits(seen: &mut Seen, engine: &mut Engine) {
    let reply = |number: u32, code: &str| {
        format!(
            "SIP/2.0 {code}\r\nVia: SIP/2.0/UDP 192.0.2.1\r\nFrom: <sip:a@b>;tag=a1b2c3d4\r\nTo: <sip:b@c>;tag=z\r\nCall-ID: {number}@192.0.2.1\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
        )
    };
    let request = |number: u32, method: &str| {
        format!(
            "{method} sip:x SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1\r\nFrom: <sip:a@b>;tag=a1b2c3d4\r\nTo: <sip:b@c>;tag=z\r\nCall-ID: {number}@192.0.2.1\r\nCSeq: 2 {method}\r\nContent-Length: 0\r\n\r\n"
        )
    };
    let pai = ("", "P-Asserted-Identity: <sip:+441632960050@carrier.example>");
    let source = [192, 0, 2, 1];
    let send = |seen: &mut Seen, engine: &mut Engine, text: &[u8], at: f64| {
        seen.inspect(engine, &udp_from(source, 5060, text), at);
    };
    for i in 0..40u32 {
        let (number, at) = (1_000 + i, 1_000.0 + 7.0 * f64::from(i));
        let uri = format!("INVITE sip:+2526112{:04}@x SIP/2.0", 3_000 + i);
        let change =
            [("INVITE", uri.as_str()), ("From", "From: <sip:+441632960050@x>;tag=a1b2c3d4"), pai];
        let privacy = [&change[..], &[("", "Privacy: id")]].concat();
        let change = if i % 5 == 0 { &privacy[..] } else { &change[..] };
        let text = invite(number, change, ("application/sdp", SDP));
        send(seen, engine, &text, at);
        if i % 8 == 0 {
            send(seen, engine, &text, at + 0.6);
        }
        match i % 4 {
            0 => send(seen, engine, request(number, "CANCEL").as_bytes(), at + 1.0),
            1 => send(seen, engine, reply(number, "486 Busy Here").as_bytes(), at + 1.0),
            2 => {
                send(seen, engine, reply(number, "200 OK").as_bytes(), at + 2.0);
                send(seen, engine, request(number, "BYE").as_bytes(), at + 4.0);
            }
            _ => send(seen, engine, reply(number, "200 OK").as_bytes(), at + 3.0),
        }
    }
    let now = frame(&[], 1_300.0).timestamp;
    assert!(engine.label(b"1001@192.0.2.1", true, 1, now));
    assert!(engine.label(b"1002@192.0.2.1", false, 0, now));
    assert!(engine.label(b"1003@192.0.2.1", true, 2, now));
    send(seen, engine, &invite(1_099, &[pai], NONE), 1_350.0);
    assert!(engine.label(b"1099@192.0.2.1", false, 0, frame(&[], 1_360.0).timestamp));
    // The same person again, signalling otherwise, at night; withheld, twice.
    for i in 0..4u32 {
        let change = [
            ("From", "From: <sip:anonymous@anonymous.invalid>;tag=99"),
            pai,
            ("", "Privacy: id"),
            ("", "User-Agent: Other 9"),
            ("", "Subject: x"),
        ];
        let text = invite(1_100 + i, &change[..if i < 2 { 5 } else { 3 }], NONE);
        send(seen, engine, &text, 1_400.0 + 40_000.0 * f64::from(i / 2) + f64::from(i));
    }
    // Many callers of one callee.
    for i in 0..60u32 {
        let from = format!("From: <sip:+4416329{:05}@x>;tag=1", 10_000 + i);
        let text = invite(1_200 + i, &[("From", &from)], ("application/sdp", SDP));
        send(seen, engine, &text, 90_000.0 + f64::from(i) / 10.0);
    }
    // The callee answers one.
    send(seen, engine, reply(1_259, "200 OK").as_bytes(), 90_010.0);
    send(seen, engine, &invite(1_299, &[], NONE), 90_020.0);
    send(seen, engine, reply(1_299, "486 Busy").as_bytes(), 90_021.0);
    // A device that is not what it says.
    for i in 0..6u32 {
        let agent = [("", "User-Agent: Asterisk PBX 18"), ("", "Subject: x")];
        let body = if i == 5 { ("application/sdp", ODD_SDP) } else { ("application/sdp", SDP) };
        let text = invite(1_300 + i, &agent[..if i == 5 { 2 } else { 1 }], body);
        send(seen, engine, &text, 91_000.0 + f64::from(i));
    }
}

#[test]
fn every_feature_takes_at_least_two_values() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut engine, key) = engine(folder.path());
    let mut seen = Seen(vec![BTreeSet::new(); REGISTRY.len()]);
    for (i, text) in odd_calls().iter().enumerate() {
        seen.inspect(&mut engine, &udp_from([192, 0, 2, 1], 5060, text), i as f64);
    }
    for round in 0..2 {
        for (i, text) in signed_calls(&key).iter().enumerate() {
            // Another Call-ID in the second round.
            let text = String::from_utf8_lossy(text)
                .replace("Call-ID: ", ["Call-ID: ", "Call-ID: r"][round]);
            let at = 200.0 + 10.0 * round as f64 + i as f64 / 10.0;
            seen.inspect(&mut engine, &udp_from([192, 0, 2, 1], 5060, text.as_bytes()), at);
        }
        // The certificates come meanwhile.
        std::thread::sleep(Duration::from_millis(500));
    }
    packets(&mut seen, &mut engine);
    habits(&mut seen, &mut engine);
    let crafted: Vec<_> = seen.0.iter().map(BTreeSet::len).collect();
    if let Some(folder) = shared("corpora/pcap") {
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .expect("captures")
            .map(|entry| entry.expect("entry").path())
            .collect();
        files.sort();
        for path in files {
            let mut reader = pcap::Reader::open(&path).expect("a capture");
            while let Ok(Some(frame)) = reader.next() {
                seen.frame(&mut engine, &frame);
            }
        }
    }
    let nan = f32::NAN.to_bits();
    let (mut constant, mut only_presence, mut varied) = (Vec::new(), Vec::new(), 0);
    for (feature, seen) in REGISTRY.iter().zip(&seen.0) {
        let numbers = seen.iter().filter(|value| **value != nan).count();
        match (seen.len(), numbers) {
            (0 | 1, _) => constant.push(feature.name),
            (_, 0 | 1) => only_presence.push(feature.name),
            _ => varied += 1,
        }
    }
    println!("{varied} of {} vary, {crafted:?}", REGISTRY.len());
    assert!(
        constant.is_empty() && only_presence.is_empty(),
        "constant: {constant:#?}\npresent or not: {only_presence:#?}"
    );
    assert!(varied > 200);
    // The groups that the counts stand in, in order.
    let first = REGISTRY.iter().position(|feature| feature.group == Group::Behaviour);
    assert_eq!(first, features::by_name("log_caller_calls_10s").map(usize::from));
    for kind in [
        "caller",
        "network",
        "callee",
        "source",
        "trunk",
        "fingerprint",
        "pair",
        "range",
        "country",
    ] {
        let at =
            |half: &str| features::by_name(&format!("log_{kind}_calls_{half}")).expect("a feature");
        let first = at("10s");
        assert_eq!([at("1m"), at("10m"), at("1h"), at("1d")], [1, 2, 3, 4].map(|i| first + i));
    }
}
