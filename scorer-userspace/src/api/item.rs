//! One call as the API tells it.

use scorer_common::verdict::{Action, Level, Tags};
use serde::{Deserialize, Serialize, Serializer};

use super::mask;
use crate::{
    features::{REGISTRY, by_name, write_reason},
    history::Progress,
    number::country,
    records::{Slot, Text},
    time::Timestamp,
};

/// A call, as in every list of calls and in the stream.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Item {
    pub(super) ts: String,
    /// Key of the call attempt, 16 hexadecimal digits.
    pub(super) call: String,
    pub(super) call_id: String,
    pub(super) caller: Option<String>,
    pub(super) network_number: Option<String>,
    pub(super) callee: Option<String>,
    pub(super) caller_country: Option<&'static str>,
    pub(super) callee_country: Option<&'static str>,
    pub(super) source: String,
    pub(super) destination: String,
    pub(super) transport: String,
    pub(super) trunk: Option<String>,
    pub(super) fingerprint: String,
    pub(super) signature: String,
    pub(super) profile: Option<String>,
    pub(super) score: u8,
    #[serde(serialize_with = "short")]
    pub(super) probability: f32,
    pub(super) level: String,
    pub(super) tags: Vec<String>,
    pub(super) reasons: Vec<Told>,
    pub(super) model: String,
    pub(super) action: String,
    pub(super) rule: Option<String>,
    pub(super) response: Option<u16>,
    pub(super) would: Option<String>,
    pub(super) dry_run: Option<String>,
    pub(super) dry_run_rule: Option<String>,
    pub(super) lists: Vec<String>,
    pub(super) list_effect: Option<String>,
    pub(super) model_score: Option<u8>,
    pub(super) outcome: Option<String>,
    pub(super) code: Option<u16>,
    #[serde(serialize_with = "some_short")]
    pub(super) setup_s: Option<f32>,
    #[serde(serialize_with = "some_short")]
    pub(super) duration_s: Option<f32>,
    pub(super) label: Option<&'static str>,
    pub(super) latency_ns: Option<u64>,
}

/// A reason.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Told {
    pub(super) feature: String,
    pub(super) text: String,
    /// Log-odds; positive speaks for fraud.
    #[serde(serialize_with = "short")]
    pub(super) contribution: f32,
}

/// Columns that an [`Item`] is made of, for `SELECT`.
pub(super) const COLUMNS: &str = "CAST(ts AS BIGINT) AS ts, call, call_id, caller, network_number, \
    callee, caller_country_code, callee_country_code, source, destination, transport, trunk, \
    fingerprint, signature, profile, score, probability, level, tags, reasons, model, action, \
    rule, response, would, dry_run, dry_run_rule, lists, list_effect, model_score, latency_ns";

/// A row of [`COLUMNS`].
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Row {
    pub(super) ts: u64,
    pub(super) call: u64,
    pub(super) call_id: String,
    caller: Option<String>,
    network_number: Option<String>,
    callee: Option<String>,
    caller_country_code: Option<u16>,
    callee_country_code: Option<u16>,
    source: String,
    destination: String,
    transport: String,
    trunk: Option<String>,
    fingerprint: String,
    signature: String,
    profile: String,
    score: u8,
    probability: f32,
    level: String,
    tags: Vec<String>,
    reasons: Vec<RowReason>,
    model: String,
    action: String,
    rule: Option<String>,
    response: Option<u16>,
    would: Option<String>,
    dry_run: Option<String>,
    dry_run_rule: Option<String>,
    lists: Vec<String>,
    list_effect: Option<String>,
    model_score: Option<u8>,
    latency_ns: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RowReason {
    feature: Option<String>,
    value: Option<f32>,
    contribution: Option<f32>,
}

/// How a call went on.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are those of the answer")]
pub(super) struct Outcome {
    pub(super) outcome: String,
    #[serde(default)]
    pub(super) code: Option<u16>,
    #[serde(default, serialize_with = "some_short")]
    pub(super) setup_s: Option<f32>,
    #[serde(default, serialize_with = "some_short")]
    pub(super) duration_s: Option<f32>,
}

impl Outcome {
    /// Whether nothing can come after it.
    pub(super) fn is_end(&self) -> bool {
        self.outcome != Progress::Answered.name()
    }
}

/// The number with the fewest digits that is read back as this one: widened as it is,
/// 0.1 would be told as 0.10000000149011612.
pub(super) fn widened(value: f32) -> f64 {
    value.to_string().parse().unwrap_or_else(|_| f64::from(value))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "so serde asks for it")]
fn short<S: Serializer>(value: &f32, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(widened(*value))
}

#[expect(clippy::trivially_copy_pass_by_ref, clippy::ref_option, reason = "so serde asks for it")]
fn some_short<S: Serializer>(value: &Option<f32>, to: S) -> Result<S::Ok, S::Error> {
    value.map(widened).serialize(to)
}

/// A key as it is written.
pub(super) fn hex(key: u64) -> String {
    format!("{key:016x}")
}

/// The words of a reason.
fn words(feature: u16, value: f32) -> String {
    let mut text = Vec::new();
    write_reason(feature, value, &mut text);
    String::from_utf8(text).unwrap_or_default()
}

/// Profiles that are switched off are zeros.
fn profile(hex: String) -> Option<String> {
    hex.bytes().any(|digit| digit != b'0').then_some(hex)
}

impl From<Row> for Item {
    fn from(row: Row) -> Self {
        let reasons = row.reasons.into_iter().filter_map(|reason| {
            let feature = reason.feature?;
            // One of another version has no words.
            let text = by_name(&feature)
                .map(|id| words(id, reason.value.unwrap_or(f32::NAN)))
                .unwrap_or_default();
            Some(Told { feature, text, contribution: reason.contribution.unwrap_or(0.0) })
        });
        Self {
            ts: Timestamp(row.ts).to_string(),
            call: hex(row.call),
            call_id: row.call_id,
            caller: row.caller,
            network_number: row.network_number,
            callee: row.callee,
            caller_country: row.caller_country_code.and_then(country),
            callee_country: row.callee_country_code.and_then(country),
            source: row.source,
            destination: row.destination,
            transport: row.transport,
            trunk: row.trunk,
            fingerprint: row.fingerprint,
            signature: row.signature,
            profile: profile(row.profile),
            score: row.score,
            probability: row.probability,
            level: row.level,
            tags: row.tags,
            reasons: reasons.collect(),
            model: row.model,
            action: row.action,
            rule: row.rule,
            response: row.response,
            would: row.would,
            dry_run: row.dry_run,
            dry_run_rule: row.dry_run_rule,
            lists: row.lists,
            list_effect: row.list_effect,
            model_score: row.model_score,
            latency_ns: row.latency_ns,
            ..Self::default()
        }
    }
}

impl From<&Slot> for Item {
    fn from(slot: &Slot) -> Self {
        let text = |which: Text| String::from_utf8_lossy(slot.text(which)).into_owned();
        let some = |which: Text| Some(text(which)).filter(|text| !text.is_empty());
        let reasons = slot.reasons().iter().filter_map(|reason| {
            let feature = REGISTRY.get(usize::from(reason.feature))?;
            Some(Told {
                feature: feature.name.to_owned(),
                text: words(reason.feature, reason.value),
                contribution: (reason.contribution * 1_000.0).round() / 1_000.0,
            })
        });
        let policy = &slot.policy;
        let name = |action: Action| action.name().to_owned();
        Self {
            ts: Timestamp(slot.ts).to_string(),
            call: hex(slot.call),
            call_id: text(Text::CallId),
            caller: some(Text::Caller),
            network_number: some(Text::Network),
            callee: some(Text::Callee),
            caller_country: country(slot.countries[0]),
            callee_country: country(slot.countries[1]),
            source: slot.source.to_string(),
            destination: slot.destination.to_string(),
            transport: slot.transport.name().to_owned(),
            trunk: some(Text::Trunk),
            fingerprint: hex(slot.fingerprint),
            signature: slot.signature.to_string(),
            profile: profile(hex(slot.profile)),
            score: slot.score,
            probability: slot.probability,
            level: level(slot.level).to_owned(),
            tags: Tags(slot.tags).iter().map(|tag| tag.name().to_owned()).collect(),
            reasons: reasons.collect(),
            model: text(Text::Model),
            action: action(policy.action).to_owned(),
            rule: some(Text::Rule).filter(|_| policy.has_rule),
            response: (policy.action == Action::Reject as u8).then(|| policy.response.code()),
            would: policy.would.map(name),
            dry_run: policy.dry_run.map(name),
            dry_run_rule: some(Text::DryRun),
            lists: slot.lists.iter().map(|list| list.name().to_owned()).collect(),
            list_effect: slot.listed.map(|(effect, _)| effect.name().to_owned()),
            model_score: slot.listed.map(|(_, score)| score),
            latency_ns: slot.latency,
            ..Self::default()
        }
    }
}

impl Item {
    /// Adds how it went on.
    pub(super) fn went(&mut self, outcome: &Outcome) {
        self.outcome = Some(outcome.outcome.clone());
        self.code = outcome.code;
        self.setup_s = outcome.setup_s;
        self.duration_s = outcome.duration_s;
    }

    /// The same without numbers.
    pub(super) fn masked(mut self) -> Self {
        let numbers = [&mut self.caller, &mut self.network_number, &mut self.callee];
        for number in numbers.into_iter().flatten() {
            *number = mask::user(number);
        }
        self.call_id = mask::call_id(&self.call_id).into_owned();
        self
    }
}

/// Name of a level.
pub(super) fn level(level: u8) -> &'static str {
    Level::ALL.get(usize::from(level)).map_or("?", |level| level.name())
}

/// Name of an action.
pub(super) fn action(action: u8) -> &'static str {
    Action::ALL.get(usize::from(action)).map_or("?", |action| action.name())
}
