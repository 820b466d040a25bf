//! Callers: those that stand out, or those of a number.

use std::{cmp::Reverse, collections::HashMap, sync::Arc};

use axum::{Json, extract::State, response::IntoResponse};
use scorer_common::verdict::Tag;
use serde_json::{Value, json};

use super::{
    super::{
        Api,
        access::Viewer,
        ask::Questions,
        extract::Asked,
        item::hex,
        labelled, mask,
        page::{self, Page},
        problem::Problem,
    },
    calls::span,
    cases,
    profiles::{no_records, of_number},
};
use crate::{
    profiles::parse_id,
    records::{
        Caller, Callers, Sought, Tally, Told,
        query::{Limits, quoted},
    },
    time::Timestamp,
};

/// Calls of a number that are looked at.
const CALLS: usize = 20_000;

/// `GET /v1/profiles`.
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    Viewer(who): Viewer,
    mut asked: Asked,
) -> Result<impl IntoResponse, Problem> {
    let records = api.records.as_ref().ok_or_else(no_records)?;
    let limit = page::limit(asked.number("limit")?)?;
    let [since, until] = span(&mut asked, "30d")?;
    let order: fn(&Caller) -> u64 = match asked.text("order").as_deref() {
        None | Some("calls") => |caller| caller.calls,
        Some("score") => |caller| u64::from(caller.score_max),
        Some("last") => |caller| caller.times[1].0,
        Some(_) => return Err(Problem::wrong("order is calls, score or last")),
    };
    let q = asked.text("q");
    let after = asked.text("cursor").as_deref().map(page::key).transpose()?;
    asked.done()?;
    let after = match after {
        None => None,
        Some(key) => {
            let parts = key.split_once(' ').and_then(|(value, profile)| {
                Some((Reverse(value.parse::<u64>().ok()?), parse_id(profile)?))
            });
            Some(parts.ok_or_else(|| Problem::wrong("the cursor is none that was given out"))?)
        }
    };
    let callers = callers(&api, records, [since, until], q).await?;
    let place = |row: &(u64, Caller)| (Reverse(order(&row.1)), row.0);
    let mut rows: Vec<_> = callers.into_all().collect();
    rows.retain(|row| after.is_none_or(|after| place(row) > after));
    rows.sort_unstable_by_key(place);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows
        .last()
        .filter(|_| more)
        .map(|(id, caller)| page::cursor(&format!("{} {}", order(caller), hex(*id))));
    let labels =
        if rows.is_empty() { HashMap::new() } else { frauds(&api, [since, until]).await? };
    let cases = cases::all(&api).await?;
    let masked = who.role.is_masked();
    let items = rows
        .into_iter()
        .map(|(id, caller)| {
            let case = cases.iter().find(|case| cases::has(case, id)).map(|case| case.name.clone());
            let profile = hex(id);
            json!({
                "tags": caller.tags.iter().map(Tag::name).collect::<Vec<_>>(),
                "fraud_labels": labels.get(&profile).copied().unwrap_or(0),
                "case": case.map(|name| if masked { mask::text(&name).into_owned() } else { name }),
                "profile": profile,
                "calls": caller.calls,
                "first": caller.times[0].to_string(),
                "last": caller.times[1].to_string(),
                "numbers": caller.numbers.count(),
                "callees": caller.callees.count(),
                "score_max": caller.score_max,
            })
        })
        .collect();
    Ok(Json(Page::<Value> { items, next }))
}

/// Callers that stand out; or those of a number or of an id's beginning.
async fn callers(
    api: &Arc<Api>,
    records: &Questions,
    span: [Timestamp; 2],
    q: Option<String>,
) -> Result<Callers, Problem> {
    let Some(q) = q else {
        return records.counted(span, Tally::callers).await;
    };
    let number = Sought::parse(&q, api.home);
    let begins = (q.len() <= 16 && q.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .then(|| q.to_ascii_lowercase());
    let mut either = Vec::new();
    if let Some(id) = begins.as_ref().filter(|begins| begins.len() == 16) {
        either.push(format!("profile = {}", quoted(id)));
    }
    if let Some(number) = &number {
        either.push(of_number(records.store(), number)?);
    }
    let mut found = Callers::default();
    if !either.is_empty() {
        let condition = either.join(" OR ");
        found = records
            .work(move |store, limits| {
                let mut found = Callers::default();
                let some = Limits { rows: Some(CALLS), ..*limits };
                store.calls(span, &condition, &some, &mut |call| {
                    let call = &call.call;
                    let number = call.network.as_deref().unwrap_or(&call.caller);
                    let told = Told {
                        time: call.time,
                        score: call.score,
                        tags: call.tags,
                        number: Some(number).filter(|number| !number.is_empty()),
                        callee: Some(&*call.callee).filter(|callee| !callee.is_empty()),
                    };
                    found.add(call.profile, told);
                })?;
                Ok(found)
            })
            .await?;
    }
    match begins {
        Some(begins) if begins.len() < 16 => {
            let all = records.counted(span, Tally::callers).await?;
            let known = all.into_all().filter(|(id, _)| hex(*id).starts_with(&begins));
            found.extend(known);
        }
        None if either.is_empty() => {
            return Err(Problem::wrong("q is a number, or how a profile's id begins"));
        }
        _ => {}
    }
    Ok(found)
}

/// Fraud labels by profile, of calls since then.
async fn frauds(
    api: &Arc<Api>,
    [since, until]: [Timestamp; 2],
) -> Result<HashMap<String, u64>, Problem> {
    let mut counts = HashMap::new();
    for (ts, item, fraud) in labelled::labelled(api).await? {
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
