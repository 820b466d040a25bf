//! `scorer list`.

use std::{
    fmt::Write as _,
    fs::File,
    io::{self, BufReader, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand, ValueEnum};

use crate::{
    config::Config,
    lists::{List, Store, Stored, Value, parse_expiry, read_value},
    number,
};

#[derive(Args, Debug)]
pub(super) struct ListArgs {
    /// File the lists are kept in, instead of the configured one
    #[arg(long, value_name = "FILE", global = true)]
    store: Option<PathBuf>,
    /// Configuration file (TOML), for `lists.store` and `numbers.home_country`
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Country code of national numbers, instead of the configured one
    #[arg(long, value_name = "CODE", global = true)]
    home_country: Option<u16>,
    /// Who changes it; the user name when not given
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
    /// Put an entry on a list, or change one
    Add {
        /// List: allow_number, deny_range … (docs/lists.md)
        #[arg(value_name = "LIST", value_parser = by_name)]
        list: List,
        /// What it names
        #[arg(value_name = "VALUE", allow_hyphen_values = true)]
        value: String,
        /// Why; shown with every call that it names
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
        /// When it stops: 30d, 12h, 90m, 2026-12-31 or 2026-12-31T12:00:00Z
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
        /// Where an allowed caller calls from: trunks and prefixes, between spaces
        #[arg(long, value_name = "PLACES", default_value = "")]
        from: String,
    },
    /// Take an entry off a list
    Remove {
        /// List
        #[arg(value_name = "LIST", value_parser = by_name)]
        list: List,
        /// What it names
        #[arg(value_name = "VALUE", allow_hyphen_values = true)]
        value: String,
    },
    /// Show entries, all or those that a value falls under
    Show {
        /// A number, source, trunk, fingerprint or signature
        #[arg(value_name = "VALUE", allow_hyphen_values = true)]
        value: Option<String>,
        /// Only of this list
        #[arg(long, value_name = "LIST", value_parser = by_name)]
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
    /// Write all entries as CSV
    Export {
        /// File; `-` for standard output
        #[arg(value_name = "FILE", default_value = "-")]
        file: PathBuf,
    },
    /// Show who changed what, and when
    Audit {
        /// At most so many lines, the last ones
        #[arg(long, default_value_t = 1_000, value_name = "N")]
        last: u32,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ShowFormat {
    Table,
    Jsonl,
}

fn by_name(name: &str) -> Result<List, String> {
    List::by_name(name)
        .ok_or_else(|| format!("there is no such list; did you mean {}?", List::nearest(name)))
}

/// What the commands share.
struct Desk {
    path: PathBuf,
    home: Option<u16>,
    by: String,
    now: i64,
    mask: bool,
}

pub(super) fn run(args: &ListArgs) -> anyhow::Result<ExitCode> {
    let config = args.config.as_deref().map(Config::read).transpose()?;
    let env = config.as_ref().map(|config| &config.engine.env);
    let path = args.store.clone().or_else(|| env?.store.clone()).context(
        "where are the lists kept? give --store FILE, or --config FILE with lists.store",
    )?;
    let by = match &args.by {
        Some(by) => by.clone(),
        None => std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).unwrap_or_default(),
    };
    let home = args.home_country.or_else(|| env?.home_country);
    let mask = args.mask || config.as_ref().is_some_and(|config| config.style.mask);
    let desk = Desk { path, home, by, now: jiff::Timestamp::now().as_second(), mask };
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
        ListCommand::Audit { last } => desk.audit(*last),
    }
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
        let entry = Stored {
            list,
            value: value.to_owned(),
            reason: reason.to_owned(),
            author: self.by.clone(),
            created: self.now,
            expires,
            from: from.to_owned(),
        };
        if entry.is_over(self.now) {
            eprintln!("warning: the entry is over already");
        }
        let new = Store::open(&self.path)?.add(&entry, &self.by, self.now, self.home)?;
        let value = read_value(list, value, self.home).map(|(_, kept)| kept).unwrap_or_default();
        let value = self.shown(list, &value);
        eprintln!("{} {} {value}", if new { "added" } else { "changed" }, list.name());
        Ok(ExitCode::SUCCESS)
    }

    fn remove(&self, list: List, value: &str) -> anyhow::Result<ExitCode> {
        // What is not there is not made to find that out.
        Store::look(&self.path)?;
        if Store::open(&self.path)?.remove(list, value, &self.by, self.now, self.home)? {
            eprintln!("removed {} {}", list.name(), self.shown(list, value));
            return Ok(ExitCode::SUCCESS);
        }
        eprintln!("{} has no entry {}", list.name(), self.shown(list, value));
        Ok(ExitCode::from(1))
    }

    fn show(
        &self,
        value: Option<&str>,
        list: Option<List>,
        over: bool,
        format: ShowFormat,
    ) -> anyhow::Result<ExitCode> {
        let store = Store::look(&self.path)?;
        let wanted: Option<Vec<_>> = value.map(|value| {
            let kinds = [
                List::DenyNumber,
                List::DenySource,
                List::DenyTrunk,
                List::DenyProfile,
                List::DenyRange,
            ];
            kinds
                .iter()
                .filter_map(|list| Some(read_value(*list, value, self.home).ok()?.0))
                .collect()
        });
        let mut out = io::BufWriter::new(io::stdout().lock());
        let mut written = Ok(());
        let mut count = 0u64;
        store.entries(&mut |entry| {
            let meant = wanted.as_ref().is_none_or(|wanted| self.falls_under(&entry, wanted));
            let skipped =
                list.is_some_and(|list| list != entry.list) || !over && entry.is_over(self.now);
            if skipped || !meant || written.is_err() {
                return;
            }
            count += 1;
            written = out.write_all(self.line(&entry, format).as_bytes());
        })?;
        finish(written.and_then(|()| out.flush()))?;
        eprintln!("{count} entries");
        Ok(ExitCode::SUCCESS)
    }

    /// Whether a call of such a value would be named by the entry.
    fn falls_under(&self, entry: &Stored, wanted: &[Value]) -> bool {
        let Ok((value, _)) = read_value(entry.list, &entry.value, self.home) else { return false };
        wanted.iter().any(|wanted| match (&value, wanted) {
            (Value::Range(first, last), Value::Range(from, to)) => first <= from && to <= last,
            (Value::Source(net, bits), Value::Source(address, more)) => {
                bits <= more && crate::env::contains(*net, *bits, *address)
            }
            (value, wanted) => value == wanted,
        })
    }

    fn line(&self, entry: &Stored, format: ShowFormat) -> String {
        let value = self.shown(entry.list, &entry.value);
        let over = entry.is_over(self.now);
        if format == ShowFormat::Jsonl {
            let object = serde_json::json!({
                "list": entry.list.name(), "value": value, "reason": entry.reason,
                "author": entry.author, "created": time(entry.created),
                "expires": entry.expires.map(time), "from": entry.from, "over": over,
            });
            return format!("{object}\n");
        }
        let mut text = format!("{:<17} {value:<32} ", entry.list.name());
        // Writing to a String cannot fail.
        let _ = match entry.expires {
            Some(at) => write!(text, "{} {} ", if over { "over since" } else { "until" }, time(at)),
            None => write!(text, "for ever "),
        };
        if !entry.from.is_empty() {
            let _ = write!(text, "from {} ", entry.from);
        }
        let _ = writeln!(text, "({}, {}) {}", entry.author, time(entry.created), entry.reason);
        text
    }

    fn import(&self, file: &Path, strict: bool) -> anyhow::Result<ExitCode> {
        let input: Box<dyn io::BufRead> = if file.as_os_str() == "-" {
            Box::new(io::stdin().lock())
        } else {
            let open =
                File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
            Box::new(BufReader::new(open))
        };
        let done = Store::open(&self.path)?
            .import(input, &self.by, self.now, self.home, strict)
            .with_context(|| file.display().to_string())?;
        for (line, what) in &done.told {
            eprintln!("{}, line {line}: {what}", file.display());
        }
        if done.wrong > done.told.len() as u64 {
            eprintln!("and {} more lines", done.wrong - done.told.len() as u64);
        }
        eprintln!(
            "added {}, changed {}, {} were there, passed over {} wrong lines",
            done.added, done.changed, done.same, done.wrong
        );
        Ok(if done.wrong > 0 { ExitCode::from(1) } else { ExitCode::SUCCESS })
    }

    fn export(&self, file: &Path) -> anyhow::Result<ExitCode> {
        let store = Store::look(&self.path)?;
        let out: Box<dyn Write> = if file.as_os_str() == "-" {
            Box::new(io::stdout().lock())
        } else {
            Box::new(
                File::create(file).with_context(|| format!("cannot write {}", file.display()))?,
            )
        };
        let mut writer = csv::Writer::from_writer(out);
        let names = ["list", "value", "reason", "author", "created", "expires", "from"];
        let mut written = writer.write_record(names);
        let mut count = 0u64;
        store.entries(&mut |entry| {
            if written.is_ok() {
                count += 1;
                let value = self.shown(entry.list, &entry.value);
                let (created, expires) =
                    (time(entry.created), entry.expires.map(time).unwrap_or_default());
                let Stored { list, reason, author, from, .. } = &entry;
                written = writer.write_record([
                    list.name(),
                    &value,
                    reason,
                    author,
                    &created,
                    &expires,
                    from,
                ]);
            }
        })?;
        finish(written.map_err(Into::into).and_then(|()| writer.flush()))?;
        eprintln!("wrote {count} entries");
        Ok(ExitCode::SUCCESS)
    }

    fn audit(&self, last: u32) -> anyhow::Result<ExitCode> {
        let store = Store::look(&self.path)?;
        let mut out = io::BufWriter::new(io::stdout().lock());
        let mut written = Ok(());
        store.audit(last, &mut |line| {
            if written.is_err() {
                return;
            }
            let value = match List::by_name(&line.list) {
                Some(list) => self.shown(list, &line.value),
                None => line.value,
            };
            let old = if line.old.is_empty() { "-" } else { &line.old };
            let new = if line.new.is_empty() { "-" } else { &line.new };
            written = writeln!(
                out,
                "{} {} {} {} {value} {old} -> {new}",
                time(line.at),
                if line.author.is_empty() { "-" } else { &line.author },
                line.what,
                line.list
            );
        })?;
        finish(written.and_then(|()| out.flush()))?;
        Ok(ExitCode::SUCCESS)
    }

    /// A value, masked where it is personal and that is asked for.
    fn shown(&self, list: List, value: &str) -> String {
        if self.mask && list.personal() {
            // Both ends of a range.
            let ends: Vec<_> =
                value.split('-').map(|end| number::mask(end.as_bytes()).to_string()).collect();
            return ends.join("-");
        }
        value.to_owned()
    }
}

fn time(at: i64) -> String {
    jiff::Timestamp::from_second(at).map(|at| at.to_string()).unwrap_or_default()
}

/// A reader that has gone away is no error.
fn finish(result: io::Result<()>) -> anyhow::Result<()> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write")
        }
        _ => Ok(()),
    }
}
