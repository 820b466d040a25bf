//! What is wrong with a policy, and where.

use std::{
    fmt,
    path::{Path, PathBuf},
};

/// Faults that are told one by one.
const TOLD: usize = 100;

/// Why a policy cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// Cannot be read.
    #[error("cannot read the policy {}: {source}", path.display())]
    Read {
        /// File.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// Too large to be one.
    #[error("the policy {} has more than {most} bytes; put callers on lists instead", path.display())]
    Large {
        /// File.
        path: PathBuf,
        /// Bytes at most.
        most: u64,
    },
    /// What is written cannot be; all of it.
    #[error("{}", Joined(.0))]
    Faults(Vec<Fault>),
}

/// One thing that is wrong, or odd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// File.
    pub path: PathBuf,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What is wrong, what to do.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.path.display(), self.line, self.column, self.what)
    }
}

struct Joined<'a>(&'a [Fault]);

impl fmt::Display for Joined<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.0.iter().take(TOLD).enumerate() {
            write!(f, "{}{fault}", if i == 0 { "" } else { "\n" })?;
        }
        match self.0.len().saturating_sub(TOLD) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

/// Finds lines and columns in a text.
#[derive(Debug)]
pub(super) struct Places<'t> {
    path: &'t Path,
    text: &'t str,
    /// Where lines begin.
    lines: Vec<usize>,
}

impl<'t> Places<'t> {
    pub(super) fn new(path: &'t Path, text: &'t str) -> Self {
        let lines = memchr::memchr_iter(b'\n', text.as_bytes()).map(|end| end + 1);
        Self { path, text, lines: std::iter::once(0).chain(lines).collect() }
    }

    /// Line and column, from 1, of a byte.
    fn of(&self, at: usize) -> (usize, usize) {
        let at = at.min(self.text.len());
        let line = self.lines.partition_point(|start| *start <= at);
        let start = self.lines[line - 1];
        // Of a line that is all one value, a hostile one may be long.
        let column = self.text.as_bytes()[start..at].iter().filter(|b| **b & 0xc0 != 0x80).count();
        (line, column + 1)
    }

    pub(super) fn fault(&self, at: usize, what: impl Into<String>) -> Fault {
        let (line, column) = self.of(at);
        Fault { path: self.path.to_owned(), line, column, what: what.into() }
    }
}
