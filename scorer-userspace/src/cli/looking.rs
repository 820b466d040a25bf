//! Calls that commands look into, from where they are kept.

use std::path::PathBuf;

use clap::Args;

use super::{Common, recorded};
use crate::{
    config::Config,
    profiles::{CallRow, Inquiry},
};

/// Where calls come from.
#[derive(Args, Debug)]
pub(super) struct Calls {
    /// Captures with the calls, in this order as one stream
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(super) capture: Vec<PathBuf>,
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
        anyhow::ensure!(
            !self.capture.is_empty(),
            "where are the calls? give --capture FILE with a capture of them"
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
}
