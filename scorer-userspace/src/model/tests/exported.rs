//! What public exporters write, against the libraries that trained it.
//! `models/testdata/make.py` makes the files.

use super::super::{Model, ModelError, Scratch};

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const CATEGORY: usize = 4;

/// The generator of make.py.
fn rows(count: usize, seed: u64, missing: bool) -> Vec<[f32; 6]> {
    let mut state = seed;
    let mut value = |column: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let draw = state >> 33;
        if missing && draw.is_multiple_of(12) {
            f32::NAN
        } else if column == CATEGORY {
            (draw % 7) as f32
        } else {
            ((draw % 20_011) as f64 / 2_500.0 - 4.0) as f32
        }
    };
    (0..count).map(|_| std::array::from_fn(&mut value)).collect()
}

fn load(name: &str) -> Result<Model, ModelError> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/testdata");
    Model::load(format!("{folder}/{name}.onnx").as_ref(), &NAMES)
}

fn expected(name: &str) -> Vec<f32> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/testdata");
    let bytes = std::fs::read(format!("{folder}/{name}.f32")).expect("expected values");
    bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect()
}

fn agrees(name: &str, kind: &str, missing: bool) {
    let rows = rows(10_000, if missing { 4 } else { 3 }, missing);
    let values = expected(name);
    assert_eq!(rows.len(), values.len());
    let mut scratch = Scratch::default();
    let tensor = format!("{name}-tensor");
    for file in [name, &tensor] {
        let model = load(file).expect("loads");
        assert_eq!(model.kind(), kind, "{file}");
        let mut contributions = [0.0; 6];
        for (row, value) in rows.iter().zip(&values) {
            let p = model.probability(row, &mut scratch);
            assert!((p - value).abs() < 1e-5, "{file} {row:?}: {p}, was {value}");
            if kind == "tract" {
                continue;
            }
            let explained = model.explain(row, &mut contributions, &mut scratch);
            assert!((explained - p).abs() < 1e-6);
            let sum = model.bias() + contributions.iter().sum::<f32>();
            let clamped = p.clamp(1e-6, 1.0 - 1e-6);
            let logit = (clamped / (1.0 - clamped)).ln();
            assert!((sum - logit).abs() < 2e-3 * logit.abs().max(1.0), "{file}: {sum}, {logit}");
        }
    }
}

#[test]
fn lightgbm() {
    agrees("lightgbm", "trees", true);
}

#[test]
fn lightgbm_with_categories() {
    agrees("lightgbm-categorical", "trees", true);
}

#[test]
fn random_forest() {
    agrees("forest", "trees", false);
}

#[test]
fn gradient_boosting() {
    agrees("boosted", "trees", false);
}

#[test]
fn scaled_logistic_regression() {
    agrees("logistic", "logistic", false);
}

#[test]
fn neural_network() {
    agrees("network", "tract", false);
    // What a missing value means has to be said, and then it is meant.
    let error = load("network-without-baseline").expect_err("no baseline").to_string();
    assert!(error.contains("`scorer.baseline`"), "{error}");
    let model = load("network").expect("loads");
    let mut scratch = Scratch::default();
    let missing = model.probability(&[f32::NAN; 6], &mut scratch);
    let calm = model.probability(&[0.0, 0.0, 0.0, 0.0, 3.0, 0.0], &mut scratch);
    assert!(missing > 0.0 && (missing - calm).abs() < 0.2, "{missing}, {calm}");
}
