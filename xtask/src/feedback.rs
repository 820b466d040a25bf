//! The feedback loop shown whole: a week is scored, a tenth of its fraud is labelled
//! late, the model is trained again, goes on trial and is promoted; the week after shows
//! what that was good for.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use crate::{
    run::{cargo, check, root, say},
    train::{self, TrainArgs},
};

#[derive(Args, Debug)]
pub(crate) struct FeedbackArgs {
    /// Calls of each of the two weeks
    #[arg(long, default_value_t = 60_000)]
    calls: u32,
    /// The program; built when not given
    #[arg(long, value_name = "FILE")]
    scorer: Option<PathBuf>,
    /// Fail unless recall rises
    #[arg(long)]
    check: bool,
}

/// Kinds of fraud that the first model has never seen; see models/feedback.toml.
const NEW: [&str; 3] = ["number_changer", "unallocated", "wangiri"];
/// Share of genuine calls that may be called fraud.
const FALSE: f64 = 0.001;

struct Site {
    scorer: PathBuf,
    folder: PathBuf,
}

/// A call of `calls.csv`.
struct Call {
    id: String,
    family: String,
    is_fraud: bool,
    probability: f64,
}

pub(crate) fn run(args: &FeedbackArgs) -> Result<()> {
    let scorer = if let Some(path) = &args.scorer {
        // Commands run in the demo's own folder.
        path.canonicalize().with_context(|| path.display().to_string())?
    } else {
        say("building scorer");
        check(&mut cargo(["build", "--quiet", "--package", "scorer-userspace"]))?;
        root().join("target/debug/scorer")
    };
    let folder = root().join("target/feedback");
    fs::create_dir_all(folder.join("models"))?;
    let site = Site { scorer, folder };

    say("1. a first model, which has never seen three kinds of fraud");
    let before = site.train("before", Vec::new())?;
    say("2. a week of calls, with that fraud in it, scored by the first model");
    let week = site.week("week1", 21, "2026-11-02T00:00:00Z", args.calls)?;
    let first = site.scored(&week, "week1.csv", &before, "truth1")?;
    say("3. a tenth of the fraud is labelled, when the week is over");
    let labels = site.labelled(&first)?;
    site.scored(&week, labels, &before, "mine")?;
    say("4. trained again, with the week's own calls");
    let after = site.train("after", vec![site.folder.join("mine")])?;
    say("5. on trial in the shadow of the first, then promoted");
    site.promoted(&before, &after)?;
    say("6. the week after, scored by both");
    let next = site.week("week2", 22, "2026-11-09T00:00:00Z", args.calls)?;
    let old = site.scored(&next, "week2.csv", &before, "truth2-before")?;
    let new = site.scored(&next, "week2.csv", &after, "truth2-after")?;
    table(&old, &new, args.check)
}

impl Site {
    fn train(&self, name: &str, vectors: Vec<PathBuf>) -> Result<PathBuf> {
        let out = self.folder.join(name);
        train::run(&TrainArgs {
            out: out.clone(),
            plan: Some(root().join("models/feedback.toml")),
            vectors,
            scale: 1.0,
            scorer: Some(self.scorer.clone()),
        })?;
        let model = self.folder.join("models").join(format!("{name}.onnx"));
        fs::copy(out.join("feedback.onnx"), &model)?;
        Ok(model)
    }

    fn command<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(&self.scorer);
        command.args(args).current_dir(&self.folder).stderr(Stdio::null());
        command
    }

    fn week(&self, name: &str, seed: u32, start: &str, calls: u32) -> Result<PathBuf> {
        let rate = f64::from(calls) / (7.0 * 86_400.0);
        let families: String = NEW.iter().map(|name| format!("{name} = 3.0\n")).collect();
        let mix = format!(
            "calls_per_second = {rate}\nstart = \"{start}\"\nfraud = 0.02\n[families]\n{families}"
        );
        fs::write(self.folder.join("mix.toml"), mix)?;
        let capture = self.folder.join(format!("{name}.pcap"));
        let (calls, seed) = (calls.to_string(), seed.to_string());
        let mut command =
            self.command(["simulate", "--calls", &calls, "--seed", &seed, "--mix", "mix.toml"]);
        check(command.arg("--out").arg(&capture))?;
        Ok(capture)
    }

    /// Vectors and probabilities of a week's calls under a model, in a folder.
    fn scored(&self, capture: &Path, labels: &str, model: &Path, out: &str) -> Result<Vec<Call>> {
        let mut command = self.command(["vectors"]);
        command.arg(capture).arg("--model").arg(model).arg("--out").arg(self.folder.join(out));
        check(command.args(["--labels", labels]))?;
        let text = fs::read_to_string(self.folder.join(out).join("calls.csv"))?;
        calls(&text).with_context(|| format!("{out}/calls.csv"))
    }

    /// The labels of every tenth fraudulent call; the file of `scorer label`.
    fn labelled(&self, week: &[Call]) -> Result<&'static str> {
        let mut csv = String::from("call_id,label,by\n");
        for call in week.iter().filter(|call| call.is_fraud).step_by(10) {
            writeln!(csv, "{},fraud,desk", call.id)?;
        }
        fs::write(self.folder.join("labels.csv"), &csv)?;
        let file = "labels.sqlite";
        let _ = fs::remove_file(self.folder.join(file));
        check(&mut self.command(["label", "--import", "labels.csv", "--labels", file]))?;
        say(&format!("   {} labels", csv.lines().count() - 1));
        Ok(file)
    }

    /// What an operator types; a folder of models keeps who scores and who is on trial.
    fn promoted(&self, before: &Path, after: &Path) -> Result<()> {
        let state = self.folder.join("models/state.toml");
        let _ = fs::remove_file(state);
        let config = "scorer.toml";
        fs::write(self.folder.join(config), "[model]\nfolder = \"models\"\n")?;
        for (what, model) in [("promote", before), ("challenge", after), ("promote", after)] {
            let name = model.file_stem().context("a name")?.to_string_lossy().into_owned();
            say(&format!("   scorer model {what} {name}"));
            check(&mut self.command(["model", what, &name, "--config", config]))?;
        }
        check(&mut self.command(["model", "list", "--config", config]))
    }
}

fn calls(text: &str) -> Result<Vec<Call>> {
    let mut lines = text.lines();
    let names: Vec<_> = lines.next().context("empty")?.split(',').collect();
    let at = |name: &str| names.iter().position(|known| *known == name).context("a column");
    let (id, label) = (at("call_id")?, at("label")?);
    let (family, probability) = (at("family")?, at("probability")?);
    let mut all = Vec::new();
    for line in lines {
        let values: Vec<_> = line.split(',').collect();
        // Simulated Call-IDs hold no commas.
        ensure!(values.len() >= names.len(), "too few columns: {line}");
        all.push(Call {
            id: values[id].to_owned(),
            family: values[family].to_owned(),
            is_fraud: values[label] == "fraud",
            probability: values[probability].parse()?,
        });
    }
    Ok(all)
}

/// The probability above which one in a thousand genuine calls lies.
fn limit(week: &[Call]) -> Result<f64> {
    let mut genuine: Vec<_> =
        week.iter().filter(|call| !call.is_fraud).map(|call| call.probability).collect();
    genuine.sort_by(f64::total_cmp);
    let allowed = (genuine.len() as f64 * FALSE) as usize;
    genuine.get(genuine.len().saturating_sub(1 + allowed)).copied().context("no genuine calls")
}

/// Fraudulent calls of a family, or of all, and how many are above the limit.
fn caught(week: &[Call], limit: f64, family: Option<&str>) -> (usize, usize) {
    let fraud = week
        .iter()
        .filter(|call| call.is_fraud && family.is_none_or(|family| call.family == family));
    fraud.fold((0, 0), |(all, caught), call| {
        (all + 1, caught + usize::from(call.probability > limit))
    })
}

fn table(old: &[Call], new: &[Call], fail: bool) -> Result<()> {
    let (before, after) = (limit(old)?, limit(new)?);
    let families: BTreeSet<_> = old
        .iter()
        .filter(|call| call.is_fraud)
        .map(|call| (!NEW.contains(&call.family.as_str()), call.family.as_str()))
        .collect();
    println!("\nRecall in the second week, at 0.1 % of genuine calls called fraud:\n");
    println!("| fraud | calls | first model | after feedback |\n|---|---|---|---|");
    let percent = |(all, caught): (usize, usize)| caught as f64 / all.max(1) as f64 * 100.0;
    for (_, family) in families {
        let mark = if NEW.contains(&family) { " (new to the first model)" } else { "" };
        let (one, two) = (caught(old, before, Some(family)), caught(new, after, Some(family)));
        println!("| {family}{mark} | {} | {:.1} % | {:.1} % |", one.0, percent(one), percent(two));
    }
    let (one, two) = (caught(old, before, None), caught(new, after, None));
    println!("| **all** | {} | {:.1} % | {:.1} % |", one.0, percent(one), percent(two));
    if fail && percent(two) <= percent(one) {
        bail!("recall did not rise");
    }
    Ok(())
}
