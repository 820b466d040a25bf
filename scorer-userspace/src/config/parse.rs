//! Reads the file and says what is wrong with it, and where.

use std::path::{Path, PathBuf};

use toml::Value;

use super::{Config, OPTIONS};

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Cannot be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Read {
        /// File.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// No TOML.
    #[error("{path}: {source}")]
    Syntax {
        /// File.
        path: String,
        /// Cause, with line and column.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// There is no such option.
    #[error("{path}, line {line}: there is no option {key}; did you mean {nearest}?")]
    Unknown {
        /// File.
        path: String,
        /// Line.
        line: usize,
        /// As it stands.
        key: String,
        /// The option most like it.
        nearest: &'static str,
    },
    /// The option cannot be that.
    #[error("{path}, line {line}: {key} {what}")]
    Value {
        /// File.
        path: String,
        /// Line.
        line: usize,
        /// Option.
        key: &'static str,
        /// What it may be.
        what: String,
    },
    /// Options contradict each other.
    #[error("{path}: {what}")]
    Together {
        /// File.
        path: String,
        /// What is wrong.
        what: &'static str,
    },
}

impl Config {
    /// Reads a file over the defaults.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, &path.display().to_string())
    }

    /// The same from text; `path` is for messages.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn parse(text: &str, path: &str) -> Result<Self, ConfigError> {
        let path = path.to_owned();
        let table: toml::Table = text.parse().map_err(|source| ConfigError::Syntax {
            path: path.clone(),
            source: Box::new(source),
        })?;
        let mut config = Self::default();
        for (section, value) in &table {
            let Value::Table(options) = value else {
                return Err(unknown(text, path, section, section));
            };
            for (key, value) in options {
                let full = format!("{section}.{key}");
                let Some(option) = OPTIONS.iter().find(|option| option.key == full) else {
                    return Err(unknown(text, path, &full, key));
                };
                (option.set)(&mut config, value).map_err(|what| ConfigError::Value {
                    path: path.clone(),
                    line: line_of(text, section, key),
                    key: option.key,
                    what,
                })?;
            }
        }
        let levels = config.engine.levels;
        if !(levels.medium <= levels.high && levels.high <= levels.critical) {
            let what = "levels.medium, levels.high and levels.critical must rise in this order";
            return Err(ConfigError::Together { path, what });
        }
        Ok(config)
    }
}

fn unknown(text: &str, path: String, full: &str, key: &str) -> ConfigError {
    // A hostile name may be of any length; comparing costs its square.
    let asked: String = full.chars().take(80).collect();
    let nearest = OPTIONS
        .iter()
        .map(|option| (strsim::jaro_winkler(option.key, &asked), option.key))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or("", |(_, key)| key);
    let section = full.split('.').next().unwrap_or_default();
    ConfigError::Unknown { path, line: line_of(text, section, key), key: asked, nearest }
}

/// The line an option stands on: the first that begins with its key behind its
/// section's heading, else the heading's.
fn line_of(text: &str, section: &str, key: &str) -> usize {
    let mut inside = false;
    let mut heading = 1;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[') {
            inside = name.trim_end_matches(']').trim() == section;
            if inside {
                heading = number;
            }
        } else if line.starts_with(key) && (inside || key == section)
            || line.starts_with(&format!("{section}.{key}"))
        {
            return number;
        }
    }
    heading
}
