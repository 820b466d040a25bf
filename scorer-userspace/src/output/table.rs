//! One line a verdict, for people.

use std::io::Write as _;

use scorer_common::verdict::{Action, Level, Tags};

use super::{json, shown};
use crate::{
    engine::Assessment,
    features::write_reason,
    policy::{Decision, Would},
    time::Timestamp,
};

/// Names of the columns.
pub const fn table_header() -> &'static str {
    "TIME (UTC)       SCORE LEVEL    CALLER               CALLEE               SOURCE                 TAGS; FIRST REASON\n"
}

/// Adds one line to `out`.
pub fn table_line(a: &Assessment<'_>, mask: bool, out: &mut Vec<u8>) {
    let stamp = Timestamp(a.verdict.timestamp).rfc3339();
    // 12:34:56.789012
    out.extend_from_slice(&stamp[11..26]);
    let level = Level::ALL.get(usize::from(a.verdict.level)).map_or("?", |level| level.name());
    let _ = write!(out, "  {:>5} {level:<8} ", a.verdict.score);
    column(&shown(a.caller, mask), 20, out);
    column(&shown(a.callee, mask), 20, out);
    let mut source = Vec::with_capacity(48);
    json::address(a.meta.source, &mut source);
    column(&source, 22, out);
    for (i, tag) in Tags(a.verdict.tags).iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(tag.name().as_bytes());
    }
    if let Some(reason) = a.reasons.first() {
        out.extend_from_slice(b"; ");
        write_reason(reason.feature, reason.value, out);
        if let Some(words) = json::entry_words(a, reason) {
            out.extend_from_slice(b": ");
            out.extend_from_slice(words.as_bytes());
        }
    }
    let decision = &a.decision;
    let (action, held) = match (decision.action, decision.would, decision.dry_run) {
        (Action::Pass, Some(would), _) => (would, "; would "),
        (Action::Pass, None, Some(would)) => (would, "; dry run "),
        (Action::Pass, None, None) => {
            out.push(b'\n');
            return;
        }
        (action, ..) => {
            let Decision { response, target, rule, .. } = *decision;
            (Would { action, response, target, rule }, "; ")
        }
    };
    let _ = write!(out, "{held}{}", action.action.name());
    if let Some(rule) = action.rule {
        let _ = write!(out, " ({rule})");
    }
    out.push(b'\n');
}

/// Text cut or padded to a width. What is not printable ASCII becomes `?`: the
/// bytes are a stranger's, and a terminal obeys some of them.
fn column(text: &[u8], width: usize, out: &mut Vec<u8>) {
    let shown = if text.is_empty() { b"-" } else { text };
    for i in 0..width {
        let byte = shown.get(i).copied().unwrap_or(b' ');
        let cut = i + 1 == width && shown.len() > width;
        out.push(match byte {
            _ if cut => b'~',
            b' '..=b'~' => byte,
            _ => b'?',
        });
    }
    out.push(b' ');
}
