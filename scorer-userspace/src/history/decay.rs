//! Exponential decay at all half-lives at once.

use crate::maths::exp2;

/// Half-lives of the counts, seconds: ten seconds, a minute, ten minutes, an
/// hour, a day.
pub const HALF_LIVES: [f32; 5] = [10.0, 60.0, 600.0, 3_600.0, 86_400.0];

/// Index of the half-life of an hour, which shares are taken over.
pub(super) const HOUR: usize = 3;
/// Index of the half-life of a day.
pub(super) const DAY: usize = 4;

/// What is left of a count of 1 after `seconds` (0 or more), for each half-life.
#[inline]
pub(super) fn after(seconds: f32) -> [f32; 5] {
    const RATE: [f32; 8] =
        [-1.0 / 10.0, -1.0 / 60.0, -1.0 / 600.0, -1.0 / 3_600.0, -1.0 / 86_400.0, 0.0, 0.0, 0.0];
    // Eight lanes, so that they fit vector registers.
    let mut left = [0.0; 8];
    for (left, rate) in left.iter_mut().zip(RATE) {
        *left = exp2((seconds * rate).max(-120.0));
    }
    [left[0], left[1], left[2], left[3], left[4]]
}

#[cfg(test)]
mod tests {
    use super::{HALF_LIVES, after};

    #[test]
    fn as_exact_as_documented() {
        for i in 0..200_000u32 {
            let seconds = (i as f32).powf(1.3);
            for (left, half_life) in after(seconds).into_iter().zip(HALF_LIVES) {
                let exact = (-f64::from(seconds) / f64::from(half_life)).exp2();
                let error = (f64::from(left) - exact).abs();
                // Very old counts end at 2^-120 and not at 0; the quotient's own
                // rounding grows with its size.
                assert!(error <= 1e-5 * exact + 1e-30, "{seconds} s: {left}, not {exact}");
            }
        }
        assert_eq!(after(0.0), [1.0; 5]);
    }
}
