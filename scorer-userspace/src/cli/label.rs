//! `scorer label`.

use std::{fs::File, io, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{ArgGroup, Args};

use crate::{
    config::Config,
    labels::{Label, Labels},
};

#[derive(Args, Debug)]
#[command(group = ArgGroup::new("what").required(true).args(["fraud", "genuine", "import", "export"]))]
pub(super) struct LabelArgs {
    /// Call-ID of the call, as in its verdict
    #[arg(value_name = "CALL_ID", required_unless_present_any = ["import", "export"])]
    call_id: Option<String>,
    /// The call was fraud
    #[arg(long, requires = "call_id")]
    fraud: bool,
    /// The call was genuine
    #[arg(long, requires = "call_id")]
    genuine: bool,
    /// Who says so; the user name when not given
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
    /// How much it counts in training
    #[arg(long, value_name = "WEIGHT", default_value_t = 1.0)]
    weight: f64,
    /// Add the labels of a CSV file: call_id, label, and perhaps by, at, weight, note
    #[arg(long, value_name = "FILE", conflicts_with = "call_id")]
    import: Option<PathBuf>,
    /// Write all labels as CSV; `-` for standard output
    #[arg(long, value_name = "FILE", conflicts_with = "call_id")]
    export: Option<PathBuf>,
    /// File the labels are kept in, instead of the configured one
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Configuration file (TOML), for `labels.path`
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(args: &LabelArgs) -> anyhow::Result<ExitCode> {
    let configured = match (&args.labels, &args.config) {
        (Some(path), _) => Some(path.clone()),
        (None, Some(config)) => Config::read(config)?.labels,
        (None, None) => None,
    };
    let path = configured.context(
        "where are the labels kept? give --labels FILE, or --config FILE with labels.path",
    )?;
    let mut labels = Labels::open(&path)?;
    let by = match &args.by {
        Some(by) => by.clone(),
        None => std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).unwrap_or_default(),
    };
    let now = jiff::Timestamp::now().as_second();
    if let Some(file) = &args.import {
        let from = File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
        let count = labels.import(from, &by, now).with_context(|| file.display().to_string())?;
        eprintln!("added {count} labels to {}", path.display());
    } else if let Some(file) = &args.export {
        let count = if file.as_os_str() == "-" {
            labels.export(io::stdout().lock())?
        } else {
            let out =
                File::create(file).with_context(|| format!("cannot write {}", file.display()))?;
            labels.export(out)?
        };
        eprintln!("wrote {count} labels");
    } else if let Some(call_id) = &args.call_id {
        let (fraud, note, weight) = (args.fraud, args.note.clone(), args.weight);
        labels.add(&Label { call_id: call_id.clone(), fraud, by, at: now, weight, note })?;
        eprintln!("labelled {}", if fraud { "fraud" } else { "genuine" });
    }
    Ok(ExitCode::SUCCESS)
}
