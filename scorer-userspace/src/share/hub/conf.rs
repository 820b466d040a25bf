//! The NATS server's configuration: who may publish and hear what.

use std::{fmt::Write as _, path::Path};

use crate::share::nats::{EVENTS, LIVE, STREAM, inbox};

/// A member as the server knows it.
pub(super) struct User<'a> {
    pub(super) name: &'a str,
    /// Public half of its nkey.
    pub(super) nkey: &'a str,
}

/// Writes it. `listen` is `HOST:PORT`; `hub` the hub's nkey.
pub(super) fn write(
    consortium: &str,
    listen: &str,
    folder: &Path,
    hub: &str,
    users: &[User<'_>],
) -> String {
    let path = |name: &str| format!("{:?}", folder.join(name).display().to_string());
    let mut text = format!(
        "# Made by `scorer consortium hub`, and made anew at every invitation and revocation:\n\
         # do not edit. Start: nats-server -c nats.conf; after a change: kill -HUP.\n\
         server_name: \"consortium-{consortium}\"\n\
         listen: \"{listen}\"\n\
         pid_file: {}\n\
         max_payload: 4096\n\
         max_subscriptions: 64\n\
         max_connections: 1024\n\
         jetstream {{ store_dir: {} }}\n\
         # A certificate of the consortium's, and the nkey beside it.\n\
         tls {{\n  cert_file: {}\n  key_file: {}\n  ca_file: {}\n  verify: true\n  timeout: 5\n}}\n\
         accounts {{\n  CONSORTIUM {{\n    jetstream: enabled\n    users: [\n\
         \x20     # The hub: makes the stream.\n      {{ nkey: {hub} }}\n",
        path("nats.pid"),
        path("jetstream"),
        path("nats.pem"),
        path("nats.key"),
        path("authority.pem"),
    );
    for User { name, nkey } in users {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "      # {name}: says its own, hears what is stored, fetches what it missed.\n\
             \x20     {{\n        nkey: {nkey}\n        permissions: {{\n\
             \x20         publish: {{ allow: [\"{EVENTS}{name}\", \"$JS.API.DIRECT.GET.{STREAM}\"] }}\n\
             \x20         subscribe: {{ allow: [\"{LIVE}*\", \"{}.>\"] }}\n        }}\n      }}\n",
            inbox(name),
        );
    }
    text.push_str("    ]\n  }\n  SYS { users: [] }\n}\nsystem_account: SYS\n");
    text
}
