//! What a consortium costs: a call, an event, and whoever would enumerate numbers.
//!
//! `cargo bench -p scorer-bench --bench consortium` prints a pseudonym by HMAC beside one
//! by blind evaluation (both sides of it, alone and of 64 at a time), a call looked up
//! among 100,000 reports with one epoch and with two, and how long their index takes to
//! be made. docs/privacy.md reckons with these figures.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use scorer::{
    number::Number,
    share::{
        Index, Quorum,
        blind::{Evaluator, evaluate_by},
        event::{Category, Kind},
        index::Report,
        pseudonym::{Keys, Marks, Token},
    },
    time::Timestamp,
};

/// Reports of the index.
const REPORTS: usize = 100_000;
const NOW: Timestamp = Timestamp(1_760_000_000_000_000_000);

/// The `i`th number, behind a country code that is not assigned.
fn number(i: usize) -> Number {
    let text = format!("+999{:09}", i * 7_368_787 % 1_000_000_000);
    Number::parse(text.as_bytes(), None).expect("a number")
}

fn token(i: usize) -> Token {
    Token::number(&number(i)).expect("E.164")
}

fn marks(i: usize) -> Marks {
    let mut sketch = [0; 16];
    sketch[..8].copy_from_slice(&i.to_be_bytes());
    Marks { network: Some(number(i)), sketch: Some(sketch), ..Marks::default() }
}

fn index(epochs: u32) -> Index {
    let keys: Vec<_> = (1..=epochs).map(|epoch| Keys::new(epoch, &[epoch as u8; 32])).collect();
    let mut index = Index::new(keys.clone(), vec!["carrier-a".into()], Quorum::default());
    for i in 0..REPORTS {
        let report = Report {
            organisation: 0,
            kind: Kind::Confirmed,
            category: Category::Other,
            confidence: 90,
            trust: 100,
            evidence: 1,
            at: 1_759_000_000,
            until: u32::MAX,
        };
        let subject = marks(i).subject(|token| Ok::<_, ()>(keys[0].of(token))).expect("made");
        index.add(report, &subject);
    }
    index
}

fn pseudonyms(c: &mut Criterion) {
    let mut group = c.benchmark_group("pseudonym");
    let keys = Keys::new(1, &[1; 32]);
    let tokens: Vec<_> = (0..64).map(token).collect();
    group.bench_function("HMAC", |b| {
        let mut at = tokens.iter().cycle();
        b.iter(|| keys.of(black_box(at.next().expect("endless"))));
    });
    let hub = Evaluator::new(&[1; 32]).expect("a key");
    let public = hub.public();
    for count in [1, 64] {
        let tokens = &tokens[..count];
        group.throughput(Throughput::Elements(count as u64));
        let mut blinded = Vec::new();
        let _ = evaluate_by(&public, tokens, |wire| {
            blinded = wire.to_vec();
            hub.evaluate(wire)
        });
        let answer = hub.evaluate(&blinded).expect("evaluated");
        group.bench_function(format!("blind, the hub's side, {count} at once"), |b| {
            b.iter(|| hub.evaluate(black_box(&blinded)).expect("evaluated"));
        });
        // The proof is of other blindings, and refused after the same work.
        group.bench_function(format!("blind, the member's side, {count} at once"), |b| {
            b.iter(|| evaluate_by(&public, black_box(tokens), |_| Ok(answer.clone())));
        });
    }
    group.finish();
}

fn calls(c: &mut Criterion) {
    let mut group = c.benchmark_group("call");
    for epochs in [1, 2] {
        let index = index(epochs);
        let unknown: Vec<_> = (0..1_024).map(|i| marks(REPORTS + i)).collect();
        let known: Vec<_> = (0..1_024).map(|i| marks(i * 97)).collect();
        for (what, asked) in [("unknown", &unknown), ("known", &known)] {
            let mut at = asked.iter().cycle();
            group.bench_function(format!("{what}, epochs {epochs}"), |b| {
                b.iter(|| index.look(black_box(at.next().expect("endless")), false, NOW));
            });
        }
    }
    group.sample_size(10);
    group.bench_function("index of 100,000 reports, pseudonyms and all", |b| b.iter(|| index(1)));
    group.finish();
}

criterion_group!(benches, pseudonyms, calls);
criterion_main!(benches);
