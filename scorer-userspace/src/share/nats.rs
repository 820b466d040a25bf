//! The consortium's NATS server: its subjects, and a connection to it.
//!
//! A member publishes on `consortium.events.MEMBER`, which the stream [`STREAM`] takes;
//! what is stored is published again, numbered, on `consortium.live.MEMBER`, where nobody
//! but the server may publish. What was missed is fetched from the stream by number
//! (JetStream's direct get), so that a member needs no consumer there, and may make none.

use std::sync::{Arc, Mutex, PoisonError, atomic::AtomicBool, atomic::Ordering};
use std::time::Duration;

use async_nats::{Client, ConnectOptions, HeaderMap, HeaderValue, Message, ServerAddr};
use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_rustls::rustls::{
    self, ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

use super::{Bundle, ShareError};

/// The stream of events.
pub(super) const STREAM: &str = "CONSORTIUM_EVENTS";
/// Where members publish; a member's name follows.
pub(super) const EVENTS: &str = "consortium.events.";
/// Where the server publishes what it stored; a member's name follows.
pub(super) const LIVE: &str = "consortium.live.";
/// Messages fetched at a time.
const BATCH: u64 = 256;
/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Prefix of a member's inboxes, which it alone may listen to.
pub(super) fn inbox(member: &str) -> String {
    format!("_INBOX_{member}")
}

/// A message of the stream.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    /// Its number, from 1.
    pub(super) number: u64,
    /// Who published it: the server has seen to that.
    pub(super) member: String,
    /// When the server took it, ms since 1970.
    pub(super) at: u64,
    /// What was published.
    pub(super) bytes: Vec<u8>,
}

impl Stored {
    /// Of what the server published again, or gave; `None` when it is none.
    pub(super) fn of(message: &Message) -> Option<Self> {
        // A member may put headers of these names into its message; the server's come last.
        let header = |name: &str| message.headers.as_ref()?.get_last(name).map(HeaderValue::as_str);
        let at: jiff::Timestamp = header("Nats-Time-Stamp")?.parse().ok()?;
        Some(Self {
            number: header("Nats-Sequence")?.parse().ok()?,
            member: header("Nats-Subject")?.strip_prefix(EVENTS)?.to_owned(),
            at: at.as_millisecond().try_into().ok()?,
            bytes: message.payload.to_vec(),
        })
    }
}

/// How the connection stands, for whoever asks.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Whether it is up.
    pub(super) up: AtomicBool,
    /// What the server last complained of.
    said: Mutex<Option<String>>,
}

impl Health {
    fn complaint(&self) -> Option<String> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A connection, kept up.
#[derive(Debug)]
pub struct Connection {
    client: Client,
    url: String,
    pub(super) health: Arc<Health>,
}

/// Certificates of a consortium, for a client.
pub(super) fn tls(
    authority: &str,
    certificate: &str,
    key: &str,
) -> Result<ClientConfig, ShareError> {
    let wrong = |error: &dyn std::fmt::Display| {
        ShareError::Crypto(format!("the certificates cannot be used: {error}"))
    };
    let mut roots = RootCertStore::empty();
    let pem = CertificateDer::from_pem_slice(authority.as_bytes()).map_err(|e| wrong(&e))?;
    roots.add(pem).map_err(|e| wrong(&e))?;
    let chain = CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|e| wrong(&e))?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|e| wrong(&e))?;
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| wrong(&e))?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![chain], key)
        .map_err(|e| wrong(&e))
}

impl Connection {
    /// Connects a member; `stays` is to wait for a server that is not there yet.
    ///
    /// # Errors
    /// [`ShareError`]: certificates, a server that cannot be had.
    pub async fn open(bundle: &Bundle, stays: bool) -> Result<Self, ShareError> {
        let tls = tls(&bundle.authority, &bundle.certificate, &bundle.key)?;
        let health = Arc::new(Health::default());
        let options = options(&bundle.nkey, tls, &bundle.member, &health);
        let options = if stays { options.retry_on_initial_connect() } else { options };
        Self::with(options, &bundle.nats, health).await
    }

    /// Connects with other options.
    pub(super) async fn with(
        options: ConnectOptions,
        url: &str,
        health: Arc<Health>,
    ) -> Result<Self, ShareError> {
        let failed = |what: String| ShareError::Nats { url: url.to_owned(), what };
        let server: ServerAddr =
            url.parse().map_err(|error: std::io::Error| failed(error.to_string()))?;
        let client = options.connect(server).await.map_err(|error| failed(error.to_string()))?;
        Ok(Self { client, url: url.to_owned(), health })
    }

    /// The client itself.
    pub fn client(&self) -> &Client {
        &self.client
    }

    #[expect(clippy::needless_pass_by_value, reason = "as map_err gives it")]
    fn failed(&self, what: impl ToString) -> ShareError {
        ShareError::Nats { url: self.url.clone(), what: what.to_string() }
    }

    /// Publishes an event and waits until the stream has it.
    ///
    /// # Errors
    /// [`ShareError::Nats`]: the server does not allow it, or takes nothing.
    pub async fn publish(
        &self,
        member: &str,
        sequence: u64,
        bytes: Vec<u8>,
    ) -> Result<(), ShareError> {
        let mut headers = HeaderMap::new();
        // Sent again, it is stored once.
        headers.insert("Nats-Msg-Id", format!("{member}:{sequence}").as_str());
        self.publish_as(&format!("{EVENTS}{member}"), headers, bytes).await
    }

    /// The same on any subject.
    ///
    /// # Errors
    /// [`ShareError::Nats`].
    pub async fn publish_as(
        &self,
        subject: &str,
        headers: HeaderMap,
        bytes: Vec<u8>,
    ) -> Result<(), ShareError> {
        let subject = subject.to_owned();
        let asked = self.client.request_with_headers(subject, headers, bytes.into());
        let answer = match timeout(PATIENCE, asked).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                let said = self.health.complaint();
                return Err(self.failed(said.unwrap_or_else(|| error.to_string())));
            }
            Err(_) => {
                let said = self.health.complaint();
                return Err(self.failed(said.unwrap_or_else(|| "it does not answer".into())));
            }
        };
        let said: Value = serde_json::from_slice(&answer.payload).unwrap_or_default();
        match said["error"]["description"].as_str() {
            Some(error) => Err(self.failed(error)),
            None if said["seq"].is_u64() => Ok(()),
            None => Err(self.failed("it has not stored the event")),
        }
    }

    /// What the stream has from number `from` on, a batch of it, and how many messages
    /// are behind that.
    pub(super) async fn fetch(&self, from: u64) -> Result<(Vec<Stored>, u64), ShareError> {
        let asked = json!({
            "seq": from.max(1),
            "next_by_subj": format!("{EVENTS}>"),
            "batch": BATCH,
            "max_bytes": 4 << 20,
        });
        let inbox = self.client.new_inbox();
        let mut answers =
            self.client.subscribe(inbox.clone()).await.map_err(|error| self.failed(error))?;
        let subject = format!("$JS.API.DIRECT.GET.{STREAM}");
        let sent = self.client.publish_with_reply(subject, inbox, asked.to_string().into());
        sent.await.map_err(|error| self.failed(error))?;
        let mut all = Vec::new();
        loop {
            let Ok(Some(answer)) = timeout(PATIENCE, answers.next()).await else {
                let said = self.health.complaint();
                return Err(self.failed(said.unwrap_or_else(|| "it does not answer".into())));
            };
            match answer.status.map(|status| status.as_u16()) {
                // The end of the batch, or nothing there.
                Some(204) => {
                    let pending =
                        answer.headers.as_ref().and_then(|h| h.get_last("Nats-Num-Pending"));
                    let pending = pending.and_then(|n| n.as_str().parse().ok()).unwrap_or(0);
                    return Ok((all, pending));
                }
                Some(404) => return Ok((all, 0)),
                Some(503) => return Err(self.failed("there is no stream yet; the hub makes it")),
                Some(status) if status >= 300 => {
                    let said = answer.description.unwrap_or_default();
                    return Err(self.failed(format!("{status} {said}")));
                }
                _ => all.extend(Stored::of(&answer)),
            }
        }
    }
}

/// Options of a client with a certificate and an nkey.
pub(super) fn options(
    nkey: &str,
    tls: ClientConfig,
    name: &str,
    health: &Arc<Health>,
) -> ConnectOptions {
    let health = Arc::clone(health);
    ConnectOptions::with_nkey(nkey.to_owned())
        .name(format!("scorer {name}"))
        .custom_inbox_prefix(inbox(name))
        .require_tls(true)
        .tls_client_config(tls)
        .ignore_discovered_servers()
        .connection_timeout(PATIENCE)
        .ping_interval(Duration::from_secs(10))
        .reconnect_delay_callback(|attempts| {
            Duration::from_millis(100 << attempts.min(6)).min(Duration::from_secs(5))
        })
        .event_callback(move |event| {
            let health = Arc::clone(&health);
            async move {
                match &event {
                    async_nats::Event::Connected => health.up.store(true, Ordering::Release),
                    async_nats::Event::Disconnected | async_nats::Event::Closed => {
                        health.up.store(false, Ordering::Release);
                    }
                    async_nats::Event::ServerError(error) => {
                        let mut said = health.said.lock().unwrap_or_else(PoisonError::into_inner);
                        *said = Some(error.to_string());
                    }
                    _ => {}
                }
            }
        })
}
