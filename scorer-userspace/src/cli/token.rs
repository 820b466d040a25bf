//! `scorer token`: who may use the API.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};

use super::print;
use crate::{
    api::{Entry, Role, Tokens},
    config::Config,
    lists::parse_expiry,
};

#[derive(Args, Debug)]
pub(super) struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
    /// File of lists, cases and tokens, instead of the configured one
    #[arg(long, value_name = "FILE", global = true)]
    store: Option<PathBuf>,
    /// Configuration file (TOML), for `lists.store`
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a token and print it; only its hash is kept
    Add {
        /// Whose it is
        #[arg(value_name = "NAME")]
        name: String,
        /// What its bearer may do
        #[arg(long, value_enum)]
        role: Which,
        /// When it stops: so long from now (12h, 90d), or a time
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
    },
    /// List tokens, without their secrets
    List,
    /// Revoke a token; a running API refuses it within a second
    Revoke {
        /// Whose it is
        #[arg(value_name = "NAME")]
        name: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    /// Looks, and sees numbers masked
    Viewer,
    /// Sees numbers, labels calls, changes lists and cases
    Analyst,
    /// Sees who changed what, too
    Admin,
}

impl From<Which> for Role {
    fn from(which: Which) -> Self {
        match which {
            Which::Viewer => Self::Viewer,
            Which::Analyst => Self::Analyst,
            Which::Admin => Self::Admin,
        }
    }
}

pub(super) fn run(args: &TokenArgs) -> anyhow::Result<ExitCode> {
    let config = args.config.as_deref().map(Config::read).transpose()?;
    let configured = || config.and_then(|config| config.engine.env.store);
    let path = args.store.clone().or_else(configured).context(
        "where are the tokens kept? give --store FILE, or --config FILE with lists.store",
    )?;
    let tokens = Tokens::open(&path)?;
    let by = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).unwrap_or_default();
    let now = jiff::Timestamp::now().as_second();
    let note = |what: &str, object: String| {
        tokens.note(&Entry {
            id: 0,
            at: now,
            who: by.clone(),
            role: Role::Admin.name().to_owned(),
            peer: "command line".to_owned(),
            what: what.to_owned(),
            status: 0,
            object,
        })
    };
    match &args.command {
        TokenCommand::Add { name, role, expires } => {
            let expires = match expires {
                Some(text) => {
                    parse_expiry(text, now).map_err(anyhow::Error::msg).context("--expires")?
                }
                None => None,
            };
            let role = Role::from(*role);
            let token = tokens.add(name, role, (&by, now), expires)?;
            note("token add", format!("{name} {}", role.name()))?;
            eprintln!("made a token for {name} ({}); it is shown this once:", role.name());
            print(format!("{token}\n").as_bytes())
        }
        TokenCommand::List => {
            let mut text = String::new();
            let time = |at: i64| {
                jiff::Timestamp::from_second(at).map(|at| at.to_string()).unwrap_or_default()
            };
            for token in tokens.list()? {
                use std::fmt::Write as _;
                let state = match (token.revoked, token.expires) {
                    (Some(at), _) => format!("revoked {}", time(at)),
                    (None, Some(at)) if at <= now => format!("over since {}", time(at)),
                    (None, Some(at)) => format!("until {}", time(at)),
                    (None, None) => "holds".to_owned(),
                };
                // Writing to a String cannot fail.
                let _ = writeln!(
                    text,
                    "{:<24} {:<8} made {} by {}, {state}",
                    token.name,
                    token.role.name(),
                    time(token.created),
                    if token.author.is_empty() { "-" } else { &token.author },
                );
            }
            print(text.as_bytes())
        }
        TokenCommand::Revoke { name } => {
            if !tokens.revoke(name, now)? {
                eprintln!("there is no token {name} that holds");
                return Ok(ExitCode::from(1));
            }
            note("token revoke", name.clone())?;
            eprintln!("revoked {name}");
            Ok(ExitCode::SUCCESS)
        }
    }
}
