//! What `scorer list` shows of the store.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufReader, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::Context as _;
use serde_json::{Map, Value as Json, json};

use super::{Desk, ShowFormat, shown};
use crate::lists::{Audit, COLUMNS, List, Rows, Store, StoreError, Stored, Value, read_value};

/// Kinds of values, by one list each.
const KINDS: [List; 6] = [
    List::DenyNumber,
    List::DenyRange,
    List::DenySource,
    List::DenyTrunk,
    List::DenyFingerprint,
    List::DenyProfile,
];

impl Desk {
    pub(super) fn show(
        &self,
        value: Option<&str>,
        list: Option<List>,
        over: bool,
        format: ShowFormat,
    ) -> anyhow::Result<ExitCode> {
        let store = match Store::look(&self.path) {
            Ok(store) => Some(store),
            Err(error @ StoreError::Missing { .. }) if !self.files.is_empty() => {
                eprintln!("warning: {error}");
                None
            }
            Err(error) => return Err(error.into()),
        };
        let asked = value.map(|value| self.read(value));
        let mut out = io::BufWriter::new(io::stdout().lock());
        let mut written = match format {
            ShowFormat::Table => writeln!(
                out,
                "{:<17} {:<29} {:<20} {:<20} {:<12} {:<20} REASON",
                "LIST", "VALUE", "UNTIL", "SINCE", "BY", "FROM"
            ),
            ShowFormat::Jsonl => Ok(()),
        };
        let mut count = 0u64;
        let mut each = |entry: &Stored, file: Option<&Path>| {
            let falls = asked.as_ref().is_none_or(|asked| self.falls_under(entry, asked));
            let of_list = list.is_none_or(|list| list == entry.list);
            if falls && of_list && (over || !entry.is_over(self.now)) && written.is_ok() {
                count += 1;
                written = out.write_all(self.line(entry, file, format).as_bytes());
            }
        };
        if let Some(store) = store {
            store.entries(&mut |entry| each(&entry, None))?;
        }
        for file in &self.files {
            self.of_file(file, &mut |entry| each(entry, Some(file)))?;
        }
        finish(written.and_then(|()| out.flush()))?;
        eprintln!("{count} {}", if count == 1 { "entry" } else { "entries" });
        // As grep does.
        Ok(ExitCode::from(u8::from(value.is_some() && count == 0)))
    }

    /// Calls `each` with the entries of a configured file; tells lines that are wrong.
    fn of_file(&self, file: &Path, each: &mut dyn FnMut(&Stored)) -> anyhow::Result<()> {
        let read = || format!("cannot read {}", file.display());
        let mut rows = Rows::new(BufReader::new(File::open(file).with_context(read)?));
        while let Some((line, row)) = rows.next_row().with_context(read)? {
            let entry = row.and_then(|row| {
                let kept = read_value(row.list, &row.value, self.home).map_err(str::to_owned)?.1;
                let reason = match row.list {
                    List::Consortium => format!("shared by {}", row.shared.0),
                    _ => row.reason.into_owned(),
                };
                Ok(Stored {
                    list: row.list,
                    value: kept,
                    reason,
                    author: row.author.into_owned(),
                    created: row.created.unwrap_or(0),
                    expires: row.expires,
                    from: row.from.into_owned(),
                })
            });
            match entry {
                Ok(entry) => each(&entry),
                Err(what) => eprintln!("warning: {}, line {line}: {what}", file.display()),
            }
        }
        Ok(())
    }

    /// All that a text may mean, and how it would be kept.
    fn read(&self, text: &str) -> Vec<(Value, String)> {
        KINDS.iter().filter_map(|list| read_value(*list, text, self.home).ok()).collect()
    }

    /// Whether a call of such a value would be named by the entry.
    fn falls_under(&self, entry: &Stored, asked: &[(Value, String)]) -> bool {
        let Ok((value, _)) = read_value(entry.list, &entry.value, self.home) else { return false };
        asked.iter().any(|(asked, _)| match (&value, asked) {
            (Value::Range(first, last), Value::Range(from, to)) => first <= from && to <= last,
            (Value::Source(net, bits), Value::Source(address, more)) => {
                bits <= more && crate::env::contains(*net, *bits, *address)
            }
            (value, asked) => value == asked,
        })
    }

    fn line(&self, entry: &Stored, file: Option<&Path>, format: ShowFormat) -> String {
        let value = self.shown(entry.list, &entry.value);
        let over = entry.is_over(self.now);
        let until = entry.expires.map(time);
        // Files need not say since when.
        let since = (file.is_none() || entry.created != 0).then(|| time(entry.created));
        let list = entry.list.name();
        let Stored { author, from, reason, .. } = entry;
        match format {
            ShowFormat::Jsonl => {
                let object = json!({
                    "list": list, "value": value, "reason": reason, "author": author,
                    "created": since, "expires": until, "from": from, "over": over,
                    "file": file,
                });
                format!("{object}\n")
            }
            ShowFormat::Table => format!(
                "{list:<17} {value:<29} {:<20} {:<20} {:<12} {:<20} {}{reason}{}\n",
                until.as_deref().unwrap_or("-"),
                since.as_deref().unwrap_or("-"),
                dash(author),
                dash(from),
                if over { "(over) " } else { "" },
                file.map(|file| format!(" [{}]", file.display())).unwrap_or_default(),
            ),
        }
    }

    pub(super) fn export(&self, file: &Path) -> anyhow::Result<ExitCode> {
        let store = Store::look(&self.path)?;
        let out: Box<dyn Write> = if file.as_os_str() == "-" {
            Box::new(io::stdout().lock())
        } else {
            Box::new(
                File::create(file).with_context(|| format!("cannot write {}", file.display()))?,
            )
        };
        let mut writer = csv::Writer::from_writer(out);
        let mut written = writer.write_record(COLUMNS);
        let mut count = 0u64;
        store.entries(&mut |entry| {
            if written.is_ok() {
                count += 1;
                let value = shown(entry.list, &entry.value, self.mask_exports);
                let (created, expires) =
                    (time(entry.created), entry.expires.map(time).unwrap_or_default());
                let Stored { list, reason, author, from, .. } = &entry;
                let list = list.name();
                written =
                    writer.write_record([list, &value, reason, author, &created, &expires, from]);
            }
        })?;
        finish(written.map_err(Into::into).and_then(|()| writer.flush()))?;
        eprintln!("wrote {count} {}", if count == 1 { "entry" } else { "entries" });
        if self.mask_exports {
            eprintln!("warning: its numbers are masked; it cannot be imported");
        }
        Ok(ExitCode::SUCCESS)
    }

    pub(super) fn audit(
        &self,
        value: Option<&str>,
        last: u32,
        format: ShowFormat,
    ) -> anyhow::Result<ExitCode> {
        let store = Store::look(&self.path)?;
        let asked = value.map(|value| self.read(value));
        let mut lines = VecDeque::new();
        // Of one value, those may be far apart.
        let read = if asked.is_some() { u32::MAX } else { last };
        store.audit(read, &mut |audit| {
            let means =
                |asked: &Vec<(Value, String)>| asked.iter().any(|(_, kept)| *kept == audit.value);
            if asked.as_ref().is_none_or(means) {
                if lines.len() >= last as usize {
                    lines.pop_front();
                }
                lines.push_back(audit);
            }
        })?;
        let mut out = io::BufWriter::new(io::stdout().lock());
        let written =
            lines.iter().try_for_each(|line| writeln!(out, "{}", self.told(line, format)));
        finish(written.and_then(|()| out.flush()))?;
        Ok(ExitCode::from(u8::from(value.is_some() && lines.is_empty())))
    }

    /// A change in words.
    fn told(&self, line: &Audit, format: ShowFormat) -> String {
        let value = match List::by_name(&line.list) {
            Some(list) => self.shown(list, &line.value),
            None => line.value.clone(),
        };
        let fields = |text: &str| serde_json::from_str::<Map<String, Json>>(text).ok();
        let (old, new) = (fields(&line.old), fields(&line.new));
        let (at, author) = (time(line.at), dash(&line.author));
        if format == ShowFormat::Jsonl {
            return json!({
                "id": line.id, "at": at, "author": line.author, "what": line.what,
                "list": line.list, "value": value, "old": old, "new": new,
            })
            .to_string();
        }
        let names = ["reason", "author", "created", "expires", "from"];
        let field = |of: &Option<Map<String, Json>>, name: &str| {
            of.as_ref().map(|of| match of.get(name) {
                Some(Json::String(text)) => text.clone(),
                _ => String::new(),
            })
        };
        let changes: Vec<_> = names
            .iter()
            .filter_map(|name| match (field(&old, name), field(&new, name)) {
                (Some(old), Some(new)) => {
                    (old != new).then(|| format!("{name} {} -> {}", said(&old), said(&new)))
                }
                (old, new) => old
                    .or(new)
                    .filter(|text| !text.is_empty())
                    .map(|text| format!("{name} {}", said(&text))),
            })
            .collect();
        let before = if new.is_none() { "was: " } else { "" };
        format!(
            "{at} {author:<12} {:<7} {:<17} {value:<29} {before}{}",
            line.what,
            line.list,
            changes.join(", ")
        )
    }
}

fn dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// A text between quotes where it has spaces.
fn said(text: &str) -> String {
    if text.is_empty() || text.contains([' ', ',']) { format!("{text:?}") } else { text.to_owned() }
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
