//! The redirect server with SIPp as the router.

use std::{
    fs::File,
    net::SocketAddr,
    path::Path,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::sleep,
    time::{Duration, Instant},
};

use scorer::{
    engine::{Assessment, Engine, EngineConfig},
    features,
    model::Model,
    policy::{Decision, Response},
    verdict::redirect::{Alone, Listener, RedirectConfig, RedirectStats, Server},
};
use scorer_common::verdict::Action;
use scorer_tests::{
    lab::{EDGE, Lab, Running},
    scorer as binary,
    shared::{self, root},
    sip,
};

/// SIPp going through a scenario `count` times; whether all of them went well.
fn asks(lab: &Lab, folder: &Path, scenario: &str, count: u32, rate: u32) -> bool {
    let mut command = sip::sipp(lab, folder);
    command.arg("-sf").arg(root().join("tests/scenarios").join(scenario));
    command.args(["-m", &count.to_string(), "-r", &rate.to_string(), "-trace_stat"]);
    command.args(["-stf", "stat.csv", "-fd", "1", &format!("{EDGE}:5070")]);
    let status = command.status().expect("sipp runs");
    let (good, bad, _) = sip::outcome(folder);
    status.success() && (good, bad) == (u64::from(count), 0)
}

/// A policy of two lines: calls to one number are unwanted, others may go on.
fn decided(assessment: &Assessment<'_>) -> Decision<'static> {
    match assessment.callee {
        b"+442079460607" => {
            Decision { action: Action::Reject, response: Response::Unwanted, ..Decision::PASS }
        }
        _ => Decision::PASS,
    }
}

#[test]
fn calls_go_on_or_are_refused_as_policy_says() {
    if !shared::privileged() {
        return;
    }
    let (lab, folder) = (Lab::new(), tempfile::tempdir().expect("a folder"));
    let model = Arc::new(Model::builtin(&features::names()).expect("the built-in model"));
    let mut engine = Engine::new(&EngineConfig::default(), model).expect("an engine");
    let stats = Arc::new(RedirectStats::default());
    let listen: SocketAddr = format!("{EDGE}:5070").parse().expect("an address");
    let config = RedirectConfig { listen: Some(listen), ..RedirectConfig::default() };
    let stop = AtomicBool::new(false);
    let (went_on, refused) = std::thread::scope(|scope| {
        let (lab, stop, counters) = (&lab, &stop, Arc::clone(&stats));
        let server = scope.spawn(move || {
            lab.inside_edge(|| {
                let listener = Listener::bind(&config).expect("bound");
                let server = Server::new(config, listener.local(), counters);
                let mut alone = Alone::new(listener, server, 1024);
                let result = alone.run(
                    stop,
                    &mut |frame, _, also| {
                        engine.inspect(frame, &mut |assessment| {
                            let decision = decided(assessment);
                            also(&Assessment { decision, ..*assessment });
                        });
                    },
                    &mut |_| {},
                );
                result.expect("it serves");
            });
        });
        let went_on = asks(lab, folder.path(), "redirect_302.xml", 200, 100);
        let refused = asks(lab, folder.path(), "redirect_607.xml", 200, 100);
        stop.store(true, Ordering::Release);
        server.join().expect("it ends");
        (went_on, refused)
    });
    assert!(went_on && refused, "{went_on} {refused} {stats:?}");
    assert_eq!(stats.answers().collect::<Vec<_>>(), [(302, 200), (607, 200)]);
    let events = &stats.events;
    assert_eq!((events.invites.get(), events.acks.get()), (400, 400));
    assert_eq!((events.malformed.get(), events.send_failed.get()), (0, 0));
}

#[test]
fn the_command_answers_a_router() {
    if !shared::privileged() {
        return;
    }
    let (lab, folder) = (Lab::new(), tempfile::tempdir().expect("a folder"));
    let (out, words) = (folder.path().join("out"), folder.path().join("words"));
    let mut command = lab.edge(binary::binary());
    command.args(["redirect", "--listen", &format!("{EDGE}:5070"), "--format", "jsonl"]);
    command.stdin(Stdio::null()).stdout(File::create(&out).expect("a file"));
    command.stderr(File::create(&words).expect("a file"));
    let scorer = Running(command.spawn().expect("scorer starts"));
    let said = || std::fs::read_to_string(&words).unwrap_or_default();
    let start = Instant::now();
    while !said().contains("answering INVITEs") {
        assert!(start.elapsed() < Duration::from_secs(10), "it does not come up: {}", said());
        sleep(Duration::from_millis(20));
    }
    // Routers probe with OPTIONS.
    let mut probe = sip::sipp(&lab, folder.path());
    probe.arg("-sf").arg(root().join("tests/scenarios/options.xml"));
    probe.args(["-m", "1", &format!("{EDGE}:5070")]);
    assert!(probe.status().expect("sipp runs").success());
    assert!(asks(&lab, folder.path(), "redirect_302.xml", 300, 100), "{}", said());
    scorer.signal(nix::sys::signal::Signal::SIGINT);
    assert!(scorer.wait().success());
    let words = said();
    assert_eq!(std::fs::read_to_string(&out).expect("lines").lines().count(), 300, "{words}");
    assert!(words.contains("redirect: invites 300, scored 300, acks 300, options 1"), "{words}");
    assert!(words.contains("answers: 200 1, 302 300"), "{words}");
    assert!(words.contains("whoever reaches it"), "it warns: {words}");
}

#[test]
fn an_address_in_use_is_said() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").expect("bound");
    let address = taken.local_addr().expect("an address").to_string();
    let mut command = std::process::Command::new(binary::binary());
    let output = command.args(["redirect", "--listen", &address]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("choose another address"), "{error}");
    let mut command = std::process::Command::new(binary::binary());
    let output = command.arg("redirect").output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--listen"));
}
