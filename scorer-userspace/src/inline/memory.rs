//! What was decided, for as long as more messages of the same INVITE may come:
//! retransmissions, forks, CANCEL and ACK get what the first got.

use std::{collections::VecDeque, hash::BuildHasher as _, sync::Arc};

use hashbrown::HashMap;
use scorer_common::{Verdict, verdict::Action};

use crate::{
    policy::{Response, Target},
    sip::Message,
    verdict::wire,
};

/// INVITEs remembered at most; the oldest makes room.
const CALLS: usize = 65_536;

/// A decision about one INVITE.
#[derive(Clone, Debug)]
pub(super) struct Decided {
    pub(super) verdict: Verdict,
    /// Name of the model that scored.
    pub(super) model: Arc<str>,
    pub(super) action: Action,
    pub(super) response: Response,
    pub(super) target: Option<Arc<Target>>,
    /// Hash of the Request-URI as it came.
    pub(super) uri: u64,
}

/// The decisions.
#[derive(Debug)]
pub(super) struct Memory {
    decisions: HashMap<u64, Decided, foldhash::fast::FixedState>,
    order: VecDeque<u64>,
    /// Callers choose what is hashed.
    hasher: foldhash::quality::RandomState,
}

impl Memory {
    pub(super) fn new() -> Self {
        let mut this = Self {
            decisions: HashMap::with_capacity_and_hasher(
                CALLS,
                foldhash::fast::FixedState::default(),
            ),
            order: VecDeque::with_capacity(CALLS),
            hasher: foldhash::quality::RandomState::default(),
        };
        // Has the memory in place: else the kernel gives it page by page, each time while
        // a call waits.
        let nothing = Decided {
            verdict: wire::parse(&[0; size_of::<Verdict>()]),
            model: Arc::from(""),
            action: Action::Pass,
            response: Response::default(),
            target: None,
            uri: 0,
        };
        for i in 0..CALLS as u64 {
            this.put(this.hasher.hash_one(i), nothing.clone());
        }
        this.decisions.clear();
        this.order.clear();
        this
    }

    /// Names an INVITE and what belongs to it: Call-ID, From tag, CSeq number.
    /// Without a Call-ID there is no name.
    pub(super) fn key(&self, message: &Message<'_>) -> Option<u64> {
        let call_id = message.call_id()?;
        let from = message.from();
        let tag = from.and_then(|from| from.tag()).unwrap_or_default();
        let cseq = message.cseq().map_or(0, |(number, _)| number);
        Some(self.hasher.hash_one((call_id, tag, cseq)))
    }

    pub(super) fn hash(&self, bytes: &[u8]) -> u64 {
        self.hasher.hash_one(bytes)
    }

    pub(super) fn get(&self, key: u64) -> Option<&Decided> {
        self.decisions.get(&key)
    }

    pub(super) fn put(&mut self, key: u64, decided: Decided) {
        if self.decisions.insert(key, decided).is_some() {
            return;
        }
        if self.order.len() == CALLS
            && let Some(oldest) = self.order.pop_front()
        {
            self.decisions.remove(&oldest);
        }
        self.order.push_back(key);
    }
}
