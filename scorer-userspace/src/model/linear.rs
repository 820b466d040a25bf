//! Logistic regression: a flat dot product compiled from an ONNX graph.
//!
//! Two shapes of graph are recognised. What `models/baseline.py` writes,
//!
//! ```text
//! IsNaN, Where -> Max/Min/Clip -> Sub/Div/Mul/Add … -> Gemm | MatMul, Add -> Sigmoid
//! ```
//!
//! each step but the last two optional; and what skl2onnx writes for scikit-learn,
//! `Imputer`, `Scaler` and `LinearClassifier` of ai.onnx.ml. Anything else is left
//! to tract. What is recognised here gives the same probabilities as tract does.

use tract_onnx::pb;

use super::graph::{self, Graph, Said, two};
use super::sigmoid;

/// One input column.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Term {
    /// Taken when the feature is missing.
    missing: f32,
    low: f32,
    high: f32,
    mean: f32,
    /// Weight over scale.
    weight: f32,
    /// Index of the feature in the registry's order.
    feature: u16,
}

/// A compiled logistic regression.
#[derive(Debug)]
pub(super) struct Linear {
    terms: Box<[Term]>,
    bias: f32,
}

impl Linear {
    /// Probability of one row, in the registry's order.
    #[inline]
    pub(super) fn probability(&self, row: &[f32]) -> f32 {
        sigmoid(self.terms.iter().fold(self.bias, |sum, term| sum + term.of(row)))
    }

    /// The same, with each feature's share of the log-odds written to
    /// `contributions`; their sum and [`Self::bias`] are the log-odds.
    pub(super) fn explain(&self, row: &[f32], contributions: &mut [f32]) -> f32 {
        contributions.fill(0.0);
        let mut sum = self.bias;
        for term in &self.terms {
            let share = term.of(row);
            sum += share;
            contributions[usize::from(term.feature)] = share;
        }
        sigmoid(sum)
    }

    /// Log-odds of a row whose every term is zero.
    pub(super) fn bias(&self) -> f32 {
        self.bias
    }
}

impl Term {
    #[inline]
    fn of(&self, row: &[f32]) -> f32 {
        let x = row[usize::from(self.feature)];
        let x = if x.is_nan() { self.missing } else { x };
        (x.max(self.low).min(self.high) - self.mean) * self.weight
    }
}

/// What the steps before the dot product do to one column:
/// `(clip(impute(x), low, high)) * factor + offset`.
#[derive(Clone, Copy)]
struct Column {
    missing: Option<f32>,
    low: f32,
    high: f32,
    // In f64, so that folding several steps into one costs no precision.
    factor: f64,
    offset: f64,
    touched: bool,
}

impl Column {
    const PLAIN: Self = Self {
        missing: None,
        low: f32::NEG_INFINITY,
        high: f32::INFINITY,
        factor: 1.0,
        offset: 0.0,
        touched: false,
    };
}

/// Compiles the graph when it is a logistic regression; `Ok(None)` when it is not.
pub(super) fn recognise(graph: &Graph<'_>, output: &str, columns: &[u16]) -> Said<Option<Linear>> {
    let Some((before, weights, bias)) = dot_product(graph, output)? else { return Ok(None) };
    let Some(steps) = preprocessing(graph, before) else { return Ok(None) };
    let mut terms = Vec::with_capacity(columns.len());
    for ((step, &weight), &feature) in steps.iter().zip(&weights).zip(columns) {
        // factor * x + offset = (x - mean) * factor
        let mean = -step.offset / step.factor;
        let weight = f64::from(weight) * step.factor;
        let term = Term {
            // A model that does not say what a missing value means is told that it
            // means nothing: the clipped mean of its standardisation.
            missing: step.missing.unwrap_or(mean as f32),
            low: step.low,
            high: step.high,
            mean: mean as f32,
            weight: weight as f32,
            feature,
        };
        if !(term.mean.is_finite() && term.weight.is_finite() && term.missing.is_finite()) {
            return Err(format!("column {} has a weight or scale that is not finite", terms.len()));
        }
        if term.low.is_nan() || term.high.is_nan() || term.low > term.high {
            return Err(format!("column {} is clipped to an empty range", terms.len()));
        }
        terms.push(term);
    }
    if !bias.is_finite() {
        return Err("the intercept is not finite".into());
    }
    Ok(Some(Linear { terms: terms.into(), bias }))
}

/// Walks back from the output to the dot product: name of its input, weights, bias.
fn dot_product<'m>(graph: &Graph<'m>, output: &str) -> Said<Option<(&'m str, Vec<f32>, f32)>> {
    let Some(last) = graph.producer(output) else { return Ok(None) };
    if last.op_type == "LinearClassifier" {
        // Its first output is the label.
        let scores = last.output.get(1).is_some_and(|name| name == output);
        return if scores { classifier(graph, last) } else { Ok(None) };
    }
    if last.op_type != "Sigmoid" {
        return Ok(None);
    }
    let Some(dot) = last.input.first().and_then(|i| graph.producer(i)) else { return Ok(None) };
    Ok(match dot.op_type.as_str() {
        "Gemm" => gemm(graph, dot),
        "Add" => two(dot).and_then(|(a, b)| {
            let (product, bias) = match (graph.floats(a), graph.floats(b)) {
                (None, Some(bias)) => (a, bias),
                (Some(bias), None) => (b, bias),
                _ => return None,
            };
            let &[bias] = &bias[..] else { return None };
            let (x, weights) = matmul(graph, graph.producer(product)?)?;
            Some((x, weights, bias))
        }),
        "MatMul" => matmul(graph, dot).map(|(x, weights)| (x, weights, 0.0)),
        _ => None,
    })
}

fn matmul<'m>(graph: &Graph<'m>, node: &'m pb::NodeProto) -> Option<(&'m str, Vec<f32>)> {
    if node.op_type != "MatMul" {
        return None;
    }
    let (x, w) = two(node)?;
    let weights = graph.floats(w)?;
    let one_column = matches!(graph.dims(w)?, [n, 1] if *n == graph.width as i64);
    one_column.then_some((x, weights))
}

fn gemm<'m>(graph: &Graph<'m>, node: &'m pb::NodeProto) -> Option<(&'m str, Vec<f32>, f32)> {
    let x = node.input.first()?;
    let w = node.input.get(1)?;
    let plain = graph::attribute(node, "alpha").is_none_or(|a| a.f == 1.0)
        && graph::attribute(node, "beta").is_none_or(|a| a.f == 1.0)
        && graph::integer(node, "transA", 0) == 0;
    let width = graph.width as i64;
    let one_column = match (graph.dims(w)?, graph::integer(node, "transB", 0)) {
        ([n, 1], 0) | ([1, n], 1) => *n == width,
        _ => false,
    };
    let bias = match node.input.get(2).filter(|c| !c.is_empty()) {
        None => 0.0,
        Some(c) => match graph.floats(c)?[..] {
            [bias] => bias,
            _ => return None,
        },
    };
    let weights = graph.floats(w)?;
    (plain && one_column).then_some((x, weights, bias))
}

/// LinearClassifier of two classes with LOGISTIC: scikit-learn's LogisticRegression.
fn classifier<'m>(
    graph: &Graph<'m>,
    node: &'m pb::NodeProto,
) -> Said<Option<(&'m str, Vec<f32>, f32)>> {
    let width = graph.width;
    let coefficients = graph::floats(node, "coefficients");
    let intercepts = graph::floats(node, "intercepts");
    let labels = graph::attribute(node, "classlabels_ints").map_or(0, |a| a.ints.len())
        + graph::attribute(node, "classlabels_strings").map_or(0, |a| a.strings.len());
    let Some(x) = node.input.first() else { return Ok(None) };
    if graph::text(node, "post_transform", "NONE")? != "LOGISTIC" || labels != 2 {
        return Ok(None);
    }
    // One row for the positive class, or a row for each; sigmoid looks only at its own.
    let rows = coefficients.len() / width.max(1);
    if !matches!(rows, 1 | 2) || coefficients.len() != rows * width {
        return Err(format!(
            "LinearClassifier has {} coefficients for {width} features",
            coefficients.len()
        ));
    }
    let weights = coefficients[(rows - 1) * width..].to_vec();
    let bias = match intercepts {
        [] => 0.0,
        _ if intercepts.len() == rows => intercepts[rows - 1],
        _ => {
            return Err(format!("LinearClassifier has {} intercepts for {rows}", intercepts.len()));
        }
    };
    Ok(Some((x, weights, bias)))
}

/// What happens to each column between the graph's input and `name`; `None` when
/// a step is none of those known.
fn preprocessing(graph: &Graph<'_>, name: &str) -> Option<Vec<Column>> {
    // Backwards to the input, then forwards. A graph has finitely many nodes, but a
    // damaged one may have a cycle.
    let mut steps = Vec::new();
    let mut at = name;
    while at != graph.input {
        if steps.len() > graph.proto.node.len() {
            return None;
        }
        let node = graph.producer(at)?;
        steps.push(node);
        at = data_input(graph, node)?;
    }
    let mut columns = vec![Column::PLAIN; graph.width];
    for node in steps.into_iter().rev() {
        apply(graph, node, &mut columns)?;
    }
    Some(columns)
}

/// The input of a step through which the rows come.
fn data_input<'m>(graph: &Graph<'m>, node: &'m pb::NodeProto) -> Option<&'m str> {
    match node.op_type.as_str() {
        "Where" => {
            let [condition, missing, x] = &node.input[..] else { return None };
            let test = graph.producer(condition)?;
            // Only "this very value when it is not NaN" is imputation.
            (test.op_type == "IsNaN" && test.input[..] == [x.clone()] && missing != x).then_some(x)
        }
        "Add" | "Mul" | "Max" | "Min" => {
            let (a, b) = two(node)?;
            Some(if graph.floats(a).is_some() { b } else { a })
        }
        "Sub" | "Div" | "Clip" | "Scaler" | "Imputer" | "Identity" => {
            node.input.first().map(String::as_str)
        }
        _ => None,
    }
}

fn apply(graph: &Graph<'_>, node: &pb::NodeProto, columns: &mut [Column]) -> Option<()> {
    let constant = |index: usize| graph.per_column(node.input.get(index)?);
    // The one of two that is not the data.
    let other = || {
        let (a, b) = two(node)?;
        graph.per_column(a).or_else(|| graph.per_column(b))
    };
    let each =
        |columns: &mut [Column], values: Vec<f32>, f: &dyn Fn(&mut Column, f32) -> Option<()>| {
            columns.iter_mut().zip(values).try_for_each(|(column, value)| f(column, value))
        };
    match node.op_type.as_str() {
        "Identity" => Some(()),
        "Where" => each(columns, constant(1)?, &Column::impute),
        "Imputer" => {
            let replaced = graph::attribute(node, "replaced_value_float").map_or(0.0, |a| a.f);
            let values = graph::floats(node, "imputed_value_floats");
            if !replaced.is_nan() {
                return None;
            }
            each(columns, broadcast(values, graph.width)?, &Column::impute)
        }
        "Max" => each(columns, other()?, &Column::at_least),
        "Min" => each(columns, other()?, &Column::at_most),
        "Clip" => {
            if node.input.get(1).is_some_and(|i| !i.is_empty()) {
                each(columns, constant(1)?, &Column::at_least)?;
            }
            if node.input.get(2).is_some_and(|i| !i.is_empty()) {
                each(columns, constant(2)?, &Column::at_most)?;
            }
            // Before opset 11 the bounds were attributes; leave those to tract.
            node.attribute.is_empty().then_some(())
        }
        "Sub" => each(columns, constant(1)?, &|c, v| c.affine(1.0, -f64::from(v))),
        "Add" => each(columns, other()?, &|c, v| c.affine(1.0, f64::from(v))),
        "Mul" => each(columns, other()?, &|c, v| c.affine(f64::from(v), 0.0)),
        "Div" => each(columns, constant(1)?, &|c, v| c.affine(1.0 / f64::from(v), 0.0)),
        "Scaler" => {
            let offset = broadcast(graph::floats(node, "offset"), graph.width)?;
            let scale = broadcast(graph::floats(node, "scale"), graph.width)?;
            each(columns, offset, &|c, v| c.affine(1.0, -f64::from(v)))?;
            each(columns, scale, &|c, v| c.affine(f64::from(v), 0.0))
        }
        _ => None,
    }
}

fn broadcast(values: &[f32], width: usize) -> Option<Vec<f32>> {
    match values {
        [one] => Some(vec![*one; width]),
        _ if values.len() == width => Some(values.to_vec()),
        _ => None,
    }
}

/// Steps must come in the order impute, clip, affine; out of order they mean
/// something else, and are left to tract.
impl Column {
    fn impute(&mut self, value: f32) -> Option<()> {
        let first = self.missing.is_none() && !self.touched && !self.clipped();
        self.missing = Some(value);
        first.then_some(())
    }

    fn at_least(&mut self, low: f32) -> Option<()> {
        let fits = !self.touched && low <= self.high;
        self.low = self.low.max(low);
        fits.then_some(())
    }

    fn at_most(&mut self, high: f32) -> Option<()> {
        let fits = !self.touched && high >= self.low;
        self.high = self.high.min(high);
        fits.then_some(())
    }

    fn affine(&mut self, factor: f64, offset: f64) -> Option<()> {
        self.touched = true;
        self.factor *= factor;
        self.offset = self.offset * factor + offset;
        // A factor of zero or infinity has no mean; rare enough for tract.
        (self.factor != 0.0 && self.factor.is_finite() && self.offset.is_finite()).then_some(())
    }

    fn clipped(&self) -> bool {
        self.low != f32::NEG_INFINITY || self.high != f32::INFINITY
    }
}
