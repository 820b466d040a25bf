//! What the history knew before this call.

use super::{Vector, id, maybe};
use crate::history::Recall;

pub(super) fn fill(recall: &Recall, out: &mut Vector) {
    let mut set = |index: u16, value: f32| out[usize::from(index)] = value;
    let log = |count: f32| count.max(0.0).ln_1p();
    set(id::LOG_CALLER_CALLS_1M, log(recall.caller_1m));
    set(id::LOG_CALLER_CALLS_1H, log(recall.caller_1h));
    set(id::LOG_CALLEE_CALLS_1M, log(recall.callee_1m));
    set(id::LOG_CALLEE_CALLS_1H, log(recall.callee_1h));
    set(id::LOG_SOURCE_CALLS_10S, log(recall.source_10s));
    set(id::LOG_SOURCE_CALLS_1M, log(recall.source_1m));
    set(id::LOG_PAIR_CALLS_1H, log(recall.pair_1h));
    set(id::LOG_WITHHELD_TO_CALLEE_1H, log(recall.withheld_to_callee_1h));
    set(id::CALLER_SECONDS_SINCE_LAST, recall.caller_since_last.unwrap_or(f32::NAN));
    set(id::LOG_CALLER_DISTINCT_CALLEES_1H, log(recall.caller_distinct_callees));
    set(id::LOG_CALLEE_DISTINCT_CALLERS_10M, log(recall.callee_distinct_callers));
    let share = |share: Option<f32>| share.unwrap_or(f32::NAN);
    set(id::CALLER_ANSWER_SHARE, share(recall.caller_answered));
    set(id::CALLER_SHORT_CALL_SHARE, share(recall.caller_short));
    set(id::CALLER_FAILURE_SHARE, share(recall.caller_failed));
    set(id::SOURCE_FAILURE_SHARE, share(recall.source_failed));
    set(id::FINGERPRINT_NEW_FOR_SOURCE, maybe(recall.fingerprint_new));
}
