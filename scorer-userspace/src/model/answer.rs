//! Which tensor of a graph is the probability.
//!
//! Exporters write a label and, beside or behind it, the probabilities: as a
//! tensor, as a sequence of maps (`ZipMap`), renamed, cast, multiplied by one.

use tract_onnx::pb;

use super::graph::{self, Graph};

/// ONNX's number of float32.
const FLOAT: i64 = 1;

/// The tensor that holds the probability of fraud, alone or behind that of its
/// contrary. `None` when the graph has no output of that kind.
pub(super) fn answer<'m>(graph: &Graph<'m>) -> Option<&'m str> {
    // The label, where there is one, comes first.
    graph.proto.output.iter().rev().find_map(|output| {
        let kind = output.r#type.as_ref().and_then(|kind| kind.value.as_ref());
        let other = match kind {
            Some(pb::type_proto::Value::TensorType(tensor)) => {
                i64::from(tensor.elem_type) != FLOAT && tensor.elem_type != 0
            }
            // A sequence of maps: what tract's own protobuf has no name for.
            None => false,
        };
        (!other).then(|| unwrapped(graph, &output.name))
    })
}

/// The tensor behind all that only renames or repackages.
pub(super) fn unwrapped<'m>(graph: &Graph<'m>, name: &'m str) -> &'m str {
    let mut at = name;
    // No more steps than nodes: a damaged graph may have a cycle.
    for _ in 0..=graph.proto.node.len() {
        let Some(before) = graph.producer(at).and_then(|node| passed_on(graph, node)) else {
            break;
        };
        at = before;
    }
    at
}

/// The input that a node hands on as it is.
fn passed_on<'m>(graph: &Graph<'m>, node: &'m pb::NodeProto) -> Option<&'m str> {
    let first = node.input.first().map(String::as_str);
    match node.op_type.as_str() {
        "ZipMap" | "Identity" => first,
        "Cast" if graph::integer(node, "to", 0) == FLOAT => first,
        "Mul" => neutral(graph, node, 1.0),
        "Add" => neutral(graph, node, 0.0),
        _ => None,
    }
}

/// The other input, where one is this single constant.
fn neutral<'m>(graph: &Graph<'m>, node: &'m pb::NodeProto, constant: f32) -> Option<&'m str> {
    let [a, b] = &node.input[..] else { return None };
    let is = |name: &str| graph.scalar(name) == Some(constant);
    if is(b) {
        Some(a)
    } else if is(a) {
        Some(b)
    } else {
        None
    }
}
