//! SQLite files: lists, cases and tokens, and labels.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, Result, TransactionBehavior};

/// How long a change waits for another process that holds the file.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a look does.
const BRIEFLY: Duration = Duration::from_millis(100);

/// Opens a file to change it, or makes it, with the tables of `schema`.
pub(crate) fn open(path: &Path, schema: &str) -> Result<Connection> {
    let mut database = Connection::open(path)?;
    database.busy_timeout(PATIENCE)?;
    // One that reads first and then cannot write, since another wrote meanwhile, fails at
    // once; one that writes from its start waits.
    database.set_transaction_behavior(TransactionBehavior::Immediate);
    // Readers do not wait for a writer; what was said survives a crash.
    database.pragma_update(None, "journal_mode", "wal")?;
    database.execute_batch(schema)?;
    Ok(database)
}

/// Which file it is: device and number; `None` where there is none. Another one may have
/// taken the place of one that is open.
pub(crate) fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    let about = std::fs::metadata(path).ok()?;
    Some((about.dev(), about.ino()))
}

/// Opens a file that there is to look, which waits for nobody.
pub(crate) fn look(path: &Path) -> Result<Connection> {
    // A reader of a write-ahead log writes where it reads; where it may not, it looks at
    // the file alone.
    let open = |flags| Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX);
    let database = open(OpenFlags::SQLITE_OPEN_READ_WRITE)
        .or_else(|_| open(OpenFlags::SQLITE_OPEN_READ_ONLY))?;
    database.busy_timeout(BRIEFLY)?;
    Ok(database)
}
