//! `scorer policy`.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::{Common, print, recorded, store::time};
use crate::{
    config::Config,
    engine::Listed,
    policy::{Decision, Example, Explanation, Facts, Got, Policy, Site, Tally},
    records::query::{Limits, Store, quoted},
    time::Timestamp,
};

#[derive(Args, Debug)]
pub(super) struct PolicyArgs {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    /// Check a policy: every fault with its line and column (exit code 2), or what is odd (1)
    Check {
        /// Policy (TOML)
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Configuration file, for the trunks, levels and home country that the policy refers to
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Say which rules were looked at for a call, and why each did or did not match
    Explain {
        /// Call-ID of the call, as in its verdict
        #[arg(value_name = "CALL_ID")]
        call_id: String,
        #[command(flatten)]
        calls: Calls,
    },
    /// Try a policy on past calls: what they would get, beside what they got
    Simulate {
        #[command(flatten)]
        calls: Calls,
    },
}

/// Where calls come from, and which policy is meant.
#[derive(Args, Debug)]
struct Calls {
    /// Captures with the calls, in this order as one stream
    #[arg(long, value_name = "FILE", num_args = 1.., required_unless_present = "records")]
    capture: Vec<PathBuf>,
    /// Folder of records with the calls, instead of captures
    #[arg(long, value_name = "FOLDER", conflicts_with = "capture")]
    records: Option<PathBuf>,
    /// Of records, those since: so long ago (12h, 7d), or a time
    #[arg(long, value_name = "TIME", default_value = "7d")]
    since: String,
    /// Of records, those until
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Policy (TOML) instead of the configured one
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: &PolicyArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        PolicyCommand::Check { file, config } => {
            let config = config.as_deref().map(Config::read).transpose()?;
            let policy = Policy::load(file, &config.as_ref().map(site).unwrap_or_default())?;
            for warning in policy.warnings() {
                eprintln!("warning: {warning}");
            }
            let dry = policy.rules().iter().filter(|rule| rule.dry_run).count();
            let counted = |count: usize, what: &str| {
                format!("{count} {what}{}", if count == 1 { "" } else { "s" })
            };
            eprintln!(
                "{}: {} ({}), else {}{}",
                file.display(),
                counted(policy.rules().len(), "rule"),
                counted(dry, "dry run"),
                policy.default_action().name(),
                if policy.observes() { "; observes only" } else { "" }
            );
            Ok(ExitCode::from(u8::from(!policy.warnings().is_empty())))
        }
        PolicyCommand::Explain { call_id, calls } => explain(call_id, calls),
        PolicyCommand::Simulate { calls } => simulate(calls),
    }
}

/// What a policy may refer to.
fn site(config: &Config) -> Site {
    let env = &config.engine.env;
    let names = env.trunks.0.iter().map(|trunk| trunk.name.clone()).collect();
    Site { home_country: env.home_country, levels: Some(config.engine.levels), trunks: Some(names) }
}

/// The policy that is asked about.
fn asked(calls: &Calls, config: &Config) -> anyhow::Result<Policy> {
    let path =
        calls.policy.as_ref().or(config.engine.env.policy.as_ref()).context(
            "which policy is meant? give --policy FILE, or --config FILE with policy.file",
        )?;
    let policy = Policy::load(path, &site(config))?;
    for warning in policy.warnings() {
        eprintln!("warning: {warning}");
    }
    Ok(policy)
}

impl Calls {
    /// The records, and of which time.
    fn stored(&self, folder: &Path) -> anyhow::Result<(Store, [Timestamp; 2])> {
        let until = match &self.until {
            Some(until) => time(until)?,
            None => Timestamp(i64::MAX as u64),
        };
        Ok((Store::open(folder, None)?, [time(&self.since)?, until]))
    }
}

fn explain(call_id: &str, calls: &Calls) -> anyhow::Result<ExitCode> {
    let (config, model) = calls.common.load()?;
    let policy = asked(calls, &config)?;
    let (home, mask) = (config.engine.env.home_country, config.style.mask);
    let mut text = String::new();
    let mut found = 0;
    if let Some(folder) = &calls.records {
        let (store, span) = calls.stored(folder)?;
        let is = format!("call_id = {}", quoted(call_id));
        store.calls(span, &is, &UNBOUNDED, &mut |call| {
            found += 1;
            let facts = Facts::of_record(&call.record(), home);
            told(&facts, None, &policy.explain(&facts, mask), &mut text);
        })?;
        anyhow::ensure!(
            found > 0,
            "no call with the Call-ID {call_id} was recorded since {}; --since looks further back",
            calls.since
        );
        return print(text.as_bytes());
    }
    recorded::each_call(&config, model, &calls.capture, &mut |assessment| {
        if assessment.call_id == call_id.as_bytes() {
            found += 1;
            let facts = Facts::of(assessment, home);
            told(&facts, assessment.listed, &policy.explain(&facts, mask), &mut text);
        }
    })?;
    anyhow::ensure!(
        found > 0,
        "no call with the Call-ID {call_id} was scored; `scorer replay --format jsonl` shows those that are"
    );
    print(text.as_bytes())
}

/// All rows that there are.
const UNBOUNDED: Limits = Limits { rows: None, time: None, memory: 512 << 20 };

/// An explanation in words.
fn told(
    facts: &Facts<'_>,
    listed: Option<Listed<'_>>,
    explanation: &Explanation<'_>,
    out: &mut String,
) {
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{} score {} ({}), tags {}",
        facts.time,
        facts.score,
        facts.level.name(),
        facts.tags.iter().map(scorer_common::verdict::Tag::name).collect::<Vec<_>>().join(", ")
    );
    if let Some(listed) = &listed {
        let _ = writeln!(
            out,
            "  {} {}: {} (the model alone says {})",
            listed.list.name(),
            listed.effect.name(),
            if listed.reason.is_empty() { "no reason given" } else { listed.reason },
            listed.model_score
        );
    }
    if explanation.emergency {
        let _ = writeln!(out, "  an emergency call: no rule is looked at, it is never acted on");
    }
    for looked in &explanation.looked {
        let rule = looked.rule;
        let outcome = match (looked.matched, rule.dry_run) {
            (false, _) => "does not match",
            (true, false) => "MATCHES",
            (true, true) => "matches, a dry run: the next rules are looked at",
        };
        let _ = writeln!(out, "  rule {} (line {}) {outcome}", rule.name, rule.line);
        if !rule.comment.is_empty() {
            let _ = writeln!(out, "    # {}", rule.comment.replace(['\n', '\r'], " "));
        }
        if looked.checks.is_empty() {
            let _ = writeln!(out, "    yes  every call");
        }
        for check in &looked.checks {
            let word = if check.holds { "yes" } else { "no" };
            let _ = writeln!(out, "    {word:<4} {}: the call has {}", check.asks, check.has);
        }
    }
    let (action, rule) = explanation.decision.meant();
    let by = match rule {
        Some(rule) => format!("rule {rule}"),
        None if explanation.emergency => "emergency".to_owned(),
        None => "default".to_owned(),
    };
    let _ = writeln!(out, "  -> {} ({by}){}", action.name(), how(&explanation.decision));
    if let Some(dry) = &explanation.decision.dry_run {
        let _ = writeln!(out, "     dry run: {} ({})", dry.action.name(), dry.rule.unwrap_or("-"));
    }
    if explanation.observe {
        let _ = writeln!(out, "     the policy observes only: the call passes");
    }
}

/// Response or target.
fn how(decision: &Decision<'_>) -> String {
    use scorer_common::verdict::Action;
    let (action, response, target) =
        decision.would.map_or((decision.action, decision.response, decision.target), |would| {
            (would.action, would.response, would.target)
        });
    match (action, target) {
        (Action::Reject, _) => format!(" with {} {}", response.code(), response.phrase()),
        (Action::Divert, Some(target)) => format!(
            " to user {}, host {}",
            target.user.as_deref().unwrap_or("as called"),
            target.host.as_deref().unwrap_or("as called")
        ),
        _ => String::new(),
    }
}

fn simulate(calls: &Calls) -> anyhow::Result<ExitCode> {
    let (config, model) = calls.common.load()?;
    let policy = asked(calls, &config)?;
    let home = config.engine.env.home_country;
    let mut tally = Tally::default();
    if let Some(folder) = &calls.records {
        let (store, span) = calls.stored(folder)?;
        store.calls(span, "", &UNBOUNDED, &mut |stored| {
            let call = &stored.call;
            let got = Got { action: stored.action, rule: call.rule.as_deref() };
            let (call_id, caller) = (call.call_id.as_bytes(), call.caller.as_bytes());
            let example = Example { call_id, caller, callee: call.callee.as_bytes() };
            tally.add(&policy, &Facts::of_record(&stored.record(), home), got, example);
        })?;
        return print(tally.table().as_bytes());
    }
    let cut_short = recorded::each_call(&config, model, &calls.capture, &mut |a| {
        let got = Got { action: a.decision.action, rule: a.decision.rule };
        let example = Example { call_id: a.call_id, caller: a.caller, callee: a.callee };
        tally.add(&policy, &Facts::of(a, home), got, example);
    })?;
    print(tally.table().as_bytes())?;
    Ok(if cut_short { ExitCode::from(1) } else { ExitCode::SUCCESS })
}
