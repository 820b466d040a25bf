//! Errors as RFC 9457 tells them.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

/// Why a request has no other answer: `application/problem+json`.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
    /// Seconds after which it may be asked again.
    retry: Option<u64>,
}

impl Problem {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), retry: None }
    }

    /// 400: the request makes no sense.
    pub(super) fn wrong(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 401: nobody is known.
    pub(super) fn unknown_peer(detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail)
    }

    /// 403: it is known who asks, and it is not theirs to ask.
    pub(super) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// 404.
    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 409: what is there already, or is otherwise than thought.
    pub(super) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// 422: well formed, and cannot be done.
    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// 429, with the seconds to wait.
    pub(super) fn too_many(detail: &str, seconds: u64) -> Self {
        Self { retry: Some(seconds.max(1)), ..Self::new(StatusCode::TOO_MANY_REQUESTS, detail) }
    }

    /// 500: ours. The log has the cause.
    pub(super) fn internal(cause: &dyn std::fmt::Display) -> Self {
        log::error!("a request to the API failed: {cause}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, cause.to_string())
    }

    /// 503: not now.
    pub(super) fn busy(detail: impl Into<String>) -> Self {
        Self { retry: Some(1), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }

    /// Of any other status, as what lies below says it.
    pub(super) fn of(status: StatusCode, detail: impl Into<String>) -> Self {
        Self::new(status, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { status, detail, retry } = self;
        let body = json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or("Error"),
            "status": status.as_u16(),
            "detail": detail,
        });
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = retry {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

macro_rules! problems {
    ($($error:ty => |$name:ident| $make:expr;)+) => {
        $(impl From<$error> for Problem {
            fn from($name: $error) -> Self { $make }
        })+
    };
}

use crate::{
    cases::CaseError, gate::GateError, labels::LabelError, lists::StoreError, model::FolderError,
    records::query::QueryError,
};

problems! {
    QueryError => |error| match error {
        QueryError::TooLong(time) => Self::busy(format!(
            "the query took longer than {} s; narrow it with since and until", time.as_secs()
        )),
        QueryError::TooLarge(bytes) => Self::busy(format!(
            "the query needs more than {} MiB; narrow it with since and until", bytes >> 20
        )),
        error => Self::internal(&error),
    };
    LabelError => |error| match error {
        LabelError::Invalid(what) => Self::invalid(what),
        error => Self::internal(&error),
    };
    StoreError => |error| match error {
        StoreError::Invalid(what) => Self::invalid(what),
        StoreError::Missing { .. } => Self::not_found(error.to_string()),
        error => Self::internal(&error),
    };
    CaseError => |error| match error {
        CaseError::Unknown(name) => Self::not_found(format!("there is no case {name}")),
        CaseError::Exists(name) => Self::conflict(format!("there is a case {name} already")),
        CaseError::Invalid(what) => Self::invalid(what),
        CaseError::Store(error) => error.into(),
    };
    GateError => |error| match error {
        GateError::Several { names } => Self::wrong(format!(
            "there are gates on {}: say which with interface", names.join(", ")
        )),
        error => Self::not_found(error.to_string()),
    };
    FolderError => |error| Self::internal(&error);
}
