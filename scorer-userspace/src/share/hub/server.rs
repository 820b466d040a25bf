//! The hub's endpoint: HTTPS with certificates of members, and the stream it keeps up.

use std::{
    collections::HashMap,
    net::SocketAddr,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_nats::jetstream;
use axum::{
    Extension, Json, Router,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use serde::Deserialize;
use serde_json::json;
use tokio::{net::TcpListener, sync::Semaphore, time::timeout};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};

use super::Hub;
use crate::{
    http1,
    share::{
        Mode, ShareError,
        blind::Evaluator,
        nats::{self, Connection, EVENTS, Health, LIVE, STREAM},
    },
    tls,
};

/// Connections at a time.
const CONNECTIONS: usize = 256;
/// How long a member may take for its TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long a connection may live.
const LIFE: Duration = Duration::from_hours(1);
/// A question at most, bytes: 64 elements.
const LARGEST: usize = 16 << 10;
/// How often epochs and the stream are looked at.
const LOOK: Duration = Duration::from_secs(10);
/// Events of one member that the stream keeps.
const EVENTS_OF_ONE: i64 = 100_000;
/// Days that it keeps them.
const DAYS: u64 = 400;
/// Bytes of a message that it takes: more than an event, so that members see and count
/// what is too large.
const MESSAGE: i32 = 1_024;

/// A hub that listens.
pub struct HubServer {
    shared: Arc<Shared>,
    listener: TcpListener,
    tls: TlsAcceptor,
}

#[derive(Debug)]
struct Shared {
    hub: Mutex<Hub>,
    limits: DefaultKeyedRateLimiter<String>,
    evaluators: Mutex<HashMap<u32, Arc<Evaluator>>>,
}

/// A member, as its certificate says.
#[derive(Clone, Debug)]
struct Asker(String);

impl std::fmt::Debug for HubServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HubServer").field("listener", &self.listener).finish_non_exhaustive()
    }
}

impl HubServer {
    /// Listens.
    ///
    /// # Errors
    /// [`ShareError`]: certificates that cannot be used, an address that cannot be had.
    pub async fn bind(hub: Hub, listen: SocketAddr) -> Result<Self, ShareError> {
        let tls = acceptor(&hub)?;
        let failed = |source| ShareError::File { path: listen.to_string().into(), source };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let a_minute = NonZeroU32::new(hub.evaluations()?.max(1)).unwrap_or(NonZeroU32::MIN);
        let limits = RateLimiter::keyed(Quota::per_minute(a_minute));
        let evaluators = Mutex::default();
        let shared = Arc::new(Shared { hub: Mutex::new(hub), limits, evaluators });
        Ok(Self { shared, listener, tls })
    }

    /// Where it listens.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }
}

fn acceptor(hub: &Hub) -> Result<TlsAcceptor, ShareError> {
    let wrong = |error: &dyn std::fmt::Display| {
        ShareError::Crypto(format!("the hub's certificates: {error}"))
    };
    let read = |name: &str| {
        let text = hub.text(name)?;
        CertificateDer::from_pem_slice(text.as_bytes()).map_err(|error| wrong(&error))
    };
    let mut roots = RootCertStore::empty();
    roots.add(read("authority.pem")?).map_err(|error| wrong(&error))?;
    let clients = tls::clients(roots).map_err(|error| wrong(&error))?;
    let key = PrivateKeyDer::from_pem_slice(hub.text("hub.key")?.as_bytes())
        .map_err(|error| wrong(&error))?;
    tls::acceptor(vec![read("hub.pem")?], key, Some(clients)).map_err(|error| wrong(&error))
}

/// Serves for ever.
pub async fn serve(server: HubServer) {
    let HubServer { shared, listener, tls } = server;
    let router = Router::new()
        .route("/v1/directory", get(directory))
        .route("/v1/register", post(register))
        .route("/v1/evaluate", post(evaluate))
        .layer(DefaultBodyLimit::max(LARGEST))
        .with_state(Arc::clone(&shared));
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let accept = async {
        loop {
            let (stream, _) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    http1::pause(&error).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
            let _ = stream.set_nodelay(true);
            let (tls, router, shared) = (tls.clone(), router.clone(), Arc::clone(&shared));
            tokio::spawn(async move {
                let Ok(Ok(stream)) = timeout(HANDSHAKE, tls.accept(stream)).await else { return };
                let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                let digest = shown.map(|shown| ring::digest::digest(&ring::digest::SHA256, shown));
                let who = Certificate(digest.map(|d| d.as_ref().to_vec()).unwrap_or_default());
                let router = router
                    .layer(axum::middleware::from_fn_with_state(shared, known))
                    .layer(Extension(who));
                http1::connection(stream, router, LIFE).await;
                drop(place);
            });
        }
    };
    tokio::join!(accept, keep(&shared));
}

/// SHA-256 of the certificate that a connection showed.
#[derive(Clone, Debug)]
struct Certificate(Vec<u8>);

/// Lets members in, at every question: one may have been revoked meanwhile.
async fn known(
    State(shared): State<Arc<Shared>>,
    Extension(Certificate(digest)): Extension<Certificate>,
    mut request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    match shared.hub().who(&digest) {
        Ok(Some(name)) => {
            request.extensions_mut().insert(Asker(name));
        }
        Ok(None) => {
            let said = "this certificate is no member's, or no longer";
            return problem(StatusCode::FORBIDDEN, said);
        }
        Err(error) => return internal(&error),
    }
    next.run(request).await
}

impl Shared {
    fn hub(&self) -> std::sync::MutexGuard<'_, Hub> {
        self.hub.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn evaluator(&self, epoch: u32) -> Result<Option<Arc<Evaluator>>, ShareError> {
        let mut known = self.evaluators.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(evaluator) = known.get(&epoch) {
            return Ok(Some(Arc::clone(evaluator)));
        }
        let Some(seed) = self.hub().seed(epoch)? else { return Ok(None) };
        // The current one and the one before.
        known.retain(|known, _| known + 1 >= epoch);
        let evaluator = Arc::new(Evaluator::new(&seed)?);
        known.insert(epoch, Arc::clone(&evaluator));
        Ok(Some(evaluator))
    }
}

fn problem(status: StatusCode, detail: &str) -> Response {
    (status, Json(json!({"detail": detail}))).into_response()
}

fn internal(error: &ShareError) -> Response {
    log::error!("{error}");
    problem(StatusCode::INTERNAL_SERVER_ERROR, "the hub fails; its log says why")
}

async fn directory(State(shared): State<Arc<Shared>>) -> Response {
    match shared.hub().directory() {
        Ok(directory) => Json(directory).into_response(),
        Err(error) => internal(&error),
    }
}

#[derive(Deserialize)]
struct Key {
    key: String,
}

async fn register(
    State(shared): State<Arc<Shared>>,
    Extension(Asker(name)): Extension<Asker>,
    Json(Key { key }): Json<Key>,
) -> Response {
    let Some(key) = STANDARD.decode(key).ok().filter(|key| key.len() == 32) else {
        return problem(StatusCode::BAD_REQUEST, "key must be 32 bytes in base64");
    };
    match shared.hub().register(&name, &key) {
        Ok(true) => {
            log::info!("{name} has joined");
            Json(json!({"member": name})).into_response()
        }
        Ok(false) => problem(
            StatusCode::CONFLICT,
            "this member signs with another key; the hub invites it again where that is lost",
        ),
        Err(error) => internal(&error),
    }
}

#[derive(Deserialize)]
struct Blinded {
    epoch: u32,
    blinded: Vec<String>,
}

async fn evaluate(
    State(shared): State<Arc<Shared>>,
    Extension(Asker(name)): Extension<Asker>,
    Json(Blinded { epoch, blinded }): Json<Blinded>,
) -> Response {
    match shared.hub().mode() {
        Ok(Mode::Blind) => {}
        Ok(Mode::Keyed) => {
            return problem(StatusCode::BAD_REQUEST, "this consortium's pseudonyms are keyed");
        }
        Err(error) => return internal(&error),
    }
    let count = NonZeroU32::new(blinded.len() as u32).unwrap_or(NonZeroU32::MIN);
    if !matches!(shared.limits.check_key_n(&name, count), Ok(Ok(()))) {
        let said = "more evaluations than a member has in a minute";
        return problem(StatusCode::TOO_MANY_REQUESTS, said);
    }
    let evaluator = match shared.evaluator(epoch) {
        Ok(Some(evaluator)) => evaluator,
        Ok(None) => return problem(StatusCode::NOT_FOUND, "this epoch is over"),
        Err(error) => return internal(&error),
    };
    let blinded: Option<Vec<_>> = blinded.iter().map(|text| STANDARD.decode(text).ok()).collect();
    let Some(blinded) = blinded else {
        return problem(StatusCode::BAD_REQUEST, "blinded must be elements in base64");
    };
    // A few milliseconds at most; others are answered meanwhile.
    let made = tokio::task::spawn_blocking(move || evaluator.evaluate(&blinded)).await;
    match made {
        Ok(Ok((evaluated, proof))) => {
            let evaluated: Vec<_> = evaluated.iter().map(|e| STANDARD.encode(e)).collect();
            Json(json!({"evaluated": evaluated, "proof": STANDARD.encode(proof)})).into_response()
        }
        Ok(Err(ShareError::Invalid(what))) => problem(StatusCode::BAD_REQUEST, &what),
        Ok(Err(error)) => internal(&error),
        Err(error) => internal(&ShareError::Crypto(error.to_string())),
    }
}

/// Begins epochs when they are due, and sees that the NATS server has the stream.
async fn keep(shared: &Shared) {
    let mut connection = None;
    let mut there = false;
    loop {
        match shared.hub().rotate_when_due() {
            Ok(Some(epoch)) => log::info!("epoch {epoch} has begun"),
            Ok(None) => {}
            Err(error) => log::error!("{error}"),
        }
        let ready = async {
            if connection.is_none() {
                connection = Some(connect(shared).await?);
            }
            match &connection {
                Some(connection) => stream(connection).await,
                None => Ok(()),
            }
        };
        match ready.await {
            Ok(()) if there => {}
            Ok(()) => {
                there = true;
                log::info!("the stream {STREAM} is there");
            }
            Err(error) => {
                there = false;
                connection = None;
                log::warn!("{error}; tried again in a moment");
            }
        }
        tokio::time::sleep(if there { LOOK } else { Duration::from_secs(1) }).await;
    }
}

async fn connect(shared: &Shared) -> Result<Connection, ShareError> {
    let (tls, seed, url) = {
        let hub = shared.hub();
        let tls = nats::tls(
            &hub.text("authority.pem")?,
            &hub.text("client.pem")?,
            &hub.text("client.key")?,
        )?;
        (tls, hub.text("nats.seed")?, hub.nats()?)
    };
    let health = Arc::new(Health::default());
    let options = nats::options(seed.trim(), tls, "hub", &health);
    Connection::with(options, &url, health).await
}

async fn stream(connection: &Connection) -> Result<(), ShareError> {
    let context = jetstream::new(connection.client().clone());
    let config = jetstream::stream::Config {
        name: STREAM.to_owned(),
        subjects: vec![format!("{EVENTS}*")],
        max_messages_per_subject: EVENTS_OF_ONE,
        max_age: Duration::from_hours(24 * DAYS),
        max_message_size: MESSAGE,
        storage: jetstream::stream::StorageType::File,
        duplicate_window: Duration::from_mins(2),
        allow_direct: true,
        deny_delete: true,
        deny_purge: true,
        republish: Some(jetstream::stream::Republish {
            source: format!("{EVENTS}*"),
            destination: format!("{LIVE}{{{{wildcard(1)}}}}"),
            headers_only: false,
        }),
        ..jetstream::stream::Config::default()
    };
    let made = context.get_or_create_stream(config).await;
    made.map(drop).map_err(|error| ShareError::Nats {
        url: "its server".into(),
        what: format!("the stream cannot be made: {error}"),
    })
}
