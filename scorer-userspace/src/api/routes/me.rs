//! Who asks, and whether the scorer is well.

use std::sync::{Arc, atomic::Ordering};

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use serde_json::json;

use super::super::{Api, access::Viewer, problem::Problem};

/// `GET /v1/me`.
pub(in crate::api) async fn me(Viewer(who): Viewer) -> impl IntoResponse {
    Json(json!({"name": who.name, "role": who.role, "masked": who.role.is_masked()}))
}

/// `GET /healthz`: whoever reads this sees that the process lives.
pub(in crate::api) async fn healthz() -> impl IntoResponse {
    Json(json!({"status": "ok"}))
}

/// `GET /readyz`: calls are scored, or, without a tap, records can be read.
pub(in crate::api) async fn readyz(
    State(api): State<Arc<Api>>,
) -> Result<impl IntoResponse, Problem> {
    let not = |why: &str| Problem::of(StatusCode::SERVICE_UNAVAILABLE, why);
    if let Some(live) = &api.live {
        let beats = live.shared.alive.load(Ordering::Relaxed);
        if !api.pulse.beats(beats) {
            return Err(not("the scoring thread does not turn"));
        }
        let snapshot = live.shared.snapshot.lock();
        let snapshot = snapshot.unwrap_or_else(std::sync::PoisonError::into_inner);
        if snapshot.models.champion.is_none() {
            return Err(not("no model is loaded"));
        }
    } else if !api.records.as_ref().is_none_or(|records| records.store().folder().is_dir()) {
        return Err(not("the folder of the records is gone"));
    }
    Ok(Json(json!({"status": "ready", "scoring": api.live.is_some()})))
}
