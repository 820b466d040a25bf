//! What the scoring thread hands over of a call.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use scorer_common::verdict::{Action, REASONS};

use crate::{
    capture::Transport,
    engine::Assessment,
    features::{self, Fingerprint, Vector},
    lists::ListSet,
    policy::Response,
    verdict::{Effect, Reason},
};

/// Texts of a call, in the order they lie in [`Slot::text`].
#[derive(Clone, Copy, Debug)]
#[repr(usize)]
pub(crate) enum Text {
    CallId,
    Caller,
    Network,
    Callee,
    Trunk,
    Model,
    Rule,
    DryRun,
}

const TEXTS: usize = Text::DryRun as usize + 1;

/// Longest of each, bytes; what is longer is cut. Call-IDs of more than some 80 bytes
/// are rare, numbers end at 24 digits, names are the operator's own.
const LONGEST: [usize; TEXTS] = [512, 96, 96, 96, 128, 128, 128, 128];
/// Room for all of them.
const ROOM: usize = 1_312;

/// A copy of an assessment, without a pointer in it: made beforehand, filled again
/// and again.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) ts: u64,
    pub(crate) call: u64,
    pub(crate) fingerprint: u64,
    pub(crate) profile: u64,
    pub(crate) model_id: u64,
    pub(crate) latency: Option<u64>,
    pub(crate) tags: u32,
    pub(crate) probability: f32,
    pub(crate) countries: [u16; 2],
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
    pub(crate) transport: Transport,
    pub(crate) score: u8,
    pub(crate) level: u8,
    pub(crate) signature: Fingerprint,
    pub(crate) policy: Policy,
    pub(crate) lists: ListSet,
    /// What the strongest entry of a list did, and the model's score.
    pub(crate) listed: Option<(Effect, u8)>,
    pub(crate) features: Vector,
    reasons: [Reason; REASONS],
    reason_count: u8,
    text: [u8; ROOM],
    ends: [u16; TEXTS],
}

/// What policy said. The names of rules are texts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// Of [`scorer_common::verdict::Action`].
    pub(crate) action: u8,
    /// How a call is refused, where it is.
    pub(crate) response: Response,
    pub(crate) has_rule: bool,
    /// What is held back.
    pub(crate) would: Option<Action>,
    /// What the first dry run would do.
    pub(crate) dry_run: Option<Action>,
}

impl Slot {
    /// One without a call in it.
    pub(crate) fn new() -> Box<Self> {
        let nowhere = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));
        let reason = Reason { feature: 0, value: 0.0, contribution: 0.0 };
        Box::new(Self {
            ts: 0,
            call: 0,
            fingerprint: 0,
            profile: 0,
            model_id: 0,
            latency: None,
            tags: 0,
            probability: 0.0,
            countries: [0; 2],
            source: nowhere,
            destination: nowhere,
            transport: Transport::Udp,
            score: 0,
            level: 0,
            signature: Fingerprint::default(),
            policy: Policy {
                action: 0,
                response: Response::default(),
                has_rule: false,
                would: None,
                dry_run: None,
            },
            lists: ListSet::default(),
            listed: None,
            features: [0.0; features::COUNT],
            reasons: [reason; REASONS],
            reason_count: 0,
            text: [0; ROOM],
            ends: [0; TEXTS],
        })
    }

    /// Copies a call.
    pub(crate) fn fill(&mut self, a: &Assessment<'_>, latency: Option<u64>) {
        let verdict = &a.verdict;
        self.ts = verdict.timestamp;
        self.call = verdict.call;
        self.fingerprint = verdict.fingerprint;
        self.profile = a.profile;
        self.model_id = verdict.model;
        self.latency = latency;
        self.tags = verdict.tags;
        self.probability = verdict.probability;
        self.countries = a.countries;
        self.source = a.meta.source;
        self.destination = a.meta.destination;
        self.transport = a.meta.transport;
        self.score = verdict.score;
        self.level = verdict.level;
        self.signature = a.signature;
        self.policy = Policy {
            action: verdict.action,
            response: a.decision.response,
            has_rule: a.decision.rule.is_some(),
            would: a.decision.would.map(|would| would.action),
            dry_run: a.decision.dry_run.map(|would| would.action),
        };
        self.lists = a.lists;
        self.listed = a.listed.map(|listed| (listed.effect, listed.model_score));
        let count = a.features.len().min(self.features.len());
        self.features[..count].copy_from_slice(&a.features[..count]);
        self.features[count..].fill(f32::NAN);
        let count = a.reasons.len().min(REASONS);
        self.reasons[..count].copy_from_slice(&a.reasons[..count]);
        self.reason_count = count as u8;
        let texts = [
            a.call_id,
            a.caller,
            a.network_number.unwrap_or_default(),
            a.callee,
            a.trunk.unwrap_or_default().as_bytes(),
            a.model.as_bytes(),
            a.decision.rule.unwrap_or_default().as_bytes(),
            a.decision.dry_run.and_then(|would| would.rule).unwrap_or_default().as_bytes(),
        ];
        let mut at = 0;
        for ((text, longest), end) in texts.into_iter().zip(LONGEST).zip(&mut self.ends) {
            let cut = &text[..text.len().min(longest)];
            self.text[at..at + cut.len()].copy_from_slice(cut);
            at += cut.len();
            *end = at as u16;
        }
    }

    /// One of its texts; empty where the call has none.
    pub(crate) fn text(&self, which: Text) -> &[u8] {
        let at = which as usize;
        let start = if at == 0 { 0 } else { usize::from(self.ends[at - 1]) };
        &self.text[start..usize::from(self.ends[at])]
    }

    /// Reasons, strongest first.
    pub(crate) fn reasons(&self) -> &[Reason] {
        &self.reasons[..usize::from(self.reason_count)]
    }
}

const _: () = {
    let (mut sum, mut at) = (0, 0);
    while at < TEXTS {
        sum += LONGEST[at];
        at += 1;
    }
    assert!(sum == ROOM);
};

#[cfg(test)]
mod tests {
    use super::{LONGEST, Slot, Text};
    use crate::records::testing::Call;

    #[test]
    fn a_slot_filled_again_holds_nothing_of_the_call_before() {
        let mut slot = Slot::new();
        let long = Call {
            call_id: vec![b'x'; 70_000],
            caller: vec![0xff; 70_000],
            network: Some("+441632960009"),
            callee: vec![b'7'; 96],
            ..Call::new(1)
        };
        long.assessed(|assessment| slot.fill(assessment, Some(5)));
        assert_eq!(slot.text(Text::CallId).len(), LONGEST[Text::CallId as usize]);
        assert_eq!(slot.text(Text::Caller), [0xff; 96]);
        assert_eq!(slot.text(Text::Network), b"+441632960009");
        assert_eq!(slot.text(Text::Rule), b"refuse");
        assert_eq!(slot.latency, Some(5));
        Call { call_id: Vec::new(), ..Call::new(2) }
            .assessed(|assessment| slot.fill(assessment, None));
        assert_eq!(slot.text(Text::CallId), b"");
        assert_eq!(slot.text(Text::Caller), b"+441632960002");
        assert_eq!(slot.text(Text::Network), b"");
        assert_eq!(slot.text(Text::DryRun), b"tarpit");
        assert_eq!((slot.latency, slot.reasons().len()), (None, 1));
    }

    #[test]
    fn a_vector_of_fewer_features_leaves_the_rest_unknown() {
        let mut slot = Slot::new();
        let call = Call::new(1);
        call.assessed(|assessment| slot.fill(assessment, None));
        call.assessed(|assessment| {
            let few = crate::engine::Assessment { features: &[1.5], ..*assessment };
            slot.fill(&few, None);
        });
        assert_eq!(slot.features[0], 1.5);
        assert!(slot.features[1..].iter().all(|value| value.is_nan()));
    }
}
