//! From the scoring thread to the one that keeps recent verdicts: bounded, without
//! locks or allocations on the scoring thread's side.

use std::{os::fd::BorrowedFd, sync::Arc};

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

/// What became of a verdict that was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It is on its way.
    Yes,
    /// The queue is full.
    Full,
    /// It is too long to be kept.
    Oversize,
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
    /// Hands a verdict over.
    pub fn verdict(&mut self, assessment: &Assessment<'_>, verdict: &Verdict, line: &[u8]) -> Sent {
        if !Entry::fits(assessment, line) {
            return Sent::Oversize;
        }
        // With room for the letter first: an entry that was taken must go.
        if self.letters.is_full() {
            return Sent::Full;
        }
        let Ok(mut entry) = self.free.pop() else { return Sent::Full };
        entry.fill(assessment, verdict, line);
        let _ = self.letters.push(Letter::Verdict(entry));
        self.bell.ring();
        Sent::Yes
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
    pub fn next(&mut self) -> Option<Letter> {
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
    bell: Arc<Bell>,
}

/// The scoring thread's end.
#[derive(Debug)]
pub struct Questions {
    queue: rtrb::Consumer<Question>,
    bell: Arc<Bell>,
}

/// Both ends.
///
/// # Errors
/// When the kernel has no event counter left.
pub fn questions() -> std::io::Result<(Asker, Questions)> {
    let (give, queue) = rtrb::RingBuffer::new(QUESTIONS);
    let bell = Arc::new(Bell::new()?);
    Ok((Asker { queue: give, bell: Arc::clone(&bell) }, Questions { queue, bell }))
}

impl Asker {
    /// Asks; false when too many questions wait.
    pub fn ask(&mut self, question: Question) -> bool {
        let sent = self.queue.push(question).is_ok();
        self.bell.ring();
        sent
    }
}

impl Questions {
    /// The next one.
    pub fn next(&mut self) -> Option<Question> {
        self.queue.pop().ok()
    }

    /// To be called before waiting for [`Self::fd`]; true when there is a question.
    pub fn sleep(&self) -> bool {
        self.bell.sleep();
        !self.queue.is_empty()
    }

    /// To be called after it.
    pub fn awake(&self) {
        self.bell.awake();
    }

    /// Becomes readable when a question comes.
    pub fn fd(&self) -> BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(&*self.bell)
    }
}
