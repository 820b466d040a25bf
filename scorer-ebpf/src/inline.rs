//! Inline mode: a bump in the wire, or beside the router on one host.
//!
//! Nothing here holds a packet. It goes on in the kernel (to the other interface,
//! or to this host's stack), or to a socket whose owner sends it on.

use aya_ebpf::bindings::{
    xdp_action::{XDP_DROP, XDP_PASS},
    xdp_md,
};
use scorer_common::{
    Counter,
    record::Kind,
    steer::{TO_CARRIER, TO_CORE},
};

use crate::{
    counters::Counters,
    ctx::Ctx,
    emit, frame,
    gate::{self, Outcome},
    job::Job,
    maps::{FORWARD, INVITE_SCRATCH},
    sip::{self, INVITE, NOTHING},
    steer,
};

/// On to the other interface; to this host's stack where there is none.
#[inline(always)]
fn onwards(way: u32) -> u32 {
    // Without an entry the helper gives back the action in its flags.
    match FORWARD.redirect(way, XDP_PASS as u64) {
        Ok(action) | Err(action) => action,
    }
}

const DIALOG: u32 = Kind::Dialog as u32;

/// A frame from the carrier.
#[inline(always)]
pub fn from_carrier(ctx: Ctx) -> u32 {
    let (Some(counters), Some(job)) = (Counters::get(), Job::get()) else {
        return onwards(TO_CORE);
    };
    counters.add(Counter::Packets);
    if frame::is_plain_udp_other_than_text(ctx) {
        counters.add(Counter::NotSip);
        return onwards(TO_CORE);
    }
    job.set_kind(NOTHING);
    if sip::decide(ctx, counters, job, true).is_none() {
        return XDP_DROP;
    }
    let action = match job.kind() {
        NOTHING => XDP_PASS,
        INVITE => scorer_inline_invite(ctx.raw()),
        DIALOG if steer::may_follow(ctx, job) => scorer_inline_follow(ctx.raw()),
        _ => emit::dialog(ctx),
    };
    if action == XDP_PASS { onwards(TO_CORE) } else { action }
}

/// A frame from the core. Calls that begin there are not inbound.
#[inline(always)]
pub fn from_core(ctx: Ctx) -> u32 {
    let (Some(counters), Some(job)) = (Counters::get(), Job::get()) else {
        return onwards(TO_CARRIER);
    };
    counters.add(Counter::Packets);
    if frame::is_plain_udp_other_than_text(ctx) {
        counters.add(Counter::NotSip);
        return onwards(TO_CARRIER);
    }
    job.set_kind(NOTHING);
    let _ = sip::decide(ctx, counters, job, false);
    match job.kind() {
        NOTHING | INVITE => {}
        _ => {
            emit::dialog(ctx);
        }
    }
    onwards(TO_CARRIER)
}

/// An INVITE from the carrier: to a socket, dropped by the gate, or `XDP_PASS`
/// with a copy in the ring.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn scorer_inline_invite(ctx: *mut xdp_md) -> u32 {
    let (Some(counters), Some(job), Some(scratch)) =
        (Counters::get(), Job::get(), INVITE_SCRATCH.get_ptr_mut(0))
    else {
        return XDP_PASS;
    };
    let ctx = Ctx::from_raw(ctx);
    let Some(length) = emit::take(ctx, counters, scratch) else { return XDP_PASS };
    let bits = match gate::all(counters, scratch, job) {
        Outcome::Pass(bits) => bits,
        Outcome::Drop => return XDP_DROP,
    };
    if let Some(action) = steer::invite(ctx, counters, job, length) {
        return action;
    }
    emit::give(ctx, counters, job, scratch, (length, bits));
    XDP_PASS
}

/// A CANCEL or ACK from the carrier: to the socket behind its INVITE, or
/// `XDP_PASS` with a copy in the ring.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn scorer_inline_follow(ctx: *mut xdp_md) -> u32 {
    let (Some(counters), Some(job), Some(scratch)) =
        (Counters::get(), Job::get(), INVITE_SCRATCH.get_ptr_mut(0))
    else {
        return XDP_PASS;
    };
    let ctx = Ctx::from_raw(ctx);
    if let Some(length) = emit::take(ctx, counters, scratch)
        && let Some(action) = steer::follow(ctx, counters, job, length)
    {
        return action;
    }
    emit::dialog(ctx)
}
