//! Link, IP and transport headers, and one layer of tunnel or mirror.
//!
//! All reads go through [`read`], which compares with the packet's end anew:
//! the verifier accepts nothing less. Offsets are bounded by [`DEEPEST`].

use aya_ebpf::programs::XdpContext;

/// No header of interest begins further into the frame.
pub const DEEPEST: usize = 1024;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const VLAN: u16 = 0x8100;
const QINQ: u16 = 0x88a8;

pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
const IPIP: u8 = 4;
const IPV6_IN_IP: u8 = 41;
const GRE: u8 = 47;

/// VXLAN, RFC 7348.
const VXLAN_PORT: u16 = 4789;
/// Transparent Ethernet bridging in GRE.
const TEB: u16 = 0x6558;
const ERSPAN_2: u16 = 0x88be;
const ERSPAN_3: u16 = 0x22eb;

/// IPv6 extension headers walked at most.
const EXTENSIONS: u32 = 6;

/// Reads a `T` at `offset`, in whatever alignment.
#[inline(always)]
pub fn read<T: Copy>(ctx: &XdpContext, offset: usize) -> Option<T> {
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
fn be16(ctx: &XdpContext, offset: usize) -> Option<u16> {
    read::<u16>(ctx, offset).map(u16::from_be)
}

/// What the IP header says.
pub struct Network {
    /// Source address, IPv4 in the first four bytes.
    pub source: [u8; 16],
    /// Destination address, likewise.
    pub destination: [u8; 16],
    /// 4 or 6.
    pub family: u8,
    /// Protocol behind the header and its extensions.
    pub protocol: u8,
    /// Offset of what the IP packet carries.
    pub payload: usize,
    /// Offset behind the IP packet, as its length field says.
    pub end: usize,
    /// Fragment identification.
    pub id: u32,
    /// Fragment offset, in units of eight bytes.
    pub fragment_offset: u16,
    /// More fragments follow.
    pub more_fragments: bool,
}

impl Network {
    #[inline(always)]
    pub fn is_fragment(&self) -> bool {
        self.more_fragments || self.fragment_offset != 0
    }
}

/// Offset and EtherType of what an Ethernet frame at `offset` carries.
#[inline(always)]
fn ethernet(ctx: &XdpContext, offset: usize) -> Option<(u16, usize)> {
    let mut kind = be16(ctx, offset + 12)?;
    let mut offset = offset + 14;
    for _ in 0..2 {
        if kind != VLAN && kind != QINQ {
            break;
        }
        kind = be16(ctx, offset + 2)?;
        offset += 4;
    }
    Some((kind, offset))
}

#[inline(always)]
fn network(ctx: &XdpContext, kind: u16, offset: usize) -> Option<Network> {
    match kind {
        IPV4 => ipv4(ctx, offset),
        IPV6 => ipv6(ctx, offset),
        _ => None,
    }
}

#[inline(always)]
fn ipv4(ctx: &XdpContext, offset: usize) -> Option<Network> {
    let head: [u8; 20] = read(ctx, offset)?;
    let header_length = ((head[0] & 0x0f) as usize) * 4;
    if head[0] >> 4 != 4 || header_length < 20 {
        return None;
    }
    let total = u16::from_be_bytes([head[2], head[3]]) as usize;
    if total < header_length {
        return None;
    }
    let fragment = u16::from_be_bytes([head[6], head[7]]);
    let mut source = [0; 16];
    let mut destination = [0; 16];
    source[..4].copy_from_slice(&head[12..16]);
    destination[..4].copy_from_slice(&head[16..20]);
    Some(Network {
        source,
        destination,
        family: 4,
        protocol: head[9],
        payload: offset + header_length,
        end: offset + total,
        id: u16::from_be_bytes([head[4], head[5]]) as u32,
        fragment_offset: fragment & 0x1fff,
        more_fragments: fragment & 0x2000 != 0,
    })
}

#[inline(always)]
fn ipv6(ctx: &XdpContext, offset: usize) -> Option<Network> {
    let head: [u8; 8] = read(ctx, offset)?;
    if head[0] >> 4 != 6 {
        return None;
    }
    let mut net = Network {
        source: read(ctx, offset + 8)?,
        destination: read(ctx, offset + 24)?,
        family: 6,
        protocol: head[6],
        payload: offset + 40,
        end: offset + 40 + u16::from_be_bytes([head[4], head[5]]) as usize,
        id: 0,
        fragment_offset: 0,
        more_fragments: false,
    };
    for _ in 0..EXTENSIONS {
        match net.protocol {
            // Hop-by-hop, routing, destination options, mobility (RFC 8200, 6275).
            0 | 43 | 60 | 135 => {
                let [next, length]: [u8; 2] = read(ctx, net.payload)?;
                net.protocol = next;
                net.payload += (length as usize + 1) * 8;
            }
            44 => {
                let fragment: [u8; 8] = read(ctx, net.payload)?;
                let bits = u16::from_be_bytes([fragment[2], fragment[3]]);
                net.protocol = fragment[0];
                net.payload += 8;
                net.fragment_offset = bits >> 3;
                net.more_fragments = bits & 1 != 0;
                net.id =
                    u32::from_be_bytes([fragment[4], fragment[5], fragment[6], fragment[7]]);
                if net.fragment_offset != 0 {
                    break;
                }
            }
            _ => break,
        }
    }
    Some(net)
}

/// EtherType and offset of what is inside the tunnel or mirror that `net`
/// carries; `None` where it carries none.
#[inline(always)]
fn tunnel(ctx: &XdpContext, net: &Network) -> Option<(u16, usize)> {
    if net.is_fragment() {
        return None;
    }
    match net.protocol {
        IPIP => Some((IPV4, net.payload)),
        IPV6_IN_IP => Some((IPV6, net.payload)),
        GRE => gre(ctx, net.payload),
        UDP if be16(ctx, net.payload + 2)? == VXLAN_PORT => ethernet(ctx, net.payload + 16),
        _ => None,
    }
}

/// RFC 2784 and 2890; ERSPAN as draft-foschiano-erspan tells it.
#[inline(always)]
fn gre(ctx: &XdpContext, offset: usize) -> Option<(u16, usize)> {
    let flags = be16(ctx, offset)?;
    let kind = be16(ctx, offset + 2)?;
    if flags & 0x0007 != 0 {
        // Version 1 is PPTP's.
        return None;
    }
    let mut inner = offset + 4;
    inner += if flags & 0x8000 != 0 { 4 } else { 0 };
    inner += if flags & 0x2000 != 0 { 4 } else { 0 };
    let sequence = flags & 0x1000 != 0;
    inner += if sequence { 4 } else { 0 };
    match kind {
        IPV4 | IPV6 => Some((kind, inner)),
        TEB => ethernet(ctx, inner),
        // Type I has no header of its own, and no sequence number.
        ERSPAN_2 => ethernet(ctx, if sequence { inner + 8 } else { inner }),
        ERSPAN_3 => {
            let last: u8 = read(ctx, inner + 11)?;
            ethernet(ctx, if last & 1 != 0 { inner + 20 } else { inner + 12 })
        }
        _ => None,
    }
}

/// The innermost IP header, and whether a tunnel was taken off before it.
#[inline(always)]
pub fn decode(ctx: &XdpContext) -> Option<(Network, bool)> {
    let (kind, offset) = ethernet(ctx, 0)?;
    let outer = network(ctx, kind, offset)?;
    if let Some((kind, offset)) = tunnel(ctx, &outer)
        && let Some(inner) = network(ctx, kind, offset)
    {
        return Some((inner, true));
    }
    Some((outer, false))
}
