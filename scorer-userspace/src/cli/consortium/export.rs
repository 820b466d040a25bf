//! `scorer consortium export`.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::Args;

use super::At;
use crate::{
    cli::print,
    share::{Home, event::Signed, stix},
};

#[derive(Args, Debug)]
pub(super) struct ExportArgs {
    /// As a bundle of STIX 2.1, the one form there is
    #[arg(long, required = true)]
    stix: bool,
    /// Your own events instead of the others'
    #[arg(long)]
    own: bool,
    /// File to write, instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    at: At,
}

pub(super) fn run(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let (_, home) = args.at.home()?;
    let store = Home::look(&home.folder)?;
    let mut events = Vec::new();
    // They were judged when they came.
    let mut add = |bytes: &[u8]| events.extend(Signed::decode(bytes).map(|signed| signed.event));
    if args.own {
        store.own()?.iter().for_each(|own| add(&own.bytes));
    } else {
        store.events(&mut |row| add(&row.bytes))?;
    }
    let text = format!("{:#}\n", stix::bundle(&home.bundle.consortium, &events));
    match &args.output {
        Some(path) => {
            std::fs::write(path, text)
                .with_context(|| format!("cannot write {}", path.display()))?;
            Ok(ExitCode::SUCCESS)
        }
        None => print(text.as_bytes()),
    }
}
