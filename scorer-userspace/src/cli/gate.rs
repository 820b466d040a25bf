//! `scorer gate`.

use std::{fmt::Write as _, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};
use scorer_common::gate;

use super::print;
use crate::{
    config::Config,
    env::prefix,
    gate::{Gate, Subject},
    number::Number,
};

#[derive(Args, Debug)]
pub(super) struct GateArgs {
    #[command(subcommand)]
    what: What,
    /// Interface of the programs whose gate it is; needed where there are several
    #[arg(long, global = true, value_name = "IF")]
    interface: Option<String>,
    /// Configuration file (TOML), for kernel.pins and numbers.home_country
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show the rules and the limit
    List,
    /// Add a rule, or change the one that is there
    Add {
        #[command(flatten)]
        subject: SubjectArgs,
        /// What becomes of INVITEs that it matches
        #[arg(long = "do", value_enum)]
        action: Action,
        /// How long it counts, such as 90s, 30m, 12h or 7d; for ever without
        #[arg(long = "for", value_name = "TIME", value_parser = duration)]
        lasts: Option<Duration>,
    },
    /// Take a rule out
    Remove {
        #[command(flatten)]
        subject: SubjectArgs,
    },
    /// Limit the INVITEs of every source address
    Limit {
        /// INVITEs a second; 0 limits nothing
        #[arg(long, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
        rate: u32,
        /// INVITEs at once
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        burst: u32,
        /// Drop what is over it rather than only count it
        #[arg(long)]
        drop: bool,
    },
    /// Take everything out
    Clear,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct SubjectArgs {
    /// Source address or prefix
    #[arg(long, value_name = "PREFIX")]
    source: Option<String>,
    /// Caller's number
    #[arg(long, value_name = "NUMBER")]
    number: Option<String>,
    /// Header fingerprint, 16 hex digits
    #[arg(long, value_name = "HEX")]
    fingerprint: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Action {
    /// Let it pass, shielded from the other rules and the limit
    Allow,
    /// Let it pass, marked as denied
    Mark,
    /// Drop it in the kernel
    Drop,
}

impl Action {
    const fn number(self) -> u32 {
        match self {
            Self::Allow => gate::ALLOW,
            Self::Mark => gate::MARK,
            Self::Drop => gate::DROP,
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "must be a number and s, m, h or d, such as 12h".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let count: u64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| wrong())?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let all = count.checked_mul(seconds).filter(|all| (1..=315_360_000).contains(all));
    all.map(Duration::from_secs).ok_or_else(|| "must be between 1s and 3650d".to_owned())
}

impl SubjectArgs {
    fn subject(&self, home: Option<u16>) -> anyhow::Result<Subject> {
        if let Some(text) = &self.source {
            let (address, bits) =
                prefix(text).with_context(|| format!("`{text}` is no address or prefix"))?;
            return Ok(Subject::Source(address, bits));
        }
        if let Some(text) = &self.number {
            let number = Number::parse(text.as_bytes(), home)
                .context("the number must have its country code, such as +441632960001")?;
            return Ok(Subject::Number(gate::number_hash(number.as_bytes())));
        }
        let text = self.fingerprint.as_deref().unwrap_or_default();
        let value = u64::from_str_radix(text, 16).ok().filter(|_| text.len() == 16);
        Ok(Subject::Fingerprint(value.context("a fingerprint has 16 hex digits")?))
    }
}

pub(super) fn run(args: &GateArgs) -> anyhow::Result<ExitCode> {
    let config = match &args.config {
        Some(path) => Config::read(path)?,
        None => Config::default(),
    };
    let home = config.engine.env.home_country;
    let mut gate = Gate::open(&config.inline.pins, args.interface.as_deref())?;
    match &args.what {
        What::List => return print(list(&gate)?.as_bytes()),
        What::Add { subject, action, lasts } => {
            gate.add(subject.subject(home)?, action.number(), *lasts)?;
        }
        What::Remove { subject } => {
            if !gate.remove(subject.subject(home)?)? {
                bail!("there is no such rule; `scorer gate list` shows those there are");
            }
        }
        What::Limit { rate: 0, .. } => gate.limit(None)?,
        What::Limit { rate, burst, drop } => gate.limit(Some((*rate, *burst, *drop)))?,
        What::Clear => {
            let count = gate.clear()?;
            eprintln!("took {count} rules out; nothing is limited");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(gate: &Gate) -> anyhow::Result<String> {
    let mut text = String::from("ACTION  WHAT\n");
    for entry in gate.entries()? {
        let action = match entry.action {
            gate::ALLOW => "allow",
            gate::MARK => "mark",
            gate::DROP => "drop",
            _ => "none",
        };
        let what = match entry.subject {
            Subject::Source(address, bits) => format!("source {address}/{bits}"),
            Subject::Fingerprint(value) => format!("fingerprint {value:016x}"),
            // The number cannot be told from its hash.
            Subject::Number(value) => format!("number with hash {value:016x}"),
        };
        // Writing to a String cannot fail.
        let _ = match entry.left {
            None => writeln!(text, "{action:<7} {what}"),
            Some(left) if left.is_zero() => writeln!(text, "{action:<7} {what}, over"),
            Some(left) => writeln!(text, "{action:<7} {what}, for {} s more", left.as_secs() + 1),
        };
    }
    let settings = gate.settings()?;
    if settings.gate & gate::USE_BUCKETS != 0 {
        let rate = 1_000_000_000 / settings.bucket_interval.max(1);
        let what = if settings.gate & gate::LIMIT_DROPS != 0 { "dropped" } else { "counted" };
        let burst = settings.bucket_burst;
        let _ = writeln!(
            text,
            "limit   {rate} INVITEs a second of a source, {burst} at once; more are {what}"
        );
    }
    Ok(text)
}
