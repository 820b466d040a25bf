//! `scorer list` and what lists do to calls: live, in captures, and when their store
//! cannot be used.

use std::{
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

use scorer_tests::{
    calls::{self, Invite, capture, tags, texts},
    frames::udp4,
    lab::Lab,
    model,
    scorer::{self, LiveTap, Ran, run},
    shared,
};
use serde_json::Value;

/// A folder with a configuration, a place for a store of lists, two trunks, and a model
/// that says 50 of every call.
struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let site = Self { folder: tempfile::tempdir().expect("a folder") };
        let config = format!(
            "[numbers]\nhome_country = 44\n[lists]\nstore = {:?}\n[history]\nmib = 16\n\
             [sources]\ntrunks = [\"carrier-a 192.0.2.0/24\", \"carrier-b 198.51.100.0/24\"]\n",
            site.store().display().to_string(),
        );
        model::constant(&site.path("model.onnx"), 50);
        std::fs::write(site.path("scorer.toml"), config).expect("written");
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn store(&self) -> PathBuf {
        self.path("lists.sqlite")
    }

    fn model(&self) -> String {
        self.path("model.onnx").display().to_string()
    }

    fn list(&self, args: &[&str]) -> Ran {
        let config = self.path("scorer.toml").display().to_string();
        run(&[&["list", "--config", &config, "--by", "ann"], args].concat())
    }

    /// The same where it must go well; what it wrote.
    fn must(&self, args: &[&str]) -> String {
        let ran = self.list(args);
        assert_eq!(ran.code, 0, "{args:?}: {}", ran.err);
        ran.out
    }

    /// Verdicts of a capture.
    fn replay(&self, calls: &[Invite]) -> Vec<Value> {
        let file = self.path("calls.pcap");
        capture(&file, calls);
        let config = self.path("scorer.toml").display().to_string();
        let (file, model) = (file.display().to_string(), self.model());
        let ran =
            run(&["replay", "--format", "jsonl", "--config", &config, "--model", &model, &file]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        let verdicts: Vec<_> = ran.out.lines().map(calls::verdict).collect();
        assert_eq!(verdicts.len(), calls.len(), "{}", ran.err);
        verdicts
    }

    fn one(&self, call: Invite) -> Value {
        self.replay(&[call]).remove(0)
    }
}

/// List and effect of the entry that stood behind a score.
fn listed(verdict: &Value) -> (&str, &str) {
    let of = |key: &str| verdict["listed"][key].as_str().unwrap_or("-");
    (of("list"), of("effect"))
}

const DENIED: (&str, &str) = ("deny_number", "raised");

/// Withheld, shown as another, or written in another way: one caller, told by what the
/// network asserts; with wholly another number, told by its signalling.
#[test]
fn a_denied_caller_in_every_guise() {
    let site = Site::new();
    let caller = "+441632960777";
    site.must(&["add", "deny_number", "01632 960777", "--reason", "threatened \"staff\""]);
    let guises = [
        Invite::of("+441632960001", caller),
        Invite::of("+442079460999", caller),
        Invite::withheld(caller),
        Invite::withheld("01632960777"),
        Invite::of("+441632960001", "00441632960777"),
        Invite::of("+441632960001", "441632960777"),
        Invite::of("+441632960001", "+44-1632-960777"),
        Invite::of("+441632960001", "%2B441632960777"),
        // Without a network's number the one shown counts.
        Invite::of(caller, "").without("P-Asserted-Identity"),
    ];
    for verdict in site.replay(&guises) {
        assert_eq!(listed(&verdict), DENIED, "{verdict}");
        assert_eq!(verdict["level"], "critical", "{verdict}");
        let first = texts(&verdict).remove(0);
        assert!(first.contains("threatened \"staff\""), "{first}");
        assert!(tags(&verdict).contains(&"denylisted"), "{verdict}");
        assert_eq!(verdict["listed"]["model_score"], 50);
    }
    // He comes with another number altogether: first by what the header order tells,
    // which others may share, then by how he signals in all.
    let other = || Invite::of("+441632960002", "+441632960002");
    let verdict = site.one(other());
    assert_eq!(verdict["listed"], Value::Null, "{verdict}");
    let signature = verdict["signature"].as_str().expect("a signature").to_owned();
    let (fingerprint, profile) = {
        let parts: Vec<_> = signature.split('_').collect();
        (parts[5].to_owned(), parts[7].to_owned())
    };
    site.must(&["add", "deny_fingerprint", &signature, "--reason", "his header order"]);
    let verdict = site.one(other());
    assert_eq!(listed(&verdict), ("deny_fingerprint", "raised"), "{verdict}");
    assert_eq!(verdict["level"], "high");
    site.must(&["add", "deny_profile", &profile, "--reason", "his equipment"]);
    for call in [other(), Invite::withheld("+442079460123")] {
        let verdict = site.one(call);
        assert_eq!(listed(&verdict), ("deny_profile", "raised"), "{verdict}");
        assert_eq!(verdict["level"], "critical");
        assert!(texts(&verdict)[0].contains("his equipment"), "{verdict}");
    }
    // A call of other equipment is nobody's.
    let stranger = other().without("Record-Route").without("Min-SE").with("X-Exchange: 7");
    assert_eq!(site.one(stranger)["listed"], Value::Null);
    // What was given as a signature is kept as the part that the list is of.
    let show = site.must(&["show", "--format", "jsonl"]);
    let values: Vec<_> = show.lines().map(|line| calls::verdict(line)["value"].clone()).collect();
    assert_eq!(values, [fingerprint.as_str(), "+441632960777", profile.as_str()]);
    assert_eq!(site.must(&["show", &signature]).lines().count(), 3, "a heading and two");
}

/// Every way in which an entry can name a call.
#[test]
fn ranges_sources_and_trunks() {
    let site = Site::new();
    let call = || Invite::of("+441632960001", "+441632960001");
    for (list, value) in [
        ("deny_range", "+44163296"),
        ("deny_range", "+441632960000-+441632960009"),
        ("deny_source", "192.0.2.0/28"),
        ("deny_trunk", "carrier-a"),
    ] {
        assert_eq!(site.one(call())["listed"], Value::Null, "{list}");
        site.must(&["add", list, value]);
        let verdict = site.one(call());
        assert_eq!((listed(&verdict), &verdict["level"]), ((list, "raised"), &"critical".into()));
        site.must(&["remove", list, value]);
    }
    // The narrowest counts: an allowed number in a denied range.
    site.must(&["add", "deny_range", "+44163296"]);
    site.must(&["add", "allow_number", "+441632960001"]);
    assert_eq!(site.one(call())["listed"]["list"], "allow_number");
    assert_eq!(site.one(call())["level"], "low");
    // Entries end at their time, in the packets' clock.
    site.must(&["add", "deny_number", "+441632960001", "--expires", "2025-10-09T08:53:21Z"]);
    let [before, after] = [0, 2].map(|second| call().at(second));
    let verdicts = site.replay(&[before, after]);
    assert_eq!(verdicts[0]["listed"]["list"], "deny_number", "{}", verdicts[0]);
    assert_eq!(verdicts[1]["listed"]["list"], "allow_number", "{}", verdicts[1]);
}

/// The own exchange's numbers are low, whatever the model says, unless the signalling
/// says that it cannot be the exchange; then the first reason says which it was.
#[test]
fn an_allowed_number_unless_the_signalling_contradicts() {
    let site = Site::new();
    site.must(&[
        "add",
        "allow_range",
        "+441632960000-+441632960099",
        "--from",
        "carrier-a",
        "--reason",
        "main exchange",
    ]);
    let own = || Invite::of("+441632960001", "+441632960001");
    let verdict = site.one(own());
    assert_eq!(listed(&verdict), ("allow_range", "capped"), "{verdict}");
    assert_eq!(verdict["level"], "low");
    assert_eq!((&verdict["score"], &verdict["listed"]["model_score"]), (&39.into(), &50.into()));
    assert_eq!(verdict["listed"]["reason"], "main exchange");
    assert!(tags(&verdict).contains(&"allowlisted"));
    // An extension that shows the main number of the same exchange.
    let verdict = site.one(Invite::of("+441632960000", "+441632960042"));
    assert_eq!((listed(&verdict).1, &verdict["level"]), ("capped", &"low".into()), "{verdict}");

    let elsewhere = own().from([198, 51, 100, 9]);
    for (call, says) in [
        (elsewhere, "from a source it does not use"),
        (Invite::of("+441632960001", "+442079460999"), "the one shown and the network's differ"),
        (
            own().with("Identity: this.is.no;info=<sip:x>;alg=ES256;ppt=shaken"),
            "a signature that fails",
        ),
    ] {
        let verdict = site.one(call);
        assert_eq!(listed(&verdict), ("allow_range", "contradicted"), "{says}: {verdict}");
        assert_eq!(
            (&verdict["score"], &verdict["level"]),
            (&50.into(), &"medium".into()),
            "{says}"
        );
        let first = texts(&verdict).remove(0);
        assert!(first.contains("allow-listed number") && first.contains(says), "{first}");
        assert!(!tags(&verdict).contains(&"allowlisted"), "{verdict}");
    }
    // Denied by how it is signalled: both are said.
    let signature = site.one(own())["signature"].as_str().expect("a signature").to_owned();
    site.must(&["add", "deny_profile", &signature, "--reason", "a stolen account"]);
    let verdict = site.one(own());
    assert_eq!(
        (listed(&verdict), &verdict["level"]),
        (("deny_profile", "contradicted"), &"critical".into())
    );
    let said = texts(&verdict);
    assert!(said[0].contains("a stolen account"), "{said:?}");
    assert!(said[1].contains("but a deny list names the call"), "{said:?}");
}

#[test]
fn commands_and_what_they_say() {
    let site = Site::new();
    // What is wrong is said, and makes no store.
    for (args, says) in [
        (&["show"][..], "there is no list store"),
        (&["remove", "deny_number", "+441632960001"], "there is no list store"),
        (&["export"], "there is no list store"),
        (&["audit"], "there is no list store"),
        (&["add", "deny_numbr", "+441632960001"], "deny_number"),
        (&["add", "deny_number", "alice"], "must be a number of at most 18 digits"),
        (&["add", "deny_range", "+45-+44"], "must be a prefix of 1 to 15 digits, or FIRST-LAST"),
        (&["add", "deny_source", "192.0.2.0/33"], "such as 192.0.2.0/24"),
        (&["add", "deny_trunk", "a b"], "the name of a trunk"),
        (&["add", "deny_profile", "xyz"], "16 hex digits"),
        (&["add", "deny_number", "+441632960001", "--expires", "soon"], "such as 30d, 12h, 90m"),
    ] {
        let ran = site.list(args);
        assert_eq!(ran.code, 2, "{args:?}: {}", ran.err);
        assert!(ran.err.starts_with("error: ") && ran.err.contains(says), "{args:?}: {}", ran.err);
        assert!(!site.store().exists(), "{args:?}");
    }
    for (args, says) in [
        (&["add", "consortium", "+441632960001"][..], "stand in lists.files"),
        (&["add", "deny_number", "+441632960001", "--from", "a"], "only an entry that allows"),
        (&["add", "deny_number", "+441632960001", "--reason", "a\u{1b}[2J"], "control characters"),
        (&["import", "/nonexistent.csv"], "cannot read /nonexistent.csv"),
    ] {
        let ran = site.list(args);
        assert_eq!(ran.code, 2, "{args:?}: {}", ran.err);
        assert!(ran.err.contains(says), "{args:?}: {}", ran.err);
    }
    let ran = run(&["list", "show"]);
    assert!(
        ran.code == 2 && ran.err.contains("give --store FILE, or --config FILE"),
        "{}",
        ran.err
    );

    // What is odd is warned of.
    for (args, says) in [
        (&["add", "deny_trunk", "carrier-x"][..], "has no trunk carrier-x"),
        (
            &["add", "allow_number", "+441632960001", "--from", "carier-a 203.0.113.0/24"],
            "carier-a",
        ),
        (&["add", "deny_number", "+441632960002", "--expires", "2020-01-01"], "is over already"),
    ] {
        let ran = site.list(args);
        assert!(
            ran.code == 0 && ran.err.contains("warning: ") && ran.err.contains(says),
            "{}",
            ran.err
        );
    }
    let store = site.path("national.sqlite").display().to_string();
    let ran = run(&["list", "--store", &store, "add", "deny_number", "01632960001"]);
    assert!(ran.code == 0 && ran.err.contains("has no country code"), "{}", ran.err);

    // A change, and the trail of it.
    site.must(&[
        "add",
        "deny_number",
        "+441632960003",
        "--reason",
        "rude",
        "--expires",
        "2030-01-01",
    ]);
    site.must(&["add", "deny_number", "01632960003", "--reason", "rude, twice"]);
    let shown = site.must(&["show", "+441632960003"]);
    assert!(shown.contains("rude, twice") && shown.contains(" ann "), "{shown}");
    assert_eq!(site.must(&["show", "--list", "deny_number"]).lines().count(), 2, "one is over");
    assert_eq!(site.must(&["show", "--list", "deny_number", "--over"]).lines().count(), 3);
    assert_eq!(site.list(&["show", "+441632960999"]).code, 1, "nothing names it");
    site.must(&["remove", "deny_number", "00441632960003"]);
    assert_eq!(site.list(&["remove", "deny_number", "+441632960003"]).code, 1);
    let audit = site.must(&["audit", "+441632960003"]);
    let lines: Vec<_> = audit.lines().collect();
    assert_eq!(lines.len(), 3, "{audit}");
    for (line, words) in lines.iter().zip([
        &["ann", "add", "reason rude", "expires 2030-01-02T00:00:00Z"][..],
        &["change", "reason rude -> \"rude, twice\"", "expires 2030-01-02T00:00:00Z -> \"\""],
        &["remove", "was: reason \"rude, twice\""],
    ]) {
        assert!(words.iter().all(|word| line.contains(word)), "{line}");
    }
    assert_eq!(site.must(&["audit", "--last", "2"]).lines().count(), 2);
    let objects = site.must(&["audit", "--format", "jsonl"]);
    let last = calls::verdict(objects.lines().last().expect("a change"));
    assert_eq!((&last["what"], &last["new"]), (&"remove".into(), &Value::Null), "{last}");
    let masked = site.must(&["--mask", "audit"]) + &site.must(&["--mask", "show"]);
    assert!(!masked.contains("960003") && masked.contains("+44********03"), "{masked}");
}

#[test]
fn files_with_wrong_lines() {
    let site = Site::new();
    let file = site.path("callers.csv");
    let name = file.display().to_string();
    let text = "list,value,reason,author,created,expires,from\n\
                deny_number,01632960001,\"rude, twice\",bob,2026-01-01,2036-01-01,\n\
                deny_numbr,+441632960002\n\
                deny_number,alice\n\
                # a note\n\
                allow_range,+4420794600,main,,,tomorrow,\n\
                deny_number,+441632960003,\"open\n\
                consortium,+441632960004,3,1000\n\
                allow_number,+441632960005,,,,,carrier-a\n";
    std::fs::write(&file, text).expect("written");
    let wrong = [
        (3, "there is no list \"deny_numbr\"; did you mean deny_number?"),
        (4, "must be a number of at most 18 digits"),
        (6, "expires must be a date or a time"),
        (7, "a double quote that is not closed"),
        (8, "stand in lists.files"),
    ];
    let names_all = |words: &str| {
        for (line, what) in wrong {
            let start = format!("{name}, line {line}: ");
            let said = words.lines().find(|said| said.starts_with(&start));
            assert!(said.is_some_and(|said| said.contains(what)), "line {line}: {words}");
        }
    };
    // Strict: all of them are named, and nothing is imported.
    let ran = site.list(&["import", "--strict", &name]);
    names_all(&ran.err);
    assert!(ran.code == 2 && ran.err.contains("error: nothing was imported: 5"), "{}", ran.err);
    assert_eq!(site.must(&["show"]).lines().count(), 1, "a heading alone");
    // Else the others are; that some were not, the exit code says.
    let ran = site.list(&["import", &name]);
    names_all(&ran.err);
    assert!(
        ran.code == 1 && ran.err.contains("2 added, 0 changed, 0 there before, 5 wrong"),
        "{}",
        ran.err
    );
    let shown = site.must(&["show", "+441632960001", "--format", "jsonl"]);
    let entry = calls::verdict(&shown);
    assert_eq!((&entry["author"], &entry["reason"]), (&"bob".into(), &"rude, twice".into()));
    // A day begins, and ends.
    assert_eq!(entry["created"], "2026-01-01T00:00:00Z");
    assert_eq!(entry["expires"], "2036-01-02T00:00:00Z");
    let audit = site.must(&["audit"]);
    assert_eq!(audit.matches(" ann          import ").count(), 2, "who imported it: {audit}");
    // Out, and in again elsewhere.
    let out = site.path("out.csv").display().to_string();
    site.must(&["export", &out]);
    let ran = site.list(&["import", "--strict", &out]);
    assert!(ran.code == 0 && ran.err.contains("0 added, 0 changed, 2 there before"), "{}", ran.err);
    let other = site.path("other.sqlite").display().to_string();
    site.must(&["--store", &other, "import", "--strict", &out]);
    assert_eq!(site.must(&["--store", &other, "export"]), site.must(&["export"]));
    // Files that are configured beside the store are shown with it.
    let config = site.path("files.toml");
    let text = format!("[lists]\nstore = {other:?}\nfiles = [{name:?}]\n");
    std::fs::write(&config, text).expect("written");
    std::fs::write(&file, "deny_range,+4416329,a campaign\ndeny_number,alice\n").expect("written");
    let config = config.display().to_string();
    let ran = run(&["list", "--config", &config, "show", "+441632960001"]);
    assert!(ran.code == 0 && ran.out.lines().count() == 3, "{}", ran.out);
    assert!(ran.out.contains(&format!("a campaign [{name}]")), "{}", ran.out);
    assert!(ran.err.contains(&format!("{name}, line 2: ")), "{}", ran.err);
    // Not what the columns say they are.
    std::fs::write(&file, "list,value,author,reason\ndeny_number,+441632960009,x,y\n")
        .expect("written");
    let ran = site.list(&["import", "--strict", &name]);
    assert!(ran.code == 2 && ran.err.contains("line 1: names other columns"), "{}", ran.err);
}

/// A tap that runs, asked call by call.
struct Live<'s> {
    site: &'s Site,
    lab: Lab,
    tap: LiveTap,
    calls: u32,
}

impl<'s> Live<'s> {
    fn start(site: &'s Site) -> Self {
        let lab = Lab::new();
        let config = site.path("scorer.toml").display().to_string();
        let more = ["--config", &config, "--model", &site.model()];
        let tap = scorer::tap(&lab, "auto", site.folder.path(), &more);
        Self { site, lab, tap, calls: 0 }
    }

    /// The verdict of one call.
    fn call(&mut self, call: &Invite) -> Value {
        let id = format!("live-{}", self.calls);
        self.calls += 1;
        self.lab.send(&[udp4(call.text(&id).as_bytes(), 5060)]);
        self.tap.verdict(&id)
    }

    /// Waits until it has said this once more than `before` times.
    fn says(&self, what: &str, before: usize) {
        let start = Instant::now();
        while self.said(what) <= before {
            assert!(start.elapsed() < Duration::from_secs(20), "{what}: {}", self.words());
            sleep(Duration::from_millis(10));
        }
    }

    fn said(&self, what: &str) -> usize {
        self.words().matches(what).count()
    }

    fn words(&self) -> String {
        std::fs::read_to_string(&self.tap.words).unwrap_or_default()
    }

    /// Changes the lists, and waits until the tap has taken it up; the next call must see it.
    fn change(&self, args: &[&str]) {
        const TAKEN: [&str; 2] = ["entries of lists changed", "the list store was read"];
        let before = TAKEN.map(|what| self.said(what));
        self.site.must(args);
        let start = Instant::now();
        while TAKEN.map(|what| self.said(what)) == before {
            assert!(start.elapsed() < Duration::from_secs(20), "{args:?}: {}", self.words());
            sleep(Duration::from_millis(5));
        }
        // Not asserted: a machine may be busy.
        println!("{args:?}: taken up after {} ms", start.elapsed().as_millis());
        // From the thread that reads to the one that scores.
        sleep(Duration::from_millis(200));
    }
}

#[test]
fn changes_act_on_the_next_live_call() {
    if !shared::privileged() {
        return;
    }
    let site = Site::new();
    let mut live = Live::start(&site);
    let call = Invite::of("+442079460001", "+441632960777");
    assert_eq!(live.call(&call)["listed"], Value::Null);
    assert_eq!(live.said("there is no list store"), 1, "{}", live.words());
    live.change(&["add", "deny_number", "01632960777", "--reason", "threatened staff"]);
    let verdict = live.call(&Invite::withheld("+441632960777"));
    assert_eq!(listed(&verdict), DENIED, "{verdict}");
    assert!(
        tags(&verdict).contains(&"withheld") && texts(&verdict)[0].contains("threatened staff")
    );
    live.change(&["remove", "deny_number", "+441632960777"]);
    assert_eq!(live.call(&call)["listed"], Value::Null);
    // More than are read one by one.
    let many: String = (0..6_000).map(|i| format!("deny_number,+44163299{i:04}\n")).collect();
    std::fs::write(site.path("many.csv"), many).expect("written");
    live.change(&["import", &site.path("many.csv").display().to_string()]);
    let verdict = live.call(&Invite::of("+442079460001", "+441632995999"));
    assert_eq!(listed(&verdict), DENIED, "{verdict}");
    assert!(!live.words().contains("1632"), "no number is in the log: {}", live.words());
    live.tap.finish();
}

#[test]
fn a_store_that_cannot_be_used_never_stops_scoring() {
    if !shared::privileged() {
        return;
    }
    let site = Site::new();
    site.must(&["add", "deny_number", "+441632960777"]);
    // Held by another from before the start.
    let blocker = hold(&site.store());
    let mut live = Live::start(&site);
    let call = Invite::of("+442079460001", "+441632960777");
    assert_eq!(live.call(&call)["listed"], Value::Null);
    assert!(live.words().contains("another process holds it"), "{}", live.words());
    assert!(live.words().contains("calls are scored without it"), "{}", live.words());
    drop(blocker);
    live.says("the list store was read: 1", 0);
    sleep(Duration::from_millis(200));
    assert_eq!(listed(&live.call(&call)), DENIED);
    // Damaged: what was read stays in use, and it is said once.
    std::fs::write(site.path("rubbish"), "no database at all. ".repeat(50)).expect("written");
    std::fs::rename(site.path("rubbish"), site.store()).expect("moved");
    live.says("is not a database", 0);
    assert!(live.words().contains("restore it from a backup"), "{}", live.words());
    assert_eq!(listed(&live.call(&call)), DENIED);
    // Gone.
    let missing = live.said("there is no list store");
    for name in ["lists.sqlite", "lists.sqlite-wal", "lists.sqlite-shm"] {
        let _ = std::fs::remove_file(site.path(name));
    }
    live.says("there is no list store", missing);
    assert_eq!(listed(&live.call(&call)), DENIED);
    sleep(Duration::from_millis(600));
    assert_eq!(live.said("is not a database"), 1, "said once: {}", live.words());
    assert_eq!(live.said("there is no list store"), missing + 1, "said once: {}", live.words());
    // Another one in its place.
    live.change(&["add", "deny_number", "+441632960778"]);
    assert_eq!(live.said("can be read again"), 1, "{}", live.words());
    assert_eq!(live.call(&call)["listed"], Value::Null);
    assert_eq!(listed(&live.call(&Invite::withheld("+441632960778"))), DENIED);
    live.tap.finish();
}

/// Holds a database so that nobody can read it.
fn hold(path: &Path) -> rusqlite::Connection {
    let holder = rusqlite::Connection::open(path).expect("open");
    holder.pragma_update(None, "locking_mode", "exclusive").expect("set");
    holder.execute_batch("BEGIN EXCLUSIVE").expect("held");
    holder
}
