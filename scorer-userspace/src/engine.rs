//! The engine: frames in, assessments of calls out.

mod stats;

use std::sync::Arc;

use scorer_common::{
    Verdict,
    verdict::{Action, VERSION},
};

pub use crate::verdict::{Reason, Thresholds};
pub use stats::{EngineStats, Sample};

use crate::{
    capture::{Assembler, AssemblerConfig, AssemblerStats, Frame, PacketMeta, SipPacket},
    features::{self, Call, Parts, Vector},
    history::{CallKeys, Event, History, HistoryConfig, Recall, Seen},
    model::{self, Model},
    sip::{self, Message, Method, StartLine},
    time::Timestamp,
    verdict::{Reasons, tags},
};

/// Everything said about one call. Borrowed for the time of the callback.
#[derive(Debug)]
pub struct Assessment<'a> {
    /// The record that travels.
    pub verdict: Verdict,
    /// Call-ID as it stands; empty when there is none.
    pub call_id: &'a [u8],
    /// Caller's number or user as presented (From); empty when there is none.
    pub caller: &'a [u8],
    /// Callee's number or user (Request-URI, else To).
    pub callee: &'a [u8],
    /// From user exactly as it stands, for comparison with other tools.
    pub from_user: &'a [u8],
    /// To user exactly as it stands.
    pub to_user: &'a [u8],
    /// Number the network asserts (P-Asserted-Identity, else Remote-Party-ID), also when withheld.
    pub network_number: Option<&'a [u8]>,
    /// Addresses, transport.
    pub meta: PacketMeta,
    /// Feature vector, in registry order.
    pub features: &'a [f32],
    /// Reasons, strongest first.
    pub reasons: &'a [Reason],
    /// Model's name.
    pub model: &'a str,
}

/// Bounds, thresholds and where the operator is.
#[derive(Clone, Debug, Default)]
pub struct EngineConfig {
    /// Ports and bounds of the packet side.
    pub assembler: AssemblerConfig,
    /// Sizes of the history.
    pub history: HistoryConfig,
    /// Scores at which levels begin.
    pub levels: Thresholds,
    /// Country code that national numbers (a leading 0) are given.
    pub home_country: Option<u16>,
}

/// Turns frames into assessments. Pure: no I/O, no clock, no threads.
#[derive(Debug)]
pub struct Engine {
    assembler: Assembler,
    /// Apart from the scorer, which is used while a message borrows it.
    scratch: sip::Scratch,
    scorer: Scorer,
}

impl Engine {
    /// An engine that has seen nothing.
    pub fn new(config: &EngineConfig, model: Arc<Model>) -> Self {
        Self {
            assembler: Assembler::new(&config.assembler),
            scratch: sip::Scratch::new(),
            scorer: Scorer {
                history: History::new(&config.history),
                levels: config.levels,
                home_country: config.home_country,
                model,
                model_scratch: model::Scratch::default(),
                features: [f32::NAN; features::COUNT],
                contributions: [0.0; features::COUNT],
                stats: EngineStats::default(),
            },
        }
    }

    /// Takes one frame; calls `each` once for every call attempt first seen in it.
    pub fn inspect(&mut self, frame: &Frame<'_>, each: &mut dyn FnMut(&Assessment<'_>)) {
        let Self { assembler, scratch, scorer } = self;
        assembler.push(frame, &mut |packet| scorer.packet(packet, scratch, each));
    }

    /// Scores what waits behind TCP segments that will not come: call it about once
    /// a second with the time now, in packets' time; with `None` at the end.
    pub fn settle(&mut self, now: Option<Timestamp>, each: &mut dyn FnMut(&Assessment<'_>)) {
        let Self { assembler, scratch, scorer } = self;
        assembler.settle(now, &mut |packet| scorer.packet(packet, scratch, each));
    }

    /// Scores with another model from the next call on.
    pub fn set_model(&mut self, model: Arc<Model>) {
        self.scorer.model = model;
    }

    /// The model in use.
    pub fn model(&self) -> &Arc<Model> {
        &self.scorer.model
    }

    /// Counters of calls since the start.
    pub fn stats(&self) -> &EngineStats {
        &self.scorer.stats
    }

    /// Counters of packets since the start.
    pub fn packets(&self) -> AssemblerStats {
        self.assembler.stats()
    }

    /// Entries of the history that made room for others.
    pub fn evicted(&self) -> u64 {
        self.scorer.history.evicted()
    }
}

/// Everything behind the assembler.
#[derive(Debug)]
struct Scorer {
    history: History,
    levels: Thresholds,
    home_country: Option<u16>,
    model: Arc<Model>,
    model_scratch: model::Scratch,
    features: Vector,
    contributions: Vector,
    stats: EngineStats,
}

/// Kinds of keys, so that a user named as a Call-ID is not taken for one.
const NUMBER: u8 = 1;
const USER: u8 = 2;
const CALL_ID: u8 = 3;
const TAG: u8 = 4;
const BRANCH: u8 = 5;

impl Scorer {
    fn packet(
        &mut self,
        packet: &SipPacket<'_>,
        scratch: &mut sip::Scratch,
        each: &mut dyn FnMut(&Assessment<'_>),
    ) {
        match Message::parse(packet.bytes, packet.scan, scratch) {
            Ok(message) => self.message(&message, packet, each),
            Err(error) => self.stats.parse_failure(error),
        }
    }

    fn message(
        &mut self,
        message: &Message<'_>,
        packet: &SipPacket<'_>,
        each: &mut dyn FnMut(&Assessment<'_>),
    ) {
        let dialog = self.history.key(CALL_ID, message.call_id().unwrap_or_default());
        let event = match *message.start() {
            StartLine::Request { method: Method::Invite, .. } => {
                self.stats.invites += 1;
                let has_to_tag = message.to().is_some_and(|to| to.tag().is_some());
                if !has_to_tag {
                    return self.invite(message, packet, dialog, each);
                }
                self.stats.reinvites += 1;
                Event::Other
            }
            StartLine::Request { method: Method::Cancel, .. } => Event::Cancel,
            StartLine::Request { method: Method::Bye, .. } => Event::Bye,
            StartLine::Request { .. } => Event::Other,
            StartLine::Status { code, .. } => match message.cseq() {
                Some((_, Method::Invite)) => Event::Response(code),
                _ => return,
            },
        };
        self.stats.events += 1;
        let known = self.history.event(dialog, event, packet.meta.timestamp);
        self.stats.strangers += u64::from(!known);
    }

    /// An INVITE that would create a dialog.
    fn invite(
        &mut self,
        message: &Message<'_>,
        packet: &SipPacket<'_>,
        dialog: u64,
        each: &mut dyn FnMut(&Assessment<'_>),
    ) {
        let meta = &packet.meta;
        let parts = Parts::of(message, self.home_country);
        let history = &mut self.history;
        let tag = history.key(TAG, parts.from.and_then(|from| from.tag()).unwrap_or_default());
        let branch = parts.via.and_then(|via| via.branch()).unwrap_or_default();
        let branch = history.key(BRANCH, branch);
        let cseq = message.cseq().map_or(0, |(number, _)| number);
        // Without a Call-ID every message stands for itself.
        let dialog = match message.call_id() {
            Some(_) => dialog,
            None => history.join(history.address_key(meta.source.ip()), meta.timestamp.0),
        };
        let keys = call_keys(history, &parts, meta, message.scan().fingerprint);
        history.prefetch(dialog, &keys);
        // Meanwhile, what does not depend on the past. For the few INVITEs that turn
        // out to be no new call it is for nothing.
        let call = Call { message, meta, parts };
        features::compute_message(&call, &mut self.features);
        let recall = match history.invite(dialog, (tag, branch, cseq), &keys, meta.timestamp) {
            Seen::New(recall) => recall,
            Seen::Again(recall) => {
                self.stats.attempts_again += 1;
                recall
            }
            Seen::Retransmission => {
                self.stats.retransmissions += 1;
                return;
            }
            Seen::Forked => {
                self.stats.forked += 1;
                return;
            }
        };
        let call_key = history.join(history.join(dialog, tag), u64::from(cseq));
        self.assess(&call, &recall, call_key, each);
    }

    fn assess(
        &mut self,
        call: &Call<'_>,
        recall: &Recall,
        call_key: u64,
        each: &mut dyn FnMut(&Assessment<'_>),
    ) {
        features::compute_history(recall, &mut self.features);
        let probability =
            self.model.explain(&self.features, &mut self.contributions, &mut self.model_scratch);
        let score = (probability * 100.0).round() as u8;
        let level = self.levels.level(score);
        let tags = tags(call, recall, &self.features);
        let reasons = Reasons::pick(&self.features, &self.contributions);
        self.stats.verdict(level, tags);
        let verdict = Verdict {
            version: VERSION,
            score,
            level: level as u8,
            action: Action::Pass as u8,
            tags: tags.0,
            call: call_key,
            timestamp: call.meta.timestamp.0,
            fingerprint: call.message.scan().fingerprint,
            model: self.model.id(),
            reasons: reasons.ids(),
            reserved: [0; 6],
            probability,
            latency: 0,
        };
        let parts = &call.parts;
        each(&Assessment {
            verdict,
            call_id: call.message.call_id().unwrap_or_default(),
            caller: parts.from.and_then(|from| from.uri.user).unwrap_or_default(),
            callee: parts.callee_user(),
            from_user: parts.from_user(),
            to_user: parts.to_user(),
            network_number: parts.network_user,
            meta: *call.meta,
            features: &self.features,
            reasons: reasons.as_slice(),
            model: self.model.name(),
        });
    }
}

/// Who calls whom. The network's number comes before the one shown, since a
/// caller can choose the latter; where there is neither, the user at its source.
fn call_keys(
    history: &History,
    parts: &Parts<'_>,
    meta: &PacketMeta,
    fingerprint: u64,
) -> CallKeys {
    let source = history.address_key(meta.source.ip());
    let caller = parts.network.or(parts.shown).map_or_else(
        || {
            let user = parts.network_user.unwrap_or_else(|| parts.from_user());
            history.join(source, history.key(USER, user))
        },
        |number| history.key(NUMBER, number.as_bytes()),
    );
    let callee = parts.callee.map_or_else(
        || history.key(USER, parts.callee_user()),
        |number| history.key(NUMBER, number.as_bytes()),
    );
    CallKeys {
        caller,
        callee,
        pair: history.join(caller, callee),
        source,
        fingerprint: history.join(source, fingerprint),
        withheld: parts.withheld(),
    }
}

#[cfg(test)]
mod tests;
