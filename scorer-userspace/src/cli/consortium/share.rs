//! `scorer consortium share` and `revoke`.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Args, builder::PossibleValuesParser, builder::TypedValueParser as _};

use super::{At, whom::Whom};
use crate::share::{
    Home, Publisher, Words,
    event::{Category, Kind, Subject},
    hub::Hub,
};

#[derive(Args, Debug)]
pub(super) struct ShareArgs {
    #[command(flatten)]
    whom: Whom,
    /// The member's folder, instead of the configured one
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// It is suspected; without this it is confirmed
    #[arg(long)]
    suspected: bool,
    /// Of which fraud
    #[arg(long, value_name = "CATEGORY", default_value = "other", value_parser = category())]
    category: Category,
    /// How sure you are, per cent
    #[arg(long, value_name = "PERCENT", default_value = "90")]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=100))]
    confidence: u8,
    /// Calls that are the evidence; those that are known where it is not given
    #[arg(long, value_name = "COUNT")]
    evidence: Option<u32>,
    /// Days that it holds
    #[arg(long, value_name = "DAYS", default_value = "30")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3_650))]
    days: u64,
}

fn category() -> impl clap::builder::TypedValueParser<Value = Category> {
    PossibleValuesParser::new(Category::ALL.iter().map(|category| category.name()))
        .try_map(|name| Category::by_name(&name).ok_or("there is no such category"))
}

#[derive(Args, Debug)]
pub(super) struct RevokeArgs {
    /// Sequence of your event (`scorer consortium status`), or with --hub a member's name
    #[arg(value_name = "SEQUENCE|MEMBER")]
    what: String,
    /// The hub's folder: revoke a member
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["folder", "config", "expired"])]
    hub: Option<PathBuf>,
    /// It was right, and holds no longer; without this it was wrong
    #[arg(long)]
    expired: bool,
    #[command(flatten)]
    at: At,
}

const DAY: u64 = 86_400_000;

pub(super) fn run(args: &ShareArgs) -> anyhow::Result<ExitCode> {
    let mut config = args.whom.from.config()?.unwrap_or_default();
    // Calls of captures have marks where a consortium is joined.
    config.consortium.folder = args.folder.clone().or(config.consortium.folder);
    let folder = config.consortium.folder.as_ref().context(
        "where is the member's folder? give --folder FOLDER, or --config FILE with \
         consortium.folder",
    )?;
    let home = Home::open(folder)?;
    let callers = args.whom.find(&config)?;
    let skew = config.consortium.bounds.skew;
    super::runtime()?.block_on(async {
        let publisher = Publisher::open(home).await?;
        publisher.send_rest(skew).await?;
        for caller in &callers {
            let subject = publisher.subject(&caller.marks)?;
            let words = Words {
                kind: if args.suspected { Kind::Suspected } else { Kind::Confirmed },
                category: args.category,
                confidence: args.confidence,
                evidence: args.evidence.unwrap_or(caller.calls),
                holds: args.days * DAY,
                refers: 0,
            };
            let sequence = publisher.say(words, subject, &caller.about).await?;
            println!("{sequence} {} {}: {}", words.kind.name(), caller.about, told(&subject));
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Which pseudonyms went out.
fn told(subject: &Subject) -> String {
    let parts = [
        (subject.number.is_some(), "number"),
        (subject.network.is_some(), "network number"),
        (subject.fingerprint.is_some(), "fingerprint"),
        (subject.sketch.is_some(), "sketch"),
    ];
    let names: Vec<_> = parts.iter().filter(|(is, _)| *is).map(|(_, name)| *name).collect();
    names.join(", ")
}

pub(super) fn revoke(args: &RevokeArgs) -> anyhow::Result<ExitCode> {
    if let Some(folder) = &args.hub {
        let done = Hub::open(folder)?.revoke(&args.what)?;
        anyhow::ensure!(done, "{} is no member, or is revoked already", args.what);
        eprintln!(
            "{} is revoked: the hub answers it no more, and members forget what it said when they \
             next ask the hub. nats.conf is made anew; a nats-server elsewhere must read it again \
             (kill -HUP).",
            args.what
        );
        return Ok(ExitCode::SUCCESS);
    }
    let (_, home) = args.at.home()?;
    let wrong = "give the sequence of an event of yours, as `scorer consortium status` shows it";
    let refers: u64 = args.what.parse().context(wrong)?;
    let own = home.store()?.own()?;
    let event = own.iter().find(|own| own.sequence == refers).context(wrong)?;
    let about = event.about.clone();
    let kind = if args.expired { Kind::Expired } else { Kind::Cleared };
    super::runtime()?.block_on(async {
        let publisher = Publisher::open(home).await?;
        let words = Words {
            kind,
            category: Category::Other,
            confidence: 100,
            evidence: 0,
            holds: DAY,
            refers,
        };
        let sequence = publisher.say(words, Subject::default(), &about).await?;
        println!("{sequence} {} {about}: withdraws {refers}", kind.name());
        Ok(ExitCode::SUCCESS)
    })
}
