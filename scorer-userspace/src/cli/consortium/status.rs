//! `scorer consortium status`.

use std::{fmt::Write as _, process::ExitCode};

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::At;
use crate::{
    cli::print,
    config::Config,
    share::{Home, Own, Status},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum As {
    Text,
    Json,
}

#[derive(Args, Debug)]
pub(super) struct StatusArgs {
    /// How it is written
    #[arg(long, value_enum, default_value = "text")]
    format: As,
    #[command(flatten)]
    at: At,
}

pub(super) fn run(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let (config, home) = args.at.home()?;
    let store = Home::look(&home.folder)?;
    let (status, own) = (store.status()?, store.own()?);
    if args.format == As::Json {
        let mut told = status.to_json(&config.consortium);
        let each = |own: &Own| {
            json!({"sequence": own.sequence, "at": time(own.at), "kind": own.kind,
                "about": own.about, "sent": own.sent})
        };
        told["member"] = home.bundle.member.clone().into();
        told["own"] = own.iter().map(each).collect();
        return print(format!("{told:#}\n").as_bytes());
    }
    print(text(&config, &home, &status, &own).as_bytes())
}

fn time(ms: u64) -> String {
    jiff::Timestamp::from_millisecond(ms as i64).map(|at| at.to_string()).unwrap_or_default()
}

fn text(config: &Config, home: &Home, status: &Status, own: &[Own]) -> String {
    let told = status.to_json(&config.consortium);
    let mut out = String::new();
    let word = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        value => value.to_string(),
    };
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{} of {} ({}), epoch {}\nNATS {}, position {}, lag {}, as of {}\n",
        home.bundle.member,
        word(&told["consortium"]),
        word(&told["mode"]),
        word(&told["epoch"]),
        if status.connected { "connected" } else { "away" },
        status.position,
        status.lag,
        if status.at == 0 { "never: no scorer runs with it".to_owned() } else { time(status.at) },
    );
    let _ =
        writeln!(out, "{:<24} {:>5} {:>8} {:>8}  refused", "member", "trust", "taken", "active");
    for member in told["members"].as_array().into_iter().flatten() {
        let causes: Vec<_> = member["refused"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(cause, count)| format!("{cause} {count}"))
            .collect();
        let mut name = word(&member["name"]);
        if !member["revoked"].is_null() {
            name.push_str(" (revoked)");
        } else if member["joined"] == false {
            name.push_str(" (invited)");
        }
        let _ = writeln!(
            out,
            "{name:<24} {:>5} {:>8} {:>8}  {}",
            word(&member["trust"]),
            word(&member["taken"]),
            word(&member["active"]),
            causes.join(", ")
        );
    }
    if !own.is_empty() {
        let _ =
            writeln!(out, "\n{:<18} {:<24} {:<10} {:<6} about", "own event", "at", "kind", "sent");
    }
    for own in own {
        let sent = if own.sent { "yes" } else { "no" };
        let at = time(own.at);
        let _ =
            writeln!(out, "{:<18} {at:<24} {:<10} {sent:<6} {}", own.sequence, own.kind, own.about);
    }
    out
}
