//! Inline mode: the scorer in the path of calls, which cannot hurt.
//!
//! An XDP program hands initial INVITEs to an AF_XDP socket and sends everything
//! else on at once. The scoring thread scores an INVITE, does with it what policy
//! says ([`Judge`]), and sends it on. It hands over only while this thread says
//! that it is alive and keeps up (`scorer_common::steer`): a thread that is
//! killed, stopped, slow or behind costs calls their score, not their way.

mod attach;
mod device;
mod edit;
mod judge;
mod layers;
mod local;
mod memory;
mod port;
mod reject;
mod service;
mod shared;
mod worker;

pub use attach::{Inline, InlineConfig, Way};
pub use judge::{Judge, JudgeConfig, JudgeStats, Plan};
pub use worker::{Scoring, Worker};

use crate::tap::TapError;

/// Why inline mode could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum InlineError {
    /// Loading, attaching, pinning.
    #[error(transparent)]
    Tap(#[from] TapError),
    /// Both sides are one interface.
    #[error("carrier and core are the same interface; with one interface use --nic IF --local")]
    SameInterface,
    /// More receive queues than the programs know.
    #[error(
        "{interface} has {queues} receive queues, more than {}: `ethtool -L {interface} combined {}` sets fewer",
        scorer_common::steer::QUEUES,
        scorer_common::steer::QUEUES
    )]
    TooManyQueues {
        /// Interface.
        interface: String,
        /// How many.
        queues: u32,
    },
    /// No AF_XDP socket.
    #[error(
        "no AF_XDP socket on queue {queue} of {interface}: {source}. It needs CAP_NET_RAW, an \
         interface that is up, and a queue that no other program has; `scorer doctor -i {interface}` \
         tells more"
    )]
    Socket {
        /// Interface.
        interface: String,
        /// Receive queue.
        queue: u32,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// No veth pair.
    #[error("cannot make the veth pair that INVITEs come back by ({command}): {reason}")]
    Veth {
        /// What was tried.
        command: String,
        /// What came of it.
        reason: String,
    },
    /// Programs could not be taken off.
    #[error("cannot remove {}: {source}", folder.display())]
    Remove {
        /// Folder of pins.
        folder: std::path::PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
}
