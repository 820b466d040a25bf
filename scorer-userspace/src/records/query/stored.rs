//! Stored calls one by one, for those who look at them anew: profiles and policy.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use arrow::{
    array::{Array as _, ArrayRef, AsArray as _, RecordBatch},
    datatypes::{Float32Type, TimestampNanosecondType, UInt8Type, UInt16Type, UInt64Type},
};
use scorer_common::verdict::{Action, Level, Tag, Tags};

use super::{Limits, QueryError, Store};
use crate::{
    history::Progress,
    lists::{List, ListSet},
    policy::Record,
    profiles::{CallRow, Evidence, Outcome},
    time::Timestamp,
};

/// A call as it is stored.
#[derive(Clone, Debug)]
pub struct StoredCall {
    /// What those see who look into callers, without the evidence: see [`Self::row`].
    pub call: CallRow,
    /// Level of the score.
    level: Level,
    /// Lists that named it.
    lists: ListSet,
    /// What was to be done.
    pub action: Action,
}

/// How a stored call went on.
#[derive(Clone, Debug)]
pub struct StoredOutcome {
    /// When.
    pub time: Timestamp,
    /// Key of the call attempt.
    pub call: u64,
    /// How.
    pub outcome: Outcome,
}

const COLUMNS: &str = "ts, call, call_id, caller, network_number, callee, caller_country_code, \
    callee_country_code, source, trunk, signature, profile, score, level, tags, lists, action, rule";

impl Store {
    /// Calls `each` with the calls from `since` until before `until` of which `condition`
    /// is true (SQL; empty for all), in no order.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn calls(
        &self,
        [since, until]: [Timestamp; 2],
        condition: &str,
        limits: &Limits,
        each: &mut (dyn FnMut(StoredCall) + Send),
    ) -> Result<super::Answered, QueryError> {
        let more = if condition.is_empty() { String::new() } else { format!(" AND ({condition})") };
        let sql = format!(
            "SELECT {COLUMNS} FROM calls WHERE ts >= TIMESTAMP '{since}' AND ts < TIMESTAMP '{until}'{more}"
        );
        self.query(&sql, limits, &mut |batch: &RecordBatch| {
            (0..batch.num_rows()).filter_map(|row| call(batch, row)).for_each(&mut *each);
            Ok(())
        })
    }

    /// Calls `each` with how calls went on from `since` until before `until`, in the order
    /// of time; `condition` is SQL.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn outcomes(
        &self,
        [since, until]: [Timestamp; 2],
        condition: &str,
        limits: &Limits,
        each: &mut (dyn FnMut(StoredOutcome) + Send),
    ) -> Result<super::Answered, QueryError> {
        let more = if condition.is_empty() { String::new() } else { format!(" AND ({condition})") };
        let sql = format!(
            "SELECT ts, call, outcome, code, setup_s, duration_s FROM outcomes \
             WHERE ts >= TIMESTAMP '{since}' AND ts < TIMESTAMP '{until}'{more} ORDER BY ts"
        );
        self.query(&sql, limits, &mut |batch: &RecordBatch| {
            (0..batch.num_rows()).filter_map(|row| outcome(batch, row)).for_each(&mut *each);
            Ok(())
        })
    }
}

fn text(batch: &RecordBatch, column: &str, row: usize) -> Option<String> {
    let column = batch.column_by_name(column)?.as_string_opt::<i32>()?;
    (!column.is_null(row)).then(|| column.value(row).to_owned())
}

macro_rules! number {
    ($batch:expr, $column:literal, $row:expr, $kind:ty) => {
        $batch
            .column_by_name($column)
            .and_then(|column| column.as_primitive_opt::<$kind>())
            .filter(|column| !column.is_null($row))
            .map(|column| column.value($row))
    };
}

fn time(batch: &RecordBatch, row: usize) -> Option<Timestamp> {
    let ns = number!(batch, "ts", row, TimestampNanosecondType)?;
    u64::try_from(ns).ok().map(Timestamp)
}

/// Texts of a list.
fn each_text(column: Option<&ArrayRef>, row: usize, mut each: impl FnMut(&str)) {
    let Some(list) = column.and_then(|column| column.as_list_opt::<i32>()) else { return };
    if list.is_null(row) {
        return;
    }
    let values = list.value(row);
    for text in values.as_string_opt::<i32>().into_iter().flatten().flatten() {
        each(text);
    }
}

/// A row; `None` when it has not even a time and a key.
fn call(batch: &RecordBatch, row: usize) -> Option<StoredCall> {
    let text = |column| text(batch, column, row);
    let mut tags = Tags::NONE;
    each_text(batch.column_by_name("tags"), row, |name| {
        // One of a later version is not known here.
        if let Some(tag) = Tag::ALL.iter().find(|tag| tag.name() == name) {
            tags.insert(*tag);
        }
    });
    let mut lists = Vec::new();
    each_text(batch.column_by_name("lists"), row, |name| lists.extend(List::by_name(name)));
    let level = text("level").unwrap_or_default();
    let action = text("action").unwrap_or_default();
    let nowhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
    let action = Action::by_name(&action).unwrap_or(Action::Pass);
    let call = CallRow {
        time: time(batch, row)?,
        call: number!(batch, "call", row, UInt64Type)?,
        call_id: text("call_id").unwrap_or_default(),
        caller: text("caller").unwrap_or_default(),
        network: text("network_number"),
        callee: text("callee").unwrap_or_default(),
        countries: [
            number!(batch, "caller_country_code", row, UInt16Type).unwrap_or(0),
            number!(batch, "callee_country_code", row, UInt16Type).unwrap_or(0),
        ],
        source: text("source").and_then(|text| text.parse().ok()).unwrap_or(nowhere),
        trunk: text("trunk"),
        signature: text("signature").unwrap_or_default(),
        profile: text("profile").and_then(|hex| u64::from_str_radix(&hex, 16).ok()).unwrap_or(0),
        // Not recorded; the call was given the profile.
        confidence: 1.0,
        score: number!(batch, "score", row, UInt8Type).unwrap_or(0),
        tags,
        action: action.name(),
        rule: text("rule"),
        evidence: Evidence::default(),
        outcome: None,
    };
    Some(StoredCall {
        call,
        level: Level::ALL.into_iter().find(|known| known.name() == level).unwrap_or(Level::ALL[0]),
        lists: lists.into_iter().collect(),
        action,
    })
}

fn outcome(batch: &RecordBatch, row: usize) -> Option<StoredOutcome> {
    let name = text(batch, "outcome", row)?;
    Some(StoredOutcome {
        time: time(batch, row)?,
        call: number!(batch, "call", row, UInt64Type)?,
        outcome: Outcome {
            name: Progress::by_name(&name)?.name(),
            code: number!(batch, "code", row, UInt16Type).unwrap_or(0),
            setup: number!(batch, "setup_s", row, Float32Type).unwrap_or(f32::NAN),
            duration: number!(batch, "duration_s", row, Float32Type).unwrap_or(f32::NAN),
        },
    })
}

impl StoredCall {
    /// As policy sees it.
    pub fn record(&self) -> Record<'_> {
        let call = &self.call;
        Record {
            score: call.score,
            level: self.level,
            tags: call.tags,
            lists: self.lists,
            caller: call.caller.as_bytes(),
            network: call.network.as_deref().map(str::as_bytes),
            callee: call.callee.as_bytes(),
            trunk: call.trunk.as_deref(),
            source: call.source.ip(),
            time: call.time,
        }
    }

    /// As those see it who look into callers. Of the evidence only what a record still
    /// tells is there: source, numbers, country, callee; `home` is the country code of
    /// national numbers.
    pub fn row(self, home: Option<u16>) -> CallRow {
        let call = self.call;
        let evidence = Evidence::of_record(
            call.source.ip(),
            [call.network.as_deref(), Some(&*call.caller), Some(&*call.callee)],
            call.countries[0],
            call.tags.contains(Tag::Withheld),
            home,
        );
        CallRow { evidence, ..call }
    }
}
