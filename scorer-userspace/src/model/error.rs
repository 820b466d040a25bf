//! Why a model was refused.

use std::io;

/// Why a model was refused. Each text says what is wrong and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The file could not be read.
    #[error("cannot read the model {path}: {source}; give the path of a readable .onnx file")]
    Read {
        /// File.
        path: String,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The path is no regular file.
    #[error("the model {path} is not a regular file; give the path of an .onnx file")]
    NotAFile {
        /// Path.
        path: String,
    },
    /// The file is larger than [`super::MAX_FILE_BYTES`].
    #[error(
        "the model {model} has {bytes} bytes, the limit is {limit}; a scoring model has a few MB: \
         is this the right file?"
    )]
    TooLarge {
        /// File or name.
        model: String,
        /// Its length.
        bytes: u64,
        /// Limit.
        limit: u64,
    },
    /// Nothing in it.
    #[error("the model {model} is empty; copy it again")]
    Empty {
        /// File or name.
        model: String,
    },
    /// It does not follow the protobuf encoding of ONNX.
    #[error(
        "the model {model} is not ONNX, or is damaged: {what}; export or copy it again and compare \
         checksums"
    )]
    Malformed {
        /// File or name.
        model: String,
        /// What was found.
        what: String,
    },
    /// Decoding it would take too much memory, or it counts too many of something.
    #[error("the model {model} has {count} {what}, the limit is {limit}; export a smaller model")]
    TooMany {
        /// File or name.
        model: String,
        /// Of what.
        what: &'static str,
        /// How many.
        count: u64,
        /// Limit.
        limit: u64,
    },
    /// A key of the metadata is missing or wrong.
    #[error("the model {model}: metadata `{key}` {what}")]
    Metadata {
        /// File or name.
        model: String,
        /// Which key.
        key: &'static str,
        /// What is wrong, what to do.
        what: String,
    },
    /// It wants a feature which this version does not know.
    #[error(
        "the model {model} wants the feature `{feature}`, which is not known{}; `scorer features` \
         lists what is known",
        .nearest.as_ref().map(|n| format!(" (nearest: `{n}`)")).unwrap_or_default()
    )]
    UnknownFeature {
        /// File or name.
        model: String,
        /// As it stands in the metadata.
        feature: String,
        /// Known name most like it.
        nearest: Option<String>,
    },
    /// The graph's input is not one row of as many f32 as there are features.
    #[error("the model {model}: {what}")]
    Shape {
        /// File or name.
        model: String,
        /// What is wrong, what to do.
        what: String,
    },
    /// A tree ensemble or linear model contradicts itself.
    #[error("the model {model}: {what}; export it again from the trained model")]
    Invalid {
        /// File or name.
        model: String,
        /// What is wrong.
        what: String,
    },
    /// The graph uses what cannot be run.
    #[error("the model {model} cannot be run: {what}")]
    Unsupported {
        /// File or name.
        model: String,
        /// What, and what to do.
        what: String,
    },
}
