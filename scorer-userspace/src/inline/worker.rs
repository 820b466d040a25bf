//! The scoring thread's loop in inline mode: sockets first, then the rings.

use std::{
    os::fd::BorrowedFd,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use aya::maps::{HashMap, MapData, XskMap};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use scorer_common::steer::Follow;

use super::{
    Judge, JudgeStats, Plan,
    local::Pair,
    port::{Port, take_stamp},
    service::Service,
    shared::Shared,
};
use crate::{
    capture::{Frame, LinkType},
    engine::Urgent,
    sip::Message,
    tap::{Consumer, TapError, clock::Clock, consumer::pin, monotonic, spin::Spin},
    time::Timestamp,
};

/// Who scores: owns the engine, and takes its verdicts.
pub trait Scoring {
    /// Takes a frame that the kernel stamped at `stamp` and that was taken up at `taken`,
    /// where that is known (`CLOCK_MONOTONIC`, ns); `at_once` is called with the verdicts of
    /// calls first seen in it, before they are told anywhere else.
    fn frame(
        &mut self,
        frame: &Frame<'_>,
        stamp: u64,
        taken: Option<u64>,
        at_once: &mut dyn FnMut(&Urgent<'_>),
    );

    /// Called when a frame that was scored in time is on its way: how long that took since
    /// the kernel's stamp, and since its verdict, ns.
    fn sent(&mut self, delay: u64, send: u64);

    /// Called with the time when there is nothing else to do, and now and then.
    fn idle(&mut self, now: Timestamp);

    /// Called between batches: does what others asked for; false when there was nothing.
    fn aside(&mut self) -> bool;

    /// Called now and then with what became of frames, and how many were lost for
    /// want of memory or room.
    fn stats(&mut self, stats: &JudgeStats, lost: u64);
}

/// What the scoring thread works with.
pub struct Worker {
    /// A socket a receive queue, towards the carrier.
    pub(super) ports: Vec<Port>,
    /// Where frames go on.
    pub(super) onwards: Port,
    /// The way into this host's stack, where the router is there.
    pub(super) pair: Option<Pair>,
    /// Holds the map that names the sockets to the kernel.
    pub(super) _sockets: XskMap<MapData>,
    pub(super) followed: HashMap<MapData, u64, Follow>,
    pub(super) shared: Shared,
    pub(super) consumer: Consumer,
    pub(super) judge: Judge,
    pub(super) deadline: Duration,
    pub(super) budget: Duration,
    pub(super) cpu: Option<usize>,
    pub(super) spin: Spin,
    pub(super) service: Service,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("ports", &self.ports).finish_non_exhaustive()
    }
}

/// How long what follows a call that was diverted, refused or dropped comes to user
/// space: a callee may be rung for minutes before the caller gives up.
const FOLLOWED_FOR: u64 = 300_000_000_000;

/// How often output leaves and settings are taken up under load.
const CHORES: Duration = Duration::from_millis(50);

/// Passes over the sockets between two looks at the rings, which can wait.
const RING_TURN: u32 = 4;
/// Records of the rings at a time: INVITEs at the sockets wait meanwhile.
const RING_BATCH: u32 = 16;
/// Frames scored before those that are done leave: a system call takes as long as
/// half a score.
const SEND_TURN: usize = 4;

impl Worker {
    /// Runs on the calling thread until `stop`; then INVITEs go on in the kernel. When
    /// `wake`, an event counter, becomes readable [`Scoring::aside`] is called soon.
    ///
    /// # Errors
    /// [`TapError`] when the thread cannot be pinned, or waiting fails.
    pub fn run(
        &mut self,
        stop: &AtomicBool,
        scoring: &mut dyn Scoring,
        wake: Option<BorrowedFd<'_>>,
    ) -> Result<(), TapError> {
        if let Some(cpu) = self.cpu {
            pin(cpu)?;
        }
        let mut clock = Clock::new();
        let mut chores = Instant::now();
        let mut armed = false;
        let mut turn = 0;
        loop {
            self.beat();
            let steered = self.sockets(&mut clock, scoring);
            let mut found = steered;
            turn += 1;
            if !found || turn % RING_TURN == 0 {
                found |= self.consumer.drain(&mut clock, RING_BATCH, &mut |frame, stamp| {
                    let taken = frame.scan.map(|_| monotonic());
                    scoring.frame(frame, stamp, taken, &mut |_| {});
                });
            }
            found |= scoring.aside();
            let now = Instant::now();
            if now - chores >= CHORES {
                chores = now;
                self.beat();
                scoring.idle(clock.wall(monotonic()));
                scoring.stats(self.judge.stats(), self.lost());
                self.onwards.flush();
            }
            if found {
                self.spin.found(now, steered);
                if armed {
                    self.consumer.disarm()?;
                    armed = false;
                }
                continue;
            }
            if stop.load(Ordering::Acquire) {
                break;
            }
            if self.spin.goes_on(now) {
                std::hint::spin_loop();
                continue;
            }
            if !armed {
                armed = true;
                if self.consumer.arm()? {
                    continue;
                }
            }
            self.wait(wake)?;
        }
        // From here on the kernel passes INVITEs on; those on their way still come.
        self.shared.beat(0);
        while self.sockets(&mut clock, scoring) {}
        scoring.stats(self.judge.stats(), self.lost());
        Ok(())
    }

    /// Ring records refused for their version, kind or bounds.
    pub fn skipped(&self) -> u64 {
        self.consumer.skipped()
    }

    fn lost(&self) -> u64 {
        self.onwards.lost + self.ports.iter().map(|port| port.lost).sum::<u64>()
    }

    /// Says that this thread is alive.
    fn beat(&self) {
        self.shared.beat(monotonic() + self.deadline.as_nanos() as u64);
    }

    /// Sleeps until something comes in; well within the deadline.
    fn wait(&self, wake: Option<BorrowedFd<'_>>) -> Result<(), TapError> {
        let nap = PollTimeout::from((self.deadline.as_millis() * 3 / 8).clamp(1, 100) as u16);
        let rings = self.consumer.fds();
        let fds = self.ports.iter().map(Port::fd).chain(rings).chain(wake);
        let mut fds: Vec<_> =
            fds.map(|fd: BorrowedFd<'_>| PollFd::new(fd, PollFlags::POLLIN)).collect();
        match poll(&mut fds, nap) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(source) => return Err(TapError::system("cannot wait for packets", source)),
        }
        if let Some(wake) = wake {
            // Reads the counter to zero, or nothing.
            let _ = nix::unistd::read(wake, &mut [0; 8]);
        }
        let gone = PollFlags::POLLERR | PollFlags::POLLNVAL;
        let sockets = &fds[..self.ports.len()];
        if sockets.iter().any(|fd| fd.revents().is_some_and(|events| events.intersects(gone))) {
            let source = std::io::Error::from_raw_os_error(libc::ENETDOWN);
            return Err(TapError::system(
                "an interface has gone; start again when it is back",
                source,
            ));
        }
        Ok(())
    }

    /// Takes a batch from every socket; false when there was nothing.
    fn sockets(&mut self, clock: &mut Clock, scoring: &mut dyn Scoring) -> bool {
        let mut found = false;
        for i in 0..self.ports.len() {
            let count = self.ports[i].receive();
            let spare = self.service.spare();
            if count == 0 {
                self.shared.taken_all(self.ports[i].queue(), spare);
                continue;
            }
            found = true;
            let start = monotonic();
            let mut done = 0;
            while let Some(mut packet) = self.ports[i].next() {
                let stamp = take_stamp(&mut packet);
                let last = done + 1 == count;
                let scored = self.packet(i, last, &packet, stamp, clock, scoring);
                self.ports[i].release(packet);
                // What is in the batch still waits.
                self.shared.taken(self.ports[i].queue(), spare);
                self.beat();
                if let Some([stamp, verdict, sent]) = scored {
                    scoring.sent(sent.saturating_sub(stamp), sent.saturating_sub(verdict));
                }
                done += 1;
                if done % SEND_TURN == 0 {
                    self.ports[i].flush();
                    self.onwards.flush();
                }
            }
            self.ports[i].refill();
            self.ports[i].flush();
            self.onwards.flush();
            self.service.took(monotonic() - start, count);
        }
        found
    }

    /// Scores one frame and does with it what is to be done; `last` of those that wait.
    /// When the kernel saw it, when its verdict was there and when it was on its way,
    /// unless it was late.
    fn packet(
        &mut self,
        port: usize,
        last: bool,
        bytes: &[u8],
        stamp: Option<u64>,
        clock: &mut Clock,
        scoring: &mut dyn Scoring,
    ) -> Option<[u64; 3]> {
        let now = monotonic();
        let stamp = stamp.filter(|stamp| *stamp <= now).unwrap_or(now);
        let budget = self.budget.as_nanos() as u64;
        let frame = Frame {
            link: LinkType::Ethernet,
            timestamp: clock.wall(stamp),
            bytes,
            wire_length: bytes.len() as u32,
            scan: None,
        };
        let Self { ports, onwards, pair, judge, .. } = self;
        let mut exit = Exit { ports, onwards, pair: pair.as_ref(), port };
        let mut scored = None;
        if now - stamp > budget {
            // Late already: on with it, but for what was decided before and for forged
            // headers, and scored after, so that the history is whole.
            let plan = judge.judge(bytes);
            exit.carry_out(plan, judge, bytes);
            exit.flush();
            scoring.frame(&frame, stamp, Some(now), &mut |urgent| judge.note(urgent));
            judge.scored_after();
        } else {
            let mut act = |judge: &mut Judge, read: Option<&Message<'_>>| {
                let verdict = monotonic();
                let plan = if verdict - stamp > budget {
                    judge.late(bytes)
                } else {
                    scored = Some([stamp, verdict, 0]);
                    judge.judge_read(bytes, read)
                };
                exit.carry_out(plan, judge, bytes);
                if last {
                    exit.flush();
                }
                if let Some([.., sent]) = &mut scored {
                    *sent = monotonic();
                }
                judge.remember();
            };
            // The call goes on before its verdict is written down anywhere.
            let mut gone = false;
            scoring.frame(&frame, stamp, Some(now), &mut |urgent| {
                if !gone {
                    judge.note(urgent);
                    act(judge, Some(urgent.message));
                    gone = true;
                }
            });
            // Nothing new: it was scored before, or cannot be.
            if !gone {
                act(judge, None);
            }
        }
        if let Some(call) = self.judge.take_followed() {
            let until = Follow { until: monotonic() + FOLLOWED_FOR };
            // A full table makes room. A failure costs the call its ACK or CANCEL.
            if let Err(error) = self.followed.insert(call, until, 0) {
                log::debug!("a call cannot be followed: {error}");
            }
        }
        scored
    }
}

/// Ways out for one frame.
struct Exit<'a> {
    ports: &'a mut [Port],
    onwards: &'a mut Port,
    pair: Option<&'a Pair>,
    /// The port it came in by.
    port: usize,
}

impl Exit<'_> {
    /// Sends a frame where it is to go.
    fn carry_out(&mut self, plan: Plan, judge: &Judge, bytes: &[u8]) {
        match plan {
            Plan::On => send_on(self.onwards, self.pair, bytes),
            Plan::OnChanged => send_on(self.onwards, self.pair, judge.out()),
            Plan::Back => {
                self.ports[self.port].send([judge.out(), &[]]);
            }
            Plan::Nowhere => {}
        }
    }

    fn flush(&mut self) {
        self.ports[self.port].flush();
        self.onwards.flush();
    }
}

/// Sends a frame on: as it is, or to the hardware address of the pair's other end.
/// What finds no room is counted by the port.
fn send_on(onwards: &mut Port, pair: Option<&Pair>, frame: &[u8]) {
    let _ = match (pair, frame.split_at_checked(6)) {
        (Some(pair), Some((_, rest))) => onwards.send([&pair.address, rest]),
        _ => onwards.send([frame, &[]]),
    };
}
