//! What a test needs and may not have.

use std::path::{Path, PathBuf};

/// A program of a virtual environment in target/; `None`, and said aloud, where it is not
/// installed and nobody asks for every test.
///
/// # Panics
/// When it is missing and `SCORER_REQUIRE_ROOT_TESTS` is set.
pub fn installed(environment: &str, name: &str) -> Option<PathBuf> {
    let path = root().join("target").join(environment).join("bin").join(name);
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

/// The root of the source tree.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// A path in the shared test data: `$SCORER_SHARED`, else `../shared` beside the
/// workspace. `None`, said aloud, where there is none: a user's machine has none.
pub fn data(path: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("SCORER_SHARED")
        .map_or_else(|| root().join("../shared"), PathBuf::from)
        .join(path);
    if shared.exists() {
        return Some(shared);
    }
    println!("SKIPPED: no shared test data at {}", shared.display());
    None
}

/// Whether privileged tests can run. Where they must (`cargo xtask test` as root
/// says so), a skip is a failure.
///
/// # Panics
/// When they must and cannot.
pub fn privileged() -> bool {
    if nix::unistd::geteuid().is_root() {
        return true;
    }
    assert!(
        std::env::var_os("SCORER_REQUIRE_ROOT_TESTS").is_none(),
        "this test needs root, and SCORER_REQUIRE_ROOT_TESTS forbids to skip it"
    );
    println!("SKIPPED: this test needs root");
    false
}
