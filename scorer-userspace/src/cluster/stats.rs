//! What the cluster thread counted.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

macro_rules! stats {
    ($($field:ident $name:literal $label:literal,)+) => {
        /// Counters, to be read at any time.
        #[derive(Debug, Default)]
        pub struct Stats {
            $(pub(crate) $field: AtomicU64,)+
            /// Milliseconds from storing to receiving the last message; told in seconds.
            pub(crate) lag_ms: AtomicU64,
            /// Seconds that the clocks of other hosts are ahead of this one's.
            pub(crate) skew: Mutex<BTreeMap<String, f64>>,
        }

        impl Stats {
            /// Names of metrics, labels and values.
            pub fn samples(&self) -> Vec<(&'static str, &'static str, u64)> {
                vec![$(($name, $label, self.$field.load(Ordering::Relaxed)),)+]
            }
        }
    };
}

stats! {
    connected "scorer_cluster_connected" "",
    told "scorer_cluster_facts_total" "told",
    queue_full "scorer_cluster_facts_total" "queue_full",
    spool_dropped "scorer_cluster_facts_total" "spool_dropped",
    received "scorer_cluster_facts_total" "received",
    counted "scorer_cluster_facts_total" "counted",
    same_call "scorer_cluster_facts_total" "same_call",
    duplicates "scorer_cluster_facts_total" "duplicate",
    missed "scorer_cluster_facts_total" "missed",
    clamped "scorer_cluster_facts_total" "clamped",
    messages_out "scorer_cluster_messages_total" "published",
    again "scorer_cluster_messages_total" "published_again",
    messages_in "scorer_cluster_messages_total" "received",
    refused "scorer_cluster_messages_total" "refused",
    bytes_out "scorer_cluster_bytes_total" "published",
    bytes_in "scorer_cluster_bytes_total" "received",
    spool_bytes "scorer_cluster_spool_bytes" "",
    record_files "scorer_cluster_record_files_total" "",
    pending "scorer_cluster_pending_messages" "",
    state_out "scorer_cluster_state_total" "published",
    state_in "scorer_cluster_state_total" "applied",
    state_older "scorer_cluster_state_total" "older",
    state_refused "scorer_cluster_state_total" "refused",
}

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

impl Stats {
    /// Seconds from storing to receiving the last message.
    pub fn lag(&self) -> f64 {
        self.lag_ms.load(Ordering::Relaxed) as f64 / 1e3
    }

    /// Hosts and how far their clocks are ahead, seconds.
    pub fn skews(&self) -> BTreeMap<String, f64> {
        self.skew.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
