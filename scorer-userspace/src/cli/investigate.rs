//! `scorer investigate`.

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::{looking::Calls, print};

#[derive(Args, Debug)]
pub(super) struct InvestigateArgs {
    /// A caller's number, the Call-ID of a call, or a profile (16 digits)
    #[arg(value_name = "NUMBER|CALL_ID|PROFILE", allow_hyphen_values = true)]
    asked: String,
    /// Write one JSON object instead of text
    #[arg(long, conflicts_with = "graph")]
    json: bool,
    /// Write a graph of numbers, places, accounts and linked profiles instead
    #[arg(long, value_enum, value_name = "FORMAT")]
    graph: Option<Graph>,
    /// Calls of the timeline at most, the last ones
    #[arg(long, default_value_t = 50, value_name = "N")]
    calls: usize,
    /// Show numbers in full; else the first three characters and the last two
    #[arg(long)]
    full_numbers: bool,
    #[command(flatten)]
    from: Calls,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Graph {
    /// For Graphviz
    Dot,
    /// Nodes and edges
    Json,
}

pub(super) fn run(args: &InvestigateArgs) -> anyhow::Result<ExitCode> {
    let (config, inquiry, cut_short) = args.from.read()?;
    let asked = inquiry.find(&args.asked, config.engine.env.home_country)?;
    let sheet = inquiry.sheet(asked.profile);
    let full = args.full_numbers;
    let text = match args.graph {
        Some(Graph::Dot) => sheet.dot(full),
        Some(Graph::Json) => format!("{:#}\n", sheet.graph(full)),
        None if args.json => format!("{:#}\n", sheet.json(full, args.calls)),
        None => sheet.text(full, args.calls),
    };
    print(text.as_bytes())?;
    if !asked.others.is_empty() {
        let others: Vec<_> = asked.others.iter().map(|id| format!("{id:016x}")).collect();
        eprintln!("the number was used by other profiles, too: {}", others.join(", "));
    }
    Ok(if cut_short { ExitCode::from(1) } else { ExitCode::SUCCESS })
}
