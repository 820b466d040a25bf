//! `GET /v1/consortium`.

use std::sync::Arc;

use axum::{Json, extract::State, response::IntoResponse};

use super::super::{Api, access::Viewer, extract::Asked, problem::Problem};
use crate::share::Home;

/// Members, trust, what was taken and refused. Nothing of a caller.
pub(in crate::api) async fn consortium(
    State(api): State<Arc<Api>>,
    Viewer(_): Viewer,
    asked: Asked,
) -> Result<impl IntoResponse, Problem> {
    asked.done()?;
    let config = api.config.consortium.clone();
    let Some(folder) = config.folder.clone() else {
        return Err(Problem::not_found("no consortium is configured (consortium.folder)"));
    };
    let read = tokio::task::spawn_blocking(move || {
        Home::look(&folder)?.status().map(|status| status.to_json(&config))
    });
    let told = read.await.map_err(|error| Problem::internal(&error))?;
    Ok(Json(told.map_err(|error| Problem::internal(&error))?))
}
