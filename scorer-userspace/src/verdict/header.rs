//! The verdict as the value of a SIP header:
//! `87;level=high;tags=spoofed,voip;reasons=from_anonymous;model=ensemble-1;id=…`.
//!
//! The text follows from the record and the model's name alone, so that every
//! retransmission of an INVITE carries the same.

use std::io::Write as _;

use scorer_common::{
    Verdict,
    verdict::{Level, NO_REASON, Tags},
};

use crate::features::REGISTRY;

/// Characters of the model's name that are written at most.
const NAME: usize = 64;

/// Adds the value to `out`. Allocates only where `out` has no room.
pub fn write(verdict: &Verdict, model: &str, out: &mut Vec<u8>) {
    let level = Level::ALL.get(usize::from(verdict.level)).map_or("unknown", |level| level.name());
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{};level={level}", verdict.score);
    let mut list = |name: &str, items: &mut dyn Iterator<Item = &'static str>| {
        for (i, item) in items.enumerate() {
            let _ = if i == 0 { write!(out, ";{name}={item}") } else { write!(out, ",{item}") };
        }
    };
    list("tags", &mut Tags(verdict.tags).iter().map(scorer_common::verdict::Tag::name));
    let reasons = verdict.reasons.iter().filter(|id| **id != NO_REASON);
    let mut names = reasons.filter_map(|id| REGISTRY.get(usize::from(*id))).map(|def| def.name);
    list("reasons", &mut names);
    out.extend_from_slice(b";model=");
    // RFC 3261 section 25.1, token; the name is a file's.
    out.extend(model.bytes().take(NAME).map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => byte,
        _ => b'_',
    }));
    let _ = write!(out, ";id={:016x}", verdict.call);
}

#[cfg(test)]
mod tests {
    use scorer_common::{
        Verdict,
        verdict::{NO_REASON, Tag, Tags, VERSION},
    };

    use super::write;
    use crate::features::id;

    #[test]
    fn text() {
        let mut tags = Tags::NONE;
        tags.insert(Tag::Spoofed);
        tags.insert(Tag::Voip);
        let verdict = Verdict {
            version: VERSION,
            score: 87,
            level: 2,
            action: 1,
            tags: tags.0,
            call: 0xab,
            timestamp: 1,
            fingerprint: 2,
            model: 3,
            reasons: [id::FROM_ANONYMOUS, u16::MAX - 1, NO_REASON, NO_REASON, NO_REASON],
            reserved: [0; 6],
            probability: 0.87,
            latency: 5,
        };
        let text = |verdict: &Verdict, model: &str| {
            let mut out = Vec::new();
            write(verdict, model, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            text(&verdict, "ensemble-1"),
            "87;level=high;tags=spoofed,voip;reasons=from_anonymous;model=ensemble-1;id=00000000000000ab"
        );
        let bare = Verdict { level: 9, tags: 0, reasons: [NO_REASON; 5], ..verdict };
        let hostile = format!("x\r\nContact: <sip:b>{}", "y".repeat(200));
        let bare = text(&bare, &hostile);
        assert!(bare.starts_with("87;level=unknown;model=x__Contact___sip_b_yyy"), "{bare}");
        assert!(bare.len() < 120 && !bare.contains('\r'));
    }
}
