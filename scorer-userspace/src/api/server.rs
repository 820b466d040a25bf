//! Listeners and connections.

use std::{
    io,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use axum::{
    Extension, Router,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::timeout,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};

use super::{
    Api, ApiConfig, ApiStats, Tls, TokenError,
    access::{Access, Peer},
    ask::Questions,
    live::{self, Live, Mail},
    problem::Problem,
    pulse::Pulse,
    router,
};
use crate::{
    config::Config,
    http1,
    metrics::Shared,
    model::InUse,
    records::query::{Limits, QueryError, Store},
    verdict::{http::HttpStats, recent::Recent},
};

/// Connections at a time.
const CONNECTIONS: usize = 256;
/// How long a client may take for its TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long a connection may live; a stream is opened again then.
const LIFE: Duration = Duration::from_hours(12);
/// Threads for files and questions to the records, at most.
const BLOCKING: usize = 16;

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// An address or socket.
    #[error(
        "cannot serve the API on {place}: {source}; choose another with api.listen or api.socket"
    )]
    Listen {
        /// Where.
        place: String,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// What must be encrypted is not.
    #[error(
        "api.listen is {0}, which others reach: set api.tls_cert and api.tls_key, or listen on a \
         loopback address such as 127.0.0.1:8600"
    )]
    Open(SocketAddr),
    /// Loopback without a token, beside TLS.
    #[error(
        "api.open_loopback needs a loopback address without TLS; make tokens instead (`scorer token add`)"
    )]
    OpenWhere,
    /// Half of it.
    #[error("{missing} is missing: TLS needs api.tls_cert and api.tls_key")]
    HalfTls {
        /// The option.
        missing: &'static str,
    },
    /// A certificate or key.
    #[error("{}: {what}", path.display())]
    Certificate {
        /// File.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Tokens.
    #[error(transparent)]
    Tokens(#[from] TokenError),
    /// Records.
    #[error(transparent)]
    Records(#[from] QueryError),
    /// A thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
}

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Server {
    stop: Option<oneshot::Sender<()>>,
    /// Ends the counting of stored calls.
    counting: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    stats: Arc<ApiStats>,
    socket: Option<PathBuf>,
    /// Where it listens, with the port that was chosen.
    address: Option<SocketAddr>,
}

/// What is known of the process.
#[derive(Clone, Debug)]
pub struct About {
    /// `serve`, `tap`, `inline`, `redirect`.
    pub mode: &'static str,
    /// A line an interface.
    pub interfaces: Vec<String>,
    /// Models in use at the start.
    pub models: InUse,
    /// Looks at the host: what was looked at, whether it is well, what was found.
    pub doctor: fn() -> Vec<(String, bool, String)>,
}

/// Live calls, and the scorer's counters.
#[derive(Debug)]
pub struct Scoring {
    /// From the scoring thread.
    pub mail: Mail,
    /// Counters.
    pub shared: Arc<Shared>,
    /// Verdicts by Call-ID.
    pub recent: Option<(Arc<Recent>, Arc<HttpStats>)>,
}

/// What is listened at.
struct Places {
    tcp: Option<(TcpListener, Option<TlsAcceptor>)>,
    unix: Option<UnixListener>,
}

impl Server {
    /// Begins to serve. Without `scoring` stored records are all there is.
    ///
    /// # Errors
    /// [`ApiError`]: an address that cannot be had or that others reach without TLS,
    /// files that cannot be used.
    pub fn start(
        config: &Config,
        about: About,
        scoring: Option<Scoring>,
        stats: Arc<ApiStats>,
    ) -> Result<Self, ApiError> {
        let api_config = &config.api;
        let tls = check(api_config)?;
        let records = match &config.records.folder {
            Some(folder) => {
                let store = Arc::new(Store::open(folder, config.labels.as_deref())?);
                let limits = Limits {
                    rows: Some(100_000),
                    time: Some(api_config.query_time),
                    memory: api_config.query_memory,
                };
                Some(Arc::new(Questions::new(store, api_config.queries, limits)))
            }
            None => None,
        };
        let store = config.engine.env.store.clone();
        let access = Access::new(store.clone(), api_config.open_loopback, api_config.rate)?;
        let (live, mail) = match scoring {
            Some(Scoring { mail, shared, recent }) => {
                (Some(Live::new(&mail, api_config.memory, shared, recent)), Some(mail))
            }
            None => (None, None),
        };
        let api = Arc::new(Api {
            config: config.clone(),
            about,
            access,
            records,
            live,
            labels: config.labels.clone(),
            store,
            home: config.engine.env.home_country,
            streams: Arc::new(Semaphore::new(api_config.streams)),
            stats: Arc::clone(&stats),
            pulse: Pulse::new(),
            spreads: Mutex::default(),
            labelled: Mutex::default(),
            started: jiff::Timestamp::now(),
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING)
            .thread_name("api-work")
            .build()
            .map_err(ApiError::Thread)?;
        let places = runtime.block_on(places(api_config, tls))?;
        let address = places.tcp.as_ref().and_then(|(listener, _)| listener.local_addr().ok());
        let mut threads = Vec::new();
        let mut spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            let thread = std::thread::Builder::new().name(name.into()).spawn(run);
            thread.map(|thread| threads.push(thread)).map_err(ApiError::Thread)
        };
        if let Some(mail) = mail {
            let at = Arc::clone(&api);
            spawn(
                "api-feed",
                Box::new(move || {
                    if let Some(live) = &at.live {
                        live::run(mail, live);
                    }
                }),
            )?;
        }
        let counting = Arc::new(AtomicBool::new(false));
        if let Some(records) = &api.records {
            let (records, stop) = (Arc::clone(records), Arc::clone(&counting));
            spawn("api-records", Box::new(move || records.follow(&stop)))?;
        }
        let (stop, stopped) = oneshot::channel();
        spawn(
            "api",
            Box::new(move || {
                runtime.block_on(async {
                    tokio::select! {
                        _ = stopped => {}
                        () = Access::watch(&api) => {}
                        () = serve(&api, places) => {}
                    }
                });
                // A question to the records ends by its own limit; nobody waits for it.
                runtime.shutdown_background();
            }),
        )?;
        let socket = api_config.socket.clone();
        Ok(Self { stop: Some(stop), counting, threads, stats, socket, address })
    }

    /// Where it listens, with the port that was chosen.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Counters.
    pub fn stats(&self) -> &Arc<ApiStats> {
        &self.stats
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.counting.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                log::error!("a thread of the API panicked");
            }
        }
        if let Some(socket) = &self.socket {
            let _ = std::fs::remove_file(socket);
        }
    }
}

/// Sees that what is configured is safe.
fn check(config: &ApiConfig) -> Result<Option<TlsAcceptor>, ApiError> {
    let tls = acceptor(&config.tls)?;
    if let Some(listen) = config.listen
        && !listen.ip().is_loopback()
        && tls.is_none()
    {
        return Err(ApiError::Open(listen));
    }
    let plain = config.listen.is_some_and(|listen| listen.ip().is_loopback()) && tls.is_none();
    if config.open_loopback.is_some() && config.listen.is_some() && !plain {
        return Err(ApiError::OpenWhere);
    }
    Ok(tls)
}

fn acceptor(tls: &Tls) -> Result<Option<TlsAcceptor>, ApiError> {
    let (cert, key) = match (&tls.cert, &tls.key) {
        (Some(cert), Some(key)) => (cert, key),
        (None, None) if tls.client_ca.is_none() => return Ok(None),
        (None, _) => return Err(ApiError::HalfTls { missing: "api.tls_cert" }),
        (_, None) => return Err(ApiError::HalfTls { missing: "api.tls_key" }),
    };
    let wrong = |path: &Path, what: &dyn std::fmt::Display| ApiError::Certificate {
        path: path.to_owned(),
        what: what.to_string(),
    };
    let clients = match &tls.client_ca {
        None => None,
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(path)? {
                roots.add(authority).map_err(|error| wrong(path, &error))?;
            }
            Some(crate::tls::clients(roots).map_err(|error| wrong(path, &error))?)
        }
    };
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, &error))?;
    let acceptor = crate::tls::acceptor(certificates(cert)?, secret, clients)
        .map_err(|error| wrong(cert, &error))?;
    Ok(Some(acceptor))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ApiError> {
    let wrong = |what: String| ApiError::Certificate { path: path.to_owned(), what };
    let all: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| wrong(error.to_string()))?;
    if all.is_empty() {
        return Err(wrong("has no certificate in PEM form".into()));
    }
    Ok(all)
}

async fn places(config: &ApiConfig, tls: Option<TlsAcceptor>) -> Result<Places, ApiError> {
    let failed = |place: &dyn std::fmt::Display| {
        let place = place.to_string();
        move |source| ApiError::Listen { place, source }
    };
    let tcp = match config.listen {
        None => None,
        Some(listen) => {
            let listener = TcpListener::bind(listen).await.map_err(failed(&listen))?;
            let address = listener.local_addr().map_err(failed(&listen))?;
            let scheme = if tls.is_some() { "https" } else { "http" };
            log::info!("dashboard and API on {scheme}://{address}");
            Some((listener, tls))
        }
    };
    let unix = match &config.socket {
        None => None,
        Some(path) => {
            let listener = bind(path).map_err(failed(&path.display()))?;
            log::info!("API on {}", path.display());
            Some(listener)
        }
    };
    Ok(Places { tcp, unix })
}

/// A Unix socket that its owner alone can open. One that nobody listens at any more is
/// left over by a crash.
fn bind(path: &Path) -> io::Result<UnixListener> {
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens there"));
    }
    let left = std::fs::symlink_metadata(path)
        .is_ok_and(|about| std::os::unix::fs::FileTypeExt::is_socket(&about.file_type()));
    if left {
        std::fs::remove_file(path)?;
    }
    // Between its being made and its mode being set nobody may come in.
    let before = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o177));
    let listener = UnixListener::bind(path);
    nix::sys::stat::umask(before);
    let listener = listener?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn serve(api: &Arc<Api>, Places { tcp, unix }: Places) {
    let router = router(api);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let place = |places: &Arc<Semaphore>| {
        let place = Arc::clone(places).try_acquire_owned().ok();
        if place.is_none() {
            api.stats.connections_refused.add();
        }
        place
    };
    let over_tcp = async {
        let Some((listener, tls)) = tcp else { return std::future::pending().await };
        loop {
            let (stream, from) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    http1::pause(&error).await;
                    continue;
                }
            };
            let Some(place) = place(&places) else { continue };
            let _ = stream.set_nodelay(true);
            let peer = Peer::Tcp { from: from.ip(), tls: tls.is_some() };
            let router = router.clone();
            match tls.clone() {
                None => {
                    tokio::spawn(connection(stream, router, peer, place));
                }
                Some(tls) => {
                    let stats = Arc::clone(&api.stats);
                    tokio::spawn(async move {
                        match timeout(HANDSHAKE, tls.accept(stream)).await {
                            Ok(Ok(stream)) => connection(stream, router, peer, place).await,
                            _ => stats.handshakes_failed.add(),
                        }
                    });
                }
            }
        }
    };
    let over_unix = async {
        let Some(listener) = unix else { return std::future::pending().await };
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    http1::pause(&error).await;
                    continue;
                }
            };
            let Some(place) = place(&places) else { continue };
            let Ok(about) = stream.peer_cred() else { continue };
            tokio::spawn(connection(stream, router.clone(), Peer::Unix(about.uid()), place));
        }
    };
    let ((), ()) = tokio::join!(over_tcp, over_unix);
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    peer: Peer,
    place: OwnedSemaphorePermit,
) {
    http1::connection(stream, router.layer(Extension(peer)), LIFE).await;
    drop(place);
}

/// Headers that keep a browser from doing more than the dashboard needs.
pub(super) async fn secure(request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().copied();
    let data = request.uri().path().starts_with("/v1/");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    set(
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'",
    );
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::X_FRAME_OPTIONS, "DENY");
    set(header::REFERRER_POLICY, "no-referrer");
    set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    set(
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    );
    if data {
        // Numbers stay in no cache.
        set(header::CACHE_CONTROL, "no-store");
    }
    if matches!(peer, Some(Peer::Tcp { tls: true, .. })) {
        set(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    response
}

/// Counts what became of requests.
pub(super) async fn counted(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let stats = &api.stats;
    let count = match response.status() {
        StatusCode::UNAUTHORIZED => &stats.unknown,
        StatusCode::FORBIDDEN => &stats.forbidden,
        StatusCode::TOO_MANY_REQUESTS => &stats.limited,
        StatusCode::SERVICE_UNAVAILABLE => &stats.busy,
        status if status.is_client_error() => &stats.refused,
        status if status.is_server_error() => &stats.failed,
        _ => &stats.answered,
    };
    count.add();
    response
}

/// No such route.
pub(super) async fn nothing_here(uri: Uri) -> Response {
    let path: String = uri.path().chars().take(100).collect();
    Problem::not_found(format!("there is nothing at {path}; /v1/openapi.json tells what there is"))
        .into_response()
}

/// A route that is not asked so.
pub(super) async fn not_so() -> Response {
    let detail = "this is not asked by this method; /v1/openapi.json tells how";
    Problem::of(StatusCode::METHOD_NOT_ALLOWED, detail).into_response()
}
