//! A model that gives every call the same score, so that a test sees what lists and
//! policy do whatever the built-in model has learnt.

use std::path::Path;

/// Writes it: a logistic regression whose one weight is 0 (ONNX, onnx.proto3 field
/// numbers). `score` is from 1 to 99.
///
/// # Panics
/// When it cannot be written.
pub fn constant(path: &Path, score: u8) {
    let share = f32::from(score) / 100.0;
    let bias = (share / (1.0 - share)).ln();
    let node = |kind: &str, inputs: &[&str], output: &str| {
        let inputs = inputs.iter().flat_map(|name| text(1, name)).collect::<Vec<_>>();
        field(1, &[inputs, text(2, output), text(4, kind)].concat())
    };
    let tensor = |name: &str, dims: &[u64], value: f32| {
        let dims = dims.iter().flat_map(|size| number(1, *size)).collect::<Vec<_>>();
        let data = field(9, &value.to_le_bytes());
        field(5, &[dims, number(2, FLOAT), text(8, name), data].concat())
    };
    let value = |place: u64, name: &str| {
        let rows = field(1, &text(2, "N"));
        let columns = field(1, &number(1, 1));
        let shape = field(2, &[rows, columns].concat());
        let tensor = field(1, &[number(1, FLOAT), shape].concat());
        field(place, &[text(1, name), field(2, &tensor)].concat())
    };
    let graph = [
        node("Gemm", &["features", "weight", "bias"], "logit"),
        node("Sigmoid", &["logit"], "probability"),
        text(2, "constant"),
        tensor("weight", &[1, 1], 0.0),
        tensor("bias", &[1], bias),
        value(11, "features"),
        value(12, "probability"),
    ];
    let about = |key: &str, value: &str| field(14, &[text(1, key), text(2, value)].concat());
    let model = [
        number(1, 8),
        field(7, &graph.concat()),
        field(8, &number(2, 17)),
        about("scorer.features", "caller_length"),
        about("scorer.name", "constant"),
        about("scorer.version", "1"),
    ];
    std::fs::write(path, model.concat()).expect("written");
}

/// Of a tensor's elements.
const FLOAT: u64 = 1;

/// A field of a length and bytes.
fn field(place: u64, bytes: &[u8]) -> Vec<u8> {
    [varint(place << 3 | 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

fn text(place: u64, text: &str) -> Vec<u8> {
    field(place, text.as_bytes())
}

/// A field of one number.
fn number(place: u64, value: u64) -> Vec<u8> {
    [varint(place << 3), varint(value)].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
