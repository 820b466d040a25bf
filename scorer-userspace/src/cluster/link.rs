//! The connection to NATS, its streams and subjects.

use std::{path::Path, time::Duration};

use async_nats::{
    Client, ConnectOptions,
    connection::State,
    jetstream::{
        Context,
        message::PublishMessage,
        stream::{self, DiscardPolicy, RetentionPolicy, StorageType, Stream},
    },
};
use tokio::time::timeout;

use super::{ClusterConfig, ClusterError, Site, seal::Kind};

/// How long an answer of JetStream is waited for.
const PATIENCE: Duration = Duration::from_secs(3);
/// Time in which JetStream knows a message that comes again by its id.
const KNOWN: Duration = Duration::from_mins(30);

/// Streams of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// Facts, for a time.
    Facts,
    /// The last state of each entry, case and label.
    State,
    /// Files of records, until they are archived.
    Records,
}

/// How a message is not published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unpublished {
    /// NATS cannot be had, or has no majority.
    Unreachable,
    /// Another message of the subject came before.
    Overtaken,
}

/// To be connected.
#[derive(Debug)]
pub(super) struct Link {
    options: ConnectOptions,
    config: ClusterConfig,
}

/// Connected, or trying to be.
#[derive(Debug, Clone)]
pub(super) struct Linked {
    pub(super) client: Client,
    pub(super) context: Context,
    pub(super) config: ClusterConfig,
}

impl Link {
    /// Reads what is needed to connect.
    pub(super) fn new(site: &Site) -> Result<Self, ClusterError> {
        let options = options(&site.config)?.name(format!("scorer {}", site.host));
        Ok(Self { options: options.retry_on_initial_connect(), config: site.config.clone() })
    }

    /// Connects; where no server is there yet it is tried again and again behind this.
    pub(super) async fn connect(self) -> Result<Linked, ClusterError> {
        let Self { options, config } = self;
        Linked::connect(options, config).await
    }
}

/// Options to connect with.
pub(super) fn options(config: &ClusterConfig) -> Result<ConnectOptions, ClusterError> {
    let readable = |path: &Path| {
        let wrong = |error| format!("cannot read {}: {error}", path.display());
        std::fs::read_to_string(path).map_err(|error| ClusterError::Config(wrong(error)))
    };
    let mut options = ConnectOptions::new()
        // The first is the nearest.
        .retain_servers_order()
        // A host that is cut off hears nothing: it is to know within seconds.
        .ping_interval(Duration::from_secs(2))
        .connection_timeout(PATIENCE)
        .request_timeout(Some(PATIENCE))
        .reconnect_delay_callback(|tries| {
            Duration::from_millis(50 * (1 << tries.min(5)) as u64).min(Duration::from_secs(1))
        })
        .event_callback(|event| async move {
            match event {
                async_nats::Event::Connected => log::info!("NATS: connected"),
                async_nats::Event::Disconnected => log::warn!("NATS: disconnected"),
                other => log::debug!("NATS: {other}"),
            }
        });
    if let Some(path) = &config.credentials {
        let text = readable(path)?;
        options = options.credentials(&text).map_err(|error| {
            ClusterError::Config(format!("{} is no NATS credentials: {error}", path.display()))
        })?;
    }
    if let Some(path) = &config.tls_ca {
        readable(path)?;
        options = options.add_root_certificates(path.clone()).require_tls(true);
    }
    match (&config.tls_cert, &config.tls_key) {
        (Some(cert), Some(key)) => {
            readable(cert)?;
            readable(key)?;
            options = options.add_client_certificate(cert.clone(), key.clone());
        }
        (None, None) => {}
        _ => {
            let what = "cluster.tls_cert and cluster.tls_key go together";
            return Err(ClusterError::Config(what.into()));
        }
    }
    Ok(options)
}

impl Linked {
    pub(super) async fn connect(
        options: ConnectOptions,
        config: ClusterConfig,
    ) -> Result<Self, ClusterError> {
        let client = options.connect(&config.servers).await.map_err(|error| {
            ClusterError::Connect { servers: config.servers.join(", "), what: error.to_string() }
        })?;
        let context = async_nats::jetstream::context::ContextBuilder::new()
            .timeout(PATIENCE)
            .ack_timeout(PATIENCE)
            .build(client.clone());
        Ok(Self { client, context, config })
    }

    /// Whether a server answers; whether there is a majority shows when something is asked.
    pub(super) fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Subject of a host's messages of a kind.
    pub(super) fn subject(&self, kind: Kind, name: &str) -> String {
        let what = match kind {
            Kind::Facts => "facts",
            Kind::State => "state",
            Kind::Alive => "alive",
            Kind::Records => "records",
        };
        format!("scorer.{}.{what}.{name}", self.config.name)
    }

    /// A stream that there is.
    pub(super) async fn look(&self, which: Which) -> Option<Stream> {
        let name = self.name(which);
        timeout(PATIENCE * 2, self.context.get_stream(name)).await.ok()?.ok()
    }

    fn name(&self, which: Which) -> String {
        let what = match which {
            Which::Facts => "FACTS",
            Which::State => "STATE",
            Which::Records => "RECORDS",
        };
        format!("SCORER-{}-{what}", self.config.name.to_ascii_uppercase())
    }

    /// A stream, made where it is missing.
    pub(super) async fn stream(&self, which: Which) -> Option<Stream> {
        let config = &self.config;
        let base = stream::Config {
            name: self.name(which),
            storage: StorageType::File,
            retention: RetentionPolicy::Limits,
            num_replicas: config.replicas,
            duplicate_window: KNOWN.min(config.keep),
            allow_direct: false,
            ..stream::Config::default()
        };
        let wanted = match which {
            Which::Facts => stream::Config {
                description: Some("scorer: facts of calls, sealed".into()),
                subjects: vec![self.subject(Kind::Facts, "*")],
                max_age: config.keep,
                max_bytes: i64::try_from(config.keep_bytes).unwrap_or(i64::MAX),
                ..base
            },
            Which::State => stream::Config {
                description: Some("scorer: lists, labels, cases: the last of each, sealed".into()),
                subjects: vec![self.subject(Kind::State, "*")],
                max_messages_per_subject: 1,
                ..base
            },
            Which::Records => stream::Config {
                description: Some("scorer: files of records, sealed, until archived".into()),
                subjects: vec![self.subject(Kind::Records, "*")],
                retention: RetentionPolicy::WorkQueue,
                // What does not fit waits at its host.
                discard: DiscardPolicy::New,
                max_bytes: i64::try_from(config.records_bytes).unwrap_or(i64::MAX),
                ..base
            },
        };
        let made = timeout(PATIENCE * 2, self.context.get_or_create_stream(wanted)).await;
        match made {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(error)) => {
                log::debug!("no stream yet: {error}");
                None
            }
            Err(_) => None,
        }
    }

    /// Publishes a message and waits until it is stored; its number in the stream, and
    /// whether it was stored before. `after` is the number that the subject's last message
    /// must have, 0 for none.
    pub(super) async fn publish(
        &self,
        subject: String,
        id: &str,
        bytes: Vec<u8>,
        after: Option<u64>,
    ) -> Result<(u64, bool), Unpublished> {
        use async_nats::jetstream::context::PublishErrorKind;
        if !self.is_connected() {
            return Err(Unpublished::Unreachable);
        }
        let mut message = PublishMessage::build().payload(bytes.into()).message_id(id);
        if let Some(after) = after {
            message = message.expected_last_subject_sequence(after);
        }
        let stored = async {
            let sent = self.context.send_publish(subject, message).await?;
            sent.await
        };
        match timeout(PATIENCE * 2, stored).await {
            Ok(Ok(ack)) => Ok((ack.sequence, ack.duplicate)),
            Ok(Err(error)) if error.kind() == PublishErrorKind::WrongLastSequence => {
                Err(Unpublished::Overtaken)
            }
            Ok(Err(error)) => {
                log::debug!("not published: {error}");
                Err(Unpublished::Unreachable)
            }
            Err(_) => Err(Unpublished::Unreachable),
        }
    }
}
