//! Where live packets come from, and who reads them.

use std::{cell::RefCell, sync::atomic::AtomicBool};

use super::desk::Desk;
use crate::{
    capture::Frame,
    engine::Assessment,
    inline::{Inline, JudgeStats, Scoring, Worker},
    metrics::InlineStats,
    tap::{Consumer, CounterReader, Tap, TapError},
    time::Timestamp,
};

/// Programs on their interfaces.
#[derive(Debug)]
pub(in crate::cli) enum Source {
    /// Passive.
    Tap(Box<Tap>),
    /// In the path of calls.
    Inline(Box<Inline>),
}

impl Source {
    /// A line an interface.
    pub(super) fn about(&self) -> Vec<String> {
        match self {
            Self::Tap(tap) => {
                let line = |attached: &crate::tap::Attached| {
                    let mode = if attached.native { "native" } else { "generic" };
                    format!("tapping {} (XDP, {mode} mode)", attached.interface)
                };
                tap.attached().iter().map(line).collect()
            }
            Self::Inline(inline) => {
                inline.about().iter().map(|what| format!("inline on {what}")).collect()
            }
        }
    }

    /// Reads the programs' counters.
    pub(super) fn counters(&self) -> CounterReader {
        match self {
            Self::Tap(tap) => tap.counters(),
            Self::Inline(inline) => inline.counters(),
        }
    }

    /// Hands what a debug build of the object logged to the log.
    pub(super) fn flush_log(&mut self) {
        if let Self::Tap(tap) = self {
            tap.flush_log();
        }
    }

    /// For the scoring thread; there is one.
    pub(super) fn take_reader(&mut self) -> Option<Reader> {
        match self {
            Self::Tap(tap) => tap.take_consumer().map(|consumer| Reader::Tap(Box::new(consumer))),
            Self::Inline(inline) => {
                inline.take_worker().map(|worker| Reader::Inline(Box::new(worker)))
            }
        }
    }
}

/// What the scoring thread reads.
#[derive(Debug)]
pub(super) enum Reader {
    Tap(Box<Consumer>),
    Inline(Box<Worker>),
}

impl Reader {
    /// Works at the desk until `stop`.
    pub(super) fn run(&mut self, desk: &mut Desk, stop: &AtomicBool) -> Result<(), TapError> {
        let (result, skipped) = match self {
            Self::Tap(consumer) => {
                // Both callbacks use it, one at a time.
                let shared = RefCell::new(&mut *desk);
                let result = consumer.run(
                    stop,
                    &mut |frame, stamp| shared.borrow_mut().frame(frame, stamp, &mut |_| {}),
                    &mut |now| shared.borrow_mut().idle(Some(now)),
                );
                (result, consumer.skipped())
            }
            Self::Inline(worker) => (worker.run(stop, desk), worker.skipped()),
        };
        desk.idle(None);
        desk.skipped(skipped);
        result
    }
}

impl Scoring for Desk {
    fn frame(&mut self, frame: &Frame<'_>, stamp: u64, also: &mut dyn FnMut(&Assessment<'_>)) {
        Desk::frame(self, frame, stamp, also);
    }

    fn idle(&mut self, now: Timestamp) {
        Desk::idle(self, Some(now));
    }

    fn stats(&mut self, stats: &JudgeStats, lost: u64) {
        // A scrape that holds the lock gets the next copy.
        if let Ok(mut copy) = self.shared.inline.try_lock() {
            *copy = Some(InlineStats { judged: *stats, lost });
        }
    }
}
