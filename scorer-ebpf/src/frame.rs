//! Link, IP and transport headers, and one layer of tunnel or mirror.
//!
//! All reads go through [`read`], which compares with the packet's end anew:
//! the verifier accepts nothing less. Offsets are bounded by [`DEEPEST`].

use scorer_common::record::FlowKey;

use crate::{ctx::Ctx, job::Job};

/// No header of interest begins further into the frame.
pub const DEEPEST: usize = 1024;

const IPV4: u32 = 0x0800;
const IPV6: u32 = 0x86dd;
const VLAN: u32 = 0x8100;
const QINQ: u32 = 0x88a8;
/// RFC 2516, and the protocols of RFC 1332 and 5072 in it.
const PPPOE_SESSION: u32 = 0x8864;
const PPP_IPV4: u32 = 0x0021;
const PPP_IPV6: u32 = 0x0057;

pub const TCP: u32 = 6;
pub const UDP: u32 = 17;
/// IPv6 options, which may stand behind a fragment header.
pub const DESTINATION_OPTIONS: u32 = 60;
const IPIP: u32 = 4;
const IPV6_IN_IP: u32 = 41;
const GRE: u32 = 47;

/// VXLAN, RFC 7348.
const VXLAN_PORT: u32 = 4789;
/// Transparent Ethernet bridging in GRE.
const TEB: u32 = 0x6558;
const ERSPAN_2: u32 = 0x88be;
const ERSPAN_3: u32 = 0x22eb;

/// IPv6 extension headers walked at most.
const EXTENSIONS: u32 = 6;

/// Reads a `T` at `offset`, in whatever alignment.
#[inline(always)]
pub fn read<T: Copy>(ctx: Ctx, offset: usize) -> Option<T> {
    if offset > DEEPEST {
        return None;
    }
    let start = ctx.data() + offset;
    if start + size_of::<T>() > ctx.data_end() {
        return None;
    }
    // SAFETY: the bytes lie before the packet's end, and any bytes make a T:
    // only integers and arrays of bytes are read.
    Some(unsafe { (start as *const T).read_unaligned() })
}

#[inline(always)]
fn be16(ctx: Ctx, offset: usize) -> Option<u32> {
    read::<u16>(ctx, offset).map(|value| u16::from_be(value) as u32)
}

/// The bulk of a voice network's packets, told without a step: untagged, IPv4
/// without options, UDP, no fragment, no VXLAN, and a payload that begins with
/// neither a letter nor a line's end, as RTP does. No SIP message is among them.
#[inline(always)]
pub fn is_plain_udp_other_than_text(ctx: Ctx) -> bool {
    /// From the EtherType to the first two bytes of payload.
    type Words = [u16; 16];
    let Some(words) = read::<Words>(ctx, 12) else { return false };
    let [kind, first, total, _, fragment, protocol, _, _, _, _, _, _, port, _, _, payload] = words;
    let first = first.to_le() & 0xff;
    let start = payload.to_le() & 0xff;
    kind == (IPV4 as u16).to_be()
        && first == 0x45
        && u16::from_be(total) >= 28
        && fragment & 0x3fffu16.to_be() == 0
        && protocol & 0xffu16.to_be() == (UDP as u16).to_be()
        && port != (VXLAN_PORT as u16).to_be()
        && start & 0xc0 != 0x40
        && start != b'\r' as u16
        && start != b'\n' as u16
}

/// The bulk of the others, told as shortly: untagged, IPv4 without options, TCP, no
/// fragment, between ports on which no SIP is expected (`is_sip_port`, of both in the
/// host's byte order), whose payload begins with neither a letter nor a line's end, or
/// is empty. Its flow's key, for the table of those that carry SIP all the same.
#[inline(always)]
pub fn plain_tcp_other_than_text(
    ctx: Ctx,
    is_sip_port: impl FnOnce(u16, u16) -> bool,
) -> Option<FlowKey> {
    /// From the EtherType to the data offset and flags.
    type Words = [u16; 18];
    let words = read::<Words>(ctx, 12)?;
    let [kind, first, total, _, fragment, protocol, _, a, b, c, d, from, to, _, _, _, _, bits] =
        words;
    let header = (bits.to_le() as usize >> 4 & 0x0f) * 4;
    let plain = kind == (IPV4 as u16).to_be()
        && first.to_le() & 0xff == 0x45
        && fragment & 0x3fffu16.to_be() == 0
        && protocol & 0xffu16.to_be() == (TCP as u16).to_be()
        && u16::from_be(total) >= 20
        && header >= 20
        && !is_sip_port(u16::from_be(from), u16::from_be(to));
    if !plain {
        return None;
    }
    // Two bytes, as for the verifier; past the packet's end there is padding or nothing.
    let start = read::<[u8; 2]>(ctx, 34 + header).map_or(0, |[start, _]| start);
    let text = start & 0xc0 == 0x40 || start == b'\r' || start == b'\n';
    if text && u16::from_be(total) as usize > 20 + header {
        return None;
    }
    // As they stand, and twelve of zero.
    let address = |first: u16, second: u16| {
        (first.to_le() as u128 | (second.to_le() as u128) << 16).to_le_bytes()
    };
    Some(FlowKey {
        source: address(a, b),
        destination: address(c, d),
        ports: (from as u32) << 16 | to as u32,
        family: 4,
    })
}

/// 1 when a header was understood and its results are in the job, else 0.
type Understood = u32;

#[inline(always)]
fn understood(result: Option<()>) -> Understood {
    result.is_some() as u32
}

/// The Ethernet header at `job.offset`, with up to two VLAN tags and PPPoE.
#[inline(always)]
fn ethernet(ctx: Ctx, job: Job) -> Understood {
    understood((|| {
        let offset = job.offset();
        let mut kind = be16(ctx, offset + 12)?;
        let mut offset = offset + 14;
        for _ in 0..2 {
            if kind != VLAN && kind != QINQ {
                break;
            }
            kind = be16(ctx, offset + 2)?;
            offset += 4;
        }
        if kind == PPPOE_SESSION {
            kind = match be16(ctx, offset + 6)? {
                PPP_IPV4 => IPV4,
                PPP_IPV6 => IPV6,
                _ => return None,
            };
            offset += 8;
        }
        job.set_ethertype(kind);
        job.set_offset(offset);
        Some(())
    })())
}

/// The IP header at `job.offset`.
#[inline(never)]
fn network(ctx: Ctx, job: Job) -> Understood {
    understood(match job.ethertype() {
        IPV4 => ipv4(ctx, job),
        IPV6 => ipv6(ctx, job),
        _ => None,
    })
}

#[inline(always)]
fn ipv4(ctx: Ctx, job: Job) -> Option<()> {
    let offset = job.offset();
    let [first, total, id, fragment, protocol]: [u16; 5] = read(ctx, offset)?;
    let [source, destination]: [u32; 2] = read(ctx, offset + 12)?;
    let first = first.to_le() as usize & 0xff;
    let header_length = (first & 0x0f) * 4;
    let total = u16::from_be(total) as usize;
    if first >> 4 != 4 || header_length < 20 || total < header_length {
        return None;
    }
    let fragment = u16::from_be(fragment) as u32;
    // Four bytes of address in memory order, twelve of zero.
    job.set_addresses([(source as u64).to_le(), 0], [(destination as u64).to_le(), 0]);
    job.set_family(4);
    job.set_protocol(u16::from_be(protocol) as u32 & 0xff);
    job.set_payload(offset + header_length);
    job.set_end(offset + total);
    job.set_id(u16::from_be(id) as u32);
    job.set_fragment_offset(fragment & 0x1fff);
    job.set_more_fragments(fragment >> 13 & 1);
    Some(())
}

#[inline(always)]
fn ipv6(ctx: Ctx, job: Job) -> Option<()> {
    let offset = job.offset();
    let [first, _, _, _, high, low, next, _]: [u8; 8] = read(ctx, offset)?;
    if first >> 4 != 6 {
        return None;
    }
    job.set_addresses(read(ctx, offset + 8)?, read(ctx, offset + 24)?);
    job.set_family(6);
    job.set_protocol(next as u32);
    job.set_payload(offset + 40);
    job.set_end(offset + 40 + u16::from_be_bytes([high, low]) as usize);
    job.set_id(0);
    job.set_fragment_offset(0);
    job.set_more_fragments(0);
    for _ in 0..EXTENSIONS {
        let payload = job.payload();
        match job.protocol() {
            // Hop-by-hop, routing, destination options, mobility (RFC 8200, 6275).
            0 | 43 | 60 | 135 => {
                let [next, length]: [u8; 2] = read(ctx, payload)?;
                job.set_protocol(next as u32);
                job.set_payload(payload + (length as usize + 1) * 8);
            }
            44 => {
                let [next, _, high, low, a, b, c, d]: [u8; 8] = read(ctx, payload)?;
                let bits = u16::from_be_bytes([high, low]) as u32;
                job.set_protocol(next as u32);
                job.set_payload(payload + 8);
                job.set_fragment_offset(bits >> 3);
                job.set_more_fragments(bits & 1);
                job.set_id(u32::from_be_bytes([a, b, c, d]));
                if bits >> 3 != 0 {
                    break;
                }
            }
            _ => break,
        }
    }
    Some(())
}

/// Nothing that is taken off.
const NO_TUNNEL: u32 = 0;
/// An IP header of `job.ethertype` at `job.offset`.
const IP_INSIDE: u32 = 1;
/// An Ethernet header at `job.offset`.
const ETHERNET_INSIDE: u32 = 2;

/// What the IP packet carries, if that is a tunnel or mirror.
#[inline(never)]
fn tunnel(ctx: Ctx, job: Job) -> u32 {
    if job.is_fragment() {
        return NO_TUNNEL;
    }
    let payload = job.payload();
    match job.protocol() {
        IPIP => {
            job.set_ethertype(IPV4);
            job.set_offset(payload);
            IP_INSIDE
        }
        IPV6_IN_IP => {
            job.set_ethertype(IPV6);
            job.set_offset(payload);
            IP_INSIDE
        }
        GRE => gre(ctx, job, payload).unwrap_or(NO_TUNNEL),
        UDP if be16(ctx, payload + 2) == Some(VXLAN_PORT) => {
            job.set_offset(payload + 16);
            ETHERNET_INSIDE
        }
        _ => NO_TUNNEL,
    }
}

/// RFC 2784 and 2890; ERSPAN as draft-foschiano-erspan tells it.
#[inline(always)]
fn gre(ctx: Ctx, job: Job, offset: usize) -> Option<u32> {
    let flags = be16(ctx, offset)?;
    let kind = be16(ctx, offset + 2)?;
    if flags & 0x0007 != 0 {
        // Version 1 is PPTP's.
        return None;
    }
    // Checksum, key and sequence number take four bytes each.
    let optional = (flags >> 15 & 1) + (flags >> 13 & 1) + (flags >> 12 & 1);
    let inner = offset + 4 + 4 * optional as usize;
    job.set_ethertype(kind);
    match kind {
        IPV4 | IPV6 => {
            job.set_offset(inner);
            return Some(IP_INSIDE);
        }
        TEB => job.set_offset(inner),
        // Type I has no header of its own, and no sequence number.
        ERSPAN_2 => job.set_offset(inner + 8 * (flags as usize >> 12 & 1)),
        ERSPAN_3 => {
            let [_, last]: [u8; 2] = read(ctx, inner + 10)?;
            job.set_offset(inner + 12 + 8 * (last as usize & 1));
        }
        _ => return None,
    }
    Some(ETHERNET_INSIDE)
}

/// Leaves the innermost IP header in the job; `None` where there is none.
/// Whether a tunnel was taken off before it.
#[inline(always)]
pub fn decode(ctx: Ctx, job: Job) -> Option<bool> {
    job.set_offset(0);
    if ethernet(ctx, job) == 0 || network(ctx, job) == 0 {
        return None;
    }
    // Nearly every packet, told without a call.
    let protocol = job.protocol();
    if protocol == TCP
        || protocol == UDP && be16(ctx, job.payload() + 2).is_some_and(|port| port != VXLAN_PORT)
    {
        return Some(false);
    }
    match tunnel(ctx, job) {
        NO_TUNNEL => return Some(false),
        ETHERNET_INSIDE if ethernet(ctx, job) == 0 => return None,
        _ => {}
    }
    // What is inside and not IP, or cut short, is nobody's SIP either.
    (network(ctx, job) != 0).then_some(true)
}
