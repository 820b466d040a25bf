//! The real NATS server, which `cargo xtask test` installs.

use std::path::PathBuf;

use crate::shared::root;

/// A program of the virtual environment, such as `nats-server`; `None`, and said aloud,
/// where it is not installed and nobody asks for every test.
///
/// # Panics
/// When it is missing and `SCORER_REQUIRE_ROOT_TESTS` is set.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = root().join("target/venv-nats/bin").join(name);
    if path.exists() {
        return Some(path);
    }
    assert!(
        std::env::var_os("SCORER_REQUIRE_ROOT_TESTS").is_none(),
        "{name} is not installed; `cargo xtask test` does it"
    );
    println!("SKIPPED: {name} is not installed");
    None
}

/// `nats-server`.
///
/// # Panics
/// As [`program`].
pub fn server() -> Option<PathBuf> {
    program("nats-server")
}
