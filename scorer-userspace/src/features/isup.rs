//! What an ISUP message in the body says (SIP-I, SIP-T).

use super::{Call, Vector, flag, id, maybe};
use crate::isup::{Iam, IsupNumber};

pub(super) fn fill(call: &Call<'_>, out: &mut Vector) {
    let mut set = |index: u16, value: f32| out[usize::from(index)] = value;
    let Some(body) = call.message.isup() else {
        set(id::ISUP_PRESENT, 0.0);
        return;
    };
    set(id::ISUP_PRESENT, 1.0);
    let parsed = Iam::parse(body);
    set(id::ISUP_PARSE_OK, flag(parsed.as_ref().is_ok_and(|iam| !iam.damaged)));
    let Ok(iam) = parsed else { return };
    set(id::ISUP_CALLING_PARTY_CATEGORY, f32::from(iam.category));
    set(id::ISUP_SATELLITE, f32::from(iam.satellites));
    set(id::ISUP_REDIRECTING_PRESENT, flag(iam.redirecting));
    set(id::ISUP_HOP_COUNTER, iam.hops.map_or(f32::NAN, f32::from));
    if let Some(calling) = iam.calling {
        set(id::ISUP_NATURE_OF_ADDRESS, f32::from(calling.nature));
        set(id::ISUP_NUMBERING_PLAN, f32::from(calling.plan));
        set(id::ISUP_PRESENTATION_RESTRICTED, flag(calling.presentation != 0));
        set(id::ISUP_SCREENING_INDICATOR, f32::from(calling.screening));
    }
    let parts = &call.parts;
    let same = |number: Option<IsupNumber>, sip: Option<&[u8]>| {
        maybe(number.zip(sip).map(|(number, sip)| number.is(sip)))
    };
    let shown = parts.shown.as_ref().map(crate::number::Number::as_bytes);
    let network = parts.network.as_ref().map(crate::number::Number::as_bytes);
    let called = parts.callee.as_ref().map(crate::number::Number::as_bytes);
    set(id::ISUP_CALLING_MATCHES_FROM, same(iam.calling, shown));
    let asserted = network.filter(|_| parts.asserted > 0);
    set(id::ISUP_CALLING_MATCHES_PAI, same(iam.calling, asserted));
    set(id::ISUP_CALLED_MATCHES_REQUEST_URI, same(iam.called, called));
    let differs = iam.generic.zip(iam.calling).map(|(a, b)| a.digits != b.digits);
    set(id::ISUP_GENERIC_NUMBER_DIFFERS, maybe(differs));
}
