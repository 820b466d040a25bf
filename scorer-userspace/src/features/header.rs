//! How the message is written.

use scorer_common::fingerprint::FOLDED;

use super::{Call, Vector, context::is_private_host, flag, id};
use crate::sip::{HeaderName, Message};

pub(super) fn fill(call: &Call<'_>, out: &mut Vector) {
    let (message, parts) = (call.message, &call.parts);
    let mut set = |index: u16, value: f32| out[usize::from(index)] = value;
    let (mut count, mut compact, mut unknown, mut x, mut p, mut vias) =
        (0u16, 0u16, 0u16, 0u16, 0u16, 0);
    for header in message.headers() {
        count += 1;
        vias += u16::from(header.name == HeaderName::Via);
        match header.raw_name {
            [_] => compact += 1,
            [b'X' | b'x', b'-', ..] => x += 1,
            [b'P' | b'p', b'-', ..] => p += 1,
            _ => unknown += u16::from(header.name == HeaderName::Other),
        }
    }
    set(id::HEADER_COUNT, f32::from(count));
    set(id::COMPACT_FORMS, f32::from(compact));
    set(id::FOLDED_LINES, flag(message.scan().flags & FOLDED != 0));
    set(id::CASE_ODDITIES, f32::from(message.oddities().odd_case));
    set(id::UNKNOWN_HEADERS, f32::from(unknown));
    set(id::X_HEADERS, f32::from(x));
    set(id::P_HEADERS, f32::from(p));
    let mut private = false;
    let mut values = 0u16;
    for via in message.vias() {
        values += 1;
        private |= is_private_host(via.host);
    }
    set(id::VIA_COUNT, f32::from(values.max(vias)));
    set(id::VIA_PRIVATE_IP, flag(private));
    if let Some(branch) = parts.via.and_then(|via| via.branch()) {
        set(id::BRANCH_COOKIE, flag(branch.starts_with(b"z9hG4bK")));
        set(id::BRANCH_LENGTH, branch.len() as f32);
    } else {
        set(id::BRANCH_COOKIE, 0.0);
    }
    if let Some(call_id) = message.call_id() {
        set(id::CALLID_LENGTH, call_id.len() as f32);
        set(id::CALLID_HAS_HOST, flag(call_id.contains(&b'@')));
    }
    let tag = parts.from.and_then(|from| from.tag());
    set(id::TAG_LENGTH, tag.unwrap_or_default().len() as f32);
    if let Some((number, _)) = message.cseq() {
        set(id::CSEQ_START, (number as f32).ln_1p());
    }
    if let Some(hops) = message.header(HeaderName::MaxForwards).and_then(decimal) {
        set(id::MAX_FORWARDS, hops as f32);
    }
    set(id::USER_AGENT_PRESENT, flag(message.has(HeaderName::UserAgent)));
    set(id::USER_AGENT_IS_SCANNER, flag(is_scanner(message, parts.from_user())));
    set(id::ALLOW_PRESENT, flag(message.has(HeaderName::Allow)));
    set(id::SUPPORTED_PRESENT, flag(message.has(HeaderName::Supported)));
    set(id::DATE_PRESENT, flag(message.has(HeaderName::Date)));
    let length = message.content_length().map(|length| length as usize);
    let stated = message.has(HeaderName::ContentLength);
    let wrong = stated && length != Some(message.body_on_wire());
    set(id::CONTENT_LENGTH_ERROR, flag(wrong));
    set(id::SESSION_EXPIRES_PRESENT, flag(message.has(HeaderName::SessionExpires)));
    set(id::RECORD_ROUTES, message.count(HeaderName::RecordRoute) as f32);
    if let Some(contact) = parts.contact {
        set(id::CONTACT_PRIVATE_IP, flag(is_private_host(contact.uri.host)));
    }
}

fn decimal(value: &[u8]) -> Option<u32> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Names that scanning tools put into User-Agent, lower case: SIPVicious
/// (friendly-scanner, sipvicious), sipcli, SIPsak, sundayddr, and others seen on
/// every honeypot. They begin with f, p, s or v.
const SCANNERS: [&[u8]; 9] = [
    b"friendly-scanner",
    b"friendly-request",
    b"sipvicious",
    b"sipcli",
    b"sipsak",
    b"sip-scan",
    b"sundayddr",
    b"vaxsipuseragent",
    b"pplsip",
];

fn is_scanner(message: &Message<'_>, from_user: &[u8]) -> bool {
    let agent = message.header(HeaderName::UserAgent).unwrap_or_default();
    // No agent that matters is longer; a hostile one is not searched at length.
    let agent = &agent[..agent.len().min(256)];
    let starts = |at: usize, name: &[u8]| {
        agent[at..].get(..name.len()).is_some_and(|text| text.eq_ignore_ascii_case(name))
    };
    SCANNERS.iter().any(|name| from_user.eq_ignore_ascii_case(name))
        || agent.iter().enumerate().any(|(at, first)| {
            matches!(first | 0x20, b'f' | b'p' | b's' | b'v')
                && SCANNERS.iter().any(|name| starts(at, name))
        })
}
