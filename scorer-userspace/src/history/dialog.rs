//! Dialogs: which INVITE is a new call, and how calls end.

use bytemuck::{Pod, Zeroable};

use super::{BRIEF, CallKeys, History, Outcome, Recall, table::Aged};
use crate::time::Timestamp;

/// After this long without a message of its dialog an INVITE of the same
/// Call-ID is a new call: Call-IDs are meant to be unique, not all are.
const FORGOTTEN: f64 = 3600.0;

/// What an INVITE without To tag is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Seen {
    /// A new call.
    New(Recall),
    /// A further attempt of a known call, as after a 401 or 407 or a redirect.
    Again(Recall),
    /// The same request once more.
    Retransmission,
    /// The same request on another way: another branch of a fork, or the next hop.
    Forked,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Trying,
    Answered,
    Over,
}

#[derive(Clone, Copy, Debug, Zeroable, Pod)]
#[repr(C)]
pub(super) struct Dialog {
    last: u64,
    started: u64,
    answered: u64,
    caller: u64,
    source: u64,
    /// Hashes.
    from_tag: u64,
    branch: u64,
    cseq: u32,
    state: u32,
}

impl Aged for Dialog {
    fn touched(&self) -> u64 {
        self.last
    }
}

/// Beside the state: what the first attempt's counting said.
const NEW_CALLEE: u32 = 0x100;
const NEW_CALLER: u32 = 0x200;

impl Dialog {
    fn set_state(&mut self, state: State) {
        self.state = self.state & !0xff | state as u32;
    }

    fn state(&self) -> State {
        match self.state & 0xff {
            0 => State::Trying,
            1 => State::Answered,
            _ => State::Over,
        }
    }
}

impl History {
    /// Takes an INVITE without To tag. `dialog` is the key of its Call-ID,
    /// `from_tag` and `branch` (of the top Via) are hashes.
    pub fn invite(
        &mut self,
        dialog: u64,
        (from_tag, branch, cseq): (u64, u64, u32),
        keys: &CallKeys,
        now: Timestamp,
    ) -> Seen {
        if let Some(known) = self.dialogs.get(dialog) {
            let age = now.seconds_since(Timestamp(known.last));
            if known.from_tag == from_tag && age < FORGOTTEN {
                known.last = known.last.max(now.0);
                if cseq <= known.cseq {
                    return if known.branch == branch && cseq == known.cseq || cseq < known.cseq {
                        Seen::Retransmission
                    } else {
                        Seen::Forked
                    };
                }
                known.cseq = cseq;
                known.branch = branch;
                known.set_state(State::Trying);
                let new = [known.state & NEW_CALLEE != 0, known.state & NEW_CALLER != 0];
                let own = now.seconds_since(Timestamp(known.started));
                return Seen::Again(self.recall(keys, now, own, new));
            }
        }
        let (recall, [new_callee, new_caller]) = self.recall_and_count(keys, now);
        *self.dialogs.entry(dialog).0 = Dialog {
            last: now.0,
            started: now.0,
            answered: 0,
            caller: keys.caller,
            source: keys.source,
            from_tag,
            branch,
            cseq,
            state: u32::from(new_callee) * NEW_CALLEE | u32::from(new_caller) * NEW_CALLER,
        };
        Seen::New(recall)
    }

    /// Takes what happens to a known call; false when it is not known.
    pub fn event(&mut self, dialog: u64, event: Event, now: Timestamp) -> bool {
        let Some(known) = self.dialogs.get(dialog) else { return false };
        known.last = known.last.max(now.0);
        let brief = |since: u64| now.seconds_since(Timestamp(since)) < BRIEF;
        let outcome = match (known.state(), event) {
            (State::Trying, Event::Response(200..300)) => {
                known.set_state(State::Answered);
                known.answered = now.0;
                Outcome::Answered
            }
            // The caller is asked to authenticate, or cancelled: no failures.
            (State::Trying, Event::Response(401 | 407 | 487)) => return true,
            (State::Trying, Event::Response(300..)) => {
                known.set_state(State::Over);
                Outcome::Failed
            }
            (State::Trying, Event::Cancel) => {
                known.set_state(State::Over);
                if brief(known.started) { Outcome::BriefCancel } else { Outcome::Cancelled }
            }
            (State::Answered, Event::Bye) => {
                known.set_state(State::Over);
                if !brief(known.answered) {
                    return true;
                }
                Outcome::Brief
            }
            _ => return true,
        };
        let (caller, source) = (known.caller, known.source);
        self.outcome(caller, source, now, outcome);
        true
    }
}
