//! Trees one behind the other, a chain for each lane.

use std::{fmt, marker::PhantomData, ptr::NonNull};

use super::{FEATURES, LANES, Node};
use crate::model::graph::Said;

/// One tree, its nodes' children told from its own first node.
#[derive(Debug)]
pub(super) struct Tree {
    /// The root first. A leaf's child is itself.
    pub(super) nodes: Vec<TreeNode>,
    /// To be expected from the root to a leaf.
    pub(super) steps: f64,
    /// The fewest.
    pub(super) least: u32,
}

/// A node of one tree, a leaf or one that asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct TreeNode {
    /// As [`Node`] has them.
    pub(super) value: u32,
    pub(super) column: u16,
    pub(super) equal: bool,
    /// Of leaves: what they add. Of inner nodes: what is to be expected of them, the mean
    /// of their leaves weighted by how often each was hit in training where the file says
    /// so, else alike.
    pub(super) expected: f32,
    /// Where the true child stands, the false one behind it.
    pub(super) child: u32,
}

impl TreeNode {
    /// A leaf; `own` is its index.
    pub(super) const fn leaf(own: u32, expected: f32) -> Self {
        Self { value: u32::MAX, column: 0, equal: false, expected, child: own }
    }
}

/// All lanes' trees. First stands the node where lanes end: it leads to itself, and
/// changes nothing.
pub(super) struct Chains {
    /// Of a `Box`, and reached by this pointer and those from it alone.
    nodes: NonNull<[Node]>,
    /// The first root of each lane.
    starts: [NonNull<Node>; LANES],
    /// Steps that every row takes in every lane that has trees.
    pub(super) least: u32,
}

// SAFETY: the nodes are this value's own, and only read once there are `Chains`.
unsafe impl Send for Chains {}
// SAFETY: as above.
unsafe impl Sync for Chains {}

impl Drop for Chains {
    fn drop(&mut self) {
        // SAFETY: it came of a `Box`, and what led to it goes with it.
        drop(unsafe { Box::from_raw(self.nodes.as_ptr()) });
    }
}

impl fmt::Debug for Chains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chains").field("nodes", &self.nodes.len()).finish_non_exhaustive()
    }
}

/// A place in the chains.
#[derive(Clone, Copy)]
pub(super) struct At<'c> {
    node: NonNull<Node>,
    chains: PhantomData<&'c Chains>,
}

impl<'c> At<'c> {
    /// The node that stands there.
    #[inline(always)]
    pub(super) fn node(self) -> &'c Node {
        // SAFETY: a start or the next of a node, all of which lead to nodes of the chains
        // that `'c` borrows, as `Chains::new` makes sure of. Offsets in their place, and
        // checks of them, take registers from the lanes.
        unsafe { self.node.as_ref() }
    }

    /// Where the branch leads.
    #[inline(always)]
    pub(super) fn next(self, branch: usize) -> Self {
        Self { node: self.node().next[branch & 1], ..self }
    }
}

/// One lane while trees are dealt out.
#[derive(Default)]
struct Lane {
    trees: Vec<Tree>,
    steps: f64,
}

/// Where lanes end, as an index.
const END: usize = 0;

impl Chains {
    /// Deals the trees out, so that all lanes are to be expected to take as many steps.
    /// Trees that ask nothing are left out: what they add is to be expected.
    ///
    /// # Errors
    /// When a node leads out of its tree.
    pub(super) fn new(mut trees: Vec<Tree>) -> Said<Self> {
        trees.retain(|tree| tree.least > 0);
        trees.sort_by(|a, b| b.steps.total_cmp(&a.steps));
        let mut lanes: [Lane; LANES] = Default::default();
        for tree in trees {
            let least = lanes.iter_mut().min_by(|a, b| a.steps.total_cmp(&b.steps));
            let Some(lane) = least else { continue };
            lane.steps += tree.steps;
            lane.trees.push(tree);
        }
        let (mut links, mut starts) = (vec![[END; 2]], [END; LANES]);
        let mut nodes = vec![Node {
            value: u32::MAX,
            column: FEATURES as u16,
            equal: false,
            next: [NonNull::dangling(); 2],
            change: [0.0; 2],
        }];
        let mut least = u32::MAX;
        for (lane, start) in lanes.iter().zip(&mut starts) {
            if lane.trees.is_empty() {
                continue;
            }
            *start = nodes.len();
            least = least.min(lane.trees.iter().map(|tree| tree.least).sum());
            for (i, tree) in lane.trees.iter().enumerate() {
                append(&mut nodes, &mut links, &tree.nodes, i + 1 < lane.trees.len())?;
            }
        }
        Self::link(nodes, &links, starts, if least == u32::MAX { 0 } else { least })
    }

    /// Now that all have their place: what each leads to, by indexes.
    fn link(
        nodes: Vec<Node>,
        links: &[[usize; 2]],
        starts: [usize; LANES],
        least: u32,
    ) -> Said<Self> {
        let nodes = NonNull::from(Box::leak(nodes.into_boxed_slice()));
        let first = nodes.cast::<Node>();
        let mut this = Self { nodes, starts: [first; LANES], least };
        // The walk relies on it.
        let inside = |at: &usize| *at < nodes.len();
        if links.len() != nodes.len() || !links.as_flattened().iter().chain(&starts).all(inside) {
            return Err("a tree leads out of the ensemble".into());
        }
        // SAFETY: of as many nodes as this is inside of.
        let place = |at: usize| unsafe { first.add(at) };
        for (at, link) in links.iter().enumerate() {
            let next = link.map(place);
            // SAFETY: a node of the `Box`, to which there are no references.
            unsafe { (*place(at).as_ptr()).next = next };
        }
        this.starts = starts.map(place);
        Ok(this)
    }

    /// Where lanes begin.
    #[inline]
    pub(super) fn starts(&self) -> [At<'_>; LANES] {
        self.starts.map(|node| At { node, chains: PhantomData })
    }

    /// Whether all lanes are at their end.
    #[inline(always)]
    pub(super) fn ended(&self, at: &[At<'_>; LANES]) -> bool {
        let end = self.nodes.cast();
        at.iter().all(|at| at.node == end)
    }
}

/// Adds a tree, of which all leaves lead to what stands behind it, or to the lane's end.
fn append(
    nodes: &mut Vec<Node>,
    links: &mut Vec<[usize; 2]>,
    tree: &[TreeNode],
    goes_on: bool,
) -> Said<()> {
    let is_leaf = |own: usize| tree[own].child as usize == own;
    // Where each that is no leaf will stand.
    let mut after = nodes.len();
    let places: Vec<_> = (0..tree.len())
        .map(|own| {
            let place = after;
            after += usize::from(!is_leaf(own));
            place
        })
        .collect();
    let next = if goes_on { after } else { END };
    for (own, node) in tree.iter().enumerate() {
        if is_leaf(own) {
            continue;
        }
        let children = [node.child as usize, node.child as usize + 1];
        if children[1] >= tree.len() {
            return Err("a tree leads out of itself".into());
        }
        let TreeNode { value, column, equal, expected, .. } = *node;
        nodes.push(Node {
            value,
            column,
            equal,
            next: [NonNull::dangling(); 2],
            change: children.map(|child| tree[child].expected - expected),
        });
        links.push(children.map(|child| if is_leaf(child) { next } else { places[child] }));
    }
    Ok(())
}
