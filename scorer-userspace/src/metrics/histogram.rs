//! A histogram that one thread writes and others read.

use std::sync::atomic::{AtomicU64, Ordering};

/// Upper bounds of the buckets, ns; the last one is open.
pub(super) const BOUNDS: [u64; 15] = [
    250, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000,
    2_000_000, 5_000_000, 10_000_000,
];

/// Latencies, ns.
#[derive(Debug, Default)]
pub struct Latency {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    sum: AtomicU64,
    max: AtomicU64,
}

impl Latency {
    /// Adds one. Only one thread may: plain loads and stores, no locked additions.
    pub fn record(&self, nanoseconds: u64) {
        let bucket = BOUNDS.partition_point(|bound| *bound < nanoseconds);
        let add = |place: &AtomicU64, value| {
            place.store(place.load(Ordering::Relaxed).wrapping_add(value), Ordering::Relaxed);
        };
        add(&self.buckets[bucket], 1);
        add(&self.sum, nanoseconds);
        if nanoseconds > self.max.load(Ordering::Relaxed) {
            self.max.store(nanoseconds, Ordering::Relaxed);
        }
    }

    /// Counts of the buckets, the open one last.
    pub fn counts(&self) -> [u64; BOUNDS.len() + 1] {
        std::array::from_fn(|i| self.buckets[i].load(Ordering::Relaxed))
    }

    /// Sum of all, ns.
    pub fn sum(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }

    /// Largest, ns.
    pub fn max(&self) -> u64 {
        self.max.load(Ordering::Relaxed)
    }

    /// Upper bound of the bucket in which the `share` (0–1) lies, ns; the largest
    /// value where that is the open one or lower. `None` before the first.
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let counts = self.counts();
        let total: u64 = counts.iter().sum();
        let rank = (share * total as f64).ceil() as u64;
        let mut seen = 0;
        for (i, count) in counts.into_iter().enumerate() {
            seen += count;
            if seen >= rank.max(1) {
                return Some(BOUNDS.get(i).map_or(self.max(), |bound| (*bound).min(self.max())));
            }
        }
        None
    }
}

/// Where the time of a call goes, ns. One thread writes them.
#[derive(Debug, Default)]
pub struct Stages {
    /// From the kernel's stamp until the scoring thread takes the INVITE: in the ring or
    /// at the socket, behind others.
    pub wait: Latency,
    /// From there to the verdict.
    pub score: Latency,
    /// Handing the verdict to its ways, records and output; of one call in
    /// [`DELIVER_SAMPLE`], which saves the others a look at the clock.
    pub deliver: Latency,
    /// Inline mode: from the verdict until the frame, tagged or as it came, is in the
    /// send ring.
    pub send: Latency,
    /// Inline mode: from the kernel's stamp until then. So long is a call delayed.
    pub delay: Latency,
}

/// See [`Stages::deliver`].
pub const DELIVER_SAMPLE: u64 = 16;

impl Stages {
    /// Those that make up the time to the verdict and after, by name.
    pub(super) fn named(&self) -> [(&'static str, &Latency); 4] {
        [
            ("wait", &self.wait),
            ("score", &self.score),
            ("deliver", &self.deliver),
            ("send", &self.send),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::Latency;

    #[test]
    fn quantiles() {
        let latency = Latency::default();
        assert_eq!(latency.quantile(0.5), None);
        for value in [400, 1_500, 1_500, 4_000, 70_000_000] {
            latency.record(value);
        }
        assert_eq!(latency.quantile(0.5), Some(2_000));
        assert_eq!(latency.quantile(0.99), Some(70_000_000));
        assert_eq!(latency.sum(), 70_007_400);
        assert_eq!(latency.counts().iter().sum::<u64>(), 5);
    }
}
