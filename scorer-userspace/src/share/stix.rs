//! Events as STIX 2.1 (OASIS standard, 10 June 2021), for those who keep threats in it:
//! an identity for each organisation, and an indicator for each event. Ids are UUIDs of
//! version 5, so that an event has the same one wherever it is exported.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use uuid::Uuid;

use super::event::{Category, Event, Kind, Pseudonym};
use crate::hex::hex;

/// Namespace of these ids: that of URLs, with one of ours in it.
fn id(kind: &str, name: &str) -> String {
    let name = format!("urn:scorer:consortium:{kind}:{name}");
    format!("{kind}--{}", Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes()))
}

fn time(ms: u64) -> String {
    let most = 253_402_300_799_000;
    let at = jiff::Timestamp::from_millisecond(ms.min(most) as i64).unwrap_or_default();
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// What finds the caller: any of its numbers, or both marks of its signalling.
fn pattern(consortium: &str, event: &Event) -> String {
    let is = |kind: &str, pseudonym: Pseudonym| {
        let value = format!("{consortium}:{}:{}", event.epoch, hex(&pseudonym));
        format!("x-scorer-caller:{kind} = '{value}'")
    };
    let subject = &event.subject;
    let mut any = Vec::new();
    any.extend(subject.number.map(|number| is("number_pseudonym", number)));
    any.extend(subject.network.map(|number| is("network_number_pseudonym", number)));
    if let (Some(fingerprint), Some(sketch)) = (subject.fingerprint, subject.sketch) {
        let (a, b) = (is("fingerprint_pseudonym", fingerprint), is("sketch_pseudonym", sketch));
        any.push(format!("({a} AND {b})"));
    }
    format!("[{}]", any.join(" OR "))
}

/// STIX's own words for what an indicator shows.
const fn indicates(category: Category) -> &'static str {
    match category {
        Category::Scanning => "anomalous-activity",
        _ => "malicious-activity",
    }
}

/// A bundle of events; those that withdraw others are `revoked` forms of them and stand
/// only where they name the caller.
pub fn bundle(consortium: &str, events: &[Event]) -> Value {
    let mut objects = Vec::new();
    let issuers: BTreeSet<&str> = events.iter().map(|event| &*event.issuer).collect();
    let earliest = events.iter().map(|event| event.time).min().unwrap_or(0);
    let identity = |issuer: &str| id("identity", &format!("{consortium}/{issuer}"));
    for issuer in issuers {
        objects.push(json!({
            "type": "identity",
            "spec_version": "2.1",
            "id": identity(issuer),
            "created": time(earliest),
            "modified": time(earliest),
            "name": issuer,
            "identity_class": "organization",
        }));
    }
    let mut seen = String::new();
    for event in events {
        if event.subject.is_nobody() {
            continue;
        }
        let name = format!("{consortium}/{}/{}", event.issuer, event.sequence);
        seen.push_str(&name);
        let revoked = !event.kind.accuses();
        let what = match event.kind {
            Kind::Confirmed => "Confirmed fraudulent caller",
            Kind::Suspected => "Suspected fraudulent caller",
            Kind::Cleared => "Cleared caller",
            Kind::Expired => "Caller no longer reported",
        };
        objects.push(json!({
            "type": "indicator",
            "spec_version": "2.1",
            "id": id("indicator", &name),
            "created_by_ref": identity(&event.issuer),
            "created": time(event.time),
            "modified": time(event.time),
            "revoked": revoked,
            "confidence": event.confidence,
            "labels": [event.kind.name(), event.category.name()],
            "name": what,
            "description": format!("Evidence: {} calls. Named by pseudonyms of epoch {}.",
                event.evidence, event.epoch),
            "indicator_types": [indicates(event.category)],
            "pattern": pattern(consortium, event),
            "pattern_type": "stix",
            "pattern_version": "2.1",
            "valid_from": time(event.time),
            "valid_until": time(event.expires.max(event.time + 1)),
        }));
    }
    json!({"type": "bundle", "id": id("bundle", &seen), "objects": objects})
}

#[cfg(test)]
mod tests {
    use super::bundle;
    use crate::share::event::tests::event;

    #[test]
    fn the_same_event_has_the_same_id() {
        let events =
            [event("carrier-a", 5, 1_760_000_000_000), event("carrier-b", 9, 1_760_000_000_000)];
        let (both, one) = (bundle("demo", &events), bundle("demo", &events[..1]));
        assert_eq!(both["objects"].as_array().map(Vec::len), Some(4));
        assert_eq!(both["objects"][2], one["objects"][1]);
        assert_ne!(both["id"], one["id"]);
        let pattern = one["objects"][1]["pattern"].as_str().expect("a pattern");
        assert!(pattern.contains("network_number_pseudonym = 'demo:1:0909"), "{pattern}");
    }
}
