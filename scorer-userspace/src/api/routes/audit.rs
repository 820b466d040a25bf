//! `GET /v1/audit`: who changed what through the API.

use std::sync::Arc;

use axum::{Json, extract::State, response::IntoResponse};
use serde_json::{Value, json};

use super::{
    super::{
        Api,
        access::{Access, Admin, Entry},
        extract::Asked,
        page::{self, Page},
        problem::Problem,
    },
    lists::seconds,
};

/// The last changes first.
pub(in crate::api) async fn list(
    State(api): State<Arc<Api>>,
    Admin(who): Admin,
    mut asked: Asked,
) -> Result<impl IntoResponse, Problem> {
    log::debug!("{} reads the audit trail", who.name);
    let limit = page::limit(asked.number("limit")?)?;
    let before = asked.text("cursor").as_deref().map(page::key).transpose()?;
    asked.done()?;
    let before = before
        .map(|key| key.parse().map_err(|_| Problem::wrong("the cursor is none that was given out")))
        .transpose()?;
    let mut entries =
        Access::with(&api, move |tokens| tokens.audit(before, limit as u32 + 1)).await?;
    let more = entries.len() > limit;
    entries.truncate(limit);
    let next = entries.last().filter(|_| more).map(|last| page::cursor(&last.id.to_string()));
    let told = |entry: Entry| {
        json!({
            "id": entry.id,
            "ts": seconds(entry.at),
            "who": entry.who,
            "role": entry.role,
            "peer": entry.peer,
            "what": entry.what,
            "status": entry.status,
            "detail": entry.object,
        })
    };
    Ok(Json(Page::<Value> { items: entries.into_iter().map(told).collect(), next }))
}
