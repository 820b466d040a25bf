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
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        this.word(u64::from_le_bytes(last)).word(bytes.len() as u64)
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
