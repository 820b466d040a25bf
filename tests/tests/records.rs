//! Call records: what was scored is what is asked for later, whatever happened meanwhile.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::{self, OpenOptions},
    io::Write as _,
    net::UdpSocket,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use scorer_tests::{
    frames::{invite, udp4},
    lab::Lab,
    scorer::{self, LiveTap},
    shared,
};
use serde_json::Value;

/// Runs a command on records.
fn on_records(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(scorer::binary());
    command.args(args).arg("--records").arg(folder);
    command.output().expect("scorer runs")
}

/// The same; what it answers, once it ended well.
fn answer(folder: &Path, args: &[&str]) -> String {
    let output = on_records(folder, args);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {words}");
    String::from_utf8(output.stdout).expect("text")
}

fn query(folder: &Path, sql: &str) -> String {
    let text = answer(folder, &["query", "--format", "csv", sql]);
    text.split_once('\n').expect("a heading").1.trim_end().to_owned()
}

fn count(folder: &Path) -> usize {
    query(folder, "SELECT count(*) FROM calls").parse().expect("a number")
}

/// Waits for what the scorer will do.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_mins(1), "{what}");
        sleep(Duration::from_millis(50));
    }
}

fn objects(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().unwrap_or_default()
}

/// Simulated calls, recorded from a capture; their verdicts.
fn recorded(folder: &Path, records: &Path, calls: &str) -> Vec<Value> {
    let capture = folder.join("calls.pcap");
    let mut simulate = Command::new(scorer::binary());
    simulate.args(["simulate", "--seed", "5", "--calls", calls, "--out"]).arg(&capture);
    assert!(simulate.stderr(Stdio::null()).status().expect("scorer runs").success());
    let mut replay = Command::new(scorer::binary());
    replay.args(["replay", "--format", "jsonl", "--records"]).arg(records).arg(&capture);
    let output = replay.output().expect("scorer runs");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && words.contains("recorded"), "{words}");
    objects(&String::from_utf8_lossy(&output.stdout))
}

#[test]
fn simulated_calls_are_recorded_asked_for_exported_and_erased() {
    let folder = tempfile::tempdir().expect("a folder");
    let records = folder.path().join("records");
    let verdicts = recorded(folder.path(), &records, "2000");
    assert_eq!(count(&records), verdicts.len());

    // SQL says what the lines said.
    let mut levels = BTreeMap::new();
    for verdict in &verdicts {
        *levels.entry(text(verdict, "level").to_owned()).or_insert(0) += 1;
    }
    let expected: Vec<_> = levels.iter().map(|(level, n)| format!("{level},{n}")).collect();
    let sql = "SELECT level, count(*) FROM calls GROUP BY level ORDER BY level";
    assert_eq!(query(&records, sql).lines().collect::<Vec<_>>(), expected);
    // The simulator's calls are answered, cancelled, refused and ended.
    let known = query(&records, "SELECT count(*) FROM calls WHERE outcome IS NOT NULL");
    assert!(known.parse::<usize>().expect("a number") > verdicts.len() / 2, "{known}");
    let kinds = query(&records, "SELECT DISTINCT outcome FROM calls");
    for kind in ["completed", "short", "cancelled", "rejected"] {
        assert!(kinds.lines().any(|line| line == kind), "{kind}: {kinds}");
    }
    let talks = "SELECT count(*) FROM calls WHERE outcome = 'completed' AND duration_s > 5";
    assert_ne!(query(&records, talks), "0");
    let features = query(&records, "SELECT count(*) FROM features WHERE caller_length > 9");
    assert_ne!(features, "0");

    // The latest calls of a level.
    let args = ["calls", "--since", "2020-01-01", "--level", "high", "--limit", "100000"];
    let listed = answer(&records, &[&args[..], &["--format", "jsonl"]].concat());
    let listed: HashSet<_> =
        objects(&listed).iter().map(|row| text(row, "call_id").to_owned()).collect();
    let high = verdicts.iter().filter(|v| ["high", "critical"].contains(&text(v, "level")));
    assert_eq!(listed, high.map(|v| text(v, "call_id").to_owned()).collect());
    assert!(!listed.is_empty());
    let table = answer(&records, &args);
    assert!(table.starts_with("ts "), "{table:.200}");
    // They are years old.
    assert_eq!(answer(&records, &["calls", "--since", "1h"]).lines().count(), 1);

    exported(folder.path(), &records, &verdicts);
    erased(&records, &verdicts);
}

/// Every format has every call.
fn exported(folder: &Path, records: &Path, verdicts: &[Value]) {
    let export = |format: &str, more: &[&str]| {
        let file = folder.join(format!("calls.{format}"));
        let path = file.display().to_string();
        let args = ["export", "--format", format, "--out", &path];
        answer(records, &[&args[..], more].concat());
        file
    };
    let scores: HashMap<_, _> =
        verdicts.iter().map(|v| (text(v, "call_id"), v["score"].clone())).collect();
    let rows = objects(&fs::read_to_string(export("jsonl", &[])).expect("text"));
    assert_eq!(rows.len(), verdicts.len());
    for row in &rows {
        assert_eq!(Some(&row["score"]), scores.get(text(row, "call_id")), "{row}");
    }
    let csv = fs::read_to_string(export("csv", &["--mask"])).expect("text");
    assert!(csv.starts_with("ts,call,call_id,caller,"), "{csv:.200}");
    let caller = text(&verdicts[0], "caller");
    assert!(!csv.lines().any(|line| line.split(',').any(|field| field == caller)), "{caller}");
    let file = fs::File::open(export("parquet", &["--features"])).expect("a file");
    let about = SerializedFileReader::new(file).expect("a Parquet file");
    let about = about.metadata().file_metadata();
    assert_eq!(about.num_rows() as usize, verdicts.len());
    let columns = about.schema_descr().columns();
    assert!(columns.iter().any(|column| column.name() == "caller_length"));
    // Nothing else is left, and nothing is overwritten by half.
    assert!(!folder.join("calls.parquet.tmp").exists());
    let wrong = on_records(records, &["export", "--format", "parquet", "--out", "-"]);
    assert_eq!(wrong.status.code(), Some(2));
}

/// A number is gone wherever it was.
fn erased(records: &Path, verdicts: &[Value]) {
    let international = |v: &&Value| text(v, "network_number").starts_with("+44");
    let number = text(verdicts.iter().find(international).expect("one"), "network_number");
    let named = |v: &&Value| {
        ["caller", "network_number", "callee"].iter().any(|key| text(v, key) == number)
    };
    let least = verdicts.iter().filter(named).count();
    let output = on_records(records, &["records", "erase", number]);
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
    let left = count(records);
    assert!(left <= verdicts.len() - least && left > verdicts.len() / 2, "{left}, {words}");
    let sql =
        format!("SELECT count(*) FROM calls WHERE '{number}' IN (caller, network_number, callee)");
    assert_eq!(query(records, &sql), "0");
    let found = answer(records, &["calls", "--since", "2020-01-01", "--caller", number]);
    assert_eq!(found.lines().count(), 1, "{found}");
    let wrong = on_records(records, &["records", "erase", "alice"]);
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn wrong_use_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    for (args, part) in [
        (&["query", "SELECT 1 FROM nowhere"][..], "nowhere"),
        (&["query", "DROP TABLE calls"], "only be read"),
        (&["calls", "--since", "yesterday"], "is no time"),
        (&["calls", "--level", "highest"], "highest"),
        (&["calls", "--caller", "alice"], "no telephone number"),
        (&["calls", "--tag", "nice"], "no tag"),
    ] {
        let output = on_records(folder.path(), args);
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {words}");
        assert!(words.contains(part), "{args:?}: {words}");
    }
    let none = folder.path().join("none");
    let output = on_records(&none, &["query", "SELECT 1"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("no such folder"));
}

/// Frames with these Call-IDs.
fn frames(name: &str, count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|i| udp4(invite(&format!("{name}-{i}")).as_bytes(), 5060)).collect()
}

/// `tap` with these options of records.
fn tap(lab: &Lab, folder: &Path, options: &str) -> LiveTap {
    let config = folder.join("scorer.toml");
    fs::write(&config, format!("[records]\n{options}\n")).expect("written");
    scorer::tap(lab, "auto", folder, &["--config", &config.display().to_string()])
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("a file").path());
    let named = |path: &PathBuf| path.to_string_lossy().contains("calls-");
    files.filter(|path| named(path) && path.extension().is_some_and(|e| e == "arrows")).collect()
}

#[test]
fn killed_while_it_records() {
    if !shared::privileged() {
        return;
    }
    let (lab, folder) = (Lab::new(), tempfile::tempdir().expect("a folder"));
    let records = folder.path().join("records");
    let options = format!("folder = {records:?}");
    let scorer = tap(&lab, folder.path(), &options);
    lab.send(&frames("before", 50));
    // Asked while it records.
    until("the calls are recorded", || count(&records) == 50);
    lab.send(&frames("last", 50));
    scorer.process.signal(Signal::SIGKILL);
    scorer.process.wait();
    let left = count(&records);
    assert!((50..=100).contains(&left), "{left}");
    answer(&records, &["records", "check"]);
    assert_eq!(segments(&records).len(), 1);

    // The next one takes up what is left, torn and damaged as it may be.
    let segment = segments(&records).remove(0);
    let mut file = OpenOptions::new().append(true).open(&segment).expect("the segment");
    file.write_all(b"this is no batch").expect("written");
    let scorer = tap(&lab, folder.path(), &options);
    until("the segment is set aside", || !segment.exists());
    lab.send(&frames("after", 50));
    let (verdicts, words) = scorer.finish();
    assert_eq!(verdicts.lines().count(), 50);
    assert!(words.contains("set aside") && words.contains("50 calls"), "{words}");
    assert_eq!(count(&records), left + 50);
    let output = on_records(&records, &["records", "check"]);
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(words.contains(".damaged"), "{words}");
}

/// A small disk, gone with the test.
struct Disk(PathBuf);

impl Disk {
    fn new(path: PathBuf) -> Self {
        fs::create_dir(&path).expect("a folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m", "scorer-test"]).arg(&path);
        assert!(mount.status().is_ok_and(|status| status.success()), "mount fails");
        Self(path)
    }

    /// Takes all the room there is.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = fs::File::create(&path).expect("a file");
        while file.write_all(&[0; 512]).is_ok() {}
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_pauses_records_and_nothing_else() {
    if !shared::privileged() {
        return;
    }
    let (lab, folder) = (Lab::new(), tempfile::tempdir().expect("a folder"));
    let disk = Disk::new(folder.path().join("disk"));
    let scorer = tap(&lab, folder.path(), &format!("folder = {:?}", disk.0));
    let words_file = scorer.words.clone();
    let says = |what: &str| fs::read_to_string(&words_file).expect("words").contains(what);
    lab.send(&frames("one", 20));
    until("the calls are recorded", || count(&disk.0) == 20);
    let filler = disk.fill();
    // More than what the last page may still take.
    let mut sent = 20;
    until("recording is paused", || {
        lab.send(&frames(&format!("full{sent}"), 20));
        sent += 20;
        sleep(Duration::from_millis(600));
        says("recording is paused, calls are scored on")
    });
    fs::remove_file(filler).expect("removed");
    until("records are written again", || {
        lab.send(&frames(&format!("room{sent}"), 20));
        sent += 20;
        sleep(Duration::from_millis(600));
        says("records are written again")
    });
    lab.send(&frames("two", 20));
    sent += 20;
    let two = "SELECT count(*) FROM calls WHERE call_id LIKE 'two-%'";
    until("new calls are recorded", || query(&disk.0, two) == "20");
    let (verdicts, words) = scorer.finish();
    assert_eq!(verdicts.lines().count(), sent, "every call has its verdict");
    // What is not recorded is counted.
    let left = count(&disk.0);
    assert!(
        left < sent && words.contains(&format!("{} not taken by the disk", sent - left)),
        "{left} of {sent}: {words}"
    );
    answer(&disk.0, &["records", "check"]);
}

/// The chunks of a HEP3 packet, by type.
fn chunks(packet: &[u8]) -> HashMap<u16, Vec<u8>> {
    assert_eq!(&packet[..4], b"HEP3");
    assert_eq!(usize::from(u16::from_be_bytes([packet[4], packet[5]])), packet.len());
    let (mut rest, mut chunks) = (&packet[6..], HashMap::new());
    while !rest.is_empty() {
        let word = |at: usize| u16::from_be_bytes([rest[at], rest[at + 1]]);
        assert_eq!(word(0), 0, "vendor");
        let length = usize::from(word(4));
        assert!(chunks.insert(word(2), rest[6..length].to_vec()).is_none());
        rest = &rest[length..];
    }
    chunks
}

#[test]
fn a_homer_collector_gets_every_call() {
    if !shared::privileged() {
        return;
    }
    let (lab, folder) = (Lab::new(), tempfile::tempdir().expect("a folder"));
    let collector = lab.inside_edge(|| UdpSocket::bind("127.0.0.1:0").expect("a socket"));
    collector.set_read_timeout(Some(Duration::from_secs(30))).expect("set");
    let address = collector.local_addr().expect("bound").to_string();
    // Without a folder: nothing is recorded.
    let options = format!("hep = {address:?}\nhep_capture_id = 77\nhep_key = \"secret\"");
    let scorer = tap(&lab, folder.path(), &options);
    lab.send(&frames("hep", 3));
    let mut packets = Vec::new();
    for _ in 0..6 {
        let mut packet = vec![0; 65_536];
        let length = collector.recv(&mut packet).expect("a packet");
        packets.push(chunks(&packet[..length]));
    }
    let (verdicts, words) = scorer.finish();
    assert!(words.contains("HEP: 6 sent, 0 dropped"), "{words}");
    for (i, pair) in packets.chunks(2).enumerate() {
        let [message, log] = pair else { unreachable!("pairs") };
        let call_id = format!("hep-{i}");
        for packet in pair {
            assert_eq!(packet[&0x01], [2]);
            assert_eq!(packet[&0x02], [17]);
            assert_eq!(packet[&0x03], [192, 0, 2, 1]);
            assert_eq!(packet[&0x04], [192, 0, 2, 2]);
            assert_eq!(packet[&0x07], 5060_u16.to_be_bytes());
            assert_eq!(packet[&0x08], 5060_u16.to_be_bytes());
            assert_eq!(packet[&0x0c], 77_u32.to_be_bytes());
            assert_eq!(packet[&0x0e], b"secret");
            assert_eq!(packet[&0x11], call_id.as_bytes());
            assert_eq!((packet[&0x09].len(), packet[&0x0a].len()), (4, 4));
        }
        assert_eq!(message[&0x0b], [1]);
        assert_eq!(message[&0x0f], invite(&call_id).as_bytes());
        assert_eq!(log[&0x0b], [100]);
        let line: Value = serde_json::from_slice(&log[&0x0f]).expect("JSON");
        let told: Value =
            serde_json::from_str(verdicts.lines().nth(i).expect("a line")).expect("JSON");
        assert_eq!(line, told);
    }
    assert!(!folder.path().join("records").exists());
}
