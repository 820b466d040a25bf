//! Answers on paper: a table, CSV, JSON lines, Parquet.

use std::{
    fs::File,
    io::{self, Write},
    sync::Arc,
};

use arrow::{
    array::{Array, ArrayRef, AsArray as _, RecordBatch, StringArray},
    csv::{Writer as CsvWriter, WriterBuilder},
    datatypes::{DataType, Field, Schema, SchemaRef},
    error::ArrowError,
    json::LineDelimitedWriter,
    util::display::{ArrayFormatter, FormatOptions},
};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::properties::WriterProperties,
};

use crate::number;

/// How an answer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Columns, for people
    #[default]
    Table,
    /// One JSON object a line
    Jsonl,
    /// Comma-separated values, with a heading
    Csv,
}

/// Why an answer could not be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// Arrow, or the writer below it.
    #[error("cannot write the answer: {0}")]
    Arrow(#[from] ArrowError),
    /// Parquet.
    #[error("cannot write the answer: {0}")]
    Parquet(#[from] ParquetError),
    /// The writer.
    #[error("cannot write the answer: {0}")]
    Io(#[from] io::Error),
}

impl OutputError {
    /// Whether the reader has gone away, which is no error of ours.
    pub fn is_broken_pipe(&self) -> bool {
        let io = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
        match self {
            Self::Io(error) | Self::Arrow(ArrowError::IoError(_, error)) => io(error),
            Self::Arrow(error) => error.to_string().contains("Broken pipe"),
            Self::Parquet(_) => false,
        }
    }
}

/// Widest a column of a table gets.
const WIDEST: usize = 48;
/// Rows whose widths a table is laid out by.
const LAID_OUT_BY: usize = 1_000;

/// Takes an answer. A closure takes its rows.
pub trait Sink: Send {
    /// Takes the columns, before all rows.
    ///
    /// # Errors
    /// Those of a writer.
    fn begin(&mut self, _columns: &SchemaRef) -> Result<(), OutputError> {
        Ok(())
    }

    /// Takes rows.
    ///
    /// # Errors
    /// Those of a writer.
    fn rows(&mut self, batch: &RecordBatch) -> Result<(), OutputError>;
}

impl<F: FnMut(&RecordBatch) -> Result<(), OutputError> + Send> Sink for F {
    fn rows(&mut self, batch: &RecordBatch) -> Result<(), OutputError> {
        self(batch)
    }
}

/// Where an answer goes.
pub struct Output<W: Write + Send> {
    way: Way<W>,
    mask: bool,
}

enum Way<W: Write + Send> {
    Table {
        out: W,
        names: Vec<String>,
        rows: Vec<Vec<String>>,
        widths: Option<Vec<usize>>,
    },
    Jsonl(Box<LineDelimitedWriter<W>>),
    /// The schema before there is a row: an answer without rows has a heading, too.
    Csv(Box<CsvWriter<W>>),
}

impl<W: Write + Send> Output<W> {
    /// One in a format; with `mask` numbers show their first three characters and last
    /// two.
    pub fn new(format: Format, mask: bool, out: W) -> Self {
        let way = match format {
            Format::Table => Way::Table { out, names: Vec::new(), rows: Vec::new(), widths: None },
            Format::Jsonl => Way::Jsonl(Box::new(LineDelimitedWriter::new(out))),
            Format::Csv => Way::Csv(Box::new(WriterBuilder::new().with_header(true).build(out))),
        };
        Self { way, mask }
    }

    /// Writes what is left, and gives the writer back.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn finish(self) -> Result<W, OutputError> {
        let mut out = match self.way {
            Way::Table { mut out, names, mut rows, mut widths } => {
                lay_out(&mut out, &names, &mut rows, &mut widths)?;
                out
            }
            Way::Jsonl(mut writer) => {
                writer.finish()?;
                writer.into_inner()
            }
            Way::Csv(writer) => writer.into_inner(),
        };
        out.flush()?;
        Ok(out)
    }
}

impl<W: Write + Send> Sink for Output<W> {
    fn begin(&mut self, schema: &SchemaRef) -> Result<(), OutputError> {
        match &mut self.way {
            Way::Table { names, .. } => {
                *names = schema.fields().iter().map(|field| printable(field.name())).collect();
            }
            Way::Jsonl(_) => {}
            Way::Csv(writer) => {
                writer.write(&flat(&RecordBatch::new_empty(Arc::clone(schema)))?)?;
            }
        }
        Ok(())
    }

    fn rows(&mut self, batch: &RecordBatch) -> Result<(), OutputError> {
        let masked;
        let batch = if self.mask {
            masked = masked_batch(batch)?;
            &masked
        } else {
            batch
        };
        match &mut self.way {
            Way::Table { out, names, rows, widths } => {
                let options = FormatOptions::default().with_null("-");
                let columns: Result<Vec<_>, _> = batch
                    .columns()
                    .iter()
                    .map(|column| ArrayFormatter::try_new(column, &options))
                    .collect();
                let columns = columns?;
                for row in 0..batch.num_rows() {
                    rows.push(
                        columns.iter().map(|c| printable(&c.value(row).to_string())).collect(),
                    );
                    if rows.len() >= LAID_OUT_BY {
                        lay_out(out, names, rows, widths)?;
                    }
                }
            }
            Way::Jsonl(writer) => writer.write(batch)?,
            Way::Csv(writer) => writer.write(&flat(batch)?)?,
        }
        Ok(())
    }
}

/// Writes an answer as a Parquet file.
pub struct ParquetOutput {
    file: Option<File>,
    writer: Option<ArrowWriter<File>>,
}

impl ParquetOutput {
    /// Into a file.
    pub fn new(file: File) -> Self {
        Self { file: Some(file), writer: None }
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn finish(self) -> Result<(), OutputError> {
        if let Some(writer) = self.writer {
            writer.into_inner()?.sync_all()?;
        }
        Ok(())
    }
}

impl Sink for ParquetOutput {
    fn begin(&mut self, schema: &SchemaRef) -> Result<(), OutputError> {
        let level = ZstdLevel::try_new(3).unwrap_or_default();
        let properties =
            WriterProperties::builder().set_compression(Compression::ZSTD(level)).build();
        if let Some(file) = self.file.take() {
            self.writer = Some(ArrowWriter::try_new(file, Arc::clone(schema), Some(properties))?);
        }
        Ok(())
    }

    fn rows(&mut self, batch: &RecordBatch) -> Result<(), OutputError> {
        Ok(self.writer.as_mut().map_or(Ok(()), |writer| writer.write(batch))?)
    }
}

/// The bytes are strangers', and a terminal obeys some of them.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn lay_out(
    out: &mut impl Write,
    names: &[String],
    rows: &mut Vec<Vec<String>>,
    widths: &mut Option<Vec<usize>>,
) -> io::Result<()> {
    let laid_out = match widths {
        Some(widths) => widths,
        none => {
            let widths = none.insert(names.iter().map(|name| name.chars().count()).collect());
            for row in rows.iter() {
                for (width, value) in widths.iter_mut().zip(row) {
                    *width = value.chars().count().clamp(*width, WIDEST.max(*width));
                }
            }
            line(out, names, widths)?;
            widths
        }
    };
    for row in rows.drain(..) {
        line(out, &row, laid_out)?;
    }
    Ok(())
}

fn line(out: &mut impl Write, values: &[String], widths: &[usize]) -> io::Result<()> {
    let mut text = String::new();
    for (value, width) in values.iter().zip(widths) {
        let length = value.chars().count();
        if length > *width {
            text.extend(value.chars().take(width - 1));
            text.push('~');
        } else {
            text.push_str(value);
            text.extend(std::iter::repeat_n(' ', width - length));
        }
        text.push_str("  ");
    }
    writeln!(out, "{}", text.trim_end())
}

/// Lists as text: tags with commas between them, reasons as `feature=contribution`.
fn flat(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let column: ArrayRef = match column.data_type() {
            DataType::List(_) => {
                let list = column.as_list::<i32>();
                let text: Result<StringArray, ArrowError> = (0..list.len())
                    .map(|row| list.is_valid(row).then(|| joined(&list.value(row))).transpose())
                    .collect();
                Arc::new(text?)
            }
            _ => Arc::clone(column),
        };
        fields.push(Field::new(field.name(), column.data_type().clone(), true));
        columns.push(column);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

fn joined(items: &ArrayRef) -> Result<String, ArrowError> {
    let options = FormatOptions::default();
    let parts: Vec<ArrayRef> = match items.as_struct_opt() {
        Some(reasons) => ["feature", "contribution"]
            .iter()
            .filter_map(|name| reasons.column_by_name(name).map(Arc::clone))
            .collect(),
        None => vec![Arc::clone(items)],
    };
    let parts: Result<Vec<_>, _> =
        parts.iter().map(|part| ArrayFormatter::try_new(part, &options)).collect();
    let parts = parts?;
    let item = |row| parts.iter().map(|p| p.value(row).to_string()).collect::<Vec<_>>().join("=");
    Ok((0..items.len()).map(item).collect::<Vec<_>>().join(","))
}

/// Columns with numbers in them, masked.
fn masked_batch(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns()).map(|(field, column)| {
        let is_number = ["caller", "network_number", "callee"].contains(&field.name().as_str());
        match column.as_string_opt::<i32>().filter(|_| is_number) {
            Some(texts) => {
                let mask = |text: &str| number::mask(text.as_bytes()).to_string();
                let masked: StringArray = texts.iter().map(|text| text.map(mask)).collect();
                Arc::new(masked) as ArrayRef
            }
            None => Arc::clone(column),
        }
    });
    RecordBatch::try_new(Arc::clone(&schema), columns.collect())
}
