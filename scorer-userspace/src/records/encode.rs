//! From slots to record batches.

use std::{borrow::Cow, fmt::Write as _, net::SocketAddr, sync::Arc};

use arrow::{
    array::{
        ArrayBuilder as _, ArrayRef, FixedSizeListArray, Float32Array, Float32Builder, ListBuilder,
        RecordBatch, StringBuilder, StructBuilder, TimestampNanosecondBuilder, UInt8Builder,
        UInt16Builder, UInt64Builder,
    },
    datatypes::{DataType, Field, SchemaRef},
    error::ArrowError,
};
use scorer_common::verdict::{Action, Level, Tags};

use super::{
    columns::{call_segment, outcome_schema, reason_fields},
    slot::{Slot, Text},
};
use crate::{
    features::{COUNT, REGISTRY},
    history::Change,
    time::Timestamp,
};

/// Rows of a batch at most.
pub(super) const BATCH: usize = 4_096;

/// Calls on their way into a batch.
pub(super) struct CallRows {
    schema: SchemaRef,
    ts: TimestampNanosecondBuilder,
    call: UInt64Builder,
    call_id: StringBuilder,
    caller: StringBuilder,
    network: StringBuilder,
    callee: StringBuilder,
    countries: [UInt16Builder; 2],
    source: StringBuilder,
    destination: StringBuilder,
    transport: StringBuilder,
    trunk: StringBuilder,
    fingerprint: StringBuilder,
    signature: StringBuilder,
    profile: StringBuilder,
    score: UInt8Builder,
    probability: Float32Builder,
    level: StringBuilder,
    tags: ListBuilder<StringBuilder>,
    reasons: ListBuilder<StructBuilder>,
    model: StringBuilder,
    model_id: StringBuilder,
    action: StringBuilder,
    rule: StringBuilder,
    response: UInt16Builder,
    would: StringBuilder,
    dry_run: StringBuilder,
    dry_run_rule: StringBuilder,
    lists: ListBuilder<StringBuilder>,
    list_effect: StringBuilder,
    model_score: UInt8Builder,
    latency: UInt64Builder,
    features: Option<Vec<f32>>,
    scratch: String,
}

impl CallRows {
    pub(super) fn new(features: bool) -> Self {
        Self {
            schema: call_segment(features),
            ts: times(),
            call: UInt64Builder::new(),
            call_id: StringBuilder::new(),
            caller: StringBuilder::new(),
            network: StringBuilder::new(),
            callee: StringBuilder::new(),
            countries: [UInt16Builder::new(), UInt16Builder::new()],
            source: StringBuilder::new(),
            destination: StringBuilder::new(),
            transport: StringBuilder::new(),
            trunk: StringBuilder::new(),
            fingerprint: StringBuilder::new(),
            signature: StringBuilder::new(),
            profile: StringBuilder::new(),
            score: UInt8Builder::new(),
            probability: Float32Builder::new(),
            level: StringBuilder::new(),
            tags: ListBuilder::new(StringBuilder::new()),
            reasons: ListBuilder::new(StructBuilder::from_fields(reason_fields(), 0)),
            model: StringBuilder::new(),
            model_id: StringBuilder::new(),
            action: StringBuilder::new(),
            rule: StringBuilder::new(),
            response: UInt16Builder::new(),
            would: StringBuilder::new(),
            dry_run: StringBuilder::new(),
            dry_run_rule: StringBuilder::new(),
            lists: ListBuilder::new(StringBuilder::new()),
            list_effect: StringBuilder::new(),
            model_score: UInt8Builder::new(),
            latency: UInt64Builder::new(),
            features: features.then(Vec::new),
            scratch: String::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.call.len()
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub(super) fn push(&mut self, slot: &Slot) {
        self.ts.append_value(slot.ts as i64);
        self.call.append_value(slot.call);
        self.call_id.append_value(text(slot.text(Text::CallId)));
        for (builder, which) in [
            (&mut self.caller, Text::Caller),
            (&mut self.network, Text::Network),
            (&mut self.callee, Text::Callee),
            (&mut self.trunk, Text::Trunk),
        ] {
            let bytes = slot.text(which);
            builder.append_option((!bytes.is_empty()).then(|| text(bytes)));
        }
        for (builder, country) in self.countries.iter_mut().zip(slot.countries) {
            builder.append_option((country != 0).then_some(country));
        }
        let scratch = &mut self.scratch;
        let mut address = |address: SocketAddr, builder: &mut StringBuilder| {
            scratch.clear();
            // Writing to a String cannot fail.
            let _ = write!(scratch, "{address}");
            builder.append_value(&*scratch);
        };
        address(slot.source, &mut self.source);
        address(slot.destination, &mut self.destination);
        self.transport.append_value(slot.transport.name());
        for (builder, value) in [
            (&mut self.fingerprint, slot.fingerprint),
            (&mut self.profile, slot.profile),
            (&mut self.model_id, slot.model_id),
        ] {
            self.scratch.clear();
            let _ = write!(self.scratch, "{value:016x}");
            builder.append_value(&self.scratch);
        }
        self.scratch.clear();
        let _ = write!(self.scratch, "{}", slot.signature);
        self.signature.append_value(&self.scratch);
        self.score.append_value(slot.score);
        self.probability.append_value(rounded(slot.probability, 1e5));
        self.level.append_value(level(slot.level));
        for tag in Tags(slot.tags).iter() {
            self.tags.values().append_value(tag.name());
        }
        self.tags.append(true);
        self.push_reasons(slot);
        self.model.append_value(text(slot.text(Text::Model)));
        self.push_policy(slot);
        for list in slot.lists.iter() {
            self.lists.values().append_value(list.name());
        }
        self.lists.append(true);
        self.list_effect.append_option(slot.listed.map(|(effect, _)| effect.name()));
        self.model_score.append_option(slot.listed.map(|(_, score)| score));
        self.latency.append_option(slot.latency);
        if let Some(features) = &mut self.features {
            features.extend(slot.features.iter().map(|value| brief(*value, VALUE)));
        }
    }

    fn push_reasons(&mut self, slot: &Slot) {
        for reason in slot.reasons() {
            let row = self.reasons.values();
            let name = REGISTRY.get(usize::from(reason.feature)).map(|feature| feature.name);
            // The builders are those of `reason_fields`.
            if let Some(builder) = row.field_builder::<StringBuilder>(0) {
                builder.append_option(name);
            }
            for (at, value) in
                [(1, brief(reason.value, GIST)), (2, rounded(reason.contribution, 1e2))]
            {
                if let Some(builder) = row.field_builder::<Float32Builder>(at) {
                    builder.append_option((!value.is_nan()).then_some(value));
                }
            }
            row.append(true);
        }
        self.reasons.append(true);
    }

    fn push_policy(&mut self, slot: &Slot) {
        let policy = &slot.policy;
        self.action.append_value(action(policy.action));
        self.rule.append_option(policy.has_rule.then(|| text(slot.text(Text::Rule))));
        let refused = policy.action == Action::Reject as u8;
        self.response.append_option(refused.then(|| policy.response.code()));
        self.would.append_option(policy.would.map(Action::name));
        self.dry_run.append_option(policy.dry_run.map(Action::name));
        let rule = slot.text(Text::DryRun);
        self.dry_run_rule.append_option((!rule.is_empty()).then(|| text(rule)));
    }

    /// The rows so far, and none left.
    pub(super) fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let [caller_country, callee_country] = &mut self.countries;
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.ts.finish()),
            Arc::new(self.call.finish()),
            Arc::new(self.call_id.finish()),
            Arc::new(self.caller.finish()),
            Arc::new(self.network.finish()),
            Arc::new(self.callee.finish()),
            Arc::new(caller_country.finish()),
            Arc::new(callee_country.finish()),
            Arc::new(self.source.finish()),
            Arc::new(self.destination.finish()),
            Arc::new(self.transport.finish()),
            Arc::new(self.trunk.finish()),
            Arc::new(self.fingerprint.finish()),
            Arc::new(self.signature.finish()),
            Arc::new(self.profile.finish()),
            Arc::new(self.score.finish()),
            Arc::new(self.probability.finish()),
            Arc::new(self.level.finish()),
            Arc::new(self.tags.finish()),
            Arc::new(self.reasons.finish()),
            Arc::new(self.model.finish()),
            Arc::new(self.model_id.finish()),
            Arc::new(self.action.finish()),
            Arc::new(self.rule.finish()),
            Arc::new(self.response.finish()),
            Arc::new(self.would.finish()),
            Arc::new(self.dry_run.finish()),
            Arc::new(self.dry_run_rule.finish()),
            Arc::new(self.lists.finish()),
            Arc::new(self.list_effect.finish()),
            Arc::new(self.model_score.finish()),
            Arc::new(self.latency.finish()),
        ];
        if let Some(features) = &mut self.features {
            let values = Float32Array::from(std::mem::take(features));
            let item = Arc::new(Field::new_list_field(DataType::Float32, false));
            let list = FixedSizeListArray::try_new(item, COUNT as i32, Arc::new(values), None)?;
            columns.push(Arc::new(list));
        }
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
    }
}

/// Changes of calls on their way into a batch.
pub(super) struct OutcomeRows {
    schema: SchemaRef,
    ts: TimestampNanosecondBuilder,
    call: UInt64Builder,
    outcome: StringBuilder,
    code: UInt16Builder,
    seconds: [Float32Builder; 2],
}

impl OutcomeRows {
    pub(super) fn new() -> Self {
        Self {
            schema: outcome_schema(),
            ts: times(),
            call: UInt64Builder::new(),
            outcome: StringBuilder::new(),
            code: UInt16Builder::new(),
            seconds: [Float32Builder::new(), Float32Builder::new()],
        }
    }

    pub(super) fn len(&self) -> usize {
        self.call.len()
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub(super) fn push(&mut self, change: &Change) {
        self.ts.append_value(next_millisecond(change.at) as i64);
        self.call.append_value(change.call);
        self.outcome.append_value(change.progress.name());
        self.code.append_option((change.code != 0).then_some(change.code));
        for (builder, value) in self.seconds.iter_mut().zip([change.setup, change.duration]) {
            builder.append_option((!value.is_nan()).then(|| brief(value, SECONDS)));
        }
    }

    pub(super) fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let [setup, duration] = &mut self.seconds;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.ts.finish()),
            Arc::new(self.call.finish()),
            Arc::new(self.outcome.finish()),
            Arc::new(self.code.finish()),
            Arc::new(setup.finish()),
            Arc::new(duration.finish()),
        ];
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
    }
}

fn times() -> TimestampNanosecondBuilder {
    TimestampNanosecondBuilder::new().with_timezone("+00:00")
}

/// A time to the millisecond, never before it was: an outcome does not come before its
/// call. What lies below says nothing to a reader, and takes half of the room.
const fn next_millisecond(at: Timestamp) -> u64 {
    at.0.div_ceil(1_000_000).saturating_mul(1_000_000)
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// To whole parts of one, of which so many make it: what lies below says nothing to a
/// reader, and takes room.
fn rounded(value: f32, parts: f32) -> f32 {
    (value * parts).round() / parts
}

/// Bits that a feature's value loses of its 24: what is left tells five digits, more than a
/// tree asks for, and every whole number to 131,072.
const VALUE: u32 = 7;
/// And beside a reason, where it is only read: one part in a thousand.
const GIST: u32 = 14;
/// Seconds that calls take: one part in four thousand.
const SECONDS: u32 = 11;

/// Without the last bits, which take the most room and say the least.
fn brief(value: f32, lost: u32) -> f32 {
    if !value.is_finite() {
        return value;
    }
    let bits = value.to_bits() + (1 << (lost - 1));
    let rounded = f32::from_bits(bits & !((1 << lost) - 1));
    if rounded.is_finite() { rounded } else { value }
}

fn level(level: u8) -> &'static str {
    Level::ALL.get(usize::from(level)).map_or("unknown", |level| level.name())
}

fn action(action: u8) -> &'static str {
    Action::ALL.get(usize::from(action)).map_or("unknown", |action| action.name())
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array as _, AsArray as _};

    use super::{CallRows, OutcomeRows};
    use crate::{
        features::COUNT,
        history::Progress,
        records::{slot::Slot, testing},
    };

    #[test]
    fn bytes_that_are_no_utf8_and_what_is_missing() {
        let mut slot = Slot::new();
        let call = testing::Call { caller: vec![b'a', 0xff, 0], ..testing::Call::new(1) };
        call.assessed(|assessment| slot.fill(assessment, None));
        for features in [false, true] {
            let mut rows = CallRows::new(features);
            rows.push(&slot);
            rows.push(&slot);
            assert_eq!(rows.len(), 2);
            let batch = rows.finish().unwrap();
            assert_eq!((rows.len(), batch.num_rows()), (0, 2));
            let text = |name: &str| batch.column_by_name(name).unwrap().as_string::<i32>();
            assert_eq!(text("caller").value(1), "a\u{fffd}\0");
            assert!(text("network_number").is_null(0));
            assert!(batch.column_by_name("callee_country_code").unwrap().is_null(0));
            assert!(batch.column_by_name("latency_ns").unwrap().is_null(0));
            let list = batch.column_by_name("features");
            assert_eq!(list.is_some(), features);
            if let Some(list) = list {
                assert_eq!(list.as_fixed_size_list().value(1).len(), COUNT);
            }
        }
    }

    #[test]
    fn brief_values_are_near_and_never_become_others() {
        for (lost, part) in
            [(super::VALUE, 131_072.0), (super::SECONDS, 8_192.0), (super::GIST, 1_024.0)]
        {
            let brief = |value| super::brief(value, lost);
            for value in [
                0.0,
                -0.0,
                1.0,
                -1.0,
                0.1,
                0.37,
                -123.456,
                1e-30,
                12_345.678,
                3.4e38,
                f32::MAX,
                f32::MIN,
            ] {
                assert!((brief(value) - value).abs() <= value.abs() / part, "{value} {lost}");
            }
            assert!(brief(f32::NAN).is_nan());
            assert_eq!(brief(f32::from_bits(0x7fff_ffff)).to_bits(), 0x7fff_ffff);
            assert_eq!(brief(f32::NEG_INFINITY), f32::NEG_INFINITY);
        }
        assert!(
            (0..=131_072_u32).all(|whole| super::brief(whole as f32, super::VALUE) == whole as f32)
        );
    }

    #[test]
    fn seconds_that_are_not_known_are_missing() {
        let mut rows = OutcomeRows::new();
        rows.push(&testing::change(7, 3, Progress::Answered));
        rows.push(&testing::change(7, 33, Progress::Completed));
        let batch = rows.finish().unwrap();
        let duration = batch.column_by_name("duration_s").unwrap();
        assert!(duration.is_null(0) && duration.is_valid(1));
        let outcome = batch.column_by_name("outcome").unwrap().as_string::<i32>();
        assert_eq!((outcome.value(0), outcome.value(1)), ("answered", "completed"));
    }
}
