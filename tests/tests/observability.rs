//! Alert rules and the dashboard, with a real Prometheus that scrapes a real tap.

use std::{
    collections::BTreeSet,
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use scorer_tests::{
    lab::{FAR, Lab, Running},
    scorer, shared,
};
use serde_json::Value;

fn packaging(name: &str) -> PathBuf {
    shared::root().join("packaging").join(name)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn dashboard() -> Value {
    serde_json::from_str(&read(&packaging("grafana/scorer.json"))).expect("JSON")
}

/// Title of the panel and query, as Grafana would ask for all hosts.
fn queries(dashboard: &Value) -> Vec<(String, String)> {
    let panels = dashboard["panels"].as_array().expect("panels");
    let mut queries = Vec::new();
    for panel in panels {
        let title = panel["title"].as_str().expect("a title");
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expr = target["expr"].as_str().expect("a query");
            queries.push((title.to_owned(), expr.replace("$instance", ".*")));
        }
    }
    queries
}

/// Names of metrics in a text.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !"_:".contains(c));
    let names = words.filter(|word| {
        (word.starts_with("scorer_") || word.starts_with("process_")) && !word.contains(':')
    });
    let bare = |name: &str| {
        let parts = ["_bucket", "_sum", "_count"];
        parts.iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name).to_owned()
    };
    names.map(bare).collect()
}

#[test]
fn promtool_is_content_with_the_rules() {
    for args in [["check", "rules", "scorer.rules.yml"], ["test", "rules", "scorer.rules.test.yml"]]
    {
        let mut promtool = Command::new("promtool");
        let output = promtool.args(args).current_dir(packaging("prometheus")).output();
        let output = output.expect("promtool runs (Debian package prometheus)");
        let said = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("SUCCESS"), "{args:?}: {said}");
    }
}

#[test]
fn every_metric_and_alert_is_documented() {
    let metrics = read(&shared::root().join("docs/metrics.md"));
    let known: BTreeSet<_> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next().map(str::to_owned))
        .collect();
    let rules = read(&packaging("prometheus/scorer.rules.yml"));
    let queries = queries(&dashboard()).into_iter().map(|(_, query)| query).collect::<String>();
    let used: BTreeSet<_> = names(&rules).union(&names(&queries)).cloned().collect();
    assert!(used.len() > 30, "{used:?}");
    for name in &used {
        assert!(known.contains(name), "{name} is not in docs/metrics.md");
    }
    let alerts = read(&shared::root().join("docs/alerts.md"));
    let tests = read(&packaging("prometheus/scorer.rules.test.yml"));
    for line in rules.lines() {
        if let Some(alert) = line.trim().strip_prefix("- alert: ") {
            assert!(alerts.contains(&format!("## {alert}\n")), "{alert} is not in docs/alerts.md");
            assert!(
                tests.contains("exp_alerts") && tests.contains(&format!("alertname: {alert}\n"))
            );
            assert!(rules.contains(&format!("docs/alerts.md#{}\n", alert.to_lowercase())));
        }
    }
}

/// Head and body of what Prometheus answers; `None` while it does not listen.
fn get(path: &str) -> Option<(String, String)> {
    let mut stream = TcpStream::connect("127.0.0.1:19090").ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: x\r\n\r\n").expect("asked");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("answered");
    let (head, body) = text.split_once("\r\n\r\n").expect("a body");
    Some((head.to_owned(), body.to_owned()))
}

/// Asks Prometheus.
fn ask(path: &str) -> Value {
    let (_, body) = get(path).expect("Prometheus answers");
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
}

fn query(expr: &str) -> Value {
    let encoded: String = expr.bytes().map(|byte| format!("%{byte:02X}")).collect();
    ask(&format!("/api/v1/query?query={encoded}"))
}

/// Panels that show something of a tap which records calls.
const WITH_DATA: [&str; 16] = [
    "Calls a minute",
    "Verdict within (99 %)",
    "Lost at rings, a second",
    "Scoring thread",
    "Version",
    "Verdicts by level",
    "Verdicts by tag",
    "Kernel's stamp to verdict",
    "Latency by stage, 99 %",
    "Processor and memory",
    "In the kernel",
    "In user space",
    "Calls and dialogs",
    "Records on disk",
    "Memory",
    "Entries of lists",
];

#[test]
fn a_real_prometheus_understands_it_all() {
    if !shared::privileged() {
        return;
    }
    let (lab, folder) = (Lab::new(), tempfile::tempdir().expect("a folder"));
    let place = |name: &str| folder.path().join(name);
    let records = format!("[records]\nfolder = {:?}\n", place("records").display().to_string());
    fs::write(place("scorer.toml"), records).expect("written");
    let config = place("scorer.toml").display().to_string();
    let more = ["--metrics", "127.0.0.1:19464", "--config", &config];
    let tap = scorer::tap(&lab, "auto", folder.path(), &more);
    // Longer than the test takes: rates are of calls that come while Prometheus looks.
    let mix = "calls_per_second = 40.0\nhours = false\nduration_s = 60.0\nsubscribers = 500\ndrama = true\n";
    fs::write(place("mix.toml"), mix).expect("written");
    let mut simulate = lab.carrier(scorer::binary());
    simulate.args(["simulate", "--interface", FAR, "--calls", "100000", "--mix"]);
    let simulate = simulate.arg(place("mix.toml")).stderr(Stdio::null()).spawn();
    let _simulate = Running(simulate.expect("scorer runs"));

    let rules = packaging("prometheus/scorer.rules.yml");
    let text = format!(
        "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: [{:?}]\n\
         scrape_configs: [{{ job_name: scorer, static_configs: [{{ targets: ['127.0.0.1:19464'] }}] }}]\n",
        rules.display().to_string()
    );
    fs::write(place("prometheus.yml"), text).expect("written");
    let mut prometheus = lab.edge("prometheus");
    prometheus.arg(format!("--config.file={}", place("prometheus.yml").display()));
    prometheus.arg(format!("--storage.tsdb.path={}", place("data").display()));
    prometheus.args(["--web.listen-address=127.0.0.1:19090", "--log.level=warn"]);
    let words = fs::File::create(place("prometheus.txt")).expect("a file");
    let prometheus = prometheus.stdout(Stdio::null()).stderr(words).spawn();
    let _prometheus = Running(prometheus.expect("Prometheus runs (Debian package prometheus)"));

    lab.inside_edge(|| {
        let start = Instant::now();
        let enough = "count_over_time(scorer_latency_seconds_count[1m]) > 6 and scorer_latency_seconds_count > 100";
        loop {
            let up = get("/-/ready").is_some_and(|(head, _)| head.contains(" 200 "));
            if up && query(enough)["data"]["result"].as_array().is_some_and(|found| !found.is_empty()) {
                break;
            }
            let said = fs::read_to_string(place("prometheus.txt")).unwrap_or_default();
            assert!(start.elapsed() < Duration::from_mins(2), "no calls are scraped: {said}");
            sleep(Duration::from_millis(200));
        }
        let mut empty = BTreeSet::new();
        for (panel, expr) in queries(&dashboard()) {
            let answer = query(&expr);
            assert_eq!(answer["status"], "success", "{panel}: {expr}: {answer}");
            if answer["data"]["result"].as_array().expect("a result").is_empty() {
                empty.insert(panel);
            }
        }
        for panel in WITH_DATA {
            assert!(!empty.contains(panel), "{panel} is empty");
        }
        // Rules are evaluated each second by now.
        let rules = ask("/api/v1/rules");
        let groups = rules["data"]["groups"].as_array().expect("groups");
        let rules: Vec<_> = groups.iter().filter_map(|group| group["rules"].as_array()).flatten().collect();
        assert_eq!(rules.len(), 20);
        for rule in rules {
            assert_eq!(rule["health"], "ok", "{rule}");
            assert_ne!(rule["state"], "firing", "{rule}");
        }
        let share = query("scorer:high_risk:ratio_rate5m");
        assert_eq!(share["data"]["result"].as_array().map(Vec::len), Some(1), "{share}");
        // No label of any series of ours holds a number that called.
        let series = ask("/api/v1/series?match[]=%7Binstance%3D~%22.%2B%22%7D").to_string();
        assert!(!series.contains("+44") && !series.contains("441632") && !series.contains("442079"));
    });
    tap.finish();
}
