//! Which files a query need not open: Bloom filters of their keys, kept in memory.
//!
//! A file tells of 370 columns before it gives a row, and DataFusion has it tell that of
//! every file which may hold what is looked for. Here each is asked once; the filters are
//! its own, but for the key of a call attempt, which has none on disk.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    path::Path,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use arrow::{array::AsArray as _, datatypes::UInt64Type};
use datafusion::{
    common::ScalarValue,
    logical_expr::{BinaryExpr, Expr, Operator, expr::InList},
};
use parquet::{
    arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder},
    bloom_filter::Sbbf,
};

use super::super::{
    RecordsError,
    columns::CALLS,
    files::{self, ParquetFile},
    parquet_file::{FALSE_POSITIVES, guarded},
};

/// Bytes of filters that are kept at most; files for which there is no room are opened.
const MOST: usize = 128 << 20;
/// Rows a filter of keys is made for, at a time.
const KEYS: usize = 65_536;
const CALL: &str = "call";

/// Filters of the files of a folder, as far as they were read: see [`Self::keep`].
#[derive(Debug, Default)]
pub(super) struct Sieve {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    files: HashMap<files::Key, Filters>,
    bytes: usize,
}

/// Filters of a file: by column, those of its row groups.
#[derive(Debug, Default)]
struct Filters {
    columns: Vec<(&'static str, Vec<Sbbf>)>,
}

impl Sieve {
    /// Takes out the files that have no row for which all of `filters` are true.
    pub(super) fn choose(&self, files: &mut Vec<ParquetFile>, filters: &[Expr]) {
        let telling: Vec<&Expr> = filters.iter().filter(|filter| tells(filter)).collect();
        if telling.is_empty() {
            return;
        }
        let known = self.known();
        files.retain(|file| {
            let of = known.files.get(&file.key());
            of.is_none_or(|known| telling.iter().all(|filter| known.may_be(filter)))
        });
    }

    /// Reads the filters of files that have come, the latest first, and forgets those of
    /// files that are gone.
    pub(super) fn keep(&self, folder: &Path, stop: &AtomicBool) -> Result<(), RecordsError> {
        let listing = files::list(folder)?;
        {
            let there: HashSet<_> = listing.files.iter().map(ParquetFile::key).collect();
            let mut known = self.known();
            known.files.retain(|key, _| there.contains(key));
            known.bytes = known.files.values().map(Filters::bytes).sum();
        }
        for file in listing.files.iter().rev() {
            if stop.load(Ordering::Relaxed) || self.known().bytes >= MOST {
                break;
            }
            if self.known().files.contains_key(&file.key()) {
                continue;
            }
            match Filters::read(&file.path) {
                Ok(filters) => {
                    let mut known = self.known();
                    known.bytes += filters.bytes();
                    known.files.insert(file.key(), filters);
                }
                // Who asks opens it, and is told what is wrong.
                Err(error) => log::debug!("its filters are not known: {error}"),
            }
        }
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Filters {
    fn read(path: &Path) -> Result<Self, RecordsError> {
        let file = File::open(path).map_err(RecordsError::io("open", path))?;
        guarded(path, || Self::of(file))
    }

    fn of(file: File) -> parquet::errors::Result<Self> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
        let mut columns = Vec::new();
        for column in CALLS.iter().filter(|column| column.bloom) {
            let schema = builder.parquet_schema();
            let is = |at: &usize| schema.column(*at).name() == column.name;
            let Some(at) = (0..schema.num_columns()).find(is) else { continue };
            let groups = 0..builder.metadata().num_row_groups();
            let filters = groups.map(|group| builder.get_row_group_column_bloom_filter(group, at));
            // Of an older version some may have none.
            let filters: Option<Vec<Sbbf>> = filters.collect::<Result<_, _>>()?;
            columns.extend(filters.map(|filters| (column.name, filters)));
        }
        let only = ProjectionMask::columns(builder.parquet_schema(), [CALL]);
        let mut filters = Vec::new();
        for batch in builder.with_projection(only).with_batch_size(KEYS).build()? {
            let batch = batch?;
            let keys = batch.column_by_name(CALL);
            let Some(keys) = keys.and_then(|keys| keys.as_primitive_opt::<UInt64Type>()) else {
                continue;
            };
            let mut filter = Sbbf::new_with_ndv_fpp(KEYS as u64, FALSE_POSITIVES)?;
            keys.values().iter().for_each(|key| filter.insert(key));
            filter.fold_to_target_fpp(FALSE_POSITIVES);
            filters.push(filter);
        }
        columns.push((CALL, filters));
        Ok(Self { columns })
    }

    fn bytes(&self) -> usize {
        let filters = self.columns.iter().flat_map(|(_, filters)| filters);
        filters.map(|filter| filter.num_blocks() * 32 + size_of::<Sbbf>()).sum()
    }

    /// Whether a row may have the value.
    fn has(&self, column: &str, value: &ScalarValue) -> bool {
        let Some((_, filters)) = self.columns.iter().find(|(name, _)| *name == column) else {
            return true;
        };
        match value {
            ScalarValue::Utf8(Some(text))
            | ScalarValue::LargeUtf8(Some(text))
            | ScalarValue::Utf8View(Some(text)) => {
                filters.iter().any(|filter| filter.check(text.as_str()))
            }
            ScalarValue::UInt64(Some(key)) => filters.iter().any(|filter| filter.check(key)),
            _ => true,
        }
    }

    /// Whether it may be true of a row. Of what is not understood it may.
    fn may_be(&self, filter: &Expr) -> bool {
        match filter {
            Expr::Alias(alias) => self.may_be(&alias.expr),
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
                Operator::And => self.may_be(left) && self.may_be(right),
                Operator::Or => self.may_be(left) || self.may_be(right),
                Operator::Eq => match (&**left, &**right) {
                    (Expr::Column(column), Expr::Literal(value, _))
                    | (Expr::Literal(value, _), Expr::Column(column)) => {
                        self.has(&column.name, value)
                    }
                    _ => true,
                },
                _ => true,
            },
            Expr::InList(InList { expr, list, negated: false }) => match &**expr {
                Expr::Column(column) => list.iter().any(|value| match value {
                    Expr::Literal(value, _) => self.has(&column.name, value),
                    _ => true,
                }),
                _ => true,
            },
            _ => true,
        }
    }
}

/// Whether a filter speaks of a column that has Bloom filters.
fn tells(filter: &Expr) -> bool {
    filter.column_refs().iter().any(|column| {
        column.name == CALL || CALLS.iter().any(|known| known.bloom && known.name == column.name)
    })
}
