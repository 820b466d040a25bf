//! pcapng (draft-ietf-opsawg-pcapng).
//!
//! `pcap-parser` reads section and interface blocks. Packet blocks are read here:
//! the crate's parser allocates for the options of each, and leaves out the
//! obsolete Packet Block that older files are made of.

use pcap_parser::pcapng::{
    OptionCode, parse_interfacedescriptionblock_be, parse_interfacedescriptionblock_le,
    parse_sectionheaderblock,
};

use super::{Found, LARGEST, Step};
use crate::{capture::LinkType, time::Timestamp};

/// Interfaces in a section at most.
const INTERFACES: usize = 4096;
/// A block that is understood, with its options, at most, bytes. Others are
/// passed over whatever their length.
const BLOCK: u32 = LARGEST + (64 << 10);

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
/// Obsolete, appendix A of the draft.
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

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
    /// A section header has been read: without one the byte order is unknown.
    started: bool,
}

/// What a packet block says of its packet.
struct Packet {
    interface: usize,
    ticks: u64,
    /// Offset of the data in the block.
    data: usize,
    captured: u32,
    wire_length: u32,
}

impl State {
    /// Goes on to the next packet. `at` stays at a block that is not whole.
    pub(super) fn step(&mut self, bytes: &[u8], at: &mut usize) -> Step {
        loop {
            let rest = bytes.get(*at..).unwrap_or_default();
            let Some(head) = rest.first_chunk::<12>() else {
                return if rest.is_empty() { Step::End } else { Step::Truncated };
            };
            let section = head[..4] == [0x0a, 0x0d, 0x0d, 0x0a];
            if section {
                // The byte-order magic says how the section is written.
                self.big_endian = match head[8..] {
                    [0x1a, 0x2b, 0x3c, 0x4d] => true,
                    [0x4d, 0x3c, 0x2b, 0x1a] => false,
                    _ => return Step::Damaged("a section without byte order"),
                };
                self.interfaces.clear();
                self.started = true;
            }
            if !self.started {
                return Step::Damaged("a block before any section");
            }
            let (kind, length) = (self.word(head, 0), self.word(head, 4));
            if length < 12 || length % 4 != 0 {
                return Step::Damaged("a block of absurd length");
            }
            let understood = matches!(
                kind,
                SECTION_HEADER | INTERFACE_DESCRIPTION | PACKET | SIMPLE_PACKET | ENHANCED_PACKET
            );
            if !understood {
                // Names, statistics, secrets, and what is yet to be invented.
                if length as usize > rest.len() {
                    return Step::Skip(length as usize);
                }
                *at += length as usize;
                continue;
            }
            if length > BLOCK {
                return Step::Damaged("a block of absurd length");
            }
            let Some(block) = rest.get(..length as usize) else { return Step::Truncated };
            if self.word(block, block.len() - 4) != length {
                return Step::Damaged("a block whose two lengths differ");
            }
            let packet = match kind {
                SECTION_HEADER => match parse_sectionheaderblock(block) {
                    Ok(_) => None,
                    Err(_) => return Step::Damaged("a section header that cannot be read"),
                },
                INTERFACE_DESCRIPTION => match self.describe(block) {
                    Ok(()) => None,
                    Err(what) => return Step::Damaged(what),
                },
                _ => match self.packet(kind, block) {
                    Some(packet) => Some(packet),
                    None => return Step::Damaged("a packet block that cannot be read"),
                },
            };
            let start = *at;
            *at += block.len();
            let Some(packet) = packet else { continue };
            let Some(interface) = self.interfaces.get(packet.interface) else {
                return Step::Damaged("a packet of an interface that was not described");
            };
            let Some(link) = LinkType::from_number(interface.link) else {
                return Step::LinkType(interface.link);
            };
            let start = start + packet.data;
            return Step::Frame(Found {
                start,
                end: start + packet.captured as usize,
                link,
                timestamp: interface.time(packet.ticks),
                wire_length: packet.wire_length,
            });
        }
    }

    /// The 32-bit number at `at`, 0 beyond the end.
    fn word(&self, block: &[u8], at: usize) -> u32 {
        let four = block.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
        if self.big_endian { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
    }

    fn describe(&mut self, block: &[u8]) -> Result<(), &'static str> {
        if self.interfaces.len() >= INTERFACES {
            return Err("too many interfaces");
        }
        let parsed = if self.big_endian {
            parse_interfacedescriptionblock_be(block)
        } else {
            parse_interfacedescriptionblock_le(block)
        };
        let (_, description) = parsed.map_err(|_| "an interface that cannot be read")?;
        self.interfaces.push(Interface {
            link: description.linktype.0,
            resolution: ticks_a_second(description.if_tsresol)
                .ok_or("an interface of absurd time resolution")?,
            offset: description
                .options
                .iter()
                .find(|option| option.code == OptionCode::IfTsoffset)
                .and_then(|option| option.value().first_chunk())
                .map_or(0, |eight| {
                    // (The crate's own reading takes them for little-endian always.)
                    if self.big_endian {
                        i64::from_be_bytes(*eight)
                    } else {
                        i64::from_le_bytes(*eight)
                    }
                }),
            snap_length: description.snaplen,
        });
        Ok(())
    }

    /// Reads a packet block's head; `None` when its data do not fit in it.
    fn packet(&self, kind: u32, block: &[u8]) -> Option<Packet> {
        let word = |at| self.word(block, at);
        let packet = if kind == SIMPLE_PACKET {
            // It has neither a stamp nor a captured length of its own.
            let snap = self.interfaces.first().map_or(0, |interface| interface.snap_length);
            let wire_length = word(8);
            let kept = if snap == 0 { wire_length } else { wire_length.min(snap) };
            let room = u32::try_from(block.len().checked_sub(16)?).ok()?;
            Packet { interface: 0, ticks: 0, data: 12, captured: kept.min(room), wire_length }
        } else {
            let interface = if kind == PACKET {
                // 16 bits, then as many for a count of drops.
                let two = [*block.get(8)?, *block.get(9)?];
                u32::from(if self.big_endian {
                    u16::from_be_bytes(two)
                } else {
                    u16::from_le_bytes(two)
                })
            } else {
                word(8)
            };
            Packet {
                interface: interface as usize,
                ticks: u64::from(word(12)) << 32 | u64::from(word(16)),
                data: 28,
                captured: word(20),
                wire_length: word(24),
            }
        };
        // Behind the data stands at least the second length.
        let fits = packet.data + packet.captured as usize + 4 <= block.len();
        (fits && packet.captured <= LARGEST).then_some(packet)
    }
}

/// `if_tsresol`: a power of ten, or of two when the highest bit is set. (The
/// crate's own reading refuses every power of two.)
fn ticks_a_second(resolution: u8) -> Option<u64> {
    let exponent = u32::from(resolution & 0x7f);
    if resolution & 0x80 == 0 { 10u64.checked_pow(exponent) } else { 1u64.checked_shl(exponent) }
}

impl Interface {
    fn time(&self, ticks: u64) -> Timestamp {
        const SECOND: u64 = 1_000_000_000;
        let (seconds, rest) = (ticks / self.resolution, ticks % self.resolution);
        let nanoseconds = if self.resolution <= SECOND {
            rest * SECOND / self.resolution
        } else {
            (u128::from(rest) * u128::from(SECOND) / u128::from(self.resolution)) as u64
        };
        Timestamp::new(seconds.saturating_add_signed(self.offset), nanoseconds as u32)
    }
}
