//! The real NATS server, which `cargo xtask test` installs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{lab::Running, shared};

/// A program of the virtual environment, such as `nats-server`; `None`, and said aloud,
/// where it is not installed and nobody asks for every test.
///
/// # Panics
/// When it is missing and `SCORER_REQUIRE_ROOT_TESTS` is set.
pub fn program(name: &str) -> Option<PathBuf> {
    shared::installed("venv-nats", name)
}

/// `nats-server`.
///
/// # Panics
/// As [`program`].
pub fn server() -> Option<PathBuf> {
    program("nats-server")
}

/// A server on loopback alone, with JetStream in a folder; `None` as [`program`].
///
/// # Panics
/// As [`program`], and when it cannot be started.
pub fn alone(folder: &Path, port: u16) -> Option<Running> {
    let conf = folder.join("nats.conf");
    let store = folder.join("jetstream").display().to_string();
    let text = format!("listen: \"127.0.0.1:{port}\"\njetstream {{ store_dir: {store:?} }}\n");
    fs::write(&conf, text).expect("written");
    let mut command = Command::new(server()?);
    command.arg("-c").arg(&conf).stdout(Stdio::null()).stderr(Stdio::null());
    Some(Running(command.spawn().expect("nats-server starts")))
}
