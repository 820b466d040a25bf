//! The latest calls: as many as there is room for.

use std::collections::{HashMap, VecDeque};

use super::call::{Call, STEPS, Step};

/// How a call went on.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::top) struct Update {
    /// Key of the call attempt.
    pub key: u64,
    /// How it went.
    pub outcome: String,
    /// Final response; 0 without one.
    pub code: u16,
    /// Seconds from INVITE to answer.
    pub setup: Option<f64>,
    /// Seconds from answer to BYE.
    pub duration: Option<f64>,
}

/// Calls by the order they came in.
#[derive(Debug)]
pub(super) struct Ring {
    calls: VecDeque<Call>,
    /// Number of the first one that is kept.
    first: u64,
    most: usize,
    by_key: HashMap<u64, u64>,
    by_call_id: HashMap<String, u64>,
}

impl Ring {
    /// Room for so many.
    pub(super) fn new(most: usize) -> Self {
        Self {
            calls: VecDeque::new(),
            first: 0,
            most: most.max(1),
            by_key: HashMap::new(),
            by_call_id: HashMap::new(),
        }
    }

    /// Takes one; the oldest makes room. A call that is known by its key is replaced.
    pub(super) fn push(&mut self, call: Call) {
        if let Some(known) = self.number(call.key).and_then(|number| self.get_mut(number)) {
            let (ladder, details) = (std::mem::take(&mut known.ladder), known.details.take());
            *known = call;
            known.details = known.details.take().or(details);
            if known.ladder.is_empty() {
                known.ladder = ladder;
            }
            return;
        }
        if self.calls.len() == self.most
            && let Some(old) = self.calls.pop_front()
        {
            if self.by_key.get(&old.key) == Some(&self.first) {
                self.by_key.remove(&old.key);
            }
            if self.by_call_id.get(&old.call_id) == Some(&self.first) {
                self.by_call_id.remove(&old.call_id);
            }
            self.first += 1;
        }
        let number = self.end();
        if call.key != 0 {
            self.by_key.insert(call.key, number);
        }
        self.by_call_id.insert(call.call_id.clone(), number);
        self.calls.push_back(call);
    }

    pub(super) fn update(&mut self, update: &Update) {
        let Some(call) = self.number(update.key).and_then(|number| self.get_mut(number)) else {
            return;
        };
        call.outcome.clone_from(&update.outcome);
        call.code = update.code;
        call.setup = update.setup.or(call.setup);
        call.duration = update.duration.or(call.duration);
    }

    /// Adds a message to the latest call of a Call-ID. Who sent it tells the direction.
    pub(super) fn step(&mut self, call_id: &str, sender: &str, mut step: Step) {
        let call = self.by_call_id.get(call_id).copied().and_then(|number| self.get_mut(number));
        if let Some(call) = call.filter(|call| call.ladder.len() < STEPS) {
            if sender == call.source || sender == call.destination {
                step.from_caller = sender == call.source;
            }
            call.ladder.push(step);
        }
    }

    /// Forgets all; numbers go on.
    pub(super) fn clear(&mut self) {
        self.first = self.end();
        self.calls.clear();
        self.by_key.clear();
        self.by_call_id.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    /// Number of the next one.
    pub(super) fn end(&self) -> u64 {
        self.first + self.calls.len() as u64
    }

    /// Number of the call of a key.
    pub(super) fn number(&self, key: u64) -> Option<u64> {
        self.by_key.get(&key).copied()
    }

    pub(super) fn get(&self, number: u64) -> Option<&Call> {
        self.calls.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Call> {
        self.calls.get_mut(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    /// All, oldest first, with their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Call)> {
        (self.first..self.end()).zip(&self.calls)
    }
}

#[cfg(test)]
mod tests {
    use super::{Ring, STEPS, Step, Update};
    use crate::{time::Timestamp, top::tests::call};

    #[test]
    fn the_oldest_makes_room() {
        let mut ring = Ring::new(3);
        for key in 1..=5 {
            ring.push(call(key, 10));
        }
        assert_eq!(
            ring.iter().map(|(number, call)| (number, call.key)).collect::<Vec<_>>(),
            [(2, 3), (3, 4), (4, 5)]
        );
        ring.update(&Update { key: 4, outcome: "answered".into(), code: 200, ..Update::default() });
        ring.update(&Update { key: 1, outcome: "answered".into(), ..Update::default() });
        assert_eq!(ring.get(3).map(|call| &*call.outcome), Some("answered"));
        assert_eq!((ring.by_key.len(), ring.by_call_id.len()), (3, 3));
        let step = || Step { at: Timestamp(1), from_caller: true, what: "BYE".into() };
        for _ in 0..100 {
            ring.step("call-5@test", "192.0.2.2:5060", step());
        }
        ring.step("call-1@test", "192.0.2.1:5060", step());
        let ladder =
            ring.get(4).map(|call| (call.ladder.len(), call.ladder[STEPS - 1].from_caller));
        assert_eq!(ladder, Some((STEPS, false)));
        ring.clear();
        assert_eq!((ring.len(), ring.end(), ring.by_key.len()), (0, 5, 0));
    }
}
