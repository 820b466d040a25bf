//! How much evidence weighs: what was learnt on simulated traffic, in one place.

use bytemuck::{Pod, Zeroable};

use super::{KINDS, Kind};
use crate::maths::{exp2, larger};

/// How a kind of evidence behaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weight {
    /// Calls as if seen before that kept the token, and that changed it.
    pub(super) kept: f32,
    pub(super) changed: f32,
    /// Share of other callers that a token nobody else has had is taken to have, of one
    /// call's worth.
    pub(super) unseen: f32,
    /// Most that a token may speak for a caller, in nats.
    pub(super) most: f32,
    /// Least that another token speaks against it, in nats.
    pub(super) against: f32,
}

const fn weight(kept: f32, changed: f32, unseen: f32, most: f32) -> Weight {
    Weight { kept, changed, unseen, most, against: 0.0 }
}

/// By kind.
pub(super) const WEIGHTS: [Weight; KINDS] = [
    // Source: carriers have a few gateways, and spread calls over them.
    weight(6.0, 0.2, 0.05, 8.0),
    // Stack.
    weight(6.0, 0.3, 0.05, 8.0),
    // Origin.
    weight(3.0, 0.6, 0.02, 8.0),
    // Manner.
    weight(2.0, 1.0, 0.05, 7.0),
    // Network number.
    weight(6.0, 1.0, 0.001, 13.0),
    // Shown number: anybody can show any.
    weight(4.0, 1.0, 0.02, 11.0),
    // Origid: providers give each customer one.
    Weight { against: 6.0, ..weight(8.0, 0.05, 0.001, 13.0) },
    // Country.
    weight(2.0, 1.0, 0.05, 6.0),
    // Display name.
    weight(1.0, 1.5, 0.05, 6.0),
    // Range called.
    weight(0.3, 1.5, 0.05, 5.0),
    // Callee.
    weight(0.3, 1.5, 0.05, 9.0),
];

/// What a new caller weighs, nats.
pub(super) const NEW: f32 = -1.2;
/// By how much a profile must be likelier than a new caller, nats.
pub(super) const MARGIN: f32 = 0.0;
/// What a single kind must say at least that two profiles are joined by it, nats.
pub(super) const JOINS: f32 = 7.0;

/// Most that a number says from another source, nats: a caller may come by another
/// carrier, and is found after weeks; but a number that is worth showing is shown by many,
/// from where they are. From 6 to 11 it made no difference on simulated traffic; with 13,
/// callers who showed one bank's number became one.
pub(super) const ELSEWHERE: f32 = 10.0;

/// Calls that could be of either of two profiles until they are joined.
pub(super) const VOTES: u8 = 3;
/// What a single kind must say at least, nats: a gateway's crowd is nobody.
pub(super) const SPECIFIC: f32 = 3.5;

/// Most that time speaks against a caller whom a case wants, nats: it is expected back.
pub(super) const WANTED: f32 = -6.0;
/// What the place alone says less, nats.
pub(super) const GATEWAY: f32 = 1.5;

/// When a caller calls: the seconds between its calls, and how steady they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Zeroable, Pod)]
#[repr(C)]
pub(super) struct Pace {
    /// Seconds between calls; 0 where that is not known yet.
    gap: f32,
    /// Mean of how far gaps are off, as a share of the gap; a machine's are near 0.
    jitter: f32,
}

/// Of a machine's calls that others are mistaken for, so many may be missing.
const MISSED: f32 = 4.0;
/// A gap this far off, as a share, is none of a machine's.
const OFF: f32 = 0.15;
/// Shortest gap and jitter, seconds and share: clocks and networks are no better.
const SHORTEST: f32 = 0.02;
const STEADIEST: f32 = 0.01;

impl Pace {
    /// The gap as a machine's: how many calls it is from the last, and how far off.
    fn beats(self, since: f32) -> (f32, f32) {
        // Adding as much leaves no place for a fraction.
        const WHOLE: f32 = 8_388_608.0;
        let beats = ((since / self.gap).clamp(1.0, MISSED) + WHOLE) - WHOLE;
        (beats, (since / (beats * self.gap) - 1.0).abs())
    }

    /// Takes the gap before the caller's `calls`th call, from 2.
    pub(super) fn learn(&mut self, since: f32, calls: u32) {
        let since = since.max(SHORTEST);
        if calls <= 2 {
            *self = Self { gap: since, jitter: 0.5 };
            return;
        }
        let weight = 1.0 / (calls - 1).min(8) as f32;
        let (beats, off) = self.beats(since);
        self.jitter += weight.max(0.25) * (off.min(0.5) - self.jitter);
        let one = if off < OFF { since / beats } else { since };
        // In logarithms: one pause is no other pace.
        self.gap = (self.gap.ln() + weight * (one.ln() - self.gap.ln())).exp().max(SHORTEST);
    }

    /// Densities, per second, of calls so many seconds after each caller's last: of all
    /// callers at once, since one is a chain of divisions.
    pub(super) fn densities<const N: usize>(paces: &[Self; N], since: &[f32; N]) -> [f32; N] {
        std::array::from_fn(|at| paces[at].density(since[at]))
    }

    /// The same of one, without a branch.
    #[inline(always)]
    fn density(self, since: f32) -> f32 {
        // Somebody may pause: any time is as likely as its length is short.
        let anytime = 1.0 / ((since + 0.5) * 20.0);
        // Heavy tail (Lomax) around the pace so far.
        let tail = 1.0 + since / self.gap;
        let human = larger(1.0 / (self.gap * tail * tail), anytime / std::f32::consts::E);
        let (beats, off) = self.beats(since);
        let width = larger(self.jitter, STEADIEST) * 1.5;
        let power = larger(-off / width * std::f32::consts::LOG2_E - beats, -120.0);
        let machine = exp2(power) / (2.0 * width * self.gap);
        let machine = if self.jitter > OFF { 0.0 } else { machine };
        // Without a gap all but the first is no number.
        if self.gap == 0.0 { anytime } else { larger(human, machine) }
    }
}

/// Kinds and the time: they fill vector registers.
pub(super) const LANES: usize = KINDS + 1;

/// The same as ratios of likelihoods: who holds a call against a dozen callers multiplies
/// ratios, and takes logarithms of those that count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// [`Weight::most`] and [`Weight::against`], by kind; one more lane for the time, of
    /// which nothing is asked here.
    pub(super) most: [f32; LANES],
    pub(super) against: [f32; LANES],
    /// [`Weight::kept`], and all calls as if seen before.
    pub(super) kept: [f32; LANES],
    pub(super) seen: [f32; LANES],
    /// [`Weight::unseen`].
    pub(super) unseen: [f32; LANES],
    /// [`ELSEWHERE`].
    pub(super) elsewhere: f32,
    /// [`NEW`].
    pub(super) new: f64,
    /// [`WANTED`].
    pub(super) wanted: f32,
    /// More than this is as sure as can be.
    pub(super) sure: f64,
}

impl Default for Bounds {
    fn default() -> Self {
        let lanes = |of: fn(&Weight) -> f32| {
            let mut lanes = [1.0; LANES];
            lanes.iter_mut().zip(&WEIGHTS).for_each(|(lane, weight)| *lane = of(weight));
            lanes
        };
        Self {
            most: lanes(|weight| weight.most.exp()),
            against: lanes(|weight| (-weight.against).exp()),
            kept: lanes(|weight| weight.kept),
            seen: lanes(|weight| weight.kept + weight.changed),
            unseen: lanes(|weight| weight.unseen),
            elsewhere: ELSEWHERE.exp(),
            new: f64::from(NEW).exp(),
            wanted: WANTED.exp(),
            sure: 60f64.exp(),
        }
    }
}

impl Kind {
    pub(super) const fn weight(self) -> Weight {
        WEIGHTS[self as usize]
    }

    /// Whether a token is one caller's as a rule.
    pub(super) const fn names_one(self) -> bool {
        matches!(self, Self::Network | Self::Shown | Self::Origid | Self::Display)
    }
}

/// Kinds of which a rare token that two profiles have in one call shows them to be one.
pub(super) const JOINING: [Kind; 4] = [Kind::Origin, Kind::Network, Kind::Shown, Kind::Origid];
