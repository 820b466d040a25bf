//! Risk scores for inbound SIP calls, from their signalling alone.
//!
//! Data flows one way, and nothing on the left knows anything on its right:
//!
//! ```text
//! capture -> sip -> features (+ history, number) -> model -> policy -> verdict -> records
//! ```
//!
//! [`engine::Engine`] ties these together and is pure: bytes and a timestamp in,
//! verdicts out. It does no I/O, reads no clock and starts no threads, so that a
//! replayed file and a live interface give the same answers for the same packets.

pub mod api;
pub mod backup;
pub mod capture;
pub mod cases;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod engine;
pub mod env;
pub mod features;
pub mod gate;
pub mod geo;
mod hex;
pub mod history;
mod http1;
pub mod inline;
pub mod isup;
pub mod labels;
pub mod lists;
pub mod maths;
pub mod metrics;
pub mod model;
pub mod number;
pub mod output;
pub mod policy;
mod private;
pub mod profiles;
pub mod records;
pub mod share;
pub mod simulate;
pub mod sip;
mod sqlite;
mod steps;
pub mod stir;
pub mod tap;
pub mod time;
mod tls;
pub mod top;
pub mod verdict;

#[cfg(test)]
mod testing;
