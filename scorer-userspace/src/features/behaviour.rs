//! What the history knew before this call.

use super::{Vector, flag, id, maybe};
use crate::{
    history::{Known, Recall},
    maths::ln_1p,
};

pub(super) fn fill(recall: &Recall, out: &mut Vector) {
    counts(recall, out);
    let mut set = |index: u16, value: f32| out[usize::from(index)] = value;
    let Recall { caller, network, callee, source, fingerprint, pair, .. } = recall;
    set(id::LOG_WITHHELD_TO_CALLEE_1H, ln_1p(callee.withheld_calls));
    set(id::REPEAT_WITHHELD_TO_SAME_CALLEE, ln_1p(pair.withheld));
    set(id::CALLER_WITHHELD_SHARE, caller.withheld);
    set(id::SOURCE_WITHHELD_SHARE, source.withheld);
    set(id::CALLER_SECONDS_SINCE_LAST, caller.since_last);
    set(id::PAIR_SECONDS_SINCE_LAST, pair.since_last);
    set(id::CALLER_AGE, caller.age);
    set(id::FINGERPRINT_AGE, fingerprint.age);
    set(id::CALLER_NEW, flag(caller.is_new()));
    set(id::CALLEE_NEW_TO_CALLER, flag(pair.since_last.is_nan()));
    for (index, known) in [
        (id::LOG_CALLER_DISTINCT_CALLEES, caller),
        (id::LOG_NETWORK_DISTINCT_CALLEES, network),
        (id::LOG_CALLEE_DISTINCT_CALLERS, callee),
        (id::LOG_SOURCE_DISTINCT_CALLERS, source),
        (id::LOG_FINGERPRINT_DISTINCT_CALLERS, fingerprint),
    ] {
        set(index, ln_1p(known.partners));
    }
    set(id::CALLER_ANSWER_SHARE, caller.answered);
    set(id::CALLER_SHORT_CALL_SHARE, caller.brief);
    set(id::CALLER_CANCEL_SHARE, caller.cancelled);
    set(id::CALLER_FAILURE_SHARE, caller.failed);
    set(id::CALLER_SETUP_SECONDS, caller.setup);
    set(id::CALLEE_ANSWER_SHARE, callee.answered);
    set(id::SOURCE_ANSWER_SHARE, source.answered);
    set(id::SOURCE_SHORT_CALL_SHARE, source.brief);
    set(id::SOURCE_FAILURE_SHARE, source.failed);
    for (in_progress, burst, known) in [
        (id::CALLER_IN_PROGRESS, id::CALLER_BURST, caller),
        (id::CALLEE_IN_PROGRESS, id::CALLEE_BURST, callee),
        (id::SOURCE_IN_PROGRESS, id::SOURCE_BURST, source),
    ] {
        set(in_progress, ln_1p(known.in_progress));
        set(burst, ln_1p(known.burst));
    }
    set(id::CALLER_SEQUENTIAL_DIALLING, caller.run);
    set(id::CALLER_REGULARITY, caller.regularity);
    set(id::SOURCE_REGULARITY, source.regularity);
    set(id::CALLER_NIGHT_SHARE, caller.special);
    set(id::CALLER_HIGH_COST_SHARE, caller.high_cost);
    set(id::WANGIRI_PATTERN, wangiri(caller));
    set(id::TDOS_PATTERN, tdos(callee));
    set(id::IRSF_PATTERN, irsf(caller));
    set(id::ROBOCALL_PATTERN, robocall(caller));
    let new_here = (!source.is_new()).then_some(fingerprint.is_new());
    set(id::FINGERPRINT_NEW_FOR_SOURCE, maybe(new_here));
    set(id::INTER_ARRIVAL, source.since_last);
    set(id::RETRANSMISSIONS, source.special);
    set(id::SOURCE_NEW, flag(source.is_new()));
    set(id::SOURCE_AGE, source.age);
    let origid = &recall.origid;
    if !origid.calls[3].is_nan() {
        set(id::STIR_ORIGID_SEEN, flag(!origid.since_last.is_nan()));
        set(id::STIR_ORIGID_CALLS, ln_1p(origid.calls[3]));
    }
    rarity(recall, out);
}

/// Nine kinds of key, five half-lives.
fn counts(recall: &Recall, out: &mut Vector) {
    let kinds = [
        (id::LOG_CALLER_CALLS_10S, &recall.caller.calls),
        (id::LOG_NETWORK_CALLS_10S, &recall.network.calls),
        (id::LOG_CALLEE_CALLS_10S, &recall.callee.calls),
        (id::LOG_SOURCE_CALLS_10S, &recall.source.calls),
        (id::LOG_TRUNK_CALLS_10S, &recall.trunk.calls),
        (id::LOG_FINGERPRINT_CALLS_10S, &recall.fingerprint.calls),
        (id::LOG_PAIR_CALLS_10S, &recall.pair.calls),
        (id::LOG_RANGE_CALLS_10S, &recall.range.calls),
        (id::LOG_COUNTRY_CALLS_10S, &recall.country.calls),
    ];
    for (first, calls) in kinds {
        let at = usize::from(first);
        // The half-lives stand one behind the other in the registry; a test sees to it.
        if let Some(places) = out.get_mut(at..at + calls.len()) {
            for (place, count) in places.iter_mut().zip(calls) {
                *place = ln_1p(*count);
            }
        }
    }
}

/// How often these headers, this device and this offer are seen here, and together.
fn rarity(recall: &Recall, out: &mut Vector) {
    const DAY: usize = 4;
    let mut set = |index: u16, value: f32| out[usize::from(index)] = value;
    // One more of everybody and of each: a first call is as rare as all calls.
    let rare = |calls: &[f32; 5]| ln_1p(recall.everybody) - ln_1p(calls[DAY]);
    set(id::ORDER_RARITY, rare(&recall.order.calls));
    set(id::USER_AGENT_RARITY, rare(&recall.agent.calls));
    set(id::SDP_CODEC_ORDER_RARITY, rare(&recall.codecs.calls));
    let of_agent = |calls: &[f32; 5]| {
        let all = recall.agent.calls[DAY];
        if all >= 1.0 { (calls[DAY] / all).min(1.0) } else { f32::NAN }
    };
    set(id::ORDER_FITS_USER_AGENT, of_agent(&recall.agent_order.calls));
    set(id::SDP_FITS_USER_AGENT, of_agent(&recall.agent_sdp.calls));
}

fn wangiri(caller: &Known) -> f32 {
    caller.brief * (caller.partners / 20.0).min(1.0)
}

fn robocall(caller: &Known) -> f32 {
    caller.regularity * (caller.partners / 20.0).min(1.0)
}

fn tdos(callee: &Known) -> f32 {
    (callee.calls[1] / 30.0).min(1.0) * (callee.partners / 30.0).min(1.0)
}

fn irsf(caller: &Known) -> f32 {
    caller.high_cost * caller.answered * (caller.calls[3] / 10.0).min(1.0)
}
