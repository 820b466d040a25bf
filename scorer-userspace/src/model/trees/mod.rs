//! Tree ensembles (ai.onnx.ml `TreeEnsembleClassifier`, `TreeEnsembleRegressor`)
//! compiled to compact nodes, which six lanes walk side by side. Each lane has a share
//! of the trees and walks one after the other. There are no leaves: what would lead to one
//! leads to the next tree's root. So no lane waits until the others have come down as
//! well, and no branch is to be guessed.
//!
//! Tried before, with the built-in ensemble on vectors of calls. Slower: gathers of AVX2
//! in place of loads (the sum alone took 2.4 to 4 times as long), bit vectors of leaves by
//! feature as `QuickScorer` has them (1.2 to 2.2), contributions of each lane apart (1.1 to
//! 1.5). No gain above the noise: contributions as a list for each leaf in place of changes
//! along the path (0.7 to 1.4), nodes of sixteen bytes (1.0).

mod chain;
mod compile;

use std::ptr::NonNull;

use super::{logit, sigmoid};
use chain::{At, Chains};

pub(super) use compile::recognise;

/// Walked side by side: their loads do not wait for each other. Eight and nine were no faster,
/// though registers hold them.
const LANES: usize = 6;
/// Steps between two looks at whether all lanes are at their end.
const STEPS: u32 = 4;

/// Half a cache line, so that none lies across two.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
struct Node {
    /// Of [`order`].
    value: u32,
    /// Of [`Scratch::columns`]: the feature's index in the registry's order, and
    /// [`BELOW`] more where a missing value takes the true branch.
    column: u16,
    /// True for this value alone and not for those below, too.
    equal: bool,
    /// Where the true branch leads, and the false one: to another node of the tree, or to
    /// the root of the lane's next tree.
    next: [NonNull<Node>; 2],
    /// What changes on that way of what the tree is to be expected to add: for the
    /// feature's contribution.
    change: [f32; 2],
}

const _: () = assert!(size_of::<Node>() == 32);

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
/// Features a row may have. One column is no feature's: that of a lane's end.
const FEATURES: usize = BELOW - 1;

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

    /// What each feature contributed, and all together; from then on nothing has.
    fn take(&mut self, contributions: &mut [f32]) -> f64 {
        let [above, below] = self.contributed(contributions.len());
        for ((share, above), below) in contributions.iter_mut().zip(&*above).zip(&*below) {
            *share = *above + *below;
        }
        above.fill(0.0);
        below.fill(0.0);
        total(contributions)
    }

    /// All together; from then on nothing has contributed.
    fn take_sum(&mut self, used: usize) -> f64 {
        let [above, below] = self.contributed(used);
        for (above, below) in above.iter_mut().zip(&mut *below) {
            *above += std::mem::take(below);
        }
        let sum = total(above);
        above.fill(0.0);
        sum
    }

    fn contributed(&mut self, used: usize) -> [&mut [f32]; 2] {
        let (above, below) = self.contributions.split_at_mut(BELOW);
        [&mut above[..used], &mut below[..used]]
    }
}

/// The sum of them.
fn total(shares: &[f32]) -> f64 {
    let (mut sums, (eights, rest)) = ([0.0; 8], shares.as_chunks::<8>());
    for eight in eights {
        for (sum, share) in sums.iter_mut().zip(eight) {
            *sum += f64::from(*share);
        }
    }
    sums.iter().sum::<f64>() + rest.iter().map(|share| f64::from(*share)).sum::<f64>()
}

impl Node {
    /// Which branch to take from here.
    #[inline(always)]
    fn branch<const ONLY_LEQ: bool>(&self, columns: &[u32; COLUMNS]) -> usize {
        let x = columns[usize::from(self.column)];
        usize::from(if !ONLY_LEQ && self.equal {
            x != self.value && x != BELOW_ALL
        } else {
            self.value < x
        })
    }
}

impl Trees {
    /// Probability of one row, in the registry's order.
    pub(super) fn probability(&self, row: &[f32], scratch: &mut Scratch) -> f32 {
        let used = scratch.set(row);
        self.walk(scratch);
        self.finish(self.expected + scratch.take_sum(used))
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
        self.walk(scratch);
        let (asked, never) = contributions.split_at_mut(used);
        let change = scratch.take(asked);
        never.fill(0.0);
        let sum = self.expected + change;
        if !self.logistic {
            // Forests add up shares of the probability: stretched to log-odds.
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

    /// Adds up in the scratch room what each feature changes: from what is to be expected
    /// of all trees to what their leaves add.
    fn walk(&self, scratch: &mut Scratch) {
        if self.only_leq { self.walk_by::<true>(scratch) } else { self.walk_by::<false>(scratch) }
    }

    fn walk_by<const ONLY_LEQ: bool>(&self, scratch: &mut Scratch) {
        // Apart: what is written to one does not move the other.
        let Scratch { columns, contributions } = scratch;
        let (columns, contributions) = (&**columns, &mut **contributions);
        let mut at = self.chains.starts();
        for _ in 0..self.chains.least {
            step::<ONLY_LEQ>(&mut at, columns, contributions);
        }
        // A lane that is at its end stays there, and changes nothing.
        while !self.chains.ended(&at) {
            for _ in 0..STEPS {
                step::<ONLY_LEQ>(&mut at, columns, contributions);
            }
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

/// One step of every lane.
#[inline(always)]
fn step<const ONLY_LEQ: bool>(
    at: &mut [At<'_>; LANES],
    columns: &[u32; COLUMNS],
    contributions: &mut [f32; COLUMNS],
) {
    for at in at {
        let node = at.node();
        let branch = node.branch::<ONLY_LEQ>(columns);
        contributions[usize::from(node.column)] += node.change[branch];
        *at = at.next(branch);
    }
}
