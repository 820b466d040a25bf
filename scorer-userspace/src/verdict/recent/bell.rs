//! Wakes a thread that sleeps in `poll`; costs nothing while it is awake.

use std::{
    os::fd::{AsFd, BorrowedFd},
    sync::atomic::{AtomicBool, Ordering, fence},
};

use nix::sys::eventfd::{EfdFlags, EventFd};

/// An event counter and whether anybody waits for it.
#[derive(Debug)]
pub(crate) struct Bell {
    event: EventFd,
    asleep: AtomicBool,
}

impl Bell {
    pub(crate) fn new() -> std::io::Result<Self> {
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        Ok(Self { event: EventFd::from_flags(flags)?, asleep: AtomicBool::new(false) })
    }

    /// To be called after something was put into the queue.
    pub(crate) fn ring(&self) {
        // What was put is seen by one who is seen awake here, since that one looks
        // again after saying that it sleeps.
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Relaxed) {
            let _ = self.event.write(1);
        }
    }

    /// Says that the caller is about to poll; it must look at its queue once more.
    pub(crate) fn sleep(&self) {
        self.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Says that it is awake.
    pub(crate) fn awake(&self) {
        self.asleep.store(false, Ordering::Relaxed);
        let _ = self.event.read();
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}
