//! Tree ensembles (ai.onnx.ml `TreeEnsembleClassifier`, `TreeEnsembleRegressor`)
//! compiled to compact nodes, eight trees walked in lock step.

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
    /// Index in the registry's order.
    feature: u16,
    mode: Mode,
    /// A missing value takes the true branch.
    missing_true: bool,
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

impl Node {
    #[inline(always)]
    fn next<const ONLY_LEQ: bool>(&self, row: &[f32]) -> u32 {
        let x = row[usize::from(self.feature)];
        let so = if ONLY_LEQ {
            x <= self.value
        } else {
            match self.mode {
                Mode::Leq => x <= self.value,
                Mode::Lt => x < self.value,
                Mode::Gte => x >= self.value,
                Mode::Gt => x > self.value,
                Mode::Eq => x == self.value,
                // NaN differs from everything; whether it goes there is said apart.
                Mode::Neq => x != self.value && !x.is_nan(),
            }
        };
        let so = so | (x.is_nan() & self.missing_true);
        self.child + u32::from(!so)
    }
}

impl Trees {
    /// Probability of one row, in the registry's order.
    pub(super) fn probability(&self, row: &[f32]) -> f32 {
        self.finish(if self.only_leq { self.sum::<true>(row) } else { self.sum::<false>(row) })
    }

    fn sum<const ONLY_LEQ: bool>(&self, row: &[f32]) -> f64 {
        let mut sum = self.base;
        for group in &self.groups {
            let mut at = group.roots;
            for _ in 0..group.depth {
                for place in &mut at {
                    *place = self.nodes[*place as usize].next::<ONLY_LEQ>(row);
                }
            }
            sum +=
                at.iter().map(|leaf| f64::from(self.nodes[*leaf as usize].expected)).sum::<f64>();
        }
        sum
    }

    /// The same, with contributions: along each tree's path the change of what is
    /// to be expected goes to the feature that was asked. With [`Self::bias`] they
    /// sum to the log-odds.
    pub(super) fn explain(&self, row: &[f32], contributions: &mut [f32]) -> f32 {
        contributions.fill(0.0);
        let sum = if self.only_leq {
            self.walk::<true>(row, contributions)
        } else {
            self.walk::<false>(row, contributions)
        };
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

    fn walk<const ONLY_LEQ: bool>(&self, row: &[f32], contributions: &mut [f32]) -> f64 {
        let mut sum = self.base;
        for group in &self.groups {
            let mut at = group.roots;
            for _ in 0..group.depth {
                for place in &mut at {
                    let node = &self.nodes[*place as usize];
                    let next = node.next::<ONLY_LEQ>(row);
                    // Nothing, where a leaf is its own next.
                    let change = self.nodes[next as usize].expected - node.expected;
                    contributions[usize::from(node.feature)] += change;
                    *place = next;
                }
            }
            sum +=
                at.iter().map(|leaf| f64::from(self.nodes[*leaf as usize].expected)).sum::<f64>();
        }
        sum
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
