//! Looking into a caller: all its calls, whatever numbers they show, and what is like it.
//!
//! Works on [`CallRow`]s, from wherever they come. [`super::sheet`] writes what is found.

use std::collections::{BTreeMap, HashMap};

use scorer_common::verdict::Tag;

use super::{CallRow, Link, Linker, Outcome, Portrait};
use crate::{history::Change, number::Number, time::Timestamp};

/// Calls kept at most; a call takes about half a kilobyte.
const CALLS: usize = 4_000_000;
/// A part of calls from which a habit is told, per cent.
const HABIT: usize = 20;

/// Why nothing can be told.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InquiryError {
    /// Nobody is meant.
    #[error(
        "{asked} is no profile, Call-ID or caller's number of the {calls} calls looked at; \
         a number is written as +441632960001, a profile as the 16 digits of a verdict's `profile`"
    )]
    NotFound {
        /// What was asked for.
        asked: String,
        /// Calls that there are.
        calls: usize,
    },
    /// Too much at once.
    #[error("there are more than {CALLS} calls; look into a part of them")]
    TooMany,
}

/// What was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The profile.
    pub profile: u64,
    /// Other profiles that the number was used by, those with most calls first.
    pub others: Vec<u64>,
}

/// Calls that are looked into.
#[derive(Debug, Default)]
pub struct Inquiry {
    rows: Vec<CallRow>,
    by_call: HashMap<u64, usize>,
    /// Profiles that turned out to be others.
    is: HashMap<u64, u64>,
    too_many: bool,
}

/// What is known of one caller.
#[derive(Debug)]
pub struct Sheet<'a> {
    /// The profile.
    pub profile: u64,
    /// Ids that its calls had before they were known to be one caller's.
    pub parts: Vec<u64>,
    /// Its calls, in order of time.
    pub calls: Vec<&'a CallRow>,
    /// Numbers, and calls that showed or asserted them.
    pub numbers: Vec<(&'a str, Used)>,
    /// Accounts called, and how often.
    pub callees: Vec<(&'a str, usize)>,
    /// Country codes of numbers used, and of numbers called.
    pub countries: [Vec<(u16, usize)>; 2],
    /// Trunk, or source address where it is of none.
    pub places: Vec<(String, usize)>,
    /// Signatures.
    pub signatures: Vec<(&'a str, usize)>,
    /// How calls went.
    pub outcomes: Vec<(&'static str, usize)>,
    /// How the caller works, in words.
    pub method: Vec<String>,
    /// Profiles that are probably the same caller.
    pub links: Vec<Link>,
}

/// How a number was used, in calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Shown.
    pub shown: usize,
    /// Asserted by the network.
    pub asserted: usize,
    /// Asserted while it was withheld.
    pub withheld: usize,
}

impl Inquiry {
    /// Adds a call.
    pub fn add(&mut self, row: CallRow) {
        if self.rows.len() == CALLS {
            self.too_many = true;
            return;
        }
        self.by_call.insert(row.call, self.rows.len());
        self.rows.push(row);
    }

    /// Tells that a profile turned out to be another.
    pub fn joined(&mut self, gone: u64, stays: u64) {
        self.is.insert(gone, stays);
    }

    /// Tells how a call went on.
    pub fn changed(&mut self, change: &Change) {
        if let Some(at) = self.by_call.get(&change.call) {
            self.rows[*at].outcome = Some(Outcome::from(change));
        }
    }

    /// Tells how a stored call went on.
    pub fn went(&mut self, call: u64, outcome: Outcome) {
        if let Some(at) = self.by_call.get(&call) {
            self.rows[*at].outcome = Some(outcome);
        }
    }

    /// Calls there are.
    pub fn calls(&self) -> &[CallRow] {
        &self.rows
    }

    /// What a profile turned out to be.
    pub fn resolve(&self, mut profile: u64) -> u64 {
        // Each was joined once, to one that lived on; a ring cannot be, but files can lie.
        for _ in 0..1_000 {
            match self.is.get(&profile) {
                Some(next) => profile = *next,
                None => break,
            }
        }
        profile
    }

    /// Who is meant by a number, a Call-ID or a profile; `home` is the country code of
    /// national numbers.
    ///
    /// # Errors
    /// [`InquiryError`].
    pub fn find(&self, asked: &str, home: Option<u16>) -> Result<Asked, InquiryError> {
        if self.too_many {
            return Err(InquiryError::TooMany);
        }
        if let Some(profile) = parse_id(asked) {
            let known = |row: &&CallRow| row.profile == profile;
            if self.rows.iter().find(known).is_some() || self.is.contains_key(&profile) {
                return Ok(Asked { profile: self.resolve(profile), others: Vec::new() });
            }
        }
        if let Some(row) = self.rows.iter().find(|row| row.call_id == asked) {
            return Ok(Asked { profile: self.resolve(row.profile), others: Vec::new() });
        }
        let mut profiles: HashMap<u64, usize> = HashMap::new();
        if let Some(number) = Number::parse(asked.as_bytes(), home).map(|n| n.packed()) {
            let is = |text: &str| {
                Number::parse(text.as_bytes(), home).is_some_and(|n| n.packed() == number)
            };
            for row in &self.rows {
                if is(&row.caller) || row.network.as_deref().is_some_and(is) {
                    *profiles.entry(self.resolve(row.profile)).or_default() += 1;
                }
            }
        }
        let mut ranked: Vec<_> = profiles.into_iter().collect();
        ranked.sort_unstable_by_key(|(profile, calls)| (std::cmp::Reverse(*calls), *profile));
        let mut ids = ranked.into_iter().map(|(profile, _)| profile);
        let Some(profile) = ids.next() else {
            return Err(InquiryError::NotFound { asked: asked.into(), calls: self.rows.len() });
        };
        Ok(Asked { profile, others: ids.collect() })
    }

    /// What every profile is known by.
    pub fn portraits(&self) -> BTreeMap<u64, Portrait> {
        let mut portraits: BTreeMap<u64, Portrait> = BTreeMap::new();
        for row in &self.rows {
            let portrait = portraits.entry(self.resolve(row.profile)).or_default();
            portrait.add(&row.evidence, signature(&row.signature), row.time);
        }
        portraits
    }

    /// What is known of a profile.
    pub fn sheet(&self, profile: u64) -> Sheet<'_> {
        let profile = self.resolve(profile);
        let mut calls: Vec<&CallRow> =
            self.rows.iter().filter(|row| self.resolve(row.profile) == profile).collect();
        calls.sort_by_key(|row| row.time);
        let mut parts: Vec<u64> = calls.iter().map(|row| row.profile).collect();
        parts.sort_unstable();
        parts.dedup();
        parts.retain(|part| *part != profile);
        let mut numbers: BTreeMap<&str, Used> = BTreeMap::new();
        for row in &calls {
            let withheld = row.tags.contains(Tag::Withheld);
            if !withheld && !row.caller.is_empty() {
                numbers.entry(&row.caller).or_default().shown += 1;
            }
            if let Some(network) = &row.network {
                let used = numbers.entry(network).or_default();
                used.asserted += 1;
                used.withheld += usize::from(withheld);
            }
        }
        let mut numbers: Vec<_> = numbers.into_iter().collect();
        numbers.sort_by_key(|(_, used)| std::cmp::Reverse(used.shown + used.asserted));
        let countries = [0, 1].map(|side: usize| {
            most(calls.iter().map(|row| row.countries[side]).filter(|code| *code != 0))
        });
        let place = |row: &&CallRow| match &row.trunk {
            Some(trunk) => format!("{trunk} ({})", row.source.ip()),
            None => row.source.ip().to_string(),
        };
        let portraits = self.portraits();
        let links = Linker::new(portraits.iter().map(|(id, portrait)| (*id, portrait)));
        Sheet {
            profile,
            parts,
            numbers,
            callees: most(calls.iter().map(|row| row.callee.as_str())),
            countries,
            places: most(calls.iter().map(place)),
            signatures: most(calls.iter().map(|row| row.signature.as_str())),
            outcomes: most(
                calls.iter().map(|row| row.outcome.as_ref().map_or("none seen", |o| o.name)),
            ),
            method: method(&calls),
            links: links.links(profile),
            calls,
        }
    }
}

/// Values and how often, the commonest first.
fn most<T: Ord>(values: impl Iterator<Item = T>) -> Vec<(T, usize)> {
    let mut counts: BTreeMap<T, usize> = BTreeMap::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}

/// A profile's id as it is written.
pub fn parse_id(text: &str) -> Option<u64> {
    let hex = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
    hex.then(|| u64::from_str_radix(text, 16).ok()).flatten().filter(|id| *id != 0)
}

/// The last part of a verdict's signature.
fn signature(text: &str) -> u64 {
    text.rsplit('_').next().and_then(|hex| u64::from_str_radix(hex, 16).ok()).unwrap_or(0)
}

/// How a caller works, from what its calls have in common.
fn method(calls: &[&CallRow]) -> Vec<String> {
    let all = calls.len();
    if all == 0 {
        return Vec::new();
    }
    let mut said = Vec::new();
    let percent = |count: usize| count * 100 / all;
    let count = |is: &dyn Fn(&CallRow) -> bool| calls.iter().filter(|row| is(row)).count();
    let mut tagged = |tag: Tag, words: &str| {
        let calls = count(&|row| row.tags.contains(tag));
        if percent(calls) >= HABIT {
            said.push(format!("{words} ({} % of calls)", percent(calls)));
        }
    };
    tagged(Tag::Withheld, "withholds its number");
    tagged(Tag::Spoofed, "shows another number than the network's");
    tagged(Tag::Unallocated, "shows numbers that cannot exist");
    tagged(Tag::DoNotOriginate, "shows numbers that are only called");
    tagged(Tag::HighCost, "calls dear numbers");
    tagged(Tag::BadSignature, "signs with signatures that do not fit");
    tagged(Tag::Scanner, "scans");
    let near = percent(count(&resembles));
    if near >= HABIT {
        said.push(format!("shows numbers that resemble the callee's ({near} % of calls)"));
    }
    let shown = |row: &CallRow| {
        let withheld = row.tags.contains(Tag::Withheld);
        let shown = (!withheld && !row.caller.is_empty()).then(|| row.caller.clone());
        shown.or_else(|| row.network.clone())
    };
    let numbers = most(calls.iter().filter_map(|row| shown(row))).len();
    if numbers > 2 {
        said.push(format!("changes numbers: {numbers} in {all} calls"));
    }
    let callees = most(calls.iter().map(|row| row.callee.as_str()));
    if all >= 4 && callees[0].1 * 2 > all {
        said.push(format!("calls one account again and again: {} of {all} calls", callees[0].1));
    } else if callees.len() >= 10 {
        said.push(format!("calls many: {} accounts in {all} calls", callees.len()));
    }
    let outcome = |names: &[&str]| {
        count(&|row| row.outcome.as_ref().is_some_and(|o| names.contains(&o.name)))
    };
    let brief = outcome(&["cancelled", "short"]);
    if percent(brief) >= 50 {
        said.push(format!("rings off soon: {} % cancelled or short", percent(brief)));
    }
    if let Some(gap) = pace(calls) {
        said.push(gap);
    }
    said
}

/// Whether seven leading digits of the number shown are the callee's.
fn resembles(row: &CallRow) -> bool {
    let digits = |text: &str| Number::parse(text.as_bytes(), None);
    let (Some(shown), Some(callee)) = (digits(&row.caller), digits(&row.callee)) else {
        return false;
    };
    let alike = shown.as_bytes().iter().zip(callee.as_bytes()).take_while(|(a, b)| a == b);
    alike.count() >= 7 && shown != callee
}

/// The pace of calls, and whether a machine keeps it.
fn pace(calls: &[&CallRow]) -> Option<String> {
    let seconds = |row: &CallRow| row.time.0 as f64 / 1e9;
    let mut gaps: Vec<_> = calls.windows(2).map(|two| seconds(two[1]) - seconds(two[0])).collect();
    if gaps.len() < 4 {
        return None;
    }
    gaps.sort_by(f64::total_cmp);
    let middle = gaps[gaps.len() / 2];
    let near = gaps.iter().filter(|gap| (**gap - middle).abs() <= 0.05 * middle).count();
    let machine = near * 2 > gaps.len() && middle > 0.0;
    let whom = if machine { ", as a machine does" } else { "" };
    Some(format!("calls every {middle:.1} s or so{whom}"))
}

impl Sheet<'_> {
    /// First and last call.
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        Some((self.calls.first()?.time, self.calls.last()?.time))
    }
}
