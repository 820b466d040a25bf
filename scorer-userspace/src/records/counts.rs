//! Calls counted by what they have in common, without a query: what reports are added up
//! from. A file that is done is counted once, and its counts are kept ([`Tally`](super::Tally)).

use std::{collections::HashMap, path::Path, time::Instant};

use arrow::{
    array::{Array, ArrayRef, AsArray as _, RecordBatch, StringArray},
    datatypes::{TimestampNanosecondType, UInt8Type, UInt16Type},
};
use foldhash::fast::FixedState;

use super::{
    RecordsError,
    callers::{self, Callers},
    parquet_file::Rows,
    query::area,
    segment::Reader,
};
use crate::time::Timestamp;

/// By what calls are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns of these names document them")]
pub enum By {
    Level,
    Tag,
    Reason,
    CallerCountry,
    CalleeCountry,
    Trunk,
    /// The callee's [`area`].
    Destination,
    Action,
    Fingerprint,
}

impl By {
    /// All.
    pub const ALL: [Self; 9] = [
        Self::Level,
        Self::Tag,
        Self::Reason,
        Self::CallerCountry,
        Self::CalleeCountry,
        Self::Trunk,
        Self::Destination,
        Self::Action,
        Self::Fingerprint,
    ];

    /// The column it is told by.
    const fn column(self) -> &'static str {
        match self {
            Self::Level => "level",
            Self::Tag => "tags",
            Self::Reason => "reasons",
            Self::CallerCountry => "caller_country_code",
            Self::CalleeCountry => "callee_country_code",
            Self::Trunk => "trunk",
            Self::Destination => "callee",
            Self::Action => "action",
            Self::Fingerprint => "fingerprint",
        }
    }
}

/// The key of calls that have none.
pub const NONE: &str = "none";
/// The key of what came after the first [`KEYS`] others.
pub const OTHERS: &str = "others";
/// Keys of a kind in an hour of a file at most. Only fingerprints, areas and tags or trunks
/// that somebody makes up could be more.
const KEYS: usize = 20_000;

/// Calls counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Calls.
    pub calls: u64,
    /// Of them, of level high or critical.
    pub high: u64,
    /// Sum of their scores.
    pub score: u64,
}

impl Count {
    /// Adds another's.
    pub fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.high += other.high;
        self.score += other.score;
    }
}

/// Counts by key.
pub type Keyed = HashMap<Box<str>, Count, FixedState>;

/// An hour of a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Hour {
    /// Begins, nanoseconds since 1970.
    pub(super) at: u64,
    /// In the order of [`By::ALL`]; empty where it was not asked for.
    pub(super) by: [Keyed; By::ALL.len()],
}

/// Calls of a file, or of a part of one, counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    /// By time: beginnings of steps, nanoseconds since 1970.
    pub(super) steps: HashMap<u64, Count, FixedState>,
    pub(super) hours: Vec<Hour>,
    /// Empty where it was not asked for.
    pub(super) callers: Callers,
}

pub(super) const MINUTE: u64 = 60_000_000_000;
const HOUR: u64 = 3_600_000_000_000;

/// What is to be counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    /// From the first until before the second.
    pub(super) span: [Timestamp; 2],
    pub(super) by: &'a [By],
    /// Whether callers are, too.
    pub(super) callers: bool,
    /// Steps of time, nanoseconds.
    pub(super) step: u64,
    /// Ends with [`Late`] then.
    pub(super) deadline: Option<Instant>,
}

impl Wanted<'_> {
    /// Only how many there are.
    pub(super) const NOTHING: Self = Self { by: &[], callers: false, ..Self::ALL };
    /// All there is to a file.
    pub(super) const ALL: Self = Self {
        span: [Timestamp(0), Timestamp(u64::MAX)],
        by: &By::ALL,
        callers: true,
        step: MINUTE,
        deadline: None,
    };
}

/// Why nothing was counted.
#[derive(Debug)]
pub(super) enum Stopped {
    Late,
    Failed(RecordsError),
}

impl From<RecordsError> for Stopped {
    fn from(error: RecordsError) -> Self {
        Self::Failed(error)
    }
}

impl Counts {
    /// Of a Parquet file.
    pub(super) fn of_file(path: &Path, wanted: &Wanted<'_>) -> Result<Self, Stopped> {
        let mut counts = Self::default();
        for batch in Rows::open(path, Some(&columns(wanted)))? {
            counts.count(&batch?, path, wanted)?;
        }
        counts.callers.shorten();
        Ok(counts)
    }

    /// Of a segment, as far as it can be read.
    pub(super) fn of_segment(path: &Path, wanted: &Wanted<'_>) -> Result<Self, Stopped> {
        let mut counts = Self::default();
        let mut reader = Reader::open(path, Some(&columns(wanted)))?;
        while let Some(batch) = reader.next() {
            counts.count(&batch, path, wanted)?;
        }
        Ok(counts)
    }

    fn count(
        &mut self,
        batch: &RecordBatch,
        path: &Path,
        wanted: &Wanted<'_>,
    ) -> Result<(), Stopped> {
        if wanted.deadline.is_some_and(|deadline| Instant::now() > deadline) {
            return Err(Stopped::Late);
        }
        let columns = Columns::of(batch, wanted).ok_or_else(|| {
            let what = "it lacks columns that every record has".to_owned();
            RecordsError::Damaged { path: path.to_owned(), what }
        })?;
        let mut at = None;
        for row in 0..batch.num_rows() {
            let ts = columns.ts[row] as u64;
            if ts < wanted.span[0].0 || ts >= wanted.span[1].0 {
                continue;
            }
            let level = columns.level.value(row);
            let one = Count {
                calls: 1,
                high: u64::from(matches!(level, "high" | "critical")),
                score: u64::from(columns.score[row]),
            };
            self.steps.entry(ts / wanted.step * wanted.step).or_default().add(one);
            let hour = ts / HOUR * HOUR;
            // Rows of one hour follow each other, mostly.
            let place = match at {
                Some((known, place)) if known == hour => place,
                _ => self.place(hour),
            };
            at = Some((hour, place));
            for (by, keys) in &columns.by {
                let counts = &mut self.hours[place].by[*by as usize];
                keys.each(row, &mut |key| add(counts, key, one));
            }
            if let Some(callers) = &columns.callers {
                let (profile, call) = callers.row(row);
                self.callers.add(profile, call);
            }
        }
        Ok(())
    }

    fn place(&mut self, hour: u64) -> usize {
        self.hours.iter().position(|known| known.at == hour).unwrap_or_else(|| {
            self.hours.push(Hour { at: hour, ..Hour::default() });
            self.hours.len() - 1
        })
    }
}

/// Adds to the count of a key; an allocation only for a new one.
pub(super) fn add(counts: &mut Keyed, key: &str, count: Count) {
    if let Some(known) = counts.get_mut(key) {
        known.add(count);
    } else {
        let key = if counts.len() < KEYS { key } else { OTHERS };
        counts.entry(key.into()).or_default().add(count);
    }
}

/// Columns that are read.
fn columns(wanted: &Wanted<'_>) -> Vec<&'static str> {
    let mut columns = vec!["ts", "level", "score"];
    let more = if wanted.callers { &callers::COLUMNS[..] } else { &[] };
    for column in wanted.by.iter().map(|by| by.column()).chain(more.iter().copied()) {
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    columns
}

/// Those of a batch.
struct Columns<'a> {
    ts: &'a [i64],
    level: &'a StringArray,
    score: &'a [u8],
    by: Vec<(By, Keys<'a>)>,
    callers: Option<callers::Columns<'a>>,
}

/// Where the keys of a row stand.
enum Keys<'a> {
    Text(&'a StringArray),
    Area(&'a StringArray),
    /// Country codes, each with its text.
    Code(&'a arrow::array::UInt16Array, HashMap<u16, String, FixedState>),
    /// Lists: where each begins, and what is in all.
    List(&'a [i32], &'a StringArray),
}

impl<'a> Columns<'a> {
    fn of(batch: &'a RecordBatch, wanted: &Wanted<'_>) -> Option<Self> {
        let column = |name| batch.column_by_name(name);
        let text = |name| column(name)?.as_string_opt::<i32>();
        Some(Self {
            ts: column("ts")?.as_primitive_opt::<TimestampNanosecondType>()?.values(),
            level: text("level")?,
            score: column("score")?.as_primitive_opt::<UInt8Type>()?.values(),
            by: wanted
                .by
                .iter()
                .map(|by| Some((*by, Keys::of(*by, column(by.column())?)?)))
                .collect::<Option<_>>()?,
            callers: if wanted.callers { Some(callers::Columns::of(batch)?) } else { None },
        })
    }
}

impl<'a> Keys<'a> {
    fn of(by: By, column: &'a ArrayRef) -> Option<Self> {
        Some(match by {
            By::Level | By::Trunk | By::Action | By::Fingerprint => {
                Self::Text(column.as_string_opt()?)
            }
            By::Destination => Self::Area(column.as_string_opt()?),
            By::CallerCountry | By::CalleeCountry => {
                let codes = column.as_primitive_opt::<UInt16Type>()?;
                let texts = codes.iter().flatten().map(|code| (code, code.to_string()));
                Self::Code(codes, texts.collect())
            }
            By::Tag => {
                let lists = column.as_list_opt::<i32>()?;
                Self::List(lists.value_offsets(), lists.values().as_string_opt()?)
            }
            By::Reason => {
                let lists = column.as_list_opt::<i32>()?;
                let features = lists.values().as_struct_opt()?.column_by_name("feature")?;
                Self::List(lists.value_offsets(), features.as_string_opt()?)
            }
        })
    }

    fn each(&self, row: usize, each: &mut dyn FnMut(&str)) {
        match self {
            Self::Text(column) => {
                each(if column.is_null(row) { NONE } else { column.value(row) });
            }
            Self::Area(column) => {
                each(if column.is_null(row) { NONE } else { area(column.value(row)) });
            }
            Self::Code(column, texts) => {
                let text = (!column.is_null(row)).then(|| texts.get(&column.value(row))).flatten();
                each(text.map_or(NONE, String::as_str));
            }
            Self::List(places, values) => {
                for place in places[row]..places[row + 1] {
                    each(values.value(place as usize));
                }
            }
        }
    }
}
