//! Random tree ensembles: ours against tract, against a naive walk, and damaged.

use prost::Message as _;
use tract_onnx::pb::{
    self, AttributeProto, ModelProto, StringStringEntryProto, attribute_proto::AttributeType,
    tensor_proto::DataType,
};

use super::super::{Evaluator, Model, Scratch, answer, columns, graph::Graph, other::Other};

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

/// The model in tract, whatever we would have compiled.
fn in_tract(proto: &ModelProto, names: &[&str]) -> Other {
    let columns = columns::columns(proto, names, "t").expect("columns");
    let graph = proto.graph.as_ref().expect("a graph");
    let graph = Graph::new(graph, columns.len(), "t").expect("a graph of one input");
    let answer = answer::answer(&graph).expect("an answer");
    Other::new(proto, &graph, answer, &columns, None).expect("tract takes it")
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
    for _ in 0..10 {
        let trees: Vec<_> = (0..20).map(|_| tree(&mut random, &ALL[..1])).collect();
        let mut proto = model(&trees, 0.0);
        // One base value is what the specification allows for two classes with
        // weights for one; tract wants two or none.
        let node = &mut proto.graph.as_mut().expect("a graph").node[0];
        node.attribute.retain(|attribute| attribute.name != "base_values");
        let ours = Model::from_bytes(&proto.encode_to_vec(), "t", &NAMES).expect("compiles");
        let tract = in_tract(&proto, &NAMES);
        for _ in 0..1_000 {
            let row = row(&mut random, true);
            let (a, b) = (ours.probability(&row, &mut scratch), tract.probability(&row));
            assert!((a - b).abs() < 1e-5, "{row:?}: {a}, tract {b}");
        }
    }
}

#[test]
fn the_baseline_in_tract_says_the_same() {
    let names = crate::features::names();
    let baseline = Model::baseline(&names).expect("loads");
    let proto = ModelProto::decode(super::super::BASELINE).expect("decodes");
    let tract = in_tract(&proto, &names);
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

fn operator(op: &str, from: &[&str], to: &str) -> pb::NodeProto {
    pb::NodeProto {
        input: from.iter().map(|name| (*name).into()).collect(),
        output: vec![to.into()],
        op_type: op.into(),
        ..Default::default()
    }
}

fn constant(name: &str, value: f32) -> pb::TensorProto {
    pb::TensorProto {
        name: name.into(),
        dims: vec![1],
        data_type: DataType::Float as i32,
        float_data: vec![value],
        ..Default::default()
    }
}

/// The same trees as a regressor of raw sums with Platt's calibration behind it.
fn calibrated(trees: &[Tree], base: f32, [factor, offset]: [f32; 2]) -> ModelProto {
    let mut proto = model(trees, base);
    let graph = proto.graph.as_mut().expect("a graph");
    let node = &mut graph.node[0];
    node.op_type = "TreeEnsembleRegressor".into();
    node.output = vec!["raw".into()];
    node.attribute.retain(|a| !matches!(&*a.name, "classlabels_int64s" | "post_transform"));
    for attribute in &mut node.attribute {
        attribute.name = attribute.name.replace("class_", "target_");
    }
    node.attribute.push(AttributeProto {
        name: "n_targets".into(),
        r#type: AttributeType::Int as i32,
        i: 1,
        ..Default::default()
    });
    graph.node.extend([
        operator("Mul", &["raw", "factor"], "stretched"),
        operator("Add", &["offset", "stretched"], "calibrated"),
        operator("Sigmoid", &["calibrated"], "probabilities"),
        // Nobody reads this one.
        operator("Sigmoid", &["raw"], "aside"),
    ]);
    graph.initializer = vec![constant("factor", factor), constant("offset", offset)];
    graph.output = vec![value("probabilities", 1)];
    proto
}

#[test]
fn calibration_is_taken_up_by_the_leaves() {
    let mut random = Random(5);
    let mut scratch = Scratch::default();
    let trees: Vec<_> = (0..20).map(|_| tree(&mut random, &ALL[..1])).collect();
    let proto = calibrated(&trees, 0.25, [-1.7, 0.4]);
    let ours = Model::from_bytes(&proto.encode_to_vec(), "t", &NAMES).expect("compiles");
    assert_eq!(ours.kind(), "trees");
    for _ in 0..1_000 {
        let row = row(&mut random, true);
        // tract 0.23 has no regressors; the naive walk stands for it.
        let raw = 0.25 + trees.iter().map(|tree| tree.naive(&row)).sum::<f32>();
        let expected = 0.4 - 1.7 * raw;
        let p = ours.probability(&row, &mut scratch);
        assert!((p - 1.0 / (1.0 + (-expected).exp())).abs() < 1e-5, "{row:?}: {p}");
        let mut contributions = [0.0; 5];
        ours.explain(&row, &mut contributions, &mut scratch);
        let total = ours.bias() + contributions.iter().sum::<f32>();
        assert!((total - expected).abs() < 1e-4);
    }
    // A sigmoid that nobody reads is no calibration.
    let mut proto = model(&trees, 0.0);
    let graph = proto.graph.as_mut().expect("a graph");
    graph.node.push(operator("Sigmoid", &["probabilities"], "aside"));
    let plain = Model::from_bytes(&proto.encode_to_vec(), "t", &NAMES).expect("compiles");
    let row = [0.0; 5];
    let sum = trees.iter().map(|tree| tree.naive(&row)).sum::<f32>();
    assert!((plain.probability(&row, &mut scratch) - 1.0 / (1.0 + (-sum).exp())).abs() < 1e-5);
}

#[test]
fn another_graph_runs_in_tract() {
    // A tanh is no logistic regression.
    let mut reduce = operator("ReduceMax", &["y"], "z");
    reduce.attribute = vec![ints("axes", std::iter::once(1))];
    let mut proto = model(&[], 0.0);
    let graph = proto.graph.as_mut().expect("a graph");
    graph.node = vec![operator("Tanh", &["x"], "y"), reduce];
    graph.output = vec![value("z", 1)];
    proto.opset_import[0].version = 13;
    let refused = |proto: &ModelProto, why: &str| {
        let error = Model::from_bytes(&proto.encode_to_vec(), "t", &NAMES).expect_err(why);
        assert!(error.to_string().contains(why), "{error}");
    };
    refused(&proto, "`scorer.baseline`");
    let mut with = |text: &str| {
        proto.metadata_props.retain(|entry| entry.key != "scorer.baseline");
        proto
            .metadata_props
            .push(StringStringEntryProto { key: "scorer.baseline".into(), value: text.into() });
        proto.clone()
    };
    refused(&with("0\n0\n0\n0"), "has not one number");
    refused(&with("0\n0\n0\n0\nnan"), "line 5 is no finite number");
    let mut huge = with("0\n0\n0\n0\n0");
    huge.graph.as_mut().expect("a graph").node[0].op_type = "ConstantOfShape".into();
    refused(&huge, "ConstantOfShape");
    let proto = with("0\n0\n0\n0\n0");
    let other = Model::from_bytes(&proto.encode_to_vec(), "t", &NAMES).expect("tract takes it");
    assert_eq!(other.kind(), "tract");
    let mut contributions = [0.0; 5];
    let row = [0.1, 0.5, -1.0, 0.0, 0.2];
    let p = other.explain(&row, &mut contributions, &mut Scratch::default());
    assert!((p - 0.5f32.tanh()).abs() < 1e-5, "{p}");
    assert!(contributions[1] > 0.1 && contributions[2].abs() < 1e-6);
    // A missing value is what the baseline says, not what NaN makes of a maximum.
    let p = other.probability(&[f32::NAN, 0.5, -1.0, 0.0, f32::NAN], &mut Scratch::default());
    assert!((p - 0.5f32.tanh()).abs() < 1e-5, "{p}");
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
            let i = index(node, "base_values");
            node.attribute[i].floats[0] = f32::INFINITY;
        },
        "not finite",
    );
    refused(
        &|node| {
            let hits = vec![f32::INFINITY; node.attribute[0].ints.len()];
            node.attribute.push(floats("nodes_hitrates", hits.into_iter()));
        },
        "`nodes_hitrates`",
    );
    refused(
        &|node| {
            let i = index(node, "classlabels_int64s");
            node.attribute[i].ints.push(2);
        },
        "3 classes",
    );
    refused(
        &|node| {
            let i = index(node, "nodes_modes");
            node.attribute[i].strings[root] = b"BRANCH_MAYBE".to_vec();
        },
        "unknown node mode",
    );

    // A chain: every node's false child is the next.
    let deep = Tree {
        nodes: (0..2_001)
            .map(|i| match i % 2 {
                0 if i < 2_000 => ("BRANCH_LEQ", 0, 0.0, i + 1, i + 2, false, 0.0),
                _ => ("LEAF", 0, 0.0, 0, 0, false, 0.1),
            })
            .collect(),
    };
    let error = Model::from_bytes(&model(&[deep], 0.0).encode_to_vec(), "t", &NAMES);
    assert!(error.expect_err("too deep").to_string().contains("deeper than 512"));
    // Two bytes each that decode to a kilobyte.
    let mut many = good.clone();
    let node = &mut many.graph.as_mut().expect("a graph").node[0];
    node.attribute.extend(vec![AttributeProto::default(); 1 << 20]);
    let error = Model::from_bytes(&many.encode_to_vec(), "t", &NAMES).expect_err("too many");
    assert!(error.to_string().contains("bytes once decoded"), "{error}");
    for (key, why) in [("scorer.features", "is missing"), ("", "")] {
        let mut other = good.clone();
        other.metadata_props.retain(|entry| entry.key != key);
        match Model::from_bytes(&other.encode_to_vec(), "t", &NAMES) {
            Err(error) => assert!(error.to_string().contains(why), "{error}"),
            Ok(_) => assert!(why.is_empty()),
        }
    }
    for (bytes, why) in [(&b""[..], "is empty"), (b"PK\x03\x04", "is not ONNX")] {
        let error = Model::from_bytes(bytes, "t", &NAMES).expect_err(why).to_string();
        assert!(error.contains(why), "{error}");
    }
    let narrow = Model::from_bytes(&good.encode_to_vec(), "t", &NAMES[..4]);
    assert!(narrow.expect_err("a narrow registry").to_string().contains("`e`"));

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
