//! How much memory an ONNX file takes once it is decoded, told from its encoding
//! alone: an attribute of two bytes becomes a structure of some four hundred.

use tract_onnx::pb;

/// What any message without a kind of its own takes at most, bytes.
const MESSAGE: u64 = 1024;
const _: () = assert!(
    size_of::<pb::SparseTensorProto>() <= MESSAGE as usize
        && size_of::<pb::FunctionProto>() <= MESSAGE as usize
        && size_of::<pb::TrainingInfoProto>() <= MESSAGE as usize
        && size_of::<pb::TensorAnnotation>() <= MESSAGE as usize
        && size_of::<pb::ValueInfoProto>() <= MESSAGE as usize
);
/// Graphs within attributes at most; those of scoring models have none.
const DEPTH: u32 = 8;

/// Messages of onnx.proto whose fields are looked into.
#[derive(Clone, Copy)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    /// Small in every real model, and charged as if it held nothing but the
    /// shortest messages there can be.
    Any,
}

impl Kind {
    const fn size(self) -> u64 {
        (match self {
            Self::Model => size_of::<pb::ModelProto>(),
            Self::Graph => size_of::<pb::GraphProto>(),
            Self::Node => size_of::<pb::NodeProto>(),
            Self::Attribute => size_of::<pb::AttributeProto>(),
            Self::Tensor => size_of::<pb::TensorProto>(),
            Self::Any => MESSAGE as usize,
        }) as u64
    }
}

/// Most bytes that `bytes`, an encoded `ModelProto`, takes when decoded; `None`
/// when it is no protobuf, or nested too deeply.
pub(super) fn decoded_size(bytes: &[u8]) -> Option<u64> {
    size(Kind::Model, bytes, 0)
}

fn size(kind: Kind, mut bytes: &[u8], depth: u32) -> Option<u64> {
    if depth > 4 * DEPTH {
        return None;
    }
    let mut total = kind.size();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        total = total.checked_add(match tag & 7 {
            0 => {
                varint(&mut bytes)?;
                8
            }
            1 => {
                bytes = bytes.get(8..)?;
                8
            }
            5 => {
                bytes = bytes.get(4..)?;
                8
            }
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let (value, rest) = bytes.split_at_checked(length)?;
                bytes = rest;
                match within(kind, tag >> 3) {
                    Some(Kind::Any) => MESSAGE + MESSAGE / 2 * length as u64,
                    Some(inner) => size(inner, value, depth + 1)?,
                    // A string or bytes; or packed numbers, each of a byte or more.
                    None if is_text(kind, tag >> 3) => 32 + length as u64,
                    None => 32 + 8 * length as u64,
                }
            }
            _ => return None,
        })?;
    }
    Some(total)
}

/// The message in a field; `None` where text or numbers are.
fn within(kind: Kind, field: u64) -> Option<Kind> {
    Some(match (kind, field) {
        (Kind::Model, 7) | (Kind::Attribute, 6 | 11) => Kind::Graph,
        (Kind::Graph, 1) => Kind::Node,
        (Kind::Graph, 5) | (Kind::Attribute, 5 | 10) => Kind::Tensor,
        (Kind::Node, 5) => Kind::Attribute,
        (Kind::Model, 8 | 14 | 20 | 25)
        | (Kind::Graph, 11..=15)
        | (Kind::Attribute, 15 | 22 | 23)
        | (Kind::Tensor, 3 | 13)
        | (Kind::Any, _) => Kind::Any,
        _ => return None,
    })
}

/// Whether a field holds one byte for each byte of the file.
fn is_text(kind: Kind, field: u64) -> bool {
    match kind {
        Kind::Model | Kind::Graph | Kind::Node => true,
        // Floats take four bytes on the wire, too.
        Kind::Attribute => field != 8,
        Kind::Tensor => matches!(field, 4 | 6 | 8 | 9 | 10 | 12),
        Kind::Any => false,
    }
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::decoded_size;

    /// Field 5 (attribute) of field 1 (node) of field 7 (graph).
    fn nested(inner: &[u8]) -> Vec<u8> {
        [1u8, 7].iter().fold(inner.to_vec(), |inner, field| {
            let mut out = vec![field << 3 | 2];
            let mut length = inner.len();
            while length > 0x7f {
                out.push(length as u8 | 0x80);
                length >>= 7;
            }
            out.push(length as u8);
            out.extend(inner);
            out
        })
    }

    #[test]
    fn structures_count_as_much_as_they_take() {
        let attributes: Vec<u8> = [5 << 3 | 2, 0].repeat(10_000);
        let size = decoded_size(&nested(&attributes)).expect("protobuf");
        assert!(size > 10_000 * size_of::<tract_onnx::pb::AttributeProto>() as u64, "{size}");
        // A packed list of a million small numbers: eight bytes each.
        let mut list = vec![8 << 3 | 2, 0xc0, 0x84, 0x3d];
        list.extend(vec![0; 1_000_000]);
        let mut attribute = vec![5 << 3 | 2, 0xc4, 0x84, 0x3d];
        attribute.extend(list);
        let size = decoded_size(&nested(&attribute)).expect("protobuf");
        assert!((8_000_000..8_100_000).contains(&size), "{size}");
        assert!(decoded_size(crate::model::BASELINE).expect("protobuf") < 1 << 20);
    }

    #[test]
    fn what_is_no_protobuf() {
        for bytes in
            [&b"\x0f"[..], b"\x3a\xff", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"\x3a"]
        {
            assert_eq!(decoded_size(bytes), None, "{bytes:?}");
        }
        // A graph in an attribute in a node in a graph, without end.
        let mut deep = Vec::new();
        for _ in 0..200 {
            deep = nested(&[&[5 << 3 | 2, 0x7f & (deep.len() as u8)][..], &deep].concat());
            deep.truncate(100);
        }
        let _ = decoded_size(&deep);
    }
}
