//! `pauses`: what a pause before a call costs it. Between calls the thread spins, as
//! the scoring thread does; caches and branch predictors go cold nevertheless.

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use scorer::{
    capture::{Frame, LinkType},
    engine::{Engine, EngineConfig},
    features::names,
    model::{Model, Scratch},
    time::Timestamp,
};

/// Calls of one row.
const CALLS: u32 = 3_000;

fn main() -> Result<(), Box<dyn Error>> {
    let model = Arc::new(Model::builtin(&names())?);
    let mut engine = Engine::new(&EngineConfig::default(), Arc::clone(&model))?;
    let mut next = 0;
    let mut row = vec![0.0; names().len()];
    let mut contributions = row.clone();
    let mut scratch = Scratch::default();
    println!("| before a call | p50 µs | p90 µs | p99 µs |\n|---|---|---|---|");
    for (name, pause, keep) in [
        ("the call before", 0, 0),
        ("spinning for 100 µs", 100, 0),
        ("spinning for 1 ms", 1_000, 0),
        ("the same, the model run each 50 µs", 1_000, 1),
        ("the same, a retransmission each 50 µs", 1_000, 2),
        ("the same, both", 1_000, 3),
    ] {
        let mut times = Vec::new();
        for i in 0..CALLS {
            let last = scorer_bench::frame(next);
            next += 1;
            let bytes = scorer_bench::frame(next);
            let start = Instant::now();
            let mut warm = Instant::now();
            while start.elapsed() < Duration::from_micros(pause) {
                if keep > 0 && warm.elapsed() > Duration::from_micros(50) {
                    if keep & 1 > 0 {
                        model.explain(&row, &mut contributions, &mut scratch);
                    }
                    if keep & 2 > 0 {
                        engine.inspect(&frame(&last, i), &mut |_| {});
                    }
                    warm = Instant::now();
                }
            }
            let start = Instant::now();
            let mut count = 0;
            engine.inspect(&frame(&bytes, i), &mut |assessment| {
                count += 1;
                row.copy_from_slice(assessment.features);
            });
            times.push(start.elapsed());
            assert_eq!(count, 1, "a call was not scored");
        }
        times.sort_unstable();
        let at = |share: f64| times[(f64::from(CALLS - 1) * share) as usize].as_secs_f64() * 1e6;
        println!("| {name} | {:.1} | {:.1} | {:.1} |", at(0.5), at(0.9), at(0.99));
    }
    Ok(())
}

fn frame(bytes: &[u8], i: u32) -> Frame<'_> {
    Frame {
        link: LinkType::Ethernet,
        timestamp: Timestamp(1_760_000_000_000_000_000 + u64::from(i) * 1_000_000),
        bytes,
        wire_length: bytes.len() as u32,
        scan: None,
    }
}
