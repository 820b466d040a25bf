//! Bounds that both sides rely on.

/// Largest frame copied to user space, bytes: jumbo frames and some merged TCP
/// segments of generic mode. A larger frame passes uncopied and is counted. A
/// power of two, so that a mask bounds every access for the verifier.
pub const FRAME: usize = 16_384;

/// One bit for each port, 64 to a word: port `p` is bit `p % 64` of word `p / 64`.
pub type PortBitmap = [u64; 1024];

/// The header section is fingerprinted up to this many bytes, in the kernel and
/// in user space alike.
pub const SCAN_BYTES: usize = 4096;

/// Header lines indexed and fingerprinted at most.
pub const SCAN_LINES: usize = 64;

/// Verifier budget of one XDP program: instructions that the kernel may visit
/// while proving it safe (the kernel's own limit is one million). A test fails
/// when a program needs more.
pub const VERIFIER_BUDGET: u32 = 300_000;
