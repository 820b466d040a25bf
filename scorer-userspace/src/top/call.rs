//! A call as it is shown, read from the JSON that `scorer` writes of it: the line of a
//! verdict, or the API's item.

use scorer_common::verdict::Level;
use serde::Deserialize;
use serde_json::Value;

use super::clean;
use crate::{features::REGISTRY, time::Timestamp};

/// Steps of a call's ladder that are kept.
pub(super) const STEPS: usize = 64;

/// One reason.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::top) struct Why {
    /// Feature's name.
    pub feature: String,
    /// In words.
    pub text: String,
    /// Log-odds; above 0 speaks for fraud.
    pub contribution: f64,
}

/// A message of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::top) struct Step {
    /// When.
    pub at: Timestamp,
    /// Sent by the caller's side.
    pub from_caller: bool,
    /// `INVITE`, `180`, `BYE`.
    pub what: String,
}

/// One feature's value.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::top) struct FeatureValue {
    /// Name.
    pub name: String,
    /// Group.
    pub group: String,
    /// Value; `None` where there is none.
    pub value: Option<f64>,
    /// 5 % and 95 % of calls it is compared with.
    pub usual: Option<(f64, f64)>,
    /// Outside of what is usual.
    pub unusual: bool,
}

/// Features of a call.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::top) enum Features {
    /// As a running scorer tells them.
    Told(Vec<FeatureValue>),
    /// Scored here: values in the registry's order, which takes a twentieth of the room.
    Scored(Box<[f32]>),
}

impl Features {
    /// All of them, in the registry's order.
    pub(super) fn list(&self) -> Vec<FeatureValue> {
        match self {
            Self::Told(features) => features.clone(),
            Self::Scored(values) => {
                let each = REGISTRY.iter().zip(values).map(|(feature, value)| FeatureValue {
                    name: feature.name.to_owned(),
                    group: feature.group.name().to_owned(),
                    value: value.is_finite().then_some(f64::from(*value)),
                    usual: None,
                    unusual: false,
                });
                each.collect()
            }
        }
    }
}

impl Default for Features {
    fn default() -> Self {
        Self::Told(Vec::new())
    }
}

/// One header line; why it is odd, where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::top) struct HeaderLine {
    /// As it stands, made safe.
    pub text: String,
    /// Why it is odd.
    pub odd: Option<String>,
}

/// What is shown of a call beyond its line.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::top) struct Details {
    /// Features, in the registry's order.
    pub features: Features,
    /// Header lines; empty where the message is no more, or numbers are masked.
    pub headers: Vec<HeaderLine>,
}

/// A call.
#[derive(Clone, Debug)]
#[expect(clippy::struct_field_names, reason = "Call-ID is a header's name")]
pub(in crate::top) struct Call {
    /// Key of the call attempt; 0 where it is not told.
    pub key: u64,
    /// When the INVITE was seen.
    pub ts: Timestamp,
    /// Level.
    pub level: Level,
    /// Score, 0 to 100.
    pub score: u8,
    /// Texts, made safe.
    pub call_id: String,
    /// Number or user that the caller shows.
    pub caller: String,
    /// Number that the network asserts; empty where it is not told.
    pub network_number: String,
    /// Number called.
    pub callee: String,
    /// ISO 3166 alpha-2; empty where it is not known.
    pub caller_country: String,
    /// Likewise.
    pub callee_country: String,
    /// Address and port.
    pub source: String,
    /// Address and port.
    pub destination: String,
    /// `udp` or `tcp`.
    pub transport: String,
    /// Trunk's name; empty where there is none.
    pub trunk: String,
    /// Of the headers, hexadecimal.
    pub fingerprint: String,
    /// Of the caller, hexadecimal.
    pub profile: String,
    /// Names.
    pub tags: Vec<String>,
    /// Strongest first.
    pub reasons: Vec<Why>,
    /// Model's name.
    pub model: String,
    /// What is done.
    pub action: String,
    /// Rule that says so; empty where none does.
    pub rule: String,
    /// What is held back, or a dry run would do.
    pub would: String,
    /// How the call went; empty while that is not known.
    pub outcome: String,
    /// Final response; 0 without one.
    pub code: u16,
    /// Seconds from INVITE to answer.
    pub setup: Option<f64>,
    /// Seconds from answer to BYE.
    pub duration: Option<f64>,
    /// From the kernel's stamp to the verdict, ns.
    pub latency: Option<u64>,
    /// `fraud`, `genuine` or empty.
    pub label: String,
    /// Messages, as far as they were seen.
    pub ladder: Vec<Step>,
    /// What else is known; `None` until it is asked for.
    pub details: Option<Box<Details>>,
}

/// The JSON. Whatever is missing or null is left empty: an older or newer `scorer` may be
/// at the other end.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Item {
    ts: String,
    call: Option<String>,
    call_id: Option<String>,
    caller: Option<String>,
    network_number: Option<String>,
    callee: Option<String>,
    caller_country: Option<String>,
    callee_country: Option<String>,
    source: Option<String>,
    destination: Option<String>,
    transport: Option<String>,
    trunk: Option<String>,
    fingerprint: Option<String>,
    profile: Option<String>,
    score: u8,
    level: String,
    tags: Vec<String>,
    reasons: Vec<Reason>,
    model: Value,
    action: Option<String>,
    rule: Option<String>,
    would: Value,
    dry_run: Value,
    outcome: Option<String>,
    code: Option<u16>,
    setup_s: Option<f64>,
    duration_s: Option<f64>,
    latency_ns: Option<u64>,
    label: Value,
    ladder: Vec<LadderStep>,
    features: Value,
    headers: Option<Vec<HeaderItem>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Reason {
    feature: String,
    text: String,
    contribution: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LadderStep {
    ts: String,
    from: String,
    what: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct HeaderItem {
    name: String,
    value: String,
    odd: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FeatureItem {
    name: String,
    group: String,
    value: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    unusual: bool,
}

/// RFC 3339 to a stamp; 0 where it is none.
pub(super) fn stamp(text: &str) -> Timestamp {
    let at = text.parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_nanosecond);
    Timestamp(u64::try_from(at).unwrap_or(0))
}

/// A number, a name, or the name within an object.
fn words(value: &Value) -> String {
    match value {
        Value::String(text) => clean::text(text),
        Value::Object(object) => {
            let of = |key: &str| object.get(key).and_then(Value::as_str);
            clean::text(of("action").or_else(|| of("label")).or_else(|| of("name")).unwrap_or(""))
        }
        _ => String::new(),
    }
}

impl Call {
    /// Reads the JSON of a call.
    ///
    /// # Errors
    /// When it is none.
    pub(in crate::top) fn read(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json).map(Self::from_item)
    }

    /// The same of JSON that was read.
    ///
    /// # Errors
    /// Likewise.
    pub(super) fn of(json: Value) -> Result<Self, serde_json::Error> {
        serde_json::from_value(json).map(Self::from_item)
    }

    fn from_item(item: Item) -> Self {
        let level = Level::ALL.into_iter().find(|level| level.name() == item.level);
        let text = |text: Option<String>| text.map(|text| clean::text(&text)).unwrap_or_default();
        let held = words(&item.would);
        let dry_run = words(&item.dry_run);
        let would = match (held.is_empty(), dry_run.is_empty()) {
            (false, _) => format!("would {held}"),
            (true, false) => format!("dry run {dry_run}"),
            (true, true) => String::new(),
        };
        let ladder = item.ladder.into_iter().take(STEPS).map(|step| Step {
            at: stamp(&step.ts),
            from_caller: step.from == "caller",
            what: clean::text(&step.what),
        });
        let reasons = item.reasons.into_iter().take(16).map(|reason| Why {
            feature: clean::text(&reason.feature),
            text: clean::text(&reason.text),
            contribution: reason.contribution.unwrap_or(0.0),
        });
        let details = (item.features.is_array() || item.headers.is_some())
            .then(|| Box::new(details(&item.features, item.headers.unwrap_or_default())));
        Self {
            key: item.call.and_then(|key| u64::from_str_radix(&key, 16).ok()).unwrap_or(0),
            ts: stamp(&item.ts),
            level: level.unwrap_or(Level::Low),
            score: item.score.min(100),
            call_id: text(item.call_id),
            caller: text(item.caller),
            network_number: text(item.network_number),
            callee: text(item.callee),
            caller_country: text(item.caller_country),
            callee_country: text(item.callee_country),
            source: text(item.source),
            destination: text(item.destination),
            transport: text(item.transport),
            trunk: text(item.trunk),
            fingerprint: text(item.fingerprint),
            profile: text(item.profile),
            tags: item.tags.iter().take(32).map(|tag| clean::text(tag)).collect(),
            reasons: reasons.collect(),
            model: words(&item.model),
            action: text(item.action),
            rule: text(item.rule),
            would,
            outcome: text(item.outcome),
            code: item.code.unwrap_or(0),
            setup: item.setup_s,
            duration: item.duration_s,
            latency: item.latency_ns,
            label: words(&item.label),
            ladder: ladder.collect(),
            details,
        }
    }
}

/// Features as the API tells them, and header lines.
fn details(features: &Value, headers: Vec<HeaderItem>) -> Details {
    let features = features.as_array().into_iter().flatten().take(4_096);
    let features = features.filter_map(|item| FeatureItem::deserialize(item).ok());
    let features = features.map(|item| FeatureValue {
        name: clean::text(&item.name),
        group: clean::text(&item.group),
        value: item.value,
        usual: item.low.zip(item.high),
        unusual: item.unusual,
    });
    let headers = headers.into_iter().take(512).map(|header| {
        let line = format!("{}: {}", header.name, header.value);
        HeaderLine {
            text: clean::lines(line.replace(['\r', '\n'], " ").as_bytes(), 1).concat(),
            odd: header.odd.as_deref().map(clean::text),
        }
    });
    Details { features: Features::Told(features.collect()), headers: headers.collect() }
}

#[cfg(test)]
mod tests {
    use super::{Call, Level};

    #[test]
    fn an_item_of_the_api() {
        let json = br#"{"ts":"2026-11-25T14:00:00.5Z","call":"00ff","call_id":"a@b","caller":"+441632960001",
            "caller_country":"GB","score":87,"level":"high","tags":["spoofed"],"trunk":null,
            "reasons":[{"feature":"x","text":"a \u001b[31mreason","contribution":1.5}],
            "would":{"action":"reject"},"dry_run":null,"model":{"name":"m","id":"1"},"new_key":[1],
            "ladder":[{"ts":"2026-11-25T14:00:00.5Z","from":"caller","what":"INVITE"}],
            "features":[{"name":"f","group":"header","value":null,"low":0,"high":2,"unusual":true}],
            "headers":[{"name":"From","value":"\"A\"\r\nB","odd":"folded"}]}"#;
        let call = Call::read(json).expect("an item");
        assert_eq!((call.key, call.score, call.level), (255, 87, Level::High));
        assert_eq!(call.ts.0 % 1_000_000_000, 500_000_000);
        assert_eq!((&*call.would, &*call.model, &*call.trunk), ("would reject", "m", ""));
        assert_eq!(call.reasons[0].text, "a ?[31mreason");
        assert!(call.ladder[0].from_caller);
        let details = call.details.expect("details");
        assert_eq!(details.headers[0].text, "From: \"A\"  B");
        let feature = &details.features.list()[0];
        assert_eq!((feature.value, feature.usual), (None, Some((0.0, 2.0))));
    }

    #[test]
    fn what_is_no_call() {
        for bad in [&b"{"[..], b"7", b"{\"score\":1000}", b"{\"tags\":1}"] {
            assert!(Call::read(bad).is_err());
        }
        assert!(Call::read(b"{}").is_ok_and(|call| call.details.is_none()));
    }
}
