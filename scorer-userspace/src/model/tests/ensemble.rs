//! The model that is built in.

use crate::{
    features::{COUNT, by_name, id, names},
    model::{Evaluator, Model, Scratch},
};

#[test]
fn it_is_trees_over_features_of_the_registry_with_a_reference() {
    let model = Model::builtin(&names()).unwrap();
    assert!(matches!(model.evaluator, Evaluator::Trees(_)));
    assert!(model.reference().is_some());
    assert!(model.name().starts_with("ensemble-"));
}

/// Nothing known, and what a scanner's call is known by.
#[test]
fn it_knows_a_scanner_and_lets_an_unknown_call_pass() {
    let model = Model::builtin(&names()).unwrap();
    let mut scratch = Scratch::default();
    let mut row = [f32::NAN; COUNT];
    assert!(model.probability(&row, &mut scratch) < 0.4);
    let mut contributions = [0.0; COUNT];
    row[usize::from(id::USER_AGENT_IS_SCANNER)] = 1.0;
    let p = model.explain(&row, &mut contributions, &mut scratch);
    assert!(contributions[usize::from(id::USER_AGENT_IS_SCANNER)] > 0.0);
    let sum = contributions.iter().sum::<f32>() + model.bias();
    assert!((1.0 / (1.0 + (-sum).exp()) - p).abs() < 1e-4);
}

/// The card is about this model, not about another that was trained since.
#[test]
fn the_card_and_the_metrics_are_of_this_model() {
    let card = include_str!("../../../../models/ensemble.md");
    let metrics: serde_json::Value =
        serde_json::from_str(include_str!("../../../../models/ensemble.json")).unwrap();
    let model = Model::builtin(&names()).unwrap();
    let digest = format!("{:016x}", model.id());
    assert_eq!(metrics["id"], *digest);
    assert!(card.contains(&digest));
    let sets = metrics["test"].as_object().unwrap();
    for (name, set) in sets {
        assert!(card.contains(&format!("| {name} | ensemble |")), "{name}");
        let of = |scorer: usize| set["scorers"][scorer]["pr_auc"].as_f64().unwrap();
        if name != "family not in training" {
            assert!(of(0) > of(1) && of(0) > of(2), "{name}: better than both baselines");
        }
    }
    for feature in metrics["single_features"].as_array().unwrap() {
        assert_eq!(feature["leak"], false);
        assert!(by_name(feature["feature"].as_str().unwrap()).is_some());
    }
}
