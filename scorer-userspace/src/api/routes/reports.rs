//! `GET /v1/reports/{by}`: calls counted.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use axum::{Json, extract::State, response::IntoResponse};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{
    Api,
    access::Viewer,
    ask::{Questions, in_sql, talked},
    extract::{Asked, Named},
    item::Item,
    problem::Problem,
};
use super::calls::{item_of, span};
use crate::{
    features::by_name,
    number,
    records::{self, Count, NONE, query::area},
    time::Timestamp,
};

/// Rows of a report, unless asked otherwise, and at most.
const ROWS: (usize, usize) = (50, 500);
/// Steps of time in a report at most.
const STEPS: u64 = 2_000;
const HOUR: u64 = 3_600_000_000_000;

/// By what calls are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Time,
    HourOfWeek,
    Outcome,
    Key(records::By),
}

impl By {
    const ALL: [(Self, &'static str); 12] = [
        (Self::Time, "time"),
        (Self::Key(records::By::Level), "level"),
        (Self::Key(records::By::Tag), "tag"),
        (Self::Key(records::By::Reason), "reason"),
        (Self::Key(records::By::CallerCountry), "caller_country"),
        (Self::Key(records::By::CalleeCountry), "callee_country"),
        (Self::Key(records::By::Trunk), "trunk"),
        (Self::Key(records::By::Destination), "destination"),
        (Self::Outcome, "outcome"),
        (Self::Key(records::By::Action), "action"),
        (Self::Key(records::By::Fingerprint), "fingerprint"),
        (Self::HourOfWeek, "hour_of_week"),
    ];

    fn read(name: &str) -> Result<Self, Problem> {
        let found = Self::ALL.into_iter().find(|(_, known)| *known == name);
        found.map(|(by, _)| by).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|(_, name)| *name).collect();
            Problem::not_found(format!("reports are by {} and trends", names.join(", ")))
        })
    }

    /// The keys of a call in memory.
    fn keys(self, item: &Item, ts: u64, bucket: u64) -> Vec<String> {
        let some = |text: Option<&str>| vec![text.unwrap_or(NONE).to_owned()];
        match self {
            Self::Time => vec![(ts / bucket * bucket).to_string()],
            Self::HourOfWeek => vec![hour_of_week(ts).to_string()],
            Self::Outcome => some(item.outcome.as_deref()),
            Self::Key(by) => match by {
                records::By::Level => vec![item.level.clone()],
                records::By::Tag => item.tags.clone(),
                records::By::Reason => {
                    item.reasons.iter().map(|reason| reason.feature.clone()).collect()
                }
                records::By::CallerCountry => some(item.caller_country),
                records::By::CalleeCountry => some(item.callee_country),
                records::By::Trunk => some(item.trunk.as_deref()),
                records::By::Destination => some(item.callee.as_deref().map(area)),
                records::By::Action => vec![item.action.clone()],
                records::By::Fingerprint => vec![item.fingerprint.clone()],
            },
        }
    }
}

/// One report.
pub(in crate::api) async fn report(
    State(api): State<Arc<Api>>,
    Viewer(_): Viewer,
    Named(by): Named<String>,
    mut asked: Asked,
) -> Result<impl IntoResponse, Problem> {
    let kind = By::read(&by)?;
    let [since, until] = span(&mut asked, "24h")?;
    let bucket = bucket(asked.text("bucket"), since, until)?;
    if kind == By::Time && (until.0 - since.0) / bucket > STEPS {
        return Err(Problem::wrong(format!(
            "that would be more than {STEPS} steps; ask for a longer bucket or a shorter time"
        )));
    }
    let limit = match asked.number("limit")? {
        None => {
            if matches!(kind, By::Time | By::HourOfWeek) {
                STEPS as usize
            } else {
                ROWS.0
            }
        }
        Some(limit) if (1..=ROWS.1).contains(&limit) => limit,
        Some(_) => return Err(Problem::wrong(format!("limit is a number from 1 to {}", ROWS.1))),
    };
    asked.done()?;
    let rows = match &api.records {
        Some(records) => stored(&api, records, kind, [since, until], bucket, limit).await?,
        None => remembered(&api, kind, [since, until], bucket, limit).await?,
    };
    Ok(Json(json!({
        "by": by,
        "since": since.to_string(),
        "until": until.to_string(),
        "rows": rows,
    })))
}

/// A step of time, nanoseconds: as asked, or one that gives about a hundred.
fn bucket(asked: Option<String>, since: Timestamp, until: Timestamp) -> Result<u64, Problem> {
    let span = until.0 - since.0;
    let second = 1_000_000_000;
    let bucket = match asked {
        Some(text) => {
            let now = Timestamp(i64::MAX as u64);
            let ago = text.ends_with(|unit: char| unit.is_ascii_alphabetic());
            let asked = ago.then(|| Timestamp::asked(&text, now)).flatten();
            let bucket = asked.map_or(0, |then| now.0 - then.0);
            if bucket < second {
                return Err(Problem::wrong("bucket is a time such as 60s, 5m, 1h, 1d"));
            }
            bucket
        }
        None => [1, 5, 10, 30, 60, 300, 600, 1_800, 3_600, 10_800, 43_200, 86_400]
            .into_iter()
            .map(|seconds| seconds * second)
            .find(|bucket| span / bucket <= 120)
            .unwrap_or(7 * 86_400 * second),
    };
    Ok(bucket)
}

/// Counts of stored calls.
async fn stored(
    api: &Arc<Api>,
    records: &Questions,
    by: By,
    span: [Timestamp; 2],
    bucket: u64,
    limit: usize,
) -> Result<Vec<Value>, Problem> {
    let mut rows: Vec<(String, Count)> = match by {
        By::Time => {
            let counts = records.counted(span, move |tally, span| tally.over(span, bucket)).await?;
            counts.into_iter().map(|(at, count)| (at.to_string(), count)).collect()
        }
        By::HourOfWeek => {
            let counts = records.counted(span, |tally, span| tally.over(span, HOUR)).await?;
            let mut hours = [Count::default(); 168];
            for (at, count) in counts {
                hours[hour_of_week(at)].add(count);
            }
            let rows = hours.into_iter().enumerate().filter(|(_, count)| count.calls > 0);
            rows.map(|(hour, count)| (hour.to_string(), count)).collect()
        }
        By::Outcome => outcomes(records, span).await?,
        By::Key(by) => {
            let counts = records.counted(span, move |tally, span| tally.by(by, span)).await?;
            counts.into_iter().map(|(key, count)| (told_key(by, &key), count)).collect()
        }
    };
    if !matches!(by, By::Time | By::HourOfWeek) {
        rows.sort_by(|(a, x), (b, y)| y.calls.cmp(&x.calls).then_with(|| a.cmp(b)));
    }
    rows.truncate(limit);
    let mut labelled = HashMap::new();
    for (ts, item, fraud) in super::super::labelled::labelled(api).await? {
        if fraud && ts >= span[0] && ts < span[1] {
            for key in by.keys(&item, ts.0, bucket) {
                *labelled.entry(key).or_insert(0) += 1;
            }
        }
    }
    Ok(rows
        .into_iter()
        .map(|(key, count)| {
            let frauds = labelled.get(&key).copied().unwrap_or(0);
            let mean = count.score as f64 / count.calls.max(1) as f64;
            told(by, &key, [count.calls, count.high, frauds], mean)
        })
        .collect())
}

/// A key as it is told: of a country code its country.
fn told_key(by: records::By, key: &str) -> String {
    match by {
        records::By::CallerCountry | records::By::CalleeCountry => match key.parse() {
            Ok(code) => number::country(code).map_or_else(|| format!("+{code}"), str::to_owned),
            Err(_) => key.to_owned(),
        },
        _ => key.to_owned(),
    }
}

/// Of a time, nanoseconds since 1970, which began on a Thursday; weeks begin on Monday.
fn hour_of_week(ts: u64) -> usize {
    ((ts / HOUR + 72) % 168) as usize
}

/// Calls by outcome. It comes after the call, so no count of a file has it.
async fn outcomes(
    records: &Questions,
    [since, until]: [Timestamp; 2],
) -> Result<Vec<(String, Count)>, Problem> {
    #[derive(Debug, Deserialize)]
    struct Row {
        key: String,
        calls: u64,
        high: u64,
        score: u64,
    }
    let (since_sql, until_sql) = (in_sql(since), in_sql(until));
    let end = in_sql(talked(until));
    // Joined here, each side cut to its time, since the other side is smaller.
    let rows: Vec<Row> = records
        .rows(format!(
            "SELECT coalesce(o.outcome, '{NONE}') AS key, count(*) AS calls, \
             sum(CASE WHEN c.level IN ('high', 'critical') THEN 1 ELSE 0 END) AS high, \
             sum(c.score) AS score FROM \
             (SELECT call, last_value(outcome ORDER BY ts) AS outcome FROM outcomes \
              WHERE ts >= {since_sql} AND ts < {end} GROUP BY call) o \
             RIGHT JOIN (SELECT call, level, score FROM calls \
              WHERE ts >= {since_sql} AND ts < {until_sql}) c ON o.call = c.call GROUP BY 1"
        ))
        .await?;
    Ok(rows
        .into_iter()
        .map(|Row { key, calls, high, score }| (key, Count { calls, high, score }))
        .collect())
}

/// A row as it is told.
fn told(by: By, key: &str, [calls, high, frauds]: [u64; 3], score: f64) -> Value {
    let mut row = json!({
        "key": key,
        "calls": calls,
        "high": high,
        "fraud_labels": frauds,
        "score_avg": (score * 10.0).round() / 10.0,
    });
    match by {
        By::Time => {
            let ts = Timestamp(key.parse().unwrap_or_default()).to_string();
            row["key"] = json!(ts);
            row["ts"] = json!(ts);
        }
        By::Key(records::By::Reason) => {
            if let Some(feature) = by_name(key) {
                row["text"] = json!(crate::features::REGISTRY[usize::from(feature)].doc);
            }
        }
        _ => {}
    }
    row
}

async fn remembered(
    api: &Arc<Api>,
    by: By,
    [since, until]: [Timestamp; 2],
    bucket: u64,
    limit: usize,
) -> Result<Vec<Value>, Problem> {
    let Some(live) = &api.live else {
        return Err(Problem::not_found(
            "there are no records: give --records FOLDER or set records.folder",
        ));
    };
    let kept: Vec<_> = live.memory().latest().cloned().collect();
    let mut items: Vec<_> = kept
        .iter()
        .filter(|kept| (since.0..until.0).contains(&kept.seen.slot.ts))
        .map(|kept| (kept.seen.slot.ts, item_of(kept)))
        .collect();
    let mut labelled: Vec<_> = items.iter().map(|(_, item)| item.clone()).collect();
    super::calls::label(api, &mut labelled).await?;
    for ((_, item), with) in items.iter_mut().zip(labelled) {
        item.label = with.label;
    }
    let mut counts: BTreeMap<String, ([u64; 3], f64)> = BTreeMap::new();
    for (ts, item) in &items {
        for key in by.keys(item, *ts, bucket) {
            let (count, score) = counts.entry(key).or_default();
            count[0] += 1;
            count[1] += u64::from(matches!(item.level.as_str(), "high" | "critical"));
            count[2] += u64::from(item.label == Some("fraud"));
            *score += f64::from(item.score);
        }
    }
    let mut rows: Vec<_> = counts.into_iter().collect();
    if by == By::HourOfWeek {
        rows.sort_by_key(|(key, _)| key.parse::<u64>().unwrap_or_default());
    } else if by != By::Time {
        rows.sort_by_key(|(_, (count, _))| std::cmp::Reverse(count[0]));
    }
    rows.truncate(limit);
    Ok(rows
        .into_iter()
        .map(|(key, (count, score))| told(by, &key, count, score / count[0].max(1) as f64))
        .collect())
}
