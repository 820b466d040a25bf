//! A SIP redirect server on UDP: the router sends its INVITE there and gets the verdict
//! as an answer. See docs/verdicts.md.

mod alone;
mod answer;
mod config;
mod frame;
mod memory;
mod server;
mod socket;
mod stats;

pub use alone::{Alone, Score};
pub use config::RedirectConfig;
pub(crate) use config::{is_header_name, is_header_value};
pub use server::{Outbox, Server, Step};
pub use socket::{Listener, RedirectError};
pub use stats::{RedirectEvents, RedirectStats};
