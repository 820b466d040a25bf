//! A call's messages and headers, for its page.

use std::net::IpAddr;

use serde::Serialize;
use serde_json::{Value, json};

use super::{item::Outcome, live::Seen, mask};
use crate::{
    sip::{self, HeaderName, Message, Scratch},
    time::Timestamp,
};

/// Headers told of an INVITE at most.
const HEADERS: usize = 200;
/// Longest value told, bytes.
const LONGEST: usize = 2_048;

/// A header as it stands.
#[derive(Debug, Serialize)]
pub(super) struct Header {
    name: String,
    value: String,
    /// What is unusual about it.
    odd: Option<String>,
}

/// The messages of a call, as its outcomes tell: the INVITE, that it rings (of calls in
/// memory: it is not recorded), the final response, and how it ended.
pub(super) fn steps(invite: &str, steps: &[(Timestamp, Outcome)]) -> Vec<Value> {
    let mut ladder = vec![json!({"ts": invite, "from": "caller", "what": "INVITE"})];
    for (ts, outcome) in steps {
        let code = outcome.code.map(|code| code.to_string());
        let (from, what) = match outcome.outcome.as_str() {
            "answered" => ("callee", code.unwrap_or_else(|| "200".into())),
            // Who hung up is not recorded.
            "completed" | "short" => ("either", "BYE".into()),
            "cancelled" if code.is_none() || code.as_deref() == Some("487") => {
                ("caller", "CANCEL".into())
            }
            _ => ("callee", code.unwrap_or_else(|| outcome.outcome.clone())),
        };
        ladder.push(json!({"ts": ts.to_string(), "from": from, "what": what}));
    }
    ladder
}

/// The headers of an INVITE in their order, the odd ones marked.
pub(super) fn headers(seen: &Seen, masked: bool) -> Vec<Header> {
    let mut scratch = Scratch::default();
    let Ok(message) = Message::parse(&seen.message, None, &mut scratch) else { return Vec::new() };
    let source = seen.slot.source.ip();
    message
        .headers()
        .take(HEADERS)
        .map(|header| Header {
            name: text(header.raw_name),
            value: value(&header, masked),
            odd: odd(&message, &header, source),
        })
        .collect()
}

fn text(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(LONGEST)];
    String::from_utf8_lossy(cut).into_owned()
}

/// A value as it may be shown.
fn value(header: &sip::Header<'_>, masked: bool) -> String {
    use HeaderName as Name;
    // Answers to challenges help whoever guesses passwords.
    if matches!(header.name, Name::Authorization | Name::ProxyAuthorization) {
        return NOT_SHOWN.to_owned();
    }
    let whole = text(header.value);
    if !masked {
        return whole;
    }
    // Numbers in base64, in hexadecimal digits, or escaped.
    let hidden = matches!(header.name, Name::Identity | Name::UserToUser | Name::Geolocation)
        || whole.contains('%');
    if hidden { NOT_SHOWN.to_owned() } else { mask::text(&whole).into_owned() }
}

/// What stands in place of a value.
const NOT_SHOWN: &str = "(not shown)";

/// What is unusual about a header, in words.
fn odd(message: &Message<'_>, header: &sip::Header<'_>, source: IpAddr) -> Option<String> {
    use HeaderName as Name;
    let name = header.name;
    let single = matches!(
        name,
        Name::From
            | Name::To
            | Name::CallId
            | Name::CSeq
            | Name::MaxForwards
            | Name::ContentLength
            | Name::ContentType
            | Name::UserAgent
            | Name::Date
    );
    if single && message.count(name) > 1 {
        return Some(format!("{} stands there more than once", name.long()));
    }
    match (name, header.raw_name) {
        (Name::Other, raw) => {
            let own = raw.len() > 2 && matches!(&raw[..2], b"X-" | b"x-" | b"P-" | b"p-");
            return (!own).then(|| "no registered header that is known here".to_owned());
        }
        (_, [_]) => return Some("compact form, which few carriers send".to_owned()),
        (_, raw) if raw != name.long().as_bytes() => {
            return Some(format!("not spelt {}", name.long()));
        }
        _ => {}
    }
    let value = header.value;
    match name {
        Name::MaxForwards => {
            let hops: Option<u32> = std::str::from_utf8(value).ok()?.trim().parse().ok();
            match hops {
                None => Some("no number".to_owned()),
                Some(hops) if hops > 70 => Some("more than the usual 70 (RFC 3261)".to_owned()),
                Some(hops) if hops < 20 => Some("nearly used up: many hops, or a loop".to_owned()),
                Some(_) => None,
            }
        }
        Name::Contact => {
            let host = sip::NameAddr::parse(value)?.uri.host;
            let address = std::str::from_utf8(host).ok()?.trim_matches(['[', ']']);
            let address: IpAddr = address.parse().ok()?;
            (address != source)
                .then(|| format!("another address than {source}, where it came from"))
        }
        Name::CallId => {
            let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
            (digits == value.len()).then(|| "digits alone, as of a script".to_owned())
        }
        Name::UserAgent => SCANNERS
            .iter()
            .find(|scanner| {
                value
                    .windows(scanner.len())
                    .any(|part| part.eq_ignore_ascii_case(scanner.as_bytes()))
            })
            .map(|scanner| format!("{scanner}, a tool that scans and attacks")),
        _ => None,
    }
}

/// Agents that are known to scan.
const SCANNERS: [&str; 7] = [
    "friendly-scanner",
    "sipvicious",
    "sipcli",
    "sip-scan",
    "sundayddr",
    "VaxSIPUserAgent",
    "pplsip",
];
