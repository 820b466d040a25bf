//! Answers given, so that a retransmission gets the same.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use hashbrown::HashMap;

/// Answers kept at most.
const ANSWERS: usize = 16_384;
/// Bytes of all of them at most.
const BYTES: usize = 32 << 20;
/// How long a client retransmits (64 × T1, RFC 3261 section 17.1.1.2).
const KEEP: Duration = Duration::from_secs(32);

/// A bounded number of answers by transaction; the oldest makes room.
#[derive(Debug, Default)]
pub(super) struct Memory {
    answers: HashMap<u64, Box<[u8]>>,
    order: VecDeque<(Instant, u64)>,
    bytes: usize,
}

impl Memory {
    pub(super) fn get(&self, transaction: u64) -> Option<&[u8]> {
        self.answers.get(&transaction).map(|answer| &**answer)
    }

    /// Keeps an answer, in place of an earlier one.
    pub(super) fn put(&mut self, transaction: u64, answer: &[u8], now: Instant) {
        self.bytes += answer.len();
        match self.answers.insert(transaction, answer.into()) {
            // Its place in the order stays: it goes a little sooner.
            Some(old) => self.bytes -= old.len(),
            None => self.order.push_back((now, transaction)),
        }
        while self.order.len() > ANSWERS || self.bytes > BYTES {
            self.forget_oldest();
        }
        // Two at most, so that no answer pays for many.
        for _ in 0..2 {
            match self.order.front() {
                Some((since, _)) if now.duration_since(*since) > KEEP => self.forget_oldest(),
                _ => break,
            }
        }
    }

    fn forget_oldest(&mut self) {
        let Some((_, transaction)) = self.order.pop_front() else {
            self.bytes = 0;
            return;
        };
        if let Some(old) = self.answers.remove(&transaction) {
            self.bytes -= old.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{ANSWERS, BYTES, Memory};

    #[test]
    fn is_bounded_in_number_bytes_and_time() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        for i in 0..ANSWERS as u64 + 10 {
            memory.put(i, b"x", now);
        }
        assert_eq!((memory.answers.len(), memory.bytes), (ANSWERS, ANSWERS));
        assert!(memory.get(9).is_none() && memory.get(10).is_some());
        memory.put(10, b"other", now);
        assert_eq!(memory.get(10), Some(&b"other"[..]));
        let large = vec![0; 60_000];
        for i in 0..2_000 {
            memory.put((1 << 32) + i, &large, now);
        }
        assert!(memory.bytes <= BYTES && memory.get((1 << 32) + 1_999).is_some());
        let later = now + Duration::from_secs(33);
        let before = memory.answers.len();
        memory.put(1 << 40, b"y", later);
        assert_eq!(memory.answers.len(), before - 1);
    }
}
