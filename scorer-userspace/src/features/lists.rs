//! Lists that name the caller, its signalling or its source.

use super::{Call, Vector, flag, id};

pub(super) fn fill(call: &Call<'_>, out: &mut Vector) {
    let hits = &call.hits;
    let mut set = |index: u16, value: f32| out[usize::from(index)] = value;
    set(id::ALLOW_NUMBER, flag(hits.allow_number));
    set(id::ALLOW_SOURCE, flag(hits.allow_source));
    set(id::DENY_NUMBER, flag(hits.deny_number));
    set(id::DENY_RANGE, flag(hits.deny_range));
    set(id::DENY_FINGERPRINT, flag(hits.deny_fingerprint));
    set(id::DENY_PROFILE, flag(hits.deny_profile));
    set(id::DENY_SOURCE, flag(hits.deny_source));
    set(id::CONSORTIUM_MATCHES, f32::from(hits.consortium));
    set(id::CONSORTIUM_AGE, hits.consortium_age);
    set(id::SCANNER_LIST, flag(hits.scanner));
}
