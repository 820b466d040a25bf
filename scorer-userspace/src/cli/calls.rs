//! `scorer calls`.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use scorer_common::verdict::{Level, Tag};

use super::{
    query::print,
    store::{StoreArgs, in_sql, time},
};
use crate::records::{
    Sought,
    query::{Format, Limits, Store, quoted},
};

#[derive(Args, Debug)]
pub(super) struct CallsArgs {
    /// Since when: so long ago (15m, 1h, 7d), or a time (2026-11-25T08:00:00Z)
    #[arg(long, value_name = "TIME", default_value = "1h")]
    since: String,
    /// Until when
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Of this level or a higher one
    #[arg(long, value_name = "LEVEL")]
    level: Option<String>,
    /// Shown or asserted by the network, in whatever form
    #[arg(long, value_name = "NUMBER")]
    caller: Option<String>,
    /// Number called
    #[arg(long, value_name = "NUMBER")]
    callee: Option<String>,
    /// With this tag
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// Calls at most, the latest
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// How they are written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Show only the first three characters and the last two of every number
    #[arg(long)]
    mask: bool,
    #[command(flatten)]
    store: StoreArgs,
}

pub(super) fn run(args: &CallsArgs) -> anyhow::Result<ExitCode> {
    let (config, store) = args.store.open()?;
    let home = config.engine.env.home_country;
    let mut conditions = vec![format!("ts >= {}", in_sql(time(&args.since)?))];
    if let Some(until) = &args.until {
        conditions.push(format!("ts < {}", in_sql(time(until)?)));
    }
    if let Some(level) = &args.level {
        let least = Level::ALL.into_iter().find(|known| known.name() == level);
        let least = least.with_context(|| {
            format!("{level:?} is no level; there are low, medium, high and critical")
        })?;
        let names = Level::ALL.iter().filter(|known| **known >= least).map(|known| known.name());
        conditions.push(any_of("level", names));
    }
    if let Some(caller) = &args.caller {
        let forms = forms(&store, caller, home)?;
        let columns = ["caller", "network_number"];
        let either = columns.map(|column| any_of(column, forms.iter().map(String::as_str)));
        conditions.push(format!("({})", either.join(" OR ")));
    }
    if let Some(callee) = &args.callee {
        let forms = forms(&store, callee, home)?;
        conditions.push(any_of("callee", forms.iter().map(String::as_str)));
    }
    if let Some(tag) = &args.tag {
        let known = Tag::ALL.iter().map(|known| known.name()).collect::<Vec<_>>();
        anyhow::ensure!(
            known.contains(&tag.as_str()),
            "{tag:?} is no tag; there are {}",
            known.join(", ")
        );
        conditions.push(format!("array_has(tags, {})", quoted(tag)));
    }
    let sql = format!(
        "SELECT ts, score, level, action, caller, network_number, callee, source, outcome, duration_s, tags, call_id \
         FROM calls WHERE {} ORDER BY ts DESC LIMIT {}",
        conditions.join(" AND "),
        args.limit
    );
    let limits = Limits { rows: None, ..Limits::default() };
    print(&store, &sql, &limits, args.format, args.mask || config.style.mask)
}

fn forms(store: &Store, number: &str, home: Option<u16>) -> anyhow::Result<Vec<String>> {
    let sought = Sought::parse(number, home)
        .with_context(|| format!("{number:?} is no telephone number; write it as +441632960001"))?;
    Ok(store.forms(&sought)?)
}

fn any_of<'a>(column: &str, values: impl Iterator<Item = &'a str>) -> String {
    format!("{column} IN ({})", values.map(quoted).collect::<Vec<_>>().join(", "))
}
