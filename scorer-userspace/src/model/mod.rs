//! Models: ONNX files, evaluators, contributions.
//!
//! ONNX is the one format. Tree ensembles and logistic regressions are compiled
//! to evaluators of our own; any other graph runs in tract.

use std::path::Path;

/// Why a model was refused.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file could not be read.
    #[error("cannot read the model {path}: {source}")]
    Read {
        /// File.
        path: String,
        /// Cause.
        source: std::io::Error,
    },
}

/// A loaded model.
#[derive(Debug)]
pub struct Model {}

impl Model {
    /// Loads an ONNX file whose inputs are `features`, in that order, or a subset
    /// named in its metadata.
    pub fn load(_path: &Path, _features: &[&str]) -> Result<Self, ModelError> {
        todo!()
    }
    /// The same from bytes; `name` is for messages.
    pub fn from_bytes(_bytes: &[u8], _name: &str, _features: &[&str]) -> Result<Self, ModelError> {
        todo!()
    }
    /// First eight bytes of the file's digest.
    pub fn id(&self) -> u64 {
        todo!()
    }
    /// Name and version from the file's metadata.
    pub fn name(&self) -> &str {
        todo!()
    }
    /// Probability of fraud, 0–1, of one row of features (NaN is missing).
    pub fn probability(&self, _row: &[f32], _scratch: &mut Scratch) -> f32 {
        todo!()
    }
    /// The same, with what each feature contributed (log-odds) written to
    /// `contributions`, one for each feature of `row`.
    pub fn explain(&self, _row: &[f32], _contributions: &mut [f32], _scratch: &mut Scratch) -> f32 {
        todo!()
    }
}

/// Room for one evaluation; make one, use it for all.
#[derive(Debug, Default)]
pub struct Scratch {}
