//! What the end-to-end tests share: labs of network namespaces, real SIP
//! elements, frames, the scorer's own binary.

pub mod backbone;
pub mod bump;
pub mod calls;
pub mod cluster;
pub mod frames;
pub mod http;
pub mod kernel;
pub mod lab;
pub mod model;
pub mod nats;
pub mod reader;
pub mod scorer;
pub mod screen;
pub mod shared;
pub mod sip;
