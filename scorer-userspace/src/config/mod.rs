//! One TOML file for everything.
//!
//! [`OPTIONS`] is the one table of options: their names, defaults, ranges and
//! words. The parser, `scorer config example` and docs/configuration.md all come
//! from it.

mod options;
mod parse;

use std::{net::SocketAddr, path::PathBuf};

use crate::{engine::EngineConfig, output::Style, tap::TapConfig};

pub use options::{OPTIONS, Opt, example, markdown};
pub use parse::ConfigError;

/// Settings of the whole program.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Live capture.
    pub tap: TapConfig,
    /// Engine, its history and bounds.
    pub engine: EngineConfig,
    /// Model file; `None` is the one built in.
    pub model: Option<PathBuf>,
    /// Where metrics are served; `None` is nowhere.
    pub metrics: Option<SocketAddr>,
    /// How verdicts are written.
    pub style: Style,
}

#[cfg(test)]
mod tests;
