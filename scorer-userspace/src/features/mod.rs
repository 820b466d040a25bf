//! The features a model sees, from one registry.
//!
//! [`REGISTRY`] is the single source of names, order and documentation. A
//! missing value is NaN, never 0.

mod agent;
mod behaviour;
mod context;
mod date;
mod header;
mod identity;
mod isup;
mod lists;
mod media;
mod number;
mod pattern;
mod profile;
mod registry;
mod sets;
mod signature;
mod stir;
mod transport;
mod words;

pub(crate) use context::address as host_address;
pub use context::{Call, Parts};
pub(crate) use date::seconds as date_seconds;
pub use registry::{COUNT, FeatureDef, Group, Kind, REGISTRY, by_name, id, markdown, names};
pub(crate) use signature::hex_digits;
pub use signature::{Fingerprint, Traits};
pub use words::{Said, says, write as write_reason};
pub(crate) use words::{Saying, listed};

use crate::history::Recall;

/// Values of one call, in registry order.
pub type Vector = [f32; COUNT];

/// Computes what the headers and the offer are like, and the traits by which the
/// history knows them. Features of other groups are NaN after this.
pub fn compute_shape<'a>(call: &Call<'a>, out: &mut Vector) -> Traits<'a> {
    out.fill(f32::NAN);
    let mut traits = Traits { order: call.message.scan().fingerprint, ..Traits::default() };
    header::fill(call, out, &mut traits);
    media::fill(call, out, &mut traits);
    traits.signed(call.meta)
}

/// Computes who calls whom, as the message says it.
pub fn compute_parties(call: &Call<'_>, out: &mut Vector) {
    identity::fill(call, out);
    number::fill(call, out);
}

/// Computes the other features that the message alone gives.
pub fn compute_rest(call: &Call<'_>, out: &mut Vector) {
    transport::fill(call, out);
    stir::fill(call, out);
    isup::fill(call, out);
}

/// Computes what lists, cases and the consortium say.
pub fn compute_lists(call: &Call<'_>, out: &mut Vector) {
    lists::fill(call, out);
}

/// Computes what the history knows. `recall` is what it knew before the call.
pub fn compute_history(recall: &Recall, out: &mut Vector) {
    behaviour::fill(recall, out);
    profile::fill(recall, out);
}

/// 1 or 0.
fn flag(value: bool) -> f32 {
    f32::from(u8::from(value))
}

/// 1 or 0, NaN where it cannot be told.
fn maybe(value: Option<bool>) -> f32 {
    value.map_or(f32::NAN, flag)
}
