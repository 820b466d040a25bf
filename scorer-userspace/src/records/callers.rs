//! Callers counted without a query: of each file the busiest, the worst and the last, which
//! a list of callers is added up from.

use std::{cmp::Reverse, collections::HashMap, fmt, hash::DefaultHasher};

use arrow::{
    array::{Array as _, AsArray as _, RecordBatch, StringArray},
    datatypes::{TimestampNanosecondType, UInt8Type},
};
use cardinality_estimator::CardinalityEstimator;
use foldhash::fast::FixedState;
use scorer_common::verdict::{Tag, Tags};

use crate::{profiles::parse_id, time::Timestamp};

/// Callers of a file that are kept: those with the most calls, and fewer with the highest
/// scores and with the last calls. Of a file with fewer callers all.
const BUSIEST: usize = 1_500;
const WORST: usize = BUSIEST / 4;
const LATEST: usize = BUSIEST / 4;

/// How many different texts: exact to 128, estimated to some 3 % beyond.
#[derive(Clone, Default)]
pub struct Different(CardinalityEstimator<str, DefaultHasher, 10, 5>);

impl Different {
    /// How many.
    pub fn count(&self) -> usize {
        self.0.estimate()
    }
}

impl fmt::Debug for Different {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.count())
    }
}

/// A caller, whatever numbers it shows.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Calls.
    pub calls: u64,
    /// Of the first and the last call.
    pub times: [Timestamp; 2],
    /// Highest score.
    pub score_max: u8,
    /// Tags of any call.
    pub tags: Tags,
    /// Numbers asserted by the network or, where it asserts none, shown.
    pub numbers: Different,
    /// Callees.
    pub callees: Different,
}

/// One call of a caller.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// When.
    pub time: Timestamp,
    /// Its score.
    pub score: u8,
    /// Its tags.
    pub tags: Tags,
    /// The number the network asserts or, where it asserts none, that is shown.
    pub number: Option<&'a str>,
    /// Who is called.
    pub callee: Option<&'a str>,
}

/// Callers by the key of their profile.
#[derive(Clone, Debug, Default)]
pub struct Callers(HashMap<u64, Caller, FixedState>);

impl Callers {
    /// Adds a call; one without a profile is nobody's.
    pub fn add(&mut self, profile: u64, call: Told<'_>) {
        if profile == 0 {
            return;
        }
        let caller = self.0.entry(profile).or_insert_with(|| Caller {
            calls: 0,
            times: [call.time; 2],
            score_max: 0,
            tags: Tags::NONE,
            numbers: Different::default(),
            callees: Different::default(),
        });
        caller.calls += 1;
        caller.times = [caller.times[0].min(call.time), caller.times[1].max(call.time)];
        caller.score_max = caller.score_max.max(call.score);
        caller.tags.0 |= call.tags.0;
        for (different, text) in
            [(&mut caller.numbers, call.number), (&mut caller.callees, call.callee)]
        {
            if let Some(text) = text {
                different.0.insert(text);
            }
        }
    }

    /// Adds those of another time.
    pub(super) fn merge(&mut self, other: &Self) {
        for (profile, more) in &other.0 {
            let Some(caller) = self.0.get_mut(profile) else {
                self.0.insert(*profile, more.clone());
                continue;
            };
            caller.calls += more.calls;
            caller.times = [caller.times[0].min(more.times[0]), caller.times[1].max(more.times[1])];
            caller.score_max = caller.score_max.max(more.score_max);
            caller.tags.0 |= more.tags.0;
            caller.numbers.0.merge(&more.numbers.0);
            caller.callees.0.merge(&more.callees.0);
        }
    }

    /// Adds callers that are not among them.
    pub fn extend(&mut self, more: impl Iterator<Item = (u64, Caller)>) {
        for (profile, caller) in more {
            self.0.entry(profile).or_insert(caller);
        }
    }

    /// All, with the key of their profile.
    pub fn into_all(self) -> impl Iterator<Item = (u64, Caller)> {
        self.0.into_iter()
    }

    /// Forgets those that stand out in nothing.
    pub(super) fn shorten(&mut self) {
        if self.0.len() <= BUSIEST {
            return;
        }
        let mut all: Vec<_> = self.0.drain().collect();
        take(&mut all, BUSIEST, &mut self.0, |caller| (caller.calls, u64::from(caller.score_max)));
        take(&mut all, WORST, &mut self.0, |caller| (u64::from(caller.score_max), caller.calls));
        take(&mut all, LATEST, &mut self.0, |caller| (caller.times[1].0, 0));
        self.0.shrink_to_fit();
    }
}

/// Moves those that are first in an order.
fn take(
    from: &mut Vec<(u64, Caller)>,
    most: usize,
    to: &mut HashMap<u64, Caller, FixedState>,
    order: impl Fn(&Caller) -> (u64, u64),
) {
    let most = most.min(from.len());
    if most > 0 {
        from.select_nth_unstable_by_key(most - 1, |(_, caller)| Reverse(order(caller)));
        to.extend(from.drain(..most));
    }
}

/// Columns that tell of callers.
pub(super) const COLUMNS: [&str; 5] = ["profile", "tags", "caller", "network_number", "callee"];

/// Those of a batch.
pub(super) struct Columns<'a> {
    ts: &'a [i64],
    score: &'a [u8],
    profile: &'a StringArray,
    tags: (&'a [i32], &'a StringArray),
    caller: &'a StringArray,
    network: &'a StringArray,
    callee: &'a StringArray,
    known: HashMap<&'static str, Tag, FixedState>,
}

impl<'a> Columns<'a> {
    /// `None` where one is missing.
    pub(super) fn of(batch: &'a RecordBatch) -> Option<Self> {
        let column = |name| batch.column_by_name(name);
        let text = |name| column(name)?.as_string_opt::<i32>();
        let tags = column("tags")?.as_list_opt::<i32>()?;
        Some(Self {
            ts: column("ts")?.as_primitive_opt::<TimestampNanosecondType>()?.values(),
            score: column("score")?.as_primitive_opt::<UInt8Type>()?.values(),
            profile: text("profile")?,
            tags: (tags.value_offsets(), tags.values().as_string_opt()?),
            caller: text("caller")?,
            network: text("network_number")?,
            callee: text("callee")?,
            known: Tag::ALL.iter().map(|tag| (tag.name(), *tag)).collect(),
        })
    }

    /// The profile and the call of a row.
    pub(super) fn row(&self, row: usize) -> (u64, Told<'a>) {
        let text = |column: &'a StringArray| (!column.is_null(row)).then(|| column.value(row));
        let mut tags = Tags::NONE;
        let (places, names) = self.tags;
        for place in places[row]..places[row + 1] {
            // One of a later version is not known here.
            if let Some(tag) = self.known.get(names.value(place as usize)) {
                tags.insert(*tag);
            }
        }
        let call = Told {
            time: Timestamp(self.ts[row] as u64),
            score: self.score[row],
            tags,
            number: text(self.network).or_else(|| text(self.caller)),
            callee: text(self.callee),
        };
        (parse_id(self.profile.value(row)).unwrap_or(0), call)
    }
}

#[cfg(test)]
mod tests {
    use super::{BUSIEST, Callers, LATEST, Told, WORST};
    use crate::time::Timestamp;
    use scorer_common::verdict::{Tag, Tags};

    fn told(time: u64, score: u8, callee: &str) -> Told<'_> {
        let mut tags = Tags::NONE;
        tags.insert(Tag::ALL[usize::from(score) % 3]);
        Told { time: Timestamp(time), score, tags, number: Some("1"), callee: Some(callee) }
    }

    #[test]
    fn two_times_are_as_one() {
        let (mut whole, mut first, mut second) =
            (Callers::default(), Callers::default(), Callers::default());
        for call in 0..2_000_u64 {
            let callee = (call % 300).to_string();
            let told = told(call, (call % 90) as u8, &callee);
            whole.add(call % 3, told);
            if call < 700 { &mut first } else { &mut second }.add(call % 3, told);
        }
        first.merge(&second);
        assert_eq!(first.0.len(), 2, "profile 0 is nobody");
        for (profile, caller) in &whole.0 {
            let merged = &first.0[profile];
            assert_eq!(format!("{caller:?}"), format!("{merged:?}"));
            assert_eq!((caller.numbers.count(), caller.callees.count()), (1, 100));
        }
        assert_eq!(first.0[&1].times, [1, 1_999].map(Timestamp));
        assert_eq!((first.0[&1].score_max, first.0[&2].calls), (88, 666));
    }

    #[test]
    fn who_stands_out_is_kept() {
        let mut callers = Callers::default();
        let many = 4 * BUSIEST as u64;
        for profile in 1..=many {
            // Later ones call less; the score is highest in the middle.
            let calls = if profile <= 100 { 5 } else { 1 };
            let score = if profile == many / 2 { 99 } else { 10 };
            for _ in 0..calls {
                callers.add(profile, told(profile, score, "2"));
            }
        }
        callers.shorten();
        assert_eq!(callers.0.len(), BUSIEST + WORST + LATEST);
        assert!((1..=100).chain([many / 2, many]).all(|profile| callers.0.contains_key(&profile)));
    }
}
