//! Which calls are shown.

use scorer_common::verdict::Level;

use super::{call::Call, columns::Column};

/// What a call must be like to be shown. Empty texts match all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// This level or a higher one.
    pub level: Option<Level>,
    /// This score or a higher one.
    pub score: u8,
    /// Has this tag.
    pub tag: String,
    /// Came over this trunk.
    pub trunk: String,
    /// Country of caller or callee, ISO 3166 alpha-2.
    pub country: String,
    /// Part of the caller's number, shown or asserted.
    pub caller: String,
    /// Part of the callee's.
    pub callee: String,
}

impl Filter {
    pub(super) fn admits(&self, call: &Call) -> bool {
        let is =
            |wanted: &str, value: &str| wanted.is_empty() || wanted.eq_ignore_ascii_case(value);
        let part = |wanted: &str, value: &str| value.contains(wanted);
        self.level.is_none_or(|level| call.level >= level)
            && call.score >= self.score
            && (self.tag.is_empty() || call.tags.iter().any(|tag| is(&self.tag, tag)))
            && is(&self.trunk, &call.trunk)
            && (is(&self.country, &call.caller_country) || is(&self.country, &call.callee_country))
            && (part(&self.caller, &call.caller) || part(&self.caller, &call.network_number))
            && part(&self.callee, &call.callee)
    }

    /// In words; empty where all are shown.
    pub(super) fn words(&self) -> String {
        let mut words = Vec::new();
        if let Some(level) = self.level {
            words.push(format!("level>={}", level.name()));
        }
        if self.score > 0 {
            words.push(format!("score>={}", self.score));
        }
        for (name, value) in [
            ("tag", &self.tag),
            ("trunk", &self.trunk),
            ("country", &self.country),
            ("caller", &self.caller),
            ("callee", &self.callee),
        ] {
            if !value.is_empty() {
                words.push(format!("{name}={value}"));
            }
        }
        words.join(" ")
    }
}

/// Whether anything that is told of a call holds the text, case aside.
pub(super) fn found(call: &Call, wanted: &str) -> bool {
    if wanted.is_empty() {
        return true;
    }
    let wanted = wanted.to_lowercase();
    let holds = |text: &str| text.to_lowercase().contains(&wanted);
    Column::ALL.iter().any(|column| holds(&column.text(call)))
        || holds(&call.call_id)
        || call.reasons.iter().any(|reason| holds(&reason.text))
}

#[cfg(test)]
mod tests {
    use super::{Filter, Level, found};
    use crate::top::tests::call;

    #[test]
    fn each_condition_counts() {
        let call = call(1, 87);
        let all = Filter::default();
        assert!(all.admits(&call) && all.words().is_empty());
        let good = Filter {
            level: Some(Level::High),
            score: 87,
            tag: "spoofed".into(),
            trunk: "Transit".into(),
            country: "gb".into(),
            caller: "960001".into(),
            callee: "7946".into(),
        };
        assert!(good.admits(&call), "{call:?}");
        let words = good.words();
        assert!(words.starts_with("level>=high score>=87 tag=spoofed trunk=Transit"), "{words}");
        for bad in [
            Filter { level: Some(Level::Critical), ..good.clone() },
            Filter { score: 88, ..good.clone() },
            Filter { tag: "voip".into(), ..good.clone() },
            Filter { trunk: "Tran".into(), ..good.clone() },
            Filter { country: "FR".into(), ..good.clone() },
            Filter { caller: "9999".into(), ..good.clone() },
            Filter { callee: "9999".into(), ..good.clone() },
        ] {
            assert!(!bad.admits(&call), "{bad:?}");
        }
    }

    #[test]
    fn anything_is_found() {
        let call = call(7, 50);
        for text in ["", "CALL-7", "transit", "SPOOF", "asserts", "192.0.2"] {
            assert!(found(&call, text), "{text}");
        }
        assert!(!found(&call, "wangiri"));
    }
}
