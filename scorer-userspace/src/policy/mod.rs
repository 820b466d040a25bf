//! What is to be done with a call: the operator's policy over the verdict.
//!
//! A TOML file of ordered rules (docs/policy.md), checked when it is read, and compiled
//! so that holding a call against it allocates nothing. It sees plain [`Facts`], of a
//! call just scored or of a stored record.

mod clock;
mod compiled;
mod facts;
mod fault;
mod read;
mod rule;
mod spans;
mod tally;

use std::{
    io::Read as _,
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use scorer_common::verdict::{Action, Tag};

use self::compiled::Compiled;
use crate::verdict::Thresholds;

pub use self::{
    facts::{Facts, Record, lists_of},
    fault::{Fault, PolicyError},
    rule::{Check, Rule},
    tally::{Example, Got, Tally},
};

/// SIP response that refuses a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Response {
    /// 603 Decline (RFC 3261 section 21.6.2).
    Decline = 603,
    /// 607 Unwanted (RFC 8197).
    Unwanted = 607,
    /// 608 Rejected (RFC 8688): by an intermediary, with a way to object.
    #[default]
    Rejected = 608,
}

impl Response {
    /// The response of a status code, if it is one that refuses.
    pub const fn by_code(code: i64) -> Option<Self> {
        match code {
            603 => Some(Self::Decline),
            607 => Some(Self::Unwanted),
            608 => Some(Self::Rejected),
            _ => None,
        }
    }

    /// Status code.
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// Reason phrase of the status line.
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::Decline => "Decline",
            Self::Unwanted => "Unwanted",
            Self::Rejected => "Rejected",
        }
    }
}

/// Where a call is diverted to: what stands in the Request-URI instead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// User part; `None` leaves the one that was called.
    pub user: Option<Box<str>>,
    /// Host, and port if any; `None` leaves the one that was called.
    pub host: Option<Box<str>>,
}

/// What policy says of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision<'p> {
    /// What is to be done.
    pub action: Action,
    /// How a call is refused, where it is.
    pub response: Response,
    /// Where a call is diverted to, where it is.
    pub target: Option<&'p Target>,
    /// Name of the rule that decided; `None` where none did.
    pub rule: Option<&'p str>,
    /// What is held back since the policy only observes; `None` where that is nothing.
    pub would: Option<Would<'p>>,
    /// What the first dry run that matched would do; `None` where none did.
    pub dry_run: Option<Would<'p>>,
}

/// What is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Would<'p> {
    /// Action.
    pub action: Action,
    /// How the call would be refused.
    pub response: Response,
    /// Where it would be diverted to.
    pub target: Option<&'p Target>,
    /// Name of the rule; `None` for the default.
    pub rule: Option<&'p str>,
}

impl<'p> Decision<'p> {
    /// Lets the call through, without a rule.
    pub const PASS: Self = Self {
        action: Action::Pass,
        response: Response::Rejected,
        target: None,
        rule: None,
        would: None,
        dry_run: None,
    };

    /// Action and rule as the policy means them, held back or not.
    pub fn meant(&self) -> (Action, Option<&'p str>) {
        self.would.map_or((self.action, self.rule), |would| (would.action, would.rule))
    }
}

/// What a policy may refer to.
#[derive(Clone, Debug, Default)]
pub struct Site {
    /// Country code of national numbers.
    pub home_country: Option<u16>,
    /// Where levels begin, where that is known.
    pub levels: Option<Thresholds>,
    /// Names of the configured trunks, where they are known.
    pub trunks: Option<Vec<String>>,
}

/// Bytes of a policy at most.
const BYTES: u64 = 1 << 20;

/// The operator's rules.
#[derive(Debug)]
pub struct Policy {
    rules: Vec<Rule>,
    compiled: Compiled,
    default: Rule,
    observe: bool,
    warnings: Vec<Fault>,
}

/// One rule as a call was held against it.
#[derive(Clone, Debug)]
pub struct Looked<'p> {
    /// The rule.
    pub rule: &'p Rule,
    /// Its conditions.
    pub checks: Vec<Check>,
    /// Whether all hold.
    pub matched: bool,
}

/// Why a call gets what it gets.
#[derive(Clone, Debug)]
pub struct Explanation<'p> {
    /// What it gets.
    pub decision: Decision<'p>,
    /// It calls an emergency number: nothing is looked at, nothing acted on.
    pub emergency: bool,
    /// The policy only observes.
    pub observe: bool,
    /// Rules that were looked at, in their order, to the one that decided.
    pub looked: Vec<Looked<'p>>,
}

impl Policy {
    /// Reads a file.
    ///
    /// # Errors
    /// [`PolicyError`], with every fault.
    pub fn load(path: &Path, site: &Site) -> Result<Self, PolicyError> {
        let failed = |source| PolicyError::Read { path: path.to_owned(), source };
        let mut text = Vec::new();
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(BYTES + 1).read_to_end(&mut text).map_err(failed)?;
        if text.len() as u64 > BYTES {
            return Err(PolicyError::Large { path: path.to_owned(), most: BYTES });
        }
        let text = String::from_utf8(text).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            let start = String::from_utf8_lossy(&error.as_bytes()[..at]).into_owned();
            PolicyError::Faults(vec![fault::Places::new(path, &start).fault(at, "is not UTF-8")])
        })?;
        Self::parse(&text, path, site)
    }

    /// The same from text; `path` is for messages.
    ///
    /// # Errors
    /// [`PolicyError`], with every fault.
    pub fn parse(text: &str, path: &Path, site: &Site) -> Result<Self, PolicyError> {
        let written = read::read(text, path, site).map_err(PolicyError::Faults)?;
        let default = Rule {
            name: Box::default(),
            comment: Box::default(),
            dry_run: false,
            action: written.default.action.unwrap_or(Action::Pass),
            response: written.default.response,
            target: written.default.target,
            line: 0,
            when: rule::Conditions::default(),
            hits: Arc::default(),
        };
        let compiled = Compiled::new(&written.rules);
        let (rules, warnings) = (written.rules, written.warnings);
        Ok(Self { rules, compiled, default, observe: written.observe, warnings })
    }

    /// This policy, which only observes if `observe` says so or its file does.
    #[must_use]
    pub fn observing(mut self, observe: bool) -> Self {
        self.observe |= observe;
        self
    }

    /// This policy, whose rules count on from those of the same names in `old`.
    #[must_use]
    pub fn counting_on(mut self, old: &Self) -> Self {
        for rule in &mut self.rules {
            let same = |before: &&Rule| before.name == rule.name && before.dry_run == rule.dry_run;
            if let Some(before) = old.rules.iter().find(same) {
                rule.hits = Arc::clone(&before.hits);
            }
        }
        self
    }

    /// What is odd about it.
    pub fn warnings(&self) -> &[Fault] {
        &self.warnings
    }

    /// Its rules, in their order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Whether it only observes.
    pub fn observes(&self) -> bool {
        self.observe
    }

    /// What is done where no rule matches.
    pub fn default_action(&self) -> Action {
        self.default.action
    }

    /// Decides a call, and counts it with the rule. A call to an emergency number is
    /// let through, whatever the rules say.
    pub fn decide(&self, facts: &Facts<'_>) -> Decision<'_> {
        self.decided(facts, &mut |rule| {
            // One thread decides; others read.
            let hits = rule.hits.load(Ordering::Relaxed);
            rule.hits.store(hits.wrapping_add(1), Ordering::Relaxed);
        })
    }

    /// The same without counting.
    pub fn decide_unseen(&self, facts: &Facts<'_>) -> Decision<'_> {
        self.decided(facts, &mut |_| {})
    }

    fn decided(&self, facts: &Facts<'_>, hit: &mut dyn FnMut(&Rule)) -> Decision<'_> {
        if facts.tags.contains(Tag::Emergency) {
            return Decision::PASS;
        }
        let mut decided = None;
        let mut dry_run = None;
        self.compiled.matching(facts, |number| {
            let rule = &self.rules[number];
            hit(rule);
            if rule.dry_run {
                dry_run = dry_run.or(Some(rule.would()));
                return false;
            }
            decided = Some(rule);
            true
        });
        let would = decided.unwrap_or(&self.default).would();
        if self.observe {
            let held = (would.action != Action::Pass).then_some(would);
            return Decision { rule: would.rule, would: held, dry_run, ..Decision::PASS };
        }
        let Would { action, response, target, rule } = would;
        Decision { action, response, target, rule, would: None, dry_run }
    }

    /// Why a call gets what it gets; numbers are masked if asked for. From the conditions
    /// themselves, not from what they are compiled to.
    pub fn explain(&self, facts: &Facts<'_>, masked: bool) -> Explanation<'_> {
        let decision = self.decide_unseen(facts);
        let emergency = facts.tags.contains(Tag::Emergency);
        let mut looked = Vec::new();
        for rule in self.rules.iter().take_while(|_| !emergency) {
            let checks = rule.when.checks(facts, masked);
            let matched = checks.iter().all(|check| check.holds);
            looked.push(Looked { rule, checks, matched });
            if matched && !rule.dry_run {
                break;
            }
        }
        Explanation { decision, emergency, observe: self.observe, looked }
    }
}

impl Rule {
    /// Calls that it decided, or, as a dry run, would have.
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    fn would(&self) -> Would<'_> {
        // The default has no name.
        let rule = (!self.name.is_empty()).then_some(&*self.name);
        Would { action: self.action, response: self.response, target: self.target.as_ref(), rule }
    }
}

#[cfg(test)]
mod tests;
