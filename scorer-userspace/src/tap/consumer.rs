//! Reads the rings on the scoring thread.

use std::{
    os::fd::BorrowedFd,
    sync::atomic::{AtomicBool, Ordering, fence},
    time::{Duration, Instant},
};

use aya::maps::{Array, MapData};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use scorer_common::{
    fingerprint::Scan,
    maps,
    record::{InviteHeader, RecordHeader, VERSION},
};

use super::{
    TapError,
    clock::{Clock, monotonic},
    ring::Ring,
    spin::Spin,
};
use crate::{
    capture::{Frame, LinkType},
    time::Timestamp,
};

/// Sleeps are cut to this, so that `stop` is seen and output is flushed.
const NAP: u16 = 100;

/// After the flag is raised the rings are watched for this long before the
/// thread sleeps: a program that read the flag before may still be at work, and
/// would not wake us. Programs take microseconds and are not preempted.
const GRACE: Duration = Duration::from_micros(100);

/// Records between two looks at what else there is to do.
const BATCH: u32 = 256;

/// Space is given back to the kernel in steps of this many bytes: the store is
/// cheap, the cache line it takes from the producer is not.
const PUBLISH: u64 = 64 << 10;

/// Reads both rings in the order of the kernel's stamps.
pub struct Consumer {
    pub(super) invites: Ring,
    pub(super) dialogs: Ring,
    pub(super) sleeping: Array<MapData, u32>,
    pub(super) cpu: Option<usize>,
    pub(super) spin: Spin,
    /// Whether the last batch held an INVITE.
    pub(super) has_invite: bool,
    pub(super) skipped: u64,
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumer").field("invites", &self.invites).finish_non_exhaustive()
    }
}

impl Consumer {
    /// Runs on the calling thread until `stop`, then drains the rings.
    ///
    /// `each` gets every frame and the kernel's `CLOCK_MONOTONIC` stamp, ns;
    /// `idle` is called with the time whenever there was nothing, at least every
    /// 100 ms. `aside` is called between batches and says whether it had something to
    /// do; when `wake`, an event counter, becomes readable it is called soon.
    ///
    /// # Errors
    /// [`TapError::System`] when the thread cannot be pinned or poll fails,
    /// [`TapError::Map`] when the sleep flag cannot be set.
    pub fn run(
        &mut self,
        stop: &AtomicBool,
        each: &mut dyn FnMut(&Frame<'_>, u64),
        idle: &mut dyn FnMut(Timestamp),
        aside: &mut dyn FnMut() -> bool,
        wake: Option<BorrowedFd<'_>>,
    ) -> Result<(), TapError> {
        if let Some(cpu) = self.cpu {
            pin(cpu)?;
        }
        let mut clock = Clock::new();
        let mut last_idle = Instant::now();
        loop {
            // Read before the rings: what came in before the stop is drained.
            let stopping = stop.load(Ordering::Acquire);
            if self.drain(&mut clock, BATCH, each) | aside() {
                self.spin.found(Instant::now(), self.has_invite);
                // Under unbroken load output must leave, too.
                if last_idle.elapsed() >= Duration::from_millis(u64::from(NAP)) {
                    idle(clock.wall(monotonic()));
                    last_idle = Instant::now();
                }
                continue;
            }
            if stopping {
                return Ok(());
            }
            if self.spin.goes_on(Instant::now()) {
                std::hint::spin_loop();
                continue;
            }
            idle(clock.wall(monotonic()));
            last_idle = Instant::now();
            self.sleep(wake)?;
        }
    }

    /// Ring records refused for their version, kind or bounds.
    pub const fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Takes what is there, `most` records; false when there was nothing.
    pub(crate) fn drain(
        &mut self,
        clock: &mut Clock,
        most: u32,
        each: &mut dyn FnMut(&Frame<'_>, u64),
    ) -> bool {
        let mut taken = false;
        self.has_invite = false;
        for _ in 0..most {
            let invite = self.invites.peek().and_then(stamp);
            let dialog = self.dialogs.peek().and_then(stamp);
            let (ring, is_invite) = match (invite, dialog) {
                (None, None) => break,
                (Some(invite), Some(dialog)) if invite > dialog => (&mut self.dialogs, false),
                (None, Some(_)) => (&mut self.dialogs, false),
                (Some(_), _) => (&mut self.invites, true),
            };
            taken = true;
            self.has_invite |= is_invite;
            let good = ring.peek().is_some_and(|record| deliver(record, is_invite, clock, each));
            self.skipped += u64::from(!good);
            ring.take();
            if ring.unpublished() >= PUBLISH {
                ring.publish();
            }
        }
        if taken {
            self.invites.publish();
            self.dialogs.publish();
        }
        taken
    }

    /// Raises the flag, waits out the grace, polls.
    fn sleep(&mut self, wake: Option<BorrowedFd<'_>>) -> Result<(), TapError> {
        if !self.arm()? {
            let [invites, dialogs] = self.fds().map(|fd| PollFd::new(fd, PollFlags::POLLIN));
            // A third that is one of the two where there is none.
            let third = wake.unwrap_or_else(|| self.invites.fd());
            let mut fds = [invites, dialogs, PollFd::new(third, PollFlags::POLLIN)];
            match poll(&mut fds, PollTimeout::from(NAP)) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(source) => return Err(TapError::system("cannot wait for packets", source)),
            }
        }
        if let Some(wake) = wake {
            // Reads the counter to zero, or nothing.
            let _ = nix::unistd::read(wake, &mut [0; 8]);
        }
        self.disarm()
    }

    /// Asks the kernel to wake who polls [`Self::fds`]; true when there is something
    /// already.
    pub(crate) fn arm(&mut self) -> Result<bool, TapError> {
        self.flag(1)?;
        fence(Ordering::SeqCst);
        let start = Instant::now();
        while start.elapsed() < GRACE {
            if self.has_records() {
                return Ok(true);
            }
            std::hint::spin_loop();
        }
        Ok(false)
    }

    /// Takes that back: wake-ups cost the kernel microseconds.
    pub(crate) fn disarm(&mut self) -> Result<(), TapError> {
        self.flag(0)
    }

    fn flag(&mut self, value: u32) -> Result<(), TapError> {
        self.sleeping.set(0, value, 0).map_err(|source| TapError::map(maps::SLEEPING, source))
    }

    pub(crate) fn has_records(&mut self) -> bool {
        self.invites.peek().is_some() || self.dialogs.peek().is_some()
    }

    /// The rings' descriptors.
    pub(crate) fn fds(&self) -> [BorrowedFd<'_>; 2] {
        [self.invites.fd(), self.dialogs.fd()]
    }
}

/// The record's stamp; 0, so that it is taken and refused at once, when it is
/// too short to hold one.
#[expect(clippy::unnecessary_wraps, reason = "used with and_then on the peeked record")]
fn stamp(record: &[u8]) -> Option<u64> {
    Some(header::<RecordHeader>(record).map_or(0, |header| header.timestamp))
}

/// Types that consist of integers only, so that any bytes make one.
trait Plain: Copy {}
impl Plain for RecordHeader {}
impl Plain for InviteHeader {}

fn header<T: Plain>(record: &[u8]) -> Option<&T> {
    let pointer = record.as_ptr().cast::<T>();
    if record.len() < size_of::<T>() || !pointer.is_aligned() {
        return None;
    }
    // SAFETY: long enough, aligned, any bytes make a T; the kernel writes no
    // more to a record it has committed.
    Some(unsafe { &*pointer })
}

/// Hands one record on; false when it is not what this version understands.
fn deliver(
    record: &[u8],
    is_invite: bool,
    clock: &mut Clock,
    each: &mut dyn FnMut(&Frame<'_>, u64),
) -> bool {
    let Some(head) = header::<RecordHeader>(record) else { return false };
    if head.version != VERSION {
        return false;
    }
    let scan: Option<&Scan> =
        if is_invite { header::<InviteHeader>(record).map(|head| &head.scan) } else { None };
    let start = if is_invite { size_of::<InviteHeader>() } else { size_of::<RecordHeader>() };
    let Some(bytes) = record.get(start..start + head.length as usize) else { return false };
    let frame = Frame {
        link: LinkType::Ethernet,
        timestamp: clock.wall(head.timestamp),
        bytes,
        wire_length: head.length,
        scan,
    };
    each(&frame, head.timestamp);
    true
}

/// Pins the calling thread to a CPU.
pub(crate) fn pin(cpu: usize) -> Result<(), TapError> {
    let mut set = nix::sched::CpuSet::new();
    set.set(cpu)
        .and_then(|()| nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set))
        .map_err(|source| {
            TapError::system(format!("cannot pin the scoring thread to CPU {cpu}"), source)
        })
}
