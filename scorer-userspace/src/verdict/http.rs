//! `GET /v1/calls/{call-id}/verdict?wait=MS`: the verdict of a call, for a router that
//! asks by Call-ID. See docs/verdicts.md.
//!
//! Everything a client can hold is bounded: connections, their time, requests that
//! wait, the size of what is asked.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{Response, StatusCode, Uri, header},
    routing::get,
};
use tokio::{net::TcpListener, sync::Semaphore, time::timeout};

use super::{
    deliver::counts,
    recent::{Found, Recent, Waiting},
};
use crate::http1;

/// Connections at a time.
const CONNECTIONS: usize = 256;
/// Requests that wait at a time: fewer, so that others find a connection.
const WAITING: usize = 128;
/// How long a connection may live; then it is closed after the answer under way.
const LIFE: Duration = Duration::from_mins(10);
/// Longest Call-ID asked for, bytes.
const LONGEST: usize = 4096;

counts! {
    /// What became of requests over HTTP.
    HttpStats {
        /// The verdict was there.
        known,
        /// The verdict came while the request waited.
        waited,
        /// No verdict, 404.
        unknown,
        /// Refused since too many requests wait, 503.
        busy,
        /// Requests that make no sense, 400 or 414.
        malformed,
        /// Connections closed at once since there are too many.
        connections_refused,
    }
}

/// Why verdicts are not served.
#[derive(Debug, thiserror::Error)]
#[error("cannot serve verdicts on {address}: {source}; choose another address (deliver.http)")]
pub struct HttpError {
    address: SocketAddr,
    #[source]
    source: std::io::Error,
}

/// What a request needs.
#[derive(Clone, Debug)]
struct Desk {
    recent: Arc<Recent>,
    stats: Arc<HttpStats>,
    waiting: Arc<Semaphore>,
    most: Duration,
}

/// The routes. Requests wait `most` at most.
pub fn router(recent: Arc<Recent>, most: Duration, stats: Arc<HttpStats>) -> Router {
    let waiting = Arc::new(Semaphore::new(WAITING));
    let desk = Desk { recent, stats, waiting, most };
    Router::new().route("/v1/calls/{call_id}/verdict", get(verdict)).with_state(desk)
}

/// Serves `router` until the future is dropped.
///
/// # Errors
/// [`HttpError`] when the address cannot be had.
pub async fn serve(
    address: SocketAddr,
    router: Router,
    stats: Arc<HttpStats>,
) -> Result<(), HttpError> {
    let error = |source| HttpError { address, source };
    if !address.ip().is_loopback() {
        log::warn!("verdicts on {address} can be read by whoever reaches this host");
    }
    let listener = TcpListener::bind(address).await.map_err(error)?;
    let address = listener.local_addr().map_err(error)?;
    log::info!("verdicts on http://{address}/v1/calls/CALL-ID/verdict");
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                http1::pause(&error).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            stats.connections_refused.add();
            continue;
        };
        let _ = stream.set_nodelay(true);
        let router = router.clone();
        tokio::spawn(async move {
            http1::connection(stream, router, LIFE).await;
            drop(place);
        });
    }
}

async fn verdict(State(desk): State<Desk>, uri: Uri) -> Response<Body> {
    let stats = &desk.stats;
    let (call_id, wait) = match asked(&uri, desk.most) {
        Ok(asked) => asked,
        Err((status, what)) => {
            stats.malformed.add();
            return problem(status, what);
        }
    };
    let read = |entry: &super::recent::Entry| entry.line().to_vec();
    let unknown = || {
        stats.unknown.add();
        problem(StatusCode::NOT_FOUND, "there is no verdict for this Call-ID, or none any more")
    };
    if wait.is_zero() {
        return desk.recent.call(&call_id, read).map_or_else(unknown, |line| {
            stats.known.add();
            found(line)
        });
    }
    let Ok(_place) = desk.waiting.try_acquire() else {
        stats.busy.add();
        return problem(StatusCode::SERVICE_UNAVAILABLE, "too many requests wait; ask again");
    };
    let waiting = match desk.recent.call_or_wait(&call_id, read) {
        Found::Now(line) => {
            stats.known.add();
            return found(line);
        }
        Found::Later(waiting) => waiting,
    };
    // A client that goes away drops this future: its place must go, too.
    let mut place = Place { recent: &desk.recent, waiting };
    let news = timeout(wait, &mut place.waiting.news).await;
    drop(place);
    if !matches!(news, Ok(Ok(()))) {
        return unknown();
    }
    desk.recent.call(&call_id, read).map_or_else(unknown, |line| {
        stats.waited.add();
        found(line)
    })
}

/// A place among those who wait, given up when dropped.
struct Place<'a> {
    recent: &'a Recent,
    waiting: Waiting,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.recent.leave(&self.waiting);
    }
}

/// The Call-ID, percent-decoded, and how long to wait.
fn asked(uri: &Uri, most: Duration) -> Result<(Vec<u8>, Duration), (StatusCode, &'static str)> {
    let bad = |what| (StatusCode::BAD_REQUEST, what);
    let path = uri.path();
    let raw = path.strip_prefix("/v1/calls/").and_then(|rest| rest.strip_suffix("/verdict"));
    let raw = raw.ok_or_else(|| bad("no Call-ID in the path"))?;
    if raw.len() > 3 * LONGEST {
        return Err((StatusCode::URI_TOO_LONG, "the Call-ID is longer than 4096 bytes"));
    }
    let call_id: Vec<u8> = percent_encoding::percent_decode_str(raw).collect();
    if call_id.is_empty() || call_id.len() > LONGEST {
        return Err((StatusCode::URI_TOO_LONG, "a Call-ID has 1 to 4096 bytes"));
    }
    let mut wait = Duration::ZERO;
    for (name, value) in
        uri.query().unwrap_or_default().split('&').filter_map(|p| p.split_once('='))
    {
        if name == "wait" {
            let number =
                value.parse::<u64>().map_err(|_| bad("wait is a number of milliseconds"))?;
            wait = Duration::from_millis(number).min(most);
        }
    }
    Ok((call_id, wait))
}

fn found(line: Vec<u8>) -> Response<Body> {
    answer(StatusCode::OK, "application/json", line)
}

/// RFC 9457. The details are constants and need no escapes.
fn problem(status: StatusCode, detail: &str) -> Response<Body> {
    let title = status.canonical_reason().unwrap_or_default();
    let text = format!(
        "{{\"type\":\"about:blank\",\"title\":\"{title}\",\"status\":{},\"detail\":\"{detail}\"}}\n",
        status.as_u16()
    );
    answer(status, "application/problem+json", text.into_bytes())
}

fn answer(status: StatusCode, kind: &'static str, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    // The next call with this Call-ID may have another verdict.
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::{SocketAddr, TcpStream},
        sync::Arc,
        time::Duration,
    };

    use axum::http::{StatusCode, Uri};

    use super::{CONNECTIONS, HttpStats, WAITING, asked, router, serve};
    use crate::verdict::recent::{Recent, tests::entry};

    #[test]
    fn what_is_asked() {
        let most = Duration::from_secs(2);
        let of = |text: &str| asked(&text.parse::<Uri>().expect("a URI"), most);
        let (id, wait) = of("/v1/calls/a%2Fb%40%ff@h/verdict?wait=50").expect("good");
        assert_eq!((&id[..], wait.as_millis()), (&b"a/b@\xff@h"[..], 50));
        assert_eq!(of("/v1/calls/a/verdict?x=1&wait=99999999").expect("good").1, most);
        assert_eq!(of("/v1/calls/a/verdict").expect("good").1, Duration::ZERO);
        for bad in ["wait=-1", "wait=soon", "wait=", "wait=99999999999999999999"] {
            assert!(of(&format!("/v1/calls/a/verdict?{bad}")).is_err(), "{bad}");
        }
        let long = format!("/v1/calls/{}/verdict", "x".repeat(4097));
        assert_eq!(of(&long).expect_err("too long").0, StatusCode::URI_TOO_LONG);
    }

    /// A request under way; dropped, the client has gone.
    fn request(address: SocketAddr, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).expect("connected");
        let text = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        // The server may have closed it at once.
        let _ = stream.write_all(text.as_bytes());
        stream
    }

    fn answer(mut stream: TcpStream) -> String {
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    /// Waits until it is so.
    fn until(so: impl Fn() -> bool) {
        for _ in 0..2_000 {
            if so() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("it never is");
    }

    #[test]
    fn answers_waits_and_bounds() {
        // A free port; nobody else takes it in between on this host's loopback.
        let address = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|free| free.local_addr())
            .expect("an address");
        let (recent, stats) = (Arc::new(Recent::new(16)), Arc::new(HttpStats::default()));
        let routes = router(Arc::clone(&recent), Duration::from_secs(20), Arc::clone(&stats));
        let server_stats = Arc::clone(&stats);
        // Ends with the process.
        std::thread::spawn(move || {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            let runtime = builder.enable_all().build().expect("a runtime");
            runtime.block_on(serve(address, routes, server_stats)).expect("it serves");
        });
        until(|| TcpStream::connect(address).is_ok());
        recent.insert(entry("known", "t"));
        let ask = |path: &str| answer(request(address, path));
        let known = ask("/v1/calls/known/verdict");
        assert!(known.starts_with("HTTP/1.1 200") && known.ends_with("{}\n"), "{known}");
        let unknown = ask("/v1/calls/unknown/verdict?wait=20");
        assert!(unknown.starts_with("HTTP/1.1 404"), "{unknown}");
        assert!(unknown.contains("application/problem+json"), "{unknown}");
        assert!(ask("/v1/calls/a/verdict?wait=x").starts_with("HTTP/1.1 400"));
        assert!(ask("/other").starts_with("HTTP/1.1 404"));
        let huge = ask(&format!("/v1/calls/{}/verdict", "x".repeat(100_000)));
        assert!(!huge.starts_with("HTTP/1.1 200"), "{huge}");

        let later = request(address, "/v1/calls/later/verdict?wait=20000");
        let gone = request(address, "/v1/calls/gone/verdict?wait=20000");
        until(|| recent.waiting() == 2);
        drop(gone);
        until(|| recent.waiting() == 1);
        recent.insert(entry("later", "t"));
        let later = answer(later);
        assert!(later.starts_with("HTTP/1.1 200"), "{later}");
        assert_eq!((stats.known.get(), stats.waited.get(), stats.unknown.get()), (1, 1, 1));

        // More that wait than may.
        let path = |i| format!("/v1/calls/never-{i}/verdict?wait=20000");
        let waiting: Vec<_> = (0..WAITING + 5).map(|i| request(address, &path(i))).collect();
        until(|| stats.busy.get() == 5);
        drop(waiting);
        until(|| recent.waiting() == 0);

        // More connections than there may be, idle: others are answered once these are
        // gone.
        let idle: Vec<_> =
            (0..CONNECTIONS + 20).filter_map(|_| TcpStream::connect(address).ok()).collect();
        until(|| stats.connections_refused.get() >= 10);
        drop(idle);
        until(|| ask("/v1/calls/known/verdict").starts_with("HTTP/1.1 200"));
    }
}
