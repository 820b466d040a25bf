//! Calls that other hosts told of lately: a call that two hosts see, as behind a mirror
//! or at the next hop, counts once.

use crate::time::Timestamp;

/// Calls of one set.
const WAYS: usize = 4;
/// Sets; 65,536 calls in 1.5 MB.
const SETS: usize = 1 << 14;

#[derive(Clone, Copy, Debug, Default)]
struct Call {
    /// Key of the Call-ID; 0 is a free place.
    dialog: u64,
    at: u64,
    /// Who told first, whose outcomes and labels count.
    host: u64,
}

/// Whether a call was told before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    First,
    Again,
}

/// The table.
#[derive(Debug)]
pub(super) struct Elsewhere(Box<[[Call; WAYS]]>);

impl Elsewhere {
    pub(super) fn new() -> Self {
        Self(vec![[Call::default(); WAYS]; SETS].into_boxed_slice())
    }

    fn set(dialog: u64) -> usize {
        (((dialog >> 32) * SETS as u64) >> 32) as usize
    }

    fn find(&self, dialog: u64) -> Option<&Call> {
        self.0[Self::set(dialog)].iter().find(|call| call.dialog == dialog && dialog != 0)
    }

    /// Notes a call that a host tells of, in the place of the oldest.
    pub(super) fn claim(&mut self, dialog: u64, host: u64, at: Timestamp) -> Claim {
        let near = |call: &Call| at.apart(Timestamp(call.at)) < super::dialog::FORGOTTEN;
        let set = &mut self.0[Self::set(dialog)];
        if let Some(known) = set.iter_mut().find(|call| call.dialog == dialog) {
            if near(known) {
                return Claim::Again;
            }
            *known = Call { dialog, at: at.0, host };
            return Claim::First;
        }
        if let Some(oldest) = set.iter_mut().min_by_key(|call| call.at) {
            *oldest = Call { dialog, at: at.0, host };
        }
        Claim::First
    }

    /// Who told of a call first.
    pub(super) fn owner(&self, dialog: u64) -> Option<u64> {
        self.find(dialog).map(|call| call.host)
    }

    /// How long before `now` a call was, if another host told of it lately, seconds.
    pub(super) fn since(&self, dialog: u64, now: Timestamp) -> Option<f32> {
        let seconds = now.seconds_since(Timestamp(self.find(dialog)?.at));
        (seconds < super::dialog::FORGOTTEN).then_some(seconds as f32)
    }
}
