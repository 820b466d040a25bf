//! Every way out of band says what the JSON lines say.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    net::{TcpStream, UdpSocket},
    os::unix::net::UnixDatagram,
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use scorer::{
    features::REGISTRY,
    time::Timestamp,
    verdict::{header, wire},
};
use scorer_common::{
    Verdict,
    verdict::{Level, NO_REASON, Tag, Tags},
};
use scorer_tests::{
    frames::{invite, udp4},
    lab::{BpfFs, Lab, Running},
    reader::{self, Line},
    scorer as binary, shared,
};
use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Writes a configuration; the arguments that name it.
fn configured(folder: &Path, text: &str) -> String {
    let path = folder.join("scorer.toml");
    std::fs::write(&path, text).expect("written");
    path.display().to_string()
}

fn frame(call_id: &str) -> Vec<u8> {
    udp4(invite(call_id).as_bytes(), 5060)
}

fn parsed(line: &str) -> Value {
    serde_json::from_str(line).expect("a line of JSON")
}

/// The record and the line of one verdict say the same.
fn assert_same(record: &Verdict, line: &Value) {
    assert_eq!(record.version, scorer_common::verdict::VERSION);
    assert_eq!(line["score"], record.score);
    assert_eq!(line["level"], Level::ALL[usize::from(record.level)].name());
    let tags: Vec<_> = Tags(record.tags).iter().map(Tag::name).collect();
    assert_eq!(line["tags"], Value::from(tags));
    let stamp = String::from_utf8(Timestamp(record.timestamp).rfc3339().to_vec()).expect("text");
    assert_eq!(line["ts"], stamp);
    assert_eq!(line["fingerprint"], format!("{:016x}", record.fingerprint));
    assert_eq!((line["action"].as_str(), record.action), (Some("pass"), 0));
    assert!(record.latency > 0);
    assert_eq!(line["latency_ns"], record.latency);
    assert_eq!((record.probability * 100.0).round() as u8, record.score);
    let reasons = record.reasons.iter().filter(|id| **id != NO_REASON);
    let reasons: Vec<_> = reasons.map(|id| REGISTRY[usize::from(*id)].name).collect();
    let said = line["reasons"].as_array().expect("reasons");
    let said: Vec<_> = said.iter().filter_map(|reason| reason["feature"].as_str()).collect();
    assert_eq!(said, reasons);
}

/// What the C example prints of a record.
fn as_printed(record: &Verdict, call_id: &str, from_tag: Option<&str>) -> Line {
    Line {
        key: wire::key(call_id.as_bytes()),
        from_tag: from_tag.map_or(0, |tag| wire::key(tag.as_bytes())),
        score: record.score,
        level: record.level,
        action: record.action,
        tags: record.tags,
        timestamp: record.timestamp,
        model: record.model,
        probability: format!("{:.6}", record.probability).parse().expect("a number"),
        latency: record.latency,
        reasons: record.reasons.iter().copied().filter(|id| *id != NO_REASON).collect(),
    }
}

/// Status line and body of a request over HTTP, asked from inside the edge.
fn get(path: &str) -> (String, String) {
    let mut stream = TcpStream::connect("127.0.0.1:19465").expect("verdicts are served");
    let text = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(text.as_bytes()).expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.lines().next().unwrap_or_default().to_owned(), body.to_owned())
}

/// From tag of [`invite`].
const TAG: &str = "8f3b2a1c";

#[test]
fn all_ways_at_once_agree() {
    if !shared::privileged() {
        return;
    }
    let (lab, folder, pins) = (Lab::new(), tempfile::tempdir().expect("a folder"), BpfFs::new());
    let map = pins.path().join("scorer/verdicts");
    let example = reader::compile(folder.path());
    let path = |name: &str| folder.path().join(name);
    let unix_json = UnixDatagram::bind(path("json")).expect("bound");
    let unix_record = UnixDatagram::bind(path("record")).expect("bound");
    let udp = |port: u16| UdpSocket::bind(("127.0.0.1", port)).expect("bound");
    let (udp_json, udp_record, router) =
        lab.inside_edge(|| (udp(19_001), udp(19_002), udp(19_003)));
    for socket in [&unix_json, &unix_record] {
        socket.set_read_timeout(Some(TIMEOUT)).expect("set");
    }
    for socket in [&udp_json, &udp_record, &router] {
        socket.set_read_timeout(Some(TIMEOUT)).expect("set");
    }
    let config = configured(
        folder.path(),
        &format!(
            "[deliver]\nreceivers = [\"unix:{0}/json json\", \"unix:{0}/record record\", \
             \"udp:127.0.0.1:19001 json\", \"udp:19002 record\"]\nmap = \"{1}\"\n\
             ring = \"{0}/ring\"\nhttp = \"127.0.0.1:19465\"\n\
             [redirect]\nlisten = \"127.0.0.1:15070\"\ndeadline_ms = 5000\n",
            folder.path().display(),
            map.display()
        ),
    );
    let tap = binary::tap(&lab, "auto", folder.path(), &["--config", &config]);
    let mut bytes = [0; 4096];
    let mut records = Vec::new();
    let mut lines = Vec::new();
    for i in 0..40 {
        let call_id = format!("way/{i}@192.0.2.1");
        lab.send(&[frame(&call_id)]);
        let length = unix_json.recv(&mut bytes).expect("a line");
        let line = String::from_utf8(bytes[..length].to_vec()).expect("text");
        let length = udp_json.recv(&mut bytes).expect("a line");
        assert_eq!(line.as_bytes(), &bytes[..length]);
        assert_eq!(unix_record.recv(&mut bytes).expect("a record"), 64);
        let record: [u8; 64] = bytes[..64].try_into().expect("64 bytes");
        assert_eq!(udp_record.recv(&mut bytes).expect("a record"), 64);
        assert_eq!(&record[..], &bytes[..64]);
        let record = wire::parse(&record);
        assert_same(&record, &parsed(&line));

        let escaped = call_id.replace('/', "%2F");
        let (status, body) =
            lab.inside_edge(|| get(&format!("/v1/calls/{escaped}/verdict?wait=2000")));
        assert_eq!((&*status, &*body), ("HTTP/1.1 200 OK", &*line));

        // The router asks about the same call, as the tap has seen it.
        router.send_to(invite(&call_id).as_bytes(), "127.0.0.1:15070").expect("sent");
        // Its Via names another port, to which the answer goes: 5060 at this address.
        let mut risk = Vec::new();
        header::write(&record, parsed(&line)["model"].as_str().expect("a name"), &mut risk);
        let rport = invite(&call_id).replace("5060;branch=", "5060;rport;branch=second");
        router.send_to(rport.as_bytes(), "127.0.0.1:15070").expect("sent");
        let (length, _) = router.recv_from(&mut bytes).expect("an answer");
        let answer = String::from_utf8_lossy(&bytes[..length]).into_owned();
        assert!(answer.starts_with("SIP/2.0 302 Moved Temporarily\r\n"), "{answer}");
        let risk = format!("X-Call-Risk: {}\r\n", String::from_utf8_lossy(&risk));
        assert!(answer.contains(&risk), "{risk} is not in\n{answer}");
        records.push((call_id, record));
        lines.push(line);
    }

    // One that the tap has not seen: it is scored as the router's.
    let unseen = invite("unseen@h").replace("5060;branch=", "5060;rport;branch=u");
    router.send_to(unseen.as_bytes(), "127.0.0.1:15070").expect("sent");
    let (length, _) = router.recv_from(&mut bytes).expect("an answer");
    let answer = String::from_utf8_lossy(&bytes[..length]).into_owned();
    assert!(answer.starts_with("SIP/2.0 302 ") && answer.contains("X-Call-Risk: "), "{answer}");
    let length = unix_json.recv(&mut bytes).expect("a line");
    let line = String::from_utf8(bytes[..length].to_vec()).expect("text");
    assert_eq!(parsed(&line)["source"], "127.0.0.1:19003");
    lines.push(line);

    // The C example, from the map and from the ring.
    let mut command = Command::new(&example);
    command.arg("map").arg(&map).args(records.iter().map(|(call_id, _)| call_id));
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed: Vec<_> =
        String::from_utf8(output.stdout).expect("text").lines().map(Line::parse).collect();
    let expected: Vec<_> =
        records.iter().map(|(call_id, record)| as_printed(record, call_id, None)).collect();
    assert_eq!(printed, expected);
    let mut command = Command::new(&example);
    command.arg("ring").arg(path("ring")).args(["--from-start", "--count", "40"]);
    let output = command.output().expect("it runs");
    let printed: Vec<_> =
        String::from_utf8(output.stdout).expect("text").lines().map(Line::parse).collect();
    let expected: Vec<_> =
        records.iter().map(|(call_id, record)| as_printed(record, call_id, Some(TAG))).collect();
    assert_eq!(printed, expected);

    let (said, words) = tap.finish();
    assert_eq!(said, lines.concat());
    for count in ["unix_sent 82", "udp_sent 82", "map_sent 41", "ring_sent 41", "recent_sent 41"] {
        assert!(words.contains(count), "{count} is not in\n{words}");
    }
    assert!(words.contains("redirect: invites 81, known 80, scored 1"), "{words}");
    assert!(words.contains("answers: 302 81"), "{words}");
}

#[test]
fn http_waits_for_a_verdict() {
    if !shared::privileged() {
        return;
    }
    let (lab, folder) = (Lab::new(), tempfile::tempdir().expect("a folder"));
    let config = configured(folder.path(), "[deliver]\nhttp = \"127.0.0.1:19465\"\n");
    let tap = binary::tap(&lab, "auto", folder.path(), &["--config", &config]);
    let (status, body) = std::thread::scope(|scope| {
        let asked = scope.spawn(|| lab.inside_edge(|| get("/v1/calls/later@h/verdict?wait=10000")));
        // Most of the time it waits by now; where not, it is answered at once.
        sleep(Duration::from_millis(300));
        lab.send(&[frame("later@h")]);
        asked.join().expect("answered")
    });
    let (unknown, problem) = lab.inside_edge(|| get("/v1/calls/never@h/verdict?wait=10"));
    let (said, words) = tap.finish();
    assert_eq!((&*status, body), ("HTTP/1.1 200 OK", said));
    assert_eq!(unknown, "HTTP/1.1 404 Not Found");
    assert_eq!(parsed(&problem)["status"], 404);
    assert!(words.contains("unknown 1"), "{words}");
}

#[test]
fn receivers_that_are_missing_or_do_not_read_cost_only_their_own() {
    if !shared::privileged() {
        return;
    }
    let (lab, folder) = (Lab::new(), tempfile::tempdir().expect("a folder"));
    let lazy = UnixDatagram::bind(folder.path().join("lazy")).expect("bound");
    let config = configured(
        folder.path(),
        &format!(
            "[deliver]\nreceivers = [\"unix:{0}/lazy json\", \"unix:{0}/nobody record\", \
             \"udp:19009 record\", \"udp:127.0.0.1:19001 record\"]\n",
            folder.path().display(),
        ),
    );
    let good = lab.inside_edge(|| UdpSocket::bind("127.0.0.1:19001").expect("bound"));
    good.set_read_timeout(Some(TIMEOUT)).expect("set");
    let tap = binary::tap(&lab, "auto", folder.path(), &["--config", &config]);
    let frames: Vec<_> = (0..300).map(|i| frame(&format!("lazy{i}"))).collect();
    lab.send(&frames);
    let mut bytes = [0; 128];
    for _ in 0..300 {
        assert_eq!(good.recv(&mut bytes).expect("a record"), 64);
    }
    // The log is written every two seconds, of each receiver once a minute.
    let words = folder.path().join("words.txt");
    let start = Instant::now();
    let told = || std::fs::read_to_string(&words).unwrap_or_default();
    while told().matches("verdicts did not reach").count() < 3 && start.elapsed() < TIMEOUT {
        sleep(Duration::from_millis(50));
    }
    lab.send(&(0..50).map(|i| frame(&format!("more{i}"))).collect::<Vec<_>>());
    sleep(Duration::from_millis(2_500));
    // One that comes late gets what comes from then on.
    let late = UnixDatagram::bind(folder.path().join("nobody")).expect("bound");
    late.set_read_timeout(Some(TIMEOUT)).expect("set");
    lab.send(&[frame("last")]);
    let length = late.recv(&mut bytes).expect("a record");
    let (said, words) = tap.finish();
    assert_eq!(length, 64);
    assert_eq!(said.lines().count(), 351, "{words}");
    assert_eq!(words.matches("verdicts did not reach").count(), 3, "{words}");
    for receiver in [
        "lazy: it does not read fast enough",
        "nobody: No such file",
        "udp:127.0.0.1:19009: Connection refused",
    ] {
        assert!(words.contains(receiver), "{receiver} is not in\n{words}");
    }
    assert!(words.contains("unix_missing 350"), "{words}");
    lazy.set_nonblocking(true).expect("set");
    let mut line = [0; 8192];
    let read = (0..1_000).take_while(|_| lazy.recv(&mut line).is_ok()).count();
    assert!(words.contains(&format!("unix_sent {}, ", read + 1)), "{read} read; {words}");
    assert!(words.contains(&format!("unix_full {}", 351 - read)), "{read} read; {words}");
}

/// Lines that the example has printed into `file` so far.
fn printed(file: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .map(str::trim_end)
        .map(Line::parse)
        .collect()
}

fn until(what: &str, so: impl Fn() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < TIMEOUT, "{what}");
        sleep(Duration::from_millis(10));
    }
}

#[test]
fn the_ring_wraps_around_and_outlives_its_writer() {
    if !shared::privileged() {
        return;
    }
    let (lab, folder) = (Lab::new(), tempfile::tempdir().expect("a folder"));
    let example = reader::compile(folder.path());
    let ring = folder.path().join("ring");
    let config = configured(
        folder.path(),
        &format!("[deliver]\nring = \"{}\"\nring_slots = 64\n", ring.display()),
    );
    let tap = binary::tap(&lab, "auto", folder.path(), &["--config", &config]);
    let (out, err) = (folder.path().join("out"), folder.path().join("err"));
    let mut command = Command::new(&example);
    command.arg("ring").arg(&ring).stdin(Stdio::null());
    command.stdout(File::create(&out).expect("a file"));
    command.stderr(File::create(&err).expect("a file"));
    let reading = Running(command.spawn().expect("it starts"));
    let says = |what: &str| std::fs::read_to_string(&err).unwrap_or_default().contains(what);
    until("the example reads", || says("reading"));
    lab.send(&[frame("first")]);
    until("the first is read", || printed(&out).len() == 1);

    // Stopped, it misses what is written over, and sees that.
    reading.signal(Signal::SIGSTOP);
    lab.send(&(0..300).map(|i| frame(&format!("ring{i}"))).collect::<Vec<_>>());
    let verdicts = tap.verdicts.clone();
    let count = || std::fs::read_to_string(&verdicts).unwrap_or_default().lines().count();
    until("all are scored", || count() == 301);
    reading.signal(Signal::SIGCONT);
    until("it goes on", || printed(&out).len() == 65);
    assert!(says("written over"));
    let keys: Vec<_> = printed(&out)[1..].iter().map(|line| line.key).collect();
    let expected: Vec<_> = (236..300).map(|i| wire::key(format!("ring{i}").as_bytes())).collect();
    assert_eq!(keys, expected);

    // A second scorer cannot write to it.
    let mut second = lab.edge(binary::binary());
    second.args(["redirect", "--listen", "127.0.0.1:15071", "--config", &config]);
    let output = second.output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("another process writes to it"), "{error}");

    // Killed in the middle of whatever it does, and started again: the reader, which
    // does not open the file again, goes on.
    tap.process.signal(Signal::SIGKILL);
    tap.process.wait();
    let tap = binary::tap(&lab, "auto", folder.path(), &["--config", &config]);
    lab.send(&[frame("after")]);
    until("it reads on", || printed(&out).len() == 66);
    assert_eq!(printed(&out)[65].key, wire::key(b"after"));
    tap.finish();
}
