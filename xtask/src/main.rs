//! Chores: set-up, the BPF object, tests, the demo, documents, benchmarks.
//!
//! Light on purpose: this is what a fresh machine compiles first.

mod bench;
mod demo;
mod ebpf;
mod feedback;
mod forward;
mod lab;
mod run;
mod setup;
mod site;
mod test;
mod train;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Chores of the scorer's own source tree.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Run the main job in a lab: simulated carrier traffic through XDP, verdicts and dashboard live
    Demo(demo::DemoArgs),
    /// Install what is missing and run everything CI runs
    Test(test::TestArgs),
    /// Build the BPF object that is committed beside its loader
    BuildEbpf(ebpf::EbpfArgs),
    /// Install what a chore needs
    Setup {
        /// Which chore
        #[arg(long = "for", value_enum, default_value = "test")]
        purpose: setup::Purpose,
    },
    /// Write the documents that are generated from the program
    Docs,
    /// Train the model from simulated calls, and calls of one's own
    Train(train::TrainArgs),
    /// Show what labels are good for: simulate, score, label, train again, promote
    FeedbackDemo(feedback::FeedbackArgs),
    /// Measure beside tshark and sngrep, a bridge and Kamailio
    Bench(bench::BenchArgs),
}

fn main() -> Result<()> {
    match Cli::parse().chore {
        Chore::Demo(args) => demo::run(&args),
        Chore::Test(args) => test::run(&args),
        Chore::BuildEbpf(args) => ebpf::run(&args),
        Chore::Setup { purpose } => setup::run(purpose),
        Chore::Docs => test::docs(),
        Chore::Train(args) => train::run(&args),
        Chore::FeedbackDemo(args) => feedback::run(&args),
        Chore::Bench(args) => bench::run(&args),
    }
}
