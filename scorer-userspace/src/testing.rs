//! What several modules' tests need.

use std::path::PathBuf;

/// A path in the shared test data: `$SCORER_SHARED`, else `../shared` beside the
/// workspace. Where there is none the test says so and passes, since a user's
/// machine has none.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("SCORER_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")),
        PathBuf::from,
    );
    let found = root.join(path);
    if found.exists() {
        return Some(found);
    }
    println!("SKIPPED: no shared test data at {}", found.display());
    None
}
