//! Who asks, and what is theirs to ask.

use std::net::IpAddr;

use serde::Serialize;

/// What somebody may do; each may do what the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Looks, and sees numbers masked.
    Viewer,
    /// Sees numbers, labels calls, changes lists and cases.
    Analyst,
    /// Sees who changed what, too.
    Admin,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Analyst, Self::Admin];

    /// Name in options and output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Analyst => "analyst",
            Self::Admin => "admin",
        }
    }

    /// The role of a name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Whether numbers are masked for it.
    pub const fn is_masked(self) -> bool {
        matches!(self, Self::Viewer)
    }
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api) enum Peer {
    /// Over TCP, perhaps in TLS.
    Tcp {
        /// Where from.
        from: IpAddr,
        /// Whether it is encrypted.
        tls: bool,
    },
    /// Over the Unix socket; its user.
    Unix(u32),
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp { from, .. } => write!(f, "{from}"),
            Self::Unix(uid) => write!(f, "unix:{uid}"),
        }
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::api) struct Principal {
    /// Name of the token, or of the user on this host.
    pub(in crate::api) name: String,
    /// What may be asked.
    pub(in crate::api) role: Role,
}
