//! The dashboard's files, which are in the binary.

use axum::{
    Router,
    body::Body,
    extract::Path,
    http::{HeaderValue, Response, StatusCode, header},
    response::IntoResponse as _,
    routing::get,
};
use rust_embed::RustEmbed;

use super::problem::Problem;

/// What `npm run build` in scorer-userspace/web makes.
#[derive(RustEmbed)]
#[folder = "web/dist/"]
#[allow_missing = true]
struct Dist;

/// Shown where the binary was built without it.
const NONE: &str = "<!doctype html><html lang=\"en\"><title>scorer</title>\
    <p>This scorer was built without its dashboard. Its API is at <a href=\"v1/openapi.json\">/v1</a>.</p></html>\n";

/// `/` and what it loads.
pub(super) fn router() -> Router {
    Router::new()
        .route("/", get(|| async { file("index.html") }))
        .route(
            "/assets/{*path}",
            get(|Path(path): Path<String>| async move { file(&format!("assets/{path}")) }),
        )
        .route("/icon.svg", get(|| async { file("icon.svg") }))
}

fn file(path: &str) -> Response<Body> {
    let Some(file) = Dist::get(path) else {
        if path == "index.html" {
            return answer("text/html; charset=utf-8", "no-cache", NONE.as_bytes().to_vec());
        }
        return Problem::not_found("there is no such file").into_response();
    };
    // Names of assets bear their hash.
    let keep = if path.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    answer(kind(path), keep, file.data.into_owned())
}

fn answer(kind: &'static str, keep: &'static str, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    response
}

fn kind(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "json" | "map" => "application/json",
        "png" => "image/png",
        "woff2" => "font/woff2",
        "ico" => "image/x-icon",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
