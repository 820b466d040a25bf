//! Files good and bad.

use super::{Config, OPTIONS, example, markdown};
use crate::tap::Mode;

#[test]
fn the_example_is_the_default() {
    let config = Config::parse(&example(), "example").expect("the example is good");
    assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()));
}

#[test]
fn documents_are_current() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    for (file, text) in [
        ("docs/configuration.md", markdown()),
        ("packaging/scorer.toml", example()),
        ("docs/features.md", crate::features::markdown()),
        ("docs/records-schema.md", crate::records::markdown()),
        ("docs/metrics.md", crate::metrics::markdown()),
    ] {
        let committed = std::fs::read_to_string(format!("{root}/{file}")).unwrap_or_default();
        assert_eq!(committed, text, "{file} is stale: run `cargo xtask docs`");
    }
}

#[test]
fn values_are_taken() {
    let config = Config::parse(
        "[tap]\ninterfaces = [\"eth0\"]\nmode = \"generic\"\nsip_ports = [5060, 5080]\ncpu = 1\n[levels]\nhigh = 80\n[metrics]\nlisten = \"127.0.0.1:9464\"\n",
        "x",
    )
    .expect("good");
    assert_eq!((config.tap.mode, config.tap.cpu), (Mode::Generic, Some(1)));
    assert_eq!(config.engine.assembler.sip_ports, [5060, 5080]);
    assert_eq!(config.engine.levels.high, 80);
    assert!(config.metrics.is_some());
}

#[test]
fn faults_are_named_with_their_line() {
    for (text, expected) in [
        (
            "[tap]\nmode = \"auto\"\nspin = 3\n",
            "x, line 3: there is no option tap.spin; did you mean tap.spin_us?",
        ),
        (
            "[tpa]\nmode = \"auto\"\n",
            "x, line 2: there is no option tpa.mode; did you mean tap.mode?",
        ),
        ("mode = 1\n", "did you mean"),
        (
            "[tap]\ninvite_ring_mib = 0\n",
            "x, line 2: tap.invite_ring_mib must be a whole number from 1 to 1024",
        ),
        ("[tap]\nmode = \"fast\"\n", "tap.mode must be \"auto\", \"native\" or \"generic\""),
        ("[metrics]\nlisten = \"here\"\n", "must be an address and a port"),
        ("[levels]\nmedium = 80\n", "must rise in this order"),
        ("[tap\n", "x: TOML parse error"),
    ] {
        let error = Config::parse(text, "x").expect_err(text).to_string();
        assert!(error.contains(expected), "{text:?}: {error}");
    }
}

#[test]
fn every_option_refuses_another_type() {
    let wrong = toml::Value::Datetime("2026-01-01".parse().expect("a date"));
    for option in OPTIONS {
        assert!((option.set)(&mut Config::default(), &wrong).is_err(), "{}", option.key);
        assert!(!option.doc.is_empty());
    }
}
