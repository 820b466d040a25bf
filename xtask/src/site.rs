//! The demo's site: a folder with the simulated operator's configuration, records, lists.

use std::{
    fmt::Write as _,
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};

use crate::run::{check, output, say};

/// Calls a second, live.
const RATE: f64 = 8.0;
/// Share of them that are fraud: far more than a carrier has, so that there is something
/// to see.
const FRAUD: f64 = 0.08;
/// Days of calls that are on record when the demo begins, and calls in them.
const PAST: (u64, u64) = (7, 6_000);

/// A folder that is gone when dropped.
#[derive(Debug)]
pub(crate) struct Site {
    folder: PathBuf,
    seed: u64,
    /// The program serves an API.
    pub(crate) has_api: bool,
}

/// Where the API listens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Listen {
    /// On the site's Unix socket.
    Socket,
    /// On this port of loopback.
    Port(u16),
}

impl Site {
    /// Makes it, with a past.
    ///
    /// # Errors
    /// When it cannot be written, or `scorer` fails.
    pub(crate) fn new(scorer: &Path, seed: u64, listen: Listen) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("scorer-demo-{}", std::process::id()));
        DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        // Asked rather than known: a checkout may be older.
        let has_api = output(Command::new(scorer).args(["serve", "--help"])).is_some();
        let site = Self { folder, seed, has_api };
        site.configure(scorer, listen)?;
        site.list(scorer)?;
        site.remember(scorer)?;
        Ok(site)
    }

    /// A file in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The configuration.
    pub(crate) fn config(&self) -> PathBuf {
        self.path("scorer.toml")
    }

    /// Knobs of live traffic.
    pub(crate) fn mix(&self) -> PathBuf {
        self.path("live.toml")
    }

    fn configure(&self, scorer: &Path, listen: Listen) -> Result<()> {
        let (days, calls) = PAST;
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() - days * 86_400;
        let rate = calls as f64 / (days * 86_400) as f64;
        let start =
            output(Command::new("date").args(["-u", "+%FT%TZ", "-d", &format!("@{seconds}")]))
                .context("cannot tell the time (date)")?;
        let mix = |name: &str, text: String| {
            fs::write(self.path(name), text).with_context(|| format!("cannot write {name}"))
        };
        let common =
            format!("fraud = {FRAUD}\nsubscribers = 1500\ncampaign_calls = 12\ndrama = true\n");
        let length = days * 86_400;
        mix(
            "past.toml",
            format!(
                "start = \"{}\"\ncalls_per_second = {rate}\nduration_s = {length}.0\n{common}",
                start.trim()
            ),
        )?;
        mix("live.toml", format!("calls_per_second = {RATE:.1}\nhours = false\n{common}"))?;
        let site = self.path("site");
        let mut simulate = self.simulate(scorer, "past.toml");
        check(simulate.arg("--site").arg(&site).stderr(Stdio::null()))?;
        let mut config = fs::read_to_string(site.join("scorer.toml"))?;
        let place = |name: &str| format!("{:?}", self.path(name).display().to_string());
        // Writing to a String cannot fail.
        let _ = write!(
            config,
            "\n[records]\nfolder = {}\n\n[lists]\nstore = {}\n",
            place("records"),
            place("lists.sqlite")
        );
        if self.has_api {
            let listen = match listen {
                Listen::Socket => format!("socket = {}", place("api.sock")),
                Listen::Port(port) => format!("listen = \"127.0.0.1:{port}\""),
            };
            let _ = write!(config, "\n[api]\nopen_loopback = \"admin\"\n{listen}\n");
        }
        fs::write(self.config(), config).context("cannot write the configuration")
    }

    /// `scorer simulate` with a mix of this site.
    fn simulate(&self, scorer: &Path, mix: &str) -> Command {
        let mut command = Command::new(scorer);
        command.args(["simulate", "--seed", &self.seed.to_string(), "--mix"]);
        command.arg(self.path(mix));
        command
    }

    /// Makes the store of lists, with an entry to look at.
    fn list(&self, scorer: &Path) -> Result<()> {
        let mut list = Command::new(scorer);
        list.args(["list", "--by", "demo", "--store"]).arg(self.path("lists.sqlite"));
        list.args(["add", "deny_number", "+441632960999", "--reason", "reported by customers"]);
        check(list.stdout(Stdio::null()).stderr(Stdio::null()))
    }

    /// Records a week of calls that were.
    fn remember(&self, scorer: &Path) -> Result<()> {
        let (days, calls) = PAST;
        say(&format!("recording {calls} simulated calls of the past {days} days"));
        let capture = self.path("past.pcap");
        let mut simulate = self.simulate(scorer, "past.toml");
        simulate.args(["--calls", &calls.to_string(), "--out"]).arg(&capture);
        check(simulate.stderr(Stdio::null()))?;
        let mut replay = Command::new(scorer);
        replay.arg("replay").arg("--config").arg(self.config());
        replay.arg("--records").arg(self.path("records")).arg(&capture);
        check(replay.stdout(Stdio::null()).stderr(Stdio::null()))?;
        fs::remove_file(&capture)?;
        Ok(())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
