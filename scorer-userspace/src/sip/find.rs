//! The first of one or two bytes, in texts as short as those of SIP: a search of
//! memchr's begins with more than such a text takes, sixteen bytes at a time.

use scorer_common::fingerprint::find as word_marks;

/// Longer texts are memchr's from here on.
const SHORT: usize = 64;

/// Where `byte`, which is not 0, stands first.
#[inline]
pub(crate) fn find(text: &[u8], byte: u8) -> Option<usize> {
    debug_assert!(byte != 0, "what is filled up is filled up with zeros");
    first(
        text,
        |word| word_marks(word, byte),
        |block| block_marks(block, byte, byte),
        |rest| memchr::memchr(byte, rest),
    )
}

/// Where one of two bytes, neither of them 0, stands first.
#[inline]
pub(crate) fn find2(text: &[u8], a: u8, b: u8) -> Option<usize> {
    debug_assert!(a != 0 && b != 0, "what is filled up is filled up with zeros");
    first(
        text,
        |word| word_marks(word, a) | word_marks(word, b),
        |block| block_marks(block, a, b),
        |rest| memchr::memchr2(a, b, rest),
    )
}

/// Whether the texts are the same; made for names of a few bytes.
#[inline]
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    match (a.first_chunk::<8>(), b.first_chunk(), a.last_chunk::<8>(), b.last_chunk()) {
        (Some(a_first), Some(b_first), Some(a_last), Some(b_last)) if a.len() <= 16 => {
            (u64::from_le_bytes(*a_first) ^ u64::from_le_bytes(*b_first))
                | (u64::from_le_bytes(*a_last) ^ u64::from_le_bytes(*b_last))
                == 0
        }
        (None, ..) => few(a) == few(b),
        _ => a == b,
    }
}

#[inline(always)]
fn first(
    text: &[u8],
    word_marks: impl Fn(u64) -> u64,
    block_marks: impl Fn(&[u8; 16]) -> u32,
    long: impl Fn(&[u8]) -> Option<usize>,
) -> Option<usize> {
    // The lowest mark is true, whatever stands above it.
    let at = |marks: u64| (marks.trailing_zeros() / 8) as usize;
    let Some(last) = text.last_chunk::<16>() else {
        let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) else {
            let marks = word_marks(few(text));
            return (marks != 0).then(|| at(marks));
        };
        let marks = word_marks(u64::from_le_bytes(*first));
        if marks != 0 {
            return Some(at(marks));
        }
        // Bytes that were looked at before are known not to be it.
        let marks = word_marks(u64::from_le_bytes(*last));
        return (marks != 0).then(|| text.len() - 8 + at(marks));
    };
    let (blocks, _) = text.as_chunks::<16>();
    for (i, block) in blocks.iter().take(SHORT / 16).enumerate() {
        let marks = block_marks(block);
        if marks != 0 {
            return Some(16 * i + marks.trailing_zeros() as usize);
        }
    }
    if text.len() > SHORT {
        return long(&text[SHORT..]).map(|at| SHORT + at);
    }
    let marks = block_marks(last);
    (marks != 0).then(|| text.len() - 16 + marks.trailing_zeros() as usize)
}

/// The lowest bit that is set tells the first byte that is `a` or `b`.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn block_marks(block: &[u8; 16], a: u8, b: u8) -> u32 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
    };
    // SAFETY: SSE2 is part of x86_64, and the load takes any alignment.
    unsafe {
        let bytes = _mm_loadu_si128(block.as_ptr().cast());
        let equal = |byte: u8| _mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte as i8));
        let marks = if a == b { equal(a) } else { _mm_or_si128(equal(a), equal(b)) };
        _mm_movemask_epi8(marks) as u32
    }
}

/// The same on other machines.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn block_marks_plainly(block: &[u8; 16], a: u8, b: u8) -> u32 {
    let (words, _) = block.as_chunks::<8>();
    words.iter().rev().fold(0, |above, word| {
        let word = u64::from_le_bytes(*word);
        let marks = word_marks(word, a) | word_marks(word, b);
        if marks == 0 { above << 8 } else { 1 << (marks.trailing_zeros() / 8) }
    })
}
#[cfg(not(target_arch = "x86_64"))]
use block_marks_plainly as block_marks;

/// Up to seven bytes as a word, filled up with zeros.
#[inline(always)]
fn few(text: &[u8]) -> u64 {
    if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        // They overlap, and are the same where they do.
        let above = 8 * (text.len() - 4);
        return u64::from(u32::from_le_bytes(*first))
            | u64::from(u32::from_le_bytes(*last)) << (above & 63);
    }
    match *text {
        [a] => u64::from(a),
        [a, b] => u64::from(a) | u64::from(b) << 8,
        [a, b, c] => u64::from(a) | u64::from(b) << 8 | u64::from(c) << 16,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{block_marks, block_marks_plainly, find, find2, same};

    proptest! {
        #[test]
        fn the_same_as_memchr(
            // Bytes that a carry from the one before could make look like the one wanted.
            text in prop::collection::vec(
                prop_oneof![4 => any::<u8>(), 1 => b';'..=b'<', 1 => Just(0u8), 1 => b'9'..=b':'],
                0..150,
            ),
            a in 1..=255u8,
            start in 0..150usize,
        ) {
            let text = &text[start.min(text.len())..];
            for byte in [a, b';', b':'] {
                prop_assert_eq!(find(text, byte), memchr::memchr(byte, text));
                prop_assert_eq!(find2(text, byte, b'<'), memchr::memchr2(byte, b'<', text));
            }
        }

        #[test]
        fn blocks_are_marked_the_same_on_all_machines(
            block in prop::array::uniform16(prop_oneof![any::<u8>(), b'9'..=b'<']),
        ) {
            for (a, b) in [(b':', b':'), (b';', b'<'), (b'<', b'9')] {
                let ways = [block_marks(&block, a, b), block_marks_plainly(&block, a, b)];
                let plain = block.iter().position(|byte| *byte == a || *byte == b);
                let firsts = ways.map(|marks| (marks != 0).then(|| marks.trailing_zeros() as usize));
                prop_assert_eq!(firsts, [plain; 2]);
            }
        }

        #[test]
        fn the_same_as_equal(a in "[ab]{0,20}", b in "[ab]{0,20}", at in 0..20usize) {
            let (a, b) = (a.as_bytes(), b.as_bytes());
            prop_assert_eq!(same(a, b), a == b);
            let mut other = a.to_vec();
            prop_assert!(same(a, &other));
            if let Some(byte) = other.get_mut(at) {
                *byte ^= 0x20;
                prop_assert!(!same(a, &other));
            }
        }
    }
}
