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

/// 2^x for -120 <= x <= 0, within 3e-7 of it.
#[inline(always)]
pub fn exp2(x: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits: no
    // conversions, so that all lanes go through vector registers.
    const MAGIC: f32 = 12_582_912.0;
    let shifted = x + MAGIC;
    let r = (x - (shifted - MAGIC)) * std::f32::consts::LN_2;
    // Taylor's series of e^r; |r| <= 0.35.
    let power = 1.0
        + r * (1.0
            + r * (0.5
                + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0))))));
    power * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23)
}

/// Of two numbers; a single instruction, for many at once. Where one is NaN it is the second.
#[inline(always)]
pub fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// As [`larger`].
#[inline(always)]
pub fn smaller(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

/// Entropy of a text's bytes, bits a byte over 6, from its first 32 bytes; NaN for an
/// empty one.
pub fn entropy(text: &[u8]) -> f32 {
    let text = &text[..text.len().min(32)];
    if text.is_empty() {
        return f32::NAN;
    }
    let (mut counts, mut sum) = ([0u8; 128], 0);
    for byte in text {
        let count = &mut counts[usize::from(byte & 127)];
        sum += GROWTH[usize::from(*count & 31)];
        *count += 1;
    }
    // Of n bytes: log2 n, less the mean of each byte's log2 of its count.
    (WHOLE[text.len()] - sum) as f32 / (text.len() as f32 * 6.0 * UNIT as f32)
}

/// n log2 n, in units of 1 / [`UNIT`].
const WHOLE: [u32; 33] = {
    let (mut table, mut n) = ([0; 33], 1);
    while n < table.len() {
        table[n] = (n as f64 * log2(n) * UNIT as f64 + 0.5) as u32;
        n += 1;
    }
    table
};

/// What that grows by from n to n + 1.
const GROWTH: [u32; 32] = {
    let (mut table, mut n) = ([0; 32], 0);
    while n < table.len() {
        table[n] = WHOLE[n + 1] - WHOLE[n];
        n += 1;
    }
    table
};

/// So that all are among f32's integers.
const UNIT: u32 = 1 << 16;

/// log2 of 1 and above: halved to below two, then squared bit by bit; exact to f64's
/// 30th bit.
const fn log2(n: usize) -> f64 {
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
    log
}

#[cfg(test)]
mod tests {
    use super::{entropy, exp2, ln, ln_1p, log2};

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
        for i in 0..=1_200_000u32 {
            let x = -(i as f32) / 10_000.0;
            let exact = f64::from(x).exp2();
            assert!((f64::from(exp2(x)) - exact).abs() <= 3e-7 * exact, "{x}: {}", exp2(x));
        }
        assert_eq!((ln_1p(0.0), ln_1p(-3.0)), (0.0, 0.0));
        assert!(ln_1p(f32::NAN).is_nan());
        for n in 1..=32 {
            assert!((log2(n) - (n as f64).log2()).abs() < 1e-8);
        }
    }

    #[test]
    fn entropies() {
        assert!((entropy(b"aaaa")).abs() < 1e-6);
        assert!((entropy(b"abcdefgh") - 0.5).abs() < 1e-6);
        assert!(entropy(b"").is_nan() && entropy(&[b'x'; 1_000]).abs() < 1e-6);
        let mut text = Vec::new();
        for i in 0u32..64 {
            // Bytes that come again, more or less often.
            text.push(b'a' + (i.wrapping_mul(2_654_435_761) >> 16) as u8 % (1 + i as u8 / 3));
            let seen = &text[..text.len().min(32)];
            let exact: f64 = seen
                .iter()
                .map(|byte| {
                    let count = seen.iter().filter(|other| *other == byte).count();
                    (seen.len() as f64 / count as f64).log2()
                })
                .sum();
            let exact = exact / seen.len() as f64 / 6.0;
            assert!((f64::from(entropy(&text)) - exact).abs() < 1e-5, "{i}");
        }
    }
}
