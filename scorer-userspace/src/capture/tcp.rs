//! SIP over TCP, seen from the side: segments of one direction put in order,
//! messages cut out by Content-Length (RFC 3261 section 18.3), bounded memory.

use std::{collections::VecDeque, net::SocketAddr};

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;
use scorer_common::{Class, classify::classify_bytes};

use super::PacketMeta;
use crate::sip::HeaderName;

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
    /// Bytes of a long body still to be passed over.
    skip: usize,
    /// Segments that came early.
    early: Vec<(u32, Vec<u8>)>,
    early_bytes: usize,
    /// The first packet of the message under way, and how many there were.
    first: Option<PacketMeta>,
    packets: u16,
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
    flows: HashMap<Key, Flow, FxBuildHasher>,
    /// Keys in order of their first segment; may hold keys of ended flows.
    order: VecDeque<Key>,
    capacity: usize,
    early_bytes: usize,
    pub(super) stats: TcpStats,
}

/// Early segments of a flow at most.
const EARLY: usize = 64;

impl Reassembler {
    pub(super) fn new(capacity: usize, early_bytes: usize) -> Self {
        Self {
            flows: HashMap::with_hasher(FxBuildHasher),
            order: VecDeque::new(),
            capacity: capacity.max(1),
            early_bytes,
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
        if flags & RST != 0 {
            self.flows.remove(&key);
            return;
        }
        let opens = opens_message(payload);
        if !self.flows.contains_key(&key) {
            if !(opens || on_port && flags & SYN != 0) {
                return;
            }
            self.make_room();
            self.flows.insert(key, Flow::default());
            self.order.push_back(key);
        }
        let Some(flow) = self.flows.get_mut(&key) else { return };
        let mut sequence = sequence;
        if flags & SYN != 0 {
            *flow = Flow::default();
            sequence = sequence.wrapping_add(1);
            flow.next = Some(sequence);
        }
        if !payload.is_empty() {
            flow.segment(sequence, payload, opens, meta, self.early_bytes, &mut self.stats, each);
        }
        if flags & FIN != 0 {
            self.flows.remove(&key);
        }
    }

    fn make_room(&mut self) {
        while self.flows.len() >= self.capacity {
            match self.order.pop_front() {
                Some(oldest) => {
                    self.stats.evicted += u64::from(self.flows.remove(&oldest).is_some());
                }
                None => self.flows.clear(),
            }
        }
        // Keys of ended flows are dropped as they come to the front; a table of
        // short flows would let them pile up otherwise.
        if self.order.len() > 2 * self.capacity {
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
        early_limit: usize,
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
            if self.early.len() < EARLY && self.early_bytes + payload.len() <= early_limit {
                self.early_bytes += payload.len();
                self.early.push((sequence, payload.to_vec()));
                return;
            }
            // The hole will not close: begin anew where a message opens.
            stats.gaps += 1;
            self.forget();
            if opens {
                self.next = Some(sequence);
                self.append(payload, meta, stats, each);
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

    fn forget(&mut self) {
        *self = Self::default();
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
            let rest = &all[at..];
            match cut(rest, &mut self.searched) {
                Cut::Message { start, end } => {
                    each(&rest[start..end], &first);
                    at += end;
                    self.searched = 0;
                    first = PacketMeta { packets: 1, ..*meta };
                    self.first = Some(*meta);
                    self.packets = 1;
                }
                Cut::Long { start, body, length } => {
                    each(&rest[start..body], &first);
                    let here = length.min(rest.len() - body);
                    self.skip = length - here;
                    at += body + here;
                    self.searched = 0;
                }
                Cut::Incomplete => break false,
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
            buffer.clear();
            self.buffer = buffer;
        } else if at == 0 && !buffer.is_empty() {
            self.buffer = buffer;
        } else {
            self.buffer = rest.to_vec();
        }
    }
}

enum Cut {
    Message {
        start: usize,
        end: usize,
    },
    /// Too long to be held: its header section, and the body's length.
    Long {
        start: usize,
        body: usize,
        length: usize,
    },
    Incomplete,
    Nonsense,
}

/// Looks for a whole message at the start of `bytes`, blank lines before it
/// apart. `searched` remembers how far the blank line was looked for, so that
/// a message in many segments is not gone through from the start each time.
fn cut(bytes: &[u8], searched: &mut usize) -> Cut {
    let start = bytes.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
    let text = &bytes[start..];
    if text.is_empty() {
        return Cut::Incomplete;
    }
    if text.len() < 16 {
        return Cut::Incomplete;
    }
    if !opens_message(text) {
        return Cut::Nonsense;
    }
    let mut from = (*searched).saturating_sub(start);
    let body = loop {
        let Some(at) = memchr::memchr(b'\n', &text[from..]).map(|at| from + at) else {
            *searched = bytes.len();
            return incomplete(text);
        };
        match &text[at + 1..] {
            [b'\n', ..] => break at + 2,
            [b'\r', b'\n', ..] => break at + 3,
            [] | [b'\r'] => {
                *searched = start + at;
                return incomplete(text);
            }
            _ => from = at + 1,
        }
    };
    let Some(length) = content_length(&text[..body]) else { return Cut::Nonsense };
    let end = body + length;
    if body > MESSAGE || length > BODY {
        Cut::Nonsense
    } else if end > MESSAGE {
        Cut::Long { start, body: start + body, length }
    } else if end > text.len() {
        // Nothing is gained by looking again before the blank line.
        *searched = start + body.saturating_sub(4);
        Cut::Incomplete
    } else {
        Cut::Message { start, end: start + end }
    }
}

fn incomplete(text: &[u8]) -> Cut {
    if text.len() > MESSAGE { Cut::Nonsense } else { Cut::Incomplete }
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
mod tests {
    use proptest::prelude::*;

    use super::{FIN, Reassembler, SYN};
    use crate::{
        capture::{PacketMeta, Transport},
        time::Timestamp,
    };

    fn meta(port: u16) -> PacketMeta {
        PacketMeta {
            timestamp: Timestamp(1),
            source: ([192, 0, 2, 1], port).into(),
            destination: ([192, 0, 2, 2], 5060).into(),
            transport: Transport::Tcp,
            ttl: 64,
            dscp: 0,
            ip_id: Some(1),
            dont_fragment: true,
            udp_checksum_zero: None,
            packets: 1,
            vlan: None,
            tunnelled: false,
        }
    }

    fn message(number: usize, body: &str, compact: bool) -> String {
        let name = if compact { "l" } else { "Content-Length" };
        format!(
            "INVITE sip:{number}@h SIP/2.0\r\nCall-ID: {number}\r\n{name}: {}\r\n\r\n{body}",
            body.len()
        )
    }

    fn run(start: u32, segments: &[(usize, usize)], stream: &[u8], syn: bool) -> Vec<String> {
        let mut pool = Reassembler::new(8, 256 << 10);
        let mut found = Vec::new();
        let mut each =
            |bytes: &[u8], _: &PacketMeta| found.push(String::from_utf8_lossy(bytes).into_owned());
        if syn {
            pool.push(&meta(1), start.wrapping_sub(1), SYN, &[], true, &mut each);
        }
        for (from, to) in segments {
            let sequence = start.wrapping_add(*from as u32);
            pool.push(&meta(1), sequence, 0, &stream[*from..*to], true, &mut each);
        }
        found
    }

    proptest! {
        #[test]
        fn any_segmentation_gives_the_same_messages(
            bodies in prop::collection::vec("[a-z\r\n]{0,60}", 1..6),
            cuts in prop::collection::vec(0.0..1.0f64, 0..20),
            start in prop_oneof![any::<u32>(), Just(u32::MAX - 30)],
            seed in any::<prop::sample::Index>(), keep_alive in any::<bool>(),
        ) {
            let messages: Vec<_> =
                bodies.iter().enumerate().map(|(i, body)| message(i, body, i % 2 == 1)).collect();
            let stream = messages.join(if keep_alive { "\r\n\r\n" } else { "" });
            let mut places: Vec<usize> =
                cuts.iter().map(|cut| (cut * stream.len() as f64) as usize).collect();
            places.extend([0, stream.len()]);
            places.sort_unstable();
            places.dedup();
            let mut segments: Vec<_> = places.windows(2).map(|w| (w[0], w[1])).collect();
            // One segment comes early, and one twice.
            let one = seed.index(segments.len());
            if one > 0 { segments.swap(one - 1, one); }
            segments.push(segments[one]);
            prop_assert_eq!(run(start, &segments, stream.as_bytes(), true), messages);
        }

        #[test]
        fn any_bytes_in_any_order(
            segments in prop::collection::vec((any::<u32>(), any::<u8>(), prop::collection::vec(any::<u8>(), 0..80)), 0..60)
        ) {
            let mut pool = Reassembler::new(2, 1000);
            for (sequence, flags, bytes) in segments {
                let payload = [b"INVITE sip:x SIP/2.0\r\n", &bytes[..]].concat();
                pool.push(&meta(u16::from(flags)), sequence % 200, flags & 7, &payload, true, &mut |_, _| {});
                prop_assert!(pool.flows.len() <= 2 && pool.order.len() <= 5);
                prop_assert!(pool.flows.values().all(|flow| flow.early_bytes <= 1000));
            }
        }
    }

    #[test]
    fn picked_up_in_the_middle_and_after_a_hole() {
        let (a, b) = (message(1, "xyz", false), message(2, "", true));
        let stream = format!("junk of before{a}{b}");
        let places = [(0, 14), (14, 14 + a.len()), (14 + a.len(), stream.len())];
        assert_eq!(run(5, &places, stream.as_bytes(), false), [a.clone(), b.clone()]);
        // A hole that never closes is given up once too much has come early.
        let mut pool = Reassembler::new(8, 100);
        let mut found = 0;
        pool.push(&meta(1), 0, SYN, &[], true, &mut |_, _| {});
        pool.push(&meta(1), 5_000, 0, a.as_bytes(), true, &mut |_, _| found += 1);
        pool.push(&meta(1), 6_000, 0, a.as_bytes(), true, &mut |_, _| found += 1);
        assert_eq!((found, pool.stats.gaps), (1, 1));
    }

    #[test]
    fn ends_and_strangers() {
        let mut pool = Reassembler::new(8, 100);
        let mut found = 0;
        pool.push(&meta(1), 0, 0, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", false, &mut |_, _| {
            found += 1;
        });
        assert!(pool.flows.is_empty());
        let invite = message(1, "", false);
        pool.push(&meta(1), 0, FIN, invite.as_bytes(), false, &mut |_, _| found += 1);
        assert!(pool.flows.is_empty());
        let liar = invite.replace("Content-Length: 0", "Content-Length: 99999999");
        pool.push(&meta(1), 0, 0, liar.as_bytes(), false, &mut |_, _| found += 1);
        assert_eq!((found, pool.stats.unframed), (1, 1));
        // A body beyond what is held is passed over, and the next message found.
        let long = format!("{}{}", message(1, &"x".repeat(70_000), false), message(2, "", false));
        let mut found = Vec::new();
        for (i, part) in long.as_bytes().chunks(1_400).enumerate() {
            let sequence = 9_000 + 1_400 * i as u32;
            pool.push(&meta(7), sequence, 0, part, true, &mut |bytes, _| found.push(bytes.len()));
        }
        assert_eq!(found.len(), 2);
    }
}
