//! What is remembered of a pair, a range, a trait: counts alone, in 40 bytes.

use bytemuck::{Pod, Zeroable};

use super::{
    decay::{self, DAY, HOUR},
    table::Aged,
};
use crate::time::Timestamp;

/// What is counted for such a key.
#[derive(Clone, Copy, Debug, Zeroable, Pod)]
#[repr(C)]
pub(super) struct Small {
    /// Last update, ns.
    last: u64,
    calls: [f32; 5],
    /// Half-life of an hour.
    withheld: f32,
    /// First seen, seconds since 1970.
    first: u32,
    spare: u32,
}

const _: () = assert!(size_of::<Small>() == 40);

impl Aged for Small {
    const BY_FREQUENCY: bool = true;

    fn worth(&self, now: Timestamp) -> f32 {
        let seconds = now.seconds_since(Timestamp(self.last)) as f32;
        self.calls[DAY] * decay::after(seconds)[DAY]
    }
}

/// What such a key was before a call.
#[derive(Clone, Copy, Debug)]
pub struct Few {
    /// Calls, for each of [`decay::HALF_LIVES`].
    pub calls: [f32; 5],
    /// Withheld ones, half-life of an hour.
    pub withheld: f32,
    /// Seconds since the last; NaN before the first.
    pub since_last: f32,
}

impl Few {
    /// Nothing is known of the key: no calls yet.
    pub const NEW: Self = Self { calls: [0.0; 5], withheld: 0.0, since_last: f32::NAN };
    /// There is no such key.
    pub const NONE: Self = Self { calls: [f32::NAN; 5], withheld: f32::NAN, since_last: f32::NAN };
}

impl Small {
    fn age(&mut self, now: Timestamp) -> f32 {
        let seconds = now.seconds_since(Timestamp(self.last)) as f32;
        if seconds > 0.0 {
            let left = decay::after(seconds);
            for (count, left) in self.calls.iter_mut().zip(left) {
                *count *= left;
            }
            self.withheld *= left[HOUR];
            self.last = now.0;
        }
        seconds
    }

    /// What is known at `now`, without a call counted `own` seconds ago.
    pub(super) fn known(&mut self, now: Timestamp, own: Option<f32>) -> Few {
        let since_last = self.age(now);
        let mut few = Few { calls: self.calls, withheld: self.withheld, since_last };
        if let Some(seconds) = own {
            for (count, left) in few.calls.iter_mut().zip(decay::after(seconds)) {
                *count = (*count - left).max(0.0);
            }
            if few.calls[DAY] < 0.01 {
                few.since_last = f32::NAN;
            }
        }
        few
    }

    /// One more call.
    pub(super) fn count(&mut self, now: Timestamp, withheld: bool) {
        self.age(now);
        if self.last == 0 {
            self.last = now.0;
        }
        if self.first == 0 {
            self.first = (now.0 / 1_000_000_000).min(u64::from(u32::MAX)) as u32;
        }
        for count in &mut self.calls {
            *count += 1.0;
        }
        self.withheld += f32::from(u8::from(withheld));
    }

    /// One more call of a time that may lie before the last: then it counts as much as is
    /// left of it.
    pub(super) fn merge(&mut self, at: Timestamp, withheld: bool) {
        if self.last <= at.0 {
            return self.count(at, withheld);
        }
        let left = decay::after(Timestamp(self.last).seconds_since(at) as f32);
        for (count, left) in self.calls.iter_mut().zip(left) {
            *count += left;
        }
        self.withheld += if withheld { left[HOUR] } else { 0.0 };
        self.first = self.first.min((at.0 / 1_000_000_000) as u32);
    }

    /// Calls that were made before the key was let into the table.
    pub(super) fn credit(&mut self, calls: u8) {
        for count in &mut self.calls[HOUR..] {
            *count += f32::from(calls);
        }
    }
}
