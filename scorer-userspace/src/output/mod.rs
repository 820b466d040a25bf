//! Verdicts as lines: JSON for programs, a table for people.
//!
//! Lines are made by hand into one buffer that is used again and again: a
//! serialiser that goes through formatting traits costs more than the scoring.

mod json;
mod table;

pub use json::json_line;
pub use table::{table_header, table_line};

use crate::{engine::Assessment, number};

/// How verdicts are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One JSON object a line.
    Jsonl,
    /// Columns.
    #[default]
    Table,
}

/// How verdicts are written, and whether numbers are masked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// Kind of line.
    pub format: Format,
    /// Show of every number the first three characters and the last two.
    pub mask: bool,
    /// Add every feature's value to JSON lines.
    pub features: bool,
}

impl Style {
    /// Adds the line of one verdict to `out`.
    pub fn line(&self, assessment: &Assessment<'_>, latency: Option<u64>, out: &mut Vec<u8>) {
        match self.format {
            Format::Jsonl => json_line(assessment, *self, latency, out),
            Format::Table => table_line(assessment, self.mask, out),
        }
    }

    /// What comes before the first line.
    pub fn header(&self) -> &'static str {
        match self.format {
            Format::Jsonl => "",
            Format::Table => table_header(),
        }
    }
}

/// A user part, masked if asked for.
fn shown(user: &[u8], mask: bool) -> std::borrow::Cow<'_, [u8]> {
    if mask { number::mask(user).to_string().into_bytes().into() } else { user.into() }
}

#[cfg(test)]
mod tests;
