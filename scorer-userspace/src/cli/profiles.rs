//! `scorer profiles`.

use std::{collections::HashMap, fmt::Write as _, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::Args;

use super::{looking::Calls, print};
use crate::profiles::{Measured, Truth};

#[derive(Args, Debug)]
pub(super) struct ProfilesArgs {
    /// Hold the profiles against the truth: CSV with call_id, label, family, profile, as
    /// `scorer simulate` writes it; one for each capture
    #[arg(long, value_name = "LABELS", num_args = 1..)]
    measure: Vec<PathBuf>,
    /// Show genuine families, too
    #[arg(long, requires = "measure")]
    genuine: bool,
    /// Profiles shown at most, those with most calls
    #[arg(long, default_value_t = 50, value_name = "N")]
    most: usize,
    #[command(flatten)]
    from: Calls,
}

#[derive(serde::Deserialize)]
struct Labelled {
    call_id: String,
    label: String,
    family: String,
    profile: String,
}

pub(super) fn run(args: &ProfilesArgs) -> anyhow::Result<ExitCode> {
    let truth = truth(&args.measure)?;
    let (_, inquiry, cut_short) = args.from.read()?;
    let text = if args.measure.is_empty() {
        let mut profiles: HashMap<u64, usize> = HashMap::new();
        for row in inquiry.calls() {
            *profiles.entry(inquiry.resolve(row.profile)).or_default() += 1;
        }
        let mut profiles: Vec<_> = profiles.into_iter().collect();
        profiles.sort_unstable_by_key(|(id, calls)| (std::cmp::Reverse(*calls), *id));
        let mut text = format!("{} profiles of {} calls\n", profiles.len(), inquiry.calls().len());
        for (id, calls) in profiles.iter().take(args.most) {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{id:016x} {calls}");
        }
        text
    } else {
        let calls = inquiry.calls().iter();
        let known =
            calls.filter_map(|row| Some((inquiry.resolve(row.profile), truth.get(&row.call_id)?)));
        let measured = Measured::of(known);
        anyhow::ensure!(
            measured.all.calls > 0,
            "none of the {} calls has a label; are these the labels of this capture?",
            inquiry.calls().len()
        );
        format!(
            "{} of {} calls have a label; {} profiles\n\n{}",
            measured.all.calls,
            inquiry.calls().len(),
            measured.profiles,
            measured.table(args.genuine)
        )
    };
    print(text.as_bytes())?;
    Ok(if cut_short { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn truth(files: &[PathBuf]) -> anyhow::Result<HashMap<String, Truth>> {
    let mut truth = HashMap::new();
    for path in files {
        let name = path.display();
        let mut reader =
            csv::Reader::from_path(path).with_context(|| format!("cannot read {name}"))?;
        for record in reader.deserialize() {
            let Labelled { call_id, label, family, profile } = record.with_context(|| {
                format!("{name} is no table of labels with call_id, label, family and profile")
            })?;
            anyhow::ensure!(
                matches!(&*label, "fraud" | "genuine"),
                "{name}: the label of {call_id} is {label:?}; it must be fraud or genuine"
            );
            let fraud = label == "fraud";
            truth.insert(call_id, Truth { family, fraud, caller: profile });
        }
    }
    Ok(truth)
}
