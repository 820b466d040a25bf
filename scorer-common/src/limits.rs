//! Bounds that both sides rely on.

/// Largest frame copied into a small ring record, bytes. Holds every frame of a
/// 1,500-byte MTU with two VLAN tags and one mirror encapsulation.
pub const SMALL_FRAME: usize = 2048;

/// Largest frame copied into a large ring record, bytes (jumbo frames, merged
/// TCP segments in generic mode). A larger frame passes uncopied and is counted.
pub const LARGE_FRAME: usize = 16_384;

/// The header section is fingerprinted up to this many bytes, in the kernel and
/// in user space alike.
pub const SCAN_BYTES: usize = 4096;

/// Header lines indexed and fingerprinted at most.
pub const SCAN_LINES: usize = 64;

/// UDP and TCP ports on which SIP is expected, at most.
pub const SIP_PORTS: usize = 32;

/// Verifier budget of one XDP program: instructions that the kernel may visit
/// while proving it safe (the kernel's own limit is one million). A test fails
/// when a program needs more.
pub const VERIFIER_BUDGET: u32 = 100_000;
