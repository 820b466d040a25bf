//! The message: line index, header table, accessors.

use scorer_common::{Scan, fingerprint, limits::SCAN_LINES};

use super::{
    HeaderName, Method, NameAddr, Sdp, StartLine, Uri, Values, Via, find,
    text::{number, split_at_byte, trim, trim_end},
};

/// One header line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Which header.
    pub name: HeaderName,
    /// Name as it stands, without blanks before the colon.
    pub raw_name: &'a [u8],
    /// Value without surrounding white space; a folded value keeps its line ends.
    pub value: &'a [u8],
}

/// Why bytes are not a SIP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ParseError {
    /// No request or status line.
    #[error("no SIP start line")]
    StartLine,
    /// More than [`Message::MAX_HEADERS`] header lines.
    #[error("more than {} header lines", Message::MAX_HEADERS)]
    TooManyHeaders,
    /// Longer than 65,535 bytes.
    #[error("longer than 65,535 bytes")]
    TooLong,
}

impl ParseError {
    /// All causes.
    pub const ALL: [Self; 3] = [Self::StartLine, Self::TooManyHeaders, Self::TooLong];

    /// Name in metrics and summaries.
    pub const fn name(self) -> &'static str {
        match self {
            Self::StartLine => "start_line",
            Self::TooManyHeaders => "too_many_headers",
            Self::TooLong => "too_long",
        }
    }
}

/// What is unusual about the header section, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Oddities {
    /// Lines without a colon.
    pub junk_lines: u16,
    /// Names followed by blanks before the colon.
    pub blank_before_colon: u16,
    /// Names not spelt as their specification does, compact forms apart.
    pub odd_case: u16,
}

/// A line of the header table; offsets from the start of the message.
#[derive(Clone, Copy, Debug)]
struct Entry {
    name: HeaderName,
    name_start: u16,
    name_end: u16,
    value_start: u16,
    value_end: u16,
}

/// Room for the header table of one message; make one, use it for all.
#[derive(Debug)]
pub struct Scratch {
    entries: Box<[Entry; Message::MAX_HEADERS]>,
    /// For each name: index of its first entry plus one, or 0.
    first: [u16; HeaderName::COUNT],
    /// A bit for each name that has more than one.
    repeated: u128,
    scan: Scan,
}

const _: () = assert!(HeaderName::COUNT <= 128);

impl Scratch {
    /// Empty scratch room.
    pub fn new() -> Self {
        let entry = Entry {
            name: HeaderName::Other,
            name_start: 0,
            name_end: 0,
            value_start: 0,
            value_end: 0,
        };
        Self {
            entries: Box::new([entry; Message::MAX_HEADERS]),
            first: [0; HeaderName::COUNT],
            repeated: 0,
            scan: Scan::EMPTY,
        }
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

/// A parsed message.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    start: StartLine<'a>,
    entries: &'a [Entry],
    first: &'a [u16; HeaderName::COUNT],
    repeated: u128,
    scan: &'a Scan,
    body: &'a [u8],
    body_on_wire: usize,
    content_length: Option<u32>,
    oddities: Oddities,
}

impl<'a> Message<'a> {
    /// Header lines in a message at most.
    pub const MAX_HEADERS: usize = 256;

    /// Indexes `bytes`. `scan` is the kernel's pass over the same bytes, if it made one.
    ///
    /// # Errors
    /// [`ParseError`]. A message without From, Call-ID or a blank line is none.
    pub fn parse(
        bytes: &'a [u8],
        scan: Option<&Scan>,
        scratch: &'a mut Scratch,
    ) -> Result<Self, ParseError> {
        if bytes.len() > usize::from(u16::MAX) {
            return Err(ParseError::TooLong);
        }
        // Blank lines may come before a message (RFC 3261 section 7.5).
        let blank = bytes.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
        let bytes = &bytes[blank..];
        scratch.scan = match scan {
            Some(scan) if blank == 0 && is_plausible(scan, bytes) => *scan,
            _ => Scan::of(bytes),
        };
        scratch.first = [0; HeaderName::COUNT];
        scratch.repeated = 0;
        let line_end = find(bytes, b'\n').unwrap_or(bytes.len());
        let start = StartLine::parse(&bytes[..line_end]).ok_or(ParseError::StartLine)?;

        let mut table = Table { bytes, scratch, count: 0, oddities: Oddities::default() };
        let body_start = table.fill(line_end)?;
        let Table { scratch, count, oddities, .. } = table;
        let scratch: &'a Scratch = scratch;
        let mut message = Self {
            bytes,
            start,
            entries: &scratch.entries[..count],
            first: &scratch.first,
            repeated: scratch.repeated,
            scan: &scratch.scan,
            body: &bytes[body_start..],
            body_on_wire: bytes.len() - body_start,
            content_length: None,
            oddities,
        };
        message.content_length = message.header(HeaderName::ContentLength).and_then(number);
        if let Some(length) = message.content_length {
            message.body = message.body.get(..length as usize).unwrap_or(message.body);
        }
        Ok(message)
    }

    /// Start line.
    pub fn start(&self) -> &StartLine<'a> {
        &self.start
    }

    /// Method of a request.
    pub fn method(&self) -> Option<Method> {
        match self.start {
            StartLine::Request { method, .. } => Some(method),
            StartLine::Status { .. } => None,
        }
    }

    /// The pass over these bytes: fingerprint and line index.
    pub fn scan(&self) -> &'a Scan {
        self.scan
    }

    /// Whole message, without blank lines before it.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// What is unusual about the header section.
    pub fn oddities(&self) -> Oddities {
        self.oddities
    }

    /// Header lines in order; lines without a colon are left out.
    pub fn headers(&self) -> impl ExactSizeIterator<Item = Header<'a>> + use<'a> {
        let (bytes, entries) = (self.bytes, self.entries);
        entries.iter().map(move |entry| Header {
            name: entry.name,
            raw_name: slice(bytes, entry.name_start, entry.name_end),
            value: slice(bytes, entry.value_start, entry.value_end),
        })
    }

    /// Value of the first header of that name.
    pub fn header(&self, name: HeaderName) -> Option<&'a [u8]> {
        let index = self.first[name as usize];
        let entry = self.entries.get(usize::from(index).checked_sub(1)?)?;
        Some(slice(self.bytes, entry.value_start, entry.value_end))
    }

    /// Values of all headers of that name, one per line.
    pub fn all(&self, name: HeaderName) -> Lines<'a> {
        // From the first one on, and mostly that alone; nothing when there is none.
        let entries = match usize::from(self.first[name as usize]).checked_sub(1) {
            None => &[],
            Some(from) if self.repeated >> name as u8 & 1 == 0 => {
                self.entries.get(from..=from).unwrap_or_default()
            }
            Some(from) => self.entries.get(from..).unwrap_or_default(),
        };
        Lines { bytes: self.bytes, entries: entries.iter(), name }
    }

    /// Values of all headers of that name, also those that share a line.
    pub fn values(&self, name: HeaderName) -> AllValues<'a> {
        AllValues { lines: self.all(name), line: Values::new(&[]) }
    }

    /// Lines of that name.
    pub fn count(&self, name: HeaderName) -> usize {
        self.all(name).count()
    }

    /// Bit *i* is set where there are several lines of [`HeaderName`] *i*.
    pub(crate) const fn repeated(&self) -> u128 {
        self.repeated
    }

    /// Whether there is a header of that name.
    pub fn has(&self, name: HeaderName) -> bool {
        self.first[name as usize] != 0
    }

    /// Body: what follows the blank line, cut to Content-Length where that is shorter.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// Bytes behind the blank line, before any cut.
    pub fn body_on_wire(&self) -> usize {
        self.body_on_wire
    }

    /// Content-Length, where it is a number.
    pub fn content_length(&self) -> Option<u32> {
        self.content_length
    }

    /// Call-ID.
    pub fn call_id(&self) -> Option<&'a [u8]> {
        self.header(HeaderName::CallId)
    }

    /// From.
    pub fn from(&self) -> Option<NameAddr<'a>> {
        self.header(HeaderName::From).and_then(NameAddr::parse)
    }

    /// To.
    pub fn to(&self) -> Option<NameAddr<'a>> {
        self.header(HeaderName::To).and_then(NameAddr::parse)
    }

    /// CSeq number and method.
    pub fn cseq(&self) -> Option<(u32, Method)> {
        let value = self.header(HeaderName::CSeq)?;
        let end = value.iter().position(|b| !b.is_ascii_digit()).unwrap_or(value.len());
        Some((number(&value[..end])?, Method::parse(trim(&value[end..]))))
    }

    /// Topmost Via.
    pub fn top_via(&self) -> Option<Via<'a>> {
        self.vias().next()
    }

    /// All Via values.
    pub fn vias(&self) -> impl Iterator<Item = Via<'a>> + use<'a> {
        self.values(HeaderName::Via).filter_map(Via::parse)
    }

    /// First Contact, unless it is `*`.
    pub fn contact(&self) -> Option<NameAddr<'a>> {
        self.values(HeaderName::Contact).next().and_then(NameAddr::parse)
    }

    /// P-Asserted-Identity values (RFC 3325: a sip and a tel URI, on one line or two).
    pub fn asserted_identities(&self) -> impl Iterator<Item = NameAddr<'a>> + use<'a> {
        self.values(HeaderName::PAssertedIdentity).filter_map(NameAddr::parse)
    }

    /// The request's URI.
    pub fn request_uri(&self) -> Option<Uri<'a>> {
        match self.start {
            StartLine::Request { uri, .. } => {
                // Brackets are wrong here and are sent (RFC 4475 section 3.1.2.6).
                Some(Uri::parse(uri.strip_prefix(b"<").map_or(uri, |u| split_at_byte(u, b'>').0)))
            }
            StartLine::Status { .. } => None,
        }
    }

    /// ISUP message, also inside a multipart body.
    pub fn isup(&self) -> Option<&'a [u8]> {
        super::sdp::find_isup(self.header(HeaderName::ContentType), self.body)
    }

    /// SDP body, also inside a multipart body.
    pub fn sdp(&self) -> Option<Sdp<'a>> {
        Sdp::find(self.header(HeaderName::ContentType), self.body)
    }
}

/// See [`Message::all`].
#[derive(Clone, Debug)]
pub struct Lines<'a> {
    bytes: &'a [u8],
    entries: std::slice::Iter<'a, Entry>,
    name: HeaderName,
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let entry = self.entries.find(|entry| entry.name == self.name)?;
        Some(slice(self.bytes, entry.value_start, entry.value_end))
    }
}

/// See [`Message::values`].
#[derive(Clone, Debug)]
pub struct AllValues<'a> {
    lines: Lines<'a>,
    line: Values<'a>,
}

impl<'a> Iterator for AllValues<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            if let Some(value) = self.line.next() {
                return Some(value);
            }
            self.line = Values::new(self.lines.next()?);
        }
    }
}

fn slice(bytes: &[u8], start: u16, end: u16) -> &[u8] {
    bytes.get(usize::from(start)..usize::from(end)).unwrap_or_default()
}

/// Whether offsets lie inside the message and rise. The kernel's own record is
/// right; this keeps a wrong one from doing more than giving wrong headers.
fn is_plausible(scan: &Scan, bytes: &[u8]) -> bool {
    let offsets = scan.line_offsets();
    let rising = offsets.windows(2).all(|pair| pair[0] < pair[1]);
    let inside = offsets.last().is_none_or(|last| usize::from(*last) < bytes.len());
    let body = scan.body as usize;
    rising
        && inside
        && body <= bytes.len()
        && scan.lines as usize <= SCAN_LINES
        && (body == 0 || offsets.last().is_none_or(|last| usize::from(*last) < body))
}

/// The table while it is being filled.
struct Table<'a> {
    bytes: &'a [u8],
    scratch: &'a mut Scratch,
    count: usize,
    oddities: Oddities,
}

impl Table<'_> {
    /// Takes all header lines; offset of the body.
    fn fill(&mut self, first_line_end: usize) -> Result<usize, ParseError> {
        let scan = &self.scratch.scan;
        let stopped = fingerprint::MORE_LINES | fingerprint::NO_BLANK_LINE;
        if scan.flags & stopped != 0 {
            return self.fill_by_search(first_line_end);
        }
        let (lines, body) = (scan.lines as usize, scan.body as usize);
        let mut start = scan.offsets.first().map_or(0, |offset| usize::from(*offset));
        for i in 1..=lines {
            let end = if i == lines { body } else { usize::from(self.scratch.scan.offsets[i]) };
            self.add(start, end)?;
            start = end;
        }
        Ok(body)
    }

    /// The same for messages that the pass did not take whole.
    fn fill_by_search(&mut self, first_line_end: usize) -> Result<usize, ParseError> {
        let length = self.bytes.len();
        let mut start = (first_line_end + 1).min(length);
        let mut header = start;
        while start < length {
            let end = find(&self.bytes[start..], b'\n').map_or(length, |at| start + at + 1);
            let line = &self.bytes[start..end];
            if matches!(line, b"\n" | b"\r\n") {
                self.add(header, start)?;
                return Ok(end);
            }
            if start > header && !matches!(line.first(), Some(b' ' | b'\t')) {
                self.add(header, start)?;
                header = start;
            }
            start = end;
        }
        self.add(header, length)?;
        Ok(length)
    }

    /// Adds the header that stands from `start` to `end`, folded lines included.
    fn add(&mut self, start: usize, end: usize) -> Result<(), ParseError> {
        let Some(line) = self.bytes.get(start..end).filter(|line| !line.is_empty()) else {
            return Ok(());
        };
        let Some(colon) = find(line, b':') else {
            self.oddities.junk_lines = self.oddities.junk_lines.saturating_add(1);
            return Ok(());
        };
        let (before, after) = (&line[..colon], &line[colon + 1..]);
        let raw_name = trim_end(before);
        self.oddities.blank_before_colon += u16::from(raw_name.len() < colon);
        let (name, as_specified) = HeaderName::read(raw_name);
        self.oddities.odd_case += u16::from(!as_specified);
        // As nearly all lines end and begin.
        let after = after.strip_suffix(b"\r\n").unwrap_or(after);
        let value = trim(after.strip_prefix(b" ").unwrap_or(after));
        // The value is a part of the line: its place is where its bytes are.
        let value_start = start + (value.as_ptr() as usize - line.as_ptr() as usize);
        if self.count >= Message::MAX_HEADERS {
            return Err(ParseError::TooManyHeaders);
        }
        self.scratch.entries[self.count] = Entry {
            name,
            name_start: start as u16,
            name_end: (start + raw_name.len()) as u16,
            value_start: value_start as u16,
            value_end: (value_start + value.len()) as u16,
        };
        self.count += 1;
        let first = &mut self.scratch.first[name as usize];
        if *first == 0 {
            *first = self.count as u16;
        } else {
            self.scratch.repeated |= 1 << name as u8;
        }
        Ok(())
    }
}
