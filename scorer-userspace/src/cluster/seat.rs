//! The scoring thread's end: it gives facts and takes others', and never waits.

use std::sync::Arc;

use rtrb::{Consumer, Producer};

use super::stats::{Stats, add};
use crate::{
    engine::Engine,
    history::{Fact, Mark, Merged},
};

/// What is counted between two turns of packets; a few dozen microseconds.
const AT_ONCE: usize = 16;

/// What comes for the scoring thread.
#[expect(clippy::large_enum_variant, reason = "facts are most of it, and a queue has no boxes")]
#[derive(Clone, Copy, Debug)]
pub(super) enum Incoming {
    /// To be counted.
    Fact { host: u64, fact: Fact },
    /// All of a host's up to here came, with this message of the stream.
    Mark { mark: Mark, stream: u64 },
}

/// Its place in the cluster.
#[derive(Debug)]
pub struct Seat {
    out: Producer<Fact>,
    incoming: Consumer<Incoming>,
    stats: Arc<Stats>,
    own: Mark,
}

impl Seat {
    pub(super) fn new(
        out: Producer<Fact>,
        incoming: Consumer<Incoming>,
        stats: Arc<Stats>,
        own: Mark,
    ) -> Self {
        Self { out, incoming, stats, own }
    }

    /// Counters, to be read at any time.
    pub fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.stats)
    }

    /// Tells the other hosts what the engine counted since.
    pub fn tell(&mut self, engine: &mut Engine) {
        let before = self.own.next;
        for fact in engine.facts() {
            if self.out.push(fact).is_ok() {
                self.own.next += 1;
            } else {
                add(&self.stats.queue_full, 1);
            }
        }
        if self.own.next > before {
            engine.mark(self.own, None);
        }
    }

    /// Counts a few of what others told; whether there was anything.
    pub fn take(&mut self, engine: &mut Engine) -> bool {
        for count in 0..AT_ONCE {
            let Ok(next) = self.incoming.pop() else { return count > 0 };
            match next {
                Incoming::Fact { host, fact } => match engine.merge(host, &fact) {
                    Merged::Counted => add(&self.stats.counted, 1),
                    Merged::SameCall => add(&self.stats.same_call, 1),
                },
                Incoming::Mark { mark, stream } => engine.mark(mark, Some(stream)),
            }
        }
        true
    }
}
