//! Finished Parquet files to object storage: a folder, or S3.
//!
//! A file is put under its own name, below its host's: `PREFIX/HOST/calls-….parquet`.
//! So what is there says what was done, and a run that was cut short is made good by the
//! next one: an object is whole or not there, and one that is put again is the same.
//! What was rewritten here (a number erased) is put again; where pseudonyms took the
//! place of numbers the object with numbers is deleted. What is deleted here for its age
//! stays there.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use futures::TryStreamExt as _;
use object_store::{
    ObjectMeta, ObjectStore, ObjectStoreExt as _, aws::AmazonS3Builder, local::LocalFileSystem,
    path::Path as Key,
};

use super::{RecordsError, files};

/// Where records are archived.
#[derive(Clone, Debug)]
pub struct Archive {
    store: Arc<dyn ObjectStore>,
    prefix: Key,
    url: String,
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Archived {
    /// Files put, or put again.
    pub put: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Files that were there.
    pub there: usize,
    /// Objects deleted, since pseudonyms took their numbers' place.
    pub deleted: usize,
}

impl Archive {
    /// Opens `s3://BUCKET/PREFIX`, with region, endpoint and keys from the environment as
    /// other tools of AWS take them, or `file:///FOLDER`, which is made.
    ///
    /// # Errors
    /// [`RecordsError::Archive`] when it is neither, or cannot be used.
    pub fn open(url: &str) -> Result<Self, RecordsError> {
        let failed = |source| RecordsError::Archive { url: url.to_owned(), source };
        if let Some(path) = url.strip_prefix("file://").filter(|path| path.starts_with('/')) {
            let folder = PathBuf::from(path);
            std::fs::create_dir_all(&folder).map_err(RecordsError::io("make", &folder))?;
            let store = LocalFileSystem::new_with_prefix(&folder).map_err(failed)?;
            let store = Arc::new(store);
            return Ok(Self { store, prefix: Key::default(), url: url.to_owned() });
        }
        let Some(rest) = url.strip_prefix("s3://") else {
            return Err(RecordsError::NoArchive(url.to_owned()));
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let store = AmazonS3Builder::from_env().with_bucket_name(bucket).build().map_err(failed)?;
        let prefix = Key::parse(prefix.trim_matches('/'))
            .map_err(|_| RecordsError::NoArchive(url.to_owned()))?;
        Ok(Self { store: Arc::new(store), prefix, url: url.to_owned() })
    }

    /// Puts one file of a host's; what has the same name is replaced, and where it has
    /// pseudonyms the object with numbers is deleted.
    ///
    /// # Errors
    /// Of the store.
    pub async fn put(&self, host: &str, name: &str, bytes: Vec<u8>) -> Result<(), RecordsError> {
        let failed = |source| RecordsError::Archive { url: self.url.clone(), source };
        let at = self.prefix.clone().join(host);
        self.store.put(&at.clone().join(name), bytes.into()).await.map_err(failed)?;
        let Some(with_numbers) = with_numbers(name) else { return Ok(()) };
        match self.store.delete(&at.join(with_numbers.as_str())).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }

    /// Puts what is finished in a folder of records and not there yet, as this host's.
    ///
    /// # Errors
    /// Of the folder and of the store; what was put before stays.
    pub async fn run(&self, folder: &Path, host: &str) -> Result<Archived, RecordsError> {
        let failed = |source| RecordsError::Archive { url: self.url.clone(), source };
        let at = self.prefix.clone().join(host);
        let objects: Vec<ObjectMeta> =
            self.store.list(Some(&at)).try_collect().await.map_err(failed)?;
        let objects: HashMap<_, _> = objects
            .iter()
            .filter_map(|object| Some((object.location.filename()?, object)))
            .collect();
        let mut done = Archived::default();
        for file in files::list(folder)?.files {
            let Some(name) = file.path.file_name().and_then(|name| name.to_str()) else { continue };
            let changed = std::fs::metadata(&file.path).and_then(|about| about.modified());
            let since = changed.ok().and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
            // S3 tells whole seconds.
            let changed = since.map_or(0, |since| since.as_secs());
            let is_current = objects.get(name).is_some_and(|object| {
                let put = u64::try_from(object.last_modified.timestamp()).unwrap_or(0);
                object.size == file.bytes && put >= changed
            });
            if is_current {
                done.there += 1;
            } else {
                let bytes = match std::fs::read(&file.path) {
                    Ok(bytes) => bytes,
                    // Deleted for its age, or rewritten, meanwhile: the next run's.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                    Err(source) => return Err(RecordsError::io("read", &file.path)(source)),
                };
                done.bytes += bytes.len() as u64;
                self.store.put(&at.clone().join(name), bytes.into()).await.map_err(failed)?;
                done.put += 1;
            }
            // Only once that with pseudonyms is there.
            if let Some(object) = with_numbers(name).and_then(|name| objects.get(&*name)) {
                self.store.delete(&object.location).await.map_err(failed)?;
                done.deleted += 1;
            }
        }
        Ok(done)
    }
}

/// Name of the file whose numbers pseudonyms took the place of.
fn with_numbers(name: &str) -> Option<String> {
    name.strip_suffix("-p.parquet").map(|name| format!("{name}.parquet"))
}

/// Names and bytes of the finished files of a folder, the oldest first.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn finished(folder: &Path) -> Result<Vec<(String, u64)>, RecordsError> {
    let name = |path: &Path| path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let files = files::list(folder)?.files;
    Ok(files.iter().filter_map(|file| Some((name(&file.path)?, file.bytes))).collect())
}

/// Whether a name is that of a finished file.
pub(crate) fn is_finished_name(name: &str) -> bool {
    files::is_parquet(name)
}
