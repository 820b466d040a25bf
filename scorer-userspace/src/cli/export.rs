//! `scorer export`.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use super::store::{StoreArgs, in_sql, time};
use crate::{
    private,
    records::query::{Answered, Format, Limits, Output, ParquetOutput, QueryError, Store},
};

#[derive(Args, Debug)]
pub(super) struct ExportArgs {
    /// What the file shall be
    #[arg(long, value_enum)]
    format: Kind,
    /// Since when: so long ago (1h, 7d), or a time; everything when not given
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Until when
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// With every feature's value
    #[arg(long)]
    features: bool,
    /// File to write; its owner alone can read it. `-` for standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Show only the first three characters and the last two of every number (CSV, JSON)
    #[arg(long)]
    mask: bool,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Parquet,
    Csv,
    Jsonl,
}

/// Bytes that joining outcomes may take.
const MEMORY: usize = 2 << 30;

pub(super) fn run(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let (config, store) = args.store.open()?;
    let table = if args.features { "features" } else { "calls" };
    let mut conditions = Vec::new();
    for (sign, when) in [(">=", &args.since), ("<", &args.until)] {
        if let Some(when) = when {
            conditions.push(format!("ts {sign} {}", in_sql(time(when)?)));
        }
    }
    let conditions = match conditions.join(" AND ") {
        none if none.is_empty() => none,
        some => format!(" WHERE {some}"),
    };
    let sql = format!("SELECT * FROM {table}{conditions}");
    let mask = args.mask || config.style.mask;
    anyhow::ensure!(
        !(mask && args.format == Kind::Parquet),
        "numbers are not masked in Parquet files; export CSV or JSON lines"
    );
    let to_stdout = args.out.as_os_str() == "-";
    if to_stdout {
        let format =
            args.format.text().context("Parquet cannot go to standard output; name a file")?;
        let result = text(&store, &sql, format, mask, io::BufWriter::new(io::stdout()));
        return match result {
            Err(QueryError::Output(error)) if error.is_broken_pipe() => Ok(ExitCode::SUCCESS),
            result => Ok(told(result?, &args.out)),
        };
    }
    // Under another name until it is whole.
    let mut half = args.out.clone().into_os_string();
    half.push(".tmp");
    let half = PathBuf::from(half);
    let file =
        private::create(&half).with_context(|| format!("cannot write {}", half.display()))?;
    let result = match args.format.text() {
        Some(format) => text(&store, &sql, format, mask, io::BufWriter::new(file)),
        None => parquet(&store, &sql, file),
    };
    if result.is_err() {
        let _ = fs::remove_file(&half);
    }
    let answered = result?;
    fs::rename(&half, &args.out).with_context(|| format!("cannot write {}", args.out.display()))?;
    Ok(told(answered, &args.out))
}

fn told(answered: Answered, out: &Path) -> ExitCode {
    eprintln!("wrote {} calls to {}", answered.rows, out.display());
    ExitCode::SUCCESS
}

impl Kind {
    fn text(self) -> Option<Format> {
        match self {
            Self::Parquet => None,
            Self::Csv => Some(Format::Csv),
            Self::Jsonl => Some(Format::Jsonl),
        }
    }
}

const LIMITS: Limits = Limits { rows: None, time: None, memory: MEMORY };

fn text<W: io::Write + Send>(
    store: &Store,
    sql: &str,
    format: Format,
    mask: bool,
    out: W,
) -> Result<Answered, QueryError> {
    let mut output = Output::new(format, mask, out);
    let answered = store.query(sql, &LIMITS, &mut output)?;
    output.finish()?;
    Ok(answered)
}

fn parquet(store: &Store, sql: &str, file: File) -> Result<Answered, QueryError> {
    let mut output = ParquetOutput::new(file);
    let answered = store.query(sql, &LIMITS, &mut output)?;
    output.finish()?;
    Ok(answered)
}
