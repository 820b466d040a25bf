//! `scorer top`.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, bail};
use clap::Args;
use scorer_common::verdict::Level;

use super::{Common, keeping};
use crate::top::{self, Address, Filter, From, Notices, Scoring, Source};

#[derive(Args, Debug)]
pub(super) struct TopArgs {
    /// Captures to look at, scored here
    #[arg(value_name = "FILE", conflicts_with_all = ["interface", "api"])]
    files: Vec<PathBuf>,
    /// Interface to tap here, where no scorer runs yet; may be given several times (root)
    #[arg(short, long = "interface", value_name = "IF", conflicts_with = "api")]
    interface: Vec<String>,
    /// Running scorer to look at: its API's Unix socket, or http://127.0.0.1:PORT with a
    /// token in SCORER_TOKEN
    #[arg(long, value_name = "SOCKET|URL", default_value = "/run/scorer/api.sock")]
    api: Address,
    /// Show only calls of this level or a higher one (low, medium, high, critical)
    #[arg(long, value_name = "LEVEL")]
    level: Option<String>,
    /// Show only calls of this score or a higher one
    #[arg(long, value_name = "SCORE", default_value_t = 0)]
    min_score: u8,
    /// Show only calls with this tag
    #[arg(long, value_name = "TAG", default_value = "")]
    tag: String,
    /// Show only calls over this trunk
    #[arg(long, value_name = "NAME", default_value = "")]
    trunk: String,
    /// Show only calls from or to this country (ISO 3166: GB)
    #[arg(long, value_name = "XX", default_value = "")]
    country: String,
    /// Calls to keep in memory, some 10 kB each
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    keep: u32,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: &TopArgs, notices: &Notices) -> anyhow::Result<ExitCode> {
    let level = args.level.as_deref().map(level).transpose()?;
    let filter = Filter {
        level,
        score: args.min_score,
        tag: args.tag.clone(),
        trunk: args.trunk.clone(),
        country: args.country.clone(),
        ..Filter::default()
    };
    let (config, model) = args.common.load()?;
    let certificates = keeping::kept_certificates(&config.stir)?;
    let scoring = Scoring { config, model, certificates };
    let from = match (&*args.files, &*args.interface) {
        ([], []) => From::Running(args.api.clone(), token()?),
        ([], interfaces) => From::Interfaces(interfaces.to_vec()),
        (files, _) => From::Captures(files.to_vec()),
    };
    let source = Source::open(from, scoring, &filter)?;
    top::run(source, args.keep as usize, filter, notices)?;
    Ok(ExitCode::SUCCESS)
}

fn level(text: &str) -> anyhow::Result<Level> {
    let level = Level::ALL.into_iter().find(|known| known.name() == text);
    level.with_context(|| format!("{text:?} is no level; there are low, medium, high and critical"))
}

/// The token, from the environment: on a command line all users of a host could read it.
fn token() -> anyhow::Result<Option<String>> {
    match std::env::var("SCORER_TOKEN") {
        Ok(token) if !token.is_empty() => {
            let is_good = token.bytes().all(|byte| byte.is_ascii_graphic());
            anyhow::ensure!(is_good, "SCORER_TOKEN holds characters that no token has");
            Ok(Some(token))
        }
        Ok(_) | Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => bail!("SCORER_TOKEN is not text"),
    }
}
