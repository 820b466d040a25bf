//! Names of maps, programs and globals in the BPF object.

/// The passive program.
pub const PROGRAM_TAP: &str = "tap";
/// Inline, on the carrier's side.
pub const PROGRAM_CARRIER: &str = "inline_carrier";
/// Inline, on the core's side.
pub const PROGRAM_CORE: &str = "inline_core";

/// Ring of [`crate::record::InviteHeader`] records: INVITEs, whole.
pub const RING_INVITES: &str = "INVITES";
/// Ring of [`crate::record::RecordHeader`] records: other dialog messages, TCP
/// segments and IP fragments.
pub const RING_DIALOGS: &str = "DIALOGS";
/// Per-CPU array of one `[u64; Counter::COUNT]`, see [`crate::Counter`].
pub const COUNTERS: &str = "COUNTERS";
/// Array of one [`crate::gate::Settings`].
pub const SETTINGS: &str = "SETTINGS";
/// Array of one `u32`: not zero while the consumer sleeps and wants a wake-up.
pub const SLEEPING: &str = "SLEEPING";
/// Array of one [`crate::limits::PortBitmap`]: the ports SIP is expected on.
pub const PORTS: &str = "PORTS";
/// LRU hash: [`crate::record::FragmentKey`] to `u8`, datagrams being fragmented.
pub const FRAGMENTS: &str = "FRAGMENTS";
/// LRU hash: [`crate::record::FlowKey`] to `u8`, TCP flows that carried SIP.
pub const FLOWS: &str = "FLOWS";
/// LPM trie: IPv4 source prefix to [`crate::gate::Rule`].
pub const GATE_SOURCE4: &str = "GATE_SOURCE4";
/// LPM trie: IPv6 source prefix to [`crate::gate::Rule`].
pub const GATE_SOURCE6: &str = "GATE_SOURCE6";
/// Hash: fingerprint (`u64`) to [`crate::gate::Rule`].
pub const GATE_FINGERPRINT: &str = "GATE_FINGERPRINT";
/// Hash: [`crate::gate::number_hash`] of the caller's number to [`crate::gate::Rule`].
pub const GATE_NUMBER: &str = "GATE_NUMBER";
/// LRU hash: source address (16 bytes) to [`crate::gate::Bucket`].
pub const GATE_BUCKETS: &str = "GATE_BUCKETS";

/// DEVMAP: [`crate::steer::TO_CORE`] and [`crate::steer::TO_CARRIER`] to interfaces;
/// empty where the router is on this host.
pub const FORWARD: &str = "FORWARD";
/// XSKMAP: receive queue to the AF_XDP socket that takes its INVITEs.
pub const SOCKETS: &str = "SOCKETS";
/// Array, in shared memory, of one [`crate::steer::Beat`].
pub const BEAT: &str = "BEAT";
/// Array, in shared memory: receive queue to [`crate::steer::Backlog`].
pub const BACKLOGS: &str = "BACKLOGS";
/// LRU hash: [`crate::steer::call_hash`] to [`crate::steer::Follow`].
pub const FOLLOWED: &str = "FOLLOWED";

/// Version of the maps' layouts: pinned ones of another version are left alone.
pub const LAYOUT: u32 = 1;

/// Every map the loader expects to find.
pub const ALL: [&str; 18] = [
    RING_INVITES,
    RING_DIALOGS,
    COUNTERS,
    SETTINGS,
    SLEEPING,
    PORTS,
    FRAGMENTS,
    FLOWS,
    GATE_SOURCE4,
    GATE_SOURCE6,
    GATE_FINGERPRINT,
    GATE_NUMBER,
    GATE_BUCKETS,
    FORWARD,
    SOCKETS,
    BEAT,
    BACKLOGS,
    FOLLOWED,
];
