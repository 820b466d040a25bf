//! The dashboard in a browser: its own tests (scorer-userspace/web/tests) against the mock
//! of the API, and the same against a tap that scores simulated calls meanwhile.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Once,
    thread::sleep,
    time::{Duration, Instant},
};

use scorer_tests::{
    lab::{CARRIER, EDGE, Lab, Running},
    scorer,
    shared::{self, root},
};

/// Loopback of the lab's own namespace, where nobody else listens.
const LISTEN: &str = "127.0.0.1:8600";

static INSTALL: Once = Once::new();

/// Where the dashboard is, with what it is built and tested with.
fn web() -> PathBuf {
    let web = root().join("scorer-userspace/web");
    INSTALL.call_once(|| npm(&web, &["ci", "--no-progress"]));
    web
}

fn npm(web: &Path, args: &[&str]) {
    let mut command = Command::new("npm");
    let status = command.args(args).current_dir(web).status();
    let status = status.expect("npm starts; `cargo xtask test` installs it");
    assert!(status.success(), "npm {}", args.join(" "));
}

#[test]
fn what_is_committed_is_what_the_sources_give() {
    let web = web();
    npm(&web, &["run", "--silent", "check"]);
    npm(&web, &["run", "--silent", "check-dist"]);
}

#[test]
fn every_page_beside_a_mock() {
    npm(&web(), &["test"]);
}

/// `scorer` with these arguments; what it prints.
fn good(args: &[&str]) -> String {
    let ran = scorer::run(args);
    assert_eq!(ran.code, 0, "{args:?}: {}", ran.err);
    ran.out
}

/// Configuration of the tap, with places for everything that the dashboard shows.
fn configured(folder: &Path) -> String {
    let path = |name: &str| folder.join(name).display().to_string();
    let text = format!(
        "[records]\nfolder = \"{}\"\n[labels]\npath = \"{}\"\n[lists]\nstore = \"{}\"\n\
         [policy]\nfile = \"{}\"\n[api]\nlisten = \"{LISTEN}\"\nrate = 1000\n",
        path("records"),
        path("labels.sqlite"),
        path("lists.sqlite"),
        root().join("packaging/policy.toml").display(),
    );
    fs::write(path("scorer.toml"), text).expect("written");
    path("scorer.toml")
}

/// Simulated calls, recorded as if they had come lately: some weeks of few, and hours of many.
fn recorded(folder: &Path, config: &str) {
    let path = |name: &str| folder.join(name).display().to_string();
    let (mix, capture) = (path("mix.toml"), path("calls.pcap"));
    // The hours' calls, one in six seconds, end minutes ago, the weeks' before these. None may
    // be later than what comes in live.
    for (calls, seed, before, rate) in [
        ("2300", "8", Duration::from_hours(28 * 24), 0.001),
        ("3000", "9", Duration::from_mins(310), 0.17),
    ] {
        let start = (jiff::Timestamp::now() - before).strftime("%FT%TZ");
        // Numbers that are nobody's: pictures are taken.
        let text = format!(
            "start = \"{start}\"\ncalls_per_second = {rate}\nhours = false\nfraud = 0.08\ndrama = true\n"
        );
        fs::write(&mix, text).expect("written");
        good(&["simulate", "--calls", calls, "--seed", seed, "--mix", &mix, "--out", &capture]);
        good(&["replay", "--config", config, "--records", &path("records"), &capture]);
    }
}

/// Whether the API answers, asked from within the lab.
fn answers(lab: &Lab) -> bool {
    lab.inside_edge(|| {
        let Ok(mut stream) = TcpStream::connect(LISTEN) else { return false };
        let request =
            format!("GET /healthz HTTP/1.1\r\nHost: {LISTEN}\r\nConnection: close\r\n\r\n");
        let mut answer = String::new();
        stream.write_all(request.as_bytes()).is_ok()
            && stream.read_to_string(&mut answer).is_ok()
            && answer.starts_with("HTTP/1.1 200")
    })
}

/// A process of the lab whose output nobody reads.
fn quiet(command: &mut Command) -> Running {
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    Running(child.expect("it starts"))
}

#[test]
fn every_page_beside_a_live_tap() {
    if !shared::privileged() {
        return;
    }
    let web = web();
    let (lab, folder) = (Lab::new(), tempfile::tempdir().expect("a folder"));
    let config = configured(folder.path());
    let store = folder.path().join("lists.sqlite").display().to_string();
    let token = |name: &str, role: &str| {
        good(&["token", "add", name, "--role", role, "--store", &store]).trim().to_owned()
    };
    let (analyst, viewer) = (token("alice", "analyst"), token("victor", "viewer"));
    recorded(folder.path(), &config);

    let tap = scorer::tap(&lab, "generic", folder.path(), &["--config", &config]);
    let start = Instant::now();
    while !answers(&lab) {
        let words = fs::read_to_string(&tap.words).unwrap_or_default();
        assert!(start.elapsed() < Duration::from_secs(20), "the API does not answer: {words}");
        sleep(Duration::from_millis(100));
    }
    let mut answering = lab.edge("sipp");
    let _answering = quiet(answering.args(["-sn", "uas", "-i", EDGE, "-p", "5060", "-nostdin"]));
    let mut calling = lab.carrier(scorer::binary());
    calling.args(["simulate", "--to", &format!("{EDGE}:5060"), "--from", &format!("{CARRIER}:0")]);
    let mix = folder.path().join("live.toml");
    fs::write(&mix, "drama = true\n").expect("written");
    // More than the tests take; ended with them.
    calling.args(["--calls", "100000", "--seed", "10", "--speed", "0.2", "--mix"]).arg(&mix);
    let _calling = quiet(&mut calling);

    let mut node = lab.edge("node");
    node.args(["--test", "--test-concurrency=1", "tests/"]).current_dir(&web);
    node.env("SCORER_URL", format!("http://{LISTEN}"));
    node.env("SCORER_TOKEN", analyst).env("SCORER_VIEWER_TOKEN", viewer).env("SCORER_LIVE", "1");
    node.env("SCORER_SCREENSHOTS", root().join("target/screenshots/live"));
    let status = node.status().expect("node starts");
    let (_, words) = tap.finish();
    assert!(status.success(), "the dashboard's tests failed; the tap said: {words}");
}
