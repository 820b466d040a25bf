//! `scorer model`.

use std::{fmt::Write as _, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Args, Subcommand};

use crate::{
    config::Config,
    features::names,
    model::{Folder, Model},
};

#[derive(Args, Debug)]
pub(super) struct ModelArgs {
    #[command(subcommand)]
    what: What,
    /// Folder of models, instead of the configured one
    #[arg(long, global = true, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Configuration file (TOML), for `model.folder`
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the models of the folder, and which are in use
    List,
    /// Show what a model is: name, id, kind
    Show {
        /// Name of a model in the folder
        name: String,
    },
    /// Check that a model file can be used
    Check {
        /// ONNX file
        file: PathBuf,
    },
    /// Let a model score from now on; a running scorer takes it up by itself
    Promote {
        /// Name of a model in the folder
        name: String,
    },
    /// Go back to the model that scored before
    Rollback,
    /// Put a model on trial: it scores a share of calls in the shadow
    Challenge {
        /// Name of a model in the folder
        #[arg(required_unless_present = "none")]
        name: Option<String>,
        /// End the trial
        #[arg(long, conflicts_with = "name")]
        none: bool,
    },
}

pub(super) fn run(args: &ModelArgs) -> anyhow::Result<ExitCode> {
    let names = names();
    if let What::Check { file } = &args.what {
        let model = Model::load(file, &names)?;
        return super::print(format!("{}can be used\n", about(&model)).as_bytes());
    }
    let configured = match (&args.folder, &args.config) {
        (Some(path), _) => Some(path.clone()),
        (None, Some(config)) => Config::read(config)?.models.folder,
        (None, None) => None,
    };
    let folder = configured.context(
        "where are the models? give --folder FOLDER, or --config FILE with model.folder",
    )?;
    let folder = Folder::new(&folder);
    let text = match &args.what {
        What::List => list(&folder, &names)?,
        What::Show { name } => about(&folder.load(name, &names)?),
        What::Promote { name } => {
            format!("{} scores from now on\n", folder.promote(name, &names)?.name())
        }
        What::Rollback => match &*folder.rollback(&names)? {
            "" => "the built-in or configured model scores again\n".into(),
            name => format!("{name} scores again\n"),
        },
        What::Challenge { name, .. } => {
            folder.challenge(name.as_deref(), &names)?;
            match name {
                Some(name) => format!("{name} is on trial\n"),
                None => "no model is on trial\n".into(),
            }
        }
        What::Check { .. } => String::new(),
    };
    super::print(text.as_bytes())
}

fn about(model: &Model) -> String {
    let reference = if model.reference().is_some() { "yes" } else { "no" };
    format!(
        "name: {}\nid: {:016x}\nkind: {}\nreference for drift: {reference}\n",
        model.name(),
        model.id(),
        model.kind()
    )
}

fn list(folder: &Folder, names: &[&str]) -> anyhow::Result<String> {
    let state = folder.state()?;
    let mut text = String::new();
    for file in folder.files()? {
        let role = if file == state.champion {
            "champion"
        } else if file == state.challenger {
            "challenger"
        } else {
            "-"
        };
        let what = match folder.load(&file, names) {
            Ok(model) => format!("{} {:016x} {}", model.name(), model.id(), model.kind()),
            Err(error) => format!("cannot be used: {error}"),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{role:<10} {file:<24} {what}");
    }
    if state.champion.is_empty() {
        text.push_str(
            "no model of this folder was promoted: the built-in or configured one scores\n",
        );
    }
    Ok(text)
}
