//! From the scoring thread to the API: bounded, without locks or allocations on the
//! scoring thread's side. What does not fit is dropped and counted.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::{
    engine::Assessment,
    history::{Change, Ringing},
    records::Slot,
    verdict::recent::Bell,
};

/// Calls under way at most; each takes some 11 kB.
const QUEUE: usize = 1_024;
/// Changes of calls under way at most.
const CHANGES: usize = 8_192;
/// Most bytes of an INVITE that are kept; few have more than 2 kB.
const MESSAGE: usize = 8 << 10;

/// A call on its way: made once, filled again and again.
#[derive(Debug)]
pub(in crate::api) struct Seen {
    pub(in crate::api) slot: Box<Slot>,
    /// The INVITE, its first [`MESSAGE`] bytes.
    pub(in crate::api) message: Vec<u8>,
    /// Whether there was more.
    pub(in crate::api) cut: bool,
}

impl Seen {
    fn new() -> Self {
        Self { slot: Slot::new(), message: Vec::with_capacity(MESSAGE), cut: false }
    }
}

/// How calls went on.
#[derive(Clone, Copy, Debug)]
pub(super) enum News {
    Change(Change),
    Ringing(Ringing),
}

/// The scoring thread's end.
#[derive(Debug)]
pub struct Feed {
    full: rtrb::Producer<Box<Seen>>,
    free: rtrb::Consumer<Box<Seen>>,
    changes: rtrb::Producer<News>,
    dropped: Arc<AtomicU64>,
    bell: Arc<Bell>,
}

/// The other end.
#[derive(Debug)]
pub struct Mail {
    full: rtrb::Consumer<Box<Seen>>,
    free: rtrb::Producer<Box<Seen>>,
    changes: rtrb::Consumer<News>,
    dropped: Arc<AtomicU64>,
    bell: Arc<Bell>,
}

/// Both ends.
///
/// # Errors
/// When the kernel has no event counter left.
pub fn feed() -> std::io::Result<(Feed, Mail)> {
    let (full, filled) = rtrb::RingBuffer::new(QUEUE);
    let (mut give, free) = rtrb::RingBuffer::new(QUEUE);
    while give.push(Box::new(Seen::new())).is_ok() {}
    let (changes, changed) = rtrb::RingBuffer::new(CHANGES);
    let (dropped, bell) = (Arc::default(), Arc::new(Bell::new()?));
    let feed = Feed { full, free, changes, dropped: Arc::clone(&dropped), bell: Arc::clone(&bell) };
    Ok((feed, Mail { full: filled, free: give, changes: changed, dropped, bell }))
}

impl Feed {
    /// Hands a call over.
    pub fn call(&mut self, assessment: &Assessment<'_>, latency: Option<u64>) {
        let Ok(mut seen) = self.free.pop() else {
            self.drop_one();
            return;
        };
        seen.slot.fill(assessment, latency);
        let kept = assessment.message.len().min(MESSAGE);
        seen.message.clear();
        seen.message.extend_from_slice(&assessment.message[..kept]);
        seen.cut = kept < assessment.message.len();
        // There is room: the entries are as many as the queue is long.
        let _ = self.full.push(seen);
        self.bell.ring();
    }

    /// Hands over how a call went on.
    pub fn change(&mut self, change: Change) {
        self.news(News::Change(change));
    }

    /// Hands over that a call rings.
    pub fn ringing(&mut self, ringing: Ringing) {
        self.news(News::Ringing(ringing));
    }

    fn news(&mut self, news: News) {
        if self.changes.push(news).is_err() {
            self.drop_one();
        }
        self.bell.ring();
    }

    fn drop_one(&self) {
        // One thread counts.
        self.dropped.store(self.dropped.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.bell.ring();
    }
}

impl Mail {
    /// The next call; another entry takes its place.
    pub(super) fn call(&mut self) -> Option<Box<Seen>> {
        let mut seen = self.full.pop().ok()?;
        let _ = self.free.push(Box::new(Seen::new()));
        seen.message.shrink_to_fit();
        Some(seen)
    }

    /// How a call went on.
    pub(super) fn news(&mut self) -> Option<News> {
        self.changes.pop().ok()
    }

    /// Whether there is something, or nobody left who would send.
    pub(super) fn has_news(&self) -> bool {
        !self.full.is_empty() || !self.changes.is_empty() || self.full.is_abandoned()
    }

    /// Whether nothing will come any more.
    pub(super) fn is_over(&self) -> bool {
        self.full.is_abandoned() && self.full.is_empty() && self.changes.is_empty()
    }

    /// What found the queue full.
    pub(in crate::api) fn dropped(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.dropped)
    }

    /// Calls that wait, and how many may.
    pub(super) fn length(&self) -> (usize, usize) {
        (self.full.slots(), QUEUE)
    }

    pub(super) fn bell(&self) -> &Bell {
        &self.bell
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::{MESSAGE, QUEUE, feed};
    use crate::{engine::Assessment, policy::Decision, verdict::recent::tests::assessed};

    #[test]
    fn a_full_queue_drops_counts_and_recovers() {
        let (mut feed, mut mail) = feed().expect("a queue");
        let long = vec![b'x'; 3 * MESSAGE];
        for i in 0..QUEUE + 7 {
            assessed(&i.to_string(), "t", Decision::PASS, |a| {
                feed.call(&Assessment { message: &long, ..*a }, Some(1));
            });
        }
        assert_eq!(mail.dropped().load(Ordering::Relaxed), 7);
        let first = mail.call().expect("a call");
        assert!(first.cut && first.message.len() == MESSAGE);
        assessed("again", "t", Decision::PASS, |a| feed.call(a, None));
        drop(feed);
        let mut left = 0;
        while mail.call().is_some() {
            left += 1;
        }
        assert!(left == QUEUE && mail.is_over());
    }
}
