//! This host's facts, in batches, to JetStream; to disk while that cannot be had.
//!
//! One batch is stored before the next is sent: so each host's come in their order, and
//! whoever receives them needs to know a single number.

use std::time::{Duration, Instant};

use rtrb::Consumer;

use super::{
    Site,
    batch::{Encoder, MOST},
    link::Linked,
    seal::{Head, Kind},
    spool::Spool,
    stats::add,
};
use crate::history::Fact;

/// A batch is sent so often, if there is anything.
const EVERY: Duration = Duration::from_millis(100);
/// And kept together so long while NATS cannot be had.
const COARSE: Duration = Duration::from_secs(1);
/// How long is tried at the end.
const AT_THE_END: Duration = Duration::from_secs(3);

struct Teller<'a> {
    site: &'a Site,
    link: &'a Linked,
    spool: Spool,
    next: u64,
    batch: Encoder,
    since: Instant,
}

/// Works until the scoring thread is gone and all it told is stored or on disk.
pub(super) async fn run(site: &Site, link: &Linked, mut outbox: Consumer<Fact>, spool: Spool) {
    let mut teller =
        Teller { site, link, spool, next: 0, batch: Encoder::default(), since: Instant::now() };
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // Read before the queue: what was put there before is taken.
        let over = outbox.is_abandoned();
        while let Ok(fact) = outbox.pop() {
            teller.add(&fact).await;
        }
        if over {
            break;
        }
        teller.tick().await;
    }
    teller.end().await;
}

impl Teller<'_> {
    async fn add(&mut self, fact: &Fact) {
        if self.batch.count() == 0 {
            self.since = Instant::now();
        }
        self.batch.add(fact);
        if self.batch.count() as usize == MOST {
            self.send().await;
        }
    }

    async fn tick(&mut self) {
        self.site.stats.connected.store(
            u64::from(self.link.is_connected() && self.spool.is_empty()),
            std::sync::atomic::Ordering::Relaxed,
        );
        // What is oldest goes first.
        let start = Instant::now();
        while !self.spool.is_empty() && start.elapsed() < COARSE {
            if !self.send_oldest().await {
                break;
            }
        }
        let wait = if self.spool.is_empty() { Duration::ZERO } else { COARSE };
        if self.batch.count() > 0 && self.since.elapsed() >= wait {
            self.send().await;
        }
    }

    /// Sends the batch, or puts it behind what waits.
    async fn send(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        let count = batch.count();
        let head = Head {
            kind: Kind::Facts,
            host: self.site.host.clone(),
            epoch: self.site.epoch,
            first: self.next,
            count,
        };
        self.next += u64::from(count);
        add(&self.site.stats.told, u64::from(count));
        let message = self.site.secret.seal(&head, batch.finish());
        if self.spool.is_empty() && self.publish(&head, message.clone()).await {
            return;
        }
        match self.spool.push(&message) {
            Ok(lost) => add(&self.site.stats.spool_dropped, lost),
            Err(error) => {
                log::error!("cannot keep facts for the cluster: {error}");
                add(&self.site.stats.spool_dropped, u64::from(count));
            }
        }
        self.measure();
    }

    async fn send_oldest(&mut self) -> bool {
        let Some(message) = self.spool.front() else { return false };
        let Some((head, _)) = Head::read(&message) else { return false };
        let stored = self.publish(&head, message).await;
        if stored {
            self.spool.pop();
            self.measure();
        }
        stored
    }

    async fn publish(&self, head: &Head, message: Vec<u8>) -> bool {
        let stats = &self.site.stats;
        let length = message.len() as u64;
        let subject = self.link.subject(head.kind, &head.host);
        let Ok((_, again)) = self.link.publish(subject, &head.id(), message, None).await else {
            return false;
        };
        add(if again { &stats.again } else { &stats.messages_out }, 1);
        add(&stats.bytes_out, length);
        true
    }

    fn measure(&self) {
        self.site.stats.spool_bytes.store(self.spool.bytes(), std::sync::atomic::Ordering::Relaxed);
    }

    /// Sends what there is, a little while; what is not sent then is on disk.
    async fn end(mut self) {
        if self.batch.count() > 0 {
            self.send().await;
        }
        let start = Instant::now();
        while start.elapsed() < AT_THE_END && self.send_oldest().await {}
        if !self.spool.is_empty() {
            log::warn!(
                "{} bytes for the cluster wait on disk and are sent by the next run",
                self.spool.bytes()
            );
        }
    }
}
