//! Any other graph: tract runs it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use tract_onnx::{pb, prelude::*};

/// A graph that tract has optimised.
pub(super) struct Other {
    plan: Arc<TypedSimplePlan>,
    columns: Box<[u16]>,
    /// Which output holds the probability.
    output: usize,
}

impl std::fmt::Debug for Other {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Other").field("columns", &self.columns.len()).finish_non_exhaustive()
    }
}

impl Other {
    /// Optimises the graph for one row.
    pub(super) fn new(proto: &pb::ModelProto, columns: &[u16]) -> Result<Self, String> {
        // tract panics on some graphs that are damaged but decode; a model that
        // cannot be loaded must not take the scorer with it.
        let plan = catch_unwind(AssertUnwindSafe(|| plan(proto, columns.len())))
            .map_err(|_| "it panicked on this graph".to_owned())?
            .map_err(|error| format!("{error:#}"))?;
        let mut other = Self { plan, columns: columns.into(), output: 0 };
        // A trial run finds the output, and faults that show only then.
        let row =
            vec![0.0; columns.iter().map(|column| usize::from(*column) + 1).max().unwrap_or(0)];
        let outputs = other.run(&row).ok_or_else(|| "a trial run failed".to_owned())?;
        other.output = outputs
            .iter()
            .rposition(|output| {
                output.datum_type() == f32::datum_type() && matches!(output.len(), 1 | 2)
            })
            .ok_or_else(|| {
                "no output is one probability, or one for each of two classes".to_owned()
            })?;
        Ok(other)
    }

    fn run(&self, row: &[f32]) -> Option<TVec<TValue>> {
        let values: Vec<f32> =
            self.columns.iter().map(|column| row[usize::from(*column)]).collect();
        let input = Tensor::from_shape(&[1, values.len()], &values).ok()?;
        catch_unwind(AssertUnwindSafe(|| self.plan.run(tvec!(input.into_tvalue())).ok()))
            .ok()
            .flatten()
    }

    /// Probability of one row; NaN when tract fails.
    pub(super) fn probability(&self, row: &[f32]) -> f32 {
        self.run(row)
            .and_then(|outputs| {
                let output = outputs.get(self.output)?;
                output.try_as_plain_ram().ok()?.as_slice::<f32>().ok()?.last().copied()
            })
            .unwrap_or(f32::NAN)
    }

    /// The same, with what is lost (log-odds) when a feature is taken away: each in
    /// turn is set to 0.
    pub(super) fn explain(&self, row: &[f32], contributions: &mut [f32]) -> f32 {
        contributions.fill(0.0);
        let probability = self.probability(row);
        let mut without = row.to_vec();
        for column in &self.columns {
            let at = usize::from(*column);
            let value = std::mem::replace(&mut without[at], 0.0);
            if value != 0.0 {
                contributions[at] = logit(probability) - logit(self.probability(&without));
            }
            without[at] = value;
        }
        probability
    }
}

fn logit(p: f32) -> f32 {
    let p = p.clamp(1e-6, 1.0 - 1e-6);
    (p / (1.0 - p)).ln()
}

fn plan(proto: &pb::ModelProto, width: usize) -> TractResult<Arc<TypedSimplePlan>> {
    onnx()
        .model_for_proto_model(proto)?
        .with_input_fact(0, f32::fact([1, width]).into())?
        .into_optimized()?
        .into_runnable()
}
