//! pcapng (draft-ietf-opsawg-pcapng).

use pcap_parser::{
    Block,
    pcapng::{parse_block_be, parse_block_le},
};

use super::{Found, LARGEST, Step};
use crate::{capture::LinkType, time::Timestamp};

/// Interfaces in a section at most.
const INTERFACES: usize = 4096;

#[derive(Debug)]
struct Interface {
    link: i32,
    /// Ticks a second.
    resolution: u64,
    /// Seconds to add.
    offset: i64,
    snap_length: u32,
}

/// The section being read.
#[derive(Debug, Default)]
pub(super) struct State {
    big_endian: bool,
    interfaces: Vec<Interface>,
}

impl State {
    /// Goes on to the next packet.
    pub(super) fn step(&mut self, bytes: &[u8], at: &mut usize) -> Step {
        loop {
            let rest = bytes.get(*at..).unwrap_or_default();
            let Some(head) = rest.first_chunk::<12>() else {
                return if rest.is_empty() { Step::End } else { Step::Truncated };
            };
            if head[..4] == [0x0a, 0x0d, 0x0d, 0x0a] {
                // The byte-order magic says how the section is written.
                self.big_endian = head[8..] == [0x1a, 0x2b, 0x3c, 0x4d];
                self.interfaces.clear();
            }
            let length = [head[4], head[5], head[6], head[7]];
            let length = if self.big_endian {
                u32::from_be_bytes(length)
            } else {
                u32::from_le_bytes(length)
            };
            if length < 12 || length % 4 != 0 || length > LARGEST + (64 << 10) {
                return Step::Damaged("a block of absurd length");
            }
            if (length as usize) > rest.len() {
                return Step::Truncated;
            }
            let block = &rest[..length as usize];
            let parsed =
                if self.big_endian { parse_block_be(block) } else { parse_block_le(block) };
            let Ok((_, parsed)) = parsed else {
                return Step::Damaged("a block that cannot be read");
            };
            *at += length as usize;
            let (interface, ticks, wire_length, data) = match parsed {
                Block::InterfaceDescription(description) => {
                    if self.interfaces.len() >= INTERFACES {
                        return Step::Damaged("too many interfaces");
                    }
                    self.interfaces.push(Interface {
                        link: description.linktype.0,
                        resolution: description.ts_resolution().unwrap_or(1_000_000),
                        offset: description.ts_offset(),
                        snap_length: description.snaplen,
                    });
                    continue;
                }
                Block::EnhancedPacket(packet) => {
                    let ticks = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
                    let data = packet.data.get(..packet.caplen as usize).unwrap_or(packet.data);
                    (packet.if_id as usize, ticks, packet.origlen, data)
                }
                Block::SimplePacket(packet) => {
                    // It has neither a stamp nor a length of its own.
                    let snap = self.interfaces.first().map_or(0, |i| i.snap_length);
                    let cut = if snap == 0 { packet.origlen } else { packet.origlen.min(snap) };
                    let data = packet.data.get(..cut as usize).unwrap_or(packet.data);
                    (0, 0, packet.origlen, data)
                }
                _ => continue,
            };
            let Some(interface) = self.interfaces.get(interface) else {
                return Step::Damaged("a packet of an interface that was not described");
            };
            let Some(link) = LinkType::from_number(interface.link) else {
                return Step::LinkType(interface.link);
            };
            let start = data.as_ptr() as usize - bytes.as_ptr() as usize;
            return Step::Frame(Found {
                start,
                end: start + data.len(),
                link,
                timestamp: interface.time(ticks),
                wire_length,
            });
        }
    }
}

impl Interface {
    fn time(&self, ticks: u64) -> Timestamp {
        let resolution = self.resolution.max(1);
        let seconds = (ticks / resolution).saturating_add_signed(self.offset);
        let fraction = u128::from(ticks % resolution) * 1_000_000_000 / u128::from(resolution);
        Timestamp::new(seconds, fraction as u32)
    }
}
