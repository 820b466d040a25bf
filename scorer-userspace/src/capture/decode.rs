//! Link, tunnel and IP headers, as the XDP program takes them
//! (`scorer-ebpf/src/frame.rs`): what is SIP to the one must be to the other.
//! GTP-U, which only captures have, is taken here in addition.

use std::net::IpAddr;

use etherparse::{Ipv4HeaderSlice, Ipv6HeaderSlice};

use super::{Frame, LinkType};

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const VLAN: u16 = 0x8100;
const QINQ: u16 = 0x88a8;
const PPPOE: u16 = 0x8864;
const TRANSPARENT_ETHERNET: u16 = 0x6558;
const ERSPAN_2: u16 = 0x88be;
const ERSPAN_3: u16 = 0x22eb;

/// Protocol numbers of what is told apart further up.
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
/// IPv6 options behind a fragment header.
pub(super) const DESTINATION_OPTIONS: u8 = 60;

const VXLAN_PORT: u16 = 4789;
/// GTP-U, 3GPP TS 29.281.
const GTP_PORT: u16 = 2152;

/// IPv6 extension headers walked at most, as in the kernel.
const EXTENSIONS: usize = 6;

/// Part of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fragment {
    pub(super) id: u32,
    /// In bytes.
    pub(super) offset: u32,
    pub(super) more: bool,
}

/// The innermost IP packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ip<'a> {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) protocol: u8,
    /// Behind the header and its extensions, no longer than the header says.
    pub(super) payload: &'a [u8],
    pub(super) ttl: u8,
    pub(super) dscp: u8,
    /// IPv4 only.
    pub(super) id: Option<u16>,
    pub(super) dont_fragment: bool,
    pub(super) fragment: Option<Fragment>,
    pub(super) vlan: Option<u16>,
    pub(super) tunnelled: bool,
}

/// What the next header is and where.
#[derive(Clone, Copy)]
struct Next<'a> {
    ethertype: u16,
    bytes: &'a [u8],
    vlan: Option<u16>,
}

/// The innermost IP packet of a frame; `None` where there is none, or its
/// headers are cut short or lie. One tunnel or mirror is taken off as in the
/// kernel, and GTP-U in front of it or behind it.
pub(super) fn decode<'a>(frame: &Frame<'a>) -> Option<Ip<'a>> {
    let mut packet = ip(link(frame.link, frame.bytes)?)?;
    let (mut mirrored, mut gtp) = (false, false);
    loop {
        let inside = if !gtp && let Some(inside) = gtp_u(&packet) {
            gtp = true;
            inside
        } else if !mirrored && let Some(inside) = tunnel(&packet) {
            mirrored = true;
            inside
        } else {
            return Some(packet);
        };
        packet = within(&packet, inside)?;
    }
}

/// A datagram joined from fragments, behind IPv6 options that stand in its first
/// part; what it carries, if that is GTP-U, since the outer header makes packets
/// of a full MTU too long for the path. `None` when its headers lie.
pub(super) fn joined(mut packet: Ip<'_>) -> Option<Ip<'_>> {
    for _ in 0..EXTENSIONS {
        if packet.protocol != DESTINATION_OPTIONS {
            break;
        }
        let length = (usize::from(*packet.payload.get(1)?) + 1) * 8;
        packet.protocol = *packet.payload.first()?;
        packet.payload = packet.payload.get(length..)?;
    }
    gtp_u(&packet).map_or(Some(packet), |inside| within(&packet, inside))
}

fn within<'a>(outer: &Ip<'a>, inside: Next<'a>) -> Option<Ip<'a>> {
    let mut inner = ip(inside)?;
    inner.tunnelled = true;
    inner.vlan = inner.vlan.or(outer.vlan);
    Some(inner)
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|two| u16::from_be_bytes(*two))
}

fn link(kind: LinkType, bytes: &[u8]) -> Option<Next<'_>> {
    let plain = |ethertype, at| Some(Next { ethertype, bytes: bytes.get(at..)?, vlan: None });
    match kind {
        LinkType::Ethernet => ethernet(bytes),
        LinkType::RawIp => by_version(bytes),
        LinkType::LinuxCooked => tagged(be16(bytes, 14)?, bytes.get(16..)?),
        LinkType::LinuxCooked2 => tagged(be16(bytes, 0)?, bytes.get(20..)?),
        LinkType::Null | LinkType::Loop => {
            let family = *bytes.first_chunk::<4>()?;
            // Either byte order: the capturing host's, or the network's. 2 is
            // AF_INET everywhere, AF_INET6 differs (10 Linux, 24 28 30 the BSDs).
            match family.iter().fold(0, |a, b| a | b) {
                2 => plain(IPV4, 4),
                10 | 24 | 28 | 30 => plain(IPV6, 4),
                _ => None,
            }
        }
    }
}

fn by_version(bytes: &[u8]) -> Option<Next<'_>> {
    let ethertype = match bytes.first()? >> 4 {
        4 => IPV4,
        6 => IPV6,
        _ => return None,
    };
    Some(Next { ethertype, bytes, vlan: None })
}

fn ethernet(bytes: &[u8]) -> Option<Next<'_>> {
    tagged(be16(bytes, 12)?, bytes.get(14..)?)
}

/// Up to two VLAN tags, then a PPPoE session header.
fn tagged(ethertype: u16, bytes: &[u8]) -> Option<Next<'_>> {
    let mut next = Next { ethertype, bytes, vlan: None };
    for _ in 0..2 {
        if next.ethertype != VLAN && next.ethertype != QINQ {
            break;
        }
        next.vlan = Some(be16(next.bytes, 0)? & 0x0fff);
        next.ethertype = be16(next.bytes, 2)?;
        next.bytes = next.bytes.get(4..)?;
    }
    if next.ethertype == PPPOE {
        next.ethertype = match be16(next.bytes, 6)? {
            0x0021 => IPV4,
            0x0057 => IPV6,
            _ => return None,
        };
        next.bytes = next.bytes.get(8..)?;
    }
    Some(next)
}

fn ip(next: Next<'_>) -> Option<Ip<'_>> {
    match next.ethertype {
        IPV4 => ipv4(next),
        IPV6 => ipv6(next),
        _ => None,
    }
}

fn ipv4(next: Next<'_>) -> Option<Ip<'_>> {
    let header = Ipv4HeaderSlice::from_slice(next.bytes).ok()?;
    let length = header.slice().len();
    let total = usize::from(header.total_len());
    if total < length {
        return None;
    }
    let offset = u32::from(header.fragments_offset().value()) * 8;
    let more = header.more_fragments();
    let fragment = (more || offset != 0).then(|| Fragment {
        id: u32::from(header.identification()),
        offset,
        more,
    });
    Some(Ip {
        source: header.source_addr().into(),
        destination: header.destination_addr().into(),
        protocol: header.protocol().0,
        payload: &next.bytes[length..total.min(next.bytes.len())],
        ttl: header.ttl(),
        dscp: header.dcp().value(),
        id: Some(header.identification()),
        dont_fragment: header.dont_fragment(),
        fragment,
        vlan: next.vlan,
        tunnelled: false,
    })
}

fn ipv6(next: Next<'_>) -> Option<Ip<'_>> {
    let header = Ipv6HeaderSlice::from_slice(next.bytes).ok()?;
    let end = (40 + usize::from(header.payload_length())).min(next.bytes.len());
    let mut protocol = header.next_header().0;
    let mut payload = &next.bytes[40..end];
    let mut fragment = None;
    for _ in 0..EXTENSIONS {
        let skip = match protocol {
            // Hop-by-hop, routing, destination options, mobility (RFC 8200, 6275).
            0 | 43 | 60 | 135 => (usize::from(*payload.get(1)?) + 1) * 8,
            44 => {
                let bits = be16(payload, 2)?;
                let id = payload.get(4..)?.first_chunk()?;
                let part = Fragment {
                    id: u32::from_be_bytes(*id),
                    offset: u32::from(bits & 0xfff8),
                    more: bits & 1 != 0,
                };
                // A fragment of one part is whole (RFC 6946).
                fragment = (part.more || part.offset != 0).then_some(part);
                8
            }
            _ => break,
        };
        protocol = *payload.first()?;
        payload = payload.get(skip..)?;
        if fragment.is_some() {
            // What options follow in the first part are no header in the others.
            break;
        }
    }
    // etherparse gives IPv4-mapped addresses as they stand; callers want one form.
    let canonical = |address: std::net::Ipv6Addr| {
        address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4)
    };
    Some(Ip {
        source: canonical(header.source_addr()),
        destination: canonical(header.destination_addr()),
        protocol,
        payload,
        ttl: header.hop_limit(),
        dscp: header.traffic_class() >> 2,
        id: None,
        dont_fragment: false,
        fragment,
        vlan: next.vlan,
        tunnelled: false,
    })
}

/// What is inside, if the packet is a tunnel's or a mirror's.
fn tunnel<'a>(ip: &Ip<'a>) -> Option<Next<'a>> {
    if ip.fragment.is_some() {
        return None;
    }
    let inside = |ethertype| Some(Next { ethertype, bytes: ip.payload, vlan: None });
    match ip.protocol {
        4 => inside(IPV4),
        41 => inside(IPV6),
        47 => gre(ip.payload),
        UDP => match be16(ip.payload, 2)? {
            VXLAN_PORT => ethernet(ip.payload.get(16..)?),
            _ => None,
        },
        _ => None,
    }
}

fn gtp_u<'a>(ip: &Ip<'a>) -> Option<Next<'a>> {
    let is_gtp = ip.fragment.is_none() && ip.protocol == UDP;
    if is_gtp && be16(ip.payload, 2)? == GTP_PORT { gtp(ip.payload.get(8..)?) } else { None }
}

/// RFC 2784 and 2890; ERSPAN as draft-foschiano-erspan tells it.
fn gre(bytes: &[u8]) -> Option<Next<'_>> {
    let (flags, kind) = (be16(bytes, 0)?, be16(bytes, 2)?);
    if flags & 0x0007 != 0 {
        return None;
    }
    let sequence = usize::from(flags >> 12 & 1);
    let optional = usize::from(flags >> 15 & 1) + usize::from(flags >> 13 & 1) + sequence;
    let inner = bytes.get(4 + 4 * optional..)?;
    match kind {
        IPV4 | IPV6 => Some(Next { ethertype: kind, bytes: inner, vlan: None }),
        TRANSPARENT_ETHERNET => ethernet(inner),
        ERSPAN_2 => ethernet(inner.get(8 * sequence..)?),
        ERSPAN_3 => ethernet(inner.get(12 + 8 * usize::from(inner.get(11)? & 1)..)?),
        _ => None,
    }
}

/// A G-PDU (message type 255) of GTP version 1.
fn gtp(bytes: &[u8]) -> Option<Next<'_>> {
    let (flags, kind) = (*bytes.first()?, *bytes.get(1)?);
    if flags >> 4 != 0b0011 || kind != 0xff {
        return None;
    }
    let mut at = 8;
    if flags & 0x07 != 0 {
        at = 12;
        let mut extension = if flags & 0x04 != 0 { *bytes.get(11)? } else { 0 };
        // Each says its length in units of four bytes; zero would be no step.
        for _ in 0..EXTENSIONS {
            if extension == 0 {
                break;
            }
            let length = usize::from(*bytes.get(at)?) * 4;
            if length == 0 {
                return None;
            }
            extension = *bytes.get(at + length - 1)?;
            at += length;
        }
    }
    by_version(bytes.get(at..)?)
}
