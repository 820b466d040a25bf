//! The engine: frames in, assessments of calls out.

mod stats;
mod trial;

use std::sync::Arc;

use scorer_common::{
    Verdict,
    verdict::{Action, Level, Tag, Tags, VERSION},
};

pub use crate::verdict::{Reason, Thresholds};
pub use stats::{EngineStats, Sample};
pub use trial::TrialStats;

use trial::Trial;

use crate::{
    capture::{Assembler, AssemblerConfig, AssemblerStats, Frame, PacketMeta, SipPacket},
    cases::Ruled,
    env::{Env, EnvConfig, EnvError, Place},
    features::{self, Call, Parts, Traits, Vector, id},
    geo::{self, Located},
    history::{
        CallFact, CallKeys, Change, Event, Fact, History, HistoryConfig, Mark, Merged, Recall,
        Ringing, Seen,
    },
    lists::{Hits, List, ListSet, Query},
    model::{self, Day, Drift, InUse, Model},
    number::{About, Number, Plan},
    policy::{Decision, Facts, Would},
    profiles::{Belongs, Evidence, Found, id_of},
    share::{self, Index, Shared, pseudonym::Marks, sketch},
    sip::{self, Message, Method, NameAddr, StartLine},
    stir::{self, Budget, Store, Subject},
    time::Timestamp,
    verdict::{Effect, ListRules, Reasons, list_feature, rule, tags},
};

/// Everything said about one call. Borrowed for the time of the callback.
#[derive(Clone, Copy, Debug)]
pub struct Assessment<'a> {
    /// The record that travels.
    pub verdict: Verdict,
    /// Call-ID as it stands; empty when there is none.
    pub call_id: &'a [u8],
    /// From tag; empty when there is none.
    pub from_tag: &'a [u8],
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
    /// How it is signalled, in text; see docs/fingerprint.md.
    pub signature: features::Fingerprint,
    /// Name of the trunk it came over, where that is configured.
    pub trunk: Option<&'a str>,
    /// Feature vector, in registry order.
    pub features: &'a [f32],
    /// Reasons, strongest first.
    pub reasons: &'a [Reason],
    /// Model's name.
    pub model: &'a str,
    /// Lists that name it.
    pub lists: ListSet,
    /// What the strongest of their entries did to the score.
    pub listed: Option<Listed<'a>>,
    /// What policy says is to be done; the verdict's action is its.
    pub decision: Decision<'a>,
    /// Id of the caller's profile; 0 where profiles are switched off.
    pub profile: u64,
    /// E.164 country codes of caller and callee; 0 where one is not known.
    pub countries: [u16; 2],
    /// The INVITE as it stands.
    pub message: &'a [u8],
    /// What speaks for who is behind the call.
    pub evidence: Evidence,
    /// How the profile was found.
    pub belongs: Belongs,
    /// What other organisations say of the caller; `None` where they say nothing.
    pub shared: Option<Shared<'a>>,
    /// What the caller can be named by to them; of no use where no consortium is joined.
    pub marks: Marks,
    /// It takes the place of a verdict on the same call that was told before.
    pub update: bool,
}

/// What is to be done with a call, told before all that is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Urgent<'a> {
    /// The record that travels.
    pub verdict: Verdict,
    /// What policy says is to be done.
    pub decision: Decision<'a>,
    /// Model's name.
    pub model: &'a str,
    /// The INVITE.
    pub message: &'a Message<'a>,
}

/// What an entry of a list did to a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed<'a> {
    /// List of the entry.
    pub list: List,
    /// What was done.
    pub effect: Effect,
    /// Feature that stands for the list; a reason of it is this entry's.
    pub feature: u16,
    /// Why the entry is there, as its author says; empty where nothing is said.
    pub reason: &'a str,
    /// Score of the model alone, 0–100.
    pub model_score: u8,
}

/// Bounds, thresholds and where the operator is.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Ports and bounds of the packet side.
    pub assembler: AssemblerConfig,
    /// Sizes of the history.
    pub history: HistoryConfig,
    /// Scores at which levels begin.
    pub levels: Thresholds,
    /// Number tables, trunks, lists.
    pub env: EnvConfig,
    /// Signatures checked in a second at most.
    pub signature_checks: u32,
    /// What lists may do to scores.
    pub lists: ListRules,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            assembler: AssemblerConfig::default(),
            history: HistoryConfig::default(),
            levels: Thresholds::default(),
            env: EnvConfig::default(),
            signature_checks: 500,
            lists: ListRules::default(),
        }
    }
}

/// Turns frames into assessments. Pure: no I/O, no clock, no threads.
#[derive(Debug)]
pub struct Engine {
    assembler: Assembler,
    /// Apart from the scorer, which is used while a message borrows it.
    scratch: sip::Scratch,
    scorer: Scorer,
}

/// Changes of calls that wait to be taken; a frame brings one or, over TCP, a few.
const CHANGES: usize = 256;
/// Facts that do: the smallest messages that are any take 64 bytes of a TCP segment.
const FACTS: usize = 1_024;

impl Engine {
    /// An engine that has seen nothing.
    ///
    /// # Errors
    /// [`EnvError`] when a file of the configuration cannot be used.
    pub fn new(config: &EngineConfig, model: Arc<Model>) -> Result<Self, EnvError> {
        let env = Arc::new(Env::load(&config.env, config.levels)?);
        let mut this = Self {
            assembler: Assembler::new(&config.assembler),
            scratch: sip::Scratch::new(),
            scorer: Scorer {
                history: History::new(&config.history),
                levels: config.levels,
                lists: config.lists,
                env,
                plan: Plan::new(),
                located: geo::Memory::new(),
                recall: Box::default(),
                store: None,
                budget: Budget::new(config.signature_checks),
                passports: stir::Scratch::default(),
                drift: drift(&model),
                trial: Trial::new(),
                consortium: None,
                crowds: None,
                model,
                model_scratch: model::Scratch::default(),
                features: [f32::NAN; features::COUNT],
                contributions: [0.0; features::COUNT],
                changes: Vec::with_capacity(CHANGES),
                ringing: Vec::with_capacity(CHANGES),
                facts: config.history.shared.map(|_| Vec::with_capacity(FACTS)),
                now: Timestamp(0),
                stats: EngineStats::default(),
            },
        };
        this.scorer.want(Timestamp(0));
        Ok(this)
    }

    /// Takes one frame; calls `each` once for every call attempt first seen in it.
    pub fn inspect(&mut self, frame: &Frame<'_>, each: &mut dyn FnMut(&Assessment<'_>)) {
        self.inspect_at_once(frame, &mut |_| {}, each);
    }

    /// The same; `at_once` is called before, as soon as a call's verdict is there. What that
    /// does not depend on, such as whose call it is, is looked for in between.
    pub fn inspect_at_once(
        &mut self,
        frame: &Frame<'_>,
        at_once: &mut dyn FnMut(&Urgent<'_>),
        each: &mut dyn FnMut(&Assessment<'_>),
    ) {
        let Self { assembler, scratch, scorer } = self;
        let mut told = Told { at_once, each };
        assembler.push(frame, &mut |packet| scorer.packet(packet, scratch, &mut told));
    }

    /// Scores what waits behind TCP segments that will not come: call it about once
    /// a second with the time now, in packets' time; with `None` at the end.
    pub fn settle(&mut self, now: Option<Timestamp>, each: &mut dyn FnMut(&Assessment<'_>)) {
        let Self { assembler, scratch, scorer } = self;
        let mut told = Told { at_once: &mut |_| {}, each };
        assembler.settle(now, &mut |packet| scorer.packet(packet, scratch, &mut told));
    }

    /// How calls went on since this was last asked for; of more than 256 the first.
    pub fn changes(&mut self) -> impl Iterator<Item = Change> {
        self.scorer.changes.drain(..)
    }

    /// Calls that ring, since this was last asked for; of more than 256 the first.
    pub fn ringing(&mut self) -> impl Iterator<Item = Ringing> {
        self.scorer.ringing.drain(..)
    }

    /// What other hosts of a cluster shall count, since this was last asked for; nothing
    /// outside a cluster.
    pub fn facts(&mut self) -> impl Iterator<Item = Fact> {
        self.scorer.facts.iter_mut().flat_map(|facts| facts.drain(..))
    }

    /// Counts what another host told; at most a microsecond or a few.
    pub fn merge(&mut self, host: u64, fact: &Fact) -> Merged {
        self.scorer.history.merge(host, fact)
    }

    /// Notes how far a host's facts are counted, by the message of the stream with this
    /// number, if it was by one.
    pub fn mark(&mut self, mark: Mark, stream: Option<u64>) {
        let marks = &mut self.scorer.history.marks;
        marks.set(mark);
        marks.stream = stream.unwrap_or(marks.stream);
    }

    /// Scores with other models from the next call on: the challenger, if there is one,
    /// a share of calls from 0 to 1 in the shadow. Gives back those that were in use,
    /// to be freed elsewhere.
    pub fn set_models(
        &mut self,
        champion: Arc<Model>,
        challenger: Option<Arc<Model>>,
        share: f64,
    ) -> InUse {
        let scorer = &mut self.scorer;
        scorer.drift = drift(&champion);
        let champion = Some(std::mem::replace(&mut scorer.model, champion));
        InUse { champion, challenger: scorer.trial.set(challenger, share) }
    }

    /// The model on trial.
    pub fn challenger(&self) -> Option<&Arc<Model>> {
        self.scorer.trial.challenger()
    }

    /// How the models compare.
    pub fn trial(&self) -> &TrialStats {
        self.scorer.trial.stats()
    }

    /// How far the last whole day's calls were from those the model was trained on.
    pub fn drift(&self) -> Option<Arc<Day>> {
        self.scorer.drift.as_ref()?.last()
    }

    /// Judges by other tables and lists from the next call on; gives back what was in
    /// use, since freeing millions of ranges takes longer than a call.
    pub fn set_env(&mut self, env: Arc<Env>) -> Arc<Env> {
        // What was remembered of addresses may be of another database.
        self.scorer.located = geo::Memory::new();
        let old = std::mem::replace(&mut self.scorer.env, env);
        if !Arc::ptr_eq(&old.cases, &self.scorer.env.cases) {
            self.scorer.want(self.scorer.now);
        }
        old
    }

    /// What calls are judged by.
    pub fn env(&self) -> &Arc<Env> {
        &self.scorer.env
    }

    /// Makes the marks by which callers are told to other organisations, and finds them.
    pub fn join_consortium(&mut self) {
        self.scorer.crowds.get_or_insert_with(sketch::Crowds::new);
    }

    /// Looks calls up in what other organisations say, from the next one on; gives back
    /// what was in use, to be freed elsewhere. [`Self::join_consortium`] comes before.
    pub fn set_consortium(&mut self, index: Arc<Index>) -> Option<Arc<Index>> {
        self.scorer.consortium.replace(index)
    }

    /// Judges a call anew of which other organisations were found to say something after
    /// its verdict. An allowed caller's verdict stays, and what a case orders does.
    pub fn again(&mut self, was: &share::Pending, each: &mut dyn FnMut(&Assessment<'_>)) {
        if let Some((index, hit)) = &was.answer {
            self.scorer.again(was, Shared::new(index, *hit), each);
        }
    }

    /// Checks signatures with certificates from this store.
    pub fn set_store(&mut self, store: Arc<Store>) {
        self.scorer.store = Some(store);
    }

    /// What is remembered of past calls.
    pub fn history(&self) -> &History {
        &self.scorer.history
    }

    /// Goes on with another history, such as one from a snapshot.
    pub fn set_history(&mut self, history: History) {
        self.scorer.history = history;
        self.scorer.want(self.scorer.now);
    }

    /// Takes a label for a call by its Call-ID; false when it is not remembered.
    pub fn label(&mut self, call_id: &[u8], fraud: bool, organisation: u8, now: Timestamp) -> bool {
        let scorer = &mut self.scorer;
        let dialog = scorer.history.key(CALL_ID, call_id);
        scorer.trial.label(dialog, fraud, scorer.levels.high);
        let label = scorer.history.label(dialog, fraud, organisation, now);
        if let Some((label, true)) = label {
            scorer.tell(Fact::Labelled(label));
        }
        label.is_some()
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

/// Who is told of calls.
struct Told<'t> {
    at_once: &'t mut dyn FnMut(&Urgent<'_>),
    each: &'t mut dyn FnMut(&Assessment<'_>),
}

/// Everything behind the assembler.
#[derive(Debug)]
struct Scorer {
    history: History,
    levels: Thresholds,
    lists: ListRules,
    env: Arc<Env>,
    plan: Plan,
    located: geo::Memory,
    recall: Box<Recall>,
    store: Option<Arc<Store>>,
    budget: Budget,
    passports: stir::Scratch,
    model: Arc<Model>,
    model_scratch: model::Scratch,
    trial: Trial,
    drift: Option<Drift>,
    /// What other organisations say, where a consortium is joined.
    consortium: Option<Arc<Index>>,
    /// Where calls' marks are made: for a consortium, or for one who wants to tell it.
    crowds: Option<sketch::Crowds>,
    features: Vector,
    contributions: Vector,
    changes: Vec<Change>,
    ringing: Vec<Ringing>,
    /// For the other hosts of a cluster, where there is one.
    facts: Option<Vec<Fact>>,
    /// Time of the last call, packets' time.
    now: Timestamp,
    stats: EngineStats,
}

/// Kinds of keys, so that a user named as a Call-ID is not taken for one.
const NUMBER: u8 = 1;
const USER: u8 = 2;
const CALL_ID: u8 = 3;
const TAG: u8 = 4;
const BRANCH: u8 = 5;
const RANGE: u8 = 6;
const AGENT: u8 = 7;
const NETWORK: u8 = 8;
const TRUNK: u8 = 9;
const COUNTRY: u8 = 10;

/// Of this many calls one is counted for drift.
const DRIFT_SAMPLE: u64 = 16;

fn drift(model: &Model) -> Option<Drift> {
    model.reference().map(|reference| Drift::new(Arc::clone(reference)))
}

impl Scorer {
    fn packet(&mut self, packet: &SipPacket<'_>, scratch: &mut sip::Scratch, told: &mut Told<'_>) {
        match Message::parse(packet.bytes, packet.scan, scratch) {
            Ok(message) => self.message(&message, packet, told),
            Err(error) => self.stats.parse_failure(error),
        }
    }

    fn message(&mut self, message: &Message<'_>, packet: &SipPacket<'_>, told: &mut Told<'_>) {
        let dialog = self.history.key(CALL_ID, message.call_id().unwrap_or_default());
        let event = match *message.start() {
            StartLine::Request { method: Method::Invite, .. } => {
                self.stats.invites += 1;
                let to = message.to();
                let has_to_tag = to.is_some_and(|to| to.tag().is_some());
                if !has_to_tag {
                    return self.invite(message, to, packet, dialog, told);
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
        let taken = self.history.event(dialog, event, packet.meta.timestamp);
        self.stats.strangers += u64::from(!taken.known);
        // Nobody may ask for them: the room is bounded, and never grows.
        if let Some(change) = taken.change
            && self.changes.len() < CHANGES
        {
            self.changes.push(change);
        }
        if let Some(ringing) = taken.ringing
            && self.ringing.len() < CHANGES
        {
            self.ringing.push(ringing);
        }
        if let Some(ended) = taken.counted {
            self.tell(Fact::Ended(ended));
        }
    }

    /// Has a fact told to the other hosts.
    #[expect(clippy::large_types_passed_by_value, reason = "it is moved into the queue")]
    fn tell(&mut self, fact: Fact) {
        if let Some(facts) = &mut self.facts
            && facts.len() < FACTS
        {
            facts.push(fact);
        }
    }

    /// An INVITE that would create a dialog.
    fn invite(
        &mut self,
        message: &Message<'_>,
        to: Option<NameAddr<'_>>,
        packet: &SipPacket<'_>,
        dialog: u64,
        told: &mut Told<'_>,
    ) {
        let meta = &packet.meta;
        // A reload may come between two calls, not within one.
        let env = Arc::clone(&self.env);
        let parts = Parts::of(message, to, env.home_country);
        let history = &self.history;
        // Without a Call-ID every message stands for itself.
        let dialog = match message.call_id() {
            Some(_) => dialog,
            None => history.join(history.address_key(meta.source.ip()), meta.timestamp.0 | 1),
        };
        // What is cold in the caches comes while the header is read; the rest below.
        let who = who_keys(history, &parts, meta);
        history.prefetch(dialog, &who);
        let mut call = Call {
            message,
            meta,
            parts,
            env: &env,
            place: Place::default(),
            caller_about: About::default(),
            callee_about: About::default(),
            hits: Hits::default(),
            stir: stir::Facts::default(),
        };
        let traits = features::compute_shape(&call, &mut self.features);
        self.look_up(&mut call, &traits);
        let consortium = self.consortium.clone();
        let (marks, said) = self.ask_consortium(consortium.as_deref(), &mut call, &traits);
        let history = &mut self.history;
        let tag = history.key(TAG, parts.from_tag);
        let branch = history.key(BRANCH, parts.branch.unwrap_or_default());
        let cseq = parts.cseq.unwrap_or(0);
        let keys = call_keys(history, &call, &traits, who);
        history.prefetch(dialog, &keys);
        let evidence = Evidence::of(&call, &traits);
        if let Some(callers) = &history.callers {
            callers.prefetch(&evidence);
        }
        // Meanwhile, what does not depend on the past. For the few INVITEs that turn
        // out to be no new call it is for nothing.
        features::compute_parties(&call, &mut self.features);
        history.prefetch_values(dialog, &keys);
        let callers = &mut history.callers;
        if let Some(callers) = callers {
            callers.prefetch_values(&evidence);
        }
        features::compute_rest(&call, &mut self.features);
        if let Some(callers) = callers {
            callers.look(&evidence, meta.timestamp);
        }
        let ids = (tag, branch, cseq);
        let seen = history.invite(dialog, ids, &keys, meta.timestamp, &mut self.recall);
        match seen {
            Seen::Retransmission => {
                self.stats.retransmissions += 1;
                return;
            }
            Seen::Forked => {
                self.stats.forked += 1;
                return;
            }
            Seen::New | Seen::Elsewhere => self.now = meta.timestamp,
            Seen::Again => self.stats.attempts_again += 1,
        }
        // Whose call it is matters to the verdict only where a case wants somebody.
        let found = if env.cases.is_empty() { None } else { self.find(&evidence, meta) };
        let case = found.and_then(|found| env.cases.get(found.case?));
        if case.is_some() {
            call.hits.denied_by_case();
        }
        features::compute_lists(&call, &mut self.features);
        let call_key = self.history.attempt_key(dialog, tag, cseq);
        let shared = consortium.as_deref().zip(said).map(|(index, hit)| Shared::new(index, hit));
        let confirmed = shared.is_some_and(|shared| shared.hit.confirmed > 0);
        let judged = self.judge(&call, case, confirmed, call_key);
        (told.at_once)(&Urgent {
            verdict: judged.verdict,
            decision: judged.decision,
            model: self.model.name(),
            message,
        });
        // The call is on its way, where it waits for its verdict.
        self.count(&judged, dialog, keys.profile, meta.timestamp);
        let found = found.or_else(|| self.find(&evidence, meta));
        let mut belongs = found.map_or(Belongs::NOBODY, |found| found.belongs);
        let (mut fact, mut place) = (None, None);
        if seen == Seen::New {
            let id = id_of(message.call_id().unwrap_or_default(), meta.timestamp);
            if let (Some(callers), Some(found)) = (&mut self.history.callers, &found) {
                let (at, settled) = callers.settle(found, id, meta.timestamp);
                (place, belongs) = (Some(at), settled);
            }
            if self.facts.is_some() {
                let new = CallFact::new(dialog, &keys, meta.timestamp);
                fact = Some(CallFact { id, evidence, probability: judged.modelled, ..new });
            }
        }
        let who = Who { evidence, belongs, marks, shared };
        (told.each)(&self.assessment(&call, &traits, &judged, &who));
        if let Some((callers, at)) = self.history.callers.as_mut().zip(place) {
            callers.learn(at, &evidence, meta.timestamp);
        }
        if let Some(fact) = fact {
            self.tell(Fact::Call(fact));
        }
    }

    /// Looks for the profile of the call that was looked for last.
    fn find(&self, evidence: &Evidence, meta: &PacketMeta) -> Option<Found> {
        let callers = self.history.callers.as_ref()?;
        Some(callers.find_looked(evidence, meta.timestamp))
    }

    /// What other organisations say of the caller, and what it can be named by to them.
    fn ask_consortium(
        &mut self,
        index: Option<&Index>,
        call: &mut Call<'_>,
        traits: &Traits<'_>,
    ) -> (Marks, Option<share::Match>) {
        let Some(crowds) = &mut self.crowds else { return (Marks::default(), None) };
        let (parts, now) = (&call.parts, call.meta.timestamp);
        let marks = Marks {
            shown: parts.shown,
            network: parts.network,
            fingerprint: traits.text(call.meta),
            sketch: sketch::sketch(call, traits),
        };
        let crowd = marks.sketch.is_some_and(|sketch| {
            crowds.note(&sketch, marks.network.as_ref(), marks.shown.as_ref(), now)
        });
        // A crowd is nobody, and nobody is told of it.
        let marks = Marks { sketch: marks.sketch.filter(|_| !crowd), ..marks };
        let said = index.and_then(|index| index.look(&marks, crowd, now));
        if let Some(said) = &said {
            said.tell(&mut call.hits, now);
        }
        (marks, said)
    }

    /// What others say is told, whether the model makes much of it or not.
    fn consortium_reason(&self) -> Reason {
        let feature = id::CONSORTIUM_MATCHES;
        let (value, contribution) =
            (self.features[usize::from(feature)], self.contributions[usize::from(feature)]);
        let contribution = if contribution.is_nan() { 0.0 } else { contribution };
        Reason { feature, value, contribution }
    }

    fn again(
        &mut self,
        was: &share::Pending,
        shared: Shared<'_>,
        each: &mut dyn FnMut(&Assessment<'_>),
    ) {
        let env = Arc::clone(&self.env);
        let Some(features) = was.features.first_chunk() else { return };
        let mut tags = Tags(was.verdict.tags);
        let allowed = tags.contains(Tag::Allowlisted);
        let mut hits = Hits { lists: was.lists, ..Hits::default() };
        if !allowed {
            shared.hit.tell(&mut hits, was.meta.timestamp);
            tags.set(Tag::Consortium, hits.consortium > 0);
        }
        self.features = *features;
        let mut set = |feature: u16, value: f32| self.features[usize::from(feature)] = value;
        set(id::CONSORTIUM_MATCHES, f32::from(hits.consortium));
        set(id::CONSORTIUM_AGE, hits.consortium_age);
        let scratch = &mut self.model_scratch;
        let probability = self.model.explain(&self.features, &mut self.contributions, scratch);
        let score = (probability * 100.0).round() as u8;
        // What lists made of the score stands.
        let stands = allowed || was.lists.meets(ListSet::DENY) && was.verdict.score > score;
        let (score, probability) = if stands {
            (was.verdict.score, was.verdict.probability)
        } else {
            (score, probability)
        };
        let mut reasons = Reasons::pick(&self.features, &self.contributions);
        if hits.consortium > 0 {
            reasons.first(self.consortium_reason());
        }
        let verdict = Verdict {
            score,
            level: self.levels.level(score) as u8,
            tags: tags.0,
            model: self.model.id(),
            reasons: reasons.ids(),
            probability,
            ..was.verdict
        };
        let [call_id, from_tag, caller, callee, from_user, to_user] = was.texts();
        let mut told = Assessment {
            verdict,
            call_id,
            from_tag,
            caller,
            callee,
            from_user,
            to_user,
            network_number: was.network(),
            meta: was.meta,
            signature: was.signature,
            trunk: was.trunk(),
            features: &self.features,
            reasons: reasons.as_slice(),
            model: self.model.name(),
            lists: hits.lists,
            listed: None,
            decision: Decision::PASS,
            profile: was.profile,
            countries: was.countries,
            message: &was.message,
            evidence: was.evidence,
            belongs: was.belongs,
            shared: Some(shared),
            marks: was.marks,
            update: true,
        };
        let facts = Facts::of(&told, env.home_country);
        let policy = env.policy.as_deref();
        told.decision = policy.map_or(Decision::PASS, |policy| policy.decide(&facts));
        told.verdict.action = told.decision.action as u8;
        each(&told);
    }

    /// Follows the profiles of open cases.
    fn want(&mut self, now: Timestamp) {
        let Some(callers) = &mut self.history.callers else {
            if !self.env.cases.is_empty() {
                log::warn!("cases are not followed: profiles are switched off (profiles.mib = 0)");
            }
            return;
        };
        let cases = self.env.cases.iter().enumerate();
        let profiles = cases.flat_map(|(number, case)| {
            case.profiles.iter().map(move |(id, portrait)| (number, *id, portrait))
        });
        let unknown = callers.want(profiles, now);
        if unknown > 0 {
            log::warn!(
                "{unknown} profiles of cases are not known here: attach them with --capture, \
                 which tells what they are known by"
            );
        }
    }

    /// Where the call comes from, what the tables say of its numbers, which lists
    /// name it.
    fn look_up(&mut self, call: &mut Call<'_>, traits: &Traits<'_>) {
        let (env, meta) = (call.env, call.meta);
        let source = meta.source.ip();
        let located = env
            .addresses
            .as_ref()
            .map_or_else(Located::default, |base| self.located.look(base, source));
        call.place = Place::new(env.trunks.of(source), located);
        let mut about = |number: Option<&Number>| {
            About::of(number, &mut self.plan, &env.ranges, meta.timestamp)
        };
        call.caller_about = about(call.parts.caller().as_ref());
        call.callee_about = about(call.parts.callee.as_ref());
        // What is signed is the network's number, where it is known.
        let subject = Subject {
            caller: call.parts.network.as_ref().or(call.parts.shown.as_ref()),
            callee: call.parts.callee.as_ref(),
            now: meta.timestamp,
        };
        let store = self.store.as_deref();
        let (budget, passports) = (&mut self.budget, &mut self.passports);
        call.stir = stir::examine(call.message, &subject, store, budget, passports);
        call.hits = env.lists.look(&Query {
            shown: call.parts.shown.as_ref(),
            network: call.parts.network.as_ref(),
            fingerprint: traits.order,
            profile: traits.signature,
            source,
            trunk: call.place.trunk,
            now: meta.timestamp,
        });
    }

    /// The verdict on a call, and what is to be done with it.
    fn judge<'e>(
        &mut self,
        call: &Call<'e>,
        case: Option<&'e Ruled>,
        confirmed: bool,
        call_key: u64,
    ) -> Judged<'e> {
        features::compute_history(&self.recall, &mut self.features);
        let modelled =
            self.model.explain(&self.features, &mut self.contributions, &mut self.model_scratch);
        let score = (modelled * 100.0).round() as u8;
        // From here on the score is the verdict's: what the model says, held against the
        // lists; and the policy decides by it.
        let ruling = rule(&call.hits, &self.features, score, self.levels, self.lists);
        let level = self.levels.level(ruling.score);
        let probability =
            if ruling.score == score { modelled } else { f32::from(ruling.score) / 100.0 };
        let mut tags = tags(call, &self.recall, &self.features);
        tags.set(Tag::Allowlisted, ruling.allowed);
        let mut reasons = Reasons::pick(&self.features, &self.contributions);
        if confirmed {
            reasons.first(self.consortium_reason());
        }
        if ruling.allowed {
            // The own allow list goes first.
            tags.set(Tag::Consortium, false);
        }
        ruling.reasons.into_iter().rev().flatten().for_each(|reason| reasons.first(reason));
        let parts = &call.parts;
        let trunk = call.place.trunk.and_then(|at| call.env.trunks.0.get(usize::from(at)));
        let trunk = trunk.map(|trunk| &*trunk.name);
        let others = [List::Consortium, List::ConsortiumStrong].into_iter().collect();
        let lists = call.hits.lists.without(if ruling.allowed { others } else { ListSet::ALLOW });
        let facts = Facts {
            score: ruling.score,
            level,
            tags,
            lists,
            caller: parts.caller(),
            network: parts.network,
            callee: parts.callee,
            withheld: parts.withheld(),
            trunk,
            source: call.meta.source.ip(),
            time: call.meta.timestamp,
        };
        let policy = call.env.policy.as_deref();
        let decision = policy.map_or(Decision::PASS, |policy| policy.decide(&facts));
        let decision = match case {
            Some(case) => ordered(case, decision, tags, call.env.observe),
            None => decision,
        };
        let listed = ruling.hit.zip(ruling.effect).map(|(hit, effect)| Listed {
            list: hit.list,
            effect,
            feature: list_feature(hit.list),
            reason: match case {
                Some(case) if hit.is_case() => &case.reason,
                _ => call.env.lists.reason(hit),
            },
            model_score: score,
        });
        let verdict = Verdict {
            version: VERSION,
            score: ruling.score,
            level: level as u8,
            action: decision.action as u8,
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
        Judged {
            verdict,
            level,
            effect: ruling.effect,
            reasons,
            lists,
            listed,
            decision,
            trunk,
            modelled,
            score,
        }
    }

    /// Counts a verdict, and holds the challenger's against it.
    fn count(&mut self, judged: &Judged<'_>, dialog: u64, profile: u64, now: Timestamp) {
        let Judged { verdict, modelled, score, .. } = judged;
        let scratch = &mut self.model_scratch;
        let ids = (dialog, verdict.call);
        self.trial.call(ids, &self.features, *score, self.levels.high, scratch);
        if let Some(drift) =
            self.drift.as_mut().filter(|_| verdict.call.is_multiple_of(DRIFT_SAMPLE))
        {
            drift.count(&self.features, modelled * 100.0, now);
        }
        self.history.scored(profile, *modelled);
        self.stats.verdict(judged.level, Tags(verdict.tags), &judged.decision, judged.effect);
    }

    fn assessment<'a>(
        &'a self,
        call: &Call<'a>,
        traits: &Traits<'_>,
        judged: &'a Judged<'a>,
        who: &Who<'a>,
    ) -> Assessment<'a> {
        let parts = &call.parts;
        Assessment {
            verdict: judged.verdict,
            call_id: call.message.call_id().unwrap_or_default(),
            from_tag: parts.from_tag,
            caller: parts.from.and_then(|from| from.uri.user).unwrap_or_default(),
            callee: parts.callee_user(),
            from_user: parts.from_user(),
            to_user: parts.to_user(),
            network_number: parts.network_user,
            meta: *call.meta,
            signature: traits.text(call.meta),
            trunk: judged.trunk,
            features: &self.features,
            reasons: judged.reasons.as_slice(),
            model: self.model.name(),
            lists: judged.lists,
            listed: judged.listed,
            decision: judged.decision,
            profile: who.belongs.profile,
            countries: [call.caller_about.country, call.callee_about.country],
            message: call.message.bytes(),
            evidence: who.evidence,
            belongs: who.belongs,
            shared: who.shared,
            marks: who.marks,
            update: false,
        }
    }
}

/// The verdict on a call, and what led to it.
#[derive(Debug)]
struct Judged<'a> {
    verdict: Verdict,
    level: Level,
    effect: Option<Effect>,
    reasons: Reasons,
    lists: ListSet,
    listed: Option<Listed<'a>>,
    decision: Decision<'a>,
    trunk: Option<&'a str>,
    /// The model's probability and score, whatever lists made of them.
    modelled: f32,
    score: u8,
}

/// Who is behind a call.
struct Who<'a> {
    evidence: Evidence,
    belongs: Belongs,
    marks: Marks,
    shared: Option<Shared<'a>>,
}

/// What a case has done, which goes before the policy's rules; never with a call to an
/// emergency number.
fn ordered<'a>(case: &'a Ruled, decision: Decision<'a>, tags: Tags, observe: bool) -> Decision<'a> {
    let Some(action) = case.action.filter(|_| !tags.contains(Tag::Emergency)) else {
        return decision;
    };
    let response = case.response;
    let target = (action == Action::Divert).then_some(&case.target);
    let (rule, dry_run) = (Some(&*case.rule), decision.dry_run);
    if observe {
        let would = Would { action, response, target, rule };
        let would = (action != Action::Pass).then_some(would);
        return Decision { rule, would, dry_run, ..Decision::PASS };
    }
    Decision { action, response, target, rule, would: None, dry_run }
}

/// Who calls whom, and from where: the keys that are told without the signalling.
fn who_keys(history: &History, parts: &Parts<'_>, meta: &PacketMeta) -> CallKeys {
    let source = history.address_key(meta.source.ip());
    let of_number = |number: &Number| history.key(NUMBER, number.as_bytes());
    let network = parts.network.as_ref().map_or(0, of_number);
    // A caller can choose what it shows; where it shows nothing, the network's.
    let caller = parts.caller().as_ref().map_or_else(
        || {
            let user = parts.network_user.unwrap_or_else(|| parts.from_user());
            history.join(source, history.key(USER, user))
        },
        of_number,
    );
    let callee =
        parts.callee.as_ref().map_or_else(|| history.key(USER, parts.callee_user()), of_number);
    let pair = history.join(caller, callee);
    CallKeys { caller, network, callee, source, pair, ..CallKeys::default() }
}

/// Who calls whom, how, and from where.
fn call_keys(history: &History, call: &Call<'_>, traits: &Traits<'_>, who: CallKeys) -> CallKeys {
    let (parts, meta) = (&call.parts, call.meta);
    let fingerprint = history.join(who.source, traits.order | 1);
    let seven = |number: &Number| {
        let digits = number.as_bytes();
        history.key(RANGE, &digits[..digits.len().min(7)])
    };
    let trait_key = |kind: u64, value: u64| {
        if value == 0 { 0 } else { history.join(kind, value) }
    };
    let agent = traits.agent.map_or(0, |agent| history.key(AGENT, agent));
    let hour = call.caller_about.local_hour(meta.timestamp);
    CallKeys {
        trunk: call.place.trunk.map_or_else(
            || history.key(NETWORK, &network_of(meta.source.ip())),
            // By name: another host of a cluster may have them in another order.
            |trunk| {
                let trunk = call.env.trunks.0.get(usize::from(trunk));
                history.key(TRUNK, trunk.map_or(&[][..], |trunk| trunk.name.as_bytes()))
            },
        ),
        fingerprint,
        range: parts.caller().as_ref().map_or(0, seven),
        country: match call.caller_about.country {
            0 => 0,
            code => history.join(u64::from(COUNTRY), u64::from(code)),
        },
        profile: match (who.network, parts.shown) {
            (0, None) => fingerprint,
            (0, Some(_)) => who.caller,
            _ => who.network,
        },
        origid: trait_key(3, call.stir.origid),
        order: trait_key(1, traits.order),
        agent,
        codecs: trait_key(2, traits.codecs),
        agent_order: history.join(agent, traits.order | 1),
        agent_sdp: history.join(agent, traits.shape | 1),
        signature: traits.signature,
        dialled: parts.callee.as_ref().map_or(0, last_digits),
        withheld: parts.withheld(),
        night: hour.is_some_and(|hour| !(7..23).contains(&hour)),
        high_cost: call.callee_about.high_cost(),
        ..who
    }
}

/// The last nine digits as a number.
fn last_digits(number: &Number) -> u32 {
    let digits = number.as_bytes();
    digits[digits.len().saturating_sub(9)..].iter().fold(0, |n, d| n * 10 + u32::from(d & 15))
}

/// The /24 or /48 that an address is in: what a carrier's servers mostly share.
fn network_of(address: std::net::IpAddr) -> [u8; 7] {
    match address {
        std::net::IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            [4, a, b, c, 0, 0, 0]
        }
        std::net::IpAddr::V6(v6) => {
            let mut network = [6; 7];
            network[1..].copy_from_slice(&v6.octets()[..6]);
            network
        }
    }
}

#[cfg(test)]
mod tests;
