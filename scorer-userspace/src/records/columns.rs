//! The one table of columns: names, types, documentation.

use std::{fmt::Write as _, sync::Arc};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::features::{COUNT, REGISTRY};

/// Type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Nanoseconds since 1970, UTC.
    Time,
    /// UTF-8; bytes that are none are replaced.
    Text,
    /// Unsigned of 64 bits.
    U64,
    /// Unsigned of 16 bits.
    U16,
    /// Unsigned of 8 bits.
    U8,
    /// Single precision.
    F32,
    /// List of texts.
    Texts,
    /// List of feature, value, contribution.
    Reasons,
}

impl Type {
    fn arrow(self) -> DataType {
        match self {
            Self::Time => DataType::Timestamp(TimeUnit::Nanosecond, Some("+00:00".into())),
            Self::Text => DataType::Utf8,
            Self::U64 => DataType::UInt64,
            Self::U16 => DataType::UInt16,
            Self::U8 => DataType::UInt8,
            Self::F32 => DataType::Float32,
            Self::Texts => DataType::new_list(DataType::Utf8, true),
            Self::Reasons => DataType::new_list(DataType::Struct(reason_fields().into()), true),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Time => "timestamp (ns, UTC)",
            Self::Text => "text",
            Self::U64 => "u64",
            Self::U16 => "u16",
            Self::U8 => "u8",
            Self::F32 => "f32",
            Self::Texts => "list of text",
            Self::Reasons => "list of struct (feature, value, contribution)",
        }
    }
}

/// What one reason consists of.
pub(super) fn reason_fields() -> Vec<Field> {
    vec![
        Field::new("feature", DataType::Utf8, true),
        Field::new("value", DataType::Float32, true),
        Field::new("contribution", DataType::Float32, true),
    ]
}

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Name in SQL; where a verdict's line has the same, the same.
    pub name: &'static str,
    /// What is in it.
    pub kind: Type,
    /// May be missing.
    pub nullable: bool,
    /// A Bloom filter tells which files cannot have a value.
    pub bloom: bool,
    /// One line of documentation.
    pub doc: &'static str,
}

const fn column(name: &'static str, kind: Type, nullable: bool, doc: &'static str) -> Column {
    Column { name, kind, nullable, bloom: false, doc }
}

const fn key(name: &'static str, nullable: bool, doc: &'static str) -> Column {
    Column { name, kind: Type::Text, nullable, bloom: true, doc }
}

/// A call as it is stored, but for its features.
pub const CALLS: &[Column] = &[
    column("ts", Type::Time, false, "When the INVITE was seen."),
    column("call", Type::U64, false, "Key of the call attempt: hash of Call-ID, From tag, CSeq."),
    key("call_id", false, "Call-ID, its first 512 bytes."),
    key("caller", true, "Number or user shown (From)."),
    key("network_number", true, "Number the network asserts, also when it is withheld."),
    key("callee", true, "Number or user called."),
    column("caller_country_code", Type::U16, true, "E.164 country code of the caller's number."),
    column("callee_country_code", Type::U16, true, "E.164 country code of the callee's number."),
    column("source", Type::Text, false, "Address and port the INVITE came from."),
    column("destination", Type::Text, false, "Address and port it went to."),
    column("transport", Type::Text, false, "`udp` or `tcp`."),
    column("trunk", Type::Text, true, "Name of the configured trunk."),
    key("fingerprint", false, "Header fingerprint, 16 hexadecimal digits."),
    column("signature", Type::Text, false, "How the call is signalled (docs/fingerprint.md)."),
    key("profile", false, "Key of the caller's profile, 16 hexadecimal digits."),
    column("score", Type::U8, false, "0–100."),
    column("probability", Type::F32, false, "Probability of fraud, 0–1, to five digits."),
    column("level", Type::Text, false, "`low`, `medium`, `high` or `critical`."),
    column("tags", Type::Texts, false, "Tags, in the order of their bits."),
    column(
        "reasons",
        Type::Reasons,
        false,
        "Reasons, strongest first; values to three digits, contributions (log-odds) to hundredths.",
    ),
    column("model", Type::Text, false, "Name of the model."),
    column("model_id", Type::Text, false, "Id of the model, 16 hexadecimal digits."),
    column("action", Type::Text, false, "What policy says is to be done."),
    column("rule", Type::Text, true, "The rule that decided."),
    column("response", Type::U16, true, "SIP response of a call that is refused."),
    column("would", Type::Text, true, "Action held back since the policy only observes."),
    column("dry_run", Type::Text, true, "Action of the first dry run that matched."),
    column("dry_run_rule", Type::Text, true, "The rule of that dry run."),
    column("lists", Type::Texts, false, "Allow and deny lists that name the call."),
    column(
        "list_effect",
        Type::Text,
        true,
        "What the strongest entry did: `capped`, `raised`, `contradicted`, `noted`.",
    ),
    column("model_score", Type::U8, true, "Score of the model alone, where a list names the call."),
    column("latency_ns", Type::U64, true, "From the kernel's stamp to the verdict; live only."),
];

/// What comes to a call later, joined in when it is asked for.
pub const LATER: &[Column] = &[
    column("outcome", Type::Text, true, "How the call went, as far as it is known."),
    column("code", Type::U16, true, "Final response to the INVITE."),
    column("setup_s", Type::F32, true, "Seconds from INVITE to answer."),
    column("duration_s", Type::F32, true, "Seconds from answer to BYE."),
    column("label", Type::Text, true, "`fraud` or `genuine`, where someone has said so."),
];

/// A change of a call.
pub const OUTCOMES: &[Column] = &[
    column("ts", Type::Time, false, "When the call changed, the next whole millisecond."),
    column("call", Type::U64, false, "Key of the call attempt."),
    column(
        "outcome",
        Type::Text,
        false,
        "`answered`, `completed`, `short`, `cancelled`, `no_answer`, `challenged`, `redirected`, `rejected`.",
    ),
    column("code", Type::U16, true, "Final response to the INVITE."),
    column("setup_s", Type::F32, true, "Seconds from INVITE to answer."),
    column("duration_s", Type::F32, true, "Seconds from answer to BYE."),
];

/// Name of a segment's column of features.
pub(super) const FEATURES: &str = "features";
/// Key of a segment's metadata that names them.
pub(super) const FEATURE_NAMES: &str = "scorer.features";

pub(super) fn fields(columns: &[Column]) -> Vec<Field> {
    columns.iter().map(|c| Field::new(c.name, c.kind.arrow(), c.nullable)).collect()
}

/// A segment of calls: features lie together as they come, a list a call.
pub(super) fn call_segment(features: bool) -> SchemaRef {
    let mut fields = fields(CALLS);
    let schema = if features {
        let item = Field::new_list_field(DataType::Float32, false);
        let list = DataType::FixedSizeList(Arc::new(item), COUNT as i32);
        fields.push(Field::new(FEATURES, list, false));
        let names: Vec<_> = REGISTRY.iter().map(|feature| feature.name).collect();
        Schema::new(fields).with_metadata([(FEATURE_NAMES.to_owned(), names.join(","))].into())
    } else {
        Schema::new(fields)
    };
    Arc::new(schema)
}

pub(super) fn outcome_schema() -> SchemaRef {
    Arc::new(Schema::new(fields(OUTCOMES)))
}

/// Columns of features, one each, as Parquet files and the table `features` have them.
pub(super) fn feature_fields() -> Vec<Field> {
    REGISTRY.iter().map(|feature| feature_field(feature.name)).collect()
}

pub(super) fn feature_field(name: &str) -> Field {
    Field::new(name, DataType::Float32, true)
}

/// docs/records-schema.md.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Tables of call records\n\nGenerated by `cargo xtask docs`; what they are for is in [records.md](records.md).\n\n",
    );
    for (name, about, columns) in [
        ("calls", "a row a call attempt", &[CALLS, LATER][..]),
        (
            "outcomes",
            "a row a change of a call; once its end is in a file, its answer is left out: it was `duration_s` before",
            &[OUTCOMES],
        ),
    ] {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "## `{name}`: {about}\n\n| column | type | what |\n|---|---|---|");
        for column in columns.iter().copied().flatten() {
            let Column { name, kind, nullable, bloom, doc } = column;
            let nullable = if *nullable { ", may be null" } else { "" };
            let bloom = if *bloom { " Bloom filter." } else { "" };
            let _ = writeln!(text, "| `{name}` | {}{nullable} | {doc}{bloom} |", kind.name());
        }
        text.push('\n');
    }
    text.push_str("## `features`: the rows and columns of `calls`, and a column a feature\n\n");
    text.push_str(
        "Each of [features.md](features.md) by its name, f32; null where it is missing.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{CALLS, LATER};
    use crate::features::REGISTRY;

    #[test]
    fn no_two_columns_share_a_name() {
        let names = CALLS.iter().chain(LATER).map(|column| column.name);
        let mut seen = HashSet::new();
        for name in names.chain(REGISTRY.iter().map(|feature| feature.name)) {
            assert!(seen.insert(name), "{name}");
        }
    }
}
