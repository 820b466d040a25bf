//! `scorer case`.

use std::{fmt::Write as _, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use scorer_common::verdict::Action;

use super::{looking::Calls, print};
use crate::{
    cases::{Attached, Case, Orders, Status, Store},
    config::Config,
    policy::Response,
    profiles::{Portrait, parse_id},
};

#[derive(Args, Debug)]
pub(super) struct CaseArgs {
    /// File the cases are kept in (that of the lists), instead of the configured one
    #[arg(long, value_name = "FILE", global = true)]
    store: Option<PathBuf>,
    /// Who changes it; the user name when not given
    #[arg(long, value_name = "NAME", global = true)]
    by: Option<String>,
    #[command(subcommand)]
    command: CaseCommand,
}

#[derive(Debug, Subcommand)]
enum CaseCommand {
    /// Open a case for the profile of a number, a call, or of its id
    Open {
        /// Name, such as bank-spoof-3
        #[arg(value_name = "NAME")]
        name: String,
        /// How the fraudster works
        #[arg(long, value_name = "TEXT", default_value = "")]
        method: String,
        #[command(flatten)]
        orders: OrderArgs,
        #[command(flatten)]
        whom: Whom,
    },
    /// Attach another profile to a case
    Attach {
        /// Name of the case
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        whom: Whom,
    },
    /// Take a profile off a case
    Detach {
        /// Name of the case
        #[arg(value_name = "NAME")]
        name: String,
        /// The profile (16 digits)
        #[arg(value_name = "PROFILE")]
        profile: String,
        /// Configuration file (TOML), for `lists.store`
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Change what is done at the next call
    Order {
        /// Name of the case
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        orders: OrderArgs,
        /// Configuration file (TOML), for `lists.store`
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Add a note
    Note {
        /// Name of the case
        #[arg(value_name = "NAME")]
        name: String,
        /// What is to be noted
        #[arg(value_name = "TEXT")]
        text: String,
        /// Configuration file (TOML), for `lists.store`
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Close a case: its profiles' calls are no longer acted on
    Close {
        /// Name of the case
        #[arg(value_name = "NAME")]
        name: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
        /// Open it again instead
        #[arg(long)]
        reopen: bool,
        /// Configuration file (TOML), for `lists.store`
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Show a case: profiles, notes, who changed what
    Show {
        /// Name of the case
        #[arg(value_name = "NAME")]
        name: String,
        /// How it is written
        #[arg(long, value_enum, default_value = "text")]
        format: As,
        /// Configuration file (TOML), for `lists.store`
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// List cases
    List {
        /// Closed ones, too
        #[arg(long)]
        all: bool,
        /// Configuration file (TOML), for `lists.store`
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum As {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// Let it through
    Pass,
    /// Let it through with the risk header
    Tag,
    /// Send it to --target
    Divert,
    /// Refuse it with --response
    Reject,
    /// Drop it silently
    Drop,
    /// What the policy says, which sees the tag known_bad
    Policy,
}

#[derive(Args, Debug)]
struct OrderArgs {
    /// What is done at the next call
    #[arg(long, value_enum, default_value = "tag")]
    action: What,
    /// Where a diverted call goes: USER@HOST, USER@ or HOST
    #[arg(long, value_name = "TARGET", default_value = "", required_if_eq("action", "divert"))]
    target: String,
    /// How a call is refused: 603, 607 or 608
    #[arg(long, value_name = "CODE", default_value = "608", value_parser = response)]
    response: Response,
    /// Why; shown with every such call
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

/// Whose case it is.
#[derive(Args, Debug)]
struct Whom {
    /// A caller's number, the Call-ID of a call, or a profile (16 digits)
    #[arg(long, value_name = "NUMBER|CALL_ID|PROFILE", allow_hyphen_values = true)]
    profile: String,
    #[command(flatten)]
    from: Calls,
}

fn response(text: &str) -> Result<Response, String> {
    match text {
        "603" => Ok(Response::Decline),
        "607" => Ok(Response::Unwanted),
        "608" => Ok(Response::Rejected),
        _ => Err("must be 603, 607 or 608".into()),
    }
}

impl OrderArgs {
    fn orders(&self) -> Orders {
        let action = match self.action {
            What::Pass => Some(Action::Pass),
            What::Tag => Some(Action::Tag),
            What::Divert => Some(Action::Divert),
            What::Reject => Some(Action::Reject),
            What::Drop => Some(Action::Drop),
            What::Policy => None,
        };
        let (target, reason) = (self.target.clone(), self.reason.clone());
        Orders { action, response: self.response, target, reason }
    }
}

impl Whom {
    /// The profile, and what it is known by where captures tell.
    fn find(&self) -> anyhow::Result<(u64, Portrait, Option<Config>)> {
        if self.from.capture.is_empty() && self.from.records.is_none() {
            let id = parse_id(&self.profile).with_context(|| {
                format!(
                    "{} is no profile (16 digits, as a verdict's `profile`); to find the profile of \
                     a number or a call give --capture FILE or --records FOLDER, too",
                    self.profile
                )
            })?;
            return Ok((id, Portrait::default(), self.from.config()?));
        }
        let (config, inquiry, _) = self.from.read()?;
        let asked = inquiry.find(&self.profile, config.engine.env.home_country)?;
        let portrait = inquiry.portraits().remove(&asked.profile).unwrap_or_default();
        Ok((asked.profile, portrait, Some(config)))
    }
}

/// What the commands share.
struct Desk {
    path: PathBuf,
    by: String,
    now: i64,
}

impl Desk {
    fn new(args: &CaseArgs, config: Option<&Config>) -> anyhow::Result<Self> {
        let configured = || config?.engine.env.store.clone();
        let path = args.store.clone().or_else(configured).context(
            "where are the cases kept? give --store FILE, or --config FILE with lists.store",
        )?;
        let by = match &args.by {
            Some(by) => by.clone(),
            None => {
                std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).unwrap_or_default()
            }
        };
        Ok(Self { path, by, now: jiff::Timestamp::now().as_second() })
    }

    fn read(args: &CaseArgs, config: Option<&PathBuf>) -> anyhow::Result<Self> {
        let config = config.map(|path| Config::read(path)).transpose()?;
        Self::new(args, config.as_ref())
    }

    fn by(&self) -> (&str, i64) {
        (&self.by, self.now)
    }

    fn attached(&self, profile: u64, portrait: Portrait) -> Attached {
        Attached { profile, portrait, author: self.by.clone(), created: self.now }
    }

    /// To change what is there: what is not there is not made to find that out.
    fn open(&self) -> anyhow::Result<Store> {
        Store::look(&self.path)?;
        Ok(Store::open(&self.path)?)
    }
}

pub(super) fn run(args: &CaseArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        CaseCommand::Open { name, method, orders, whom } => {
            let (profile, portrait, config) = whom.find()?;
            let desk = Desk::new(args, config.as_ref())?;
            let case = Case {
                name: name.clone(),
                status: Status::Open,
                method: method.clone(),
                orders: orders.orders(),
                author: desk.by.clone(),
                created: desk.now,
                changed: desk.now,
                profiles: Vec::new(),
                notes: Vec::new(),
            };
            let mut store = Store::open(&desk.path)?;
            store.create(&case)?;
            told(&portrait);
            store.attach(name, &desk.attached(profile, portrait))?;
            eprintln!("opened {name} for profile {profile:016x}");
        }
        CaseCommand::Attach { name, whom } => {
            let (profile, portrait, config) = whom.find()?;
            let desk = Desk::new(args, config.as_ref())?;
            told(&portrait);
            let new = desk.open()?.attach(name, &desk.attached(profile, portrait))?;
            let what = if new { "attached" } else { "renewed" };
            eprintln!("{what} profile {profile:016x} of {name}");
        }
        CaseCommand::Detach { name, profile, config } => {
            let desk = Desk::read(args, config.as_ref())?;
            let id = parse_id(profile)
                .with_context(|| format!("{profile} is no profile: 16 digits, as in a verdict"))?;
            if !desk.open()?.detach(name, id, desk.by())? {
                eprintln!("{name} has no profile {profile}");
                return Ok(ExitCode::from(1));
            }
            eprintln!("detached profile {profile} from {name}");
        }
        CaseCommand::Order { name, orders, config } => {
            let desk = Desk::read(args, config.as_ref())?;
            desk.open()?.order(name, &orders.orders(), desk.by())?;
            eprintln!("changed {name}");
        }
        CaseCommand::Note { name, text, config } => {
            let desk = Desk::read(args, config.as_ref())?;
            desk.open()?.note(name, text, desk.by())?;
            eprintln!("noted with {name}");
        }
        CaseCommand::Close { name, note, reopen, config } => {
            let desk = Desk::read(args, config.as_ref())?;
            let mut store = desk.open()?;
            let status = if *reopen { Status::Open } else { Status::Closed };
            if let Some(note) = note {
                store.note(name, note, desk.by())?;
            }
            if !store.set_status(name, status, desk.by())? {
                eprintln!("{name} is {} already", status.name());
                return Ok(ExitCode::from(1));
            }
            eprintln!("{name} is {}", status.name());
        }
        CaseCommand::Show { name, format, config } => {
            let desk = Desk::read(args, config.as_ref())?;
            let store = Store::look(&desk.path)?;
            let case = store.case(name)?;
            let text = match format {
                As::Json => format!("{:#}\n", json(&case)),
                As::Text => {
                    let mut text = shown(&case);
                    text.push_str("changes\n");
                    for change in store.trail(name)? {
                        // Writing to a String cannot fail.
                        let _ = writeln!(
                            text,
                            "  {} {} {} {} -> {}",
                            time(change.at),
                            dash(&change.author),
                            change.what,
                            dash(&change.old),
                            dash(&change.new)
                        );
                    }
                    text
                }
            };
            return print(text.as_bytes());
        }
        CaseCommand::List { all, config } => {
            let desk = Desk::read(args, config.as_ref())?;
            let mut text = String::new();
            for case in Store::look(&desk.path)?.cases()? {
                if case.status == Status::Closed && !all {
                    continue;
                }
                let _ = writeln!(
                    text,
                    "{:<24} {:<6} {:<6} {} profiles, changed {} {}",
                    case.name,
                    case.status.name(),
                    case.orders.action.map_or("policy", Action::name),
                    case.profiles.len(),
                    time(case.changed),
                    case.orders.reason
                );
            }
            return print(text.as_bytes());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What an attached profile without a portrait means.
fn told(portrait: &Portrait) {
    if portrait.is_empty() {
        eprintln!(
            "the profile is followed by a scorer that knows its id; with --capture it would be known \
             to others, too"
        );
    }
}

fn shown(case: &Case) -> String {
    let mut out = String::new();
    let action = case.orders.action.map_or("policy", Action::name);
    let how = match case.orders.action {
        Some(Action::Reject) => format!(" with {}", case.orders.response.code()),
        Some(Action::Divert) => format!(" to {}", case.orders.target),
        _ => String::new(),
    };
    // Writing to a String cannot fail.
    let _ = writeln!(out, "case {} ({})", case.name, case.status.name());
    let _ = writeln!(out, "  opened {} by {}", time(case.created), dash(&case.author));
    let _ = writeln!(out, "  at the next call: {action}{how}");
    let _ = writeln!(out, "  reason: {}", dash(&case.orders.reason));
    let _ = writeln!(out, "  method: {}", dash(&case.method));
    let _ = writeln!(out, "profiles");
    for profile in &case.profiles {
        let known = match profile.portrait.calls {
            0 => "known by its id".to_owned(),
            calls => format!("known by {calls} calls, the last {}", profile.portrait.last),
        };
        let _ =
            writeln!(out, "  {:016x} {known}, attached {}", profile.profile, time(profile.created));
    }
    let _ = writeln!(out, "notes");
    for note in &case.notes {
        let _ = writeln!(out, "  {} {} {}", time(note.at), dash(&note.author), note.text);
    }
    out
}

fn json(case: &Case) -> serde_json::Value {
    let profiles = case.profiles.iter().map(|attached| {
        serde_json::json!({
            "profile": format!("{:016x}", attached.profile),
            "calls": attached.portrait.calls,
            "attached": time(attached.created),
            "by": attached.author,
        })
    });
    let notes = case
        .notes
        .iter()
        .map(|note| serde_json::json!({"at": time(note.at), "by": note.author, "text": note.text}));
    serde_json::json!({
        "name": case.name,
        "status": case.status.name(),
        "method": case.method,
        "action": case.orders.action.map_or("policy", Action::name),
        "response": case.orders.response.code(),
        "target": case.orders.target,
        "reason": case.orders.reason,
        "opened": time(case.created),
        "by": case.author,
        "changed": time(case.changed),
        "profiles": profiles.collect::<Vec<_>>(),
        "notes": notes.collect::<Vec<_>>(),
    })
}

fn time(at: i64) -> String {
    jiff::Timestamp::from_second(at).map(|at| at.to_string()).unwrap_or_default()
}

fn dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}
