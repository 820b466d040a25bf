//! The consortium's hub: it knows the members, hands out the keys of epochs or evaluates
//! blindly, and writes the NATS server's configuration. It never sees who accuses whom by
//! number: events go over NATS, and name pseudonyms.

mod authority;
mod conf;
mod server;
mod state;

pub use self::{
    server::{HubServer, serve},
    state::{Hub, Invited, Settings},
};
