//! What the numbers themselves say.

use super::{Call, Vector, flag, id, maybe};
use crate::number::is_high_cost;

pub(super) fn fill(call: &Call<'_>, out: &mut Vector) {
    let parts = &call.parts;
    let mut set = |index: u16, value: f32| out[usize::from(index)] = value;
    // The number shown, or the network's where none is.
    let caller = parts.shown.or(parts.network);
    if let Some(caller) = caller {
        let digits = caller.as_bytes();
        set(id::CALLER_LENGTH, digits.len() as f32);
        set(id::CALLER_DIGIT_ENTROPY, entropy(digits));
        let (repeated, sequential) = runs(digits);
        set(id::CALLER_REPEATED_DIGITS, f32::from(repeated));
        set(id::CALLER_SEQUENTIAL_DIGITS, f32::from(sequential));
    }
    if let Some((caller, callee)) = caller.zip(parts.callee) {
        set(id::CALLER_EQUALS_CALLEE, flag(caller.as_bytes() == callee.as_bytes()));
        if caller.international && callee.international {
            let shared =
                caller.as_bytes().iter().zip(callee.as_bytes()).take_while(|(a, b)| a == b).count();
            set(id::CALLER_DIGITS_SHARED_WITH_CALLEE, shared as f32);
        }
        let countries = caller.country().zip(callee.country());
        set(id::INTERNATIONAL_CALL, maybe(countries.map(|(a, b)| a != b)));
    }
    set(id::CALLEE_HIGH_COST, maybe(parts.callee.map(|callee| is_high_cost(&callee))));
}

/// Entropy of the digits over log2(10).
fn entropy(digits: &[u8]) -> f32 {
    let mut counts = [0u8; 10];
    for digit in digits {
        counts[usize::from(digit - b'0') % 10] += 1;
    }
    let n = digits.len() as f32;
    let sum: f32 = counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| f32::from(*count) * LOG2[usize::from(*count).min(LOG2.len() - 1)])
        .sum();
    (n.log2() - sum / n) / std::f32::consts::LOG2_10
}

#[expect(clippy::approx_constant, reason = "log2 of ten is but one of them")]
/// log2 of 0–24; the first is never asked for.
const LOG2: [f32; 25] = [
    0.0,
    0.0,
    1.0,
    1.584_962_5,
    2.0,
    2.321_928,
    2.584_962_5,
    2.807_355,
    3.0,
    3.169_925,
    3.321_928,
    3.459_431_6,
    3.584_962_5,
    3.700_439_7,
    3.807_355,
    3.906_890_6,
    4.0,
    4.087_463,
    4.169_925,
    4.247_927_5,
    4.321_928,
    4.392_317_4,
    4.459_431_6,
    4.523_562,
    4.584_962_4,
];

/// Longest run of one digit, and of digits that rise or fall by one.
fn runs(digits: &[u8]) -> (u8, u8) {
    let (mut repeated, mut sequential) = (1, 1);
    let (mut same, mut up, mut down) = (1, 1, 1);
    for pair in digits.windows(2) {
        let (a, b) = (pair[0], pair[1]);
        same = if a == b { same + 1 } else { 1 };
        up = if b == a + 1 { up + 1 } else { 1 };
        down = if a == b + 1 { down + 1 } else { 1 };
        repeated = repeated.max(same);
        sequential = sequential.max(up).max(down);
    }
    (repeated, sequential)
}
