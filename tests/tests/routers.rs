//! Kamailio with the configurations of docs/routers, as they stand there: risky calls
//! go elsewhere, refused ones get 607, others are answered, and none is lost.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::Duration,
};

use scorer_tests::{
    bump::{self, Bump},
    lab::{self, Lab, Running},
    scorer::{self, binary},
    shared, sip,
};

const CONFIG: &str = "[history]\nmib = 16\n[policy]\nfile = \"policy.toml\"\n\
                      [lists]\nfiles = [\"callers.csv\"]\n";
/// So that it does not matter what the model thinks of a lab's calls.
const CALLERS: &str = "list,value\nallow_number,+441632960999\nallow_number,+441632960031\n\
                       deny_number,+441632960011\n";
/// A machine that is busy must not look like a scorer that is slow.
const PATIENT: &str = "[inline]\ndeadline_ms = 1000\nbudget_us = 1000000\n";

const ORDINARY: &str = "+441632960999";
const SUSPECT: &str = "+441632960011";
const REFUSED: &str = "+441632960031";
const POLICY: &str = r#"
[[rule]]
name = "refused"
caller_number = "+44163296003"
action = "reject"
response = 607

[[rule]]
name = "the router decides about all others"
action = "tag"
"#;

/// Where a router, its callees and a caller are.
struct Site<'a> {
    caller: &'a dyn Fn(&str) -> Command,
    caller_address: &'a str,
    router: &'a dyn Fn(&str) -> Command,
    router_address: &'a str,
}

impl Site<'_> {
    /// SIPp in a folder of its own, for its statistics.
    fn sipp(mut command: Command, folder: &Path, address: &str) -> Command {
        fs::create_dir_all(folder).expect("a folder");
        command.current_dir(folder).args(["-i", address, "-nostdin", "-timeout", "180s"]);
        command.args(["-trace_stat", "-stf", "stat.csv", "-fd", "1"]);
        // Whatever was not expected is told when a test fails.
        command.args(["-trace_err", "-error_file", "errors.log"]);
        let errors = fs::File::create(folder.join("said.log")).expect("a file");
        command.stdout(Stdio::null()).stderr(errors);
        command
    }

    fn answering(&self, folder: &Path, port: u16) -> Running {
        let mut command = Self::sipp((self.router)("/usr/bin/sipp"), folder, self.router_address);
        command.arg("-sf").arg(shared::root().join("tests/scenarios/answering.xml"));
        // Media takes the port it is told and the next but one.
        command.args(["-p", &port.to_string(), "-mp", &(port + 3_000).to_string()]);
        Running(command.spawn().expect("sipp starts"))
    }

    fn calls(&self, folder: &Path, port: u16, caller: &str, rate: u32, count: u32) -> Running {
        let mut command = Self::sipp((self.caller)("/usr/bin/sipp"), folder, self.caller_address);
        command.arg("-sf").arg(shared::root().join("tests/scenarios/routed.xml"));
        // Media takes the port it is told and the next but one.
        command.args(["-p", &port.to_string(), "-mp", &(port + 3_000).to_string()]);
        command.args(["-key", "caller", caller, "-m", &count.to_string()]);
        command.args(["-r", &rate.to_string(), self.router_address]);
        Running(command.spawn().expect("sipp starts"))
    }

    /// A hundred calls a second in all for `seconds` through Kamailio with a
    /// configuration of docs/routers.
    fn run(&self, folder: &Path, config: &str, more: &[&str], seconds: u32) {
        let _ordinary = self.answering(&folder.join("ordinary"), 5071);
        let _desk = self.answering(&folder.join("desk"), 5081);
        let config = shared::root().join("docs/routers").join(config);
        let define = |name: &str, port: u16| {
            ["-A".to_owned(), format!("{name}=\"sip:{}:{port}\"", self.router_address)]
        };
        let mut kamailio = (self.router)("/usr/sbin/kamailio");
        kamailio.args(define("ORDINARY", 5071)).args(define("DESK", 5081)).args(more);
        let up = || {
            let mut probe = Self::sipp(
                (self.caller)("/usr/bin/sipp"),
                &folder.join("probe"),
                self.caller_address,
            );
            probe.arg("-sf").arg(shared::root().join("tests/scenarios/options.xml"));
            probe.args(["-p", "5199", "-m", "1", self.router_address]);
            probe.status().is_ok_and(|status| status.success())
        };
        let _router = sip::router(kamailio, folder, &config, self.router_address, up);
        let all = [(ORDINARY, 5210, 80), (SUSPECT, 5220, 15), (REFUSED, 5230, 5)];
        let running: Vec<_> = all
            .iter()
            .map(|(who, port, rate)| {
                self.calls(&folder.join(who), *port, who, *rate, rate * seconds)
            })
            .collect();
        let statuses: Vec<_> = running.into_iter().map(Running::wait).collect();
        for (who, _, rate) in all {
            let (good, bad, again) = sip::outcome(&folder.join(who));
            let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
            let log = read("kamailio.log")
                + &read(&format!("{who}/errors.log"))
                + &read(&format!("{who}/said.log"));
            assert_eq!(
                (good, bad),
                (u64::from(rate * seconds), 0),
                "{who}: {again} retransmissions, {statuses:?}\n{log}"
            );
        }
        // Who answered: the refused got nothing but their 607, see the scenario.
        // SIPp writes its statistics once a second.
        sleep(Duration::from_millis(1_500));
        let answered = ["ordinary", "desk"].map(|name| {
            let [calls] = sip::counts(&folder.join(name), ["IncomingCall(C)"]);
            calls
        });
        let log = fs::read_to_string(folder.join("kamailio.log")).unwrap_or_default();
        assert_eq!(answered, [u64::from(80 * seconds), u64::from(15 * seconds)], "{log}");
    }
}

fn written(folder: &Path, config: &str) {
    let mut config = config.to_owned();
    for (name, text) in [("policy.toml", POLICY), ("callers.csv", CALLERS)] {
        fs::write(folder.join(name), text).expect("written");
        config = config.replace(name, &folder.join(name).display().to_string());
    }
    fs::write(folder.join("scorer.toml"), config).expect("written");
}

/// The router is where the scorer is.
fn run_at_the_edge(lab: &Lab, folder: &Path, config: &str, more: &[&str], seconds: u32) {
    let site = Site {
        caller: &|program| lab.carrier(program),
        caller_address: lab::CARRIER,
        router: &|program| lab.edge(program),
        router_address: lab::EDGE,
    };
    site.run(folder, config, more, seconds);
}

#[test]
fn kamailio_reads_the_header() {
    if !shared::privileged() {
        return;
    }
    let (lab, folder) = (Bump::new(), tempfile::tempdir().expect("a folder"));
    let path = folder.path();
    written(path, CONFIG);
    let config = fs::read_to_string(path.join("scorer.toml")).expect("read");
    let inline = lab.inline(path, &[], &format!("{config}{PATIENT}"));
    let site = Site {
        caller: &|program| lab.carrier(program),
        caller_address: bump::CARRIER,
        router: &|program| lab.core(program),
        router_address: bump::CORE,
    };
    site.run(path, "kamailio-header.cfg", &[], 60);
    let (verdicts, words) = inline.finish();
    assert_eq!(verdicts.len(), 6_000, "{words}");
    assert!(words.contains("tagged 5700") && words.contains("rejected 300"), "{words}");
}

#[test]
fn kamailio_asks_the_redirect_server() {
    if !shared::privileged() {
        return;
    }
    let (lab, folder) = (Lab::new(), tempfile::tempdir().expect("a folder"));
    let path = folder.path();
    written(path, &format!("{CONFIG}[redirect]\nsource = \"via\"\n"));
    let mut command = lab.edge(binary());
    command.args(["redirect", "--listen", "127.0.0.1:5070", "--config"]);
    command.arg(path.join("scorer.toml")).stdout(Stdio::null());
    command.stderr(fs::File::create(path.join("words.txt")).expect("a file"));
    let _scorer = Running(command.spawn().expect("scorer starts"));
    run_at_the_edge(&lab, path, "kamailio-redirect.cfg", &["-A", "WAIT=3000"], 20);
}

#[test]
fn kamailio_asks_over_http() {
    if !shared::privileged() {
        return;
    }
    let (lab, folder) = (Lab::new(), tempfile::tempdir().expect("a folder"));
    let path = folder.path();
    written(path, &format!("{CONFIG}[deliver]\nhttp = \"127.0.0.1:9465\"\n"));
    let config = path.join("scorer.toml").display().to_string();
    let _tap = scorer::tap(&lab, "native", path, &["--config", &config]);
    run_at_the_edge(&lab, path, "kamailio-http.cfg", &["-A", "WAIT=\"900\""], 20);
}
