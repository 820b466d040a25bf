//! Records in the ring buffers, and keys of the kernel's own tables.

use crate::fingerprint::Scan;

/// Layout version of every record here. The consumer refuses another one.
pub const VERSION: u8 = 1;

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A whole INVITE datagram, or a TCP segment that opens with an INVITE.
    Invite = 1,
    /// Another dialog message in one UDP datagram.
    Dialog = 2,
    /// A TCP segment of a flow that carries SIP.
    Segment = 3,
    /// An IP fragment that may belong to a SIP message.
    Fragment = 4,
    /// A datagram on a SIP port that begins with blank lines.
    Blank = 5,
}

impl TryFrom<u8> for Kind {
    type Error = u8;

    fn try_from(value: u8) -> Result<Self, u8> {
        Ok(match value {
            1 => Self::Invite,
            2 => Self::Dialog,
            3 => Self::Segment,
            4 => Self::Fragment,
            5 => Self::Blank,
            other => return Err(other),
        })
    }
}

/// The gate's allow rule matched.
pub const GATE_ALLOWED: u8 = 1 << 0;
/// A deny rule matched (and its action let the packet pass).
pub const GATE_DENIED: u8 = 1 << 1;
/// The source is over its rate (and the setting let the packet pass).
pub const GATE_LIMITED: u8 = 1 << 2;

/// First 32 bytes of every ring record. The frame follows the record's head and
/// ends `length` bytes later; the ring may round the record up, and what lies
/// behind the frame is not of this packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct RecordHeader {
    /// [`VERSION`].
    pub version: u8,
    /// [`Kind`].
    pub kind: u8,
    /// `GATE_*` bits.
    pub gate: u8,
    /// Zero.
    pub reserved0: u8,
    /// Interface the frame came in on.
    pub ifindex: u32,
    /// `CLOCK_MONOTONIC` when the program ran, ns.
    pub timestamp: u64,
    /// Length of the frame, bytes.
    pub length: u32,
    /// Offset of the SIP text (or of what the IP payload holds) in the frame.
    pub payload: u16,
    /// Receive queue.
    pub queue: u16,
    /// Length of the SIP text as the UDP header and the frame's end allow, bytes.
    pub payload_length: u32,
    /// Zero.
    pub reserved1: u32,
}

/// Head of an INVITE record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct InviteHeader {
    /// As of every record.
    pub record: RecordHeader,
    /// The kernel's pass over the message.
    pub scan: Scan,
}

const _: () = assert!(size_of::<RecordHeader>() == 32);
const _: () = assert!(size_of::<InviteHeader>() == 32 + 176);
const _: () = assert!(align_of::<InviteHeader>() == 8);

/// Names a datagram that is being fragmented (RFC 791, RFC 8200 section 4.5).
/// IPv4 addresses are the first four bytes, the rest zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct FragmentKey {
    /// Source address.
    pub source: [u8; 16],
    /// Destination address.
    pub destination: [u8; 16],
    /// Identification, as on the wire.
    pub id: u32,
    /// IP version (4 or 6).
    pub family: u16,
    /// Protocol number (17 or 6).
    pub protocol: u16,
}

const _: () = assert!(size_of::<FragmentKey>() == 40);

/// Value in the fragment table: the datagram is SIP.
pub const FRAGMENT_SIP: u8 = 1;
/// Value in the fragment table: the datagram is something else.
pub const FRAGMENT_OTHER: u8 = 2;

/// Names a TCP flow in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct FlowKey {
    /// Source address, IPv4 in the first four bytes.
    pub source: [u8; 16],
    /// Destination address, likewise.
    pub destination: [u8; 16],
    /// Source and destination port as they stand in the header.
    pub ports: u32,
    /// IP version (4 or 6).
    pub family: u32,
}

const _: () = assert!(size_of::<FlowKey>() == 40);
