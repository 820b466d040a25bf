//! Reads the file: every fault is told with its line and column, not only the first.

use std::{ops::Range, path::Path, sync::Arc};

use scorer_common::verdict::{Action, Level, Tag};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    Response, Site, Target,
    clock::{self, DAY, DAYS, Zone},
    compiled::ZONES,
    fault::{Fault, Places},
    rule::{AS_DIALLED, Conditions, LEVELS, Numbers, Rule, Sources, Times},
    spans::Spans,
};
use crate::{
    env::prefix,
    lists::{List, ListSet, leading, span},
    number::Number,
};

/// Rules at most; their names label metrics.
pub(super) const RULES: usize = 512;
/// Faults that are kept.
const FAULTS: usize = 200;
/// Longest name and comment, characters.
const NAME: usize = 64;
const COMMENT: usize = 500;

/// What the file says.
pub(super) struct Written {
    pub(super) observe: bool,
    pub(super) default: Does,
    pub(super) rules: Vec<Rule>,
    pub(super) warnings: Vec<Fault>,
}

/// What is done.
#[derive(Clone, Debug, Default)]
pub(super) struct Does {
    pub(super) action: Option<Action>,
    pub(super) response: Response,
    pub(super) target: Option<Target>,
}

const TOP: &[&str] = &["observe", "time_zone", "default", "destinations", "rule"];
const DOES: &[&str] = &["action", "response", "divert"];
const RULE: &[&str] = &[
    "name",
    "comment",
    "dry_run",
    "action",
    "response",
    "divert",
    "score_from",
    "score_to",
    "level",
    "tags_any",
    "tags_all",
    "tags_none",
    "lists_any",
    "lists_none",
    "caller_country",
    "caller_number",
    "network_country",
    "network_number",
    "callee_country",
    "callee_number",
    "destination",
    "withheld",
    "trunk",
    "source",
    "time",
    "weekday",
    "time_zone",
];

type Table<'i> = DeTable<'i>;
type Value<'i> = Spanned<DeValue<'i>>;

/// Reads a policy.
///
/// # Errors
/// Every fault, in the order of the file.
pub(super) fn read(text: &str, path: &Path, site: &Site) -> Result<Written, Vec<Fault>> {
    let mut reader =
        Reader { places: Places::new(path, text), site, faults: Vec::new(), warnings: Vec::new() };
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors.iter().take(FAULTS) {
        let at = error.span().map_or(0, |span| span.start);
        reader.fault(at..at, error.message().lines().collect::<Vec<_>>().join(", "));
    }
    let written = reader.policy(table.get_ref());
    if reader.faults.is_empty() {
        return Ok(Written { warnings: reader.warnings, ..written });
    }
    reader.faults.sort_by_key(|fault| (fault.line, fault.column));
    reader.faults.dedup();
    Err(reader.faults)
}

struct Reader<'t> {
    places: Places<'t>,
    site: &'t Site,
    faults: Vec<Fault>,
    warnings: Vec<Fault>,
}

impl Reader<'_> {
    fn fault(&mut self, at: Range<usize>, what: impl Into<String>) {
        if self.faults.len() < FAULTS {
            let fault = self.places.fault(at.start, what);
            self.faults.push(fault);
        }
    }

    fn warn(&mut self, at: &Range<usize>, what: impl Into<String>) {
        if self.warnings.len() < FAULTS {
            let fault = self.places.fault(at.start, what);
            self.warnings.push(fault);
        }
    }

    fn policy(&mut self, table: &Table<'_>) -> Written {
        self.keys(table, TOP, "a policy");
        let observe = self.flag(table, "observe").unwrap_or(false);
        let zone = self.zone(table).or_else(|| Zone::named("UTC").map(Arc::new));
        let default = match self.table(table, "default") {
            Some((table, _)) => {
                self.keys(table, DOES, "[default]");
                self.does(table, None)
            }
            None => Does::default(),
        };
        let mut groups = Vec::new();
        if let Some((table, _)) = self.table(table, "destinations") {
            for (name, value) in table {
                let numbers =
                    self.numbers_of(value, &format!("destination {}", short(name.get_ref())));
                groups.push((name.get_ref().to_string(), numbers));
            }
        }
        let mut rules: Vec<(Rule, Range<usize>)> = Vec::new();
        match table.get("rule").map(|value| (value.get_ref(), value.span())) {
            None => {}
            Some((DeValue::Array(list), span)) => {
                if list.len() > RULES {
                    self.fault(
                        span,
                        format!("there are {} rules; {RULES} are the most", list.len()),
                    );
                }
                for value in list.iter().take(RULES) {
                    let DeValue::Table(table) = value.get_ref() else {
                        self.fault(
                            value.span(),
                            "a rule must be a table that begins with [[rule]]",
                        );
                        continue;
                    };
                    // A heading has its own span; a rule's name is where it is looked for.
                    let at = table.get("name").map_or(value.span(), Spanned::span);
                    let rule = self.rule(table, &groups, zone.as_ref(), at.clone());
                    if !rule.name.is_empty()
                        && rules.iter().any(|(other, _)| other.name == rule.name)
                    {
                        self.fault(
                            at.clone(),
                            format!("there is a rule {} before; names must differ", rule.name),
                        );
                    }
                    rules.push((rule, at));
                }
            }
            Some((_, span)) => self.fault(span, "rules begin with [[rule]], in double brackets"),
        }
        let mut zones: Vec<&str> = Vec::new();
        for (rule, at) in &rules {
            let Some(times) = &rule.when.times else { continue };
            if !zones.contains(&&*times.zone.name) {
                zones.push(&times.zone.name);
            }
            if zones.len() == ZONES + 1 {
                self.fault(at.clone(), format!("a policy has at most {ZONES} time zones"));
                break;
            }
        }
        if self.faults.is_empty() {
            self.consider(&rules);
        }
        let rules = rules.into_iter().map(|(rule, _)| rule).collect();
        Written { observe, default, rules, warnings: Vec::new() }
    }

    fn rule(
        &mut self,
        table: &Table<'_>,
        groups: &[(String, Spans<u64>)],
        zone: Option<&Arc<Zone>>,
        at: Range<usize>,
    ) -> Rule {
        self.keys(table, RULE, "a rule");
        let name = self.text(table, "name").map(|(name, span)| {
            let plain = |c: char| c.is_ascii_alphanumeric() || " _.-".contains(c);
            if name.is_empty() || name.len() > NAME || !name.chars().all(plain) {
                self.fault(
                    span,
                    format!("the name must be 1 to {NAME} letters, digits, spaces, _ . or -"),
                );
            }
            name
        });
        if name.is_none() && !table.contains_key("name") {
            self.fault(at.clone(), "a rule needs a name");
        }
        let comment = self.text(table, "comment").map(|(comment, span)| {
            if comment.chars().count() > COMMENT {
                self.fault(span, format!("the comment must have at most {COMMENT} characters"));
            }
            comment
        });
        let does = self.does(table, Some(at.clone()));
        let when = self.conditions(table, groups, zone);
        let line = self.places.fault(at.start, "").line;
        Rule {
            name: name.unwrap_or_default().into(),
            comment: comment.unwrap_or_default().into(),
            dry_run: self.flag(table, "dry_run").unwrap_or(false),
            action: does.action.unwrap_or(Action::Pass),
            response: does.response,
            target: does.target,
            line,
            when,
            hits: Arc::default(),
        }
    }

    /// Action, response and target. `needed` is where to say that there is no action.
    fn does(&mut self, table: &Table<'_>, needed: Option<Range<usize>>) -> Does {
        let action = self.text(table, "action").and_then(|(text, span)| {
            let found = Action::by_name(&text);
            if found.is_none() {
                let names = Action::ALL.map(Action::name);
                self.fault(
                    span,
                    format!(
                        "the action must be one of {}{}",
                        names.join(", "),
                        meant(&text, &names)
                    ),
                );
            }
            found
        });
        if let (Some(at), false) = (needed, table.contains_key("action")) {
            self.fault(at, "a rule needs an action");
        }
        let mut does = Does { action, ..Does::default() };
        let said = |key: &str| table.get(key).map(Spanned::span);
        if let Some((code, span)) = self.integer(table, "response") {
            match Response::by_code(code) {
                Some(response) => does.response = response,
                None => self.fault(span, "the response must be 603, 607 or 608"),
            }
        }
        if let (Some(span), Some(action)) = (said("response"), action)
            && action != Action::Reject
        {
            self.fault(
                span,
                format!("only the action reject has a response, not {}", action.name()),
            );
        }
        if let Some((target, span)) = self.table(table, "divert") {
            self.keys(target, &["user", "host"], "divert");
            let user = self.text(target, "user");
            let host = self.text(target, "host");
            if user.is_none() && host.is_none() {
                self.fault(span, "divert needs a user, a host, or both");
            }
            if let Some((user, span)) = &user
                && !is_user(user)
            {
                self.fault(span.clone(), "the user must be 1 to 64 characters of a SIP user part (RFC 3261 section 25.1)");
            }
            if let Some((host, span)) = &host
                && !is_host(host)
            {
                self.fault(
                    span.clone(),
                    "the host must be a name or an address, with or without :port",
                );
            }
            let text = |of: Option<(String, _)>| of.map(|(text, _)| text.into_boxed_str());
            does.target = Some(Target { user: text(user), host: text(host) });
        }
        match (action, said("divert"), said("action")) {
            (Some(Action::Divert), None, Some(span)) => {
                self.fault(span, "the action divert needs divert = { user = …, host = … }");
            }
            (Some(action), Some(span), _) if action != Action::Divert => {
                self.fault(
                    span,
                    format!("only the action divert has a target, not {}", action.name()),
                );
            }
            _ => {}
        }
        does
    }

    fn conditions(
        &mut self,
        table: &Table<'_>,
        groups: &[(String, Spans<u64>)],
        zone: Option<&Arc<Zone>>,
    ) -> Conditions {
        let mut when = Conditions::default();
        for (key, place) in [("score_from", 0), ("score_to", 1)] {
            if let Some((score, span)) = self.integer(table, key) {
                match u8::try_from(score).ok().filter(|score| *score <= 100) {
                    Some(score) if place == 0 => when.score.0 = score,
                    Some(score) => when.score.1 = score,
                    None => self.fault(span, format!("{key} must be from 0 to 100")),
                }
            }
        }
        if when.score.0 > when.score.1
            && let Some(value) = table.get("score_from")
        {
            self.fault(value.span(), "no score is from score_from to score_to");
        }
        if let Some(levels) = self.named(table, "level", &Level::ALL.map(Level::name)) {
            when.levels = levels.into_iter().fold(0, |bits, at| bits | 1 << at);
        }
        let names: Vec<_> = Tag::ALL.iter().map(|tag| tag.name()).collect();
        for (key, tags) in [
            ("tags_any", &mut when.tags_any),
            ("tags_all", &mut when.tags_all),
            ("tags_none", &mut when.tags_none),
        ] {
            for at in self.named(table, key, &names).unwrap_or_default() {
                tags.insert(Tag::ALL[at]);
            }
        }
        let names = List::ALL.map(List::name);
        for (key, lists) in
            [("lists_any", &mut when.lists_any), ("lists_none", &mut when.lists_none)]
        {
            let named = self.named(table, key, &names).unwrap_or_default();
            *lists = named.into_iter().map(|at| List::ALL[at]).collect::<ListSet>();
        }
        when.caller = self.party(table, "caller_country", "caller_number", None);
        when.network = self.party(table, "network_country", "network_number", None);
        when.callee = self.party(table, "callee_country", "callee_number", Some(groups));
        when.withheld = self.flag(table, "withheld");
        if let Some(trunks) = self.texts(table, "trunk") {
            if let Some(known) = &self.site.trunks {
                let known: Vec<&str> = known.iter().map(|name| &**name).collect();
                for (name, span) in &trunks {
                    if !known.contains(&&**name) {
                        let meant = meant(name, &known);
                        self.warn(
                            span,
                            format!("sources.trunks has no trunk {}{meant}", short(name)),
                        );
                    }
                }
            }
            when.trunks = Some(trunks.into_iter().map(|(name, _)| name.into()).collect());
        }
        when.sources = self.sources(table);
        when.times = self.times(table, zone);
        when
    }

    /// Conditions on one number: all that are given must hold.
    fn party(
        &mut self,
        table: &Table<'_>,
        country: &str,
        number: &str,
        groups: Option<&[(String, Spans<u64>)]>,
    ) -> Option<Numbers> {
        let mut sets: Vec<(Spans<u64>, String)> = Vec::new();
        if let Some(value) = table.get(country) {
            let mut spans = Vec::new();
            let mut said = Vec::new();
            for item in items(value) {
                let code = match item.get_ref() {
                    DeValue::String(text) => text.strip_prefix('+').unwrap_or(text).parse().ok(),
                    value => number_of(value),
                };
                let digits =
                    code.filter(|code| (1..=999).contains(code)).map(|code| code.to_string());
                match digits.filter(|digits| is_country(digits)) {
                    Some(digits) => {
                        spans.push(span(&digits));
                        said.push(format!("country +{digits}"));
                    }
                    None => self.fault(
                        item.span(),
                        format!("{country} must be country codes, such as 44 or \"+353\""),
                    ),
                }
            }
            sets.push((spans.into_iter().collect(), said.join(", ")));
        }
        if let Some(value) = table.get(number) {
            let said = items(value)
                .filter_map(|item| item.get_ref().as_str())
                .collect::<Vec<_>>()
                .join(", ");
            sets.push((self.numbers_of(value, number), said));
        }
        if let Some(groups) = groups {
            for (name, at) in self.texts(table, "destination").into_iter().flatten() {
                if let Some((_, spans)) = groups.iter().find(|(known, _)| *known == name) {
                    sets.push((spans.clone(), format!("destination {name}")));
                } else {
                    let known: Vec<&str> = groups.iter().map(|(name, _)| &**name).collect();
                    self.fault(
                        at,
                        format!("[destinations] has no {}{}", short(&name), meant(&name, &known)),
                    );
                }
            }
            // Of several destinations any will do.
            let first = sets.iter().position(|(_, said)| said.starts_with("destination "));
            if let Some(first) = first {
                let of = sets.split_off(first);
                let spans = of.iter().flat_map(|(spans, _)| spans.iter()).collect();
                let said = of.into_iter().map(|(_, said)| said).collect::<Vec<_>>().join(", ");
                sets.push((spans, said));
            }
        }
        let (first, rest) = sets.split_first()?;
        let (mut spans, mut said) = first.clone();
        for (more, words) in rest {
            spans = spans.and(more);
            said = format!("{said} and in {words}");
        }
        if said.len() > 200 {
            let cut = said.floor_char_boundary(200);
            said.truncate(cut);
            said.push('…');
        }
        if spans.is_empty() && self.faults.is_empty() {
            let at = table.get(number).or_else(|| table.get(country)).map_or(0..0, Spanned::span);
            self.warn(&at, "no number meets all of these conditions; the rule never matches");
        }
        Some(Numbers { spans, said })
    }

    /// Prefixes and ranges of numbers.
    fn numbers_of(&mut self, value: &Value<'_>, what: &str) -> Spans<u64> {
        let mut spans = Vec::new();
        if items(value).next().is_none() {
            self.fault(value.span(), format!("{what} has no numbers"));
        }
        for item in items(value) {
            let Some(text) = item.get_ref().as_str() else {
                self.fault(item.span(), format!("{what} must be strings, such as \"+4420\""));
                continue;
            };
            match self.numbers(text) {
                Some((found, doubtful)) => {
                    spans.push(found);
                    if doubtful {
                        self.warn(&item.span(), format!("{text} is compared with short and national numbers as they are dialled; write +{text} for a country code"));
                    }
                }
                None => self.fault(
                    item.span(),
                    format!("{what} must be prefixes or FIRST-LAST with as many digits each, of 1 to 15, such as \"+4420\" or \"+442079460000-+442079460999\""),
                ),
            }
        }
        spans.into_iter().collect()
    }

    /// A prefix or a range, and whether a `+` may be missing.
    fn numbers(&self, text: &str) -> Option<((u64, u64), bool)> {
        let bound = |text: &str| {
            let text = text.trim();
            let home = self.site.home_country;
            let full = text.starts_with('+')
                || text.starts_with("00")
                || home.is_some() && text.starts_with('0');
            let digits = leading(text, home)?;
            let (first, last) = span(&digits);
            let base = if full { 0 } else { AS_DIALLED };
            let doubtful = !full && digits.len() >= 7 && !digits.starts_with('0');
            Some((digits, (base + first, base + last), doubtful))
        };
        let Some((first, last)) = text.split_once('-') else {
            let (_, span, doubtful) = bound(text)?;
            return Some((span, doubtful));
        };
        let ((a, low, doubtful), (b, high, _)) = (bound(first)?, bound(last)?);
        let good = a.len() == b.len() && a <= b && (low.0 < AS_DIALLED) == (high.0 < AS_DIALLED);
        good.then_some(((low.0, high.1), doubtful))
    }

    fn sources(&mut self, table: &Table<'_>) -> Option<Sources> {
        let list = self.texts(table, "source")?;
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (text, span) in &list {
            match prefix(text) {
                Some((std::net::IpAddr::V4(net), bits)) => {
                    let free = u32::MAX.checked_shr(bits.into()).unwrap_or(0);
                    v4.push((u32::from(net) & !free, u32::from(net) | free));
                }
                Some((std::net::IpAddr::V6(net), bits)) => {
                    let free = u128::MAX.checked_shr(bits.into()).unwrap_or(0);
                    v6.push((u128::from(net) & !free, u128::from(net) | free));
                }
                None => self.fault(
                    span.clone(),
                    "source must be addresses or prefixes, such as \"192.0.2.0/24\"",
                ),
            }
        }
        let said = list.into_iter().map(|(text, _)| text).collect::<Vec<_>>().join(", ");
        Some(Sources { v4: v4.into_iter().collect(), v6: v6.into_iter().collect(), said })
    }

    fn times(&mut self, table: &Table<'_>, default: Option<&Arc<Zone>>) -> Option<Times> {
        let own = self.zone(table);
        let hours = self.texts(table, "time");
        let days = self.texts(table, "weekday");
        if hours.is_none() && days.is_none() {
            if let Some(value) = table.get("time_zone") {
                self.fault(value.span(), "time_zone says nothing without time or weekday");
            }
            return None;
        }
        let mut said = Vec::new();
        let mut on = [days.is_none(); 7];
        for (text, span) in days.unwrap_or_default() {
            let day = |name: &str| DAYS.iter().position(|day| *day == name);
            let (first, last) = text.split_once('-').unwrap_or((&text, &text));
            match (day(first), day(last)) {
                (Some(first), Some(last)) => {
                    let count = (last + 7 - first) % 7;
                    (first..=first + count).for_each(|at| on[at % 7] = true);
                    said.push(text);
                }
                _ => self.fault(
                    span,
                    format!("weekday must be {}, or such as \"mon-fri\"", DAYS.join(", ")),
                ),
            }
        }
        let mut windows = Vec::new();
        for (text, span) in hours.unwrap_or_default() {
            let parts = text.split_once('-');
            let parts =
                parts.and_then(|(a, b)| Some((clock::clock(a.trim())?, clock::clock(b.trim())?)));
            match parts.filter(|(from, to)| from != to && *from < DAY) {
                Some((from, to)) => {
                    windows.push((from, if to <= from { to + DAY } else { to }));
                    said.push(text);
                }
                None => self.fault(span, "time must be FROM-TO, such as \"22:00-06:00\""),
            }
        }
        if windows.is_empty() {
            windows.push((0, DAY));
        }
        let mut week = Vec::new();
        for (day, _) in (0u16..).zip(on).filter(|(_, on)| *on) {
            for (from, to) in &windows {
                // What begins on a day belongs to it, also past midnight.
                let (first, last) = (day * DAY + from, day * DAY + to - 1);
                if last < clock::WEEK {
                    week.push((first, last));
                } else {
                    week.push((first, clock::WEEK - 1));
                    week.push((0, last - clock::WEEK));
                }
            }
        }
        let zone = own.or_else(|| default.cloned())?;
        let said = format!("{} ({})", said.join(", "), zone.name);
        Some(Times { zone, week: week.into_iter().collect(), said })
    }

    fn zone(&mut self, table: &Table<'_>) -> Option<Arc<Zone>> {
        let (name, span) = self.text(table, "time_zone")?;
        let zone = Zone::named(&name);
        if zone.is_none() {
            self.fault(span, "there is no such time zone; it must be such as \"Europe/London\", \"UTC\" or \"+01:00\"");
        }
        zone.map(Arc::new)
    }

    /// Rules that contradict themselves, or that another is always before.
    fn consider(&mut self, rules: &[(Rule, Range<usize>)]) {
        for (i, (rule, at)) in rules.iter().enumerate() {
            let when = &rule.when;
            let (any, all, none) = (when.tags_any.0, when.tags_all.0, when.tags_none.0);
            if all & none != 0 || any != 0 && any & !none == 0 {
                self.warn(
                    at,
                    format!(
                        "rule {} asks for tags and for none of them; it never matches",
                        rule.name
                    ),
                );
            }
            let lists = when.lists_any.0;
            if lists != 0 && lists & !when.lists_none.0 == 0 {
                self.warn(
                    at,
                    format!(
                        "rule {} asks for lists and for none of them; it never matches",
                        rule.name
                    ),
                );
            }
            if let Some(levels) = &self.site.levels
                && !(when.score.0..=when.score.1)
                    .any(|score| when.levels & 1 << levels.level(score) as u8 != 0)
            {
                self.warn(
                    at,
                    format!(
                        "rule {}: no score from {} to {} is of these levels; it never matches",
                        rule.name, when.score.0, when.score.1
                    ),
                );
            }
            let emergency = 1 << Tag::Emergency as u8;
            if (all & emergency != 0 || any == emergency) && rule.action != Action::Pass {
                self.warn(
                    at,
                    format!(
                        "rule {} is about emergency calls, which are never acted on",
                        rule.name
                    ),
                );
            }
            let before =
                rules[..i].iter().find(|(other, _)| !other.dry_run && other.when.cover(when));
            if let Some((other, _)) = before {
                self.warn(
                    at,
                    format!(
                        "rule {} is never reached: rule {} in line {} takes all its calls",
                        rule.name, other.name, other.line
                    ),
                );
            }
        }
    }

    /// Says which keys there are not.
    fn keys(&mut self, table: &Table<'_>, known: &[&str], of: &str) {
        for (key, _) in table {
            if !known.contains(&&**key.get_ref()) {
                let meant = meant(key.get_ref(), known);
                self.fault(key.span(), format!("{of} has no key {}{meant}", short(key.get_ref())));
            }
        }
    }

    fn flag(&mut self, table: &Table<'_>, key: &str) -> Option<bool> {
        let value = table.get(key)?;
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            self.fault(value.span(), format!("{key} must be true or false"));
        }
        flag
    }

    fn integer(&mut self, table: &Table<'_>, key: &str) -> Option<(i64, Range<usize>)> {
        let value = table.get(key)?;
        let number = number_of(value.get_ref());
        if number.is_none() {
            self.fault(value.span(), format!("{key} must be a whole number"));
        }
        Some((number?, value.span()))
    }

    fn text(&mut self, table: &Table<'_>, key: &str) -> Option<(String, Range<usize>)> {
        let value = table.get(key)?;
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.fault(value.span(), format!("{key} must be a string"));
        }
        Some((text?.to_owned(), value.span()))
    }

    fn table<'v, 'i>(
        &mut self,
        table: &'v Table<'i>,
        key: &str,
    ) -> Option<(&'v Table<'i>, Range<usize>)> {
        let value = table.get(key)?;
        let inner = value.get_ref().as_table();
        if inner.is_none() {
            self.fault(value.span(), format!("{key} must be a table"));
        }
        Some((inner?, value.span()))
    }

    /// A string or a list of strings, at least one.
    fn texts(&mut self, table: &Table<'_>, key: &str) -> Option<Vec<(String, Range<usize>)>> {
        let value = table.get(key)?;
        let mut texts = Vec::new();
        for item in items(value) {
            match item.get_ref().as_str() {
                Some(text) => texts.push((text.to_owned(), item.span())),
                None => {
                    self.fault(
                        item.span(),
                        format!("{key} must be a string, or a list of strings"),
                    );
                }
            }
        }
        if items(value).next().is_none() {
            self.fault(value.span(), format!("{key} must not be empty; leave it out"));
        }
        Some(texts)
    }

    /// The same of names that are known; their places among them.
    fn named(&mut self, table: &Table<'_>, key: &str, known: &[&str]) -> Option<Vec<usize>> {
        let mut found = Vec::new();
        for (name, span) in self.texts(table, key)? {
            if let Some(at) = known.iter().position(|known| *known == name) {
                found.push(at);
            } else {
                let meant = meant(&name, known);
                self.fault(span, format!("{key} has no {}{meant}", short(&name)));
            }
        }
        Some(found)
    }
}

/// The value itself, or those of its list.
fn items<'v, 'i>(value: &'v Value<'i>) -> impl Iterator<Item = &'v Value<'i>> {
    let list = value.get_ref().as_array();
    let alone = list.is_none().then_some(value);
    list.into_iter().flatten().chain(alone)
}

fn number_of(value: &DeValue<'_>) -> Option<i64> {
    let integer = value.as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// A country code of E.164.
fn is_country(digits: &str) -> bool {
    let number = Number::parse(format!("+{digits}0000000").as_bytes(), None);
    number.and_then(|number| number.country()).is_some_and(|code| code.to_string() == digits)
}

/// Unreserved, escaped or user-unreserved (RFC 3261 section 25.1).
fn is_user(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.!~*'()%&=+$,;?/".contains(&b);
    (1..=64).contains(&text.len()) && text.bytes().all(plain)
}

/// A name, an IPv4 address or an IPv6 one in brackets, and perhaps a port.
fn is_host(text: &str) -> bool {
    if text.parse::<std::net::SocketAddr>().is_ok() || text.parse::<std::net::Ipv4Addr>().is_ok() {
        return true;
    }
    if let Some(inner) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        return inner.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let (name, port) = text.split_once(':').unwrap_or((text, "5060"));
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let numeric = name.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    name.len() <= 253
        && !numeric
        && name.split('.').all(label)
        && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// `; did you mean …?`, if one is like it.
fn meant(text: &str, known: &[&str]) -> String {
    // A hostile name may be of any length; comparing costs its square.
    let asked: String = text.chars().take(80).collect();
    let like = |known: &str| strsim::jaro_winkler(known, &asked);
    let best = known.iter().max_by(|a, b| like(a).total_cmp(&like(b)));
    best.filter(|best| like(best) > 0.6)
        .map_or_else(String::new, |best| format!("; did you mean {best}?"))
}

/// A name for a message.
fn short(text: &str) -> String {
    let cut: String = text.chars().take(40).collect();
    format!("{cut:?}")
}

/// Every level has a bit.
const _: () = assert!(Level::ALL.len() == 4 && LEVELS == 0b1111);
