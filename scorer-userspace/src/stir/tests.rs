//! A CA of our own, signers, calls signed well and badly.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use proptest::prelude::*;
use rcgen::{BasicConstraints, CertificateParams, CustomExtension, IsCa, Issuer, KeyPair};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};

use super::{
    Budget, Certificate, Facts, Fetch, FetchError, Https, Lookup, Passport, PassportError, Scratch,
    Store, StoreConfig, Subject, anchors, examine,
    fetch::{host, is_public},
};
use crate::{number::Number, sip::Message, time::Timestamp};

const URL: &str = "https://certs.example.net/sti.pem";
const NOW: u64 = 1_700_000_000;

struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

fn ca() -> Ca {
    let mut params = CertificateParams::new(Vec::new()).expect("params");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "test STI-CA");
    let key = KeyPair::generate().expect("a key");
    let pem = params.self_signed(&key).expect("signed").pem();
    Ca { issuer: Issuer::new(params, key), pem }
}

/// A signer's key and chain.
struct Signer {
    key: EcdsaKeyPair,
    pem: String,
}

fn signer(ca: &Ca, from: i64, days: i64, list: Option<Vec<u8>>) -> Signer {
    let mut params = CertificateParams::new(Vec::new()).expect("params");
    params.distinguished_name.push(rcgen::DnType::CommonName, "SHAKEN 1234");
    let start = time_at(from);
    params.not_before = start;
    params.not_after = time_at(from + days * 86_400);
    if let Some(list) = list {
        let oid = [1, 3, 6, 1, 5, 5, 7, 1, 26];
        params.custom_extensions.push(CustomExtension::from_oid_content(&oid, list));
    }
    let key = KeyPair::generate().expect("a key");
    let pem = params.signed_by(&key, &ca.issuer).expect("signed").pem();
    let der = key.serialize_der();
    let rng = SystemRandom::new();
    let key =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der, &rng).expect("a key");
    Signer { key, pem }
}

fn time_at(seconds: i64) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp(seconds).expect("a time")
}

fn identity(signer: &Signer, header: &str, payload: &str) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = signer.key.sign(&SystemRandom::new(), signed.as_bytes()).expect("signed");
    format!("{signed}.{};info=<{URL}>;alg=ES256;ppt=shaken", URL_SAFE_NO_PAD.encode(signature))
}

fn shaken(signer: &Signer, orig: &str, dest: &str, attest: &str, iat: u64) -> String {
    let header = format!(r#"{{"alg":"ES256","ppt":"shaken","typ":"passport","x5u":"{URL}"}}"#);
    let payload = format!(
        r#"{{"attest":"{attest}","dest":{{"tn":["{dest}"]}},"iat":{iat},"orig":{{"tn":"{orig}"}},"origid":"de305d54-75b4-431b-adb2-eb6b9e546014"}}"#
    );
    identity(signer, &header, &payload)
}

/// Gives what it is told to, and counts.
struct Canned {
    answer: Arc<Mutex<Result<String, FetchError>>>,
    asked: Arc<AtomicUsize>,
}

impl Fetch for Canned {
    fn fetch(&self, _: &str) -> Result<Vec<u8>, FetchError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.answer.lock().expect("not poisoned").clone().map(String::into_bytes)
    }
}

type Answer = Arc<Mutex<Result<String, FetchError>>>;

fn store(
    pem: &str,
    anchor: &str,
    folder: Option<&std::path::Path>,
) -> (Store, Answer, Arc<AtomicUsize>) {
    let (answer, asked) = (Arc::new(Mutex::new(Ok(pem.to_owned()))), Arc::new(AtomicUsize::new(0)));
    let config = StoreConfig {
        anchors: anchors(anchor.as_bytes()).expect("anchors"),
        hosts: Vec::new(),
        folder: folder.map(Into::into),
        keep: Duration::from_hours(24),
    };
    let fetch = Canned { answer: Arc::clone(&answer), asked: Arc::clone(&asked) };
    (Store::new(config, Box::new(fetch)).expect("a thread"), answer, asked)
}

/// Waits until the thread has got it, or failed.
fn settled(store: &Store, now: Timestamp) -> Lookup {
    for _ in 0..500 {
        match store.look_up(URL, now) {
            Lookup::Pending => std::thread::sleep(Duration::from_millis(2)),
            other => return other,
        }
    }
    panic!("the certificate does not come");
}

fn examined(identity: &[&str], caller: &str, callee: &str, store: Option<&Store>) -> Facts {
    let lines: String = identity.iter().map(|value| format!("Identity: {value}\r\n")).collect();
    let text = format!("INVITE sip:{callee}@x SIP/2.0\r\nCall-ID: 1\r\n{lines}\r\n");
    let mut sip = crate::sip::Scratch::new();
    let message = Message::parse(text.as_bytes(), None, &mut sip).expect("a message");
    let (caller, callee) =
        (Number::parse(caller.as_bytes(), None), Number::parse(callee.as_bytes(), None));
    let subject =
        Subject { caller: caller.as_ref(), callee: callee.as_ref(), now: Timestamp::new(NOW, 0) };
    examine(&message, &subject, store, &mut Budget::new(100), &mut Scratch::default())
}

#[test]
fn a_call_signed_well() {
    let ca = ca();
    let signer = signer(&ca, NOW as i64 - 86_400, 30, None);
    let (store, _, asked) = store(&signer.pem, &ca.pem, None);
    let value = shaken(&signer, "442079460001", "442079460002", "A", NOW - 3);
    let call = || examined(&[&value], "+442079460001", "+442079460002", Some(&store));
    let first = call();
    assert!(first.pending && first.valid.is_none() && first.shaken);
    assert_eq!(first.host_known, Some(false));
    settled(&store, Timestamp::new(NOW, 0));
    let facts = call();
    assert!(!facts.pending && facts.attest == Some(b'A') && facts.count == 1);
    assert_eq!((facts.valid, facts.trusted, facts.expired), (Some(true), Some(true), Some(false)));
    assert_eq!(
        (facts.orig_matches, facts.dest_matches, facts.age),
        (Some(true), Some(true), Some(3))
    );
    assert!(facts.host_known == Some(true) && facts.origid != 0 && facts.covers.is_none());
    assert_eq!(asked.load(Ordering::SeqCst), 1, "fetched once");
    // Without a store nothing is said of the signature.
    let facts = examined(&[&value], "+442079460001", "+442079460002", None);
    assert!(facts.valid.is_none() && facts.trusted.is_none() && !facts.pending);
    // Another caller, another callee, long ago.
    let facts = examined(&[&value], "+442079460009", "+33123456789", Some(&store));
    assert_eq!((facts.orig_matches, facts.dest_matches), (Some(false), Some(false)));
    let old = shaken(&signer, "442079460001", "442079460002", "B", NOW - 3_600);
    let facts = examined(&[&old], "+442079460001", "+442079460002", Some(&store));
    assert_eq!((facts.age, facts.attest, facts.valid), (Some(3_600), Some(b'B'), Some(true)));
}

#[test]
fn calls_signed_badly() {
    let (ca, other) = (ca(), ca());
    let good = signer(&ca, NOW as i64 - 86_400, 30, None);
    let stranger = signer(&other, NOW as i64 - 86_400, 30, None);
    let expired = signer(&ca, NOW as i64 - 100 * 86_400, 30, None);
    let facts_with = |pem: &str, value: &str| {
        let (store, ..) = store(pem, &ca.pem, None);
        settled(&store, Timestamp::new(NOW, 0));
        examined(&[value], "+442079460001", "+442079460002", Some(&store))
    };
    let sign = |signer: &Signer| shaken(signer, "442079460001", "442079460002", "A", NOW);
    // Signed by another key than the certificate's.
    let facts = facts_with(&good.pem, &sign(&stranger));
    assert_eq!((facts.valid, facts.trusted), (Some(false), Some(true)));
    // Good, but nobody vouches for the signer; or it has expired.
    let facts = facts_with(&stranger.pem, &sign(&stranger));
    assert_eq!((facts.valid, facts.trusted), (Some(true), Some(false)));
    let facts = facts_with(&expired.pem, &sign(&expired));
    assert_eq!((facts.valid, facts.expired), (Some(true), Some(true)));
    // Claims changed after signing.
    let value = sign(&good);
    let payload = URL_SAFE_NO_PAD.encode(
        r#"{"attest":"A","dest":{"tn":["442079460002"]},"iat":1700000000,"orig":{"tn":"442079460666"}}"#,
    );
    let mut parts: Vec<&str> = value.splitn(3, '.').collect();
    parts[1] = &payload;
    let facts = facts_with(&good.pem, &parts.join("."));
    assert_eq!((facts.valid, facts.orig_matches), (Some(false), Some(false)));
}

#[test]
fn lists_of_numbers() {
    let ca = ca();
    // [1] range 442079460000 for 1000, [2] one 441632960001.
    let der = |tag: u8, contents: &[u8]| [&[tag, contents.len() as u8], contents].concat();
    let range = der(0x30, &[der(0x16, b"442079460000"), der(0x02, &[3, 232])].concat());
    let list = der(0x30, &[der(0xa1, &range), der(0xa2, &der(0x16, b"441632960001"))].concat());
    let signer = signer(&ca, NOW as i64 - 86_400, 30, Some(list));
    let anchors = anchors(ca.pem.as_bytes()).expect("anchors");
    let certificate = Certificate::read(signer.pem.as_bytes(), &anchors).expect("a certificate");
    for (number, covered) in [
        (&b"442079460000"[..], true),
        (b"442079460999", true),
        (b"442079461000", false),
        (b"441632960001", true),
        (b"441632960002", false),
    ] {
        assert_eq!(certificate.covers(number), Some(covered));
    }
    assert!(Certificate::read(b"no certificate", &anchors).is_err());
    let cut = &signer.pem.as_bytes()[..signer.pem.len() / 2];
    assert!(Certificate::read(cut, &anchors).is_err());
}

#[test]
fn forwarded_calls() {
    let ca = ca();
    let signer = signer(&ca, NOW as i64 - 86_400, 30, None);
    let first = shaken(&signer, "442079460001", "442079460002", "A", NOW);
    let div = |from: &str, to: &str| {
        identity(
            &signer,
            &format!(r#"{{"alg":"ES256","ppt":"div","typ":"passport","x5u":"{URL}"}}"#),
            &format!(
                r#"{{"dest":{{"tn":["{to}"]}},"div":{{"tn":"{from}"}},"iat":{NOW},"orig":{{"tn":"442079460001"}}}}"#
            ),
        )
    };
    let good = div("442079460002", "442079460003");
    let facts = examined(&[&first, &good], "+442079460001", "+442079460003", None);
    assert!(facts.shaken && facts.div && facts.div_chain == Some(true) && facts.count == 2);
    assert_eq!(facts.dest_matches, Some(false), "the first was for another callee");
    let bad = div("442079460777", "442079460003");
    let facts = examined(&[&first, &bad], "+442079460001", "+442079460003", None);
    assert_eq!(facts.div_chain, Some(false));
}

#[test]
fn the_compact_form() {
    let ca = ca();
    let signer = signer(&ca, NOW as i64 - 86_400, 30, None);
    let (store, ..) = store(&signer.pem, &ca.pem, None);
    settled(&store, Timestamp::new(NOW, 0));
    // 22:13:20 on that day is NOW.
    let header = format!(r#"{{"alg":"ES256","typ":"passport","x5u":"{URL}"}}"#);
    let payload = format!(
        r#"{{"dest":{{"tn":["442079460002"]}},"iat":{NOW},"orig":{{"tn":"442079460001"}}}}"#
    );
    let full = identity(&signer, &header, &payload);
    let token = full.split(';').next().expect("a token");
    let compact = format!("..{};info=<{URL}>", token.rsplit('.').next().expect("a signature"));
    let dated = |value: &str, seconds: u32| {
        format!("{value}\r\nDate: Tue, 14 Nov 2023 22:13:{seconds:02} GMT")
    };
    let call =
        |value: &str, callee: &str| examined(&[value], "+442079460001", callee, Some(&store));
    let facts = call(&dated(&compact, 20), "+442079460002");
    assert_eq!((facts.valid, facts.age, facts.unreadable), (Some(true), Some(0), false));
    // Another callee or another time is not what was signed; without a Date nobody knows.
    assert_eq!(call(&dated(&compact, 20), "+442079460003").valid, Some(false));
    assert_eq!(call(&dated(&compact, 21), "+442079460002").valid, Some(false));
    assert!(call(&compact, "+442079460002").unreadable);
}

#[test]
fn values_that_cannot_be_read() {
    let parse = |text: &str| Passport::parse(text.as_bytes(), &mut Scratch::default()).map(drop);
    let b64 = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let signature = URL_SAFE_NO_PAD.encode([7; 64]);
    let header = r#"{"alg":"ES256","ppt":"shaken","x5u":"https:\/\/a\/b"}"#;
    let payload = r#"{"iat":1,"orig":{"tn":"1"},"dest":{"tn":["2"]}}"#;
    let good = format!("{}.{}.{signature}", b64(header), b64(payload));
    assert_eq!(parse(&good), Ok(()));
    for (text, error) in [
        (String::new(), PassportError::Form),
        ("a.b".to_owned(), PassportError::Form),
        (format!("..{signature}"), PassportError::Compact),
        (format!("!.{}.{signature}", b64(payload)), PassportError::Base64),
        (format!("{}.{}.AAAA", b64(header), b64(payload)), PassportError::Base64),
        (format!("{}.{}.{signature}", b64("{}"), b64(payload)), PassportError::Json),
        (format!("{}.{}.{signature}", b64(header), b64("{}")), PassportError::Json),
        (
            format!("{}.{}.{signature}", b64(r#"{"alg":"none"}"#), b64(payload)),
            PassportError::Algorithm,
        ),
        ("x".repeat(9_000), PassportError::TooLong),
    ] {
        assert_eq!(parse(&text), Err(error), "{text}");
    }
    let facts = examined(&["nonsense"], "+1", "+2", None);
    assert!(facts.unreadable && facts.count == 1);
}

#[test]
fn certificates_kept_and_failures_spaced() {
    let (ca, folder) = (ca(), tempfile::tempdir().expect("a folder"));
    let signer = signer(&ca, NOW as i64 - 86_400, 30, None);
    let now = Timestamp::new(NOW, 0);
    // A failure is not tried again at once, and then is.
    let (failing, answer, asked) = store("", &ca.pem, None);
    *answer.lock().expect("not poisoned") = Err(FetchError::Failed("no route".into()));
    assert!(matches!(settled(&failing, now), Lookup::Failed));
    assert!(matches!(failing.look_up(URL, Timestamp::new(NOW + 30, 0)), Lookup::Failed));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    *answer.lock().expect("not poisoned") = Ok(signer.pem.clone());
    assert!(matches!(settled(&failing, Timestamp::new(NOW + 61, 0)), Lookup::Ready(_)));
    // On disk: the next store does not ask.
    let (one, _, asked) = store(&signer.pem, &ca.pem, Some(folder.path()));
    assert!(matches!(settled(&one, now), Lookup::Ready(_)));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let (two, _, asked) = store(&signer.pem, &ca.pem, Some(folder.path()));
    assert!(matches!(settled(&two, now), Lookup::Ready(_)));
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    // Damaged on disk: asked again.
    let kept = std::fs::read_dir(folder.path()).expect("a folder").next().expect("a file");
    std::fs::write(kept.expect("a file").path(), "junk").expect("written");
    let (three, _, asked) = store(&signer.pem, &ca.pem, Some(folder.path()));
    assert!(matches!(settled(&three, now), Lookup::Ready(_)));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    // Addresses that are none, and hosts that are not on the list.
    for url in ["http://certs.example.net/a", "ftp://x", "https://", "https://a@b/c", ""] {
        assert!(matches!(one.look_up(url, now), Lookup::Failed), "{url}");
    }
    assert_eq!(
        (host("https://[2001:db8::1]:8443/x"), host("https://a.b:443/")),
        (Some("2001:db8::1"), Some("a.b"))
    );
}

#[test]
fn only_public_addresses_are_connected_to() {
    for private in [
        "127.0.0.1:443",
        "10.1.2.3:443",
        "192.168.1.1:443",
        "169.254.169.254:443",
        "100.64.0.1:443",
        "0.0.0.0:443",
        "224.0.0.1:443",
        "198.18.0.1:443",
        "192.0.2.1:443",
        "255.255.255.255:443",
        "[::1]:443",
        "[fe80::1]:443",
        "[fc00::1]:443",
        "[2001:db8::1]:443",
        "[::ffff:127.0.0.1]:443",
        "[ff02::1]:443",
        "[2002:7f00:1::]:443",
        "[64:ff9b::7f00:1]:443",
    ] {
        assert!(!is_public(private.parse().expect("an address")), "{private}");
    }
    for public in ["9.9.9.9:443", "[2620:fe::fe]:443"] {
        assert!(is_public(public.parse().expect("an address")), "{public}");
    }
    // A server on loopback that would count: nobody comes.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let error = Https::new().fetch(&format!("https://localhost:{port}/x")).expect_err("refused");
    assert!(matches!(error, FetchError::Failed(_)), "{error}");
    listener.set_nonblocking(true).expect("nonblocking");
    assert!(listener.accept().is_err(), "a connection was made");
    // With the switch of tests it is made, and a server that says nothing times out.
    let start = std::time::Instant::now();
    assert!(
        Https::with(true, ureq::tls::RootCerts::WebPki)
            .fetch(&format!("https://127.0.0.1:{port}/x"))
            .is_err()
    );
    assert!(listener.accept().is_ok(), "no connection was made");
    assert!(start.elapsed() < Duration::from_secs(30));
}

/// Serves `body` over HTTPS on loopback, once for each connection; its port.
fn serve(ca: &Ca, status: &str, body: Vec<u8>) -> u16 {
    use std::io::{Read as _, Write as _};
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("params");
    let key = KeyPair::generate().expect("a key");
    let leaf = params.signed_by(&key, &ca.issuer).expect("signed");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key.into())
        .expect("a certificate");
    let config = Arc::new(config);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nLocation: https://localhost:{port}/b\r\nConnection: close\r\n\r\n",
        body.len()
    );
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let session = rustls::ServerConnection::new(Arc::clone(&config)).expect("a session");
            let mut stream = rustls::StreamOwned::new(session, stream);
            let mut request = [0; 2_048];
            // What goes wrong here is the client's to tell.
            let _ = stream.read(&mut request);
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    port
}

#[test]
fn certificates_come_over_https() {
    let ca = ca();
    let signer = signer(&ca, NOW as i64 - 86_400, 30, None);
    let root = ureq::tls::Certificate::from_pem(ca.pem.as_bytes()).expect("a root").to_owned();
    let roots = || ureq::tls::RootCerts::new_with_certs(std::slice::from_ref(&root));
    let https = Https::with(true, roots());
    let fetch = |status: &str, body: &[u8]| {
        let port = serve(&ca, status, body.to_vec());
        https.fetch(&format!("https://localhost:{port}/sti.pem"))
    };
    let pem = fetch("200 OK", signer.pem.as_bytes()).expect("fetched");
    assert_eq!(pem, signer.pem.as_bytes());
    // Too much, a redirect, an error page, a server nobody vouches for.
    let large = fetch("200 OK", &vec![b'x'; 100 << 10]).expect_err("too large").to_string();
    assert!(large.contains("limit") || large.contains("large"), "{large}");
    for status in ["302 Found", "404 Not Found", "500 Oops"] {
        assert!(fetch(status, signer.pem.as_bytes()).is_err(), "{status}");
    }
    let port = serve(&ca, "200 OK", b"x".to_vec());
    let strict = Https::with(true, ureq::tls::RootCerts::WebPki);
    assert!(strict.fetch(&format!("https://localhost:{port}/sti.pem")).is_err());
}

#[test]
fn checks_are_limited() {
    let mut budget = Budget::new(10);
    let taken = |budget: &mut Budget, at: Timestamp| (0..100).filter(|_| budget.take(at)).count();
    assert_eq!(taken(&mut budget, Timestamp::new(NOW, 0)), 10);
    assert_eq!(taken(&mut budget, Timestamp::new(NOW, 500_000_000)), 5);
    assert_eq!(taken(&mut budget, Timestamp::new(NOW + 60, 0)), 10);
}

proptest! {
    #[test]
    fn any_value(value in prop::collection::vec(any::<u8>(), 0..400), json in "[{}\\[\\]\":,a-z0-9]{0,80}") {
        let _ = Passport::parse(&value, &mut Scratch::default());
        let text = format!("{}.{}.{}", URL_SAFE_NO_PAD.encode(&json), URL_SAFE_NO_PAD.encode(&json), URL_SAFE_NO_PAD.encode([1; 64]));
        let _ = Passport::parse(text.as_bytes(), &mut Scratch::default());
        let _ = Certificate::read(&value, &[]);
    }
}
