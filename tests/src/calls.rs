//! Calls by whom they are from, captures of them, and verdicts on them.

use std::path::Path;

use scorer::{
    capture::{Frame, LinkType, pcap},
    time::Timestamp,
};
use serde_json::Value;

use crate::frames::{invite, udp4};

/// An INVITE.
#[derive(Clone, Debug)]
pub struct Invite {
    text: String,
    source: [u8; 4],
    second: u64,
}

impl Invite {
    /// Of a caller who shows one number while the network asserts another, to
    /// +442079460123.
    pub fn of(shown: &str, network: &str) -> Self {
        // One may be the other of the two that stand in the text.
        let text = invite("CALL-ID").replace("+441632960777", "NETWORK");
        let text = text.replace("+441632960001", shown).replace("NETWORK", network);
        Self { text, source: [192, 0, 2, 1], second: 0 }
    }

    /// Of a caller who shows none (RFC 3323 section 4.1).
    pub fn withheld(network: &str) -> Self {
        Self::of("anonymous", network)
            .replacing(
                "\"Alice\" <sip:anonymous@carrier.example.net>",
                "<sip:anonymous@anonymous.invalid>",
            )
            .replacing("Privacy: none", "Privacy: id")
            .replacing("sip:anonymous@192.0.2.1", "sip:192.0.2.1")
    }

    /// The call to another number.
    #[must_use]
    pub fn to(self, callee: &str) -> Self {
        self.replacing("+442079460123", callee)
    }

    /// The call from another address, in captures.
    #[must_use]
    pub fn from(self, source: [u8; 4]) -> Self {
        Self { source, ..self }
    }

    /// The call so many seconds after 2025-10-09T08:53:20Z, in captures.
    #[must_use]
    pub fn at(self, second: u64) -> Self {
        Self { second, ..self }
    }

    /// Another text in it.
    ///
    /// # Panics
    /// When it is not in it.
    #[must_use]
    pub fn replacing(mut self, old: &str, new: &str) -> Self {
        assert!(self.text.contains(old), "{old} is not in\n{}", self.text);
        self.text = self.text.replace(old, new);
        self
    }

    /// The call without a header.
    #[must_use]
    pub fn without(mut self, header: &str) -> Self {
        let of = format!("{header}:");
        let keeps = |line: &&str| !line.starts_with(&of);
        self.text = self.text.split_inclusive("\r\n").filter(keeps).collect();
        self
    }

    /// The call with one header line more, before the body's.
    #[must_use]
    pub fn with(self, line: &str) -> Self {
        self.replacing("Content-Type:", &format!("{line}\r\nContent-Type:"))
    }

    /// Its text with a Call-ID.
    pub fn text(&self, call_id: &str) -> String {
        self.text.replace("CALL-ID", call_id)
    }
}

/// Writes a capture of calls, `call-0`, `call-1` …
///
/// # Panics
/// When it cannot be written.
pub fn capture(path: &Path, calls: &[Invite]) {
    let mut writer = pcap::Writer::create(path).expect("a file");
    for (i, call) in calls.iter().enumerate() {
        let mut bytes = udp4(call.text(&format!("call-{i}")).as_bytes(), 5060);
        // The checksum of the header is not looked at.
        bytes[26..30].copy_from_slice(&call.source);
        let frame = Frame {
            link: LinkType::Ethernet,
            timestamp: Timestamp::new(1_760_000_000 + call.second, i as u32 * 1_000),
            bytes: &bytes,
            wire_length: bytes.len() as u32,
            scan: None,
        };
        writer.write(&frame).expect("written");
    }
    writer.flush().expect("flushed");
}

/// One verdict, or another object of a line.
///
/// # Panics
/// When it is no JSON.
pub fn verdict(line: &str) -> Value {
    serde_json::from_str(line).expect("JSON")
}

/// Tags of a verdict.
pub fn tags(verdict: &Value) -> Vec<&str> {
    verdict["tags"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Its reasons, in words.
pub fn texts(verdict: &Value) -> Vec<String> {
    let reasons = verdict["reasons"].as_array().into_iter().flatten();
    reasons.filter_map(|reason| Some(reason["text"].as_str()?.to_owned())).collect()
}
