//! How the message is written.

use scorer_common::fingerprint::FOLDED;

use super::{
    Call, Traits, Vector,
    agent::{family, product},
    context::{address, is_private, is_private_host},
    date, flag, id,
    pattern::pattern,
    sets,
};
use crate::{
    maths::{entropy, ln_1p},
    sip::{HeaderName, Message, Via},
};

/// Headers that may stand once only (RFC 3261 section 20, table 2, and others).
const ONCE: u128 = {
    use HeaderName as H;
    let names = [
        H::From,
        H::To,
        H::CallId,
        H::CSeq,
        H::MaxForwards,
        H::ContentType,
        H::ContentLength,
        H::UserAgent,
        H::Date,
        H::SessionExpires,
        H::MinSe,
        H::Subject,
        H::MimeVersion,
        H::Organization,
        H::Priority,
        H::PChargingVector,
    ];
    let (mut all, mut i) = (0, 0);
    while i < names.len() {
        all |= 1 << names[i] as u8;
        i += 1;
    }
    all
};

pub(super) fn fill<'a>(call: &Call<'a>, out: &mut Vector, traits: &mut Traits<'a>) {
    lines(call, out);
    path(call, out, traits);
    identifiers(call, out, traits);
    abilities(call, out, traits);
    let message = call.message;
    let mut set = |index: u16, value: f32| out[usize::from(index)] = value;
    for (index, name) in [
        (id::P_ACCESS_NETWORK_INFO, HeaderName::PAccessNetworkInfo),
        (id::P_EARLY_MEDIA, HeaderName::PEarlyMedia),
        (id::REASON_PRESENT, HeaderName::Reason),
        (id::CALL_INFO_PRESENT, HeaderName::CallInfo),
        (id::ALERT_INFO_PRESENT, HeaderName::AlertInfo),
        (id::USER_TO_USER_PRESENT, HeaderName::UserToUser),
        (id::GEOLOCATION_PRESENT, HeaderName::Geolocation),
        (id::RESOURCE_PRIORITY, HeaderName::ResourcePriority),
        (id::REQUIRE_PRESENT, HeaderName::Require),
        (id::SESSION_EXPIRES_PRESENT, HeaderName::SessionExpires),
        (id::DATE_PRESENT, HeaderName::Date),
        (id::USER_AGENT_PRESENT, HeaderName::UserAgent),
        (id::ALLOW_PRESENT, HeaderName::Allow),
        (id::SUPPORTED_PRESENT, HeaderName::Supported),
    ] {
        set(index, flag(message.has(name)));
    }
    if let Some(seconds) = message.header(HeaderName::SessionExpires).and_then(leading) {
        set(id::SESSION_EXPIRES, seconds);
    }
    if let Some(seconds) = message.header(HeaderName::MinSe).and_then(leading) {
        set(id::MIN_SE, seconds);
    }
    if let Some(date) = message.header(HeaderName::Date).and_then(date::seconds) {
        let now = (call.meta.timestamp.0 / 1_000_000_000) as i64;
        set(id::DATE_SKEW_SECONDS, (date - now) as f32);
    }
    if let Some(vector) = message.header(HeaderName::PChargingVector) {
        let icid = parameter(vector, b"icid-value=").unwrap_or_default();
        set(id::P_CHARGING_VECTOR_PATTERN, f32::from(pattern(icid)));
    }
    let stated = message.has(HeaderName::ContentLength);
    let length = message.content_length().map(|length| length as usize);
    let wrong = stated && length != Some(message.body_on_wire());
    set(id::CONTENT_LENGTH_ERROR, flag(wrong));
}

/// What the header lines look like.
fn lines(call: &Call<'_>, out: &mut Vector) {
    let message = call.message;
    let (mut compact, mut unknown, mut x, mut p) = (0u16, 0u16, 0u16, 0u16);
    let mut spaced = 0u16;
    let headers = message.headers();
    let count = headers.len();
    for header in headers {
        match header.raw_name {
            [_] => compact += 1,
            [b'X' | b'x', b'-', ..] => x += 1,
            [b'P' | b'p', b'-', ..] => p += 1,
            _ => unknown += u16::from(header.name == HeaderName::Other),
        }
        // The colon and one blank lie between name and value.
        let name_end = header.raw_name.as_ptr() as usize + header.raw_name.len();
        let gap = (header.value.as_ptr() as usize).wrapping_sub(name_end);
        spaced += u16::from(gap != 2 && !header.value.is_empty());
    }
    // Hardly ever there are any.
    let twice = message.repeated() & ONCE;
    let duplicates = if twice == 0 {
        0
    } else {
        let them = message.headers().filter(|header| twice >> header.name as u8 & 1 == 1);
        them.count() - twice.count_ones() as usize
    };
    let oddities = message.oddities();
    let mut set = |index: u16, value: f32| out[usize::from(index)] = value;
    set(id::HEADER_COUNT, count as f32);
    set(id::COMPACT_FORMS, f32::from(compact));
    set(id::FOLDED_LINES, flag(message.scan().flags & FOLDED != 0));
    set(id::CASE_ODDITIES, f32::from(oddities.odd_case));
    set(id::WHITESPACE_ODDITIES, f32::from(spaced));
    set(id::DUPLICATES, duplicates as f32);
    set(id::JUNK_LINES, f32::from(oddities.junk_lines));
    set(id::UNKNOWN_HEADERS, f32::from(unknown));
    set(id::X_HEADERS, f32::from(x));
    set(id::P_HEADERS, f32::from(p));
}

/// The way the message came.
fn path<'a>(call: &Call<'a>, out: &mut Vector, traits: &mut Traits<'a>) {
    let (message, parts) = (call.message, &call.parts);
    let mut set = |index: u16, value: f32| out[usize::from(index)] = value;
    let (mut private, mut received, mut rport) = (false, false, false);
    let (mut transports, mut vias) = (0u8, 0u16);
    for value in message.values(HeaderName::Via) {
        // The first was read already.
        let (via, host) = if vias == 0 {
            (parts.via, parts.via_address)
        } else {
            let via = Via::parse(value);
            (via, via.and_then(|via| address(via.host)))
        };
        vias += 1;
        let Some(via) = via else { continue };
        traits.last_via = (via.host, host);
        private |= host.is_some_and(is_private);
        transports |= match via.transport {
            [b'U' | b'u', ..] => 1,
            [_, _, _] => 2,
            [b'T' | b't', ..] => 4,
            [b'S' | b's', ..] => 8,
            _ => 16,
        };
        for (name, value) in via.params.iter() {
            if !matches!(name.first(), Some(b'r' | b'R')) {
                continue;
            }
            if name.eq_ignore_ascii_case(b"received") {
                received |= value != via.host;
            }
            rport |= vias == 1 && name.eq_ignore_ascii_case(b"rport");
        }
    }
    set(id::VIA_COUNT, f32::from(vias));
    set(id::VIA_TRANSPORTS, transports.count_ones() as f32);
    set(id::VIA_PRIVATE_IP, flag(private));
    set(id::VIA_RECEIVED_DIFFERS, flag(received));
    set(id::VIA_RPORT, flag(rport));
    if let Some(hops) = message.header(HeaderName::MaxForwards).and_then(leading) {
        set(id::MAX_FORWARDS, hops);
        set(id::MAX_FORWARDS_USED, 70.0 - hops);
    }
    set(id::RECORD_ROUTES, message.count(HeaderName::RecordRoute) as f32);
    if let Some(contact) = parts.contact {
        set(id::CONTACT_PRIVATE_IP, flag(parts.contact_address.is_some_and(is_private)));
        let odd = contact.uri.port.is_some_and(|port| port != 5060 && port != 5061);
        set(id::CONTACT_PORT_ODD, flag(odd));
    }
}

/// Branch, Call-ID, tag, CSeq.
fn identifiers<'a>(call: &Call<'a>, out: &mut Vector, traits: &mut Traits<'a>) {
    let (message, parts) = (call.message, &call.parts);
    let mut set = |index: u16, value: f32| out[usize::from(index)] = value;
    let branch = parts.branch;
    let behind = branch.map(|branch| branch.strip_prefix(b"z9hG4bK").unwrap_or(branch));
    let cookie = branch.is_some_and(|branch| branch.starts_with(b"z9hG4bK"));
    set(id::BRANCH_COOKIE, flag(cookie));
    if let Some((branch, behind)) = branch.zip(behind) {
        set(id::BRANCH_LENGTH, branch.len() as f32);
        set(id::BRANCH_ENTROPY, entropy(behind));
        traits.branch = pattern(behind);
        set(id::BRANCH_PATTERN, f32::from(traits.branch));
    }
    if let Some(call_id) = message.call_id() {
        let at = memchr::memrchr(b'@', call_id);
        let (local, host) =
            at.map_or((call_id, None), |at| (&call_id[..at], Some(&call_id[at + 1..])));
        set(id::CALLID_LENGTH, call_id.len() as f32);
        set(id::CALLID_ENTROPY, entropy(local));
        traits.call_id = pattern(local);
        set(id::CALLID_PATTERN, f32::from(traits.call_id));
        set(id::CALLID_HAS_HOST, flag(host.is_some()));
        if let Some(host) = host {
            set(id::CALLID_HOST_PRIVATE, flag(is_private_host(host)));
        }
    }
    let tag = parts.from_tag;
    set(id::TAG_LENGTH, tag.len() as f32);
    set(id::TAG_ENTROPY, entropy(tag));
    traits.tag = pattern(tag);
    set(id::TAG_PATTERN, f32::from(traits.tag));
    if let Some(number) = parts.cseq {
        set(id::CSEQ_START, ln_1p(number as f32));
    }
}

/// What the device says it is and can do.
fn abilities<'a>(call: &Call<'a>, out: &mut Vector, traits: &mut Traits<'a>) {
    let message = call.message;
    let mut set = |index: u16, value: f32| out[usize::from(index)] = value;
    if let Some(agent) = message.header(HeaderName::UserAgent) {
        traits.family = family(agent);
        traits.agent = Some(product(agent));
        traits.agent_text = agent;
        set(id::USER_AGENT_FAMILY, f32::from(traits.family));
    }
    set(id::USER_AGENT_IS_SCANNER, flag(is_scanner(message, call.parts.from_user())));
    if message.has(HeaderName::Allow) {
        traits.allow = sets::allow(message);
        set(id::ALLOW_SET, f32::from(traits.allow));
    }
    if message.has(HeaderName::Supported) {
        traits.supported = sets::supported(message);
        set(id::SUPPORTED_SET, f32::from(traits.supported));
    }
    if message.has(HeaderName::Accept) {
        set(id::ACCEPT_SET, message.values(HeaderName::Accept).count() as f32);
    }
}

/// A decimal number of at most nine digits that the value begins with.
fn leading(value: &[u8]) -> Option<f32> {
    let digits = value.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 || digits > 9 {
        return None;
    }
    Some(value[..digits].iter().fold(0u32, |n, b| n * 10 + u32::from(b - b'0')) as f32)
}

/// What stands behind `name` up to a semicolon or blank.
fn parameter<'a>(value: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    // Most often it comes first.
    let rest = match value.strip_prefix(name) {
        Some(rest) => rest,
        None => &value[memchr::memmem::find(value, name)? + name.len()..],
    };
    let end = rest.iter().position(|b| matches!(b, b';' | b' ' | b',')).unwrap_or(rest.len());
    Some(rest[..end].trim_ascii())
}

/// Names that scanning tools put into User-Agent, lower case: SIPVicious
/// (friendly-scanner, sipvicious), sipcli, SIPsak, sundayddr, and others seen on
/// every honeypot.
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

/// Whether one of them may begin with two letters, by five bits of each.
static BEGINNINGS: [bool; 1024] = {
    let (mut table, mut i) = ([false; 1024], 0);
    while i < SCANNERS.len() {
        table[letters(SCANNERS[i][0], SCANNERS[i][1])] = true;
        i += 1;
    }
    table
};

const fn letters(first: u8, second: u8) -> usize {
    (first as usize & 31) << 5 | second as usize & 31
}

fn is_scanner(message: &Message<'_>, from_user: &[u8]) -> bool {
    let agent = message.header(HeaderName::UserAgent).unwrap_or_default();
    // No agent that matters is longer; a hostile one is not searched at length.
    let agent = &agent[..agent.len().min(256)];
    let starts = |text: &[u8]| {
        SCANNERS.iter().any(|name| {
            text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
        })
    };
    let begins = |text: &[u8]| text.len() > 1 && BEGINNINGS[letters(text[0], text[1])];
    begins(from_user) && SCANNERS.iter().any(|name| from_user.eq_ignore_ascii_case(name))
        || agent.windows(2).enumerate().any(|(at, pair)| begins(pair) && starts(&agent[at..]))
}
