//! What rules look at: plain values, of a call just scored or of a stored record.

use std::net::IpAddr;

use scorer_common::verdict::{Level, Tag, Tags};

use crate::{
    engine::Assessment,
    features::id,
    lists::{List, ListSet},
    number::Number,
    time::Timestamp,
};

/// What policy knows of one call.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// 0–100.
    pub score: u8,
    /// Level of the score.
    pub level: Level,
    /// What is said of the call.
    pub tags: Tags,
    /// Lists that name it.
    pub lists: ListSet,
    /// The number shown, or the network's where none is.
    pub caller: Option<Number>,
    /// The number that the network asserts.
    pub network: Option<Number>,
    /// The number called.
    pub callee: Option<Number>,
    /// The number is not to be presented.
    pub withheld: bool,
    /// Name of the trunk it came over.
    pub trunk: Option<&'a str>,
    /// Address it came from.
    pub source: IpAddr,
    /// When.
    pub time: Timestamp,
}

/// A call as records keep it: numbers as they stood in the message.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// 0–100.
    pub score: u8,
    /// Level of the score.
    pub level: Level,
    /// As in the verdict.
    pub tags: Tags,
    /// Lists that named it; where they are not kept, [`lists_of`] its features.
    pub lists: ListSet,
    /// User of From.
    pub caller: &'a [u8],
    /// User that the network asserts.
    pub network: Option<&'a [u8]>,
    /// User called.
    pub callee: &'a [u8],
    /// Name of the trunk.
    pub trunk: Option<&'a str>,
    /// Address it came from.
    pub source: IpAddr,
    /// When.
    pub time: Timestamp,
}

impl<'a> Facts<'a> {
    /// Of a record; `home` is the country code of national numbers.
    pub fn of_record(record: &Record<'a>, home: Option<u16>) -> Self {
        let network = record.network.and_then(|user| Number::parse(user, home));
        Self {
            score: record.score,
            level: record.level,
            tags: record.tags,
            // What the signalling contradicts is not allowed.
            lists: if record.tags.contains(Tag::Allowlisted) {
                record.lists
            } else {
                record.lists.without(ListSet::ALLOW)
            },
            caller: Number::parse(record.caller, home).or(network),
            network,
            callee: Number::parse(record.callee, home),
            withheld: record.tags.contains(Tag::Withheld),
            trunk: record.trunk,
            source: record.source,
            time: record.time,
        }
    }

    /// Of a call that was just scored.
    pub fn of(assessment: &Assessment<'a>, home: Option<u16>) -> Self {
        let a = assessment;
        let level = Level::ALL.get(usize::from(a.verdict.level)).copied();
        let record = Record {
            score: a.verdict.score,
            level: level.unwrap_or(Level::Critical),
            tags: Tags(a.verdict.tags),
            lists: a.lists,
            caller: a.caller,
            network: a.network_number,
            callee: a.callee,
            trunk: a.trunk,
            source: a.meta.source.ip(),
            time: a.meta.timestamp,
        };
        Self::of_record(&record, home)
    }
}

/// Lists by the features that they give. Allowed ranges count as allowed numbers, and
/// trunks as sources.
pub fn lists_of(features: &[f32]) -> ListSet {
    let lists = [
        (id::ALLOW_NUMBER, List::AllowNumber),
        (id::ALLOW_SOURCE, List::AllowSource),
        (id::DENY_NUMBER, List::DenyNumber),
        (id::DENY_RANGE, List::DenyRange),
        (id::DENY_FINGERPRINT, List::DenyFingerprint),
        (id::DENY_PROFILE, List::DenyProfile),
        (id::DENY_SOURCE, List::DenySource),
        (id::CONSORTIUM_MATCHES, List::Consortium),
        (id::SCANNER_LIST, List::Scanner),
    ];
    let on = |feature: u16| features.get(usize::from(feature)).is_some_and(|value| *value > 0.0);
    lists.into_iter().filter(|(feature, _)| on(*feature)).map(|(_, list)| list).collect()
}
