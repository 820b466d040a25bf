//! What calls got and what they would get, counted: `scorer policy simulate`.

use std::{collections::BTreeMap, fmt::Write as _};

use scorer_common::verdict::{Action, Level};

use super::{Facts, Policy};
use crate::number::mask;

/// Examples of each kind.
const EXAMPLES: usize = 3;
/// Kinds that are told apart; of calls beyond it only the number is known.
const KINDS: usize = 10_000;

/// What a call got, as it was decided at the time.
#[derive(Clone, Copy, Debug)]
pub struct Got<'a> {
    /// Action.
    pub action: Action,
    /// Rule that decided; `None` where none did.
    pub rule: Option<&'a str>,
}

/// A call as an example; numbers are masked when they are kept.
#[derive(Clone, Copy, Debug)]
pub struct Example<'a> {
    /// Call-ID.
    pub call_id: &'a [u8],
    /// Caller's user.
    pub caller: &'a [u8],
    /// User called.
    pub callee: &'a [u8],
}

/// Calls by what they got, what they would get, and their level.
#[derive(Debug, Default)]
pub struct Tally {
    kinds: BTreeMap<Kind, (u64, Vec<String>)>,
    dry_runs: BTreeMap<String, u64>,
    more: u64,
    calls: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    now: u8,
    rule: String,
    /// Lowest last.
    level: std::cmp::Reverse<u8>,
    before: u8,
    before_rule: String,
}

impl Tally {
    /// Decides one more call.
    pub fn add(&mut self, policy: &Policy, facts: &Facts<'_>, got: Got<'_>, example: Example<'_>) {
        let decision = policy.decide_unseen(facts);
        // What a policy that only observes holds back is what is asked about.
        let (action, rule) = decision.meant();
        self.calls += 1;
        if let Some(dry) = decision.dry_run.and_then(|would| would.rule) {
            *self.dry_runs.entry(dry.to_owned()).or_default() += 1;
        }
        let text = |rule: Option<&str>| rule.unwrap_or("-").to_owned();
        let kind = Kind {
            now: action as u8,
            rule: text(rule),
            level: std::cmp::Reverse(facts.level as u8),
            before: got.action as u8,
            before_rule: text(got.rule),
        };
        if self.kinds.len() >= KINDS && !self.kinds.contains_key(&kind) {
            self.more += 1;
            return;
        }
        let (count, examples) = self.kinds.entry(kind).or_default();
        *count += 1;
        if examples.len() < EXAMPLES {
            let call_id = String::from_utf8_lossy(example.call_id);
            // A stranger's bytes, and a terminal obeys some of them.
            let call_id: String = call_id
                .chars()
                .map(|c| if c.is_ascii_graphic() { c } else { '?' })
                .take(60)
                .collect();
            let (caller, callee) = (mask(example.caller), mask(example.callee));
            examples.push(format!("{call_id} ({caller} to {callee})"));
        }
    }

    /// Calls that would get another action than they got.
    pub fn changed(&self) -> u64 {
        self.kinds.iter().filter(|(kind, _)| kind.now != kind.before).map(|(_, (n, _))| n).sum()
    }

    /// Calls in all.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// As a table, with examples below each line.
    pub fn table(&self) -> String {
        let mut text = format!(
            "{:>9}  {:<8} {:<24} {:<9} {:<8} {}\n",
            "CALLS", "WOULD", "BY RULE", "LEVEL", "GOT", "BY RULE"
        );
        let action =
            |number: u8| Action::ALL.get(usize::from(number)).map_or("?", |action| action.name());
        for (kind, (count, examples)) in &self.kinds {
            let level = Level::ALL.get(usize::from(kind.level.0)).map_or("?", |level| level.name());
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "{count:>9}  {:<8} {:<24} {level:<9} {:<8} {}",
                action(kind.now),
                kind.rule,
                action(kind.before),
                kind.before_rule
            );
            for example in examples {
                let _ = writeln!(text, "           {example}");
            }
        }
        if self.more > 0 {
            let _ = writeln!(text, "{:>9}  of further kinds", self.more);
        }
        for (rule, count) in &self.dry_runs {
            let _ = writeln!(text, "{count:>9}  first matched by {rule}, a dry run");
        }
        let _ =
            writeln!(text, "{} of {} calls would get another action", self.changed(), self.calls);
        text
    }
}
