//! XDP programs of `scorer`. A file per step:
//!
//! ```text
//! frame -> sip -> gate -> emit (copy, scan, ring)      counters throughout
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
mod job;
mod maps;
mod sip;

use aya_ebpf::{bindings::xdp_action::XDP_PASS, macros::xdp, programs::XdpContext};

/// The passive program: recognises SIP, copies what user space needs, passes.
#[xdp(frags)]
pub fn tap(ctx: XdpContext) -> u32 {
    sip::handle(ctx::Ctx::new(&ctx)).unwrap_or(XDP_PASS)
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
