//! How well a call fits a profile: by how many times what is seen is likelier of the
//! profile's caller than of anybody.

use super::{
    Evidence, KINDS, Kind,
    kind::PARENTS,
    known::{Known, is_among},
    model::{Bounds, GATEWAY, JOINING, LANES, MARGIN, NEW, SPECIFIC},
    profile::{Profile, SHARED, SHARED_AT},
};
use crate::maths::{larger, ln, smaller};

/// What speaks for a profile by kind of evidence, and last by the time since its last
/// call; in nats, negative where it speaks against.
pub type Says = [f32; KINDS + 1];

/// One call, as profiles are held against it.
pub(super) struct Scene<'a> {
    evidence: &'a Evidence,
    known: &'a [Known; KINDS],
    /// Calls of everybody a second, more than none.
    rate: f32,
    bounds: &'a Bounds,
    /// How many calls had each token, and how many the one it hangs on.
    counts: [f32; LANES],
    around: [f32; LANES],
}

/// Kinds that are known by a token's users, not by a profile's recent tokens.
const BY_USERS: [Kind; KINDS - SHARED.len()] = {
    let (mut kinds, mut count, mut at) = ([Kind::Source; KINDS - SHARED.len()], 0, 0);
    while at < KINDS {
        if SHARED_AT[at].is_none() {
            kinds[count] = Kind::ALL[at];
            count += 1;
        }
        at += 1;
    }
    assert!(count == kinds.len());
    kinds
};

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
        // One more, of what stands for itself.
        let mut sums = [0.0; KINDS + 1];
        sums[..KINDS].copy_from_slice(&self.says[..KINDS]);
        for at in 0..KINDS {
            let on = if PARENTS[at] == Kind::Source as usize { KINDS } else { PARENTS[at] };
            sums[at] += larger(sums[on], 0.0);
        }
        sums[Kind::Source as usize] -= GATEWAY;
        sums[..KINDS].iter().fold(0.0, |most, sum| larger(*sum, most))
    }

    /// A customer's identifier that is another's speaks against all.
    pub(super) fn contradicted(&self) -> bool {
        self.says[Kind::Origid as usize] < 0.0
    }

    /// The strongest single kind that can join profiles.
    pub(super) fn joins(&self) -> f32 {
        JOINING.into_iter().fold(0.0, |most, kind| larger(self.says[kind as usize], most))
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
    ) -> Self {
        let (mut counts, mut around) = ([0.0; LANES], [0.0; LANES]);
        for at in 0..KINDS {
            counts[at] = known[at].count;
            around[at] = known.get(PARENTS[at]).map_or(everybody, |on| on.count);
        }
        Self { evidence, known, rate, bounds, counts, around }
    }

    /// Of a profile that calls at this time with this density, per second.
    #[inline]
    pub(super) fn ratios(&self, handle: u32, profile: &Profile, density: f32) -> Ratios {
        // By lanes, all at once, and without a branch that depends on the call: a dozen
        // profiles have a hundred kinds, no two alike. First whether the profile had each
        // token, and in how many calls.
        let (mut has, mut mine) = ([false; KINDS], [0.0; LANES]);
        for (kind, recent) in SHARED.into_iter().zip(&profile.recent) {
            has[kind as usize] = is_among(recent, self.evidence.get(kind) as u32);
        }
        for kind in BY_USERS {
            let calls = self.known[kind as usize].calls_of(handle);
            has[kind as usize] = calls > 0.0;
            // A number is one caller's until others have it. What a crowd may share
            // counts as all have it, the profile, too: else a profile that took in a
            // crowd would own what the crowd has in common.
            mine[kind as usize] = if kind.names_one() { calls } else { 0.0 };
        }
        // Then how each kind would be answered, and which of them is asked: not what hangs
        // on another that changed. One more is what hangs on nothing.
        let (mut kept, mut asked) = ([true; LANES], [false; LANES]);
        for at in 0..KINDS {
            asked[at] = (self.evidence.0[at] != 0) & kept[PARENTS[at]];
            kept[at] = asked[at] & has[at];
        }
        // What others may show as well, from elsewhere.
        let mut most = self.bounds.most;
        if !kept[Kind::Source as usize] {
            most[Kind::Network as usize] = self.bounds.elsewhere;
            most[Kind::Shown as usize] = self.bounds.elsewhere;
        }
        let mut habits = [0u32; LANES];
        habits[..KINDS].copy_from_slice(bytemuck::cast_slice(&profile.habits));
        let mut ratios = [1.0; LANES];
        for at in 0..LANES {
            let (habit, bounds) = (u32::from_le(habits[at]), self.bounds);
            let (of_kept, of_seen) = ((habit & 0xffff) as f32, (habit >> 16) as f32);
            let stays = (bounds.kept[at] + of_kept) / (bounds.seen[at] + of_seen);
            // How many times rarer the token is than any, beside the one it hangs on.
            let others = larger(self.counts[at] - mine[at], 0.0) + bounds.unseen[at];
            let rarity = larger(self.around[at] - mine[at], others) / others;
            let with = smaller(stays * rarity + (1.0 - stays), most[at]);
            let without = smaller(larger(1.0 - stays, 0.005), bounds.against[at]);
            let said = if kept[at] { with } else { without };
            ratios[at] = if asked[at] { said } else { 1.0 };
        }
        ratios[KINDS] = density / self.rate;
        if profile.pinned != 0 {
            ratios[KINDS] = ratios[KINDS].max(self.bounds.wanted);
        }
        ratios
    }
}
