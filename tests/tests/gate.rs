//! Rules that the kernel obeys by itself, written while programs run and after.

use std::{process::Output, thread::sleep, time::Duration};

use nix::sys::signal::Signal;
use scorer_tests::{
    bump::{Bump, CARRIER, CARRIER_SIDE, CORE, drain},
    frames::invite,
    scorer, shared,
};

const PAUSE: Duration = Duration::from_millis(300);

#[test]
fn obeyed_inline_also_while_user_space_is_down() {
    if !shared::privileged() {
        return;
    }
    let (lab, folder) = (Bump::new(), tempfile::tempdir().expect("a folder"));
    let inline = lab.inline(folder.path(), &[], "[history]\nmib = 16\n");
    let config = folder.path().join("inline.toml");
    let gate = |args: &[&str]| -> Output {
        let mut command = lab.host(scorer::binary());
        command.arg("gate").args(args).arg("--config").arg(&config).output().expect("it runs")
    };
    let must = |args: &[&str]| {
        let output = gate(args);
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {words}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let core = lab.listen(5060);
    let sent = std::sync::atomic::AtomicU32::new(0);
    // How many of three INVITEs arrive.
    let arrive = || {
        lab.inside_carrier(|| {
            let socket = std::net::UdpSocket::bind((CARRIER, 0)).expect("a port");
            for _ in 0..3 {
                let number = sent.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let text = invite(&format!("gate-{number}"));
                socket.send_to(text.as_bytes(), (CORE, 5060)).expect("sent");
            }
        });
        drain(&core, PAUSE).len()
    };
    assert_eq!(arrive(), 3);
    // In another format, and the number that the network asserts.
    must(&["add", "--number", "+44 1632 960777", "--do", "drop"]);
    assert_eq!(arrive(), 0);
    must(&["add", "--source", &format!("{CARRIER}/32"), "--do", "allow", "--for", "1h"]);
    assert_eq!(arrive(), 3, "an allow rule shields");
    must(&["remove", "--source", &format!("{CARRIER}/32")]);
    assert_eq!(arrive(), 0);
    // Also while nobody is there.
    inline.process.signal(Signal::SIGKILL);
    sleep(Duration::from_millis(100));
    assert_eq!(arrive(), 0);
    let list = must(&["list"]);
    assert!(list.contains("drop    number with hash") && !list.contains("960777"), "{list}");
    // A limit, and the end of a rule.
    must(&["remove", "--number", "+441632960777"]);
    must(&["limit", "--rate", "1", "--burst", "2", "--drop"]);
    assert!(must(&["list"]).contains("1 INVITEs a second of a source, 2 at once"));
    assert_eq!(arrive(), 2);
    must(&["limit", "--rate", "0"]);
    must(&["add", "--source", "10.97.0.0/24", "--do", "drop", "--for", "1s"]);
    assert_eq!(arrive(), 0);
    sleep(Duration::from_secs(1));
    assert_eq!(arrive(), 3, "rules end at their time");
    must(&["add", "--fingerprint", "00000000000000ff", "--do", "mark"]);
    must(&["clear"]);
    assert_eq!(must(&["list"]).lines().count(), 1);
    assert_eq!(arrive(), 3);
    // What is wrong is said.
    for (args, says) in [
        (&["remove", "--number", "+441632960777"][..], "no such rule"),
        (&["add", "--number", "alice", "--do", "drop"], "country code"),
        (&["add", "--source", "1.2.3", "--do", "drop"], "no address or prefix"),
        (&["add", "--fingerprint", "ff", "--do", "drop"], "16 hex digits"),
        (&["add", "--source", "1.2.3.4", "--do", "drop", "--for", "1y"], "s, m, h or d"),
        (&["list", "--interface", "nope"], "no programs are pinned"),
    ] {
        let output = gate(args);
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {words}");
        assert!(words.contains(says), "{args:?}: {words}");
    }
    // The next process does not change the gate.
    must(&["add", "--source", "10.97.0.0/24", "--do", "drop"]);
    let inline = lab.inline(folder.path(), &[], "[history]\nmib = 16\n");
    assert_eq!(arrive(), 0);
    let (_, words) = inline.finish();
    assert!(words.contains("in place of an earlier one"), "{words}");
}

#[test]
fn kept_by_a_tap_that_has_ended() {
    if !shared::privileged() {
        return;
    }
    let (lab, folder) = (Bump::new(), tempfile::tempdir().expect("a folder"));
    // Only for a configuration that names the lab's pins.
    let _ = lab.inline_command(folder.path(), &[], "[history]\nmib = 16\n");
    let config = folder.path().join("inline.toml");
    let run = |args: &[&str]| {
        let mut command = lab.host(scorer::binary());
        command.args(args).arg("--config").arg(&config);
        command
    };
    let mut tap = run(&["tap", "-i", CARRIER_SIDE, "--keep"]);
    let words = folder.path().join("tap.txt");
    tap.stdout(std::process::Stdio::null());
    tap.stderr(std::fs::File::create(&words).expect("a file"));
    let tap = scorer_tests::lab::Running(tap.spawn().expect("it starts"));
    let said = |text: &str| std::fs::read_to_string(&words).is_ok_and(|said| said.contains(text));
    for _ in 0..500 {
        if said("tapping") {
            break;
        }
        sleep(Duration::from_millis(20));
    }
    assert!(said("tapping"));
    let ok = |args: &[&str]| {
        let output = run(args).output().expect("it runs");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    ok(&["gate", "add", "--source", CARRIER, "--do", "drop"]);
    tap.signal(Signal::SIGINT);
    assert!(tap.wait().success());
    let attached = |wanted: bool| {
        let output = lab.host("ip").args(["link", "show", CARRIER_SIDE]).output().expect("ip");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(text.contains("xdp"), wanted, "{text}");
    };
    attached(true);
    ok(&["gate", "list"]);
    ok(&["tap", "-i", CARRIER_SIDE, "--remove"]);
    attached(false);
}
