//! Writes frames as the tap saw them.

use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
    path::Path,
};

use crate::capture::Frame;

/// Writes classic pcap: little-endian, nanoseconds, Ethernet.
#[derive(Debug)]
pub struct Writer<W: io::Write = File>(BufWriter<W>);

/// Nanosecond magic, version 2.4, no time zone, snap length 256 KiB, Ethernet.
const HEADER: [u8; 24] =
    [0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0];

impl Writer {
    /// Makes the file, replacing one that is there.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn create(path: &Path) -> io::Result<Self> {
        Self::new(File::create(path)?)
    }
}

impl<W: io::Write> Writer<W> {
    /// Begins a capture.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(out: W) -> io::Result<Self> {
        let mut file = BufWriter::with_capacity(1 << 20, out);
        file.write_all(&HEADER)?;
        Ok(Self(file))
    }

    /// Adds one Ethernet frame.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        let mut head = [0; 16];
        let stamp = frame.timestamp.0;
        head[..4].copy_from_slice(&((stamp / 1_000_000_000) as u32).to_le_bytes());
        head[4..8].copy_from_slice(&((stamp % 1_000_000_000) as u32).to_le_bytes());
        head[8..12].copy_from_slice(&(frame.bytes.len() as u32).to_le_bytes());
        head[12..].copy_from_slice(&frame.wire_length.to_le_bytes());
        self.0.write_all(&head)?;
        self.0.write_all(frame.bytes)
    }

    /// Hands everything to the file system.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
