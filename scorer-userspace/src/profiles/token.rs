//! Hashes of evidence. Ours, since cases keep them on disk: they must be the same on
//! every host and in every later version.

use std::net::IpAddr;

use super::Kind;

/// A hash under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token(u64);

/// Odd constants without a meaning (digits of pi).
const SEED: u64 = 0x243f_6a88_85a3_08d3;
const FACTOR: u64 = 0x1319_8a2e_0370_7345;

/// Both halves of the product, folded.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

impl Token {
    /// Begins one of a kind.
    #[inline]
    pub(super) fn of(kind: Kind) -> Self {
        Self(SEED ^ (kind as u64 + 1).wrapping_mul(FACTOR))
    }

    /// Adds a word.
    #[inline]
    #[must_use]
    pub(super) fn word(self, word: u64) -> Self {
        Self(fold(self.0 ^ word, FACTOR).rotate_left(23) ^ SEED)
    }

    /// Adds bytes and their number.
    #[inline]
    #[must_use]
    pub(super) fn bytes(self, bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<8>();
        let this = words.iter().fold(self, |this, word| this.word(u64::from_le_bytes(*word)));
        // Not by copying: of so few bytes the call takes longer.
        let last = match bytes.last_chunk::<8>() {
            Some(_) if rest.is_empty() => 0,
            Some(last) => u64::from_le_bytes(*last) >> (64 - 8 * rest.len()),
            None => rest.iter().rev().fold(0, |last, byte| last << 8 | u64::from(*byte)),
        };
        this.word(last).word(bytes.len() as u64)
    }

    /// Adds an address.
    #[inline]
    #[must_use]
    pub(super) fn address(self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => self.word(u64::from(u32::from(v4))),
            IpAddr::V6(v6) => {
                let bits = u128::from(v6);
                self.word(bits as u64).word((bits >> 64) as u64 | 1)
            }
        }
    }

    /// The token, never 0.
    #[inline]
    pub(super) fn end(self) -> u64 {
        let mixed = fold(self.0, SEED | 1);
        mixed ^ mixed >> 32 | 1
    }
}

/// Id of a profile that begins with a call of such a Call-ID at such a time: the same on
/// every host that sees the call.
pub fn id_of(call_id: &[u8], time: crate::time::Timestamp) -> u64 {
    Token(SEED).bytes(call_id).word(time.0).end()
}

#[cfg(test)]
mod tests {
    use super::{Kind, Token};

    #[test]
    fn bytes_are_words_and_what_is_left_of_them() {
        let bytes: Vec<u8> = (1..=40).collect();
        for length in 0..=bytes.len() {
            let mut padded = bytes[..length].to_vec();
            padded.resize(length / 8 * 8 + 8, 0);
            let (words, _) = padded.as_chunks::<8>();
            let token = words
                .iter()
                .fold(Token::of(Kind::Stack), |token, word| token.word(u64::from_le_bytes(*word)))
                .word(length as u64);
            assert_eq!(Token::of(Kind::Stack).bytes(&bytes[..length]).end(), token.end());
        }
    }
}
