//! SIP over TCP, seen from the side: segments of one direction put in order,
//! messages cut out by Content-Length (RFC 3261 section 18.3), bounded memory.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use hashbrown::HashMap;
use scorer_common::{Class, classify::classify_bytes};

use super::PacketMeta;
use crate::{sip::HeaderName, time::Timestamp};

/// A message at most, bytes: what [`crate::sip::Message`] takes. Of a longer one
/// the header section is handed on and the body passed over.
const MESSAGE: usize = 65_535;
/// A body said to be longer than this is no body but a lost place.
const BODY: usize = 16 << 20;

pub(super) const FIN: u8 = 1;
pub(super) const SYN: u8 = 2;
pub(super) const RST: u8 = 4;

/// One direction of a connection.
type Key = (SocketAddr, SocketAddr);

#[derive(Debug, Default)]
struct Flow {
    /// Sequence number of the next byte in order; `None` until one is known.
    next: Option<u32>,
    /// Bytes in order that make no whole message yet.
    buffer: Vec<u8>,
    /// Up to here the end of the header section was looked for.
    searched: usize,
    /// Length of the message under way, once its header section is whole.
    whole: Option<usize>,
    /// Bytes of a long body still to be passed over.
    skip: usize,
    /// Segments that came early.
    early: Vec<(u32, Vec<u8>)>,
    early_bytes: usize,
    /// The last of them.
    last_early: Option<PacketMeta>,
    /// Since when the oldest hole has stood open.
    hole_since: Timestamp,
    /// Sequence number of the SYN, so that a copy of it does not begin anew.
    opened: Option<u32>,
    /// Has had data since it was last looked at for eviction.
    used: bool,
    /// The first packet of the message under way, and how many there were.
    first: Option<PacketMeta>,
    packets: u16,
    /// Messages handed on.
    messages: u32,
}

/// What became of the segments, counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TcpStats {
    /// Segments that bring nothing new.
    pub(super) repeated: u64,
    /// Holes given up.
    pub(super) gaps: u64,
    /// Places where no message could be made out.
    pub(super) unframed: u64,
    /// Flows given up to make room.
    pub(super) evicted: u64,
}

/// Flows under way.
#[derive(Debug)]
pub(super) struct Reassembler {
    /// Hashed with a secret: addresses and ports are the sender's choice.
    flows: HashMap<Key, Flow>,
    /// Keys in order of their first segment; may hold keys of ended flows.
    order: VecDeque<Key>,
    bounds: Bounds,
    /// Bytes held for all flows together.
    held: usize,
    /// Flows in which something waits behind a hole.
    holes: usize,
    pub(super) stats: TcpStats,
}

/// Room an idle flow may keep, bytes.
const KEPT: usize = 4096;
/// Early segments of a flow at most.
const EARLY: usize = 64;

/// What the reassembler may hold, and for how long it waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Flows.
    pub(super) flows: usize,
    /// Bytes of one flow behind a hole.
    pub(super) early_bytes: usize,
    /// Bytes of all flows.
    pub(super) total_bytes: usize,
    /// How long a hole may stay open.
    pub(super) hole: Duration,
}

impl Reassembler {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            flows: HashMap::new(),
            order: VecDeque::new(),
            bounds: Bounds { flows: bounds.flows.max(1), ..bounds },
            held: 0,
            holes: 0,
            stats: TcpStats::default(),
        }
    }

    /// Takes a segment; `each` gets every message it completes. Flows that are
    /// not on a SIP port begin with a segment that opens with a message.
    pub(super) fn push(
        &mut self,
        meta: &PacketMeta,
        sequence: u32,
        flags: u8,
        payload: &[u8],
        on_port: bool,
        each: &mut dyn FnMut(&[u8], &PacketMeta),
    ) {
        let key = (meta.source, meta.destination);
        let opens = opens_message(payload);
        if !self.flows.contains_key(&key) {
            if flags & RST != 0 || !(opens || on_port && flags & SYN != 0) {
                return;
            }
            while self.flows.len() >= self.bounds.flows {
                self.evict();
            }
            self.tidy();
            self.flows.insert(key, Flow::default());
            self.order.push_back(key);
        }
        let Some(flow) = self.flows.get_mut(&key) else { return };
        let (held, hole) = (flow.held(), flow.has_hole());
        let mut sequence = sequence;
        if flags & SYN != 0 {
            if flow.opened != Some(sequence) {
                *flow = Flow { opened: Some(sequence), ..Flow::default() };
                flow.next = Some(sequence.wrapping_add(1));
            }
            sequence = sequence.wrapping_add(1);
        }
        if !payload.is_empty() && flags & RST == 0 {
            flow.used = true;
            flow.segment(sequence, payload, opens, meta, &self.bounds, &mut self.stats, each);
        }
        while flags & RST != 0 && flow.has_hole() {
            // Nothing more will come: what stands behind a hole is all there is.
            flow.resynchronise(meta, &mut self.stats, each);
        }
        let ended = flags & RST != 0 || flags & FIN != 0 && !flow.has_hole();
        self.held = self.held - held + flow.held();
        self.holes = self.holes - usize::from(hole) + usize::from(flow.has_hole());
        if ended {
            self.remove(&key);
        }
        while self.held > self.bounds.total_bytes && !self.flows.is_empty() {
            self.evict();
        }
    }

    /// Gives up the holes that have stood open too long at `now`; with `None`, all
    /// of them. A flow that falls silent has no segment to do it by.
    pub(super) fn settle(
        &mut self,
        now: Option<Timestamp>,
        each: &mut dyn FnMut(&[u8], &PacketMeta),
    ) {
        if self.holes == 0 {
            return;
        }
        for flow in self.flows.values_mut().filter(|flow| flow.has_hole()) {
            let due = now.is_none_or(|now| flow.hole_since.plus(self.bounds.hole) < now);
            let Some(meta) = flow.last_early.filter(|_| due) else { continue };
            let held = flow.held();
            while flow.has_hole() {
                flow.resynchronise(&meta, &mut self.stats, each);
            }
            self.held = self.held - held + flow.held();
            self.holes -= 1;
        }
    }

    fn remove(&mut self, key: &Key) -> bool {
        let removed = self.flows.remove(key);
        self.holes -= usize::from(removed.as_ref().is_some_and(Flow::has_hole));
        self.held -= removed.as_ref().map_or(0, Flow::held);
        removed.is_some()
    }

    /// Gives up the oldest flow that has had no data since it was last spared: a
    /// flood of SYNs does not drive out the trunks.
    fn evict(&mut self) {
        while let Some(oldest) = self.order.pop_front() {
            let Some(flow) = self.flows.get_mut(&oldest) else { continue };
            if std::mem::take(&mut flow.used) {
                self.order.push_back(oldest);
                continue;
            }
            self.stats.evicted += u64::from(self.remove(&oldest));
            return;
        }
        self.flows.clear();
        (self.held, self.holes) = (0, 0);
    }

    /// Keys of ended flows are dropped as they come to the front; a table of
    /// short flows would let them pile up otherwise.
    fn tidy(&mut self) {
        if self.order.len() > 2 * self.bounds.flows {
            let flows = &self.flows;
            self.order.retain(|key| flows.contains_key(key));
        }
    }
}

fn opens_message(payload: &[u8]) -> bool {
    matches!(classify_bytes(payload), Class::Invite | Class::Dialog | Class::OtherSip)
}

impl Flow {
    #[expect(clippy::too_many_arguments, reason = "a segment and all it may touch")]
    fn segment(
        &mut self,
        sequence: u32,
        payload: &[u8],
        opens: bool,
        meta: &PacketMeta,
        bounds: &Bounds,
        stats: &mut TcpStats,
        each: &mut dyn FnMut(&[u8], &PacketMeta),
    ) {
        let next = match self.next {
            Some(next) => next,
            None if opens => sequence,
            None => return,
        };
        // Distances are modulo 2^32 (RFC 9293 section 3.4).
        let ahead = sequence.wrapping_sub(next) as i32;
        if ahead > 0 {
            if self.early.is_empty() {
                self.hole_since = meta.timestamp;
            }
            let full = self.early.len() >= EARLY
                || self.early_bytes + payload.len() > bounds.early_bytes
                || self.hole_since.plus(bounds.hole) < meta.timestamp;
            self.early_bytes += payload.len();
            self.early.push((sequence, payload.to_vec()));
            self.last_early = Some(*meta);
            if full {
                self.resynchronise(meta, stats, each);
            }
            while self.early.len() > EARLY || self.early_bytes > bounds.early_bytes {
                self.resynchronise(meta, stats, each);
            }
            return;
        }
        let known = ahead.unsigned_abs() as usize;
        let Some(fresh) = payload.get(known..).filter(|fresh| !fresh.is_empty()) else {
            stats.repeated += 1;
            return;
        };
        self.next = Some(next);
        self.append(fresh, meta, stats, each);
        self.take_early(meta, stats, each);
        self.hole_since = meta.timestamp;
    }

    /// Takes early segments whose turn has come.
    fn take_early(
        &mut self,
        meta: &PacketMeta,
        stats: &mut TcpStats,
        each: &mut dyn FnMut(&[u8], &PacketMeta),
    ) {
        loop {
            let Some(next) = self.next else { return };
            let due = self.early.iter().position(|(start, _)| start.wrapping_sub(next) as i32 <= 0);
            let Some(due) = due else { return };
            let (start, bytes) = self.early.swap_remove(due);
            self.early_bytes -= bytes.len();
            let known = next.wrapping_sub(start) as usize;
            if let Some(fresh) = bytes.get(known..).filter(|fresh| !fresh.is_empty()) {
                self.append(fresh, meta, stats, each);
            }
        }
    }

    /// The hole will not close, as where a mirror port lost a packet: goes on
    /// with the first early segment that opens a message, and what follows it.
    fn resynchronise(
        &mut self,
        meta: &PacketMeta,
        stats: &mut TcpStats,
        each: &mut dyn FnMut(&[u8], &PacketMeta),
    ) {
        stats.gaps += 1;
        let mut early = std::mem::take(&mut self.early);
        let next = self.next.unwrap_or_default();
        self.forget();
        early.sort_by_key(|(start, _)| start.wrapping_sub(next));
        let Some(opening) = early.iter().position(|(_, bytes)| opens_message(bytes)) else {
            return;
        };
        early.drain(..opening);
        self.next = early.first().map(|(start, _)| *start);
        self.early_bytes = early.iter().map(|(_, bytes)| bytes.len()).sum();
        self.early = early;
        // The segment found is due, so every call leaves fewer than before.
        self.take_early(meta, stats, each);
        self.hole_since = meta.timestamp;
    }

    /// Loses its place; what the connection is stays known.
    fn forget(&mut self) {
        let Self { opened, used, messages, .. } = *self;
        *self = Self { opened, used, messages, ..Self::default() };
    }

    fn has_hole(&self) -> bool {
        !self.early.is_empty()
    }

    fn held(&self) -> usize {
        self.buffer.capacity() + self.early_bytes
    }

    /// Adds bytes that are in order and cuts out what is whole.
    fn append(
        &mut self,
        bytes: &[u8],
        meta: &PacketMeta,
        stats: &mut TcpStats,
        each: &mut dyn FnMut(&[u8], &PacketMeta),
    ) {
        self.next = self.next.map(|next| next.wrapping_add(bytes.len() as u32));
        self.packets = self.packets.saturating_add(1);
        let mut first = *self.first.get_or_insert(*meta);
        first.packets = self.packets;
        // When the message is whole is when the packet came that made it so.
        first.timestamp = meta.timestamp;
        let passed = self.skip.min(bytes.len());
        self.skip -= passed;
        let bytes = &bytes[passed..];
        let mut buffer = std::mem::take(&mut self.buffer);
        // A whole message in one segment, the usual case, is not copied.
        let all = if buffer.is_empty() {
            bytes
        } else {
            buffer.extend_from_slice(bytes);
            &buffer[..]
        };
        let mut at = 0;
        let lost = loop {
            // Blank lines between messages (RFC 5626 section 3.5.1 keep-alives) are
            // taken at once: kept, they would grow without end.
            at += all[at..].iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
            let rest = &all[at..];
            if self.whole.is_some_and(|whole| rest.len() < whole) {
                break false;
            }
            match cut(rest, &mut self.searched) {
                Cut::Message { end } => {
                    first.stream_messages = Some(self.messages);
                    each(&rest[..end], &first);
                    self.messages = self.messages.saturating_add(1);
                    at += end;
                    self.searched = 0;
                    self.whole = None;
                    first = PacketMeta { packets: 1, ..*meta };
                    self.first = Some(*meta);
                    self.packets = 1;
                }
                Cut::Long { body, length } => {
                    first.stream_messages = Some(self.messages);
                    each(&rest[..body], &first);
                    self.messages = self.messages.saturating_add(1);
                    let here = length.min(rest.len() - body);
                    self.skip = length - here;
                    at += body + here;
                    self.searched = 0;
                }
                Cut::Incomplete { whole } => {
                    self.whole = whole;
                    break false;
                }
                Cut::Nonsense => break true,
            }
        };
        if lost {
            stats.unframed += 1;
            self.forget();
            return;
        }
        let rest = &all[at..];
        if rest.is_empty() {
            self.first = None;
            self.packets = 0;
            // One long message should not hold its room for as long as the flow lives.
            buffer.clear();
            self.buffer = if buffer.capacity() > KEPT { Vec::new() } else { buffer };
        } else if at == 0 && !buffer.is_empty() {
            self.buffer = buffer;
        } else {
            self.buffer = rest.to_vec();
        }
    }
}

enum Cut {
    Message {
        end: usize,
    },
    /// Too long to be held: where its body begins, and the body's length.
    Long {
        body: usize,
        length: usize,
    },
    /// More has to come; how long the message is, where that is known already.
    Incomplete {
        whole: Option<usize>,
    },
    Nonsense,
}

/// Looks for a whole message at the start of `text`. `searched` remembers how far
/// the blank line was looked for, so that a message in many segments is not gone
/// through from the start each time.
fn cut(text: &[u8], searched: &mut usize) -> Cut {
    if text.len() < 16 {
        return Cut::Incomplete { whole: None };
    }
    if !opens_message(text) {
        return Cut::Nonsense;
    }
    let mut from = *searched;
    let body = loop {
        let Some(at) = memchr::memchr(b'\n', &text[from..]).map(|at| from + at) else {
            *searched = text.len();
            return incomplete(text);
        };
        match &text[at + 1..] {
            [b'\n', ..] => break at + 2,
            [b'\r', b'\n', ..] => break at + 3,
            [] | [b'\r'] => {
                *searched = at;
                return incomplete(text);
            }
            _ => from = at + 1,
        }
    };
    let Some(length) = content_length(&text[..body]) else { return Cut::Nonsense };
    let end = body + length.min(BODY + 1);
    if body > MESSAGE || length > BODY {
        Cut::Nonsense
    } else if end > MESSAGE {
        Cut::Long { body, length }
    } else if end > text.len() {
        // Where the search ended is of no more use: the length decides now, and
        // the header section is found again once, when all is there.
        *searched = 0;
        Cut::Incomplete { whole: Some(end) }
    } else {
        Cut::Message { end }
    }
}

fn incomplete(text: &[u8]) -> Cut {
    if text.len() > MESSAGE { Cut::Nonsense } else { Cut::Incomplete { whole: None } }
}

/// Content-Length of a header section; 0 where there is none, as nothing else
/// could be meant on a stream. `None` when it is no number.
fn content_length(head: &[u8]) -> Option<usize> {
    for line in head.split(|b| *b == b'\n').skip(1) {
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        if HeaderName::parse(line[..colon].trim_ascii()) == HeaderName::ContentLength {
            return std::str::from_utf8(line[colon + 1..].trim_ascii()).ok()?.parse().ok();
        }
    }
    Some(0)
}

#[cfg(test)]
mod tests;
