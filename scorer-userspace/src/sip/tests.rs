//! The view against RFC 4475's torture messages, against rsip, and against
//! whatever bytes.

use std::path::PathBuf;

use proptest::prelude::*;
use rsip::{
    headers::ToTypedHeader as _,
    prelude::{HeadersExt as _, UntypedHeader as _},
};
use scorer_common::Scan;

use super::{HeaderName, Message, Method, ParseError, Scratch, reply};
use crate::testing::shared;

fn messages() -> Vec<(PathBuf, Vec<u8>)> {
    let Some(shared) = shared("corpora/messages") else { return Vec::new() };
    let mut found = Vec::new();
    for folder in std::fs::read_dir(shared).expect("the corpus is readable") {
        for file in std::fs::read_dir(folder.expect("entry").path()).expect("folder") {
            let path = file.expect("entry").path();
            found.push((path.clone(), std::fs::read(path).expect("message")));
        }
    }
    assert!(found.len() > 90, "{} messages", found.len());
    found
}

/// Calls every accessor; all slices must lie in the message.
fn exercise(bytes: &[u8]) -> Result<(), ParseError> {
    let mut scratch = Scratch::new();
    let message = Message::parse(bytes, None, &mut scratch)?;
    let range = bytes.as_ptr_range();
    let inside = |part: &[u8]| {
        let part_range = part.as_ptr_range();
        assert!(
            part.is_empty() || (range.start <= part_range.start && part_range.end <= range.end)
        );
    };
    for header in message.headers() {
        inside(header.raw_name);
        inside(header.value);
    }
    let addresses = message.from().into_iter().chain(message.to()).chain(message.contact());
    for address in addresses.chain(message.asserted_identities()) {
        inside(address.display.unwrap_or_default());
        inside(address.uri.host);
        inside(address.uri.user.unwrap_or_default());
        inside(address.tag().unwrap_or_default());
        address.params.iter().for_each(|(name, value)| (inside(name), inside(value)).0);
    }
    for via in message.vias() {
        inside(via.host);
        inside(via.branch().unwrap_or_default());
    }
    let _ = (message.cseq(), message.request_uri(), reply(&message, 603, "t"));
    if let Some(sdp) = message.sdp() {
        sdp.lines().for_each(|(_, value)| inside(value));
    }
    inside(message.body());
    Ok(())
}

#[test]
fn every_message_of_the_corpus() {
    let mut parsed = 0;
    for (path, bytes) in messages() {
        match exercise(&bytes) {
            Ok(()) => parsed += 1,
            Err(error) => println!("{}: {error}", path.display()),
        }
        for end in 0..bytes.len() {
            let _ = exercise(&bytes[..end]);
        }
    }
    assert!(parsed == 0 || parsed > 80, "{parsed} parsed");
}

/// What RFC 4475 says of its messages: file, Call-ID, CSeq, From user and tag,
/// To user, Via values.
type Torture = (&'static str, &'static str, u32, &'static str, &'static str, &'static str, usize);

const TORTURE: &[Torture] = &[
    ("valid__wsinv", "wsinv.ndaksdj@192.0.2.1", 9, "jdrosen", "98asjd8", "vivekg", 3),
    ("valid__esc01", "esc01.239409asdf", 234_234, "I%20have%20spaces", "938", "%75se%72", 1),
    ("valid__escnull", "escnull.392", 14_398_234, "null-%00-null", "839923423", "null-%00-null", 1),
    ("valid__lwsdisp", "lwsdisp.1234abcd@funky.example.com", 60, "caller", "323", "user", 1),
    ("valid__longreq", "longreq.onereallyreally", 3_882_340, "amazinglylongcaller", "", "user", 34),
    ("valid__semiuri", "semiuri.0ha0isndaksdj", 8, "caller", "33242", "j_user", 1),
    ("valid__mpart01", "3d9485ad0c49859b@Zmx1ZmZ5", 1, "fluffy", "2fb0dcc9", "kumiko", 1),
    ("invalid__inv2543", "inv2543.1717@ift.client", 56, "+13035551111", "", "+16505552222", 1),
    ("invalid__zeromf", "zeromf.jfasdlfnm2o2l43r", 39_234_321, "caller", "3ghsd41", "user", 1),
];

#[test]
fn torture_messages_read_as_the_rfc_says() {
    let corpus = messages();
    if corpus.is_empty() {
        return;
    }
    for (file, call_id, cseq, from, tag, to, vias) in TORTURE {
        let (_, bytes) = corpus
            .iter()
            .find(|(path, _)| path.to_string_lossy().contains(&format!("{file}.dat")))
            .unwrap_or_else(|| panic!("{file} is in the corpus"));
        let mut scratch = Scratch::new();
        let message = Message::parse(bytes, None, &mut scratch).expect(file);
        let found = String::from_utf8_lossy(message.call_id().unwrap_or_default());
        assert!(found.starts_with(call_id), "{file}: Call-ID {found}");
        assert_eq!(message.cseq().map(|(number, _)| number), Some(*cseq), "{file}");
        let sender = message.from().expect(file);
        let user = String::from_utf8_lossy(sender.uri.user.unwrap_or_default());
        assert!(user.starts_with(from), "{file}: From user {user}");
        if !tag.is_empty() {
            assert_eq!(sender.tag(), Some(tag.as_bytes()), "{file}");
        }
        let user = message.to().and_then(|to| to.uri.user).unwrap_or_default();
        assert!(user.starts_with(to.as_bytes()), "{file}: To {}", user.escape_ascii());
        assert_eq!(message.vias().count(), *vias, "{file}");
    }
}

#[test]
fn legal_messages_that_rsip_refuses() {
    let legal: [&[u8]; 3] = [
        // Folded From (RFC 3261 section 7.3.1).
        b"INVITE sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: A\r\n <sip:a@h>\r\n ;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n\r\n",
        // Compact forms (section 7.3.3).
        b"INVITE sip:b@h SIP/2.0\r\nv: SIP/2.0/UDP a;branch=z9hG4bK1\r\nf: <sip:a@h>;tag=1\r\nt: <sip:b@h>\r\ni: 1\r\nCSeq: 1 INVITE\r\n\r\n",
        // Blanks around the slashes and the colon (section 7.3.1 and 25.1).
        b"INVITE sip:b@h SIP/2.0\r\nVia : SIP / 2.0 / UDP a ;branch=z9hG4bK1\r\nFrom : <sip:a@h>;tag=1\r\nTo : <sip:b@h>\r\nCall-ID : 1\r\nCSeq : 1  INVITE\r\n\r\n",
    ];
    for bytes in legal {
        let reference = rsip::Request::try_from(bytes).ok().and_then(|request| {
            let tag = request.from_header().ok()?.tag().ok()??;
            let branch = request.via_header().ok()?.typed().ok()?.branch()?.to_string();
            Some((tag.to_string(), branch))
        });
        assert_eq!(reference, None, "rsip takes it now: {}", bytes.escape_ascii());
        let mut scratch = Scratch::new();
        let message = Message::parse(bytes, None, &mut scratch).expect("legal");
        assert_eq!(message.call_id(), Some(&b"1"[..]));
        assert_eq!(message.from().and_then(|from| from.tag()), Some(&b"1"[..]));
        assert_eq!(message.to().and_then(|to| to.uri.user), Some(&b"b"[..]));
        assert_eq!(message.cseq(), Some((1, Method::Invite)));
        assert_eq!(message.top_via().and_then(|via| via.branch()), Some(&b"z9hG4bK1"[..]));
        assert!(reply(&message, 603, "x").is_ok());
    }
}

#[test]
fn large_and_many() {
    let head = b"INVITE sip:a@b SIP/2.0\r\n".to_vec();
    let many = [&head[..], &b"X: y\r\n".repeat(9_000), b"\r\n"].concat();
    assert_eq!(exercise(&many), Err(ParseError::TooManyHeaders));
    let few = [&head[..], &b"X: y\r\n".repeat(255), b"Call-ID: z\r\n\r\nbody"].concat();
    let mut scratch = Scratch::new();
    let message = Message::parse(&few, None, &mut scratch).expect("256 headers");
    assert_eq!((message.call_id(), message.body()), (Some(&b"z"[..]), &b"body"[..]));
    for filler in [&b","[..], b"\"", b"<", b"\\", b";", b"=", b"\r\n ", b"(", b":"] {
        let line = filler.repeat(64_000 / filler.len());
        let long = [&head[..], b"Via: ", &line, b"\r\nFrom: ", b"\r\n\r\n"].concat();
        assert_eq!(exercise(&long), Ok(()), "{}", filler.escape_ascii());
    }
    assert_eq!(exercise(&head.repeat(4_000)), Err(ParseError::TooLong));
}

#[test]
fn replies_repeat_what_they_must() {
    let bytes = b"INVITE sip:b@h SIP/2.0\r\nv: SIP/2.0/UDP a;branch=1\r\nVia: SIP/2.0/UDP c\r\nf: <sip:a@h>;tag=1\r\nt: <sip:b@h>\r\ni: 9\r\nCSeq: 1 INVITE\r\n\r\n";
    let mut scratch = Scratch::new();
    let message = Message::parse(bytes, None, &mut scratch).expect("legal");
    let answer = reply(&message, 603, "xyz").expect("a reply");
    let mut scratch = Scratch::new();
    let answer = Message::parse(&answer, None, &mut scratch).expect("ours reads it");
    assert_eq!(answer.count(HeaderName::Via), 2);
    assert_eq!(answer.call_id(), Some(&b"9"[..]));
    assert_eq!(answer.to().and_then(|to| to.tag()), Some(&b"xyz"[..]));
    assert_eq!(answer.cseq(), Some((1, Method::Invite)));
}

prop_compose! {
    fn token()(text in "[a-zA-Z0-9.!%*_+`'~-]{1,20}") -> String { text }
}

proptest! {
    #[test]
    fn well_formed_messages_read_as_rsip_reads_them(
        user in "[a-z0-9+]{1,12}", host in "[a-z]{1,10}\\.example", tag in token(),
        call in token(), seq in any::<u32>(), branch in "z9hG4bK[a-z0-9]{1,20}",
        name in "[A-Za-z ]{0,12}", extra in "(X-[a-z]{1,8}: [ -~]{0,30}\r\n){0,8}",
    ) {
        let text = format!(
            "INVITE sip:{user}@{host} SIP/2.0\r\nVia: SIP/2.0/UDP {host}:5060;branch={branch}\r\n\
             {extra}From: \"{name}\" <sip:{user}@{host}>;tag={tag}\r\nTo: <sip:{user}@{host}>\r\n\
             Call-ID: {call}\r\nCSeq: {seq} INVITE\r\nContact: <sip:{user}@{host}>\r\n\
             Content-Length: 0\r\n\r\n");
        let reference = rsip::Request::try_from(text.as_bytes()).unwrap();
        let mut scratch = Scratch::new();
        let message = Message::parse(text.as_bytes(), None, &mut scratch).unwrap();
        let string = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let from = message.from().unwrap();
        let theirs = reference.from_header().unwrap();
        let (tag, uri) = (theirs.tag().unwrap(), theirs.uri().unwrap());
        prop_assert_eq!(message.call_id().map(string), Some(reference.call_id_header().unwrap().value().to_owned()));
        prop_assert_eq!(from.tag().map(string), tag.map(|tag| tag.value().to_owned()));
        prop_assert_eq!(from.uri.user.map(string), uri.user().map(str::to_owned));
        prop_assert_eq!(message.cseq().unwrap().0, reference.cseq_header().unwrap().seq().unwrap());
        let via = reference.via_header().unwrap().typed().unwrap();
        let ours = message.top_via().unwrap();
        prop_assert_eq!(string(ours.host), via.uri.host().to_string());
        prop_assert_eq!(ours.branch().map(string), via.branch().map(|branch| branch.value().to_owned()));
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = exercise(&bytes);
        let _ = exercise(&[b"INVITE sip:a SIP/2.0\r\n", &bytes[..]].concat());
    }

    #[test]
    fn sip_like_text(text in "(Via|From|v|To|Contact|P-Asserted-Identity|c|l| |\t|[a-z]{1,5})[ :;,<>\"\\\\@=]{0,6}[ -~]{0,40}(\r\n|\n|\r)") {
        let _ = exercise(format!("INVITE sip:a SIP/2.0\r\n{text}\r\n").as_bytes());
    }

    #[test]
    fn the_kernels_pass_changes_nothing(cut in 0usize..400, flip in 0usize..300, byte in any::<u8>()) {
        let mut bytes = b"INVITE sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nFrom: A\r\n <sip:a@h>;tag=1\r\nTo: b\nX\r\nCall-ID: 1\r\n\r\nbody".to_vec();
        bytes.truncate(cut.max(30));
        if let Some(place) = bytes.get_mut(flip) { *place = byte; }
        let (mut a, mut b) = (Scratch::new(), Scratch::new());
        let hint = Scan::of(&bytes);
        let with = Message::parse(&bytes, Some(&hint), &mut a);
        let without = Message::parse(&bytes, None, &mut b);
        match (with, without) {
            (Ok(with), Ok(without)) => {
                prop_assert!(with.headers().eq(without.headers()));
                prop_assert_eq!(with.body(), without.body());
                prop_assert_eq!(with.scan(), without.scan());
            }
            (with, without) => prop_assert_eq!(with.err(), without.err()),
        }
    }

    #[test]
    fn a_wrong_scan_cannot_hurt(lie in prop::collection::vec(any::<u16>(), 64), lines in 0u32..80, body in 0u32..200) {
        let bytes = b"INVITE sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nFrom: a\r\n\r\n";
        let mut scan = Scan::of(bytes);
        scan.offsets.copy_from_slice(&lie);
        scan.offsets.sort_unstable();
        scan.lines = lines;
        scan.body = body;
        scan.flags = 0;
        let mut scratch = Scratch::new();
        if let Ok(message) = Message::parse(bytes, Some(&scan), &mut scratch) {
            let _ = message.headers().count();
            let _ = (message.from(), message.body());
        }
    }
}
