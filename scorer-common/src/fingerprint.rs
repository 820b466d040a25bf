//! Header fingerprint and line index: one pass over a SIP message, the same in
//! the kernel and in user space.
//!
//! The fingerprint is a 64-bit hash over the names of the header lines in the
//! order they stand: their spelling (case, compact form, blanks before the
//! colon), up to sixteen bytes each. A run of lines of one name counts once, so
//! the number of Via or Record-Route hops does not change it. Values, the start
//! line and the body play no part. Equal fingerprints mean equal signalling
//! stacks and paths far more often than equal callers: it is evidence, not
//! identity. It is not a cryptographic hash and is keyed by nothing.
//!
//! The pass goes over blocks of 64 bytes: a bit mask of newlines is made for a
//! block, then the lines it ends are taken one by one.
//!
//! The shape of the code is the verifier's. All state that lives from one step
//! to the next is in [`Scan`] and is read and written volatile, and what can be
//! told by arithmetic is not told by a branch: then the few paths through a step
//! end in the same state and the verifier follows one. Written the usual way the
//! same pass exceeds its million instructions.

use crate::limits::{SCAN_BYTES, SCAN_LINES};

/// Bytes in a block.
pub const BLOCK: usize = 64;

const BLOCKS: u32 = (SCAN_BYTES / BLOCK) as u32;

/// Steps of the loop at most: one for each block, one for each newline. The
/// start line, the blank line and folded lines need a step as well.
const STEPS: u32 = BLOCKS + SCAN_LINES as u32 + 32;

/// A line without CR before its LF.
pub const LF_ONLY: u32 = 1 << 0;
/// A header name of one letter (RFC 3261 section 7.3.3).
pub const COMPACT: u32 = 1 << 1;
/// A line that continues the one before (RFC 3261 section 7.3.1).
pub const FOLDED: u32 = 1 << 2;
/// More than [`SCAN_LINES`] header lines: the pass stopped there.
pub const MORE_LINES: u32 = 1 << 3;
/// No blank line within [`SCAN_BYTES`]: the pass stopped there or at the end.
pub const NO_BLANK_LINE: u32 = 1 << 4;

const SEED: u64 = 0x243f_6a88_85a3_08d3;
const K1: u64 = 0x9e37_79b9_7f4a_7c15;
const K2: u64 = 0xd6e8_feb8_6659_fd93;
const K3: u64 = 0xff51_afd7_ed55_8ccd;
/// Stands for a folded line in the hash.
const CONTINUATION: u64 = 0x1357_9bdf_0246_8ace;

/// Where the pass reads from. Offsets count from the first byte of the message.
pub trait Text {
    /// Bit *i* is set when byte *i* of block `block` is LF. Bits beyond the end
    /// of the text may be anything: [`scan`] clears them.
    fn newlines(&self, block: u32) -> u64;

    /// Sixteen bytes from `at` on, as two little-endian words. Bytes beyond the
    /// end of the text may be anything.
    fn load16(&self, at: u32) -> (u64, u64);
}

/// State and result of [`scan`]. 176 bytes, part of the INVITE record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Scan {
    /// The fingerprint; never 0 once the pass is over.
    pub fingerprint: u64,
    /// Working state: hash of the previous line's name.
    previous: u64,
    /// Working state: newlines of the current block not yet taken.
    pending: u64,
    /// Working state: blocks taken so far.
    block: u32,
    /// Working state: start of the current line.
    start: u32,
    /// Header lines in `offsets`.
    pub lines: u32,
    /// Offset of the first byte behind the blank line; 0 when none was found.
    pub body: u32,
    /// [`LF_ONLY`], [`COMPACT`], [`FOLDED`], [`MORE_LINES`], [`NO_BLANK_LINE`].
    pub flags: u32,
    /// Zero.
    reserved: u32,
    /// Offsets of the header lines, in order. Folded lines belong to the line
    /// before them and have no entry of their own. Only `lines` are meaningful.
    pub offsets: [u16; SCAN_LINES],
}

const _: () = assert!(size_of::<Scan>() == 176 && align_of::<Scan>() == 8);

impl Scan {
    /// A scan of nothing.
    pub const EMPTY: Self = Self {
        fingerprint: 0,
        previous: 0,
        pending: 0,
        block: 0,
        start: 0,
        lines: 0,
        body: 0,
        flags: 0,
        reserved: 0,
        offsets: [0; SCAN_LINES],
    };

    /// Scans `message`.
    pub fn of(message: &[u8]) -> Self {
        let mut out = Self::EMPTY;
        let len = message.len().min(SCAN_BYTES) as u32;
        // SAFETY: `out` is a valid, exclusive place for a Scan.
        unsafe { scan(&Bytes(message), len, &raw mut out) };
        out
    }

    /// Offsets of the indexed header lines.
    pub fn line_offsets(&self) -> &[u16] {
        self.offsets.get(..self.lines as usize).unwrap_or(&self.offsets)
    }
}

macro_rules! get {
    ($out:ident.$field:ident) => {
        (&raw const (*$out).$field).read_volatile()
    };
}
macro_rules! set {
    ($out:ident.$field:ident = $value:expr) => {
        (&raw mut (*$out).$field).write_volatile($value)
    };
}

/// Sets every field of `out` but the table of offsets to the start of a pass.
///
/// # Safety
/// `out` must be valid for writes and aligned.
#[inline(always)]
pub unsafe fn reset(out: *mut Scan) {
    // SAFETY: passed on to the caller.
    unsafe {
        set!(out.fingerprint = SEED);
        set!(out.previous = 0);
        set!(out.pending = 0);
        set!(out.block = 0);
        set!(out.start = 0);
        set!(out.lines = 0);
        set!(out.body = 0);
        set!(out.flags = 0);
        set!(out.reserved = 0);
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// 0x80 in the lowest byte of `word` that equals `byte`; higher bytes may carry
/// false marks, lower ones do not.
#[inline(always)]
pub const fn find(word: u64, byte: u8) -> u64 {
    let x = word ^ (ONES * byte as u64);
    x.wrapping_sub(ONES) & !x & HIGHS
}

/// Ones in all bytes below the lowest mark of `marks`.
#[inline(always)]
pub const fn below(marks: u64) -> u64 {
    ((marks & marks.wrapping_neg()) >> 7).wrapping_sub(1)
}

/// One pass over the first `len` bytes of `text` (at most [`SCAN_BYTES`]).
///
/// # Safety
/// `out` must be valid for reads and writes and aligned; nobody else may use it
/// meanwhile.
#[inline(always)]
pub unsafe fn scan<T: Text>(text: &T, len: u32, out: *mut Scan) {
    // SAFETY: passed on to the caller.
    unsafe {
        reset(out);
        for _ in 0..STEPS {
            let pending = get!(out.pending);
            let block = get!(out.block);
            if pending == 0 {
                if block >= BLOCKS || block * BLOCK as u32 >= len {
                    break;
                }
                let mut newlines = text.newlines(block);
                let left = len - block * BLOCK as u32;
                if left < BLOCK as u32 {
                    newlines &= (1 << left) - 1;
                }
                set!(out.pending = newlines);
                set!(out.block = block + 1);
                continue;
            }
            set!(out.pending = pending & (pending - 1));
            let newline = (block - 1) * BLOCK as u32 + pending.trailing_zeros();
            let start = get!(out.start);
            set!(out.start = newline + 1);
            line(text, start, newline, out);
        }
        let mut flags = get!(out.flags);
        if get!(out.body) == 0 {
            flags |= NO_BLANK_LINE;
            set!(out.flags = flags);
        }
        // The case of one-letter names and of names is in the names already;
        // line ends are not.
        let hash = get!(out.fingerprint) ^ ((flags & LF_ONLY) as u64);
        let hash = (hash ^ (hash >> 32)).wrapping_mul(K3);
        set!(out.fingerprint = (hash ^ (hash >> 29)) | 1);
    }
}

/// Takes the line from `start` to the LF at `newline`.
#[inline(always)]
unsafe fn line<T: Text>(text: &T, start: u32, newline: u32, out: *mut Scan) {
    // SAFETY: passed on to the caller.
    unsafe {
        let (first, second) = text.load16(start);
        let (ending, _) = text.load16(newline.wrapping_sub(1));
        // 1 where the line has no CR before its LF.
        let bare = not_zero((ending as u32 & 0xff) ^ b'\r' as u32);
        let length = newline.wrapping_sub(start).wrapping_add(bare).wrapping_sub(1);
        if length == 0 {
            return finish(out, newline + 1);
        }
        set!(out.flags = get!(out.flags) | (bare * LF_ONLY));
        // The start line plays no part.
        if start == 0 {
            return;
        }
        let letter = first as u32 & 0xff;
        if letter == b' ' as u32 || letter == b'\t' as u32 {
            set!(out.flags = get!(out.flags) | FOLDED);
            let hash = get!(out.fingerprint);
            set!(out.fingerprint = (hash.rotate_left(5) ^ CONTINUATION).wrapping_mul(K1));
            return;
        }
        let compact = 1 - not_zero((first >> 8) as u32 & 0xff ^ b':' as u32);
        set!(out.flags = get!(out.flags) | (compact * COMPACT));
        let name = name(first, second);
        let all = get!(out.fingerprint);
        let changed = all_ones_unless_equal(name, get!(out.previous));
        let mixed = (all.rotate_left(5) ^ name).wrapping_mul(K1);
        set!(out.previous = name);
        set!(out.fingerprint = (mixed & changed) | (all & !changed));
        let lines = get!(out.lines);
        if lines >= SCAN_LINES as u32 {
            set!(out.flags = get!(out.flags) | MORE_LINES);
            return finish(out, 0);
        }
        let slot = (&raw mut (*out).offsets).cast::<u16>().add(lines as usize & (SCAN_LINES - 1));
        slot.write_volatile(start as u16);
        set!(out.lines = lines + 1);
    }
}

/// 1 unless `byte` (0–255) is 0.
#[inline(always)]
const fn not_zero(byte: u32) -> u32 {
    (byte + 0xff) >> 8
}

#[inline(always)]
const fn all_ones_unless_equal(a: u64, b: u64) -> u64 {
    let difference = a ^ b;
    let folded = (difference | difference >> 32) & 0xffff_ffff;
    ((folded + 0xffff_ffff) >> 32).wrapping_neg()
}

/// Hash of a header's name: of its bytes up to the colon, or to the line's end
/// where there is none, sixteen at most.
#[inline(always)]
pub const fn name(first: u64, second: u64) -> u64 {
    let keep = below(find(first, b':') | find(first, b'\n'));
    // The second word counts where the first holds no end, that is, where all
    // of it is kept.
    let more = ((keep as i64) >> 63) as u64;
    let low = first & keep;
    let high = second & below(find(second, b':') | find(second, b'\n')) & more;
    low.wrapping_mul(K1) ^ high.wrapping_mul(K2).rotate_left(31)
}

/// Ends the pass: the next step finds no newline and no block left.
#[inline(always)]
unsafe fn finish(out: *mut Scan, body: u32) {
    // SAFETY: passed on to the caller.
    unsafe {
        set!(out.body = body);
        set!(out.pending = 0);
        set!(out.block = BLOCKS);
    }
}

/// [`Text`] over a slice.
struct Bytes<'a>(&'a [u8]);

impl Text for Bytes<'_> {
    #[inline(always)]
    fn newlines(&self, block: u32) -> u64 {
        let at = block as usize * BLOCK;
        let rest = self.0.get(at..).unwrap_or_default();
        if let Some(bytes) = rest.first_chunk::<BLOCK>() {
            return newlines_of(bytes);
        }
        let mut bytes = [0; BLOCK];
        bytes[..rest.len()].copy_from_slice(rest);
        newlines_of(&bytes)
    }

    #[inline(always)]
    fn load16(&self, at: u32) -> (u64, u64) {
        let rest = self.0.get(at as usize..).unwrap_or_default();
        let mut padded = [0; 16];
        let bytes = rest.first_chunk::<16>().unwrap_or_else(|| {
            padded[..rest.len()].copy_from_slice(rest);
            &padded
        });
        let value = u128::from_le_bytes(*bytes);
        (value as u64, (value >> 64) as u64)
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn newlines_of(block: &[u8; BLOCK]) -> u64 {
    use core::arch::x86_64::{_mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_set1_epi8};
    let mut mask = 0;
    let (chunks, _) = block.as_chunks::<16>();
    for (i, chunk) in chunks.iter().enumerate() {
        // SAFETY: SSE2 is part of x86_64, and the load takes any alignment.
        let bits = unsafe {
            let bytes = _mm_loadu_si128(chunk.as_ptr().cast());
            _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\n' as i8)))
        };
        mask |= u64::from(bits as u16) << (16 * i);
    }
    mask
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn newlines_of(block: &[u8; BLOCK]) -> u64 {
    let mut mask = 0;
    let (words, _) = block.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        mask |= newlines_of_word(u64::from_le_bytes(*word)) << (8 * i);
    }
    mask
}

/// Bit *i* is set when byte *i* of `word` is LF. Exact, unlike [`find`].
#[inline(always)]
pub const fn newlines_of_word(word: u64) -> u64 {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let x = word ^ (ONES * b'\n' as u64);
    // 0x80 in every byte of x that is zero, with no carry between bytes.
    let zero = !(((x & LOW) + LOW) | x | LOW);
    // Gathers the eight high bits into one byte.
    (zero >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

#[cfg(test)]
mod tests {
    use super::{
        Bytes, COMPACT, FOLDED, LF_ONLY, MORE_LINES, NO_BLANK_LINE, Scan, Text as _,
        newlines_of_word,
    };
    use proptest::prelude::*;
    extern crate std;
    use std::{format, string::String, vec::Vec};

    const INVITE: &[u8] = b"INVITE sip:1@b SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\n\
        From: <sip:2@a>;tag=1\r\nP-Asserted-Identity: <sip:3@a>\r\nCall-ID: x\r\n\r\nv=0\r\n";

    #[test]
    fn finds_lines_and_body() {
        let scan = Scan::of(INVITE);
        assert_eq!(scan.flags, 0);
        let names: Vec<_> = scan
            .line_offsets()
            .iter()
            .map(|at| INVITE[*at as usize..].split(|b| *b == b':').next().unwrap())
            .collect();
        assert_eq!(names, [&b"Via"[..], b"From", b"P-Asserted-Identity", b"Call-ID"]);
        assert!(INVITE[scan.body as usize..].starts_with(b"v=0"));
    }

    fn print(headers: &str) -> u64 {
        Scan::of(format!("INVITE sip:1@b SIP/2.0\r\n{headers}\r\n").as_bytes()).fingerprint
    }

    #[test]
    fn values_and_hops_do_not_matter_but_order_and_spelling_do() {
        let base = print("Via: a\r\nFrom: b\r\nTo: c\r\n");
        assert_eq!(base, print("Via: x\r\nFrom: yyyyyyyyyyyyyyyyyyyyy\r\nTo: z\r\n"));
        assert_eq!(base, print("Via: a\r\nVia: b\r\nFrom: b\r\nTo: c\r\n"));
        assert_ne!(base, print("From: b\r\nVia: a\r\nTo: c\r\n"));
        assert_ne!(base, print("VIA: a\r\nFrom: b\r\nTo: c\r\n"));
        assert_ne!(base, print("v: a\r\nFrom: b\r\nTo: c\r\n"));
        assert_ne!(base, print("Via : a\r\nFrom: b\r\nTo: c\r\n"));
        assert_ne!(base, print("Via: a\nFrom: b\nTo: c\n"));
        assert_ne!(base, print("Via: a\r\n b\r\nFrom: b\r\nTo: c\r\n"));
    }

    #[test]
    fn flags() {
        assert_eq!(Scan::of(b"INVITE x SIP/2.0\nf: a\n b\n\n").flags, LF_ONLY | COMPACT | FOLDED);
        assert_eq!(Scan::of(b"INVITE x SIP/2.0\r\nFrom: a\r\n").flags, NO_BLANK_LINE);
        assert_eq!(Scan::of(b"").flags, NO_BLANK_LINE);
        let many: String = (0..65).map(|i| format!("X-{i}: y\r\n")).collect();
        let scan = Scan::of(format!("INVITE x SIP/2.0\r\n{many}\r\n").as_bytes());
        assert_eq!((scan.flags, scan.lines), (MORE_LINES | NO_BLANK_LINE, 64));
    }

    /// The same, told in the plainest way, for the properties below.
    fn naive_lines(message: &[u8]) -> (Vec<u16>, u32) {
        let (mut lines, mut start) = (Vec::new(), 0);
        let seen = &message[..message.len().min(super::SCAN_BYTES)];
        for (i, _) in seen.iter().enumerate().filter(|(_, b)| **b == b'\n') {
            let line = &message[start..i];
            if line.is_empty() || line == b"\r" {
                return (lines, i as u32 + 1);
            }
            if start > 0 && !matches!(line[0], b' ' | b'\t') {
                if lines.len() == super::SCAN_LINES {
                    return (lines, 0);
                }
                lines.push(start as u16);
            }
            start = i + 1;
        }
        (lines, 0)
    }

    proptest! {
        #[test]
        fn masks_are_exact(bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\x0b'), any::<u8>()], 8)) {
            let word = u64::from_le_bytes(bytes.clone().try_into().unwrap());
            let naive = bytes.iter().enumerate().fold(0, |m, (i, b)| m | u64::from(*b == b'\n') << i);
            prop_assert_eq!(newlines_of_word(word), naive);
        }

        #[test]
        fn block_mask_is_that_of_its_words(bytes in prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..130)) {
            let text = Bytes(&bytes);
            for block in 0..3 {
                let naive = bytes.iter().skip(block * 64).take(64).enumerate()
                    .fold(0, |m, (i, b)| m | u64::from(*b == b'\n') << i);
                prop_assert_eq!(text.newlines(block as u32), naive);
            }
        }

        #[test]
        fn lines_are_those_of_the_naive_pass(text in "([ \\tA-Za-z:]{0,20}(\r\n|\n|\r)){0,80}[a-z]{0,70}") {
            let scan = Scan::of(text.as_bytes());
            let steps_suffice = text.bytes().filter(|b| *b == b'\n').count() <= 96;
            if steps_suffice {
                let (lines, body) = naive_lines(text.as_bytes());
                prop_assert_eq!(scan.line_offsets(), &lines[..]);
                prop_assert_eq!(scan.body, body);
            }
        }

        #[test]
        fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..9000)) {
            let scan = Scan::of(&bytes);
            prop_assert!(scan.lines as usize <= super::SCAN_LINES);
            prop_assert!(scan.body as usize <= bytes.len());
            prop_assert!(scan.fingerprint != 0);
        }
    }
}
