//! The XDP program in the kernel's own harness: frames of every kind, the gate,
//! the verifier's budget, and the fingerprint against user space's.

use proptest::prelude::*;
use scorer_common::{
    Counter, Scan,
    gate::{self, Rule, Settings},
    limits::VERIFIER_BUDGET,
    maps,
    record::{GATE_ALLOWED, GATE_DENIED, GATE_LIMITED, Kind},
};
use scorer_tests::{
    frames::{self, INVITE, fragmented, invite, tagged, tcp4, tunnels, udp4, udp6},
    kernel::{DROP, Kernel, PASS},
    shared,
};

const OFF: Settings = Settings { gate: 0, reserved: 0, bucket_interval: 0, bucket_burst: 0 };

#[test]
fn programs_maps_and_budget() {
    if !shared::privileged() {
        return;
    }
    let kernel = Kernel::new();
    let found = kernel.maps();
    for map in maps::ALL {
        assert!(found.iter().any(|name| name == map), "{map} is in {found:?}");
    }
    let verified = kernel.verified();
    println!("verified instructions: {verified} of {VERIFIER_BUDGET}");
    assert!(verified <= VERIFIER_BUDGET, "{verified} over the stated budget of {VERIFIER_BUDGET}");
    // Shown, not asserted: the machine may be shared.
    let rtp = udp4(&[0x80; 172], 20_000);
    let long = format!(
        "{}{}",
        INVITE,
        "a=x-padding-to-make-twelve-hundred-bytes-of-it:0123456789012345678901234567890\r\n"
            .repeat(2)
    );
    let mut web = tcp4(&[0x17; 172], 1, false);
    web[36..38].copy_from_slice(&443u16.to_be_bytes());
    for (name, frame) in
        [("RTP", rtp), ("TCP, not SIP", web), ("INVITE", udp4(long.as_bytes(), 5060))]
    {
        let best = (0..5).map(|_| kernel.repeat(&frame, 20_000).1).min();
        println!("{name}, {} bytes: {best:?} a packet", frame.len());
    }
}

/// Frames that hold the INVITE whole, each in another wrapping.
fn wrapped() -> Vec<(String, Vec<u8>)> {
    let text = INVITE.as_bytes();
    let (v4, v6) = (udp4(text, 5060), udp6(text, 5060));
    let mut all = vec![
        ("ipv4".to_owned(), v4.clone()),
        ("another port".to_owned(), udp4(text, 40_000)),
        ("one tag".to_owned(), tagged(&v4, &[(0x8100, 7)])),
        ("two tags".to_owned(), tagged(&v4, &[(0x88a8, 7), (0x8100, 8)])),
        ("options".to_owned(), frames::with_options(&v4)),
        ("ipv6".to_owned(), v6.clone()),
        ("ipv6 extensions".to_owned(), frames::with_extensions(&v6)),
        ("tcp".to_owned(), tcp4(text, 1, false)),
    ];
    all.extend(tunnels(&v4).into_iter().map(|(name, frame)| (name.to_owned(), frame)));
    all.push((
        "vxlan, tagged".to_owned(),
        tagged(&tunnels(&tagged(&v4, &[(0x8100, 3)])).pop().expect("vxlan").1, &[(0x8100, 9)]),
    ));
    all
}

#[test]
fn invites_come_out_whole_in_every_wrapping() {
    if !shared::privileged() {
        return;
    }
    let mut kernel = Kernel::new();
    let expected = Scan::of(INVITE.as_bytes());
    for (name, frame) in wrapped() {
        assert_eq!(kernel.run(&frame), PASS, "{name}");
        let (invites, others) = kernel.records();
        assert_eq!((invites.len(), others.len()), (1, 0), "{name}");
        let record = &invites[0];
        assert_eq!(record.frame, frame, "{name}");
        let text = &record.frame[usize::from(record.head.payload)..]
            [..record.head.payload_length as usize];
        assert_eq!(text, INVITE.as_bytes(), "{name}");
        let scan = record.scan.expect("a scan");
        assert_eq!(scan.fingerprint, expected.fingerprint, "{name}");
        assert_eq!(scan.line_offsets(), expected.line_offsets(), "{name}");
        assert_eq!((scan.body, scan.flags), (expected.body, expected.flags), "{name}");
        assert_eq!(record.head.kind, Kind::Invite as u8);
        assert!(record.head.timestamp > 0);
    }
    assert_eq!(kernel.counter(Counter::Packets), wrapped().len() as u64);
    assert_eq!(kernel.counter(Counter::Decapsulated), 10);
}

#[test]
fn everything_else_passes_and_is_counted() {
    if !shared::privileged() {
        return;
    }
    let mut kernel = Kernel::new();
    let mut arp = vec![0xff; 12];
    arp.extend_from_slice(&[0x08, 0x06, 0, 1]);
    arp.resize(60, 0);
    let text = |text: &str| udp4(text.as_bytes(), 5060);
    let cases = [
        (arp, Counter::NotIp, 0),
        (udp4(&[0x80; 172], 20_000), Counter::NotSip, 0),
        (udp4(b"", 5060), Counter::NotSip, 0),
        (udp4(b"I", 5060), Counter::NotSip, 0),
        (text("SIP/2.0 200 OK\r\nCSeq: 1 INVITE\r\n\r\n"), Counter::Dialogs, 1),
        (text("BYE sip:a@b SIP/2.0\r\n\r\n"), Counter::Dialogs, 1),
        (text("SIP/2.0 100 Trying\r\n\r\n"), Counter::OtherSip, 0),
        (text("OPTIONS sip:a@b SIP/2.0\r\n\r\n"), Counter::OtherSip, 0),
        (text("\r\n\r\n"), Counter::OtherSip, 0),
        (text("\r\n\r\nINVITE sip:a@b SIP/2.0\r\n\r\n"), Counter::OtherSip, 1),
        (tcp4(b"", 1, true), Counter::Segments, 1),
        (tcp4(b"continued somewhere in the middle", 1, false), Counter::Segments, 1),
        (frames::ip4(1, &[0; 64]), Counter::NotSip, 0),
    ];
    for (frame, counter, records) in cases {
        let before = kernel.counter(counter);
        assert_eq!(kernel.run(&frame), PASS);
        assert_eq!(kernel.counter(counter), before + 1, "{counter:?}");
        let (invites, others) = kernel.records();
        assert_eq!((invites.len(), others.len()), (0, records), "{counter:?}");
    }
}

#[test]
fn fragments_are_followed() {
    if !shared::privileged() {
        return;
    }
    let mut kernel = Kernel::new();
    for frame in fragmented(INVITE.as_bytes(), 1, 400) {
        assert_eq!(kernel.run(&frame), PASS);
    }
    let (invites, parts) = kernel.records();
    assert_eq!((invites.len(), parts.len()), (0, 3));
    assert!(parts.iter().all(|part| part.head.kind == Kind::Fragment as u8));
    // A datagram whose first fragment is no SIP: its later ones are left alone.
    for frame in fragmented(&[0x80; 1000], 2, 400) {
        kernel.run(&frame);
    }
    assert_eq!(kernel.records().1.len(), 0);
    // A later fragment that comes first is kept, since nothing is known of it.
    kernel.run(&fragmented(INVITE.as_bytes(), 3, 400)[1]);
    assert_eq!(kernel.records().1.len(), 1);
}

#[test]
fn tcp_flows_on_other_ports_are_learnt() {
    if !shared::privileged() {
        return;
    }
    let mut kernel = Kernel::new();
    let elsewhere = |payload: &[u8]| {
        let mut frame = tcp4(payload, 1, false);
        frame[36..38].copy_from_slice(&8080u16.to_be_bytes());
        frame
    };
    // The second is told by a shorter way, which must know the same flows.
    let middles = [&b"nobody knows what this is"[..], &[0xc0; 40]];
    for middle in middles {
        kernel.run(&elsewhere(middle));
    }
    assert_eq!(kernel.records().1.len(), 0);
    assert_eq!(kernel.counter(Counter::NotSip), 2);
    kernel.run(&elsewhere(b"REGISTER sip:a@b SIP/2.0\r\n\r\n"));
    for middle in middles {
        kernel.run(&elsewhere(middle));
    }
    assert_eq!(kernel.records().1.len(), 3);
}

#[test]
fn the_gate_is_obeyed() {
    if !shared::privileged() {
        return;
    }
    let rule = |action| Rule { action, reserved: 0, expires: 0 };
    let frame = udp4(INVITE.as_bytes(), 5060);
    let bits = |kernel: &mut Kernel| {
        assert_eq!(kernel.run(&frame), PASS);
        kernel.records().0.first().map(|record| record.head.gate)
    };
    let mut kernel = Kernel::new();
    // Rules in tables that the settings do not name are not looked up.
    kernel.source(24, [192, 0, 2, 0], rule(gate::DROP));
    assert_eq!(bits(&mut kernel), Some(0));
    kernel.gate(Settings { gate: gate::USE_SOURCE, ..OFF });
    assert_eq!(kernel.run(&frame), DROP);
    assert_eq!(kernel.records().0.len(), 0);
    // A longer prefix wins, and an allow rule shields from the others.
    let fingerprint = Scan::of(INVITE.as_bytes()).fingerprint;
    kernel.rule(maps::GATE_FINGERPRINT, fingerprint, rule(gate::DROP));
    kernel.source(32, [192, 0, 2, 1], rule(gate::ALLOW));
    kernel.gate(Settings { gate: gate::USE_SOURCE | gate::USE_FINGERPRINT, ..OFF });
    assert_eq!(bits(&mut kernel), Some(GATE_ALLOWED));
    kernel.gate(Settings { gate: gate::USE_FINGERPRINT, ..OFF });
    assert_eq!(kernel.run(&frame), DROP);
    let expired = Rule { expires: 1, ..rule(gate::DROP) };
    kernel.rule(maps::GATE_FINGERPRINT, fingerprint, expired);
    assert_eq!(bits(&mut kernel), Some(0));
    // Numbers: of From, and of P-Asserted-Identity.
    kernel.gate(Settings { gate: gate::USE_NUMBER, ..OFF });
    assert_eq!(bits(&mut kernel), Some(0));
    kernel.rule(maps::GATE_NUMBER, gate::number_hash(b"441632960777"), rule(gate::MARK));
    assert_eq!(bits(&mut kernel), Some(GATE_DENIED));
    kernel.rule(maps::GATE_NUMBER, gate::number_hash(b"+44 1632 960001"), rule(gate::DROP));
    assert_eq!(kernel.run(&frame), DROP);
    // Others are not hit, nor is what is no INVITE.
    let other = INVITE.replace("441632960001", "441632960002").replace("960777", "960778");
    assert_eq!(kernel.run(&udp4(other.as_bytes(), 5060)), PASS);
    kernel.source(24, [192, 0, 2, 0], rule(gate::DROP));
    kernel.source(32, [192, 0, 2, 1], rule(gate::DROP));
    kernel.gate(Settings { gate: gate::USE_SOURCE, ..OFF });
    assert_eq!(kernel.run(&udp4(b"BYE sip:a@b SIP/2.0\r\n\r\n", 5060)), PASS);
    assert!(kernel.counter(Counter::GateDropped) >= 3);
}

#[test]
fn buckets_limit_a_source() {
    if !shared::privileged() {
        return;
    }
    let frame = udp4(INVITE.as_bytes(), 5060);
    let limit = Settings {
        gate: gate::USE_BUCKETS,
        bucket_interval: 3_600_000_000_000,
        bucket_burst: 3,
        ..OFF
    };
    let mut kernel = Kernel::new();
    kernel.gate(limit);
    for _ in 0..5 {
        assert_eq!(kernel.run(&frame), PASS);
    }
    let gates: Vec<_> = kernel.records().0.iter().map(|record| record.head.gate).collect();
    assert_eq!(gates, [0, 0, 0, GATE_LIMITED, GATE_LIMITED]);
    kernel.gate(Settings { gate: limit.gate | gate::LIMIT_DROPS, ..limit });
    assert_eq!(kernel.run(&frame), DROP);
    assert_eq!(kernel.counter(Counter::GateLimited), 3);
}

#[test]
fn full_rings_pass_and_count() {
    if !shared::privileged() {
        return;
    }
    let mut kernel = Kernel::new();
    let frame = udp4(INVITE.as_bytes(), 5060);
    assert_eq!(kernel.repeat(&frame, 10_000).0, PASS);
    let lost = kernel.counter(Counter::InviteRingFull);
    let kept = kernel.records().0.len() as u64;
    assert!(lost > 0 && kept > 1_000, "{kept} kept, {lost} lost");
    assert_eq!(kept + lost, 10_000);
}

#[test]
fn truncated_at_every_length() {
    if !shared::privileged() {
        return;
    }
    let mut kernel = Kernel::new();
    for (name, frame) in wrapped() {
        for length in 14..frame.len().min(220) {
            assert_eq!(kernel.run(&frame[..length]), PASS, "{name} cut to {length}");
        }
        kernel.records();
    }
}

/// Both sides on one message: the same pass or the test fails.
fn agree(kernel: &mut Kernel, text: &[u8]) {
    let frame = udp4(text, 5060);
    assert_eq!(kernel.run(&frame), PASS);
    for record in kernel.records().0 {
        let seen = &record.frame[usize::from(record.head.payload)..]
            [..record.head.payload_length as usize];
        let (theirs, ours) = (record.scan.expect("a scan"), Scan::of(seen));
        assert_eq!(theirs.fingerprint, ours.fingerprint, "{}", seen.escape_ascii());
        assert_eq!(theirs.line_offsets(), ours.line_offsets());
        assert_eq!((theirs.body, theirs.flags, theirs.lines), (ours.body, ours.flags, ours.lines));
    }
}

#[test]
fn fingerprints_agree_on_the_corpus_and_its_mutations() {
    if !shared::privileged() {
        return;
    }
    let mut kernel = Kernel::new();
    let mut messages =
        vec![INVITE.as_bytes().to_vec(), invite("x").replace("\r\n", "\n").into_bytes()];
    if let Some(folder) = shared::data("corpora/pcap") {
        for entry in std::fs::read_dir(folder).expect("captures") {
            let path = entry.expect("entry").path();
            let mut reader = scorer::capture::pcap::Reader::open(&path).expect("a capture");
            while let Ok(Some(frame)) = reader.next() {
                if let Some(at) = frame.bytes.windows(7).position(|window| window == b"INVITE ")
                    && at < 200
                {
                    messages.push(frame.bytes[at..].to_vec());
                }
            }
        }
        assert!(messages.len() > 60, "{} INVITEs", messages.len());
    }
    for message in &messages {
        agree(&mut kernel, message);
    }
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(4_000));
    let kernel = std::cell::RefCell::new(kernel);
    let mutation = (
        any::<prop::sample::Index>(),
        prop::collection::vec(
            (
                any::<prop::sample::Index>(),
                prop_oneof![Just(b'\n'), Just(b'\r'), Just(b':'), Just(b' '), any::<u8>()],
            ),
            0..12,
        ),
        prop::option::of(any::<prop::sample::Index>()),
        prop::option::of(("[ -~\r\n]{0,700}", any::<prop::sample::Index>())),
    );
    runner
        .run(&mutation, |(which, bytes, cut, splice)| {
            let mut message = messages[which.index(messages.len())].clone();
            for (place, byte) in bytes {
                let place = place.index(message.len());
                message[place] = byte;
            }
            if let Some((text, place)) = splice {
                let place = 7 + place.index(message.len() - 7);
                message.splice(place..place, text.into_bytes());
            }
            if let Some(cut) = cut {
                message.truncate(cut.index(message.len()).max(16));
            }
            message[..7].copy_from_slice(b"INVITE ");
            agree(&mut kernel.borrow_mut(), &message);
            Ok(())
        })
        .expect("both sides agree");
}
