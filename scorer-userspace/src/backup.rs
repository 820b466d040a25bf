//! What a scorer knows, in one folder, and back: configuration, lists, cases, tokens,
//! labels, history with its profiles, models, and records where they are wanted.
//!
//! ```text
//! manifest.json    format, version, when, and of each file: name, target, bytes, SHA-256
//! files/0000 …     the files
//! ```
//!
//! Made while a scorer runs: SQLite copies its databases in one moment of theirs, a
//! snapshot of the history and a Parquet file are only ever replaced whole.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::{Component, Path, PathBuf},
};

use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{config::Config, hex::hex, private};

/// Version of the layout; one that is higher is not restored.
const FORMAT: u32 = 1;
const MANIFEST: &str = "manifest.json";
/// Files at most: more than any folder of models and records has.
const FILES: usize = 1 << 20;

/// Why there is no backup, or nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file or folder.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// A database.
    #[error("cannot copy the database {}: {source}", path.display())]
    Database {
        /// Which.
        path: PathBuf,
        /// Cause.
        #[source]
        source: rusqlite::Error,
    },
    /// Something is there already.
    #[error("{} is there already; --force replaces it", .0.display())]
    Exists(PathBuf),
    /// The folder is no backup, or damaged.
    #[error("{} is not restored: {what}; nothing was changed", path.display())]
    Refused {
        /// Backup.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

fn io(what: &'static str, path: &Path) -> impl Fn(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::Io { what, path: path.clone(), source }
}

/// What is in a backup.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the layout.
    pub format: u32,
    /// Version of scorer that made it.
    pub version: String,
    /// When, RFC 3339.
    pub created: String,
    /// The files.
    pub files: Vec<Entry>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What it is, such as `lists.store`.
    pub what: String,
    /// Its name in the backup.
    pub name: String,
    /// Where it was, and goes.
    pub target: PathBuf,
    /// Length.
    pub bytes: u64,
    /// SHA-256, hex.
    pub sha256: String,
    /// Permissions.
    pub mode: u32,
}

/// A file to be kept.
struct Source {
    what: &'static str,
    path: PathBuf,
    database: bool,
}

/// Files that a configuration names. Not among them: TLS keys, NATS credentials, the
/// database of addresses, and what waits in a cluster's spool.
fn sources(path: &Path, config: &Config, records: bool) -> Result<Vec<Source>, BackupError> {
    let mut found = Vec::new();
    let mut add = |what, path: &Path, database| {
        // What is not there yet is no fault: a store before its first entry.
        if path.is_file() {
            found.push(Source { what, path: path.to_owned(), database });
        }
    };
    add("configuration", path, false);
    let env = &config.engine.env;
    if let Some(store) = &env.store {
        add("lists.store", store, true);
    }
    if let Some(labels) = &config.labels {
        add("labels.path", labels, true);
    }
    let single = [
        ("history.snapshot", &config.snapshot),
        ("policy.file", &env.policy),
        ("model.path", &config.model),
        ("model.challenger", &config.models.challenger),
        ("stir.anchors", &config.stir.anchors),
        ("cluster.secret_file", &config.cluster.secret),
    ];
    for (what, path) in single {
        if let Some(path) = path {
            add(what, path, false);
        }
    }
    env.lists.iter().for_each(|path| add("lists.files", path, false));
    env.tables.iter().for_each(|path| add("numbers.tables", path, false));
    let folders = [
        ("model.folder", config.models.folder.as_ref()),
        ("records.folder", config.records.folder.as_ref().filter(|_| records)),
    ];
    for (what, folder) in folders {
        let Some(folder) = folder.filter(|folder| folder.is_dir()) else { continue };
        let mut paths = Vec::new();
        for entry in fs::read_dir(folder).map_err(io("read", folder))? {
            paths.push(entry.map_err(io("read", folder))?.path());
        }
        paths.sort();
        for path in paths {
            // Half files, locks and wishes are nobody's.
            let name = path.extension().and_then(|name| name.to_str()).unwrap_or_default();
            if !matches!(name, "tmp" | "partial" | "lock") {
                add(what, &path, false);
            }
        }
    }
    Ok(found)
}

/// Makes a backup of what the configuration file `config` names in the folder `into`,
/// which is whole or not there.
///
/// # Errors
/// [`BackupError`]; what is there already is replaced with `force` alone.
pub fn make(
    path: &Path,
    config: &Config,
    into: &Path,
    records: bool,
    force: bool,
) -> Result<Manifest, BackupError> {
    if into.exists() && !force {
        return Err(BackupError::Exists(into.to_owned()));
    }
    if into.exists() && !into.join(MANIFEST).is_file() {
        let what = "it is there, and is no backup".to_owned();
        return Err(BackupError::Refused { path: into.to_owned(), what });
    }
    let partial = beside(into, "partial");
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(io("remove", &partial))?;
    }
    let files = partial.join("files");
    private::make_folder(&files).map_err(io("make", &files))?;
    let mut manifest = Manifest {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        created: jiff::Timestamp::now().to_string(),
        files: Vec::new(),
    };
    for source in sources(path, config, records)? {
        let name = format!("{:04}", manifest.files.len());
        let copy = files.join(&name);
        let copied = if source.database {
            database(&source.path, &copy).map(|()| true)
        } else {
            plain(&source.path, &copy)
        };
        // A segment that became a Parquet file meanwhile.
        if !copied? {
            continue;
        }
        let (bytes, sha256) = sum(&copy)?;
        let about = fs::metadata(&source.path).map_err(io("read", &source.path));
        let mode = about.map_or(0o600, |about| about.permissions().mode() & 0o777);
        let target = std::path::absolute(&source.path).map_err(io("find", &source.path))?;
        let what = source.what.to_owned();
        manifest.files.push(Entry { what, name, target, bytes, sha256, mode });
    }
    let text = serde_json::to_string_pretty(&manifest).map_err(io::Error::from);
    let at = partial.join(MANIFEST);
    let written = text.and_then(|text| private::write_new(&at, text.as_bytes()));
    written.map_err(io("write", &at))?;
    // The old one goes when the new one is whole.
    let old = beside(into, "old");
    if into.exists() {
        fs::rename(into, &old).map_err(io("rename", into))?;
    }
    fs::rename(&partial, into).map_err(io("rename", &partial))?;
    if old.exists() {
        fs::remove_dir_all(&old).map_err(io("remove", &old))?;
    }
    Ok(manifest)
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}

/// A database as it is in one moment, whoever changes it.
fn database(from: &Path, to: &Path) -> Result<(), BackupError> {
    let failed = |source| BackupError::Database { path: from.to_owned(), source };
    let copy = || {
        let database = crate::sqlite::look(from)?;
        database.busy_timeout(std::time::Duration::from_secs(10))?;
        database.execute("VACUUM INTO ?", [to.to_string_lossy()])?;
        let copy = Connection::open(to)?;
        copy.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0))
    };
    match copy() {
        Ok(said) if said == "ok" => {}
        Ok(_) => return Err(failed(rusqlite::Error::InvalidQuery)),
        Err(source) => return Err(failed(source)),
    }
    File::open(to).and_then(|file| file.sync_all()).map_err(io("write", to))
}

/// A file that others only replace or add to; false when it is gone.
fn plain(from: &Path, to: &Path) -> Result<bool, BackupError> {
    let mut source = match File::open(from) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(io("read", from)(source)),
    };
    let mut copy = private::create_new(to).map_err(io("make", to))?;
    io::copy(&mut source, &mut copy).map_err(io("copy", from))?;
    copy.sync_all().map_err(io("write", to))?;
    Ok(true)
}

fn sum(path: &Path) -> Result<(u64, String), BackupError> {
    let mut file = File::open(path).map_err(io("read", path))?;
    let (mut sum, mut buffer, mut bytes) = (Sha256::new(), vec![0; 1 << 16], 0);
    loop {
        let count = file.read(&mut buffer).map_err(io("read", path))?;
        if count == 0 {
            break;
        }
        bytes += count as u64;
        sum.update(&buffer[..count]);
    }
    Ok((bytes, hex(&sum.finalize())))
}

/// Reads a backup and holds every file against the manifest.
///
/// # Errors
/// [`BackupError::Refused`] when it is damaged, or a newer scorer made it.
pub fn check(from: &Path) -> Result<Manifest, BackupError> {
    let refused = |what: String| BackupError::Refused { path: from.to_owned(), what };
    let at = from.join(MANIFEST);
    let text = fs::read_to_string(&at).map_err(|error| refused(format!("{MANIFEST}: {error}")))?;
    let format = serde_json::from_str::<serde_json::Value>(&text)
        .map_err(|error| refused(format!("{MANIFEST} cannot be read: {error}")))?;
    match format["format"].as_u64() {
        Some(format) if format <= u64::from(FORMAT) => {}
        Some(format) => {
            return Err(refused(format!(
                "a newer scorer made it (format {format}, this one knows {FORMAT}); restore it \
                 with that"
            )));
        }
        None => return Err(refused(format!("{MANIFEST} is none of scorer's"))),
    }
    let manifest: Manifest = serde_json::from_str(&text)
        .map_err(|error| refused(format!("{MANIFEST} cannot be read: {error}")))?;
    if manifest.files.len() > FILES {
        return Err(refused("it has too many files".into()));
    }
    for entry in &manifest.files {
        let plain = |path: &Path| {
            path.components().all(|part| matches!(part, Component::Normal(_) | Component::RootDir))
        };
        let named = entry.name.bytes().all(|c| c.is_ascii_digit()) && !entry.name.is_empty();
        if !named || !entry.target.is_absolute() || !plain(&entry.target) {
            return Err(refused(format!("{:?} is no file of a backup", entry.name)));
        }
        let path = from.join("files").join(&entry.name);
        let (bytes, sha256) =
            sum(&path).map_err(|error| refused(format!("{} ({})", error, entry.what)))?;
        if (bytes, &sha256) != (entry.bytes, &entry.sha256) {
            return Err(refused(format!(
                "{} ({}) is damaged: it is not what the manifest says",
                path.display(),
                entry.what
            )));
        }
    }
    Ok(manifest)
}

/// Puts the files of a backup where they were, or below `root`. The scorer must not run.
/// The names of those restored.
///
/// # Errors
/// Those of [`check`], before anything is changed; [`BackupError::Exists`] without `force`.
pub fn restore(
    from: &Path,
    root: Option<&Path>,
    records: bool,
    force: bool,
) -> Result<Vec<PathBuf>, BackupError> {
    let manifest = check(from)?;
    let target = |entry: &Entry| match root {
        Some(root) => root.join(entry.target.strip_prefix("/").unwrap_or(&entry.target)),
        None => entry.target.clone(),
    };
    let wanted = || manifest.files.iter().filter(|entry| records || entry.what != "records.folder");
    if !force && let Some(there) = wanted().map(target).find(|path| path.exists()) {
        return Err(BackupError::Exists(there));
    }
    let mut done = Vec::new();
    for entry in wanted() {
        let to = target(entry);
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).map_err(io("make", folder))?;
        }
        let partial = beside(&to, "restored");
        // Left by a restore that was cut short.
        let _ = fs::remove_file(&partial);
        plain(&from.join("files").join(&entry.name), &partial)?;
        fs::set_permissions(&partial, fs::Permissions::from_mode(entry.mode & 0o777))
            .map_err(io("write", &partial))?;
        if matches!(&*entry.what, "lists.store" | "labels.path") {
            // What waited to be written into the old database is no part of this one.
            for ending in ["-wal", "-shm"] {
                let mut name = to.as_os_str().to_owned();
                name.push(ending);
                let _ = fs::remove_file(PathBuf::from(name));
            }
        }
        fs::rename(&partial, &to).map_err(io("rename", &partial))?;
        done.push(to);
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::{BackupError, check, make, restore};
    use crate::{
        config::Config,
        labels::{Label, Labels},
    };

    fn site(folder: &Path) -> (std::path::PathBuf, Config) {
        let of = |name: &str| folder.join(name).display().to_string();
        let text = format!(
            "[labels]\npath = {:?}\n[history]\nsnapshot = {:?}\n[records]\nfolder = {:?}\n",
            of("labels.sqlite"),
            of("history"),
            of("records")
        );
        let path = folder.join("scorer.toml");
        fs::write(&path, text).unwrap();
        fs::write(folder.join("history"), b"what is remembered").unwrap();
        fs::create_dir(folder.join("records")).unwrap();
        fs::write(folder.join("records/calls-1.parquet"), b"rows").unwrap();
        fs::write(folder.join("records/calls-2.tmp"), b"half").unwrap();
        let config = Config::read(&path).unwrap();
        (path, config)
    }

    fn label(labels: &Labels, call_id: &str) {
        let (by, note) = ("ann".to_owned(), String::new());
        let call_id = call_id.to_owned();
        labels.add(&Label { call_id, fraud: true, by, at: 5, weight: 1.0, note }).unwrap();
    }

    #[test]
    fn made_while_it_is_changed_and_restored_elsewhere() {
        let at = tempfile::tempdir().unwrap();
        let (path, config) = site(at.path());
        let labels = Labels::open(&at.path().join("labels.sqlite")).unwrap();
        label(&labels, "before");
        let into = at.path().join("backup");
        let made = make(&path, &config, &into, true, false).unwrap();
        // It is open, and goes on.
        label(&labels, "after");
        let whats: Vec<_> = made.files.iter().map(|entry| &*entry.what).collect();
        assert_eq!(
            whats,
            ["configuration", "labels.path", "history.snapshot", "records.folder"],
            "no half files"
        );
        assert!(matches!(
            make(&path, &config, &into, false, false),
            Err(BackupError::Exists(there)) if there == into
        ));
        assert!(matches!(restore(&into, None, true, false), Err(BackupError::Exists(_))));
        let root = at.path().join("root");
        let done = restore(&into, Some(&root), true, false).unwrap();
        assert_eq!(done.len(), 4);
        let there = |name: &str| root.join(at.path().join(name).strip_prefix("/").unwrap());
        assert_eq!(fs::read(there("history")).unwrap(), b"what is remembered");
        let restored = Labels::open(&there("labels.sqlite")).unwrap();
        assert_eq!(restored.since(0, 10).unwrap().len(), 1);
        assert!(matches!(restore(&into, Some(&root), true, false), Err(BackupError::Exists(_))));
        assert_eq!(restore(&into, Some(&root), false, true).unwrap().len(), 3, "no records");
        // Without records, over the old one.
        assert_eq!(make(&path, &config, &into, false, true).unwrap().files.len(), 3);
        assert_eq!(check(&into).unwrap().files.len(), 3);
    }

    #[test]
    fn damaged_and_newer_ones_are_refused() {
        let at = tempfile::tempdir().unwrap();
        let (path, config) = site(at.path());
        let into = at.path().join("backup");
        make(&path, &config, &into, false, false).unwrap();
        let says = |what: &str| {
            let error = restore(&into, Some(&at.path().join("r")), true, true).unwrap_err();
            assert!(error.to_string().contains(what), "{error}");
            assert!(!at.path().join("r").exists(), "nothing was changed");
        };
        let manifest = into.join("manifest.json");
        let good = fs::read_to_string(&manifest).unwrap();
        fs::write(&manifest, good.replace("\"format\": 1", "\"format\": 2")).unwrap();
        says("a newer scorer made it (format 2, this one knows 1)");
        fs::write(&manifest, &good[..good.len() / 2]).unwrap();
        says("manifest.json cannot be read");
        let climbing = at.path().display().to_string();
        fs::write(&manifest, good.replace(&climbing, "/tmp/../etc")).unwrap();
        says("is no file of a backup");
        fs::write(&manifest, &good).unwrap();
        let history = check(&into).unwrap().files[1].name.clone();
        fs::write(into.join("files").join(history), b"what is rememberex").unwrap();
        says("is damaged");
        fs::remove_file(&manifest).unwrap();
        says("manifest.json");
        // A folder that is none is not replaced, whatever is forced.
        assert!(matches!(
            make(&path, &config, &into, false, true),
            Err(BackupError::Refused { .. })
        ));
    }
}
