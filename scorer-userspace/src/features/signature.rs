//! How a call is signalled, beside the kernel's header order: grammars, sets, the
//! shape of the offer. docs/fingerprint.md tells the grammar.

use std::{fmt, net::IpAddr};

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
    /// Host of the offer's `o=` line; empty without an offer. And its address, if it is one.
    pub origin: (&'a [u8], Option<IpAddr>),
    /// Host of the last Via, and its address, if it is one.
    pub last_via: (&'a [u8], Option<IpAddr>),
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
    /// What of it comes from the caller's own equipment, in bytes: the offer, Allow,
    /// Supported, the product, the grammars of Call-ID and tag. What carriers on the way
    /// write (order of headers, branch, transport) is left out. The same on every host and
    /// in every later version.
    pub fn canonical(&self) -> [u8; 15] {
        let [_, call_id, tag] = self.grammars;
        let mut bytes = [0; 15];
        bytes[..8].copy_from_slice(&self.offer.to_be_bytes());
        bytes[8..10].copy_from_slice(&self.allow.to_be_bytes());
        bytes[10..12].copy_from_slice(&self.supported.to_be_bytes());
        bytes[12..].copy_from_slice(&[self.family, call_id, tag]);
        bytes
    }

    /// Adds the text to `out`, without what formatting costs.
    pub fn write(&self, out: &mut Vec<u8>) {
        let digit = |value: u8| hex_digits(u64::from(value))[15];
        let [branch, call_id, tag] = self.grammars;
        let mut text = *b"s1u_b0c0t0_f00_a0000_o0000_";
        text[2] = self.transport as u8;
        (text[5], text[7], text[9]) = (digit(branch), digit(call_id), digit(tag));
        (text[12], text[13]) = (b'0' + self.family / 10 % 10, b'0' + self.family % 10);
        text[16..20].copy_from_slice(&hex_digits(u64::from(self.allow))[12..]);
        text[22..26].copy_from_slice(&hex_digits(u64::from(self.supported))[12..]);
        out.extend_from_slice(&text);
        let mut text = [b'_'; 50];
        text[..16].copy_from_slice(&hex_digits(self.order));
        text[17..33].copy_from_slice(&hex_digits(self.offer));
        text[34..].copy_from_slice(&hex_digits(self.profile));
        out.extend_from_slice(&text);
    }
}

/// Sixteen hexadecimal digits, lower case.
pub(crate) fn hex_digits(value: u64) -> [u8; 16] {
    // The halves of bytes in the order they are written, then all digits at once:
    // above nine the letters begin.
    let spread = |half: u32| {
        let x = u64::from(half);
        let x = (x | x << 16) & 0x0000_ffff_0000_ffff;
        let x = (x | x << 8) & 0x00ff_00ff_00ff_00ff;
        (x | x << 4) & 0x0f0f_0f0f_0f0f_0f0f
    };
    let digits = |x: u64| {
        let letters = (x + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
        (x + 0x3030_3030_3030_3030 + letters * 0x27).to_be_bytes()
    };
    let mut text = [0; 16];
    text[..8].copy_from_slice(&digits(spread((value >> 32) as u32)));
    text[8..].copy_from_slice(&digits(spread(value as u32)));
    text
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(96);
        self.write(&mut text);
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::hex_digits;

    proptest! {
        #[test]
        fn digits(value in any::<u64>(), shift in 0..64u32) {
            let value = value >> shift;
            let plain = format!("{value:016x}");
            prop_assert_eq!(&hex_digits(value)[..], plain.as_bytes());
        }
    }
}
