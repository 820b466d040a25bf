//! Whether a packet goes to user space, and what is written for it.

use aya_ebpf::helpers::{bpf_ktime_get_ns, bpf_xdp_adjust_meta};
use scorer_common::{
    Counter,
    limits::SCAN_LINES,
    steer::{self, CALL_SEED, CALL_WORDS, Follow, Meta, before_line_end, call_step},
};

use crate::{
    counters::Counters,
    ctx::Ctx,
    frame,
    identity::load,
    job::Job,
    maps::{BACKLOGS, BEAT, FOLLOWED, INVITE_SCRATCH, SOCKETS},
};

const UDP: u32 = frame::UDP;

const fn word(text: &[u8; 8]) -> u64 {
    u64::from_le_bytes(*text)
}

/// Lower case, of letters; `:` and `-` stay what they are.
const FOLD: u64 = 0x2020_2020_2020_2020;
const CALL_ID: u64 = word(b"call-id:");
const TWO: u64 = 0xffff;
const THREE: u64 = 0x00ff_ffff;
const COMPACT_CALL_ID: u64 = word(b"i:\0\0\0\0\0\0");
const TO: u64 = word(b"to:\0\0\0\0\0");
const COMPACT_TO: u64 = word(b"t:\0\0\0\0\0\0");

/// Bytes of the To line looked at. A tag beyond them is not seen: the INVITE then
/// goes through user space, which passes it.
const TO_BYTES: usize = 256;

/// Blanks after the colon of Call-ID that are passed over.
const BLANKS: usize = 4;

/// Hands a new call's INVITE to the socket of its receive queue. `None` where it
/// is not to be, or cannot; counted, unless it belongs to a dialog.
#[inline(always)]
pub fn invite(ctx: Ctx, counters: Counters, job: Job, length: u64) -> Option<u32> {
    if scorer_lines() == 0 {
        return None;
    }
    // In a dialog (RFC 3261 section 12.2): one To line, and it has a tag.
    if job.to_lines() == 1 && job.to_tag() != 0 {
        return None;
    }
    if job.call() == 0 || !is_fit(ctx, job, length) {
        counters.add(Counter::SteerUnfit);
        return None;
    }
    // SAFETY: the helper takes nothing.
    let now = unsafe { bpf_ktime_get_ns() };
    let action = hand_over(ctx, counters, now)?;
    counters.add(Counter::Steered);
    // A full table evicts; a failed insert costs the order of a CANCEL.
    let _ = FOLLOWED.insert(job.call(), Follow { until: now + steer::HOLD }, 0);
    Some(action)
}

/// Whether a dialog message is one that may have to stay behind its INVITE.
#[inline(always)]
pub fn may_follow(ctx: Ctx, job: Job) -> bool {
    if job.protocol() != UDP || job.wrapped() != 0 {
        return false;
    }
    let Some(start) = frame::read::<u32>(ctx, job.text()) else { return false };
    let start = u32::from_le(start);
    start == u32::from_le_bytes(*b"CANC") || start == u32::from_le_bytes(*b"ACK ")
}

/// Hands a CANCEL or ACK to the socket, where its INVITE went there.
#[inline(always)]
pub fn follow(ctx: Ctx, counters: Counters, job: Job, length: u64) -> Option<u32> {
    if scorer_lines() == 0 || job.call() == 0 || !is_fit(ctx, job, length) {
        return None;
    }
    // SAFETY: the helper takes nothing.
    let now = unsafe { bpf_ktime_get_ns() };
    // SAFETY: a live map value; user space may write it meanwhile, a word at once.
    let until = unsafe { (&raw const (*FOLLOWED.get_ptr(job.call())?).until).read_volatile() };
    if now >= until {
        return None;
    }
    let action = hand_over(ctx, counters, now)?;
    counters.add(Counter::Followed);
    Some(action)
}

/// Whether the frame fits a socket's memory: in one piece, and its own.
#[inline(always)]
fn is_fit(ctx: Ctx, job: Job, length: u64) -> bool {
    job.protocol() == UDP
        && job.wrapped() == 0
        && length <= steer::FRAME
        && (ctx.data_end() - ctx.data()) as u64 == length
}

/// The socket of the packet's queue, while its owner is alive and keeps up.
#[inline(always)]
fn hand_over(ctx: Ctx, counters: Counters, now: u64) -> Option<u32> {
    let beat = BEAT.get_ptr(0)?;
    // SAFETY: a live map value in shared memory; one word, so it is read at once.
    if unsafe { (&raw const (*beat).deadline).read_volatile() } <= now {
        counters.add(Counter::SteerLate);
        return None;
    }
    let queue = ctx.queue();
    let busy = || {
        counters.add(Counter::SteerBusy);
        None
    };
    let Some(backlog) = BACKLOGS.get_ptr_mut(queue) else { return busy() };
    // SAFETY: as above; user space writes `taken` only.
    let seen = unsafe { backlog.read_volatile() };
    if !seen.has_room() || SOCKETS.get(queue).is_none() {
        return busy();
    }
    stamp(ctx, now);
    // Between the look above and now the socket may have gone; then the packet
    // goes on.
    let Ok(action) = SOCKETS.redirect(queue, 0) else { return busy() };
    // SAFETY: as above.
    unsafe { (&raw mut (*backlog).sent).write_volatile(seen.sent.wrapping_add(1)) };
    Some(action)
}

/// Writes [`Meta`] before the frame. Where the driver cannot carry it user space
/// takes its own time.
#[inline(always)]
fn stamp(ctx: Ctx, now: u64) {
    const SIZE: usize = size_of::<Meta>();
    // SAFETY: the context is the kernel's own.
    if unsafe { bpf_xdp_adjust_meta(ctx.raw(), -(SIZE as i32)) } != 0 {
        return;
    }
    let meta = ctx.meta();
    if meta + SIZE > ctx.data() {
        return;
    }
    // SAFETY: the bytes from `meta` on are before the frame's first.
    unsafe {
        (meta as *mut u64).write(Meta::MAGIC);
        (meta as *mut u64).add(1).write(now);
    }
}

/// Finds Call-ID and To in the scanned message and leaves in `job` what they say;
/// 0 when there is no message. A global function, verified once.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn scorer_lines() -> u32 {
    let (Some(scratch), Some(job)) = (INVITE_SCRATCH.get_ptr(0), Job::get()) else { return 0 };
    job.set_call(0);
    job.set_to_lines(0);
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
        let offset = offset as u32;
        let name = load(scratch, job.text() + offset as usize) | FOLD;
        if name == CALL_ID {
            job.set_identity(0, offset + 8);
        }
        if name & TWO == COMPACT_CALL_ID & TWO {
            job.set_identity(0, offset + 2);
        }
        if name & THREE == TO & THREE || name & TWO == COMPACT_TO & TWO {
            job.set_identity(1, offset);
            job.set_to_lines(job.to_lines() + 1);
        }
    }
    scorer_call();
    scorer_to();
    1
}

/// Hashes the Call-ID whose line `identity(0)` points into, behind its colon.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn scorer_call() -> u32 {
    let (Some(scratch), Some(job)) = (INVITE_SCRATCH.get_ptr(0), Job::get()) else { return 0 };
    let line = job.identity(0);
    if line == 0 {
        return 0;
    }
    job.set_hash(CALL_SEED);
    job.set_last(line);
    for _ in 0..BLANKS {
        let at = job.last();
        let byte = load(scratch, job.text() + at as usize) as u8;
        if byte != b' ' && byte != b'\t' {
            break;
        }
        job.set_last(at + 1);
    }
    let start = job.text() + job.last() as usize;
    for i in 0..CALL_WORDS {
        let (word, ends) = before_line_end(load(scratch, start + 8 * i));
        job.set_hash(call_step(job.hash(), word));
        if ends {
            break;
        }
    }
    job.set_call(job.hash() | 1);
    1
}

/// Looks for the tag of the To line at `identity(1)`: `;tag=` among the header's
/// parameters. What stands in the URI's angle brackets or behind a quotation mark
/// is not taken for one, so that no crafted To makes a new call look like an old.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn scorer_to() -> u32 {
    const TAG: u64 = word(b";tag=\0\0\0");
    const FIVE: u64 = 0xff_ffff_ffff;
    let (Some(scratch), Some(job)) = (INVITE_SCRATCH.get_ptr(0), Job::get()) else { return 0 };
    job.set_to_tag(0);
    let line = job.identity(1);
    if line == 0 {
        return 0;
    }
    // 1 once a quotation mark was seen: only an angle bracket makes up for it.
    job.set_inside(0);
    let start = job.text() + line as usize;
    for i in 0..TO_BYTES {
        let word = load(scratch, start + i);
        let byte = word as u8;
        if byte == b'\n' {
            break;
        }
        if byte == b'"' {
            job.set_inside(1);
            job.set_to_tag(0);
        }
        if byte == b'<' || byte == b'>' {
            job.set_inside(0);
            job.set_to_tag(0);
        }
        if (word | FOLD) & FIVE == TAG && job.inside() == 0 {
            job.set_to_tag(1);
        }
    }
    job.to_tag()
}
