//! Tree ensembles (ai.onnx.ml `TreeEnsembleClassifier`, `TreeEnsembleRegressor`)
//! compiled to compact nodes, eight trees walked in lock step.
//!
//! Tried in a prototype, with the built-in ensemble on vectors of calls, on an EPYC beside
//! other work. Slower: gathers of AVX2 in place of eight loads (the sum alone took 2.4 to
//! 4 times as long), bit vectors of leaves by feature as QuickScorer has them (1.2 to
//! 2.2). No gain above the noise: contributions as a list for each leaf in place of
//! changes along the path (0.7 to 1.4), and four trees side by side (0.8 to 1.4; five or
//! ten were slower).

mod compile;

use super::{logit, sigmoid};

pub(super) use compile::recognise;

/// Trees walked side by side: their loads do not wait for each other.
const LANES: usize = 8;

/// How a node decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Mode {
    Leq,
    Lt,
    Gte,
    Gt,
    Eq,
    Neq,
}

/// Sixteen bytes, so that none lies across cache lines. The true child is at
/// `child`, the false one behind it. A leaf has itself as true child and always
/// takes it, so a tree may be walked further than it is deep.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(16))]
struct Node {
    value: f32,
    /// Of leaves: what they add. Of inner nodes: what is to be expected of them,
    /// the mean of their leaves weighted by how often each was hit in training
    /// where the file says so, else alike. For contributions.
    expected: f32,
    child: u32,
    /// Of [`Scratch::columns`]: twice the feature's index in the registry's order, and
    /// one more where a missing value takes the true branch.
    column: u16,
    mode: Mode,
}

const _: () = assert!(size_of::<Node>() == 16);

/// Trees that are walked together.
#[derive(Clone, Copy, Debug)]
struct Group {
    roots: [u32; LANES],
    /// Of the deepest.
    depth: u32,
}

/// A compiled ensemble.
#[derive(Debug)]
pub(super) struct Trees {
    nodes: Box<[Node]>,
    /// Trees of like depth together; the last is filled up with leaves of 0.
    groups: Box<[Group]>,
    /// All nodes decide by `<=`, as LightGBM's do.
    only_leq: bool,
    /// The sum before any tree.
    base: f64,
    /// The sum to be expected before any feature is asked.
    expected: f64,
    /// The sum is log-odds; else it is the probability.
    logistic: bool,
}

/// Values of a `u16`, so that what one indexes needs no check.
const COLUMNS: usize = 1 << 16;
/// Features a row may have. The rest of the room is for leaves, which are of none.
const FEATURES: usize = COLUMNS / 2 - LEAF_FEATURES;
/// Leaves that are walked on contribute nothing, each to another of these: adding up in
/// one place, each would wait for the one before.
const LEAF_FEATURES: usize = 64;

/// A row as the nodes look at it, and what its features contribute. Of this room no
/// more is touched than there are features.
#[derive(Debug)]
pub(super) struct Scratch {
    /// Each value twice: as it stands, and with what is missing below all others. So
    /// one comparison tells the branch also of a missing value: NaN is `<=` nothing.
    columns: Box<[f32; COLUMNS]>,
    contributions: Box<[f32; COLUMNS / 2]>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self { columns: zeros(), contributions: zeros() }
    }
}

/// By way of a `Vec`, whose zeros are the kernel's: pages that are not touched take no
/// memory.
#[expect(clippy::unnecessary_box_returns, reason = "on the stack it would take 256 kB")]
fn zeros<const N: usize>() -> Box<[f32; N]> {
    vec![0.0; N].into_boxed_slice().try_into().unwrap_or_else(|_| Box::new([0.0; N]))
}

impl Scratch {
    fn set(&mut self, row: &[f32]) {
        let (pairs, _) = self.columns.as_chunks_mut::<2>();
        for (pair, value) in pairs.iter_mut().zip(row) {
            *pair = [*value, if value.is_nan() { f32::NEG_INFINITY } else { *value }];
        }
    }
}

impl Node {
    #[inline(always)]
    fn next<const ONLY_LEQ: bool>(&self, scratch: &Scratch) -> u32 {
        let so = if ONLY_LEQ {
            scratch.columns[usize::from(self.column)] <= self.value
        } else {
            let missing_true = self.column & 1 == 1;
            let x = scratch.columns[usize::from(self.column & !1)];
            let so = match self.mode {
                Mode::Leq => x <= self.value,
                Mode::Lt => x < self.value,
                Mode::Gte => x >= self.value,
                Mode::Gt => x > self.value,
                Mode::Eq => x == self.value,
                // NaN differs from everything; whether it goes there is said apart.
                Mode::Neq => x != self.value && !x.is_nan(),
            };
            so | (x.is_nan() & missing_true)
        };
        self.child + u32::from(!so)
    }
}

impl Trees {
    /// Probability of one row, in the registry's order.
    pub(super) fn probability(&self, row: &[f32], scratch: &mut Scratch) -> f32 {
        scratch.set(row);
        self.finish(self.walk::<false>(scratch))
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
        scratch.set(row);
        // Features beyond are asked for by none.
        let used = row.len().min(FEATURES);
        scratch.contributions[..used].fill(0.0);
        let sum = self.walk::<true>(scratch);
        contributions[..used].copy_from_slice(&scratch.contributions[..used]);
        contributions[used..].fill(0.0);
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

    fn walk<const EXPLAIN: bool>(&self, scratch: &mut Scratch) -> f64 {
        if self.only_leq {
            self.walk_by::<EXPLAIN, true>(scratch)
        } else {
            self.walk_by::<EXPLAIN, false>(scratch)
        }
    }

    fn walk_by<const EXPLAIN: bool, const ONLY_LEQ: bool>(&self, scratch: &mut Scratch) -> f64 {
        let mut sum = self.base;
        for group in &self.groups {
            let mut at = group.roots;
            for _ in 0..group.depth {
                let mut moved = 0;
                for place in &mut at {
                    let node = self.node(*place);
                    let next = node.next::<ONLY_LEQ>(scratch);
                    if EXPLAIN {
                        // Nothing, where a leaf is its own next.
                        let change = self.node(next).expected - node.expected;
                        scratch.contributions[usize::from(node.column / 2)] += change;
                    }
                    moved |= next ^ *place;
                    *place = next;
                }
                // All of them are at leaves, as they mostly are before the deepest could be.
                if moved == 0 {
                    break;
                }
            }
            sum += at.iter().map(|leaf| f64::from(self.node(*leaf).expected)).sum::<f64>();
        }
        sum
    }

    #[inline(always)]
    fn node(&self, index: u32) -> &Node {
        debug_assert!((index as usize) < self.nodes.len());
        // SAFETY: roots and children are indexes of nodes, as `compile` makes sure of
        // before there is a `Trees`. Two checks in each of more than a thousand steps a
        // call are a quarter of its instructions.
        unsafe { self.nodes.get_unchecked(index as usize) }
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
