//! What commands on records share: where they are, and since when.

use std::path::PathBuf;

use anyhow::Context as _;
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
    Timestamp::asked(text, wall()).with_context(|| {
        format!("{text:?} is no time; write 90s, 15m, 1h, 7d, 2026-11-25 or 2026-11-25T08:00:00Z")
    })
}

/// A time as it stands in SQL.
pub(super) fn in_sql(time: Timestamp) -> String {
    format!("TIMESTAMP '{time}'")
}
