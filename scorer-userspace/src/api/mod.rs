//! The HTTP API, and the dashboard that stands on it. docs/api.md tells what is asked how.
//!
//! It runs in a thread and a runtime of its own, beside a scorer or over stored records
//! alone. The scoring thread hands calls over ([`Feed`]) and never waits for it. All that
//! somebody can hold is bounded: connections and their time, streams, requests a second,
//! the size of what is asked and answered, questions to the records and what these take.

mod access;
mod ask;
mod config;
mod dashboard;
mod extract;
mod filter;
mod item;
mod labelled;
mod ladder;
mod live;
mod mask;
mod openapi;
mod page;
mod problem;
mod pulse;
mod routes;
mod server;
mod stats;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{delete, get, post},
};
use tokio::sync::Semaphore;

pub use access::{Entry, Role, Token, TokenError, Tokens};
pub use config::{ApiConfig, Tls};
pub use live::{Feed, Mail, feed};
pub use server::{About, ApiError, Scoring, Server};
pub use stats::ApiStats;

use access::Access;
use ask::Questions;
use live::Live;
use pulse::Pulse;

use crate::config::Config;

/// Bytes of a request's body at most: a policy has 1 MiB.
const BODY: usize = 2 << 20;

/// What requests need.
#[derive(Debug)]
struct Api {
    config: Config,
    about: About,
    access: Access,
    records: Option<Arc<Questions>>,
    live: Option<Live>,
    /// Labels' file.
    labels: Option<PathBuf>,
    /// Lists', cases' and tokens' file.
    store: Option<PathBuf>,
    /// Country code of national numbers.
    home: Option<u16>,
    streams: Arc<Semaphore>,
    stats: Arc<ApiStats>,
    pulse: Pulse,
    spreads: Mutex<routes::spread::Kept>,
    labelled: Mutex<labelled::Kept>,
    started: jiff::Timestamp,
}

/// All routes.
fn router(api: &Arc<Api>) -> Router {
    use routes::{
        audit, callers, calls, cases, consortium, gate, labels, lists, me, models, policy,
        profiles, reports, stream, system, trends,
    };
    let mut v1 = Router::new()
        .route("/v1/me", get(me::me))
        .route("/v1/calls", get(calls::list))
        .route("/v1/calls/{call}", get(calls::detail))
        .route("/v1/stream", get(stream::stream))
        .route("/v1/labels", get(labels::list).post(labels::add))
        .route("/v1/reports/trends", get(trends::trends))
        .route("/v1/reports/{by}", get(reports::report))
        .route("/v1/lists", get(lists::list).post(lists::add))
        .route("/v1/lists/audit", get(lists::audit))
        .route("/v1/lists/{list}/{kind}/{value}", delete(lists::remove))
        .route("/v1/cases", get(cases::list).post(cases::open))
        .route("/v1/cases/{name}", get(cases::one).patch(cases::patch))
        .route("/v1/profiles", get(callers::list))
        .route("/v1/profiles/{who}", get(profiles::one))
        .route("/v1/policy", get(policy::show))
        .route("/v1/policy/simulate", post(policy::simulate))
        .route("/v1/models", get(models::show))
        .route("/v1/models/calibration", get(models::calibration))
        .route("/v1/gate", get(gate::show))
        .route("/v1/consortium", get(consortium::consortium))
        .route("/v1/system", get(system::show))
        .route("/v1/audit", get(audit::list))
        .with_state(Arc::clone(api));
    if let Some((recent, stats)) = api.live.as_ref().and_then(|live| live.recent.clone()) {
        let wait = api.config.deliver.http_wait;
        let verdict = crate::verdict::http::router(recent, wait, stats);
        v1 = v1.merge(verdict.layer(middleware::from_fn(calls::masked_verdict)));
    }
    let guarded = v1
        .fallback(server::nothing_here)
        .method_not_allowed_fallback(server::not_so)
        .layer(middleware::from_fn_with_state(Arc::clone(api), access::guard))
        .layer(DefaultBodyLimit::max(BODY));
    let open = Router::new()
        .route("/healthz", get(me::healthz))
        .route("/readyz", get(me::readyz))
        .route("/v1/openapi.json", get(openapi::document))
        .with_state(Arc::clone(api))
        .merge(dashboard::router());
    open.merge(guarded)
        .layer(middleware::from_fn(server::secure))
        .layer(middleware::from_fn_with_state(Arc::clone(api), server::counted))
}
