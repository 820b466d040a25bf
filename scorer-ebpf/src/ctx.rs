//! The kernel's context of one packet, by value: a reference to aya's wrapper
//! would put it on the stack of whoever calls the next step.

use aya_ebpf::{bindings::xdp_md, helpers::bpf_xdp_get_buff_len, programs::XdpContext};

#[derive(Clone, Copy)]
pub struct Ctx(*mut xdp_md);

impl Ctx {
    #[inline(always)]
    pub fn new(ctx: &XdpContext) -> Self {
        Self(ctx.ctx)
    }

    #[inline(always)]
    pub fn from_raw(ctx: *mut xdp_md) -> Self {
        Self(ctx)
    }

    #[inline(always)]
    pub fn raw(self) -> *mut xdp_md {
        self.0
    }

    /// Address of the first byte.
    #[inline(always)]
    pub fn data(self) -> usize {
        // SAFETY: the context is the kernel's own. Volatile, or the compiler
        // keeps a bound it has compared before and the verifier has forgotten.
        unsafe { (&raw const (*self.0).data).read_volatile() as usize }
    }

    /// Address behind the last byte of the frame's linear part.
    #[inline(always)]
    pub fn data_end(self) -> usize {
        // SAFETY: as above.
        unsafe { (&raw const (*self.0).data_end).read_volatile() as usize }
    }

    /// Address of what stands before the first byte, see `bpf_xdp_adjust_meta`.
    #[inline(always)]
    pub fn meta(self) -> usize {
        // SAFETY: as above.
        unsafe { (&raw const (*self.0).data_meta).read_volatile() as usize }
    }

    /// Length of the frame, all parts, bytes.
    #[inline(always)]
    pub fn length(self) -> u64 {
        // SAFETY: as above.
        unsafe { bpf_xdp_get_buff_len(self.0) }
    }

    #[inline(always)]
    pub fn interface(self) -> u32 {
        // SAFETY: as above.
        unsafe { (*self.0).ingress_ifindex }
    }

    #[inline(always)]
    pub fn queue(self) -> u32 {
        // SAFETY: as above.
        unsafe { (*self.0).rx_queue_index }
    }
}
