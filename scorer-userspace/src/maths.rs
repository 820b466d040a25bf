//! Elementary functions that compilers turn into vector code, for features: some
//! eighty logarithms a call. Close to exact, and the same on every machine.

/// ln(1 + x) for x >= 0, within 3e-7 of it, absolute or relative; NaN stays NaN, and
/// below 0 it is 0.
#[inline(always)]
pub fn ln_1p(x: f32) -> f32 {
    let value = ln(1.0 + if x < 0.0 { 0.0 } else { x });
    if x.is_nan() { x } else { value }
}

/// ln x of a normal number above 0, as near.
#[inline(always)]
pub fn ln(x: f32) -> f32 {
    // To a mantissa from about 0.7 to 1.4.
    let shifted = x.to_bits().wrapping_sub(0x3f35_04f3);
    let exponent = (shifted as i32) >> 23;
    let mantissa = f32::from_bits((shifted & 0x007f_ffff).wrapping_add(0x3f35_04f3));
    // The series of artanh; |t| < 0.172.
    let t = (mantissa - 1.0) / (mantissa + 1.0);
    let square = t * t;
    let series = t
        * (2.0
            + square * (2.0 / 3.0 + square * (0.4 + square * (2.0 / 7.0 + square * (2.0 / 9.0)))));
    exponent as f32 * std::f32::consts::LN_2 + series
}

/// Entropy of a text's bytes, bits a byte over 6, from its first 32 bytes; NaN for an
/// empty one.
pub fn entropy(text: &[u8]) -> f32 {
    let text = &text[..text.len().min(32)];
    if text.is_empty() {
        return f32::NAN;
    }
    let mut counts = [0u8; 128];
    for byte in text {
        counts[usize::from(byte & 127)] += 1;
    }
    // The mean of log2(n / count) over the bytes.
    let sum: f32 = text.iter().map(|byte| LOG2[usize::from(counts[usize::from(byte & 127)])]).sum();
    (LOG2[text.len()] - sum / text.len() as f32) / 6.0
}

/// log2 of 1 to 64; of 0 nothing is asked.
const LOG2: [f32; 65] = {
    let mut table = [0.0; 65];
    let mut n = 2;
    while n <= 64 {
        // Halved to below two, then squared bit by bit: exact to f64 in 30 steps.
        let (mut x, mut log) = (n as f64, 0.0);
        while x >= 2.0 {
            x /= 2.0;
            log += 1.0;
        }
        let (mut bit, mut step) = (0.5, 0);
        while step < 30 {
            x *= x;
            if x >= 2.0 {
                x /= 2.0;
                log += bit;
            }
            bit /= 2.0;
            step += 1;
        }
        table[n] = log as f32;
        n += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::{LOG2, entropy, ln, ln_1p};

    #[test]
    fn logarithms() {
        for i in 0..1_000_000u32 {
            let x = (i as f32 / 1_000.0).powi(3);
            let exact = f64::from(x).ln_1p();
            let error = (f64::from(ln_1p(x)) - exact).abs();
            assert!(error <= 3e-7 * exact.max(1.0), "{x}: {} {exact}", ln_1p(x));
        }
        for i in 1..1_000_000u32 {
            let x = (i as f32 / 1_000.0).powi(5) + f32::MIN_POSITIVE;
            let exact = f64::from(x).ln();
            let error = (f64::from(ln(x)) - exact).abs();
            assert!(error <= 4e-7 * exact.abs().max(1.0), "{x}: {} {exact}", ln(x));
        }
        assert_eq!((ln_1p(0.0), ln_1p(-3.0)), (0.0, 0.0));
        assert!(ln_1p(f32::NAN).is_nan());
        for (n, log) in LOG2.iter().enumerate().skip(1) {
            assert!((f64::from(*log) - (n as f64).log2()).abs() < 1e-6);
        }
    }

    #[test]
    fn entropies() {
        assert!((entropy(b"aaaa")).abs() < 1e-6);
        assert!((entropy(b"abcdefgh") - 0.5).abs() < 1e-6);
        assert!(entropy(b"").is_nan() && entropy(&[b'x'; 1_000]).abs() < 1e-6);
    }
}
