//! Calls of which the hub must be asked blindly, from the scoring thread to the one that
//! follows the consortium, and back where that found something: bounded, without locks
//! or allocations on the scoring thread's side.

use std::{hash::BuildHasher as _, sync::Arc};

use scorer_common::Verdict;

use super::{
    Index, Match,
    pseudonym::{Marks, Token},
};
use crate::{
    capture::{PacketMeta, Transport},
    engine::Assessment,
    features::{COUNT, Fingerprint},
    lists::ListSet,
    profiles::{Belongs, Evidence},
    time::Timestamp,
};

/// Calls under way at most; each takes some 14 kB.
const QUEUE: usize = 256;
/// Tokens that are remembered as asked; two that share a place are asked again.
const ASKED: usize = 1 << 16;
/// A token is asked again after so long, ns: the other side remembers what the hub said.
const AGAIN: u64 = 600_000_000_000;
/// Bytes kept of an INVITE, and of any text in it.
const MESSAGE: usize = 8 << 10;
const TEXT: usize = 1 << 10;

/// Texts that are kept of a call.
const TEXTS: usize = 8;

/// A call whose verdict may be updated. Made once, filled again and again.
#[derive(Debug)]
pub struct Pending {
    pub(crate) verdict: Verdict,
    texts: [Vec<u8>; TEXTS],
    has_network: bool,
    has_trunk: bool,
    pub(crate) meta: PacketMeta,
    pub(crate) signature: Fingerprint,
    pub(crate) features: Vec<f32>,
    pub(crate) lists: ListSet,
    pub(crate) profile: u64,
    pub(crate) countries: [u16; 2],
    pub(crate) message: Vec<u8>,
    pub(crate) evidence: Evidence,
    pub(crate) belongs: Belongs,
    /// By which it is found.
    pub marks: Marks,
    /// What was found.
    pub answer: Option<(Arc<Index>, Match)>,
}

impl Pending {
    fn new(meta: PacketMeta) -> Self {
        Self {
            verdict: crate::verdict::wire::parse(&[0; crate::verdict::wire::RECORD]),
            texts: std::array::from_fn(|_| Vec::with_capacity(TEXT)),
            has_network: false,
            has_trunk: false,
            meta,
            signature: Fingerprint::default(),
            features: Vec::with_capacity(COUNT),
            lists: ListSet::default(),
            profile: 0,
            countries: [0; 2],
            message: Vec::with_capacity(MESSAGE),
            evidence: Evidence::default(),
            belongs: Belongs::NOBODY,
            marks: Marks::default(),
            answer: None,
        }
    }

    fn fill(&mut self, a: &Assessment<'_>) {
        let texts = [
            a.call_id,
            a.from_tag,
            a.caller,
            a.callee,
            a.from_user,
            a.to_user,
            a.network_number.unwrap_or_default(),
            a.trunk.unwrap_or_default().as_bytes(),
        ];
        for (place, text) in self.texts.iter_mut().zip(texts) {
            place.clear();
            place.extend_from_slice(&text[..text.len().min(TEXT)]);
        }
        self.has_network = a.network_number.is_some();
        self.has_trunk = a.trunk.is_some();
        self.verdict = a.verdict;
        self.meta = a.meta;
        self.signature = a.signature;
        self.features.clear();
        self.features.extend_from_slice(a.features);
        self.lists = a.lists;
        self.profile = a.profile;
        self.countries = a.countries;
        self.message.clear();
        self.message.extend_from_slice(&a.message[..a.message.len().min(MESSAGE)]);
        self.evidence = a.evidence;
        self.belongs = a.belongs;
        self.marks = a.marks;
        self.answer = None;
    }

    /// Call-ID, From tag, caller, callee, From user, To user.
    pub(crate) fn texts(&self) -> [&[u8]; 6] {
        let [call_id, from_tag, caller, callee, from_user, to_user, ..] = &self.texts;
        [call_id, from_tag, caller, callee, from_user, to_user]
    }

    pub(crate) fn network(&self) -> Option<&[u8]> {
        self.has_network.then_some(&*self.texts[6])
    }

    pub(crate) fn trunk(&self) -> Option<&str> {
        std::str::from_utf8(&self.texts[7]).ok().filter(|_| self.has_trunk)
    }

    /// What the hub must evaluate for it.
    pub(super) fn tokens(&self) -> impl Iterator<Item = Token> {
        tokens(&self.marks)
    }
}

fn tokens(marks: &Marks) -> impl Iterator<Item = Token> {
    let network = marks.network.as_ref().and_then(Token::number);
    let shown = marks.shown.as_ref().and_then(Token::number).filter(|n| Some(*n) != network);
    let sketch = marks.sketch.as_ref().map(Token::sketch);
    let fingerprint = sketch.map(|_| Token::fingerprint(&marks.fingerprint));
    [network, shown, sketch, fingerprint].into_iter().flatten()
}

/// The scoring thread's end.
#[derive(Debug)]
pub struct Asker {
    full: rtrb::Producer<Box<Pending>>,
    free: rtrb::Consumer<Box<Pending>>,
    answers: rtrb::Consumer<Box<Pending>>,
    used: rtrb::Producer<Box<Pending>>,
    asked: Box<[(u64, u64)]>,
    /// Callers choose numbers: where they lie is not theirs to choose.
    hasher: foldhash::fast::RandomState,
}

/// The other end.
#[derive(Debug)]
pub(super) struct Asked {
    full: rtrb::Consumer<Box<Pending>>,
    free: rtrb::Producer<Box<Pending>>,
    answers: rtrb::Producer<Box<Pending>>,
    used: rtrb::Consumer<Box<Pending>>,
}

/// Both ends.
pub(super) fn questions() -> (Asker, Asked) {
    let (full, filled) = rtrb::RingBuffer::new(QUEUE);
    let (mut give, free) = rtrb::RingBuffer::new(QUEUE);
    let (answer, answers) = rtrb::RingBuffer::new(QUEUE);
    let (used, reused) = rtrb::RingBuffer::new(QUEUE);
    let nowhere = ([0, 0, 0, 0], 0).into();
    let meta = PacketMeta::between(nowhere, nowhere, Transport::Udp, Timestamp(0));
    while give.push(Box::new(Pending::new(meta))).is_ok() {}
    let asked = vec![(0, 0); ASKED].into();
    let asker =
        Asker { full, free, answers, used, asked, hasher: foldhash::fast::RandomState::default() };
    (asker, Asked { full: filled, free: give, answers: answer, used: reused })
}

impl Asker {
    /// Hands a call over that the hub must be asked about: one of which nothing is said,
    /// and something was not asked lately. Never waits; what does not fit is not asked.
    pub fn call(&mut self, assessment: &Assessment<'_>) {
        // What a case orders stands, whatever others say.
        let by_case = assessment.decision.rule.is_some_and(|rule| rule.starts_with("case:"));
        if assessment.shared.is_some() || by_case || assessment.call_id.len() > TEXT {
            return;
        }
        let now = assessment.meta.timestamp.0;
        let mut new = false;
        for token in tokens(&assessment.marks) {
            let hash = self.hasher.hash_one(token);
            let place = &mut self.asked[hash as usize % ASKED];
            if place.0 != hash || now.saturating_sub(place.1) > AGAIN {
                *place = (hash, now);
                new = true;
            }
        }
        if !new {
            return;
        }
        if let Ok(mut pending) = self.free.pop() {
            pending.fill(assessment);
            // There is room: they are as many as the queue is long.
            let _ = self.full.push(pending);
        }
    }

    /// The next call of which something was found after its verdict; to be given back.
    pub fn answer(&mut self) -> Option<Box<Pending>> {
        self.answers.pop().ok()
    }

    /// Takes it back, to be freed or filled elsewhere.
    pub fn give_back(&mut self, pending: Box<Pending>) {
        let _ = self.used.push(pending);
    }
}

impl Asked {
    /// The next call to ask about.
    pub(super) fn take(&mut self) -> Option<Box<Pending>> {
        while let Ok(pending) = self.used.pop() {
            self.free(pending);
        }
        self.full.pop().ok()
    }

    /// Nothing was found.
    pub(super) fn free(&mut self, mut pending: Box<Pending>) {
        pending.answer = None;
        let _ = self.free.push(pending);
    }

    /// Something was.
    pub(super) fn answer(&mut self, pending: Box<Pending>) {
        let _ = self.answers.push(pending);
    }
}
