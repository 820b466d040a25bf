//! Tests of models, and the rows they share.

mod baseline;
mod ensembles;
mod exported;
