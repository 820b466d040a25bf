//! Randomness that is the same on every machine: PCG, seeded by what it is for.

use rand::{RngExt as _, SeedableRng as _};
use rand_distr::{Distribution as _, Exp1, LogNormal};

/// A stream of random numbers. PCG's output is fixed by its definition.
pub(super) type Stream = rand_pcg::Pcg64Mcg;

/// Spreads three numbers to one (the finaliser of SplitMix64 between them), so that
/// properties of the millionth subscriber need not be kept but are made again.
pub(super) fn hash(seed: u64, purpose: u64, number: u64) -> u64 {
    [purpose, number]
        .into_iter()
        .fold(finish(seed), |hash, value| finish(hash ^ value.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

const fn finish(mut value: u64) -> u64 {
    value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// The stream for one purpose.
pub(super) fn stream(seed: u64, purpose: u64, number: u64) -> Stream {
    Stream::seed_from_u64(hash(seed, purpose, number))
}

/// One of them.
pub(super) fn pick<'a, T>(random: &mut Stream, list: &'a [T]) -> &'a T {
    &list[random.random_range(0..list.len())]
}

/// Seconds until the next of events that come at `rate` a second.
pub(super) fn exponential(random: &mut Stream, rate: f64) -> f64 {
    let unit: f64 = Exp1.sample(random);
    unit / rate
}

/// A duration whose logarithm is normal: `median`, and the factor `spread` (1.5 is
/// narrow, 3 wide) within which two thirds lie.
pub(super) fn around(random: &mut Stream, median: f64, spread: f64) -> f64 {
    match LogNormal::new(median.ln(), spread.ln()) {
        Ok(distribution) => distribution.sample(random),
        Err(_) => median,
    }
}

/// True with this probability.
pub(super) fn chance(random: &mut Stream, probability: f64) -> bool {
    random.random::<f64>() < probability
}
