//! The thread that takes calls from the scoring thread: keeps them, and tells streams.

use std::{
    collections::{HashMap, VecDeque},
    os::fd::AsFd as _,
    sync::Arc,
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Event, Live, Mail, Rates, Update, feed::News, memory::Step};
use crate::{
    api::item::{Item, Outcome, hex},
    history::{Change, Progress, Ringing},
    tap::wall,
    time::Timestamp,
};

/// Letters read before the second is looked at.
const BATCH: usize = 256;
/// Seconds that calls a minute are counted over.
const MINUTE: usize = 60;
/// Latencies kept, of the last calls.
const LATENCIES: usize = 1_024;
/// Calls under way that are known at most.
const ACTIVE: usize = 1 << 20;
/// A call whose BYE was not seen is over after this, nanoseconds.
const LONG: u64 = 6 * 3_600 * 1_000_000_000;

/// What is counted.
#[derive(Debug)]
struct Counts {
    /// Calls and high ones, a second each, this one last.
    seconds: VecDeque<[u64; 2]>,
    latencies: VecDeque<u64>,
    /// Answered calls that go on, and since when.
    active: HashMap<u64, u64>,
}

/// Keeps what comes in `mail` until no more can come.
pub(in crate::api) fn run(mut mail: Mail, live: &Live) {
    let mut counts = Counts {
        seconds: VecDeque::from([[0; 2]]),
        latencies: VecDeque::new(),
        active: HashMap::new(),
    };
    let mut turn = Instant::now() + Duration::from_secs(1);
    while !mail.is_over() {
        let mut busy = false;
        for _ in 0..BATCH {
            // A call before what became of it.
            if let Some(seen) = mail.call() {
                busy = true;
                counts.call(&seen.slot);
                live.call(&Arc::new(*seen));
            } else if let Some(news) = mail.news() {
                busy = true;
                match news {
                    News::Change(change) => {
                        counts.change(&change);
                        live.change(&change);
                    }
                    News::Ringing(ringing) => live.ringing(ringing),
                }
            } else {
                break;
            }
        }
        let now = Instant::now();
        if now >= turn {
            turn = now + Duration::from_secs(1);
            let (waiting, room) = mail.length();
            live.second(counts.second(wall()), waiting, room);
        }
        if !busy {
            sleep(&mail, turn.saturating_duration_since(Instant::now()));
        }
    }
}

fn sleep(mail: &Mail, most: Duration) {
    let bell = mail.bell();
    bell.sleep();
    if !mail.has_news() {
        // Rounded up: woken too early it would turn round and round.
        let timeout = PollTimeout::try_from(most + Duration::from_millis(1));
        let mut fds = [PollFd::new(bell.as_fd(), PollFlags::POLLIN)];
        // An error would be a signal's, or leaves a loop that looks by itself.
        let _ = poll(&mut fds, timeout.unwrap_or(PollTimeout::ZERO));
    }
    bell.awake();
}

impl Counts {
    fn call(&mut self, slot: &crate::records::Slot) {
        if let Some(second) = self.seconds.back_mut() {
            second[0] += 1;
            second[1] += u64::from(slot.level >= 2);
        }
        if let Some(latency) = slot.latency {
            if self.latencies.len() == LATENCIES {
                self.latencies.pop_front();
            }
            self.latencies.push_back(latency);
        }
    }

    fn change(&mut self, change: &Change) {
        match change.progress {
            Progress::Answered => {
                if self.active.len() < ACTIVE {
                    self.active.insert(change.call, change.at.0);
                }
            }
            _ => {
                self.active.remove(&change.call);
            }
        }
    }

    /// Ends a second.
    fn second(&mut self, now: Timestamp) -> Rates {
        let sum = |which: usize| self.seconds.iter().map(|second| second[which]).sum();
        let (calls, high) = (sum(0), sum(1));
        self.seconds.push_back([0; 2]);
        if self.seconds.len() > MINUTE {
            self.seconds.pop_front();
        }
        self.active.retain(|_, since| now.0.saturating_sub(*since) < LONG);
        let mut sorted: Vec<u64> = self.latencies.iter().copied().collect();
        sorted.sort_unstable();
        let quantile = |share: f64| {
            let at = (sorted.len() as f64 * share) as usize;
            sorted.get(at.min(sorted.len().saturating_sub(1))).map(|ns| *ns as f64 / 1e3)
        };
        Rates {
            ts: now,
            calls_per_min: calls,
            high_per_min: high,
            p50: quantile(0.5),
            p99: quantile(0.99),
            drops: 0,
            active: self.active.len(),
        }
    }
}

impl From<&Change> for Outcome {
    fn from(change: &Change) -> Self {
        let seconds = |value: f32| value.is_finite().then_some(value);
        Self {
            outcome: change.progress.name().to_owned(),
            code: (change.code != 0).then_some(change.code),
            setup_s: seconds(change.setup),
            duration_s: seconds(change.duration),
        }
    }
}

/// How a step is told that is no outcome.
pub(super) const RINGING: &str = "ringing";

impl Live {
    /// For the ladder of a call's messages; nobody is told.
    fn ringing(&self, ringing: Ringing) {
        let Ringing { call, at, code } = ringing;
        let outcome = Outcome { outcome: RINGING.into(), code: Some(code), ..Outcome::default() };
        self.memory().step(call, Step { ts: at, outcome });
    }

    fn call(&self, seen: &Arc<super::Seen>) {
        self.memory().add(Arc::clone(seen));
        // Items are made for those who listen.
        if self.events.receiver_count() > 0 {
            let item = Item::from(&*seen.slot);
            let _ = self.events.send(Arc::new(Event::call(item)));
        }
    }

    fn change(&self, change: &Change) {
        let outcome = Outcome::from(change);
        self.memory().step(change.call, Step { ts: change.at, outcome: outcome.clone() });
        if self.events.receiver_count() > 0 {
            let update = Update { call: hex(change.call), outcome };
            let _ = self.events.send(Arc::new(Event::update(&update)));
        }
    }
}
