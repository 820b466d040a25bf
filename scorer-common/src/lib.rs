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
pub mod verdict;

pub use classify::Class;
pub use counter::Counter;
pub use fingerprint::Scan;
pub use verdict::Verdict;
