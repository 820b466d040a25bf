//! One JSON object a verdict.

use std::{
    io::Write as _,
    net::{IpAddr, SocketAddr},
};

use scorer_common::verdict::{Action, Level, Tags};

use super::{Style, shown};
use crate::{
    engine::{Assessment, Reason},
    features::{REGISTRY, hex_digits, id, write_reason},
    share::Shared,
    time::Timestamp,
};

/// Adds one line to `out`. `latency` is ns from the kernel's stamp to the
/// verdict, and stands in live lines only.
pub fn json_line(a: &Assessment<'_>, style: Style, latency: Option<u64>, out: &mut Vec<u8>) {
    let mask = style.mask;
    let verdict = &a.verdict;
    out.extend_from_slice(b"{\"ts\":\"");
    out.extend_from_slice(&Timestamp(verdict.timestamp).rfc3339());
    out.extend_from_slice(b"\",\"call_id\":");
    string(a.call_id, out);
    for (key, user) in [
        (&b",\"caller\":"[..], a.caller),
        (b",\"callee\":", a.callee),
        (b",\"from_user\":", a.from_user),
        (b",\"to_user\":", a.to_user),
    ] {
        out.extend_from_slice(key);
        string(&shown(user, mask), out);
    }
    out.extend_from_slice(b",\"network_number\":");
    match a.network_number {
        Some(user) => string(&shown(user, mask), out),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"source\":\"");
    address(a.meta.source, out);
    out.extend_from_slice(b"\",\"destination\":\"");
    address(a.meta.destination, out);
    out.extend_from_slice(b"\",\"transport\":\"");
    out.extend_from_slice(a.meta.transport.name().as_bytes());
    out.extend_from_slice(b"\",\"fingerprint\":\"");
    hex(verdict.fingerprint, out);
    out.extend_from_slice(b"\",\"signature\":\"");
    a.signature.write(out);
    out.extend_from_slice(b"\",\"profile\":\"");
    hex(a.profile, out);
    out.extend_from_slice(b"\",\"profile_calls\":");
    integer(u64::from(a.belongs.calls), out);
    out.extend_from_slice(b",\"trunk\":");
    nullable(a.trunk, out);
    out.extend_from_slice(b",\"score\":");
    integer(u64::from(verdict.score), out);
    out.extend_from_slice(b",\"level\":\"");
    out.extend_from_slice(level(verdict.level).as_bytes());
    out.extend_from_slice(b"\",\"action\":\"");
    out.extend_from_slice(action(verdict.action).as_bytes());
    out.extend_from_slice(b"\",\"rule\":");
    nullable(a.decision.rule, out);
    if let Some(would) = &a.decision.would {
        out.extend_from_slice(b",\"would\":\"");
        out.extend_from_slice(would.action.name().as_bytes());
        out.push(b'"');
    }
    if let Some(would) = &a.decision.dry_run {
        out.extend_from_slice(b",\"dry_run\":{\"rule\":");
        nullable(would.rule, out);
        out.extend_from_slice(b",\"action\":\"");
        out.extend_from_slice(would.action.name().as_bytes());
        out.extend_from_slice(b"\"}");
    }
    if let Some(listed) = &a.listed {
        out.extend_from_slice(b",\"listed\":{\"list\":\"");
        out.extend_from_slice(listed.list.name().as_bytes());
        out.extend_from_slice(b"\",\"effect\":\"");
        out.extend_from_slice(listed.effect.name().as_bytes());
        out.extend_from_slice(b"\",\"model_score\":");
        integer(u64::from(listed.model_score), out);
        out.extend_from_slice(b",\"reason\":");
        string(listed.reason.as_bytes(), out);
        out.push(b'}');
    }
    if let Some(shared) = &a.shared {
        consortium(shared, out);
    }
    if a.update {
        out.extend_from_slice(b",\"update\":true");
    }
    out.extend_from_slice(b",\"tags\":[");
    for (i, tag) in Tags(verdict.tags).iter().enumerate() {
        out.extend_from_slice(if i == 0 { b"\"" } else { b",\"" });
        out.extend_from_slice(tag.name().as_bytes());
        out.push(b'"');
    }
    out.extend_from_slice(b"],\"reasons\":[");
    for (i, reason) in a.reasons.iter().enumerate() {
        let feature = &REGISTRY[usize::from(reason.feature)];
        out.extend_from_slice(&b",{\"feature\":\""[usize::from(i == 0)..]);
        out.extend_from_slice(feature.name.as_bytes());
        out.extend_from_slice(b"\",\"text\":\"");
        // Nothing to escape, a test sees to that.
        write_reason(reason.feature, reason.value, out);
        if let Some(words) = entry_words(a, reason) {
            out.extend_from_slice(b": ");
            escaped(words.as_bytes(), out);
        }
        if reason.feature == id::CONSORTIUM_MATCHES
            && let Some(shared) = &a.shared
        {
            // Names of members need no escapes.
            shared_words(shared, out);
        }
        out.extend_from_slice(b"\",\"contribution\":");
        thousandths(reason.contribution, out);
        out.push(b'}');
    }
    out.extend_from_slice(b"],\"model\":");
    string(a.model.as_bytes(), out);
    if style.features {
        features(a, out);
    }
    if let Some(latency) = latency {
        out.extend_from_slice(b",\"latency_ns\":");
        integer(latency, out);
    }
    out.extend_from_slice(b"}\n");
}

/// What other organisations say.
fn consortium(shared: &Shared<'_>, out: &mut Vec<u8>) {
    let hit = &shared.hit;
    out.extend_from_slice(b",\"consortium\":{\"strong\":");
    out.extend_from_slice(if hit.strong { b"true" } else { b"false" });
    out.extend_from_slice(b",\"members\":");
    integer(u64::from(hit.members), out);
    out.extend_from_slice(b",\"confirmed\":");
    integer(u64::from(hit.confirmed), out);
    out.extend_from_slice(b",\"weight\":");
    thousandths(f32::from(hit.weight) / 100.0, out);
    out.extend_from_slice(b",\"by\":\"");
    out.extend_from_slice(hit.by.name().as_bytes());
    out.extend_from_slice(b"\",\"reports\":[");
    for (i, (who, report)) in shared.reports().enumerate() {
        out.extend_from_slice(&b",{\"who\":\""[usize::from(i == 0)..]);
        out.extend_from_slice(who.as_bytes());
        for (key, value) in [
            (&b"\",\"kind\":\""[..], report.kind.name()),
            (b"\",\"category\":\"", report.category.name()),
        ] {
            out.extend_from_slice(key);
            out.extend_from_slice(value.as_bytes());
        }
        out.extend_from_slice(b"\",\"confidence\":");
        integer(u64::from(report.confidence), out);
        out.extend_from_slice(b",\"evidence\":");
        integer(u64::from(report.evidence), out);
        for (key, at) in [(&b",\"at\":\""[..], report.at), (b"\",\"until\":\"", report.until)] {
            out.extend_from_slice(key);
            out.extend_from_slice(&Timestamp(u64::from(at) * 1_000_000_000).rfc3339());
        }
        out.extend_from_slice(b"\"}");
    }
    out.extend_from_slice(b"]}");
}

/// Who says it, and how sure they are, in words.
pub(super) fn shared_words(shared: &Shared<'_>, out: &mut Vec<u8>) {
    for (i, (who, report)) in shared.reports().enumerate() {
        out.extend_from_slice(if i == 0 { b": " } else { b", " });
        out.extend_from_slice(who.as_bytes());
        out.push(b' ');
        out.extend_from_slice(report.kind.name().as_bytes());
        out.extend_from_slice(b" (");
        integer(u64::from(report.confidence), out);
        out.extend_from_slice(b" %)");
    }
    if shared.hit.strong {
        out.extend_from_slice(b"; strong");
    }
}

/// What the author of a list's entry says, where this is the reason that it gives.
pub(super) fn entry_words<'a>(a: &Assessment<'a>, reason: &Reason) -> Option<&'a str> {
    let listed = a.listed.filter(|listed| listed.feature == reason.feature)?;
    (reason.value == 1.0 && !listed.reason.is_empty()).then_some(listed.reason)
}

/// A string, or null.
fn nullable(text: Option<&str>, out: &mut Vec<u8>) {
    match text {
        Some(text) => string(text.as_bytes(), out),
        None => out.extend_from_slice(b"null"),
    }
}

/// Every feature by name; a missing value is null.
fn features(a: &Assessment<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"features\":{");
    for (i, (feature, value)) in REGISTRY.iter().zip(a.features).enumerate() {
        if i > 0 {
            out.push(b',');
        }
        // Names need no escapes.
        let _ = write!(out, "\"{}\":", feature.name);
        if value.is_finite() {
            out.extend_from_slice(zmij::Buffer::new().format(*value).as_bytes());
        } else {
            out.extend_from_slice(b"null");
        }
    }
    out.push(b'}');
}

fn level(level: u8) -> &'static str {
    Level::ALL.get(usize::from(level)).map_or("?", |level| level.name())
}

fn action(action: u8) -> &'static str {
    Action::ALL.get(usize::from(action)).map_or("?", |action| action.name())
}

pub(super) fn integer(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Three decimals, saturating at a billion.
pub(super) fn thousandths(value: f32, out: &mut Vec<u8>) {
    let scaled = (f64::from(value) * 1_000.0).round().clamp(-1e12, 1e12);
    let scaled = if scaled.is_nan() { 0.0 } else { scaled };
    if scaled < 0.0 {
        out.push(b'-');
    }
    let scaled = scaled.abs() as u64;
    let (whole, rest) = (scaled / 1_000, scaled % 1_000);
    match whole {
        0..=9 => out.push(b'0' + whole as u8),
        _ => integer(whole, out),
    }
    out.extend_from_slice(&[
        b'.',
        b'0' + (rest / 100) as u8,
        b'0' + (rest / 10 % 10) as u8,
        b'0' + (rest % 10) as u8,
    ]);
}

fn hex(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&hex_digits(value));
}

/// `192.0.2.1:5060`, `[2001:db8::1]:5060`.
pub(super) fn address(address: SocketAddr, out: &mut Vec<u8>) {
    match address.ip() {
        IpAddr::V4(v4) => {
            // Made in one place and copied once.
            let (mut text, mut length) = ([0; 16], 0);
            for octet in v4.octets() {
                for digit in [octet / 100, octet / 10, octet].into_iter().skip(match octet {
                    0..=9 => 2,
                    10..=99 => 1,
                    _ => 0,
                }) {
                    text[length] = b'0' + digit % 10;
                    length += 1;
                }
                text[length] = b'.';
                length += 1;
            }
            out.extend_from_slice(&text[..length - 1]);
        }
        IpAddr::V6(v6) => {
            // IPv6 text has rules of its own (RFC 5952).
            let _ = write!(out, "[{v6}]");
        }
    }
    out.push(b':');
    integer(u64::from(address.port()), out);
}

/// A JSON string (RFC 8259 section 7); what is not UTF-8 becomes U+FFFD.
pub(super) fn string(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    // Nearly all of them are plain ASCII: told without a branch for each byte.
    let is_plain = |b: &u8| matches!(b, b' '..=b'~') && *b != b'"' && *b != b'\\';
    if bytes.iter().fold(true, |all, byte| all & is_plain(byte)) {
        out.extend_from_slice(bytes);
        out.push(b'"');
        return;
    }
    escaped(bytes, out);
    out.push(b'"');
}

/// What stands in one.
fn escaped(bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        let text = chunk.valid().as_bytes();
        let mut plain = 0;
        for (i, byte) in text.iter().enumerate() {
            if *byte >= 0x20 && *byte != b'"' && *byte != b'\\' {
                continue;
            }
            out.extend_from_slice(&text[plain..i]);
            plain = i + 1;
            match byte {
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
                _ => {
                    out.extend_from_slice(b"\\u00");
                    out.push(b'0' + (byte >> 4));
                    out.push(b"0123456789abcdef"[usize::from(byte & 15)]);
                }
            }
        }
        out.extend_from_slice(&text[plain..]);
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}
