//! `scorer records`.

use std::{path::Path, process::ExitCode, time::Duration};

use clap::{Args, Subcommand};

use super::store::StoreArgs;
use crate::{
    records::{
        Archive, Archived, Checked, Erased, Kept, RecordsError, Sought, check, erase, maintain,
        markdown,
    },
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
    /// Put finished Parquet files into object storage, once or again and again
    Archive {
        /// Where: s3://BUCKET/PREFIX (keys, region and endpoint from AWS_… in the environment)
        /// or file:///FOLDER
        #[arg(long, value_name = "URL")]
        to: String,
        /// Name of this host there; that of the cluster or of the system when not given
        #[arg(long, value_name = "NAME")]
        host: Option<String>,
        /// Do it every so many seconds, until it is ended
        #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
        every: Option<u64>,
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
        Command::Archive { to, host, every, store } => {
            let (config, folder) = store.folder()?;
            let host = match host {
                Some(host) => host.clone(),
                None => config.cluster.host()?,
            };
            archive(to, &host, &folder, every.map(Duration::from_secs))
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

fn archive(
    to: &str,
    host: &str,
    folder: &Path,
    every: Option<Duration>,
) -> anyhow::Result<ExitCode> {
    let archive = Archive::open(to)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        loop {
            let ran = archive.run(folder, host).await;
            match (&ran, every) {
                (Ok(Archived { put, bytes, there, deleted }), _) => eprintln!(
                    "{put} files put ({bytes} bytes), {there} were there, {deleted} with numbers deleted"
                ),
                (Err(error), Some(_)) => log::error!("{error}; tried again"),
                (Err(_), None) => {}
            }
            let Some(every) = every else { return Ok(ran.map(|_| ExitCode::SUCCESS)?) };
            tokio::time::sleep(every).await;
        }
    })
}
