//! What the kernel drops or lets through by itself.

use std::sync::Arc;

use axum::{Json, extract::State, response::IntoResponse};
use serde_json::{Value, json};

use super::super::{Api, access::Viewer, extract::Asked, item::hex, problem::Problem};
use crate::gate::{Entry, Gate, GateError, Subject};

/// Rules told at most.
const RULES: usize = 1_000;

/// `GET /v1/gate`; `interface` says whose, where there are several.
pub(in crate::api) async fn show(
    State(api): State<Arc<Api>>,
    Viewer(_): Viewer,
    mut asked: Asked,
) -> Result<impl IntoResponse, Problem> {
    let interface = asked.text("interface");
    asked.done()?;
    let root = api.config.inline.pins.clone();
    let read = tokio::task::spawn_blocking(move || {
        let gate = Gate::open(&root, interface.as_deref())?;
        Ok::<_, GateError>((gate.settings()?, gate.entries()?))
    });
    let (settings, entries) = read.await.map_err(|error| Problem::internal(&error))??;
    let rate = match settings.bucket_interval {
        0 => Value::Null,
        interval => json!(1_000_000_000 / interval),
    };
    let rules: Vec<_> = entries.iter().take(RULES).map(told).collect();
    Ok(Json(json!({
        "limit": {
            "rate": rate,
            "burst": settings.bucket_burst,
            "drop": settings.gate & scorer_common::gate::LIMIT_DROPS != 0,
        },
        "total": entries.len(),
        "rules": rules,
    })))
}

fn told(entry: &Entry) -> Value {
    use scorer_common::gate::{ALLOW, DROP, MARK};
    let (kind, value) = match entry.subject {
        Subject::Source(address, bits) => ("source", format!("{address}/{bits}")),
        Subject::Fingerprint(fingerprint) => ("fingerprint", hex(fingerprint)),
        // The kernel knows numbers by their hashes alone.
        Subject::Number(hash) => ("number_hash", hex(hash)),
    };
    let action = match entry.action {
        ALLOW => "allow",
        MARK => "mark",
        DROP => "drop",
        _ => "none",
    };
    let left = entry.left.map(|left| left.as_secs());
    json!({"kind": kind, "value": value, "action": action, "left_s": left})
}
