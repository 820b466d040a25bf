//! `scorer config`.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};

use crate::config::{Config, example, markdown};

#[derive(Args, Debug)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Check a file and say what is wrong with it
    Check {
        /// The file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Show what a file comes to, defaults included
    Show {
        /// The file; without it the defaults
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Print a file with every option at its default
    Example,
    /// Print docs/configuration.md
    Markdown,
}

pub(super) fn run(args: &ConfigArgs) -> anyhow::Result<ExitCode> {
    match &args.what {
        What::Check { config } => {
            Config::read(config)?;
            super::print(format!("{}: good\n", config.display()).as_bytes())
        }
        What::Show { config } => {
            let config = config.as_deref().map_or_else(|| Ok(Config::default()), Config::read)?;
            super::print(format!("{config:#?}\n").as_bytes())
        }
        What::Example => super::print(example().as_bytes()),
        What::Markdown => super::print(markdown().as_bytes()),
    }
}
