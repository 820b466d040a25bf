//! What a redirect server counts.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::verdict::deliver::counts;

counts! {
    /// What came and what became of it.
    RedirectEvents {
        /// Calls asked about.
        invites,
        /// Retransmissions, answered from memory or under way.
        retransmissions,
        /// Calls whose verdict was there.
        known,
        /// Calls whose verdict came in time.
        scored,
        /// Calls allowed since no verdict came in time.
        late,
        /// Calls allowed since the engine gave no verdict.
        unscored,
        /// Calls allowed since too many were under way.
        busy,
        /// ACKs absorbed.
        acks,
        /// CANCELs.
        cancels,
        /// OPTIONS.
        options,
        /// Requests of other methods, or within dialogs.
        others,
        /// Datagrams from those who may not ask.
        refused,
        /// Datagrams that are no SIP request, or lack what a reply must repeat.
        malformed,
        /// Answers that could not be sent.
        send_failed,
    }
}

/// Codes of SIP responses end before.
const CODES: usize = 700;

/// Counters of a redirect server.
#[derive(Debug)]
pub struct RedirectStats {
    /// By kind.
    pub events: RedirectEvents,
    codes: Box<[AtomicU64; CODES]>,
}

impl Default for RedirectStats {
    fn default() -> Self {
        let codes = Box::new([const { AtomicU64::new(0) }; CODES]);
        Self { events: RedirectEvents::default(), codes }
    }
}

impl RedirectStats {
    pub(super) fn answered(&self, code: u16) {
        if let Some(count) = self.codes.get(usize::from(code)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Answers by code, of those codes that were used.
    pub fn answers(&self) -> impl Iterator<Item = (u16, u64)> {
        let values = (0..).zip(self.codes.iter().map(|count| count.load(Ordering::Relaxed)));
        values.filter(|(_, count)| *count > 0)
    }
}
