//! Where packets come from, and how SIP messages are found in them.
//!
//! Sources ([`pcap`] files, the kernel's rings) yield [`Frame`]s; the
//! [`Assembler`] takes link, tunnel and IP headers off, joins fragments and TCP
//! segments, removes mirrored copies, and hands on whole SIP messages.

use std::net::SocketAddr;

use scorer_common::Scan;

use crate::time::Timestamp;

mod assembler;
mod decode;
mod dedup;
mod defrag;
pub mod pcap;
mod tcp;

pub use assembler::{Assembler, AssemblerConfig, AssemblerStats};

/// How a frame begins (a subset of the tcpdump.org link-layer header types).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkType {
    /// `DLT_EN10MB`, 1.
    Ethernet,
    /// `DLT_NULL`, 0: address family in the capturing host's byte order.
    Null,
    /// `DLT_LOOP`, 108: address family in network byte order.
    Loop,
    /// `DLT_RAW`, 12, 14 and 101; `LINKTYPE_IPV4` 228 and `LINKTYPE_IPV6` 229.
    RawIp,
    /// `DLT_LINUX_SLL`, 113.
    LinuxCooked,
    /// `DLT_LINUX_SLL2`, 276.
    LinuxCooked2,
}

/// One captured frame.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// How `bytes` begin.
    pub link: LinkType,
    /// When it was seen.
    pub timestamp: Timestamp,
    /// What was captured of it.
    pub bytes: &'a [u8],
    /// Length on the wire, bytes; larger than `bytes.len()` when the capture cut it.
    pub wire_length: u32,
    /// The kernel's pass over the SIP message in this frame, where it made one.
    pub scan: Option<&'a Scan>,
}

/// Transport of a SIP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// RFC 768.
    Udp,
    /// RFC 9293.
    Tcp,
}

impl Transport {
    /// Name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

/// What the headers below SIP say. For a message from several packets: of the
/// first of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketMeta {
    /// When the packet that completed the message was seen.
    pub timestamp: Timestamp,
    /// Source address and port, IPv4-mapped IPv6 addresses as IPv4.
    pub source: SocketAddr,
    /// Destination address and port, likewise.
    pub destination: SocketAddr,
    /// Transport.
    pub transport: Transport,
    /// IPv4 TTL or IPv6 hop limit.
    pub ttl: u8,
    /// Differentiated services code point (RFC 2474), 0–63.
    pub dscp: u8,
    /// IPv4 identification; `None` for IPv6.
    pub ip_id: Option<u16>,
    /// IPv4 don't-fragment bit.
    pub dont_fragment: bool,
    /// UDP checksum field is 0 (RFC 768: not computed); `None` for TCP.
    pub udp_checksum_zero: Option<bool>,
    /// IP packets the message came in: 1, or more when fragmented or segmented.
    pub packets: u16,
    /// Messages that came before this one in its TCP connection, as far as it was
    /// seen; `None` over UDP.
    pub stream_messages: Option<u32>,
    /// Innermost VLAN identifier.
    pub vlan: Option<u16>,
    /// A tunnel or mirror header (IP-in-IP, GRE, ERSPAN, VXLAN, GTP-U) was taken off.
    pub tunnelled: bool,
}

impl PacketMeta {
    /// Of one plain packet of which no more is known than where it was sent.
    pub const fn between(
        source: SocketAddr,
        destination: SocketAddr,
        transport: Transport,
        timestamp: Timestamp,
    ) -> Self {
        Self {
            timestamp,
            source,
            destination,
            transport,
            ttl: 1,
            dscp: 0,
            ip_id: None,
            dont_fragment: false,
            udp_checksum_zero: None,
            packets: 1,
            stream_messages: None,
            vlan: None,
            tunnelled: false,
        }
    }
}

/// One whole SIP message on its way to [`crate::sip::Message::parse`].
#[derive(Clone, Copy, Debug)]
pub struct SipPacket<'a> {
    /// From the first byte of the start line; leading blank lines are gone.
    /// May end before Content-Length says: then the sender or the capture cut it.
    pub bytes: &'a [u8],
    /// Headers below.
    pub meta: PacketMeta,
    /// The kernel's pass over exactly `bytes`, where it made one.
    pub scan: Option<&'a Scan>,
}
