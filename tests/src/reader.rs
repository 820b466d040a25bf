//! The C example that reads verdicts, packaging/examples/verdict_reader.c.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::shared::root;

/// Compiles it into `folder`, every warning an error.
///
/// # Panics
/// When it does not compile.
pub fn compile(folder: &Path) -> PathBuf {
    let program = folder.join("verdict_reader");
    let mut command = Command::new("cc");
    command.args(["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O2", "-I"]);
    command.arg(root().join("packaging/include")).arg("-o").arg(&program);
    command.arg(root().join("packaging/examples/verdict_reader.c"));
    assert!(command.status().is_ok_and(|status| status.success()), "the example does not compile");
    program
}

/// One line of its output.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names are the record's")]
pub struct Line {
    pub key: u64,
    pub from_tag: u64,
    pub score: u8,
    pub level: u8,
    pub action: u8,
    pub tags: u32,
    pub timestamp: u64,
    pub model: u64,
    pub probability: f32,
    pub latency: u32,
    pub reasons: Vec<u16>,
}

impl Line {
    /// Parses one line.
    ///
    /// # Panics
    /// When it is none.
    pub fn parse(text: &str) -> Self {
        let mut fields = text.split(' ');
        let mut next = || fields.next().unwrap_or_else(|| panic!("too short: {text}"));
        let hex = |text: &str| u64::from_str_radix(text, 16).expect("hexadecimal");
        Self {
            key: hex(next()),
            from_tag: hex(next()),
            score: next().parse().expect("score"),
            level: next().parse().expect("level"),
            action: next().parse().expect("action"),
            tags: hex(next()) as u32,
            timestamp: next().parse().expect("timestamp"),
            model: hex(next()),
            probability: next().parse().expect("probability"),
            latency: next().parse().expect("latency"),
            reasons: fields.map(|id| id.parse().expect("a feature")).collect(),
        }
    }
}
