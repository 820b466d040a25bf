//! Any other graph: tract runs it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use tract_onnx::{pb, prelude::*};

use super::{graph::Graph, logit};

/// Values of all tensors of a graph together at most.
const MAX_VOLUME: usize = 16 << 20;

/// Operators that give a missing value (NaN) a meaning of their own.
const TAKE_MISSING: [&str; 3] = ["IsNaN", "Imputer", "TreeEnsembleClassifier"];

/// Operators that make much out of little, or run without end. No scoring model
/// has them, and tract computes some while it loads.
const REFUSED: [&str; 16] = [
    "ConstantOfShape",
    "Expand",
    "Tile",
    "Range",
    "Resize",
    "Upsample",
    "Pad",
    "EyeLike",
    "OneHot",
    "Loop",
    "Scan",
    "If",
    "RandomNormal",
    "RandomUniform",
    "RandomNormalLike",
    "RandomUniformLike",
];

/// A graph that tract has optimised.
pub(super) struct Other {
    plan: Arc<TypedSimplePlan>,
    columns: Box<[u16]>,
    /// For each column what stands for a missing value, and for one that is taken
    /// away to see what it contributes.
    baseline: Option<Box<[f32]>>,
}

impl std::fmt::Debug for Other {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Other").field("columns", &self.columns.len()).finish_non_exhaustive()
    }
}

impl Other {
    /// Optimises the graph for one row. `baseline` has a value for each column;
    /// without one the graph must know itself what a missing value means.
    pub(super) fn new(
        proto: &pb::ModelProto,
        graph: &Graph<'_>,
        answer: &str,
        columns: &[u16],
        baseline: Option<Box<[f32]>>,
    ) -> Result<Self, String> {
        let has = |op: &str| graph.proto.node.iter().any(|node| node.op_type == op);
        if let Some(op) = REFUSED.iter().find(|op| has(op)) {
            return Err(format!("the operator {op} has no place in a scoring model"));
        }
        if baseline.is_none() && !TAKE_MISSING.iter().any(|op| has(op)) {
            return Err(
                "features may be missing (NaN) and the graph does not say what that means; \
                 write a number for each feature, one a line, to the metadata \
                 `scorer.baseline` (the mean in training, say)"
                    .to_owned(),
            );
        }
        // tract panics on some graphs that are damaged but decode; a model that
        // cannot be loaded must not take the scorer with it.
        let plan = catch_unwind(AssertUnwindSafe(|| plan(proto, answer, columns.len())))
            .map_err(|_| "tract panicked on this graph".to_owned())?
            .map_err(|error| format!("tract says: {error:#}"))?;
        let other = Self { plan, columns: columns.into(), baseline };
        // Faults that show only when it runs should show now: with zeros, and
        // with everything missing.
        let width = columns.iter().map(|column| usize::from(*column) + 1).max().unwrap_or(0);
        for value in [0.0, f32::NAN] {
            let p = other.probability(&vec![value; width]);
            if !(0.0..=1.0).contains(&p) {
                return Err(format!(
                    "a trial run with every feature {} gave {p}, must give a probability",
                    if value == 0.0 { "0" } else { "missing" }
                ));
            }
        }
        Ok(other)
    }

    /// Probability of one row; NaN when tract fails.
    pub(super) fn probability(&self, row: &[f32]) -> f32 {
        let values: Vec<f32> = self
            .columns
            .iter()
            .enumerate()
            .map(|(i, column)| {
                let value = row[usize::from(*column)];
                self.baseline.as_ref().filter(|_| value.is_nan()).map_or(value, |base| base[i])
            })
            .collect();
        self.run(&values).unwrap_or(f32::NAN)
    }

    fn run(&self, values: &[f32]) -> Option<f32> {
        let input = Tensor::from_shape(&[1, values.len()], values).ok()?;
        let run = || self.plan.run(tvec!(input.into_tvalue())).ok();
        let outputs = catch_unwind(AssertUnwindSafe(run)).ok().flatten()?;
        let output = outputs.first()?;
        // Alone, or behind the probability of the contrary.
        let probabilities = output.try_as_plain_ram().ok()?.as_slice::<f32>().ok()?;
        matches!(probabilities.len(), 1 | 2).then(|| probabilities.last().copied())?
    }

    /// The same, with what is lost (log-odds) when a feature is taken away: each in
    /// turn is set to its baseline, or to missing where there is none.
    pub(super) fn explain(&self, row: &[f32], contributions: &mut [f32]) -> f32 {
        contributions.fill(0.0);
        let probability = self.probability(row);
        let mut without = row.to_vec();
        for column in &self.columns {
            let at = usize::from(*column);
            let value = std::mem::replace(&mut without[at], f32::NAN);
            if !value.is_nan() {
                contributions[at] = logit(probability) - logit(self.probability(&without));
            }
            without[at] = value;
        }
        probability
    }
}

fn plan(proto: &pb::ModelProto, answer: &str, width: usize) -> TractResult<Arc<TypedSimplePlan>> {
    // Only what leads to the answer: beside it there are labels, and maps, which
    // tract has no tensors for.
    let mut proto = proto.clone();
    if let Some(graph) = &mut proto.graph {
        let mut wanted = std::collections::HashSet::from([answer.to_owned()]);
        // Exporters write nodes in the order they run.
        let mut nodes = Vec::new();
        for node in std::mem::take(&mut graph.node).into_iter().rev() {
            if node.output.iter().any(|name| wanted.contains(name)) {
                wanted.extend(node.input.iter().cloned());
                nodes.push(node);
            }
        }
        nodes.reverse();
        graph.node = nodes;
        graph.output =
            vec![pb::ValueInfoProto { name: answer.to_owned(), ..pb::ValueInfoProto::default() }];
    }
    let typed = onnx()
        .model_for_proto_model(&proto)?
        .with_input_fact(0, f32::fact([1, width]).into())?
        .into_typed()?;
    let mut volume = 0usize;
    for node in &typed.nodes {
        for output in &node.outputs {
            let values = output.fact.shape.as_concrete().map_or(0, |dims| {
                dims.iter().fold(1usize, |volume, dim| volume.saturating_mul(*dim))
            });
            volume = volume.saturating_add(values);
        }
    }
    if volume > MAX_VOLUME {
        anyhow::bail!("its tensors have {volume} values, the limit is {MAX_VOLUME}");
    }
    typed.into_optimized()?.into_runnable()
}
