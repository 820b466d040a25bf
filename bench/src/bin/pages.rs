//! `pages`: how long the dashboard's pages wait for their answers over many stored calls.
//!
//! `pages FOLDER [CALLS]` makes a store of simulated calls that end now where there is none
//! (200,000 calls again and again, as other calls of other callers), serves it with the
//! scorer of the environment's `SCORER_BINARY` (or the one beside this program), and asks
//! what each page asks: the first time, and then again.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use scorer::{
    engine::{Engine, EngineConfig},
    features::names,
    history::Change,
    labels::{Label, Labels},
    model::Model,
    records::{Mode, Recorder, RecordsConfig},
    tap::wall,
    time::Timestamp,
};
use scorer_bench::calls::{Kept, traffic};
use scorer_tests::{http::Client, lab::Running};

/// Calls that are simulated; the others are these again.
const BASE: u64 = 200_000;
/// Over how many days the calls lie.
const DAYS: u64 = 10;
/// Labels, every other one fraud.
const LABELS: u64 = 2_000;
/// How often each is asked again.
const AGAIN: usize = 5;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let folder = PathBuf::from(args.next().context("usage: pages FOLDER [CALLS]")?);
    let calls = args.next().map_or(Ok(10_000_000), |calls| calls.parse())?;
    if !folder.join("records").is_dir() {
        make(&folder, calls)?;
    }
    let server = Serving::start(&folder)?;
    let pages = pages(&server.client)?;
    println!("| page | asks | first ms | again ms (median of {AGAIN}) |\n|---|---|---|---|");
    for (page, path) in &pages {
        let mut times = Vec::new();
        for _ in 0..=AGAIN {
            let start = Instant::now();
            let answer = server.client.get(path);
            let took = start.elapsed().as_secs_f64() * 1e3;
            if answer.status != 200 {
                println!("{path}: {} {}", answer.status, answer.body);
            }
            times.push(took);
        }
        let first = times.remove(0);
        times.sort_by(f64::total_cmp);
        println!("| {page} | `{path}` | {first:.0} | {:.0} |", times[AGAIN / 2]);
    }
    Ok(())
}

/// What the pages ask of the API: see scorer-userspace/web/src/pages.
fn pages(client: &Client) -> Result<Vec<(&'static str, String)>> {
    let mut all = Vec::new();
    for (since, bucket) in [("1h", "1m"), ("24h", "15m"), ("7d", "2h")] {
        all.push(("Overview", format!("/v1/reports/time?since={since}&bucket={bucket}")));
        for by in ["level", "tag", "reason", "caller_country", "trunk"] {
            all.push(("Overview", format!("/v1/reports/{by}?since={since}&limit=200")));
        }
    }
    let first = client.json("/v1/calls?limit=100");
    let of = |name: &str| -> Result<String> {
        let text = first["items"][0][name].as_str().context("there are calls")?;
        Ok(text.replace('+', "%2B"))
    };
    let old = client.json("/v1/calls?limit=1&until=20h")["items"][0]["call_id"].clone();
    let old = old.as_str().context("there are old calls")?;
    for path in [
        "/v1/calls?limit=100".to_owned(),
        "/v1/calls?limit=100&level=high".to_owned(),
        "/v1/calls?limit=100&tag=wangiri".to_owned(),
        "/v1/calls?limit=100&until=22h".to_owned(),
        format!("/v1/calls?limit=100&caller={}", of("caller")?),
        "/v1/calls?limit=100&outcome=cancelled".to_owned(),
    ] {
        all.push(("Calls", path));
    }
    all.push(("A call, new", format!("/v1/calls/{}", of("call_id")?)));
    all.push(("A call, old", format!("/v1/calls/{old}")));
    for order in ["calls", "score", "last"] {
        all.push(("Investigate", format!("/v1/profiles?order={order}&limit=100")));
    }
    all.push(("A profile", format!("/v1/profiles/{}", of("profile")?)));
    for path in [
        "/v1/reports/trends?unit=day&since=30d",
        "/v1/reports/trends?unit=week&since=26w",
        "/v1/reports/hour_of_week?since=30d&limit=168",
        "/v1/models",
        "/v1/models/calibration?since=30d",
    ] {
        all.push(("Trends", path.to_owned()));
    }
    for by in ["destination", "action", "callee_country", "fingerprint", "outcome"] {
        all.push(("(by API)", format!("/v1/reports/{by}?since=7d")));
    }
    all.push(("Lists", "/v1/lists?limit=500".to_owned()));
    all.push(("System", "/v1/system".to_owned()));
    Ok(all)
}

/// `scorer serve`, killed in the end.
struct Serving {
    _process: Running,
    client: Client,
}

impl Serving {
    fn start(folder: &Path) -> Result<Self> {
        let binary = match std::env::var_os("SCORER_BINARY") {
            Some(binary) => PathBuf::from(binary),
            None => std::env::current_exe()?.with_file_name("scorer"),
        };
        let config = folder.join("scorer.toml");
        let at = folder.display();
        fs::write(
            &config,
            format!(
                "records.folder = \"{at}/records\"\nlabels.path = \"{at}/labels.sqlite\"\n\
                 lists.store = \"{at}/lists.sqlite\"\napi.open_loopback = \"admin\"\n\
                 api.rate = 1000\n"
            ),
        )?;
        let mut child = Command::new(&binary)
            .args(["serve", "--listen", "127.0.0.1:0", "--config"])
            .arg(&config)
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let lines = BufReader::new(child.stderr.take().context("its output is piped")?).lines();
        for line in lines {
            let line = line?;
            let address = line.strip_prefix("serving on ").and_then(|rest| rest.split(';').next());
            if let Some(address) = address {
                let address: SocketAddr = address.parse()?;
                return Ok(Self { _process: Running(child), client: Client::tcp(address) });
            }
            eprintln!("{line}");
        }
        bail!("scorer serve ended")
    }
}

/// What is recorded, in its order.
enum Event {
    Call(Box<Kept>),
    Change(Change),
}

fn make(folder: &Path, calls: u64) -> Result<()> {
    let started = Instant::now();
    let model = Arc::new(Model::builtin(&names())?);
    let mut engine = Engine::new(&EngineConfig::default(), model)?;
    let mut events = Vec::new();
    traffic(BASE, &mut |frame| {
        engine.inspect(frame, &mut |call| events.push(Event::Call(Box::new(Kept::of(call)))));
        events.extend(engine.changes().map(Event::Change));
    })?;
    let at = |event: &Event| match event {
        Event::Call(call) => call.at(),
        Event::Change(change) => change.at,
    };
    let (first, last) = (at(&events[0]).0, at(events.last().context("there are calls")?).0);
    let rounds = calls.div_ceil(BASE);
    let span = DAYS * 86_400_000_000_000;
    let begin = wall().0 - span;
    let mut recorder = Recorder::start(
        &RecordsConfig {
            folder: Some(folder.join("records")),
            keep: None,
            ..RecordsConfig::default()
        },
        Mode::Replay,
    )?
    .context("there is a folder")?;
    for round in 0..rounds {
        // Spread evenly over its part of the time.
        let part = span / rounds;
        let moved = |at: Timestamp| {
            let share = (at.0 - first) as f64 / (last - first).max(1) as f64;
            Timestamp(begin + round * part + (share * part as f64) as u64)
        };
        for event in &events {
            match event {
                Event::Call(call) => {
                    call.record(&mut recorder, moved(call.at()), call.key() ^ round, Some(round));
                }
                Event::Change(change) => recorder.change(Change {
                    call: change.call ^ round,
                    at: moved(change.at),
                    ..*change
                }),
            }
        }
        eprint!("\r{} of {rounds} parts", round + 1);
    }
    let totals = recorder.finish();
    eprintln!(
        "\n{} calls, {} outcomes written in {:.0} s",
        totals.calls,
        totals.outcomes,
        started.elapsed().as_secs_f64()
    );
    label(folder, &labelled(&events, rounds))
}

/// Call-IDs over the whole time.
fn labelled(events: &[Event], rounds: u64) -> Vec<String> {
    let kept: Vec<&Kept> = events
        .iter()
        .filter_map(|event| match event {
            Event::Call(call) => Some(&**call),
            Event::Change(_) => None,
        })
        .collect();
    (0..LABELS)
        .map(|label| {
            let call = kept[(label * 7_919) as usize % kept.len()];
            call.call_id(Some(label % rounds))
        })
        .collect()
}

fn label(folder: &Path, ids: &[String]) -> Result<()> {
    let labels = Labels::open(&folder.join("labels.sqlite"))?;
    let now = i64::try_from(wall().0 / 1_000_000_000)?;
    for (i, id) in ids.iter().enumerate() {
        labels.add(&Label {
            call_id: id.clone(),
            fraud: i % 2 == 0,
            by: "bench".into(),
            at: now - (i as i64 * 400) % (DAYS as i64 * 86_400),
            weight: 1.0,
            note: String::new(),
        })?;
    }
    Ok(())
}
