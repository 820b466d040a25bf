//! The HTTP API: who may ask what, what is answered, what it holds out against.

use std::{
    collections::{BTreeMap, HashSet},
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use scorer_tests::{
    frames::{invite, udp4},
    http::{Answer, Client},
    lab::{Lab, Running},
    scorer, shared,
};
use serde_json::{Value, json};

/// A folder with records of simulated calls, labels, lists and tokens, and how the scorer
/// is configured with them.
struct Site {
    folder: tempfile::TempDir,
    config: PathBuf,
    tokens: BTreeMap<&'static str, String>,
}

const ROLES: [&str; 3] = ["viewer", "analyst", "admin"];

impl Site {
    /// With so many calls recorded; `more` stands in the section `[api]`.
    fn new(calls: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let config = at("scorer.toml");
        let text = format!(
            "[numbers]\nhome_country = 44\n[lists]\nstore = \"{}\"\n[labels]\npath = \"{}\"\n[policy]\nfile = \"{}\"\n\
             [records]\nfolder = \"{}\"\n[api]\n{more}\n",
            at("lists.db").display(),
            at("labels.db").display(),
            at("policy.toml").display(),
            at("records").display()
        );
        fs::write(&config, text).expect("written");
        fs::write(at("policy.toml"), POLICY).expect("written");
        let site = Self { config, tokens: BTreeMap::new(), folder };
        if calls != "0" {
            let capture = site.path("calls.pcap");
            let capture = capture.to_str().expect("text");
            let simulated =
                scorer::run(&["simulate", "--seed", "5", "--calls", calls, "--out", capture]);
            assert_eq!(simulated.code, 0, "{}", simulated.err);
            let records = site.path("records");
            let replayed = scorer::run(&[
                "replay",
                "--config",
                site.config(),
                "--records",
                records.to_str().expect("text"),
                capture,
            ]);
            assert_eq!(replayed.code, 0, "{}", replayed.err);
        }
        site.with_tokens()
    }

    fn with_tokens(mut self) -> Self {
        for role in ROLES {
            let made =
                scorer::run(&["token", "add", role, "--role", role, "--config", self.config()]);
            assert_eq!(made.code, 0, "{}", made.err);
            self.tokens.insert(role, made.out.trim().to_owned());
        }
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn config(&self) -> &str {
        self.config.to_str().expect("text")
    }

    /// `scorer serve`, and where.
    fn serve(&self) -> (Running, SocketAddr) {
        let address = free();
        let words = File::create(self.path("serve.txt")).expect("a file");
        let child = Command::new(scorer::binary())
            .args(["serve", "--config", self.config(), "--listen", &address.to_string()])
            .stderr(words)
            .stdin(Stdio::null())
            .spawn();
        let running = Running(child.expect("scorer starts"));
        let start = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            let said = fs::read_to_string(self.path("serve.txt")).unwrap_or_default();
            assert!(start.elapsed() < Duration::from_mins(1), "it does not serve: {said}");
            sleep(Duration::from_millis(20));
        }
        (running, address)
    }

    fn as_(&self, client: &Client, role: &str) -> Client {
        client.with(&self.tokens[role])
    }
}

/// A policy for these tests.
const POLICY: &str = "[default]\naction = \"pass\"\n\n[[rule]]\nname = \"high\"\nlevel = [\"high\", \"critical\"]\naction = \"reject\"\n";

/// An address that nobody else takes in between on this host's loopback.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("an address")
}

fn problem(answer: &Answer, status: u16, what: &str) {
    assert_eq!(answer.status, status, "{what}: {}", answer.body);
    assert_eq!(answer.header("content-type"), "application/problem+json", "{what}");
    let problem = answer.json();
    assert_eq!(problem["status"], status, "{what}");
    for member in ["type", "title", "detail"] {
        assert!(problem[member].is_string(), "{what}: {problem}");
    }
}

/// All pages from a path on.
fn pages(client: &Client, path: &str) -> Vec<Value> {
    let mut items = Vec::new();
    let mut next = Value::Null;
    for _ in 0..200 {
        let sign = if path.contains('?') { '&' } else { '?' };
        let cursor = next.as_str().map_or(String::new(), |next| format!("{sign}cursor={next}"));
        let page = client.json(&format!("{path}{cursor}"));
        items.extend(page["items"].as_array().expect("items").clone());
        next = page["next"].clone();
        if next.is_null() {
            return items;
        }
    }
    panic!("{path} has no end");
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn counted(site: &Site, sql: &str) -> u64 {
    let ran = scorer::run(&["query", "--format", "csv", "--config", site.config(), sql]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    ran.out.lines().nth(1).expect("a row").trim().parse().expect("a number")
}

#[test]
fn pages_filters_and_reports_tell_what_is_recorded() {
    let site = Site::new("700", "");
    let (_serve, address) = site.serve();
    let client = site.as_(&Client::tcp(address), "analyst");
    // Everything, in pages that do not fit.
    let all = pages(&client, "/v1/calls?limit=97");
    assert_eq!(all.len() as u64, counted(&site, "SELECT count(*) FROM calls"));
    let keys: HashSet<_> = all.iter().map(|call| (text(call, "ts"), text(call, "call"))).collect();
    assert_eq!(keys.len(), all.len(), "no call twice");
    assert!(all.windows(2).all(|two| text(&two[0], "ts") >= text(&two[1], "ts")), "newest first");
    // Each filter, held against SQL of its own.
    let caller = text(
        all.iter().find(|call| text(call, "caller").starts_with("+44")).expect("one"),
        "caller",
    );
    let last = |text: &str| text[text.len() - 4..].to_owned();
    for (asked, sql) in [
        ("level=high".to_owned(), "level IN ('high', 'critical')".to_owned()),
        ("min_score=30".into(), "score >= 30".into()),
        ("tag=international".into(), "array_has(tags, 'international')".into()),
        ("outcome=completed".into(), "outcome = 'completed'".into()),
        ("country=GB".into(), "caller_country_code = 44".into()),
        (
            format!("caller={}", caller.replace('+', "%2B")),
            format!("caller = '{caller}' OR network_number = '{caller}'"),
        ),
        // In the form that it is dialled in at home.
        (
            format!("caller=0{}", &caller[3..]),
            format!("caller = '{caller}' OR network_number = '{caller}'"),
        ),
        (
            format!("q={}", last(caller)),
            format!(
                "call_id LIKE '%{0}%' OR caller LIKE '%{0}%' OR callee LIKE '%{0}%' OR network_number LIKE '%{0}%' OR fingerprint LIKE '%{0}%' OR profile LIKE '%{0}%' OR trunk LIKE '%{0}%' OR rule LIKE '%{0}%'",
                last(caller)
            ),
        ),
        ("q=100%25".into(), "false".into()),
        ("trunk=%27%20OR%20true%20--".into(), "false".into()),
        (
            "level=high&tag=international&min_score=20".into(),
            "level IN ('high', 'critical') AND array_has(tags, 'international')".into(),
        ),
    ] {
        let found = pages(&client, &format!("/v1/calls?limit=50&{asked}"));
        let expected = counted(&site, &format!("SELECT count(*) FROM calls WHERE {sql}"));
        assert_eq!(found.len() as u64, expected, "{asked}");
    }
    // Between two times.
    let (later, earlier) = (text(&all[100], "ts"), text(&all[300], "ts"));
    let between = pages(&client, &format!("/v1/calls?since={earlier}&until={later}"));
    let expected = all.iter().filter(|c| text(c, "ts") >= earlier && text(c, "ts") < later).count();
    assert_eq!(between.len(), expected);
    // One call, by its key and by its Call-ID.
    let detail = client.json(&format!("/v1/calls/{}", text(&all[7], "call")));
    for (name, value) in all[7].as_object().expect("an object") {
        assert_eq!(&detail[name], value, "{name}");
    }
    assert!(detail["features"].as_array().expect("features").len() > 300);
    // What is usual is worked out aside, and told when it is known.
    let usual = |detail: &Value| {
        detail["features"].as_array().expect("features").iter().any(|f| f["low"].is_number())
    };
    let start = Instant::now();
    while !usual(&client.json(&format!("/v1/calls/{}", text(&all[7], "call")))) {
        assert!(start.elapsed() < Duration::from_mins(2), "what is usual is never told");
        sleep(Duration::from_millis(200));
    }
    assert_eq!(detail["ladder"][0]["what"], "INVITE");
    assert!(detail["headers"].is_null() && detail["message_available"] == false);
    let id = text(&all[9], "call_id").replace('@', "%40");
    assert_eq!(client.json(&format!("/v1/calls/{id}"))["call_id"], all[9]["call_id"]);
    problem(&client.get("/v1/calls/0000000000000001"), 404, "no such call");
    // Reports count the same calls.
    let since = "since=2020-01-01";
    for by in [
        "level",
        "action",
        "outcome",
        "trunk",
        "caller_country",
        "callee_country",
        "fingerprint",
        "hour_of_week",
        "destination",
    ] {
        let report = client.json(&format!("/v1/reports/{by}?{since}&limit=500"));
        let sum: u64 = report["rows"]
            .as_array()
            .expect("rows")
            .iter()
            .map(|row| row["calls"].as_u64().expect("a count"))
            .sum();
        assert_eq!(sum, all.len() as u64, "{by}: {report}");
    }
    let report = client.json(&format!("/v1/reports/tag?{since}"));
    for row in report["rows"].as_array().expect("rows") {
        let tagged = |call: &&Value| call["tags"].as_array().expect("tags").contains(&row["key"]);
        assert_eq!(row["calls"], all.iter().filter(tagged).count(), "{row}");
    }
    let first = text(&all[all.len() - 1], "ts");
    let time = client
        .json(&format!("/v1/reports/time?since={first}&until={}&bucket=10s", text(&all[0], "ts")));
    let sum: u64 = time["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| row["calls"].as_u64().expect("a count"))
        .sum();
    assert_eq!(sum, all.len() as u64 - 1, "all but the last");
    assert!(time["rows"].as_array().expect("rows").len() > 2, "{time}");
    let trends = client.json("/v1/reports/trends?unit=week&since=300d");
    assert_eq!(trends["rows"][0]["calls"], all.len(), "{trends}");
    // Callers, and one of them.
    let profiles = pages(&client, "/v1/profiles?since=2020-01-01&limit=60");
    let sum: u64 = profiles.iter().map(|p| p["calls"].as_u64().expect("a count")).sum();
    assert_eq!(sum, all.len() as u64);
    assert!(profiles.windows(2).all(|two| two[0]["calls"].as_u64() >= two[1]["calls"].as_u64()));
    let most = &profiles[0];
    let of_most: Vec<_> = all.iter().filter(|call| call["profile"] == most["profile"]).collect();
    let different = |name: &str| {
        let values: HashSet<_> = of_most.iter().map(|call| call[name].to_string()).collect();
        values.len()
    };
    assert_eq!(most["callees"], different("callee"), "{most}");
    assert_eq!(most["last"], of_most[0]["ts"], "{most}");
    let scores = of_most.iter().filter_map(|call| call["score"].as_u64());
    assert_eq!(most["score_max"].as_u64(), scores.max(), "{most}");
    for (order, name) in [("score", "score_max"), ("last", "last")] {
        let rows = pages(&client, &format!("/v1/profiles?since=2020-01-01&order={order}&limit=60"));
        assert_eq!(rows.len(), profiles.len());
        let key = |row: &Value| (row[name].as_u64(), row[name].to_string());
        assert!(rows.windows(2).all(|two| key(&two[0]) >= key(&two[1])), "{rows:?}");
    }
    // By its id, by how that begins, by a number of it.
    let id_of_most = text(most, "profile");
    let number = of_most.iter().find_map(|call| call["caller"].as_str()).expect("a number");
    for q in [id_of_most, &id_of_most[..12], &number.replace('+', "%2B")] {
        let rows = pages(&client, &format!("/v1/profiles?since=2020-01-01&q={q}"));
        let found = rows.iter().find(|row| row["profile"] == most["profile"]).expect(q);
        assert!(found["calls"].as_u64() <= most["calls"].as_u64(), "{found}");
    }
    let sheet = client.json(&format!("/v1/profiles/{}?since=2020-01-01", text(most, "profile")));
    assert_eq!(sheet["calls_total"], most["calls"]);
    assert_eq!(sheet["looked"]["all"], true, "{}", sheet["looked"]);
    assert!(!sheet["graph"]["nodes"].as_array().expect("nodes").is_empty());
    let by_call = client.json(&format!("/v1/profiles/{id}?since=2020-01-01"));
    assert_eq!(by_call["profile"], all[9]["profile"]);
    problem(&client.get("/v1/profiles/+441632960999"), 404, "nobody");
    // What the policy would do is what it did.
    let tried = client.send("POST", "/v1/policy/simulate", &json!({"since": "2020-01-01"})).json();
    assert_eq!((&tried["calls"], &tried["changed"]), (&json!(all.len()), &json!(0)), "{tried}");
    let other = POLICY.replace("reject", "tag");
    let tried = client
        .send("POST", "/v1/policy/simulate", &json!({"text": other, "since": "2020-01-01"}))
        .json();
    assert_eq!(
        tried["changed"],
        counted(&site, "SELECT count(*) FROM calls WHERE action = 'reject'")
    );
    assert_eq!(tried["examples"][0]["then"], "tag");
    let wrong =
        client.send("POST", "/v1/policy/simulate", &json!({"text": "[[rule]]\nname = 1\n"}));
    assert!(wrong.json()["faults"][0]["line"].is_number(), "{}", wrong.body);
}

#[test]
fn each_role_sees_and_changes_what_is_its() {
    let site = Site::new("200", "");
    let (_serve, address) = site.serve();
    let open = Client::tcp(address);
    let [viewer, analyst, admin] = ROLES.map(|role| site.as_(&open, role));
    for (client, role) in [(&viewer, "viewer"), (&analyst, "analyst"), (&admin, "admin")] {
        let me = client.json("/v1/me");
        assert_eq!(me, json!({"name": role, "role": role, "masked": role == "viewer"}));
    }
    // Nobody, and somebody with a wrong token.
    problem(&open.get("/v1/me"), 401, "nobody");
    let token = &site.tokens["admin"];
    let flipped = if token.ends_with('0') { '1' } else { '0' };
    for wrong in ["x", "scorer_00000000_", &format!("{}{flipped}", &token[..token.len() - 1])] {
        problem(&open.with(wrong).get("/v1/me"), 401, wrong);
    }
    assert_eq!(open.get("/healthz").status, 200);
    assert_eq!(open.get("/readyz").status, 200);

    let calls = analyst.json("/v1/calls?limit=500");
    let calls = calls["items"].as_array().expect("items");
    let one = &calls[3];
    let (call_id, number) = (text(one, "call_id"), "+441632960123");
    let profile = text(one, "profile");
    let entry = json!({"list": "deny", "kind": "number", "value": "01632 960123", "reason": "rang from 01632 960123", "expires": "30d"});
    let case = json!({"name": "bank-1", "method": "as 01632960123", "next_call": {"action": "reject", "response": 607}, "profiles": [profile], "note": "first"});
    let label = json!({"call_id": call_id, "label": "fraud", "note": "told by +44 1632 960123"});
    let patch = json!({"note": "again", "next_call": {"action": "tag"}});
    let changes = [
        ("POST", "/v1/labels", &label, 201),
        ("POST", "/v1/lists", &entry, 201),
        ("POST", "/v1/lists", &entry, 200),
        ("POST", "/v1/cases", &case, 201),
        ("POST", "/v1/cases", &case, 409),
        ("PATCH", "/v1/cases/bank-1", &patch, 200),
        ("PATCH", "/v1/cases/nobody", &patch, 404),
    ];
    for (method, path, body, _) in changes {
        problem(&viewer.send(method, path, body), 403, path);
    }
    for (method, path, body, status) in changes {
        let answer = analyst.send(method, path, body);
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
    }
    // What was changed is there.
    let detail = analyst.json(&format!("/v1/calls/{}", text(one, "call")));
    assert_eq!(
        (&detail["label"], &detail["labels"][0]["by"]),
        (&json!("fraud"), &json!("analyst"))
    );
    assert_eq!(detail["cases"], json!(["bank-1"]));
    assert_eq!(analyst.json("/v1/labels")["items"][0]["call_id"], call_id);
    assert_eq!(analyst.json("/v1/calls?label=fraud")["items"][0]["call_id"], call_id);
    assert_eq!(analyst.json("/v1/lists?list=deny&kind=number")["items"][0]["value"], number);
    assert_eq!(analyst.json("/v1/lists?q=960123")["items"][0]["author"], "analyst");
    let case = analyst.json("/v1/cases/bank-1");
    assert_eq!(
        (&case["next_call"]["action"], case["notes"].as_array().map(Vec::len)),
        (&json!("tag"), Some(2))
    );
    let report = analyst.json("/v1/reports/level?since=2020-01-01");
    let frauds: u64 = report["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| row["fraud_labels"].as_u64().expect("a count"))
        .sum();
    assert_eq!(frauds, 1, "{report}");
    assert_eq!(analyst.json("/v1/models")["metrics"]["labelled_fraud"], 1);
    // As the command line sees it.
    let list = scorer::run(&["list", "show", "--config", site.config()]);
    assert!(list.code != 0 || list.out.contains("960123"), "{} {}", list.out, list.err);

    // No number of any call in anything that a viewer reads.
    let mut numbers: HashSet<String> = HashSet::from(["441632960123".into(), "1632960123".into()]);
    for call in calls {
        for key in ["caller", "network_number", "callee"] {
            let digits: String = text(call, key).chars().filter(char::is_ascii_digit).collect();
            if digits.len() >= 7 {
                numbers.insert(digits);
            }
        }
    }
    assert!(numbers.len() > 100);
    let key = text(one, "call");
    for path in [
        "/v1/calls?limit=500",
        &format!("/v1/calls/{key}"),
        "/v1/labels",
        "/v1/lists",
        "/v1/lists/audit",
        "/v1/cases",
        "/v1/cases/bank-1",
        "/v1/profiles?since=2020-01-01",
        &format!("/v1/profiles/{profile}?since=2020-01-01"),
        "/v1/policy",
        "/v1/reports/destination?since=2020-01-01",
        "/v1/reports/trends",
        "/v1/models",
        "/v1/system",
    ] {
        let answer = viewer.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        let found = numbers.iter().find(|number| answer.body.contains(number.as_str()));
        assert!(found.is_none(), "{path} tells {found:?}");
    }
    let tried = viewer.send(
        "POST",
        "/v1/policy/simulate",
        &json!({"text": "[default]\naction = \"drop\"\n", "since": "2020-01-01"}),
    );
    assert!(
        tried.status == 200 && tried.json()["examples"].as_array().is_some_and(|e| e.len() == 50),
        "{}",
        tried.body
    );
    assert!(!numbers.iter().any(|number| tried.body.contains(number.as_str())));
    problem(&viewer.get("/v1/lists?q=960123"), 403, "digit by digit");
    let by_digits = viewer.json("/v1/calls?q=9601");
    let shown = |call: &Value| {
        text(call, "fingerprint").contains("9601") || text(call, "profile").contains("9601")
    };
    assert!(by_digits["items"].as_array().expect("items").iter().all(shown));

    // Taken off again; the audit trail has it all, and an admin reads it.
    assert_eq!(
        analyst.send("DELETE", "/v1/lists/deny/number/%2B441632960123", &json!({})).status,
        204
    );
    problem(
        &analyst.send("DELETE", "/v1/lists/deny/number/%2B441632960123", &json!({})),
        404,
        "gone",
    );
    problem(&analyst.get("/v1/audit"), 403, "audit");
    let audit = pages(&admin, "/v1/audit?limit=5");
    let of = |what: &str, status: u16| {
        audit.iter().filter(|e| e["what"] == what && e["status"] == status).count()
    };
    assert_eq!((of("POST /v1/labels", 201), of("POST /v1/labels", 403)), (1, 1));
    assert_eq!((of("POST /v1/cases", 409), of("PATCH /v1/cases/bank-1", 200)), (1, 1));
    let removed = audit
        .iter()
        .find(|e| text(e, "what").starts_with("DELETE") && e["status"] == 204)
        .expect("it");
    assert_eq!(
        (text(removed, "who"), text(removed, "detail")),
        ("analyst", "deny_number +441632960123")
    );
    assert!(audit.iter().any(|e| e["what"] == "token add" && e["peer"] == "command line"));

    // A token that is revoked is worth nothing within seconds.
    assert_eq!(scorer::run(&["token", "revoke", "viewer", "--config", site.config()]).code, 0);
    let start = Instant::now();
    while viewer.get("/v1/me").status != 401 {
        assert!(start.elapsed() < Duration::from_mins(1), "it is still let in");
        sleep(Duration::from_millis(100));
    }
}

#[test]
fn what_makes_no_sense_is_told_so() {
    let site = Site::new("50", "rate = 10000\nopen_loopback = \"analyst\"");
    let (_serve, address) = site.serve();
    let client = Client::tcp(address);
    assert_eq!(client.json("/v1/me")["name"], "loopback");
    for path in [
        "/v1/calls?limit=0",
        "/v1/calls?limit=501",
        "/v1/calls?limit=x",
        "/v1/calls?limit=-1",
        "/v1/calls?cursor=x",
        "/v1/calls?cursor=AAAA",
        "/v1/calls?cursor=________________________",
        "/v1/calls?since=yesterday",
        "/v1/calls?since=2026-11-25&until=2020-01-01",
        "/v1/calls?level=huge",
        "/v1/calls?min_score=101",
        "/v1/calls?tag=nice",
        "/v1/calls?caller=alice",
        "/v1/calls?country=ZZZ",
        "/v1/calls?fingerprint=12",
        "/v1/calls?profile=zzzzzzzzzzzzzzzz",
        "/v1/calls?outcome=won",
        "/v1/calls?label=odd",
        "/v1/calls?action=fly",
        "/v1/calls?colour=red",
        "/v1/calls?limit=1&limit=2",
        "/v1/calls?q=%00",
        "/v1/reports/time?bucket=1x",
        "/v1/reports/time?since=2020-01-01&bucket=1s",
        "/v1/reports/level?limit=0",
        "/v1/reports/trends?unit=year",
        "/v1/reports/trends?since=1971-01-01",
        "/v1/profiles?order=best",
        "/v1/profiles?q=zz",
        "/v1/profiles/0011223344556677?wait=0",
        "/v1/profiles?cursor=eA",
        "/v1/lists?list=grey",
        "/v1/labels?cursor=eA",
        "/v1/cases?status=odd",
    ] {
        problem(&client.get(path), 400, path);
    }
    for path in [
        "/v1/nothing",
        "/v1/reports/colour",
        "/nothing",
        "/assets/none.js",
        "/v1/stream",
        "/v1/consortium",
        "/assets/..%2f..%2fCargo.toml",
    ] {
        problem(&client.get(path), 404, path);
    }
    problem(&client.ask("PUT", "/v1/calls", &[], b""), 405, "another method");
    for (body, status) in [
        (json!({"call_id": "a", "label": "odd"}), 422),
        (json!({"call_id": "", "label": "fraud"}), 422),
        (json!({"call_id": "a"}), 422),
        (json!({"call_id": "a", "label": "fraud", "more": 1}), 422),
        (json!({"call_id": "x".repeat(2_000), "label": "fraud"}), 422),
        (json!([]), 422),
    ] {
        problem(&client.send("POST", "/v1/labels", &body), status, &body.to_string());
    }
    problem(
        &client.ask("POST", "/v1/labels", &[("Content-Type", "application/json")], b"{"),
        400,
        "no JSON",
    );
    problem(&client.ask("POST", "/v1/labels", &[], b"{}"), 415, "no type");
    let huge = vec![b'x'; 3 << 20];
    let answer = client.ask("POST", "/v1/labels", &[("Content-Type", "application/json")], &huge);
    assert!(answer.status == 413 || answer.status == 0, "{answer:?}");
    for (list, kind, value) in
        [("deny", "number", "alice"), ("deny", "colour", "red"), ("deny", "source", "1.2.3.4.5")]
    {
        let entry = json!({"list": list, "kind": kind, "value": value});
        problem(&client.send("POST", "/v1/lists", &entry), 422, value);
    }
    for case in [
        json!({"name": "a b"}),
        json!({"name": ""}),
        json!({"name": "c", "profiles": ["1"]}),
        json!({"name": "c", "next_call": {"action": "fly"}}),
        json!({"name": "c", "next_call": {"action": "divert"}}),
    ] {
        problem(&client.send("POST", "/v1/cases", &case), 422, &case.to_string());
    }
    let long = client.ask("GET", &format!("/v1/calls?q={}", "x".repeat(100_000)), &[], b"");
    assert_ne!(long.status, 200);
    problem(&client.get(&format!("/v1/calls/{}", "x".repeat(2_000))), 400, "long");

    // Pages of other sites, and names that somebody else points here.
    for header in [
        ("Origin", "https://evil.example"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Host", "evil.example"),
    ] {
        problem(&client.ask("GET", "/v1/me", &[header], b""), 403, header.1);
    }
    let own = format!("http://{address}");
    let own = [("Origin", own.as_str()), ("Host", &own[7..])];
    assert_eq!(client.ask("GET", "/v1/me", &own, b"").status, 200);

    // The page, and what browsers are told.
    let page = client.get("/");
    assert!(page.status == 200 && page.header("content-type").starts_with("text/html"), "{page:?}");
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
    ] {
        assert_eq!(page.header(name), value);
    }
    let policy = page.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'self'") && policy.contains("frame-ancestors 'none'"),
        "{policy}"
    );
    assert_eq!(client.get("/v1/me").header("cache-control"), "no-store");
}

#[test]
fn too_many_requests_are_told_to_wait() {
    let site = Site::new("0", "rate = 5");
    fs::create_dir(site.path("records")).expect("a folder");
    let (_serve, address) = site.serve();
    let client = site.as_(&Client::tcp(address), "viewer");
    let answers: Vec<_> = (0..60).map(|_| client.get("/v1/me")).collect();
    let limited = answers.iter().find(|answer| answer.status == 429).expect("a limit");
    problem(limited, 429, "limited");
    assert!(limited.header("retry-after").parse::<u64>().is_ok_and(|wait| wait > 0));
    // Another's requests are another's.
    assert_eq!(site.as_(&Client::tcp(address), "admin").get("/v1/me").status, 200);
    // Guesses are slowed down; who is known already is not.
    let (rest, last) = site.tokens["admin"].split_at(site.tokens["admin"].len() - 1);
    let wrong = format!("{rest}{}", if last == "0" { "1" } else { "0" });
    let wrong = Client::tcp(address).with(&wrong);
    let guesses: Vec<_> = (0..40).map(|_| wrong.get("/v1/me").status).collect();
    assert!(guesses.contains(&429) && !guesses.contains(&200), "{guesses:?}");
    assert_eq!(site.as_(&Client::tcp(address), "admin").get("/v1/me").status, 200);
}

#[test]
fn the_network_is_let_in_by_tls_alone() {
    let site = Site::new("0", "");
    fs::create_dir(site.path("records")).expect("a folder");
    let serve = |more: &str, listen: &str| {
        let config = site.path("tls.toml");
        let text = fs::read_to_string(&site.config).expect("read") + more;
        fs::write(&config, text).expect("written");
        scorer::run(&["serve", "--config", config.to_str().expect("text"), "--listen", listen])
    };
    for (more, listen, words) in [
        ("", "0.0.0.0:0", "api.tls_cert"),
        ("", "192.0.2.1:80", "api.tls_cert"),
        ("tls_cert = \"/nowhere.pem\"", "127.0.0.1:0", "api.tls_key"),
        ("tls_cert = \"/nowhere.pem\"\ntls_key = \"/nowhere.pem\"", "127.0.0.1:0", "/nowhere.pem"),
        ("tls_client_ca = \"/nowhere.pem\"", "127.0.0.1:0", "api.tls_cert"),
        ("socket = \"/nowhere/api.sock\"", "127.0.0.1:0", "/nowhere/api.sock"),
    ] {
        let ran = serve(more, listen);
        assert!(
            ran.code == 2 && ran.err.contains(words),
            "{more} {listen}: {} {}",
            ran.code,
            ran.err
        );
    }
}

/// An authority, and certificates that it gave.
struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = parameters.self_signed(&key).expect("a certificate").pem();
        Self { issuer: rcgen::Issuer::new(parameters, key), pem }
    }

    /// Certificate and key, PEM.
    fn gives(&self, name: &str) -> (String, String) {
        let key = rcgen::KeyPair::generate().expect("a key");
        let parameters = rcgen::CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        let certificate = parameters.signed_by(&key, &self.issuer).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }
}

/// What is answered over TLS; empty when there is no handshake.
fn over_tls(
    address: SocketAddr,
    authority: &Authority,
    client: Option<(String, String)>,
    token: &str,
) -> String {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
    use std::io::{Read as _, Write as _};
    let certificate = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate(&authority.pem)).expect("an authority");
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let config = match client {
        None => builder.with_no_client_auth(),
        Some((pem, key)) => {
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM");
            builder.with_client_auth_cert(vec![certificate(&pem)], key).expect("a certificate")
        }
    };
    let name = "127.0.0.1".try_into().expect("a name");
    let session = rustls::ClientConnection::new(std::sync::Arc::new(config), name);
    let stream = std::net::TcpStream::connect(address).expect("connected");
    let mut tls = rustls::StreamOwned::new(session.expect("a session"), stream);
    let request = format!(
        "GET /v1/me HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    let mut answer = Vec::new();
    let _ = tls.write_all(request.as_bytes());
    let _ = tls.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn clients_show_a_certificate_and_a_token() {
    let authority = Authority::new();
    let (certificate, key) = authority.gives("127.0.0.1");
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("written");
        path
    };
    let tls = format!(
        "tls_cert = {:?}\ntls_key = {:?}\ntls_client_ca = {:?}",
        file("cert.pem", &certificate),
        file("key.pem", &key),
        file("ca.pem", &authority.pem)
    );
    let site = Site::new("0", &tls);
    fs::create_dir(site.path("records")).expect("a folder");
    let (_serve, address) = site.serve();
    let token = &site.tokens["viewer"];
    let client = Some(authority.gives("a-client"));
    let answer = over_tls(address, &authority, client.clone(), token);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"viewer\""), "{answer}");
    assert!(answer.contains("strict-transport-security"), "{answer}");
    let answer = over_tls(address, &authority, client, "none");
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    let answer = over_tls(address, &authority, None, token);
    assert!(!answer.contains("HTTP/1.1"), "{answer}");
    let stranger = Some(Authority::new().gives("a-client"));
    let answer = over_tls(address, &authority, stranger, token);
    assert!(!answer.contains("HTTP/1.1"), "{answer}");
    // Without TLS nothing is understood.
    assert_eq!(Client::tcp(address).get("/v1/me").status, 0);
}

/// OpenAPI, as a program of others reads it.
#[test]
fn answers_are_as_the_document_says() {
    let schemathesis = shared::root().join("target/venv-api/bin/schemathesis");
    if !schemathesis.exists() {
        assert!(
            std::env::var_os("SCORER_REQUIRE_ROOT_TESTS").is_none(),
            "schemathesis is not installed; `cargo xtask test` does it"
        );
        println!("SKIPPED: schemathesis is not installed");
        return;
    }
    let site = Site::new("120", "rate = 10000\nquery_seconds = 120\nopen_loopback = \"admin\"");
    let (_serve, address) = site.serve();
    let url = format!("http://{address}/v1/openapi.json");
    let token = format!("Authorization: Bearer {}", site.tokens["admin"]);
    let output = Command::new(schemathesis)
        .args(["run", &url, "--seed", "1", "--max-examples", "12", "--phases", "examples,coverage,fuzzing"])
        .args(["--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"])
        .args(["--exclude-path", "/v1/stream", "--request-timeout", "60", "-H", &token, "--workers", "1"])
        .env("NO_COLOR", "1")
        .current_dir(site.folder.path())
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// `scorer tap` with its API on a Unix socket.
fn tapped(folder: &Path, lab: &Lab, more: &str) -> (scorer::LiveTap, Client) {
    let socket = folder.join("api.sock");
    let config = folder.join("tap.toml");
    let text = format!(
        "[numbers]\nhome_country = 44\n[lists]\nstore = \"{}\"\n[labels]\npath = \"{}\"\n{more}[api]\nsocket = \"{}\"\nrate = 10000\n",
        folder.join("lists.db").display(),
        folder.join("labels.db").display(),
        socket.display(),
    );
    fs::write(&config, text).expect("written");
    let tap = scorer::tap(lab, "native", folder, &["--config", config.to_str().expect("text")]);
    let start = Instant::now();
    while std::os::unix::net::UnixStream::connect(&socket).is_err() {
        assert!(start.elapsed() < Duration::from_mins(1), "the API is not served");
        sleep(Duration::from_millis(20));
    }
    (tap, Client::unix(socket))
}

fn frame(call_id: &str) -> Vec<u8> {
    udp4(invite(call_id).as_bytes(), 5060)
}

#[test]
fn live_calls_are_streamed_remembered_and_labelled() {
    if !shared::privileged() {
        return;
    }
    let (lab, folder) = (Lab::new(), tempfile::tempdir().expect("a folder"));
    let (tap, admin) = tapped(folder.path(), &lab, "");
    // Whoever may open the socket is admin; others may not.
    let mode = fs::metadata(folder.path().join("api.sock")).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(admin.json("/v1/me")["role"], "admin");
    let store = folder.path().join("lists.db");
    let made = scorer::run(&[
        "token",
        "add",
        "wall",
        "--role",
        "viewer",
        "--store",
        store.to_str().expect("text"),
    ]);
    let viewer = admin.with(&made.out);
    let start = Instant::now();
    while admin.get("/readyz").status != 200 {
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", admin.get("/readyz"));
        sleep(Duration::from_millis(50));
    }
    let (mut full, mut masked) = (admin.events("/v1/stream"), viewer.events("/v1/stream"));
    let mut none = admin.events("/v1/stream?trunk=another");
    lab.send(&[frame("live-1")]);
    let call = full.next("call");
    assert_eq!((text(&call, "call_id"), text(&call, "caller")), ("live-1", "+441632960001"));
    let shown = masked.next("call");
    assert_eq!((text(&shown, "call_id"), text(&shown, "caller")), ("live-1", "+44********01"));
    assert_eq!(text(&shown, "network_number"), "+44********77");
    let rates = full.next("rates");
    assert!(rates["calls_per_min"].as_u64().is_some_and(|calls| calls >= 1), "{rates}");
    // It rings, twice, which is no outcome; then it is refused.
    for status in ["100 Trying", "180 Ringing", "183 Session Progress", "486 Busy Here"] {
        lab.send(&[udp4(&reply("live-1", status), 5060)]);
    }
    let update = full.next("update");
    assert_eq!((&update["call"], &update["code"]), (&call["call"], &json!(486)));
    // A filter lets nothing else through.
    lab.send(&[frame("live-2")]);
    assert_eq!(text(&full.next("call"), "call_id"), "live-2");
    none.next("rates");

    // Nothing is recorded: what is remembered is told.
    let calls = admin.json("/v1/calls?limit=1");
    assert_eq!(calls["items"][0]["call_id"], "live-2");
    let next = text(&calls, "next");
    let second = admin.json(&format!("/v1/calls?limit=1&cursor={next}"));
    assert_eq!((&second["items"][0]["call_id"], &second["next"]), (&json!("live-1"), &Value::Null));
    assert_eq!(admin.json("/v1/calls?outcome=rejected")["items"].as_array().map(Vec::len), Some(1));
    let detail = admin.json("/v1/calls/live-1");
    assert_eq!(
        (&detail["outcome"], &detail["message_available"]),
        (&json!("rejected"), &json!(true))
    );
    let ladder = detail["ladder"].as_array().expect("messages");
    let messages: Vec<_> = ladder.iter().map(|message| text(message, "what")).collect();
    assert_eq!(messages, ["INVITE", "180", "486"]);
    let headers = detail["headers"].as_array().expect("headers");
    let asserted = headers.iter().find(|h| h["name"] == "P-Asserted-Identity").expect("it");
    assert!(text(asserted, "value").contains("+441632960777"));
    let body = viewer.get("/v1/calls/live-1").body;
    assert!(!body.contains("1632960") && body.contains("P-Asserted-Identity"), "{body}");
    let verdict = viewer.get("/v1/calls/live-1/verdict");
    assert!(verdict.status == 200 && !verdict.body.contains("1632960"), "{}", verdict.body);
    assert!(admin.get("/v1/calls/live-1/verdict").body.contains("+441632960001"));
    assert_eq!(admin.get("/v1/calls/never/verdict?wait=20").status, 404);
    let label = json!({"call_id": "live-1", "label": "genuine"});
    assert_eq!(admin.send("POST", "/v1/labels", &label).status, 201);
    assert_eq!(admin.json("/v1/calls/live-1")["label"], "genuine");
    let report = admin.json("/v1/reports/outcome");
    assert_eq!(report["rows"].as_array().map(Vec::len), Some(2), "{report}");
    let system = admin.json("/v1/system");
    assert_eq!((text(&system, "mode"), &system["memory"]["calls"]), ("tap", &json!(2)), "{system}");
    assert!(
        system["rings"]["invites"].as_u64().is_some()
            || !system["rings"].as_object().expect("rings").is_empty()
    );
    let trail = admin.json("/v1/audit");
    assert_eq!(trail["items"][0]["detail"], "live-1 genuine");
    let (_, words) = tap.finish();
    assert!(words.contains("API on"), "{words}");
    assert!(!folder.path().join("api.sock").exists(), "the socket goes with the scorer");
}

/// A response to the INVITE of a call.
fn reply(call_id: &str, status: &str) -> Vec<u8> {
    let invite = invite(call_id);
    let of = |name: &str| invite.lines().find(|line| line.starts_with(name)).expect("a header");
    let to = format!("{};tag=callee", of("To:"));
    let lines = [
        &format!("SIP/2.0 {status}"),
        of("Via:"),
        of("From:"),
        &to,
        of("Call-ID:"),
        of("CSeq:"),
        "Content-Length: 0",
        "",
        "",
    ];
    lines.join("\r\n").into_bytes()
}

#[test]
fn a_slow_reader_loses_events_and_nothing_else() {
    if !shared::privileged() {
        return;
    }
    let (lab, folder) = (Lab::new(), tempfile::tempdir().expect("a folder"));
    let (tap, admin) = tapped(folder.path(), &lab, "");
    let mut slow = admin.events("/v1/stream");
    let calls = 12_000;
    let frames: Vec<_> = (0..calls).map(|i| frame(&format!("slow-{i}"))).collect();
    for part in frames.chunks(500) {
        lab.send(part);
        // The ring and the queue behind it are not what is tried here.
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(60) {
            sleep(Duration::from_millis(5));
        }
    }
    let start = Instant::now();
    loop {
        let system = admin.json("/v1/system");
        let seen = system["memory"]["calls"].as_u64().expect("a count")
            + system["queues"]["api"]["dropped"].as_u64().expect("a count");
        if seen >= calls {
            break;
        }
        assert!(start.elapsed() < Duration::from_mins(1), "{system}");
        sleep(Duration::from_millis(50));
    }
    // It reads now, and is told what it missed.
    let lost = slow.next("lost");
    assert!(lost["count"].as_u64().is_some_and(|count| count > 0), "{lost}");
    // Others were not held up, and no verdict is missing.
    assert_eq!(admin.get("/readyz").status, 200);
    let (verdicts, words) = tap.finish();
    assert_eq!(verdicts.lines().count() as u64, calls, "{words}");
}

#[test]
fn records_are_looked_into_as_captures_are() {
    let site = Site::new("400", "");
    let (records, capture) = (site.path("records"), site.path("calls.pcap"));
    let (records, capture) = (records.to_str().expect("text"), capture.to_str().expect("text"));
    let policy = site.path("other.toml");
    fs::write(&policy, "[default]\naction = \"tag\"\n[[rule]]\nname = \"risky\"\nscore_from = 20\ntags_any = \"international\"\naction = \"reject\"\n").expect("written");
    let policy = policy.to_str().expect("text");
    let with = |what: &[&str], from: &[&str]| {
        let args: Vec<_> = what.iter().chain(from).copied().collect();
        let ran = scorer::run(&args);
        assert_eq!(ran.code, 0, "{args:?}: {}", ran.err);
        ran.out
    };
    let stored = ["--records", records, "--since", "2020-01-01"];
    let simulate = ["policy", "simulate", "--config", site.config(), "--policy", policy];
    let of = |text: &str| {
        text.lines()
            .filter(|line| {
                !line.starts_with(' ')
                    || line.trim_start().starts_with(|c: char| c.is_ascii_digit())
            })
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let counts =
        |text: &str| of(text).into_iter().filter(|line| !line.contains(" to ")).collect::<Vec<_>>();
    assert_eq!(
        counts(&with(&simulate, &stored)),
        counts(&with(&simulate, &["--capture", capture]))
    );
    let call = scorer::run(&[
        "query",
        "--format",
        "csv",
        "--records",
        records,
        "SELECT call_id, profile FROM calls WHERE score > 20 ORDER BY ts LIMIT 1",
    ]);
    let (call_id, profile) = call.out.lines().nth(1).expect("a call").split_once(',').expect("two");
    let explain = ["policy", "explain", call_id, "--config", site.config(), "--policy", policy];
    assert_eq!(with(&explain, &stored), with(&explain, &["--capture", capture]));
    let investigate =
        ["investigate", profile, "--json", "--full-numbers", "--config", site.config()];
    let [mut a, mut b] = [&stored[..], &["--capture", capture]]
        .map(|from| serde_json::from_str::<Value>(&with(&investigate, from)).expect("JSON"));
    // What is linked rests on less evidence in records, and how sure it was is not kept.
    for sheet in [&mut a, &mut b] {
        sheet.as_object_mut().expect("an object").remove("links");
        for call in sheet["timeline"].as_array_mut().expect("calls") {
            call.as_object_mut().expect("an object").remove("confidence");
        }
    }
    assert_eq!(a, b);
}
