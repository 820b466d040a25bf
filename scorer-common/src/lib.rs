//! What the XDP programs and user space share: one definition of every record
//! that crosses the boundary, one implementation of every decision that both
//! sides must take alike.
//!
//! Everything here is `no_std`, allocates nothing and cannot panic, because the
//! same code is compiled for the BPF virtual machine.
#![no_std]

pub mod classify;
pub mod counter;
pub mod fingerprint;
pub mod gate;
pub mod limits;
pub mod maps;
pub mod record;
pub mod steer;
pub mod verdict;

pub use classify::Class;
pub use counter::Counter;
pub use fingerprint::Scan;
pub use verdict::Verdict;

#[cfg(feature = "user")]
mod pod {
    use crate::{
        gate::{Bucket, Rule, Settings},
        record::{FlowKey, FragmentKey},
        steer::{Backlog, Beat, Follow},
    };

    // SAFETY: all of them are repr(C), made of integers alone, without padding
    // (their sizes are asserted where they are defined).
    unsafe impl aya::Pod for Bucket {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Rule {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Settings {}
    // SAFETY: as above.
    unsafe impl aya::Pod for FlowKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for FragmentKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Backlog {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Beat {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Follow {}
}
