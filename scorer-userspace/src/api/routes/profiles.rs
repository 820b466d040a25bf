//! Callers, whatever numbers they show.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use axum::{Json, extract::State, response::IntoResponse};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::{
        Api,
        access::{Role, Viewer},
        ask::{Questions, in_sql},
        extract::{Asked, Named},
        item::{Item, hex},
        mask,
        page::{self, Page},
        problem::Problem,
    },
    calls::{span, whole_of},
    cases,
};
use crate::{
    number,
    profiles::{CallRow, Inquiry, Sheet, parse_id},
    records::{
        Sought,
        query::{Limits, QueryError, Store, quoted},
    },
    time::Timestamp,
};

/// Calls of a profile that are looked at, and others that may be like it.
const OWN: usize = 20_000;
const OTHERS: usize = 20_000;
/// Numbers and accounts by which others are found.
const TRAITS: usize = 100;
/// Calls told in full.
const TOLD: usize = 50;
/// Points of a timeline.
const POINTS: usize = 1_000;
/// Numbers, accounts and links in a graph, each.
const NODES: usize = 40;
/// How long a call's outcome may come after it.
const TALK: u64 = 24 * 3_600 * 1_000_000_000;

fn no_records() -> Problem {
    Problem::not_found("there are no records: give --records FOLDER or set records.folder")
}

#[derive(Debug, Deserialize)]
struct Row {
    profile: String,
    calls: u64,
    first: u64,
    last: u64,
    #[serde(default)]
    numbers: u64,
    #[serde(default)]
    callees: u64,
    score_max: u64,
}

#[derive(Debug, Deserialize)]
struct Tagged {
    profile: String,
    tag: String,
    calls: u64,
}

/// `GET /v1/profiles`.
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    Viewer(who): Viewer,
    mut asked: Asked,
) -> Result<impl IntoResponse, Problem> {
    let records = api.records.as_ref().ok_or_else(no_records)?;
    let limit = page::limit(asked.number("limit")?)?;
    let [since, until] = span(&mut asked, "30d")?;
    let order = match asked.text("order").as_deref() {
        None | Some("calls") => "calls",
        Some("score") => "score_max",
        Some("last") => "last",
        Some(_) => return Err(Problem::wrong("order is calls, score or last")),
    };
    let q = asked.text("q");
    let after = asked.text("cursor").as_deref().map(page::key).transpose()?;
    asked.done()?;
    let mut conditions = vec![
        format!("ts >= {}", in_sql(since)),
        format!("ts < {}", in_sql(until)),
        "profile <> '0000000000000000'".to_owned(),
    ];
    if let Some(q) = q {
        conditions.push(sought(&api, records, &q)?);
    }
    let having = match after {
        None => String::new(),
        Some(key) => {
            let parts = key.split_once(' ').and_then(|(value, profile)| {
                Some((value.parse::<u64>().ok()?, parse_id(profile)?))
            });
            let (value, profile) =
                parts.ok_or_else(|| Problem::wrong("the cursor is none that was given out"))?;
            format!("WHERE {order} < {value} OR ({order} = {value} AND profile > '{profile:016x}')")
        }
    };
    let mut rows: Vec<Row> = records
        .rows(format!(
            "SELECT * FROM (SELECT profile, count(*) AS calls, CAST(min(ts) AS BIGINT) AS first, \
             CAST(max(ts) AS BIGINT) AS last, approx_distinct(coalesce(network_number, caller)) AS numbers, \
             approx_distinct(callee) AS callees, max(score) AS score_max FROM calls WHERE {} \
             GROUP BY profile) {having} ORDER BY {order} DESC, profile LIMIT {}",
            conditions.join(" AND "),
            limit + 1
        ))
        .await?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|row| {
        let value = match order {
            "calls" => row.calls,
            "score_max" => row.score_max,
            _ => row.last,
        };
        page::cursor(&format!("{value} {}", row.profile))
    });
    let ids: Vec<_> = rows.iter().map(|row| quoted(&row.profile)).collect();
    let (mut tags, mut frauds) = (HashMap::<String, Vec<String>>::new(), HashMap::new());
    if !ids.is_empty() {
        let of = format!("{} AND profile IN ({})", conditions[..2].join(" AND "), ids.join(", "));
        let tagged: Vec<Tagged> = records
            .rows(format!(
                "SELECT profile, tag, count(*) AS calls FROM \
                 (SELECT profile, unnest(tags) AS tag FROM calls WHERE {of}) \
                 GROUP BY profile, tag ORDER BY calls DESC, tag"
            ))
            .await?;
        for Tagged { profile, tag, calls } in tagged {
            if calls > 0 {
                tags.entry(profile).or_default().push(tag);
            }
        }
        frauds = labelled(&api, [since, until]).await?;
    }
    let cases = cases::all(&api).await?;
    let masked = who.role.is_masked();
    let items = rows
        .into_iter()
        .map(|row| {
            let id = parse_id(&row.profile).unwrap_or(0);
            let case = cases.iter().find(|case| cases::has(case, id)).map(|case| case.name.clone());
            json!({
                "tags": tags.remove(&row.profile).unwrap_or_default(),
                "fraud_labels": frauds.get(&row.profile).copied().unwrap_or(0),
                "case": case.map(|name| if masked { mask::text(&name).into_owned() } else { name }),
                "profile": row.profile,
                "calls": row.calls,
                "first": Timestamp(row.first).to_string(),
                "last": Timestamp(row.last).to_string(),
                "numbers": row.numbers,
                "callees": row.callees,
                "score_max": row.score_max,
            })
        })
        .collect();
    Ok(Json(Page::<Value> { items, next }))
}

/// Fraud labels by profile, of calls since then.
async fn labelled(
    api: &Arc<Api>,
    [since, until]: [Timestamp; 2],
) -> Result<HashMap<String, u64>, Problem> {
    let mut counts = HashMap::new();
    for (ts, item, fraud) in super::super::labelled::labelled(api).await? {
        if fraud
            && ts >= since
            && ts < until
            && let Some(profile) = &item.profile
        {
            *counts.entry(profile.clone()).or_insert(0) += 1;
        }
    }
    Ok(counts)
}

/// Calls of a profile by how its id begins, or of a number.
fn sought(api: &Arc<Api>, records: &Questions, q: &str) -> Result<String, Problem> {
    let hex = q.len() <= 16 && q.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut either = Vec::new();
    if hex {
        either.push(format!("profile LIKE {}", quoted(&format!("{}%", q.to_ascii_lowercase()))));
    }
    if let Some(number) = Sought::parse(q, api.home) {
        either.push(of_number(records.store(), &number)?);
    }
    if either.is_empty() {
        return Err(Problem::wrong("q is a number, or how a profile's id begins"));
    }
    Ok(format!("({})", either.join(" OR ")))
}

/// Calls that show or assert a number.
fn of_number(store: &Store, number: &Sought) -> Result<String, QueryError> {
    let forms: Vec<_> = store.forms(number)?.iter().map(|form| quoted(form)).collect();
    let forms = forms.join(", ");
    Ok(format!("(caller IN ({forms}) OR network_number IN ({forms}))"))
}

/// `GET /v1/profiles/{profile, number or Call-ID}`.
pub(in crate::api) async fn one(
    State(api): State<Arc<Api>>,
    Viewer(who): Viewer,
    Named(name): Named<String>,
    mut asked: Asked,
) -> Result<impl IntoResponse, Problem> {
    let records = api.records.as_ref().ok_or_else(no_records)?;
    let [since, until] = span(&mut asked, "30d")?;
    asked.done()?;
    if name.len() > 1_024 {
        return Err(Problem::wrong("a Call-ID has 1024 bytes at most here"));
    }
    let home = api.home;
    let role = who.role;
    let loaded =
        records.work(move |store, limits| load(store, limits, &name, home, [since, until])).await?;
    let Some((inquiry, profile, others)) = loaded else {
        return Err(Problem::not_found(
            "nobody is meant: no profile, Call-ID or caller's number of the calls since then",
        ));
    };
    let keys: Vec<_> = {
        let sheet = inquiry.sheet(profile);
        sheet.calls.iter().rev().take(TOLD).map(|row| (row.time.0, row.call)).collect()
    };
    let calls = whole_of(&api, records, &keys).await?;
    let cases = cases::of_profile(&api, &hex(profile)).await?;
    // Holding all calls against each other takes a while.
    let told = tokio::task::spawn_blocking(move || told(&inquiry.sheet(profile), role, calls));
    let mut answer = told.await.map_err(|error| Problem::internal(&error))?;
    answer["others"] = others.into_iter().map(hex).collect();
    answer["cases"] = Value::from(cases);
    Ok(Json(answer))
}

/// The calls of who is meant, and of those who share numbers or accounts with them.
fn load(
    store: &Store,
    limits: &Limits,
    name: &str,
    home: Option<u16>,
    span: [Timestamp; 2],
) -> Result<Option<(Inquiry, u64, Vec<u64>)>, QueryError> {
    let mut either = vec![format!("call_id = {}", quoted(name))];
    if let Some(profile) = parse_id(name) {
        either.push(format!("profile = '{profile:016x}'"));
    }
    if let Some(number) = Sought::parse(name, home) {
        either.push(of_number(store, &number)?);
    }
    let some = |most: usize| Limits { rows: Some(most), ..*limits };
    let mut meant = Inquiry::default();
    store.calls(span, &either.join(" OR "), &some(OWN), &mut |call| meant.add(call.row(home)))?;
    let Ok(asked) = meant.find(name, home) else { return Ok(None) };
    if asked.profile == 0 {
        return Ok(None);
    }
    let mut inquiry = Inquiry::default();
    let mut own = Vec::new();
    let is = format!("profile = '{:016x}'", asked.profile);
    store.calls(span, &is, &some(OWN), &mut |call| own.push(call.row(home)))?;
    let others = format!("profile <> '{:016x}' AND ({})", asked.profile, shared(&own));
    for row in own {
        inquiry.add(row);
    }
    store.calls(span, &others, &some(OTHERS), &mut |call| inquiry.add(call.row(home)))?;
    let end = Timestamp(span[1].0.saturating_add(TALK).min(i64::MAX as u64));
    let went = format!(
        "call IN (SELECT call FROM calls WHERE ts >= {} AND ts < {} AND {is})",
        in_sql(span[0]),
        in_sql(span[1])
    );
    store.outcomes([span[0], end], &went, &some(4 * OWN), &mut |outcome| {
        inquiry.went(outcome.call, outcome.outcome);
    })?;
    Ok(Some((inquiry, asked.profile, asked.others)))
}

/// Calls with numbers or accounts of these.
fn shared(own: &[CallRow]) -> String {
    let mut numbers: Vec<&str> = Vec::new();
    let mut callees: Vec<&str> = Vec::new();
    let (mut seen, mut called) = (HashSet::new(), HashSet::new());
    for row in own {
        for number in std::iter::once(row.caller.as_str()).chain(row.network.as_deref()) {
            if numbers.len() < TRAITS && !number.is_empty() && seen.insert(number) {
                numbers.push(number);
            }
        }
        if callees.len() < TRAITS && !row.callee.is_empty() && called.insert(row.callee.as_str()) {
            callees.push(&row.callee);
        }
    }
    let list = |values: &[&str]| values.iter().map(|v| quoted(v)).collect::<Vec<_>>().join(", ");
    let mut either = Vec::new();
    if !numbers.is_empty() {
        let numbers = list(&numbers);
        either.push(format!("caller IN ({numbers}) OR network_number IN ({numbers})"));
    }
    if !callees.is_empty() {
        either.push(format!("callee IN ({})", list(&callees)));
    }
    if either.is_empty() { "false".to_owned() } else { either.join(" OR ") }
}

fn told(sheet: &Sheet<'_>, role: Role, calls: Vec<Item>) -> Value {
    let masked = role.is_masked();
    let number = |text: &str| if masked { mask::user(text) } else { text.to_owned() };
    let counted = |items: &[(&str, usize)], personal: bool| -> Vec<Value> {
        items
            .iter()
            .take(500)
            .map(|(text, calls)| {
                let text = if personal { number(text) } else { (*text).to_owned() };
                json!({"value": text, "calls": calls})
            })
            .collect()
    };
    let countries = |side: usize| -> Vec<Value> {
        sheet.countries[side]
            .iter()
            .map(|(code, calls)| {
                let iso = number::country(*code).map_or(format!("+{code}"), str::to_owned);
                json!({"value": iso, "calls": calls})
            })
            .collect()
    };
    let skipped = sheet.calls.len().saturating_sub(POINTS);
    let timeline: Vec<_> = sheet.calls[skipped..]
        .iter()
        .map(|row| {
            json!({
                "ts": row.time.to_string(),
                "call": hex(row.call),
                "call_id": if masked { mask::call_id(&row.call_id).into_owned() } else { row.call_id.clone() },
                "caller": (!row.caller.is_empty()).then(|| number(&row.caller)),
                "callee": number(&row.callee),
                "score": row.score,
                "action": row.action,
                "outcome": row.outcome.as_ref().map(|outcome| outcome.name),
            })
        })
        .collect();
    let numbers: Vec<_> = sheet
        .numbers
        .iter()
        .take(500)
        .map(|(text, used)| {
            json!({
                "number": number(text),
                "shown": used.shown,
                "asserted": used.asserted,
                "withheld": used.withheld,
                "calls": used.shown.max(used.asserted),
            })
        })
        .collect();
    let linked: Vec<_> = sheet
        .links
        .iter()
        .map(|link| {
            let why: Vec<_> = link
                .why
                .iter()
                .map(|why| {
                    json!({
                        "kind": why.kind,
                        "nats": thousandths(why.says),
                        "shared": why.shared,
                        "profiles": why.profiles,
                    })
                })
                .collect();
            json!({
                "profile": hex(link.profile),
                "confidence": thousandths(link.confidence),
                "evidence": why,
            })
        })
        .collect();
    let outcomes: serde_json::Map<_, _> =
        sheet.outcomes.iter().map(|(name, calls)| ((*name).to_owned(), json!(calls))).collect();
    let span = sheet.span();
    let places: Vec<_> =
        sheet.places.iter().map(|(place, calls)| json!({"value": place, "calls": calls})).collect();
    let calls: Vec<_> =
        calls.into_iter().map(|item| if masked { item.masked() } else { item }).collect();
    json!({
        "profile": hex(sheet.profile),
        "joined_from": sheet.parts.iter().map(|part| hex(*part)).collect::<Vec<_>>(),
        "calls_total": sheet.calls.len(),
        "first": span.map(|(first, _)| first.to_string()),
        "last": span.map(|(_, last)| last.to_string()),
        "timeline": timeline,
        "numbers": numbers,
        "callees": counted(&sheet.callees, true),
        "countries": countries(0),
        "countries_called": countries(1),
        "places": places,
        "signatures": counted(&sheet.signatures, false),
        "method": sheet.method,
        "linked": linked,
        "outcomes": outcomes,
        "calls": calls,
        "graph": graph(sheet, &number),
    })
}

fn thousandths(value: f32) -> f64 {
    (f64::from(value) * 1_000.0).round() / 1_000.0
}

/// The profile, its numbers, signatures, accounts, and profiles linked with it.
fn graph(sheet: &Sheet<'_>, number: &dyn Fn(&str) -> String) -> Value {
    let me = hex(sheet.profile);
    let mut nodes =
        vec![json!({"id": me, "kind": "profile", "label": me, "weight": sheet.calls.len()})];
    let mut edges = Vec::new();
    let mut add = |kind: &str, at: usize, label: String, weight: usize, from_me: bool| {
        let id = format!("{kind}:{at}");
        nodes.push(json!({"id": id, "kind": kind, "label": label, "weight": weight}));
        let (from, to) = if from_me { (&me, &id) } else { (&id, &me) };
        edges.push(json!({"from": from, "to": to, "kind": kind, "weight": weight}));
    };
    for (at, (text, used)) in sheet.numbers.iter().take(NODES).enumerate() {
        add("number", at, number(text), used.shown.max(used.asserted), false);
    }
    for (at, (text, calls)) in sheet.signatures.iter().take(NODES).enumerate() {
        // The part of a signature that is the header fingerprint.
        let label = text.rsplit('_').nth(2).unwrap_or(text);
        add("fingerprint", at, label.to_owned(), *calls, false);
    }
    for (at, (text, calls)) in sheet.callees.iter().take(NODES).enumerate() {
        add("callee", at, number(text), *calls, true);
    }
    for link in sheet.links.iter().take(NODES) {
        let other = hex(link.profile);
        nodes.push(json!({"id": other, "kind": "profile", "label": other, "weight": 1}));
        edges.push(json!({"from": me, "to": other, "kind": "link", "weight": thousandths(link.confidence)}));
    }
    json!({"nodes": nodes, "edges": edges})
}
