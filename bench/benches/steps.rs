//! Each step on the way from a frame to a line, and the whole way.
//!
//! `cargo bench -p scorer-bench` prints them; they mean something beside each
//! other, in one run on one machine.

use std::{hint::black_box, sync::Arc};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use scorer::{
    capture::{Assembler, AssemblerConfig, Frame, LinkType},
    engine::{Engine, EngineConfig},
    features::{self, COUNT},
    model::{Model, Scratch as ModelScratch},
    output::{Style, json_line},
    sip::{Message, Scratch},
    time::Timestamp,
};
use scorer_common::Scan;

const CALLS: u32 = 4_096;

fn frames() -> Vec<Vec<u8>> {
    (0..CALLS).map(scorer_bench::frame).collect()
}

fn at(bytes: &[u8], n: u64) -> Frame<'_> {
    Frame {
        link: LinkType::Ethernet,
        timestamp: Timestamp(1_760_000_000_000_000_000 + n * 1_000_000),
        bytes,
        wire_length: bytes.len() as u32,
        scan: None,
    }
}

fn steps(c: &mut Criterion) {
    let frames = frames();
    let texts: Vec<_> = frames.iter().map(|frame| &frame[42..]).collect();
    let mut group = c.benchmark_group("invite");
    group.throughput(Throughput::Elements(1));
    let mut next = (0..CALLS as usize).cycle();
    let mut pick = move || next.next().unwrap_or(0);
    group.bench_function("scan", |b| b.iter(|| Scan::of(black_box(texts[pick()]))));
    let mut scratch = Scratch::new();
    group.bench_function("view", |b| {
        b.iter(|| Message::parse(texts[pick()], None, &mut scratch).map(|m| m.headers().len()));
    });
    group.bench_function("rsip", |b| b.iter(|| rsip::Request::try_from(texts[pick()]).is_ok()));
    let mut assembler = Assembler::new(&AssemblerConfig::default());
    let mut n = 0;
    group.bench_function("decode", |b| {
        b.iter(|| {
            n += 1;
            let mut length = 0;
            assembler.push(&at(&frames[pick()], n), &mut |packet| length += packet.bytes.len());
            length
        });
    });
    let model = Arc::new(Model::builtin(&features::names()).expect("the built-in model"));
    let row = [0.5; COUNT];
    let (mut contributions, mut model_scratch) = ([0.0; COUNT], ModelScratch::default());
    group.bench_function("model", |b| {
        b.iter(|| model.explain(black_box(&row), &mut contributions, &mut model_scratch));
    });
    // New Call-IDs each time round: what is measured is calls, not repetitions.
    let mut engine =
        Engine::new(&EngineConfig::default(), Arc::clone(&model)).expect("the built-in tables");
    let mut out = Vec::new();
    let mut serial = 0u64;
    let mut calls: Vec<Vec<u8>> = frames.clone();
    for lines in [false, true] {
        let name = if lines { "engine and JSON line" } else { "engine" };
        group.bench_function(name, |b| {
            b.iter(|| {
                serial += 1;
                let frame = &mut calls[serial as usize % CALLS as usize];
                renumber(frame, serial);
                engine.inspect(&at(frame, serial), &mut |a| {
                    if lines {
                        out.clear();
                        json_line(a, Style::default(), None, &mut out);
                    }
                });
            });
        });
    }
    assert!(engine.stats().verdicts() > serial / 2, "every iteration is a call");
    group.finish();
}

/// Puts another number where the Call-ID has one.
fn renumber(frame: &mut [u8], serial: u64) {
    let name = [&b"Call-ID: "[..], b"\r\ni: "];
    let at = name.iter().find_map(|name| {
        let at = frame.windows(name.len()).position(|window| window == *name)?;
        Some(at + name.len())
    });
    if let Some(at) = at {
        for (place, byte) in frame[at..at + 8].iter_mut().enumerate() {
            *byte = b"0123456789abcdef"[(serial >> (4 * place) & 15) as usize];
        }
    }
}

criterion_group!(benches, steps);
criterion_main!(benches);
