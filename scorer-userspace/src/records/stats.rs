//! Counters that the threads share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What became of the records.
#[derive(Debug, Default)]
pub struct Stats {
    /// Calls written to a segment.
    pub calls: AtomicU64,
    /// Outcomes written to a segment.
    pub outcomes: AtomicU64,
    /// Calls and outcomes that found the queue full.
    pub queue_full: AtomicU64,
    /// Calls and outcomes that the disk did not take.
    pub disk: AtomicU64,
    /// Recording is paused since the disk takes nothing.
    pub paused: AtomicBool,
    /// Bytes written to segments.
    pub bytes: AtomicU64,
    /// Parquet files made.
    pub files: AtomicU64,
    /// Files set aside as damaged.
    pub damaged: AtomicU64,
    /// Most calls that waited for the writer at once.
    pub deepest: AtomicU64,
    /// INVITEs and verdicts sent to the HEP collector.
    pub hep_sent: AtomicU64,
    /// Those that were not sent.
    pub hep_dropped: AtomicU64,
}

/// Adds to a counter that one thread writes: plain loads and stores, no locked
/// addition.
pub(super) fn add(counter: &AtomicU64, count: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
}

impl Stats {
    /// Counters by name of their metric and label.
    pub fn samples(&self) -> [(&'static str, &'static str, u64); 11] {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("scorer_records_written_total", "call", of(&self.calls)),
            ("scorer_records_written_total", "outcome", of(&self.outcomes)),
            ("scorer_records_dropped_total", "queue_full", of(&self.queue_full)),
            ("scorer_records_dropped_total", "disk", of(&self.disk)),
            ("scorer_records_paused", "", u64::from(self.paused.load(Ordering::Relaxed))),
            ("scorer_records_bytes_total", "", of(&self.bytes)),
            ("scorer_records_files_total", "made", of(&self.files)),
            ("scorer_records_files_total", "damaged", of(&self.damaged)),
            ("scorer_records_queue_deepest", "", of(&self.deepest)),
            ("scorer_hep_packets_total", "sent", of(&self.hep_sent)),
            ("scorer_hep_packets_total", "dropped", of(&self.hep_dropped)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::Stats;
    use crate::metrics::FAMILIES;

    #[test]
    fn every_counter_has_its_line_in_the_table_of_metrics() {
        for (name, label, _) in Stats::default().samples() {
            let family = FAMILIES.iter().find(|family| family.name == name);
            let family = family.unwrap_or_else(|| panic!("{name} is not in the table"));
            assert_eq!(family.label.is_empty(), label.is_empty(), "{name}");
        }
    }
}
