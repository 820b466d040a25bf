//! What becomes of a frame that the kernel handed over: pure, so that it is tested
//! without sockets. Whatever is in doubt goes on as it came.

use std::{io::Write as _, sync::Arc};

use scorer_common::{
    Verdict, steer,
    verdict::{Action, Tag, Tags},
};

use super::{
    edit::{self, Changes},
    layers::{Layers, Unfit},
    memory::{Decided, Memory},
    reject::{self, Status},
};
use crate::{
    engine::Urgent,
    policy::{Response, Target},
    sip::{self, Message, Method, StartLine},
    verdict::header,
};

/// What is to be sent, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// On, as it came.
    On,
    /// On, changed: [`Judge::out`].
    OnChanged,
    /// Back to where it came from: [`Judge::out`].
    Back,
    /// Nowhere.
    Nowhere,
}

/// How frames are changed.
#[derive(Clone, Debug)]
pub struct JudgeConfig {
    /// Name of the risk header.
    pub header: Box<str>,
    /// Largest IP packet that can go on, bytes.
    pub mtu_onwards: usize,
    /// Largest IP packet that can go back, bytes.
    pub mtu_back: usize,
    /// URI in the Call-Info header of 608 responses (RFC 8688 section 3.2), with its
    /// parameters.
    pub call_info: Option<Box<str>>,
    /// Decide everything, change nothing.
    pub observe: bool,
}

macro_rules! counts {
    ($($(#[doc = $doc:literal])+ $field:ident),+ $(,)?) => {
        /// What became of frames.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct JudgeStats { $($(#[doc = $doc])+ pub $field: u64),+ }

        impl JudgeStats {
            /// Name, help and value of every count.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                [$((stringify!($field), concat!($($doc),+), self.$field)),+].into_iter()
            }
        }
    };
}

counts! {
    /// INVITEs passed on as they came.
    passed,
    /// INVITEs passed on with the risk header.
    tagged,
    /// INVITEs sent to another destination.
    diverted,
    /// INVITEs refused with a response.
    rejected,
    /// INVITEs dropped as policy says.
    dropped,
    /// CANCELs and ACKs changed, answered or absorbed as their INVITE was.
    followed,
    /// Forged risk headers taken out.
    forged,
    /// Frames that should have been changed and went on as they came: too long with the change.
    too_long,
    /// Frames that should have been changed and went on as they came: the UDP checksum was wrong.
    bad_checksum,
    /// Frames that should have been changed and went on as they came: no message that can be changed.
    unfit,
    /// Calls to emergency numbers, which are never acted on.
    emergency,
    /// Actions not carried out, since only watching was asked for.
    observed,
    /// INVITEs passed on unscored since their time was up.
    late,
}

/// Decides and changes; one for the scoring thread.
#[derive(Debug)]
pub struct Judge {
    config: JudgeConfig,
    memory: Memory,
    /// What was decided last, until [`Self::remember`].
    decided: Option<(u64, Decided)>,
    /// `None` while it is in use.
    scratch: Option<Box<sip::Scratch>>,
    /// Verdict on the frame at hand, where the engine gave one.
    fresh: Option<Fresh>,
    /// The last model's name, shared by its decisions.
    model: Arc<str>,
    followed: Option<u64>,
    /// The INVITE judged last.
    judged: Option<u64>,
    line: Vec<u8>,
    uri: Vec<u8>,
    more: Vec<u8>,
    out: Vec<u8>,
    stats: JudgeStats,
}

/// What is kept of a verdict until its frame is judged.
#[derive(Debug)]
struct Fresh {
    verdict: Verdict,
    action: Action,
    response: Response,
    target: Option<Arc<Target>>,
}

impl Judge {
    /// One that remembers nothing.
    pub fn new(config: JudgeConfig) -> Self {
        let room = || Vec::with_capacity(2 * steer::FRAME as usize);
        Self {
            config,
            memory: Memory::new(),
            decided: None,
            scratch: None,
            fresh: None,
            model: Arc::from(""),
            followed: None,
            judged: None,
            line: room(),
            uri: room(),
            more: room(),
            out: room(),
            stats: JudgeStats::default(),
        }
    }

    /// The frame to be sent after [`Plan::OnChanged`] and [`Plan::Back`].
    pub fn out(&self) -> &[u8] {
        &self.out
    }

    /// What became of frames so far.
    pub fn stats(&self) -> &JudgeStats {
        &self.stats
    }

    /// Takes note of the engine's verdict on the frame that is judged next.
    pub fn note(&mut self, urgent: &Urgent<'_>) {
        if *self.model != *urgent.model {
            self.model = Arc::from(urgent.model);
        }
        let decision = &urgent.decision;
        self.fresh = Some(Fresh {
            verdict: urgent.verdict,
            action: decision.action,
            response: decision.response,
            target: decision.target.cloned().map(Arc::new),
        });
    }

    /// Passes an INVITE on since its time is up; what was noted of it still counts
    /// for what follows it.
    pub fn late(&mut self, frame: &[u8]) -> Plan {
        self.stats.late += 1;
        // Its retransmission comes in time, and would be changed: then the two
        // would disagree. So the decision is to pass.
        if let Some(fresh) = &mut self.fresh {
            fresh.action = Action::Pass;
        }
        let before = self.stats;
        let plan = self.judge(frame);
        self.stats = JudgeStats { late: before.late, forged: self.stats.forged, ..before };
        plan
    }

    /// The same of an INVITE that [`Self::judge`] passed on before it was scored, its
    /// time being up when it came.
    pub fn scored_after(&mut self) {
        let Some(fresh) = self.fresh.take() else { return };
        self.stats.late += 1;
        // What is decided now comes after what was.
        self.remember();
        if let Some(key) = self.judged {
            let decided = self.decide(&[], Fresh { action: Action::Pass, ..fresh });
            self.memory.put(key, decided);
        }
    }

    /// Decides about a frame. Whether [`Self::note`] was called since the last one
    /// tells whether its INVITE is seen for the first time. An INVITE of which nothing
    /// is known goes on without forged headers.
    pub fn judge(&mut self, frame: &[u8]) -> Plan {
        self.judge_read(frame, None)
    }

    /// The same of a frame whose message was read already; another message is not used.
    pub fn judge_read(&mut self, frame: &[u8], read: Option<&Message<'_>>) -> Plan {
        self.remember();
        let fresh = self.fresh.take();
        self.judged = None;
        let Some(layers) = Layers::of(frame) else {
            self.stats.unfit += 1;
            return Plan::On;
        };
        let text = &frame[layers.text..layers.end];
        if let Some(message) = read.filter(|message| std::ptr::eq(message.bytes(), text)) {
            return self.message(frame, &layers, message, fresh);
        }
        let mut scratch = self.scratch.take().unwrap_or_default();
        let plan = if let Ok(message) = Message::parse(text, None, &mut scratch) {
            self.message(frame, &layers, &message, fresh)
        } else {
            self.stats.unfit += 1;
            Plan::On
        };
        self.scratch = Some(scratch);
        plan
    }

    /// Names, in the kernel's table, the call whose later messages must come here, too:
    /// that of the INVITE judged last, where it was diverted, refused or dropped.
    pub fn take_followed(&mut self) -> Option<u64> {
        self.followed.take()
    }

    fn message(
        &mut self,
        frame: &[u8],
        layers: &Layers,
        message: &Message<'_>,
        fresh: Option<Fresh>,
    ) -> Plan {
        let StartLine::Request { method, uri, .. } = *message.start() else { return Plan::On };
        let Some(key) = self.memory.key(message) else { return Plan::On };
        if method == Method::Invite {
            self.judged = Some(key);
        }
        let decided = match fresh.filter(|_| method == Method::Invite) {
            Some(fresh) => Some(self.decide(uri, fresh)),
            // A cheap copy (two reference counts), so that the rest can use self.
            None => self.memory.get(key).cloned(),
        };
        let Some(mut decided) = decided else {
            return self.unknown(frame, layers, message, method);
        };
        match method {
            Method::Invite => {
                let plan = self.invite(frame, layers, message, key, &decided);
                self.hold_to(plan, message, &mut decided);
                self.decided = Some((key, decided));
                plan
            }
            Method::Cancel => self.cancel(frame, layers, message, key, &decided),
            Method::Ack => self.ack(frame, layers, message, uri, &decided),
            _ => Plan::On,
        }
    }

    /// Passes on what was never decided about.
    fn unknown(
        &mut self,
        frame: &[u8],
        layers: &Layers,
        message: &Message<'_>,
        method: Method,
    ) -> Plan {
        if method != Method::Invite || !self.is_forged(message) {
            return Plan::On;
        }
        self.line.clear();
        self.uri.clear();
        let plan = self.write(frame, layers, message);
        self.stats.forged += u64::from(plan == Plan::OnChanged);
        plan
    }

    /// Keeps what was decided for the messages that follow: once the INVITE is on its way,
    /// which does not wait for that.
    pub fn remember(&mut self) {
        if let Some((key, decided)) = self.decided.take() {
            self.memory.put(key, decided);
        }
    }

    /// What is to be done with an INVITE.
    fn decide(&mut self, uri: &[u8], fresh: Fresh) -> Decided {
        let mut action = fresh.action;
        if action != Action::Pass && Tags(fresh.verdict.tags).contains(Tag::Emergency) {
            self.stats.emergency += 1;
            action = Action::Pass;
        }
        if action != Action::Pass && self.config.observe {
            self.stats.observed += 1;
            action = Action::Pass;
        }
        Decided {
            verdict: fresh.verdict,
            model: Arc::clone(&self.model),
            action,
            response: fresh.response,
            target: fresh.target,
            uri: self.memory.hash(uri),
        }
    }

    /// Sees to it that what follows an INVITE is treated as the INVITE was.
    fn hold_to(&mut self, plan: Plan, message: &Message<'_>, decided: &mut Decided) {
        match decided.action {
            Action::Pass | Action::Tag => {}
            // It could not be done, so the call is as any other.
            _ if plan == Plan::On => decided.action = Action::Pass,
            _ => self.followed = message.call_id().map(steer::call_hash),
        }
    }

    fn invite(
        &mut self,
        frame: &[u8],
        layers: &Layers,
        message: &Message<'_>,
        key: u64,
        decided: &Decided,
    ) -> Plan {
        match decided.action {
            Action::Pass | Action::Tag | Action::Divert => {
                self.change(frame, layers, message, decided)
            }
            Action::Reject => {
                let response = decided.response;
                self.more.clear();
                // Writing to a Vec cannot fail.
                let _ = write!(
                    self.more,
                    "Reason: SIP;cause={};text=\"{}\"\r\n",
                    response.code(),
                    response.phrase()
                );
                if let (Response::Rejected, Some(info)) = (response, &self.config.call_info) {
                    let _ = write!(self.more, "Call-Info: {info}\r\n");
                }
                let plan =
                    self.answer(frame, layers, message, key, (response.code(), response.phrase()));
                if plan == Plan::Back {
                    self.stats.rejected += 1;
                }
                plan
            }
            Action::Drop => {
                self.stats.dropped += 1;
                Plan::Nowhere
            }
        }
    }

    /// Passes an INVITE on with what its decision says put in, and without forged
    /// headers.
    fn change(
        &mut self,
        frame: &[u8],
        layers: &Layers,
        message: &Message<'_>,
        decided: &Decided,
    ) -> Plan {
        let name = self.config.header.as_bytes();
        let forged = self.is_forged(message);
        self.line.clear();
        self.uri.clear();
        if decided.action != Action::Pass {
            self.line.extend_from_slice(name);
            self.line.extend_from_slice(b": ");
            header::write(&decided.verdict, &decided.model, &mut self.line);
        }
        if let (Action::Divert, Some(target)) = (decided.action, &decided.target) {
            edit::diverted(message, target, &mut self.uri);
        }
        if self.line.is_empty() && !forged {
            self.stats.passed += 1;
            return Plan::On;
        }
        let plan = self.write(frame, layers, message);
        if plan == Plan::OnChanged {
            self.stats.forged += u64::from(forged);
            let count = match decided.action {
                Action::Divert => &mut self.stats.diverted,
                Action::Tag => &mut self.stats.tagged,
                _ => &mut self.stats.passed,
            };
            *count += 1;
        }
        plan
    }

    /// Whether a risk header is to be taken out.
    fn is_forged(&self, message: &Message<'_>) -> bool {
        !self.config.observe && edit::has(message, self.config.header.as_bytes())
    }

    /// Puts the changed frame together.
    fn write(&mut self, frame: &[u8], layers: &Layers, message: &Message<'_>) -> Plan {
        let changes =
            Changes { header: &self.line, forged: self.config.header.as_bytes(), uri: &self.uri };
        let mut written = false;
        let result = layers.with_text(frame, self.config.mtu_onwards, &mut self.out, |out| {
            written = edit::write(message, &changes, out);
        });
        if result.is_ok() && !written {
            self.stats.unfit += 1;
            return Plan::On;
        }
        self.planned(result, Plan::OnChanged)
    }

    fn planned(&mut self, result: Result<(), Unfit>, plan: Plan) -> Plan {
        match result {
            Ok(()) => return plan,
            Err(Unfit::TooLong) => self.stats.too_long += 1,
            Err(Unfit::Checksum) => self.stats.bad_checksum += 1,
        }
        Plan::On
    }

    /// Answers with `status` and the lines in `more`.
    fn answer(
        &mut self,
        frame: &[u8],
        layers: &Layers,
        message: &Message<'_>,
        key: u64,
        (code, phrase): (u16, &str),
    ) -> Plan {
        if !reject::can_answer(message) {
            self.stats.unfit += 1;
            return Plan::On;
        }
        let source = layers.source(frame);
        let port = reject::port(message, source);
        let status = Status { code, phrase, more: &self.more };
        let result = layers.back(frame, port, self.config.mtu_back, &mut self.out, |out| {
            reject::write(message, &status, source, key, out);
        });
        self.planned(result, Plan::Back)
    }

    fn cancel(
        &mut self,
        frame: &[u8],
        layers: &Layers,
        message: &Message<'_>,
        key: u64,
        decided: &Decided,
    ) -> Plan {
        let plan = match decided.action {
            Action::Pass | Action::Tag => return Plan::On,
            Action::Divert => self.redirected(frame, layers, message, decided),
            // The transaction it cancels has ended (RFC 3261 section 9.2).
            Action::Reject => {
                self.more.clear();
                self.answer(frame, layers, message, key, (200, "OK"))
            }
            Action::Drop => Plan::Nowhere,
        };
        self.stats.followed += u64::from(plan != Plan::On);
        plan
    }

    fn ack(
        &mut self,
        frame: &[u8],
        layers: &Layers,
        message: &Message<'_>,
        uri: &[u8],
        decided: &Decided,
    ) -> Plan {
        let plan = match decided.action {
            // That of a 2xx goes to the callee's Contact; that of another response to
            // where its INVITE went (RFC 3261 section 17.1.1.3).
            Action::Divert if self.memory.hash(uri) == decided.uri => {
                self.redirected(frame, layers, message, decided)
            }
            Action::Pass | Action::Tag | Action::Divert => return Plan::On,
            Action::Reject | Action::Drop => Plan::Nowhere,
        };
        self.stats.followed += u64::from(plan != Plan::On);
        plan
    }

    /// Sends what belongs to a diverted INVITE the same way.
    fn redirected(
        &mut self,
        frame: &[u8],
        layers: &Layers,
        message: &Message<'_>,
        decided: &Decided,
    ) -> Plan {
        let Some(target) = &decided.target else { return Plan::On };
        self.line.clear();
        edit::diverted(message, target, &mut self.uri);
        self.write(frame, layers, message)
    }
}

#[cfg(test)]
mod tests;
