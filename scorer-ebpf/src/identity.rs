//! The caller's numbers as the message gives them: the user parts of From and
//! P-Asserted-Identity. Only looked for while the gate holds rules for numbers.

use scorer_common::{
    fingerprint,
    gate::{NUMBER_SEED, number_step},
    limits::{FRAME, SCAN_LINES},
};

use crate::{
    job::Job,
    maps::{INVITE_SCRATCH, InviteScratch},
};

/// Bytes of an identity line looked at.
const LINE: usize = 160;

const FROM: u64 = fingerprint::name(word(b"From:\0\0\0"), 0);
const COMPACT_FROM: u64 = fingerprint::name(word(b"f:\0\0\0\0\0\0"), 0);
const ASSERTED: u64 = fingerprint::name(word(b"P-Assert"), word(b"ed-Ident"));

const fn word(text: &[u8; 8]) -> u64 {
    u64::from_le_bytes(*text)
}

/// A word of the message in the scratch frame, at an offset in the frame.
#[inline(always)]
pub fn load(scratch: *const InviteScratch, at: usize) -> u64 {
    // SAFETY: the mask keeps the index inside the frame, the slack behind it the
    // word inside the map value.
    unsafe {
        let frame = (&raw const (*scratch).frame).cast::<u8>();
        u64::from_le(frame.add(at & (FRAME - 1)).cast::<u64>().read_unaligned())
    }
}

/// Leaves the offsets of the identity lines in `job`. Names in other case than
/// the usual are left to user space.
#[inline(never)]
pub fn find(scratch: *const InviteScratch, job: Job) {
    job.set_identity(0, 0);
    job.set_identity(1, 0);
    for i in 0..SCAN_LINES {
        // SAFETY: a live map value, and an index below the table's length.
        let (lines, offset) = unsafe {
            let scan = &raw const (*scratch).head.scan;
            let offsets = (&raw const (*scan).offsets).cast::<u16>();
            ((&raw const (*scan).lines).read_volatile(), offsets.add(i).read_volatile())
        };
        if i as u32 >= lines {
            break;
        }
        let at = job.text() + offset as usize;
        let name = fingerprint::name(load(scratch, at), load(scratch, at + 8));
        if name == FROM || name == COMPACT_FROM {
            job.set_identity(0, offset as u32);
        }
        if name == ASSERTED {
            job.set_identity(1, offset as u32);
        }
    }
}

/// Hash of the digits in the user part of the first sip, sips or tel URI of an
/// identity line; that of no digits where there is none. A display name that
/// contains such text before the URI hides the number from the gate, not from
/// user space. A global function, verified once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn scorer_number_of(identity: u32) -> u64 {
    let (Some(scratch), Some(job)) = (INVITE_SCRATCH.get_ptr(0), Job::get()) else {
        return NUMBER_SEED;
    };
    job.set_hash(NUMBER_SEED);
    job.set_inside(0);
    job.set_last(0);
    let line = job.identity(identity as usize);
    if line == 0 {
        return NUMBER_SEED;
    }
    let start = job.text() + line as usize;
    for i in 0..LINE {
        let byte = load(scratch, start + i) as u8;
        if byte == b'\n' {
            break;
        }
        if job.inside() != 0 {
            if byte == b'@' || byte == b';' || byte == b'>' {
                break;
            }
            job.set_hash(number_step(job.hash(), byte));
            continue;
        }
        let last = job.last();
        if byte == b':' {
            // The three letters before, lower case, the last one lowest: "sip",
            // the end of "sips", "tel".
            let three = last & 0x00ff_ffff;
            if three == 0x0073_6970 || three == 0x0069_7073 || three == 0x0074_656c {
                job.set_inside(1);
            }
        }
        job.set_last(last << 8 | (byte | 0x20) as u32);
    }
    job.hash()
}
