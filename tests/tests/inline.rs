//! The scorer in the path of calls: nothing is lost, whatever happens to it.

use std::{
    path::Path,
    process::Stdio,
    thread::sleep,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use scorer_tests::{
    bump::{Bump, CARRIER, CARRIER_SIDE, CORE, CORE_SIDE, Inline, drain},
    frames::{self, fragmented, invite, tagged, tcp4, tunnels, udp4},
    lab::Running,
    shared, sip,
};

const PAUSE: Duration = Duration::from_millis(300);

/// A machine that is busy with other tests must not look like a scorer that is dead.
const PATIENT: &str = "[inline]\ndeadline_ms = 1000\nbudget_us = 1000000\n[history]\nmib = 16\n";
/// As it is used, but for memory.
const STRICT: &str = "[history]\nmib = 16\n";

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// Kamailio in the core, answering every call.
fn kamailio(lab: &Bump, folder: &Path) -> Running {
    let up = |sipp: &mut std::process::Command| sipp.status().is_ok_and(|status| status.success());
    sip::kamailio_at(lab.core("/usr/sbin/kamailio"), folder, CORE, || {
        up(sipp(lab, folder).args([
            "-sf",
            &shared::root().join("tests/scenarios/options.xml").display().to_string(),
            "-m",
            "1",
            CORE,
        ]))
    })
}

fn sipp(lab: &Bump, folder: &Path) -> std::process::Command {
    let mut command = lab.carrier("/usr/bin/sipp");
    command.current_dir(folder).args(["-i", CARRIER, "-nostdin", "-timeout", "90s"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn calls(lab: &Bump, folder: &Path, count: u32, rate: u32) -> Running {
    let mut command = sipp(lab, folder);
    command.args(["-sn", "uac", "-d", "20", "-m", &count.to_string(), "-r", &rate.to_string()]);
    command.args(["-trace_stat", "-stf", "stat.csv", "-fd", "1", CORE]);
    Running(command.spawn().expect("sipp starts"))
}

const CALLS: u32 = 1_000;
/// More than a socket may hold.
const INVITES: usize = 3_000;
const RATE: u32 = 200;

/// Makes calls while `meanwhile` does something; none may be lost. Retransmissions.
fn no_call_is_lost(
    config: &str,
    args: &[&str],
    meanwhile: impl FnOnce(&Bump, &Path, Inline) -> Option<Inline>,
) -> (u64, String) {
    let (lab, folder) = (Bump::new(), folder());
    let path = folder.path();
    let inline = lab.inline(path, args, config);
    let _router = kamailio(&lab, path);
    let calls = calls(&lab, path, CALLS, RATE);
    let inline = meanwhile(&lab, path, inline);
    let status = calls.wait();
    let (good, bad, repeated) = sip::outcome(path);
    let words = inline.map(|inline| inline.finish().1).unwrap_or_default();
    assert_eq!((good, bad), (u64::from(CALLS), 0), "SIPp: {status}\n{words}");
    (repeated, words)
}

#[test]
fn every_call_goes_through_user_space_and_has_one_verdict() {
    if !shared::privileged() {
        return;
    }
    for mode in ["native", "generic"] {
        let (lab, folder) = (Bump::new(), folder());
        let inline = lab.inline(folder.path(), &["--mode", mode], PATIENT);
        let _router = kamailio(&lab, folder.path());
        let status = calls(&lab, folder.path(), CALLS, RATE).wait();
        let (verdicts, words) = inline.finish();
        assert_eq!(sip::outcome(folder.path()), (CALLS.into(), 0, 0), "{mode}: {status}\n{words}");
        assert_eq!(verdicts.len(), CALLS as usize, "{words}");
        assert!(
            words.contains(&format!("{CALLS} INVITEs handed over (passed {CALLS})")),
            "{words}"
        );
        assert!(words.contains("0 passed on since user space was late"), "{words}");
        // How they went is known: every one was answered and ended.
        assert!(words.contains(&format!("invites {CALLS}")), "{words}");
        let events = words
            .split("dialog_events ")
            .nth(1)
            .and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u32>().ok());
        assert!(events.is_some_and(|events| events >= 3 * CALLS), "{words}");
    }
}

/// Everything arrives as it was sent, in both directions, but INVITEs only when they
/// are due.
#[test]
fn frames_of_every_kind_go_through_untouched() {
    if !shared::privileged() {
        return;
    }
    let text = |id: &str| invite(id).into_bytes();
    let mut arp = vec![0xff; 12];
    arp.extend_from_slice(&[0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 2]);
    arp.resize(60, 0);
    let mut all = vec![
        arp,
        udp4(&[0x80; 172], 20_000),
        udp4(b"", 5060),
        udp4(&text("plain"), 5060),
        udp4(&text("elsewhere"), 40_000),
        frames::with_options(&udp4(&text("options"), 5060)),
        frames::udp6(&text("ipv6"), 5060),
        frames::with_extensions(&frames::udp6(&text("ipv6x"), 5060)),
        tcp4(&text("tcp"), 1, false),
        tcp4(b"nothing", 7, true),
        udp4(&text("cut")[..200], 5060),
        udp4(&[b"\r\n", &text("blank")[..]].concat(), 5060),
        udp4(b"BYE sip:x SIP/2.0\r\nCall-ID: plain\r\nCSeq: 2 BYE\r\n\r\n", 5060),
        udp4(b"ACK sip:x SIP/2.0\r\nCall-ID: plain\r\nCSeq: 1 ACK\r\n\r\n", 5060),
        frames::ip4(1, &[0; 64]),
    ];
    all.extend(tunnels(&udp4(&text("inside"), 5060)).into_iter().map(|(_, frame)| frame));
    all.extend(fragmented(&text("parts"), 11, 400));
    let mut reversed = fragmented(&text("strap"), 12, 400);
    reversed.reverse();
    all.extend(reversed);
    all.retain(|frame| frame.len() <= 1_514);
    for mode in ["native", "generic"] {
        let (lab, folder) = (Bump::new(), folder());
        let inline = lab.inline(folder.path(), &["--mode", mode], PATIENT);
        let (core, carrier) = (lab.capture(), lab.capture_carrier());
        for frame in &all {
            lab.send(std::slice::from_ref(frame));
            let arrived = core.frames(Duration::from_millis(60));
            assert_eq!(arrived.len(), 1, "{mode}: {}", frame.escape_ascii());
            assert_eq!(&arrived[0], frame, "{mode}");
        }
        lab.send_back(&all);
        let mut arrived = carrier.frames(PAUSE);
        arrived.retain(|frame| frame[12..14] != [0x86, 0xdd] || all.contains(frame));
        assert_eq!(arrived, all, "{mode}: from the core");
        let (verdicts, words) = inline.finish();
        let calls: Vec<_> = verdicts.iter().filter_map(|v| v["call_id"].as_str()).collect();
        // Over TCP, in tunnels and in fragments scored from copies; the core's never.
        for id in
            ["plain", "elsewhere", "options", "ipv6", "ipv6x", "tcp", "inside", "parts", "strap"]
        {
            assert!(calls.contains(&id), "{mode}: {id} is not in {calls:?}\n{words}");
        }
        assert!(words.contains("5 INVITEs handed over"), "{mode}: {words}");
    }
}

#[test]
fn vlan_tags_stay() {
    if !shared::privileged() {
        return;
    }
    let (lab, folder) = (Bump::new(), folder());
    let inline = lab.inline(folder.path(), &[], PATIENT);
    let core = lab.capture();
    let frame = tagged(&udp4(invite("tags").as_bytes(), 5060), &[(0x88a8, 7), (0x8100, 8)]);
    lab.send(std::slice::from_ref(&frame));
    let arrived = core.frames(PAUSE);
    // The receiving kernel takes the outer tag off the frame and keeps it beside it.
    let without = [&frame[..12], &frame[16..]].concat();
    assert!(arrived == [frame] || arrived == [without], "{arrived:?}");
    let (_, words) = inline.finish();
    assert!(words.contains("1 INVITEs handed over"), "{words}");
}

#[test]
fn killed_and_started_again_under_load() {
    if !shared::privileged() {
        return;
    }
    let (repeated, words) = no_call_is_lost(STRICT, &[], |lab, path, mut inline| {
        for _ in 0..3 {
            sleep(Duration::from_millis(500));
            inline.process.signal(Signal::SIGKILL);
            assert!(!inline.process.wait().success());
            sleep(Duration::from_millis(300));
            // Takes up what the killed one left, without a gap.
            inline = lab.inline(path, &[], STRICT);
            inline.wait_for("in place of an earlier one");
        }
        Some(inline)
    });
    println!("killed: {repeated} retransmissions");
    assert!(words.contains("handed over"), "{words}");
}

#[test]
fn ended_and_upgraded_under_load() {
    if !shared::privileged() {
        return;
    }
    let (repeated, _) = no_call_is_lost(STRICT, &[], |lab, path, mut inline| {
        for _ in 0..3 {
            sleep(Duration::from_millis(500));
            // Forwarding does not end with the process.
            inline.finish();
            sleep(Duration::from_millis(300));
            inline = lab.inline(path, &[], STRICT);
        }
        Some(inline)
    });
    assert_eq!(repeated, 0, "retransmissions");
}

#[test]
fn stopped_under_load() {
    if !shared::privileged() {
        return;
    }
    let (repeated, words) = no_call_is_lost(STRICT, &[], |_, _, inline| {
        for _ in 0..3 {
            sleep(Duration::from_millis(500));
            inline.process.signal(Signal::SIGSTOP);
            sleep(Duration::from_millis(700));
            inline.process.signal(Signal::SIGCONT);
        }
        Some(inline)
    });
    println!("stopped: {repeated} retransmissions");
    // Alive but wedged: the kernel noticed.
    assert!(!words.contains(" 0 passed on since user space was late"), "{words}");
}

/// Alive but wedged, one INVITE at a time: past the deadline it is in the core though
/// the process is stopped.
#[test]
fn the_deadline_is_kept() {
    if !shared::privileged() {
        return;
    }
    let (lab, folder) = (Bump::new(), folder());
    let inline = lab.inline(folder.path(), &[], STRICT);
    let core = lab.listen(5060);
    sleep(Duration::from_millis(200));
    for i in 0..20 {
        inline.process.signal(Signal::SIGSTOP);
        // The kernel's word for "stopped" comes a moment after the signal.
        let start = Instant::now();
        while !is_stopped(&inline) {
            assert!(start.elapsed() < Duration::from_secs(5), "it does not stop");
            std::hint::spin_loop();
        }
        sleep(Duration::from_millis(10));
        let id = format!("wedged-{i}");
        lab.inside_carrier(|| {
            let socket = std::net::UdpSocket::bind((CARRIER, 0)).expect("a port");
            socket.send_to(invite(&id).as_bytes(), (CORE, 5060)).expect("sent");
        });
        let mut buffer = [0; 4_096];
        let length = core.recv(&mut buffer).expect("it arrives while the scorer is stopped");
        assert!(String::from_utf8_lossy(&buffer[..length]).contains(&id));
        assert!(is_stopped(&inline));
        inline.process.signal(Signal::SIGCONT);
        sleep(Duration::from_millis(30));
    }
    let (verdicts, words) = inline.finish();
    // They were scored from copies when it went on.
    assert_eq!(verdicts.len(), 20, "{words}");
    assert!(words.contains(" 20 passed on since user space was late"), "{words}");
}

fn is_stopped(inline: &Inline) -> bool {
    let stat = format!("/proc/{}/stat", inline.process.0.id());
    let text = std::fs::read_to_string(stat).expect("the process is there");
    text.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
}

/// A socket that nobody reads takes a bounded number; the rest go on at once, and
/// those come when it is read again.
#[test]
fn a_full_socket_loses_nothing() {
    if !shared::privileged() {
        return;
    }
    let (lab, folder) = (Bump::new(), folder());
    let inline = lab.inline(folder.path(), &[], PATIENT);
    let core = lab.listen(5060);
    sleep(Duration::from_millis(200));
    let send = |ids: std::ops::Range<usize>| {
        lab.inside_carrier(|| {
            let socket = std::net::UdpSocket::bind((CARRIER, 0)).expect("a port");
            for i in ids {
                let text = invite(&format!("full-{i}-x"));
                socket.send_to(text.as_bytes(), (CORE, 5060)).expect("sent");
            }
        });
    };
    send(0..1);
    assert_eq!(drain(&core, PAUSE).len(), 1);
    inline.process.signal(Signal::SIGSTOP);
    sleep(Duration::from_millis(50));
    // Well within the deadline of a second.
    send(1..INVITES);
    let passed = drain(&core, PAUSE).len();
    assert!(passed >= INVITES - 1 - 1_024, "{passed} went on");
    inline.process.signal(Signal::SIGCONT);
    let late = drain(&core, Duration::from_secs(1)).len();
    let (_, words) = inline.finish();
    assert_eq!(1 + passed + late, INVITES, "{words}");
    assert!(!words.contains(" 0 since it was busy"), "{words}");
}

#[test]
fn slower_than_its_budget() {
    if !shared::privileged() {
        return;
    }
    // A development build takes longer than this.
    let slow = "[inline]\nbudget_us = 100\ndeadline_ms = 1000\n[history]\nmib = 16\n";
    let (repeated, words) = no_call_is_lost(slow, &[], |_, _, inline| Some(inline));
    assert_eq!(repeated, 0, "retransmissions");
    assert!(words.contains("late "), "{words}");
}

#[test]
fn interfaces_down_and_up_under_load() {
    if !shared::privileged() {
        return;
    }
    for interface in [CARRIER_SIDE, CORE_SIDE] {
        let (repeated, _) = no_call_is_lost(STRICT, &[], |lab, _, inline| {
            let set = |state: &str| {
                let status = lab.host("ip").args(["link", "set", interface, state]).status();
                assert!(status.is_ok_and(|status| status.success()));
            };
            sleep(Duration::from_millis(500));
            set("down");
            sleep(Duration::from_millis(300));
            set("up");
            Some(inline)
        });
        // What was under way while it was down SIP repairs.
        println!("{interface} down and up: {repeated} retransmissions");
    }
}

#[test]
fn without_a_model_the_programs_of_before_stay() {
    if !shared::privileged() {
        return;
    }
    let (lab, folder) = (Bump::new(), folder());
    let inline = lab.inline(folder.path(), &[], STRICT);
    inline.finish();
    let args = ["--carrier", CARRIER_SIDE, "--core", CORE_SIDE, "--model", "/nonexistent.onnx"];
    let output = lab.inline_command(folder.path(), &args, STRICT).output().expect("it runs");
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{words}");
    assert!(words.contains("/nonexistent.onnx"), "{words}");
    let core = lab.listen(5060);
    lab.inside_carrier(|| {
        let socket = std::net::UdpSocket::bind((CARRIER, 0)).expect("a port");
        socket.send_to(invite("still").as_bytes(), (CORE, 5060)).expect("sent");
    });
    assert_eq!(drain(&core, PAUSE).len(), 1);
    // Until they are taken off: then the host is no bridge any more.
    let remove = ["--carrier", CARRIER_SIDE, "--core", CORE_SIDE, "--remove"];
    let output = lab.inline_command(folder.path(), &remove, STRICT).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let again = lab.inline_command(folder.path(), &remove, STRICT).output().expect("it runs");
    assert_eq!(again.status.code(), Some(2));
    lab.inside_carrier(|| {
        let socket = std::net::UdpSocket::bind((CARRIER, 0)).expect("a port");
        let _ = socket.send_to(invite("no more").as_bytes(), (CORE, 5060));
    });
    assert_eq!(drain(&core, PAUSE).len(), 0);
}

#[test]
fn wrong_use_is_said() {
    if !shared::privileged() {
        return;
    }
    let (lab, folder) = (Bump::new(), folder());
    let says = |args: &[&str], config: &str, text: &str| {
        let output = lab.inline_command(folder.path(), args, config).output().expect("it runs");
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {words}");
        assert!(words.contains(text), "{args:?}: {words}");
    };
    says(&[], "", "no interfaces");
    says(&["--carrier", "nope", "--core", CORE_SIDE], "", "no network interface nope");
    says(&["--carrier", CORE_SIDE, "--core", CORE_SIDE], "", "the same interface");
    says(&["--carrier", CARRIER_SIDE], "", "--core");
    says(&["--nic", CARRIER_SIDE], "", "--local");
    let elsewhere = "[inline]\nheader = \"a b\"\n";
    says(&["--carrier", CARRIER_SIDE, "--core", CORE_SIDE], elsewhere, "name of a SIP header");
    let command = &mut lab.host(scorer_tests::scorer::binary());
    let config = folder.path().join("nowhere.toml");
    std::fs::write(&config, format!("[kernel]\npins = {:?}\n", folder.path())).expect("written");
    command
        .args(["inline", "--carrier", CARRIER_SIDE, "--core", CORE_SIDE, "--config"])
        .arg(config);
    let output = command.output().expect("it runs");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("is not on a BPF file system"), "{words}");
}
