//! One TOML file for everything.
//!
//! [`OPTIONS`] is the one table of options: their names, defaults, ranges and
//! words. The parser, `scorer config example` and docs/configuration.md all come
//! from it.

mod options;
mod parse;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use crate::{
    api::ApiConfig,
    cluster::ClusterConfig,
    engine::EngineConfig,
    inline::InlineConfig,
    output::Style,
    records::RecordsConfig,
    share::ConsortiumConfig,
    tap::TapConfig,
    verdict::{deliver::DeliverConfig, redirect::RedirectConfig},
};

pub use options::{OPTIONS, Opt, example, markdown};
pub use parse::ConfigError;

/// Settings of the whole program.
#[derive(Clone, Debug)]
pub struct Config {
    /// Live capture.
    pub tap: TapConfig,
    /// Inline mode.
    pub inline: InlineConfig,
    /// Engine, its history and bounds.
    pub engine: EngineConfig,
    /// Model file; `None` is the one built in.
    pub model: Option<PathBuf>,
    /// Models to change between, and one on trial.
    pub models: ModelsConfig,
    /// Where labels of calls are kept; `None` is nowhere.
    pub labels: Option<PathBuf>,
    /// Where metrics are served; `None` is nowhere.
    pub metrics: Option<SocketAddr>,
    /// How verdicts are written.
    pub style: Style,
    /// Verdicts out of band.
    pub deliver: DeliverConfig,
    /// The redirect server.
    pub redirect: RedirectConfig,
    /// Where the history is kept over restarts; `None` is nowhere.
    pub snapshot: Option<PathBuf>,
    /// Time between snapshots.
    pub snapshot_every: Duration,
    /// Certificates of signers.
    pub stir: StirConfig,
    /// Records of calls.
    pub records: RecordsConfig,
    /// The HTTP API and the dashboard.
    pub api: ApiConfig,
    /// What is shared with other organisations.
    pub consortium: ConsortiumConfig,
    /// Several hosts as one.
    pub cluster: ClusterConfig,
}

/// Models beside the one that scores.
#[derive(Clone, Debug)]
pub struct ModelsConfig {
    /// Folder whose `state.toml` names the models in use.
    pub folder: Option<PathBuf>,
    /// Model file on trial, where the folder names none.
    pub challenger: Option<PathBuf>,
    /// Share of calls that the model on trial scores, 0 to 1.
    pub share: f64,
}

impl Default for ModelsConfig {
    fn default() -> Self {
        Self { folder: None, challenger: None, share: 0.1 }
    }
}

/// Where certificates of signers come from and go.
#[derive(Clone, Debug)]
pub struct StirConfig {
    /// Trust anchors; without them nothing is fetched.
    pub anchors: Option<PathBuf>,
    /// Hosts they are fetched from; empty for any.
    pub hosts: Vec<String>,
    /// Where they are kept.
    pub folder: Option<PathBuf>,
    /// How long one is used.
    pub keep: Duration,
}

impl Default for StirConfig {
    fn default() -> Self {
        let keep = Duration::from_hours(24);
        Self { anchors: None, hosts: Vec::new(), folder: None, keep }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            tap: TapConfig::default(),
            inline: InlineConfig::default(),
            engine: EngineConfig::default(),
            model: None,
            models: ModelsConfig::default(),
            labels: None,
            metrics: None,
            style: Style::default(),
            deliver: DeliverConfig::default(),
            redirect: RedirectConfig::default(),
            snapshot: None,
            snapshot_every: Duration::from_mins(10),
            stir: StirConfig::default(),
            records: RecordsConfig::default(),
            api: ApiConfig::default(),
            consortium: ConsortiumConfig::default(),
            cluster: ClusterConfig::default(),
        }
    }
}

#[cfg(test)]
mod tests;
