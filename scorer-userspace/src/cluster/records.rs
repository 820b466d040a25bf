//! Finished files of records to JetStream, part by part, and from there to an archive.
//!
//! What waits is the files themselves: a part is told again until JetStream has it, and
//! what is not read yet there is not thrown away, so a full stream holds the hosts back
//! and not the archive. A part is done with once the object that it is of is stored: then
//! a crash in between stores the same object again.

use std::{
    collections::{BTreeSet, HashMap},
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use async_nats::jetstream::{
    Message,
    consumer::{AckPolicy, pull},
    message::Acker,
};
use futures::StreamExt as _;
use tokio::time::{sleep, timeout};

use super::{
    ClusterConfig, ClusterError, Site,
    link::{Linked, Which},
    seal::{Head, Kind, Secret},
    stats::add,
};
use crate::{
    private,
    records::{Archive, finished, is_finished_name},
};

/// Bytes of a part: with its head far below what NATS takes.
const PART: usize = 512 << 10;
/// How often finished files are looked for, and what failed is tried again.
const EVERY: Duration = Duration::from_secs(5);
/// An object that is not whole by then is told again from its first part.
const UNFINISHED: Duration = Duration::from_mins(10);
/// Parts that may be under way to the archive.
const UNDER_WAY: i64 = 100_000;
/// Objects that may be unfinished; hosts tell one file after another.
const OBJECTS: usize = 4_096;
/// Largest file that is believed, bytes: a segment is closed long before.
const LARGEST: u64 = 4 << 30;
/// Name of the consumer.
const CONSUMER: &str = "archive";

/// A part of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part<'a> {
    name: &'a str,
    /// Bytes of the whole file.
    size: u64,
    at: u64,
    bytes: &'a [u8],
}

impl<'a> Part<'a> {
    fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.name.len() as u8];
        out.extend_from_slice(self.name.as_bytes());
        out.extend_from_slice(&self.size.to_le_bytes());
        out.extend_from_slice(&self.at.to_le_bytes());
        out.extend_from_slice(self.bytes);
        out
    }

    fn decode(body: &'a [u8]) -> Option<Self> {
        let (&length, rest) = body.split_first()?;
        let (name, rest) = rest.split_at_checked(usize::from(length))?;
        let name = std::str::from_utf8(name).ok().filter(|name| is_finished_name(name))?;
        let (size, rest) = rest.split_first_chunk()?;
        let (at, bytes) = rest.split_first_chunk()?;
        let (size, at) = (u64::from_le_bytes(*size), u64::from_le_bytes(*at));
        let end = at.checked_add(bytes.len() as u64)?;
        let whole = size <= LARGEST && at.is_multiple_of(PART as u64) && !bytes.is_empty();
        let full = end == size || (bytes.len() == PART && end < size);
        (whole && full).then_some(Self { name, size, at, bytes })
    }
}

/// Files that JetStream has, one a line: name and bytes.
struct Told {
    path: PathBuf,
    files: BTreeSet<String>,
}

impl Told {
    fn open(spool: &Path) -> Self {
        let path = spool.join("records.told");
        let text = fs::read_to_string(&path).unwrap_or_default();
        Self { path, files: text.lines().map(str::to_owned).collect() }
    }

    /// Remembers one, and forgets those that are gone; over a crash, too.
    fn add(&mut self, line: String, there: &BTreeSet<String>) -> io::Result<()> {
        self.files.retain(|line| there.contains(line));
        self.files.insert(line);
        let text: String = self.files.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        private::replace(&self.path, text.as_bytes())
    }
}

/// Tells finished files of a folder, for ever.
pub(super) async fn run(site: &Site, link: &Linked, folder: &Path) {
    let Some(spool) = site.config.spool.as_deref() else { return };
    let mut told = Told::open(spool);
    let mut number = 0;
    loop {
        let files = finished(folder).unwrap_or_else(|error| {
            log::debug!("records are not told: {error}");
            Vec::new()
        });
        let there: BTreeSet<String> = files.iter().map(|(name, size)| line(name, *size)).collect();
        let new = files.iter().filter(|(name, size)| !told.files.contains(&line(name, *size)));
        let new: Vec<_> = new.collect();
        if !new.is_empty() && link.is_connected() && link.stream(Which::Records).await.is_some() {
            for (name, size) in new {
                let file = (name.as_str(), *size);
                if tell(site, link, &folder.join(name), file, &mut number).await.is_none() {
                    break;
                }
                if let Err(error) = told.add(line(name, *size), &there) {
                    log::warn!("{}: {error}; told files may be told again", told.path.display());
                }
            }
        }
        sleep(EVERY).await;
    }
}

fn line(name: &str, size: u64) -> String {
    format!("{name} {size}")
}

/// Tells a file; `None` where it is to be tried again.
async fn tell(
    site: &Site,
    link: &Linked,
    path: &Path,
    (name, size): (&str, u64),
    number: &mut u64,
) -> Option<()> {
    let mut at = 0;
    while at < size {
        let (of, length) = (path.to_owned(), (size - at).min(PART as u64) as usize);
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = vec![0; length];
            File::open(&of)?.read_exact_at(&mut bytes, at)?;
            Ok::<_, io::Error>(bytes)
        });
        let bytes = match read.await.ok()? {
            Ok(bytes) => bytes,
            // Deleted for its age, or rewritten meanwhile: then it is another file.
            Err(error) => {
                log::debug!("{}: {error}", path.display());
                return None;
            }
        };
        let body = Part { name, size, at, bytes: &bytes }.encode();
        let head = Head {
            kind: Kind::Records,
            host: site.host.clone(),
            epoch: site.epoch,
            first: *number,
            count: 1,
        };
        *number += 1;
        let sealed = site.secret.seal(&head, body);
        let length = sealed.len() as u64;
        let id = format!("records/{}/{name}/{size}/{at}", site.host);
        let subject = link.subject(Kind::Records, &site.host);
        link.publish(subject, &id, sealed, None).await.ok()?;
        add(&site.stats.messages_out, 1);
        add(&site.stats.bytes_out, length);
        at += bytes.len() as u64;
    }
    add(&site.stats.record_files, 1);
    Some(())
}

/// An object that is not whole yet.
struct Unfinished {
    path: PathBuf,
    file: File,
    parts: BTreeSet<u64>,
    acks: Vec<Acker>,
}

/// Stores what hosts told, as objects of an archive, for ever.
///
/// # Errors
/// When the configuration is not enough, or NATS does not let it in.
pub async fn archive(config: &ClusterConfig, archive: &Archive) -> Result<(), ClusterError> {
    let secret = config.secret()?;
    let folder = config.spool()?.join("archive");
    let spool = |source| ClusterError::Spool { path: folder.clone(), source };
    private::make_folder(&folder).map_err(spool)?;
    let options = super::link::options(config)?.name("scorer archive").retry_on_initial_connect();
    let link = Linked::connect(options, config.clone()).await?;
    let mut archiver = Archiver { secret, folder, archive, unfinished: HashMap::new() };
    loop {
        archiver.follow(&link).await;
        sleep(EVERY / 5).await;
    }
}

struct Archiver<'a> {
    secret: Secret,
    folder: PathBuf,
    archive: &'a Archive,
    /// By host, name and bytes.
    unfinished: HashMap<(String, String, u64), Unfinished>,
}

impl Archiver<'_> {
    async fn follow(&mut self, link: &Linked) -> Option<()> {
        let stream = link.stream(Which::Records).await?;
        let config = pull::Config {
            durable_name: Some(CONSUMER.into()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: UNFINISHED,
            max_ack_pending: UNDER_WAY,
            ..pull::Config::default()
        };
        let made = stream.get_or_create_consumer(CONSUMER, config);
        let consumer = timeout(EVERY, made).await.ok()?.ok()?;
        let mut messages = consumer.messages().await.ok()?;
        while let Some(message) = messages.next().await {
            match message {
                Ok(message) => self.take(message).await,
                Err(error) => {
                    log::debug!("records are asked for anew: {error}");
                    return None;
                }
            }
        }
        None
    }

    async fn take(&mut self, message: Message) {
        let (message, ack) = message.split();
        let opened = self.secret.open(&message.payload);
        let part = match &opened {
            Ok((head, body)) if head.kind == Kind::Records => {
                Part::decode(body).map(|part| (head.host.clone(), part))
            }
            _ => None,
        };
        let Some((host, part)) = part else {
            log::warn!(
                "a message of records is none that this scorer reads, or of another secret; it is passed over"
            );
            let _ = ack.ack_with(async_nats::jetstream::AckKind::Term).await;
            return;
        };
        if let Err(error) = self.part(&host, &part, ack).await {
            log::error!("{error}; it is told again");
        }
    }

    async fn part(&mut self, host: &str, part: &Part<'_>, ack: Acker) -> Result<(), String> {
        let key = (host.to_owned(), part.name.to_owned(), part.size);
        if !self.unfinished.contains_key(&key) && self.unfinished.len() >= OBJECTS {
            return Err(format!("{OBJECTS} objects are unfinished"));
        }
        let path = self.folder.join(format!("{host}-{}-{}", part.size, part.name));
        let wrong = |error: io::Error| format!("{}: {error}", path.display());
        let object = match self.unfinished.entry(key.clone()) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(new) => {
                let file = private::create(&path).map_err(wrong)?;
                let (parts, acks) = (BTreeSet::new(), Vec::new());
                new.insert(Unfinished { path: path.clone(), file, parts, acks })
            }
        };
        object.file.write_all_at(part.bytes, part.at).map_err(wrong)?;
        object.parts.insert(part.at);
        object.acks.push(ack);
        if (object.parts.len() as u64) < part.size.div_ceil(PART as u64) {
            return Ok(());
        }
        let Some(object) = self.unfinished.remove(&key) else { return Ok(()) };
        let bytes = fs::read(&object.path).map_err(wrong)?;
        let put = self.archive.put(host, part.name, bytes).await;
        let _ = fs::remove_file(&object.path);
        put.map_err(|error| error.to_string())?;
        for ack in object.acks {
            // Told again, it is stored again as it is.
            if let Err(error) = ack.ack().await {
                log::debug!("not acknowledged: {error}");
            }
        }
        log::info!("stored {} of {host}, {} bytes", part.name, part.size);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{PART, Part};
    use proptest::prelude::*;

    const NAME: &str =
        "calls-20261125T080000.000000000Z-20261125T085959.123456789Z-18a2f4c01d3b5e00.parquet";

    #[test]
    fn parts_are_read_back_and_others_are_not() {
        let bytes = vec![7; PART];
        let size = PART as u64 + 3;
        let first = Part { name: NAME, size, at: 0, bytes: &bytes };
        let last = Part { name: NAME, size, at: PART as u64, bytes: &bytes[..3] };
        for part in [&first, &last] {
            assert_eq!(Part::decode(&part.encode()).as_ref(), Some(part));
        }
        for bad in [
            Part { name: "../../etc/passwd", ..first.clone() },
            Part { name: "calls-x.parquet", ..first.clone() },
            Part { at: 5, ..last.clone() },
            Part { bytes: &bytes[..2], ..last.clone() },
            Part { size: u64::MAX, ..first.clone() },
            Part { size: 0, bytes: &[], ..first.clone() },
        ] {
            assert_eq!(Part::decode(&bad.encode()), None, "{} {} {}", bad.name, bad.size, bad.at);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_no_part_or_one(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(part) = Part::decode(&bytes) {
                prop_assert_eq!(part.encode(), bytes);
            }
        }
    }
}
