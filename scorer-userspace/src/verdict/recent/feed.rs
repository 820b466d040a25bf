//! From the scoring thread to the one that keeps recent verdicts: bounded, without
//! locks or allocations on the scoring thread's side.

use std::sync::Arc;

use nix::sys::eventfd::{EfdFlags, EventFd};
use scorer_common::Verdict;

use super::{Bell, Entry};
use crate::engine::Assessment;

/// Letters under way at most.
const QUEUE: usize = 1024;

/// What is handed over.
#[derive(Debug)]
pub enum Letter {
    /// A verdict.
    Verdict(Box<Entry>),
    /// A question (by its number) was looked into; whatever verdict there is has come
    /// before this. The buffer of its frame comes back.
    Done(u64, Vec<u8>),
}

/// The scoring thread's end.
#[derive(Debug)]
pub struct Feed {
    letters: rtrb::Producer<Letter>,
    /// Entries to be filled; the other end gives them back.
    free: rtrb::Consumer<Box<Entry>>,
    bell: Arc<Bell>,
}

/// The other end.
#[derive(Debug)]
pub struct Mail {
    letters: rtrb::Consumer<Letter>,
    free: rtrb::Producer<Box<Entry>>,
    bell: Arc<Bell>,
}

/// Both ends.
///
/// # Errors
/// When the kernel has no event counter left.
pub fn feed() -> std::io::Result<(Feed, Mail)> {
    let (letters, queue) = rtrb::RingBuffer::new(QUEUE);
    let (mut give, free) = rtrb::RingBuffer::new(QUEUE);
    while give.push(Box::default()).is_ok() {}
    let bell = Arc::new(Bell::new()?);
    let feed = Feed { letters, free, bell: Arc::clone(&bell) };
    Ok((feed, Mail { letters: queue, free: give, bell }))
}

impl Feed {
    /// Hands a verdict over; false where the queue is full.
    pub fn verdict(&mut self, assessment: &Assessment<'_>, verdict: &Verdict, line: &[u8]) -> bool {
        // With room for the letter first: an entry that was taken must go.
        if self.letters.is_full() {
            return false;
        }
        let Ok(mut entry) = self.free.pop() else { return false };
        entry.fill(assessment, verdict, line);
        let _ = self.letters.push(Letter::Verdict(entry));
        self.bell.ring();
        true
    }

    /// Says that a question was looked into. Where there is no room, whoever asked
    /// goes on when its time is over.
    pub(crate) fn done(&mut self, question: u64, frame: Vec<u8>) {
        let _ = self.letters.push(Letter::Done(question, frame));
        self.bell.ring();
    }
}

impl Mail {
    /// The next letter.
    pub fn take(&mut self) -> Option<Letter> {
        self.letters.pop().ok()
    }

    /// Gives an entry back to be filled.
    pub fn give_back(&mut self, entry: Box<Entry>) {
        let _ = self.free.push(entry);
    }

    /// Whether there is something, or nobody left who would send.
    pub fn has_news(&self) -> bool {
        !self.letters.is_empty() || self.is_over()
    }

    /// Whether nothing will come any more.
    pub fn is_over(&self) -> bool {
        self.letters.is_abandoned() && self.letters.is_empty()
    }

    pub(crate) fn bell(&self) -> &Bell {
        &self.bell
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.bell.ring();
    }
}

/// A question to the scoring thread: a frame to be scored.
#[derive(Debug)]
pub struct Question {
    /// Its number.
    pub id: u64,
    /// An Ethernet frame.
    pub frame: Vec<u8>,
    /// When it came, `CLOCK_MONOTONIC`, ns.
    pub stamp: u64,
}

/// Questions under way at most.
pub const QUESTIONS: usize = 256;

/// Who asks.
#[derive(Debug)]
pub struct Asker {
    queue: rtrb::Producer<Question>,
    event: Arc<EventFd>,
}

/// The scoring thread's end.
#[derive(Debug)]
pub struct Questions {
    queue: rtrb::Consumer<Question>,
    event: Arc<EventFd>,
}

/// Both ends.
///
/// # Errors
/// When the kernel has no event counter left.
pub fn questions() -> std::io::Result<(Asker, Questions)> {
    let (give, queue) = rtrb::RingBuffer::new(QUESTIONS);
    let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
    let event = Arc::new(EventFd::from_flags(flags)?);
    Ok((Asker { queue: give, event: Arc::clone(&event) }, Questions { queue, event }))
}

impl Asker {
    /// Asks; false when too many questions wait.
    pub fn ask(&mut self, question: Question) -> bool {
        let sent = self.queue.push(question).is_ok();
        let _ = self.event.write(1);
        sent
    }
}

impl Questions {
    /// The next one.
    pub fn take(&mut self) -> Option<Question> {
        self.queue.pop().ok()
    }

    /// An event counter that becomes readable when a question comes.
    pub fn event(&self) -> Arc<EventFd> {
        Arc::clone(&self.event)
    }
}
