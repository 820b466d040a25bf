//! Who the caller is said to be.

use super::{Call, Vector, context::is_private, flag, id, maybe};
use crate::{
    number::Number,
    sip::{HeaderName, Message, NameAddr, Scheme},
};

pub(super) fn fill(call: &Call<'_>, out: &mut Vector) {
    let (message, parts) = (call.message, &call.parts);
    from(call, out);
    asserted(call, out);
    privacy(message, out);
    forwarding(message, out);
    let mut set = |index: u16, value: f32| out[usize::from(index)] = value;
    set(id::NUMBER_WITHHELD, flag(parts.withheld()));
    set(id::NETWORK_NUMBER_KNOWN, flag(parts.network.is_some()));
    let same = parts.shown.zip(parts.network).map(|(a, b)| same_number(&a, &b));
    set(id::PAI_MATCHES_FROM, maybe(same.filter(|_| parts.asserted > 0)));
    set(id::PRESENTATION_DIFFERS_FROM_NETWORK, maybe(same.map(|same| !same)));
    let pair = |a: Option<&[u8]>, b: Option<&[u8]>| a.zip(b).map(|(a, b)| a == b);
    let to = parts.to.and_then(|to| to.uri.user);
    let from = parts.from.and_then(|from| from.uri.user);
    set(id::TO_MATCHES_REQUEST_URI, maybe(pair(to, parts.request_uri.and_then(|uri| uri.user))));
    let contact = parts.contact.and_then(|contact| contact.uri.user);
    set(id::CONTACT_USER_MATCHES_FROM, maybe(pair(contact, from)));
}

fn from(call: &Call<'_>, out: &mut Vector) {
    let parts = &call.parts;
    let mut set = |index: u16, value: f32| out[usize::from(index)] = value;
    set(id::FROM_ANONYMOUS, flag(parts.anonymous));
    set(id::FROM_USER_IS_E164, flag(parts.shown.is_some_and(|number| number.is_e164())));
    let national = parts.shown.is_some_and(|number| !number.international);
    set(id::FROM_USER_IS_NATIONAL, flag(national));
    let Some(from) = parts.from else { return };
    let uri = from.uri;
    set(id::FROM_HOST_ANONYMOUS_INVALID, flag(uri.host.eq_ignore_ascii_case(b"anonymous.invalid")));
    set(id::FROM_HOST_IS_IP, flag(parts.from_address.is_some()));
    set(id::FROM_HOST_PRIVATE_IP, flag(parts.from_address.is_some_and(is_private)));
    set(id::FROM_IS_TEL_URI, flag(uri.scheme == Scheme::Tel));
    let phone = uri.params.get(b"user").is_some_and(|user| user.eq_ignore_ascii_case(b"phone"));
    set(id::FROM_USER_PHONE_PARAM, flag(phone));
    let count = uri.params.iter().take(32).count() + uri.user_params.iter().take(32).count();
    set(id::FROM_PARAMS_COUNT, count as f32);
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

fn asserted(call: &Call<'_>, out: &mut Vector) {
    let (message, parts) = (call.message, &call.parts);
    let mut set = |index: u16, value: f32| out[usize::from(index)] = value;
    set(id::PAI_COUNT, parts.asserted as f32);
    set(id::PAI_HAS_TEL_AND_SIP, flag(parts.asserted_tel && parts.asserted_sip));
    let domains = parts.from.map(|from| from.uri.host).zip(parts.asserted_host);
    let differ = domains.map(|(a, b)| !a.eq_ignore_ascii_case(b));
    set(id::PAI_DOMAIN_DIFFERS_FROM_FROM, maybe(differ));
    // What the network says stands with its own identity; with From otherwise.
    let mut said = [(&b"verstat"[..], None), (b"cpc", None), (b"oli", None), (b"isup-oli", None)];
    for uri in [parts.asserted_uri, parts.from.map(|from| from.uri)].into_iter().flatten() {
        for (name, value) in uri.user_params.iter().chain(uri.params.iter()) {
            for (wanted, found) in &mut said {
                if found.is_none() && name.eq_ignore_ascii_case(wanted) {
                    *found = Some(value);
                }
            }
        }
    }
    let [verified, kind, line, isup_line] = said.map(|(_, value)| value);
    set(id::FROM_VERSTAT, verified.map_or(f32::NAN, verstat));
    set(id::FROM_CPC, kind.map_or(f32::NAN, category));
    set(id::FROM_OLI, line.or(isup_line).and_then(decimal).unwrap_or(f32::NAN));
    set(id::PPI_PRESENT, flag(message.has(HeaderName::PPreferredIdentity)));
    let preferred = message
        .values(HeaderName::PPreferredIdentity)
        .next()
        .and_then(NameAddr::parse)
        .and_then(|preferred| Number::parse(preferred.uri.user?, call.env.home_country));
    let same = preferred.zip(parts.shown).map(|(a, b)| same_number(&a, &b));
    set(id::PPI_MATCHES_FROM, maybe(same));
    let party = message.values(HeaderName::RemotePartyId).next().and_then(NameAddr::parse);
    set(id::RPID_PRESENT, flag(party.is_some()));
    let param = |name: &[u8]| party.and_then(|party| party.params.get(name));
    let screened = param(b"screen").map(|screen| screen.eq_ignore_ascii_case(b"yes"));
    set(id::RPID_SCREEN, maybe(screened));
    let hides = |privacy: &[u8]| !privacy.eq_ignore_ascii_case(b"off");
    set(id::RPID_PRIVACY, flag(param(b"privacy").is_some_and(hides)));
}

fn privacy(message: &Message<'_>, out: &mut Vector) {
    let (mut identity, mut full, mut critical) = (false, false, false);
    for value in message.all(HeaderName::Privacy) {
        for token in value.split(|b| matches!(b, b';' | b',')).take(16) {
            let token = token.trim_ascii();
            let is = |name: &[u8]| token.eq_ignore_ascii_case(name);
            let whole = is(b"header") || is(b"user") || is(b"session");
            full |= whole;
            identity |= is(b"id") || is(b"header") || is(b"user");
            critical |= is(b"critical");
        }
    }
    let mut set = |index: u16, value: f32| out[usize::from(index)] = value;
    set(id::PRIVACY_ID, flag(identity));
    set(id::PRIVACY_HEADER_USER_FULL, flag(full));
    set(id::PRIVACY_CRITICAL, flag(critical));
}

fn forwarding(message: &Message<'_>, out: &mut Vector) {
    let mut set = |index: u16, value: f32| out[usize::from(index)] = value;
    set(id::REFERRED_BY_PRESENT, flag(message.has(HeaderName::ReferredBy)));
    let mut count = 0;
    for value in message.values(HeaderName::Diversion).take(64) {
        if count == 0 {
            let reason = NameAddr::parse(value).and_then(|to| to.params.get(b"reason"));
            set(id::DIVERSION_REASON, reason.map_or(f32::NAN, diversion));
        }
        count += 1;
    }
    set(id::DIVERSION_COUNT, count as f32);
    let (mut depth, mut cause) = (0, f32::NAN);
    for value in message.values(HeaderName::HistoryInfo).take(64) {
        depth += 1;
        let uri = NameAddr::parse(value).map(|entry| entry.uri);
        cause = uri
            .and_then(|uri| uri.params.get(b"cause"))
            .or_else(|| reason_cause(value))
            .and_then(decimal)
            .unwrap_or(cause);
    }
    set(id::HISTORY_INFO_DEPTH, depth as f32);
    set(id::HISTORY_INFO_CAUSE, cause);
}

/// `?Reason=SIP%3Bcause%3D302`, as RFC 7044 section 10.2 writes it.
fn reason_cause(value: &[u8]) -> Option<&[u8]> {
    let at = memchr::memmem::find(value, b"cause%3D")? + 8;
    let rest = &value[at..];
    Some(&rest[..rest.iter().take_while(|b| b.is_ascii_digit()).count()])
}

fn decimal(text: &[u8]) -> Option<f32> {
    let text = text.trim_ascii();
    if text.is_empty() || text.len() > 6 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0u32, |n, b| n * 10 + u32::from(b - b'0')) as f32)
}

fn verstat(value: &[u8]) -> f32 {
    let is = |name: &[u8]| value.get(..name.len()).is_some_and(|v| v.eq_ignore_ascii_case(name));
    if is(b"TN-Validation-Passed") {
        1.0
    } else if is(b"TN-Validation-Failed") {
        2.0
    } else {
        3.0
    }
}

fn category(value: &[u8]) -> f32 {
    const NAMES: [&[u8]; 7] =
        [b"ordinary", b"payphone", b"prison", b"operator", b"test", b"priority", b"data"];
    let found = NAMES.iter().position(|name| value.eq_ignore_ascii_case(name));
    found.map_or(8.0, |at| at as f32 + 1.0)
}

fn diversion(value: &[u8]) -> f32 {
    const NAMES: [&[u8]; 11] = [
        b"unknown",
        b"user-busy",
        b"no-answer",
        b"unavailable",
        b"unconditional",
        b"time-of-day",
        b"do-not-disturb",
        b"deflection",
        b"follow-me",
        b"out-of-service",
        b"away",
    ];
    let found = NAMES.iter().position(|name| value.eq_ignore_ascii_case(name));
    found.map_or(12.0, |at| at as f32 + 1.0)
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
