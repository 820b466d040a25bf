//! The scorer's own binary.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::Once,
    time::{Duration, Instant},
};

use crate::{
    lab::{INTERFACE, Lab, Running},
    shared::root,
};

static BUILD: Once = Once::new();

/// Where it is; built first, so that what is tested is what the sources say. Another one
/// where `SCORER_BINARY` names it: benchmarks want one built with optimisation.
///
/// # Panics
/// When it does not build.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("SCORER_BINARY") {
        return path.into();
    }
    BUILD.call_once(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let build = ["build", "--quiet", "--package", "scorer-userspace", "--bin", "scorer"];
        let mut command = Command::new(cargo);
        // What cargo tells this test of itself would have ring's build script run again,
        // and all that stands on ring be compiled again.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            let of_test = text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_");
            if of_test || text == "CARGO_PRIMARY_PACKAGE" || text == "CARGO_CRATE_NAME" {
                command.env_remove(name);
            }
        }
        let status = command.args(build).current_dir(root()).status();
        assert!(status.is_ok_and(|status| status.success()), "scorer does not build");
    });
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join("debug/scorer")
}

/// `scorer replay --format jsonl FILE`.
///
/// # Panics
/// When it cannot be started.
pub fn replay(file: &Path) -> Output {
    let mut command = Command::new(binary());
    command.args(["replay", "--format", "jsonl"]).arg(file);
    command.output().expect("scorer runs")
}

/// How a command ended.
#[derive(Debug)]
pub struct Ran {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// Runs `scorer` to its end.
///
/// # Panics
/// When it cannot be started, or is killed.
pub fn run(args: &[&str]) -> Ran {
    let output = Command::new(binary()).args(args).output().expect("scorer runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().expect("it is not killed");
    Ran { code, out: text(&output.stdout), err: text(&output.stderr) }
}

/// `scorer tap` at the edge of a lab, its verdicts and words in files.
#[derive(Debug)]
pub struct LiveTap {
    /// The process: nsenter becomes scorer.
    pub process: Running,
    /// Standard output.
    pub verdicts: PathBuf,
    /// Standard error.
    pub words: PathBuf,
}

/// Starts it and waits until it is attached.
///
/// # Panics
/// When it is not after ten seconds.
pub fn tap(lab: &Lab, mode: &str, folder: &Path, more: &[&str]) -> LiveTap {
    let verdicts = folder.join("verdicts.jsonl");
    let out = File::create(&verdicts).expect("a file").into();
    tap_into(lab, mode, folder, more, verdicts, out)
}

/// The same with its standard output elsewhere.
///
/// # Panics
/// As [`tap`].
pub fn tap_into(
    lab: &Lab,
    mode: &str,
    folder: &Path,
    more: &[&str],
    verdicts: PathBuf,
    out: Stdio,
) -> LiveTap {
    let words = folder.join("words.txt");
    let mut command = lab.edge(binary());
    command.args(["tap", "-i", INTERFACE, "--mode", mode, "--format", "jsonl"]).args(more);
    let err = File::create(&words).expect("a file");
    command.stdout(out).stderr(err).stdin(Stdio::null());
    let process = Running(command.spawn().expect("scorer starts"));
    let start = Instant::now();
    while !std::fs::read_to_string(&words).unwrap_or_default().contains("tapping") {
        let said = std::fs::read_to_string(&words).unwrap_or_default();
        assert!(start.elapsed() < Duration::from_secs(10), "scorer tap does not attach: {said}");
        std::thread::sleep(Duration::from_millis(20));
    }
    LiveTap { process, verdicts, words }
}

impl LiveTap {
    /// Waits for the verdict on a call.
    ///
    /// # Panics
    /// When there is none after ten seconds.
    pub fn verdict(&self, call_id: &str) -> serde_json::Value {
        let key = format!("\"call_id\":\"{call_id}\"");
        let start = Instant::now();
        loop {
            let text = std::fs::read_to_string(&self.verdicts).unwrap_or_default();
            // The last line may not be whole.
            let mut lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            if let Some(line) = lines.find(|line| line.contains(&key)) {
                return crate::calls::verdict(line);
            }
            let said = std::fs::read_to_string(&self.words).unwrap_or_default();
            assert!(start.elapsed() < Duration::from_secs(10), "no verdict on {call_id}: {said}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it as Ctrl-C does; verdict lines and what it said.
    ///
    /// # Panics
    /// When it does not end well.
    pub fn finish(self) -> (String, String) {
        // The scoring thread naps for 100 ms at most.
        std::thread::sleep(Duration::from_millis(300));
        self.process.signal(nix::sys::signal::Signal::SIGINT);
        let status = self.process.wait();
        let read = |path: &Path| std::fs::read_to_string(path).expect("output");
        let words = read(&self.words);
        assert!(status.success(), "scorer tap: {status}\n{words}");
        (read(&self.verdicts), words)
    }
}
