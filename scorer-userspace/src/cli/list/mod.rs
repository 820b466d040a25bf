//! `scorer list`.

mod show;

use std::{
    fs::File,
    io::{self, BufReader},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, anyhow, bail};
use clap::{
    Args, Subcommand, ValueEnum,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};

use crate::{
    config::Config,
    env::Trunks,
    lists::{
        Imported, List, Store, StoreError, Stored, is_national, names_of, parse_expiry, read_value,
    },
    number,
};

#[derive(Args, Debug)]
pub(super) struct ListArgs {
    /// File the lists are kept in, instead of the configured one
    #[arg(long, value_name = "FILE", global = true)]
    store: Option<PathBuf>,
    /// Configuration file (TOML), for `lists.store`, `numbers.home_country` and the names of trunks
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Country code of national numbers, instead of the configured one
    #[arg(long, value_name = "CODE", global = true, value_parser = clap::value_parser!(u16).range(1..=999))]
    home_country: Option<u16>,
    /// Who changes it, for the audit trail; the user's name when not given
    #[arg(long, value_name = "NAME", global = true)]
    by: Option<String>,
    /// Show only the first three characters and the last two of every number
    #[arg(long, global = true)]
    mask: bool,
    #[command(subcommand)]
    command: ListCommand,
}

#[derive(Debug, Subcommand)]
enum ListCommand {
    /// Put an entry on a list; one that is there becomes what is given now, all of it
    Add {
        /// List
        #[arg(value_name = "LIST", value_parser = list_names())]
        list: List,
        /// What it names: a number, a range, an address or prefix, a trunk, 16 hex digits or a signature
        #[arg(value_name = "VALUE", allow_hyphen_values = true)]
        value: String,
        /// Why; shown with every call that it names
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
        /// When it stops: 30d, 12h, 90m, 2026-12-31 or 2026-12-31T12:00:00Z; never when not given
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
        /// Where an allowed caller calls from: trunks and prefixes, between spaces
        #[arg(long, value_name = "PLACES", default_value = "")]
        from: String,
    },
    /// Take an entry off a list
    Remove {
        /// List
        #[arg(value_name = "LIST", value_parser = list_names())]
        list: List,
        /// What it names
        #[arg(value_name = "VALUE", allow_hyphen_values = true)]
        value: String,
    },
    /// Show entries of the store and of `lists.files`, all or those that a value falls under
    Show {
        /// A number, source, trunk, fingerprint or signature
        #[arg(value_name = "VALUE", allow_hyphen_values = true)]
        value: Option<String>,
        /// Only of this list
        #[arg(long, value_name = "LIST", value_parser = list_names())]
        list: Option<List>,
        /// Those that are over, too
        #[arg(long)]
        over: bool,
        /// How they are written
        #[arg(long, value_enum, default_value = "table")]
        format: ShowFormat,
    },
    /// Add the entries of a CSV file: list, value, and perhaps reason, author, created, expires, from
    Import {
        /// File; `-` for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Import nothing if a line is wrong
        #[arg(long)]
        strict: bool,
    },
    /// Write all entries as CSV, which `import` takes; numbers are whole unless --mask is given
    Export {
        /// File; `-` for standard output
        #[arg(value_name = "FILE", default_value = "-")]
        file: PathBuf,
    },
    /// Show who changed what, and when
    Audit {
        /// Only of entries that name just this
        #[arg(value_name = "VALUE", allow_hyphen_values = true)]
        value: Option<String>,
        /// At most so many changes, the last ones
        #[arg(long, default_value_t = 1_000, value_name = "N")]
        last: u32,
        /// How they are written
        #[arg(long, value_enum, default_value = "table")]
        format: ShowFormat,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ShowFormat {
    Table,
    Jsonl,
}

/// Lists by their names, which clap then shows and guesses.
fn list_names() -> impl TypedValueParser<Value = List> {
    let names = List::ALL.map(|list| PossibleValue::new(list.name()).help(list.help().trim()));
    PossibleValuesParser::new(names)
        .try_map(|name| List::by_name(&name).ok_or("there is no such list"))
}

/// What the commands share.
struct Desk {
    path: PathBuf,
    /// Lists that are configured beside it.
    files: Vec<PathBuf>,
    home: Option<u16>,
    /// Those that are configured, where that is known.
    trunks: Option<Trunks>,
    by: String,
    now: i64,
    /// By the configuration or the command line.
    mask: bool,
    /// By the command line.
    mask_exports: bool,
}

pub(super) fn run(args: &ListArgs) -> anyhow::Result<ExitCode> {
    let config = args.config.as_deref().map(Config::read).transpose()?;
    let env = config.as_ref().map(|config| &config.engine.env);
    let path = args.store.clone().or_else(|| env?.store.clone()).context(
        "where are the lists kept? give --store FILE, or --config FILE with lists.store",
    )?;
    let desk = Desk {
        path,
        files: env.map(|env| env.lists.clone()).unwrap_or_default(),
        home: args.home_country.or_else(|| env?.home_country),
        trunks: env.map(|env| env.trunks.clone()),
        by: args.by.clone().unwrap_or_else(user),
        now: jiff::Timestamp::now().as_second(),
        mask: args.mask || config.as_ref().is_some_and(|config| config.style.mask),
        mask_exports: args.mask,
    };
    match &args.command {
        ListCommand::Add { list, value, reason, expires, from } => {
            desk.add(*list, value, reason, expires.as_deref(), from)
        }
        ListCommand::Remove { list, value } => desk.remove(*list, value),
        ListCommand::Show { value, list, over, format } => {
            desk.show(value.as_deref(), *list, *over, *format)
        }
        ListCommand::Import { file, strict } => desk.import(file, *strict),
        ListCommand::Export { file } => desk.export(file),
        ListCommand::Audit { value, last, format } => desk.audit(value.as_deref(), *last, *format),
    }
}

/// Who runs this, as far as the system knows.
fn user() -> String {
    let uid = nix::unistd::Uid::current();
    // Of root who is somebody else.
    let behind = std::env::var("SUDO_USER").ok().filter(|name| uid.is_root() && !name.is_empty());
    let named = || Some(nix::unistd::User::from_uid(uid).ok()??.name);
    behind.or_else(named).unwrap_or_else(|| format!("uid {uid}"))
}

impl Desk {
    fn add(
        &self,
        list: List,
        value: &str,
        reason: &str,
        expires: Option<&str>,
        from: &str,
    ) -> anyhow::Result<ExitCode> {
        let expires = expires
            .map_or(Ok(None), |text| parse_expiry(text, self.now))
            .map_err(|what| anyhow!("--expires {what}"))?;
        // What cannot be makes no store.
        let (_, kept) = read_value(list, value, self.home).map_err(|what| anyhow!(what))?;
        let entry = Stored {
            list,
            value: value.to_owned(),
            reason: reason.to_owned(),
            author: self.by.clone(),
            created: self.now,
            expires,
            from: from.to_owned(),
        };
        self.warn(&entry, &kept);
        let new = Store::open(&self.path)?.add(&entry, &self.by, self.now, self.home)?;
        let word = if new { "added" } else { "changed" };
        eprintln!("{word} {} {}", list.name(), self.shown(list, &kept));
        Ok(ExitCode::SUCCESS)
    }

    /// Says what is odd about an entry that can be.
    fn warn(&self, entry: &Stored, kept: &str) {
        if entry.is_over(self.now) {
            eprintln!("warning: the entry is over already");
        }
        if is_national(entry.list, kept) {
            eprintln!(
                "warning: {} has no country code and names only calls signalled just so; write \
                 +44…, or give --home-country, or --config with numbers.home_country",
                self.shown(entry.list, kept)
            );
        }
        let Some(trunks) = &self.trunks else { return };
        let is_trunk = matches!(entry.list, List::AllowTrunk | List::DenyTrunk);
        let places = names_of(&entry.from).filter(|place| crate::env::prefix(place).is_none());
        for name in places.chain(is_trunk.then_some(kept)) {
            if !trunks.0.iter().any(|trunk| trunk.name == name) {
                eprintln!("warning: sources.trunks has no trunk {name}: no call comes over it");
            }
        }
    }

    fn remove(&self, list: List, value: &str) -> anyhow::Result<ExitCode> {
        let (_, kept) = read_value(list, value, self.home).map_err(|what| anyhow!(what))?;
        // What is not there is not made to find that out.
        Store::look(&self.path)?;
        let shown = self.shown(list, &kept);
        if Store::open(&self.path)?.remove(list, value, &self.by, self.now, self.home)? {
            eprintln!("removed {} {shown}", list.name());
            return Ok(ExitCode::SUCCESS);
        }
        eprintln!(
            "{} has no entry {shown}; `scorer list show {shown}` shows which name it",
            list.name()
        );
        Ok(ExitCode::from(1))
    }

    fn import(&self, file: &Path, strict: bool) -> anyhow::Result<ExitCode> {
        let input: Box<dyn io::BufRead> = if file.as_os_str() == "-" {
            Box::new(io::stdin().lock())
        } else {
            let open =
                File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
            Box::new(BufReader::new(open))
        };
        let done = Store::open(&self.path)?.import(input, &self.by, self.now, self.home, strict);
        let done = match done {
            Ok(done) => done,
            Err(StoreError::Refused(done)) => {
                tell_wrong(file, &done);
                bail!(
                    "nothing was imported: {} of the lines are wrong, and --strict asks for none",
                    done.wrong
                );
            }
            Err(error) => return Err(error).with_context(|| file.display().to_string()),
        };
        tell_wrong(file, &done);
        if done.national > 0 {
            eprintln!(
                "warning: {} numbers have no country code and name only calls signalled just so; \
                 give --home-country, or --config with numbers.home_country",
                done.national
            );
        }
        eprintln!(
            "{} added, {} changed, {} there before, {} wrong lines passed over",
            done.added, done.changed, done.same, done.wrong
        );
        Ok(if done.wrong > 0 { ExitCode::from(1) } else { ExitCode::SUCCESS })
    }

    /// A value, masked where it is personal and that is asked for.
    fn shown(&self, list: List, value: &str) -> String {
        shown(list, value, self.mask)
    }
}

/// A value, masked where it is personal and `mask` says so.
fn shown(list: List, value: &str, mask: bool) -> String {
    if mask && list.personal() {
        // Both ends of a range.
        let ends: Vec<_> =
            value.split('-').map(|end| number::mask(end.as_bytes()).to_string()).collect();
        return ends.join("-");
    }
    value.to_owned()
}

fn tell_wrong(file: &Path, done: &Imported) {
    for (line, what) in &done.told {
        eprintln!("{}, line {line}: {what}", file.display());
    }
    let more = done.wrong - done.told.len() as u64;
    if more > 0 {
        eprintln!("{}: and {more} lines more", file.display());
    }
}
