//! The whole road, from the scoring thread's end to an answer.

use std::{
    fs,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use super::{
    Mode, Recorder, RecordsConfig, RecordsError, Sought, check, erase,
    files::{Kind, Listing, WriterLock, list},
    maintain,
    parquet_file::Rows,
    query::{Format, Limits, QueryError, Store},
    testing::{Call, HOUR, SECOND, START, ask, change, config, record, rows},
};
use crate::{
    features::REGISTRY,
    history::Progress,
    labels::{Label, Labels},
    time::Timestamp,
};

fn calls(count: u64) -> Vec<Call> {
    (0..count).map(Call::new).collect()
}

fn listing(folder: &Path) -> Listing {
    list(folder).unwrap()
}

fn count(folder: &Path) -> usize {
    rows(folder, "SELECT count(*) FROM calls")[0].parse().unwrap()
}

/// Waits for what another thread will do.
fn until(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_mins(1), "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Records calls as `tap` does: they are in a segment at the end.
fn record_live(folder: &Path, calls: &[Call]) {
    let mut recorder = Recorder::start(&config(folder), Mode::Live).unwrap().unwrap();
    for call in calls {
        call.assessed(|assessment| recorder.call(assessment, Some(1_500)));
    }
    let totals = recorder.finish();
    assert_eq!((totals.calls, totals.lost), (calls.len() as u64, 0));
}

/// Turns over bytes in the middle of a file.
fn damage(path: &Path) {
    let middle = fs::metadata(path).unwrap().len() / 2;
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(&[0xff; 64], middle).unwrap();
}

fn parquet(folder: &Path) -> PathBuf {
    let calls = |file: &super::files::ParquetFile| file.kind == Kind::Calls;
    listing(folder).files.into_iter().find(calls).unwrap().path
}

#[test]
fn what_was_said_of_a_call_is_what_is_answered() {
    let at = tempfile::tempdir().unwrap();
    let call = Call { network: Some("+441632960999"), ..Call::new(1) };
    record(at.path(), &[call], &[change(2, 5, Progress::Answered)]);
    let store = Store::open(at.path(), None).unwrap();
    let text = ask(&store, "SELECT * FROM calls", Format::Jsonl, &Limits::default()).unwrap();
    let row: serde_json::Value = serde_json::from_str(&text).unwrap();
    let expected = serde_json::json!({
        "ts": "2025-10-09T08:00:01Z",
        "call": 2,
        "call_id": "call-1@192.0.2.1",
        "caller": "+441632960001",
        "network_number": "+441632960999",
        "callee": "+442079460123",
        "caller_country_code": 44,
        "source": "192.0.2.1:5060",
        "destination": "[2001:db8::1]:5061",
        "transport": "tcp",
        "trunk": "carrier-a",
        "fingerprint": "0000000000000abc",
        "signature": row["signature"],
        "profile": "0000000000000003",
        "score": 1,
        "probability": 0.01,
        "level": "high",
        "tags": row["tags"],
        "reasons": [{"feature": REGISTRY[3].name, "value": 1.0, "contribution": 1.25}],
        "model": "m-1",
        "model_id": "0000000000000002",
        "action": "reject",
        "rule": "refuse",
        "response": 607,
        "dry_run": "drop",
        "dry_run_rule": "tarpit",
        "lists": ["allow_number", "allow_source"],
        "list_effect": "capped",
        "model_score": 77,
        "outcome": "answered",
        "code": 200,
        "setup_s": 2.5,
    });
    assert_eq!(row, expected);
    assert_eq!(row["tags"].as_array().unwrap().len(), 2);
    let [known, missing] = [REGISTRY[0].name, REGISTRY[3].name];
    let sql = format!("SELECT {known}, {missing} FROM features");
    assert_eq!(rows(at.path(), &sql), ["2.0,"]);
}

#[test]
fn a_segment_answers_as_its_parquet_file_does() {
    let at = tempfile::tempdir().unwrap();
    // Two are out of order.
    let mut some = calls(300);
    some.swap(10, 20);
    record_live(at.path(), &some);
    let feature = REGISTRY[1].name;
    let sql =
        format!("SELECT ts, call, caller, tags, reasons, {feature} FROM features ORDER BY ts");
    let live = rows(at.path(), &sql);
    assert_eq!(live.len(), 300);
    assert_eq!((listing(at.path()).segments.len(), listing(at.path()).files.len()), (1, 0));
    // The next run takes up what the last one left.
    let recorder = Recorder::start(&config(at.path()), Mode::Live).unwrap().unwrap();
    until("the segment is taken up", || listing(at.path()).segments.is_empty());
    recorder.finish();
    assert_eq!(listing(at.path()).files.len(), 1);
    assert_eq!(rows(at.path(), &sql), live);
    let first = Rows::open(&parquet(at.path()), None).unwrap().next().unwrap().unwrap();
    let times = arrow::array::AsArray::as_primitive::<arrow::datatypes::TimestampNanosecondType>(
        first.column(0),
    );
    assert!(times.values().is_sorted(), "a file is in order of time");
}

#[test]
fn every_hour_has_its_file_and_a_question_opens_those_it_needs() {
    let at = tempfile::tempdir().unwrap();
    let some: Vec<_> = (0..4)
        .flat_map(|hour| (0..50).map(move |i| (hour, i)))
        .map(|(hour, i)| Call { ts: START + hour * HOUR + i * SECOND, ..Call::new(50 * hour + i) })
        .collect();
    record(at.path(), &some, &[]);
    let files = listing(at.path()).files;
    assert_eq!(files.len(), 4);
    assert_eq!(count(at.path()), 200);
    // The others cannot even be read.
    for file in &files[..3] {
        damage(&file.path);
    }
    let sql = "SELECT count(DISTINCT call_id) FROM calls WHERE ts >= '2025-10-09T11:00:00Z'";
    assert_eq!(rows(at.path(), sql), ["50"]);
    let all = ask(
        &Store::open(at.path(), None).unwrap(),
        "SELECT count(DISTINCT call_id) FROM calls",
        Format::Csv,
        &Limits::default(),
    );
    let error = all.unwrap_err().to_string();
    assert!(error.contains("scorer records check"), "{error}");
}

#[test]
fn the_last_outcome_and_the_label_of_a_call() {
    let at = tempfile::tempdir().unwrap();
    let changes = [
        change(1, 9, Progress::Completed),
        change(1, 5, Progress::Answered),
        change(2, 3, Progress::Cancelled),
        change(999, 3, Progress::Rejected),
    ];
    record(at.path(), &calls(3), &changes);
    let path = at.path().join("labels.db");
    let labels = Labels::open(&path).unwrap();
    let label = Label {
        call_id: "call-2@192.0.2.1".into(),
        fraud: true,
        by: "t".into(),
        at: 1,
        weight: 1.0,
        note: String::new(),
    };
    labels.add(&label).unwrap();
    let store = Store::open(at.path(), Some(&path)).unwrap();
    let sql = "SELECT call, outcome, duration_s, label FROM calls ORDER BY call";
    let text = ask(&store, sql, Format::Csv, &Limits::default()).unwrap();
    assert_eq!(
        text,
        "call,outcome,duration_s,label\n1,completed,30.0,\n2,cancelled,,\n3,,,fraud\n"
    );
    let sql = "SELECT call FROM calls WHERE outcome = 'completed' OR label = 'fraud' ORDER BY 1";
    let text = ask(&store, sql, Format::Csv, &Limits::default()).unwrap();
    assert_eq!(text, "call\n1\n3\n");
    // The answer of the call that is over is told by its end.
    let sql = "SELECT call, outcome, setup_s FROM outcomes ORDER BY ts, call";
    assert_eq!(rows(at.path(), sql), ["2,cancelled,2.5", "999,rejected,2.5", "1,completed,2.5"]);
}

#[test]
fn a_question_changes_nothing_and_an_error_says_what_to_do() {
    let at = tempfile::tempdir().unwrap();
    record(at.path(), &calls(100), &[]);
    let store = Store::open(at.path(), None).unwrap();
    let fails = |sql: &str, limits: &Limits| {
        ask(&store, sql, Format::Csv, limits).expect_err(sql).to_string()
    };
    let usual = Limits::default();
    for sql in [
        "DELETE FROM calls",
        "INSERT INTO calls SELECT * FROM calls",
        "CREATE TABLE t AS SELECT 1",
        "DROP TABLE calls",
        "COPY calls TO '/tmp/x.csv'",
        "CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '/etc/'",
        "SET datafusion.execution.batch_size = 1",
    ] {
        let error = fails(sql, &usual);
        assert!(error.starts_with("records can only be read"), "{sql}: {error}");
    }
    for (sql, part) in [
        ("SELECT", "Expected"),
        ("SELECT * FROM '/etc/passwd'", "passwd"),
        ("SELECT scored FROM calls", "there is no column scored"),
        (&format!("SELECT {} FROM calls", REGISTRY[0].name), "ask for it FROM features"),
        (&"x".repeat(70_000), "65536 are the most"),
    ] {
        let error = fails(sql, &usual);
        assert!(error.contains(part), "{sql:.80}: {error}");
    }
    let little = Limits { memory: 1_000, ..usual };
    let error = fails("SELECT * FROM calls ORDER BY callee, call_id", &little);
    assert!(error.contains("--memory"), "{error}");
    let brief = Limits { time: Some(Duration::ZERO), ..usual };
    let error = fails("SELECT count(*) FROM calls", &brief);
    assert!(error.contains("--timeout"), "{error}");
    let nested = format!("SELECT {}1{}", "(".repeat(20_000), ")".repeat(20_000));
    fails(&nested, &usual);
    let mut out = 0;
    let few = Limits { rows: Some(30), ..usual };
    let answered = store
        .query("SELECT * FROM calls", &few, &mut |batch: &arrow::array::RecordBatch| {
            out += batch.num_rows();
            Ok(())
        })
        .unwrap();
    assert_eq!((answered.rows, answered.cut, out), (30, true, 30));
    assert!(matches!(
        Store::open(&at.path().join("none"), None),
        Err(QueryError::Records(RecordsError::NoRecords { .. }))
    ));
}

#[test]
fn a_queue_that_is_full_drops_and_counts() {
    let at = tempfile::tempdir().unwrap();
    let config = RecordsConfig { queue: 256, ..config(at.path()) };
    let mut recorder = Recorder::start(&config, Mode::Live).unwrap().unwrap();
    let total = 20_000;
    Call::new(1).assessed(|assessment| {
        for _ in 0..total {
            recorder.call(assessment, None);
        }
    });
    let stats = recorder.stats();
    let totals = recorder.finish();
    assert_eq!(totals.calls + totals.lost, total);
    assert!(totals.lost > 0, "the writer cannot keep up with a bare loop");
    assert_eq!(stats.queue_full.load(Ordering::Relaxed), totals.lost);
    assert_eq!(count(at.path()) as u64, totals.calls);
}

#[test]
fn a_folder_of_another_is_waited_for_while_calls_are_scored() {
    let at = tempfile::tempdir().unwrap();
    let other = WriterLock::make(at.path()).unwrap();
    assert!(matches!(
        Recorder::start(&config(at.path()), Mode::Replay),
        Err(RecordsError::InUse(_))
    ));
    let mut recorder = Recorder::start(&config(at.path()), Mode::Live).unwrap().unwrap();
    let stats = recorder.stats();
    until("recording is paused", || stats.paused.load(Ordering::Relaxed));
    Call::new(1).assessed(|assessment| recorder.call(assessment, None));
    until("the call is given up", || stats.disk.load(Ordering::Relaxed) == 1);
    drop(other);
    until("recording goes on", || !stats.paused.load(Ordering::Relaxed));
    Call::new(2).assessed(|assessment| recorder.call(assessment, None));
    let totals = recorder.finish();
    assert_eq!((totals.calls, totals.lost), (1, 1));
    assert_eq!(rows(at.path(), "SELECT call FROM calls"), ["3"]);
    // Nobody holds it any more.
    WriterLock::take(at.path()).unwrap();
}

#[test]
fn a_folder_that_can_never_be_one_is_refused_at_once() {
    let at = tempfile::tempdir().unwrap();
    let file = at.path().join("file");
    fs::write(&file, "x").unwrap();
    for mode in [Mode::Live, Mode::Replay] {
        let error = Recorder::start(&config(&file), mode).unwrap_err();
        assert!(error.to_string().contains("file"), "{error}");
    }
    assert!(Recorder::start(&RecordsConfig::default(), Mode::Live).unwrap().is_none());
}

#[test]
fn a_damaged_segment_is_set_aside_and_what_comes_before_is_kept() {
    let at = tempfile::tempdir().unwrap();
    // Two batches.
    record_live(at.path(), &calls(5_000));
    let segment = listing(at.path()).segments.remove(0).path;
    let whole = fs::read(&segment).unwrap();
    // Where the second batch begins: a marker, and the length of its description.
    let begins = |at: &usize| {
        let (marker, length) = (&whole[*at..at + 4], &whole[at + 4..at + 8]);
        let length = u32::from_le_bytes(length.try_into().unwrap());
        marker == [0xff; 4] && (1..65_536).contains(&length)
    };
    let second = (0..whole.len() - 8).step_by(8).rev().find(begins).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&segment).unwrap();
    file.write_all_at(&[0xff; 64], second as u64 + 8).unwrap();
    // Batches are of what came within half a second.
    let left = count(at.path());
    assert!((1..5_000).contains(&left), "{left}");
    let checked = check(at.path()).unwrap();
    assert_eq!((checked.rows, checked.segments), (left, vec![segment.clone()]));
    let kept = maintain(at.path(), &config(at.path()), Timestamp(START)).unwrap();
    assert_eq!((kept.segments, kept.damaged), (1, 1));
    assert_eq!(count(at.path()), left);
    let aside = &listing(at.path()).damaged;
    assert_eq!(aside.len(), 1);
    assert!(aside[0].to_string_lossy().ends_with(".arrows.damaged"));
    assert_eq!(check(at.path()).unwrap().damaged, *aside, "it is told until it is deleted");
}

#[test]
fn lengths_that_no_batch_has_are_damage_and_cost_no_memory() {
    let at = tempfile::tempdir().unwrap();
    record_live(at.path(), &calls(50));
    let segment = listing(at.path()).segments.remove(0).path;
    let whole = fs::read(&segment).unwrap();
    let mut readable = 0;
    // Eight bytes as a length of a petabyte, wherever one may stand.
    for at_byte in (0..whole.len() - 8).step_by(8) {
        let mut turned = whole.clone();
        turned[at_byte..at_byte + 8].copy_from_slice(&(1_u64 << 50).to_le_bytes());
        fs::write(&segment, &turned).unwrap();
        let mut reader = super::segment::Reader::open(&segment, None).unwrap();
        while let Some(batch) = reader.next() {
            readable += batch.num_rows();
        }
    }
    assert!(readable > 0);
}

#[test]
fn a_damaged_parquet_file_is_set_aside_and_the_rest_is_kept() {
    let at = tempfile::tempdir().unwrap();
    record(at.path(), &calls(100), &[]);
    let later: Vec<_> = (0..100).map(|i| Call { ts: START + HOUR, ..Call::new(100 + i) }).collect();
    record(at.path(), &later, &[]);
    let files = listing(at.path()).files;
    // Cut short, as a copy that was not finished.
    let bytes = fs::read(&files[0].path).unwrap();
    fs::write(&files[0].path, &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(count(at.path()), 100, "it is left out");
    let kept = maintain(at.path(), &config(at.path()), Timestamp(START)).unwrap();
    assert_eq!((kept.damaged, listing(at.path()).damaged.len()), (1, 1));
    // Damaged inside.
    damage(&files[1].path);
    let checked = check(at.path()).unwrap();
    assert_eq!((checked.files, checked.rows, checked.damaged.len()), (0, 0, 2));
    assert_eq!(count(at.path()), 0);
    record(at.path(), &calls(10), &[]);
    let checked = check(at.path()).unwrap();
    assert_eq!((checked.files, checked.rows), (1, 10));
}

#[test]
fn old_records_go_and_so_do_the_oldest_when_there_are_too_many() {
    let at = tempfile::tempdir().unwrap();
    for hour in 0..4 {
        let some: Vec<_> =
            (0..100).map(|i| Call { ts: START + hour * HOUR + i, ..Call::new(i) }).collect();
        record(at.path(), &some, &[change(1, hour * 3_600, Progress::Answered)]);
    }
    let now = Timestamp(START + 4 * HOUR);
    let hours =
        |hours| RecordsConfig { keep: Some(Duration::from_hours(hours)), ..config(at.path()) };
    assert_eq!(maintain(at.path(), &hours(24), now).unwrap().deleted, 0);
    // The first hour's calls and outcomes: older than three hours.
    let kept = maintain(at.path(), &hours(3), now).unwrap();
    assert_eq!(kept.deleted, 2);
    assert_eq!(count(at.path()), 300);
    let bytes = |kind| -> u64 {
        listing(at.path()).files.iter().filter(|f| f.kind == kind).map(|f| f.bytes).sum()
    };
    let (calls, outcomes) = (bytes(Kind::Calls), bytes(Kind::Outcomes));
    let most = RecordsConfig { most_bytes: Some(calls * 2 / 3 + outcomes), ..config(at.path()) };
    let kept = maintain(at.path(), &most, now).unwrap();
    assert!(kept.deleted >= 1 && kept.freed > 0);
    assert_eq!(count(at.path()), 200);
    assert_eq!(rows(at.path(), "SELECT min(ts) FROM calls"), ["2025-10-09T10:00:00Z"]);
    assert_eq!(maintain(at.path(), &most, now).unwrap().deleted, 0);
}

fn people() -> Vec<Call> {
    let of = |i, caller: &[u8], network, callee: &[u8], call_id: &[u8]| Call {
        caller: caller.to_vec(),
        network,
        callee: callee.to_vec(),
        call_id: call_id.to_vec(),
        ..Call::new(i)
    };
    let other = b"+442079460123";
    vec![
        of(0, b"+441632960001", None, other, b"a"),
        of(1, b"01632960001", None, other, b"b"),
        of(2, b"anonymous", Some("00441632960001"), other, b"c"),
        of(3, b"+442079460124", None, b"441632960001", b"d"),
        of(4, b"+442079460124", None, other, b"441632960001-77@192.0.2.1"),
        of(5, b"+441632960002", Some("+441632960002"), other, b"441632960002-1@192.0.2.1"),
        of(6, b"anonymous", None, other, b"g"),
    ]
}

#[test]
fn one_number_is_erased_in_every_form_and_place() {
    let at = tempfile::tempdir().unwrap();
    record(at.path(), &people(), &[]);
    // One more, still in a segment.
    record_live(at.path(), &[Call { key: 50, ..people().swap_remove(1) }]);
    let sought = Sought::parse("+44 1632 960001", Some(44)).unwrap();
    let erased = erase(at.path(), &config(at.path()), &sought, false).unwrap();
    assert_eq!((erased.rows, erased.files, erased.damaged.len()), (6, 2, 0));
    assert_eq!(rows(at.path(), "SELECT call FROM calls ORDER BY call"), ["6", "7"]);
    for file in fs::read_dir(at.path()).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(9).any(|bytes| bytes == b"632960001"));
    }
    let again = erase(at.path(), &config(at.path()), &sought, false).unwrap();
    assert_eq!((again.rows, again.files), (0, 0));
}

#[test]
fn a_number_is_erased_while_another_records() {
    let at = tempfile::tempdir().unwrap();
    let mut recorder = Recorder::start(&config(at.path()), Mode::Live).unwrap().unwrap();
    for call in people() {
        call.assessed(|assessment| recorder.call(assessment, None));
    }
    let stats = recorder.stats();
    until("the calls are written", || stats.calls.load(Ordering::Relaxed) == 7);
    let sought = Sought::parse("+441632960001", Some(44)).unwrap();
    let erased = erase(at.path(), &config(at.path()), &sought, false).unwrap();
    assert_eq!(erased.rows, 5);
    Call::new(70).assessed(|assessment| recorder.call(assessment, None));
    recorder.finish();
    assert_eq!(count(at.path()), 3);
}

#[test]
fn damaged_files_do_not_keep_a_number_from_being_erased() {
    let at = tempfile::tempdir().unwrap();
    record(at.path(), &people(), &[]);
    damage(&parquet(at.path()));
    record(at.path(), &people(), &[]);
    let sought = Sought::parse("+441632960001", Some(44)).unwrap();
    let erased = erase(at.path(), &config(at.path()), &sought, false).unwrap();
    assert_eq!((erased.rows, erased.damaged.len()), (5, 1));
    let erased = erase(at.path(), &config(at.path()), &sought, true).unwrap();
    assert_eq!((erased.rows, erased.damaged.len()), (0, 0));
    assert!(listing(at.path()).damaged.is_empty());
}

#[test]
fn old_numbers_become_pseudonyms_that_can_be_asked_for_and_erased() {
    let at = tempfile::tempdir().unwrap();
    record(at.path(), &people(), &[change(1, 9, Progress::Answered)]);
    let day = Duration::from_hours(24);
    let config = RecordsConfig { pseudonymise: Some(day), ..config(at.path()) };
    let at_once = maintain(at.path(), &config, Timestamp(START + HOUR)).unwrap();
    assert_eq!(at_once.pseudonymised, 0, "not yet");
    let now = Timestamp(START + 25 * HOUR);
    assert_eq!(maintain(at.path(), &config, now).unwrap().pseudonymised, 1);
    assert_eq!(maintain(at.path(), &config, now).unwrap().pseudonymised, 0, "once");
    let sql = "SELECT caller, network_number, callee, call_id, outcome FROM calls ORDER BY call";
    let told = rows(at.path(), sql);
    assert_eq!(told.len(), 7);
    // Of a Call-ID only the call's own numbers are known to be numbers.
    let theirs = |row: &&String| !row.contains("441632960001-77");
    // So many digits that no pseudonym has them by chance.
    let shows = |row: &String| row.contains("1632960") || row.contains("2079460");
    assert!(!told.iter().filter(theirs).any(shows), "{told:?}");
    assert!(told[6].starts_with("anonymous,") && told[6].contains(",g,"), "{}", told[6]);
    assert!(told[0].ends_with(",answered"), "outcomes stay: {}", told[0]);
    // One number, one pseudonym, which the number finds.
    let store = Store::open(at.path(), None).unwrap();
    let sought = Sought::parse("01632960001", Some(44)).unwrap();
    let pseudonym = store.forms(&sought).unwrap().pop().unwrap();
    let columns = "caller IN ($) OR network_number IN ($) OR callee IN ($)";
    let sql = format!("SELECT call FROM calls WHERE {columns} ORDER BY call");
    let found = rows(at.path(), &sql.replace('$', &super::query::quoted(&pseudonym)));
    assert_eq!(found, ["1", "2", "3", "4"]);
    let erased = erase(at.path(), &config, &sought, false).unwrap();
    // And the call that has it in its Call-ID.
    assert_eq!(erased.rows, 5);
    assert_eq!(count(at.path()), 2);
}

#[test]
fn bloom_filters_are_where_calls_are_looked_for() {
    let at = tempfile::tempdir().unwrap();
    record(at.path(), &calls(2_000), &[]);
    let file = fs::File::open(parquet(at.path())).unwrap();
    let reader =
        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let group = reader.metadata().row_group(0);
    for column in super::CALLS {
        let stored = group.columns().iter().find(|c| c.column_path().parts()[0] == column.name);
        let filter = stored.unwrap().bloom_filter_offset().is_some();
        assert_eq!(filter, column.bloom, "{}", column.name);
    }
}

#[test]
fn files_that_cannot_have_it_are_not_opened() {
    let at = tempfile::tempdir().unwrap();
    for hour in 0..3 {
        let of_hour = |i| Call { ts: START + hour * HOUR + i, ..Call::new(hour * 100 + i) };
        let calls: Vec<_> = (0..100).map(of_hour).collect();
        let over = |call: &Call| change(call.key, hour * 3_600 + 9, Progress::Rejected);
        record(at.path(), &calls, &calls.iter().map(over).collect::<Vec<_>>());
    }
    let [store, other] = [(); 2].map(|()| Store::open(at.path(), None).unwrap());
    store.keep(&std::sync::atomic::AtomicBool::new(false)).unwrap();
    // The first and the last of each kind can no longer be opened.
    let files = listing(at.path()).files;
    assert_eq!(files.len(), 6);
    for file in files.iter().filter(|file| file.times[0].0 / HOUR != (START + HOUR) / HOUR) {
        let out = fs::OpenOptions::new().write(true).open(&file.path).unwrap();
        out.write_all_at(&[0xff; 64], file.bytes - 100).unwrap();
    }
    let Call { key, call_id, caller, .. } = Call::new(150);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (call_id, caller) = (text(&call_id), text(&caller));
    for (table, condition, found) in [
        ("calls", format!("call_id = '{call_id}'"), "1"),
        ("calls", format!("'{call_id}' = call_id AND score < 101"), "1"),
        ("calls", format!("call = {key}"), "1"),
        ("calls", format!("call = {key} OR call_id = '{call_id}'"), "1"),
        ("calls", format!("caller IN ('{caller}', 'x') OR network_number = '{caller}'"), "1"),
        ("features", format!("call_id IN ('{call_id}', 'a', 'b', 'c', 'd', 'e')"), "1"),
        ("outcomes", format!("call = {key}"), "1"),
        ("outcomes", format!("call IN ({key}, 77777, 88888, 99999, 99998)"), "1"),
        ("calls", "call_id = 'nobody'".to_owned(), "0"),
        ("calls", "profile = '00000000000000ff'".to_owned(), "0"),
    ] {
        let sql = format!("SELECT count(*) FROM {table} WHERE {condition}");
        let answer = ask(&store, &sql, Format::Csv, &Limits::default());
        assert_eq!(answer.expect(&sql).lines().nth(1), Some(found), "{sql}");
        let answer = ask(&other, &sql, Format::Csv, &Limits::default());
        assert!(matches!(answer, Err(QueryError::Damaged(_))), "{sql}: {answer:?}");
    }
    // What tells nothing of keys, or may be true of any, asks all files.
    for condition in
        ["score < 101", "call_id <> 'x'", "NOT (call_id = 'x')", "lower(call_id) = 'x'"]
    {
        let sql = format!("SELECT count(*) FROM calls WHERE {condition}");
        let answer = ask(&store, &sql, Format::Csv, &Limits::default());
        assert!(matches!(answer, Err(QueryError::Damaged(_))), "{sql}: {answer:?}");
    }
}
