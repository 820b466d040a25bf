//! Cases: fraudsters who are tracked.

use std::sync::Arc;

use axum::{Extension, Json, extract::State, http::StatusCode, response::IntoResponse};
use scorer_common::verdict::Action;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::{
        Api,
        access::{Analyst, Changed, Viewer, no_store},
        extract::{Asked, Body, Named},
        item::hex,
        mask,
        page::Page,
        problem::Problem,
    },
    lists::seconds,
};
use crate::{
    cases::{Attached, Case, CaseError, Orders, Status, Store},
    lists::StoreError,
    policy::Response,
    profiles::{Portrait, parse_id},
};

/// Profiles that are attached at a time.
const PROFILES: usize = 100;

/// Runs `work` on the store to look; the default where there is no store yet.
async fn look<T: Default + Send + 'static>(
    api: &Arc<Api>,
    work: impl FnOnce(&Store) -> Result<T, CaseError> + Send + 'static,
) -> Result<T, Problem> {
    let Some(path) = api.store.clone() else { return Ok(T::default()) };
    let done = tokio::task::spawn_blocking(move || match Store::look(&path) {
        Ok(store) => work(&store),
        Err(CaseError::Store(StoreError::Missing { .. })) => Ok(T::default()),
        Err(error) => Err(error),
    });
    Ok(done.await.map_err(|error| Problem::internal(&error))??)
}

/// Runs `work` on the store to change it.
async fn change<T: Send + 'static>(
    api: &Arc<Api>,
    work: impl FnOnce(&mut Store) -> Result<T, CaseError> + Send + 'static,
) -> Result<T, Problem> {
    let path = api.store.clone().ok_or_else(no_store)?;
    let done = tokio::task::spawn_blocking(move || work(&mut Store::open(&path)?)).await;
    Ok(done.map_err(|error| Problem::internal(&error))??)
}

/// Names of the cases that a profile belongs to.
pub(in crate::api) async fn of_profile(
    api: &Arc<Api>,
    profile: &str,
) -> Result<Vec<Value>, Problem> {
    let id = u64::from_str_radix(profile, 16).unwrap_or(0);
    Ok(all(api)
        .await?
        .into_iter()
        .filter(|case| has(case, id))
        .map(|case| case.name.into())
        .collect())
}

/// All cases.
pub(in crate::api) async fn all(api: &Arc<Api>) -> Result<Vec<Case>, Problem> {
    look(api, Store::cases).await
}

/// Whether a profile belongs to a case.
pub(in crate::api) fn has(case: &Case, profile: u64) -> bool {
    case.profiles.iter().any(|attached| attached.profile == profile)
}

fn told(case: &Case, masked: bool) -> Value {
    let text = |text: &str| if masked { mask::text(text).into_owned() } else { text.to_owned() };
    let profiles = case.profiles.iter().map(|attached| {
        json!({
            "profile": hex(attached.profile),
            "calls": attached.portrait.calls,
            "attached": seconds(attached.created),
            "by": attached.author,
        })
    });
    let notes = case.notes.iter().map(
        |note| json!({"at": seconds(note.at), "author": note.author, "text": text(&note.text)}),
    );
    let orders = &case.orders;
    json!({
        "name": text(&case.name),
        "status": case.status.name(),
        "method": text(&case.method),
        "next_call": {
            "action": orders.action.map_or("policy", Action::name),
            "response": orders.response.code(),
            "target": text(&orders.target),
            "reason": text(&orders.reason),
        },
        "author": case.author,
        "created": seconds(case.created),
        "changed": seconds(case.changed),
        "profiles": profiles.collect::<Vec<_>>(),
        "notes": notes.collect::<Vec<_>>(),
    })
}

/// `GET /v1/cases`: all of them; those that are open, with `status=open`.
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    Viewer(who): Viewer,
    mut asked: Asked,
) -> Result<impl IntoResponse, Problem> {
    let status = asked.text("status");
    asked.done()?;
    if status.as_ref().is_some_and(|status| status != "open" && status != "closed") {
        return Err(Problem::wrong("status is open or closed"));
    }
    let cases = all(&api).await?;
    let items = cases
        .iter()
        .filter(|case| status.as_ref().is_none_or(|status| status == case.status.name()))
        .map(|case| told(case, who.role.is_masked()))
        .collect();
    Ok(Json(Page::<Value> { items, next: None }))
}

/// `GET /v1/cases/{name}`.
pub(in crate::api) async fn one(
    State(api): State<Arc<Api>>,
    Viewer(who): Viewer,
    Named(name): Named<String>,
) -> Result<impl IntoResponse, Problem> {
    let masked = who.role.is_masked();
    let (case, trail) = look(&api, move |store| {
        let case = store.case(&name)?;
        let trail = store.trail(&name)?;
        Ok((Some(case), trail))
    })
    .await?;
    let case = case.ok_or_else(|| Problem::not_found("there is no such case"))?;
    let text = |text: &str| if masked { mask::text(text).into_owned() } else { text.to_owned() };
    let mut answer = told(&case, masked);
    answer["trail"] = trail
        .iter()
        .map(|change| {
            json!({
                "at": seconds(change.at),
                "author": change.author,
                "what": change.what,
                "old": text(&change.old),
                "new": text(&change.new),
            })
        })
        .collect();
    Ok(Json(answer))
}

/// What is done at the next call.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NextCall {
    /// An action, or `policy`.
    action: String,
    #[serde(default)]
    response: Option<u16>,
    #[serde(default)]
    target: String,
    #[serde(default)]
    reason: String,
}

impl NextCall {
    fn orders(self) -> Result<Orders, Problem> {
        let action = match self.action.as_str() {
            "policy" => None,
            name => Some(Action::by_name(name).ok_or_else(|| {
                Problem::invalid("action is pass, tag, divert, reject, drop or policy")
            })?),
        };
        let response = match self.response {
            None | Some(608) => Response::Rejected,
            Some(603) => Response::Decline,
            Some(607) => Response::Unwanted,
            Some(_) => return Err(Problem::invalid("response is 603, 607 or 608")),
        };
        if action == Some(Action::Divert) && self.target.is_empty() {
            return Err(Problem::invalid("target says where to: USER@HOST, USER@ or HOST"));
        }
        Ok(Orders { action, response, target: self.target, reason: self.reason })
    }
}

/// A case that is opened.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct New {
    name: String,
    #[serde(default)]
    method: String,
    #[serde(default)]
    next_call: Option<NextCall>,
    #[serde(default)]
    profiles: Vec<String>,
    #[serde(default)]
    note: Option<String>,
}

/// Profiles by their ids, without what they are known by: a scorer knows those it met.
fn attached(profiles: &[String], by: &str, now: i64) -> Result<Vec<Attached>, Problem> {
    if profiles.len() > PROFILES {
        return Err(Problem::invalid(format!("{PROFILES} profiles at a time are the most")));
    }
    profiles
        .iter()
        .map(|text| {
            let profile = parse_id(text)
                .ok_or_else(|| Problem::invalid("a profile has 16 hexadecimal digits"))?;
            let (author, created) = (by.to_owned(), now);
            Ok(Attached { profile, portrait: Portrait::default(), author, created })
        })
        .collect()
}

/// `POST /v1/cases`.
pub(in crate::api) async fn open(
    State(api): State<Arc<Api>>,
    Analyst(who): Analyst,
    Body(new): Body<New>,
) -> Result<impl IntoResponse, Problem> {
    let now = jiff::Timestamp::now().as_second();
    let profiles = attached(&new.profiles, &who.name, now)?;
    let orders = new.next_call.map(NextCall::orders).transpose()?.unwrap_or_default();
    let case = Case {
        name: new.name,
        status: Status::Open,
        method: new.method,
        orders,
        author: who.name.clone(),
        created: now,
        changed: now,
        profiles: Vec::new(),
        notes: Vec::new(),
    };
    let changed = Changed(format!("case {} opened", case.name));
    let note = new.note.filter(|note| !note.is_empty());
    let case = change(&api, move |store| {
        store.create(&case)?;
        for profile in &profiles {
            store.attach(&case.name, profile)?;
        }
        if let Some(note) = &note {
            store.note(&case.name, note, (&who.name, now))?;
        }
        store.case(&case.name)
    })
    .await?;
    Ok((StatusCode::CREATED, Extension(changed), Json(told(&case, false))))
}

/// What is changed of a case; each may be left out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Patch {
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    next_call: Option<NextCall>,
    #[serde(default)]
    note: Option<String>,
    #[serde(default)]
    attach: Vec<String>,
    #[serde(default)]
    detach: Vec<String>,
}

/// `PATCH /v1/cases/{name}`.
pub(in crate::api) async fn patch(
    State(api): State<Arc<Api>>,
    Analyst(who): Analyst,
    Named(name): Named<String>,
    Body(patch): Body<Patch>,
) -> Result<impl IntoResponse, Problem> {
    let now = jiff::Timestamp::now().as_second();
    let status = match patch.status.as_deref() {
        None => None,
        Some("open") => Some(Status::Open),
        Some("closed") => Some(Status::Closed),
        Some(_) => return Err(Problem::invalid("status is open or closed")),
    };
    let orders = patch.next_call.map(NextCall::orders).transpose()?;
    let attach = attached(&patch.attach, &who.name, now)?;
    let detach = attached(&patch.detach, &who.name, now)?;
    let note = patch.note.filter(|note| !note.is_empty());
    let what = [
        status.map(Status::name),
        orders.as_ref().map(|_| "next_call"),
        note.as_ref().map(|_| "note"),
        (!attach.is_empty()).then_some("attach"),
        (!detach.is_empty()).then_some("detach"),
    ];
    let what: Vec<_> = what.into_iter().flatten().collect();
    let changed = Changed(format!("case {name} {}", what.join(" ")));
    let case = change(&api, move |store| {
        let by = (who.name.as_str(), now);
        store.case(&name)?;
        if let Some(note) = &note {
            store.note(&name, note, by)?;
        }
        if let Some(orders) = &orders {
            store.order(&name, orders, by)?;
        }
        for profile in &attach {
            store.attach(&name, profile)?;
        }
        for profile in &detach {
            store.detach(&name, profile.profile, by)?;
        }
        if let Some(status) = status {
            store.set_status(&name, status, by)?;
        }
        store.case(&name)
    })
    .await?;
    Ok((Extension(changed), Json(told(&case, false))))
}
