//! `GET /v1/reports/trends`: what changes over days and weeks.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use axum::{Json, extract::State, response::IntoResponse};
use serde_json::{Value, json};

use super::{
    super::{Api, access::Viewer, extract::Asked, problem::Problem},
    calls::span,
};
use crate::{
    labels::Labels,
    number,
    records::{By, Count},
    time::Timestamp,
};

const HOUR: u64 = 3_600_000_000_000;

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
    let place = move |ts: u64| (ts + shift) / step * step - shift;
    let span = [since, until];
    let all = records.counted(span, |tally, span| tally.over(span, HOUR)).await?;
    let by = |by| {
        records.counted(span, move |tally, span| {
            let mut all: HashMap<(u64, String), u64> = HashMap::new();
            tally.by_hour(by, span, &mut |hour, key, count| {
                *all.entry((place(hour), key.to_owned())).or_default() += count.calls;
            })?;
            Ok(all)
        })
    };
    let (tags, countries) = (by(By::Tag).await?, by(By::CallerCountry).await?);
    let mut shares: BTreeMap<u64, Count> = BTreeMap::new();
    for (hour, count) in all {
        shares.entry(place(hour)).or_default().add(count);
    }
    let mut rows: BTreeMap<u64, Value> = BTreeMap::new();
    for (at, count) in shares {
        let row = json!({
            "ts": Timestamp(at).to_string(),
            "calls": count.calls,
            "high": count.high,
            "tags": {},
            "countries": {},
            "labels": {"fraud": 0, "genuine": 0},
        });
        rows.insert(at, row);
    }
    for ((at, tag), calls) in tags {
        if let Some(row) = rows.get_mut(&at) {
            row["tags"][tag] = json!(calls);
        }
    }
    for ((at, code), calls) in countries {
        let country = code.parse().ok().and_then(number::country);
        if let (Some(row), Some(iso)) = (rows.get_mut(&at), country) {
            row["countries"][iso] = json!(calls);
        }
    }
    for (ts, fraud) in said(&api, since).await? {
        if let Some(row) = rows.get_mut(&place(ts)) {
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
