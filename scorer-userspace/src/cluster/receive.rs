//! Others' facts from JetStream to the scoring thread, each once.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use async_nats::jetstream::{
    Message,
    consumer::{DeliverPolicy, pull},
};
use futures::StreamExt as _;
use rtrb::{Producer, PushError};
use tokio::time::{sleep, timeout};

use super::{
    Site, batch, host_id,
    link::{Linked, Which},
    peers::Peers,
    seal::Kind,
    seat::Incoming,
    stats::add,
};
use crate::{
    history::{Mark, Marks},
    time::Timestamp,
};

/// Before the stream is asked for anew.
const AGAIN: Duration = Duration::from_millis(500);
/// What is wrong with messages is told so often.
const TELL: Duration = Duration::from_mins(1);

struct Receiver<'a> {
    site: &'a Site,
    peers: &'a Peers,
    marks: Marks,
    inbox: Producer<Incoming>,
    told: Option<Instant>,
}

/// Works for ever.
pub(super) async fn run(
    site: &Site,
    link: &Linked,
    peers: &Peers,
    marks: Marks,
    inbox: Producer<Incoming>,
) {
    let mut receiver = Receiver { site, peers, marks, inbox, told: None };
    loop {
        receiver.follow(link).await;
        sleep(AGAIN).await;
    }
}

impl Receiver<'_> {
    /// Follows the stream from behind what was counted, until it fails.
    async fn follow(&mut self, link: &Linked) -> Option<()> {
        let mut stream = link.stream(Which::Facts).await?;
        let last = stream.info().await.ok()?.state.last_sequence;
        // A stream that was made anew begins at 1; what is in it is known by its marks.
        let deliver_policy = match self.marks.stream {
            0 => DeliverPolicy::All,
            before if before > last => DeliverPolicy::All,
            before => DeliverPolicy::ByStartSequence { start_sequence: before + 1 },
        };
        let config = pull::OrderedConfig { deliver_policy, ..pull::OrderedConfig::default() };
        let consumer = timeout(AGAIN * 10, stream.create_consumer(config)).await.ok()?.ok()?;
        let mut messages = consumer.messages().await.ok()?;
        while let Some(message) = messages.next().await {
            match message {
                Ok(message) => self.take(&message).await,
                Err(error) => {
                    log::debug!("facts are asked for anew: {error}");
                    return None;
                }
            }
        }
        None
    }

    async fn take(&mut self, message: &Message) {
        let Ok(info) = message.info() else { return };
        let (sequence, pending) = (info.stream_sequence, info.pending);
        let published = info.published.unix_timestamp_nanos();
        let stats = &self.site.stats;
        add(&stats.messages_in, 1);
        add(&stats.bytes_in, message.payload.len() as u64);
        let lag = (i128::from(self.site.now()) - published).clamp(0, i128::from(u64::MAX)) as u64;
        stats.lag_ms.store(lag / 1_000_000, Ordering::Relaxed);
        stats.pending.store(pending, Ordering::Relaxed);
        self.marks.stream = sequence;
        let (head, body) = match self.site.secret.open(&message.payload) {
            Ok(opened) if opened.0.kind == Kind::Facts => opened,
            Ok(_) => return self.refuse("it has no facts"),
            Err(refused) => return self.refuse(&refused.to_string()),
        };
        let host = host_id(&head.host);
        let own = head.host == self.site.host;
        if own && head.epoch > self.site.epoch {
            return self.refuse("another scorer calls itself by this host's name (cluster.host)");
        }
        // What this host counted itself in this run.
        if own && head.epoch == self.site.epoch {
            let mark = self.marks.of(host);
            return self.give(Incoming::Mark { mark, stream: sequence }).await;
        }
        let count = u64::from(head.count);
        let Some(next) = head.first.checked_add(count) else {
            return self.refuse("its numbers are too large");
        };
        let Some(facts) = batch::decode(&body, head.count) else {
            return self.refuse("its facts cannot be read");
        };
        let before = self.marks.of(host);
        let known = self.marks.counted(host, head.epoch, head.first).unwrap_or(count).min(count);
        let mark = Mark { host, epoch: head.epoch, next };
        add(&stats.received, count);
        add(&stats.duplicates, known);
        if known == count {
            return self.give(Incoming::Mark { mark: before, stream: sequence }).await;
        }
        if before.epoch == head.epoch && head.first > before.next {
            add(&stats.missed, head.first - before.next);
        }
        if !self.marks.set(mark) {
            return self.refuse("there are too many hosts");
        }
        let skew = if own { 0 } else { self.peers.skew(&head.host) };
        for mut fact in facts.into_iter().skip(known as usize) {
            let (at, clamped) = corrected(fact.at(), skew, self.site.config.skew, self.site.now());
            add(&stats.clamped, u64::from(clamped));
            fact.set_at(at);
            self.give(Incoming::Fact { host, fact }).await;
        }
        self.give(Incoming::Mark { mark, stream: sequence }).await;
    }

    /// Waits for room: what comes behind waits in JetStream.
    #[expect(clippy::large_types_passed_by_value, reason = "it is moved into the queue")]
    async fn give(&mut self, mut item: Incoming) {
        while let Err(PushError::Full(back)) = self.inbox.push(item) {
            item = back;
            sleep(Duration::from_millis(2)).await;
        }
    }

    fn refuse(&mut self, why: &str) {
        add(&self.site.stats.refused, 1);
        if self.told.is_none_or(|told| told.elapsed() > TELL) {
            self.told = Some(Instant::now());
            log::warn!("a message of the cluster is not counted: {why}");
        }
    }
}

/// The time of a fact in this host's clock, and whether it is another than the sender
/// said: a clock that is off by more than `bound` is set right by as much as it is ahead
/// (`skew`, ns); nothing happens later than `now` and that bound.
pub(super) fn corrected(at: Timestamp, skew: i64, bound: Duration, now: u64) -> (Timestamp, bool) {
    let bound = bound.as_nanos().min(u128::from(u64::MAX)) as u64;
    let set = if skew.unsigned_abs() > bound {
        at.0.saturating_add_signed(skew.saturating_neg())
    } else {
        at.0
    };
    let set = if set > now.saturating_add(bound) { now } else { set };
    (Timestamp(set), set != at.0)
}
