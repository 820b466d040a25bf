//! Lines of hostile verdicts.

use proptest::prelude::*;
use scorer_common::Verdict;
use serde_json::Value;

use super::{Format, Style, json};
use crate::{
    capture::{PacketMeta, Transport},
    engine::{Assessment, Reason},
    features::{REGISTRY, Traits},
    time::Timestamp,
};

fn line(user: &[u8], style: Style, latency: Option<u64>, contribution: f32) -> Vec<u8> {
    let verdict = Verdict {
        version: 1,
        score: 87,
        level: 2,
        action: 0,
        tags: 0b101,
        call: 1,
        timestamp: 1_700_000_000_123_456_789,
        fingerprint: 0xabc,
        model: 2,
        reasons: [0; 5],
        reserved: [0; 6],
        probability: 0.87,
        latency: 0,
    };
    let meta = packet();
    let reasons = [Reason { feature: 3, value: 1.0, contribution }];
    let assessment = Assessment {
        verdict,
        call_id: user,
        from_tag: user,
        caller: user,
        callee: user,
        from_user: user,
        to_user: user,
        network_number: None,
        meta,
        signature: Traits { order: 0xabc, ..Traits::default() }.text(&meta),
        trunk: Some("carrier-a"),
        features: &[1.5, f32::NAN],
        reasons: &reasons,
        model: "m-1",
        lists: crate::lists::ListSet::default(),
        listed: None,
        decision: crate::policy::Decision::PASS,
        profile: 3,
        countries: [44, 44],
        message: &[],
        evidence: crate::profiles::Evidence::default(),
        belongs: crate::profiles::Belongs::NOBODY,
        shared: None,
        marks: crate::share::pseudonym::Marks::default(),
        update: false,
    };
    let mut out = Vec::new();
    style.line(&assessment, latency, &mut out);
    out
}

fn packet() -> PacketMeta {
    PacketMeta::between(
        ([192, 0, 2, 1], 5060).into(),
        "[2001:db8::1]:5061".parse().unwrap(),
        Transport::Udp,
        Timestamp(0),
    )
}

const JSON: Style = Style { format: Format::Jsonl, mask: false, features: false };

#[test]
fn keys_and_types_are_the_documented_ones() {
    let text = line(b"+441632960001", JSON, Some(1234), 1.25);
    let value: Value = serde_json::from_slice(&text).unwrap();
    let keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = vec![
        "ts",
        "call_id",
        "caller",
        "callee",
        "from_user",
        "to_user",
        "network_number",
        "source",
        "destination",
        "transport",
        "fingerprint",
        "signature",
        "profile",
        "profile_calls",
        "trunk",
        "score",
        "level",
        "action",
        "tags",
        "reasons",
        "rule",
        "model",
        "latency_ns",
    ];
    expected.sort_unstable();
    assert_eq!(keys, expected);
    assert_eq!(value["ts"], "2023-11-14T22:13:20.123456789Z");
    assert_eq!(value["destination"], "[2001:db8::1]:5061");
    assert_eq!(value["fingerprint"], "0000000000000abc");
    assert_eq!(
        (&value["score"], &value["level"], &value["action"]),
        (&87.into(), &"high".into(), &"pass".into())
    );
    assert_eq!(value["reasons"][0]["contribution"], 1.25);
    assert_eq!(value["latency_ns"], 1234);
    let replay: Value = serde_json::from_slice(&line(b"x", JSON, None, 0.0)).unwrap();
    assert!(replay.get("latency_ns").is_none());
}

#[test]
fn features_by_name() {
    let style = Style { features: true, ..JSON };
    let value: Value = serde_json::from_slice(&line(b"x", style, None, 0.0)).unwrap();
    assert_eq!(value["features"][REGISTRY[0].name], 1.5);
    assert!(value["features"][REGISTRY[1].name].is_null());
    assert_eq!(value["trunk"], "carrier-a");
    let signature = value["signature"].as_str().unwrap();
    let (start, profile) = signature.rsplit_once('_').unwrap();
    assert_eq!(start, "s1u_b0c0t0_f00_a0000_o0000_0000000000000abc_0000000000000000");
    assert_eq!(profile.len(), 16);
    // Written by hand, the same as formatted.
    let meta_free = Traits { family: 29, branch: 11, allow: 0x3ff, order: 7, ..Traits::default() };
    let fingerprint = meta_free.text(&packet());
    let mut by_hand = Vec::new();
    fingerprint.write(&mut by_hand);
    assert_eq!(by_hand, fingerprint.to_string().into_bytes());
}

#[test]
fn masks() {
    let masked =
        String::from_utf8(line(b"+441632960001", Style { mask: true, ..JSON }, None, 0.0)).unwrap();
    assert!(
        masked.contains("\"caller\":\"+44********01\"")
            && masked.contains("\"from_user\":\"+44********01\"")
    );
    let table = Style { format: Format::Table, mask: true, features: false };
    assert!(
        !String::from_utf8(line(b"+441632960001", table, None, 0.0)).unwrap().contains("632960")
    );
}

proptest! {
    #[test]
    fn any_bytes_make_one_line_of_json(user in prop::collection::vec(any::<u8>(), 0..60), contribution in any::<f32>()) {
        let text = line(&user, JSON, None, contribution);
        prop_assert_eq!(text.iter().filter(|b| **b == b'\n').count(), 1);
        let value: Value = serde_json::from_slice(&text).unwrap();
        prop_assert_eq!(value["caller"].as_str().unwrap(), String::from_utf8_lossy(&user));
        let table = line(&user, Style { format: Format::Table, mask: false, features: false }, None, contribution);
        prop_assert!(table[..table.len() - 1].iter().all(|b| (b' '..=b'~').contains(b)));
    }

    #[test]
    fn decimals(value in -1e6f32..1e6) {
        let mut out = Vec::new();
        json::thousandths(value, &mut out);
        let back: f64 = String::from_utf8(out).unwrap().parse().unwrap();
        prop_assert!((back - f64::from(value)).abs() <= 0.00051);
    }
}
