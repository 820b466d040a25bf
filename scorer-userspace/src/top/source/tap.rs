//! Calls of this host's interfaces, by a tap of our own.

use std::{
    cell::RefCell,
    sync::{atomic::AtomicBool, mpsc::SyncSender},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use scorer_common::Counter;

use super::{
    Event, Scoring,
    local::{Full, Local},
};
use crate::{
    metrics::Latency,
    tap::{Consumer, CounterReader, Tap, monotonic},
    top::rates::Rates,
};

/// A tap that is attached.
#[derive(Debug)]
pub(super) struct OwnTap {
    tap: Box<Tap>,
    local: Box<Local>,
}

/// What the reading thread works with.
struct Desk {
    local: Box<Local>,
    latency: Latency,
    counters: CounterReader,
    told: Instant,
}

impl OwnTap {
    pub(super) fn open(interfaces: Vec<String>, mut scoring: Scoring) -> anyhow::Result<Self> {
        let config = &mut scoring.config;
        config.tap.interfaces = interfaces;
        // It only shows calls: nothing of it stays, and it sleeps where a scorer spins.
        config.tap.keep = None;
        config.tap.spin = Duration::ZERO;
        config.tap.spin_busy = Duration::ZERO;
        // Callers choose Call-IDs and numbers.
        config.engine.history.secret = true;
        config.engine.assembler.secret = true;
        let tap = config.tap.clone();
        // The first call would wait for it.
        crate::number::warm_up();
        let local = Box::new(Local::new(scoring, Full::Drop)?);
        let tap = Tap::attach(&tap).context(
            "`scorer top --interface` taps by itself; where a scorer runs already, leave the \
             option out and it is asked instead",
        )?;
        Ok(Self { tap: Box::new(tap), local })
    }

    pub(super) fn run(self, events: &SyncSender<Event>, stop: &AtomicBool) {
        let Self { mut tap, mut local } = self;
        local.send_to(events.clone());
        local.tell(Event::State("listening".into()));
        let Some(mut consumer) = tap.take_consumer() else { return };
        let (latency, counters) = (Latency::default(), tap.counters());
        let desk = Desk { local, latency, counters, told: Instant::now() };
        let error = read(&mut consumer, desk, stop);
        let _ = events.send(Event::End(error));
    }
}

/// Reads until `stop`; what went wrong.
fn read(consumer: &mut Consumer, desk: Desk, stop: &AtomicBool) -> Option<String> {
    // The callbacks use it, one at a time.
    let desk = RefCell::new(desk);
    let result = consumer.run(
        stop,
        &mut |frame, stamp| {
            let Desk { local, latency, .. } = &mut *desk.borrow_mut();
            local.frame(frame, &mut || {
                let since = monotonic().saturating_sub(stamp);
                latency.record(since);
                Some(since)
            });
        },
        &mut |now| {
            let desk = &mut *desk.borrow_mut();
            desk.local.settle(Some(now));
            if desk.told.elapsed() >= Duration::from_secs(1) {
                desk.told = Instant::now();
                desk.tell();
            }
        },
        &mut || false,
        None,
    );
    result.err().map(|error| error.to_string())
}

impl Desk {
    fn tell(&mut self) {
        let lost = self.local.lost();
        if lost > 0 {
            self.local.tell(Event::Lost(lost));
        }
        let within = |share| self.latency.quantile(share).map(|ns| ns as f64 / 1e3);
        let drops = self.counters.read().ok().map(|counters| {
            counters[Counter::InviteRingFull as usize] + counters[Counter::DialogRingFull as usize]
        });
        // Calls are counted where they are shown.
        let latency = within(0.5).zip(within(0.99));
        self.local.tell(Event::Rates(Rates {
            calls: f64::NAN,
            latency,
            drops,
            ..Rates::default()
        }));
    }
}
