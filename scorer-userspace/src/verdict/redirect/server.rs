//! The redirect server without its socket: datagrams in, datagrams out. What takes
//! time, a verdict, is asked for and comes later.

use std::{
    collections::VecDeque,
    hash::BuildHasher as _,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    RedirectConfig, RedirectStats,
    answer::{phrase, said},
    frame::{frame, hop_before},
    memory::Memory,
};
use crate::{
    env::contains,
    sip::{self, HeaderName, Message, Method, Scratch, StartLine, Via},
    verdict::recent::{Outcome, ident},
};

/// Calls whose verdict is waited for at most.
const PENDING: usize = 1024;
/// Methods that are understood.
const ALLOW: &str = "INVITE, ACK, CANCEL, OPTIONS";

/// Datagrams to be sent.
pub type Outbox = Vec<(SocketAddr, Vec<u8>)>;

/// What a datagram asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is dealt with.
    Done,
    /// The verdict of a call, by the call's number.
    Ask(u64),
}

/// A call whose verdict is waited for.
#[derive(Debug)]
struct Pending {
    number: u64,
    transaction: u64,
    call_id: Vec<u8>,
    from_tag: Vec<u8>,
    message: Vec<u8>,
    peer: SocketAddr,
    since: Instant,
}

/// The server. Its memory is bounded whatever comes.
#[derive(Debug)]
pub struct Server {
    config: RedirectConfig,
    /// Where it listens: destination of the frames that are scored.
    local: SocketAddr,
    memory: Memory,
    /// Oldest first.
    pending: VecDeque<Pending>,
    next: u64,
    hasher: foldhash::quality::RandomState,
    scratch: Scratch,
    stats: Arc<RedirectStats>,
}

impl Server {
    /// A server that has answered nothing.
    pub fn new(config: RedirectConfig, local: SocketAddr, stats: Arc<RedirectStats>) -> Self {
        Self {
            config,
            local,
            memory: Memory::default(),
            pending: VecDeque::new(),
            next: 0,
            hasher: foldhash::quality::RandomState::default(),
            scratch: Scratch::new(),
            stats,
        }
    }

    /// Counters.
    pub fn stats(&self) -> &Arc<RedirectStats> {
        &self.stats
    }

    /// Takes one datagram.
    pub fn take(
        &mut self,
        datagram: &[u8],
        peer: SocketAddr,
        now: Instant,
        out: &mut Outbox,
    ) -> Step {
        let stats = Arc::clone(&self.stats);
        let events = &stats.events;
        if !may_ask(&self.config.peers, peer.ip()) {
            events.refused.add();
            return Step::Done;
        }
        // Keep-alives (RFC 5626 section 3.5.1).
        if datagram.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return Step::Done;
        }
        let Self { config, memory, pending, hasher, scratch, .. } = self;
        let request = Message::parse(datagram, None, scratch).ok();
        let Some((request, method)) = request.as_ref().and_then(usable) else {
            events.malformed.add();
            return Step::Done;
        };
        let transaction = transaction(hasher, request);
        let to = sip::destination(request, peer);
        let mut reply = |code, headers: &[(&str, &str)]| {
            stats.answered(code);
            let tag = tag(hasher, request);
            let answer =
                sip::Answer { code, phrase: phrase(code), tag: &tag, peer: Some(peer), headers };
            match sip::answer(request, &answer) {
                Ok(bytes) => out.push((to, bytes)),
                Err(_) => events.malformed.add(),
            }
        };
        match method {
            Method::Ack => events.acks.add(),
            Method::Options => {
                events.options.add();
                reply(200, &[("Allow", ALLOW), ("Accept", "application/sdp")]);
            }
            Method::Cancel => {
                events.cancels.add();
                let place = pending.iter().position(|call| call.transaction == transaction);
                let known = place.is_some() || memory.get(transaction).is_some();
                reply(if known { 200 } else { 481 }, &[]);
                if let Some(call) = place.and_then(|place| pending.remove(place)) {
                    terminate(&call, hasher, &stats, memory, now, out);
                }
            }
            Method::Invite if request.to().is_some_and(|to| to.tag().is_some()) => {
                events.others.add();
                reply(481, &[]);
            }
            Method::Invite => {
                if let Some(answer) = memory.get(transaction) {
                    events.retransmissions.add();
                    out.push((to, answer.to_vec()));
                    return Step::Done;
                }
                if pending.iter().any(|call| call.transaction == transaction) {
                    events.retransmissions.add();
                    return Step::Done;
                }
                events.invites.add();
                let mut room = [0; 32];
                let call = Pending {
                    number: self.next,
                    transaction,
                    call_id: ident(request.call_id().unwrap_or_default(), &mut room).to_vec(),
                    from_tag: ident(from_tag(request), &mut room).to_vec(),
                    message: request.bytes().to_vec(),
                    peer,
                    since: now,
                };
                if pending.len() >= PENDING {
                    events.busy.add();
                    let scratch = &mut Scratch::new();
                    finish(&call, config, hasher, scratch, &stats, memory, None, now, out);
                    return Step::Done;
                }
                self.next += 1;
                let number = call.number;
                pending.push_back(call);
                return Step::Ask(number);
            }
            Method::Bye => {
                events.others.add();
                reply(481, &[]);
            }
            Method::Other => {
                events.others.add();
                reply(501, &[]);
            }
            _ => {
                events.others.add();
                reply(405, &[("Allow", ALLOW)]);
            }
        }
        Step::Done
    }

    fn call(&self, number: u64) -> Option<&Pending> {
        self.pending.iter().find(|call| call.number == number)
    }

    /// Call-ID and From tag of a call that is waited for, as [`ident`] makes them.
    pub fn ids(&self, number: u64) -> Option<(&[u8], &[u8])> {
        self.call(number).map(|call| (&*call.call_id, &*call.from_tag))
    }

    /// The call's INVITE as the frame that is to be scored: from the router, or from
    /// the hop before it where the configuration says so.
    pub fn frame(&mut self, number: u64) -> Option<Vec<u8>> {
        let call = self.pending.iter().find(|call| call.number == number)?;
        let mut source = call.peer;
        if self.config.source_from_via {
            let request = Message::parse(&call.message, None, &mut self.scratch).ok()?;
            source = hop_before(&request).unwrap_or(source);
        }
        frame(&call.message, source, self.local)
    }

    /// Answers a call; without an outcome it may go on. Nothing where it was answered.
    pub fn answer(
        &mut self,
        number: u64,
        outcome: Option<&Outcome<'_>>,
        now: Instant,
        out: &mut Outbox,
    ) {
        let place = self.pending.iter().position(|call| call.number == number);
        if let Some(call) = place.and_then(|place| self.pending.remove(place)) {
            self.finish(&call, outcome, now, out);
        }
    }

    /// Answers whatever waits for this call's verdict; how many did.
    pub fn verdict(
        &mut self,
        call_id: &[u8],
        from_tag: &[u8],
        outcome: &Outcome<'_>,
        now: Instant,
        out: &mut Outbox,
    ) -> usize {
        let mut count = 0;
        let same = |call: &Pending| call.call_id == call_id && call.from_tag == from_tag;
        while let Some(place) = self.pending.iter().position(same) {
            if let Some(call) = self.pending.remove(place) {
                self.finish(&call, Some(outcome), now, out);
                count += 1;
            }
        }
        count
    }

    /// Lets go on what has waited too long.
    pub fn expire(&mut self, now: Instant, out: &mut Outbox) {
        while let Some(call) = self.pending.front()
            && now.duration_since(call.since) >= self.config.deadline
        {
            self.stats.events.late.add();
            if let Some(call) = self.pending.pop_front() {
                self.finish(&call, None, now, out);
            }
        }
    }

    /// How long until [`Self::expire`] has something to do.
    pub fn patience(&self, now: Instant) -> Option<Duration> {
        let call = self.pending.front()?;
        Some(self.config.deadline.saturating_sub(now.duration_since(call.since)))
    }

    fn finish(
        &mut self,
        call: &Pending,
        outcome: Option<&Outcome<'_>>,
        now: Instant,
        out: &mut Outbox,
    ) {
        let Self { config, memory, hasher, scratch, stats, .. } = self;
        finish(call, config, hasher, scratch, stats, memory, outcome, now, out);
    }
}

/// Builds the answer, keeps it for retransmissions.
#[expect(clippy::too_many_arguments, reason = "parts of the server that are borrowed apart")]
fn finish(
    call: &Pending,
    config: &RedirectConfig,
    hasher: &foldhash::quality::RandomState,
    scratch: &mut Scratch,
    stats: &RedirectStats,
    memory: &mut Memory,
    outcome: Option<&Outcome<'_>>,
    now: Instant,
    out: &mut Outbox,
) {
    // It was parsed before.
    let Ok(request) = Message::parse(&call.message, None, scratch) else { return };
    let said = said(config, &request, outcome);
    let mut headers: Vec<(&str, &str)> =
        said.headers.iter().map(|(name, value)| (*name, &**value)).collect();
    if let Some(risk) = &said.risk {
        headers.push((&config.header, risk));
    }
    let tag = tag(hasher, &request);
    let answer = sip::Answer {
        code: said.code,
        phrase: phrase(said.code),
        tag: &tag,
        peer: Some(call.peer),
        headers: &headers,
    };
    match sip::answer(&request, &answer) {
        Ok(bytes) => {
            stats.answered(said.code);
            memory.put(call.transaction, &bytes, now);
            out.push((sip::destination(&request, call.peer), bytes));
        }
        Err(_) => stats.events.malformed.add(),
    }
}

/// Answers an INVITE that was cancelled (RFC 3261 section 9.2).
fn terminate(
    call: &Pending,
    hasher: &foldhash::quality::RandomState,
    stats: &RedirectStats,
    memory: &mut Memory,
    now: Instant,
    out: &mut Outbox,
) {
    let mut scratch = Scratch::new();
    let Ok(request) = Message::parse(&call.message, None, &mut scratch) else { return };
    let tag = tag(hasher, &request);
    let answer = sip::Answer {
        code: 487,
        phrase: phrase(487),
        tag: &tag,
        peer: Some(call.peer),
        headers: &[],
    };
    if let Ok(bytes) = sip::answer(&request, &answer) {
        stats.answered(487);
        memory.put(call.transaction, &bytes, now);
        out.push((sip::destination(&request, call.peer), bytes));
    }
}

/// Requests that have all that an answer must repeat, and their method.
fn usable<'m, 'a>(message: &'m Message<'a>) -> Option<(&'m Message<'a>, Method)> {
    let StartLine::Request { method, .. } = *message.start() else { return None };
    let (_, of) = message.cseq()?;
    let all = [HeaderName::CallId, HeaderName::From, HeaderName::To];
    let whole = all.into_iter().all(|name| message.has(name))
        && message.top_via().is_some()
        && message.to().is_some()
        && of == method;
    whole.then_some((message, method))
}

fn may_ask(peers: &[(IpAddr, u8)], address: IpAddr) -> bool {
    let address = address.to_canonical();
    peers.is_empty() || peers.iter().any(|(net, bits)| contains(*net, *bits, address))
}

fn from_tag<'a>(request: &Message<'a>) -> &'a [u8] {
    request.from().and_then(|from| from.tag()).unwrap_or_default()
}

/// Names a transaction (RFC 3261 section 17.2.3): a CANCEL has its INVITE's.
fn transaction(hasher: &foldhash::quality::RandomState, request: &Message<'_>) -> u64 {
    let via = request.top_via();
    let via = via.as_ref();
    hasher.hash_one((
        via.and_then(Via::branch),
        via.map(|via| (via.host, via.port)),
        request.call_id(),
        from_tag(request),
        request.cseq().map(|(number, _)| number),
        // RFC 2543 clients have the same branch in every request.
        match request.start() {
            StartLine::Request { uri, .. } => *uri,
            StartLine::Status { .. } => &[],
        },
    ))
}

/// To tag: the same for every retransmission, not to be guessed.
fn tag(hasher: &foldhash::quality::RandomState, request: &Message<'_>) -> String {
    let branch = request.top_via().and_then(|via| via.branch());
    format!("{:016x}", hasher.hash_one((b't', request.call_id(), from_tag(request), branch)))
}

#[cfg(test)]
mod tests;
