//! The features a model sees, from one registry.
