//! Counts beside what SQL counts of the same calls.

use std::{
    collections::{BTreeMap, HashSet},
    io,
    path::Path,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use super::{Span, Tally};
use crate::{
    capture::Frame,
    engine::{Engine, EngineConfig},
    features::names,
    model::Model,
    records::{
        By, Count, Mode, NONE, Recorder,
        files::list,
        query::{QueryError, Store},
        testing::{config, rows},
    },
    simulate::{Label, Mix, Packet, Simulation, Sink},
    time::Timestamp,
};

const MINUTE: u64 = 60_000_000_000;

/// Scores and records what is simulated.
struct Scored {
    engine: Engine,
    recorder: Option<Recorder>,
    last: Timestamp,
}

impl Sink for Scored {
    fn packet(&mut self, packet: &Packet<'_>) -> io::Result<()> {
        packet.frames(&mut |frame: &Frame<'_>| {
            let recorder = self.recorder.as_mut().unwrap();
            self.last = frame.timestamp;
            self.engine.inspect(frame, &mut |call| recorder.call(call, None));
            Ok(())
        })
    }

    fn label(&mut self, _: &Label<'_>) -> io::Result<()> {
        Ok(())
    }
}

/// Some hours in Parquet files and, of later calls, a segment; first and last time.
fn records(folder: &Path) -> [Timestamp; 2] {
    let mut first = None;
    let mut last = Timestamp(0);
    for (seed, mode, start) in
        [(1, Mode::Replay, "2026-11-02T08:20:00Z"), (2, Mode::Live, "2026-11-02T12:20:00Z")]
    {
        let mix = Mix {
            start: start.into(),
            calls_per_second: 0.2,
            fraud: 0.3,
            hours: false,
            ..Mix::default()
        };
        let model = Arc::new(Model::builtin(&names()).unwrap());
        let mut scored = Scored {
            engine: Engine::new(&EngineConfig::default(), model).unwrap(),
            recorder: Recorder::start(&config(folder), mode).unwrap(),
            last,
        };
        first.get_or_insert(Timestamp(
            start.parse::<jiff::Timestamp>().unwrap().as_nanosecond() as u64
        ));
        Simulation::new(mix, seed, 1_500).unwrap().run(&mut scored).unwrap();
        last = scored.last;
        assert_eq!(scored.recorder.unwrap().finish().lost, 0);
    }
    [first.unwrap(), last]
}

fn asked(folder: &Path, key: &str, more: &str, span: Span) -> BTreeMap<String, Count> {
    let Span { since, until, .. } = span;
    let counted = rows(
        folder,
        &format!(
            "SELECT key, count(*), sum(CASE WHEN level IN ('high', 'critical') THEN 1 ELSE 0 END), \
             sum(score) FROM (SELECT {key} AS key, level, score FROM (SELECT {more} level, score, ts, \
             trunk, callee, caller_country_code, callee_country_code, action, fingerprint, tags \
             FROM calls WHERE ts >= TIMESTAMP '{since}' AND ts < TIMESTAMP '{until}')) GROUP BY key"
        ),
    );
    counted
        .iter()
        .map(|row| {
            let cells: Vec<_> = row.split(',').collect();
            let [key, calls, high, score] = cells[..] else { panic!("{row}") };
            let number = |text: &str| text.parse().unwrap();
            let key = if key.is_empty() { NONE } else { key };
            let count = Count { calls: number(calls), high: number(high), score: number(score) };
            (key.to_owned(), count)
        })
        .collect()
}

#[test]
fn counts_are_those_of_sql_over_files_and_segments_and_parts_of_them() {
    let at = tempfile::tempdir().unwrap();
    let [first, last] = records(at.path());
    let listing = list(at.path()).unwrap();
    assert!(listing.files.len() >= 3 && !listing.segments.is_empty(), "{listing:?}");
    let tally = Tally::new(at.path());
    let spans = [
        [first, Timestamp(last.0 + 1)],
        [Timestamp(first.0 + 20 * MINUTE + 7), Timestamp(last.0 - 11 * MINUTE)],
        [Timestamp(first.0 + 10 * MINUTE), Timestamp(first.0 + 11 * MINUTE)],
        [Timestamp(0), first],
    ];
    for (round, [since, until]) in spans.into_iter().chain(spans).enumerate() {
        let span = Span { since, until, time: None };
        for by in By::ALL {
            let (key, more) = match by {
                By::Tag => ("unnest(tags)", ""),
                By::Reason => ("reason['feature']", "unnest(reasons) AS reason,"),
                By::Destination => ("area(callee)", ""),
                By::Level => ("level", ""),
                By::CallerCountry => ("caller_country_code", ""),
                By::CalleeCountry => ("callee_country_code", ""),
                By::Trunk => ("trunk", ""),
                By::Action => ("action", ""),
                By::Fingerprint => ("fingerprint", ""),
            };
            let counted: BTreeMap<String, Count> = tally
                .by(by, span)
                .unwrap()
                .into_iter()
                .map(|(key, count)| (key.into_string(), count))
                .collect();
            assert_eq!(counted, asked(at.path(), key, more, span), "{by:?} in {round}");
        }
        for step in [MINUTE, 7 * MINUTE, MINUTE / 60, 90 * MINUTE] {
            let key = format!("CAST(ts AS BIGINT) / {step} * {step}");
            let counted: BTreeMap<String, Count> = tally
                .over(span, step)
                .unwrap()
                .into_iter()
                .map(|(at, count)| (at.to_string(), count))
                .collect();
            assert_eq!(counted, asked(at.path(), &key, "", span), "by {step} in {round}");
        }
    }
}

#[test]
fn whole_files_are_counted_once_and_those_gone_are_forgotten() {
    let at = tempfile::tempdir().unwrap();
    records(at.path());
    let calls = || {
        let files = list(at.path()).unwrap().files;
        files.into_iter().filter(|file| file.kind == super::Kind::Calls).collect::<Vec<_>>()
    };
    let (tally, stop) = (Tally::new(at.path()), AtomicBool::new(false));
    assert_eq!(tally.keep(&stop).unwrap(), calls().len());
    assert_eq!(tally.keep(&stop).unwrap(), 0);
    std::fs::remove_file(&calls()[0].path).unwrap();
    assert_eq!(tally.keep(&stop).unwrap(), 0);
    assert_eq!(tally.known().len(), calls().len());
}

#[test]
fn what_takes_too_long_ends_and_a_damaged_file_is_left_out() {
    let at = tempfile::tempdir().unwrap();
    let [first, last] = records(at.path());
    let tally = Tally::new(at.path());
    let span = Span { since: first, until: last, time: Some(Duration::ZERO) };
    let late = tally.by(By::Level, span).unwrap_err();
    assert!(matches!(late, QueryError::TooLong(_)), "{late}");
    let span = Span { time: None, ..span };
    let sum = |tally: &Tally| {
        tally.by(By::Level, span).unwrap().values().map(|count| count.calls).sum::<u64>()
    };
    let all = sum(&tally);
    let file = list(at.path()).unwrap().files.into_iter().next().unwrap();
    let bytes = std::fs::read(&file.path).unwrap();
    std::fs::write(&file.path, &bytes[..bytes.len() / 2]).unwrap();
    let left = sum(&tally);
    assert!(left < all && left > 0, "{left} of {all}");
}

#[test]
fn call_ids_are_found_wherever_they_are() {
    let at = tempfile::tempdir().unwrap();
    records(at.path());
    let store = Store::open(at.path(), None).unwrap();
    let mut known = Vec::new();
    for row in rows(at.path(), "SELECT call_id, CAST(ts AS BIGINT), call FROM calls") {
        let mut cells = row.rsplitn(3, ',');
        let (call, ts) = (cells.next().unwrap(), cells.next().unwrap());
        let id = cells.next().unwrap().trim_matches('"').to_owned();
        known.push((id, ts.parse::<u64>().unwrap(), call.parse::<u64>().unwrap()));
    }
    let some: Vec<_> = known.iter().step_by(97).collect();
    let mut ids: HashSet<String> = some.iter().map(|(id, ..)| id.clone()).collect();
    ids.insert("never@seen".into());
    let mut expected: Vec<_> = some.iter().map(|(_, ts, call)| (*ts, *call)).collect();
    expected.sort_unstable_by(|a, b| b.cmp(a));
    expected.dedup();
    assert_eq!(store.seek(&ids, Timestamp(0), None).unwrap(), expected);
    let none = store.seek(&ids, Timestamp(0), Some(Duration::ZERO));
    assert!(matches!(none, Err(QueryError::TooLong(_))), "{none:?}");
}
