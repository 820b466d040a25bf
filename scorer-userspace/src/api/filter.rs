//! Which calls are meant.

use scorer_common::verdict::{Action, Level, Tag};

use super::{
    access::Role,
    ask::{in_sql, talked},
    extract::Asked,
    item::Item,
    problem::Problem,
};
use crate::{
    history::Progress,
    number,
    records::{
        Sought,
        query::{Store, quoted},
    },
    time::Timestamp,
};

/// Longest text that is looked for, bytes.
const LONGEST: usize = 512;

/// Parameters that choose calls; each narrows.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    level: Option<String>,
    min_score: Option<u8>,
    tag: Option<String>,
    caller: Option<String>,
    callee: Option<String>,
    trunk: Option<String>,
    country: Option<String>,
    fingerprint: Option<String>,
    profile: Option<String>,
    outcome: Option<String>,
    label: Option<String>,
    action: Option<String>,
    q: Option<String>,
}

/// The same, checked.
#[derive(Clone, Debug, Default)]
pub(super) struct Chosen {
    level: Option<Level>,
    min_score: u8,
    tag: Option<Tag>,
    caller: Option<Sought>,
    callee: Option<Sought>,
    trunk: Option<String>,
    country: Option<(u16, String)>,
    fingerprint: Option<String>,
    profile: Option<String>,
    pub(super) outcome: Option<&'static str>,
    label: Option<Label>,
    action: Option<String>,
    q: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Label {
    Is(&'static str),
    None,
}

fn of_16(name: &str, text: &str) -> Result<String, Problem> {
    let hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if hex {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(Problem::wrong(format!("{name} has 16 hexadecimal digits")))
    }
}

impl Filter {
    /// Takes it out of the parameters of a query.
    ///
    /// # Errors
    /// When a number is none.
    pub(super) fn take(asked: &mut Asked) -> Result<Self, Problem> {
        Ok(Self {
            level: asked.text("level"),
            min_score: asked.number("min_score")?,
            tag: asked.text("tag"),
            caller: asked.text("caller"),
            callee: asked.text("callee"),
            trunk: asked.text("trunk"),
            country: asked.text("country"),
            fingerprint: asked.text("fingerprint"),
            profile: asked.text("profile"),
            outcome: asked.text("outcome"),
            label: asked.text("label"),
            action: asked.text("action"),
            q: asked.text("q"),
        })
    }

    /// Checks it; `home` is the country code of national numbers.
    ///
    /// # Errors
    /// A [`Problem`] that says what cannot be.
    pub(super) fn check(self, home: Option<u16>) -> Result<Chosen, Problem> {
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        let short = |name: &str, text: Option<String>| match some(text) {
            Some(text) if text.len() > LONGEST || text.contains('\0') => Err(Problem::wrong(
                format!("{name} has {LONGEST} bytes at most, none of them zero"),
            )),
            text => Ok(text),
        };
        let level = |name: String| {
            Level::ALL
                .into_iter()
                .find(|level| level.name() == name)
                .ok_or_else(|| Problem::wrong("level is one of low, medium, high and critical"))
        };
        let tag = |name: String| {
            Tag::ALL.iter().copied().find(|tag| tag.name() == name).ok_or_else(|| {
                let known: Vec<_> = Tag::ALL.iter().map(|tag| tag.name()).collect();
                Problem::wrong(format!("tag is one of {}", known.join(", ")))
            })
        };
        let sought = |name: &str, text: Option<String>| {
            short(name, text)?
                .map(|text| {
                    // A plus sign that was not escaped is a space.
                    let text = text.trim().to_owned();
                    Sought::parse(&text, home).ok_or_else(|| {
                        Problem::wrong(format!(
                            "{name} is a telephone number, such as +441632960001"
                        ))
                    })
                })
                .transpose()
        };
        let country = |iso: String| {
            number::country_code(&iso)
                .map(|code| (code, iso.to_ascii_uppercase()))
                .ok_or_else(|| Problem::wrong("country is an ISO 3166 code, such as GB"))
        };
        let min_score = match self.min_score {
            Some(101..) => return Err(Problem::wrong("min_score is a number from 0 to 100")),
            score => score.unwrap_or(0),
        };
        let outcome = |name: String| {
            Progress::by_name(&name).map(Progress::name).ok_or_else(|| {
                let all = Progress::ALL.map(Progress::name).join(", ");
                Problem::wrong(format!("outcome is one of {all}"))
            })
        };
        let label = |name: String| match name.as_str() {
            "fraud" => Ok(Label::Is("fraud")),
            "genuine" => Ok(Label::Is("genuine")),
            "none" => Ok(Label::None),
            _ => Err(Problem::wrong("label is one of fraud, genuine and none")),
        };
        let action = |name: String| {
            Action::by_name(&name).map(|action| action.name().to_owned()).ok_or_else(|| {
                Problem::wrong("action is one of pass, tag, divert, reject and drop")
            })
        };
        Ok(Chosen {
            level: some(self.level).map(level).transpose()?,
            min_score,
            tag: some(self.tag).map(tag).transpose()?,
            caller: sought("caller", self.caller)?,
            callee: sought("callee", self.callee)?,
            trunk: short("trunk", self.trunk)?,
            country: some(self.country).map(country).transpose()?,
            fingerprint: some(self.fingerprint).map(|t| of_16("fingerprint", &t)).transpose()?,
            profile: some(self.profile).map(|t| of_16("profile", &t)).transpose()?,
            outcome: some(self.outcome).map(outcome).transpose()?,
            label: some(self.label).map(label).transpose()?,
            action: some(self.action).map(action).transpose()?,
            q: short("q", self.q)?,
        })
    }
}

fn any_of<'a>(column: &str, values: impl Iterator<Item = &'a str>) -> String {
    format!("{column} IN ({})", values.map(quoted).collect::<Vec<_>>().join(", "))
}

/// Columns that `q` is looked for in. A viewer does not find out numbers digit by digit.
fn searched(role: Role) -> &'static [&'static str] {
    if role.is_masked() {
        &["trunk", "fingerprint", "profile", "rule"]
    } else {
        &[
            "call_id",
            "caller",
            "network_number",
            "callee",
            "trunk",
            "fingerprint",
            "profile",
            "rule",
        ]
    }
}

impl Chosen {
    /// Conditions in SQL on calls of a time.
    ///
    /// # Errors
    /// When the key of pseudonyms cannot be read.
    pub(super) fn conditions(
        &self,
        store: &Store,
        role: Role,
        [since, until]: [Timestamp; 2],
    ) -> Result<Vec<String>, Problem> {
        let mut all = vec![format!("ts >= {}", in_sql(since)), format!("ts < {}", in_sql(until))];
        if let Some(least) = self.level
            && least != Level::ALL[0]
        {
            let names = Level::ALL.iter().filter(|level| **level >= least).map(|l| l.name());
            all.push(any_of("level", names));
        }
        if self.min_score > 0 {
            all.push(format!("score >= {}", self.min_score));
        }
        if let Some(tag) = self.tag {
            all.push(format!("array_has(tags, {})", quoted(tag.name())));
        }
        if let Some(caller) = &self.caller {
            let forms = store.forms(caller)?;
            let either = ["caller", "network_number"]
                .map(|column| any_of(column, forms.iter().map(String::as_str)));
            all.push(format!("({})", either.join(" OR ")));
        }
        if let Some(callee) = &self.callee {
            let forms = store.forms(callee)?;
            all.push(any_of("callee", forms.iter().map(String::as_str)));
        }
        if let Some((code, _)) = &self.country {
            all.push(format!("caller_country_code = {code}"));
        }
        for (column, value) in [
            ("trunk", &self.trunk),
            ("fingerprint", &self.fingerprint),
            ("profile", &self.profile),
            ("action", &self.action),
        ] {
            if let Some(value) = value {
                all.push(format!("{column} = {}", quoted(value)));
            }
        }
        if let Some(outcome) = self.outcome {
            // Of calls whose last outcome is another some come along; they are left out
            // when their outcomes are known.
            all.push(format!(
                "call IN (SELECT call FROM outcomes WHERE ts >= {} AND ts < {} AND outcome = {})",
                in_sql(since),
                in_sql(talked(until)),
                quoted(outcome)
            ));
        }
        match self.label {
            Some(Label::Is(label)) => all.push(format!("label = {}", quoted(label))),
            Some(Label::None) => all.push("label IS NULL".to_owned()),
            None => {}
        }
        if let Some(q) = &self.q {
            let escaped =
                q.to_lowercase().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
            let like = quoted(&format!("%{escaped}%"));
            let either: Vec<_> = searched(role)
                .iter()
                .map(|column| format!("lower({column}) LIKE {like}"))
                .collect();
            all.push(format!("({})", either.join(" OR ")));
        }
        Ok(all)
    }

    /// Whether a call in memory is meant.
    pub(super) fn has(&self, item: &Item, role: Role) -> bool {
        let is = |wanted: &Option<String>, value: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| value == Some(wanted))
        };
        let number = |sought: &Option<Sought>, values: [&Option<String>; 2]| {
            sought
                .as_ref()
                .is_none_or(|sought| values.into_iter().flatten().any(|value| sought.is(value)))
        };
        let level = Level::ALL.into_iter().find(|level| level.name() == item.level);
        self.level.is_none_or(|least| level.is_some_and(|level| level >= least))
            && item.score >= self.min_score
            && self.tag.is_none_or(|tag| item.tags.iter().any(|known| known == tag.name()))
            && number(&self.caller, [&item.caller, &item.network_number])
            && number(&self.callee, [&item.callee, &None])
            && self.country.as_ref().is_none_or(|(code, _)| {
                item.caller_country.and_then(number::country_code) == Some(*code)
            })
            && is(&self.trunk, item.trunk.as_deref())
            && is(&self.fingerprint, Some(&item.fingerprint))
            && is(&self.profile, item.profile.as_deref())
            && is(&self.action, Some(&item.action))
            && self.outcome.is_none_or(|outcome| item.outcome.as_deref() == Some(outcome))
            && self.label.is_none_or(|label| match label {
                Label::Is(label) => item.label == Some(label),
                Label::None => item.label.is_none(),
            })
            && self.q.as_ref().is_none_or(|q| {
                let q = q.to_lowercase();
                searched(role).iter().any(|column| {
                    let value = match *column {
                        "call_id" => Some(item.call_id.as_str()),
                        "caller" => item.caller.as_deref(),
                        "network_number" => item.network_number.as_deref(),
                        "callee" => item.callee.as_deref(),
                        "trunk" => item.trunk.as_deref(),
                        "fingerprint" => Some(item.fingerprint.as_str()),
                        "profile" => item.profile.as_deref(),
                        _ => item.rule.as_deref(),
                    };
                    value.is_some_and(|value| value.to_lowercase().contains(&q))
                })
            })
    }
}

#[cfg(test)]
mod tests {
    use scorer_common::verdict::{Action, Level, Tag};

    use crate::history::Progress;

    /// The dashboard offers what can be asked for: names stand in its sources, too.
    #[test]
    fn the_dashboard_knows_all_names() {
        let filters = include_str!("../../web/src/lib/filters.ts");
        let levels = include_str!("../../web/src/lib/format.ts");
        let known = |source: &str, name: &str| {
            let from = source.find(&format!("const {name}")).expect(name);
            let list = &source[from..];
            let list = &list[list.find("= [").expect(name)..list.find("];").expect(name)];
            list.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()
        };
        // Tags in an order of its own.
        let mut tags: Vec<_> = Tag::ALL.iter().map(|tag| tag.name()).collect();
        let mut offered = known(filters, "TAGS");
        tags.sort_unstable();
        offered.sort_unstable();
        assert_eq!(offered, tags);
        let outcomes = Progress::ALL.map(Progress::name);
        assert_eq!(known(filters, "OUTCOMES"), outcomes);
        assert_eq!(known(filters, "ACTIONS"), Action::ALL.map(Action::name));
        assert_eq!(known(levels, "LEVELS"), Level::ALL.map(Level::name));
    }
}
