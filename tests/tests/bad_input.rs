//! Input that is damaged, hostile or missing: a clear word and an exit code, or a
//! counted skip; bounded memory; no crash.

use std::{
    path::Path,
    process::{Command, Output},
};

use scorer::{
    capture::{Frame, LinkType, pcap},
    time::Timestamp,
};
use scorer_tests::{
    frames::{INVITE, fragment4, fragmented, invite, tcp4, udp4},
    lab::Lab,
    scorer as binary, shared,
};

fn write(path: &Path, frames: impl Iterator<Item = Vec<u8>>) {
    let mut writer = pcap::Writer::create(path).expect("a file");
    for (i, bytes) in frames.enumerate() {
        let frame = Frame {
            link: LinkType::Ethernet,
            timestamp: Timestamp(1_760_000_000_000_000_000 + i as u64 * 1_000),
            bytes: &bytes,
            wire_length: bytes.len() as u32,
            scan: None,
        };
        writer.write(&frame).expect("written");
    }
    writer.flush().expect("flushed");
}

fn replay(frames: impl Iterator<Item = Vec<u8>>) -> (Output, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("input.pcap");
    write(&file, frames);
    let output = binary::replay(&file);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, words)
}

fn verdicts(output: &Output) -> usize {
    output.stdout.iter().filter(|byte| **byte == b'\n').count()
}

#[test]
fn lies_cuts_and_excess_are_skipped() {
    let whole = udp4(INVITE.as_bytes(), 5060);
    let cuts = (0..whole.len()).map(|length| whole[..length].to_vec());
    let (output, words) = replay(cuts);
    assert!(output.status.success(), "{words}");
    // Every byte of the headers set to every extreme.
    let lies = (0..60).flat_map(|at| {
        [0, 1, 0x7f, 0x80, 0xff].map(|value| {
            let mut frame = whole.clone();
            frame[at] = value;
            frame
        })
    });
    let (output, words) = replay(lies);
    assert!(output.status.success() && verdicts(&output) >= 1, "{words}");
    // 64 kB of header, and 10,000 headers, in TCP segments.
    for header in [format!("X: {}\r\n", "y".repeat(60_000)), "X: y\r\n".repeat(10_000)] {
        let text = invite("large").replace("CSeq:", &format!("{header}CSeq:"));
        let mut frames = vec![tcp4(b"", 999, true)];
        frames.extend(
            text.as_bytes()
                .chunks(1_400)
                .enumerate()
                .map(|(i, part)| tcp4(part, 1_000 + 1_400 * i as u32, false)),
        );
        frames.push(udp4(invite("after").as_bytes(), 5060));
        let (output, words) = replay(frames.into_iter());
        assert!(output.status.success(), "{words}");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("\"call_id\":\"after\""), "{text} {words}");
    }
}

#[test]
fn endless_fragments_and_flows_take_bounded_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("endless.pcap");
    let first = |i: u32| {
        fragment4(
            17,
            &[0x13, 0xc4, 0x13, 0xc4, 0xff, 0xff, 0, 0].repeat(150),
            i as u16,
            (i as usize % 50) * 1_200,
            true,
        )
    };
    let flows = |i: u32| {
        let mut frame = tcp4(
            format!("INVITE sip:x SIP/2.0\r\nCall-ID: {i}\r\n{}", "X: y\r\n".repeat(150))
                .as_bytes(),
            i,
            false,
        );
        frame[26..30].copy_from_slice(&i.to_be_bytes());
        frame
    };
    write(
        &file,
        (0..100_000)
            .map(first)
            .chain((0..60_000).map(flows))
            .chain([udp4(INVITE.as_bytes(), 5060)]),
    );
    let mut command = Command::new(binary::binary());
    command.args(["replay", "--format", "jsonl"]).arg(&file).stdout(std::process::Stdio::null());
    let mut child = command.stderr(std::process::Stdio::null()).spawn().expect("scorer starts");
    // Memory of its own, the mapped file apart, looked at while it runs.
    let status = format!("/proc/{}/status", child.id());
    let (mut largest, mut looks) = (0, 0);
    let ended = loop {
        if let Some(ended) = child.try_wait().expect("it can be waited for") {
            break ended;
        }
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        looks += u32::from(kib.is_some());
        largest = largest.max(kib.unwrap_or(0));
        std::thread::sleep(std::time::Duration::from_millis(2));
    };
    assert!(ended.success());
    assert!(looks > 5 && largest < 300 << 10, "{largest} KiB, {looks} looks");
}

#[test]
fn files_that_cannot_be_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let good = path("good.pcap");
    write(&good, (0..3).map(|i| udp4(invite(&format!("call{i}")).as_bytes(), 5060)));
    let bytes = std::fs::read(&good).expect("bytes");
    std::fs::write(path("cut.pcap"), &bytes[..bytes.len() - 100]).expect("written");
    std::fs::write(path("text.pcap"), "this is no capture").expect("written");
    std::fs::write(path("empty.pcap"), "").expect("written");
    let mut absurd = bytes.clone();
    absurd[32..36].copy_from_slice(&u32::MAX.to_le_bytes());
    std::fs::write(path("absurd.pcap"), absurd).expect("written");
    let mut link = bytes.clone();
    link[20..24].copy_from_slice(&9_999u32.to_le_bytes());
    std::fs::write(path("link.pcap"), link).expect("written");
    std::fs::write(path("model.onnx"), "no model").expect("written");
    std::fs::write(path("config.toml"), "[tap]\nmoed = \"auto\"\n").expect("written");

    let run = |args: &[&str]| {
        let output = Command::new(binary::binary()).args(args).output().expect("scorer runs");
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), verdicts(&output), words)
    };
    let at = |name: &str| path(name).display().to_string();
    let jsonl = ["replay", "--format", "jsonl"];
    let replay = |file: &str, more: &[&str]| {
        let file = at(file);
        run(&[&jsonl[..], &[&file], more].concat())
    };
    let (code, lines, words) = replay("cut.pcap", &[]);
    assert_eq!((code, lines), (Some(1), 2), "{words}");
    assert!(words.contains("ends in the middle of a record"), "{words}");
    let (code, lines, words) = replay("absurd.pcap", &[]);
    assert_eq!((code, lines), (Some(1), 0), "{words}");
    for (file, more, expected) in [
        ("text.pcap", vec![], "neither a pcap nor a pcapng file"),
        ("empty.pcap", vec![], "neither a pcap nor a pcapng file"),
        ("none.pcap", vec![], "cannot read"),
        ("link.pcap", vec![], "link type 9999, which is not supported"),
        ("good.pcap", vec!["--model".to_owned(), at("model.onnx")], "is not ONNX, or is damaged"),
        ("good.pcap", vec!["--model".to_owned(), at("none.onnx")], "cannot read the model"),
        ("good.pcap", vec!["--config".to_owned(), at("config.toml")], "did you mean tap.mode?"),
    ] {
        let more: Vec<_> = more.iter().map(String::as_str).collect();
        let (code, lines, words) = replay(file, &more);
        assert_eq!((code, lines), (Some(2), 0), "{file}: {words}");
        assert!(words.starts_with("error: ") && words.contains(expected), "{file}: {words}");
    }
    let (code, _, words) = run(&["tap", "-i", "no-such-interface"]);
    assert!(code == Some(2) && words.contains("there is no network interface"), "{words}");
    let (code, _, words) = run(&["tap"]);
    assert!(code == Some(2) && words.contains("no interface to tap"), "{words}");
    assert_eq!(run(&["replay"]).0, Some(2));
    assert_eq!(replay("good.pcap", &[]).0, Some(0));
}

#[test]
fn fragments_in_any_order_make_one_call() {
    let mut parts = fragmented(invite("parts").as_bytes(), 9, 200);
    parts.rotate_left(2);
    let (output, words) = replay(parts.into_iter());
    assert_eq!(verdicts(&output), 1, "{words}");
}

#[test]
fn a_reader_that_never_reads_does_not_hold_the_tap() {
    if !shared::privileged() {
        return;
    }
    let (lab, folder) = (Lab::new(), tempfile::tempdir().expect("a folder"));
    let out = std::process::Stdio::piped();
    let mut tap = binary::tap_into(&lab, "auto", folder.path(), &[], "".into(), out);
    // Some 250 KiB of verdicts; a pipe takes 64.
    let frames: Vec<_> =
        (0..500).map(|i| udp4(invite(&format!("r{i}")).as_bytes(), 5060)).collect();
    lab.send(&frames);
    std::thread::sleep(std::time::Duration::from_millis(500));
    let reader = tap.process.0.stdout.take();
    tap.process.signal(nix::sys::signal::Signal::SIGTERM);
    let status = tap.process.wait();
    let words = std::fs::read_to_string(&tap.words).expect("words");
    assert!(!status.success() && words.contains("500 INVITEs"), "{status}: {words}");
    assert!(words.contains("the last verdicts are lost"), "{words}");
    drop(reader);
}
