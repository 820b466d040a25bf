//! `GET /v1/openapi.json`: what can be asked, for programs (OpenAPI 3.1).
//!
//! Kept by hand; a test sees that it and the routes name the same, and schemathesis that
//! answers are as it says.

use axum::{http::header, response::IntoResponse};
use serde_json::{Map, Value, json};

use crate::history::Progress;
use scorer_common::verdict::{Action, Level, Tag};

/// The document.
pub(super) async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], built().to_string())
}

/// One thing that can be asked.
struct Operation {
    method: &'static str,
    path: &'static str,
    role: &'static str,
    about: &'static str,
    /// Names of parameters in [`parameter`].
    asks: &'static [&'static str],
    /// Schema of the body.
    body: &'static str,
    /// Statuses of good answers, and the schema of them.
    gives: (&'static [u16], &'static str),
    /// Statuses of others beside 400, 401, 429 and 503.
    else_: &'static [u16],
}

/// Parameters that choose calls.
const FILTER: [&str; 13] = [
    "level",
    "min_score",
    "tag",
    "caller",
    "callee",
    "trunk",
    "country",
    "fingerprint",
    "profile",
    "outcome",
    "label",
    "action",
    "q",
];

const fn get(
    path: &'static str,
    role: &'static str,
    about: &'static str,
    asks: &'static [&'static str],
    gives: &'static str,
    else_: &'static [u16],
) -> Operation {
    Operation { method: "get", path, role, about, asks, body: "", gives: (&[200], gives), else_ }
}

const OPERATIONS: &[Operation] = &[
    get("/healthz", "", "Whether the process lives", &[], "Status", &[]),
    get("/readyz", "", "Whether calls are scored, or records can be read", &[], "Status", &[503]),
    get("/v1/openapi.json", "", "This document", &[], "Any", &[]),
    get("/v1/me", "viewer", "Who asks", &[], "Me", &[]),
    get(
        "/v1/calls",
        "viewer",
        "Calls, newest first",
        &["FILTER", "since", "until", "limit", "cursor"],
        "Calls",
        &[404],
    ),
    get(
        "/v1/calls/{call}",
        "viewer",
        "A call by its key or Call-ID, with all that is known",
        &["call"],
        "Detail",
        &[404],
    ),
    get(
        "/v1/calls/{call_id}/verdict",
        "viewer",
        "The verdict of a call that is scored now, waited for",
        &["call_id", "wait"],
        "Any",
        &[404, 414],
    ),
    get(
        "/v1/stream",
        "viewer",
        "Calls as they are scored: server-sent events `call`, `update`, `rates`, `lost`",
        &["FILTER"],
        "",
        &[404],
    ),
    get(
        "/v1/labels",
        "viewer",
        "Labels, the last first",
        &["label_of", "limit", "cursor"],
        "Labels",
        &[404],
    ),
    Operation {
        method: "post",
        path: "/v1/labels",
        role: "analyst",
        about: "Say what a call was",
        asks: &[],
        body: "NewLabel",
        gives: (&[201], "Label"),
        else_: &[403, 404, 413, 415, 422],
    },
    get(
        "/v1/reports/trends",
        "viewer",
        "Tags, countries and labels over days or weeks",
        &["unit", "since", "until"],
        "Trends",
        &[404],
    ),
    get(
        "/v1/reports/{by}",
        "viewer",
        "Calls counted",
        &["by", "since", "until", "bucket", "limit"],
        "Report",
        &[404],
    ),
    get(
        "/v1/lists",
        "viewer",
        "Entries of lists",
        &["list", "kind", "list_q", "limit", "cursor"],
        "Entries",
        &[403],
    ),
    Operation {
        method: "post",
        path: "/v1/lists",
        role: "analyst",
        about: "Put something on a list, or change it",
        asks: &[],
        body: "NewEntry",
        gives: (&[200, 201], "Entry"),
        else_: &[403, 404, 413, 415, 422],
    },
    get("/v1/lists/audit", "viewer", "Changes of lists, the last first", &["limit"], "Items", &[]),
    Operation {
        method: "delete",
        path: "/v1/lists/{list}/{kind}/{value}",
        role: "analyst",
        about: "Take something off a list",
        asks: &["in_list", "in_kind", "value"],
        body: "",
        gives: (&[204], ""),
        else_: &[403, 404, 422],
    },
    get("/v1/cases", "viewer", "Cases", &["status"], "Cases", &[]),
    Operation {
        method: "post",
        path: "/v1/cases",
        role: "analyst",
        about: "Open a case",
        asks: &[],
        body: "NewCase",
        gives: (&[201], "Case"),
        else_: &[403, 404, 409, 413, 415, 422],
    },
    get(
        "/v1/cases/{name}",
        "viewer",
        "A case, and who changed what of it",
        &["name"],
        "Case",
        &[404],
    ),
    Operation {
        method: "patch",
        path: "/v1/cases/{name}",
        role: "analyst",
        about: "Change a case",
        asks: &["name"],
        body: "CasePatch",
        gives: (&[200], "Case"),
        else_: &[403, 404, 413, 415, 422],
    },
    get(
        "/v1/profiles",
        "viewer",
        "Callers",
        &["order", "profile_q", "since", "until", "limit", "cursor"],
        "Items",
        &[404],
    ),
    get(
        "/v1/profiles/{who}",
        "viewer",
        "A caller by profile, number or Call-ID: its calls, and who is like it",
        &["who", "since", "until", "look"],
        "Any",
        &[404],
    ),
    get("/v1/policy", "viewer", "The policy", &[], "Policy", &[]),
    Operation {
        method: "post",
        path: "/v1/policy/simulate",
        role: "viewer",
        about: "What a policy would do with recorded calls; changes nothing",
        asks: &[],
        body: "Trial",
        gives: (&[200], "Tried"),
        else_: &[404, 413, 415, 422],
    },
    get("/v1/models", "viewer", "Models in use, and how well they do", &[], "Any", &[]),
    get(
        "/v1/models/calibration",
        "viewer",
        "What was predicted of labelled calls, and what was so",
        &["since", "until"],
        "Any",
        &[],
    ),
    get(
        "/v1/gate",
        "viewer",
        "What the kernel drops or lets through by itself",
        &["interface"],
        "Any",
        &[404],
    ),
    get("/v1/consortium", "viewer", "What other organisations tell", &[], "Consortium", &[404]),
    get("/v1/system", "viewer", "Host, process, queues and rings", &[], "System", &[]),
    get(
        "/v1/audit",
        "admin",
        "Who changed what through the API, the last first",
        &["limit", "cursor"],
        "Items",
        &[403, 404],
    ),
];

fn names<'a>(names: impl Iterator<Item = &'a str>) -> Value {
    json!({"type": "string", "enum": names.collect::<Vec<_>>()})
}

fn text(most: usize) -> Value {
    json!({"type": "string", "maxLength": most})
}

/// A parameter by its name here: where it stands, its name, its schema and what it is.
fn parameter(name: &str) -> (&'static str, &'static str, Value, &'static str) {
    let hex = || json!({"type": "string", "pattern": "^[0-9a-fA-F]{16}$"});
    let time = || json!({"type": "string", "examples": ["24h", "7d", "2026-11-25", "2026-11-25T08:00:00Z"]});
    match name {
        "level" => (
            "query",
            "level",
            names(Level::ALL.iter().map(|l| l.name())),
            "Of this level or higher",
        ),
        "min_score" => (
            "query",
            "min_score",
            json!({"type": "integer", "minimum": 0, "maximum": 100}),
            "Score at least",
        ),
        "tag" => ("query", "tag", names(Tag::ALL.iter().map(|t| t.name())), "With this tag"),
        "caller" => ("query", "caller", text(100), "Number shown or asserted, in whatever form"),
        "callee" => ("query", "callee", text(100), "Number called"),
        "trunk" => ("query", "trunk", text(512), "Name of the trunk"),
        "country" => (
            "query",
            "country",
            json!({"type": "string", "pattern": "^[A-Z]{2}$"}),
            "ISO 3166 code of the caller's country",
        ),
        "fingerprint" => ("query", "fingerprint", hex(), "Header fingerprint"),
        "profile" => ("query", "profile", hex(), "The caller's profile"),
        "outcome" => (
            "query",
            "outcome",
            names(Progress::ALL.into_iter().map(Progress::name)),
            "How it went",
        ),
        "label" => (
            "query",
            "label",
            names(["fraud", "genuine", "none"].into_iter()),
            "What people said of it",
        ),
        "action" => (
            "query",
            "action",
            names(Action::ALL.into_iter().map(Action::name)),
            "What was to be done",
        ),
        "q" => (
            "query",
            "q",
            text(512),
            "Text in Call-ID, numbers, trunk, fingerprint, profile or rule; for viewers not in numbers",
        ),
        "since" => ("query", "since", time(), "Since when: so long ago, or a time"),
        "until" => ("query", "until", time(), "Until when"),
        "limit" => (
            "query",
            "limit",
            json!({"type": "integer", "minimum": 1, "maximum": 500}),
            "Items at most",
        ),
        "cursor" => ("query", "cursor", text(2_048), "`next` of the page before"),
        "call" => (
            "path",
            "call",
            json!({"type": "string", "minLength": 1, "maxLength": 1_024}),
            "Key (16 hexadecimal digits) or Call-ID",
        ),
        "call_id" => (
            "path",
            "call_id",
            json!({"type": "string", "minLength": 1, "maxLength": 1_024}),
            "Call-ID",
        ),
        "wait" => (
            "query",
            "wait",
            json!({"type": "integer", "minimum": 0, "maximum": 60_000}),
            "Milliseconds that may be waited",
        ),
        "label_of" => ("query", "call_id", text(1_024), "Of this call"),
        "unit" => ("query", "unit", names(["day", "week"].into_iter()), "Step"),
        "by" => (
            "path",
            "by",
            names(
                [
                    "time",
                    "level",
                    "tag",
                    "reason",
                    "caller_country",
                    "callee_country",
                    "trunk",
                    "destination",
                    "outcome",
                    "action",
                    "fingerprint",
                    "hour_of_week",
                ]
                .into_iter(),
            ),
            "By what calls are counted",
        ),
        "bucket" => (
            "query",
            "bucket",
            json!({"type": "string", "examples": ["60s", "5m", "1h", "1d"]}),
            "Step of time",
        ),
        "list" => ("query", "list", names(LISTS.into_iter()), "List"),
        "kind" => ("query", "kind", names(KINDS.into_iter()), "What stands on it"),
        "list_q" => ("query", "q", text(200), "Text in value or reason; not for viewers"),
        "in_list" => ("path", "list", names(LISTS.into_iter()), "List"),
        "in_kind" => ("path", "kind", names(KINDS.into_iter()), "What stands on it"),
        "value" => {
            ("path", "value", json!({"type": "string", "minLength": 1}), "The entry's value")
        }
        "status" => ("query", "status", names(["open", "closed"].into_iter()), "Of this status"),
        "name" => ("path", "name", json!({"type": "string", "minLength": 1}), "Name of the case"),
        "order" => {
            ("query", "order", names(["calls", "score", "last"].into_iter()), "Most of what first")
        }
        "profile_q" => ("query", "q", text(100), "A number, or how a profile's id begins"),
        "who" => (
            "path",
            "who",
            json!({"type": "string", "minLength": 1, "maxLength": 1_024}),
            "Profile, number or Call-ID",
        ),
        "look" => (
            "query",
            "wait",
            json!({"type": "integer", "minimum": 1, "maximum": 60}),
            "Seconds to look for older calls; without it, as long as a page may take",
        ),
        _ => ("query", "interface", text(100), "Interface whose gate it is"),
    }
}

const LISTS: [&str; 4] = ["deny", "allow", "consortium", "scanner"];
const KINDS: [&str; 6] = ["number", "range", "source", "trunk", "fingerprint", "profile"];

fn built() -> Value {
    let mut paths = Map::new();
    for operation in OPERATIONS {
        let entry = paths.entry(operation.path).or_insert_with(|| json!({}));
        entry[operation.method] = described(operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "scorer",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Risk scores of inbound SIP calls. Times are RFC 3339 in UTC; errors are RFC 9457.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": schemas(),
        },
    })
}

fn described(operation: &Operation) -> Value {
    let Operation { role, about, asks, body, gives, else_, .. } = operation;
    let names = asks.iter().flat_map(|name| match *name {
        "FILTER" => FILTER.to_vec(),
        name => vec![name],
    });
    let parameters: Vec<_> = names
        .map(|name| {
            let (place, name, schema, about) = parameter(name);
            json!({"in": place, "name": name, "required": place == "path", "schema": schema, "description": about})
        })
        .collect();
    let mut responses = Map::new();
    for status in gives.0 {
        let mut answer = json!({"description": "Done"});
        if operation.path == "/v1/stream" {
            answer["content"] = json!({"text/event-stream": {"schema": {"type": "string"}}});
        } else if !gives.1.is_empty() {
            answer["content"] = json!({"application/json": {"schema": schema(gives.1)}});
        }
        responses.insert(status.to_string(), answer);
    }
    let always: &[u16] = if role.is_empty() { &[] } else { &[400, 401, 403, 429, 503] };
    for status in always.iter().chain(*else_) {
        let problem = json!({
            "description": "Problem",
            "content": {"application/problem+json": {"schema": schema("Problem")}},
        });
        responses.insert(status.to_string(), problem);
    }
    let mut described = json!({
        "summary": about,
        "parameters": parameters,
        "responses": responses,
        "security": if role.is_empty() { json!([]) } else { json!([{"token": []}]) },
    });
    if !role.is_empty() {
        described["description"] = json!(format!("For {role} and above."));
    }
    if !body.is_empty() {
        described["requestBody"] = json!({
            "required": true,
            "content": {"application/json": {"schema": schema(body)}},
        });
    }
    described
}

fn schema(name: &str) -> Value {
    match name {
        "Any" => json!({"type": "object"}),
        name => json!({"$ref": format!("#/components/schemas/{name}")}),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "values are made where they are given")]
fn object(required: &[&str], properties: Value) -> Value {
    json!({"type": "object", "required": required, "properties": properties})
}

/// The same of which nothing else may be a member.
fn given(required: &[&str], properties: Value) -> Value {
    let mut object = object(required, properties);
    object["additionalProperties"] = json!(false);
    object
}

#[expect(clippy::needless_pass_by_value, reason = "values are made where they are given")]
fn page(of: Value) -> Value {
    object(
        &["items", "next"],
        json!({"items": {"type": "array", "items": of}, "next": {"type": ["string", "null"]}}),
    )
}

/// What `GET /v1/consortium` tells.
fn consortium() -> Value {
    let member = object(
        &["name", "trust", "joined", "taken", "active", "refused"],
        json!({
            "name": {"type": "string"},
            "trust": {"type": "integer", "minimum": 0, "maximum": 100},
            "joined": {"type": "boolean"},
            "revoked": {"type": ["string", "null"], "format": "date-time"},
            "taken": {"type": "integer", "description": "Events taken so far"},
            "active": {"type": "integer", "description": "Events that hold"},
            "refused": {"type": "object", "additionalProperties": {"type": "integer"}},
        }),
    );
    object(
        &["connected", "lag", "position", "quorum", "refused", "members"],
        json!({
            "consortium": {"type": ["string", "null"]},
            "mode": {"type": ["string", "null"], "enum": ["keyed", "blind", null]},
            "epoch": {"type": ["integer", "null"]},
            "connected": {"type": "boolean", "description": "Whether the scorer that runs has NATS"},
            "position": {"type": "integer", "description": "Messages of the stream that were read"},
            "lag": {"type": "integer", "description": "Messages that were not"},
            "as_of": {"type": ["string", "null"], "format": "date-time"},
            "quorum": {"type": "object"},
            "refused": {"type": "object", "additionalProperties": {"type": "integer"}},
            "members": {"type": "array", "items": member},
        }),
    )
}

fn schemas() -> Value {
    let s = || json!({"type": "string"});
    let none = |kind: &str| json!({"type": [kind, "null"]});
    let list = |of: Value| json!({"type": "array", "items": of});
    let number = || json!({"type": "number"});
    let count = || json!({"type": "integer", "minimum": 0});
    let time = || json!({"type": "string", "format": "date-time"});
    let mut call = json!({
        "ts": time(), "call": s(), "call_id": s(), "caller": none("string"),
        "network_number": none("string"), "callee": none("string"),
        "caller_country": none("string"), "callee_country": none("string"), "source": s(),
        "destination": s(), "transport": s(), "trunk": none("string"), "fingerprint": s(),
        "signature": s(), "profile": none("string"),
        "score": {"type": "integer", "minimum": 0, "maximum": 100}, "probability": number(),
        "level": names(Level::ALL.iter().map(|l| l.name())), "tags": list(s()),
        "reasons": list(object(&["feature", "text", "contribution"],
            json!({"feature": s(), "text": s(), "contribution": number()}))),
        "model": s(), "action": s(), "rule": none("string"), "response": none("integer"),
        "would": none("string"), "dry_run": none("string"), "dry_run_rule": none("string"),
        "lists": list(s()), "list_effect": none("string"), "model_score": none("integer"),
        "outcome": none("string"), "code": none("integer"), "setup_s": none("number"),
        "duration_s": none("number"), "label": none("string"), "latency_ns": none("integer"),
    });
    let required: Vec<String> =
        call.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
    let required: Vec<&str> = required.iter().map(String::as_str).collect();
    let plain = object(&required, call.clone());
    for (name, of) in [
        (
            "features",
            list(object(
                &["name", "group", "value", "unusual"],
                json!({
                    "name": s(), "group": s(), "value": none("number"), "low": none("number"),
                    "median": none("number"), "high": none("number"), "unusual": {"type": "boolean"},
                    "text": s(),
                }),
            )),
        ),
        (
            "ladder",
            list(object(
                &["ts", "from", "what"],
                json!({
                    "ts": time(), "from": names(["caller", "callee", "either"].into_iter()), "what": s(),
                }),
            )),
        ),
        (
            "headers",
            json!({"type": ["array", "null"], "items": object(&["name", "value", "odd"],
            json!({"name": s(), "value": s(), "odd": none("string")}))}),
        ),
        ("message_available", json!({"type": "boolean"})),
        ("labels", list(schema("Label"))),
        ("cases", list(s())),
    ] {
        call[name] = of;
    }
    let next_call = given(
        &["action"],
        json!({
            "action": names(std::iter::once("policy").chain(Action::ALL.into_iter().map(Action::name))),
            "response": {"type": ["integer", "null"], "enum": [603, 607, 608, null]},
            "target": s(), "reason": s(),
        }),
    );
    let fault = object(
        &["line", "column", "message"],
        json!({"line": count(), "column": count(), "message": s()}),
    );
    let counts = json!({"type": "object", "additionalProperties": count()});
    json!({
        "Problem": object(&["type", "title", "status", "detail"],
            json!({"type": s(), "title": s(), "status": count(), "detail": s()})),
        "Status": object(&["status"], json!({"status": s()})),
        "Me": object(&["name", "role", "masked"], json!({
            "name": s(), "role": names(["viewer", "analyst", "admin"].into_iter()),
            "masked": {"type": "boolean"},
        })),
        "Call": plain,
        "Detail": object(&["ts", "call", "features", "ladder", "headers", "labels", "cases"], call),
        "Calls": page(schema("Call")),
        "Items": page(json!({"type": "object"})),
        "Label": object(&["call_id", "label", "by", "at"], json!({
            "call_id": s(), "label": names(["fraud", "genuine"].into_iter()), "by": s(),
            "at": s(), "weight": number(), "note": s(),
        })),
        "Labels": page(schema("Label")),
        "NewLabel": given(&["call_id", "label"], json!({
            "call_id": {"type": "string", "minLength": 1, "maxLength": 1_024},
            "label": names(["fraud", "genuine"].into_iter()), "note": text(1_024),
        })),
        "Entry": object(&["list", "kind", "value", "reason", "author", "created", "expires"], json!({
            "list": s(), "kind": s(), "value": s(), "reason": s(), "author": s(), "created": s(),
            "expires": none("string"), "from": s(),
        })),
        "Entries": page(schema("Entry")),
        "NewEntry": given(&["list", "kind", "value"], json!({
            "list": names(LISTS.into_iter()), "kind": names(KINDS.into_iter()), "value": s(),
            "reason": s(), "expires": none("string"), "from": s(),
        })),
        "Case": object(&["name", "status", "method", "next_call", "profiles", "notes"], json!({
            "name": s(), "status": names(["open", "closed"].into_iter()), "method": s(),
            "next_call": {"type": "object"}, "author": s(), "created": s(), "changed": s(),
            "profiles": list(json!({"type": "object"})), "notes": list(json!({"type": "object"})),
        })),
        "Cases": page(schema("Case")),
        "NewCase": given(&["name"], json!({
            "name": {"type": "string", "minLength": 1}, "method": s(), "note": none("string"),
            "next_call": {"anyOf": [next_call.clone(), {"type": "null"}]},
            "profiles": list(json!({"type": "string", "pattern": "^[0-9a-fA-F]{16}$"})),
        })),
        "CasePatch": given(&[], json!({
            "status": {"type": ["string", "null"], "enum": ["open", "closed", null]},
            "next_call": {"anyOf": [next_call, {"type": "null"}]},
            "note": none("string"),
            "attach": list(s()), "detach": list(s()),
        })),
        "Report": object(&["by", "since", "until", "rows"], json!({
            "by": s(), "since": time(), "until": time(),
            "rows": list(object(&["key", "calls", "high", "fraud_labels", "score_avg"], json!({
                "key": s(), "calls": count(), "high": count(), "fraud_labels": count(),
                "score_avg": number(), "ts": time(), "text": s(),
            }))),
        })),
        "Trends": object(&["unit", "since", "rows"], json!({
            "unit": s(), "since": time(),
            "rows": list(object(&["ts", "calls", "high", "tags", "countries", "labels"], json!({
                "ts": time(), "calls": count(), "high": count(), "tags": counts,
                "countries": counts, "labels": counts,
            }))),
        })),
        "Policy": object(&["file", "text", "rules", "faults"], json!({
            "file": none("string"), "text": s(), "rules": list(json!({"type": "object"})),
            "default": none("string"), "observes": {"type": "boolean"}, "faults": list(fault.clone()),
        })),
        "Trial": given(&[], json!({
            "text": none("string"), "since": none("string"), "until": none("string"),
        })),
        "Tried": object(&["calls", "now", "then", "changed", "examples", "faults"], json!({
            "calls": count(), "now": counts, "then": counts, "changed": count(),
            "examples": list(schema("Call")), "cut": {"type": "boolean"}, "faults": list(fault),
        })),
        "Consortium": consortium(),
        "System": object(&["version", "started", "mode", "queues", "doctor"], json!({
            "version": s(), "started": time(), "host": none("string"), "mode": s(),
            "interfaces": list(s()), "rings": counts, "queues": {"type": "object"},
            "records": none("object"), "doctor": list(json!({"type": "object"})),
            "model": none("object"), "object": {"type": "object"},
        })),
    })
}

#[cfg(test)]
mod tests {
    use super::{OPERATIONS, built, parameter};

    #[test]
    fn every_reference_is_there() {
        let document = built();
        let text = document.to_string();
        for part in text.split("#/components/schemas/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(document["components"]["schemas"][name].is_object(), "{name}");
        }
    }

    #[test]
    fn routes_and_operations_are_the_same() {
        let routes = include_str!("mod.rs");
        let verdict = include_str!("../verdict/http.rs");
        let mut named: Vec<_> = routes
            .split(".route(\"")
            .skip(1)
            .chain(verdict.split(".route(\"").skip(1))
            .map(|rest| rest.split('"').next().unwrap())
            .collect();
        named.sort_unstable();
        let mut told: Vec<_> = OPERATIONS.iter().map(|operation| operation.path).collect();
        told.sort_unstable();
        told.dedup();
        assert_eq!(told, named);
    }

    #[test]
    fn parameters_in_a_path_are_told() {
        for operation in OPERATIONS {
            for part in operation.path.split('{').skip(1) {
                let name = part.split('}').next().unwrap();
                let is = |asked: &&&str| {
                    let (place, known, ..) = parameter(asked);
                    place == "path" && known == name
                };
                assert!(operation.asks.iter().find(is).is_some(), "{} {name}", operation.path);
            }
        }
    }
}
