//! Calls as they are saved: what is shown of them, as JSON.

use serde_json::{Value, json};

use super::call::Call;

/// One call. Texts are as they are shown: what terminals obey was taken out.
pub(super) fn line(call: &Call) -> Value {
    let text = |text: &str| if text.is_empty() { Value::Null } else { text.into() };
    let reasons = call.reasons.iter().map(
        |why| json!({ "feature": why.feature, "text": why.text, "contribution": why.contribution }),
    );
    let ladder = call.ladder.iter().map(|step| {
        let from = if step.from_caller { "caller" } else { "callee" };
        json!({ "ts": step.at.to_string(), "from": from, "what": step.what })
    });
    json!({
        "ts": call.ts.to_string(),
        "call": format!("{:016x}", call.key),
        "call_id": call.call_id,
        "caller": call.caller,
        "network_number": text(&call.network_number),
        "callee": call.callee,
        "caller_country": text(&call.caller_country),
        "callee_country": text(&call.callee_country),
        "source": call.source,
        "destination": call.destination,
        "transport": call.transport,
        "trunk": text(&call.trunk),
        "fingerprint": call.fingerprint,
        "profile": call.profile,
        "score": call.score,
        "level": call.level.name(),
        "tags": call.tags,
        "reasons": reasons.collect::<Vec<_>>(),
        "model": call.model,
        "action": call.action,
        "rule": text(&call.rule),
        "would": text(&call.would),
        "outcome": text(&call.outcome),
        "code": if call.code == 0 { Value::Null } else { call.code.into() },
        "setup_s": call.setup,
        "duration_s": call.duration,
        "latency_ns": call.latency,
        "ladder": ladder.collect::<Vec<_>>(),
    })
}
