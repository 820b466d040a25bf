//! Captures of others: every INVITE that tshark sees comes out.

use super::{Assembler, AssemblerConfig};
use crate::{capture::pcap::Reader, testing::shared};

/// Rows of `invites.psv` that do not come out: file and Call-ID, with the reason.
const EXCEPTIONS: [(&str, &str); 0] = [];

#[test]
fn every_invite_of_the_corpus_comes_out() {
    let (Some(table), Some(captures)) = (shared("corpora/invites.psv"), shared("corpora/pcap"))
    else {
        return;
    };
    let table = std::fs::read_to_string(table).expect("the table");
    let mut files = std::collections::BTreeMap::<&str, Vec<&str>>::new();
    for row in table.lines().skip(1) {
        let mut columns = row.split('|');
        let (file, call_id) = (columns.next().expect("file"), columns.nth(1).expect("Call-ID"));
        files.entry(file).or_default().push(call_id);
    }
    let mut missing = Vec::new();
    for (file, call_ids) in files {
        let mut reader = Reader::open(&captures.join(file)).expect("a capture");
        let mut assembler = Assembler::new(&AssemblerConfig::default());
        let mut invites: Vec<Vec<u8>> = Vec::new();
        while let Ok(Some(frame)) = reader.next() {
            assembler.push(&frame, &mut |packet| {
                if packet.bytes[..6].eq_ignore_ascii_case(b"invite") {
                    invites.push(packet.bytes.to_vec());
                }
            });
        }
        assert_eq!(reader.position(), reader.len(), "{file} was not read to its end");
        for call_id in call_ids {
            let finder = memchr::memmem::Finder::new(call_id);
            if !invites.iter().any(|text| finder.find(text).is_some())
                && !EXCEPTIONS.contains(&(file, call_id))
            {
                missing.push((file.to_owned(), call_id.to_owned()));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}
