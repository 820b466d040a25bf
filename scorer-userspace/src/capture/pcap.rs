//! pcap and pcapng files.
//!
//! A file is mapped and its frames are borrowed from the map. Blocks are parsed
//! by the `pcap-parser` crate; this module knows link types and time stamps.

mod ng;
mod writer;

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use memmap2::Mmap;
use pcap_parser::{PcapHeader, parse_pcap_frame, parse_pcap_frame_be, parse_pcap_header};

use super::{Frame, LinkType};
use crate::time::Timestamp;

pub use writer::Writer;

/// Frames longer than this are no frames: a damaged or hostile file.
const LARGEST: u32 = 256 << 10;

/// Why a capture file cannot be read (further).
#[derive(Debug, thiserror::Error)]
pub enum PcapError {
    /// Cannot be opened or mapped.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// File.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// Neither pcap nor pcapng.
    #[error(
        "{} is neither a pcap nor a pcapng file; decompress it if it is compressed, or convert \
         it with `editcap -F pcapng`",
        path.display()
    )]
    NotACapture {
        /// File.
        path: PathBuf,
    },
    /// Ends within a record; everything before it was given.
    #[error("{} ends in the middle of a record at byte {at}; all before it was read", path.display())]
    Truncated {
        /// File.
        path: PathBuf,
        /// Where the record begins.
        at: usize,
    },
    /// A record that makes no sense; everything before it was given.
    #[error("{} is damaged at byte {at}: {what}; all before it was read", path.display())]
    Damaged {
        /// File.
        path: PathBuf,
        /// Where.
        at: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// Captured on a kind of link that is not supported.
    #[error(
        "{} was captured on link type {link}, which is not supported; Ethernet (1), Linux cooked \
         (113, 276), raw IP (12, 14, 101, 228, 229) and loopback (0, 108) are",
        path.display()
    )]
    LinkType {
        /// File.
        path: PathBuf,
        /// Its number at tcpdump.org.
        link: i32,
    },
}

impl LinkType {
    /// From its number at tcpdump.org.
    pub const fn from_number(number: i32) -> Option<Self> {
        Some(match number {
            0 => Self::Null,
            1 => Self::Ethernet,
            12 | 14 | 101 | 228 | 229 => Self::RawIp,
            108 => Self::Loop,
            113 => Self::LinuxCooked,
            276 => Self::LinuxCooked2,
            _ => return None,
        })
    }
}

/// Reads one file.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    map: Option<Mmap>,
    at: usize,
    format: Format,
}

#[derive(Debug)]
enum Format {
    Classic { big_endian: bool, nanoseconds: bool, link: LinkType },
    Ng(ng::State),
}

/// Where a frame stands in the map, and what is said of it.
struct Found {
    start: usize,
    end: usize,
    link: LinkType,
    timestamp: Timestamp,
    wire_length: u32,
}

/// What a step through the file gave.
enum Step {
    Frame(Found),
    End,
    Truncated,
    Damaged(&'static str),
    LinkType(i32),
}

impl Reader {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// [`PcapError`]; an empty file is [`PcapError::NotACapture`].
    pub fn open(path: &Path) -> Result<Self, PcapError> {
        let io = |source| PcapError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        if file.metadata().map_err(io)?.is_dir() {
            return Err(io(std::io::ErrorKind::IsADirectory.into()));
        }
        // SAFETY: the map is read only. Should somebody cut the file meanwhile the
        // process gets SIGBUS, as any program that maps its input.
        let map = unsafe { Mmap::map(&file) }.ok();
        let bytes = map.as_deref().unwrap_or_default();
        let not_a_capture = || PcapError::NotACapture { path: path.to_owned() };
        let (format, at) = match bytes.first_chunk::<4>() {
            Some([0x0a, 0x0d, 0x0d, 0x0a]) => (Format::Ng(ng::State::default()), 0),
            Some(_) => {
                let (rest, header) = parse_pcap_header(bytes).map_err(|_| not_a_capture())?;
                (classic(&header, path)?, bytes.len() - rest.len())
            }
            None => return Err(not_a_capture()),
        };
        if let Some(map) = &map {
            // Read ahead; whether the kernel does is its own affair.
            let _ = map.advise(memmap2::Advice::Sequential);
        }
        Ok(Self { path: path.to_owned(), map, at, format })
    }

    /// The next frame; `None` at the end of the file.
    ///
    /// # Errors
    /// [`PcapError::Truncated`], [`PcapError::Damaged`] or [`PcapError::LinkType`];
    /// there is nothing to be had behind these.
    #[expect(clippy::should_implement_trait, reason = "frames are borrowed from the reader")]
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, PcapError> {
        let bytes = self.map.as_deref().unwrap_or_default();
        let before = self.at;
        let step = match &mut self.format {
            Format::Classic { big_endian, nanoseconds, link } => {
                classic_step(bytes, &mut self.at, *big_endian, *nanoseconds, *link)
            }
            Format::Ng(state) => state.step(bytes, &mut self.at),
        };
        let path = || self.path.clone();
        let found = match step {
            Step::Frame(found) => found,
            Step::End => return Ok(None),
            Step::Truncated => return Err(PcapError::Truncated { path: path(), at: before }),
            Step::Damaged(what) => {
                return Err(PcapError::Damaged { path: path(), at: before, what });
            }
            Step::LinkType(link) => return Err(PcapError::LinkType { path: path(), link }),
        };
        Ok(Some(Frame {
            link: found.link,
            timestamp: found.timestamp,
            bytes: bytes.get(found.start..found.end).unwrap_or_default(),
            wire_length: found.wire_length,
            scan: None,
        }))
    }

    /// Bytes read so far.
    pub fn position(&self) -> u64 {
        self.at as u64
    }

    /// Length of the file, bytes.
    pub fn len(&self) -> u64 {
        self.map.as_ref().map_or(0, |map| map.len() as u64)
    }

    /// Whether the file is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn classic(header: &PcapHeader, path: &Path) -> Result<Format, PcapError> {
    let link = LinkType::from_number(header.network.0 & 0x0fff_ffff)
        .ok_or_else(|| PcapError::LinkType { path: path.to_owned(), link: header.network.0 })?;
    Ok(Format::Classic {
        big_endian: header.is_bigendian(),
        nanoseconds: header.is_nanosecond_precision(),
        link,
    })
}

fn classic_step(
    bytes: &[u8],
    at: &mut usize,
    big_endian: bool,
    nanoseconds: bool,
    link: LinkType,
) -> Step {
    let rest = bytes.get(*at..).unwrap_or_default();
    if rest.is_empty() {
        return Step::End;
    }
    let parsed = if big_endian { parse_pcap_frame_be(rest) } else { parse_pcap_frame(rest) };
    let Ok((after, record)) = parsed else {
        let length = rest.get(8..12).and_then(|b| b.try_into().ok()).map_or(0, |b: [u8; 4]| {
            if big_endian { u32::from_be_bytes(b) } else { u32::from_le_bytes(b) }
        });
        return if length > LARGEST {
            Step::Damaged("a record of absurd length")
        } else {
            Step::Truncated
        };
    };
    if record.caplen > LARGEST {
        return Step::Damaged("a record of absurd length");
    }
    let end = bytes.len() - after.len();
    let start = end - record.data.len();
    *at = end;
    let fraction = if nanoseconds { record.ts_usec } else { record.ts_usec.saturating_mul(1_000) };
    Step::Frame(Found {
        start,
        end,
        link,
        timestamp: Timestamp::new(u64::from(record.ts_sec), fraction),
        wire_length: record.origlen,
    })
}
