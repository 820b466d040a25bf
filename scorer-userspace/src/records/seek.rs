//! Many calls by Call-ID, wherever they lie: for one, Bloom filters tell which files cannot
//! have it; of some hundreds each has one of them.

use std::{collections::HashSet, path::Path, time::Instant};

use arrow::{
    array::{AsArray as _, RecordBatch},
    datatypes::{TimestampNanosecondType, UInt64Type},
};

use super::{
    RecordsError,
    files::{self, Kind},
    parquet_file::Rows,
    segment::Reader,
};
use crate::time::Timestamp;

const COLUMNS: [&str; 3] = ["ts", "call", "call_id"];

/// Time and key of each call since `since` that has one of the ids, the latest first, until
/// the deadline; whether that was all.
pub(super) fn seek(
    folder: &Path,
    ids: &HashSet<String>,
    since: Timestamp,
    deadline: Option<Instant>,
) -> Result<(Vec<(u64, u64)>, bool), RecordsError> {
    let listing = files::list(folder)?;
    let mut found = Vec::new();
    let mut left: HashSet<&str> = ids.iter().map(String::as_str).collect();
    let late = || deadline.is_some_and(|deadline| Instant::now() > deadline);
    for segment in listing.segments.iter().filter(|segment| segment.kind == Kind::Calls) {
        let mut reader = match Reader::open(&segment.path, Some(&COLUMNS)) {
            Ok(reader) => reader,
            Err(error) => {
                // Made a file meanwhile; the next look finds it there.
                log::debug!("not looked into: {error}");
                continue;
            }
        };
        while let Some(batch) = reader.next() {
            take(&batch, &mut left, &mut found);
        }
    }
    let files = listing.files.iter().rev();
    for file in files.filter(|file| file.kind == Kind::Calls && file.times[1] >= since) {
        if left.is_empty() {
            break;
        }
        // Gone since, or damaged: then it is not there.
        let Ok(rows) = Rows::open(&file.path, Some(&COLUMNS)) else { continue };
        for batch in rows {
            if late() {
                return Ok((found, false));
            }
            let Ok(batch) = batch else { break };
            take(&batch, &mut left, &mut found);
        }
    }
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok((found, true))
}

fn take(batch: &RecordBatch, left: &mut HashSet<&str>, found: &mut Vec<(u64, u64)>) {
    let column = |name| batch.column_by_name(name);
    let (Some(ts), Some(call), Some(ids)) = (
        column("ts").and_then(|ts| ts.as_primitive_opt::<TimestampNanosecondType>()),
        column("call").and_then(|call| call.as_primitive_opt::<UInt64Type>()),
        column("call_id").and_then(|ids| ids.as_string_opt::<i32>()),
    ) else {
        return;
    };
    for (row, id) in ids.iter().enumerate() {
        if id.is_some_and(|id| left.remove(id)) {
            found.push((ts.value(row) as u64, call.value(row)));
        }
    }
}
