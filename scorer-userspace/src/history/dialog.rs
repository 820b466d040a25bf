//! Dialogs: which INVITE is a new call, and how calls end.

use bytemuck::{Pod, Zeroable};

use super::{
    BRIEF, CallKeys, EndedFact, History, Recall,
    entry::{Outcome, Own},
    table::Aged,
};
use crate::time::Timestamp;

/// After this long without a message of its dialog an INVITE of the same
/// Call-ID is a new call: Call-IDs are meant to be unique, not all are.
pub(super) const FORGOTTEN: f64 = 3600.0;

/// What an INVITE without To tag is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A new call.
    New,
    /// A further attempt of a known call, as after a 401 or 407 or a redirect.
    Again,
    /// The same request once more.
    Retransmission,
    /// The same request on another way: another branch of a fork, or the next hop.
    Forked,
    /// A new call here that another host of the cluster told of: it counts already.
    Elsewhere,
}

/// What tells how a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A response to the INVITE.
    Response(u16),
    /// CANCEL.
    Cancel,
    /// BYE.
    Bye,
    /// A request within the dialog.
    Other,
}

/// How far a call has come, as its signalling tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Progress {
    /// A 2xx response; the call goes on.
    Answered,
    /// BYE after it was answered.
    Completed,
    /// BYE less than [`BRIEF`] seconds after it was answered.
    Short,
    /// CANCEL, or 487, before it was answered.
    Cancelled,
    /// Nobody answered: 408 or 480.
    NoAnswer,
    /// 401 or 407: the caller is asked to authenticate, and tries again.
    Challenged,
    /// A 3xx response.
    Redirected,
    /// Any other final response.
    Rejected,
}

impl Progress {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Answered,
        Self::Completed,
        Self::Short,
        Self::Cancelled,
        Self::NoAnswer,
        Self::Challenged,
        Self::Redirected,
        Self::Rejected,
    ];

    /// The progress of a name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|progress| progress.name() == name)
    }

    /// Name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Completed => "completed",
            Self::Short => "short",
            Self::Cancelled => "cancelled",
            Self::NoAnswer => "no_answer",
            Self::Challenged => "challenged",
            Self::Redirected => "redirected",
            Self::Rejected => "rejected",
        }
    }

    /// What a final response other than 2xx says of a call that nobody cancelled.
    const fn of_code(code: u16) -> Self {
        match code {
            300..=399 => Self::Redirected,
            401 | 407 => Self::Challenged,
            408 | 480 => Self::NoAnswer,
            487 => Self::Cancelled,
            _ => Self::Rejected,
        }
    }
}

/// A call that has come further.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// Key of the call attempt, as its verdict has it.
    pub call: u64,
    /// When.
    pub at: Timestamp,
    /// How far it is.
    pub progress: Progress,
    /// Final response; 0 where there was none.
    pub code: u16,
    /// Seconds from the first INVITE to the answer; NaN without one.
    pub setup: f32,
    /// Seconds from the answer to BYE; NaN while it goes on or without an answer.
    pub duration: f32,
}

/// The callee's side has said that the call goes forward: no outcome, and not recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ringing {
    /// Key of the call attempt, as its verdict has it.
    pub call: u64,
    /// When.
    pub at: Timestamp,
    /// The first provisional response but 100, such as 180 or 183.
    pub code: u16,
}

/// What became of an [`Event`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Taken {
    /// The call is known.
    pub known: bool,
    /// How the event changed it, if it did.
    pub change: Option<Change>,
    /// What was counted of it.
    pub counted: Option<EndedFact>,
    /// That it rings, when it is first said.
    pub ringing: Option<Ringing>,
}

impl Taken {
    const fn nothing(known: bool) -> Self {
        Self { known, change: None, counted: None, ringing: None }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Trying,
    Answered,
    Over,
}

/// Keys whose outcomes are counted.
pub(super) const PARTIES: usize = 6;

#[derive(Clone, Copy, Debug, Zeroable, Pod)]
#[repr(C)]
pub(super) struct Dialog {
    // What tells its worth lies together: all of a full set are asked for it.
    last: u64,
    state: u32,
    cseq: u32,
    pub(super) started: u64,
    answered: u64,
    /// Caller, network number, callee, source, trunk, fingerprint.
    parties: [u64; PARTIES],
    pub(super) profile: u64,
    pub(super) range: u64,
    pub(super) signature: u64,
    /// Hashes.
    from_tag: u64,
    branch: u64,
}

impl Aged for Dialog {
    const BY_FREQUENCY: bool = false;

    fn worth(&self, now: Timestamp) -> f32 {
        // What is over goes first, then what is oldest.
        let age = now.seconds_since(Timestamp(self.last)) as f32;
        if self.state() == State::Over { -1e9 - age } else { -age }
    }
}

/// Beside the state: what the first attempt's counting said of each party.
const NEW_PARTNER: u32 = 0x100;
/// The call counts by what another host tells of it.
const ELSEWHERE: u32 = 0x1_0000;
/// A provisional response has come.
const RINGING: u32 = 0x2_0000;

impl Dialog {
    fn state(&self) -> State {
        match self.state & 0xff {
            0 => State::Trying,
            1 => State::Answered,
            _ => State::Over,
        }
    }

    fn set_state(&mut self, state: State) {
        self.state = self.state & !0xff | state as u32;
    }

    /// Whether this host counts it.
    pub(super) const fn is_own(&self) -> bool {
        self.state & ELSEWHERE == 0
    }

    /// Its fingerprint's key.
    pub(super) fn fingerprint(&self) -> u64 {
        self.parties[PARTIES - 1]
    }
}

impl History {
    /// Takes an INVITE without To tag; what was known before the call is written to
    /// `recall` when it is [`Seen::New`], [`Seen::Elsewhere`] or [`Seen::Again`]. `dialog`
    /// is the key of its Call-ID, `from_tag` and `branch` (of the top Via) are hashes.
    pub fn invite(
        &mut self,
        dialog: u64,
        (from_tag, branch, cseq): (u64, u64, u32),
        keys: &CallKeys,
        now: Timestamp,
        recall: &mut Recall,
    ) -> Seen {
        if let Some(known) = self.dialogs.get(dialog) {
            let age = now.seconds_since(Timestamp(known.last));
            if known.from_tag == from_tag && age < FORGOTTEN {
                known.last = known.last.max(now.0);
                if cseq <= known.cseq {
                    return if known.branch == branch && cseq == known.cseq || cseq < known.cseq {
                        self.retransmitted(keys.source, now);
                        Seen::Retransmission
                    } else {
                        Seen::Forked
                    };
                }
                known.cseq = cseq;
                known.branch = branch;
                known.set_state(State::Trying);
                let seconds = now.seconds_since(Timestamp(known.started)) as f32;
                let state = known.state;
                let own: [Own; PARTIES] = std::array::from_fn(|party| Own {
                    seconds,
                    new_partner: state & NEW_PARTNER << party != 0,
                });
                self.recall(keys, now, &own, recall);
                return Seen::Again;
            }
        }
        let told = self.elsewhere.as_ref().and_then(|calls| calls.since(dialog, now));
        let state = if let Some(seconds) = told {
            let own = [Own { seconds, new_partner: false }; PARTIES];
            self.recall(keys, now, &own, recall);
            ELSEWHERE
        } else {
            let new_partners = self.recall_and_count(keys, now, recall);
            (0..PARTIES)
                .filter(|party| new_partners[*party])
                .fold(0, |state, party| state | NEW_PARTNER << party)
        };
        if let Some(entry) = self.dialogs.entry(dialog, now) {
            *entry.value = Dialog {
                last: now.0,
                started: now.0,
                answered: 0,
                parties: keys.parties(),
                profile: keys.profile,
                range: keys.range,
                signature: keys.signature,
                from_tag,
                branch,
                cseq,
                state,
            };
        }
        if told.is_some() { Seen::Elsewhere } else { Seen::New }
    }

    /// Takes what happens to a known call.
    pub fn event(&mut self, dialog: u64, event: Event, now: Timestamp) -> Taken {
        let Some(known) = self.dialogs.get(dialog) else {
            return Taken::nothing(false);
        };
        known.last = known.last.max(now.0);
        let since = |time: u64| now.seconds_since(Timestamp(time));
        let brief = |time: u64| since(time) < BRIEF;
        let (progress, code, outcome) = match (known.state(), event) {
            (State::Trying, Event::Response(code @ 200..300)) => {
                known.set_state(State::Answered);
                known.answered = now.0;
                let outcome = Outcome::Answered(since(known.started) as f32);
                (Progress::Answered, code, Some(outcome))
            }
            // The caller is asked to authenticate, or cancelled: no failures.
            (State::Trying, Event::Response(code @ (401 | 407 | 487))) => {
                (Progress::of_code(code), code, None)
            }
            (State::Trying, Event::Response(code @ 300..)) => {
                known.set_state(State::Over);
                (Progress::of_code(code), code, Some(Outcome::Failed))
            }
            (State::Trying, Event::Cancel) => {
                known.set_state(State::Over);
                let brief = brief(known.started);
                let outcome = if brief { Outcome::BriefCancel } else { Outcome::Cancelled };
                (Progress::Cancelled, 0, Some(outcome))
            }
            (State::Answered, Event::Bye) => {
                known.set_state(State::Over);
                if brief(known.answered) {
                    (Progress::Short, 200, Some(Outcome::Brief))
                } else {
                    (Progress::Completed, 200, Some(Outcome::Over))
                }
            }
            (State::Trying, Event::Response(code @ 101..200)) if known.state & RINGING == 0 => {
                known.state |= RINGING;
                let known = *known;
                let call = self.attempt_key(dialog, known.from_tag, known.cseq);
                let ringing = Some(Ringing { call, at: now, code });
                return Taken { ringing, ..Taken::nothing(true) };
            }
            _ => return Taken::nothing(true),
        };
        let known = *known;
        let counted = outcome.filter(|_| known.is_own()).map(|outcome| {
            self.count_outcome(&known.parties, now, outcome);
            EndedFact { dialog, at: now, parties: known.parties, outcome }
        });
        let answered = Timestamp(known.answered);
        let (setup, duration) = match progress {
            Progress::Answered => (since(known.started), f64::NAN),
            Progress::Completed | Progress::Short => {
                (answered.seconds_since(Timestamp(known.started)), since(known.answered))
            }
            _ => (f64::NAN, f64::NAN),
        };
        let call = self.attempt_key(dialog, known.from_tag, known.cseq);
        let (setup, duration) = (setup as f32, duration as f32);
        let change = Some(Change { call, at: now, progress, code, setup, duration });
        Taken { change, counted, ..Taken::nothing(true) }
    }

    /// Key of a call attempt: of its Call-ID, From tag and CSeq number.
    pub fn attempt_key(&self, dialog: u64, from_tag: u64, cseq: u32) -> u64 {
        self.join(self.join(dialog, from_tag), u64::from(cseq) + 1)
    }
}
