//! How well profiles tell callers apart, against the truth: pairs of calls.
//!
//! Of two calls of one profile, are they one caller's (precision)? Of two calls of one
//! caller, are they in one profile (recall)? Counted from the sizes of groups, in linear
//! time.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
};

/// What is true of a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Truth {
    /// Family of traffic.
    pub family: String,
    /// Whether the family is fraud.
    pub fraud: bool,
    /// Who is behind it.
    pub caller: String,
}

/// Counts of pairs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pairs {
    /// Calls.
    pub calls: u64,
    /// Callers.
    pub callers: u64,
    /// Pairs of one caller.
    pub of_one: f64,
    /// Pairs of one profile, of which at least one call is of the family.
    pub together: f64,
    /// Pairs of one caller and one profile.
    pub right: f64,
}

impl Pairs {
    /// Share of pairs in one profile that are of one caller; 1 without any.
    pub fn precision(&self) -> f64 {
        if self.together > 0.0 { self.right / self.together } else { 1.0 }
    }

    /// Share of pairs of one caller that are in one profile; 1 without any.
    pub fn recall(&self) -> f64 {
        if self.of_one > 0.0 { self.right / self.of_one } else { 1.0 }
    }
}

/// The result.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// By family; whether it is fraud, and its name.
    pub families: BTreeMap<(bool, String), Pairs>,
    /// Of all fraud; a pair of fraud and a genuine call counts as together, and wrong.
    pub fraud: Pairs,
    /// Of all calls.
    pub all: Pairs,
    /// Profiles.
    pub profiles: u64,
}

impl Measured {
    /// Of calls: the profile that each was given, and the truth.
    pub fn of<'a>(calls: impl IntoIterator<Item = (u64, &'a Truth)>) -> Self {
        let mut callers: HashMap<&Truth, u64> = HashMap::new();
        let mut profiles: HashMap<u64, HashMap<&Truth, u64>> = HashMap::new();
        for (profile, truth) in calls {
            *callers.entry(truth).or_default() += 1;
            *profiles.entry(profile).or_default().entry(truth).or_default() += 1;
        }
        let mut this = Self { profiles: profiles.len() as u64, ..Self::default() };
        for (truth, calls) in callers {
            this.each(truth, |pairs| {
                pairs.calls += calls;
                pairs.callers += 1;
                pairs.of_one += pairs_of(calls);
            });
        }
        for parts in profiles.values() {
            let size: u64 = parts.values().sum();
            let mut families: HashMap<(bool, &str), u64> = HashMap::new();
            let mut fraud = 0;
            for (truth, calls) in parts {
                this.each(truth, |pairs| pairs.right += pairs_of(*calls));
                *families.entry((truth.fraud, &truth.family)).or_default() += calls;
                fraud += if truth.fraud { *calls } else { 0 };
            }
            let with = |part: u64| pairs_of(size) - pairs_of(size - part);
            for ((is_fraud, family), calls) in families {
                let key = (is_fraud, family.to_owned());
                this.families.entry(key).or_default().together += with(calls);
            }
            this.fraud.together += with(fraud);
            this.all.together += pairs_of(size);
        }
        this
    }

    fn each(&mut self, truth: &Truth, add: impl Fn(&mut Pairs)) {
        add(self.families.entry((truth.fraud, truth.family.clone())).or_default());
        add(&mut self.all);
        if truth.fraud {
            add(&mut self.fraud);
        }
    }

    /// As a table in Markdown: families of fraud, then all fraud; with `genuine` the
    /// others, too.
    pub fn table(&self, genuine: bool) -> String {
        let mut out = String::from(
            "| family | calls | callers | precision | recall |\n|---|---:|---:|---:|---:|\n",
        );
        let mut row = |name: &str, pairs: &Pairs| {
            // Writing to a String cannot fail.
            let _ = writeln!(
                out,
                "| {name} | {} | {} | {:.3} | {:.3} |",
                pairs.calls,
                pairs.callers,
                pairs.precision(),
                pairs.recall()
            );
        };
        for ((_, family), pairs) in self.families.iter().filter(|((fraud, _), _)| *fraud) {
            row(family, pairs);
        }
        row("**all fraud**", &self.fraud);
        if genuine {
            for ((_, family), pairs) in self.families.iter().filter(|((fraud, _), _)| !*fraud) {
                row(&format!("{family} (genuine)"), pairs);
            }
        }
        out
    }
}

fn pairs_of(count: u64) -> f64 {
    count as f64 * (count.saturating_sub(1)) as f64 / 2.0
}

#[cfg(test)]
mod tests {
    use super::{Measured, Truth};

    #[test]
    fn pairs_are_counted() {
        let truth = |family: &str, fraud, caller: &str| Truth {
            family: family.into(),
            fraud,
            caller: caller.into(),
        };
        let (a, b, c) = (truth("x", true, "a"), truth("x", true, "b"), truth("y", false, "c"));
        // Profile 1: a a b; profile 2: a c; profile 3: c.
        let calls = [(1, &a), (1, &a), (1, &b), (2, &a), (2, &c), (3, &c)];
        let measured = Measured::of(calls);
        let first = measured.families[&(true, "x".to_owned())];
        assert_eq!(
            (first.calls, first.callers, first.of_one, first.together, first.right),
            (4, 2, 3.0, 4.0, 1.0)
        );
        assert_eq!((first.precision(), measured.fraud.recall()), (0.25, 1.0 / 3.0));
        let second = measured.families[&(false, "y".to_owned())];
        assert_eq!((second.of_one, second.together, second.right), (1.0, 1.0, 0.0));
        assert_eq!(measured.all.together, 4.0);
        assert!(measured.table(false).contains("| x | 4 | 2 | 0.250 | 0.333 |"));
    }
}
