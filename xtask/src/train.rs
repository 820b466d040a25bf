//! Trains the model in models/ from simulated calls, and calls of one's own.

use std::{path::PathBuf, process::Command};

use anyhow::Result;
use clap::Args;

use crate::{
    run::{cargo, check, root, say},
    setup,
};

#[derive(Args, Debug)]
pub(crate) struct TrainArgs {
    /// Folder for the model, its card and its metrics
    #[arg(long, default_value = "models")]
    pub(crate) out: PathBuf,
    /// Plan of the runs (models/training.toml)
    #[arg(long, value_name = "FILE")]
    pub(crate) plan: Option<PathBuf>,
    /// Labelled calls of one's own: a folder that `scorer vectors` wrote; may be given several times
    #[arg(long, value_name = "FOLDER")]
    pub(crate) vectors: Vec<PathBuf>,
    /// Share of each run's calls, for a trial
    #[arg(long, default_value_t = 1.0)]
    pub(crate) scale: f64,
    /// The program that simulates; built with optimisation when not given
    #[arg(long, value_name = "FILE")]
    pub(crate) scorer: Option<PathBuf>,
}

pub(crate) fn run(args: &TrainArgs) -> Result<()> {
    let scorer = if let Some(path) = &args.scorer {
        path.clone()
    } else {
        say("building scorer with optimisation (minutes, the first time)");
        check(&mut cargo(["build", "--quiet", "--release", "--package", "scorer-userspace"]))?;
        root().join("target/release/scorer")
    };
    let python = environment()?;
    let mut train = Command::new(python);
    train.arg(root().join("models/train.py")).arg("--scorer").arg(scorer);
    train.arg("--work").arg(root().join("target/train")).arg("--out").arg(&args.out);
    train.arg("--scale").arg(args.scale.to_string());
    if let Some(plan) = &args.plan {
        train.arg("--plan").arg(plan);
    }
    for folder in &args.vectors {
        train.arg("--vectors").arg(folder);
    }
    check(&mut train)
}

/// Python of the virtual environment with what training needs, made once.
pub(crate) fn environment() -> Result<PathBuf> {
    setup::run(setup::Purpose::Train)?;
    let why =
        "installing what training needs into target/venv (LightGBM, onnxmltools, scikit-learn)";
    Ok(setup::python("target/venv", "models/requirements-train.txt", why)?.join("python"))
}

/// A small training from end to end, with the program that tests use: its model must
/// load, and the logistic model must be what its table says.
pub(crate) fn trial() -> Result<()> {
    let (scorer, out) = (root().join("target/debug/scorer"), root().join("target/train-trial"));
    run(&TrainArgs {
        out: out.clone(),
        plan: Some(root().join("models/trial.toml")),
        vectors: Vec::new(),
        scale: 1.0,
        scorer: Some(scorer.clone()),
    })?;
    check(Command::new(scorer).args(["model", "check"]).arg(out.join("trial.onnx")))?;
    let mut baseline = Command::new(environment()?);
    check(baseline.arg(root().join("models/baseline.py")).arg("--check"))
}
