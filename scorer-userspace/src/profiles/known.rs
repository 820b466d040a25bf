//! What is known of a token of evidence, and who had it.

use bytemuck::{Pod, Zeroable};

use super::{KINDS, Kind};
use crate::{
    history::table::Aged,
    maths::{exp2, larger},
    time::Timestamp,
};

/// Profiles remembered of a token.
pub(super) const USERS: usize = 4;
/// Kinds by which candidates are found, the best first.
const FINDERS: [Kind; 10] = [
    Kind::Network,
    Kind::Origid,
    Kind::Shown,
    Kind::Origin,
    Kind::Callee,
    Kind::Display,
    Kind::Manner,
    Kind::Country,
    Kind::Stack,
    Kind::Source,
];
/// Half-life of how common a token is, seconds.
pub(super) const HALF_LIFE: f32 = 86_400.0;

/// What is known of a token.
#[derive(Clone, Copy, Debug, Zeroable, Pod)]
#[repr(C)]
pub(crate) struct Known {
    /// Calls that had it, decayed.
    pub(super) count: f32,
    /// Seconds since 1970.
    pub(super) last: u32,
    /// Handles of the profiles that had it last, latest first; 0 for none.
    pub(super) users: [u32; USERS],
    /// Their calls, decayed.
    pub(super) counts: [f32; USERS],
    /// Of a profile that a case wants: stays whatever comes.
    pub(super) pinned: u32,
}

impl Aged for Known {
    const BY_FREQUENCY: bool = true;

    fn worth(&self, now: Timestamp) -> f32 {
        let since = seconds(now).saturating_sub(self.last) as f32;
        // Worth a thousand calls, and for months.
        let wanted = 1_000.0 * self.pinned as f32 * decay(since, 30.0 * HALF_LIFE);
        self.count * decay(since, HALF_LIFE) + wanted
    }
}

impl Known {
    /// Calls of a profile that had it.
    pub(super) fn calls_of(&self, handle: u32) -> f32 {
        let calls = self.users.iter().zip(&self.counts);
        calls.map(|(user, count)| if *user == handle { *count } else { 0.0 }).sum()
    }

    /// The same with one more call of a profile, which is its latest user.
    pub(super) fn with_call(&self, handle: u32, one: f32) -> Self {
        let count = self.calls_of(handle) + one;
        // Those before its place, or all but the last, move on.
        let (mut users, mut counts, mut moves) = ([handle; USERS], [count; USERS], true);
        for at in 1..USERS {
            moves &= self.users[at - 1] != handle;
            let from = if moves { at - 1 } else { at };
            (users[at], counts[at]) = (self.users[from], self.counts[from]);
        }
        Self { count: self.count + one, users, counts, ..*self }
    }

    pub(super) fn decayed(self, now: u32) -> Self {
        let [this] = Self::all_decayed([self], now);
        this
    }

    /// All of them at `now`.
    pub(super) fn all_decayed<const N: usize>(mut all: [Self; N], now: u32) -> [Self; N] {
        // What is left is reckoned for all at once.
        let left: [f32; N] =
            std::array::from_fn(|at| decay(now.saturating_sub(all[at].last) as f32, HALF_LIFE));
        for (known, left) in all.iter_mut().zip(left) {
            known.count *= left;
            known.counts = known.counts.map(|count| count * left);
            known.last = known.last.max(now);
        }
        all
    }
}

/// Handles of profiles that had a call's tokens, those of the best kind first. Few come
/// twice, and none is 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Users {
    handles: [u32; FINDERS.len() * USERS],
    count: usize,
}

impl Users {
    pub(super) const NOBODY: Self = Self { handles: [0; FINDERS.len() * USERS], count: 0 };
    /// The first so many are told apart; a call has hardly more.
    pub(super) const APART: usize = 16;

    /// Without a branch: who is new is as good as chance.
    pub(super) fn of(known: &[Known; KINDS]) -> Self {
        let Self { mut handles, mut count } = Self::NOBODY;
        for kind in FINDERS {
            let users = known[kind as usize].users;
            // A token's users are told apart: all are looked for before one is added, since
            // what was just written cannot be read with its neighbours.
            let mut met = users.map(|user| u32::from(user == 0));
            for handle in &handles[..Self::APART] {
                for (met, user) in met.iter_mut().zip(users) {
                    *met |= u32::from(*handle == user);
                }
            }
            for (user, met) in users.into_iter().zip(met) {
                handles[count] = user;
                count += 1 - met as usize;
            }
        }
        Self { handles, count }
    }

    pub(super) fn get(&self) -> &[u32] {
        &self.handles[..self.count]
    }
}

/// Whether it is one of them; all are compared at once.
pub(super) fn is_among<const N: usize>(handles: &[u32; N], handle: u32) -> bool {
    handles.iter().map(|known| u8::from(*known == handle)).sum::<u8>() > 0
}

pub(super) fn seconds(now: Timestamp) -> u32 {
    (now.0 / 1_000_000_000).min(u64::from(u32::MAX)) as u32
}

/// What is left of 1 after so many seconds.
pub(super) fn decay(since: f32, half_life: f32) -> f32 {
    let left = exp2(larger(-since / half_life, -120.0));
    if since < 1.0 { 1.0 } else { left }
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable as _;
    use proptest::prelude::*;

    use super::{FINDERS, KINDS, Known, USERS, Users};

    proptest! {
        #[test]
        fn users_move_on_as_one_by_one(
            calls in prop::collection::vec((1..7u32, 0.1..2.0f32), 0..30),
        ) {
            let (mut known, mut plain) = (Known::zeroed(), Vec::<(u32, f32)>::new());
            for (handle, one) in calls {
                known = known.with_call(handle, one);
                let at = plain.iter().position(|(user, _)| *user == handle);
                let before = at.map_or(0.0, |at| plain.remove(at).1);
                plain.insert(0, (handle, before + one));
                plain.truncate(USERS);
            }
            let users: Vec<_> = known.users.into_iter().zip(known.counts).collect();
            plain.resize(USERS, (0, 0.0));
            prop_assert_eq!(users, plain);
        }

        #[test]
        fn nobody_is_left_out(
            users in prop::collection::vec(prop::array::uniform4(0..40u32), KINDS),
        ) {
            // None has a token twice.
            let users: Vec<_> = users
                .into_iter()
                .map(|users| std::array::from_fn::<_, USERS, _>(|at| {
                    if users[..at].contains(&users[at]) { 0 } else { users[at] }
                }))
                .collect();
            let mut known = [Known::zeroed(); KINDS];
            known.iter_mut().zip(&users).for_each(|(known, users)| known.users = *users);
            let found = Users::of(&known);
            // In order, each once; a few may come again behind the sixteenth.
            let mut plain = Vec::new();
            for user in FINDERS.iter().flat_map(|kind| known[*kind as usize].users) {
                if user != 0 && !plain.contains(&user) {
                    plain.push(user);
                }
            }
            let mut once = Vec::new();
            for user in found.get() {
                prop_assert!(once.len() > 15 || !once.contains(user));
                if !once.contains(user) {
                    once.push(*user);
                }
            }
            prop_assert_eq!(once, plain);
        }
    }
}
