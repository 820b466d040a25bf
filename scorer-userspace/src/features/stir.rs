//! What is signed, by whom, and whether it fits (STIR/SHAKEN).

use super::{Call, Vector, flag, id, maybe};
use crate::number::NumberKind;

pub(super) fn fill(call: &Call<'_>, out: &mut Vector) {
    let facts = &call.stir;
    let mut set = |index: u16, value: f32| out[usize::from(index)] = value;
    set(id::IDENTITY_COUNT, f32::from(facts.count));
    for (index, is) in [
        (id::STIR_PARSE_ERROR, facts.unreadable),
        (id::STIR_SHAKEN, facts.shaken),
        (id::STIR_DIV, facts.div),
        (id::STIR_RCD, facts.rcd),
        (id::STIR_ATTESTATION_A, facts.attest == Some(b'A')),
        (id::STIR_ATTESTATION_B, facts.attest == Some(b'B')),
        (id::STIR_ATTESTATION_C, facts.attest == Some(b'C')),
        (id::STIR_CERTIFICATE_FETCH_PENDING, facts.pending),
    ] {
        set(index, flag(is));
    }
    set(id::STIR_ORIG_MATCHES, maybe(facts.orig_matches));
    set(id::STIR_DEST_MATCHES, maybe(facts.dest_matches));
    set(id::STIR_IAT_AGE_SECONDS, facts.age.map_or(f32::NAN, |age| age as f32));
    set(id::STIR_SIGNATURE_VALID, maybe(facts.valid));
    set(id::STIR_CHAIN_TRUSTED, maybe(facts.trusted));
    set(id::STIR_CERTIFICATE_EXPIRED, maybe(facts.expired));
    set(id::STIR_X5U_HOST_KNOWN, maybe(facts.host_known));
    set(id::STIR_DIV_CHAIN_OK, maybe(facts.div_chain));
    let about = &call.caller_about;
    // Numbers that only receive calls cannot be somebody's to vouch for in full.
    let cannot_call = matches!(about.planned.kind, NumberKind::Premium | NumberKind::SharedCost)
        || about.planned.valid == Some(false)
        || about.marks.allocated() == Some(false)
        || about.marks.do_not_originate();
    let fits = facts.attest.map(|attest| attest != b'A' || !cannot_call);
    set(id::STIR_ATTESTATION_FITS_NUMBER, maybe(fits));
    let countries = (about.country, call.callee_about.country);
    let abroad = countries.0 != 0 && countries.1 != 0 && countries.0 != countries.1;
    let foreign = facts.orig_matches.map(|_| facts.covers == Some(false) || abroad);
    set(id::STIR_SIGNED_FOREIGN_NUMBER, maybe(foreign));
}
