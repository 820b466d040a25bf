//! The same frames live through XDP and replayed from a file give the same
//! verdicts, byte for byte apart from time.

use std::path::Path;

use scorer::{
    capture::{Frame, LinkType, pcap},
    time::Timestamp,
};
use scorer_tests::{
    frames::{self, fragmented, invite, tagged, tcp4, tunnels, udp4, udp6},
    lab::Lab,
    scorer as binary, shared,
};

/// Longest frame that the lab's interfaces take.
const LONGEST: usize = 3_400 + 14;

fn frames_of_the_corpus() -> Vec<Vec<u8>> {
    let Some(folder) = shared::data("corpora/pcap") else { return Vec::new() };
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("captures")
        .map(|entry| entry.expect("entry").path())
        .collect();
    paths.sort();
    let mut all = Vec::new();
    for path in paths {
        let mut reader = pcap::Reader::open(&path).expect("a capture");
        while let Ok(Some(frame)) = reader.next() {
            if frame.link != LinkType::Ethernet
                || frame.bytes.len() < 14
                || frame.bytes.len() > LONGEST
            {
                // Said by name: the lab is Ethernet, and its MTU is bounded by
                // what native XDP allows on veth.
                println!(
                    "not sent: a frame of {} ({:?}, {} bytes)",
                    path.display(),
                    frame.link,
                    frame.bytes.len()
                );
                continue;
            }
            all.push(frame.bytes.to_vec());
        }
    }
    assert!(all.len() > 1_000, "{} frames", all.len());
    all
}

/// Hard frames: every wrapping, fragments in order and out of it, TCP in
/// segments, cut messages, and what is no SIP.
fn hard_frames() -> Vec<Vec<u8>> {
    let text = |call_id: &str| invite(call_id).into_bytes();
    let mut all = vec![
        tagged(&udp4(&text("tag1"), 5060), &[(0x8100, 7)]),
        tagged(&udp4(&text("tag2"), 5060), &[(0x88a8, 7), (0x8100, 8)]),
        frames::with_options(&udp4(&text("options"), 5060)),
        udp6(&text("ipv6"), 5060),
        frames::with_extensions(&udp6(&text("ipv6x"), 5060)),
        udp4(&text("port"), 44_444),
        udp4(&[b"\r\n\r\n", &text("blank")[..]].concat(), 5060),
        udp4(&text("lf").iter().filter(|b| **b != b'\r').copied().collect::<Vec<_>>(), 5060),
        udp4(&text("cut")[..300], 5060),
        udp4(b"\r\n\r\n", 5060),
        udp4(&[0x80; 172], 20_000),
        udp4(b"SIP/2.0 200 OK\r\nCall-ID: port\r\nCSeq: 1 INVITE\r\n\r\n", 5060),
        udp4(b"BYE sip:x SIP/2.0\r\nCall-ID: port\r\nCSeq: 2 BYE\r\n\r\n", 5060),
    ];
    for (name, frame) in tunnels(&udp4(&text("tunnel"), 5060)) {
        let renamed = String::from_utf8_lossy(&text("tunnel")).replace("tunnel", name);
        drop(frame);
        let inner = udp4(renamed.as_bytes(), 5060);
        all.extend(tunnels(&inner).into_iter().filter(|(known, _)| *known == name).map(|(_, f)| f));
    }
    all.extend(fragmented(&text("parts"), 11, 400));
    let mut reversed = fragmented(&text("strap"), 12, 400);
    reversed.reverse();
    all.extend(reversed);
    all.extend(fragmented(&[0x80; 1_000], 13, 400));
    let stream = [text("tcp1"), text("tcp2")].concat();
    all.push(tcp4(b"", 999, true));
    for (i, chunk) in stream.chunks(700).enumerate() {
        all.push(tcp4(chunk, 1_000 + 700 * i as u32, false));
    }
    // Headers that lie about their lengths.
    let mut liar = udp4(&text("liar"), 5060);
    liar[38..40].copy_from_slice(&200u16.to_be_bytes());
    all.push(liar);
    let mut liar = udp4(&text("liar2"), 5060);
    liar[38..40].copy_from_slice(&60_000u16.to_be_bytes());
    all.push(liar);
    let mut padded = udp4(b"ACK sip:x SIP/2.0\r\n\r\n", 5060);
    padded.extend_from_slice(&[0; 30]);
    all.push(padded);
    all
}

/// Verdict lines without latency.
fn without_latency(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| match line.split_once(",\"latency_ns\":") {
            Some((before, _)) => format!("{before}}}"),
            None => line.to_owned(),
        })
        .collect()
}

fn write(path: &Path, frames: &[(Timestamp, Vec<u8>)]) {
    let mut writer = pcap::Writer::create(path).expect("a file");
    for (timestamp, bytes) in frames {
        let frame = Frame {
            link: LinkType::Ethernet,
            timestamp: *timestamp,
            bytes,
            wire_length: bytes.len() as u32,
            scan: None,
        };
        writer.write(&frame).expect("written");
    }
    writer.flush().expect("flushed");
}

fn replayed(path: &Path) -> Vec<String> {
    let output = binary::replay(path);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    without_latency(&String::from_utf8(output.stdout).expect("text"))
}

/// Shows the first lines that differ, not all of them.
fn assert_same(live: &[String], replay: &[String], what: &str) {
    let differing = live.iter().zip(replay).find(|(a, b)| a != b);
    assert!(differing.is_none(), "{what}: live, then replayed:\n{differing:#?}");
    let more = live.get(replay.len()..).or_else(|| replay.get(live.len()..)).unwrap_or_default();
    assert_eq!(live.len(), replay.len(), "{what}: only one has {more:#?}");
}

fn compare(mode: &str) {
    if !shared::privileged() {
        return;
    }
    let mut sent = hard_frames();
    sent.extend(frames_of_the_corpus());
    let (lab, folder) = (Lab::new(), tempfile::tempdir().expect("a folder"));
    let saved = folder.path().join("saved.pcap");
    let tap = binary::tap(&lab, mode, folder.path(), &["--save", &saved.display().to_string()]);
    lab.send(&sent);
    let (live, words) = tap.finish();
    let live = without_latency(&live);
    assert!(live.len() > 20, "{} verdicts\n{words}", live.len());
    assert!(words.contains("0 INVITEs and 0 other records at full rings"), "{words}");

    // What the tap looked at, replayed.
    assert_same(&live, &replayed(&saved), "saved frames");

    // All that was sent, with the kernel's stamps: what the kernel passes over,
    // user space must pass over too.
    let mut stamps = Vec::new();
    let mut reader = pcap::Reader::open(&saved).expect("saved frames");
    while let Some(frame) = reader.next().expect("whole frames") {
        stamps.push((frame.timestamp, frame.bytes.to_vec()));
    }
    let mut next = 0;
    let mut now = stamps.first().expect("a frame").0;
    let mut all = Vec::new();
    for bytes in sent {
        if stamps.get(next).is_some_and(|(_, seen)| *seen == bytes) {
            now = stamps[next].0;
            next += 1;
        } else {
            now = Timestamp(now.0 + 1);
        }
        all.push((now, bytes));
    }
    assert_eq!(next, stamps.len(), "every saved frame is one that was sent, in order");
    let original = folder.path().join("original.pcap");
    write(&original, &all);
    assert_same(&live, &replayed(&original), "all frames");
}

#[test]
fn native() {
    compare("native");
}

#[test]
fn generic() {
    compare("generic");
}
