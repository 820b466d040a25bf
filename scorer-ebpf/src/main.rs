//! XDP programs of `scorer`. A file per step:
//!
//! ```text
//! frame -> sip -> gate -> emit (copy, scan, ring)      counters throughout
//!                      -> inline (steer to a socket, or go on)
//! ```
//!
//! The first law is that traffic flows: every doubtful case ends in `XDP_PASS`,
//! is counted, and is left to the stack. The one way to `XDP_DROP` is a gate
//! rule that says so.
#![no_std]
#![no_main]

mod counters;
mod ctx;
mod emit;
mod frame;
mod gate;
mod identity;
mod inline;
mod job;
mod maps;
mod sip;
mod steer;

use aya_ebpf::{bindings::xdp_action::XDP_PASS, macros::xdp, programs::XdpContext};

/// The passive program: recognises SIP, copies what user space needs, passes.
#[xdp(frags)]
pub fn tap(ctx: XdpContext) -> u32 {
    sip::handle(ctx::Ctx::new(&ctx)).unwrap_or(XDP_PASS)
}

/// Inline, on the carrier's side: initial INVITEs go through user space while it
/// keeps up, everything else goes on at once.
#[xdp(frags)]
pub fn inline_carrier(ctx: XdpContext) -> u32 {
    inline::from_carrier(ctx::Ctx::new(&ctx))
}

/// Inline, on the core's side: everything goes on at once; what tells how calls
/// went is copied.
#[xdp(frags)]
pub fn inline_core(ctx: XdpContext) -> u32 {
    inline::from_core(ctx::Ctx::new(&ctx))
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // Nothing here panics; a call that might would not get past the verifier.
    loop {}
}

/// `bpf_ktime_get_ns` is open to programs under a GPL-compatible licence only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
