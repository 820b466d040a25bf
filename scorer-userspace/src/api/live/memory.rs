//! The last calls, with their INVITEs and how they went on, in bounded memory.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::{super::item::Outcome, Seen, keeper::RINGING};
use crate::{
    records::{Slot, Text},
    time::Timestamp,
};

/// Changes kept of a call.
const STEPS: usize = 16;
/// What a call takes beside its slot and its INVITE, bytes.
const BESIDE: usize = 400;

/// How a call went on, and when.
#[derive(Clone, Debug)]
pub(in crate::api) struct Step {
    pub(in crate::api) ts: Timestamp,
    pub(in crate::api) outcome: Outcome,
}

/// A call in memory.
#[derive(Clone, Debug)]
pub(in crate::api) struct Kept {
    pub(in crate::api) seen: Arc<Seen>,
    pub(in crate::api) steps: Vec<Step>,
}

impl Kept {
    /// How the call went on, as far as it has come.
    pub(in crate::api) fn outcome(&self) -> Option<&Outcome> {
        let mut latest = self.steps.iter().rev().map(|step| &step.outcome);
        latest.find(|outcome| outcome.outcome != RINGING)
    }
}

/// See the module.
#[derive(Debug)]
pub(in crate::api) struct Memory {
    calls: VecDeque<u64>,
    by_key: HashMap<u64, Kept>,
    /// From hashes of Call-IDs to the last attempt of each.
    by_call_id: HashMap<u64, u64>,
    hasher: foldhash::quality::RandomState,
    bytes: usize,
    most: usize,
}

fn size(seen: &Seen) -> usize {
    size_of::<Slot>() + seen.message.capacity() + BESIDE
}

impl Memory {
    /// An empty one of `most` bytes.
    pub(super) fn new(most: usize) -> Self {
        Self {
            calls: VecDeque::new(),
            by_key: HashMap::new(),
            by_call_id: HashMap::new(),
            // Callers choose Call-IDs.
            hasher: foldhash::quality::RandomState::default(),
            bytes: 0,
            most,
        }
    }

    fn hash(&self, call_id: &[u8]) -> u64 {
        use std::hash::BuildHasher as _;
        self.hasher.hash_one(call_id)
    }

    /// Takes a call in; the oldest make room.
    pub(super) fn add(&mut self, seen: Arc<Seen>) {
        let (key, id) = (seen.slot.call, self.hash(seen.slot.text(Text::CallId)));
        self.bytes += size(&seen);
        match self.by_key.insert(key, Kept { seen, steps: Vec::new() }) {
            Some(old) => self.bytes -= size(&old.seen),
            None => self.calls.push_back(key),
        }
        self.by_call_id.insert(id, key);
        while self.bytes > self.most
            && let Some(oldest) = self.calls.pop_front()
        {
            let Some(old) = self.by_key.remove(&oldest) else { continue };
            self.bytes -= size(&old.seen);
            let id = self.hash(old.seen.slot.text(Text::CallId));
            if self.by_call_id.get(&id) == Some(&oldest) {
                self.by_call_id.remove(&id);
            }
        }
    }

    /// Takes in how a call went on.
    pub(super) fn step(&mut self, call: u64, step: Step) {
        if let Some(kept) = self.by_key.get_mut(&call)
            && kept.steps.len() < STEPS
        {
            kept.steps.push(step);
        }
    }

    /// The call of a key.
    pub(in crate::api) fn call(&self, key: u64) -> Option<&Kept> {
        self.by_key.get(&key)
    }

    /// The last attempt of a Call-ID.
    pub(in crate::api) fn call_id(&self, call_id: &str) -> Option<&Kept> {
        let key = self.by_call_id.get(&self.hash(call_id.as_bytes()))?;
        self.call(*key).filter(|kept| kept.seen.slot.text(Text::CallId) == call_id.as_bytes())
    }

    /// All of them, the last first.
    pub(in crate::api) fn latest(&self) -> impl Iterator<Item = &Kept> {
        self.calls.iter().rev().filter_map(|key| self.by_key.get(key))
    }

    /// Calls, bytes they take, and bytes they may take.
    pub(in crate::api) fn size(&self) -> (usize, usize, usize) {
        (self.by_key.len(), self.bytes, self.most)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Memory, Seen};
    use crate::{policy::Decision, records::Slot, verdict::recent::tests::assessed};

    fn seen(call_id: &str, key: u64) -> Arc<Seen> {
        let mut slot = Slot::new();
        assessed(call_id, "t", Decision::PASS, |a| slot.fill(a, None));
        slot.call = key;
        Arc::new(Seen { slot, message: vec![0; 100], cut: false })
    }

    #[test]
    fn the_oldest_make_room() {
        let mut memory = Memory::new(20_000);
        for key in 0..1_000 {
            memory.add(seen(&format!("{}@h", key / 2), key));
        }
        let (calls, bytes, most) = memory.size();
        assert!(bytes <= most && calls > 2 && calls < 10, "{calls} calls, {bytes} bytes");
        assert_eq!(memory.by_call_id.len(), calls.div_ceil(2));
        assert_eq!(memory.call_id("499@h").map(|kept| kept.seen.slot.call), Some(999));
        assert!(memory.call_id("1@h").is_none() && memory.call(0).is_none());
        let latest: Vec<_> = memory.latest().map(|kept| kept.seen.slot.call).collect();
        assert_eq!((latest[0], latest.len()), (999, calls));
        // The same again takes no more.
        memory.add(seen("499@h", 999));
        assert_eq!(memory.size().0, calls);
    }
}
