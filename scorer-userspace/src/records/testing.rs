//! Calls for tests, and questions about what was recorded of them.

use std::path::Path;

use scorer_common::{
    Verdict,
    verdict::{Action, Level},
};

use super::{
    Mode, Recorder, RecordsConfig, Totals,
    query::{Format, Limits, Output, QueryError, Store},
};
use crate::{
    capture::{PacketMeta, Transport},
    engine::{Assessment, Listed, Reason},
    features::{COUNT, Traits},
    history::{Change, Progress},
    lists::{List, ListSet},
    policy::{Decision, Response, Would},
    time::Timestamp,
    verdict::Effect,
};

/// 2025-10-09T08:00:00Z: an hour begins.
pub(super) const START: u64 = 1_759_996_800_000_000_000;
pub(super) const SECOND: u64 = 1_000_000_000;
pub(super) const HOUR: u64 = 3_600 * SECOND;

/// What differs between the calls of a test.
#[derive(Clone, Debug)]
#[expect(clippy::struct_field_names, reason = "a Call-ID is called so")]
pub(super) struct Call {
    pub(super) ts: u64,
    pub(super) key: u64,
    pub(super) call_id: Vec<u8>,
    pub(super) caller: Vec<u8>,
    pub(super) network: Option<&'static str>,
    pub(super) callee: Vec<u8>,
    pub(super) score: u8,
}

impl Call {
    /// The `i`th call, `i` seconds after [`START`].
    pub(super) fn new(i: u64) -> Self {
        Self {
            ts: START + i * SECOND,
            key: i + 1,
            call_id: format!("call-{i}@192.0.2.1").into_bytes(),
            caller: format!("+44163296{:04}", i % 1_000).into_bytes(),
            network: None,
            callee: b"+442079460123".to_vec(),
            score: (i % 100) as u8,
        }
    }

    /// Gives the assessment of the call.
    pub(super) fn assessed<R>(&self, take: impl FnOnce(&Assessment<'_>) -> R) -> R {
        let verdict = Verdict {
            version: 1,
            score: self.score,
            level: Level::High as u8,
            action: Action::Reject as u8,
            tags: 0b101,
            call: self.key,
            timestamp: self.ts,
            fingerprint: 0xabc,
            model: 2,
            reasons: [0; 5],
            reserved: [0; 6],
            probability: f32::from(self.score) / 100.0,
            latency: 0,
        };
        let meta = PacketMeta::between(
            ([192, 0, 2, 1], 5060).into(),
            "[2001:db8::1]:5061".parse().unwrap(),
            Transport::Tcp,
            Timestamp(self.ts),
        );
        let mut features = [0.0; COUNT];
        for (i, value) in features.iter_mut().enumerate() {
            *value = if i % 7 == 3 { f32::NAN } else { (i as u64 + self.key) as f32 };
        }
        take(&Assessment {
            verdict,
            call_id: &self.call_id,
            from_tag: b"t",
            caller: &self.caller,
            callee: &self.callee,
            from_user: &self.caller,
            to_user: &self.callee,
            network_number: self.network.map(str::as_bytes),
            meta,
            signature: Traits { order: 0xabc, ..Traits::default() }.text(&meta),
            trunk: Some("carrier-a"),
            features: &features,
            reasons: &[Reason { feature: 3, value: 1.0, contribution: 1.25 }],
            model: "m-1",
            lists: [List::AllowNumber, List::AllowSource].into_iter().collect::<ListSet>(),
            listed: Some(Listed {
                list: List::AllowNumber,
                effect: Effect::Capped,
                feature: 3,
                reason: "ours",
                model_score: 77,
            }),
            decision: Decision {
                action: Action::Reject,
                response: Response::Unwanted,
                rule: Some("refuse"),
                dry_run: Some(Would {
                    action: Action::Drop,
                    response: Response::Rejected,
                    target: None,
                    rule: Some("tarpit"),
                }),
                ..Decision::PASS
            },
            profile: 3,
            countries: [44, 0],
            message: b"INVITE sip:+442079460123@edge.example.net SIP/2.0\r\n\r\n",
            evidence: crate::profiles::Evidence::default(),
            belongs: crate::profiles::Belongs::NOBODY,
            shared: None,
            marks: crate::share::pseudonym::Marks::default(),
            update: false,
        })
    }
}

/// How a call went on, `seconds` after [`START`].
pub(super) fn change(call: u64, seconds: u64, progress: Progress) -> Change {
    let over = matches!(progress, Progress::Completed | Progress::Short);
    Change {
        call,
        at: Timestamp(START + seconds * SECOND),
        progress,
        code: 200,
        setup: 2.5,
        duration: if over { 30.0 } else { f32::NAN },
    }
}

pub(super) fn config(folder: &Path) -> RecordsConfig {
    RecordsConfig {
        folder: Some(folder.to_owned()),
        keep: None,
        home: Some(44),
        ..RecordsConfig::default()
    }
}

/// Records calls, all in Parquet files at the end.
pub(super) fn record(folder: &Path, calls: &[Call], changes: &[Change]) -> Totals {
    let mut recorder = Recorder::start(&config(folder), Mode::Replay).unwrap().unwrap();
    for call in calls {
        call.assessed(|assessment| recorder.call(assessment, None));
    }
    for change in changes {
        recorder.change(*change);
    }
    recorder.finish()
}

/// An answer in text.
pub(super) fn ask(
    store: &Store,
    sql: &str,
    format: Format,
    limits: &Limits,
) -> Result<String, QueryError> {
    let mut out = Output::new(format, false, Vec::new());
    store.query(sql, limits, &mut out)?;
    Ok(String::from_utf8(out.finish()?).unwrap())
}

/// Rows of an answer as CSV, without the heading.
pub(super) fn rows(folder: &Path, sql: &str) -> Vec<String> {
    let store = Store::open(folder, None).unwrap();
    let text = ask(&store, sql, Format::Csv, &Limits::default()).unwrap();
    text.lines().skip(1).map(str::to_owned).collect()
}
