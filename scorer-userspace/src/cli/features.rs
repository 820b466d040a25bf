//! `scorer features`.

use std::{fmt::Write as _, process::ExitCode};

use clap::{Args, ValueEnum};

use crate::features::{FeatureDef, REGISTRY, markdown};

#[derive(Args, Debug)]
pub(super) struct FeaturesArgs {
    /// How they are written
    #[arg(long, value_enum, default_value_t = Kind::Table)]
    format: Kind,
    /// The same as --format jsonl
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Only those of one group, such as identity or behaviour
    #[arg(long)]
    group: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Table,
    Jsonl,
    /// docs/features.md
    Markdown,
}

pub(super) fn run(args: &FeaturesArgs) -> anyhow::Result<ExitCode> {
    let format = if args.json { Kind::Jsonl } else { args.format };
    let wanted = |feature: &&FeatureDef| {
        args.group.as_ref().is_none_or(|group| feature.group.name() == group)
    };
    if let Some(group) = &args.group
        && !REGISTRY.iter().any(|feature| wanted(&feature))
    {
        let mut groups: Vec<_> = REGISTRY.iter().map(|feature| feature.group.name()).collect();
        groups.dedup();
        anyhow::bail!("there is no group {group}; there are {}", groups.join(", "));
    }
    let mut text = String::new();
    for feature in REGISTRY.iter().filter(wanted) {
        let FeatureDef { id, name, group, kind, doc, source, reason } = feature;
        let (group, kind) = (group.name(), kind.name());
        // Writing to a String cannot fail.
        let _ = match format {
            Kind::Table => writeln!(text, "{id:>3} {name:<38} {group:<10} {kind:<10} {doc}"),
            Kind::Jsonl => writeln!(
                text,
                "{}",
                serde_json::json!({"id": id, "name": name, "group": group, "kind": kind,
                    "doc": doc, "source": source, "reason": reason})
            ),
            Kind::Markdown => Ok(()),
        };
    }
    if let Kind::Markdown = format {
        text = markdown();
    }
    super::print(text.as_bytes())
}
