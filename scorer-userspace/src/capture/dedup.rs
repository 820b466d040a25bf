//! Mirrored copies. A packet that two mirror ports see comes twice, a few
//! microseconds or milliseconds apart, the same to the byte. A sender's own
//! retransmission comes after 500 ms or more (RFC 3261 section 17.1.1.2, T1) and,
//! where the stack numbers its packets, with another IP identification. Stacks
//! that leave the number at 0 (RFC 6864: with DF set) are told by the time alone.

use std::{
    hash::{BuildHasher as _, Hash as _, Hasher as _},
    time::Duration,
};

use foldhash::fast::SeedableRandomState;

use super::PacketMeta;
use crate::time::Timestamp;

/// Packets remembered. A direct-mapped table: a newer packet takes an older
/// one's place, and a copy that is then missed is told from a new call by its
/// Call-ID and CSeq.
const PLACES: usize = 4096;

#[derive(Debug)]
pub(super) struct Deduplicator {
    places: Box<[(u64, Timestamp)]>,
    window: Duration,
    /// With a secret of this process: else a sender could make two messages of one
    /// hash, and the second would pass for a copy, unscored.
    hashes: SeedableRandomState,
}

impl Deduplicator {
    pub(super) fn new(window: Duration, secret: bool) -> Self {
        Self {
            places: vec![(0, Timestamp(0)); PLACES].into(),
            window,
            hashes: if secret {
                SeedableRandomState::random()
            } else {
                SeedableRandomState::fixed()
            },
        }
    }

    /// Whether this datagram was seen within the window. The TTL plays no part:
    /// mirrors may sit before and behind a router.
    pub(super) fn is_copy(&mut self, meta: &PacketMeta, payload: &[u8]) -> bool {
        if self.window.is_zero() {
            return false;
        }
        let ends = (meta.source, meta.destination, meta.ip_id);
        // All of it: were a part left out, a sender could pass off another
        // message as a copy.
        let mut hasher = self.hashes.build_hasher();
        ends.hash(&mut hasher);
        hasher.write(payload);
        let hash = hasher.finish() | 1;
        let place = &mut self.places[(hash >> 40) as usize % PLACES];
        // Two mirrors' stamps may be out of order by a little, either way.
        let apart = Duration::from_nanos(meta.timestamp.0.abs_diff(place.1.0));
        let copy = place.0 == hash && apart <= self.window;
        if !copy {
            *place = (hash, meta.timestamp);
        }
        copy
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Deduplicator;
    use crate::{
        capture::{PacketMeta, Transport},
        time::Timestamp,
    };

    fn meta(milliseconds: u64, id: Option<u16>, port: u16, ttl: u8) -> PacketMeta {
        PacketMeta {
            timestamp: Timestamp(milliseconds * 1_000_000),
            source: ([192, 0, 2, 1], port).into(),
            destination: ([192, 0, 2, 2], 5060).into(),
            transport: Transport::Udp,
            ttl,
            dscp: 0,
            ip_id: id,
            dont_fragment: true,
            udp_checksum_zero: Some(false),
            packets: 1,
            stream_messages: None,
            vlan: None,
            tunnelled: false,
        }
    }

    #[test]
    fn copies_and_what_only_looks_like_them() {
        let mut mirrors = Deduplicator::new(Duration::from_millis(100), true);
        let text = [b'x'; 1000];
        let mut other = text;
        other[999] = b'y';
        let mut copy = |meta, text: &[u8]| mirrors.is_copy(&meta, text);
        assert!(!copy(meta(1_000, Some(7), 5060, 64), &text), "the first");
        assert!(copy(meta(1_001, Some(7), 5060, 63), &text), "behind a router");
        assert!(copy(meta(999, Some(7), 5060, 64), &text), "stamped earlier");
        assert!(!copy(meta(1_001, Some(7), 5060, 64), &other), "another last byte");
        assert!(!copy(meta(1_002, Some(8), 5060, 64), &text), "another packet number");
        assert!(!copy(meta(1_002, Some(7), 5061, 64), &text), "another port");
        // Unnumbered: only time tells, and copies do not prolong the window.
        for (at, expected) in [(2_000, false), (2_060, true), (2_120, false), (2_700, false)] {
            assert_eq!(copy(meta(at, Some(0), 5060, 64), &text), expected, "{at} ms");
        }
        // The same file once more, as with `replay a.pcap a.pcap`.
        assert!(!copy(meta(1_000, Some(0), 5060, 64), &text), "long before");
        assert!(!copy(meta(1_000, None, 5060, 64), &text), "IPv6");
        assert!(copy(meta(1_050, None, 5060, 64), &text), "IPv6 copy");
    }
}
