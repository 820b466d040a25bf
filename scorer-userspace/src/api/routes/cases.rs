//! Cases: fraudsters who are tracked.

use std::sync::Arc;

use serde_json::Value;

use super::super::{Api, problem::Problem};
use crate::{
    cases::{Case, CaseError, Store},
    lists::StoreError,
};

/// Runs `work` on the store to look; `None` where there is no store yet.
async fn look<T: Send + 'static>(
    api: &Arc<Api>,
    work: impl FnOnce(&Store) -> Result<T, CaseError> + Send + 'static,
) -> Result<Option<T>, Problem> {
    let Some(path) = api.store.clone() else { return Ok(None) };
    let done = tokio::task::spawn_blocking(move || match Store::look(&path) {
        Ok(store) => work(&store).map(Some),
        Err(CaseError::Store(StoreError::Missing { .. })) => Ok(None),
        Err(error) => Err(error),
    });
    Ok(done.await.map_err(|error| Problem::internal(&error))??)
}

/// Names of the cases that a profile belongs to.
pub(in crate::api) async fn of_profile(
    api: &Arc<Api>,
    profile: &str,
) -> Result<Vec<Value>, Problem> {
    let id = u64::from_str_radix(profile, 16).unwrap_or(0);
    let cases = look(api, Store::cases).await?.unwrap_or_default();
    let of = |case: &Case| case.profiles.iter().any(|attached| attached.profile == id);
    Ok(cases.into_iter().filter(of).map(|case| Value::from(case.name)).collect())
}
