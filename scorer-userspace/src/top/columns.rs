//! Columns of the list.

use std::cmp::Ordering;

use super::call::Call;

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::top) enum Column {
    Time,
    Score,
    Level,
    Caller,
    Callee,
    Countries,
    Tags,
    Trunk,
    Action,
    Outcome,
    Reason,
    Source,
    Network,
    Profile,
    Fingerprint,
    Latency,
    CallId,
}

impl Column {
    /// All, in the order they are shown.
    pub(super) const ALL: [Self; 17] = [
        Self::Time,
        Self::Score,
        Self::Level,
        Self::Caller,
        Self::Callee,
        Self::Countries,
        Self::Tags,
        Self::Trunk,
        Self::Action,
        Self::Outcome,
        Self::Reason,
        Self::Source,
        Self::Network,
        Self::Profile,
        Self::Fingerprint,
        Self::Latency,
        Self::CallId,
    ];

    /// Shown at first; as many of them as fit.
    pub(super) const FIRST: [Self; 11] = [
        Self::Time,
        Self::Score,
        Self::Level,
        Self::Caller,
        Self::Callee,
        Self::Countries,
        Self::Tags,
        Self::Trunk,
        Self::Action,
        Self::Outcome,
        Self::Reason,
    ];

    /// Heading.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Time => "Time",
            Self::Score => "Risk",
            Self::Level => "Level",
            Self::Caller => "Caller",
            Self::Callee => "Callee",
            Self::Countries => "From>to",
            Self::Tags => "Tags",
            Self::Trunk => "Trunk",
            Self::Action => "Action",
            Self::Outcome => "Outcome",
            Self::Reason => "First reason",
            Self::Source => "Source",
            Self::Network => "Network number",
            Self::Profile => "Profile",
            Self::Fingerprint => "Fingerprint",
            Self::Latency => "µs",
            Self::CallId => "Call-ID",
        }
    }

    /// Characters.
    pub(super) const fn width(self) -> u16 {
        match self {
            Self::Time | Self::Level => 8,
            Self::Score => 5,
            Self::Caller | Self::Callee | Self::Network => 15,
            Self::Trunk => 14,
            Self::Action => 12,
            Self::Outcome => 13,
            Self::Reason => 40,
            Self::Source => 21,
            Self::Tags | Self::Profile | Self::Fingerprint => 16,
            Self::Countries | Self::Latency => 7,
            Self::CallId => 30,
        }
    }

    /// Whether it is set to the right.
    pub(super) const fn is_number(self) -> bool {
        matches!(self, Self::Score | Self::Latency)
    }

    /// What stands there.
    pub(super) fn text(self, call: &Call) -> String {
        match self {
            Self::Time => String::from_utf8_lossy(&call.ts.rfc3339()[11..19]).into_owned(),
            Self::Score => call.score.to_string(),
            Self::Level => call.level.name().to_owned(),
            Self::Caller => call.caller.clone(),
            Self::Callee => call.callee.clone(),
            Self::Countries => countries(call),
            Self::Tags => call.tags.join(","),
            Self::Trunk => call.trunk.clone(),
            Self::Action if call.would.is_empty() => call.action.clone(),
            Self::Action => call.would.clone(),
            Self::Outcome if call.code >= 300 => format!("{} {}", call.code, call.outcome),
            Self::Outcome => call.outcome.clone(),
            Self::Reason => call.reasons.first().map(|why| why.text.clone()).unwrap_or_default(),
            Self::Source => call.source.clone(),
            Self::Network => call.network_number.clone(),
            Self::Profile => call.profile.clone(),
            Self::Fingerprint => call.fingerprint.clone(),
            Self::Latency => {
                call.latency.map(|ns| format!("{:.1}", ns as f64 / 1e3)).unwrap_or_default()
            }
            Self::CallId => call.call_id.clone(),
        }
    }

    /// Order of two calls by it.
    pub(super) fn order(self, a: &Call, b: &Call) -> Ordering {
        match self {
            Self::Time => a.ts.cmp(&b.ts),
            Self::Score | Self::Level => a.score.cmp(&b.score),
            Self::Latency => a.latency.cmp(&b.latency),
            _ => self.text(a).cmp(&self.text(b)),
        }
    }

    /// Those of `shown` that fit into `room` characters, with their widths; the last one
    /// takes what is left.
    pub(super) fn fitting(shown: &[Self], room: u16) -> Vec<(Self, u16)> {
        let mut fitting: Vec<(Self, u16)> = Vec::new();
        let mut left = room;
        for column in Self::ALL.into_iter().filter(|column| shown.contains(column)) {
            let gap = u16::from(!fitting.is_empty());
            let Some(rest) = left.checked_sub(column.width() + gap) else { break };
            left = rest;
            fitting.push((column, column.width()));
        }
        if let Some((_, width)) = fitting.last_mut() {
            *width += left;
        }
        fitting
    }
}

/// `GB>FR`; `?` where one is not known.
fn countries(call: &Call) -> String {
    let known =
        |country: &str| if country.is_empty() { "?".to_owned() } else { country.to_owned() };
    match (&*call.caller_country, &*call.callee_country) {
        ("", "") => String::new(),
        (from, to) => format!("{}>{}", known(from), known(to)),
    }
}

#[cfg(test)]
mod tests {
    use super::Column;

    #[test]
    fn eighty_columns_show_what_matters() {
        let fitting = Column::fitting(&Column::FIRST, 80);
        let names: Vec<_> = fitting.iter().map(|(column, _)| column.name()).collect();
        assert_eq!(names, ["Time", "Risk", "Level", "Caller", "Callee", "From>to", "Tags"]);
        let used: u16 = fitting.iter().map(|(_, width)| width + 1).sum::<u16>() - 1;
        assert_eq!(used, 80);
        assert_eq!(Column::fitting(&Column::FIRST, 3), []);
        assert_eq!(Column::fitting(&Column::ALL, 400).len(), Column::ALL.len());
    }
}
