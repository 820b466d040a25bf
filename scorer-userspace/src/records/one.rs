//! The features of one stored call, without a query: of some 350 columns planning takes
//! longer than reading.

use std::{fs::File, path::Path};

use arrow::{
    array::{AsArray as _, RecordBatch},
    datatypes::{Float32Type, TimestampNanosecondType, UInt64Type},
};
use parquet::arrow::{
    ProjectionMask,
    arrow_reader::{
        ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
    },
};

use super::{
    RecordsError,
    columns::FEATURES,
    files::{self, Kind},
    parquet_file::widen,
    segment::Reader,
};
use crate::{
    features::{COUNT, REGISTRY},
    time::Timestamp,
};

/// Its values in registry order, NaN where one is missing; `None` where there is no such
/// call, or no features are kept of it.
pub(super) fn features(
    folder: &Path,
    ts: Timestamp,
    call: u64,
) -> Result<Option<Vec<f32>>, RecordsError> {
    let listing = files::list(folder)?;
    for file in listing.files {
        let [first, last] = file.times;
        if file.kind != Kind::Calls || ts < first || ts > last {
            continue;
        }
        // Gone since, or damaged: then it is not there.
        if let Ok(Some(values)) = of_file(&file.path, ts, call) {
            return Ok(Some(values));
        }
    }
    for segment in listing.segments {
        if segment.kind != Kind::Calls {
            continue;
        }
        let mut reader = Reader::open(&segment.path, Some(&["ts", "call", FEATURES]))?;
        while let Some(batch) = reader.next() {
            if let Some(row) = place(&batch, ts, call) {
                let wide = widen(&batch.slice(row, 1), None)
                    .map_err(RecordsError::arrow(&segment.path))?;
                return Ok(values(&wide));
            }
        }
    }
    Ok(None)
}

fn of_file(path: &Path, ts: Timestamp, call: u64) -> Result<Option<Vec<f32>>, RecordsError> {
    let failed = RecordsError::parquet(path);
    let mut row = 0;
    let mut found = false;
    for batch in open(path, &["ts", "call"], None)? {
        let batch = batch.map_err(RecordsError::arrow(path))?;
        if let Some(place) = place(&batch, ts, call) {
            (row, found) = (row + place, true);
            break;
        }
        row += batch.num_rows();
    }
    if !found {
        return Ok(None);
    }
    let names: Vec<_> = REGISTRY.iter().map(|feature| feature.name).collect();
    let only = vec![RowSelector::skip(row), RowSelector::select(1)];
    let mut reader = open(path, &names, Some(only.into()))?;
    let batch = reader.next().transpose().map_err(|error| failed(error.into()))?;
    Ok(batch.and_then(|batch| values(&batch)))
}

fn open(
    path: &Path,
    columns: &[&str],
    rows: Option<RowSelection>,
) -> Result<ParquetRecordBatchReader, RecordsError> {
    let failed = RecordsError::parquet(path);
    let file = File::open(path).map_err(RecordsError::io("open", path))?;
    let mut builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(&failed)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
    builder = builder.with_projection(mask);
    if let Some(rows) = rows {
        builder = builder.with_row_selection(rows);
    }
    builder.build().map_err(failed)
}

/// The row of a call.
fn place(batch: &RecordBatch, ts: Timestamp, call: u64) -> Option<usize> {
    let times = batch.column_by_name("ts")?.as_primitive_opt::<TimestampNanosecondType>()?;
    let keys = batch.column_by_name("call")?.as_primitive_opt::<UInt64Type>()?;
    let mut rows = times.values().iter().zip(keys.values());
    rows.position(|(time, key)| *time as u64 == ts.0 && *key == call)
}

/// The features of the first row; `None` where no one is known.
fn values(batch: &RecordBatch) -> Option<Vec<f32>> {
    let mut values = vec![f32::NAN; COUNT];
    for (value, feature) in values.iter_mut().zip(REGISTRY) {
        let column = batch.column_by_name(feature.name);
        let column = column.and_then(|column| column.as_primitive_opt::<Float32Type>());
        if let Some(Some(known)) = column.and_then(|column| column.iter().next()) {
            *value = known;
        }
    }
    values.iter().any(|value| !value.is_nan()).then_some(values)
}
