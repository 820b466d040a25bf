//! pcap and pcapng files.
//!
//! A file is mapped and its frames are borrowed from the map; a pipe is read into
//! a window of fixed size. Headers and classic records are parsed by the
//! `pcap-parser` crate; this module knows link types and time stamps.

mod ng;
mod source;
mod writer;

use std::path::{Path, PathBuf};

use pcap_parser::{
    PcapHeader, parse_pcap_frame, parse_pcap_frame_be, parse_pcap_frame_modified, parse_pcap_header,
};

use self::source::Source;
use super::{Frame, LinkType};
use crate::time::Timestamp;

pub use writer::Writer;

/// Length of a classic file's header, bytes.
const HEADER: usize = 24;
/// Frames longer than this are no frames: a damaged or hostile file.
const LARGEST: u32 = 256 << 10;

/// Why a capture file cannot be read (further).
#[derive(Debug, thiserror::Error)]
pub enum PcapError {
    /// Cannot be opened or read.
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
        at: u64,
    },
    /// A record that makes no sense; everything before it was given.
    #[error("{} is damaged at byte {at}: {what}; all before it was read", path.display())]
    Damaged {
        /// File.
        path: PathBuf,
        /// Where.
        at: u64,
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
    source: Source,
    at: usize,
    format: Format,
}

#[derive(Debug)]
enum Format {
    Classic { record: Record, nanoseconds: bool, link: LinkType },
    Ng(ng::State),
}

/// How a classic file writes its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Record {
    Little,
    Big,
    /// With eight bytes more, by a patched libpcap of the 1990s (`a1b2cd34`).
    Modified,
}

/// Where a frame stands in the bytes at hand, and what is said of it.
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
    /// The record at hand goes on behind the bytes at hand.
    Truncated,
    /// So does a block of this length, which holds nothing of interest.
    Skip(usize),
    Damaged(&'static str),
    LinkType(i32),
}

impl Reader {
    /// Opens a file (`-` is standard input; a pipe will do) and reads its header.
    ///
    /// # Errors
    /// [`PcapError`]; an empty file is [`PcapError::NotACapture`].
    pub fn open(path: &Path) -> Result<Self, PcapError> {
        let source =
            Source::open(path).map_err(|source| PcapError::Io { path: path.to_owned(), source })?;
        Self::new(path, source)
    }

    fn new(path: &Path, mut source: Source) -> Result<Self, PcapError> {
        let path = path.to_owned();
        let mut at = 0;
        while source.bytes().len() < HEADER {
            match source.more(&mut at) {
                Ok(true) => {}
                Ok(false) => break,
                Err(source) => return Err(PcapError::Io { path, source }),
            }
        }
        let bytes = source.bytes();
        let format = match bytes.first_chunk::<4>() {
            Some([0x0a, 0x0d, 0x0d, 0x0a]) => Format::Ng(ng::State::default()),
            Some(_) => match parse_pcap_header(bytes) {
                Ok((rest, header)) => {
                    at = bytes.len() - rest.len();
                    classic(&header, &path)?
                }
                Err(_) => return Err(PcapError::NotACapture { path }),
            },
            None => return Err(PcapError::NotACapture { path }),
        };
        Ok(Self { path, source, at, format })
    }

    /// The next frame; `None` at the end of the file.
    ///
    /// # Errors
    /// [`PcapError::Truncated`], [`PcapError::Damaged`] or [`PcapError::Io`]: there
    /// is nothing to be had behind these. [`PcapError::LinkType`]: the packet was
    /// passed over, and those of the file's other interfaces may be read on.
    #[expect(clippy::should_implement_trait, reason = "frames are borrowed from the reader")]
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, PcapError> {
        self.source.advance(self.at);
        let found = loop {
            let bytes = self.source.bytes();
            let step = match &mut self.format {
                Format::Classic { record, nanoseconds, link } => {
                    classic_step(bytes, &mut self.at, *record, *nanoseconds, *link)
                }
                Format::Ng(state) => state.step(bytes, &mut self.at),
            };
            let ended = matches!(step, Step::End);
            let (at, path) = (self.position(), || self.path.clone());
            let more = match step {
                Step::Frame(found) => break found,
                Step::End | Step::Truncated => self.source.more(&mut self.at),
                Step::Skip(length) => self.source.skip(&mut self.at, length),
                Step::Damaged(what) => return Err(PcapError::Damaged { path: path(), at, what }),
                Step::LinkType(link) => return Err(PcapError::LinkType { path: path(), link }),
            };
            match more {
                Ok(true) => {}
                Ok(false) if ended => return Ok(None),
                Ok(false) => return Err(PcapError::Truncated { path: self.path.clone(), at }),
                Err(source) => return Err(PcapError::Io { path: self.path.clone(), source }),
            }
        };
        Ok(Some(Frame {
            link: found.link,
            timestamp: found.timestamp,
            bytes: self.source.bytes().get(found.start..found.end).unwrap_or_default(),
            wire_length: found.wire_length,
            scan: None,
        }))
    }

    /// Bytes read so far.
    pub fn position(&self) -> u64 {
        self.source.before() + self.at as u64
    }

    /// Length of the file, bytes; 0 for a pipe, whose length is not known.
    pub fn len(&self) -> u64 {
        self.source.len().unwrap_or(0)
    }

    /// Whether the length is 0 or not known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn classic(header: &PcapHeader, path: &Path) -> Result<Format, PcapError> {
    let link = LinkType::from_number(header.network.0 & 0x0fff_ffff)
        .ok_or_else(|| PcapError::LinkType { path: path.to_owned(), link: header.network.0 })?;
    Ok(Format::Classic {
        record: if header.is_modified_format() {
            Record::Modified
        } else if header.is_bigendian() {
            Record::Big
        } else {
            Record::Little
        },
        nanoseconds: header.is_nanosecond_precision(),
        link,
    })
}

fn classic_step(
    bytes: &[u8],
    at: &mut usize,
    record: Record,
    nanoseconds: bool,
    link: LinkType,
) -> Step {
    let rest = bytes.get(*at..).unwrap_or_default();
    if rest.is_empty() {
        return Step::End;
    }
    // Looked at first: of a record of absurd length no more is waited for.
    if let Some(length) = rest.get(8..).and_then(|rest| rest.first_chunk()) {
        let length = match record {
            Record::Big => u32::from_be_bytes(*length),
            _ => u32::from_le_bytes(*length),
        };
        if length > LARGEST {
            return Step::Damaged("a record of absurd length");
        }
    }
    let parsed = match record {
        Record::Little => parse_pcap_frame(rest),
        Record::Big => parse_pcap_frame_be(rest),
        Record::Modified => parse_pcap_frame_modified(rest),
    };
    let Ok((after, record)) = parsed else { return Step::Truncated };
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

#[cfg(test)]
mod tests;
