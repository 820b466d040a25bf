//! The gate: rules the kernel obeys before the ring, also while user space is
//! down. All tables are empty until something fills them.

/// Look up source prefixes.
pub const USE_SOURCE: u32 = 1 << 0;
/// Look up fingerprints.
pub const USE_FINGERPRINT: u32 = 1 << 1;
/// Look up callers' numbers.
pub const USE_NUMBER: u32 = 1 << 2;
/// Count INVITEs of each source against its bucket.
pub const USE_BUCKETS: u32 = 1 << 3;
/// INVITEs over their source's rate are dropped, not only counted.
pub const LIMIT_DROPS: u32 = 1 << 4;

/// What the program is told at run time. One element of an array map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Settings {
    /// `USE_*` and [`LIMIT_DROPS`] bits: tables that hold something.
    pub gate: u32,
    /// Zero.
    pub reserved: u32,
    /// Nanoseconds for one token of a source's bucket (the inverse of its rate).
    pub bucket_interval: u64,
    /// Tokens a bucket holds at most.
    pub bucket_burst: u64,
}

const _: () = assert!(size_of::<Settings>() == 24);

/// The rule lets the call pass and shields it from deny rules and the bucket.
pub const ALLOW: u32 = 1;
/// The rule marks the call as denied and lets it pass.
pub const MARK: u32 = 2;
/// The rule drops the INVITE.
pub const DROP: u32 = 3;

/// Value in a gate table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Rule {
    /// [`ALLOW`], [`MARK`] or [`DROP`]; anything else is no rule.
    pub action: u32,
    /// Zero.
    pub reserved: u32,
    /// `CLOCK_MONOTONIC` from which on the rule counts no more, ns; 0 is never.
    pub expires: u64,
}

const _: () = assert!(size_of::<Rule>() == 16);

impl Rule {
    /// The action at time `now` (`CLOCK_MONOTONIC`, ns); 0 when the rule is over.
    #[inline(always)]
    pub const fn action_at(&self, now: u64) -> u32 {
        if self.expires != 0 && self.expires <= now { 0 } else { self.action }
    }
}

/// Token bucket of one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Bucket {
    /// Tokens left.
    pub tokens: u64,
    /// `CLOCK_MONOTONIC` up to which tokens were credited, ns.
    pub credited: u64,
}

const _: () = assert!(size_of::<Bucket>() == 16);

impl Bucket {
    /// Takes one token at `now`; false when there is none. CPUs that take from
    /// one bucket at the same instant may overlook each other's token.
    #[inline(always)]
    pub const fn take(&mut self, now: u64, settings: &Settings) -> bool {
        if settings.bucket_interval == 0 {
            return true;
        }
        let earned = now.saturating_sub(self.credited) / settings.bucket_interval;
        if earned > 0 {
            self.credited += earned * settings.bucket_interval;
            self.tokens += earned;
            if self.tokens >= settings.bucket_burst {
                self.tokens = settings.bucket_burst;
                self.credited = now;
            }
        }
        if self.tokens == 0 {
            return false;
        }
        self.tokens -= 1;
        true
    }
}

/// Start of [`number_hash`].
pub const NUMBER_SEED: u64 = 0xcbf2_9ce4_8422_2325;

/// Adds one digit to a number's hash. Anything that is not a digit is left out,
/// so that `+44 20-7946` and `44207946` are the same number.
#[inline(always)]
pub const fn number_step(hash: u64, byte: u8) -> u64 {
    if byte.is_ascii_digit() { (hash ^ byte as u64).wrapping_mul(0x0100_0000_01b3) } else { hash }
}

/// Hash of the digits of a number (FNV-1a, 64 bits). Not a pseudonym: numbers
/// can be counted through, so the tables must stay as private as the numbers.
pub const fn number_hash(number: &[u8]) -> u64 {
    let mut hash = NUMBER_SEED;
    let mut i = 0;
    while i < number.len() {
        hash = number_step(hash, number[i]);
        i += 1;
    }
    hash
}
