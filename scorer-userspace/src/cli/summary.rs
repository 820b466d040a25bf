//! What is said at the end, on standard error.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::{
    capture::AssemblerStats,
    engine::{Engine, EngineStats, Sample},
    metrics::{InlineStats, OutOfBand},
    records::Stats,
};
use scorer_common::{Counter, verdict::Level};

/// Totals of packets and calls; counts of zero are left out.
pub(super) fn print(packets: &AssemblerStats, calls: &EngineStats) {
    let levels: Vec<_> = Level::ALL
        .iter()
        .zip(calls.by_level)
        .map(|(level, count)| format!("{} {count}", level.name()))
        .collect();
    eprintln!("verdicts: {} ({})", calls.verdicts(), levels.join(", "));
    let list = |pairs: &mut dyn Iterator<Item = (&'static str, u64)>| {
        pairs
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| format!("{name} {count}"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let plain = |s: &Sample| s.label.is_none();
    let of = |name: &'static str| move |s: &Sample| s.name == name;
    let labelled = |s: Sample| (s.label.map_or("", |(_, value)| value), s.value);
    for (title, text) in [
        ("packets", list(&mut packets.iter().map(|(name, _, count)| (name, count)))),
        ("calls", list(&mut calls.iter().filter(plain).map(|s| (s.name, s.value)))),
        ("tags", list(&mut calls.iter().filter(of("verdict_tags")).map(labelled))),
        ("unreadable", list(&mut calls.iter().filter(of("parse_failures")).map(labelled))),
    ] {
        if !text.is_empty() {
            eprintln!("{title}: {text}");
        }
    }
}

/// What became of records.
pub(super) fn records(stats: &Stats) {
    let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    eprintln!(
        "records: {} calls and {} outcomes written, {} dropped at a full queue, {} not taken by the disk; HEP: {} sent, {} dropped",
        of(&stats.calls),
        of(&stats.outcomes),
        of(&stats.queue_full),
        of(&stats.disk),
        of(&stats.hep_sent),
        of(&stats.hep_dropped)
    );
}

/// What became of frames in inline mode.
pub(super) fn inline(stats: &InlineStats, kernel: &[u64; Counter::COUNT]) {
    let of = |counter: Counter| kernel[counter as usize];
    let counts = stats.judged.iter().filter(|(_, _, count)| *count > 0);
    let counts: Vec<_> = counts.map(|(name, _, count)| format!("{name} {count}")).collect();
    eprintln!(
        "inline: {} INVITEs handed over ({}), {} passed on since user space was late, {} since it was busy, {} unfit; {} lost",
        of(Counter::Steered),
        counts.join(", "),
        of(Counter::SteerLate),
        of(Counter::SteerBusy),
        of(Counter::SteerUnfit),
        stats.lost
    );
}

/// What became of verdicts out of band; counts of zero are left out.
pub(super) fn out_of_band(ways: &OutOfBand) {
    let print = |what: &str, counts: &mut dyn Iterator<Item = (String, u64)>| {
        let counts = counts.filter(|(_, count)| *count > 0);
        let counts: Vec<_> = counts.map(|(name, count)| format!("{name} {count}")).collect();
        if !counts.is_empty() {
            eprintln!("{what}: {}", counts.join(", "));
        }
    };
    let named = |(name, _, count): (&'static str, &'static str, u64)| (name.to_owned(), count);
    print("delivered", &mut ways.deliveries.iter().map(named));
    if let Some(http) = &ways.http {
        print("HTTP", &mut http.iter().map(named));
    }
    if let Some(redirect) = &ways.redirect {
        print("redirect", &mut redirect.events.iter().map(named));
        print("answers", &mut redirect.answers().map(|(code, count)| (code.to_string(), count)));
    }
}

/// How a model on trial compares.
pub(super) fn trial(engine: &Engine) {
    let Some(challenger) = engine.challenger() else { return };
    let trial = engine.trial();
    eprintln!(
        "on trial: {} scored {} calls; {} and {} agree on {}, only the first finds {} high, only the second {}; \
         scores differ by {:.1} on average",
        challenger.name(),
        trial.calls,
        engine.model().name(),
        challenger.name(),
        trial.agree,
        trial.champion_only,
        trial.challenger_only,
        trial.mean_difference()
    );
}
