//! What people found out about calls.

use std::sync::Arc;

use axum::{Extension, Json, extract::State, http::StatusCode, response::IntoResponse};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{
    Api,
    access::{Analyst, Changed, Viewer},
    extract::{Asked, Body},
    mask,
    page::{self, Page},
    problem::Problem,
};
use crate::labels::{Label, LabelError, Labels};

/// Labels of one call that are told.
const TOLD: u32 = 20;

/// A label that is given.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Given {
    call_id: String,
    /// `fraud` or `genuine`.
    label: String,
    #[serde(default)]
    note: String,
}

fn seconds(at: i64) -> String {
    jiff::Timestamp::from_second(at).map(|at| at.to_string()).unwrap_or_default()
}

fn told(label: Label, masked: bool) -> Value {
    let shown = |text: String| if masked { mask::text(&text).into_owned() } else { text };
    json!({
        "call_id": if masked { mask::call_id(&label.call_id).into_owned() } else { label.call_id.clone() },
        "label": if label.fraud { "fraud" } else { "genuine" },
        "by": label.by,
        "at": seconds(label.at),
        "weight": label.weight,
        "note": shown(label.note),
    })
}

/// Runs `work` on the file of labels.
async fn with<T: Send + 'static>(
    api: &Arc<Api>,
    work: impl FnOnce(&Labels) -> Result<T, LabelError> + Send + 'static,
) -> Result<T, Problem> {
    let path = api.labels.clone().ok_or_else(|| {
        Problem::not_found("labels are not kept: labels.path is not set in the configuration")
    })?;
    let done = tokio::task::spawn_blocking(move || work(&Labels::open(&path)?)).await;
    Ok(done.map_err(|error| Problem::internal(&error))??)
}

/// Labels of a call, the last first.
pub(in crate::api) async fn of_call(
    api: &Arc<Api>,
    call_id: &str,
    masked: bool,
) -> Result<Vec<Value>, Problem> {
    if api.labels.is_none() {
        return Ok(Vec::new());
    }
    let call_id = call_id.to_owned();
    let labels = with(api, move |labels| labels.all_of(&call_id, TOLD)).await?;
    Ok(labels.into_iter().map(|label| told(label, masked)).collect())
}

/// `GET /v1/labels`: the last first.
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    Viewer(who): Viewer,
    mut asked: Asked,
) -> Result<impl IntoResponse, Problem> {
    let limit = page::limit(asked.number("limit")?)?;
    let before = asked.text("cursor").as_deref().map(page::key).transpose()?;
    let before = before
        .map(|key| key.parse().map_err(|_| Problem::wrong("the cursor is none that was given out")))
        .transpose()?
        .unwrap_or(i64::MAX);
    let call_id = asked.text("call_id");
    asked.done()?;
    let masked = who.role.is_masked();
    if let Some(call_id) = call_id {
        let items = of_call(&api, &call_id, masked).await?;
        return Ok(Json(Page { items, next: None }));
    }
    let mut labels = with(&api, move |labels| labels.before(before, limit as u32 + 1)).await?;
    let more = labels.len() > limit;
    labels.truncate(limit);
    let next = labels.last().filter(|_| more).map(|(id, _)| page::cursor(&id.to_string()));
    let items = labels.into_iter().map(|(_, label)| told(label, masked)).collect();
    Ok(Json(Page { items, next }))
}

/// `POST /v1/labels`.
pub(in crate::api) async fn add(
    State(api): State<Arc<Api>>,
    Analyst(who): Analyst,
    Body(Given { call_id, label, note }): Body<Given>,
) -> Result<impl IntoResponse, Problem> {
    let fraud = match label.as_str() {
        "fraud" => true,
        "genuine" => false,
        _ => return Err(Problem::invalid("label is fraud or genuine")),
    };
    let at = jiff::Timestamp::now().as_second();
    let label = Label { call_id, fraud, by: who.name, at, weight: 1.0, note };
    let (changed, answer) = (
        format!("{} {}", label.call_id, if fraud { "fraud" } else { "genuine" }),
        told(label.clone(), false),
    );
    with(&api, move |labels| labels.add(&label)).await?;
    Ok((StatusCode::CREATED, Extension(Changed(changed)), Json(answer)))
}
