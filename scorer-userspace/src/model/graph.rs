//! A view of an ONNX graph for those who recognise models in it.

use std::collections::HashMap;

use tract_onnx::pb::{self, tensor_proto::DataType};

use super::error::ModelError;

/// Result of looking at something in a graph; the model's name is added above.
pub(super) type Said<T> = Result<T, String>;

/// The one graph of a model, its constants and its one input.
pub(super) struct Graph<'m> {
    pub(super) proto: &'m pb::GraphProto,
    /// Name of the input.
    pub(super) input: &'m str,
    /// Columns of the input.
    pub(super) width: usize,
    initializers: HashMap<&'m str, &'m pb::TensorProto>,
    producers: HashMap<&'m str, &'m pb::NodeProto>,
}

impl<'m> Graph<'m> {
    /// Finds the input and indexes constants and nodes. `width` is the number of
    /// features that the metadata name.
    pub(super) fn new(
        proto: &'m pb::GraphProto,
        width: usize,
        model: &str,
    ) -> Result<Self, ModelError> {
        let shape = |what: String| ModelError::Shape { model: model.to_owned(), what };
        let initializers: HashMap<_, _> =
            proto.initializer.iter().map(|t| (t.name.as_str(), t)).collect();
        let mut inputs = proto.input.iter().filter(|i| !initializers.contains_key(&*i.name));
        let (Some(input), None) = (inputs.next(), inputs.next()) else {
            return Err(shape(
                "the graph must have exactly one input, a row of features; export it with all \
                 features in one tensor"
                    .into(),
            ));
        };
        let kind = input.r#type.as_ref().and_then(|t| t.value.as_ref());
        let Some(pb::type_proto::Value::TensorType(tensor)) = kind else {
            return Err(shape("the input has no type; export the model again".into()));
        };
        if tensor.elem_type != DataType::Float as i32 {
            return Err(shape(
                "the input is not of float32; export it with FloatTensorType".into(),
            ));
        }
        let dims = tensor.shape.as_ref().map_or(&[][..], |s| &s.dim);
        let [_, columns] = dims else {
            return Err(shape(format!(
                "the input has {} dimensions, must have two: [rows, features]",
                dims.len()
            )));
        };
        match columns.value {
            Some(pb::tensor_shape_proto::dimension::Value::DimValue(n)) if n == width as i64 => {}
            Some(pb::tensor_shape_proto::dimension::Value::DimValue(n)) => {
                return Err(shape(format!(
                    "the input is {n} wide, but metadata `scorer.features` names {width} features; \
                     the two must be equal"
                )));
            }
            _ => {
                return Err(shape(format!(
                    "the input's width is not fixed; export it as [rows, {width}]"
                )));
            }
        }
        let mut producers = HashMap::new();
        for node in &proto.node {
            for output in node.output.iter().filter(|o| !o.is_empty()) {
                if producers.insert(output.as_str(), node).is_some() {
                    return Err(ModelError::Invalid {
                        model: model.to_owned(),
                        what: format!("two nodes write `{output}`"),
                    });
                }
            }
        }
        Ok(Self { proto, input: &input.name, width, initializers, producers })
    }

    /// Node that writes `name`.
    pub(super) fn producer(&self, name: &str) -> Option<&'m pb::NodeProto> {
        self.producers.get(name).copied()
    }

    /// A constant of float32: an initializer, or the output of a Constant node.
    /// `None` when `name` is not one.
    pub(super) fn floats(&self, name: &str) -> Option<Vec<f32>> {
        let tensor = self.tensor(name)?;
        if tensor.data_type != DataType::Float as i32 {
            return None;
        }
        let values: Vec<f32> = if tensor.raw_data.is_empty() {
            tensor.float_data.clone()
        } else {
            let (words, rest) = tensor.raw_data.as_chunks::<4>();
            if !rest.is_empty() {
                return None;
            }
            words.iter().map(|w| f32::from_le_bytes(*w)).collect()
        };
        // Lying dimensions are refused here, once, for all who read constants.
        let volume = tensor.dims.iter().try_fold(1_i64, |v, &d| v.checked_mul(d))?;
        (volume == values.len() as i64).then_some(values)
    }

    /// A constant of one value, whatever its dimensions.
    pub(super) fn scalar(&self, name: &str) -> Option<f32> {
        // Looked at first: a long constant need not be copied to be refused.
        if self.dims(name)?.iter().any(|dim| *dim != 1) {
            return None;
        }
        match self.floats(name)?[..] {
            [value] => Some(value),
            _ => None,
        }
    }

    /// Dimensions of a constant.
    pub(super) fn dims(&self, name: &str) -> Option<&'m [i64]> {
        self.tensor(name).map(|t| &t.dims[..])
    }

    /// A constant that holds one value for each column, or one for all.
    pub(super) fn per_column(&self, name: &str) -> Option<Vec<f32>> {
        let width = self.width;
        let dims = self.dims(name)?;
        // Anything with rows of its own would broadcast to several rows.
        let (last, front) = dims.split_last().map_or((1, &[][..]), |(l, f)| (*l, f));
        if front.iter().any(|&d| d != 1) || (last != 1 && last != width as i64) {
            return None;
        }
        let values = self.floats(name)?;
        match values.len() {
            1 => Some(vec![values[0]; width]),
            n if n == width => Some(values),
            _ => None,
        }
    }

    fn tensor(&self, name: &str) -> Option<&'m pb::TensorProto> {
        if let Some(tensor) = self.initializers.get(name) {
            return Some(tensor);
        }
        let node = self.producer(name).filter(|n| n.op_type == "Constant")?;
        attribute(node, "value")?.t.as_ref()
    }
}

/// The two inputs of a node that has two.
pub(super) fn two(node: &pb::NodeProto) -> Option<(&str, &str)> {
    let [a, b] = &node.input[..] else { return None };
    Some((a, b))
}

/// An attribute by name.
pub(super) fn attribute<'m>(node: &'m pb::NodeProto, name: &str) -> Option<&'m pb::AttributeProto> {
    node.attribute.iter().find(|a| a.name == name)
}

/// An integer attribute, or what the specification says it is when absent.
pub(super) fn integer(node: &pb::NodeProto, name: &str, absent: i64) -> i64 {
    attribute(node, name).map_or(absent, |a| a.i)
}

/// A text attribute, or what the specification says it is when absent.
pub(super) fn text<'m>(node: &'m pb::NodeProto, name: &str, absent: &'m str) -> Said<&'m str> {
    match attribute(node, name) {
        None => Ok(absent),
        Some(a) => str::from_utf8(&a.s).map_err(|_| format!("attribute `{name}` is not UTF-8")),
    }
}

/// A list of f32; empty when absent.
pub(super) fn floats<'m>(node: &'m pb::NodeProto, name: &str) -> &'m [f32] {
    attribute(node, name).map_or(&[], |a| &a.floats)
}
/// A list of i64; empty when absent.
pub(super) fn integers<'m>(node: &'m pb::NodeProto, name: &str) -> &'m [i64] {
    attribute(node, name).map_or(&[], |a| &a.ints)
}
