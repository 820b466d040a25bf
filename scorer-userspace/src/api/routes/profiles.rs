//! One caller, whatever numbers it shows.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Json, extract::State, response::IntoResponse};
use serde_json::{Value, json};

use super::{
    super::{
        Api,
        access::{Role, Viewer},
        ask::talked,
        extract::{Asked, Named},
        item::{Item, hex},
        mask,
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
/// Latest calls of a profile whose outcomes are looked for.
const FOLLOWED: usize = 2_000;
/// How long is looked for calls of a profile and of others, the latest first.
const PATIENCE: Duration = Duration::from_millis(600);
/// Calls told in full.
const TOLD: usize = 50;
/// Points of a timeline.
const POINTS: usize = 1_000;
/// Numbers, accounts and links in a graph, each.
const NODES: usize = 40;

pub(super) fn no_records() -> Problem {
    Problem::not_found("there are no records: give --records FOLDER or set records.folder")
}

/// Calls that show or assert a number.
pub(super) fn of_number(store: &Store, number: &Sought) -> Result<String, QueryError> {
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
    let wait = match asked.number::<u64>("wait")? {
        None => PATIENCE,
        Some(seconds @ 1..=60) => Duration::from_secs(seconds),
        Some(_) => return Err(Problem::wrong("wait is 1 to 60 seconds")),
    };
    asked.done()?;
    if name.len() > 1_024 {
        return Err(Problem::wrong("a Call-ID has 1024 bytes at most here"));
    }
    let home = api.home;
    let role = who.role;
    let loaded = records
        .work(move |store, limits| {
            let until_then = Instant::now() + wait;
            load(&Look { store, limits, home, until_then }, &name, [since, until])
        })
        .await?;
    let Some(loaded) = loaded else {
        return Err(Problem::not_found(
            "nobody is meant: no profile, Call-ID or caller's number of the calls since then",
        ));
    };
    let Loaded { inquiry, profile, others, looked } = loaded;
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
    let all = looked.iter().all(|looked| *looked <= since);
    answer["looked"] = json!({
        "all": all,
        "calls_since": looked[0].max(since).to_string(),
        "others_since": looked[1].max(since).to_string(),
    });
    Ok(Json(answer))
}

/// Where is looked, and how long.
struct Look<'a> {
    store: &'a Store,
    limits: &'a Limits,
    home: Option<u16>,
    until_then: Instant,
}

impl Look<'_> {
    fn some(&self, most: usize) -> Limits {
        Limits { rows: Some(most), ..*self.limits }
    }

    /// The latest calls of which a condition is true, `most` at most, as many as are found
    /// in a share of the time that is left; the time since which all of them are there.
    /// Where there must be one, the time begins to count when it is found.
    fn latest(
        &self,
        condition: &str,
        [since, until]: [Timestamp; 2],
        most: usize,
        (share, must): (f64, bool),
    ) -> Result<(Vec<CallRow>, Timestamp), QueryError> {
        let left = self.until_then.saturating_duration_since(Instant::now());
        let deadline = Instant::now() + left.mul_f64(share);
        let (mut rows, mut looked) = (Vec::new(), until);
        for window in self.store.windows(since, until)? {
            let left = deadline.saturating_duration_since(Instant::now());
            let haste = looked != until && !(must && rows.is_empty());
            if haste && left.is_zero() {
                break;
            }
            let time = if haste { Some(left) } else { self.limits.time };
            let limits = Limits { time, ..self.some(most - rows.len()) };
            let mut found = Vec::new();
            let answered = self.store.calls(window, condition, &limits, &mut |call| {
                found.push(call.row(self.home));
            });
            match answered {
                Ok(answered) => {
                    rows.append(&mut found);
                    if answered.cut || rows.len() >= most {
                        break;
                    }
                    looked = window[0];
                }
                Err(QueryError::TooLong(_)) if haste => break,
                Err(error) => return Err(error),
            }
        }
        Ok((rows, looked))
    }
}

/// The calls of who is meant, and of those who share numbers or accounts with them.
struct Loaded {
    inquiry: Inquiry,
    profile: u64,
    /// Others who may be meant.
    others: Vec<u64>,
    /// Since when all calls of who is meant, and of others, were looked at.
    looked: [Timestamp; 2],
}

fn load(look: &Look<'_>, name: &str, span: [Timestamp; 2]) -> Result<Option<Loaded>, QueryError> {
    let (store, home) = (look.store, look.home);
    let mut either = vec![format!("call_id = {}", quoted(name))];
    if let Some(profile) = parse_id(name) {
        either.push(format!("profile = '{profile:016x}'"));
    }
    if let Some(number) = Sought::parse(name, home) {
        either.push(of_number(store, &number)?);
    }
    let either = either.join(" OR ");
    let (rows, looked) = look.latest(&either, span, OWN, (0.5, true))?;
    let mut meant = Inquiry::default();
    for row in &rows {
        meant.add(row.clone());
    }
    let Ok(asked) = meant.find(name, home) else { return Ok(None) };
    if asked.profile == 0 {
        return Ok(None);
    }
    let is = format!("profile = '{:016x}'", asked.profile);
    let (own, own_looked) = if parse_id(name) == Some(asked.profile) && !rows.is_empty() {
        (rows.into_iter().filter(|row| row.profile == asked.profile).collect(), looked)
    } else {
        look.latest(&is, span, OWN, (0.5, true))?
    };
    let others = format!("profile <> '{:016x}' AND ({})", asked.profile, shared(&own));
    let mut latest: Vec<_> = own.iter().map(|row| (row.time, row.call)).collect();
    latest.sort_unstable_by(|a, b| b.cmp(a));
    latest.truncate(FOLLOWED);
    let mut inquiry = Inquiry::default();
    for row in own {
        inquiry.add(row);
    }
    let (rows, others_looked) = look.latest(&others, span, OTHERS, (1.0, false))?;
    for row in rows {
        inquiry.add(row);
    }
    if let (Some((last, _)), Some((first, _))) = (latest.first(), latest.last()) {
        let keys: Vec<_> = latest.iter().map(|(_, call)| call.to_string()).collect();
        let went = format!("call IN ({})", keys.join(", "));
        store.outcomes(
            [*first, talked(*last)],
            &went,
            &look.some(4 * FOLLOWED),
            &mut |outcome| {
                inquiry.went(outcome.call, outcome.outcome);
            },
        )?;
    }
    let looked = [own_looked, others_looked];
    Ok(Some(Loaded { inquiry, profile: asked.profile, others: asked.others, looked }))
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
