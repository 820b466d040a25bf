//! What the built-in model says about calls whose kind is known.

use std::sync::LazyLock;

use super::super::{Model, Scratch};

/// The registry's names, in its order.
static NAMES: LazyLock<Vec<&str>> = LazyLock::new(crate::features::names);

/// What is called how, its row, and the range of its probability.
type Case<'a> = (&'a str, Vec<(&'a str, f32)>, std::ops::Range<f32>);

/// A subscriber's call over a carrier's SBC, with some history.
fn ordinary() -> Vec<(&'static str, f32)> {
    let ln = |x: f32| x.ln_1p();
    vec![
        ("from_anonymous", 0.0),
        ("from_host_anonymous_invalid", 0.0),
        ("from_display_present", 0.0),
        ("from_user_is_e164", 1.0),
        ("from_host_is_ip", 1.0),
        ("from_host_private_ip", 0.0),
        ("pai_count", 1.0),
        ("pai_matches_from", 1.0),
        ("privacy_id", 0.0),
        ("number_withheld", 0.0),
        ("network_number_known", 1.0),
        ("presentation_differs_from_network", 0.0),
        ("to_matches_request_uri", 1.0),
        ("contact_user_matches_from", 1.0),
        ("diversion_count", 0.0),
        ("history_info_depth", 0.0),
        ("caller_length", 12.0),
        ("caller_digit_entropy", 2.9),
        ("caller_repeated_digits", 2.0),
        ("caller_sequential_digits", 2.0),
        ("caller_equals_callee", 0.0),
        ("caller_digits_shared_with_callee", 3.0),
        ("international_call", 0.0),
        ("callee_high_cost", 0.0),
        ("header_count", 16.0),
        ("compact_forms", 0.0),
        ("folded_lines", 0.0),
        ("case_oddities", 0.0),
        ("unknown_headers", 0.0),
        ("x_headers", 0.0),
        ("p_headers", 2.0),
        ("via_count", 1.0),
        ("via_private_ip", 0.0),
        ("branch_cookie", 1.0),
        ("max_forwards", 66.0),
        ("user_agent_present", 0.0),
        ("user_agent_is_scanner", 0.0),
        ("allow_present", 1.0),
        ("supported_present", 1.0),
        ("content_length_error", 0.0),
        ("session_expires_present", 1.0),
        ("contact_private_ip", 0.0),
        ("sdp_present", 1.0),
        ("sdp_connection_ip_differs_from_source", 1.0),
        ("sdp_origin_ip_private", 0.0),
        ("source_port_is_sip", 1.0),
        ("source_via_differs", 0.0),
        ("log_caller_calls_1m", ln(1.0)),
        ("log_caller_calls_1h", ln(2.0)),
        ("log_callee_calls_1m", ln(1.0)),
        ("log_callee_calls_1h", ln(3.0)),
        ("log_source_calls_10s", ln(25.0)),
        ("log_source_calls_1m", ln(150.0)),
        ("log_pair_calls_1h", ln(1.0)),
        ("log_withheld_to_callee_1h", 0.0),
        ("caller_seconds_since_last", 1800.0),
        ("log_caller_distinct_callees", ln(2.0)),
        ("log_callee_distinct_callers", ln(1.0)),
        ("caller_answer_share", 0.8),
        ("caller_short_call_share", 0.05),
        ("caller_failure_share", 0.02),
        ("source_failure_share", 0.1),
        ("fingerprint_new_for_source", 0.0),
    ]
}

/// `base` with some values changed; everything not mentioned is missing.
fn row(base: &[(&str, f32)], changes: &[(&str, f32)]) -> Vec<f32> {
    let mut row = vec![f32::NAN; NAMES.len()];
    for (name, value) in base.iter().chain(changes) {
        let index = NAMES.iter().position(|n| n == name).unwrap_or_else(|| panic!("no {name}"));
        row[index] = *value;
    }
    row
}

fn score(row: &[f32]) -> f32 {
    let model = Model::baseline(&NAMES).expect("the built-in model loads");
    100.0 * model.probability(row, &mut Scratch::default())
}

/// What a caller nobody has seen before lacks.
const NO_HISTORY: &[(&str, f32)] = &[
    ("caller_answer_share", f32::NAN),
    ("caller_short_call_share", f32::NAN),
    ("caller_failure_share", f32::NAN),
    ("caller_seconds_since_last", f32::NAN),
    ("log_caller_calls_1h", std::f32::consts::LN_2),
    ("log_caller_distinct_callees", std::f32::consts::LN_2),
];

const WITHHELD: &[(&str, f32)] = &[
    ("from_anonymous", 1.0),
    ("from_host_anonymous_invalid", 1.0),
    ("from_user_is_e164", 0.0),
    ("pai_matches_from", f32::NAN),
    ("privacy_id", 1.0),
    ("number_withheld", 1.0),
    ("contact_user_matches_from", 0.0),
];

#[test]
fn calls_of_known_kind_score_where_they_should() {
    let ln = |x: f32| x.ln_1p();
    let cases: &[Case<'_>] = &[
        ("ordinary, with answered history", vec![], 0.0..5.0),
        ("ordinary, first call ever", NO_HISTORY.to_vec(), 0.0..15.0),
        (
            "ordinary, forwarded",
            vec![
                ("diversion_count", 1.0),
                ("presentation_differs_from_network", 1.0),
                ("pai_matches_from", 0.0),
                ("to_matches_request_uri", 0.0),
            ],
            0.0..15.0,
        ),
        (
            "ordinary, but everything missing",
            NAMES.iter().map(|n| (*n, f32::NAN)).collect(),
            0.0..15.0,
        ),
        (
            "scanner",
            vec![
                ("from_user_is_e164", 0.0),
                ("pai_count", 0.0),
                ("pai_matches_from", f32::NAN),
                ("network_number_known", 0.0),
                ("caller_length", 3.0),
                ("user_agent_present", 1.0),
                ("user_agent_is_scanner", 1.0),
                ("p_headers", 0.0),
                ("source_port_is_sip", 0.0),
                ("caller_answer_share", f32::NAN),
            ],
            85.0..100.0,
        ),
        (
            "scanner that hides its name and works through extensions",
            vec![
                ("from_user_is_e164", 0.0),
                ("pai_count", 0.0),
                ("pai_matches_from", f32::NAN),
                ("network_number_known", 0.0),
                ("caller_length", 3.0),
                ("caller_answer_share", 0.0),
                ("caller_failure_share", 1.0),
                ("source_failure_share", 1.0),
                ("log_caller_calls_1m", ln(30.0)),
                ("log_caller_distinct_callees", ln(30.0)),
            ],
            85.0..100.0,
        ),
        ("withheld, network knows the number", WITHHELD.to_vec(), 2.0..15.0),
        (
            "withheld by nobody knows whom",
            [WITHHELD, NO_HISTORY, &[("pai_count", 0.0), ("network_number_known", 0.0)]].concat(),
            15.0..50.0,
        ),
        (
            "bank's number from VoIP",
            [
                NO_HISTORY,
                &[
                    ("pai_matches_from", 0.0),
                    ("presentation_differs_from_network", 1.0),
                    ("contact_user_matches_from", 0.0),
                    ("user_agent_present", 1.0),
                    ("via_private_ip", 1.0),
                    ("contact_private_ip", 1.0),
                    ("sdp_origin_ip_private", 1.0),
                    ("p_headers", 0.0),
                    ("source_port_is_sip", 0.0),
                    ("source_via_differs", 1.0),
                    ("fingerprint_new_for_source", 1.0),
                    ("from_display_differs_from_user", 1.0),
                ],
            ]
            .concat(),
            50.0..90.0,
        ),
        (
            "fifth withheld call to the same callee within the hour",
            [
                WITHHELD,
                &[
                    ("log_withheld_to_callee_1h", ln(5.0)),
                    ("log_pair_calls_1h", ln(5.0)),
                    ("caller_answer_share", 0.4),
                ],
            ]
            .concat(),
            75.0..100.0,
        ),
        (
            "flood from one source",
            [
                NO_HISTORY,
                &[
                    ("log_source_calls_10s", ln(800.0)),
                    ("log_source_calls_1m", ln(4000.0)),
                    ("log_callee_calls_1m", ln(4000.0)),
                    ("log_callee_distinct_callers", ln(3000.0)),
                    ("source_failure_share", 0.9),
                ],
            ]
            .concat(),
            80.0..100.0,
        ),
        (
            "robocall: one caller through a list",
            vec![
                ("log_caller_calls_1m", ln(40.0)),
                ("log_caller_calls_1h", ln(900.0)),
                ("log_caller_distinct_callees", ln(880.0)),
                ("caller_answer_share", 0.3),
                ("caller_short_call_share", 0.8),
                ("caller_failure_share", 0.15),
            ],
            75.0..100.0,
        ),
    ];
    let base = ordinary();
    let wrong: Vec<_> = cases
        .iter()
        .map(|(name, changes, range)| (name, score(&row(&base, changes)), range))
        .filter(|(_, score, range)| !range.contains(score))
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn contributions_and_bias_are_the_log_odds() {
    let model = Model::baseline(&NAMES).expect("loads");
    let mut scratch = Scratch::default();
    let row = row(&ordinary(), WITHHELD);
    let mut contributions = vec![f32::NAN; NAMES.len()];
    let p = model.explain(&row, &mut contributions, &mut scratch);
    let logit = model.bias() + contributions.iter().sum::<f32>();
    assert!((p - 1.0 / (1.0 + (-logit).exp())).abs() < 1e-6);
    assert!((p - model.probability(&row, &mut scratch)).abs() < 1e-9);
    let at = |name| contributions[NAMES.iter().position(|n| *n == name).expect("known")];
    assert!((at("number_withheld") - 1.0).abs() < 1e-6);
    assert_eq!(at("pai_matches_from"), 0.0, "missing says nothing");
    assert_eq!(at("tag_length"), 0.0, "not in the model");
}
