//! `scorer doctor`: can this host run the tap, and what to do where it cannot.

mod host;
mod interface;

pub(super) use interface::ethtool_driver as driver_of;

use std::{fmt::Write as _, process::ExitCode};

use clap::{Args, ValueEnum};

#[derive(Args, Debug)]
pub(super) struct DoctorArgs {
    /// Look at this interface as well; may be given several times
    #[arg(short, long = "interface", value_name = "IF")]
    interface: Vec<String>,
    /// How findings are written
    #[arg(long, value_enum, default_value_t = Kind::Table)]
    format: Kind,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Table,
    Jsonl,
}

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Status {
    Ok,
    Warn,
    Fail,
}

/// One thing looked at.
#[derive(Debug)]
struct Finding {
    status: Status,
    what: String,
    found: String,
    /// What to do; empty when nothing.
    advice: &'static str,
}

impl Finding {
    fn new(status: Status, what: &str, found: impl Into<String>, advice: &'static str) -> Self {
        let advice = if status == Status::Ok { "" } else { advice };
        Self { status, what: what.to_owned(), found: found.into(), advice }
    }
}

/// What is found of this host: what was looked at, whether it is well, and what was found.
pub(super) fn found() -> Vec<(String, bool, String)> {
    let told = |finding: Finding| {
        let Finding { status, what, found, advice } = finding;
        let found = if advice.is_empty() { found } else { format!("{found}; {advice}") };
        (what, status != Status::Fail, found)
    };
    host::findings().into_iter().map(told).collect()
}

pub(super) fn run(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let mut findings = host::findings();
    for name in &args.interface {
        findings.extend(interface::findings(name));
    }
    let mut text = String::new();
    for Finding { status, what, found, advice } in &findings {
        let status = match status {
            Status::Ok => "OK",
            Status::Warn => "WARN",
            Status::Fail => "FAIL",
        };
        // Writing to a String cannot fail.
        let _ = match args.format {
            Kind::Table => {
                let arrow = if advice.is_empty() { "" } else { " -> " };
                writeln!(text, "{status:<4} {what:<28} {found}{arrow}{advice}")
            }
            Kind::Jsonl => writeln!(
                text,
                "{}",
                serde_json::json!({"status": status, "what": what, "found": found, "advice": advice})
            ),
        };
    }
    super::print(text.as_bytes())?;
    let failed = findings.iter().any(|finding| finding.status == Status::Fail);
    Ok(if failed { ExitCode::from(1) } else { ExitCode::SUCCESS })
}
