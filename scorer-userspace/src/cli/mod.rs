//! The command line: a file per subcommand, thin.
//!
//! Exit codes: 0 all went well; 1 it went through with something to look at (a
//! capture that was cut short, a check of `doctor` that failed); 2 wrong usage or
//! input that cannot be used.

mod backup;
mod calls;
mod case;
mod cluster;
mod config;
mod consortium;
mod doctor;
mod export;
mod features;
mod gate;
mod inline;
mod investigate;
pub(crate) mod keeping;
mod label;
mod list;
mod live;
mod looking;
mod model;
mod policy;
mod profiles;
mod query;
mod recorded;
mod records;
mod redirect;
mod replay;
mod serve;
mod simulate;
mod store;
mod summary;
mod tap;
mod token;
mod top;
mod vectors;

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};

use crate::{config::Config, features::names, model::Model, output::Format, top::Notices};

/// Risk scores for inbound SIP calls, from their signalling alone.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Score live calls on network interfaces, passively (XDP).
    Tap(tap::TapArgs),
    /// Score live calls in their path: tag, divert, reject or drop what policy says (XDP, AF_XDP).
    Inline(inline::InlineArgs),
    /// Answer a router's INVITEs with verdicts: a SIP redirect server on UDP, without XDP.
    Redirect(redirect::RedirectArgs),
    /// Rules that the kernel obeys by itself: drop, mark or allow sources, numbers, fingerprints
    Gate(gate::GateArgs),
    /// Score the calls in capture files (pcap, pcapng).
    Replay(replay::ReplayArgs),
    /// List the features that models see.
    Features(features::FeaturesArgs),
    /// Check whether this host can run the tap, and what to do where it cannot.
    Doctor(doctor::DoctorArgs),
    /// Check, show or print an example of the configuration.
    Config(config::ConfigArgs),
    /// Say what a call was: fraud or genuine
    Label(label::LabelArgs),
    /// Look at lists of allowed and denied callers, and change them
    List(list::ListArgs),
    /// Check a policy, explain what it does to a call, try it on past calls
    Policy(policy::PolicyArgs),
    /// Look at models, change which one scores, put one on trial
    Model(model::ModelArgs),
    /// Make labelled carrier traffic, genuine and fraudulent
    Simulate(simulate::SimulateArgs),
    /// Write feature vectors of captured calls for training, with their labels
    Vectors(vectors::VectorsArgs),
    /// List recorded calls
    Calls(calls::CallsArgs),
    /// Ask records in SQL
    Query(query::QueryArgs),
    /// Write records to a file: Parquet, CSV, JSON lines
    Export(export::ExportArgs),
    /// Keep records: maintain, erase a number
    Records(records::RecordsArgs),
    /// Look into a caller: all its calls whatever numbers they show, and profiles like it
    Investigate(investigate::InvestigateArgs),
    /// Track fraudsters: cases of profiles, and what is done at the next call
    Case(case::CaseArgs),
    /// List callers' profiles, or measure how well they tell callers apart
    Profiles(profiles::ProfilesArgs),
    /// Look at calls live in a terminal: of a running scorer, an interface, or captures
    Top(top::TopArgs),
    /// Share confirmed fraudsters with other organisations
    Consortium(consortium::ConsortiumArgs),
    /// Serve the API and the dashboard over stored records, without scoring
    Serve(serve::ServeArgs),
    /// Put what a scorer knows into a folder, while it runs
    Backup(backup::BackupArgs),
    /// Put back what a backup has
    Restore(backup::RestoreArgs),
    /// Several hosts as one: make their secret, tell how they are
    Cluster(cluster::ClusterArgs),
    /// Make, list and revoke tokens for the API
    Token(token::TokenArgs),
    /// Print the table of metrics (docs/metrics.md).
    Metrics,
}

/// What scoring commands share.
#[derive(Args, Debug)]
struct Common {
    /// Configuration file (TOML); `scorer config example` prints one
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Model file (ONNX) instead of the configured or built-in one
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// How verdicts are written
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Show only the first three characters and the last two of every number
    #[arg(long)]
    mask: bool,
}

impl Common {
    /// The configuration with the command line over it, and the model.
    fn load(&self) -> anyhow::Result<(Config, Arc<Model>)> {
        let mut config = match &self.config {
            Some(path) => Config::read(path)?,
            None => Config::default(),
        };
        if let Some(format) = self.format {
            config.style.format = format;
        }
        config.style.mask |= self.mask;
        let model = match self.model.as_ref().or(config.model.as_ref()) {
            Some(path) => Model::load(path, &names())?,
            None => Model::builtin(&names()).context("the built-in model")?,
        };
        Ok((config, Arc::new(model)))
    }
}

/// Runs the command line; its exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut log = env_logger::Builder::from_env(
        env_logger::Env::default().default_filter_or("warn,scorer=info"),
    );
    log.format_timestamp_millis();
    // The terminal is drawn on: what the log says is kept until that is over.
    let notices = Notices::default();
    if matches!(cli.command, Command::Top(_)) {
        log.target(env_logger::Target::Pipe(Box::new(notices.clone())));
    }
    log.init();
    let result = match cli.command {
        Command::Tap(args) => tap::run(&args),
        Command::Inline(args) => inline::run(&args),
        Command::Redirect(args) => redirect::run(&args),
        Command::Gate(args) => gate::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Features(args) => features::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Config(args) => config::run(&args),
        Command::Label(args) => label::run(&args),
        Command::List(args) => list::run(&args),
        Command::Policy(args) => policy::run(&args),
        Command::Model(args) => model::run(&args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Vectors(args) => vectors::run(&args),
        Command::Calls(args) => calls::run(&args),
        Command::Query(args) => query::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Records(args) => records::run(&args),
        Command::Investigate(args) => investigate::run(&args),
        Command::Case(args) => case::run(&args),
        Command::Profiles(args) => profiles::run(&args),
        Command::Top(args) => top::run(&args, &notices).inspect_err(|_| {
            notices.take().iter().for_each(|line| eprintln!("{line}"));
        }),
        Command::Consortium(args) => consortium::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Backup(args) => backup::make(&args),
        Command::Restore(args) => backup::restore(&args),
        Command::Cluster(args) => cluster::run(&args),
        Command::Token(args) => token::run(&args),
        Command::Metrics => print(crate::metrics::markdown().as_bytes()),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", chain(&error));
            ExitCode::from(2)
        }
    }
}

/// An error and its causes, none said twice.
fn chain(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Waits until the process is asked to end: SIGINT or SIGTERM.
async fn ended() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// Writes to standard output; a reader that has gone away is no error.
fn print(bytes: &[u8]) -> anyhow::Result<ExitCode> {
    use std::io::Write as _;
    match std::io::stdout().lock().write_all(bytes) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}
