//! Trees one behind the other, a chain for each lane.

use super::{BELOW, FEATURES, LANES, LEAF_FEATURES, Node};
use crate::model::graph::Said;

/// Where a lane ends: a node that leads to itself.
pub(super) const END: u32 = 0;

/// One tree, its nodes' children told from its own first node.
#[derive(Debug)]
pub(super) struct Tree {
    /// The root first. A leaf's child is itself.
    pub(super) nodes: Vec<Node>,
    /// To be expected from the root to beyond the leaf.
    pub(super) steps: f64,
    /// The fewest.
    pub(super) least: u32,
}

/// All lanes' trees.
#[derive(Debug)]
pub(super) struct Chains {
    nodes: Box<[Node]>,
    /// The first root of each lane.
    pub(super) starts: [u32; LANES],
    /// Steps that every row takes in every lane that has trees.
    pub(super) least: u32,
    /// The sum before any tree, and what is to be expected of all trees that are behind
    /// another.
    pub(super) later: f64,
}

/// One lane while trees are dealt out.
#[derive(Default)]
struct Lane {
    trees: Vec<Tree>,
    steps: f64,
}

impl Chains {
    /// Deals the trees out, so that all lanes are to be expected to take as many steps.
    ///
    /// # Errors
    /// When a node leads out of its tree.
    pub(super) fn new(mut trees: Vec<Tree>, base: f64) -> Said<Self> {
        trees.sort_by(|a, b| b.steps.total_cmp(&a.steps));
        let mut lanes: [Lane; LANES] = Default::default();
        for tree in trees {
            let least = lanes.iter_mut().min_by(|a, b| a.steps.total_cmp(&b.steps));
            let Some(lane) = least else { continue };
            lane.steps += tree.steps;
            lane.trees.push(tree);
        }
        let (mut nodes, mut starts, mut later) = (vec![Node::leaf(END, 0.0)], [END; LANES], base);
        let mut least = u32::MAX;
        for (lane, start) in lanes.iter().zip(&mut starts) {
            if lane.trees.is_empty() {
                continue;
            }
            *start = place(nodes.len());
            least = least.min(lane.trees.iter().map(|tree| tree.least).sum());
            for (i, tree) in lane.trees.iter().enumerate() {
                if i > 0 {
                    later += f64::from(tree.nodes[0].expected);
                }
                let after = nodes.len() + tree.nodes.len();
                let next = if i + 1 < lane.trees.len() { place(after) } else { END };
                append(&mut nodes, &tree.nodes, next)?;
            }
        }
        // The walk relies on it: a leaf's true child is always taken.
        let inside = |at: u32| at.is_multiple_of(2) && (at as usize / 2) < nodes.len();
        let leads_on = |node: &Node| {
            inside(node.child) && (node.is_leaf() || inside(node.child.saturating_add(2)))
        };
        if !starts.into_iter().all(inside) || !nodes.iter().all(leads_on) {
            return Err("a tree leads out of the ensemble".into());
        }
        Ok(Self { nodes: nodes.into(), starts, least, later })
    }

    #[inline(always)]
    pub(super) fn node(&self, at: u32) -> &Node {
        debug_assert!(at.is_multiple_of(2) && (at as usize / 2) < self.nodes.len());
        // SAFETY: starts and children are twice an index of nodes, as `new` makes sure of
        // before there are `Chains`; only the true child of a leaf is ever taken. Two
        // checks in each of a thousand steps a call are a quarter of its instructions.
        unsafe { &*self.nodes.as_ptr().byte_add(size_of::<Node>() / 2 * at as usize) }
    }
}

/// Where the node of this index stands.
fn place(index: usize) -> u32 {
    2 * index as u32
}

fn append(nodes: &mut Vec<Node>, tree: &[Node], next: u32) -> Said<()> {
    let first = nodes.len();
    for (own, node) in tree.iter().enumerate() {
        let child = node.child as usize;
        nodes.push(if child == own {
            Node { child: next, ..Node::leaf((first + own) as u32, node.expected) }
        } else if child + 1 < tree.len() {
            Node { child: place(first + child), ..*node }
        } else {
            return Err("a tree leads out of itself".into());
        });
    }
    Ok(())
}

impl Node {
    /// A leaf that leads to itself; `own` is its index.
    pub(super) const fn leaf(own: u32, expected: f32) -> Self {
        Self {
            value: u32::MAX,
            expected,
            child: own,
            column: (FEATURES + own as usize % LEAF_FEATURES) as u16,
            equal: false,
        }
    }

    /// It takes its true child whatever comes.
    fn is_leaf(&self) -> bool {
        self.value == u32::MAX && (FEATURES..BELOW).contains(&usize::from(self.column))
    }
}
