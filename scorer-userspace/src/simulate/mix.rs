//! What is to be simulated: the knobs.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;

use super::{SimulateError, call::Family};
use crate::time::Timestamp;

/// Knobs of a simulation, a TOML file. Every key may be left out.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Mix {
    /// When it begins, RFC 3339.
    pub start: String,
    /// Mean calls a second over a day.
    pub calls_per_second: f64,
    /// Ends after so many seconds, though calls are left.
    pub duration_s: Option<f64>,
    /// Calls follow the hours of the day and the days of the week.
    pub hours: bool,
    /// Share of calls that are fraud, 0 to 1.
    pub fraud: f64,
    /// Share of INVITEs that are sent again after 500 ms.
    pub retransmissions: f64,
    /// Subscribers who are called; 0 for as many as fit the calls.
    pub subscribers: u64,
    /// Weights of families by name, in place of the built-in ones, among genuine or
    /// among fraudulent calls; 0 leaves one out.
    pub families: BTreeMap<String, f64>,
    /// Stacks that are not used.
    pub without_stacks: Vec<String>,
    /// Calls of one campaign at most; 0 for as many as it would make.
    pub campaign_calls: u64,
    /// Numbers are of ranges kept for drama, or can be nobody's: for what is shown to
    /// others.
    pub drama: bool,
    /// What changes over time.
    pub drift: Drift,
}

/// How the traffic changes over days.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Drift {
    /// Share of stacks that change version and offer a day.
    pub stacks_per_day: f64,
    /// By how much of itself fraud grows a day.
    pub fraud_per_day: f64,
}

impl Default for Mix {
    fn default() -> Self {
        Self {
            start: "2026-11-02T08:00:00Z".into(),
            calls_per_second: 20.0,
            duration_s: None,
            hours: true,
            fraud: 0.006,
            retransmissions: 0.003,
            subscribers: 0,
            families: BTreeMap::new(),
            without_stacks: Vec::new(),
            campaign_calls: 0,
            drama: false,
            drift: Drift::default(),
        }
    }
}

impl Mix {
    /// Reads one.
    ///
    /// # Errors
    /// When it cannot be read, or what stands in it cannot be.
    pub fn read(path: &Path) -> Result<Self, SimulateError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|source| SimulateError::Read { path: name.clone(), source })?;
        let mix: Self = toml::from_str(&text)
            .map_err(|error| SimulateError::Mix { what: format!("{name}: {error}") })?;
        mix.check().map_err(|what| SimulateError::Mix { what: format!("{name}: {what}") })?;
        Ok(mix)
    }

    /// Whether the values can be.
    pub(super) fn check(&self) -> Result<(), String> {
        let within = |name: &str, value: f64, low: f64, high: f64| {
            if value >= low && value <= high {
                Ok(())
            } else {
                Err(format!("{name} is {value}; it must be from {low} to {high}"))
            }
        };
        within("calls_per_second", self.calls_per_second, 0.001, 1e6)?;
        within("duration_s", self.duration_s.unwrap_or(1.0), 0.001, 1e9)?;
        within("fraud", self.fraud, 0.0, 1.0)?;
        within("retransmissions", self.retransmissions, 0.0, 1.0)?;
        within("subscribers", self.subscribers as f64, 0.0, 1e9)?;
        within("drift.stacks_per_day", self.drift.stacks_per_day, 0.0, 1e3)?;
        within("drift.fraud_per_day", self.drift.fraud_per_day, 0.0, 1e3)?;
        for (name, weight) in &self.families {
            within(&format!("families.{name}"), *weight, 0.0, 1e9)?;
            if !Family::ALL.iter().any(|family| family.name() == name) {
                let known: Vec<_> = Family::ALL.iter().map(|family| family.name()).collect();
                return Err(format!("there is no family {name}; there are {}", known.join(", ")));
            }
        }
        self.begin().map(|_| ())
    }

    pub(super) fn begin(&self) -> Result<Timestamp, String> {
        let start: jiff::Timestamp = self
            .start
            .parse()
            .map_err(|error| format!("start: {error}; write it as 2026-11-02T08:00:00Z"))?;
        u64::try_from(start.as_nanosecond())
            .map(Timestamp)
            .map_err(|_| "start is before 1970 or after 2554".to_owned())
    }

    /// Weight of a family among its like.
    pub(super) fn weight(&self, family: Family) -> f64 {
        self.families.get(family.name()).copied().unwrap_or_else(|| family.share())
    }
}
