//! What lists and policy cost a call.
//!
//! `cargo bench -p scorer-bench --bench lists` prints a look-up among a million entries
//! beside the same question to a `HashMap<String, _>` and to SQLite, and a decision of
//! fifty rules beside one of one rule, in CPU time of the thread; they mean something
//! beside each other, in one run on one machine.

use std::{collections::HashMap, fmt::Write as _, hint::black_box, path::Path, time::Duration};

use criterion::{Bencher, Criterion, Throughput, criterion_group, criterion_main};
use nix::time::{ClockId, clock_gettime};
use scorer::{
    env::Trunks,
    lists::{Entry, Hits, List, ListSet, Lists, Query},
    number::Number,
    policy::{Facts, Policy, Site},
    time::Timestamp,
    verdict::Thresholds,
};
use scorer_common::verdict::{Tag, Tags};

/// Entries of the lists.
const ENTRIES: usize = 1_000_000;
/// Of these, numbers; ranges, prefixes and fingerprints are the rest.
const NUMBERS: usize = 900_000;
/// Numbers that are asked about, in turn: too many for the caches of a core.
const ASKED: usize = 1 << 18;

/// The `i`th number, in no order, none twice: made-up digits behind a country code that
/// is not assigned.
fn number(i: usize) -> String {
    // Odd, and no multiple of 5: every remainder comes up once.
    format!("+999{:09}", i * 7_368_787 % 1_000_000_000)
}

/// Values of the entries with their lists.
fn entries() -> Vec<(List, String)> {
    let numbers = (0..NUMBERS).map(|i| {
        let list = if i % 10 == 0 { List::AllowNumber } else { List::DenyNumber };
        (list, number(i))
    });
    let rest = (0..ENTRIES - NUMBERS).map(|i| match i % 4 {
        0 => (List::DenyRange, format!("+899{:06}", i * 7 % 1_000_000)),
        1 => {
            (List::DenySource, format!("10.{}.{}.{}/28", i >> 14, i >> 6 & 255, (i >> 2 & 15) << 4))
        }
        2 => (List::DenyFingerprint, format!("{:016x}", hash(i))),
        _ => (List::DenyProfile, format!("{:016x}", hash(i))),
    });
    numbers.chain(rest).collect()
}

/// Made up, and never 0.
fn hash(i: usize) -> u64 {
    (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Numbers asked about: of ten, `listed` are on a list.
fn asked(listed: usize) -> Vec<String> {
    let number_of = |i: usize| {
        if i % 10 < listed { number(i * 3 % NUMBERS) } else { number(NUMBERS + i) }
    };
    (0..ASKED).map(number_of).collect()
}

fn lists(c: &mut Criterion) {
    let entries = entries();
    let all = entries.iter().map(|(list, value)| Entry {
        list: *list,
        value,
        reason: "",
        expires: None,
        from: "",
        row: None,
        organisations: 0,
        shared_at: 0,
    });
    let lists = Lists::from_entries(all, &Trunks::default(), None).expect("good entries");
    assert_eq!(lists.len(), ENTRIES);
    println!("the index takes {} bytes an entry", lists.bytes() / ENTRIES);
    let map: HashMap<String, List> =
        entries.iter().map(|(list, value)| (value.clone(), *list)).collect();
    let base = database(&entries);
    let mut select = base.prepare("SELECT list FROM entry WHERE value = ?").expect("a statement");

    let mut group = c.benchmark_group("lists of 1,000,000");
    group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(2));
    group.throughput(Throughput::Elements(1));
    for (name, listed) in [("none of them listed", 0), ("one in ten listed", 1)] {
        let texts = asked(listed);
        let numbers: Vec<_> =
            texts.iter().filter_map(|text| Number::parse(text.as_bytes(), None)).collect();
        assert_eq!(numbers.len(), ASKED);
        // What one call asks: two numbers, fingerprint, profile, source, trunk.
        let look = |i: usize, network: Option<usize>| {
            let (fingerprint, profile) = (hash(i) ^ 1, hash(i) ^ 2);
            lists.look(&Query {
                shown: Some(&numbers[i]),
                network: network.map(|at| &numbers[at]),
                fingerprint,
                profile,
                source: [203, 0, (i >> 8) as u8, i as u8].into(),
                trunk: None,
                now: Timestamp::new(1, 0),
            })
        };
        let found = (0..ASKED).filter(|i| look(*i, None).lists != ListSet::default()).count();
        assert_eq!(found, (0..ASKED).filter(|i| i % 10 < listed).count());
        let mut i = 0;
        let mut next = move || {
            i = (i + 1) % ASKED;
            i
        };
        group.bench_function(format!("a number, {name}"), |b| {
            timed(b, || {
                let query = Query {
                    shown: Some(&numbers[next()]),
                    network: None,
                    fingerprint: 0,
                    profile: 0,
                    source: [203, 0, 113, 1].into(),
                    trunk: None,
                    now: Timestamp::new(1, 0),
                };
                lists.look(&query).deny.is_some()
            });
        });
        group.bench_function(format!("a number, source, fingerprint, profile, {name}"), |b| {
            timed(b, || look(next(), None).deny.is_some());
        });
        group.bench_function(format!("two numbers, source, fingerprint, profile, {name}"), |b| {
            timed(b, || {
                let at = next();
                look(at, Some(ASKED - 1 - at)).deny.is_some()
            });
        });
        group.bench_function(format!("std HashMap<String, _>, one key, {name}"), |b| {
            timed(b, || map.contains_key(black_box(&texts[next()])));
        });
        group.bench_function(format!("SQLite in memory, one key, {name}"), |b| {
            timed(b, || select.exists([&texts[next()]]).expect("asked"));
        });
    }
    let none = Lists::default();
    group.bench_function("no lists", |b| {
        timed(b, || {
            let query = Query {
                shown: None,
                network: None,
                fingerprint: 1,
                profile: 2,
                source: [203, 0, 113, 1].into(),
                trunk: None,
                now: Timestamp::new(1, 0),
            };
            none.look(black_box(&query)) == Hits::default()
        });
    });
    group.finish();
}

/// Measures the thread's CPU time: unlike the clock's it does not grow with what else the
/// machine does, but for its caches.
fn timed<T>(b: &mut Bencher<'_>, mut work: impl FnMut() -> T) {
    b.iter_custom(|count| {
        let start = cpu_time();
        for _ in 0..count {
            black_box(work());
        }
        cpu_time().saturating_sub(start)
    });
}

fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock").into()
}

/// The same entries, by value.
fn database(entries: &[(List, String)]) -> rusqlite::Connection {
    let mut base = rusqlite::Connection::open_in_memory().expect("memory");
    let table = "CREATE TABLE entry (value TEXT PRIMARY KEY, list TEXT NOT NULL) WITHOUT ROWID";
    base.execute_batch(table).expect("a table");
    let all = base.transaction().expect("a transaction");
    {
        let mut insert =
            all.prepare("INSERT OR IGNORE INTO entry VALUES (?, ?)").expect("a statement");
        for (list, value) in entries {
            insert.execute([value, list.name()]).expect("inserted");
        }
    }
    all.commit().expect("committed");
    base
}

/// Fifty rules of all kinds of conditions, of which most calls match the default only.
fn fifty() -> String {
    let mut text = String::from(
        "time_zone = \"Europe/London\"\n[default]\naction = \"tag\"\n[destinations]\n",
    );
    for i in 0..10 {
        let _ = writeln!(text, "d{i} = [\"+4420794{i:02}\", \"+44163296{i}000-+44163296{i}499\"]");
    }
    for i in 0..50 {
        let _ = writeln!(
            text,
            "[[rule]]\nname = \"r{i}\"\naction = \"reject\"\nscore_from = {}",
            50 + i
        );
        let _ = match i % 5 {
            0 => writeln!(text, "destination = \"d{}\"\ntags_any = [\"voip\", \"spoofed\"]", i / 5),
            1 => writeln!(
                text,
                "network_number = \"+336{i:02}\"\ntime = \"22:00-06:00\"\nweekday = \"mon-fri\"\nwithheld = true"
            ),
            2 => {
                writeln!(
                    text,
                    "caller_country = [33, {}]\nlists_any = \"deny_source\"",
                    [31, 32, 34, 39, 41, 43, 45, 46, 47, 48][i / 5]
                )
            }
            3 => writeln!(
                text,
                "source = [\"10.{i}.0.0/16\", \"192.0.2.0/28\"]\ntags_none = \"attested\""
            ),
            _ => {
                writeln!(text, "trunk = \"t{i}\"\nlevel = [\"high\", \"critical\"]\ndry_run = true")
            }
        };
    }
    text
}

fn policy(c: &mut Criterion) {
    let trunks = (0..50).map(|i| format!("t{i}")).collect();
    let site =
        Site { home_country: Some(44), levels: Some(Thresholds::default()), trunks: Some(trunks) };
    let policy = Policy::parse(&fifty(), Path::new("fifty.toml"), &site).expect("a policy");
    assert_eq!((policy.rules().len(), policy.warnings().len()), (50, 0), "{:?}", policy.warnings());
    let one = "[[rule]]\nname = \"r\"\nscore_from = 90\naction = \"reject\"\n";
    let one = Policy::parse(one, Path::new("one.toml"), &site).expect("a policy");
    let calls: Vec<_> = (0..4_096usize)
        .map(|i| {
            let score = (i * 37 % 101) as u8;
            let mut tags = Tags::NONE;
            tags.set(Tag::Voip, i % 3 == 0);
            tags.set(Tag::Attested, i % 5 == 0);
            let caller = Number::parse(format!("+44163296{:04}", i % 1_000).as_bytes(), None);
            Facts {
                score,
                level: Thresholds::default().level(score),
                tags,
                lists: ListSet::default(),
                caller,
                network: caller,
                callee: Number::parse(format!("+4420794{:05}", i * 7 % 10_000).as_bytes(), None),
                withheld: i % 11 == 0,
                trunk: Some(["t4", "t9", "none"][i % 3]),
                source: [192, 0, 2, i as u8].into(),
                time: Timestamp::new(1_760_000_000 + i as u64 * 600, 0),
            }
        })
        .collect();
    let decided = calls.iter().filter(|call| policy.decide_unseen(call).rule.is_some()).count();
    println!("of {} calls a rule of the fifty decides {decided}", calls.len());
    assert!(decided > 100 && decided < 4_000);
    let mut group = c.benchmark_group("policy");
    group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(2));
    group.throughput(Throughput::Elements(1));
    for (name, policy) in [("one rule", &one), ("fifty rules", &policy)] {
        let mut call = calls.iter().cycle();
        group.bench_function(name, |b| {
            timed(b, || call.next().map(|call| policy.decide(call).action));
        });
    }
    // The plain reading, which also says why: what the compiled rules stand for.
    let mut call = calls.iter().cycle();
    group.bench_function("fifty rules, read one by one and explained", |b| {
        timed(b, || call.next().map(|call| policy.explain(call, false).looked.len()));
    });
    group.finish();
}

criterion_group!(benches, lists, policy);
criterion_main!(benches);
