//! Each step on the way from a frame to a line, and the whole way.
//!
//! `cargo bench -p scorer-bench` prints them; they mean something beside each
//! other, in one run on one machine.

use std::{hint::black_box, sync::Arc};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use scorer::{
    capture::{Assembler, AssemblerConfig, Frame, LinkType, PacketMeta, Transport},
    engine::{Assessment, Engine, EngineConfig},
    env::{Env, EnvConfig, Place},
    features::{self, COUNT, Call, Parts},
    history::{CallKeys, History, HistoryConfig, Recall},
    lists::Hits,
    model::{Model, Scratch as ModelScratch},
    number::{About, Plan},
    output::{Style, json_line},
    sip::{Message, Scratch},
    stir::Facts,
    time::Timestamp,
    verdict::Thresholds,
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
    group.finish();
}

/// What a call costs with each of the models that are built in.
fn models(c: &mut Criterion) {
    let names = features::names();
    let frames: Vec<_> = frames().into_iter().map(|frame| (number_at(&frame), frame)).collect();
    let mut calls = frames.clone();
    for (name, model) in
        [("ensemble", Model::builtin(&names)), ("baseline", Model::baseline(&names))]
    {
        let model = Arc::new(model.expect("a built-in model"));
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Elements(1));
        let mut engine =
            Engine::new(&EngineConfig::default(), Arc::clone(&model)).expect("the built-in tables");
        engine.history().populate();
        // New Call-IDs each time round: what is measured is calls, not repetitions.
        let mut serial = 0u64;
        let mut inspect = |each: &mut dyn FnMut(&Assessment<'_>)| {
            serial += 1;
            let (at_byte, frame) = &mut calls[serial as usize % CALLS as usize];
            renumber(&mut frame[*at_byte..*at_byte + 8], serial);
            engine.inspect(&at(frame, serial), each);
        };
        // Vectors as calls give them: of made-up ones every tree would go one way.
        let mut rows = Vec::new();
        for _ in 0..CALLS {
            inspect(&mut |a| rows.push(a.features.to_vec()));
        }
        let (mut contributions, mut scratch) = ([0.0; COUNT], ModelScratch::default());
        let mut row = rows.iter().cycle();
        group.bench_function("model", |b| {
            b.iter(|| row.next().map(|row| model.explain(row, &mut contributions, &mut scratch)));
        });
        group.bench_function("engine", |b| b.iter(|| inspect(&mut |_| {})));
        // The same without callers' profiles: what they add.
        let mut bare = EngineConfig::default();
        bare.history.profile_bytes = 0;
        let mut bare = Engine::new(&bare, Arc::clone(&model)).expect("the built-in tables");
        bare.history().populate();
        let (mut others, mut count) = (frames.clone(), 0u64);
        group.bench_function("engine without profiles", |b| {
            b.iter(|| {
                count += 1;
                let (at_byte, frame) = &mut others[count as usize % CALLS as usize];
                renumber(&mut frame[*at_byte..*at_byte + 8], count);
                bare.inspect(&at(frame, count), &mut |_| {});
            });
        });
        let mut out = Vec::new();
        group.bench_function("engine and JSON line", |b| {
            b.iter(|| {
                inspect(&mut |a| {
                    out.clear();
                    json_line(a, Style::default(), None, &mut out);
                });
            });
        });
        assert!(engine.stats().verdicts() >= serial / 2, "every iteration is a call");
        group.finish();
    }
}

/// Where the Call-ID has its number.
fn number_at(frame: &[u8]) -> usize {
    let name = [&b"Call-ID: "[..], b"\r\ni: "];
    name.iter()
        .find_map(|name| {
            let at = frame.windows(name.len()).position(|window| window == *name)?;
            Some(at + name.len())
        })
        .expect("a Call-ID")
}

/// Writes another number there.
fn renumber(place: &mut [u8], serial: u64) {
    for (i, byte) in place.iter_mut().enumerate() {
        *byte = b"0123456789abcdef"[(serial >> (4 * i) & 15) as usize];
    }
}

/// The feature vector, group by group, and all of it.
fn vector(c: &mut Criterion) {
    let frames: Vec<_> = (0..64).map(scorer_bench::frame).collect();
    let env = Env::load(&EnvConfig::default(), Thresholds::default()).expect("the built-in tables");
    let (mut plan, mut scratches) = (Plan::new(), Vec::new());
    scratches.resize_with(frames.len(), Scratch::new);
    let meta = |n: u64| PacketMeta {
        timestamp: Timestamp(1_760_000_000_000_000_000 + n * 1_000_000),
        source: ([192, 0, 2, (n % 50) as u8], 5060).into(),
        destination: ([198, 51, 100, 1], 5060).into(),
        transport: Transport::Udp,
        ttl: 61,
        dscp: 0,
        ip_id: Some(7),
        dont_fragment: true,
        udp_checksum_zero: Some(false),
        packets: 1,
        stream_messages: None,
        vlan: None,
        tunnelled: false,
    };
    let metas: Vec<_> = (0..64).map(meta).collect();
    let messages: Vec<_> = frames
        .iter()
        .zip(&mut scratches)
        .map(|(frame, scratch)| Message::parse(&frame[42..], None, scratch).expect("an INVITE"))
        .collect();
    let mut calls: Vec<_> = messages
        .iter()
        .zip(&metas)
        .map(|(message, meta)| Call {
            message,
            meta,
            parts: Parts::of(message, message.to(), None),
            env: &env,
            place: Place::default(),
            caller_about: About::default(),
            callee_about: About::default(),
            hits: Hits::default(),
            stir: Facts::default(),
        })
        .collect();
    let mut out = [0.0; COUNT];
    let mut next = (0..64).cycle();
    let mut pick = move || next.next().unwrap_or(0);
    let mut group = c.benchmark_group("vector");
    group.bench_function("parts", |b| {
        b.iter(|| {
            let message = &messages[pick()];
            Parts::of(message, message.to(), None)
        });
    });
    group.bench_function("header and SDP", |b| {
        b.iter(|| features::compute_shape(&calls[pick()], &mut out).codecs);
    });
    group.bench_function("number tables", |b| {
        b.iter(|| {
            let number = calls[pick()].parts.caller();
            About::of(number.as_ref(), &mut plan, &env.ranges, Timestamp(1))
        });
    });
    group.bench_function("identity, number, transport, STIR, ISUP, lists", |b| {
        b.iter(|| {
            let call = &calls[pick()];
            features::compute_parties(call, &mut out);
            features::compute_rest(call, &mut out);
            features::compute_lists(call, &mut out);
        });
    });
    let mut history = History::new(&HistoryConfig::default());
    history.populate();
    let mut recall = Recall::default();
    let mut n = 0u64;
    let mut look = |n: u64, recall: &mut Recall, meanwhile: &mut dyn FnMut(usize)| {
        let of = |kind: u64, i: u64| (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ kind | 1;
        let keys = CallKeys {
            caller: of(1, n % 5_000),
            network: of(2, n % 5_000),
            callee: of(3, n * 7 % 9_000),
            source: of(4, n % 50),
            trunk: of(5, n % 3),
            fingerprint: of(6, n % 60),
            pair: of(7, n % 45_000),
            range: of(8, n % 100),
            country: of(9, n % 5),
            profile: of(10, n % 5_000),
            order: of(11, n % 6),
            agent: of(12, n % 4),
            codecs: of(13, n % 4),
            agent_order: of(14, n % 12),
            agent_sdp: of(15, n % 12),
            ..CallKeys::default()
        };
        history.prefetch(of(16, n), &keys);
        meanwhile(0);
        history.prefetch_values(of(16, n), &keys);
        meanwhile(1);
        let time = Timestamp(1_760_000_000_000_000_000 + n * 1_000_000);
        history.invite(of(16, n), (1, 1, 1), &keys, time, recall)
    };
    group.bench_function("history look-ups and counts", |b| {
        b.iter(|| {
            n += 1;
            look(n, &mut recall, &mut |_| {})
        });
    });
    group.bench_function("behaviour and profile", |b| {
        b.iter(|| features::compute_history(black_box(&recall), &mut out));
    });
    group.bench_function("all of it", |b| {
        b.iter(|| {
            n += 1;
            let i = pick();
            let call = &mut calls[i];
            call.parts = Parts::of(call.message, call.message.to(), None);
            let traits = features::compute_shape(call, &mut out);
            call.caller_about =
                About::of(call.parts.caller().as_ref(), &mut plan, &env.ranges, Timestamp(1));
            call.callee_about =
                About::of(call.parts.callee.as_ref(), &mut plan, &env.ranges, Timestamp(1));
            look(n, &mut recall, &mut |part| {
                if part == 0 {
                    features::compute_parties(call, &mut out);
                } else {
                    features::compute_rest(call, &mut out);
                    features::compute_lists(call, &mut out);
                }
            });
            features::compute_history(&recall, &mut out);
            traits.codecs
        });
    });
    group.finish();
}

criterion_group!(benches, steps, models, vector);
criterion_main!(benches);
