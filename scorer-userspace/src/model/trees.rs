//! Tree ensembles (ai.onnx.ml `TreeEnsembleClassifier`, `TreeEnsembleRegressor`)
//! compiled to compact nodes, eight trees walked in lock step.

use tract_onnx::pb;

use super::{
    graph::{self, Graph, Said},
    sigmoid,
};

/// Nodes of all trees at most.
const MAX_NODES: usize = 4 << 20;
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

/// Twelve bytes. The true child is at `child`, the false one behind it. A leaf
/// has itself as true child and always takes it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Node {
    value: f32,
    child: u32,
    /// Index in the registry's order.
    feature: u16,
    mode: Mode,
    /// A missing value takes the true branch.
    missing_true: bool,
}

const _: () = assert!(size_of::<Node>() == 12);

/// A compiled ensemble.
#[derive(Debug)]
pub(super) struct Trees {
    nodes: Box<[Node]>,
    /// Of leaves: what they add. Of inner nodes: what is to be expected of them,
    /// the mean of their leaves weighted by how often each was hit in training
    /// where the file says so, else alike. For contributions.
    expected: Box<[f32]>,
    roots: Box<[u32]>,
    depth: u32,
    /// All nodes decide by `<=`, as LightGBM's do.
    only_leq: bool,
    base: f64,
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
        let sum = if self.only_leq { self.sum::<true>(row) } else { self.sum::<false>(row) };
        self.finish(sum)
    }

    fn sum<const ONLY_LEQ: bool>(&self, row: &[f32]) -> f64 {
        let mut sum = self.base;
        let (groups, rest) = self.roots.as_chunks::<LANES>();
        for group in groups {
            let mut at = *group;
            for _ in 0..self.depth {
                for place in &mut at {
                    *place = self.nodes[*place as usize].next::<ONLY_LEQ>(row);
                }
            }
            sum += at.iter().map(|leaf| f64::from(self.expected[*leaf as usize])).sum::<f64>();
        }
        for root in rest {
            let mut at = *root;
            for _ in 0..self.depth {
                at = self.nodes[at as usize].next::<ONLY_LEQ>(row);
            }
            sum += f64::from(self.expected[at as usize]);
        }
        sum
    }

    /// The same, with contributions: along each tree's path the change of what is
    /// to be expected goes to the feature that was asked. With [`Self::bias`] they
    /// sum to the log-odds (or the probability, where that is what the trees sum).
    pub(super) fn explain(&self, row: &[f32], contributions: &mut [f32]) -> f32 {
        contributions.fill(0.0);
        let mut sum = self.base;
        for root in &self.roots {
            let mut at = *root as usize;
            loop {
                let node = &self.nodes[at];
                let next = node.next::<false>(row) as usize;
                if next == at {
                    break;
                }
                contributions[usize::from(node.feature)] += self.expected[next] - self.expected[at];
                at = next;
            }
            sum += f64::from(self.expected[at]);
        }
        self.finish(sum)
    }

    fn finish(&self, sum: f64) -> f32 {
        if self.logistic { sigmoid(sum as f32) } else { sum as f32 }
    }

    /// The sum to be expected before any feature is asked.
    pub(super) fn bias(&self) -> f32 {
        let roots = self.roots.iter().map(|root| f64::from(self.expected[*root as usize]));
        (self.base + roots.sum::<f64>()) as f32
    }
}

/// Compiles the graph when it is a tree ensemble; `Ok(None)` when it is not.
pub(super) fn recognise(graph: &Graph<'_>, columns: &[u16]) -> Said<Option<Trees>> {
    let is_trees = |node: &&pb::NodeProto| {
        matches!(node.op_type.as_str(), "TreeEnsembleClassifier" | "TreeEnsembleRegressor")
    };
    let mut found = graph.proto.node.iter().filter(is_trees);
    let (Some(node), None) = (found.next(), found.next()) else { return Ok(None) };
    if node.input.first().is_none_or(|input| input != graph.input) {
        return Ok(None);
    }
    // Behind the trees only what renames or repackages: anything else is tract's.
    let tail = |op: &str| {
        matches!(
            op,
            "ZipMap"
                | "Cast"
                | "Identity"
                | "Sigmoid"
                | "ArrayFeatureExtractor"
                | "Constant"
                | "Reshape"
        )
    };
    let others = || graph.proto.node.iter().filter(|other| !std::ptr::eq(*other, node));
    if !others().all(|other| tail(&other.op_type)) {
        return Ok(None);
    }
    let sigmoid_behind = others().any(|other| other.op_type == "Sigmoid");
    compile(node, columns, sigmoid_behind).map(Some)
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

fn compile(node: &pb::NodeProto, columns: &[u16], sigmoid_behind: bool) -> Said<Trees> {
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
    // Where each (tree, node) stands.
    let mut place = std::collections::HashMap::with_capacity(count);
    for i in 0..count {
        if place.insert((lists.tree[i], lists.id[i]), i).is_some() {
            return Err(format!("tree {} has two nodes {}", lists.tree[i], lists.id[i]));
        }
    }
    let Leaves { weights, logistic, base } = leaves(node, &place, count)?;
    let mut builder = Builder {
        lists: &lists,
        columns,
        place: &place,
        weights: &weights,
        nodes: Vec::new(),
        expected: Vec::new(),
        depth: 0,
        seen: vec![false; count],
    };
    let mut roots = Vec::new();
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
    let mut trees = std::collections::HashSet::new();
    for i in (0..count).filter(|i| !is_child[*i]) {
        if !trees.insert(lists.tree[i]) {
            return Err(format!("tree {} has two roots", lists.tree[i]));
        }
        roots.push(builder.tree(i)?);
    }
    if let Some(lost) = builder.seen.iter().position(|seen| !seen) {
        return Err(format!("tree {} has a cycle", lists.tree[lost]));
    }
    let Builder { nodes, expected, depth, .. } = builder;
    let only_leq = nodes.iter().all(|node| node.mode == Mode::Leq);
    Ok(Trees {
        nodes: nodes.into(),
        expected: expected.into(),
        roots: roots.into(),
        depth,
        only_leq,
        base,
        logistic: logistic || sigmoid_behind,
    })
}

struct Leaves {
    /// What each node adds, in the file's order; 0 for inner ones.
    weights: Vec<f32>,
    logistic: bool,
    base: f64,
}

type Places = std::collections::HashMap<(i64, i64), usize>;

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
    nodes: Vec<Node>,
    expected: Vec<f32>,
    depth: u32,
    seen: Vec<bool>,
}

impl Builder<'_> {
    /// Lays one tree out breadth first; index of its root.
    fn tree(&mut self, root: usize) -> Said<u32> {
        let first = self.nodes.len();
        let mut level = vec![root];
        let mut order = Vec::new();
        let mut depth = 0;
        while !level.is_empty() {
            let mut below = Vec::new();
            // The children of this level start where the level ends.
            let start = first + order.len() + level.len();
            for file in &level {
                if std::mem::replace(&mut self.seen[*file], true) {
                    return Err(format!("tree {}: a node has two parents", self.lists.tree[*file]));
                }
                let child = start + below.len();
                let leaf = self.node(*file, child, first + order.len(), &mut below)?;
                order.push((*file, (!leaf).then_some(child)));
            }
            depth += u32::from(!below.is_empty());
            level = below;
        }
        self.depth = self.depth.max(depth);
        self.expect(first, &order);
        Ok(first as u32)
    }

    /// Adds one node; whether it is a leaf.
    fn node(
        &mut self,
        file: usize,
        child: usize,
        own: usize,
        below: &mut Vec<usize>,
    ) -> Said<bool> {
        let lists = self.lists;
        let tree = lists.tree[file];
        let mode = match &lists.modes[file][..] {
            b"LEAF" => {
                self.nodes.push(Node {
                    value: f32::INFINITY,
                    child: own as u32,
                    feature: 0,
                    mode: Mode::Leq,
                    missing_true: true,
                });
                return Ok(true);
            }
            b"BRANCH_LEQ" => Mode::Leq,
            b"BRANCH_LT" => Mode::Lt,
            b"BRANCH_GTE" => Mode::Gte,
            b"BRANCH_GT" => Mode::Gt,
            b"BRANCH_EQ" => Mode::Eq,
            b"BRANCH_NEQ" => Mode::Neq,
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
        for id in [lists.yes[file], lists.no[file]] {
            // Looked up before; the same key.
            below.extend(self.place.get(&(tree, id)));
        }
        self.nodes.push(Node {
            value: lists.value[file],
            child: child as u32,
            feature: *feature,
            mode,
            missing_true: lists.missing.get(file).is_some_and(|missing| *missing != 0),
        });
        Ok(false)
    }

    /// What is to be expected of every node of a tree, from its leaves up.
    fn expect(&mut self, first: usize, order: &[(usize, Option<usize>)]) {
        self.expected.resize(first + order.len(), 0.0);
        for (i, (file, child)) in order.iter().enumerate().rev() {
            self.expected[first + i] = match child {
                None => self.weights[*file],
                Some(child) => {
                    let hits = |at: usize| {
                        let file = order[at - first].0;
                        self.lists.hits.get(file).copied().filter(|hits| *hits > 0.0).unwrap_or(1.0)
                    };
                    let (a, b) = (hits(*child), hits(child + 1));
                    (a * self.expected[*child] + b * self.expected[child + 1]) / (a + b)
                }
            };
        }
    }
}
