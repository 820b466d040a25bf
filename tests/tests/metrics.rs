//! Metrics of a live tap over HTTP.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    thread::sleep,
    time::Duration,
};

use scorer_tests::{
    frames::{invite, udp4},
    lab::Lab,
    scorer, shared,
};

#[test]
fn a_scrape_shows_calls_and_no_numbers() {
    if !shared::privileged() {
        return;
    }
    let (lab, folder) = (Lab::new(), tempfile::tempdir().expect("a folder"));
    let tap = scorer::tap(&lab, "auto", folder.path(), &["--metrics", "127.0.0.1:19464"]);
    let frames: Vec<_> = (0..5).map(|i| udp4(invite(&format!("m{i}")).as_bytes(), 5060)).collect();
    lab.send(&frames);
    sleep(Duration::from_millis(500));
    let text = lab.inside_edge(|| {
        let mut stream = TcpStream::connect("127.0.0.1:19464").expect("metrics are served");
        stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: x\r\n\r\n").expect("asked");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("answered");
        text
    });
    tap.finish();
    assert!(text.starts_with("HTTP/1.0 200") || text.starts_with("HTTP/1.1 200"), "{text}");
    for line in [
        "scorer_kernel_packets_total{class=\"invites\"} 5",
        "scorer_calls_total{kind=\"invites\"} 5",
        "scorer_verdict_tags_total{tag=\"spoofed\"} 5",
        "scorer_latency_seconds_count 5",
        "scorer_output_dropped_total 0",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("1632960"), "a number in metrics:\n{text}");
}
