//! A profile as it lies in memory.

use bytemuck::{Pod, Zeroable};

use super::{
    KINDS, Kind,
    known::{HALF_LIFE, decay},
    model::Pace,
};

/// Values remembered of a kind that many callers share.
pub(super) const RECENT: usize = 6;
/// Kinds whose tokens many share: a token's few users do not tell who had it.
pub(super) const SHARED: [Kind; 6] =
    [Kind::Source, Kind::Stack, Kind::Origin, Kind::Manner, Kind::Country, Kind::CalleeRange];
/// Place of a kind among those that many share.
pub(super) const SHARED_AT: [Option<usize>; KINDS] = {
    let mut places = [None; KINDS];
    let mut at = 0;
    while at < SHARED.len() {
        places[SHARED[at] as usize] = Some(at);
        at += 1;
    }
    places
};

/// How steady a profile is in a kind.
#[derive(Clone, Copy, Debug, Zeroable, Pod)]
#[repr(C)]
pub(super) struct Habit {
    pub(super) kept: u16,
    pub(super) seen: u16,
}

/// A profile. What every call that might be its is held against lies in its first four
/// cache lines.
#[derive(Clone, Copy, Debug, Zeroable, Pod)]
#[repr(C, align(64))]
pub(crate) struct Profile {
    /// 0 is a free place.
    pub(super) id: u64,
    /// Last call, ns since 1970.
    pub(super) last: u64,
    /// Handle of the profile that it turned out to be; 0 for none.
    pub(super) is: u32,
    /// Rises when another profile takes the place.
    pub(super) generation: u8,
    /// Kept whatever comes.
    pub(super) pinned: u8,
    /// Calls that could as well have been the rival's.
    pub(super) votes: u8,
    pub(super) spare: u8,
    pub(super) pace: Pace,
    pub(super) habits: [Habit; KINDS],
    /// Values of the kinds that many share that it had last.
    pub(super) recent: [[u32; RECENT]; SHARED.len()],
    /// Handle of the profile that its calls could be of, too.
    pub(super) rival: u32,
    /// How often it had each of the recent values.
    pub(super) counts: [[u16; RECENT]; SHARED.len()],
    /// First call, seconds since 1970.
    pub(super) first: u32,
    pub(super) calls: u32,
    /// Number of its case, from 1; 0 for none.
    pub(super) case: u32,
    pub(super) spare2: [u32; 3],
}

const _: () = assert!(size_of::<Profile>() == 320);
const _: () = assert!(std::mem::offset_of!(Profile, rival) <= HELD);

/// Bytes that every call that might be its is held against.
pub(super) const HELD: usize = 256;

impl Profile {
    /// As if no case wanted it.
    pub(super) const fn forget_case(&mut self) {
        (self.pinned, self.case) = (0, 0);
    }

    /// It had a value of a kind that many share once more; whether that was among the
    /// recent ones.
    pub(super) fn had(&mut self, shared: usize, token: u32) -> bool {
        let (tokens, counts) = (&mut self.recent[shared], &mut self.counts[shared]);
        if let Some(at) = tokens.iter().position(|known| *known == token) {
            if counts[at] == u16::MAX {
                *counts = counts.map(|count| count / 2);
            }
            counts[at] += 1;
            return true;
        }
        let at = (0..RECENT).min_by_key(|at| counts[*at]).unwrap_or(0);
        (tokens[at], counts[at]) = (token, 1);
        false
    }

    pub(super) fn worth(&self, now: u32) -> f32 {
        if self.id == 0 {
            return -1.0;
        }
        if self.pinned != 0 {
            return f32::INFINITY;
        }
        let last = (self.last / 1_000_000_000) as u32;
        self.calls as f32 * decay(now.saturating_sub(last) as f32, HALF_LIFE)
    }
}
