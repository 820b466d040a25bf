//! `scorer consortium`.

mod export;
mod hub;
mod share;
mod status;
mod whom;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Args, Subcommand};

use crate::{
    config::Config,
    share::{Bundle, Home},
};

#[derive(Args, Debug)]
pub(super) struct ConsortiumArgs {
    #[command(subcommand)]
    command: ConsortiumCommand,
}

#[derive(Debug, Subcommand)]
enum ConsortiumCommand {
    /// Found a consortium and run its hub: members, keys, the NATS server's configuration
    #[command(subcommand)]
    Hub(hub::HubCommand),
    /// Join a consortium with the bundle that its hub made
    Join(JoinArgs),
    /// Tell the others of a fraudster, by pseudonyms alone
    Share(share::ShareArgs),
    /// Show members, trust, what they said, what was refused and why
    Status(status::StatusArgs),
    /// Withdraw an event of your own, or, at the hub, a member
    Revoke(share::RevokeArgs),
    /// Write the events that are known, as STIX 2.1
    Export(export::ExportArgs),
}

#[derive(Args, Debug)]
struct JoinArgs {
    /// The bundle; keep it secret, and delete it afterwards
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    #[command(flatten)]
    at: At,
}

/// Where a member's folder is.
#[derive(Args, Debug)]
struct At {
    /// The member's folder, instead of the configured one
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Configuration file (TOML), for `consortium.folder` and its bounds
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl At {
    /// The configuration, and the folder.
    fn find(&self) -> anyhow::Result<(Config, PathBuf)> {
        let config = match &self.config {
            Some(path) => Config::read(path)?,
            None => Config::default(),
        };
        let folder = self.folder.clone().or_else(|| config.consortium.folder.clone()).context(
            "where is the member's folder? give --folder FOLDER, or --config FILE with \
             consortium.folder",
        )?;
        Ok((config, folder))
    }

    fn home(&self) -> anyhow::Result<(Config, Home)> {
        let (config, folder) = self.find()?;
        let home = Home::open(&folder)?;
        Ok((config, home))
    }
}

pub(super) fn run(args: &ConsortiumArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        ConsortiumCommand::Hub(command) => hub::run(command),
        ConsortiumCommand::Join(args) => join(args),
        ConsortiumCommand::Share(args) => share::run(args),
        ConsortiumCommand::Status(args) => status::run(args),
        ConsortiumCommand::Revoke(args) => share::revoke(args),
        ConsortiumCommand::Export(args) => export::run(args),
    }
}

fn join(args: &JoinArgs) -> anyhow::Result<ExitCode> {
    let (_, folder) = args.at.find()?;
    let home = Home::join(Bundle::read(&args.bundle)?, &folder)?;
    let directory = home.store()?.directory()?.context("the hub told nothing")?;
    eprintln!(
        "{} has joined {} ({}, {} members), its folder is {}; set consortium.folder to it, and \
         delete {}",
        home.bundle.member,
        directory.consortium,
        directory.mode.name(),
        directory.members.len(),
        folder.display(),
        args.bundle.display()
    );
    Ok(ExitCode::SUCCESS)
}

/// What waits for the network, on this thread.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
