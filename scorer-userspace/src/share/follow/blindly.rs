//! Asks the hub blindly about calls, one question at a time, and tells of those that
//! something is said of.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use super::Follower;
use crate::share::{
    HubClient, Index, ShareError,
    ask::{Asked, Asker, Pending, questions},
    blind,
    event::Pseudonym,
    memory::Memory,
    pseudonym::Token,
    random,
};

/// How long the hub is left alone after it refused.
const PAUSE: Duration = Duration::from_secs(1);

/// What is asked of the hub.
pub(super) struct Blind {
    pub(super) memory: Memory,
    /// Pseudonyms that somebody speaks of.
    pub(super) wanted: HashSet<Pseudonym>,
    pub(super) asker: Option<Asker>,
    asked: Asked,
    waiting: VecDeque<Box<Pending>>,
    under_way: Option<UnderWay>,
    /// Those of `waiting`, from the first, of which all is known.
    ready: usize,
    /// After a refusal nothing is asked until then.
    pause: Instant,
}

/// A question that the hub has, with its tokens.
type UnderWay = (u32, Vec<Token>, tokio::task::JoinHandle<Result<Vec<Pseudonym>, ShareError>>);

impl Blind {
    pub(super) fn new() -> Result<Self, ShareError> {
        let (asker, asked) = questions();
        Ok(Self {
            memory: Memory::new(&random::<32>()?),
            wanted: HashSet::new(),
            asker: Some(asker),
            asked,
            waiting: VecDeque::new(),
            under_way: None,
            ready: 0,
            pause: Instant::now(),
        })
    }

    /// The calls that wait keep the verdict that they have.
    fn give_up(&mut self) {
        self.pause = Instant::now() + PAUSE;
        while let Some(pending) = self.waiting.pop_front() {
            self.asked.free(pending);
        }
        self.ready = 0;
    }

    /// Hands back those calls of which something is said; how many.
    fn tell(&mut self, index: &Arc<Index>) -> u64 {
        let mut told = 0;
        for _ in 0..std::mem::take(&mut self.ready) {
            let Some(mut pending) = self.waiting.pop_front() else { break };
            match index.look(&pending.marks, false, pending.meta.timestamp) {
                Some(hit) => {
                    pending.answer = Some((Arc::clone(index), hit));
                    self.asked.answer(pending);
                    told += 1;
                }
                None => self.asked.free(pending),
            }
        }
        told
    }
}

impl Follower {
    /// Has the hub evaluate what calls are to be looked up by, and tells of those that
    /// something is said of. One question at a time.
    pub(super) async fn ask_blindly(&mut self, hub: &Arc<HubClient>) {
        let Some(mut blind) = self.blind.take() else { return };
        self.look_into(&mut blind, hub).await;
        self.blind = Some(blind);
        if self.changed {
            self.hand_over();
        }
        if let Some(blind) = &mut self.blind {
            self.stats.updates.fetch_add(blind.tell(&self.index), Ordering::Relaxed);
        }
    }

    async fn look_into(&mut self, blind: &mut Blind, hub: &Arc<HubClient>) {
        let count = |which: usize, n: usize| {
            self.stats.evaluations[which].fetch_add(n as u64, Ordering::Relaxed);
        };
        let Some(directory) = &self.directory else { return };
        let epochs: Vec<_> = directory.epochs.iter().map(|epoch| epoch.number).collect();
        while let Some(pending) = blind.asked.take() {
            let known = pending.tokens().filter(|token| blind.memory.knows(epochs[0], token));
            count(1, known.count());
            blind.waiting.push_back(pending);
        }
        if let Some((epoch, tokens, answer)) =
            blind.under_way.take_if(|(.., answer)| answer.is_finished())
        {
            match answer.await {
                Ok(Ok(pseudonyms)) => {
                    count(0, tokens.len());
                    for (token, pseudonym) in tokens.into_iter().zip(pseudonyms) {
                        self.changed |= blind.wanted.contains(&pseudonym);
                        blind.memory.learn(epoch, token, pseudonym);
                    }
                }
                Ok(Err(error)) => {
                    count(2, tokens.len());
                    self.quiet.warn(&error);
                    blind.give_up();
                }
                Err(error) => {
                    log::error!("consortium: {error}");
                    blind.give_up();
                }
            }
        }
        if blind.under_way.is_some() || Instant::now() < blind.pause {
            return;
        }
        for epoch in &directory.epochs {
            let mut tokens = Vec::new();
            for token in blind.waiting.iter().flat_map(|pending| pending.tokens()) {
                if tokens.len() < blind::BATCH
                    && !blind.memory.knows(epoch.number, &token)
                    && !tokens.contains(&token)
                {
                    tokens.push(token);
                }
            }
            if !tokens.is_empty() {
                let (hub, epoch, asked) = (Arc::clone(hub), epoch.clone(), tokens.clone());
                let number = epoch.number;
                let answer =
                    tokio::task::spawn_blocking(move || blind::evaluate(&hub, &epoch, &asked));
                blind.under_way = Some((number, tokens, answer));
                return;
            }
        }
        blind.ready = blind.waiting.len();
    }
}
