//! `scorer query`.

use std::{io, process::ExitCode, time::Duration};

use clap::Args;

use super::store::StoreArgs;
use crate::records::query::{Answered, Format, Limits, Output, QueryError, Store};

#[derive(Args, Debug)]
pub(super) struct QueryArgs {
    /// What is asked, of the tables calls, features and outcomes (docs/records.md)
    #[arg(value_name = "SQL")]
    sql: String,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Rows at most
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    limit: usize,
    /// Seconds the query may take
    #[arg(long, value_name = "S", default_value_t = 60)]
    timeout: u64,
    /// MiB that sorting, grouping and joining may take
    #[arg(long, value_name = "MIB", default_value_t = 512)]
    memory: usize,
    #[command(flatten)]
    store: StoreArgs,
}

pub(super) fn run(args: &QueryArgs) -> anyhow::Result<ExitCode> {
    let (_, store) = args.store.open()?;
    let limits = Limits {
        rows: Some(args.limit),
        time: Some(Duration::from_secs(args.timeout)),
        memory: args.memory.saturating_mul(1 << 20),
    };
    print(&store, &args.sql, &limits, args.format, false)
}

/// Prints an answer; exit code 1 when it was cut.
pub(super) fn print(
    store: &Store,
    sql: &str,
    limits: &Limits,
    format: Format,
    mask: bool,
) -> anyhow::Result<ExitCode> {
    let mut output = Output::new(format, mask, io::BufWriter::new(io::stdout()));
    let result = store.query(sql, limits, &mut output).and_then(|answered| {
        output.finish()?;
        Ok(answered)
    });
    match result {
        Ok(Answered { cut: false, .. }) => Ok(ExitCode::SUCCESS),
        Ok(Answered { rows, .. }) => {
            eprintln!("only the first {rows} rows are shown; --limit asks for more");
            Ok(ExitCode::from(1))
        }
        Err(QueryError::Output(error)) if error.is_broken_pipe() => Ok(ExitCode::SUCCESS),
        Err(error) => Err(error.into()),
    }
}
