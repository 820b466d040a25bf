//! How a call is signalled, beside the kernel's header order: grammars, sets, the
//! shape of the offer. docs/fingerprint.md tells the grammar.

use std::fmt;

use crate::capture::{PacketMeta, Transport};

/// What headers and offer are like, as far as the history keeps count of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traits<'a> {
    /// The kernel's hash of the header order.
    pub order: u64,
    /// Product of the User-Agent.
    pub agent: Option<&'a [u8]>,
    /// Its family, 0 for an unknown one.
    pub family: u8,
    /// Grammars, see docs/fingerprint.md.
    pub branch: u8,
    /// Of the Call-ID.
    pub call_id: u8,
    /// Of the From tag.
    pub tag: u8,
    /// Methods in Allow.
    pub allow: u16,
    /// Options in Supported.
    pub supported: u16,
    /// Hash of the codecs in their order; 0 without an offer.
    pub codecs: u64,
    /// Hash of the kinds of SDP lines and attributes in their order; 0 without.
    pub shape: u64,
    /// See [`Self::signed`].
    pub signature: u64,
    /// User-Agent, whole; empty without one.
    pub agent_text: &'a [u8],
    /// Host of the offer's `o=` line; empty without an offer.
    pub origin: &'a [u8],
}

impl Traits<'_> {
    /// These traits with their signature: 64 bits of which calls of one stack and path
    /// have most alike, since each trait has its own place.
    #[must_use]
    pub fn signed(self, meta: &PacketMeta) -> Self {
        let place = |value: u64, bits: u32, at: u32| {
            // Spread, so that two values differ in about half their bits.
            let spread = (value ^ value >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            (spread >> (64 - bits)) << at
        };
        let signature = place(self.order | 1, 14, 0)
            | place(u64::from(self.family) + 1, 6, 14)
            | place(u64::from(self.branch) + 1, 5, 20)
            | place(u64::from(self.call_id) + 1, 5, 25)
            | place(u64::from(self.tag) + 1, 5, 30)
            | place(u64::from(self.allow) + 1, 6, 35)
            | place(u64::from(self.supported) + 1, 5, 41)
            | place(self.codecs | 1, 7, 46)
            | place(self.shape | 1, 7, 53)
            | place(u64::from(super::transport::initial_ttl(meta.ttl)), 2, 60)
            | place(u64::from(meta.transport == Transport::Tcp) + 1, 2, 62);
        Self { signature, ..self }
    }

    /// The fingerprint in text, version 1.
    pub fn text(&self, meta: &PacketMeta) -> Fingerprint {
        let transport = match (meta.transport, meta.source.is_ipv6()) {
            (Transport::Udp, false) => 'u',
            (Transport::Udp, true) => 'U',
            (Transport::Tcp, false) => 't',
            (Transport::Tcp, true) => 'T',
        };
        Fingerprint {
            transport,
            grammars: [self.branch, self.call_id, self.tag],
            family: self.family,
            allow: self.allow,
            supported: self.supported,
            order: self.order,
            offer: self.codecs.rotate_left(17) ^ self.shape,
            profile: self.signature,
        }
    }
}

/// A fingerprint to be written, such as
/// `s1u_b5c6t4_f01_a03ff_o0005_8f3a12bc90de55aa_77aa01c2d3e4f506_0123456789abcdef`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint {
    transport: char,
    grammars: [u8; 3],
    family: u8,
    allow: u16,
    supported: u16,
    order: u64,
    offer: u64,
    profile: u64,
}

impl Fingerprint {
    /// Adds the text to `out`, without what formatting costs.
    pub fn write(&self, out: &mut Vec<u8>) {
        fn hex(out: &mut Vec<u8>, before: &[u8], value: u64, digits: u32) {
            out.extend_from_slice(before);
            for place in (0..digits).rev() {
                out.push(b"0123456789abcdef"[(value >> (4 * place) & 15) as usize]);
            }
        }
        let [branch, call_id, tag] = self.grammars;
        out.extend_from_slice(b"s1");
        out.push(self.transport as u8);
        hex(out, b"_b", u64::from(branch), 1);
        hex(out, b"c", u64::from(call_id), 1);
        hex(out, b"t", u64::from(tag), 1);
        out.extend_from_slice(&[b'_', b'f', b'0' + self.family / 10 % 10, b'0' + self.family % 10]);
        hex(out, b"_a", u64::from(self.allow), 4);
        hex(out, b"_o", u64::from(self.supported), 4);
        for part in [self.order, self.offer, self.profile] {
            hex(out, b"_", part, 16);
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(96);
        self.write(&mut text);
        f.write_str(&String::from_utf8_lossy(&text))
    }
}
