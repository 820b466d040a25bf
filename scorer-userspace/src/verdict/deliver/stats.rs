//! What became of verdicts on their ways, counted by the scoring thread.

use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

/// A counter that one thread writes and others read.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds one.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Adds so many.
    pub fn add_many(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counts {
    ($(#[$about:meta])* $type:ident { $($(#[doc = $doc:literal])+ $name:ident),+ $(,)? }) => {
        $(#[$about])*
        #[derive(Debug, Default)]
        pub struct $type { $($(#[doc = $doc])+ pub $name: $crate::verdict::deliver::Count),+ }

        impl $type {
            /// Every counter: name, what it counts, value.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                [$((stringify!($name), concat!($($doc),+), self.$name.get())),+].into_iter()
            }
        }
    };
}

pub(crate) use counts;

/// Counters of one receiver of datagrams.
#[derive(Debug, Default)]
pub struct ReceiverStats {
    /// Address, for the log.
    pub name: String,
    /// Over UDP rather than a Unix socket.
    pub udp: bool,
    /// Datagrams handed to the kernel.
    pub sent: Count,
    /// Nobody listens at the address.
    pub missing: Count,
    /// The receiver does not read fast enough.
    pub full: Count,
    /// Not sent for another reason.
    pub failed: Count,
    /// Last error number.
    pub error: AtomicI32,
}

counts! {
    /// Counters of the ways that are no datagrams.
    WayStats {
        /// Verdicts put into the BPF map.
        map_sent,
        /// Verdicts that the kernel did not take into the BPF map.
        map_failed,
        /// Verdicts written to the shared-memory ring.
        ring_sent,
        /// Verdicts handed over for HTTP and redirect.
        recent_sent,
        /// Verdicts not handed over for HTTP and redirect since the queue was full.
        recent_full,
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct DeliveryStats {
    /// One a receiver of datagrams.
    pub receivers: Vec<std::sync::Arc<ReceiverStats>>,
    /// The other ways.
    pub ways: WayStats,
}

impl DeliveryStats {
    /// Every counter: name, what it counts, value; receivers of a kind together.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let sum = |udp: bool, of: fn(&ReceiverStats) -> &Count| {
            self.receivers.iter().filter(|each| each.udp == udp).map(|each| of(each).get()).sum()
        };
        let datagrams = [
            ("unix_sent", "Unix datagrams sent.", sum(false, |r| &r.sent)),
            ("unix_missing", "Unix datagrams to nobody.", sum(false, |r| &r.missing)),
            (
                "unix_full",
                "Unix datagrams whose receiver does not read fast enough.",
                sum(false, |r| &r.full),
            ),
            (
                "unix_failed",
                "Unix datagrams not sent for another reason.",
                sum(false, |r| &r.failed),
            ),
            ("udp_sent", "UDP datagrams sent.", sum(true, |r| &r.sent)),
            (
                "udp_missing",
                "UDP datagrams of which the other host said that nobody is there; they count as sent, too.",
                sum(true, |r| &r.missing),
            ),
            ("udp_full", "UDP datagrams for which the socket had no room.", sum(true, |r| &r.full)),
            ("udp_failed", "UDP datagrams not sent for another reason.", sum(true, |r| &r.failed)),
        ];
        datagrams.into_iter().chain(self.ways.iter())
    }
}
