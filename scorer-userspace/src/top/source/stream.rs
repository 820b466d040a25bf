//! Calls of a running `scorer`, over its API: docs/api.md tells what it answers.

use std::{
    fmt::{self, Write as _},
    net::SocketAddr,
    path::PathBuf,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::SyncSender,
    },
    time::Duration,
};

use http_body_util::{BodyExt as _, Collected, Empty, Limited};
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    client::conn::http1,
    header::{ACCEPT, AUTHORIZATION, HOST},
};
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    sync::mpsc::Receiver,
    time::{sleep, timeout},
};

use super::{
    Event,
    sse::{Events, TooLong},
};
use crate::top::{call::Call, clean, filter::Filter, rates::Rates, ring::Update};

/// Where a running scorer answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A Unix socket.
    Unix(PathBuf),
    /// HTTP over loopback: tokens go unencrypted.
    Loopback(SocketAddr),
}

/// Why an address cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not understood.
    #[error(
        "{0:?} is no address of a scorer: give its socket (/run/scorer/api.sock) or http://127.0.0.1:8600"
    )]
    Unknown(String),
    /// Another host.
    #[error(
        "{0} is not on this host, and the token would go there unencrypted; bring it here with \
         `ssh -L 8600:127.0.0.1:8600 HOST` and give http://127.0.0.1:8600"
    )]
    NotLoopback(String),
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(rest) = text.strip_prefix("http://") {
            let host = rest.trim_end_matches('/').replace("localhost", "127.0.0.1");
            let address: SocketAddr =
                host.parse().map_err(|_| AddressError::Unknown(text.to_owned()))?;
            if !address.ip().is_loopback() {
                return Err(AddressError::NotLoopback(text.to_owned()));
            }
            return Ok(Self::Loopback(address));
        }
        let path = text.strip_prefix("unix:").unwrap_or(text);
        if path.contains("://") || !path.contains('/') {
            return Err(AddressError::Unknown(text.to_owned()));
        }
        Ok(Self::Unix(path.into()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Loopback(address) => write!(f, "http://{address}"),
        }
    }
}

/// Why the stream ended.
#[derive(Debug, thiserror::Error)]
enum StreamError {
    #[error("cannot reach scorer at {address}: {source}; does it run, with [api] configured?")]
    Connect { address: Address, source: std::io::Error },
    #[error("{0}")]
    Http(#[from] hyper::Error),
    #[error("it answers {status}{}: {detail}", hint(*status))]
    Status { status: StatusCode, detail: String },
    #[error("{0}")]
    TooLong(#[from] TooLong),
    #[error("its answer cannot be read: {0}")]
    Answer(String),
    #[error("it does not answer")]
    Silent,
    #[error("it has ended the stream")]
    Ended,
}

/// What to do about an answer.
fn hint(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => " (give a token in SCORER_TOKEN)",
        StatusCode::FORBIDDEN => " (the token's role may not read calls)",
        StatusCode::NOT_FOUND => " (an older scorer, or another program)",
        _ => "",
    }
}

impl StreamError {
    /// Trying again will not help.
    fn is_final(&self) -> bool {
        matches!(self, Self::Status { status, .. }
            if status.is_client_error() && *status != StatusCode::TOO_MANY_REQUESTS)
    }
}

/// A reader of the stream.
#[derive(Debug)]
pub(super) struct Stream {
    address: Address,
    token: Option<String>,
    query: String,
}

/// For answers that are not streams.
const PATIENCE: Duration = Duration::from_secs(10);
/// Rates come each second: a stream that is silent for so long is dead.
const SILENCE: Duration = Duration::from_secs(30);
/// Bytes of an answer.
const ANSWER: usize = 8 << 20;
/// Calls of the recent past that are shown at first.
const PAST: usize = 200;
/// How long to wait between attempts, at first and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

impl Stream {
    pub(super) fn new(address: Address, token: Option<String>, filter: &Filter) -> Self {
        let mut query = String::new();
        let mut add = |name: &str, value: &str| {
            if !value.is_empty() {
                let value = utf8_percent_encode(value, NON_ALPHANUMERIC);
                // Writing to a String cannot fail.
                let _ = write!(query, "&{name}={value}");
            }
        };
        add("level", filter.level.map_or("", |level| level.name()));
        let score = if filter.score > 0 { filter.score.to_string() } else { String::new() };
        add("min_score", &score);
        add("tag", &filter.tag);
        add("trunk", &filter.trunk);
        add("country", &filter.country);
        Self { address, token, query }
    }

    pub(super) fn run(
        self,
        events: &SyncSender<Event>,
        mut questions: Receiver<u64>,
        stop: &AtomicBool,
    ) {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                let _ = events.send(Event::End(Some(error.to_string())));
                return;
            }
        };
        let this = Arc::new(self);
        runtime.block_on(async {
            let stopped = async {
                while !stop.load(Ordering::Acquire) {
                    sleep(Duration::from_millis(50)).await;
                }
            };
            let asked = async {
                while let Some(key) = questions.recv().await {
                    let (this, events) = (Arc::clone(&this), events.clone());
                    tokio::spawn(async move {
                        let got = this.call(key).await.map_err(|error| error.to_string());
                        let _ = events.send(Event::Details(key, got));
                    });
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = stopped => {}
                () = asked => {}
                () = this.keep_on(events) => {}
            }
        });
    }

    /// Reads the stream, again and again.
    async fn keep_on(&self, events: &SyncSender<Event>) {
        let mut wait = AGAIN.0;
        loop {
            let mut connected = false;
            let Err(error) = self.stream(events, &mut connected).await else { return };
            if error.is_final() {
                let _ = events.send(Event::End(Some(error.to_string())));
                return;
            }
            if connected {
                wait = AGAIN.0;
            }
            if events.send(Event::State(format!("waiting: {error}"))).is_err() {
                return;
            }
            sleep(wait).await;
            wait = (wait * 2).min(AGAIN.1);
        }
    }

    /// Reads the stream until it ends; well only when nobody reads its events.
    async fn stream(
        &self,
        events: &SyncSender<Event>,
        connected: &mut bool,
    ) -> Result<(), StreamError> {
        let path = format!("/v1/stream?{}", self.query.trim_start_matches('&'));
        let response = self.get(&path, "text/event-stream").await?;
        // What came before, or while there was no stream. Without, there is the stream.
        match self.past().await {
            Ok(past) => past.into_iter().for_each(|call| drop(events.send(Event::Call(call)))),
            Err(error) => log::debug!("past calls: {error}"),
        }
        if events.send(Event::State("connected".into())).is_err() {
            return Ok(());
        }
        *connected = true;
        let mut body = response.into_body();
        let mut parser = Events::default();
        let mut read = true;
        loop {
            let frame = timeout(SILENCE, body.frame()).await.map_err(|_| StreamError::Silent)?;
            let Some(frame) = frame else { return Err(StreamError::Ended) };
            let Ok(piece) = frame?.into_data() else { continue };
            parser.push(&piece, &mut |name, data| {
                if let Some(event) = event(name, data) {
                    read &= events.send(event).is_ok();
                }
            })?;
            if !read {
                return Ok(());
            }
        }
    }

    /// The latest calls before now, oldest first.
    async fn past(&self) -> Result<Vec<Box<Call>>, StreamError> {
        #[derive(Deserialize)]
        struct Page {
            items: Vec<serde_json::Value>,
        }
        let path = format!("/v1/calls?since=15m&limit={PAST}{}", self.query);
        let body = self.whole(&path).await?;
        let page: Page = serde_json::from_slice(&body)
            .map_err(|error| StreamError::Answer(error.to_string()))?;
        let calls = page.items.into_iter().take(PAST).rev();
        Ok(calls.filter_map(|item| Call::of(item).ok()).map(Box::new).collect())
    }

    /// All about one call.
    async fn call(&self, key: u64) -> Result<Box<Call>, StreamError> {
        let body = self.whole(&format!("/v1/calls/{key:016x}")).await?;
        let call = Call::read(&body).map_err(|error| StreamError::Answer(error.to_string()))?;
        Ok(Box::new(call))
    }

    async fn whole(&self, path: &str) -> Result<Bytes, StreamError> {
        let response = self.get(path, "application/json").await?;
        let body = timeout(PATIENCE, Limited::new(response.into_body(), ANSWER).collect());
        let body = body.await.map_err(|_| StreamError::Silent)?;
        Ok(body.map_err(|error| StreamError::Answer(error.to_string()))?.to_bytes())
    }

    /// Asks; an answer other than 200 is an error.
    async fn get(&self, path: &str, accept: &str) -> Result<Response<Incoming>, StreamError> {
        let response = match &self.address {
            Address::Unix(socket) => {
                self.exchange(UnixStream::connect(socket).await, path, accept).await?
            }
            Address::Loopback(address) => {
                self.exchange(TcpStream::connect(address).await, path, accept).await?
            }
        };
        let status = response.status();
        if status == StatusCode::OK {
            return Ok(response);
        }
        let body = timeout(PATIENCE, Limited::new(response.into_body(), 64 << 10).collect()).await;
        let body = body.ok().and_then(Result::ok).map(Collected::to_bytes).unwrap_or_default();
        // problem+json (RFC 9457), where it is.
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let said = |key: &str| problem.get(key).and_then(|text| text.as_str()).map(clean::text);
        let detail = said("detail").or_else(|| said("title")).unwrap_or_default();
        Err(StreamError::Status { status, detail })
    }

    async fn exchange<S>(
        &self,
        socket: std::io::Result<S>,
        path: &str,
        accept: &str,
    ) -> Result<Response<Incoming>, StreamError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let address = self.address.clone();
        let socket = socket.map_err(|source| StreamError::Connect { address, source })?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
        // Ends when both the answer is read, or given up, and the sender is gone.
        tokio::spawn(connection);
        let host = match &self.address {
            Address::Unix(_) => "localhost".to_owned(),
            Address::Loopback(address) => address.to_string(),
        };
        let mut request = Request::get(path).header(HOST, host).header(ACCEPT, accept);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request
            .body(Empty::<Bytes>::new())
            .map_err(|error| StreamError::Answer(error.to_string()))?;
        let response = timeout(PATIENCE, sender.send_request(request));
        Ok(response.await.map_err(|_| StreamError::Silent)??)
    }
}

/// Reads an event; `None` for what is not known.
fn event(name: &str, data: &[u8]) -> Option<Event> {
    #[derive(Deserialize)]
    struct Went {
        call: String,
        outcome: Option<String>,
        code: Option<u16>,
        setup_s: Option<f64>,
        duration_s: Option<f64>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Latency {
        p50: Option<f64>,
        p99: Option<f64>,
    }
    #[derive(Deserialize)]
    struct Second {
        calls_per_min: f64,
        high_per_min: f64,
        latency_us: Option<Latency>,
        drops: Option<u64>,
        active: Option<u64>,
    }
    #[derive(Deserialize)]
    struct Lost {
        count: u64,
    }
    let event = match name {
        "call" => Call::read(data).map(|call| Event::Call(Box::new(call))),
        "update" => serde_json::from_slice(data).map(|went: Went| {
            Event::Update(Update {
                key: u64::from_str_radix(&went.call, 16).unwrap_or(0),
                outcome: clean::text(&went.outcome.unwrap_or_default()),
                code: went.code.unwrap_or(0),
                setup: went.setup_s,
                duration: went.duration_s,
            })
        }),
        "rates" => serde_json::from_slice(data).map(|second: Second| {
            let latency = second.latency_us.unwrap_or_default();
            Event::Rates(Rates {
                calls: second.calls_per_min,
                high: second.high_per_min,
                latency: latency.p50.zip(latency.p99),
                drops: second.drops,
                active: second.active,
            })
        }),
        "lost" => serde_json::from_slice(data).map(|lost: Lost| Event::Lost(lost.count)),
        _ => return None,
    };
    event.inspect_err(|error| log::warn!("an event {name} of scorer cannot be read: {error}")).ok()
}

#[cfg(test)]
mod tests {
    use super::{Address, AddressError, Event, Filter, Stream, event};

    #[test]
    fn addresses() {
        for (text, shown) in [
            ("/run/scorer/api.sock", "/run/scorer/api.sock"),
            ("unix:./api.sock", "./api.sock"),
            ("http://127.0.0.1:8600", "http://127.0.0.1:8600"),
            ("http://localhost:8600/", "http://127.0.0.1:8600"),
            ("http://[::1]:8600", "http://[::1]:8600"),
        ] {
            assert_eq!(text.parse::<Address>().expect(text).to_string(), shown);
        }
        for bad in ["", "api.sock", "https://127.0.0.1:8600", "http://127.0.0.1", "http://x:1/y"] {
            assert!(matches!(bad.parse::<Address>(), Err(AddressError::Unknown(_))), "{bad}");
        }
        let far = "http://192.0.2.1:8600".parse::<Address>().unwrap_err();
        assert!(far.to_string().contains("ssh -L"), "{far}");
    }

    #[test]
    fn filters_are_asked_for() {
        let filter = Filter { score: 40, trunk: "A&B".into(), ..Filter::default() };
        let stream = Stream::new(Address::Unix("/x".into()), None, &filter);
        assert_eq!(stream.query, "&min_score=40&trunk=A%26B");
    }

    #[test]
    fn events_are_read() {
        let rates = br#"{"ts":"x","calls_per_min":60,"high_per_min":2,"latency_us":{"p50":8,"p99":40.5},"drops":0,"active":3}"#;
        let Some(Event::Rates(rates)) = event("rates", rates) else { panic!("no rates") };
        assert_eq!((rates.calls, rates.latency), (60.0, Some((8.0, 40.5))));
        let update = br#"{"call":"0a","outcome":"rejected","code":603,"setup_s":null}"#;
        let Some(Event::Update(update)) = event("update", update) else { panic!("no update") };
        assert_eq!((update.key, update.code), (10, 603));
        assert!(matches!(event("lost", b"{\"count\":4}"), Some(Event::Lost(4))));
        assert!(event("call", b"nonsense").is_none() && event("new", b"{}").is_none());
    }
}
