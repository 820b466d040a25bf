//! `scorer backup` and `scorer restore`.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use crate::{backup, config::Config};

#[derive(Args, Debug)]
pub(super) struct BackupArgs {
    /// Folder to make; it is whole or not there
    #[arg(value_name = "FOLDER")]
    into: PathBuf,
    /// Configuration file (TOML), which names what is backed up
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Records of calls, too
    #[arg(long)]
    records: bool,
    /// Replace a backup of that name, once the new one is whole
    #[arg(long)]
    force: bool,
}

#[derive(Args, Debug)]
pub(super) struct RestoreArgs {
    /// Folder of a backup
    #[arg(value_name = "FOLDER")]
    from: PathBuf,
    /// Put the files below this folder, and not where they were
    #[arg(long, value_name = "FOLDER")]
    root: Option<PathBuf>,
    /// Without the records of calls that are in it
    #[arg(long)]
    no_records: bool,
    /// Hold every file against the manifest, and change nothing
    #[arg(long, conflicts_with_all = ["root", "no_records", "force"])]
    check: bool,
    /// Replace files that are there
    #[arg(long)]
    force: bool,
}

pub(super) fn make(args: &BackupArgs) -> anyhow::Result<ExitCode> {
    let config = Config::read(&args.config)?;
    let made = backup::make(&args.config, &config, &args.into, args.records, args.force)?;
    let bytes: u64 = made.files.iter().map(|entry| entry.bytes).sum();
    eprintln!("{}: {} files, {bytes} bytes", args.into.display(), made.files.len());
    Ok(ExitCode::SUCCESS)
}

pub(super) fn restore(args: &RestoreArgs) -> anyhow::Result<ExitCode> {
    if args.check {
        let manifest = backup::check(&args.from)?;
        eprintln!(
            "{} is whole: {} files, made {} by scorer {}",
            args.from.display(),
            manifest.files.len(),
            manifest.created,
            manifest.version
        );
        return Ok(ExitCode::SUCCESS);
    }
    let done = backup::restore(&args.from, args.root.as_deref(), !args.no_records, args.force)?;
    for path in &done {
        eprintln!("restored {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}
