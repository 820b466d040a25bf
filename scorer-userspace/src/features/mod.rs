//! The features a model sees, from one registry.
//!
//! [`REGISTRY`] is the single source of names, order and documentation. A
//! missing value is NaN, never 0.

mod behaviour;
mod context;
mod header;
mod identity;
mod media;
mod number;
mod registry;
mod transport;

pub use context::{Call, Parts};
pub use registry::{COUNT, FeatureDef, Group, Kind, REGISTRY, by_name, id, markdown, names};

use crate::history::Recall;

/// Values of one call, in registry order.
pub type Vector = [f32; COUNT];

/// Computes the features that the message alone gives; the others are NaN.
pub fn compute_message(call: &Call<'_>, out: &mut Vector) {
    out.fill(f32::NAN);
    identity::fill(call, out);
    number::fill(call, out);
    header::fill(call, out);
    media::fill(call, out);
    transport::fill(call, out);
}

/// Computes the others. `recall` is what the history knew before the call.
pub fn compute_history(recall: &Recall, out: &mut Vector) {
    behaviour::fill(recall, out);
}

/// 1 or 0.
fn flag(value: bool) -> f32 {
    f32::from(u8::from(value))
}

/// 1 or 0, NaN where it cannot be told.
fn maybe(value: Option<bool>) -> f32 {
    value.map_or(f32::NAN, flag)
}
