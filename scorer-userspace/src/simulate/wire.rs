//! Datagrams as Ethernet frames.

use std::net::{IpAddr, SocketAddr};

use etherparse::{
    EtherType, Ethernet2Header, IpFragOffset, IpNumber, Ipv4Header, Ipv6Header, UdpHeader,
};

use crate::{
    capture::{Frame, LinkType},
    time::Timestamp,
};

/// Largest IP packet on the link, bytes.
const MTU: usize = 1_500;

/// One SIP message on its way.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// When it is seen.
    pub timestamp: Timestamp,
    /// Whence.
    pub source: SocketAddr,
    /// Whither.
    pub destination: SocketAddr,
    /// The message.
    pub payload: &'a [u8],
    /// What is left of the sender's TTL.
    pub ttl: u8,
    /// Differentiated services code point, 0 to 63.
    pub dscp: u8,
    /// Identification of the IPv4 packet; `None` for 0 with don't-fragment set.
    pub id: Option<u16>,
}

impl Packet<'_> {
    /// Calls `each` for every frame it takes: more than one when IPv4 must fragment it.
    ///
    /// # Errors
    /// Those of `each`.
    pub fn frames<E>(&self, each: &mut dyn FnMut(&Frame<'_>) -> Result<(), E>) -> Result<(), E> {
        let udp = self.datagram();
        let mut bytes = Vec::with_capacity(udp.len() + 64);
        let mut emit = |bytes: &[u8]| {
            each(&Frame {
                link: LinkType::Ethernet,
                timestamp: self.timestamp,
                bytes,
                wire_length: bytes.len() as u32,
                scan: None,
            })
        };
        match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                // Fragments but the last carry multiples of eight bytes.
                let most = (MTU - 20) / 8 * 8;
                let pieces = udp.len().div_ceil(most);
                for (i, piece) in udp.chunks(most).enumerate() {
                    let mut ip = Ipv4Header {
                        identification: self.id.unwrap_or(0),
                        dont_fragment: self.id.is_none() && pieces == 1,
                        more_fragments: i + 1 < pieces,
                        time_to_live: self.ttl,
                        protocol: IpNumber::UDP,
                        source: source.octets(),
                        destination: destination.octets(),
                        total_len: (20 + piece.len()) as u16,
                        ..Ipv4Header::default()
                    };
                    ip.dscp = self.dscp.try_into().unwrap_or_default();
                    ip.fragment_offset =
                        IpFragOffset::try_new((i * most / 8) as u16).unwrap_or_default();
                    ip.header_checksum = ip.calc_header_checksum();
                    bytes.clear();
                    bytes.extend_from_slice(&ethernet(EtherType::IPV4));
                    bytes.extend_from_slice(&ip.to_bytes());
                    bytes.extend_from_slice(piece);
                    emit(&bytes)?;
                }
                Ok(())
            }
            (source, destination) => {
                let mut ip = Ipv6Header {
                    traffic_class: self.dscp << 2,
                    payload_length: udp.len() as u16,
                    next_header: IpNumber::UDP,
                    hop_limit: self.ttl,
                    ..Ipv6Header::default()
                };
                (ip.source, ip.destination) = (octets(source), octets(destination));
                bytes.extend_from_slice(&ethernet(EtherType::IPV6));
                bytes.extend_from_slice(&ip.to_bytes());
                bytes.extend_from_slice(&udp);
                emit(&bytes)
            }
        }
    }

    /// UDP header and payload.
    fn datagram(&self) -> Vec<u8> {
        let mut header = UdpHeader {
            source_port: self.source.port(),
            destination_port: self.destination.port(),
            length: (8 + self.payload.len()) as u16,
            checksum: 0,
        };
        // An error only says that the payload is too long for a datagram.
        let sum = match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                header.calc_checksum_ipv4_raw(source.octets(), destination.octets(), self.payload)
            }
            (source, destination) => {
                header.calc_checksum_ipv6_raw(octets(source), octets(destination), self.payload)
            }
        };
        header.checksum = sum.unwrap_or(0);
        let mut bytes = Vec::with_capacity(8 + self.payload.len());
        bytes.extend_from_slice(&header.to_bytes());
        bytes.extend_from_slice(self.payload);
        bytes
    }
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

fn ethernet(kind: EtherType) -> [u8; 14] {
    // Locally administered addresses.
    let (source, destination) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    Ethernet2Header { source, destination, ether_type: kind }.to_bytes()
}
