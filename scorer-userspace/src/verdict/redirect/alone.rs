//! A redirect server without a tap: the thread that answers owns the engine, too.

use std::{
    os::fd::AsFd as _,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Listener, Outbox, Server, Step};
use crate::{
    capture::{Frame, LinkType},
    engine::Assessment,
    tap::{monotonic, wall},
    time::Timestamp,
    verdict::recent::{Entry, Table},
};

/// Sleeps are cut to this, so that `stop` is seen and output is flushed.
const NAP: u16 = 100;
/// Datagrams taken before chores have their turn.
const BATCH: usize = 256;

/// Scores a frame; the last argument is called with the verdicts of calls first seen.
pub type Score<'s> = dyn FnMut(&Frame<'_>, u64, &mut dyn FnMut(&Assessment<'_>)) + 's;

/// The server with its socket and the verdicts it gave.
#[derive(Debug)]
pub struct Alone {
    listener: Listener,
    server: Server,
    /// The engine scores a call once; its forks get the same.
    table: Table,
    spare: Option<Box<Entry>>,
    out: Outbox,
}

impl Alone {
    /// Answers what comes to `listener`; remembers `capacity` verdicts.
    pub fn new(listener: Listener, server: Server, capacity: usize) -> Self {
        Self { listener, server, table: Table::new(capacity), spare: None, out: Outbox::new() }
    }

    /// Runs on the calling thread until `stop`. `idle` is called with the time whenever
    /// there was nothing, at least every 100 ms.
    ///
    /// # Errors
    /// When the socket cannot be waited for.
    pub fn run(
        &mut self,
        stop: &AtomicBool,
        score: &mut Score<'_>,
        idle: &mut dyn FnMut(Timestamp),
    ) -> std::io::Result<()> {
        let mut last_idle = Instant::now();
        loop {
            let stopping = stop.load(Ordering::Acquire);
            let busy = self.serve(score);
            if !busy || last_idle.elapsed() >= Duration::from_millis(u64::from(NAP)) {
                idle(wall());
                last_idle = Instant::now();
            }
            if busy {
                continue;
            }
            if stopping {
                return Ok(());
            }
            let mut fds = [PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, PollTimeout::from(NAP)) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Answers some datagrams; false when there was none.
    fn serve(&mut self, score: &mut Score<'_>) -> bool {
        for count in 0..BATCH {
            let Some((bytes, peer)) = self.listener.receive() else { return count > 0 };
            let (stamp, now) = (monotonic(), Instant::now());
            let step = self.server.take(bytes, peer, now, &mut self.out);
            if let Step::Ask(number) = step {
                self.answer(number, stamp, now, score);
            }
            self.listener.send(&mut self.out, self.server.stats());
        }
        true
    }

    fn answer(&mut self, number: u64, stamp: u64, now: Instant, score: &mut Score<'_>) {
        let Self { server, table, spare, out, .. } = self;
        let mut scored = false;
        if let Some(bytes) = server.frame(number) {
            let frame = Frame {
                link: LinkType::Ethernet,
                timestamp: wall(),
                bytes: &bytes,
                wire_length: bytes.len() as u32,
                scan: None,
            };
            score(&frame, stamp, &mut |assessment| {
                let mut entry = spare.take().unwrap_or_default();
                entry.fill(assessment, &assessment.verdict, &[]);
                *spare = table.insert(entry);
                scored = true;
            });
        }
        let found = server.ids(number).and_then(|(call_id, tag)| table.attempt(call_id, tag));
        let events = &server.stats().events;
        match found {
            Some(_) if scored => events.scored.add(),
            Some(_) => events.known.add(),
            None => events.unscored.add(),
        }
        let outcome = found.map(Entry::outcome);
        server.answer(number, outcome.as_ref(), now, out);
    }
}
