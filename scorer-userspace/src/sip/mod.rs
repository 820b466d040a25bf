//! A zero-copy view of a SIP message (RFC 3261) over borrowed bytes.
//!
//! Tolerant as real networks are, strict about bounds: whatever the bytes, no
//! panic, no allocation, time linear in their number.

mod find;
mod message;
mod name;
mod reply;
mod sdp;
mod start;
mod text;
mod uri;

pub(crate) use find::{find, find2, same};
pub use message::{AllValues, Header, Lines, Message, Oddities, ParseError, Scratch};
pub use name::HeaderName;
pub use reply::{Answer, ReplyError, answer, destination, reply};
pub use sdp::Sdp;
pub use start::{Method, StartLine};
pub use text::Values;
pub use uri::{NameAddr, Params, Scheme, Uri, Via};

#[cfg(test)]
mod tests;
