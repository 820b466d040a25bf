//! Where live packets come from, and who reads them.

use std::{
    cell::RefCell,
    os::fd::AsFd as _,
    sync::{Arc, atomic::AtomicBool},
};

use super::desk::Desk;
use crate::{
    capture::Frame,
    engine::Urgent,
    inline::{Inline, JudgeStats, Scoring, Worker},
    metrics::InlineStats,
    tap::{Consumer, CounterReader, Tap, TapError, monotonic},
    time::Timestamp,
    verdict::{
        recent::Questions,
        redirect::{Alone, RedirectStats},
    },
};

/// Where packets come from.
#[derive(Debug)]
pub(in crate::cli) enum Source {
    /// Programs on interfaces, passive.
    Tap(Box<Tap>),
    /// In the path of calls.
    Inline(Box<Inline>),
    /// A router that asks; what it is called, and its counters.
    Redirect(Option<Box<Alone>>, String, Arc<RedirectStats>),
}

impl Source {
    /// What the scorer does.
    pub(super) fn mode(&self) -> &'static str {
        match self {
            Self::Tap(_) => "tap",
            Self::Inline(_) => "inline",
            Self::Redirect(..) => "redirect",
        }
    }

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
            Self::Redirect(_, about, _) => vec![about.clone()],
        }
    }

    /// Reads the programs' counters, where there are programs.
    pub(super) fn counters(&self) -> Option<CounterReader> {
        match self {
            Self::Tap(tap) => Some(tap.counters()),
            Self::Inline(inline) => Some(inline.counters()),
            Self::Redirect(..) => None,
        }
    }

    /// Counters of a redirect server that is the source.
    pub(super) fn redirect(&self) -> Option<Arc<RedirectStats>> {
        match self {
            Self::Tap(_) | Self::Inline(_) => None,
            Self::Redirect(_, _, stats) => Some(Arc::clone(stats)),
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
            Self::Redirect(alone, ..) => alone.take().map(Reader::Redirect),
        }
    }
}

/// What the scoring thread reads.
#[derive(Debug)]
pub(super) enum Reader {
    Tap(Box<Consumer>),
    Inline(Box<Worker>),
    Redirect(Box<Alone>),
}

impl Reader {
    /// Works at the desk until `stop`.
    pub(super) fn run(&mut self, desk: &mut Desk, stop: &AtomicBool) -> Result<(), TapError> {
        let event = desk.questions.as_ref().map(Questions::event);
        let wake = event.as_ref().map(|event| event.as_fd());
        let (result, skipped) = match self {
            Self::Tap(consumer) => {
                // The callbacks use it, one at a time.
                let shared = RefCell::new(&mut *desk);
                let result = consumer.run(
                    stop,
                    &mut |frame, stamp| {
                        // Of the INVITEs alone, which the kernel has scanned.
                        let taken = frame.scan.map(|_| monotonic());
                        shared.borrow_mut().frame(frame, stamp, taken, None, &mut |_| {});
                    },
                    &mut |now| shared.borrow_mut().idle(Some(now)),
                    &mut || shared.borrow_mut().aside(),
                    wake,
                );
                (result, consumer.skipped())
            }
            Self::Inline(worker) => (worker.run(stop, desk, wake), worker.skipped()),
            Self::Redirect(alone) => {
                let shared = RefCell::new(&mut *desk);
                let result = alone.run(
                    stop,
                    &mut |frame, stamp, also| {
                        shared.borrow_mut().frame(frame, stamp, None, None, also);
                    },
                    &mut |now| shared.borrow_mut().idle(Some(now)),
                );
                (result.map_err(|source| TapError::waiting("cannot wait for INVITEs", source)), 0)
            }
        };
        desk.idle(None);
        desk.skipped(skipped);
        result
    }
}

impl Scoring for Desk {
    fn frame(
        &mut self,
        frame: &Frame<'_>,
        stamp: u64,
        taken: Option<u64>,
        at_once: &mut dyn FnMut(&Urgent<'_>),
    ) {
        Desk::frame(self, frame, stamp, taken, Some(at_once), &mut |_| {});
    }

    fn sent(&mut self, delay: u64, send: u64) {
        self.shared.stages.delay.record(delay);
        self.shared.stages.send.record(send);
    }

    fn idle(&mut self, now: Timestamp) {
        Desk::idle(self, Some(now));
    }

    fn aside(&mut self) -> bool {
        Desk::aside(self)
    }

    fn stats(&mut self, stats: &JudgeStats, lost: u64) {
        // A scrape that holds the lock gets the next copy.
        if let Ok(mut copy) = self.shared.inline.try_lock() {
            *copy = Some(InlineStats { judged: *stats, lost });
        }
    }
}
