//! Segments in and out of order, hostile ones too.

use proptest::prelude::*;

use std::time::Duration;

use super::{Bounds, FIN, RST, Reassembler, SYN};
use crate::{
    capture::{PacketMeta, Transport},
    time::Timestamp,
};

fn pool(flows: usize, early_bytes: usize) -> Reassembler {
    Reassembler::new(Bounds {
        flows,
        early_bytes,
        total_bytes: 1 << 20,
        hole: Duration::from_secs(1),
    })
}

fn meta(port: u16) -> PacketMeta {
    PacketMeta {
        timestamp: Timestamp(1),
        source: ([192, 0, 2, 1], port).into(),
        destination: ([192, 0, 2, 2], 5060).into(),
        transport: Transport::Tcp,
        ttl: 64,
        dscp: 0,
        ip_id: Some(1),
        dont_fragment: true,
        udp_checksum_zero: None,
        packets: 1,
        stream_messages: None,
        vlan: None,
        tunnelled: false,
    }
}

fn message(number: usize, body: &str, compact: bool) -> String {
    let name = if compact { "l" } else { "Content-Length" };
    format!(
        "INVITE sip:{number}@h SIP/2.0\r\nCall-ID: {number}\r\n{name}: {}\r\n\r\n{body}",
        body.len()
    )
}

fn run(start: u32, segments: &[(usize, usize)], stream: &[u8], syn: bool) -> Vec<String> {
    let mut pool = pool(8, 256 << 10);
    let mut found = Vec::new();
    let mut each =
        |bytes: &[u8], _: &PacketMeta| found.push(String::from_utf8_lossy(bytes).into_owned());
    if syn {
        pool.push(&meta(1), start.wrapping_sub(1), SYN, &[], true, &mut each);
    }
    for (from, to) in segments {
        let sequence = start.wrapping_add(*from as u32);
        pool.push(&meta(1), sequence, 0, &stream[*from..*to], true, &mut each);
    }
    found
}

proptest! {
    #[test]
    fn any_segmentation_gives_the_same_messages(
        bodies in prop::collection::vec("[a-z\r\n]{0,60}", 1..6),
        cuts in prop::collection::vec(0.0..1.0f64, 0..20),
        start in prop_oneof![any::<u32>(), Just(u32::MAX - 30)],
        seed in any::<prop::sample::Index>(), keep_alive in any::<bool>(),
    ) {
        let messages: Vec<_> =
            bodies.iter().enumerate().map(|(i, body)| message(i, body, i % 2 == 1)).collect();
        let stream = messages.join(if keep_alive { "\r\n\r\n" } else { "" });
        let mut places: Vec<usize> =
            cuts.iter().map(|cut| (cut * stream.len() as f64) as usize).collect();
        places.extend([0, stream.len()]);
        places.sort_unstable();
        places.dedup();
        let mut segments: Vec<_> = places.windows(2).map(|w| (w[0], w[1])).collect();
        // One segment comes early, and one twice.
        let one = seed.index(segments.len());
        if one > 0 { segments.swap(one - 1, one); }
        segments.push(segments[one]);
        prop_assert_eq!(run(start, &segments, stream.as_bytes(), true), messages);
    }

    #[test]
    fn any_bytes_in_any_order(
        segments in prop::collection::vec((any::<u32>(), any::<u8>(), prop::collection::vec(any::<u8>(), 0..80)), 0..60)
    ) {
        let mut pool = pool(2, 1000);
        for (sequence, flags, bytes) in segments {
            let payload = [b"INVITE sip:x SIP/2.0\r\n", &bytes[..]].concat();
            pool.push(&meta(u16::from(flags)), sequence % 200, flags & 7, &payload, true, &mut |_, _| {});
            prop_assert!(pool.flows.len() <= 2 && pool.order.len() <= 5);
            prop_assert!(pool.flows.values().all(|flow| flow.early_bytes <= 1000));
        }
    }
}

#[test]
fn picked_up_in_the_middle_and_after_a_hole() {
    let (a, b) = (message(1, "xyz", false), message(2, "", true));
    let stream = format!("junk of before{a}{b}");
    let places = [(0, 14), (14, 14 + a.len()), (14 + a.len(), stream.len())];
    assert_eq!(run(5, &places, stream.as_bytes(), false), [a.clone(), b.clone()]);
    // A hole that never closes is given up once too much has come early.
    let mut pool = pool(8, 100);
    let mut found = 0;
    pool.push(&meta(1), 0, SYN, &[], true, &mut |_, _| {});
    pool.push(&meta(1), 5_000, 0, a.as_bytes(), true, &mut |_, _| found += 1);
    pool.push(&meta(1), 6_000, 0, a.as_bytes(), true, &mut |_, _| found += 1);
    assert_eq!((found, pool.stats.gaps), (1, 1));
}

#[test]
fn ends_and_strangers() {
    let mut pool = pool(8, 100);
    let mut found = 0;
    pool.push(&meta(1), 0, 0, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", false, &mut |_, _| {
        found += 1;
    });
    assert!(pool.flows.is_empty());
    let invite = message(1, "", false);
    pool.push(&meta(1), 0, FIN, invite.as_bytes(), false, &mut |_, _| found += 1);
    assert!(pool.flows.is_empty());
    let liar = invite.replace("Content-Length: 0", "Content-Length: 99999999");
    pool.push(&meta(1), 0, 0, liar.as_bytes(), false, &mut |_, _| found += 1);
    assert_eq!((found, pool.stats.unframed), (1, 1));
    // A body beyond what is held is passed over, and the next message found.
    let long = format!("{}{}", message(1, &"x".repeat(70_000), false), message(2, "", false));
    let mut found = Vec::new();
    for (i, part) in long.as_bytes().chunks(1_400).enumerate() {
        let sequence = 9_000 + 1_400 * i as u32;
        pool.push(&meta(7), sequence, 0, part, true, &mut |bytes, _| found.push(bytes.len()));
    }
    assert_eq!(found.len(), 2);
}

/// Pushes segments of flow 1 and gives the messages found.
fn feed(pool: &mut Reassembler, segments: &[(u32, u8, &[u8])]) -> Vec<String> {
    let mut found = Vec::new();
    for (sequence, flags, bytes) in segments {
        pool.push(&meta(1), *sequence, *flags, bytes, true, &mut |bytes, _| {
            found.push(String::from_utf8_lossy(bytes).into_owned());
        });
    }
    found
}

#[test]
fn keep_alives_are_not_kept() {
    let mut pool = pool(8, 1000);
    let invite = message(1, "", false);
    assert_eq!(feed(&mut pool, &[(0, 0, invite.as_bytes())]).len(), 1);
    let mut sequence = invite.len() as u32;
    for _ in 0..100_000 {
        assert!(feed(&mut pool, &[(sequence, 0, b"\r\n\r\n")]).is_empty());
        sequence += 4;
        assert!(pool.held <= 4096);
    }
    assert_eq!(feed(&mut pool, &[(sequence, 0, invite.as_bytes())]), [invite]);
}

#[test]
fn what_stands_behind_a_lost_segment_is_not_lost() {
    let invites: Vec<String> = (1..5).map(|n| message(n, "", false)).collect();
    let length = invites[0].len() as u32;
    // The second never comes; the third and fourth wait until the hole is old.
    let mut pool = pool(8, 100_000);
    let bytes: Vec<&[u8]> = invites.iter().map(String::as_bytes).collect();
    let segments = [(0, 0, bytes[0]), (2 * length, 0, bytes[2])];
    assert_eq!(feed(&mut pool, &segments), [&*invites[0]]);
    let mut found = Vec::new();
    let late = PacketMeta { timestamp: Timestamp::new(2, 0), ..meta(1) };
    pool.push(&late, 3 * length, 0, bytes[3], true, &mut |bytes, _| found.push(bytes.to_vec()));
    assert_eq!(found, [bytes[2], bytes[3]]);
    assert_eq!((pool.stats.gaps, pool.held <= 4096), (1, true));
    // A flow that falls silent is settled by the time, or by the end of the capture.
    for now in [Some(Timestamp::new(5, 0)), None] {
        let mut pool = self::pool(8, 100_000);
        feed(&mut pool, &segments);
        let mut found = Vec::new();
        pool.settle(Some(Timestamp(2)), &mut |bytes, _| found.push(bytes.to_vec()));
        assert!(found.is_empty() && pool.holes == 1, "not yet");
        pool.settle(now, &mut |bytes, _| found.push(bytes.to_vec()));
        assert_eq!((found, pool.holes), (vec![bytes[2].to_vec()], 0));
        assert_eq!(feed(&mut pool, &[(3 * length, 0, bytes[3])]), [&*invites[3]]);
    }
    // The end of the connection does not wait.
    let segments = [(0, 0, bytes[0]), (2 * length, 0, bytes[2]), (3 * length, RST, b"reset")];
    let mut pool = self::pool(8, 100_000);
    assert_eq!(feed(&mut pool, &segments), [&*invites[0], &*invites[2]]);
    assert!(pool.flows.is_empty() && pool.held == 0);
    // A FIN that overtakes data does not cut it off.
    let segments = [(0, 0, bytes[0]), (2 * length, FIN, bytes[2]), (length, 0, bytes[1])];
    assert_eq!(feed(&mut self::pool(8, 100_000), &segments), invites[..3]);
}

#[test]
fn a_copy_of_the_syn_does_not_begin_anew() {
    let invite = message(1, "body", false);
    let (a, b) = invite.as_bytes().split_at(30);
    let segments = [(9, SYN, &b""[..]), (10, 0, a), (9, SYN, b""), (10, 0, a), (40, 0, b)];
    assert_eq!(feed(&mut pool(8, 1000), &segments), [&*invite]);
}

#[test]
fn absurd_lengths_are_nonsense() {
    for length in [u64::MAX.to_string(), u64::from(u32::MAX).to_string(), "9".repeat(40)] {
        let text = format!("INVITE sip:1@h SIP/2.0\r\nContent-Length: {length}\r\n\r\n");
        let mut pool = pool(8, 1000);
        assert!(feed(&mut pool, &[(0, 0, text.as_bytes())]).is_empty());
        assert_eq!((pool.stats.unframed, pool.held), (1, 0));
    }
}

#[test]
fn all_flows_together_are_bounded_and_floods_spare_the_busy() {
    let half = format!("INVITE sip:1@h SIP/2.0\r\nSubject: {}", "x".repeat(8_000));
    let mut pool = Reassembler::new(Bounds {
        flows: 1000,
        early_bytes: 100_000,
        total_bytes: 200_000,
        hole: Duration::from_secs(1),
    });
    for port in 0..1000 {
        pool.push(&meta(port), 0, 0, half.as_bytes(), true, &mut |_, _| {});
        assert!(pool.held <= 200_000);
        let held: usize = pool.flows.values().map(super::Flow::held).sum();
        assert_eq!(pool.held, held);
    }
    assert!(pool.stats.evicted > 900);
    // A trunk in use outlives any number of SYNs.
    let mut pool = self::pool(16, 1000);
    let (invite, mut sequence) = (message(1, "", false), 0);
    let mut found = 0;
    for flood in 0..1000u16 {
        pool.push(&meta(1), sequence, 0, &invite.as_bytes()[..20], true, &mut |_, _| found += 1);
        for port in 0..10 {
            pool.push(&meta(100 + flood * 10 + port), 0, SYN, &[], true, &mut |_, _| {});
        }
        pool.push(&meta(1), sequence + 20, 0, &invite.as_bytes()[20..], true, &mut |_, _| {
            found += 1;
        });
        sequence += invite.len() as u32;
    }
    assert_eq!(found, 1000);
}
