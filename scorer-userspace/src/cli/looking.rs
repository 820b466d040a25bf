//! Calls that commands look into, from where they are kept.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Common, recorded, store::time};
use crate::{
    config::Config,
    profiles::{CallRow, Inquiry},
    records::query::{Limits, Store},
    time::Timestamp,
};

/// Where calls come from.
#[derive(Args, Debug)]
pub(super) struct Calls {
    /// Captures with the calls, in this order as one stream
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(super) capture: Vec<PathBuf>,
    /// Folder of records with the calls, instead of captures
    #[arg(long, value_name = "FOLDER", conflicts_with = "capture")]
    pub(super) records: Option<PathBuf>,
    /// Of records, those since: so long ago (12h, 7d), or a time
    #[arg(long, value_name = "TIME", default_value = "30d")]
    since: String,
    #[command(flatten)]
    common: Common,
}

impl Calls {
    /// The configuration, where a file of it is given.
    pub(super) fn config(&self) -> anyhow::Result<Option<Config>> {
        Ok(self.common.config.as_deref().map(Config::read).transpose()?)
    }

    /// Reads them. True when a capture was cut short; what came before was read.
    pub(super) fn read(&self) -> anyhow::Result<(Config, Inquiry, bool)> {
        if let Some(folder) = &self.records {
            return self.recorded(folder);
        }
        anyhow::ensure!(
            !self.capture.is_empty(),
            "where are the calls? give --capture FILE with a capture of them, or --records FOLDER"
        );
        let (config, model) = self.common.load()?;
        anyhow::ensure!(
            config.engine.history.profile_bytes > 0,
            "profiles are switched off (profiles.mib = 0); switch them on to look into callers"
        );
        let mut inquiry = Inquiry::default();
        let cut_short = recorded::each(&config, model, &self.capture, &mut |what| match what {
            recorded::What::Call(a) => {
                if let Some(gone) = a.belongs.joined {
                    inquiry.joined(gone, a.profile);
                }
                inquiry.add(CallRow::from(a));
            }
            recorded::What::Change(change) => inquiry.changed(change),
        })?;
        Ok((config, inquiry, cut_short))
    }

    /// Reads them from records.
    pub(super) fn recorded(&self, folder: &Path) -> anyhow::Result<(Config, Inquiry, bool)> {
        let config = self.config()?.unwrap_or_default();
        let home = config.engine.env.home_country;
        let store = Store::open(folder, None)?;
        let span = [time(&self.since)?, Timestamp(i64::MAX as u64)];
        let limits = Limits { rows: None, ..Limits::default() };
        let mut inquiry = Inquiry::default();
        store.calls(span, "", &limits, &mut |call| inquiry.add(call.row(home)))?;
        store.outcomes(span, "", &limits, &mut |went| inquiry.went(went.call, went.outcome))?;
        Ok((config, inquiry, false))
    }
}
