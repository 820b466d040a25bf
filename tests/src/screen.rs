//! A terminal of its own for a program: tmux, which draws as terminals do.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use crate::lab::unique;

/// A terminal with a shell in it; gone when dropped.
#[derive(Debug)]
pub struct Screen {
    socket: PathBuf,
    _folder: tempfile::TempDir,
}

impl Screen {
    /// One of so many columns and rows.
    ///
    /// # Panics
    /// When tmux cannot be started.
    pub fn new(columns: u16, rows: u16) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join(unique());
        let screen = Self { socket, _folder: folder };
        let (columns, rows) = (columns.to_string(), rows.to_string());
        // A shell that reads no one's start-up files, and whose prompt is known.
        let shell = "env -u NO_COLOR PS1=ready: sh";
        screen.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", &columns, "-y", &rows, shell]);
        screen.wait("ready:");
        screen
    }

    fn tmux(&self, args: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(&self.socket).args(args).env("LC_ALL", "C.UTF-8").env_remove("TMUX");
        let output = command.stdin(Stdio::null()).output().expect("tmux runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "tmux {args:?}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Types a command line into the shell.
    pub fn run(&self, line: &str) {
        self.tmux(&["send-keys", "-l", line]);
        self.keys(&["Enter"]);
    }

    /// Presses keys by tmux's names: `Enter`, `F7`, `q`.
    pub fn keys(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// What stands on it.
    pub fn text(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// The same with what makes text bold or coloured.
    pub fn styled(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-e"])
    }

    /// A variable of tmux's: `alternate_on`, `pane_title`.
    pub fn variable(&self, name: &str) -> String {
        self.tmux(&["display-message", "-p", &format!("#{{{name}}}")]).trim().to_owned()
    }

    /// Waits until a text stands on it; all of it then.
    ///
    /// # Panics
    /// When it does not come within twenty seconds.
    pub fn wait(&self, wanted: &str) -> String {
        let start = Instant::now();
        loop {
            let text = self.text();
            if text.contains(wanted) {
                return text;
            }
            assert!(start.elapsed() < Duration::from_secs(20), "{wanted:?} does not come:\n{text}");
            sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let mut command = Command::new("tmux");
        let _ = command.arg("-S").arg(&self.socket).arg("kill-server").status();
    }
}
