//! What a long-lived tap keeps: its history over a restart, its tables up to date.

use std::{path::Path, thread::sleep, time::Duration};

use scorer_tests::{
    frames::{invite, udp4},
    lab::Lab,
    scorer::{self, LiveTap},
    shared,
};

fn start(lab: &Lab, folder: &Path) -> LiveTap {
    let config = folder.join("scorer.toml");
    scorer::tap(lab, "auto", folder, &["--config", &config.display().to_string()])
}

/// Sends INVITEs with these Call-IDs.
fn send(lab: &Lab, call_ids: &[&str]) {
    let frames: Vec<_> = call_ids.iter().map(|id| udp4(invite(id).as_bytes(), 5060)).collect();
    lab.send(&frames);
}

fn tags(line: &str) -> Vec<String> {
    let verdict: serde_json::Value = serde_json::from_str(line).expect("JSON");
    let tags = verdict["tags"].as_array().expect("tags");
    tags.iter().filter_map(|tag| tag.as_str().map(str::to_owned)).collect()
}

#[test]
fn history_over_a_restart_and_tables_that_change() {
    if !shared::privileged() {
        return;
    }
    let (lab, folder) = (Lab::new(), tempfile::tempdir().expect("a folder"));
    let path = |name: &str| folder.path().join(name);
    let (tables, snapshot) = (path("ranges.csv"), path("history.snap"));
    std::fs::write(&tables, "112,emergency\n").expect("written");
    let config = format!(
        "[numbers]\ntables = [{tables:?}]\n[history]\nmib = 16\nsnapshot = {snapshot:?}\n",
    );
    std::fs::write(path("scorer.toml"), config).expect("written");

    let tap = start(&lab, folder.path());
    send(&lab, &["k1", "k2"]);
    let (verdicts, words) = tap.finish();
    let lines: Vec<_> = verdicts.lines().collect();
    assert_eq!(lines.len(), 2, "{words}");
    assert!(!tags(lines[0]).contains(&"repeat".to_owned()));
    assert!(words.contains("the history is kept in") && snapshot.exists(), "{words}");

    let tap = start(&lab, folder.path());
    send(&lab, &["k3"]);
    sleep(Duration::from_millis(300));
    // Wrong first: what was loaded stays in use and it is said; then right.
    std::fs::write(&tables, "44163,nonsense\n").expect("written");
    sleep(Duration::from_secs(6));
    send(&lab, &["k4"]);
    sleep(Duration::from_millis(300));
    std::fs::write(&tables, "44163,do_not_originate\n").expect("written");
    sleep(Duration::from_secs(6));
    send(&lab, &["k5"]);
    let (verdicts, words) = tap.finish();
    assert!(words.contains("took up the history"), "{words}");
    assert!(words.contains("ranges.csv, line 1") && words.contains("read anew"), "{words}");
    let said: Vec<_> = verdicts.lines().map(tags).collect();
    let has = |i: usize, tag: &str| said[i].contains(&tag.to_owned());
    assert_eq!(said.len(), 3);
    assert!(has(0, "repeat"), "the calls of the first run are remembered: {said:?}");
    assert!(!has(1, "do_not_originate") && has(2, "do_not_originate"), "{said:?}");

    // A damaged snapshot is refused with a word, and the tap runs.
    let mut bytes = std::fs::read(&snapshot).expect("a snapshot");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&snapshot, bytes).expect("written");
    let tap = start(&lab, folder.path());
    send(&lab, &["k6"]);
    let (verdicts, words) = tap.finish();
    assert!(words.contains("is not used") && verdicts.lines().count() == 1, "{words}");
}
