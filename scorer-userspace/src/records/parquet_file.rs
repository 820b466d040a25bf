//! Parquet files: made of segments, and made anew without some rows or numbers.
//!
//! A file is written under another name, synced, renamed, and only then is what it was
//! made of removed.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::{
        Array, ArrayRef, AsArray as _, BooleanArray, FixedSizeListArray, Float32Array, RecordBatch,
        StringArray,
    },
    buffer::NullBuffer,
    compute::{concat_batches, filter_record_batch, sort_to_indices, take_record_batch},
    datatypes::{DataType, Float32Type, Schema, SchemaRef, TimestampNanosecondType, UInt64Type},
    error::ArrowError,
};
use parquet::{
    arrow::{
        ArrowWriter, ProjectionMask,
        arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
    },
    basic::{Compression, Encoding, ZstdLevel},
    file::{
        metadata::SortingColumn,
        properties::{EnabledStatistics, WriterProperties},
    },
    schema::types::ColumnPath,
};

use super::{
    RecordsError,
    columns::{CALLS, FEATURE_NAMES, FEATURES, feature_field},
    files::{Kind, ParquetFile, SegmentFile, TEMPORARY, parquet_path, set_aside, sync_folder},
    segment::{Reader, Tail},
};
use crate::{history::Progress, private, time::Timestamp};

/// Rows that lie together and are sorted; what is held in memory of a file, too.
const ROW_GROUP: usize = 32_768;
/// Wrong answers of a Bloom filter.
pub(super) const FALSE_POSITIVES: f64 = 0.02;

/// What became of a segment.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// Rows in the file; 0 where none was made.
    pub(super) rows: usize,
    /// Where the segment was set aside.
    pub(super) damaged: Option<PathBuf>,
}

/// Makes a file of a segment, and removes the segment, or sets it aside where it is
/// damaged.
pub(super) fn of_segment(folder: &Path, segment: &SegmentFile) -> Result<Made, RecordsError> {
    let mut reader = Reader::open(&segment.path, None)?;
    let mut out = Output::new(folder, segment.kind, segment.id);
    let mut waiting = Vec::new();
    let mut rows = 0;
    while let Some(batch) = reader.next() {
        rows += batch.num_rows();
        waiting.push(batch);
        if rows >= ROW_GROUP {
            out.write(&group(segment.kind, &waiting, reader.path())?)?;
            waiting.clear();
            rows = 0;
        }
    }
    if rows > 0 {
        out.write(&group(segment.kind, &waiting, reader.path())?)?;
    }
    let rows = out.finish(None, false)?;
    let damaged = match reader.tail() {
        Tail::Damaged(what) => Some(set_aside(&segment.path, what)?),
        tail => {
            if let Tail::Torn(bytes) = tail {
                log::warn!(
                    "{}: its last {bytes} bytes are no whole batch and were left out; {rows} rows were read",
                    segment.path.display()
                );
            }
            remove(&segment.path)?;
            None
        }
    };
    sync_folder(folder)?;
    Ok(Made { rows, damaged })
}

/// Removes a file that may be gone already.
pub(super) fn remove(path: &Path) -> Result<(), RecordsError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(RecordsError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// Whether a file begins and ends as a Parquet file must, which one that was cut or
/// whose end was lost does not. Cheap: it is asked of every file.
pub(super) fn check(path: &Path) -> Result<(), RecordsError> {
    const MAGIC: &[u8; 4] = b"PAR1";
    let read = || {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let (mut head, mut tail) = ([0; 4], [0; 8]);
        if length < 12 {
            return Ok(false);
        }
        file.read_exact(&mut head)?;
        file.seek(SeekFrom::End(-8))?;
        file.read_exact(&mut tail)?;
        let [a, b, c, d, magic @ ..] = tail;
        let footer = u64::from(u32::from_le_bytes([a, b, c, d]));
        Ok(&head == MAGIC && &magic == MAGIC && footer + 12 <= length)
    };
    if read().map_err(RecordsError::io("read", path))? {
        return Ok(());
    }
    let what = "it does not begin and end as a Parquet file".to_owned();
    Err(RecordsError::Damaged { path: path.to_owned(), what })
}

/// Rows of a file, a row group at a time.
pub(super) struct Rows {
    path: PathBuf,
    reader: ParquetRecordBatchReader,
}

impl Rows {
    /// Opens a file; `columns` are those wanted, all when `None`.
    ///
    /// # Errors
    /// [`RecordsError::Damaged`] when it is no Parquet file, here and at every step.
    pub(super) fn open(path: &Path, columns: Option<&[&str]>) -> Result<Self, RecordsError> {
        let file = File::open(path).map_err(RecordsError::io("open", path))?;
        let reader = guarded(path, || {
            let mut builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
            if let Some(columns) = columns {
                let columns = columns.iter().copied();
                let mask = ProjectionMask::columns(builder.parquet_schema(), columns);
                builder = builder.with_projection(mask);
            }
            builder.with_batch_size(ROW_GROUP).build()
        })?;
        Ok(Self { path: path.to_owned(), reader })
    }
}

impl Iterator for Rows {
    type Item = Result<RecordBatch, RecordsError>;

    fn next(&mut self) -> Option<Self::Item> {
        let Self { path, reader } = self;
        guarded(path, || reader.next().transpose()).transpose()
    }
}

/// Reads of a file what may be damaged: then its decoder fails, or panics.
pub(super) fn guarded<T, E: std::fmt::Display>(
    path: &Path,
    read: impl FnOnce() -> Result<T, E>,
) -> Result<T, RecordsError> {
    let what = match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "a page makes no sense".to_owned(),
    };
    Err(RecordsError::Damaged { path: path.to_owned(), what })
}

/// What [`edit`] does with a batch: the batch as it shall be, and whether that differs.
pub(super) type Edit<'a> =
    &'a mut dyn FnMut(RecordBatch) -> Result<(RecordBatch, bool), RecordsError>;

/// Makes a file anew if `edit` changes anything in it, in its place; rows left. Where
/// none is left there is no file either.
pub(super) fn edit(
    folder: &Path,
    file: &ParquetFile,
    pseudonymised: bool,
    edit: Edit<'_>,
) -> Result<Option<usize>, RecordsError> {
    let path = &file.path;
    let mut out = Output::new(folder, file.kind, file.id);
    let mut changed = pseudonymised != file.pseudonymised;
    for batch in Rows::open(path, None)? {
        let (batch, differs) = edit(batch?)?;
        changed |= differs;
        out.write(&batch)?;
    }
    if !changed {
        return Ok(None);
    }
    // The times in the name may be wider than the rows left: the name stays, so that
    // the new file takes the old one's place in one step.
    let rows = out.finish(Some(file.times), pseudonymised)?;
    let now = parquet_path(folder, file.kind, file.id, file.times, pseudonymised);
    if rows == 0 || now != *path {
        remove(path)?;
    }
    sync_folder(folder)?;
    Ok(Some(rows))
}

/// A file on its way.
struct Output<'a> {
    folder: &'a Path,
    kind: Kind,
    id: u64,
    path: PathBuf,
    writer: Option<ArrowWriter<File>>,
    times: Option<[Timestamp; 2]>,
    rows: usize,
}

impl<'a> Output<'a> {
    fn new(folder: &'a Path, kind: Kind, id: u64) -> Self {
        let path = folder.join(format!("{}-{id:016x}{TEMPORARY}", kind.name()));
        Self { folder, kind, id, path, writer: None, times: None, rows: 0 }
    }

    /// Writes a row group.
    fn write(&mut self, batch: &RecordBatch) -> Result<(), RecordsError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let failed = RecordsError::parquet(&self.path);
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => {
                let file =
                    private::create(&self.path).map_err(RecordsError::io("make", &self.path))?;
                let writer = ArrowWriter::try_new(file, batch.schema(), Some(properties(batch)))
                    .map_err(&failed)?;
                none.insert(writer)
            }
        };
        writer.write(batch).and_then(|()| writer.flush()).map_err(&failed)?;
        self.rows += batch.num_rows();
        for time in batch.column(0).as_primitive::<TimestampNanosecondType>().values() {
            let time = Timestamp(*time as u64);
            let [first, last] = self.times.get_or_insert([time, time]);
            *first = time.min(*first);
            *last = time.max(*last);
        }
        Ok(())
    }

    /// Gives the file its name, with `times` or its own; rows in it, and no file where
    /// there are none.
    fn finish(
        mut self,
        times: Option<[Timestamp; 2]>,
        pseudonymised: bool,
    ) -> Result<usize, RecordsError> {
        let (Some(writer), Some(own)) = (self.writer.take(), self.times) else { return Ok(0) };
        let file = writer.into_inner().map_err(RecordsError::parquet(&self.path))?;
        file.sync_all().map_err(RecordsError::io("write", &self.path))?;
        let name =
            parquet_path(self.folder, self.kind, self.id, times.unwrap_or(own), pseudonymised);
        fs::rename(&self.path, &name).map_err(RecordsError::io("rename", &self.path))?;
        sync_folder(self.folder)?;
        Ok(self.rows)
    }
}

impl Drop for Output<'_> {
    fn drop(&mut self) {
        // Half a file holds numbers, too. After a rename there is none of that name.
        let _ = fs::remove_file(&self.path);
    }
}

/// A row group of a segment's batches.
fn group(kind: Kind, batches: &[RecordBatch], path: &Path) -> Result<RecordBatch, RecordsError> {
    let all = sorted(batches, path)?;
    match kind {
        Kind::Calls => Ok(all),
        Kind::Outcomes => {
            let said = without_answers(&all).map_err(RecordsError::arrow(path))?;
            Ok(said.unwrap_or(all))
        }
    }
}

/// Outcomes without the answers of calls that end in the same batch: when a call was
/// answered tells its end, too (`duration_s` before it). `None` where there is none.
fn without_answers(all: &RecordBatch) -> Result<Option<RecordBatch>, ArrowError> {
    let column = |name| all.column_by_name(name);
    let (Some(calls), Some(outcomes)) = (
        column("call").and_then(|calls| calls.as_primitive_opt::<UInt64Type>()),
        column("outcome").and_then(|outcomes| outcomes.as_string_opt::<i32>()),
    ) else {
        return Ok(None);
    };
    let is = |row: usize, names: &[Progress]| {
        names.iter().any(|progress| progress.name() == outcomes.value(row))
    };
    let rows = || 0..all.num_rows();
    let over = rows().filter(|row| is(*row, &[Progress::Completed, Progress::Short]));
    let over: HashSet<u64, foldhash::fast::RandomState> =
        over.map(|row| calls.value(row)).collect();
    let kept: BooleanArray = rows()
        .map(|row| Some(!(is(row, &[Progress::Answered]) && over.contains(&calls.value(row)))))
        .collect();
    if kept.true_count() == all.num_rows() {
        return Ok(None);
    }
    filter_record_batch(all, &kept).map(Some)
}

/// Batches as one, sorted by time, features as columns.
fn sorted(batches: &[RecordBatch], path: &Path) -> Result<RecordBatch, RecordsError> {
    let failed = RecordsError::arrow(path);
    let schema = batches.first().map_or_else(|| Arc::new(Schema::empty()), RecordBatch::schema);
    let all = concat_batches(&schema, batches).map_err(&failed)?;
    let in_order = all.column(0).as_primitive::<TimestampNanosecondType>().values().is_sorted();
    let all = if in_order {
        all
    } else {
        let order = sort_to_indices(all.column(0), None, None).map_err(&failed)?;
        take_record_batch(&all, &order).map_err(&failed)?
    };
    widen(&all, None).map_err(failed)
}

/// A segment's rows with a column each for its features, all or those wanted.
pub(super) fn widen(
    batch: &RecordBatch,
    wanted: Option<&[&str]>,
) -> Result<RecordBatch, ArrowError> {
    let schema = batch.schema();
    let Ok(at) = schema.index_of(FEATURES) else { return Ok(batch.clone()) };
    let names: Vec<_> =
        schema.metadata().get(FEATURE_NAMES).map_or("", String::as_str).split(',').collect();
    let (mut fields, mut columns) = (schema.fields().to_vec(), batch.columns().to_vec());
    fields.remove(at);
    let list = columns.remove(at);
    let list = list.as_fixed_size_list();
    let chosen: Vec<usize> = (0..names.len().min(list.value_length() as usize))
        .filter(|i| wanted.is_none_or(|wanted| wanted.contains(&names[*i])))
        .collect();
    for (name, column) in chosen.iter().map(|i| names[*i]).zip(transposed(list, &chosen)) {
        fields.push(Arc::new(feature_field(name)));
        columns.push(column);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

/// Columns of a list of vectors; NaN becomes null.
fn transposed(list: &FixedSizeListArray, chosen: &[usize]) -> Vec<ArrayRef> {
    /// Columns taken at a time: a cache line of each row.
    const AT_ONCE: usize = 16;
    let (rows, width) = (list.len(), list.value_length() as usize);
    let values = list.values().as_primitive::<Float32Type>().values();
    let start = list.value_offset(0) as usize;
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(chosen.len());
    for few in chosen.chunks(AT_ONCE) {
        let mut out = vec![Vec::with_capacity(rows); few.len()];
        for row in values[start..start + rows * width].chunks_exact(width) {
            for (column, i) in out.iter_mut().zip(few) {
                column.push(row[*i]);
            }
        }
        for column in out {
            let known = column
                .iter()
                .any(|value| value.is_nan())
                .then(|| column.iter().map(|value| !value.is_nan()).collect::<NullBuffer>());
            columns.push(Arc::new(Float32Array::new(column.into(), known)));
        }
    }
    columns
}

/// How each column is written, by what is in the first rows.
fn properties(first: &RecordBatch) -> WriterProperties {
    let rows = first.num_rows();
    let schema: SchemaRef = first.schema();
    let mut builder = WriterProperties::builder()
        .set_created_by(concat!("scorer ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(9).unwrap_or_default()))
        .set_max_row_group_row_count(Some(ROW_GROUP * 2))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_sorting_columns(Some(vec![SortingColumn {
            column_idx: 0,
            descending: false,
            nulls_first: false,
        }]));
    // Values of all kinds of features: hardly one comes again.
    let values = ColumnPath::new(["reasons", "list", "item", "value"].map(str::to_owned).to_vec());
    builder = builder
        .set_column_dictionary_enabled(values.clone(), false)
        .set_column_encoding(values, Encoding::BYTE_STREAM_SPLIT);
    for (field, column) in schema.fields().iter().zip(first.columns()) {
        let path = ColumnPath::from(field.name().as_str());
        let encoding = match field.data_type() {
            DataType::Timestamp(..) => Some(Encoding::DELTA_BINARY_PACKED),
            DataType::UInt64 => Some(Encoding::PLAIN),
            DataType::Float32 => {
                let bits = column.as_primitive::<Float32Type>().values().iter();
                dictionary_loses(bits.map(|value| value.to_bits()), rows, 2.6)
                    .then_some(Encoding::BYTE_STREAM_SPLIT)
            }
            DataType::Utf8 => {
                mostly_unlike(column.as_string()).then_some(Encoding::DELTA_LENGTH_BYTE_ARRAY)
            }
            _ => None,
        };
        if let Some(encoding) = encoding {
            builder = builder
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path.clone(), encoding);
        }
        if CALLS.iter().any(|known| known.bloom && known.name == field.name()) {
            builder = builder
                .set_column_bloom_filter_enabled(path.clone(), true)
                .set_column_bloom_filter_fpp(path.clone(), FALSE_POSITIVES)
                .set_column_bloom_filter_max_ndv(path, ROW_GROUP as u64);
        }
    }
    builder.build()
}

/// Whether a dictionary of values of four bytes takes more than `otherwise` bytes a
/// row: the index of each row, and each value once.
fn dictionary_loses(values: impl Iterator<Item = u32>, rows: usize, otherwise: f64) -> bool {
    let distinct = values.collect::<HashSet<_, foldhash::fast::RandomState>>().len() as f64;
    distinct.max(1.0).log2() / 8.0 + 3.0 * distinct / rows.max(1) as f64 > otherwise
}

/// Whether most texts occur once.
fn mostly_unlike(texts: &StringArray) -> bool {
    let distinct = texts.iter().flatten().collect::<HashSet<_, foldhash::fast::RandomState>>();
    distinct.len() * 2 > texts.len()
}
