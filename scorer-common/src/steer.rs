//! Inline mode: what decides whether an INVITE goes to user space, and what
//! travels with it.
//!
//! The first law is that traffic flows. An INVITE is handed to user space only
//! while the scoring thread says that it is alive (a deadline it keeps ahead of
//! the clock), keeps up (a bound on what it has not yet taken) and has a socket
//! for the receive queue. In every other case the packet goes on untouched.

use crate::fingerprint::{below, find};

/// Largest frame handed to user space, bytes: what a 4 kB frame of AF_XDP memory
/// holds behind the kernel's headroom (256) and ours ([`HEADROOM`]). Larger ones
/// go on and are scored from a copy.
pub const FRAME: u64 = 3_700;

/// Bytes before a frame in AF_XDP memory, for [`Meta`].
pub const HEADROOM: u32 = 64;

/// Receive queues of an interface at most.
pub const QUEUES: u32 = 64;

/// Packets of one queue that user space may not yet have taken. Half of its
/// rings, so that a packet handed over always finds room.
pub const BACKLOG: u64 = 1_024;

/// How long a CANCEL or ACK follows its INVITE through user space, ns.
pub const HOLD: u64 = 20_000_000;

/// Key in the table of ways on: frames from the carrier, towards the core.
pub const TO_CORE: u32 = 0;
/// Frames from the core, towards the carrier.
pub const TO_CARRIER: u32 = 1;

/// Written by the scoring thread through shared memory. One element of an array.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Beat {
    /// `CLOCK_MONOTONIC` up to which INVITEs may be handed over, ns.
    pub deadline: u64,
}

const _: () = assert!(size_of::<Beat>() == 8);

/// What was handed over on one receive queue and what was taken. In shared
/// memory; the kernel writes the one, user space the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Backlog {
    /// Frames handed over, ever.
    pub sent: u64,
    /// Frames taken, ever.
    pub taken: u64,
}

const _: () = assert!(size_of::<Backlog>() == 16);

impl Backlog {
    /// Whether one more may be handed over. Two CPUs may lose a count between
    /// them, so that more seems taken than sent; that is no backlog.
    #[inline(always)]
    pub const fn has_room(&self) -> bool {
        (self.sent.wrapping_sub(self.taken) as i64) < BACKLOG as i64
    }
}

/// Stands in the headroom right before a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Meta {
    /// [`Meta::MAGIC`]: some drivers do not carry what stands here.
    pub magic: u64,
    /// `CLOCK_MONOTONIC` when the program ran, ns.
    pub stamp: u64,
}

const _: () = assert!(size_of::<Meta>() == 16);

impl Meta {
    /// Tells a stamp from what was left in memory.
    pub const MAGIC: u64 = 0x7363_6f72_6572_2e31;
}

/// Value of the table of calls whose later messages go through user space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Follow {
    /// `CLOCK_MONOTONIC` up to which they do, ns.
    pub until: u64,
}

const _: () = assert!(size_of::<Follow>() == 8);

/// Bytes of a Call-ID that count, in words of eight.
pub const CALL_WORDS: usize = 32;

/// Start of [`call_hash`].
pub const CALL_SEED: u64 = 0x5851_f42d_4c95_7f2d;

/// Adds eight bytes of a Call-ID, little-endian.
#[inline(always)]
pub const fn call_step(hash: u64, word: u64) -> u64 {
    (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}

/// The bytes of a word that stand before a line's end, and whether one is there.
#[inline(always)]
pub const fn before_line_end(word: u64) -> (u64, bool) {
    let marks = find(word, b'\r') | find(word, b'\n');
    // Of marks 0 `below` keeps everything.
    (word & below(marks), marks != 0)
}

/// Hash of a Call-ID: names a call in [`Follow`]'s table. Keyed by nothing: who
/// makes two Call-IDs alike only has their later messages looked at.
pub const fn call_hash(call_id: &[u8]) -> u64 {
    let mut hash = CALL_SEED;
    let mut i = 0;
    while i < CALL_WORDS {
        let mut word = 0;
        let mut byte = 0;
        while byte < 8 && 8 * i + byte < call_id.len() {
            word |= (call_id[8 * i + byte] as u64) << (8 * byte);
            byte += 1;
        }
        hash = call_step(hash, word);
        if byte < 8 {
            break;
        }
        i += 1;
    }
    // Never 0, which stands for none.
    hash | 1
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::{Backlog, CALL_SEED, before_line_end, call_hash, call_step};

    fn in_words(line: &[u8]) -> u64 {
        let mut hash = CALL_SEED;
        for i in 0..super::CALL_WORDS {
            let mut bytes = [0xaa; 8];
            for (to, from) in bytes.iter_mut().zip(&line[(8 * i).min(line.len())..]) {
                *to = *from;
            }
            let (word, ends) = before_line_end(u64::from_le_bytes(bytes));
            hash = call_step(hash, word);
            if ends {
                break;
            }
        }
        hash
    }

    #[test]
    fn words_and_bytes_agree() {
        for length in 0..300 {
            let id: Vec<u8> = (0..length).map(|i| b'!' + (i * 7 % 90) as u8).collect();
            for end in [&b"\r\nVia: x"[..], b"\nVia: x"] {
                let line = [&id[..], end].concat();
                assert_eq!(in_words(&line) | 1, call_hash(&id), "{length}");
            }
        }
        assert_ne!(call_hash(b"a@b"), call_hash(b"a@c"));
    }

    #[test]
    fn room() {
        let room = |sent, taken| Backlog { sent, taken }.has_room();
        assert!(room(0, 0) && room(1_023, 0) && !room(1_024, 0) && room(1_024, 1));
        assert!(room(5, 7));
        assert!(room(3, u64::MAX) && !room(2_000, u64::MAX));
    }
}
