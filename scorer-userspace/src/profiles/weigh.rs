//! How well a call fits a profile: by how many times what is seen is likelier of the
//! profile's caller than of anybody.

use super::{
    Evidence, KINDS, Kind,
    model::{Bounds, GATEWAY, LANES, MARGIN, NEW, SPECIFIC, WEIGHTS},
    table::{Known, Profile, SHARED_AT},
};
use crate::{maths::ln, time::Timestamp};

/// What speaks for a profile by kind of evidence, and last by the time since its last
/// call; in nats, negative where it speaks against.
pub type Says = [f32; KINDS + 1];

/// One call, as profiles are held against it.
pub(super) struct Scene<'a> {
    evidence: &'a Evidence,
    known: &'a [Known; KINDS],
    everybody: f32,
    now: Timestamp,
    /// Calls of everybody a second, more than none.
    rate: f32,
    bounds: &'a Bounds,
    /// How many times rarer each token is than any, where that is the same for all
    /// profiles.
    rarity: [f32; LANES],
}

/// How many times likelier what is seen is of a profile than of anybody, by kind of
/// evidence, and last by the time since its last call.
pub(super) type Ratios = [f32; LANES];

/// What speaks for a profile, nats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Score {
    total: f32,
    /// Of each kind, and of the time since the last call.
    pub(super) says: Says,
}

impl Score {
    pub(super) fn of(ratios: &Ratios) -> Self {
        let says = ratios.map(|ratio| ln(ratio.max(f32::MIN_POSITIVE)));
        Self { total: says.iter().sum(), says }
    }

    /// Whether it is likelier than somebody new, and not by what a crowd shares.
    pub(super) fn is_enough(&self) -> bool {
        self.total > NEW + MARGIN && self.specific() >= SPECIFIC
    }

    /// What the strongest kind says, with those that it hangs on. The place that a call
    /// comes from says less here by what a gateway may have of all calls: who else comes
    /// by it is not known.
    fn specific(&self) -> f32 {
        let mut sums = self.says;
        for kind in Kind::ALL {
            let on = kind.parent().filter(|parent| *parent != Kind::Source);
            let below = on.map_or(0.0, |parent| sums[parent as usize]);
            sums[kind as usize] += below.max(0.0);
        }
        sums[Kind::Source as usize] -= GATEWAY;
        sums[..KINDS].iter().fold(0.0, |most, sum| sum.max(most))
    }

    /// A customer's identifier that is another's speaks against all.
    pub(super) fn contradicted(&self) -> bool {
        self.says[Kind::Origid as usize] < 0.0
    }

    /// The strongest single kind that can join profiles.
    pub(super) fn joins(&self) -> f32 {
        let joining = Kind::ALL.into_iter().filter(|kind| kind.joins());
        joining.fold(0.0, |most, kind| self.says[kind as usize].max(most))
    }
}

/// What all kinds say together.
pub(super) fn product(ratios: &Ratios) -> f64 {
    // Halves: no six of them leave the range of f32.
    let (first, second) = ratios.split_at(LANES / 2);
    f64::from(first.iter().product::<f32>()) * f64::from(second.iter().product::<f32>())
}

impl<'a> Scene<'a> {
    /// Of a call whose tokens are `known` so well; `everybody` is how many calls there
    /// were, `rate` how many there are a second.
    pub(super) fn new(
        evidence: &'a Evidence,
        known: &'a [Known; KINDS],
        (everybody, rate): (f32, f32),
        bounds: &'a Bounds,
        now: Timestamp,
    ) -> Self {
        let rarity = [1.0; LANES];
        let mut this = Self { evidence, known, everybody, now, rate, bounds, rarity };
        for kind in Kind::ALL {
            this.rarity[kind as usize] = this.rarity(kind, 0.0);
        }
        this
    }

    /// How many times rarer a kind's token is than any, beside the one it hangs on, for a
    /// profile with so many calls that had it.
    fn rarity(&self, kind: Kind, own: f32) -> f32 {
        // A number is one caller's until others have it. What a crowd may share
        // counts as all have it, the profile, too: else a profile that took in a
        // crowd would own what the crowd has in common.
        let mine = if kind.names_one() { own } else { 0.0 };
        let around = kind.parent().map_or(self.everybody, |on| self.known[on as usize].count);
        let others =
            (self.known[kind as usize].count - mine).max(0.0) + WEIGHTS[kind as usize].unseen;
        (around - mine).max(others) / others
    }

    #[inline]
    pub(super) fn ratios(&self, handle: u32, profile: &Profile) -> Ratios {
        // By lanes, all at once: a dozen profiles have a hundred kinds. First how each
        // kind would be answered, then which of them is asked.
        let mut rarity = self.rarity;
        let mut habits = [0u32; LANES];
        habits[..KINDS].copy_from_slice(bytemuck::cast_slice(&profile.habits));
        let (mut kept, mut asked) = ([false; LANES], [false; LANES]);
        for kind in Kind::ALL {
            let at = kind as usize;
            let token = self.evidence.0[at];
            asked[at] = token != 0 && kind.parent().is_none_or(|parent| kept[parent as usize]);
            kept[at] = asked[at]
                && if let Some(shared) = SHARED_AT[at] {
                    profile.recent[shared].has(token as u32)
                } else {
                    let known = &self.known[at];
                    let user = known.users.iter().position(|user| *user == handle);
                    let own = user.map_or(0.0, |user| known.counts[user]);
                    if own > 0.0 && kind.names_one() {
                        rarity[at] = self.rarity(kind, own);
                    }
                    own > 0.0
                };
        }
        // What others may show as well, from elsewhere.
        let mut most = self.bounds.most;
        if !kept[Kind::Source as usize] {
            most[Kind::Network as usize] = self.bounds.elsewhere;
            most[Kind::Shown as usize] = self.bounds.elsewhere;
        }
        let mut ratios = [1.0; LANES];
        for at in 0..LANES {
            let (habit, bounds) = (u32::from_le(habits[at]), self.bounds);
            let (of_kept, of_seen) = ((habit & 0xffff) as f32, (habit >> 16) as f32);
            let stays = (bounds.kept[at] + of_kept) / (bounds.seen[at] + of_seen);
            let with = (stays * rarity[at] + (1.0 - stays)).min(most[at]);
            let without = (1.0 - stays).max(0.005).min(bounds.against[at]);
            let said = if kept[at] { with } else { without };
            ratios[at] = if asked[at] { said } else { 1.0 };
        }
        let since = self.now.0.saturating_sub(profile.last) as f32 / 1e9;
        ratios[KINDS] = profile.pace.density(since) / self.rate;
        if profile.pinned != 0 {
            ratios[KINDS] = ratios[KINDS].max(self.bounds.wanted);
        }
        ratios
    }
}
