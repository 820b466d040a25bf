//! What commands on records share: where they are, and since when.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, bail};
use clap::Args;

use crate::{
    config::Config,
    records::{RecordsConfig, query::Store},
    tap::wall,
    time::Timestamp,
};

#[derive(Args, Debug)]
pub(super) struct StoreArgs {
    /// Folder of the records, instead of the configured one
    #[arg(long, value_name = "FOLDER")]
    records: Option<PathBuf>,
    /// Configuration file (TOML), for `records.folder` and `labels.path`
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl StoreArgs {
    /// The configuration, and the folder.
    pub(super) fn folder(&self) -> anyhow::Result<(Config, PathBuf)> {
        let config = match &self.config {
            Some(path) => Config::read(path)?,
            None => Config::default(),
        };
        let folder = self.records.clone().or_else(|| config.records.folder.clone());
        let folder = folder.context(
            "where are the records? give --records FOLDER, or --config FILE with records.folder",
        )?;
        Ok((config, folder))
    }

    /// The configuration, and the records to be queried.
    pub(super) fn open(&self) -> anyhow::Result<(Config, Store)> {
        let (config, folder) = self.folder()?;
        let store = Store::open(&folder, config.labels.as_deref())?;
        Ok((config, store))
    }

    /// The folder, and how it is kept.
    pub(super) fn keeping(&self) -> anyhow::Result<(PathBuf, RecordsConfig)> {
        let (config, folder) = self.folder()?;
        Ok((folder, config.records))
    }
}

/// Reads a time: so long ago (`90s`, `15m`, `1h`, `7d`), or RFC 3339, or a date.
pub(super) fn time(text: &str) -> anyhow::Result<Timestamp> {
    let ago = |unit: char, seconds: u64| {
        let count: u64 = text.strip_suffix(unit)?.parse().ok()?;
        Some(Duration::from_secs(count.checked_mul(seconds)?))
    };
    let units = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400), ('w', 604_800)];
    if let Some(ago) = units.into_iter().find_map(|(unit, seconds)| ago(unit, seconds)) {
        let ago = u64::try_from(ago.as_nanos()).unwrap_or(u64::MAX);
        return Ok(Timestamp(wall().0.saturating_sub(ago)));
    }
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    match whole.parse::<jiff::Timestamp>().map(|time| u64::try_from(time.as_nanosecond())) {
        Ok(Ok(ns)) => Ok(Timestamp(ns)),
        _ => {
            bail!("{text:?} is no time; write 90s, 15m, 1h, 7d, 2026-11-25 or 2026-11-25T08:00:00Z")
        }
    }
}

/// A time as it stands in SQL.
pub(super) fn in_sql(time: Timestamp) -> String {
    format!("TIMESTAMP '{time}'")
}

#[cfg(test)]
mod tests {
    use super::time;

    #[test]
    fn times() {
        assert_eq!(time("2026-11-25").unwrap(), time("2026-11-25T00:00:00Z").unwrap());
        assert!(time("1h").unwrap() < time("59m").unwrap());
        for wrong in ["", "h", "1y", "-1h", "yesterday", "2026-13-01", "99999999999999999999d"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
