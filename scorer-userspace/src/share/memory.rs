//! What the hub evaluated blindly, remembered by the member: no token is asked twice in
//! an epoch while it is known. In memory only: it is the numbers of all callers.

use std::collections::{HashMap, VecDeque};

use super::{
    event::{Event, Pseudonym, Subject},
    pseudonym::{Keys, Token},
};

/// Tokens that are remembered at most; the oldest make room.
const TOKENS: usize = 500_000;

/// Tokens and their pseudonyms.
#[derive(Debug)]
pub(super) struct Memory {
    known: HashMap<(u32, Token), Pseudonym>,
    back: HashMap<Pseudonym, Token>,
    order: VecDeque<(u32, Token)>,
    /// A key of this process: what calls are looked up by.
    local: Keys,
    most: usize,
}

impl Memory {
    pub(super) fn new(key: &[u8]) -> Self {
        Self {
            known: HashMap::new(),
            back: HashMap::new(),
            order: VecDeque::new(),
            local: Keys::new(0, key),
            most: TOKENS,
        }
    }

    pub(super) fn keys(&self) -> Keys {
        self.local.clone()
    }

    pub(super) fn knows(&self, epoch: u32, token: &Token) -> bool {
        self.known.contains_key(&(epoch, *token))
    }

    pub(super) fn learn(&mut self, epoch: u32, token: Token, pseudonym: Pseudonym) {
        if self.known.insert((epoch, token), pseudonym).is_none() {
            self.back.insert(pseudonym, token);
            self.order.push_back((epoch, token));
        }
        while self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            if let Some(pseudonym) = self.known.remove(&oldest) {
                self.back.remove(&pseudonym);
            }
        }
    }

    /// Forgets epochs that are over.
    pub(super) fn keep(&mut self, epochs: &[u32]) {
        let Self { known, back, order, .. } = self;
        known.retain(|(epoch, _), pseudonym| {
            let stays = epochs.contains(epoch);
            if !stays {
                back.remove(pseudonym);
            }
            stays
        });
        order.retain(|(epoch, _)| epochs.contains(epoch));
    }

    /// An event's caller as calls are looked up here, as far as it has called.
    pub(super) fn subject(&self, event: &Event) -> Subject {
        let own = |pseudonym: Option<Pseudonym>| Some(self.local.of(self.back.get(&pseudonym?)?));
        let of = &event.subject;
        Subject {
            number: own(of.number),
            network: own(of.network),
            fingerprint: own(of.fingerprint),
            sketch: own(of.sketch),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Memory;
    use crate::{
        number::Number,
        share::{event::tests::event, pseudonym::Token},
    };

    #[test]
    fn bounded_and_of_these_epochs() {
        let mut memory = Memory::new(&[1; 32]);
        memory.most = 10;
        let token = |i: u32| {
            let number = Number::parse(format!("+44163296{i:04}").as_bytes(), None);
            Token::number(&number.expect("a number")).expect("E.164")
        };
        (0..15).for_each(|i| memory.learn(1, token(i), [i as u8; 16]));
        assert!(!memory.knows(1, &token(4)) && memory.knows(1, &token(5)));
        assert!(!memory.knows(2, &token(5)));
        let event = event("carrier-a", 1, 1);
        assert_eq!(memory.subject(&event).network, Some(memory.keys().of(&token(9))));
        memory.learn(2, token(9), [77; 16]);
        memory.keep(&[2]);
        assert!(!memory.knows(1, &token(9)) && memory.knows(2, &token(9)));
        assert_eq!(memory.subject(&event).network, None);
    }
}
