//! Lists that name the caller, its signalling or its source.

use super::{Call, Vector, flag, id};
use crate::lists::List;

pub(super) fn fill(call: &Call<'_>, out: &mut Vector) {
    let hits = &call.hits;
    let mut set = |index: u16, value: f32| out[usize::from(index)] = value;
    let on = |list| flag(hits.lists.contains(list));
    set(id::ALLOW_NUMBER, on(List::AllowNumber).max(on(List::AllowRange)));
    set(id::ALLOW_SOURCE, on(List::AllowSource).max(on(List::AllowTrunk)));
    set(id::DENY_NUMBER, on(List::DenyNumber));
    set(id::DENY_RANGE, on(List::DenyRange));
    set(id::DENY_FINGERPRINT, on(List::DenyFingerprint));
    set(id::DENY_PROFILE, on(List::DenyProfile));
    set(id::DENY_SOURCE, on(List::DenySource).max(on(List::DenyTrunk)));
    set(id::CONSORTIUM_MATCHES, f32::from(hits.consortium));
    set(id::CONSORTIUM_AGE, hits.consortium_age);
    set(id::SCANNER_LIST, on(List::Scanner));
}
