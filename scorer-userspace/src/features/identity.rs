//! Who the caller is said to be.

use super::{
    Call, Vector,
    context::{address, is_private_host},
    flag, id, maybe,
};
use crate::{number::Number, sip::HeaderName};

pub(super) fn fill(call: &Call<'_>, out: &mut Vector) {
    let (message, parts) = (call.message, &call.parts);
    let mut set = |index: u16, value: f32| out[usize::from(index)] = value;
    set(id::FROM_ANONYMOUS, flag(parts.anonymous));
    if let Some(from) = parts.from {
        let host = from.uri.host;
        set(id::FROM_HOST_ANONYMOUS_INVALID, flag(host.eq_ignore_ascii_case(b"anonymous.invalid")));
        set(id::FROM_HOST_IS_IP, flag(address(host).is_some()));
        set(id::FROM_HOST_PRIVATE_IP, flag(is_private_host(host)));
        let display = from.display.filter(|display| !display.is_empty());
        // Five digits at least: "4 Star Taxis" is a name.
        let shown = display
            .and_then(|display| Number::parse(display.trim_ascii(), None))
            .filter(|number| number.as_bytes().len() >= 5);
        set(id::FROM_DISPLAY_PRESENT, flag(display.is_some()));
        set(id::FROM_DISPLAY_IS_NUMBER, flag(shown.is_some()));
        let differs = shown.zip(parts.shown).is_some_and(|(a, b)| !same_number(&a, &b));
        set(id::FROM_DISPLAY_DIFFERS_FROM_USER, flag(differs));
    }
    set(id::FROM_USER_IS_E164, flag(parts.shown.is_some_and(|number| number.is_e164())));
    set(id::PAI_COUNT, parts.asserted as f32);
    let same = parts.shown.zip(parts.network).map(|(a, b)| same_number(&a, &b));
    set(id::PAI_MATCHES_FROM, maybe(same.filter(|_| parts.asserted > 0)));
    set(id::PRIVACY_ID, flag(parts.privacy));
    set(id::NUMBER_WITHHELD, flag(parts.withheld()));
    set(id::NETWORK_NUMBER_KNOWN, flag(parts.network.is_some()));
    set(id::PRESENTATION_DIFFERS_FROM_NETWORK, maybe(same.map(|same| !same)));
    let pair = |a: Option<&[u8]>, b: Option<&[u8]>| a.zip(b).map(|(a, b)| a == b);
    let to = parts.to.and_then(|to| to.uri.user);
    let from = parts.from.and_then(|from| from.uri.user);
    set(id::TO_MATCHES_REQUEST_URI, maybe(pair(to, parts.request_uri.and_then(|uri| uri.user))));
    let contact = parts.contact.and_then(|contact| contact.uri.user);
    set(id::CONTACT_USER_MATCHES_FROM, maybe(pair(contact, from)));
    let values = |name| if message.has(name) { message.values(name).count() } else { 0 };
    set(id::DIVERSION_COUNT, values(HeaderName::Diversion) as f32);
    set(id::HISTORY_INFO_DEPTH, values(HeaderName::HistoryInfo) as f32);
    set(id::IDENTITY_COUNT, message.count(HeaderName::Identity) as f32);
}

/// Whether two numbers are one: equal digits, or a national form of the same
/// subscriber (the last nine digits, where both have that many).
pub(super) fn same_number(a: &Number, b: &Number) -> bool {
    let (a_digits, b_digits) = (a.as_bytes(), b.as_bytes());
    if a_digits == b_digits {
        return true;
    }
    if a.international == b.international {
        return false;
    }
    let strip = |digits: &'_ [u8]| digits.len().checked_sub(9);
    match (strip(a_digits), strip(b_digits)) {
        (Some(i), Some(j)) => a_digits[i..] == b_digits[j..],
        _ => false,
    }
}
