//! Tells when cases have changed.

use std::path::{Path, PathBuf};

use super::{CaseError, Cases, Store};
use crate::sqlite;

/// Looks at the file of cases.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    store: Option<Store>,
    /// Which file `store` has open: device and number.
    file: Option<(u64, u64)>,
    /// Number of the last change that was read; none before the first look.
    read: Option<i64>,
}

impl Follower {
    /// Of a file, of which nothing was read.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), store: None, file: None, read: None }
    }

    /// The cases, if they are others than at the last look.
    ///
    /// # Errors
    /// Those of the store; then the next look opens the file anew and reads all.
    pub fn look(&mut self) -> Result<Option<Cases>, CaseError> {
        let result = self.changed();
        if result.is_err() {
            (self.store, self.read) = (None, None);
        }
        result
    }

    fn changed(&mut self) -> Result<Option<Cases>, CaseError> {
        let file = sqlite::identity(&self.path);
        if file != self.file {
            (self.store, self.read, self.file) = (None, None, file);
        }
        let store = match self.store.take() {
            Some(store) => store,
            None => Store::look(&self.path)?,
        };
        // Before what is read: what comes meanwhile is news of the next look.
        let last = store.last()?;
        let cases = if self.read == Some(last) { None } else { Some(Cases::new(&store.cases()?)) };
        (self.read, self.store) = (Some(last), Some(store));
        Ok(cases)
    }
}
