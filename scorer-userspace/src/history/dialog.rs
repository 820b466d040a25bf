//! Dialogs: which INVITE is a new call, and how calls end.

use bytemuck::{Pod, Zeroable};

use super::{
    BRIEF, CallKeys, History, Recall,
    entry::{Outcome, Own},
    table::Aged,
};
use crate::time::Timestamp;

/// After this long without a message of its dialog an INVITE of the same
/// Call-ID is a new call: Call-IDs are meant to be unique, not all are.
const FORGOTTEN: f64 = 3600.0;

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

/// Keys whose outcomes are counted.
pub(super) const PARTIES: usize = 6;

#[derive(Clone, Copy, Debug, Zeroable, Pod)]
#[repr(C)]
pub(super) struct Dialog {
    last: u64,
    started: u64,
    answered: u64,
    /// Caller, network number, callee, source, trunk, fingerprint.
    parties: [u64; PARTIES],
    pub(super) profile: u64,
    pub(super) range: u64,
    pub(super) signature: u64,
    /// Hashes.
    from_tag: u64,
    branch: u64,
    cseq: u32,
    state: u32,
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

    /// Its fingerprint's key.
    pub(super) fn fingerprint(&self) -> u64 {
        self.parties[PARTIES - 1]
    }
}

impl History {
    /// Takes an INVITE without To tag; what was known before the call is written to
    /// `recall` when it is [`Seen::New`] or [`Seen::Again`]. `dialog` is the key of
    /// its Call-ID, `from_tag` and `branch` (of the top Via) are hashes.
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
        let new_partners = self.recall_and_count(keys, now, recall);
        let state = (0..PARTIES)
            .filter(|party| new_partners[*party])
            .fold(0, |state, party| state | NEW_PARTNER << party);
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
        Seen::New
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
                Outcome::Answered(now.seconds_since(Timestamp(known.started)) as f32)
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
                if brief(known.answered) { Outcome::Brief } else { Outcome::Over }
            }
            _ => return true,
        };
        for party in known.parties {
            if party != 0
                && let Some(entry) = self.entries.get(party)
            {
                entry.outcome(now, outcome);
            }
        }
        true
    }
}
