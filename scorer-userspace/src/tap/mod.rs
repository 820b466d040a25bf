//! The live side of passive mode: loads the XDP program, attaches it, reads its
//! rings.
//!
//! Nothing here can hurt traffic: the program passes every packet (unless a
//! gate rule drops it, and nothing fills the gate here), and when this process
//! dies in whatever way the kernel takes the program off the interface, since
//! only this process holds the link.

pub(crate) mod attach;
pub(crate) mod clock;
pub(crate) mod consumer;
pub mod object;
mod pins;
mod ring;
pub(crate) mod spin;

use std::time::Duration;

pub use attach::{Attached, CounterReader, Tap};
pub use clock::{monotonic, wall};
pub use consumer::Consumer;
pub use pins::Pins;

/// How the program is attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// In the driver where it can, else in the network stack.
    #[default]
    Auto,
    /// In the driver, before the kernel makes a socket buffer.
    Native,
    /// In the network stack: every interface can, at a cost.
    Generic,
}

/// What to tap, and how.
#[derive(Clone, Debug)]
pub struct TapConfig {
    /// Names of network interfaces.
    pub interfaces: Vec<String>,
    /// How the program is attached.
    pub mode: Mode,
    /// Ports on which SIP is expected; elsewhere it must show by content.
    pub sip_ports: Vec<u16>,
    /// Size of the ring for INVITEs, bytes; rounded up to a power of two.
    pub invite_ring_bytes: u32,
    /// Size of the ring for other dialog messages, bytes; likewise.
    pub dialog_ring_bytes: u32,
    /// CPU the scoring thread is pinned to.
    pub cpu: Option<usize>,
    /// How long the consumer spins on empty rings before it sleeps. The next
    /// packet then finds it awake, within a microsecond rather than fifty.
    pub spin: Duration,
    /// The same while INVITEs come at less than half of this from each other.
    pub spin_busy: Duration,
    /// Receive frames addressed to others, as on a mirror port.
    pub promiscuous: bool,
    /// Folder in a BPF file system where the program is kept on its interfaces when this
    /// process ends, so that the gate goes on; `None` takes it off then.
    pub keep: Option<std::path::PathBuf>,
    /// BPF object instead of the built-in one: a debug build that logs.
    pub object: Option<std::path::PathBuf>,
}

impl Default for TapConfig {
    fn default() -> Self {
        Self {
            interfaces: Vec::new(),
            mode: Mode::Auto,
            sip_ports: vec![5060],
            invite_ring_bytes: 16 << 20,
            dialog_ring_bytes: 16 << 20,
            cpu: None,
            spin: Duration::from_micros(200),
            spin_busy: Duration::from_millis(5),
            promiscuous: true,
            keep: None,
            object: None,
        }
    }
}

/// Why a tap could not be set up or went on no longer.
#[derive(Debug, thiserror::Error)]
pub enum TapError {
    /// No interface given.
    #[error("no interface to tap: name at least one with -i")]
    NoInterface,
    /// No such interface.
    #[error("there is no network interface {name}; `ip link` lists those there are")]
    NoSuchInterface {
        /// Its name.
        name: String,
    },
    /// The kernel refused the object.
    #[error(
        "the kernel did not take the BPF object: {source}. It needs Linux 5.18 or later and \
         CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON; `scorer doctor` tells which is missing"
    )]
    Load {
        /// Cause.
        #[source]
        source: Box<aya::EbpfError>,
    },
    /// The kernel refused the program.
    #[error("the kernel did not take the XDP program: {}", chain(source))]
    Program {
        /// Cause.
        #[source]
        source: Box<aya::programs::ProgramError>,
    },
    /// The program could not be attached.
    #[error("cannot attach to {interface} in {mode} mode: {}. {hint}", chain(source))]
    Attach {
        /// Interface.
        interface: String,
        /// Mode tried last.
        mode: &'static str,
        /// What to do about it.
        hint: &'static str,
        /// Cause.
        #[source]
        source: Box<aya::programs::ProgramError>,
    },
    /// A map is missing or of another kind: loader and object do not match.
    #[error("map {name} of the BPF object is not what the loader expects: {source}")]
    Map {
        /// Map.
        name: &'static str,
        /// Cause.
        #[source]
        source: Box<aya::maps::MapError>,
    },
    /// Maps and links cannot be kept there.
    #[error(
        "{} is not on a BPF file system, where programs are kept over restarts: \
         `mount -t bpf bpf /sys/fs/bpf` mounts one, `kernel.pins` names another folder",
        path.display()
    )]
    NotBpffs {
        /// Folder.
        path: std::path::PathBuf,
    },
    /// A system call failed.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
}

impl TapError {
    pub(crate) fn map(name: &'static str, source: aya::maps::MapError) -> Self {
        Self::Map { name, source: Box::new(source) }
    }

    /// Waiting for packets failed.
    pub(crate) fn waiting(what: &str, source: std::io::Error) -> Self {
        Self::system(what, source)
    }

    pub(crate) fn system(what: impl Into<String>, source: impl Into<std::io::Error>) -> Self {
        Self::System { what: what.into(), source: source.into() }
    }
}

/// An error and its causes in one line: aya keeps the errno in a cause.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}
