//! `scorer records`.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::store::StoreArgs;
use crate::{
    records::{Checked, Erased, Kept, RecordsError, Sought, check, erase, maintain, markdown},
    tap::wall,
};

#[derive(Args, Debug)]
pub(super) struct RecordsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Delete what is too old or too much, replace numbers by pseudonyms, take up what
    /// a crash left; `tap` does the same every ten minutes
    Maintain {
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Print the tables and their columns (docs/records-schema.md)
    Schema,
    /// Read every file to its end, and set aside what is damaged
    Check {
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Erase every call with a number in it (GDPR article 17), also while `tap` records
    Erase {
        /// The number, such as +441632960001; found in every form, and as a pseudonym
        #[arg(value_name = "NUMBER")]
        number: String,
        /// Delete files that were set aside as damaged, too: it may be in them
        #[arg(long)]
        damaged: bool,
        #[command(flatten)]
        store: StoreArgs,
    },
}

pub(super) fn run(args: &RecordsArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Maintain { store } => {
            let (folder, config) = store.keeping()?;
            let Kept { segments, deleted, freed, pseudonymised, damaged } =
                maintain(&folder, &config, wall())?;
            eprintln!(
                "{segments} segments made Parquet files, {deleted} files deleted ({freed} bytes), \
                 numbers replaced in {pseudonymised} files, {damaged} files set aside as damaged"
            );
            Ok(if damaged > 0 { ExitCode::from(1) } else { ExitCode::SUCCESS })
        }
        Command::Schema => super::print(markdown().as_bytes()),
        Command::Check { store } => {
            let (folder, _) = store.keeping()?;
            let Checked { files, rows, damaged, segments } = check(&folder)?;
            eprintln!("{rows} calls and outcomes in {files} files and segments can be read");
            for path in &damaged {
                eprintln!("{} is damaged and left out of queries", path.display());
            }
            for path in &segments {
                eprintln!(
                    "{} is damaged; what comes before is read, and it will be set aside",
                    path.display()
                );
            }
            let whole = damaged.is_empty() && segments.is_empty();
            Ok(if whole { ExitCode::SUCCESS } else { ExitCode::from(1) })
        }
        Command::Erase { number, damaged, store } => {
            let (folder, config) = store.keeping()?;
            let sought = Sought::parse(number, config.home)
                .ok_or_else(|| RecordsError::NoNumber(number.clone()))?;
            let Erased { rows, files, damaged } = erase(&folder, &config, &sought, *damaged)?;
            eprintln!("erased {rows} calls from {files} files");
            for path in &damaged {
                eprintln!(
                    "{} is damaged and was not looked into; --damaged deletes it",
                    path.display()
                );
            }
            Ok(if damaged.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
        }
    }
}
