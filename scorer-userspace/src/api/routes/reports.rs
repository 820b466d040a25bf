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
    ask::{Questions, in_sql},
    extract::{Asked, Named},
    item::Item,
    problem::Problem,
};
use super::calls::{item_of, span};
use crate::{
    features::by_name,
    labels::Labels,
    number,
    records::query::{area, quoted},
    time::Timestamp,
};

/// Rows of a report, unless asked otherwise, and at most.
const ROWS: (usize, usize) = (50, 500);
/// Steps of time in a report at most.
const STEPS: u64 = 2_000;
/// Fraud labels that are counted in at most, the last ones.
const LABELS: usize = 5_000;
/// How long a call's outcome may come after it.
const TALK: u64 = 24 * 3_600 * 1_000_000_000;

/// By what calls are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Time,
    Level,
    Tag,
    Reason,
    CallerCountry,
    CalleeCountry,
    Trunk,
    Destination,
    Outcome,
    Action,
    Fingerprint,
    HourOfWeek,
}

impl By {
    const ALL: [(Self, &'static str); 12] = [
        (Self::Time, "time"),
        (Self::Level, "level"),
        (Self::Tag, "tag"),
        (Self::Reason, "reason"),
        (Self::CallerCountry, "caller_country"),
        (Self::CalleeCountry, "callee_country"),
        (Self::Trunk, "trunk"),
        (Self::Destination, "destination"),
        (Self::Outcome, "outcome"),
        (Self::Action, "action"),
        (Self::Fingerprint, "fingerprint"),
        (Self::HourOfWeek, "hour_of_week"),
    ];

    fn read(name: &str) -> Result<Self, Problem> {
        let found = Self::ALL.into_iter().find(|(_, known)| *known == name);
        found.map(|(by, _)| by).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|(_, name)| *name).collect();
            Problem::not_found(format!("reports are by {} and trends", names.join(", ")))
        })
    }

    /// The key in SQL; `bucket` in nanoseconds.
    fn sql(self, bucket: u64) -> String {
        match self {
            Self::Time => format!("CAST(ts AS BIGINT) / {bucket} * {bucket}"),
            Self::Level => "level".into(),
            Self::Tag => "unnest(tags)".into(),
            Self::Reason => "unnest(reasons)".into(),
            Self::CallerCountry => "caller_country_code".into(),
            Self::CalleeCountry => "callee_country_code".into(),
            Self::Trunk => "trunk".into(),
            Self::Destination => "area(callee)".into(),
            Self::Outcome => "outcome".into(),
            Self::Action => "action".into(),
            Self::Fingerprint => "fingerprint".into(),
            // 1970 began on a Thursday; weeks on Monday.
            Self::HourOfWeek => "(CAST(ts AS BIGINT) / 3600000000000 + 72) % 168".into(),
        }
    }

    /// The keys of a call in memory.
    fn keys(self, item: &Item, ts: u64, bucket: u64) -> Vec<String> {
        let some = |text: Option<&str>| vec![text.unwrap_or("none").to_owned()];
        match self {
            Self::Time => vec![(ts / bucket * bucket).to_string()],
            Self::Level => vec![item.level.clone()],
            Self::Tag => item.tags.clone(),
            Self::Reason => item.reasons.iter().map(|reason| reason.feature.clone()).collect(),
            Self::CallerCountry => some(item.caller_country),
            Self::CalleeCountry => some(item.callee_country),
            Self::Trunk => some(item.trunk.as_deref()),
            Self::Destination => vec![area(item.callee.as_deref().unwrap_or_default()).to_owned()],
            Self::Outcome => some(item.outcome.as_deref()),
            Self::Action => vec![item.action.clone()],
            Self::Fingerprint => vec![item.fingerprint.clone()],
            Self::HourOfWeek => vec![((ts / 3_600_000_000_000 + 72) % 168).to_string()],
        }
    }
}

/// A row as SQL gives it.
#[derive(Clone, Debug, Default, Deserialize)]
struct Row {
    #[serde(default)]
    key: Value,
    calls: u64,
    #[serde(default)]
    high: u64,
    #[serde(default)]
    score: f64,
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

/// Calls of a time, each with its keys.
fn keyed(by: By, [since, until]: [Timestamp; 2], bucket: u64, more: &str) -> String {
    let (since_sql, until_sql) = (in_sql(since), in_sql(until));
    let calls = format!("FROM calls WHERE ts >= {since_sql} AND ts < {until_sql}{more}");
    let key = by.sql(bucket);
    match by {
        By::Reason => {
            format!(
                "SELECT r['feature'] AS key, level, score FROM (SELECT {key} AS r, level, score {calls})"
            )
        }
        // Joined here, each side cut to its time, since the other side is smaller.
        By::Outcome => {
            let end = in_sql(Timestamp(until.0.saturating_add(TALK).min(i64::MAX as u64)));
            format!(
                "SELECT coalesce(o.outcome, 'none') AS key, c.level, c.score FROM \
                 (SELECT call, last_value(outcome ORDER BY ts) AS outcome FROM outcomes \
                  WHERE ts >= {since_sql} AND ts < {end} GROUP BY call) o \
                 RIGHT JOIN (SELECT call, level, score {calls}) c ON o.call = c.call"
            )
        }
        _ => format!("SELECT {key} AS key, level, score {calls}"),
    }
}

async fn stored(
    api: &Arc<Api>,
    records: &Questions,
    by: By,
    span: [Timestamp; 2],
    bucket: u64,
    limit: usize,
) -> Result<Vec<Value>, Problem> {
    let order = if matches!(by, By::Time | By::HourOfWeek) { "key" } else { "calls DESC, key" };
    let counted = |inner: &str| {
        format!(
            "SELECT key, count(*) AS calls, sum(CASE WHEN level IN ('high', 'critical') THEN 1 ELSE 0 END) AS high, \
             avg(score) AS score FROM ({inner}) GROUP BY key ORDER BY {order} LIMIT {limit}"
        )
    };
    let rows: Vec<Row> = records.rows(counted(&keyed(by, span, bucket, ""))).await?;
    let frauds = frauds(api).await?;
    let mut labelled = HashMap::new();
    if !frauds.is_empty() {
        let ids: Vec<_> = frauds.iter().map(|id| quoted(id)).collect();
        // A list longer than a query may be is asked in parts.
        for ids in ids.chunks(500) {
            let more = format!(" AND call_id IN ({})", ids.join(", "));
            let inner = keyed(by, span, bucket, &more);
            let sql = format!("SELECT key, count(*) AS calls FROM ({inner}) GROUP BY key");
            for row in records.rows::<Row>(sql).await? {
                *labelled.entry(row.key.to_string()).or_insert(0) += row.calls;
            }
        }
    }
    Ok(rows
        .into_iter()
        .map(|row| {
            let frauds = labelled.get(&row.key.to_string()).copied().unwrap_or(0);
            let key = match (&row.key, by) {
                (Value::Number(code), By::CallerCountry | By::CalleeCountry) => code
                    .as_u64()
                    .and_then(|code| u16::try_from(code).ok())
                    .map(|code| number::country(code).map_or(format!("+{code}"), str::to_owned)),
                (Value::Number(number), _) => Some(number.to_string()),
                (Value::String(text), _) => Some(text.clone()),
                _ => None,
            };
            told(by, key.as_deref().unwrap_or("none"), [row.calls, row.high, frauds], row.score)
        })
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
        By::Reason => {
            if let Some(feature) = by_name(key) {
                row["text"] = json!(crate::features::REGISTRY[usize::from(feature)].doc);
            }
        }
        _ => {}
    }
    row
}

/// Call-IDs that were labelled fraud, the last ones.
pub(in crate::api) async fn frauds(api: &Arc<Api>) -> Result<Vec<String>, Problem> {
    let Some(path) = api.labels.clone().filter(|path| path.exists()) else {
        return Ok(Vec::new());
    };
    let read = tokio::task::spawn_blocking(move || {
        let mut ids = std::collections::VecDeque::new();
        Labels::open(&path)?.counting(|label| {
            if label.fraud {
                if ids.len() == LABELS {
                    ids.pop_front();
                }
                ids.push_back(label.call_id);
            }
        })?;
        Ok::<_, crate::labels::LabelError>(ids.into())
    });
    Ok(read.await.map_err(|error| Problem::internal(&error))??)
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

#[derive(Debug, Deserialize)]
struct Share {
    at: u64,
    #[serde(default)]
    key: Value,
    calls: u64,
    #[serde(default)]
    high: u64,
}

/// `GET /v1/reports/trends`: tags, countries and labels over days or weeks.
pub(in crate::api) async fn trends(
    State(api): State<Arc<Api>>,
    Viewer(_): Viewer,
    mut asked: Asked,
) -> Result<impl IntoResponse, Problem> {
    let (unit, usual) = match asked.text("unit").as_deref() {
        None | Some("day") => ("day", "30d"),
        Some("week") => ("week", "26w"),
        Some(_) => return Err(Problem::wrong("unit is day or week")),
    };
    let [since, until] = span(&mut asked, usual)?;
    asked.done()?;
    let day = 86_400_000_000_000u64;
    // 1970 began on a Thursday; weeks on Monday.
    let (step, shift) = if unit == "week" { (7 * day, 3 * day) } else { (day, 0) };
    if (until.0 - since.0) / step > 400 {
        return Err(Problem::wrong(format!("since is more than 400 {unit}s ago")));
    }
    let records = api.records.as_ref().ok_or_else(|| {
        Problem::not_found("there are no records: give --records FOLDER or set records.folder")
    })?;
    let at = format!("(CAST(ts AS BIGINT) + {shift}) / {step} * {step} - {shift}");
    let time = format!("ts >= {} AND ts < {}", in_sql(since), in_sql(until));
    let all: Vec<Share> = records
        .rows(format!(
            "SELECT at, count(*) AS calls, sum(CASE WHEN level IN ('high', 'critical') THEN 1 ELSE 0 END) AS high \
             FROM (SELECT {at} AS at, level FROM calls WHERE {time}) GROUP BY at ORDER BY at"
        ))
        .await?;
    let tags: Vec<Share> = records
        .rows(format!(
            "SELECT at, key, count(*) AS calls FROM \
             (SELECT {at} AS at, unnest(tags) AS key FROM calls WHERE {time}) GROUP BY at, key"
        ))
        .await?;
    let countries: Vec<Share> = records
        .rows(format!(
            "SELECT at, key, count(*) AS calls FROM \
             (SELECT {at} AS at, caller_country_code AS key FROM calls WHERE {time}) GROUP BY at, key"
        ))
        .await?;
    let mut rows: BTreeMap<u64, Value> = BTreeMap::new();
    for share in all {
        let row = json!({
            "ts": Timestamp(share.at).to_string(),
            "calls": share.calls,
            "high": share.high,
            "tags": {},
            "countries": {},
            "labels": {"fraud": 0, "genuine": 0},
        });
        rows.insert(share.at, row);
    }
    for share in tags {
        if let (Some(row), Some(tag)) = (rows.get_mut(&share.at), share.key.as_str()) {
            row["tags"][tag] = json!(share.calls);
        }
    }
    for share in countries {
        let code = share.key.as_u64().and_then(|code| u16::try_from(code).ok());
        if let (Some(row), Some(iso)) = (rows.get_mut(&share.at), code.and_then(number::country)) {
            row["countries"][iso] = json!(share.calls);
        }
    }
    for (ts, fraud) in said(&api, since).await? {
        let at = (ts + shift) / step * step - shift;
        if let Some(row) = rows.get_mut(&at) {
            let label = if fraud { "fraud" } else { "genuine" };
            row["labels"][label] = json!(row["labels"][label].as_u64().unwrap_or(0) + 1);
        }
    }
    let rows: Vec<_> = rows.into_values().collect();
    Ok(Json(json!({"unit": unit, "since": since.to_string(), "rows": rows})))
}

/// Labels by when they were given, nanoseconds.
async fn said(api: &Arc<Api>, since: Timestamp) -> Result<Vec<(u64, bool)>, Problem> {
    let Some(path) = api.labels.clone().filter(|path| path.exists()) else {
        return Ok(Vec::new());
    };
    let read = tokio::task::spawn_blocking(move || {
        let mut all = Vec::new();
        Labels::open(&path)?.counting(|label| {
            let at = u64::try_from(label.at).unwrap_or(0).saturating_mul(1_000_000_000);
            if at >= since.0 {
                all.push((at, label.fraud));
            }
        })?;
        Ok::<_, crate::labels::LabelError>(all)
    });
    Ok(read.await.map_err(|error| Problem::internal(&error))??)
}

/// Call-IDs that were labelled, the last ones, and whether each was fraud.
pub(in crate::api) async fn said_of_calls(api: &Arc<Api>) -> Result<Vec<(String, bool)>, Problem> {
    let Some(path) = api.labels.clone().filter(|path| path.exists()) else {
        return Ok(Vec::new());
    };
    let read = tokio::task::spawn_blocking(move || {
        let mut all = std::collections::VecDeque::new();
        Labels::open(&path)?.counting(|label| {
            if all.len() == LABELS {
                all.pop_front();
            }
            all.push_back((label.call_id, label.fraud));
        })?;
        Ok::<_, crate::labels::LabelError>(all.into())
    });
    Ok(read.await.map_err(|error| Problem::internal(&error))??)
}
