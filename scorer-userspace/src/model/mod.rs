//! Models: ONNX files, evaluators, contributions.
//!
//! ONNX is the one format. Tree ensembles and logistic regressions are compiled
//! to evaluators of our own; any other graph runs in tract.
//!
//! A model names its input columns in its metadata, key `scorer.features`, one
//! name a line, any subset of the registry in any order. `scorer.name` and
//! `scorer.version` say what it is called. `scorer.baseline`, one number a line,
//! says what stands for a missing feature; graphs need it that tract runs and that
//! do not deal with missing values themselves. `scorer.reference` says what calls were
//! like in training ([`Reference`]).

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use prost::Message;
use sha2::{Digest, Sha256};
use tract_onnx::pb;

mod answer;
mod columns;
mod drift;
mod error;
mod folder;
mod graph;
mod linear;
mod other;
mod trees;
mod wire;

#[cfg(test)]
mod tests;

pub use drift::{Day, Drift, Reference};
pub use error::ModelError;
pub use folder::{Folder, FolderError, InUse, State};

use graph::Graph;

/// Largest model file, bytes. LightGBM with 1,000 trees of 63 leaves has about 10 MB.
pub const MAX_FILE_BYTES: u64 = 64 << 20;

/// Of one decoded, bytes: lists of small numbers take eight times their encoding.
const MAX_DECODED_BYTES: u64 = 8 * MAX_FILE_BYTES;

/// The model that is used when none is configured; see `models/ensemble.md`.
const BUILTIN: &[u8] = include_bytes!("../../../models/ensemble.onnx");

/// The transparent one beside it; see `models/baseline.md`.
const BASELINE: &[u8] = include_bytes!("../../../models/baseline.onnx");

/// What names it where a file is asked for.
pub const BASELINE_NAME: &str = "baseline";

/// A loaded model. Cheap to share: evaluation needs `&self` and a [`Scratch`].
pub struct Model {
    evaluator: Evaluator,
    id: u64,
    name: String,
    /// Length of a row: features in the registry this was loaded with.
    row: usize,
    reference: Option<Arc<Reference>>,
}

/// What runs a model.
#[derive(Debug)]
enum Evaluator {
    Linear(linear::Linear),
    Trees(trees::Trees),
    Other(other::Other),
}

impl Model {
    /// Loads an ONNX file whose inputs are `features`, in that order, or a subset
    /// named in its metadata.
    ///
    /// The path `baseline`, where there is no such file, is [`Self::baseline`].
    pub fn load(path: &Path, features: &[&str]) -> Result<Self, ModelError> {
        if path.as_os_str() == BASELINE_NAME && !path.exists() {
            return Self::baseline(features);
        }
        let name = path.display().to_string();
        let read = |source| ModelError::Read { path: name.clone(), source };
        let file = File::open(path).map_err(read)?;
        let about = file.metadata().map_err(read)?;
        // A directory, or a pipe that never ends.
        if !about.is_file() {
            return Err(ModelError::NotAFile { path: name });
        }
        check_size(about.len(), &name)?;
        let mut bytes = Vec::with_capacity(about.len() as usize);
        // The limit again: the file may grow while it is read.
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(read)?;
        Self::from_bytes(&bytes, &name, features)
    }

    /// The same from bytes; `name` is for messages.
    pub fn from_bytes(bytes: &[u8], name: &str, features: &[&str]) -> Result<Self, ModelError> {
        check_size(bytes.len() as u64, name)?;
        let malformed = |what: String| ModelError::Malformed { model: name.to_owned(), what };
        // An attribute of two bytes decodes to some four hundred.
        match wire::decoded_size(bytes) {
            None => return Err(malformed("it is not encoded as protobuf is".into())),
            Some(size) if size > MAX_DECODED_BYTES => {
                return Err(ModelError::TooMany {
                    model: name.to_owned(),
                    what: "bytes once decoded",
                    count: size,
                    limit: MAX_DECODED_BYTES,
                });
            }
            Some(_) => {}
        }
        let proto = pb::ModelProto::decode(bytes).map_err(|e| malformed(e.to_string()))?;
        let columns = columns::columns(&proto, features, name)?;
        let called = columns::metadata(&proto, "scorer.name").unwrap_or("unnamed");
        let version = columns::metadata(&proto, "scorer.version").unwrap_or("?");
        let called = format!("{}-{}", printable(called), printable(version));
        let graph = proto.graph.as_ref().ok_or_else(|| malformed("it has no graph".into()))?;
        let graph = Graph::new(graph, columns.len(), name)?;
        let reference = columns::metadata(&proto, "scorer.reference")
            .map(|text| Reference::read(text, features).map(Arc::new))
            .transpose()
            .map_err(malformed)?;
        Ok(Self {
            reference,
            evaluator: evaluator(&proto, &graph, &columns, name)?,
            id: id(bytes),
            name: called,
            row: features.len(),
        })
    }

    /// The model compiled into this program: `models/ensemble.onnx`.
    pub fn builtin(features: &[&str]) -> Result<Self, ModelError> {
        Self::from_bytes(BUILTIN, "built-in model", features)
    }

    /// The transparent logistic model, also compiled into this program:
    /// `models/baseline.onnx`.
    pub fn baseline(features: &[&str]) -> Result<Self, ModelError> {
        Self::from_bytes(BASELINE, "built-in baseline", features)
    }

    /// First eight bytes of the file's SHA-256, big-endian, so that its sixteen hex
    /// digits are the first sixteen of `sha256sum`.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Name and version from the file's metadata, as `name-version`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Probability of fraud, 0–1, of one row of features (NaN is missing).
    ///
    /// Always a number: a model that gives none (NaN) for a row is taken to say 0,
    /// since a doubtful case passes.
    ///
    /// # Panics
    /// When `row` is not as long as the `features` this was loaded with.
    #[inline]
    pub fn probability(&self, row: &[f32], scratch: &mut Scratch) -> f32 {
        assert_eq!(row.len(), self.row, "a row has one value for each feature of the registry");
        let p = match &self.evaluator {
            Evaluator::Linear(linear) => linear.probability(row),
            Evaluator::Trees(trees) => trees.probability(row, &mut scratch.trees),
            Evaluator::Other(other) => other.probability(row),
        };
        sane(p)
    }

    /// The same, with what each feature contributed (log-odds) written to
    /// `contributions`, one for each feature of `row`. Features which the model does
    /// not use contribute 0.
    ///
    /// - Logistic regression: weight times standardised value; trees: change of what
    ///   is to be expected along each path. With [`Self::bias`] they sum to the log-odds.
    /// - Any other graph: what is lost when the feature is set to its baseline, or
    ///   to missing.
    ///
    /// # Panics
    /// When `row` or `contributions` is not as long as the `features` this was
    /// loaded with.
    #[inline]
    pub fn explain(&self, row: &[f32], contributions: &mut [f32], scratch: &mut Scratch) -> f32 {
        assert_eq!(row.len(), self.row, "a row has one value for each feature of the registry");
        assert_eq!(contributions.len(), self.row, "as many contributions as features");
        let p = match &self.evaluator {
            Evaluator::Linear(linear) => linear.explain(row, contributions),
            Evaluator::Trees(trees) => trees.explain(row, contributions, &mut scratch.trees),
            Evaluator::Other(other) => other.explain(row, contributions),
        };
        sane(p)
    }

    /// Log-odds before any feature contributed; NaN where tract runs the graph.
    pub fn bias(&self) -> f32 {
        match &self.evaluator {
            Evaluator::Linear(linear) => linear.bias(),
            Evaluator::Trees(trees) => trees.bias(),
            Evaluator::Other(_) => f32::NAN,
        }
    }

    /// What calls were like in training, if the model says so.
    pub fn reference(&self) -> Option<&Arc<Reference>> {
        self.reference.as_ref()
    }

    /// What evaluates it, for `scorer` to print: `logistic`, `trees` or `tract`.
    pub fn kind(&self) -> &'static str {
        match self.evaluator {
            Evaluator::Linear(_) => "logistic",
            Evaluator::Trees(_) => "trees",
            Evaluator::Other(_) => "tract",
        }
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the weights: there may be a million.
        f.debug_struct("Model")
            .field("name", &self.name)
            .field("id", &format_args!("{:016x}", self.id))
            .field("kind", &self.kind())
            .finish_non_exhaustive()
    }
}

/// Room for one evaluation; make one, use it for all.
#[derive(Debug, Default)]
pub struct Scratch {
    trees: trees::Scratch,
}

fn evaluator(
    proto: &pb::ModelProto,
    graph: &Graph<'_>,
    columns: &[u16],
    model: &str,
) -> Result<Evaluator, ModelError> {
    let invalid = |what| ModelError::Invalid { model: model.to_owned(), what };
    let Some(answer) = answer::answer(graph) else {
        return Err(invalid(
            "the graph has no output of float32 that could be a probability".into(),
        ));
    };
    if let Some(linear) = linear::recognise(graph, answer, columns).map_err(invalid)? {
        return Ok(Evaluator::Linear(linear));
    }
    if let Some(trees) = trees::recognise(graph, answer, columns).map_err(invalid)? {
        return Ok(Evaluator::Trees(trees));
    }
    let baseline = columns::baseline(proto, columns.len(), model)?;
    other::Other::new(proto, graph, answer, columns, baseline)
        .map(Evaluator::Other)
        .map_err(|what| ModelError::Unsupported { model: model.to_owned(), what })
}

fn check_size(bytes: u64, model: &str) -> Result<(), ModelError> {
    if bytes == 0 {
        return Err(ModelError::Empty { model: model.to_owned() });
    }
    if bytes > MAX_FILE_BYTES {
        return Err(ModelError::TooLarge { model: model.to_owned(), bytes, limit: MAX_FILE_BYTES });
    }
    Ok(())
}

fn id(bytes: &[u8]) -> u64 {
    let digest = Sha256::digest(bytes);
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(first)
}

/// Names go into headers and logs: at most 64 characters of a safe alphabet.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' })
        .take(64)
        .collect()
}

#[inline]
fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

/// Log-odds; of certainties, those of a millionth.
fn logit(p: f32) -> f32 {
    let p = p.clamp(1e-6, 1.0 - 1e-6);
    (p / (1.0 - p)).ln()
}

#[inline]
fn sane(p: f32) -> f32 {
    if p.is_nan() { 0.0 } else { p.clamp(0.0, 1.0) }
}
