//! Files of every make, whole, cut and hostile; mapped and through a pipe.

use std::{
    io::{self, Read},
    path::Path,
};

use proptest::prelude::*;

use super::{PcapError, Reader, Source, Writer};
use crate::{
    capture::{Frame, LinkType},
    time::Timestamp,
};

/// A frame as the tests compare it.
type Seen = (LinkType, u64, Vec<u8>, u32);

/// Gives a few bytes at a time, as a slow pipe.
struct Trickle(io::Cursor<Vec<u8>>, usize);

impl Read for Trickle {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let length = room.len().min(self.1);
        self.0.read(&mut room[..length])
    }
}

fn all(reader: Result<Reader, PcapError>) -> (Vec<Seen>, Option<PcapError>) {
    let mut reader = match reader {
        Ok(reader) => reader,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut seen = Vec::new();
    loop {
        match reader.next() {
            Ok(Some(frame)) => {
                seen.push((frame.link, frame.timestamp.0, frame.bytes.to_vec(), frame.wire_length));
            }
            Ok(None) => return (seen, None),
            Err(error) => return (seen, Some(error)),
        }
    }
}

/// Reads `bytes` mapped and through a pipe, which must come to the same.
fn read(bytes: &[u8]) -> (Vec<Seen>, Option<PcapError>) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), bytes).expect("written");
    let mapped = all(Reader::open(file.path()));
    let trickle = Trickle(io::Cursor::new(bytes.to_vec()), 7);
    let piped = all(Reader::new(file.path(), Source::pipe(Box::new(trickle))));
    assert_eq!(mapped.0, piped.0);
    assert_eq!(
        mapped.1.as_ref().map(ToString::to_string),
        piped.1.as_ref().map(ToString::to_string)
    );
    mapped
}

fn word(big: bool, value: u32) -> [u8; 4] {
    if big { value.to_be_bytes() } else { value.to_le_bytes() }
}

fn half(big: bool, value: u16) -> [u8; 2] {
    if big { value.to_be_bytes() } else { value.to_le_bytes() }
}

fn classic(
    magic: u32,
    big: bool,
    extra: usize,
    link: u32,
    records: &[(u32, u32, &[u8])],
) -> Vec<u8> {
    let mut file = word(big, magic).to_vec();
    file.extend(half(big, 2));
    file.extend(half(big, 4));
    for value in [0, 0, 65_535, link] {
        file.extend(word(big, value));
    }
    for (seconds, fraction, data) in records {
        for value in [*seconds, *fraction, data.len() as u32, 1_500] {
            file.extend(word(big, value));
        }
        file.extend(vec![0; extra]);
        file.extend(*data);
    }
    file
}

#[test]
fn classic_files_of_every_make() {
    for (magic, big, extra, factor) in [
        (0xa1b2_c3d4, false, 0, 1_000),
        (0xa1b2_c3d4, true, 0, 1_000),
        (0xa1b2_3c4d, false, 0, 1),
        (0xa1b2_3c4d, true, 0, 1),
        (0xa1b2_cd34, false, 8, 1_000),
    ] {
        let file = classic(magic, big, extra, 1, &[(7, 123_456, b"one"), (8, 5, b"three")]);
        let (seen, error) = read(&file);
        assert!(error.is_none(), "{error:?}");
        let expected = [
            (LinkType::Ethernet, 7_000_000_000 + 123_456 * factor, b"one".to_vec(), 1_500),
            (LinkType::Ethernet, 8_000_000_000 + 5 * factor, b"three".to_vec(), 1_500),
        ];
        assert_eq!(seen, expected, "{magic:x} {big}");
        // Cut anywhere: whole records, then the truth.
        for cut in 0..file.len() {
            let (seen, error) = read(&file[..cut]);
            let first = 24 + 16 + extra + 3;
            assert_eq!(seen.len(), usize::from(cut >= first));
            match error {
                Some(PcapError::NotACapture { .. }) => assert!(cut < 24),
                Some(PcapError::Truncated { at, .. }) => {
                    assert_eq!(at, if cut < first { 24 } else { first as u64 });
                }
                None => assert!(cut == 24 || cut == first),
                other => panic!("{other:?}"),
            }
        }
    }
}

fn block(big: bool, kind: u32, body: &[u8]) -> Vec<u8> {
    let padded = body.len().next_multiple_of(4);
    let length = word(big, padded as u32 + 12);
    let mut block = [word(big, kind), length].concat();
    block.extend(body);
    block.resize(8 + padded, 0);
    block.extend(length);
    block
}

fn words(big: bool, values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| word(big, *value)).collect()
}

fn section(big: bool) -> Vec<u8> {
    let versions = [half(big, 1), half(big, 0)].concat();
    block(big, 0x0a0d_0d0a, &[&word(big, 0x1a2b_3c4d)[..], &versions, &[0xff; 8]].concat())
}

fn interface(big: bool, link: u16, snap: u32, resolution: Option<u8>, offset: i64) -> Vec<u8> {
    let mut body = [half(big, link), [0; 2]].concat();
    body.extend(word(big, snap));
    if let Some(resolution) = resolution {
        body.extend([half(big, 9), half(big, 1)].concat());
        body.extend([resolution, 0, 0, 0]);
    }
    if offset != 0 {
        body.extend([half(big, 14), half(big, 8)].concat());
        body.extend(if big { offset.to_be_bytes() } else { offset.to_le_bytes() });
    }
    body.extend([0; 4]);
    block(big, 1, &body)
}

fn enhanced(big: bool, interface: u32, ticks: u64, data: &[u8]) -> Vec<u8> {
    let head = [interface, (ticks >> 32) as u32, ticks as u32, data.len() as u32, 1_500];
    let mut body = words(big, &head);
    body.extend(data);
    body.resize(body.len().next_multiple_of(4), 0);
    // A comment, as Wireshark writes: "note", then the end of options.
    body.extend([half(big, 1), half(big, 4)].concat());
    body.extend(b"note\0\0\0\0");
    block(big, 6, &body)
}

fn ng(big: bool) -> (Vec<Vec<u8>>, Vec<Seen>) {
    let old = {
        let mut body = [half(big, 1), half(big, 0)].concat();
        body.extend(words(big, &[0, 9 << 20, 3, 60]));
        body.extend(b"old");
        block(big, 2, &body)
    };
    let simple = [&word(big, 9)[..], b"simp"].concat();
    let blocks = vec![
        section(big),
        interface(big, 1, 4, None, 0),
        interface(big, 101, 0, Some(0x94), 1_000),
        interface(big, 276, 0, Some(9), 0),
        block(big, 4, &vec![0; 700_000]),
        enhanced(big, 0, 5_000_001, b"micro"),
        enhanced(big, 1, 0x0038_0000, b"binary"),
        enhanced(big, 2, 2_000_000_003, b"nano"),
        block(big, 0x0bad, b"from the future"),
        block(big, 3, &simple),
        old,
    ];
    let seen = vec![
        (LinkType::Ethernet, 5_000_001_000, b"micro".to_vec(), 1_500),
        (LinkType::RawIp, 1_003_500_000_000, b"binary".to_vec(), 1_500),
        (LinkType::LinuxCooked2, 2_000_000_003, b"nano".to_vec(), 1_500),
        (LinkType::Ethernet, 0, b"simp".to_vec(), 9),
        (LinkType::RawIp, 1_009_000_000_000, b"old".to_vec(), 60),
    ];
    (blocks, seen)
}

#[test]
fn pcapng_with_several_interfaces_and_sections() {
    let (little, big) = (ng(false), ng(true));
    let file = [little.0.concat(), big.0.concat()].concat();
    let (seen, error) = read(&file);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(seen, [little.1, big.1].concat());
}

#[test]
fn pcapng_cut_anywhere() {
    let (mut blocks, _) = ng(true);
    blocks[4] = block(true, 4, &[0; 40]);
    let file = blocks.concat();
    for cut in 1..file.len() {
        let mut ends = blocks.iter().scan(0, |at, block| {
            *at += block.len();
            Some(*at)
        });
        let at_an_end = ends.any(|end| end == cut);
        match read(&file[..cut]).1 {
            None => assert!(at_an_end, "{cut}"),
            Some(PcapError::NotACapture { .. }) => assert!(cut < 4),
            Some(PcapError::Truncated { .. }) => assert!(!at_an_end, "{cut}"),
            other => panic!("{other:?} at {cut}"),
        }
    }
}

#[test]
fn a_link_that_is_not_supported_is_passed_over_on_demand() {
    let file = [
        section(false),
        interface(false, 249, 0, None, 0),
        interface(false, 1, 0, None, 0),
        enhanced(false, 0, 0, b"usb"),
        enhanced(false, 1, 0, b"eth"),
    ]
    .concat();
    let pipe = Source::pipe(Box::new(io::Cursor::new(file)));
    let mut reader = Reader::new(Path::new("mixed.pcapng"), pipe).expect("a capture");
    let error = reader.next().map(|_| ()).expect_err("USB");
    assert!(error.to_string().contains("mixed.pcapng was captured on link type 249"), "{error}");
    let frame = reader.next().expect("reads on").expect("a frame");
    assert_eq!(frame.bytes, b"eth");
    let classic = classic(0xa1b2_c3d4, false, 0, 105, &[]);
    assert!(matches!(read(&classic).1, Some(PcapError::LinkType { link: 105, .. })));
}

#[test]
fn absurd_records_are_refused() {
    let mut file = classic(0xa1b2_c3d4, false, 0, 1, &[(1, 1, b"good"), (2, 2, b"evil")]);
    let length = file.len() - 4 - 8;
    file[length..length + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    let (seen, error) = read(&file);
    assert!(seen.len() == 1 && matches!(error, Some(PcapError::Damaged { at: 44, .. })));
    let head = [section(true), interface(true, 1, 0, None, 0)].concat();
    let with = |bad: Vec<u8>| read(&[head.clone(), bad].concat()).1;
    let damaged = |error| matches!(error, Some(PcapError::Damaged { .. }));
    let mut long = enhanced(true, 0, 0, b"data");
    long[4..8].copy_from_slice(&0xffff_fffc_u32.to_be_bytes());
    assert!(damaged(with(long)), "block length");
    let mut lie = enhanced(true, 0, 0, b"data");
    lie[20..24].copy_from_slice(&5_000_u32.to_be_bytes());
    assert!(damaged(with(lie)), "captured length");
    assert!(damaged(with(enhanced(true, 7, 0, b"data"))), "interface");
    assert!(damaged(with(interface(true, 1, 0, Some(0xc0), 0))), "resolution");
    let mut tail = enhanced(true, 0, 0, b"data");
    let last = tail.len() - 1;
    tail[last] ^= 4;
    assert!(damaged(with(tail)), "second length");
    for text in [&b""[..], b"a", b"\x1f\x8b\x08 gzip and more of it, at length", &[0; 64]] {
        assert!(matches!(read(text).1, Some(PcapError::NotACapture { .. })));
    }
}

#[test]
fn written_is_read() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let mut writer = Writer::create(file.path()).expect("made");
    let bytes = [7; 60];
    let frame = Frame {
        link: LinkType::Ethernet,
        timestamp: Timestamp(1_700_000_000_123_456_789),
        bytes: &bytes,
        wire_length: 90,
        scan: None,
    };
    writer.write(&frame).and_then(|()| writer.flush()).expect("written");
    let (seen, error) = all(Reader::open(file.path()));
    assert!(error.is_none());
    assert_eq!(seen, [(frame.link, frame.timestamp.0, bytes.to_vec(), 90)]);
}

proptest! {
    #[test]
    fn any_bytes_behind_a_header(
        which in 0..4, tail in prop::collection::vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>(), byte in any::<u8>()
    ) {
        let mut file = match which {
            0 => classic(0xa1b2_c3d4, false, 0, 1, &[]),
            1 => classic(0xa1b2_3c4d, true, 0, 1, &[]),
            2 => [section(false), interface(false, 1, 0, None, 0), enhanced(false, 0, 1, b"x")].concat(),
            _ => [section(true), interface(true, 1, 0, None, 0), enhanced(true, 0, 1, b"x")].concat(),
        };
        let place = at.index(file.len());
        file[place] = byte;
        file.extend(tail);
        let (seen, _) = read(&file);
        prop_assert!(seen.iter().map(|frame| frame.2.len()).sum::<usize>() <= file.len());
    }
}
