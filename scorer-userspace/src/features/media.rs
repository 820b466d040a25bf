//! The media offer.

use std::net::IpAddr;

use super::{
    Call, Traits, Vector,
    context::{address, is_private},
    flag, id, maybe,
    pattern::pattern,
};
use crate::sip::{Sdp, find, same};

/// Lines looked at; no offer that is meant has more.
const LINES: usize = 256;

/// What is gathered on the way through the lines.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "facts, each on its own")]
struct Offer<'a> {
    media: u16,
    formats: u16,
    first_format: Option<u8>,
    first_port: Option<u32>,
    video: bool,
    t38: bool,
    secure: bool,
    zero_port: bool,
    connection: Option<&'a [u8]>,
    bandwidths: u16,
    fmtps: u16,
    dynamic: Option<(u8, u8)>,
    dtmf: Option<u8>,
    opus: bool,
    amr: bool,
    g729: bool,
    ptime: Option<f32>,
    maxptime: Option<f32>,
    direction: u8,
    rtcp: bool,
    mux: bool,
    ice: bool,
    /// Hash of the formats in their order.
    codecs: u64,
    /// Hash of the kinds of lines and attributes in their order.
    shape: u64,
}

pub(super) fn fill<'a>(call: &Call<'a>, out: &mut Vector, traits: &mut Traits<'a>) {
    let mut set = |index: u16, value: f32| out[usize::from(index)] = value;
    let Some(sdp) = call.message.sdp() else {
        set(id::SDP_PRESENT, 0.0);
        return;
    };
    set(id::SDP_PRESENT, 1.0);
    set(id::SDP_SIZE, sdp.raw.len() as f32);
    let mut offer = Offer::default();
    for (letter, value) in sdp.lines().take(LINES) {
        offer.shape = mix(offer.shape, u64::from(letter));
        match letter {
            b'm' => offer.medium(value),
            b'o' => traits.origin = origin(value, &mut set),
            b's' => set(id::SDP_SESSION_NAME, f32::from(session_name(value))),
            b'c' => offer.connection = offer.connection.or_else(|| Fields(value).nth(2)),
            b'b' => offer.bandwidths += 1,
            b'a' => offer.attribute(value),
            _ => {}
        }
    }
    traits.codecs = offer.codecs;
    traits.shape = offer.shape;
    offer.set(call, traits.origin, &mut set);
    set(id::SDP_LINE_ENDING_ODDITIES, flag(odd_line_ends(&sdp)));
}

/// A step of a hash of small things.
fn mix(hash: u64, value: u64) -> u64 {
    (hash.rotate_left(5) ^ value).wrapping_mul(0x517c_c1b7_2722_0a95)
}

impl<'a> Offer<'a> {
    /// `audio 49170 RTP/AVP 8 0 101`.
    fn medium(&mut self, value: &'a [u8]) {
        self.media = self.media.saturating_add(1);
        self.video |= value.starts_with(b"video");
        self.t38 |= value.starts_with(b"image");
        let mut fields = Fields(value).skip(1);
        let port = fields.next().and_then(number);
        self.zero_port |= port == Some(0);
        let protocol = fields.next().unwrap_or_default();
        self.secure |= protocol.windows(4).any(|part| part == b"SAVP");
        if self.media > 1 {
            return;
        }
        self.first_port = port;
        for format in fields.take(64) {
            let format = number(format).map_or(255, |format| format.min(255) as u8);
            self.first_format = self.first_format.or(Some(format));
            self.formats += 1;
            self.g729 |= format == 18;
            self.codecs = mix(self.codecs, u64::from(format) + 1);
            if (96..=127).contains(&format) {
                let (low, high) = self.dynamic.unwrap_or((format, format));
                self.dynamic = Some((low.min(format), high.max(format)));
            }
        }
    }

    fn attribute(&mut self, value: &'a [u8]) {
        let colon = find(value, b':');
        let (name, rest) = match colon {
            Some(at) => (&value[..at], &value[at + 1..]),
            None => (value, &[][..]),
        };
        // Names tell shapes apart by length and first letters well enough.
        let head = head(value, name.len());
        self.shape = mix(self.shape, head ^ (name.len() as u64) << 56);
        match name {
            b"rtpmap" => self.rtpmap(rest),
            b"fmtp" => self.fmtps += 1,
            b"ptime" => self.ptime = self.ptime.or_else(|| number(rest).map(|n| n as f32)),
            b"maxptime" => self.maxptime = self.maxptime.or_else(|| number(rest).map(|n| n as f32)),
            b"sendrecv" => self.direction = 1,
            b"sendonly" => self.direction = 2,
            b"recvonly" => self.direction = 3,
            b"inactive" => self.direction = 4,
            b"rtcp" => self.rtcp = true,
            b"rtcp-mux" => self.mux = true,
            b"candidate" | b"ice-ufrag" | b"ice-pwd" | b"ice-options" | b"ice-lite" => {
                self.ice = true;
            }
            b"crypto" | b"fingerprint" => self.secure = true,
            _ => self.t38 |= name.starts_with(b"T38"),
        }
    }

    /// `101 telephone-event/8000`.
    fn rtpmap(&mut self, value: &[u8]) {
        let mut fields = Fields(value);
        let payload = fields.next().and_then(number);
        let codec = fields.next().unwrap_or_default();
        let is =
            |name: &[u8]| codec.get(..name.len()).is_some_and(|c| c.eq_ignore_ascii_case(name));
        match codec.first().map(u8::to_ascii_lowercase) {
            Some(b't') if is(b"telephone-event") => {
                self.dtmf = self.dtmf.or(payload.map(|payload| payload.min(255) as u8));
            }
            Some(b'o') => self.opus |= is(b"opus"),
            Some(b'a') => self.amr |= is(b"amr"),
            Some(b'g') => self.g729 |= is(b"g729"),
            _ => {}
        }
    }

    fn set(&self, call: &Call<'_>, origin: (&[u8], Option<IpAddr>), set: &mut dyn FnMut(u16, f32)) {
        set(id::SDP_MEDIA_COUNT, f32::from(self.media));
        if self.media > 0 {
            set(id::SDP_CODEC_COUNT, f32::from(self.formats));
        }
        for (index, is) in [
            (id::SDP_HAS_VIDEO, self.video),
            (id::SDP_HAS_G729, self.g729),
            (id::SDP_HAS_OPUS, self.opus),
            (id::SDP_HAS_AMR, self.amr),
            (id::SDP_HAS_T38, self.t38),
            (id::SDP_DTMF, self.dtmf.is_some()),
            (id::SDP_RTCP_ATTR, self.rtcp),
            (id::SDP_RTCP_MUX, self.mux),
            (id::SDP_ICE, self.ice),
            (id::SDP_DTLS_OR_SRTP, self.secure),
            (id::SDP_ZERO_PORT, self.zero_port),
        ] {
            set(index, flag(is));
        }
        if let Some(format) = self.first_format {
            set(id::SDP_FIRST_CODEC, f32::from(format.min(96)));
        }
        if let Some(payload) = self.dtmf {
            set(id::SDP_DTMF_PAYLOAD, f32::from(payload));
        }
        if let Some((low, high)) = self.dynamic {
            set(id::SDP_DYNAMIC_PAYLOAD_RANGE, f32::from(high - low));
        }
        set(id::SDP_PTIME, self.ptime.unwrap_or(f32::NAN));
        set(id::SDP_MAXPTIME, self.maxptime.unwrap_or(f32::NAN));
        set(id::SDP_FMTP_COUNT, f32::from(self.fmtps));
        set(id::SDP_DIRECTION, f32::from(self.direction));
        set(id::SDP_BANDWIDTH_LINES, f32::from(self.bandwidths));
        if let Some(port) = self.first_port {
            set(id::SDP_PORT_PARITY, (port & 1) as f32);
            set(id::SDP_PORT_RANGE, port as f32 / 1_000.0);
        }
        // Mostly the host of the origin, which was read.
        let media_host = match self.connection {
            Some(host) if same(host, origin.0) => origin.1,
            host => host.and_then(address),
        };
        let differs = media_host.map(|host| host != call.meta.source.ip());
        set(id::SDP_CONNECTION_IP_DIFFERS_FROM_SOURCE, maybe(differs));
    }
}

/// `o=- 3838 3838 IN IP4 192.0.2.1`.
///
/// Gives the host, and its address.
fn origin<'a>(value: &'a [u8], set: &mut dyn FnMut(u16, f32)) -> (&'a [u8], Option<IpAddr>) {
    let mut fields = Fields(value);
    let (user, session) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
    set(id::SDP_ORIGIN_USER, f32::from(pattern(user)));
    set(id::SDP_SESS_ID_PATTERN, f32::from(session_id(session)));
    let Some(host) = fields.nth(3) else { return Default::default() };
    let address = address(host);
    set(id::SDP_ORIGIN_IP_PRIVATE, flag(address.is_some_and(is_private)));
    (host, address)
}

fn session_id(text: &[u8]) -> u8 {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return 4;
    }
    match text.len() {
        0..=8 => 1,
        // Seconds since 1970 begin with 1, since 1900 (NTP) with 3 or 4, these years.
        10 if matches!(text[0], b'1' | b'3' | b'4') => 2,
        _ => 3,
    }
}

fn session_name(text: &[u8]) -> u8 {
    match text.trim_ascii() {
        b"-" => 1,
        b"" => 2,
        name if !name.contains(&b' ') => 3,
        _ => 4,
    }
}

fn odd_line_ends(sdp: &Sdp<'_>) -> bool {
    let first = memchr::memchr(b'\n', sdp.raw);
    // One line stands for all: stacks do not mix.
    first.is_none_or(|at| at == 0 || sdp.raw[at - 1] != b'\r') || !sdp.raw.ends_with(b"\n")
}

fn number(text: &[u8]) -> Option<u32> {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 || digits > 9 {
        return None;
    }
    Some(text[..digits].iter().fold(0, |n, b| n * 10 + u32::from(b - b'0')))
}

/// The first six of the `length` bytes that `value` begins with, or fewer, as a number.
fn head(value: &[u8], length: usize) -> u64 {
    let length = length.min(6);
    match value.first_chunk::<8>() {
        Some(word) if length > 0 => u64::from_be_bytes(*word) >> (64 - 8 * length),
        _ => value.iter().take(length).fold(0, |head, b| head << 8 | u64::from(*b)),
    }
}

/// What stands between blanks.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = &'a [u8];

    // Fields are so short that calls would take as long as they do.
    #[inline(always)]
    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.0.is_empty() {
            let field;
            (field, self.0) = match find(self.0, b' ') {
                Some(at) => (&self.0[..at], &self.0[at + 1..]),
                None => (self.0, &[][..]),
            };
            if !field.is_empty() {
                return Some(field);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Fields, head};

    proptest! {
        #[test]
        fn parts_of_a_line(value in "[ a-z:]{0,30}", length in 0..30usize) {
            let value = value.as_bytes();
            let plain: Vec<_> = value.split(|b| *b == b' ').filter(|f| !f.is_empty()).collect();
            prop_assert_eq!(Fields(value).collect::<Vec<_>>(), plain);
            let length = length.min(value.len());
            let plain = value[..length].iter().take(6).fold(0, |n, b| n << 8 | u64::from(*b));
            prop_assert_eq!(head(value, length), plain);
        }
    }
}
