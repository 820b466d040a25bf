//! What the numbers themselves say.

use super::{Call, Vector, flag, id, maybe};
use crate::number::{About, Number, NumberKind};

pub(super) fn fill(call: &Call<'_>, out: &mut Vector) {
    let parts = &call.parts;
    // The number shown, or the network's where none is.
    let caller = parts.caller();
    if let Some(caller) = &caller {
        digits(caller, out);
        kind(call, out);
        doubts(call, caller, out);
    }
    callee(call, out);
    let mut set = |index: u16, value: f32| out[usize::from(index)] = value;
    let Some((caller, callee)) = caller.zip(parts.callee) else { return };
    set(id::CALLER_EQUALS_CALLEE, flag(caller.as_bytes() == callee.as_bytes()));
    if caller.international && callee.international {
        let pairs = caller.as_bytes().iter().zip(callee.as_bytes());
        let shared = pairs.take_while(|(a, b)| a == b).count();
        set(id::CALLER_DIGITS_SHARED_WITH_CALLEE, shared as f32);
        let area = usize::from(call.caller_about.planned.area);
        let same = (area > 0).then_some(shared >= area);
        set(id::CALLER_SAME_AREA_AS_CALLEE, maybe(same));
    }
    let countries = caller.country().zip(callee.country());
    set(id::INTERNATIONAL_CALL, maybe(countries.map(|(a, b)| a != b)));
}

fn digits(caller: &Number, out: &mut Vector) {
    let digits = caller.as_bytes();
    let mut set = |index: u16, value: f32| out[usize::from(index)] = value;
    set(id::CALLER_LENGTH, digits.len() as f32);
    // Bits a digit over those of ten equal ones.
    set(id::CALLER_DIGIT_ENTROPY, crate::maths::entropy(digits) * 6.0 / std::f32::consts::LOG2_10);
    let (repeated, sequential) = runs(digits);
    set(id::CALLER_REPEATED_DIGITS, f32::from(repeated));
    set(id::CALLER_SEQUENTIAL_DIGITS, f32::from(sequential));
    set(id::CALLER_NATIONAL_FORMAT, flag(!caller.international));
    set(id::CALLER_DOUBLE_PREFIX, flag(double_prefix(caller)));
}

/// What kind of number the caller's is.
fn kind(call: &Call<'_>, out: &mut Vector) {
    let about = &call.caller_about;
    let kind = about.planned.kind;
    let mut set = |index: u16, value: f32| out[usize::from(index)] = value;
    for (index, is) in [
        (id::CALLER_FIXED, matches!(kind, NumberKind::Fixed | NumberKind::FixedOrMobile)),
        (id::CALLER_MOBILE, matches!(kind, NumberKind::Mobile | NumberKind::FixedOrMobile)),
        (id::CALLER_VOIP, kind == NumberKind::Voip),
        (id::CALLER_PREMIUM, about.premium()),
        (id::CALLER_TOLL_FREE, kind == NumberKind::TollFree),
        (
            id::CALLER_SHARED_COST,
            matches!(kind, NumberKind::SharedCost | NumberKind::Universal | NumberKind::Voicemail),
        ),
        (id::CALLER_SATELLITE, kind == NumberKind::Satellite),
        (id::CALLER_PERSONAL, matches!(kind, NumberKind::Personal | NumberKind::Pager)),
        (id::CALLER_TYPE_UNKNOWN, kind == NumberKind::Unknown),
    ] {
        set(index, flag(is));
    }
    set(id::CALLER_E164_VALID, maybe(about.planned.valid));
    if about.country != 0 {
        set(id::CALLER_COUNTRY, f32::from(about.country));
    }
    set(id::CALLER_COUNTRY_RISK, about.marks.risk());
    let hour = about.local_hour(call.meta.timestamp);
    set(id::CALLER_LOCAL_HOUR, hour.map_or(f32::NAN, f32::from));
}

/// What speaks against it.
fn doubts(call: &Call<'_>, caller: &Number, out: &mut Vector) {
    let about = &call.caller_about;
    let mut set = |index: u16, value: f32| out[usize::from(index)] = value;
    set(id::CALLER_RANGE_ALLOCATED, maybe(about.marks.allocated()));
    set(id::CALLER_DO_NOT_ORIGINATE, flag(about.marks.do_not_originate()));
    set(id::CALLER_PROTECTED, flag(about.marks.protected()));
    let region = about.planned.region;
    let known = |region: [u8; 2]| (region != [0, 0]).then_some(region);
    let source = known(call.place.country).zip(known(region)).map(|(a, b)| a != b);
    set(id::CALLER_COUNTRY_DIFFERS_FROM_SOURCE, maybe(source));
    let expected = caller.country().and_then(|country| {
        call.env.trunks.expects(call.place.trunk, country).map(|expected| !expected)
    });
    set(id::CALLER_COUNTRY_UNEXPECTED_FOR_TRUNK, maybe(expected));
    let domain = call.parts.from.and_then(|from| top_level(from.uri.host));
    let domain = domain.zip(known(region)).map(|(a, b)| a != b);
    set(id::CALLER_COUNTRY_DIFFERS_FROM_DOMAIN, maybe(domain));
}

fn callee(call: &Call<'_>, out: &mut Vector) {
    let about: &About = &call.callee_about;
    let mut set = |index: u16, value: f32| out[usize::from(index)] = value;
    if !about.present {
        return;
    }
    let kind = about.planned.kind;
    for (index, is) in [
        (id::CALLEE_HIGH_COST, about.high_cost()),
        (id::CALLEE_FIXED, matches!(kind, NumberKind::Fixed | NumberKind::FixedOrMobile)),
        (id::CALLEE_MOBILE, matches!(kind, NumberKind::Mobile | NumberKind::FixedOrMobile)),
        (id::CALLEE_PREMIUM, about.premium()),
        (id::CALLEE_TOLL_FREE, kind == NumberKind::TollFree),
        (id::CALLEE_TYPE_UNKNOWN, kind == NumberKind::Unknown),
        (id::CALLEE_SHORT_CODE, about.marks.short_code()),
        (id::CALLEE_EMERGENCY, about.marks.emergency()),
    ] {
        set(index, flag(is));
    }
    if about.country != 0 {
        set(id::CALLEE_COUNTRY, f32::from(about.country));
    }
}

/// ISO 3166 code of a country's top-level domain.
fn top_level(host: &[u8]) -> Option<[u8; 2]> {
    let dot = memchr::memrchr(b'.', host)?;
    let code: &[u8; 2] = host[dot + 1..].first_chunk().filter(|_| host.len() - dot == 3)?;
    let upper = code.map(|b| b.to_ascii_uppercase());
    match &upper {
        b"UK" => Some(*b"GB"),
        // Sold to everybody, or of no country.
        b"IO" | b"TV" | b"ME" | b"CO" | b"AI" | b"EU" | b"SU" | b"FM" | b"CC" => None,
        _ => upper.iter().all(u8::is_ascii_uppercase).then_some(upper),
    }
}

/// `4444…`, `44044…` or `00…` behind a plus.
fn double_prefix(number: &Number) -> bool {
    let digits = number.as_bytes();
    if !number.international {
        return false;
    }
    if digits.first() == Some(&b'0') {
        return true;
    }
    let Some(code) = number.country() else { return false };
    let length = if code < 10 {
        1
    } else if code < 100 {
        2
    } else {
        3
    };
    // Of one digit it means nothing: +1 1… cannot be told from a wrong number.
    let Some((code, rest)) = digits.split_at_checked(length).filter(|_| length > 1) else {
        return false;
    };
    let rest = rest.strip_prefix(b"00").or_else(|| rest.strip_prefix(b"0")).unwrap_or(rest);
    // Longer than a number of that country would be: the code is there twice.
    rest.starts_with(code) && digits.len() >= 13
}

/// Longest run of one digit, and of digits that rise or fall by one.
fn runs(digits: &[u8]) -> (u8, u8) {
    let (mut repeated, mut sequential) = (1, 1);
    let (mut same, mut up, mut down) = (1, 1, 1);
    for pair in digits.windows(2) {
        let (a, b) = (pair[0], pair[1]);
        same = if a == b { same + 1 } else { 1 };
        up = if b == a + 1 { up + 1 } else { 1 };
        down = if a == b + 1 { down + 1 } else { 1 };
        repeated = repeated.max(same);
        sequential = sequential.max(up).max(down);
    }
    (repeated, sequential)
}
