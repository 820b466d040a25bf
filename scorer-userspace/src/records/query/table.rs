//! The tables: which files a query needs, and how they come together.

use std::{
    collections::HashSet,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arrow::{
    array::{
        ArrayRef, AsArray as _, BooleanArray, RecordBatch, RecordBatchOptions, StringArray,
        TimestampNanosecondArray, new_null_array,
    },
    datatypes::{DataType, Field, Schema, SchemaRef, TimestampNanosecondType},
};
use async_trait::async_trait;
use datafusion::{
    catalog::{MemTable, Session, TableProvider},
    common::{Column, DFSchema, DataFusionError, Result, ScalarValue, pruning::PruningStatistics},
    datasource::{
        file_format::parquet::ParquetFormat,
        listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl},
        provider_as_source,
    },
    functions_aggregate::expr_fn::last_value,
    logical_expr::{
        Expr, JoinType, LogicalPlanBuilder, TableProviderFilterPushDown, TableType, col, lit,
        utils::conjunction,
    },
    physical_optimizer::pruning::PruningPredicateBuilder,
    physical_plan::ExecutionPlan,
};

use super::{
    super::{
        RecordsError,
        columns::{CALLS, Column as Described, FEATURES, LATER, OUTCOMES, feature_fields, fields},
        files::{self, Kind, ParquetFile, SegmentFile},
        parquet_file,
        segment::{Reader, Tail},
    },
    is_later,
    sieve::Sieve,
};
use crate::{features::REGISTRY, labels::Labels, time::Timestamp};

/// Columns as a query sees them: any may be missing in files of another version.
fn schema(columns: &[&[Described]], more: Vec<Field>) -> SchemaRef {
    let fields = columns.iter().flat_map(|columns| fields(columns)).chain(more);
    Arc::new(Schema::new(fields.map(|field| field.with_nullable(true)).collect::<Vec<_>>()))
}

/// `calls`, or with features `features`.
#[derive(Debug)]
pub(super) struct Calls {
    folder: PathBuf,
    labels: Option<PathBuf>,
    schema: SchemaRef,
    sieve: Arc<Sieve>,
}

impl Calls {
    pub(super) fn new(
        folder: &Path,
        labels: Option<&Path>,
        features: bool,
        sieve: Arc<Sieve>,
    ) -> Self {
        let more = if features { feature_fields() } else { Vec::new() };
        Self {
            folder: folder.to_owned(),
            labels: labels.map(Path::to_owned),
            schema: schema(&[CALLS, LATER], more),
            sieve,
        }
    }

    /// Outcomes of calls since `first`, the latest of each call.
    fn outcomes(&self, state: &dyn Session, first: Timestamp) -> Result<LogicalPlanBuilder> {
        let columns = ["ts", "call", "outcome", "code", "setup_s", "duration_s"];
        let since = col("ts").gt_eq(lit(ScalarValue::TimestampNanosecond(
            Some(first.0 as i64),
            Some("+00:00".into()),
        )));
        let whole = schema(&[OUTCOMES], Vec::new());
        let look = Look { folder: &self.folder, kind: Kind::Outcomes, sieve: &self.sieve };
        let parts = Parts::choose(look, state, std::slice::from_ref(&since), &whole)?;
        let last = |name: &str| last_value(col(name), vec![col("ts").sort(true, true)]).alias(name);
        parts
            .plan(&whole, &columns, &[since])?
            .aggregate(vec![col("call")], columns[2..].iter().map(|name| last(name)))?
            .project(
                std::iter::once(col("call").alias("outcome_call"))
                    .chain(columns[2..].iter().map(|name| col(*name))),
            )
    }

    /// The label of every call that has one.
    fn labels(&self) -> Result<LogicalPlanBuilder> {
        let (mut call_ids, mut said) = (Vec::new(), Vec::new());
        // Opening would make it.
        if let Some(path) = self.labels.as_ref().filter(|path| path.exists()) {
            let read = Labels::open(path).and_then(|labels| {
                labels.counting(|label| {
                    said.push(if label.fraud { "fraud" } else { "genuine" });
                    call_ids.push(label.call_id);
                })
            });
            read.map_err(external)?;
        }
        let text = |name| Field::new(name, DataType::Utf8, true);
        let schema = Arc::new(Schema::new(vec![text("label_call_id"), text("label")]));
        let columns: Vec<ArrayRef> =
            vec![Arc::new(StringArray::from(call_ids)), Arc::new(StringArray::from(said))];
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns)?;
        let table = Arc::new(MemTable::try_new(schema, vec![vec![batch]])?);
        LogicalPlanBuilder::scan("labels", provider_as_source(table), None)
    }
}

#[async_trait]
impl TableProvider for Calls {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let stored = |filter: &&Expr| {
            let columns = filter.column_refs();
            if columns.iter().any(|column| is_later(&column.name)) {
                TableProviderFilterPushDown::Unsupported
            } else {
                TableProviderFilterPushDown::Exact
            }
        };
        Ok(filters.iter().map(stored).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let wanted: Vec<&str> = match projection {
            Some(indexes) => {
                indexes.iter().map(|i| self.schema.field(*i).name().as_str()).collect()
            }
            None => self.schema.fields().iter().map(|field| field.name().as_str()).collect(),
        };
        let labelled = wanted.contains(&"label");
        let followed = wanted.iter().any(|name| is_later(name) && *name != "label");
        let mut stored: Vec<&str> = wanted.iter().copied().filter(|name| !is_later(name)).collect();
        for (needed, name) in [(followed, "call"), (labelled, "call_id")] {
            if needed && !stored.contains(&name) {
                stored.push(name);
            }
        }
        let look = Look { folder: &self.folder, kind: Kind::Calls, sieve: &self.sieve };
        let parts = Parts::choose(look, state, filters, &self.schema)?;
        let first = if followed { parts.first()? } else { Timestamp(0) };
        let mut plan = parts.plan(&self.schema, &stored, filters)?;
        if followed {
            let outcomes = self.outcomes(state, first)?.build()?;
            plan =
                plan.join(outcomes, JoinType::Left, (vec!["call"], vec!["outcome_call"]), None)?;
        }
        if labelled {
            let labels = self.labels()?.build()?;
            let on = (vec!["call_id"], vec!["label_call_id"]);
            plan = plan.join(labels, JoinType::Left, on, None)?;
        }
        let plan = plan.project(wanted.iter().map(|name| col(*name)))?.limit(0, limit)?;
        state.create_physical_plan(&plan.build()?).await
    }
}

/// `outcomes`.
#[derive(Debug)]
pub(super) struct Outcomes {
    folder: PathBuf,
    schema: SchemaRef,
    sieve: Arc<Sieve>,
}

impl Outcomes {
    pub(super) fn new(folder: &Path, sieve: Arc<Sieve>) -> Self {
        Self { folder: folder.to_owned(), schema: schema(&[OUTCOMES], Vec::new()), sieve }
    }
}

#[async_trait]
impl TableProvider for Outcomes {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Exact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(indexes) => Arc::new(self.schema.project(indexes)?),
            None => Arc::clone(&self.schema),
        };
        let wanted: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let look = Look { folder: &self.folder, kind: Kind::Outcomes, sieve: &self.sieve };
        let parts = Parts::choose(look, state, filters, &self.schema)?;
        let plan = parts.plan(&self.schema, &wanted, filters)?.limit(0, limit)?;
        state.create_physical_plan(&plan.build()?).await
    }
}

fn external(error: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// Where a query looks.
#[derive(Clone, Copy)]
struct Look<'a> {
    folder: &'a Path,
    kind: Kind,
    sieve: &'a Sieve,
}

/// What a query looks into.
struct Parts {
    files: Vec<ParquetFile>,
    segments: Vec<SegmentFile>,
}

impl Parts {
    /// All segments, and of the files those that can have rows by the times in their
    /// names and by their filters: the others are not opened.
    fn choose(
        Look { folder, kind, sieve }: Look<'_>,
        state: &dyn Session,
        filters: &[Expr],
        schema: &SchemaRef,
    ) -> Result<Self> {
        let mut listing = files::list(folder).map_err(external)?;
        listing.segments.retain(|segment| segment.kind == kind);
        listing.files.retain(|file| file.kind == kind);
        if let Some(filter) = conjunction(filters.to_vec())
            && !listing.files.is_empty()
        {
            let described = DFSchema::try_from(Arc::clone(schema))?;
            let filter = state.create_physical_expr(filter, &described)?;
            let pruning =
                PruningPredicateBuilder::new().with_file_schema(Arc::clone(schema)).build(filter);
            if let Some(pruning) = pruning {
                let mut kept = pruning.prune(&Times(&listing.files))?.into_iter();
                listing.files.retain(|_| kept.next().unwrap_or(true));
            }
        }
        sieve.choose(&mut listing.files, filters);
        listing.files.retain(|file| match parquet_file::check(&file.path) {
            Err(error @ RecordsError::Damaged { .. }) => {
                log::warn!("{error}; it is left out, `scorer records maintain` sets it aside");
                false
            }
            // What is gone is noticed when it is opened.
            _ => true,
        });
        Ok(Self { files: listing.files, segments: listing.segments })
    }

    /// Not later than the first row.
    fn first(&self) -> Result<Timestamp> {
        /// Rows of a segment are in the order they came: out of time's by little.
        const OUT_OF_ORDER: Duration = Duration::from_hours(1);
        let mut first = self.files.iter().map(|file| file.times[0]).min();
        for segment in &self.segments {
            let mut reader = Reader::open(&segment.path, Some(&["ts"])).map_err(external)?;
            if let Some(batch) = reader.next()
                && let Some(ns) =
                    batch.column(0).as_primitive::<TimestampNanosecondType>().values().first()
            {
                let about = (*ns as u64).saturating_sub(OUT_OF_ORDER.as_nanos() as u64);
                first = Some(first.map_or(Timestamp(about), |first| first.min(Timestamp(about))));
            }
        }
        Ok(first.unwrap_or_default())
    }

    /// The chosen rows and columns.
    fn plan(
        self,
        schema: &SchemaRef,
        columns: &[&str],
        filters: &[Expr],
    ) -> Result<LogicalPlanBuilder> {
        let mut needed: HashSet<&str> = columns.iter().copied().collect();
        let of_filters: Vec<_> = filters.iter().flat_map(Expr::column_refs).collect();
        needed.extend(of_filters.iter().map(|column| column.name.as_str()));
        let index = |name: &&str| schema.index_of(name).ok();
        let mut indexes: Vec<usize> = needed.iter().filter_map(index).collect();
        indexes.sort_unstable();
        let narrow = Arc::new(schema.project(&indexes)?);
        let filter = conjunction(filters.to_vec());
        let chosen = |table: Arc<dyn TableProvider>, name: &str| {
            let mut plan = LogicalPlanBuilder::scan(name, provider_as_source(table), None)?;
            if let Some(filter) = &filter {
                plan = plan.filter(filter.clone())?;
            }
            plan.project(columns.iter().map(|name| col(*name)))
        };
        let live = Arc::new(self.live(&narrow)?);
        // The names of the two sides of a union need not be told apart.
        let mut plan = chosen(live, "records")?;
        if !self.files.is_empty() {
            let urls: Result<Vec<_>> =
                self.files.iter().map(|file| ListingTableUrl::parse(url(&file.path))).collect();
            let options = ListingOptions::new(Arc::new(ParquetFormat::default()))
                .with_file_extension(".parquet");
            let config = ListingTableConfig::new_with_multi_paths(urls?)
                .with_listing_options(options)
                .with_schema(narrow);
            let stored = chosen(Arc::new(ListingTable::try_new(config)?), "records")?;
            plan = plan.union(stored.build()?)?;
        }
        Ok(plan)
    }

    /// Rows of the segments.
    fn live(&self, schema: &SchemaRef) -> Result<MemTable> {
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let mut read = names.clone();
        // All features lie in one list: of it those wanted are taken.
        if names.iter().any(|name| REGISTRY.iter().any(|feature| feature.name == *name)) {
            read.push(FEATURES);
        }
        // Tells how many rows there are where no column is wanted.
        if read.is_empty() {
            read.push("ts");
        }
        let mut batches = Vec::new();
        for segment in &self.segments {
            let mut reader = Reader::open(&segment.path, Some(&read)).map_err(external)?;
            while let Some(batch) = reader.next() {
                let wide = parquet_file::widen(&batch, Some(&names))?;
                let columns =
                    schema.fields().iter().map(|field| match wide.column_by_name(field.name()) {
                        Some(column) => Arc::clone(column),
                        None => new_null_array(field.data_type(), wide.num_rows()),
                    });
                let rows = RecordBatchOptions::new().with_row_count(Some(wide.num_rows()));
                batches.push(RecordBatch::try_new_with_options(
                    Arc::clone(schema),
                    columns.collect(),
                    &rows,
                )?);
            }
            if let Tail::Damaged(what) = reader.tail() {
                let path = segment.path.display();
                log::warn!("{path} is damaged: {what}; what comes before was read");
            }
        }
        MemTable::try_new(Arc::clone(schema), vec![batches])
    }
}

/// A path as a URL whose signs stand for themselves.
fn url(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    path.display().to_string()
}

/// What the names of files say of their rows.
struct Times<'a>(&'a [ParquetFile]);

impl Times<'_> {
    fn of(&self, column: &Column, which: usize) -> Option<ArrayRef> {
        let times = self.0.iter().map(|file| file.times[which].0 as i64);
        (column.name == "ts").then(|| {
            Arc::new(TimestampNanosecondArray::from_iter_values(times).with_timezone("+00:00")) as _
        })
    }
}

impl PruningStatistics for Times<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.of(column, 0)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.of(column, 1)
    }

    fn num_containers(&self) -> usize {
        self.0.len()
    }

    fn null_counts(&self, _: &Column) -> Option<ArrayRef> {
        None
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        None
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} files, {} segments", self.files.len(), self.segments.len())
    }
}
