//! Copies a packet into a record and hands it to a ring.

use core::ffi::c_void;

use aya_ebpf::{
    bindings::xdp_action::XDP_DROP,
    helpers::{bpf_ktime_get_ns, bpf_ringbuf_output, bpf_xdp_load_bytes},
    maps::RingBuf,
};
use scorer_common::{
    Counter,
    fingerprint::{BLOCK, Text, newlines_of_word, scan},
    limits::{FRAME, SCAN_BYTES},
    record::{InviteHeader, Kind, RecordHeader, VERSION},
};

use crate::{
    gate::{self, Outcome},
    maps::{DIALOG_SCRATCH, DIALOGS, INVITE_SCRATCH, INVITES, InviteScratch, SLEEPING},
    sip::{PASS, Packet},
};

/// An INVITE: gate, copy, scan, gate, ring.
#[inline(always)]
pub fn invite(packet: &Packet<'_>) -> Option<u32> {
    let Outcome::Pass(by_source) = gate::by_source(packet) else { return Some(XDP_DROP) };
    let scratch = INVITE_SCRATCH.get_ptr_mut(0)?;
    // SAFETY: the scratch is this CPU's, and nothing interrupts the program on
    // this CPU that would use it as well.
    unsafe {
        let length = copy(packet, (&raw mut (*scratch).frame).cast())?;
        let text = packet.text;
        let seen = if packet.text_length < SCAN_BYTES { packet.text_length } else { SCAN_BYTES };
        scan(&Copied { scratch, text }, seen as u32, &raw mut (*scratch).head.scan);
        let by_message = if by_source & scorer_common::record::GATE_ALLOWED != 0 {
            0
        } else {
            let Outcome::Pass(bits) = gate::by_message(packet, scratch, text) else {
                return Some(XDP_DROP);
            };
            bits
        };
        (&raw mut (*scratch).head.record)
            .write(header(packet, Kind::Invite, by_source | by_message));
        let size = size_of::<InviteHeader>() as u64 + length;
        output(packet, &INVITES, scratch.cast(), size, Counter::InviteRingFull);
    }
    PASS
}

/// Anything else: copy, ring.
#[inline(always)]
pub fn dialog(packet: &Packet<'_>, kind: Kind) -> Option<u32> {
    let scratch = DIALOG_SCRATCH.get_ptr_mut(0)?;
    // SAFETY: as above.
    unsafe {
        let length = copy(packet, (&raw mut (*scratch).frame).cast())?;
        (&raw mut (*scratch).head).write(header(packet, kind, 0));
        let size = size_of::<RecordHeader>() as u64 + length;
        output(packet, &DIALOGS, scratch.cast(), size, Counter::DialogRingFull);
    }
    PASS
}

/// Copies the whole frame to `to`, which holds [`FRAME`] bytes; its length.
#[inline(always)]
unsafe fn copy(packet: &Packet<'_>, to: *mut c_void) -> Option<u64> {
    let length = packet.frame_length;
    // The comparison must be of the very register that goes to the helper: the
    // verifier does not see that a truncated copy of it has the same bounds.
    if length == 0 || length > FRAME as u64 {
        packet.counters.add(Counter::Oversize);
        return None;
    }
    // SAFETY: `to` holds FRAME bytes, which is no less than `length`.
    if unsafe { bpf_xdp_load_bytes(packet.ctx.ctx, 0, to, length as u32) } < 0 {
        packet.counters.add(Counter::CopyFailed);
        return None;
    }
    Some(length)
}

#[inline(always)]
fn header(packet: &Packet<'_>, kind: Kind, gate: u8) -> RecordHeader {
    RecordHeader {
        version: VERSION,
        kind: kind as u8,
        gate,
        reserved0: 0,
        ifindex: packet.ctx.ingress_ifindex() as u32,
        // SAFETY: the helper takes nothing.
        timestamp: unsafe { bpf_ktime_get_ns() },
        length: packet.frame_length as u32,
        payload: packet.text as u16,
        queue: packet.ctx.rx_queue_index() as u16,
        payload_length: packet.text_length as u32,
        reserved1: 0,
    }
}

/// `BPF_RB_NO_WAKEUP`: a needless wake-up costs several microseconds.
const NO_WAKEUP: u64 = 1;

#[inline(always)]
unsafe fn output(packet: &Packet<'_>, ring: &RingBuf, data: *mut c_void, size: u64, full: Counter) {
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
        packet.counters.add(full);
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
