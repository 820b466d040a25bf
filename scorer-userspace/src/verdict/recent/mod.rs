//! Verdicts kept for those who ask: HTTP and the redirect server.
//!
//! The scoring thread hands every verdict over ([`Feed`]) and never waits; another
//! thread keeps the last of them ([`Recent`]).

mod bell;
mod entry;
mod feed;
mod table;

pub(crate) use bell::Bell;
pub use entry::{Entry, Outcome, ident};
pub use feed::{Asker, Feed, Letter, Mail, QUESTIONS, Question, Questions, feed, questions};
pub use table::{Found, Recent, Table, Waiting};

#[cfg(test)]
pub(crate) mod tests {
    use scorer_common::Verdict;

    use super::{Entry, Letter, feed};
    use crate::{
        capture::{PacketMeta, Transport},
        engine::Assessment,
        features::Traits,
        policy::Decision,
        time::Timestamp,
        verdict::wire,
    };

    /// Calls `with` with an assessment that says little.
    pub(crate) fn assessed<T>(
        call_id: &str,
        from_tag: &str,
        decision: Decision<'_>,
        with: impl FnOnce(&Assessment<'_>) -> T,
    ) -> T {
        let (source, destination) = (([192, 0, 2, 1], 5060).into(), ([192, 0, 2, 2], 5060).into());
        let meta = PacketMeta::between(source, destination, Transport::Udp, Timestamp(0));
        let verdict = Verdict { version: 1, score: 87, level: 2, ..wire::parse(&[0; 64]) };
        let verdict = Verdict { action: decision.action as u8, reasons: [u16::MAX; 5], ..verdict };
        with(&Assessment {
            verdict,
            call_id: call_id.as_bytes(),
            from_tag: from_tag.as_bytes(),
            caller: b"",
            callee: b"",
            from_user: b"",
            to_user: b"",
            network_number: None,
            meta,
            signature: Traits::default().text(&meta),
            trunk: None,
            features: &[],
            reasons: &[],
            model: "m-1",
            lists: crate::lists::ListSet::default(),
            listed: None,
            decision,
            profile: 0,
            countries: [0; 2],
            message: &[],
            evidence: crate::profiles::Evidence::default(),
            belongs: crate::profiles::Belongs::NOBODY,
            shared: None,
            marks: crate::share::pseudonym::Marks::default(),
            update: false,
        })
    }

    /// An entry of such an assessment.
    pub(crate) fn entry(call_id: &str, from_tag: &str) -> Box<Entry> {
        let mut entry = Box::<Entry>::default();
        assessed(call_id, from_tag, Decision::PASS, |a| entry.fill(a, &a.verdict, b"{}\n"));
        entry
    }

    #[test]
    fn a_full_queue_refuses_and_recovers() {
        let (mut feed, mut mail) = feed().expect("a queue");
        let send = |feed: &mut super::Feed, id: &str| {
            assessed(id, "t", Decision::PASS, |a| feed.verdict(a, &a.verdict, b"{}\n"))
        };
        let sent = (0..5_000).take_while(|i| send(&mut feed, &i.to_string())).count();
        assert_eq!(sent, 1024);
        let Some(Letter::Verdict(first)) = mail.take() else { panic!("no letter") };
        assert_eq!((first.call_id(), first.from_tag()), (&b"0"[..], &b"t"[..]));
        // The letter is out, its entry is not back.
        assert!(!send(&mut feed, "x"));
        mail.give_back(first);
        assert!(send(&mut feed, "x"));
        drop(feed);
        let mut left = 0;
        while mail.take().is_some() {
            left += 1;
        }
        assert!(left == 1024 && mail.is_over());
    }
}
