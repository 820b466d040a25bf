//! What was found of a caller, written: text, JSON, a graph.

use std::fmt::Write as _;

use scorer_common::verdict::Tag;
use serde_json::{Value, json};

use super::{CallRow, Link, Sheet};
use crate::number;

/// Numbers, accounts and links told in full; the rest is counted.
const TOLD: usize = 12;

/// A number as it may be shown.
fn shown(number: &str, full: bool) -> String {
    if full { number.to_owned() } else { number::mask(number.as_bytes()).to_string() }
}

fn hex(profile: u64) -> String {
    format!("{profile:016x}")
}

/// Seconds, or nothing.
fn seconds(value: f32) -> Option<f32> {
    value.is_finite().then(|| (value * 10.0).round() / 10.0)
}

fn tags(row: &CallRow) -> Vec<&'static str> {
    row.tags.iter().map(Tag::name).collect()
}

impl Sheet<'_> {
    /// In words, at most `most` calls, the last ones; numbers in full or masked.
    pub fn text(&self, full: bool, most: usize) -> String {
        let mut out = String::new();
        self.write_text(full, most, &mut out);
        out
    }

    fn write_text(&self, full: bool, most: usize, out: &mut String) {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "profile {}", hex(self.profile));
        if !self.parts.is_empty() {
            let parts: Vec<_> = self.parts.iter().map(|part| hex(*part)).collect();
            let _ = writeln!(out, "  joined from: {}", parts.join(", "));
        }
        if let Some((first, last)) = self.span() {
            let calls = self.calls.len();
            let (numbers, callees) = (self.numbers.len(), self.callees.len());
            let _ = writeln!(
                out,
                "  {calls} calls from {first} to {last}, {numbers} numbers, {callees} accounts called"
            );
        }
        list(out, "method", self.method.iter().cloned());
        let numbers = self.numbers.iter().map(|(number, used)| {
            let mut how = Vec::new();
            for (count, what) in [
                (used.shown, "shown"),
                (used.asserted, "asserted"),
                (used.withheld, "of them withheld"),
            ] {
                if count > 0 {
                    how.push(format!("{what} {count}"));
                }
            }
            format!("{} ({})", shown(number, full), how.join(", "))
        });
        list(out, "numbers used", numbers);
        let callees = self.callees.iter();
        list(out, "accounts called", callees.map(|(c, n)| format!("{} ({n})", shown(c, full))));
        for (name, countries) in
            ["countries of numbers", "countries called"].iter().zip(&self.countries)
        {
            list(out, name, countries.iter().map(|(code, n)| format!("+{code} ({n})")));
        }
        list(out, "from", self.places.iter().map(|(place, n)| format!("{place} ({n})")));
        list(out, "signalled as", self.signatures.iter().map(|(s, n)| format!("{s} ({n})")));
        list(out, "outcomes", self.outcomes.iter().map(|(o, n)| format!("{o} ({n})")));
        let links = self.links.iter().map(|link| {
            format!(
                "{} with {:.0} %: {}",
                hex(link.profile),
                link.confidence * 100.0,
                reasons(link)
            )
        });
        list(out, "linked profiles", links);
        let skipped = self.calls.len().saturating_sub(most);
        let _ = writeln!(out, "timeline");
        if skipped > 0 {
            let _ = writeln!(out, "  ({skipped} earlier calls; --calls N shows more)");
        }
        for row in &self.calls[skipped..] {
            let caller = match &row.network {
                _ if row.tags.contains(Tag::Withheld) => "withheld".to_owned(),
                _ => shown(&row.caller, full),
            };
            let network = row.network.as_ref().filter(|network| **network != row.caller);
            let network = network.map_or(String::new(), |n| format!(" [{}]", shown(n, full)));
            let outcome = row.outcome.as_ref().map_or_else(
                || "-".to_owned(),
                |outcome| match (outcome.code, seconds(outcome.duration)) {
                    (_, Some(talk)) => format!("{} {talk} s", outcome.name),
                    (0, None) => outcome.name.to_owned(),
                    (code, None) => format!("{} {code}", outcome.name),
                },
            );
            let _ = writeln!(
                out,
                "  {} {caller}{network} -> {} {outcome}, score {}, {}{}, {} {}",
                row.time,
                shown(&row.callee, full),
                row.score,
                row.action,
                row.rule.as_ref().map_or(String::new(), |rule| format!(" ({rule})")),
                row.call_id,
                tags(row).join(",")
            );
        }
    }

    /// As one JSON object.
    pub fn json(&self, full: bool, most: usize) -> Value {
        let counted = |items: Vec<(Value, usize)>| -> Vec<Value> {
            items
                .into_iter()
                .map(|(value, calls)| json!({"value": value, "calls": calls}))
                .collect()
        };
        let skipped = self.calls.len().saturating_sub(most);
        let calls = self.calls[skipped..].iter().map(|row| {
            json!({
                "ts": row.time.to_string(),
                "call_id": row.call_id,
                "caller": shown(&row.caller, full),
                "network_number": row.network.as_ref().map(|n| shown(n, full)),
                "callee": shown(&row.callee, full),
                "source": row.source.to_string(),
                "trunk": row.trunk,
                "score": row.score,
                "action": row.action,
                "rule": row.rule,
                "tags": tags(row),
                "profile": hex(row.profile),
                "confidence": (f64::from(row.confidence) * 1_000.0).round() / 1_000.0,
                "outcome": row.outcome.as_ref().map(|o| o.name),
                "code": row.outcome.as_ref().map(|o| o.code).filter(|code| *code != 0),
                "setup_s": row.outcome.as_ref().and_then(|o| seconds(o.setup)),
                "duration_s": row.outcome.as_ref().and_then(|o| seconds(o.duration)),
            })
        });
        let calls: Vec<_> = calls.collect();
        let numbers = self.numbers.iter().map(|(number, used)| {
            json!({
                "number": shown(number, full),
                "shown": used.shown,
                "asserted": used.asserted,
                "withheld": used.withheld,
            })
        });
        let texts = |items: &[(&str, usize)], number: bool| {
            let each = |(text, count): &(&str, usize)| {
                (json!(if number { shown(text, full) } else { (*text).to_owned() }), *count)
            };
            counted(items.iter().map(each).collect())
        };
        let countries = |side: usize| {
            counted(self.countries[side].iter().map(|(code, n)| (json!(code), *n)).collect())
        };
        let span = self.span();
        json!({
            "profile": hex(self.profile),
            "joined_from": self.parts.iter().map(|part| hex(*part)).collect::<Vec<_>>(),
            "calls": self.calls.len(),
            "first": span.map(|(first, _)| first.to_string()),
            "last": span.map(|(_, last)| last.to_string()),
            "method": self.method,
            "numbers": numbers.collect::<Vec<_>>(),
            "accounts": texts(&self.callees, true),
            "countries_of_numbers": countries(0),
            "countries_called": countries(1),
            "from": counted(self.places.iter().map(|(p, n)| (json!(p), *n)).collect()),
            "signatures": texts(&self.signatures, false),
            "outcomes": counted(self.outcomes.iter().map(|(o, n)| (json!(o), *n)).collect()),
            "links": self.links.iter().map(link_json).collect::<Vec<_>>(),
            "timeline": calls,
        })
    }

    /// Nodes and edges: the profile, its numbers, places and accounts, and linked profiles.
    pub fn graph(&self, full: bool) -> Value {
        let me = hex(self.profile);
        let mut nodes =
            vec![json!({"id": me, "kind": "profile", "label": me, "calls": self.calls.len()})];
        let mut edges = Vec::new();
        let mut add = |kind: &str, at: usize, label: String, calls: usize, from_me: bool| {
            let id = format!("{kind}{at}");
            nodes.push(json!({"id": id, "kind": kind, "label": label, "calls": calls}));
            let (from, to) = if from_me { (&me, &id) } else { (&id, &me) };
            edges.push(json!({"from": from, "to": to, "kind": kind, "calls": calls}));
        };
        for (at, (number, used)) in self.numbers.iter().enumerate() {
            add("number", at, shown(number, full), used.shown.max(used.asserted), false);
        }
        for (at, (place, calls)) in self.places.iter().enumerate() {
            add("place", at, place.clone(), *calls, false);
        }
        for (at, (callee, calls)) in self.callees.iter().enumerate() {
            add("account", at, shown(callee, full), *calls, true);
        }
        for link in &self.links {
            let other = hex(link.profile);
            nodes.push(json!({"id": other, "kind": "profile", "label": other}));
            edges.push(json!({
                "from": me, "to": other, "kind": "link",
                "confidence": (f64::from(link.confidence) * 1_000.0).round() / 1_000.0,
                "evidence": reasons(link),
            }));
        }
        json!({"nodes": nodes, "edges": edges})
    }

    /// The graph for Graphviz.
    pub fn dot(&self, full: bool) -> String {
        let graph = self.graph(full);
        let quoted = |value: &Value| {
            let text = value.as_str().unwrap_or_default();
            format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " "))
        };
        let mut out = String::from("digraph profile {\n  rankdir=LR;\n");
        for node in graph["nodes"].as_array().into_iter().flatten() {
            let shape = match node["kind"].as_str() {
                Some("profile") => "doubleoctagon",
                Some("number") => "box",
                Some("place") => "house",
                _ => "ellipse",
            };
            let _ = writeln!(
                out,
                "  {} [label={}, shape={shape}];",
                quoted(&node["id"]),
                quoted(&node["label"])
            );
        }
        for edge in graph["edges"].as_array().into_iter().flatten() {
            let label = match edge["calls"].as_u64() {
                Some(calls) => format!("\"{calls}\""),
                None => format!(
                    "\"{:.0} %\", style=dashed, dir=none",
                    edge["confidence"].as_f64().unwrap_or(0.0) * 100.0
                ),
            };
            let _ = writeln!(
                out,
                "  {} -> {} [label={label}];",
                quoted(&edge["from"]),
                quoted(&edge["to"])
            );
        }
        out.push_str("}\n");
        out
    }
}

/// What a link rests on, in one line.
fn reasons(link: &Link) -> String {
    let said: Vec<_> = link
        .why
        .iter()
        .map(|why| {
            let sign = if why.says < 0.0 { "against " } else { "" };
            let shared = match why.profiles {
                0 => String::new(),
                profiles => format!(", had by {profiles} profiles"),
            };
            format!("{sign}{} ({:+.1}{shared})", why.kind, why.says)
        })
        .collect();
    said.join("; ")
}

fn link_json(link: &Link) -> Value {
    let thousandths = |value: f32| (f64::from(value) * 1_000.0).round() / 1_000.0;
    let why = link.why.iter().map(|why| {
        json!({
            "kind": why.kind,
            "nats": thousandths(why.says),
            "shared": why.shared,
            "profiles": why.profiles,
        })
    });
    json!({
        "profile": hex(link.profile),
        "confidence": thousandths(link.confidence),
        "evidence": why.collect::<Vec<_>>(),
    })
}

/// A heading and what stands below it, the first few.
fn list(out: &mut String, name: &str, items: impl ExactSizeIterator<Item = String>) {
    let count = items.len();
    if count == 0 {
        return;
    }
    let _ = writeln!(out, "{name}");
    for item in items.take(TOLD) {
        let _ = writeln!(out, "  {item}");
    }
    if count > TOLD {
        let _ = writeln!(out, "  and {} more", count - TOLD);
    }
}
