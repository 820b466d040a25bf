//! Who is behind calls: looked into in captures, followed live.

use std::{
    path::Path,
    process::{Command, Output},
    thread::sleep,
    time::{Duration, Instant},
};

use etherparse::PacketBuilder;
use scorer_tests::{lab::Lab, scorer, shared};
use serde_json::Value;

fn run(args: &[&str]) -> Output {
    Command::new(scorer::binary()).args(args).output().expect("scorer runs")
}

/// Standard output of a command that goes well.
fn good(args: &[&str]) -> String {
    let output = run(args);
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {words}");
    String::from_utf8(output.stdout).expect("text")
}

/// What a command that fails says.
fn bad(args: &[&str]) -> String {
    let output = run(args);
    assert!(!output.status.success(), "{args:?}");
    assert!(output.stdout.is_empty(), "{args:?}");
    String::from_utf8(output.stderr).expect("text")
}

/// Call-ID and caller of the calls of a family.
fn labels(path: &Path, family: &str) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(path).expect("labels");
    let fields = text.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    fields.filter(|f| f[2] == family).map(|f| (f[0].to_owned(), f[3].to_owned())).collect()
}

#[test]
fn a_caller_in_a_capture() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (capture, mix, store) = (path("calls.pcap"), path("mix.toml"), path("lists.sqlite"));
    std::fs::write(&mix, "fraud = 0.1\n[families]\nneighbour = 100.0\n").expect("written");
    good(&["simulate", "--calls", "6000", "--seed", "7", "--mix", &mix, "--out", &capture]);
    let fraud = labels(&folder.path().join("calls.csv"), "neighbour");
    let (call_id, caller) = fraud[fraud.len() / 2].clone();
    let of_caller: Vec<_> = fraud.iter().filter(|(_, c)| *c == caller).map(|(id, _)| id).collect();

    // By one call all of them, under as many numbers.
    let json = good(&["investigate", &call_id, "--json", "--calls", "9999", "--capture", &capture]);
    let sheet: Value = serde_json::from_str(&json).expect("JSON");
    let timeline = sheet["timeline"].as_array().expect("calls");
    let ids: Vec<_> = timeline.iter().filter_map(|call| call["call_id"].as_str()).collect();
    let right = ids.iter().filter(|id| of_caller.iter().any(|known| known == *id)).count();
    assert!(right * 2 > of_caller.len() && right * 10 >= ids.len() * 9, "{right} of {ids:?}");
    assert!(sheet["numbers"].as_array().is_some_and(|n| n.len() * 2 > ids.len()), "{sheet}");
    assert!(sheet["method"].to_string().contains("resemble the callee's"), "{}", sheet["method"]);
    assert!(timeline.iter().any(|call| call["duration_s"].as_f64() > Some(0.0)), "outcomes");
    assert!(!sheet["countries_called"].as_array().expect("countries").is_empty());
    // Nobody's number stands there in full, unless it is asked for.
    let full = good(&["investigate", &call_id, "--json", "--full-numbers", "--capture", &capture]);
    let full: Value = serde_json::from_str(&full).expect("JSON");
    let number = full["numbers"][0]["number"].as_str().expect("a number").to_owned();
    assert!(number.len() > 9 && !json.contains(&number) && !number.contains('*'));
    // By its profile and by a number the same.
    let profile = sheet["profile"].as_str().expect("an id").to_owned();
    for asked in [&profile, &number] {
        let text = good(&["investigate", asked, "--capture", &capture]);
        assert!(text.starts_with(&format!("profile {profile}")), "{asked}: {text}");
        assert!(text.contains("timeline") && text.contains("accounts called"));
    }
    let dot = good(&["investigate", &profile, "--graph", "dot", "--capture", &capture]);
    assert!(dot.starts_with("digraph") && dot.contains(" -> ") && !dot.contains(&number));
    let graph = good(&["investigate", &profile, "--graph", "json", "--capture", &capture]);
    let graph: Value = serde_json::from_str(&graph).expect("JSON");
    assert!(graph["nodes"].as_array().is_some_and(|nodes| nodes.len() > 10));

    // Measured against the labels.
    let table = good(&["profiles", "--measure", &path("calls.csv"), "--capture", &capture]);
    assert!(table.contains("| neighbour |") && table.contains("| **all fraud** |"), "{table}");

    // A case: the replayed calls are tagged, by its name, with its reason.
    good(&[
        "case",
        "--store",
        &store,
        "--by",
        "ann",
        "open",
        "ring-1",
        "--profile",
        &call_id,
        "--action",
        "reject",
        "--response",
        "607",
        "--reason",
        "rings everybody",
        "--capture",
        &capture,
    ]);
    let config = path("scorer.toml");
    std::fs::write(&config, format!("[lists]\nstore = {store:?}\n")).expect("written");
    let verdicts = good(&["replay", "--format", "jsonl", "--config", &config, &capture]);
    let (mut of_case, mut known) = (0, 0);
    for line in verdicts.lines() {
        let verdict: Value = serde_json::from_str(line).expect("JSON");
        if verdict["rule"] == "case:ring-1" {
            of_case += 1;
            let is =
                verdict["call_id"].as_str().is_some_and(|id| of_caller.iter().any(|o| *o == id));
            known += usize::from(is);
            assert_eq!(
                (&verdict["action"], &verdict["level"]),
                (&"reject".into(), &"critical".into())
            );
            let tags = verdict["tags"].to_string();
            assert!(tags.contains("known_bad") && tags.contains("denylisted"), "{tags}");
            assert!(verdict["reasons"].to_string().contains("case ring-1: rings everybody"));
        }
    }
    assert!(known * 2 > of_caller.len() && known * 10 >= of_case * 9, "{known} of {of_case}");

    let show = good(&["case", "--store", &store, "show", "ring-1"]);
    for part in ["(open)", "reject with 607", "rings everybody", &profile, "known by"] {
        assert!(show.contains(part), "{part}: {show}");
    }
    good(&["case", "--store", &store, "note", "ring-1", "told the carrier"]);
    assert!(good(&["case", "--store", &store, "list"]).contains("ring-1"));
    good(&["case", "--store", &store, "close", "ring-1", "--note", "cut off"]);
    assert_eq!(good(&["case", "--store", &store, "list"]), "");
    assert!(good(&["case", "--store", &store, "list", "--all"]).contains("closed"));
    let shown = good(&["case", "--store", &store, "show", "ring-1", "--format", "json"]);
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(
        (&shown["status"], shown["notes"].as_array().map(Vec::len)),
        (&"closed".into(), Some(2))
    );
    let verdicts = good(&["replay", "--format", "jsonl", "--config", &config, &capture]);
    assert!(!verdicts.contains("case:ring-1"), "a closed case does nothing");

    // What is wrong is said.
    let says = |args: &[&str], what: &str| {
        let words = bad(args);
        assert!(words.contains(what), "{args:?}: {words}");
    };
    says(&["investigate", "nobody@nowhere", "--capture", &capture], "is no profile, Call-ID");
    says(&["investigate", "00000000000000aa", "--capture", &capture], "is no profile, Call-ID");
    says(&["investigate", "nobody"], "--capture");
    says(&["investigate", "x", "--capture", &path("none.pcap")], "none.pcap");
    says(&["profiles", "--measure", &mix, "--capture", &capture], "is no table of labels");
    says(&["case", "--store", &store, "show", "ring-9"], "there is no case ring-9");
    says(&["case", "--store", &path("none.sqlite"), "list"], "there is no list store");
    says(&["case", "--store", &store, "open", "x", "--profile", "+441632960001"], "--capture");
    says(&["case", "list"], "--store");
    says(
        &["case", "--store", &store, "open", "ring-1", "--profile", &profile],
        "there is a case ring-1 already",
    );
    std::fs::write(path("off.toml"), "[profiles]\nmib = 0\n").expect("written");
    says(
        &["investigate", &call_id, "--capture", &capture, "--config", &path("off.toml")],
        "profiles are switched off",
    );
}

/// A call through a carrier's border controller, or a customer's behind it.
struct Invite<'a> {
    id: &'a str,
    source: [u8; 4],
    /// What stands behind the controller.
    behind: &'a str,
    /// Number shown; none for a withheld one.
    shown: Option<&'a str>,
    /// Number the network asserts.
    network: Option<&'a str>,
    callee: &'a str,
}

impl Invite<'_> {
    fn frame(&self) -> Vec<u8> {
        let Self { id, source, behind, callee, .. } = self;
        let [a, b, c, d] = source;
        let from = match self.shown {
            Some(number) => format!("<sip:{number}@carrier.example.net>"),
            None => "\"Anonymous\" <sip:anonymous@anonymous.invalid>".into(),
        };
        let privacy = if self.shown.is_none() { "Privacy: id\r\n" } else { "" };
        let asserted = self.network.map_or(String::new(), |number| {
            format!("P-Asserted-Identity: <sip:{number}@carrier.example.net>\r\n")
        });
        let body = format!(
            "v=0\r\no=- 20518 0 IN IP4 {behind}\r\ns=-\r\nc=IN IP4 {a}.{b}.{c}.{d}\r\nt=0 0\r\n\
             m=audio 49170 RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\n"
        );
        let text = format!(
            "INVITE sip:{callee}@edge.example.net SIP/2.0\r\n\
             Via: SIP/2.0/UDP {a}.{b}.{c}.{d}:5060;branch=z9hG4bK-{id}\r\nMax-Forwards: 69\r\n\
             Contact: <sip:user@{behind}:5060>\r\nTo: <sip:{callee}@edge.example.net>\r\n\
             From: {from};tag={id}\r\nCall-ID: {id}\r\nCSeq: 1 INVITE\r\n{asserted}{privacy}\
             User-Agent: ExampleSBC/9.1\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let ip = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
        let mut frame = Vec::new();
        let udp = ip.ipv4(*source, [192, 0, 2, 2], 61).udp(5060, 5060);
        udp.write(&mut frame, text.as_bytes()).expect("a frame");
        frame
    }
}

/// The verdict of a call, once it is there.
fn verdict(path: &Path, call_id: &str) -> Value {
    let start = Instant::now();
    let wanted = format!("\"call_id\":\"{call_id}\"");
    while start.elapsed() < Duration::from_secs(20) {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if let Some(line) = text.lines().find(|line| line.contains(&wanted) && line.ends_with('}'))
        {
            return serde_json::from_str(line).expect("JSON");
        }
        sleep(Duration::from_millis(20));
    }
    panic!("no verdict for {call_id}");
}

fn is_known_bad(verdict: &Value) -> bool {
    verdict["tags"].to_string().contains("\"known_bad\"")
}

#[test]
fn a_case_opened_while_the_tap_runs() {
    if !shared::privileged() {
        return;
    }
    let (lab, folder) = (Lab::new(), tempfile::tempdir().expect("a folder"));
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (store, snapshot) = (path("lists.sqlite"), path("history.snap"));
    let config = format!(
        "[lists]\nstore = {store:?}\n[history]\nmib = 16\nsnapshot = {snapshot:?}\n[profiles]\nmib = 8\n"
    );
    std::fs::write(path("scorer.toml"), config).expect("written");
    let config = path("scorer.toml");
    let start = || scorer::tap(&lab, "auto", folder.path(), &["--config", &config]);

    // A crowd behind the same border controller and another, everybody with a number and a
    // host of their own.
    let crowd = |first: usize, count: usize| {
        for chunk in 0..count / 50 {
            let frames: Vec<_> = (0..50)
                .map(|i| {
                    let n = first + chunk * 50 + i;
                    let number = format!("+44163296{:04}", n % 10_000);
                    Invite {
                        id: &format!("k{n:06}"),
                        source: [192, 0, 2, 66 + (n % 2) as u8],
                        behind: &format!("10.20.{}.{}", n / 250, 1 + n % 250),
                        shown: Some(&number),
                        network: Some(&number),
                        callee: &format!("+4420794{:05}", 60_000 + n % 1_000),
                    }
                    .frame()
                })
                .collect();
            lab.send(&frames);
            sleep(Duration::from_millis(20));
        }
    };
    let fraudster = |id: &str, shown: Option<&str>, network: Option<&str>, callee: &str| {
        let source = [192, 0, 2, 66];
        let frame = Invite { id, source, behind: "10.9.8.7", shown, network, callee }.frame();
        lab.send(&[frame]);
    };
    let tap = start();
    crowd(0, 1_500);
    let number = Some("+442079460999");
    for i in 0..5 {
        fraudster(&format!("m00000{i}"), number, number, &format!("+44207946010{i}"));
        sleep(Duration::from_millis(200));
    }
    let seen = verdict(&tap.verdicts, "m000004");
    assert!(!is_known_bad(&seen), "{seen}");
    assert_eq!(seen["profile_calls"], 5, "{seen}");
    let profile = seen["profile"].as_str().expect("an id").to_owned();

    // No restart: the next call is tagged, withheld, and under another number.
    good(&[
        "case",
        "--store",
        &store,
        "open",
        "live-1",
        "--profile",
        &profile,
        "--reason",
        "seen live",
        "--action",
        "tag",
    ]);
    sleep(Duration::from_secs(1));
    fraudster("m900001", None, None, "+442079460103");
    let withheld = verdict(&tap.verdicts, "m900001");
    assert!(is_known_bad(&withheld), "{withheld}");
    assert_eq!((&withheld["rule"], &withheld["action"]), (&"case:live-1".into(), &"tag".into()));
    assert!(withheld["reasons"].to_string().contains("case live-1: seen live"), "{withheld}");
    assert_eq!(withheld["profile"], profile);
    fraudster("m900002", Some("+441632960123"), None, "+442079460104");
    let spoofed = verdict(&tap.verdicts, "m900002");
    assert!(is_known_bad(&spoofed) && spoofed["rule"] == "case:live-1", "{spoofed}");
    // The innocents behind the same controller are not.
    crowd(1_500, 100);
    for n in 1_500..1_600 {
        let innocent = verdict(&tap.verdicts, &format!("k{n:06}"));
        assert!(!is_known_bad(&innocent) && innocent["rule"].is_null(), "{innocent}");
    }
    let (_, words) = tap.finish();
    assert!(words.contains("cases were read: 1 are open"), "{words}");

    // Over a restart; then the case is closed, and at once nothing is done any more.
    let tap = start();
    fraudster("m900003", Some("+441632960124"), number, "+442079460105");
    let after = verdict(&tap.verdicts, "m900003");
    assert!(is_known_bad(&after) && after["profile"] == profile, "{after}");
    good(&["case", "--store", &store, "close", "live-1"]);
    sleep(Duration::from_secs(1));
    fraudster("m900004", Some("+441632960124"), number, "+442079460105");
    let closed = verdict(&tap.verdicts, "m900004");
    assert!(!is_known_bad(&closed) && closed["rule"].is_null(), "{closed}");
    assert_eq!(closed["profile"], profile);
    tap.finish();

    // A damaged snapshot is said, and nothing is lost but what it knew.
    let mut bytes = std::fs::read(&snapshot).expect("a snapshot");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&snapshot, bytes).expect("written");
    let tap = start();
    fraudster("m900005", number, number, "+442079460105");
    assert_eq!(verdict(&tap.verdicts, "m900005")["profile_calls"], 1);
    let (_, words) = tap.finish();
    assert!(words.contains("is not used"), "{words}");
}
