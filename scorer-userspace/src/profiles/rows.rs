//! Calls to be looked into, wherever they are kept: a capture scored anew today, records
//! on disk tomorrow. Whatever can fill a [`CallRow`] is a source.

use std::net::SocketAddr;

use scorer_common::verdict::Tags;

use super::Evidence;
use crate::{engine::Assessment, history::Change, time::Timestamp};

/// One call, with what records keep of it.
#[derive(Clone, Debug)]
pub struct CallRow {
    /// When the INVITE was seen.
    pub time: Timestamp,
    /// Key of the call attempt, by which its outcome is found.
    pub call: u64,
    /// Call-ID.
    pub call_id: String,
    /// Number or user shown (From); empty for none.
    pub caller: String,
    /// Number the network asserts.
    pub network: Option<String>,
    /// Number or user called.
    pub callee: String,
    /// Country codes of caller and callee; 0 where not known.
    pub countries: [u16; 2],
    /// Address and port that it came from.
    pub source: SocketAddr,
    /// Name of the configured trunk.
    pub trunk: Option<String>,
    /// How it is signalled, see docs/fingerprint.md.
    pub signature: String,
    /// Id of the caller's profile, as it was told then.
    pub profile: u64,
    /// How sure that was, 0–1.
    pub confidence: f32,
    /// 0–100.
    pub score: u8,
    /// Tags.
    pub tags: Tags,
    /// What was to be done.
    pub action: &'static str,
    /// By which rule or case.
    pub rule: Option<String>,
    /// Tokens; where they were not kept, all 0.
    pub evidence: Evidence,
    /// How it went on.
    pub outcome: Option<Outcome>,
}

/// How a call went on.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// As records name it: `answered`, `completed`, `cancelled` …
    pub name: &'static str,
    /// Final response; 0 for none.
    pub code: u16,
    /// Seconds from INVITE to answer; NaN for none.
    pub setup: f32,
    /// Seconds from answer to BYE; NaN for none.
    pub duration: f32,
}

impl From<&Change> for Outcome {
    fn from(change: &Change) -> Self {
        Self {
            name: change.progress.name(),
            code: change.code,
            setup: change.setup,
            duration: change.duration,
        }
    }
}

impl From<&Assessment<'_>> for CallRow {
    fn from(a: &Assessment<'_>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            time: a.meta.timestamp,
            call: a.verdict.call,
            call_id: text(a.call_id),
            caller: text(a.caller),
            network: a.network_number.map(text),
            callee: text(a.callee),
            countries: a.countries,
            source: a.meta.source,
            trunk: a.trunk.map(str::to_owned),
            signature: a.signature.to_string(),
            profile: a.profile,
            confidence: a.belongs.confidence,
            score: a.verdict.score,
            tags: Tags(a.verdict.tags),
            action: a.decision.action.name(),
            rule: a.decision.rule.map(str::to_owned),
            evidence: a.evidence,
            outcome: None,
        }
    }
}
