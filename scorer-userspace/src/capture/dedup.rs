//! Mirrored copies. A packet that two mirror ports see comes twice, a few
//! microseconds or milliseconds apart, the same to the byte. A sender's own
//! retransmission comes after 500 ms or more (RFC 3261 section 17.1.1.2, T1) and,
//! where the stack numbers its packets, with another IP identification.

use std::{
    hash::{Hash as _, Hasher as _},
    time::Duration,
};

use rustc_hash::FxHasher;

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
}

impl Deduplicator {
    pub(super) fn new(window: Duration) -> Self {
        Self { places: vec![(0, Timestamp(0)); PLACES].into(), window }
    }

    /// Whether this datagram was seen within the window. The TTL plays no part:
    /// mirrors may sit before and behind a router.
    pub(super) fn is_copy(&mut self, meta: &PacketMeta, payload: &[u8]) -> bool {
        if self.window.is_zero() {
            return false;
        }
        let mut hasher = FxHasher::default();
        meta.source.hash(&mut hasher);
        meta.destination.hash(&mut hasher);
        meta.ip_id.hash(&mut hasher);
        // All of it: were a part left out, a sender could pass off another
        // message as a copy.
        hasher.write(payload);
        let hash = hasher.finish() | 1;
        let place = &mut self.places[(hash >> 40) as usize % PLACES];
        let copy = place.0 == hash && meta.timestamp <= place.1.plus(self.window);
        *place = (hash, meta.timestamp);
        copy
    }
}
