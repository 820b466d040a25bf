//! Copies a packet into a record and hands it to a ring.

use core::ffi::c_void;

use aya_ebpf::{
    bindings::{
        xdp_action::{XDP_DROP, XDP_PASS},
        xdp_md,
    },
    helpers::{bpf_ktime_get_ns, bpf_ringbuf_output, bpf_xdp_load_bytes},
    maps::RingBuf,
};
use scorer_common::{
    Counter,
    fingerprint::{BLOCK, Text, newlines_of_word, scan},
    limits::{FRAME, SCAN_BYTES},
    record::{InviteHeader, RecordHeader, VERSION},
};

use crate::{
    counters::Counters,
    ctx::Ctx,
    gate::{self, Outcome},
    job::Job,
    maps::{DIALOG_SCRATCH, DIALOGS, INVITE_SCRATCH, INVITES, InviteScratch, SLEEPING},
};

/// Scans the message in the scratch frame.
///
/// A global function, as the kernel calls it: the verifier takes it apart from
/// its callers, once.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn scorer_scan() -> u32 {
    let (Some(scratch), Some(job)) = (INVITE_SCRATCH.get_ptr_mut(0), Job::get()) else { return 0 };
    let (text, seen) = (job.text(), job.text_length());
    let seen = if seen < SCAN_BYTES { seen } else { SCAN_BYTES };
    // SAFETY: the scratch is this CPU's, and nothing interrupts the program on
    // this CPU that would use it as well.
    unsafe {
        scan(&Copied { scratch, text }, seen as u32, &raw mut (*scratch).head.scan);
    }
    1
}

/// Copies the frame into the scratch and scans the message in it; the frame's length.
#[inline(always)]
pub fn take(ctx: Ctx, counters: Counters, scratch: *mut InviteScratch) -> Option<u64> {
    // SAFETY: a live map value that holds FRAME bytes there.
    let length = unsafe { copy(ctx, counters, (&raw mut (*scratch).frame).cast()) }?;
    scorer_scan();
    Some(length)
}

/// Hands an INVITE that was taken to the ring.
#[inline(always)]
pub fn give(
    ctx: Ctx,
    counters: Counters,
    job: Job,
    scratch: *mut InviteScratch,
    (length, gate): (u64, u8),
) {
    // SAFETY: as in `take`; its bytes up to `length` are those of the frame.
    unsafe {
        (&raw mut (*scratch).head.record).write(header(ctx, job, length, gate));
        let size = size_of::<InviteHeader>() as u64 + length;
        output(counters, &INVITES, scratch.cast(), size, Counter::InviteRingFull);
    }
}

/// An INVITE: copy, scan, gate, ring. The action.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn scorer_invite(ctx: *mut xdp_md) -> u32 {
    let (Some(counters), Some(job)) = (Counters::get(), Job::get()) else { return XDP_PASS };
    emit_invite(Ctx::from_raw(ctx), counters, job).unwrap_or(XDP_PASS)
}

#[inline(always)]
pub fn invite(ctx: Ctx) -> u32 {
    scorer_invite(ctx.raw())
}

#[inline(always)]
fn emit_invite(ctx: Ctx, counters: Counters, job: Job) -> Option<u32> {
    let scratch = INVITE_SCRATCH.get_ptr_mut(0)?;
    #[cfg(feature = "log")]
    aya_log_ebpf::info!(
        &aya_ebpf::programs::XdpContext::new(ctx.raw()),
        "INVITE of {} bytes on interface {}",
        job.text_length(),
        ctx.interface()
    );
    let length = take(ctx, counters, scratch)?;
    match gate::all(counters, scratch, job) {
        Outcome::Pass(bits) => give(ctx, counters, job, scratch, (length, bits)),
        Outcome::Drop => return Some(XDP_DROP),
    }
    Some(XDP_PASS)
}

/// Anything else: copy, ring. The action.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn scorer_dialog(ctx: *mut xdp_md) -> u32 {
    let (Some(counters), Some(job)) = (Counters::get(), Job::get()) else { return XDP_PASS };
    emit_dialog(Ctx::from_raw(ctx), counters, job).unwrap_or(XDP_PASS)
}

#[inline(always)]
pub fn dialog(ctx: Ctx) -> u32 {
    scorer_dialog(ctx.raw())
}

#[inline(always)]
fn emit_dialog(ctx: Ctx, counters: Counters, job: Job) -> Option<u32> {
    let scratch = DIALOG_SCRATCH.get_ptr_mut(0)?;
    // SAFETY: as above.
    unsafe {
        let length = copy(ctx, counters, (&raw mut (*scratch).frame).cast())?;
        (&raw mut (*scratch).head).write(header(ctx, job, length, 0));
        let size = size_of::<RecordHeader>() as u64 + length;
        output(counters, &DIALOGS, scratch.cast(), size, Counter::DialogRingFull);
    }
    Some(XDP_PASS)
}

/// Copies the whole frame to `to`, which holds [`FRAME`] bytes; its length.
#[inline(always)]
unsafe fn copy(ctx: Ctx, counters: Counters, to: *mut c_void) -> Option<u64> {
    let length = ctx.length();
    // The comparison must be of the very register that goes to the helper: the
    // verifier does not see that a truncated copy of it has the same bounds.
    if length == 0 || length > FRAME as u64 {
        counters.add(Counter::Oversize);
        return None;
    }
    // SAFETY: `to` holds FRAME bytes, which is no less than `length`.
    if unsafe { bpf_xdp_load_bytes(ctx.raw(), 0, to, length as u32) } < 0 {
        counters.add(Counter::CopyFailed);
        return None;
    }
    Some(length)
}

#[inline(always)]
fn header(ctx: Ctx, job: Job, length: u64, gate: u8) -> RecordHeader {
    RecordHeader {
        version: VERSION,
        kind: job.kind() as u8,
        gate,
        reserved0: 0,
        ifindex: ctx.interface(),
        // SAFETY: the helper takes nothing.
        timestamp: unsafe { bpf_ktime_get_ns() },
        length: length as u32,
        payload: job.text() as u16,
        queue: ctx.queue() as u16,
        payload_length: job.text_length() as u32,
        reserved1: 0,
    }
}

/// `BPF_RB_NO_WAKEUP`: a needless wake-up costs several microseconds.
const NO_WAKEUP: u64 = 1;

#[inline(always)]
unsafe fn output(counters: Counters, ring: &RingBuf, data: *mut c_void, size: u64, full: Counter) {
    let sleeping = SLEEPING.get_ptr(0).is_some_and(|flag| {
        // SAFETY: a live map value. User space writes it; volatile, since it may
        // have changed since the last packet.
        unsafe { flag.read_volatile() != 0 }
    });
    let flags = if sleeping { 0 } else { NO_WAKEUP };
    // SAFETY: the caller vouches for `size` bytes at `data`.
    let result = unsafe {
        bpf_ringbuf_output(core::ptr::from_ref(ring).cast_mut().cast(), data, size, flags)
    };
    if result < 0 {
        counters.add(full);
    }
}

/// The message in the scratch frame.
struct Copied {
    scratch: *const InviteScratch,
    text: usize,
}

impl Copied {
    #[inline(always)]
    fn word(&self, at: usize) -> u64 {
        // SAFETY: the mask keeps the index inside the frame, the slack behind it
        // the word inside the map value.
        unsafe {
            let frame = (&raw const (*self.scratch).frame).cast::<u8>();
            u64::from_le(frame.add((self.text + at) & (FRAME - 1)).cast::<u64>().read_unaligned())
        }
    }
}

impl Text for Copied {
    #[inline(always)]
    fn newlines(&self, block: u32) -> u64 {
        let at = block as usize * BLOCK;
        let mut mask = 0;
        let mut i = 0;
        while i < 8 {
            mask |= newlines_of_word(self.word(at + 8 * i)) << (8 * i);
            i += 1;
        }
        mask
    }

    #[inline(always)]
    fn load16(&self, at: u32) -> (u64, u64) {
        (self.word(at as usize), self.word(at as usize + 8))
    }
}
