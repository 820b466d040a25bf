//! The gate: allow, deny and rate rules decided before the ring.
//!
//! Source rules and the token bucket come first, since they need no look at the
//! message; fingerprint and number come after the scan. An allow rule shields
//! the call from everything after it.

use aya_ebpf::{helpers::bpf_ktime_get_ns, maps::lpm_trie::Key};
use scorer_common::{
    Counter,
    gate::{
        ALLOW, Bucket, DROP, LIMIT_DROPS, MARK, Rule, Settings, USE_BUCKETS, USE_FINGERPRINT,
        USE_NUMBER, USE_SOURCE,
    },
    record::{GATE_ALLOWED, GATE_DENIED, GATE_LIMITED},
};

use crate::{
    counters::Counters,
    identity::{find, scorer_number_of},
    job::Job,
    maps::{
        GATE_BUCKETS, GATE_FINGERPRINT, GATE_NUMBER, GATE_SOURCE4, GATE_SOURCE6, InviteScratch,
        SETTINGS,
    },
};

/// What the gate says: bits for the record, or that the packet is dropped.
#[derive(Clone, Copy)]
pub enum Outcome {
    Pass(u8),
    Drop,
}

#[inline(always)]
fn settings() -> Option<&'static Settings> {
    SETTINGS.get(0)
}

/// Applies a rule found in a table; `None` when it says nothing.
#[inline(always)]
fn apply(counters: Counters, rule: Option<&Rule>, now: u64) -> Option<Outcome> {
    match rule?.action_at(now) {
        ALLOW => {
            counters.add(Counter::GateAllowed);
            Some(Outcome::Pass(GATE_ALLOWED))
        }
        MARK => {
            counters.add(Counter::GateDenied);
            Some(Outcome::Pass(GATE_DENIED))
        }
        DROP => {
            counters.add(Counter::GateDenied);
            counters.add(Counter::GateDropped);
            Some(Outcome::Drop)
        }
        _ => None,
    }
}

/// Source rules and the source's bucket.
#[inline(always)]
pub fn by_source(counters: Counters, job: Job) -> Outcome {
    let Some(settings) = settings() else { return Outcome::Pass(0) };
    if settings.gate & (USE_SOURCE | USE_BUCKETS) == 0 {
        return Outcome::Pass(0);
    }
    // SAFETY: the helper takes nothing.
    let now = unsafe { bpf_ktime_get_ns() };
    let source = &job.source();
    let mut bits = 0;
    if settings.gate & USE_SOURCE != 0 {
        let rule = if job.family() == 4 {
            let [a, b, c, d, ..] = *source;
            GATE_SOURCE4.get(Key::new(32, [a, b, c, d]))
        } else {
            GATE_SOURCE6.get(Key::new(128, *source))
        };
        match apply(counters, rule, now) {
            Some(Outcome::Pass(GATE_DENIED)) => bits = GATE_DENIED,
            Some(outcome) => return outcome,
            None => {}
        }
    }
    if settings.gate & USE_BUCKETS != 0 && !take(source, settings, now) {
        counters.add(Counter::GateLimited);
        if settings.gate & LIMIT_DROPS != 0 {
            counters.add(Counter::GateDropped);
            return Outcome::Drop;
        }
        bits |= GATE_LIMITED;
    }
    Outcome::Pass(bits)
}

#[inline(always)]
fn take(source: &[u8; 16], settings: &Settings, now: u64) -> bool {
    if let Some(bucket) = GATE_BUCKETS.get_ptr_mut(source) {
        // SAFETY: a live map value; other CPUs may write it too, see Bucket::take.
        return unsafe { (*bucket).take(now, settings) };
    }
    let full = Bucket { tokens: settings.bucket_burst.saturating_sub(1), credited: now };
    let _ = GATE_BUCKETS.insert(source, full, 0);
    true
}

/// The source's outcome, which `job` holds, and that of the message in the scratch.
#[inline(always)]
pub fn all(counters: Counters, scratch: *const InviteScratch, job: Job) -> Outcome {
    let bits = job.gate() as u8;
    if bits & GATE_ALLOWED != 0 {
        return Outcome::Pass(bits);
    }
    match by_message(counters, scratch, job) {
        Outcome::Pass(more) => Outcome::Pass(bits | more),
        Outcome::Drop => Outcome::Drop,
    }
}

/// Fingerprint and number rules, once the message has been scanned.
#[inline(always)]
fn by_message(counters: Counters, scratch: *const InviteScratch, job: Job) -> Outcome {
    let Some(settings) = settings() else { return Outcome::Pass(0) };
    if settings.gate & (USE_FINGERPRINT | USE_NUMBER) == 0 {
        return Outcome::Pass(0);
    }
    // SAFETY: the helper takes nothing; the scratch is this CPU's live map value.
    let (now, scan) = unsafe { (bpf_ktime_get_ns(), &(*scratch).head.scan) };
    if settings.gate & USE_FINGERPRINT != 0 {
        // SAFETY: the value is copied before anything else can touch the table.
        let rule = unsafe { GATE_FINGERPRINT.get(scan.fingerprint) };
        if let Some(outcome) = apply(counters, rule, now) {
            return outcome;
        }
    }
    if settings.gate & USE_NUMBER != 0 {
        find(scratch, job);
        for identity in 0..2 {
            let hash = scorer_number_of(identity);
            // SAFETY: as above.
            let rule = unsafe { GATE_NUMBER.get(hash) };
            if let Some(outcome) = apply(counters, rule, now) {
                return outcome;
            }
        }
    }
    Outcome::Pass(0)
}
