//! The redirect server with SIPp as the router.

use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
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
    frames::invite,
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

/// `scorer redirect` at the edge.
struct Answering {
    process: Running,
    out: PathBuf,
    words: PathBuf,
}

impl Answering {
    /// Starts it with a configuration, and waits until it answers.
    fn start(lab: &Lab, folder: &Path, config: &str) -> Self {
        let path = |name: &str| folder.join(name);
        let (out, words) = (path("out"), path("words"));
        std::fs::write(path("scorer.toml"), config).expect("written");
        let mut command = lab.edge(binary::binary());
        command.args(["redirect", "--listen", &format!("{EDGE}:5070"), "--format", "jsonl"]);
        command.arg("--config").arg(path("scorer.toml")).stdin(Stdio::null());
        command.stdout(File::create(&out).expect("a file"));
        command.stderr(File::create(&words).expect("a file"));
        let process = Running(command.spawn().expect("scorer starts"));
        let said = || std::fs::read_to_string(&words).unwrap_or_default();
        let start = Instant::now();
        while !said().contains("answering INVITEs") {
            assert!(start.elapsed() < Duration::from_secs(10), "it does not come up: {}", said());
            sleep(Duration::from_millis(20));
        }
        Self { process, out, words }
    }

    /// Ends it; its verdicts and what it said.
    fn finish(self) -> (String, String) {
        self.process.signal(nix::sys::signal::Signal::SIGINT);
        assert!(self.process.wait().success());
        let read = |path: &Path| std::fs::read_to_string(path).expect("output");
        (read(&self.out), read(&self.words))
    }
}

#[test]
fn a_policy_decides_what_is_answered() {
    if !shared::privileged() {
        return;
    }
    let (lab, folder) = (Lab::new(), tempfile::tempdir().expect("a folder"));
    let policy = folder.path().join("policy.toml");
    std::fs::write(
        &policy,
        "[destinations]\nunwanted = \"+442079460607\"\nwatched = \"+442079460700\"\n\
         [[rule]]\nname = \"open\"\ndestination = \"unwanted\"\naction = \"reject\"\nresponse = 607\n\
         [[rule]]\nname = \"desk\"\ndestination = \"watched\"\naction = \"divert\"\n\
         divert = { user = \"fraud-desk\", host = \"192.0.2.9:5080\" }\n\
         [[rule]]\nname = \"rest\"\nscore_from = 0\naction = \"pass\"\n",
    )
    .expect("written");
    let config = format!("[policy]\nfile = \"{}\"\n", policy.display());
    let scorer = Answering::start(&lab, folder.path(), &config);
    assert!(asks(&lab, folder.path(), "redirect_302.xml", 50, 100));
    assert!(asks(&lab, folder.path(), "redirect_607.xml", 50, 100));
    let diverted = lab.inside_edge(|| {
        let router = std::net::UdpSocket::bind((EDGE, 6000)).expect("bound");
        router.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
        let invite = invite("diverted@h")
            .replace("+442079460123", "+442079460700")
            .replace("5060;branch=", "5060;rport;branch=");
        let mut answers = Vec::new();
        // Twice: a retransmission gets the same to the byte.
        for _ in 0..2 {
            router.send_to(invite.as_bytes(), (EDGE, 5070)).expect("sent");
            let mut bytes = [0; 4096];
            let (length, _) = router.recv_from(&mut bytes).expect("an answer");
            answers.push(String::from_utf8_lossy(&bytes[..length]).into_owned());
        }
        answers
    });
    let (lines, words) = scorer.finish();
    assert_eq!(diverted[0], diverted[1]);
    let contact = "Contact: <sip:fraud-desk@192.0.2.9:5080;user=phone>\r\n";
    assert!(diverted[0].contains(contact), "{}", diverted[0]);
    assert_eq!(lines.matches("\"action\":\"reject\"").count(), 50, "{words}");
    assert!(words.contains("answers: 302 51, 607 50"), "{words}");
    assert!(words.contains("retransmissions 1"), "{words}");
}

#[test]
fn the_command_answers_a_router() {
    if !shared::privileged() {
        return;
    }
    let (lab, folder) = (Lab::new(), tempfile::tempdir().expect("a folder"));
    let scorer = Answering::start(&lab, folder.path(), "");
    // Routers probe with OPTIONS.
    let mut probe = sip::sipp(&lab, folder.path());
    probe.arg("-sf").arg(root().join("tests/scenarios/options.xml"));
    probe.args(["-m", "1", &format!("{EDGE}:5070")]);
    assert!(probe.status().expect("sipp runs").success());
    assert!(asks(&lab, folder.path(), "redirect_302.xml", 300, 100));
    let (lines, words) = scorer.finish();
    assert_eq!(lines.lines().count(), 300, "{words}");
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
