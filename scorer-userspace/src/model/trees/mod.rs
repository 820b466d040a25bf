//! Tree ensembles (ai.onnx.ml `TreeEnsembleClassifier`, `TreeEnsembleRegressor`)
//! compiled to compact nodes, which six lanes walk side by side. Each lane has a share
//! of the trees and walks one after the other: a leaf leads on to the next tree's root. So
//! no lane waits until the others have come down as well, and no branch is to be guessed.
//!
//! Tried before, with the built-in ensemble on vectors of calls. Slower: gathers of AVX2
//! in place of loads (the sum alone took 2.4 to 4 times as long), bit vectors of leaves by
//! feature as `QuickScorer` has them (1.2 to 2.2). No gain above the noise: contributions
//! as a list for each leaf in place of changes along the path (0.7 to 1.4).

mod chain;
mod compile;

use super::{logit, sigmoid};
use chain::Chains;

pub(super) use compile::recognise;

/// Walked side by side: their loads do not wait for each other. Of more, registers hold
/// not all.
const LANES: usize = 6;
/// Steps between two looks at whether all lanes are at their end.
const STEPS: u32 = 4;

/// Sixteen bytes, so that none lies across cache lines. Where they stand is told in
/// halves of a node, since that is what addresses scale by.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(16))]
struct Node {
    /// Of [`order`].
    value: u32,
    /// Of leaves: what they add. Of inner nodes: what is to be expected of them,
    /// the mean of their leaves weighted by how often each was hit in training
    /// where the file says so, else alike. For contributions.
    expected: f32,
    /// Where the true child stands, the false one behind it. Of leaves: the root of the
    /// lane's next tree, which is always taken.
    child: u32,
    /// Of [`Scratch::columns`]: the feature's index in the registry's order, and
    /// [`BELOW`] more where a missing value takes the true branch.
    column: u16,
    /// True for this value alone and not for those below, too.
    equal: bool,
}

const _: () = assert!(size_of::<Node>() == 16);

/// A compiled ensemble.
#[derive(Debug)]
pub(super) struct Trees {
    chains: Chains,
    /// All nodes decide by `<=`, as `LightGBM`'s do.
    only_leq: bool,
    /// The sum to be expected before any feature is asked.
    expected: f64,
    /// The sum is log-odds; else it is the probability.
    logistic: bool,
}

/// Values of a `u16`, so that what one indexes needs no check.
const COLUMNS: usize = 1 << 16;
/// Where the second half of them begins.
const BELOW: usize = COLUMNS / 2;
/// Features a row may have. The rest of the first half is for leaves, which are of none.
const FEATURES: usize = BELOW - LEAF_FEATURES;
/// What goes from a leaf to the next root is no feature's. Each leaf has another of
/// these: adding up in one place, each would wait for the one before.
const LEAF_FEATURES: usize = 64;

/// A row as the nodes look at it, and what its features contribute. Of this room no
/// more is touched than there are features.
#[derive(Debug)]
pub(super) struct Scratch {
    /// The row twice, by [`order`]: with what is missing above all others, and from
    /// [`BELOW`] on with that below all. So one comparison tells the branch also of a
    /// missing value.
    columns: Box<[u32; COLUMNS]>,
    /// By column; all 0 between two rows.
    contributions: Box<[f32; COLUMNS]>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self { columns: all(0), contributions: all(0.0) }
    }
}

/// By way of a `Vec`, whose zeros are the kernel's: pages that are not touched take no
/// memory.
#[expect(clippy::unnecessary_box_returns, reason = "on the stack it would take 256 kB")]
fn all<T: Copy>(zero: T) -> Box<[T; COLUMNS]> {
    vec![zero; COLUMNS].into_boxed_slice().try_into().unwrap_or_else(|_| Box::new([zero; COLUMNS]))
}

/// Missing, where that takes the true branch.
const BELOW_ALL: u32 = 0;
/// Missing, where that takes the false branch.
const ABOVE_ALL: u32 = u32::MAX;

/// Numbers as integers of the same order, so that a comparison leaves its answer in the
/// carry; none is [`BELOW_ALL`] or [`ABOVE_ALL`], which NaN alone would be.
#[inline(always)]
fn order(x: f32) -> u32 {
    // Zeros have two signs and are equal.
    let bits = (x + 0.0).to_bits();
    let negative = ((bits as i32) >> 31) as u32;
    bits ^ (negative | 1 << 31)
}

impl Scratch {
    /// Makes ready for a row; how many of its features may be asked for.
    fn set(&mut self, row: &[f32]) -> usize {
        let used = row.len().min(FEATURES);
        let (above, below) = self.columns.split_at_mut(BELOW);
        let pairs = above[..used].iter_mut().zip(&mut below[..used]);
        for ((above, below), value) in pairs.zip(&row[..used]) {
            let place = order(*value);
            *above = if value.is_nan() { ABOVE_ALL } else { place };
            *below = if value.is_nan() { BELOW_ALL } else { place };
        }
        used
    }

    /// What each feature contributed; from then on nothing has.
    fn take(&mut self, contributions: &mut [f32]) {
        let used = contributions.len();
        let (above, below) = self.contributions.split_at_mut(BELOW);
        let pairs = above[..used].iter_mut().zip(&mut below[..used]);
        for ((above, below), share) in pairs.zip(contributions) {
            *share = *above + *below;
            (*above, *below) = (0.0, 0.0);
        }
    }
}

impl Node {
    /// Where to go from here.
    #[inline(always)]
    fn next<const ONLY_LEQ: bool>(&self, columns: &[u32; COLUMNS]) -> u32 {
        let x = columns[usize::from(self.column)];
        let not = if !ONLY_LEQ && self.equal {
            x != self.value && x != BELOW_ALL
        } else {
            self.value < x
        };
        self.child + 2 * u32::from(not)
    }
}

impl Trees {
    /// Probability of one row, in the registry's order.
    pub(super) fn probability(&self, row: &[f32], scratch: &mut Scratch) -> f32 {
        let used = scratch.set(row);
        let sum = self.walk(scratch);
        scratch.contributions[..used].fill(0.0);
        scratch.contributions[BELOW..BELOW + used].fill(0.0);
        self.finish(sum)
    }

    /// The same, with contributions: along each tree's path the change of what is
    /// to be expected goes to the feature that was asked. With [`Self::bias`] they
    /// sum to the log-odds.
    pub(super) fn explain(
        &self,
        row: &[f32],
        contributions: &mut [f32],
        scratch: &mut Scratch,
    ) -> f32 {
        let used = scratch.set(row);
        let sum = self.walk(scratch);
        let (asked, never) = contributions.split_at_mut(used);
        scratch.take(asked);
        never.fill(0.0);
        if !self.logistic {
            // Forests add up shares of the probability: stretched to log-odds.
            let change = sum - self.expected;
            let scale = if change.abs() < 1e-9 {
                0.0
            } else {
                f64::from(logit(sum as f32) - self.bias()) / change
            };
            for share in contributions {
                *share *= scale as f32;
            }
        }
        self.finish(sum)
    }

    /// What the row's leaves add up to.
    fn walk(&self, scratch: &mut Scratch) -> f64 {
        if self.only_leq { self.walk_by::<true>(scratch) } else { self.walk_by::<false>(scratch) }
    }

    fn walk_by<const ONLY_LEQ: bool>(&self, scratch: &mut Scratch) -> f64 {
        // Apart: what is written to one does not move the other.
        let Scratch { columns, contributions } = scratch;
        let (columns, contributions) = (&**columns, &mut **contributions);
        let mut at = self.chains.starts;
        let mut expected = at.map(|place| self.chains.node(place).expected);
        for _ in 0..self.chains.least {
            self.step::<ONLY_LEQ>(&mut at, &mut expected, columns, contributions);
        }
        // A lane that is at its end stays there, and changes nothing.
        while at != [chain::END; LANES] {
            for _ in 0..STEPS {
                self.step::<ONLY_LEQ>(&mut at, &mut expected, columns, contributions);
            }
        }
        // What went from leaves to the roots behind them is what those were to be expected
        // to add, less what the leaves do.
        let mut between = [0.0; 8];
        let (eights, _) = contributions[FEATURES..BELOW].as_chunks_mut::<8>();
        for eight in eights {
            for (sum, change) in between.iter_mut().zip(std::mem::take(eight)) {
                *sum += f64::from(change);
            }
        }
        self.chains.later - between.iter().sum::<f64>()
    }

    /// One step of every lane.
    #[inline(always)]
    fn step<const ONLY_LEQ: bool>(
        &self,
        at: &mut [u32; LANES],
        expected: &mut [f32; LANES],
        columns: &[u32; COLUMNS],
        contributions: &mut [f32; COLUMNS],
    ) {
        for (place, expected) in at.iter_mut().zip(expected) {
            let node = self.chains.node(*place);
            let next = node.next::<ONLY_LEQ>(columns);
            let then = self.chains.node(next).expected;
            contributions[usize::from(node.column)] += then - *expected;
            (*place, *expected) = (next, then);
        }
    }

    fn finish(&self, sum: f64) -> f32 {
        if self.logistic { sigmoid(sum as f32) } else { sum as f32 }
    }

    /// Log-odds to be expected before any feature is asked.
    pub(super) fn bias(&self) -> f32 {
        let expected = self.expected as f32;
        if self.logistic { expected } else { logit(expected) }
    }
}
