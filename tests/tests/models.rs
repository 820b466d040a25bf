//! Models that change under a running tap, labels, and the built-in model before real
//! captures.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    thread::sleep,
    time::Duration,
};

use scorer_tests::{
    frames::{invite, udp4},
    lab::Lab,
    scorer::{self, run},
    shared,
};

fn must(args: &[&str]) -> String {
    let ran = run(args);
    assert_eq!(ran.code, 0, "{args:?}: {}", ran.err);
    ran.out + &ran.err
}

fn values(verdicts: &str) -> Vec<serde_json::Value> {
    verdicts.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn scrape(lab: &Lab) -> String {
    lab.inside_edge(|| {
        let mut stream = TcpStream::connect("127.0.0.1:19465").expect("metrics are served");
        stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: x\r\n\r\n").expect("asked");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("answered");
        text
    })
}

#[test]
fn promoted_on_trial_taken_back_and_labelled_while_calls_are_scored() {
    if !shared::privileged() {
        return;
    }
    let (lab, folder) = (Lab::new(), tempfile::tempdir().expect("a folder"));
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (models, config, labels) = (path("models"), path("scorer.toml"), path("labels.sqlite"));
    std::fs::create_dir(&models).expect("made");
    for name in ["baseline", "ensemble"] {
        let source = shared::root().join(format!("models/{name}.onnx"));
        std::fs::copy(source, Path::new(&models).join(format!("{name}.onnx"))).expect("copied");
    }
    std::fs::write(Path::new(&models).join("broken.onnx"), b"not a model").expect("written");
    std::fs::write(
        &config,
        format!(
            "[model]\nfolder = {models:?}\nchallenger_percent = 100\n[labels]\npath = {labels:?}\n\
             [metrics]\nlisten = \"127.0.0.1:19465\"\n[history]\nmib = 16\n"
        ),
    )
    .expect("written");
    let model = |args: &[&str]| run(&[&["model"], args, &["--config", &config]].concat());
    must(&["model", "promote", "baseline", "--config", &config]);

    let tap = scorer::tap(&lab, "auto", folder.path(), &["--config", &config]);
    let send = |id: &str| lab.send(&[udp4(invite(id).as_bytes(), 5060)]);
    let wait = || sleep(Duration::from_millis(1_500));
    send("first");
    wait();
    must(&["model", "promote", "ensemble", "--config", &config]);
    must(&["model", "challenge", "baseline", "--config", &config]);
    wait();
    send("second");
    wait();
    // A broken one is refused, and nothing changes.
    let broken = model(&["promote", "broken"]);
    assert_eq!(broken.code, 2);
    must(&["label", "second", "--fraud", "--by", "ann", "--config", &config]);
    wait();
    send("third");
    sleep(Duration::from_millis(400));
    let metrics = scrape(&lab);
    must(&["model", "rollback", "--config", &config]);
    wait();
    send("fourth");
    let list = model(&["list"]).out;
    let (verdicts, words) = tap.finish();

    let values = values(&verdicts);
    let used: Vec<_> = values.iter().map(|v| v["model"].as_str().expect("a model")).collect();
    assert_eq!(used, ["baseline-1", "ensemble-1", "ensemble-1", "baseline-1"], "{words}");
    // The label was taken up: the next call of the same caller is a known one's.
    let tagged =
        |i: usize, tag: &str| values[i]["tags"].as_array().expect("tags").contains(&tag.into());
    assert!(!tagged(1, "known_bad") && tagged(2, "known_bad"), "{verdicts}");
    for line in [
        "scorer_model_info{model=\"ensemble-1 ",
        "scorer_challenger_info{model=\"baseline-1 ",
        "scorer_challenger_score_difference ",
        "scorer_labelled_calls_total{outcome=\"champion_fraud_",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    let count = |outcome: &str| {
        let line = format!("scorer_challenger_calls_total{{outcome=\"{outcome}\"}} ");
        let found = metrics.lines().find_map(|text| text.strip_prefix(&line));
        found.expect("counted").parse::<f64>().expect("a number")
    };
    assert_eq!(count("agree") + count("champion_only") + count("challenger_only"), 2.0);
    assert!(list.contains("champion   baseline.onnx"), "{list}");
    assert!(list.contains("broken.onnx") && list.contains("cannot be used"), "{list}");
}

#[test]
fn labels_by_hand_and_by_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (labels, csv) = (path("labels"), path("in.csv"));
    must(&[
        "label",
        "a@b",
        "--genuine",
        "--by",
        "ann",
        "--note",
        "spoke to her",
        "--labels",
        &labels,
    ]);
    std::fs::write(&csv, "call_id,label,weight\nc@d,fraud,2\n").expect("written");
    assert!(must(&["label", "--import", &csv, "--labels", &labels]).contains("added 1 labels"));
    let out = must(&["label", "--export", "-", "--labels", &labels]);
    assert!(out.contains("a@b,genuine,ann,") && out.contains("spoke to her"), "{out}");
    assert!(out.contains("c@d,fraud,"), "{out}");
    for (args, says) in [
        (&["label", "x", "--fraud"][..], "give --labels FILE"),
        (&["label", "x", "--labels", &labels], "--fraud"),
        (&["label", "x", "--fraud", "--weight", "0", "--labels", &labels], "weight"),
        (&["label", "--import", "/nonexistent", "--labels", &labels], "cannot read"),
        (&["model", "list"], "give --folder"),
        (&["model", "check", &csv], "in.csv"),
        (&["vectors", &csv, "--out", &labels], "cannot make"),
    ] {
        let ran = run(args);
        assert_eq!(ran.code, 2, "{args:?}: {}", ran.err);
        assert!(ran.err.contains(says), "{args:?}: {}", ran.err);
    }
}

/// What a model is trained on: NumPy's format, and a line a call.
#[test]
fn vectors_of_a_capture_with_labels() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (capture, out, labels) = (path("c.pcap"), path("out"), path("labels"));
    must(&["simulate", "--calls", "300", "--out", &capture]);
    let csv = path("c.csv");
    must(&["vectors", &capture, "--labels", &csv, "--out", &out]);
    let npy = std::fs::read(Path::new(&out).join("vectors.npy")).expect("vectors");
    assert!(npy.starts_with(b"\x93NUMPY\x01\x00"));
    let features = std::fs::read_to_string(Path::new(&out).join("features.txt")).expect("names");
    let columns = features.lines().count();
    assert_eq!(npy.len(), 128 + 300 * columns * 4);
    let head = String::from_utf8_lossy(&npy[10..128]).into_owned();
    assert!(head.contains(&format!("(300, {columns})")), "{head}");
    let calls = std::fs::read_to_string(Path::new(&out).join("calls.csv")).expect("calls");
    assert_eq!(calls.lines().count(), 301);
    assert!(calls.lines().nth(1).expect("a call").contains("genuine"), "{calls:.300}");
    // A profile of digits alone is a name, too.
    let digits = path("digits.csv");
    let row = "call_id,label,profile\nnobody@192.0.2.1,fraud,4372115201097984\n";
    std::fs::write(&digits, row).expect("written");
    must(&["vectors", &capture, "--labels", &digits, "--out", &out]);
    // The file of `scorer label` says as much.
    let id = calls.lines().nth(1).and_then(|line| line.split(',').next()).expect("a Call-ID");
    must(&["label", id, "--fraud", "--weight", "3", "--labels", &labels]);
    must(&["vectors", &capture, "--labels", &labels, "--out", &out]);
    let calls = std::fs::read_to_string(Path::new(&out).join("calls.csv")).expect("calls");
    let line = calls.lines().nth(1).expect("a call");
    assert!(line.contains(",fraud,") && line.contains(",3,"), "{line}");
}

/// Calls of real captures that are not as they should be, and why.
const EXCEPTIONS: [&str; 1] = [
    // A scanner's very first call, before anything is known of its source: the name alone
    // makes it medium (66) and tags it, the next one is high. Policy can go by the tag.
    "CESNET_ipfixprobe_tests__functional__inputs__sip.pcap: \"279205998884020260561273\" 66",
];

/// Real captures, none of which the model was trained on. Scanners' are the only ones
/// that are high.
#[test]
fn scanners_are_high_and_ordinary_calls_of_real_captures_are_not() {
    let Some(captures) = shared::data("corpora/pcap") else { return };
    let (mut scanners, mut others) = (0, 0);
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(captures).expect("captures") {
        let path = entry.expect("a file").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let replayed = scorer::replay(&path);
        for verdict in values(&String::from_utf8_lossy(&replayed.stdout)) {
            let high = matches!(verdict["level"].as_str(), Some("high" | "critical"));
            let scanner = verdict["tags"].as_array().expect("tags").contains(&"scanner".into());
            let count = if scanner { &mut scanners } else { &mut others };
            *count += 1;
            if high != scanner {
                wrong.push(format!("{name}: {} {}", verdict["call_id"], verdict["score"]));
            }
            assert_eq!(verdict["model"], "ensemble-1");
        }
    }
    assert_eq!(wrong, EXCEPTIONS);
    assert_eq!((scanners, others), (9, 38), "calls in all captures");
}
