//! From an ONNX graph to compact nodes.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet},
};

use tract_onnx::pb;

use super::{
    BELOW, FEATURES, Trees,
    chain::{Chains, Tree, TreeNode},
    order,
};
use crate::model::{
    answer::unwrapped,
    graph::{self, Graph, Said, two},
};

/// Nodes of all trees at most.
const MAX_NODES: usize = 4 << 20;
/// Of a tree. LightGBM's grow leaf by leaf, so 256 leaves may be 255 deep.
const MAX_DEPTH: u32 = 512;

/// What stands between the trees' sum and the probability: calibration, which
/// the leaves take up.
struct Tail {
    sigmoid: bool,
    factor: f64,
    offset: f64,
}

/// Compiles the graph when `answer` comes out of a tree ensemble; `Ok(None)` when
/// it does not.
///
/// Behind the trees there may be a sigmoid, and before it sums and products with
/// single constants (Platt's calibration).
pub(in crate::model) fn recognise(
    graph: &Graph<'_>,
    answer: &str,
    columns: &[u16],
) -> Said<Option<Trees>> {
    let Some((node, output, tail)) = ensemble(graph, answer) else { return Ok(None) };
    let classifier = node.op_type == "TreeEnsembleClassifier";
    let regressor = node.op_type == "TreeEnsembleRegressor";
    // A classifier writes the label first.
    let written = node.output.get(usize::from(classifier)).is_some_and(|name| name == output);
    let fed = node.input.first().is_some_and(|input| unwrapped(graph, input) == graph.input);
    if !(classifier || regressor) || !written || !fed {
        return Ok(None);
    }
    // Logistic twice over is no ensemble that anybody trains; tract may have it.
    if tail.sigmoid && graph::text(node, "post_transform", "NONE")? != "NONE" {
        return Ok(None);
    }
    compile(node, columns, &tail).map(Some)
}

/// Walks back from the answer to the node that is not part of the tail.
fn ensemble<'m>(graph: &Graph<'m>, answer: &'m str) -> Option<(&'m pb::NodeProto, &'m str, Tail)> {
    let mut tail = Tail { sigmoid: false, factor: 1.0, offset: 0.0 };
    let mut at = answer;
    for _ in 0..=graph.proto.node.len() {
        let node = graph.producer(at)?;
        let constant = |name: &str| graph.scalar(name).map(f64::from);
        // The input that is data, and the constant.
        let either = || {
            let (a, b) = two(node)?;
            constant(b).map(|c| (a, c)).or_else(|| constant(a).map(|c| (b, c)))
        };
        let second = || two(node).and_then(|(a, b)| Some((a, constant(b)?)));
        let before = match node.op_type.as_str() {
            "Sigmoid" if !tail.sigmoid => {
                tail.sigmoid = true;
                node.input.first()?
            }
            "Mul" if tail.sigmoid => {
                let (x, c) = either()?;
                tail.factor *= c;
                x
            }
            "Div" if tail.sigmoid => {
                let (x, c) = second()?;
                tail.factor /= c;
                x
            }
            "Add" if tail.sigmoid => {
                let (x, c) = either()?;
                tail.offset += tail.factor * c;
                x
            }
            "Sub" if tail.sigmoid => {
                let (x, c) = second()?;
                tail.offset -= tail.factor * c;
                x
            }
            "Neg" if tail.sigmoid => {
                tail.factor = -tail.factor;
                node.input.first()?
            }
            _ => return Some((node, at, tail)),
        };
        at = unwrapped(graph, before);
    }
    None
}

/// The attributes that describe nodes, all of one length.
struct Lists<'m> {
    tree: &'m [i64],
    id: &'m [i64],
    feature: &'m [i64],
    value: &'m [f32],
    yes: &'m [i64],
    no: &'m [i64],
    missing: &'m [i64],
    hits: &'m [f32],
    modes: &'m [Vec<u8>],
}

fn compile(node: &pb::NodeProto, columns: &[u16], tail: &Tail) -> Said<Trees> {
    let lists = Lists {
        tree: graph::integers(node, "nodes_treeids"),
        id: graph::integers(node, "nodes_nodeids"),
        feature: graph::integers(node, "nodes_featureids"),
        value: graph::floats(node, "nodes_values"),
        yes: graph::integers(node, "nodes_truenodeids"),
        no: graph::integers(node, "nodes_falsenodeids"),
        missing: graph::integers(node, "nodes_missing_value_tracks_true"),
        hits: graph::floats(node, "nodes_hitrates"),
        modes: graph::attribute(node, "nodes_modes").map_or(&[][..], |a| &a.strings),
    };
    let count = lists.tree.len();
    if count == 0 || count > MAX_NODES {
        return Err(format!("the ensemble has {count} nodes, must have 1 to {MAX_NODES}"));
    }
    let full = [
        lists.id.len(),
        lists.feature.len(),
        lists.value.len(),
        lists.yes.len(),
        lists.no.len(),
        lists.modes.len(),
    ];
    if full.iter().any(|length| *length != count) {
        return Err(format!("the lists that describe {count} nodes differ in length"));
    }
    let optional = |length: usize| length == 0 || length == count;
    if !optional(lists.missing.len()) || !optional(lists.hits.len()) {
        return Err("the optional lists that describe nodes differ in length".into());
    }
    if lists.hits.iter().any(|hits| !hits.is_finite()) {
        return Err("`nodes_hitrates` has a value that is not finite".into());
    }
    // Where each (tree, node) stands.
    let mut place = HashMap::with_capacity(count);
    for i in 0..count {
        if place.insert((lists.tree[i], lists.id[i]), i).is_some() {
            return Err(format!("tree {} has two nodes {}", lists.tree[i], lists.id[i]));
        }
    }
    let Leaves { mut weights, logistic, base } = leaves(node, &place, count)?;
    // The calibration's product goes into the leaves, its sum into the base.
    for weight in &mut weights {
        *weight = (f64::from(*weight) * tail.factor) as f32;
    }
    let base = base * tail.factor + tail.offset;
    if !base.is_finite() || weights.iter().any(|weight| !weight.is_finite()) {
        return Err("a base value, leaf or calibration is not finite".into());
    }
    let mut builder = Builder {
        lists: &lists,
        columns,
        place: &place,
        weights: &weights,
        nodes: 0,
        seen: vec![false; count],
    };
    let mut is_child = vec![false; count];
    for i in 0..count {
        if lists.modes[i] != b"LEAF" {
            for child in [lists.yes[i], lists.no[i]] {
                let Some(child) = place.get(&(lists.tree[i], child)) else {
                    return Err(format!(
                        "tree {}: node {} names a child that is not there",
                        lists.tree[i], lists.id[i]
                    ));
                };
                is_child[*child] = true;
            }
        }
    }
    let (mut trees, mut with_root) = (Vec::new(), HashSet::new());
    for i in (0..count).filter(|i| !is_child[*i]) {
        if !with_root.insert(lists.tree[i]) {
            return Err(format!("tree {} has two roots", lists.tree[i]));
        }
        trees.push(builder.tree(i)?);
    }
    if let Some(lost) = builder.seen.iter().position(|seen| !seen) {
        return Err(format!("tree {} has a cycle", lists.tree[lost]));
    }
    let only_leq = trees.iter().flat_map(|tree| &tree.nodes).all(|node| !node.equal);
    let roots = trees.iter().map(|tree| f64::from(tree.nodes[0].expected));
    let expected = base + roots.sum::<f64>();
    Ok(Trees {
        chains: Chains::new(trees)?,
        only_leq,
        expected,
        logistic: logistic || tail.sigmoid,
    })
}

struct Leaves {
    /// What each node adds, in the file's order; 0 for inner ones.
    weights: Vec<f32>,
    logistic: bool,
    base: f64,
}

type Places = HashMap<(i64, i64), usize>;

/// What leaves add to the positive class, or to the one target.
fn leaves(node: &pb::NodeProto, place: &Places, count: usize) -> Said<Leaves> {
    let classifier = node.op_type == "TreeEnsembleClassifier";
    let name = |what: &str| format!("{}_{what}", if classifier { "class" } else { "target" });
    let (trees, ids) = (name("treeids"), name("nodeids"));
    let (trees, ids) = (graph::integers(node, &trees), graph::integers(node, &ids));
    let (outputs, values) = (name("ids"), name("weights"));
    let (outputs, values) = (graph::integers(node, &outputs), graph::floats(node, &values));
    if [ids.len(), outputs.len(), values.len()].iter().any(|length| *length != trees.len()) {
        return Err("the lists that describe leaves differ in length".into());
    }
    let classes = graph::attribute(node, "classlabels_int64s").map_or(0, |a| a.ints.len())
        + graph::attribute(node, "classlabels_strings").map_or(0, |a| a.strings.len());
    if classifier && classes != 2 {
        return Err(format!("the classifier has {classes} classes, must have two"));
    }
    let aggregate = graph::text(node, "aggregate_function", "SUM")?;
    if aggregate != "SUM" {
        return Err(format!("the ensemble aggregates by {aggregate}; export it with SUM"));
    }
    // With weights for one class only they are the positive one's (ONNX, and what
    // onnxmltools writes for LightGBM); with both, each has its own.
    let both = outputs.contains(&0) && outputs.contains(&1);
    let wanted = if classifier && both { Some(1) } else { None };
    let mut weights = vec![0.0; count];
    for i in 0..trees.len() {
        let Some(at) = place.get(&(trees[i], ids[i])) else {
            return Err(format!(
                "tree {}: a weight for node {}, which is not there",
                trees[i], ids[i]
            ));
        };
        if !values[i].is_finite() {
            return Err(format!(
                "tree {}: node {} has a weight that is not finite",
                trees[i], ids[i]
            ));
        }
        if wanted.is_none_or(|wanted| wanted == outputs[i]) {
            weights[*at] += values[i];
        }
    }
    let base = match graph::floats(node, "base_values") {
        [] => 0.0,
        [one] => f64::from(*one),
        [_, two] if classifier => f64::from(*two),
        more => return Err(format!("{} base values, must be one", more.len())),
    };
    let logistic = match graph::text(node, "post_transform", "NONE")? {
        "LOGISTIC" => true,
        "NONE" => false,
        other => return Err(format!("post_transform {other}; export it with LOGISTIC or NONE")),
    };
    Ok(Leaves { weights, logistic, base })
}

struct Builder<'m> {
    lists: &'m Lists<'m>,
    columns: &'m [u16],
    place: &'m Places,
    weights: &'m [f32],
    /// Of all trees so far.
    nodes: usize,
    seen: Vec<bool>,
}

/// A tree as far as it is laid out.
#[derive(Default)]
struct Laid {
    nodes: Vec<TreeNode>,
    /// Where each stands in the file.
    files: Vec<usize>,
    waiting: BinaryHeap<Waiting>,
}

/// A node whose children are not laid out yet: how often it was hit, as bits, which are in
/// the order of what is above 0; its index, the first first; its depth, and where its
/// children stand in the file.
type Waiting = (u32, Reverse<usize>, u32, [usize; 2]);

impl Builder<'_> {
    /// Lays one tree out, the children of nodes that were hit most in training first: most
    /// rows find their way in few cache lines.
    fn tree(&mut self, root: usize) -> Said<Tree> {
        let mut laid = Laid::default();
        self.lay(root, 0, &mut laid)?;
        while let Some((_, Reverse(at), depth, children)) = laid.waiting.pop() {
            laid.nodes[at].child = laid.nodes.len() as u32;
            if depth == MAX_DEPTH {
                return Err(format!(
                    "tree {} is deeper than {MAX_DEPTH}, or has a cycle",
                    self.lists.tree[root]
                ));
            }
            if self.nodes + laid.nodes.len() + 2 > MAX_NODES {
                return Err(format!("the trees have more than {MAX_NODES} nodes"));
            }
            for child in children {
                self.lay(child, depth + 1, &mut laid)?;
            }
        }
        self.nodes += laid.nodes.len();
        Ok(self.expect(laid))
    }

    /// Adds a node; one that has children waits for them.
    fn lay(&mut self, file: usize, depth: u32, laid: &mut Laid) -> Said<()> {
        // Two parents of one node, as onnxmltools writes for sets of categories, get a
        // copy each.
        self.seen[file] = true;
        let own = laid.nodes.len();
        laid.files.push(file);
        if self.lists.modes[file] == b"LEAF" {
            laid.nodes.push(TreeNode::leaf(own as u32, self.weights[file]));
        } else {
            let (node, children) = self.node(file)?;
            laid.nodes.push(node);
            laid.waiting.push((self.hits(file).to_bits(), Reverse(own), depth, children));
        }
        Ok(())
    }

    /// How often a node was hit, as far as the file says so; above 0.
    fn hits(&self, file: usize) -> f32 {
        self.lists.hits.get(file).copied().filter(|hits| *hits > 0.0).unwrap_or(1.0)
    }

    /// One inner node, and where its children stand in the file, the true one first.
    fn node(&self, file: usize) -> Said<(TreeNode, [usize; 2])> {
        let lists = self.lists;
        let tree = lists.tree[file];
        // By `<=` and `==` alone: the others are these with the branches changed over, or
        // with the number next below, which an integer of the same order has.
        let (equal, next_below, changed) = match &lists.modes[file][..] {
            b"BRANCH_LEQ" => (false, false, false),
            b"BRANCH_LT" => (false, true, false),
            b"BRANCH_GTE" => (false, true, true),
            b"BRANCH_GT" => (false, false, true),
            b"BRANCH_EQ" => (true, false, false),
            b"BRANCH_NEQ" => (true, false, true),
            other => {
                return Err(format!("tree {tree}: unknown node mode {}", other.escape_ascii()));
            }
        };
        let feature =
            usize::try_from(lists.feature[file]).ok().and_then(|index| self.columns.get(index));
        let Some(feature) = feature else {
            return Err(format!(
                "tree {tree} asks for column {}, there are {}",
                lists.feature[file],
                self.columns.len()
            ));
        };
        if lists.value[file].is_nan() {
            return Err(format!("tree {tree}: a threshold is not a number"));
        }
        let mut children = [lists.yes[file], lists.no[file]];
        if changed {
            children.reverse();
        }
        // Looked up before.
        let found = children.map(|id| self.place.get(&(tree, id)).copied());
        let [Some(yes), Some(no)] = found else {
            return Err(format!("tree {tree} names a child that is not there"));
        };
        if usize::from(*feature) >= FEATURES {
            return Err(format!("tree {tree} asks for feature {feature}, {FEATURES} are allowed"));
        }
        let missing_true = lists.missing.get(file).is_some_and(|missing| *missing != 0);
        let node = TreeNode {
            value: order(lists.value[file]) - u32::from(next_below),
            expected: 0.0,
            child: 0,
            column: if missing_true == changed { *feature } else { *feature + BELOW as u16 },
            equal,
        };
        Ok((node, [yes, no]))
    }

    /// What is to be expected of every inner node of a tree and how many steps there are
    /// behind it, from its leaves up.
    fn expect(&self, laid: Laid) -> Tree {
        let Laid { mut nodes, files, .. } = laid;
        let mut steps = vec![(0.0, 0); nodes.len()];
        for i in (0..nodes.len()).rev() {
            let child = nodes[i].child as usize;
            if child == i {
                continue;
            }
            let [a, b] = [child, child + 1].map(|at| f64::from(self.hits(files[at])));
            let mean = |x: f64, y: f64| (a * x + b * y) / (a + b);
            let expected = |at: usize| f64::from(nodes[at].expected);
            nodes[i].expected = mean(expected(child), expected(child + 1)) as f32;
            let (yes, no) = (steps[child], steps[child + 1]);
            steps[i] = (1.0 + mean(yes.0, no.0), 1 + yes.1.min(no.1));
        }
        let (expected, least) = steps[0];
        Tree { nodes, steps: expected, least }
    }
}
