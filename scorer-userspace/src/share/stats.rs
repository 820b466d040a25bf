//! How the consortium is followed, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Refusal, event::Kind};

/// Counters.
#[derive(Debug, Default)]
pub struct Stats {
    /// Events taken, by kind.
    pub taken: [AtomicU64; 4],
    /// Messages refused, by cause.
    pub refused: [AtomicU64; Refusal::ALL.len()],
    /// 1 while the NATS server is connected.
    pub connected: AtomicU64,
    /// 1 while the hub's last answer was one.
    pub hub: AtomicU64,
    /// Messages of the stream not read yet.
    pub lag: AtomicU64,
    /// Events that hold.
    pub events: AtomicU64,
    /// Members, revoked ones left out.
    pub members: AtomicU64,
    /// Bytes of the index.
    pub bytes: AtomicU64,
    /// The current epoch.
    pub epoch: AtomicU64,
    /// Blind evaluations: of the hub, known before, refused.
    pub evaluations: [AtomicU64; 3],
    /// Verdicts that were updated since a match came after them.
    pub updates: AtomicU64,
}

impl Stats {
    /// Names of metrics, labels, values.
    pub fn samples(&self) -> Vec<(&'static str, &'static str, u64)> {
        let of = |value: &AtomicU64| value.load(Ordering::Relaxed);
        let kinds = Kind::ALL.iter().zip(&self.taken);
        let mut all: Vec<_> = kinds
            .map(|(kind, value)| ("scorer_consortium_events_total", kind.name(), of(value)))
            .collect();
        let causes = Refusal::ALL.iter().zip(&self.refused);
        all.extend(
            causes.map(|(why, value)| ("scorer_consortium_refused_total", why.name(), of(value))),
        );
        let outcomes = ["evaluated", "known", "refused"].iter().zip(&self.evaluations);
        all.extend(
            outcomes.map(|(outcome, value)| {
                ("scorer_consortium_evaluations_total", *outcome, of(value))
            }),
        );
        for (name, value) in [
            ("scorer_consortium_connected", &self.connected),
            ("scorer_consortium_hub_reachable", &self.hub),
            ("scorer_consortium_lag", &self.lag),
            ("scorer_consortium_active_events", &self.events),
            ("scorer_consortium_members", &self.members),
            ("scorer_consortium_epoch", &self.epoch),
            ("scorer_consortium_index_bytes", &self.bytes),
            ("scorer_consortium_updates_total", &self.updates),
        ] {
            all.push((name, "", of(value)));
        }
        all
    }
}
