//! The thread that keeps recent verdicts, and answers a router's INVITEs where a
//! redirect server is configured beside a tap.

use std::{
    os::fd::AsFd as _,
    sync::Arc,
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{
    recent::{Asker, Letter, Mail, Question, Recent},
    redirect::{Listener, Outbox, Server, Step},
};
use crate::tap::monotonic;

/// Letters and datagrams taken before the other kind has its turn.
const BATCH: usize = 64;
/// Longest sleep.
const NAP: Duration = Duration::from_millis(500);

/// What the thread works with.
#[derive(Debug)]
pub struct Keeper {
    mail: Mail,
    recent: Arc<Recent>,
    redirect: Option<Asking>,
}

impl Keeper {
    /// Keeps what comes in `mail`.
    pub fn new(mail: Mail, recent: Arc<Recent>, redirect: Option<Asking>) -> Self {
        Self { mail, recent, redirect }
    }

    /// Works until no mail can come any more.
    pub fn run(mut self) {
        while !self.mail.is_over() {
            let mut busy = self.read();
            if let Some(redirect) = &mut self.redirect {
                busy |= redirect.serve(&self.recent);
            }
            if !busy {
                self.sleep();
            }
        }
    }

    /// Reads some letters; false when there were none.
    fn read(&mut self) -> bool {
        let Self { mail, recent, redirect } = self;
        for count in 0..BATCH {
            let Some(letter) = mail.take() else { return count > 0 };
            match letter {
                Letter::Verdict(entry) => {
                    if let Some(redirect) = redirect {
                        let (now, out) = (Instant::now(), &mut redirect.out);
                        let ids = (entry.call_id(), entry.from_tag());
                        let outcome = entry.outcome();
                        let waited = redirect.server.verdict(ids.0, ids.1, &outcome, now, out);
                        let events = &redirect.server.stats().events;
                        (0..waited).for_each(|_| events.scored.add());
                    }
                    mail.give_back(recent.insert(entry).unwrap_or_default());
                }
                Letter::Done(question, frame) => {
                    drop(frame);
                    if let Some(redirect) = redirect {
                        redirect.done(question, recent);
                    }
                }
            }
        }
        true
    }

    fn sleep(&self) {
        let bell = self.mail.bell();
        bell.sleep();
        if !self.mail.has_news() {
            let patience = self.redirect.as_ref().and_then(|r| r.server.patience(Instant::now()));
            // Rounded up: woken too early it would turn round and round.
            let patience = patience.map_or(NAP, |time| (time + Duration::from_millis(1)).min(NAP));
            let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::ZERO);
            let mut fds = vec![PollFd::new(bell.as_fd(), PollFlags::POLLIN)];
            if let Some(redirect) = &self.redirect {
                fds.push(PollFd::new(redirect.listener.as_fd(), PollFlags::POLLIN));
            }
            // An error would be a signal's, or leaves a loop that looks by itself.
            let _ = poll(&mut fds, timeout);
        }
        bell.awake();
    }
}

/// A redirect server whose verdicts another thread finds.
#[derive(Debug)]
pub struct Asking {
    listener: Listener,
    server: Server,
    asker: Asker,
    out: Outbox,
}

impl Asking {
    /// Answers what comes to `listener`; asks through `asker`.
    pub fn new(listener: Listener, server: Server, asker: Asker) -> Self {
        Self { listener, server, asker, out: Outbox::new() }
    }

    /// Takes some datagrams, answers what is due; false when there was nothing.
    fn serve(&mut self, recent: &Recent) -> bool {
        let Self { listener, server, asker, out } = self;
        let mut busy = false;
        for _ in 0..BATCH {
            let Some((bytes, peer)) = listener.receive() else { break };
            busy = true;
            let now = Instant::now();
            if let Step::Ask(number) = server.take(bytes, peer, now, out) {
                // The tap has mostly seen the call already.
                if known(server, recent, number, now, out) {
                    server.stats().events.known.add();
                    continue;
                }
                let frame = server.frame(number);
                let question =
                    frame.map(|frame| Question { id: number, frame, stamp: monotonic() });
                if !question.is_some_and(|question| asker.ask(question)) {
                    server.stats().events.busy.add();
                    server.answer(number, None, now, out);
                }
            }
        }
        server.expire(Instant::now(), out);
        listener.send(out, server.stats());
        busy
    }

    /// The engine has looked at a call: its verdict has come, or there is none.
    fn done(&mut self, number: u64, recent: &Recent) {
        let Self { server, out, .. } = self;
        let now = Instant::now();
        if server.ids(number).is_none() {
            return;
        }
        // Seen before, so that there is no second verdict; its first may be here.
        if known(server, recent, number, now, out) {
            server.stats().events.known.add();
        } else {
            server.stats().events.unscored.add();
            server.answer(number, None, now, out);
        }
    }
}

/// Answers from recent verdicts; false where there is none.
fn known(
    server: &mut Server,
    recent: &Recent,
    number: u64,
    now: Instant,
    out: &mut Outbox,
) -> bool {
    let Some((call_id, from_tag)) = server.ids(number) else { return false };
    let (call_id, from_tag) = (call_id.to_vec(), from_tag.to_vec());
    let answered = recent.attempt(&call_id, &from_tag, |entry| {
        server.answer(number, Some(&entry.outcome()), now, out);
    });
    answered.is_some()
}
