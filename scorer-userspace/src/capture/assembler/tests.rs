//! Every link type, and any bytes on it.

mod corpus;
mod wrappings;

use proptest::prelude::*;

use super::{Assembler, AssemblerConfig};
use crate::{
    capture::{Frame, LinkType},
    time::Timestamp,
};

const LINKS: [LinkType; 6] = [
    LinkType::Ethernet,
    LinkType::Null,
    LinkType::Loop,
    LinkType::RawIp,
    LinkType::LinuxCooked,
    LinkType::LinuxCooked2,
];

fn frame(link: LinkType, bytes: &[u8], second: u64) -> Frame<'_> {
    Frame {
        link,
        timestamp: Timestamp::new(second, 0),
        bytes,
        wire_length: bytes.len() as u32,
        scan: None,
    }
}

const TEXT: &[u8] = b"INVITE sip:1@b SIP/2.0\r\nCall-ID: 1\r\n\r\n";

fn udp() -> Vec<u8> {
    let mut bytes = Vec::new();
    let builder = etherparse::PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(
        [192, 0, 2, 1],
        [192, 0, 2, 2],
        61,
    );
    builder.udp(5060, 5060).write(&mut bytes, TEXT).expect("a frame");
    bytes
}

#[test]
fn every_link_type_leads_to_the_message() {
    let ip = &udp()[14..];
    let wraps = [
        (LinkType::Ethernet, udp()),
        (LinkType::RawIp, ip.to_vec()),
        (LinkType::Null, [&[2, 0, 0, 0], ip].concat()),
        (LinkType::Loop, [&[0, 0, 0, 2], ip].concat()),
        (LinkType::LinuxCooked, [&[0; 14][..], &[8, 0], ip].concat()),
        (LinkType::LinuxCooked2, [&[8, 0][..], &[0; 18], ip].concat()),
    ];
    for (link, bytes) in wraps {
        let mut assembler = Assembler::new(&AssemblerConfig::default());
        let mut found = 0;
        assembler.push(&frame(link, &bytes, 1), &mut |packet| {
            assert_eq!(packet.bytes, TEXT);
            found += 1;
        });
        assert_eq!(found, 1, "{link:?}");
    }
}

#[test]
fn gtp_tunnels_are_opened() {
    let inner = &udp()[14..];
    let mut gtp = vec![0x32, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    gtp.extend_from_slice(inner);
    let mut bytes = Vec::new();
    let builder = etherparse::PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(
        [192, 0, 2, 8],
        [192, 0, 2, 9],
        61,
    );
    builder.udp(2152, 2152).write(&mut bytes, &gtp).expect("a frame");
    let mut assembler = Assembler::new(&AssemblerConfig::default());
    let mut found = 0;
    assembler.push(&frame(LinkType::Ethernet, &bytes, 1), &mut |packet| {
        assert!(packet.meta.tunnelled && packet.meta.source.ip().to_string() == "192.0.2.1");
        found += 1;
    });
    assert_eq!(found, 1);
}

proptest! {
    #[test]
    fn any_bytes(link in 0..LINKS.len(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut assembler = Assembler::new(&AssemblerConfig::default());
        assembler.push(&frame(LINKS[link], &bytes, 1), &mut |_| {});
    }

    #[test]
    fn damaged_frames(at in 0usize..60, byte in any::<u8>(), cut in 0usize..120) {
        let mut bytes = udp();
        bytes[at] = byte;
        bytes.truncate(cut);
        let mut assembler = Assembler::new(&AssemblerConfig::default());
        for second in 0..3 {
            assembler.push(&frame(LinkType::Ethernet, &bytes, second), &mut |_| {});
        }
        prop_assert_eq!(assembler.stats().frames, 3);
    }
}
