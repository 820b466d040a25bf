//! Every wrapping around one INVITE, whole and cut at every length.

use proptest::prelude::*;

use super::{Assembler, AssemblerConfig, LinkType, TEXT, frame};

fn ip_udp(v6: bool, port: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let ethernet = etherparse::PacketBuilder::ethernet2([2; 6], [4; 6]);
    let builder = if v6 {
        ethernet.ipv6([0x20; 16], [0x21; 16], 61)
    } else {
        ethernet.ipv4([192, 0, 2, 1], [192, 0, 2, 2], 61)
    };
    builder.udp(port, port).write(&mut bytes, payload).expect("a frame");
    bytes
}

fn ethernet(ethertype: u16, inside: &[u8]) -> Vec<u8> {
    [&[2; 12], &ethertype.to_be_bytes()[..], inside].concat()
}

/// An outer IPv4 packet of any protocol.
fn ipv4(protocol: u8, inside: &[u8]) -> Vec<u8> {
    let total = (20 + inside.len()) as u16;
    let mut packet = vec![0x45, 0];
    packet.extend(total.to_be_bytes());
    packet.extend([0, 9, 0x40, 0, 60, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    packet.extend(inside);
    packet
}

fn gtp(inside: &[u8]) -> Vec<u8> {
    // Sequence number and one extension header of four bytes.
    let head = [0x36, 0xff, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0x85, 1, 0, 0, 0];
    [&head[..], inside].concat()
}

/// Name, frame, whether a tunnel counts as taken off.
fn wrappings(text: &[u8]) -> Vec<(&'static str, Vec<u8>, bool)> {
    let whole = ip_udp(false, 5060, text);
    let (ip, six) = (&whole[14..], ip_udp(true, 5060, text));
    let gre = |kind: u16, flags: u16, optional: &[u8], inside: &[u8]| {
        let head = [flags.to_be_bytes(), kind.to_be_bytes()].concat();
        ethernet(0x0800, &ipv4(47, &[&head[..], optional, inside].concat()))
    };
    let with_options = {
        let mut packet = ip.to_vec();
        packet[0] = 0x46;
        packet.splice(20..20, [1; 4]);
        let total = packet.len() as u16;
        packet[2..4].copy_from_slice(&total.to_be_bytes());
        packet
    };
    let with_extensions = {
        // Hop-by-hop, destination options, then a fragment header of a whole packet.
        let mut packet = six[14..].to_vec();
        packet[6] = 0;
        let chain = [60, 0, 1, 4, 0, 0, 0, 0, 44, 0, 1, 4, 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 5];
        packet.splice(40..40, chain);
        let length = (packet.len() - 40) as u16;
        packet[4..6].copy_from_slice(&length.to_be_bytes());
        packet
    };
    let pppoe = [&[0x11, 0, 0, 1, 0, 0, 0, 0x21][..], ip].concat();
    let tag =
        |ethertype: u16, inside: &[u8]| [&[0, 100], &ethertype.to_be_bytes()[..], inside].concat();
    let vxlan = ip_udp(false, 4789, &[&[8, 0, 0, 0, 0, 0, 1, 0][..], &whole].concat());
    let erspan_3 = [&[0x20; 11][..], &[0], &whole].concat();
    let erspan_3_long = [&[0x20; 11][..], &[1], &[0; 8], &whole].concat();
    let tunnelled_gtp = ip_udp(false, 2152, &gtp(ip));
    vec![
        ("plain", whole.clone(), false),
        ("IPv6", six.clone(), false),
        ("802.1Q", ethernet(0x8100, &tag(0x0800, ip)), false),
        ("802.1ad", ethernet(0x88a8, &tag(0x8100, &tag(0x0800, ip))), false),
        ("PPPoE", ethernet(0x8864, &pppoe), false),
        ("IPv4 options", ethernet(0x0800, &with_options), false),
        ("IPv6 extensions", ethernet(0x86dd, &with_extensions), false),
        ("IP in IP", ethernet(0x0800, &ipv4(4, ip)), true),
        ("IPv6 in IP", ethernet(0x0800, &ipv4(41, &six[14..])), true),
        ("GRE", gre(0x0800, 0, &[], ip), true),
        ("GRE with all options", gre(0x86dd, 0xb000, &[0; 12], &six[14..]), true),
        ("GRE Ethernet", gre(0x6558, 0, &[], &whole), true),
        ("ERSPAN I", gre(0x88be, 0, &[], &whole), true),
        ("ERSPAN II", gre(0x88be, 0x1000, &[0; 12], &whole), true),
        ("ERSPAN III", gre(0x22eb, 0x1000, &[0; 4], &erspan_3), true),
        ("ERSPAN III, platform", gre(0x22eb, 0x1000, &[0; 4], &erspan_3_long), true),
        ("VXLAN", vxlan, true),
        ("GTP-U", tunnelled_gtp.clone(), true),
        ("GTP-U in ERSPAN", gre(0x88be, 0x1000, &[0; 12], &tunnelled_gtp), true),
    ]
}

fn messages(bytes: &[u8]) -> Vec<(Vec<u8>, bool)> {
    let mut assembler = Assembler::new(&AssemblerConfig::default());
    let mut found = Vec::new();
    assembler.push(&frame(LinkType::Ethernet, bytes, 1), &mut |packet| {
        found.push((packet.bytes.to_vec(), packet.meta.tunnelled));
    });
    found
}

#[test]
fn every_wrapping_is_taken_off() {
    for (name, bytes, tunnelled) in wrappings(TEXT) {
        assert_eq!(messages(&bytes), [(TEXT.to_vec(), tunnelled)], "{name}");
    }
}

#[test]
fn two_mirrors_are_one_too_many() {
    let inner = &ip_udp(false, 5060, TEXT)[14..];
    assert!(messages(&ethernet(0x0800, &ipv4(4, &ipv4(4, inner)))).is_empty());
}

#[test]
fn cut_at_every_length() {
    for (name, bytes, _) in wrappings(TEXT) {
        for cut in 0..bytes.len() {
            // A text that is cut is handed on as far as it goes; nothing else ever is.
            for (text, _) in messages(&bytes[..cut]) {
                assert!(TEXT.starts_with(&text), "{name} cut at {cut}");
                assert_eq!(text.len(), TEXT.len() - (bytes.len() - cut), "{name} at {cut}");
            }
        }
    }
}

#[test]
fn padding_and_lengths_that_lie() {
    let whole = ip_udp(false, 5060, TEXT);
    let mut padded = whole.clone();
    padded.extend([0xaa; 40]);
    assert_eq!(messages(&padded)[0].0, TEXT, "padding");
    let with_udp_length = |length: u16| {
        let mut bytes = whole.clone();
        bytes[38..40].copy_from_slice(&length.to_be_bytes());
        messages(&bytes)
    };
    assert_eq!(with_udp_length(38)[0].0, TEXT[..30], "shorter than the packet");
    assert_eq!(with_udp_length(u16::MAX)[0].0, TEXT, "longer than the packet");
    assert!(with_udp_length(7).is_empty(), "shorter than its header");
    assert!(with_udp_length(8).is_empty(), "empty");
    let mut short = whole;
    short[16..18].copy_from_slice(&19u16.to_be_bytes());
    assert!(messages(&short).is_empty(), "an IP packet shorter than its header");
}

#[test]
fn mapped_addresses_are_ipv4() {
    let mut bytes = ip_udp(true, 5060, TEXT);
    for at in [22, 38] {
        bytes[at..at + 12].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]);
    }
    let mut assembler = Assembler::new(&AssemblerConfig::default());
    let mut found = 0;
    assembler.push(&frame(LinkType::Ethernet, &bytes, 1), &mut |packet| {
        assert_eq!(packet.meta.source.to_string(), "32.32.32.32:5060");
        found += 1;
    });
    assert_eq!(found, 1);
}

#[test]
fn gtp_in_fragments() {
    let text = [TEXT, &[b'x'; 1_400]].concat();
    let datagram = &ip_udp(false, 2152, &gtp(&ip_udp(false, 5060, &text)[14..]))[34..];
    let mut assembler = Assembler::new(&AssemblerConfig::default());
    let mut found = Vec::new();
    for (offset, flags) in [(800usize, 0u16), (0, 0x2000)] {
        let end = if offset == 0 { 800 } else { datagram.len() };
        let mut packet = ipv4(17, &datagram[offset..end]);
        packet[6..8].copy_from_slice(&(flags | (offset as u16 / 8)).to_be_bytes());
        let bytes = ethernet(0x0800, &packet);
        assembler.push(&frame(LinkType::Ethernet, &bytes, 1), &mut |packet| {
            found.push((packet.bytes.to_vec(), packet.meta.packets, packet.meta.tunnelled));
        });
    }
    assert_eq!(found, [(text, 2, true)]);
}

#[test]
fn options_behind_a_fragment_header() {
    // The first part has the options, then the UDP header; its TTL is the whole's.
    let whole = ip_udp(true, 5060, &[TEXT, &[b'x'; 200]].concat());
    let datagram = [&[17, 0, 1, 4, 0, 0, 0, 0][..], &whole[54..]].concat();
    for order in [[0usize, 1], [1, 0]] {
        let mut assembler = Assembler::new(&AssemblerConfig::default());
        let mut found = Vec::new();
        for part in order {
            let bytes = if part == 0 { &datagram[..160] } else { &datagram[160..] };
            let bits = [1u16, 160][part];
            let mut packet = whole[..54].to_vec();
            packet[18..20].copy_from_slice(&((8 + bytes.len()) as u16).to_be_bytes());
            (packet[20], packet[21]) = (44, 61 - part as u8);
            packet.extend([60, 0, bits.to_be_bytes()[0], bits.to_be_bytes()[1], 0, 0, 0, 7]);
            packet.extend(bytes);
            assembler.push(&frame(LinkType::Ethernet, &packet, 1), &mut |packet| {
                found.push((packet.bytes.len(), packet.meta.packets, packet.meta.ttl));
            });
        }
        assert_eq!(found, [(TEXT.len() + 200, 2, 61)]);
    }
}

proptest! {
    #[test]
    fn damaged_wrappings(which in any::<prop::sample::Index>(), hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6), cut in any::<prop::sample::Index>()) {
        let all = wrappings(TEXT);
        let mut bytes = which.get(&all).1.clone();
        for (at, byte) in hits {
            let place = at.index(bytes.len().min(120));
            bytes[place] = byte;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        for (text, _) in messages(&bytes) {
            prop_assert!(text.len() <= bytes.len());
        }
    }
}
