//! The record as bytes, and the key that others find it by (docs/verdict-abi.md).

use scorer_common::{Verdict, verdict::REASONS};

/// Bytes of a record.
pub const RECORD: usize = size_of::<Verdict>();

/// Key of a call in tables that others read: FNV-1a, 64 bits, over the bytes of the
/// Call-ID as they stand in the message, without blanks around them.
///
/// [`Verdict::call`] is keyed with a secret and cannot be computed outside; this can.
pub const fn key(call_id: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut i = 0;
    while i < call_id.len() {
        hash = (hash ^ call_id[i] as u64).wrapping_mul(0x0100_0000_01b3);
        i += 1;
    }
    hash
}

/// The record in memory order, all integers little-endian.
pub fn bytes(verdict: &Verdict) -> [u8; RECORD] {
    let mut out = [0; RECORD];
    out[..4].copy_from_slice(&[verdict.version, verdict.score, verdict.level, verdict.action]);
    out[4..8].copy_from_slice(&verdict.tags.to_le_bytes());
    let words = [verdict.call, verdict.timestamp, verdict.fingerprint, verdict.model];
    for (place, word) in out[8..40].chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    for (place, reason) in out[40..50].chunks_exact_mut(2).zip(verdict.reasons) {
        place.copy_from_slice(&reason.to_le_bytes());
    }
    out[50..56].copy_from_slice(&verdict.reserved);
    out[56..60].copy_from_slice(&verdict.probability.to_le_bytes());
    out[60..].copy_from_slice(&verdict.latency.to_le_bytes());
    out
}

/// The record that `bytes` are.
pub fn parse(bytes: &[u8; RECORD]) -> Verdict {
    let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
    let half = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
    let reason = |i: usize| u16::from_le_bytes([bytes[40 + 2 * i], bytes[41 + 2 * i]]);
    Verdict {
        version: bytes[0],
        score: bytes[1],
        level: bytes[2],
        action: bytes[3],
        tags: half(4),
        call: word(8),
        timestamp: word(16),
        fingerprint: word(24),
        model: word(32),
        reasons: std::array::from_fn::<_, REASONS, _>(reason),
        reserved: std::array::from_fn(|i| bytes[50 + i]),
        probability: f32::from_bits(half(56)),
        latency: half(60),
    }
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use proptest::prelude::*;
    use scorer_common::{Verdict, verdict::Tag};

    use super::{RECORD, bytes, key, parse};

    /// Offsets as docs/verdict-abi.md and scorer_verdict.h state them.
    #[test]
    fn layout() {
        assert_eq!(RECORD, 64);
        let places = [
            offset_of!(Verdict, version),
            offset_of!(Verdict, score),
            offset_of!(Verdict, level),
            offset_of!(Verdict, action),
            offset_of!(Verdict, tags),
            offset_of!(Verdict, call),
            offset_of!(Verdict, timestamp),
            offset_of!(Verdict, fingerprint),
            offset_of!(Verdict, model),
            offset_of!(Verdict, reasons),
            offset_of!(Verdict, reserved),
            offset_of!(Verdict, probability),
            offset_of!(Verdict, latency),
        ];
        assert_eq!(places, [0, 1, 2, 3, 4, 8, 16, 24, 32, 40, 50, 56, 60]);
    }

    #[test]
    fn the_document_names_every_tag() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/verdict-abi.md");
        let text = std::fs::read_to_string(path).expect("the document");
        for tag in Tag::ALL {
            let row = format!("| {} | `{}` | {} |", *tag as u8, tag.name(), tag.help().trim());
            assert!(text.contains(&row), "{row} is not in docs/verdict-abi.md");
        }
    }

    /// Vectors of the algorithm's authors (draft-eastlake-fnv, appendix C).
    #[test]
    fn keys() {
        assert_eq!(key(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(key(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(key(b"foobar"), 0x8594_4171_f739_67e8);
    }

    proptest! {
        #[test]
        fn bytes_and_back(raw in prop::array::uniform32(any::<u8>()), more in prop::array::uniform32(any::<u8>())) {
            let mut record = [0; RECORD];
            record[..32].copy_from_slice(&raw);
            record[32..].copy_from_slice(&more);
            prop_assert_eq!(bytes(&parse(&record)), record);
        }
    }
}
