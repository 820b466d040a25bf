//! Tests of models, and the rows they share.

mod baseline;
mod ensemble;
mod ensembles;
mod exported;
