//! What policy says is done with calls in their path, on the wire.

use std::{net::UdpSocket, thread::sleep, time::Duration};

use scorer_tests::{
    bump::{Bump, CARRIER, CORE, Inline, drain, listen},
    frames::{fragmented, invite, tcp4, udp4},
    shared,
};

const PAUSE: Duration = Duration::from_millis(400);

const POLICY: &str = r#"
[[rule]]
name = "tagged"
caller_number = "+44163296001"
action = "tag"

[[rule]]
name = "to the desk"
caller_number = "+44163296002"
action = "divert"
divert = { user = "900", host = "desk.example.net:5090" }

[[rule]]
name = "unwanted"
caller_number = "+44163296003"
action = "reject"
response = 607

[[rule]]
name = "gone"
caller_number = "+44163296004"
action = "drop"
"#;

/// A call of one caller, who says so twice.
fn call(id: &str, caller: &str) -> String {
    invite(id)
        .replace("+441632960001", caller)
        .replace("+441632960777", caller)
        .replace("Via: SIP/2.0/UDP 192.0.2.1:5060", &format!("Via: SIP/2.0/UDP {CARRIER}:5066"))
}

/// The lab with the policy, and sockets at both ends.
struct Scene {
    lab: Bump,
    folder: tempfile::TempDir,
    carrier: UdpSocket,
    core: UdpSocket,
}

impl Scene {
    fn new() -> Self {
        let lab = Bump::new();
        let carrier = lab.inside_carrier(|| listen(CARRIER, 5066));
        let core = lab.listen(5060);
        Self { lab, folder: tempfile::tempdir().expect("a folder"), carrier, core }
    }

    fn inline(&self, args: &[&str], more: &str) -> Inline {
        let policy = self.folder.path().join("policy.toml");
        std::fs::write(&policy, POLICY).expect("written");
        let config = format!(
            "[policy]\nfile = {:?}\n[history]\nmib = 16\n[inline]\ndeadline_ms = 1000\n\
             budget_us = 1000000\n{more}",
            policy.display().to_string()
        );
        let inline = self.lab.inline(self.folder.path(), args, &config);
        // The first frames find the sockets known to the kernel.
        sleep(Duration::from_millis(100));
        inline
    }

    fn send(&self, text: &str) {
        self.carrier.send_to(text.as_bytes(), (CORE, 5060)).expect("sent");
    }

    fn texts(socket: &UdpSocket) -> Vec<String> {
        let all = drain(socket, PAUSE);
        all.into_iter().map(|text| String::from_utf8_lossy(&text).into_owned()).collect()
    }

    /// What arrived in the core, and what came back.
    fn arrived(&self) -> (Vec<String>, Vec<String>) {
        (Self::texts(&self.core), Self::texts(&self.carrier))
    }
}

fn of(method: &str, text: &str) -> String {
    text.replacen("INVITE", method, 1).replace("1 INVITE", &format!("1 {method}"))
}

#[test]
fn every_action_and_what_follows_it() {
    if !shared::privileged() {
        return;
    }
    for mode in ["native", "generic"] {
        let scene = Scene::new();
        let inline = scene.inline(&["--mode", mode], "");
        let forged = "X-Call-Risk: 0;level=low;model=forged\r\nFrom:";

        // Another caller: untouched, but for a forged header.
        let plain = call("plain", "+441632960999");
        scene.send(&plain);
        assert_eq!(scene.arrived(), (vec![plain.clone()], vec![]), "{mode}");
        let with_forged = call("forged", "+441632960999").replacen("From:", forged, 1);
        scene.send(&with_forged);
        assert_eq!(scene.arrived().0, [call("forged", "+441632960999")], "{mode}");

        // Tagged, and a retransmission the same.
        let tagged = call("tagged", "+441632960011");
        scene.send(&tagged.replacen("From:", forged, 1));
        let (first, _) = scene.arrived();
        assert_eq!(first.len(), 1);
        assert_eq!(first[0].matches("X-Call-Risk: ").count(), 1, "{}", first[0]);
        assert!(first[0].contains(";model=ensemble-1;id="), "{}", first[0]);
        let without: String =
            first[0].split_inclusive("\r\n").filter(|line| !line.starts_with("X-Call")).collect();
        assert_eq!(without, tagged);
        scene.send(&tagged.replacen("From:", forged, 1));
        assert_eq!(scene.arrived().0, first, "{mode}: a retransmission");
        scene.send(&of("CANCEL", &tagged));
        assert_eq!(scene.arrived().0, [of("CANCEL", &tagged)]);

        // Diverted, with its CANCEL and the ACK of a failure.
        let diverted = call("diverted", "+441632960021");
        for text in [&diverted, &of("CANCEL", &diverted), &of("ACK", &diverted)] {
            scene.send(text);
            let (arrived, back) = scene.arrived();
            assert_eq!((arrived.len(), back.len()), (1, 0), "{mode}");
            let line = arrived[0].lines().next().expect("a line");
            assert!(line.contains(" sip:900@desk.example.net:5090;user=phone "), "{mode}: {line}");
        }

        // Refused: answered, again, and nothing of it reaches the core.
        let refused = call("refused", "+441632960031");
        for (text, wanted) in [
            (refused.clone(), "SIP/2.0 607 Unwanted"),
            (refused.clone(), "SIP/2.0 607 Unwanted"),
            (of("ACK", &refused), ""),
            (of("CANCEL", &refused), "SIP/2.0 200 OK"),
        ] {
            scene.send(&text);
            let (arrived, back) = scene.arrived();
            assert!(arrived.is_empty(), "{mode}: {arrived:?}");
            assert_eq!(back.len(), usize::from(!wanted.is_empty()), "{mode}: {back:?}");
            assert!(back.iter().all(|text| text.starts_with(wanted)), "{mode}: {back:?}");
        }

        // Dropped.
        let dropped = call("dropped", "+441632960041");
        scene.send(&dropped);
        scene.send(&dropped);
        scene.send(&of("CANCEL", &dropped));
        assert_eq!(scene.arrived(), (vec![], vec![]), "{mode}");

        // A re-INVITE and a BYE of any of them go on.
        let dialog = call("plain", "+441632960031").replace(
            "To: <sip:+442079460123@edge.example.net>",
            "To: <sip:+442079460123@edge.example.net>;tag=x",
        );
        scene.send(&dialog);
        assert_eq!(scene.arrived().0, [dialog], "{mode}: a re-INVITE");

        let (verdicts, words) = inline.finish();
        let actions: Vec<_> = verdicts
            .iter()
            .map(|v| (v["call_id"].as_str().unwrap_or(""), v["action"].as_str().unwrap_or("")))
            .collect();
        assert_eq!(
            actions,
            [
                ("plain", "pass"),
                ("forged", "pass"),
                ("tagged", "tag"),
                ("diverted", "divert"),
                ("refused", "reject"),
                ("dropped", "drop"),
            ],
            "{mode}: {words}"
        );
        assert!(
            words.contains(
                "(passed 2, tagged 2, diverted 1, rejected 2, dropped 2, followed 5, forged 3)"
            ),
            "{mode}: {words}"
        );
    }
}

/// Emergency numbers, whatever policy says; and only watching.
#[test]
fn never_acted_on() {
    if !shared::privileged() {
        return;
    }
    let scene = Scene::new();
    let inline = scene.inline(&[], "");
    let emergency = call("sos", "+441632960031").replace("+442079460123", "112");
    scene.send(&emergency);
    assert_eq!(scene.arrived(), (vec![emergency], vec![]));
    inline.finish();
    let inline = scene.inline(&["--observe"], "");
    let forged = "X-Call-Risk: 0;level=low\r\nFrom:";
    for caller in ["+441632960011", "+441632960021", "+441632960031", "+441632960041"] {
        let text = call(caller, caller).replacen("From:", forged, 1);
        scene.send(&text);
        assert_eq!(scene.arrived(), (vec![text], vec![]), "{caller}");
    }
    let (verdicts, words) = inline.finish();
    assert_eq!(verdicts.len(), 4, "{words}");
    // What would have been done is said.
    let would = verdicts.iter().map(|v| v["would"].as_str().unwrap_or("none"));
    assert_eq!(would.collect::<Vec<_>>(), ["tag", "divert", "reject", "drop"], "{verdicts:?}");
    assert!(verdicts.iter().all(|v| v["action"] == "pass"));
}

/// INVITEs that cannot be changed go on, and are scored all the same.
#[test]
fn hard_packets() {
    if !shared::privileged() {
        return;
    }
    let scene = Scene::new();
    let inline = scene.inline(&[], "");
    let text = |id: &str| call(id, "+441632960011");
    // No room for the header: the packet is as long as the MTU allows.
    let mut long = text("long");
    long.push_str(&"x".repeat(1_500 - 28 - long.len()));
    scene.send(&long);
    assert_eq!(scene.arrived().0, [long]);
    // In fragments, in both orders, and over TCP.
    let capture = scene.lab.capture();
    let mut frames = fragmented(text("parts").as_bytes(), 21, 400);
    let mut reversed = fragmented(text("strap").as_bytes(), 22, 400);
    reversed.reverse();
    frames.extend(reversed);
    frames.push(tcp4(text("tcp").as_bytes(), 1, false));
    scene.lab.send(&frames);
    let mut arrived = capture.frames(PAUSE);
    arrived.retain(|frame| frame[12..14] == [8, 0]);
    assert_eq!(arrived, frames);
    // Each is as it was, and has its verdict out of band.
    let last = udp4(text("last").as_bytes(), 5060);
    scene.lab.send(&[last]);
    let (verdicts, words) = inline.finish();
    let mut calls: Vec<_> = verdicts.iter().filter_map(|v| v["call_id"].as_str()).collect();
    calls.sort_unstable();
    assert_eq!(calls, ["last", "long", "parts", "strap", "tcp"], "{words}");
    assert!(verdicts.iter().all(|v| v["action"] == "tag"), "{verdicts:?}");
    assert!(words.contains("too_long 1"), "{words}");
}

/// A CANCEL right behind its INVITE does not overtake it.
#[test]
fn order_is_kept() {
    if !shared::privileged() {
        return;
    }
    let scene = Scene::new();
    let inline = scene.inline(&[], "");
    for i in 0..200 {
        let text = call(&format!("order-{i}-"), "+441632960011");
        scene.send(&text);
        scene.send(&of("CANCEL", &text));
        scene.send(&text);
    }
    let (arrived, _) = scene.arrived();
    let (_, words) = inline.finish();
    assert_eq!(arrived.len(), 600, "{words}");
    for (i, three) in arrived.chunks(3).enumerate() {
        let id = format!("order-{i}-");
        assert!(three.iter().all(|text| text.contains(&id)), "{i}");
        assert!(three[0].starts_with("INVITE") && three[0].contains("X-Call-Risk"), "{i}");
        assert!(three[1].starts_with("CANCEL"), "{i}");
        assert_eq!(three[2], three[0], "{i}");
    }
}
