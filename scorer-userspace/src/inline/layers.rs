//! Where the layers of a frame lie, and frames put together anew around another
//! message: lengths and checksums are made right, everything else stays.
//!
//! Only what the kernel hands over is understood: Ethernet with up to two VLAN
//! tags, IPv4 with options or IPv6 with extension headers, UDP, in one piece.

use std::net::{IpAddr, SocketAddr};

use etherparse::checksum::Sum16BitWords;

/// Offsets in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layers {
    /// IP header.
    pub(super) ip: usize,
    /// IPv6 rather than IPv4.
    pub(super) is_v6: bool,
    /// UDP header.
    pub(super) udp: usize,
    /// The SIP text.
    pub(super) text: usize,
    /// Behind the SIP text, as the UDP header says.
    pub(super) end: usize,
}

/// Why a frame cannot be put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// Longer than the interface's MTU, or than a socket's frame.
    TooLong,
    /// The UDP checksum that came was wrong: it is not to be made right.
    Checksum,
}

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const VLAN: [u16; 2] = [0x8100, 0x88a8];
const UDP: u8 = 17;
/// Length of a UDP header.
const UDP_HEADER: usize = 8;

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

impl Layers {
    /// Finds them; `None` where the frame is anything else.
    pub(super) fn of(frame: &[u8]) -> Option<Self> {
        let (mut ip, mut kind) = (14, be16(frame, 12)?);
        for _ in 0..2 {
            if !VLAN.contains(&kind) {
                break;
            }
            kind = be16(frame, ip + 2)?;
            ip += 4;
        }
        let (udp, end) = match kind {
            IPV4 => {
                let first = *frame.get(ip)?;
                let length = usize::from(first & 15) * 4;
                let total = usize::from(be16(frame, ip + 2)?);
                // No fragments: neither an offset nor more to come, the lower 14 bits.
                let whole = be16(frame, ip + 6)?.trailing_zeros() >= 14;
                if first >> 4 != 4 || length < 20 || !whole || *frame.get(ip + 9)? != UDP {
                    return None;
                }
                (ip + length, ip + total)
            }
            IPV6 => {
                let end = ip + 40 + usize::from(be16(frame, ip + 4)?);
                (after_extensions(frame, *frame.get(ip + 6)?, ip + 40)?, end)
            }
            _ => return None,
        };
        let stated = udp + usize::from(be16(frame, udp + 4)?);
        let text = udp + UDP_HEADER;
        (text <= stated && stated <= end && end <= frame.len()).then_some(Self {
            ip,
            is_v6: kind == IPV6,
            udp,
            text,
            end: stated,
        })
    }

    /// Source or destination address, by the offset of its first byte.
    fn address(&self, frame: &[u8], destination: bool) -> IpAddr {
        if self.is_v6 {
            let at = self.ip + if destination { 24 } else { 8 };
            IpAddr::from(*frame[at..].first_chunk::<16>().expect("inside the header"))
        } else {
            let at = self.ip + if destination { 16 } else { 12 };
            IpAddr::from(*frame[at..].first_chunk::<4>().expect("inside the header"))
        }
    }

    /// Where the frame comes from.
    pub(super) fn source(&self, frame: &[u8]) -> SocketAddr {
        SocketAddr::new(self.address(frame, false), be16(frame, self.udp).unwrap_or_default())
    }

    /// Sum of pseudo header and `datagram` (RFC 768, RFC 8200 section 8.1), not yet
    /// inverted.
    fn sum(&self, frame: &[u8], datagram: &[u8]) -> Sum16BitWords {
        self.pseudo(frame, datagram.len() as u32).add_slice(datagram)
    }

    fn pseudo(&self, frame: &[u8], length: u32) -> Sum16BitWords {
        let addresses = match (self.address(frame, false), self.address(frame, true)) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                Sum16BitWords::new().add_4bytes(a.octets()).add_4bytes(b.octets())
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                Sum16BitWords::new().add_16bytes(a.octets()).add_16bytes(b.octets())
            }
            _ => Sum16BitWords::new(),
        };
        addresses.add_2bytes([0, UDP]).add_4bytes(length.to_be_bytes())
    }

    /// How the datagram's checksum is to be written.
    fn checksum(&self, frame: &[u8]) -> Result<Checksum, Unfit> {
        let stated = be16(frame, self.udp + 6).unwrap_or_default();
        if stated == 0 && !self.is_v6 {
            return Ok(Checksum::None);
        }
        let datagram = &frame[self.udp..self.end];
        if self.sum(frame, datagram).ones_complement() == 0 {
            return Ok(Checksum::Full);
        }
        // What a sender on this host leaves for its card to finish: the sum of the
        // pseudo header alone.
        let left = !self.pseudo(frame, datagram.len() as u32).ones_complement().to_be();
        if left == stated { Ok(Checksum::Full) } else { Err(Unfit::Checksum) }
    }

    /// Writes the frame to `out` with the SIP text that `text` writes instead of its
    /// own.
    ///
    /// # Errors
    /// [`Unfit`]; `out` is then of no use.
    pub(super) fn with_text(
        &self,
        frame: &[u8],
        mtu: usize,
        out: &mut Vec<u8>,
        text: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Unfit> {
        let checksum = self.checksum(frame)?;
        out.clear();
        out.extend_from_slice(&frame[..self.text]);
        text(out);
        self.finish(mtu, out, &checksum)
    }

    /// Makes lengths and checksums right.
    fn finish(&self, mtu: usize, out: &mut [u8], checksum: &Checksum) -> Result<(), Unfit> {
        let packet = out.len() - self.ip;
        if packet > mtu.min(usize::from(u16::MAX))
            || out.len() > scorer_common::steer::FRAME as usize
        {
            return Err(Unfit::TooLong);
        }
        let datagram = (out.len() - self.udp) as u16;
        if self.is_v6 {
            out[self.ip + 4..][..2].copy_from_slice(&((packet - 40) as u16).to_be_bytes());
        } else {
            out[self.ip + 2..][..2].copy_from_slice(&(packet as u16).to_be_bytes());
            out[self.ip + 10..][..2].fill(0);
            let sum = Sum16BitWords::new().add_slice(&out[self.ip..self.udp]).ones_complement();
            out[self.ip + 10..][..2].copy_from_slice(&sum.to_ne_bytes());
        }
        out[self.udp + 4..][..2].copy_from_slice(&datagram.to_be_bytes());
        if matches!(checksum, Checksum::Full) {
            out[self.udp + 6..][..2].fill(0);
            let sum = match self.sum(out, &out[self.udp..]).ones_complement() {
                // 0 says that there is none (RFC 768).
                0 => u16::MAX,
                sum => sum,
            };
            out[self.udp + 6..][..2].copy_from_slice(&sum.to_ne_bytes());
        }
        Ok(())
    }

    /// Writes to `out` a frame back to where `frame` came from, port `port`, with the
    /// SIP text that `text` writes.
    ///
    /// # Errors
    /// [`Unfit::TooLong`].
    pub(super) fn back(
        &self,
        frame: &[u8],
        port: u16,
        mtu: usize,
        out: &mut Vec<u8>,
        text: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Unfit> {
        out.clear();
        out.extend_from_slice(&frame[6..12]);
        out.extend_from_slice(&frame[..6]);
        out.extend_from_slice(&frame[12..self.ip]);
        let own = be16(frame, self.udp + 2).unwrap_or_default();
        if self.is_v6 {
            // No extension headers: they were the request's.
            out.extend_from_slice(&[0x60, 0, 0, 0, 0, 0, UDP, HOPS]);
            out.extend_from_slice(&frame[self.ip + 24..][..16]);
            out.extend_from_slice(&frame[self.ip + 8..][..16]);
        } else {
            let service = frame[self.ip + 1];
            out.extend_from_slice(&[0x45, service, 0, 0, 0, 0, 0x40, 0, HOPS, UDP, 0, 0]);
            out.extend_from_slice(&frame[self.ip + 16..][..4]);
            out.extend_from_slice(&frame[self.ip + 12..][..4]);
        }
        let udp = out.len();
        out.extend_from_slice(&own.to_be_bytes());
        out.extend_from_slice(&port.to_be_bytes());
        out.extend_from_slice(&[0; 4]);
        text(out);
        let layers = Self { udp, text: udp + UDP_HEADER, end: out.len(), ..*self };
        layers.finish(mtu, out, &Checksum::Full)
    }
}

/// TTL or hop limit of packets made here.
const HOPS: u8 = 64;

/// How the UDP checksum is written.
enum Checksum {
    /// Left 0, as it came.
    None,
    Full,
}

/// Offset behind IPv6 extension headers, where UDP comes then.
fn after_extensions(frame: &[u8], mut next: u8, mut at: usize) -> Option<usize> {
    for _ in 0..6 {
        match next {
            UDP => return Some(at),
            // Hop-by-hop, routing, destination options, mobility; a fragment header
            // is for others.
            0 | 43 | 60 | 135 => {
                let [following, length] = *frame.get(at..)?.first_chunk::<2>()?;
                (next, at) = (following, at + (usize::from(length) + 1) * 8);
            }
            _ => return None,
        }
    }
    None
}
