//! The inline programs in the kernel's own harness. There is no socket here, so that
//! what would be handed over is counted as busy, and goes on.

use scorer_common::{
    Counter,
    gate::{self, Rule, Settings},
    limits::VERIFIER_BUDGET,
    maps,
    steer::{self, Backlog},
};
use scorer_tests::{
    frames::{self, INVITE, invite, tagged, tcp4, tunnels, udp4, udp6},
    kernel::{DROP, Kernel, PASS},
    shared,
};

const FOR_EVER: u64 = u64::MAX;

/// What the kernel decided about an INVITE, told from what it counted.
#[derive(Debug, PartialEq)]
enum Decided {
    /// It would be handed over.
    New,
    /// It goes on and is scored from a copy.
    Unfit,
    /// It goes on: part of a dialog.
    InDialog,
}

fn decided(kernel: &mut Kernel, frame: &[u8]) -> Decided {
    let counts = |kernel: &Kernel| {
        [Counter::SteerBusy, Counter::SteerUnfit, Counter::SteerLate, Counter::Steered]
            .map(|counter| kernel.counter(counter))
    };
    let before = counts(kernel);
    assert_eq!(kernel.run(frame), PASS);
    let after = counts(kernel);
    // Whatever it is, a copy is in the ring, since it goes on.
    assert_eq!(kernel.records().0.len(), 1, "{}", frame.escape_ascii());
    match std::array::from_fn(|i| after[i] - before[i]) {
        [1, 0, 0, 0] => Decided::New,
        [0, 1, 0, 0] => Decided::Unfit,
        [0, 0, 0, 0] => Decided::InDialog,
        other => panic!("{other:?}"),
    }
}

#[test]
fn budget_and_cost() {
    if !shared::privileged() {
        return;
    }
    for program in [maps::PROGRAM_CARRIER, maps::PROGRAM_CORE] {
        let mut kernel = Kernel::of(program);
        kernel.beat(FOR_EVER);
        let verified = kernel.verified();
        println!("{program}: {verified} verified instructions of {VERIFIER_BUDGET}");
        assert!(verified <= VERIFIER_BUDGET, "{program}: {verified}");
        let ack = INVITE.replacen("INVITE", "ACK", 1);
        // Shown, not asserted: the machine may be shared.
        for (name, frame) in [
            ("RTP", udp4(&[0x80; 172], 20_000)),
            ("INVITE", udp4(INVITE.as_bytes(), 5060)),
            ("ACK", udp4(ack.as_bytes(), 5060)),
        ] {
            let best = (0..5).map(|_| kernel.repeat(&frame, 20_000).1).min();
            println!("{program}, {name}, {} bytes: {best:?} a packet", frame.len());
        }
    }
}

#[test]
fn what_is_handed_over() {
    if !shared::privileged() {
        return;
    }
    let mut kernel = Kernel::of(maps::PROGRAM_CARRIER);
    kernel.beat(FOR_EVER);
    let text = INVITE.as_bytes();
    for (name, frame, wanted) in [
        ("ipv4", udp4(text, 5060), Decided::New),
        ("another port", udp4(text, 40_000), Decided::New),
        ("ipv6", udp6(text, 5060), Decided::New),
        ("tags", tagged(&udp4(text, 5060), &[(0x88a8, 7), (0x8100, 8)]), Decided::New),
        ("options", frames::with_options(&udp4(text, 5060)), Decided::New),
        ("compact", udp4(INVITE.replace("Call-ID:", "i:").as_bytes(), 5060), Decided::New),
        ("odd case", udp4(INVITE.replace("Call-ID:", "CALL-id:").as_bytes(), 5060), Decided::New),
        ("lf only", udp4(INVITE.replace("\r\n", "\n").as_bytes(), 5060), Decided::New),
        ("tcp", tcp4(text, 1, false), Decided::Unfit),
        ("no Call-ID", udp4(INVITE.replace("Call-ID:", "X-Id:").as_bytes(), 5060), Decided::Unfit),
        ("long", udp4(&[text, &[b'a'; 3_000]].concat(), 5060), Decided::Unfit),
    ] {
        assert_eq!(decided(&mut kernel, &frame), wanted, "{name}");
    }
    for (name, frame) in tunnels(&udp4(text, 5060)) {
        assert_eq!(decided(&mut kernel, &frame), Decided::Unfit, "{name}");
    }
}

/// An INVITE in a dialog goes on at once; one that only looks like it does not, or a
/// caller could choose not to be scored.
#[test]
fn dialogs_are_told_by_the_tag_of_to() {
    if !shared::privileged() {
        return;
    }
    let mut kernel = Kernel::of(maps::PROGRAM_CARRIER);
    kernel.beat(FOR_EVER);
    let line = "To: <sip:+442079460123@edge.example.net>";
    for (to, wanted) in [
        ("To: <sip:b@h>;tag=1", Decided::InDialog),
        ("t:<sip:b@h>;tag=1", Decided::InDialog),
        ("TO : <sip:b@h>;tag=1", Decided::New),
        ("To: \"B\" <sip:b@h>;x=y;TAG=1", Decided::InDialog),
        ("To: sip:b@h;tag=1", Decided::InDialog),
        ("To: <sip:b@h>", Decided::New),
        // The URI's own parameters, a display name, a quoted parameter.
        ("To: <sip:b@h;tag=1>", Decided::New),
        ("To: \";tag=1\" <sip:b@h>", Decided::New),
        ("To: \">;tag=1\" <sip:b@h>", Decided::New),
        ("To: <sip:b@h>;x=\";tag=1\"", Decided::New),
        ("To: <sip:b@h>;tag=1;x=\"y\"", Decided::New),
        ("To: <sip:b@h>;tagx=1", Decided::New),
        // Two of them: nobody knows which one counts.
        ("To: <sip:b@h>;tag=1\r\nTo: <sip:b@h>", Decided::New),
        ("To: <sip:b@h>\r\nt: <sip:b@h>;tag=1", Decided::New),
    ] {
        let frame = udp4(INVITE.replace(line, to).as_bytes(), 5060);
        assert_eq!(decided(&mut kernel, &frame), wanted, "{to}");
    }
}

#[test]
fn nothing_is_handed_to_the_dead_or_the_slow() {
    if !shared::privileged() {
        return;
    }
    let mut kernel = Kernel::of(maps::PROGRAM_CARRIER);
    let frame = udp4(INVITE.as_bytes(), 5060);
    let count =
        |kernel: &Kernel| (kernel.counter(Counter::SteerLate), kernel.counter(Counter::SteerBusy));
    assert_eq!((kernel.run(&frame), count(&kernel)), (PASS, (1, 0)));
    // A deadline that has passed.
    kernel.beat(1);
    assert_eq!((kernel.run(&frame), count(&kernel)), (PASS, (2, 0)));
    kernel.beat(FOR_EVER);
    kernel.backlog(Backlog { sent: steer::BACKLOG, taken: 0 });
    assert_eq!((kernel.run(&frame), count(&kernel)), (PASS, (2, 1)));
}

#[test]
fn cancel_and_ack_follow_their_invite() {
    if !shared::privileged() {
        return;
    }
    let mut kernel = Kernel::of(maps::PROGRAM_CARRIER);
    kernel.beat(FOR_EVER);
    let busy = |kernel: &Kernel| kernel.counter(Counter::SteerBusy);
    let message =
        |method: &str, id: &str| udp4(invite(id).replacen("INVITE", method, 1).as_bytes(), 5060);
    for method in ["CANCEL", "ACK"] {
        for id in ["followed@h", "i", "exactly8", &"long".repeat(70)] {
            // Not followed: it goes on, and a copy tells the engine.
            let before = busy(&kernel);
            kernel.follow(id.as_bytes(), 1);
            assert_eq!(kernel.run(&message(method, id)), PASS);
            assert_eq!((busy(&kernel), kernel.records().1.len()), (before, 1), "{method} {id}");
            // Followed: it would be handed over.
            kernel.follow(id.as_bytes(), FOR_EVER);
            assert_eq!(kernel.run(&message(method, id)), PASS);
            assert_eq!(busy(&kernel), before + 1, "{method} {id}");
            kernel.records();
        }
        // Another call's does not.
        let before = busy(&kernel);
        kernel.run(&message(method, "another"));
        assert_eq!(busy(&kernel), before);
        kernel.records();
    }
    let before = busy(&kernel);
    kernel.run(&message("BYE", "followed@h"));
    assert_eq!(busy(&kernel), before);
}

#[test]
fn the_gate_drops_before_anything_is_handed_over() {
    if !shared::privileged() {
        return;
    }
    let settings =
        Settings { gate: gate::USE_SOURCE, reserved: 0, bucket_interval: 0, bucket_burst: 0 };
    let rule = Rule { action: gate::DROP, reserved: 0, expires: 0 };
    let frame = udp4(INVITE.as_bytes(), 5060);
    for (program, action) in [(maps::PROGRAM_CARRIER, DROP), (maps::PROGRAM_CORE, PASS)] {
        let mut kernel = Kernel::of(program);
        kernel.source(24, [192, 0, 2, 0], rule);
        kernel.gate(settings);
        // What the core sends is no inbound call.
        assert_eq!(kernel.run(&frame), action, "{program}");
        let records = kernel.records();
        assert_eq!((records.0.len(), records.1.len()), (0, 0));
    }
}

#[test]
fn truncated_at_every_length() {
    if !shared::privileged() {
        return;
    }
    for program in [maps::PROGRAM_CARRIER, maps::PROGRAM_CORE] {
        let mut kernel = Kernel::of(program);
        kernel.beat(FOR_EVER);
        for frame in [udp4(INVITE.as_bytes(), 5060), udp6(INVITE.as_bytes(), 5060)] {
            for length in 14..frame.len() {
                assert_eq!(kernel.run(&frame[..length]), PASS, "{program}, cut to {length}");
            }
            kernel.records();
        }
    }
}
