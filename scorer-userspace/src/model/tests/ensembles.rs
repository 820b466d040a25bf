//! Random tree ensembles: ours against tract, against a naive walk, and damaged.

use prost::Message as _;
use tract_onnx::pb::{
    self, AttributeProto, ModelProto, StringStringEntryProto, attribute_proto::AttributeType,
    tensor_proto::DataType,
};

use super::super::{Evaluator, Model, Scratch, other::Other};

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Numbers without end, the same every time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn unit(&mut self) -> f32 {
        (self.next() % 2_001) as f32 / 1_000.0 - 1.0
    }
}

#[derive(Clone)]
struct Tree {
    /// (mode, feature, value, true child, false child, missing goes true, weight)
    nodes: Vec<(&'static str, usize, f32, usize, usize, bool, f32)>,
}

fn tree(random: &mut Random, modes: &[&'static str]) -> Tree {
    let mut nodes = vec![("LEAF", 0, 0.0, 0, 0, false, random.unit() / 4.0)];
    for _ in 0..random.below(12) {
        let leaves: Vec<_> = (0..nodes.len()).filter(|i| nodes[*i].0 == "LEAF").collect();
        let at = leaves[random.below(leaves.len() as u64) as usize];
        let mode = modes[random.below(modes.len() as u64) as usize];
        // Quarters, so that equality happens.
        let value = (random.unit() * 4.0).round() / 4.0;
        let (yes, no) = (nodes.len(), nodes.len() + 1);
        nodes[at] = (mode, random.below(5) as usize, value, yes, no, random.below(2) == 1, 0.0);
        for _ in 0..2 {
            nodes.push(("LEAF", 0, 0.0, 0, 0, false, random.unit() / 4.0));
        }
    }
    Tree { nodes }
}

impl Tree {
    fn naive(&self, row: &[f32]) -> f32 {
        let mut at = 0;
        loop {
            let (mode, feature, value, yes, no, missing, weight) = self.nodes[at];
            let x = row[feature];
            let so = match mode {
                "LEAF" => return weight,
                _ if x.is_nan() => missing,
                "BRANCH_LEQ" => x <= value,
                "BRANCH_LT" => x < value,
                "BRANCH_GTE" => x >= value,
                "BRANCH_GT" => x > value,
                "BRANCH_EQ" => x == value,
                _ => x != value,
            };
            at = if so { yes } else { no };
        }
    }
}

fn ints(name: &str, values: impl Iterator<Item = i64>) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::Ints as i32,
        ints: values.collect(),
        ..Default::default()
    }
}

fn floats(name: &str, values: impl Iterator<Item = f32>) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::Floats as i32,
        floats: values.collect(),
        ..Default::default()
    }
}

fn value(name: &str, width: i64) -> pb::ValueInfoProto {
    use pb::tensor_shape_proto::{Dimension, dimension::Value};
    let dim = |n| Dimension { denotation: String::new(), value: Some(Value::DimValue(n)) };
    let shape = pb::TensorShapeProto { dim: vec![dim(1), dim(width)] };
    let tensor = pb::type_proto::Tensor { elem_type: DataType::Float as i32, shape: Some(shape) };
    let kind = pb::TypeProto {
        denotation: String::new(),
        value: Some(pb::type_proto::Value::TensorType(tensor)),
    };
    pb::ValueInfoProto { name: name.into(), r#type: Some(kind), doc_string: String::new() }
}

fn model(trees: &[Tree], base: f32) -> ModelProto {
    let all = || {
        trees.iter().enumerate().flat_map(|(t, tree)| {
            tree.nodes.iter().enumerate().map(move |(i, node)| (t as i64, i as i64, *node))
        })
    };
    let leaves = || all().filter(|(_, _, node)| node.0 == "LEAF");
    let string = |name: &str, text: &str| AttributeProto {
        name: name.into(),
        r#type: AttributeType::String as i32,
        s: text.into(),
        ..Default::default()
    };
    let attribute = vec![
        ints("nodes_treeids", all().map(|n| n.0)),
        ints("nodes_nodeids", all().map(|n| n.1)),
        ints("nodes_featureids", all().map(|n| n.2.1 as i64)),
        floats("nodes_values", all().map(|n| n.2.2)),
        ints("nodes_truenodeids", all().map(|n| n.2.3 as i64)),
        ints("nodes_falsenodeids", all().map(|n| n.2.4 as i64)),
        ints("nodes_missing_value_tracks_true", all().map(|n| i64::from(n.2.5))),
        AttributeProto {
            name: "nodes_modes".into(),
            r#type: AttributeType::Strings as i32,
            strings: all().map(|n| n.2.0.into()).collect(),
            ..Default::default()
        },
        ints("class_treeids", leaves().map(|n| n.0)),
        ints("class_nodeids", leaves().map(|n| n.1)),
        ints("class_ids", leaves().map(|_| 0)),
        floats("class_weights", leaves().map(|n| n.2.6)),
        ints("classlabels_int64s", [0, 1].into_iter()),
        floats("base_values", std::iter::once(base)),
        string("post_transform", "LOGISTIC"),
    ];
    let node = pb::NodeProto {
        input: vec!["x".into()],
        output: vec!["label".into(), "probabilities".into()],
        op_type: "TreeEnsembleClassifier".into(),
        domain: "ai.onnx.ml".into(),
        attribute,
        ..Default::default()
    };
    let graph = pb::GraphProto {
        name: "trees".into(),
        node: vec![node],
        input: vec![value("x", 5)],
        output: vec![value("probabilities", 2)],
        ..Default::default()
    };
    let entry =
        |key: &str, value: &str| StringStringEntryProto { key: key.into(), value: value.into() };
    let opset = |domain: &str, version| pb::OperatorSetIdProto { domain: domain.into(), version };
    ModelProto {
        ir_version: 8,
        opset_import: vec![opset("", 15), opset("ai.onnx.ml", 1)],
        graph: Some(graph),
        metadata_props: vec![
            entry("scorer.features", &NAMES.join("\n")),
            entry("scorer.name", "t"),
        ],
        ..Default::default()
    }
}

fn row(random: &mut Random, missing: bool) -> [f32; 5] {
    std::array::from_fn(|_| match random.below(12) {
        0 if missing => f32::NAN,
        1 => f32::INFINITY,
        2 => f32::NEG_INFINITY,
        3 => 1e30,
        _ => (random.unit() * 4.0).round() / 4.0,
    })
}

const ALL: [&str; 6] =
    ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"];

#[test]
fn a_naive_walk_says_the_same() {
    let mut random = Random(1);
    let mut scratch = Scratch::default();
    for round in 0..40 {
        let modes = if round % 2 == 0 { &ALL[..1] } else { &ALL[..] };
        let trees: Vec<_> = (0..=random.below(30)).map(|_| tree(&mut random, modes)).collect();
        let base = random.unit();
        let compiled =
            Model::from_bytes(&model(&trees, base).encode_to_vec(), "t", &NAMES).expect("compiles");
        assert_eq!(compiled.kind(), "trees");
        for _ in 0..250 {
            let row = row(&mut random, true);
            let sum = base + trees.iter().map(|tree| tree.naive(&row)).sum::<f32>();
            let expected = 1.0 / (1.0 + (-sum).exp());
            let got = compiled.probability(&row, &mut scratch);
            assert!((got - expected).abs() < 1e-5, "{row:?}: {got}, {expected}");
            let mut contributions = [0.0; 5];
            let explained = compiled.explain(&row, &mut contributions, &mut scratch);
            assert!((explained - got).abs() < 1e-6);
            let total = compiled.bias() + contributions.iter().sum::<f32>();
            assert!((total - sum).abs() < 1e-4, "{total}, {sum}");
        }
    }
}

#[test]
fn tract_says_the_same() {
    let mut random = Random(2);
    let mut scratch = Scratch::default();
    let columns: Vec<u16> = (0..5).collect();
    for _ in 0..10 {
        let trees: Vec<_> = (0..20).map(|_| tree(&mut random, &ALL[..1])).collect();
        let mut proto = model(&trees, 0.0);
        // One base value is what the specification allows for two classes with
        // weights for one; tract wants two or none.
        let node = &mut proto.graph.as_mut().expect("a graph").node[0];
        node.attribute.retain(|attribute| attribute.name != "base_values");
        let ours = Model::from_bytes(&proto.encode_to_vec(), "t", &NAMES).expect("compiles");
        let tract = Other::new(&proto, &columns).expect("tract takes it");
        for _ in 0..1_000 {
            // tract 0.23 sends missing values the false way whatever the file says;
            // the naive walk above stands for these.
            let row = row(&mut random, false);
            let (a, b) = (ours.probability(&row, &mut scratch), tract.probability(&row));
            assert!((a - b).abs() < 1e-5, "{row:?}: {a}, tract {b}");
        }
    }
}

#[test]
fn the_baseline_in_tract_says_the_same() {
    let names = crate::features::names();
    let baseline = Model::builtin(&names).expect("loads");
    let proto = ModelProto::decode(super::super::BUILTIN).expect("decodes");
    let columns = super::super::columns::columns(&proto, &names, "baseline").expect("columns");
    let tract = Other::new(&proto, &columns).expect("tract takes it");
    assert!(matches!(baseline.evaluator, Evaluator::Linear(_)));
    let mut random = Random(3);
    let mut scratch = Scratch::default();
    for _ in 0..10_000 {
        let row: Vec<f32> = names
            .iter()
            .map(|_| if random.below(8) == 0 { f32::NAN } else { random.unit() * 20.0 })
            .collect();
        let (a, b) = (baseline.probability(&row, &mut scratch), tract.probability(&row));
        assert!((a - b).abs() < 1e-5, "{a}, tract {b}");
    }
}

#[test]
fn another_graph_runs_in_tract() {
    // A tanh is no logistic regression.
    let node = |op: &str, from: &str, to: &str| pb::NodeProto {
        input: vec![from.into()],
        output: vec![to.into()],
        op_type: op.into(),
        ..Default::default()
    };
    let mut reduce = node("ReduceMax", "y", "z");
    reduce.attribute = vec![ints("axes", std::iter::once(1))];
    let mut proto = model(&[], 0.0);
    let graph = proto.graph.as_mut().expect("a graph");
    graph.node = vec![node("Tanh", "x", "y"), reduce];
    graph.output = vec![value("z", 1)];
    proto.opset_import[0].version = 13;
    let other = Model::from_bytes(&proto.encode_to_vec(), "t", &NAMES).expect("tract takes it");
    assert_eq!(other.kind(), "tract");
    let mut contributions = [0.0; 5];
    let row = [0.1, 0.5, -1.0, 0.0, 0.2];
    let p = other.explain(&row, &mut contributions, &mut Scratch::default());
    assert!((p - 0.5f32.tanh()).abs() < 1e-5, "{p}");
    assert!(contributions[1] > 0.1 && contributions[2].abs() < 1e-6);
}

#[test]
fn damaged_models_are_refused() {
    let mut random = Random(4);
    let trees: Vec<_> = (0..5).map(|_| tree(&mut random, &ALL[..1])).collect();
    let good = model(&trees, 0.0);
    let refused = |change: &dyn Fn(&mut pb::NodeProto), expected: &str| {
        let mut proto = good.clone();
        change(&mut proto.graph.as_mut().expect("a graph").node[0]);
        let error =
            Model::from_bytes(&proto.encode_to_vec(), "t", &NAMES).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    };
    let index = |node: &pb::NodeProto, name: &str| {
        node.attribute.iter().position(|a| a.name == name).expect("attribute")
    };
    let set = |name: &'static str, at: usize, to: i64| {
        move |node: &mut pb::NodeProto| {
            let i = index(node, name);
            node.attribute[i].ints[at] = to;
        }
    };
    // The first tree with more than a leaf, its root.
    let root = {
        let before: usize =
            trees.iter().take_while(|t| t.nodes.len() == 1).map(|t| t.nodes.len()).sum();
        before
    };
    refused(&set("nodes_truenodeids", root, 99), "child that is not there");
    refused(&set("nodes_truenodeids", root, 0), "");
    refused(&set("nodes_featureids", root, 5), "asks for column 5");
    refused(&set("nodes_featureids", root, -1), "asks for column -1");
    refused(&set("class_nodeids", 0, 77), "which is not there");
    refused(&|node| node.attribute.retain(|a| a.name != "nodes_values"), "differ in length");
    refused(
        &|node| {
            let i = index(node, "class_weights");
            node.attribute[i].floats[0] = f32::NAN;
        },
        "not finite",
    );
    refused(
        &|node| {
            let i = index(node, "nodes_modes");
            node.attribute[i].strings[root] = b"BRANCH_MAYBE".to_vec();
        },
        "unknown node mode",
    );

    let bytes = good.encode_to_vec();
    for cut in (0..bytes.len()).step_by(64) {
        let _ = Model::from_bytes(&bytes[..cut], "t", &NAMES);
    }
    for _ in 0..300 {
        let mut bytes = bytes.clone();
        let at = random.below(bytes.len() as u64) as usize;
        bytes[at] ^= 1 << random.below(8);
        let _ = Model::from_bytes(&bytes, "t", &NAMES);
    }
    let wrong =
        Model::from_bytes(&bytes, "t", &["a", "b", "c", "d", "ee"]).expect_err("a wrong name");
    assert!(wrong.to_string().contains("`e`"), "{wrong}");
    let folder = tempfile::tempdir().expect("a folder");
    for (path, expected) in [
        (folder.path().to_owned(), "not a regular file"),
        (folder.path().join("none"), "cannot read"),
    ] {
        let error = Model::load(&path, &NAMES).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
}
