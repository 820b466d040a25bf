//! Lists of allowed and denied callers.

use std::sync::Arc;

use axum::{Extension, Json, extract::State, http::StatusCode, response::IntoResponse};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{
    Api,
    access::{Analyst, Changed, Viewer, no_store},
    extract::{Asked, Body, Named},
    mask,
    page::{self, Page},
    problem::Problem,
};
use crate::lists::{Audit, List, Store, StoreError, Stored, parse_expiry};

/// Longest text that is looked for, bytes.
const LONGEST: usize = 200;

/// A list as the API names it: which, and what stands on it.
fn parts(list: List) -> (&'static str, &'static str) {
    match list {
        List::Consortium => ("consortium", "number"),
        List::ConsortiumStrong => ("consortium_strong", "number"),
        List::Scanner => ("scanner", "source"),
        list => list.name().split_once('_').unwrap_or((list.name(), "")),
    }
}

/// The list of these names.
fn of_parts(list: &str, kind: &str) -> Result<List, Problem> {
    List::ALL.into_iter().find(|known| parts(*known) == (list, kind)).ok_or_else(|| {
        Problem::invalid(
            "list is deny or allow, kind is number, range, source, trunk, fingerprint or profile \
             (or consortium with number, scanner with source)",
        )
    })
}

pub(super) fn seconds(at: i64) -> String {
    jiff::Timestamp::from_second(at).map(|at| at.to_string()).unwrap_or_default()
}

fn told(entry: &Stored, masked: bool) -> Value {
    let (list, kind) = parts(entry.list);
    let value = if masked && entry.list.personal() {
        mask::user(&entry.value)
    } else {
        entry.value.clone()
    };
    let text = |text: &str| if masked { mask::text(text).into_owned() } else { text.to_owned() };
    json!({
        "list": list,
        "kind": kind,
        "value": value,
        "reason": text(&entry.reason),
        "author": entry.author,
        "created": seconds(entry.created),
        "expires": entry.expires.map(seconds),
        "from": entry.from,
    })
}

/// Runs `work` on the store to look; the default where there is no store yet.
async fn look<T: Default + Send + 'static>(
    api: &Arc<Api>,
    work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Problem> {
    let Some(path) = api.store.clone() else { return Ok(T::default()) };
    let done = tokio::task::spawn_blocking(move || match Store::look(&path) {
        Ok(store) => work(&store),
        Err(StoreError::Missing { .. }) => Ok(T::default()),
        Err(error) => Err(error),
    });
    Ok(done.await.map_err(|error| Problem::internal(&error))??)
}

/// Runs `work` on the store to change it.
async fn change<T: Send + 'static>(
    api: &Arc<Api>,
    work: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Problem> {
    let path = api.store.clone().ok_or_else(no_store)?;
    let done = tokio::task::spawn_blocking(move || work(&mut Store::open(&path)?)).await;
    Ok(done.map_err(|error| Problem::internal(&error))??)
}

/// `GET /v1/lists`.
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    Viewer(who): Viewer,
    mut asked: Asked,
) -> Result<impl IntoResponse, Problem> {
    let masked = who.role.is_masked();
    let limit = page::limit(asked.number("limit")?)?;
    let (name, kind) = (asked.text("list"), asked.text("kind"));
    let q = asked.text("q");
    let after = asked.text("cursor").as_deref().map(page::key).transpose()?;
    asked.done()?;
    if q.as_ref().is_some_and(|q| q.len() > LONGEST) {
        return Err(Problem::wrong(format!("q has {LONGEST} bytes at most")));
    }
    if q.is_some() && masked {
        return Err(Problem::forbidden("viewers do not look for numbers part by part"));
    }
    let known = |which: fn(&(&'static str, &'static str)) -> &'static str,
                 text: &Option<String>| {
        text.as_ref().is_none_or(|text| List::ALL.iter().any(|list| which(&parts(*list)) == text))
    };
    if !known(|parts| parts.0, &name) || !known(|parts| parts.1, &kind) {
        return Err(Problem::wrong("there is no such list or kind"));
    }
    let lists: Vec<List> = List::ALL
        .into_iter()
        .filter(|list| {
            let (of, holds) = parts(*list);
            name.as_ref().is_none_or(|name| name == of)
                && kind.as_ref().is_none_or(|kind| kind == holds)
        })
        .collect();
    let after = match after {
        None => None,
        Some(key) => {
            let (list, value) = key
                .split_once(' ')
                .ok_or_else(|| Problem::wrong("the cursor is none that was given out"))?;
            Some((list.to_owned(), value.to_owned()))
        }
    };
    let mut entries = look(&api, move |store| {
        let after = after.as_ref().map(|(list, value)| (list.as_str(), value.as_str()));
        store.page(&lists, after, q.as_deref(), limit as u32 + 1)
    })
    .await?;
    let more = entries.len() > limit;
    entries.truncate(limit);
    let next = entries
        .last()
        .filter(|_| more)
        .map(|last| page::cursor(&format!("{} {}", last.list.name(), last.value)));
    let items = entries.iter().map(|entry| told(entry, masked)).collect();
    Ok(Json(Page::<Value> { items, next }))
}

/// An entry that is given.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Given {
    list: String,
    kind: String,
    value: String,
    #[serde(default)]
    reason: String,
    /// A time, or so long from now: `30d`.
    #[serde(default)]
    expires: Option<String>,
    /// Where an allowed caller calls from.
    #[serde(default)]
    from: String,
}

/// `POST /v1/lists`.
pub(in crate::api) async fn add(
    State(api): State<Arc<Api>>,
    Analyst(who): Analyst,
    Body(given): Body<Given>,
) -> Result<impl IntoResponse, Problem> {
    let list = of_parts(&given.list, &given.kind)?;
    let now = jiff::Timestamp::now().as_second();
    let expires = match given.expires.as_deref().filter(|text| !text.is_empty()) {
        Some(text) => {
            parse_expiry(text, now).map_err(|what| Problem::invalid(format!("expires {what}")))?
        }
        None => None,
    };
    let entry = Stored {
        list,
        value: given.value,
        reason: given.reason,
        author: who.name.clone(),
        created: now,
        expires,
        from: given.from,
    };
    let changed = Changed(format!("{} {}", list.name(), entry.value));
    let home = api.home;
    let (new, kept) = change(&api, move |store| {
        let new = store.add(&entry, &who.name, now, home)?;
        let value = crate::lists::read_value(entry.list, &entry.value, home)
            .map_or_else(|_| entry.value.clone(), |(_, value)| value);
        Ok((new, Stored { value, ..entry }))
    })
    .await?;
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Extension(changed), Json(told(&kept, false))))
}

/// `DELETE /v1/lists/{list}/{kind}/{value}`.
pub(in crate::api) async fn remove(
    State(api): State<Arc<Api>>,
    Analyst(who): Analyst,
    Named((list, kind, value)): Named<(String, String, String)>,
) -> Result<impl IntoResponse, Problem> {
    let list = of_parts(&list, &kind)?;
    let now = jiff::Timestamp::now().as_second();
    let changed = Changed(format!("{} {value}", list.name()));
    let home = api.home;
    let gone = change(&api, move |store| store.remove(list, &value, &who.name, now, home)).await?;
    if !gone {
        return Err(Problem::not_found("the list has no such entry"));
    }
    Ok((StatusCode::NO_CONTENT, Extension(changed)))
}

/// `GET /v1/lists/audit`: who changed what, the last first.
pub(in crate::api) async fn audit(
    State(api): State<Arc<Api>>,
    Viewer(who): Viewer,
    mut asked: Asked,
) -> Result<impl IntoResponse, Problem> {
    let masked = who.role.is_masked();
    let limit = page::limit(asked.number("limit")?)?;
    asked.done()?;
    let lines = look(&api, move |store| {
        let mut lines = Vec::new();
        store.audit(limit as u32, &mut |line| lines.push(line))?;
        Ok(lines)
    })
    .await?;
    let told = |line: Audit| {
        let list = List::by_name(&line.list);
        let (name, kind) = list.map_or(("", ""), parts);
        let personal = list.is_none_or(List::personal);
        let value = if masked && personal { mask::user(&line.value) } else { line.value.clone() };
        let state = if line.new.is_empty() { &line.old } else { &line.new };
        let state: Value = serde_json::from_str(state).unwrap_or_default();
        let reason = state["reason"].as_str().unwrap_or_default();
        json!({
            "ts": seconds(line.at),
            "author": line.author,
            "change": line.what,
            "list": name,
            "kind": kind,
            "value": value,
            "reason": if masked { mask::text(reason).into_owned() } else { reason.to_owned() },
        })
    };
    let items = lines.into_iter().rev().map(told).collect();
    Ok(Json(Page::<Value> { items, next: None }))
}
