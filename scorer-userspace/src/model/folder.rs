//! A folder of models: which one scores, which one is on trial, which were before.
//!
//! `state.toml` in it names the files; it is replaced as a whole, so that a running
//! scorer that watches it never reads half of it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{Model, ModelError};

/// Champions remembered, for going back.
const BEFORE: usize = 20;

/// What stands in `state.toml`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct State {
    /// File of the model that scores; empty for the built-in or configured one.
    pub champion: String,
    /// File of the model on trial; empty for none.
    pub challenger: String,
    /// Champions before, the last one last.
    pub before: Vec<String>,
}

/// Why a folder of models cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The file system.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// `state.toml` is not what this program writes.
    #[error("{path} cannot be read: {what}; mend it or remove it")]
    State {
        /// Where.
        path: String,
        /// Why.
        what: String,
    },
    /// No such model.
    #[error("there is no model {name} in {folder}; there are: {known}")]
    Unknown {
        /// As asked for.
        name: String,
        /// Where.
        folder: String,
        /// What there is.
        known: String,
    },
    /// A model that cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// There was no champion before.
    #[error("no model was promoted before the present one: there is nothing to go back to")]
    NothingBefore,
}

/// The models in use.
#[derive(Clone, Debug, Default)]
pub struct InUse {
    /// Scores; `None` for the built-in or configured one.
    pub champion: Option<Arc<Model>>,
    /// On trial.
    pub challenger: Option<Arc<Model>>,
}

/// A folder of ONNX files.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder at `path`.
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// The file that says what is in use.
    pub fn state_file(&self) -> PathBuf {
        self.0.join("state.toml")
    }

    fn io(path: &Path) -> impl FnOnce(io::Error) -> FolderError {
        let path = path.display().to_string();
        move |source| FolderError::Io { path, source }
    }

    /// What is in use; the default when nothing was ever promoted.
    ///
    /// # Errors
    /// When `state.toml` cannot be read.
    pub fn state(&self) -> Result<State, FolderError> {
        let path = self.state_file();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::default()),
            Err(error) => return Err(Self::io(&path)(error)),
        };
        let state: State = toml::from_str(&text).map_err(|error| FolderError::State {
            path: path.display().to_string(),
            what: error.message().to_owned(),
        })?;
        // Names of files of this folder, not ways out of it.
        let named = [&state.champion, &state.challenger].into_iter().chain(&state.before);
        if let Some(name) = named.into_iter().find(|name| name.contains(['/', '\\'])) {
            return Err(FolderError::State {
                path: path.display().to_string(),
                what: format!("{name} is not the name of a file in this folder"),
            });
        }
        Ok(state)
    }

    fn write(&self, state: &State) -> Result<(), FolderError> {
        let path = self.state_file();
        let text = toml::to_string(state).map_err(|error| FolderError::State {
            path: path.display().to_string(),
            what: error.to_string(),
        })?;
        let partial = path.with_extension("partial");
        fs::write(&partial, text).map_err(Self::io(&partial))?;
        fs::rename(&partial, &path).map_err(Self::io(&path))
    }

    /// Names of the model files, sorted.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn files(&self) -> Result<Vec<String>, FolderError> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.0).map_err(Self::io(&self.0))? {
            let name = entry.map_err(Self::io(&self.0))?.file_name();
            if let Some(name) = name
                .to_str()
                .filter(|name| Path::new(name).extension().is_some_and(|e| e == "onnx"))
            {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The file called `name`, with or without `.onnx`.
    fn find(&self, name: &str) -> Result<String, FolderError> {
        let files = self.files()?;
        let known =
            files.iter().find(|file| *file == name || file.strip_suffix(".onnx") == Some(name));
        known.cloned().ok_or_else(|| FolderError::Unknown {
            name: name.to_owned(),
            folder: self.0.display().to_string(),
            known: if files.is_empty() { "none".into() } else { files.join(", ") },
        })
    }

    /// Loads one of its models.
    ///
    /// # Errors
    /// When there is none of that name, or it cannot be used.
    pub fn load(&self, name: &str, features: &[&str]) -> Result<Model, FolderError> {
        let file = self.find(name)?;
        Ok(Model::load(&self.0.join(file), features)?)
    }

    /// Loads what is in use.
    ///
    /// # Errors
    /// When something of it cannot be.
    pub fn in_use(&self, features: &[&str]) -> Result<InUse, FolderError> {
        let state = self.state()?;
        let load = |name: &str| match name {
            "" => Ok(None),
            name => self.load(name, features).map(|model| Some(Arc::new(model))),
        };
        Ok(InUse { champion: load(&state.champion)?, challenger: load(&state.challenger)? })
    }

    /// Makes a model the champion, once it is known to load. Its trial, if it had one,
    /// is over.
    ///
    /// # Errors
    /// When it cannot be used; the champion stays.
    pub fn promote(&self, name: &str, features: &[&str]) -> Result<Model, FolderError> {
        let file = self.find(name)?;
        let model = self.load(&file, features)?;
        let mut state = self.state()?;
        if state.champion != file {
            let before = std::mem::replace(&mut state.champion, file);
            state.before.push(before);
            let extra = state.before.len().saturating_sub(BEFORE);
            state.before.drain(..extra);
        }
        if state.challenger == state.champion {
            state.challenger.clear();
        }
        self.write(&state)?;
        Ok(model)
    }

    /// Goes back to the champion before; its name, empty for the built-in or configured
    /// one.
    ///
    /// # Errors
    /// When there was none, or it cannot be used any more.
    pub fn rollback(&self, features: &[&str]) -> Result<String, FolderError> {
        let mut state = self.state()?;
        let name = state.before.pop().ok_or(FolderError::NothingBefore)?;
        if !name.is_empty() {
            self.load(&name, features)?;
        }
        state.champion.clone_from(&name);
        self.write(&state)?;
        Ok(name)
    }

    /// Puts a model on trial, or ends the trial.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn challenge(&self, name: Option<&str>, features: &[&str]) -> Result<(), FolderError> {
        let mut state = self.state()?;
        state.challenger = match name {
            Some(name) => {
                let file = self.find(name)?;
                self.load(&file, features)?;
                file
            }
            None => String::new(),
        };
        self.write(&state)
    }
}

#[cfg(test)]
mod tests {
    use super::{Folder, FolderError};
    use crate::features::names;

    const BASELINE: &[u8] = include_bytes!("../../../models/baseline.onnx");

    #[test]
    fn promoted_put_on_trial_and_taken_back() {
        let at = tempfile::tempdir().unwrap();
        let folder = Folder::new(at.path());
        let names = names();
        std::fs::write(at.path().join("a.onnx"), BASELINE).unwrap();
        std::fs::write(at.path().join("b.onnx"), BASELINE).unwrap();
        std::fs::write(at.path().join("bad.onnx"), b"no model").unwrap();
        assert_eq!(folder.files().unwrap(), ["a.onnx", "b.onnx", "bad.onnx"]);
        assert!(folder.in_use(&names).unwrap().champion.is_none());
        assert!(matches!(folder.rollback(&names), Err(FolderError::NothingBefore)));

        folder.promote("a", &names).unwrap();
        folder.challenge(Some("b"), &names).unwrap();
        let used = folder.in_use(&names).unwrap();
        assert!(used.champion.is_some() && used.challenger.is_some());
        // A bad one changes nothing.
        assert!(matches!(folder.promote("bad", &names), Err(FolderError::Model(_))));
        assert!(matches!(folder.challenge(Some("bad"), &names), Err(FolderError::Model(_))));
        let unknown = folder.promote("c", &names).unwrap_err().to_string();
        assert!(unknown.contains("there are: a.onnx, b.onnx, bad.onnx"), "{unknown}");
        assert_eq!(folder.state().unwrap().champion, "a.onnx");

        folder.promote("b.onnx", &names).unwrap();
        assert_eq!(folder.state().unwrap().challenger, "", "its trial is over");
        assert_eq!(folder.rollback(&names).unwrap(), "a.onnx");
        assert_eq!(folder.rollback(&names).unwrap(), "", "the built-in one");
        assert!(folder.rollback(&names).is_err());
    }

    #[test]
    fn a_state_that_leads_out_of_the_folder_is_refused() {
        let at = tempfile::tempdir().unwrap();
        let folder = Folder::new(at.path());
        std::fs::write(folder.state_file(), "champion = \"../x.onnx\"").unwrap();
        assert!(folder.state().unwrap_err().to_string().contains("not the name of a file"));
        std::fs::write(folder.state_file(), "champ").unwrap();
        assert!(folder.state().unwrap_err().to_string().contains("mend it or remove it"));
    }
}
