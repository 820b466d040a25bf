//! The policy, and what another would do.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, PoisonError},
};

use axum::{Json, extract::State, response::IntoResponse};
use scorer_common::verdict::Action;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::{
        Api,
        access::Viewer,
        extract::{Asked, Body},
        mask,
        problem::Problem,
    },
    calls::{between, whole_of},
};
use crate::{
    config::Config,
    policy::{Facts, Fault, Policy, PolicyError, Site},
    records::query::Limits,
};

/// Calls that a policy is tried on at most, the more the longer it takes.
const CALLS: usize = 1_000_000;
/// Examples told.
const EXAMPLES: usize = 50;

/// What a policy may refer to.
fn site(config: &Config) -> Site {
    let env = &config.engine.env;
    let names = env.trunks.0.iter().map(|trunk| trunk.name.clone()).collect();
    Site { home_country: env.home_country, levels: Some(config.engine.levels), trunks: Some(names) }
}

fn fault(fault: &Fault) -> Value {
    json!({"line": fault.line, "column": fault.column, "message": fault.what})
}

/// The text of the configured policy; empty where there is none.
async fn configured(api: &Arc<Api>) -> Result<String, Problem> {
    let Some(path) = api.config.engine.env.policy.clone() else { return Ok(String::new()) };
    let read = tokio::task::spawn_blocking(move || std::fs::read_to_string(path)).await;
    read.map_err(|error| Problem::internal(&error))?.map_err(|error| Problem::internal(&error))
}

/// `GET /v1/policy`.
pub(in crate::api) async fn show(
    State(api): State<Arc<Api>>,
    Viewer(who): Viewer,
    asked: Asked,
) -> Result<impl IntoResponse, Problem> {
    asked.done()?;
    let masked = who.role.is_masked();
    let text = configured(&api).await?;
    let file = api.config.engine.env.policy.as_deref().map(|path| path.display().to_string());
    let read = Policy::parse(&text, Path::new("policy"), &site(&api.config));
    let (rules, faults) = match &read {
        Ok(policy) => (rules(policy, &text, masked, &hits(&api)), Vec::new()),
        Err(PolicyError::Faults(faults)) => (Vec::new(), faults.iter().map(fault).collect()),
        Err(error) => return Err(Problem::internal(error)),
    };
    let default = read.as_ref().ok().map(|policy| policy.default_action().name());
    Ok(Json(json!({
        "file": file,
        "text": if masked { mask::text(&text).into_owned() } else { text },
        "rules": rules,
        "default": default,
        "observes": read.as_ref().is_ok_and(Policy::observes),
        "faults": faults,
    })))
}

/// Rules with their conditions as they are written.
fn rules(policy: &Policy, text: &str, masked: bool, hits: &BTreeMap<String, u64>) -> Vec<Value> {
    let table: toml::Table = text.parse().unwrap_or_default();
    let written = table.get("rule").and_then(toml::Value::as_array);
    // What is no condition.
    let other = ["name", "comment", "action", "response", "divert", "dry_run"];
    let conditions = |name: &str| {
        let named = |rule: &&toml::Value| rule.get("name").and_then(|n| n.as_str()) == Some(name);
        let rule = written?.iter().find(named)?.as_table()?;
        let when = rule.iter().filter(|(key, _)| !other.contains(&key.as_str()));
        let when = when.map(|(key, value)| {
            let mut value = serde_json::to_value(value).unwrap_or_default();
            if masked {
                starred(&mut value);
            }
            (key.clone(), value)
        });
        Some(when.collect::<serde_json::Map<_, _>>())
    };
    policy
        .rules()
        .iter()
        .map(|rule| {
            json!({
                "name": rule.name,
                "comment": rule.comment,
                "line": rule.line,
                "action": rule.action.name(),
                "response": (rule.action == Action::Reject).then(|| rule.response.code()),
                "dry_run": rule.dry_run,
                "conditions": conditions(&rule.name),
                "hits": hits.get(&*rule.name),
            })
        })
        .collect()
}

/// Stars the numbers in every text.
fn starred(value: &mut Value) {
    match value {
        Value::String(text) => *text = mask::text(text).into_owned(),
        Value::Array(items) => items.iter_mut().for_each(starred),
        _ => {}
    }
}

/// Calls that each rule of the running policy decided.
fn hits(api: &Api) -> BTreeMap<String, u64> {
    let Some(live) = &api.live else { return BTreeMap::new() };
    let snapshot = live.shared.snapshot.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let policy = snapshot.env.upgrade().and_then(|env| env.policy.clone());
    let rules = policy.iter().flat_map(|policy| policy.rules());
    rules.map(|rule| (rule.name.to_string(), rule.hits())).collect()
}

/// A policy to be tried.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Trial {
    /// The policy; the configured one where it is missing.
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    since: Option<String>,
    #[serde(default)]
    until: Option<String>,
}

/// What came of it.
#[derive(Debug, Default)]
struct Tried {
    calls: u64,
    now: BTreeMap<&'static str, u64>,
    then: BTreeMap<&'static str, u64>,
    changed: u64,
    /// Time, key, and what they got and would get.
    examples: Vec<(u64, u64, Action, Action, Option<String>)>,
}

/// `POST /v1/policy/simulate`: changes nothing.
pub(in crate::api) async fn simulate(
    State(api): State<Arc<Api>>,
    Viewer(who): Viewer,
    Body(trial): Body<Trial>,
) -> Result<impl IntoResponse, Problem> {
    let records = api.records.as_ref().ok_or_else(|| {
        Problem::not_found("there are no records to try it on: set records.folder")
    })?;
    let span = between(trial.since.as_deref(), trial.until.as_deref(), "24h")?;
    let text = match trial.text {
        Some(text) => text,
        None => configured(&api).await?,
    };
    let nothing = |faults: Vec<Value>| json!({"calls": 0, "now": {}, "then": {}, "changed": 0, "examples": [], "cut": false, "faults": faults});
    let policy = match Policy::parse(&text, Path::new("policy"), &site(&api.config)) {
        Ok(policy) => policy,
        Err(PolicyError::Faults(faults)) => {
            return Ok(Json(nothing(faults.iter().map(fault).collect())));
        }
        Err(error) => return Err(Problem::invalid(error.to_string())),
    };
    let warnings: Vec<_> = policy.warnings().iter().map(fault).collect();
    let home = api.home;
    let (tried, cut) = records
        .work(move |store, limits| {
            let limits = Limits { rows: Some(CALLS), ..*limits };
            let mut tried = Tried::default();
            let answered = store.calls(span, "", &limits, &mut |stored| {
                let decision = policy.decide_unseen(&Facts::of_record(&stored.record(), home));
                let (then, rule) = decision.meant();
                tried.calls += 1;
                *tried.now.entry(stored.action.name()).or_default() += 1;
                *tried.then.entry(then.name()).or_default() += 1;
                if then != stored.action {
                    tried.changed += 1;
                    if tried.examples.len() < EXAMPLES {
                        let rule = rule.map(str::to_owned);
                        let (call, now) = (&stored.call, stored.action);
                        tried.examples.push((call.time.0, call.call, now, then, rule));
                    }
                }
            })?;
            Ok((tried, answered.cut))
        })
        .await?;
    let keys: Vec<_> = tried.examples.iter().map(|(ts, call, ..)| (*ts, *call)).collect();
    let items = whole_of(&api, records, &keys).await?;
    let mut examples = Vec::new();
    for item in items {
        let found =
            tried.examples.iter().find(|(_, call, ..)| super::super::item::hex(*call) == item.call);
        let Some((_, _, now, then, rule)) = found else { continue };
        let item = if who.role.is_masked() { item.masked() } else { item };
        let mut example = serde_json::to_value(item).map_err(|error| Problem::internal(&error))?;
        example["now"] = json!(now.name());
        example["then"] = json!(then.name());
        example["rule"] = json!(rule);
        examples.push(example);
    }
    Ok(Json(json!({
        "calls": tried.calls,
        "now": tried.now,
        "then": tried.then,
        "changed": tried.changed,
        "examples": examples,
        "cut": cut,
        "faults": [],
        "warnings": warnings,
    })))
}
