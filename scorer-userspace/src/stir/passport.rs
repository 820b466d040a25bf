//! PASSporTs (RFC 8225) in Identity headers (RFC 8224).

use std::{borrow::Cow, fmt};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};

/// An Identity value at most, bytes; one with five destinations has about 800.
const LONGEST: usize = 8_192;
/// Destinations kept.
const DESTINATIONS: usize = 8;

/// Kind of a PASSporT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ppt {
    /// RFC 8588.
    Shaken,
    /// RFC 8946.
    Div,
    /// RFC 9795.
    Rcd,
    /// None, or another.
    Other,
}

/// Why an Identity value cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassportError {
    /// Longer than 8 KiB.
    TooLong,
    /// Not `header.payload.signature`.
    Form,
    /// The compact form, whose claims stand in the message alone.
    Compact,
    /// Not base64url.
    Base64,
    /// Header or payload is not the JSON that RFC 8225 asks for.
    Json,
    /// Signed with something other than ES256.
    Algorithm,
}

impl fmt::Display for PassportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "longer than 8 KiB",
            Self::Form => "not header.payload.signature",
            Self::Compact => "in compact form",
            Self::Base64 => "not base64url",
            Self::Json => "its claims cannot be read",
            Self::Algorithm => "not signed with ES256",
        })
    }
}

/// Room for one PASSporT; make one, use it for all.
#[derive(Debug, Default)]
pub struct Scratch {
    header: Vec<u8>,
    payload: Vec<u8>,
    signed: String,
}

/// A PASSporT in full form.
#[derive(Debug)]
pub struct Passport<'a> {
    /// Kind.
    pub ppt: Ppt,
    /// Where its certificate is.
    pub x5u: Cow<'a, str>,
    /// Attestation, `A`, `B` or `C`.
    pub attest: Option<u8>,
    /// Which customer or gateway, for the signer to know.
    pub origid: Option<Cow<'a, str>>,
    /// When it was signed, seconds since 1970.
    pub iat: u64,
    /// The caller's number or URI.
    pub orig: Cow<'a, str>,
    /// Numbers and URIs called.
    pub dest: List<'a>,
    /// The number that forwards.
    pub div: Option<Cow<'a, str>>,
    /// What is signed: header and payload as they stand.
    pub signed: &'a [u8],
    /// The signature, r and s.
    pub signature: [u8; 64],
}

#[derive(Deserialize)]
struct Header<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
    #[serde(borrow, default)]
    ppt: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    x5u: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow, default)]
    attest: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    origid: Option<Cow<'a, str>>,
    iat: u64,
    #[serde(borrow)]
    orig: Party<'a>,
    #[serde(borrow)]
    dest: Parties<'a>,
    #[serde(borrow, default)]
    div: Option<Party<'a>>,
}

#[derive(Deserialize)]
struct Party<'a> {
    #[serde(borrow, default)]
    tn: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    uri: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Parties<'a> {
    #[serde(borrow, default)]
    tn: List<'a>,
    #[serde(borrow, default)]
    uri: List<'a>,
}

/// A few strings, without an allocation for the list.
#[derive(Clone, Debug, Default)]
pub struct List<'a> {
    items: [Cow<'a, str>; DESTINATIONS],
    length: usize,
}

impl List<'_> {
    /// The strings.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.items[..self.length].iter().map(|item| &**item)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for List<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Strings;
        impl<'de> Visitor<'de> for Strings {
            type Value = List<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of strings")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<List<'de>, A::Error> {
                #[derive(Deserialize)]
                struct Item<'a>(#[serde(borrow)] Cow<'a, str>);
                let mut list = List::default();
                while let Some(Item(item)) = seq.next_element()? {
                    if let Some(place) = list.items.get_mut(list.length) {
                        *place = item;
                        list.length += 1;
                    }
                }
                Ok(list)
            }
        }
        deserializer.deserialize_seq(Strings)
    }
}

impl<'a> Passport<'a> {
    /// Reads one Identity value: `token;info=<…>;alg=ES256;ppt=shaken`.
    ///
    /// # Errors
    /// [`PassportError`].
    pub fn parse(value: &'a [u8], scratch: &'a mut Scratch) -> Result<Self, PassportError> {
        if value.len() > LONGEST {
            return Err(PassportError::TooLong);
        }
        let end = value.iter().position(|b| *b == b';').unwrap_or(value.len());
        let token = value[..end].trim_ascii();
        let mut dots = memchr::memchr_iter(b'.', token);
        let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
            return Err(PassportError::Form);
        };
        if first == 0 || second == first + 1 {
            return Err(PassportError::Compact);
        }
        let decode = |text: &[u8], out: &mut Vec<u8>| {
            out.clear();
            URL_SAFE_NO_PAD.decode_vec(text, out).map_err(|_| PassportError::Base64)
        };
        let Scratch { header, payload, .. } = scratch;
        decode(&token[..first], header)?;
        decode(&token[first + 1..second], payload)?;
        let mut signature = [0; 64];
        let length = URL_SAFE_NO_PAD.decode_slice(&token[second + 1..], &mut signature);
        if length != Ok(64) {
            return Err(PassportError::Base64);
        }
        let header: Header<'a> = serde_json::from_slice(header).map_err(|_| PassportError::Json)?;
        let payload: Payload<'a> =
            serde_json::from_slice(payload).map_err(|_| PassportError::Json)?;
        if header.alg != "ES256" {
            return Err(PassportError::Algorithm);
        }
        let ppt = match header.ppt.as_deref() {
            Some("shaken") => Ppt::Shaken,
            Some("div" | "div-o") => Ppt::Div,
            Some("rcd") => Ppt::Rcd,
            _ => Ppt::Other,
        };
        let attest = payload.attest.as_deref().and_then(|attest| match attest.as_bytes() {
            [letter @ (b'A' | b'B' | b'C')] => Some(*letter),
            _ => None,
        });
        let dest = if payload.dest.tn.length > 0 { payload.dest.tn } else { payload.dest.uri };
        Ok(Self {
            ppt,
            x5u: header.x5u.unwrap_or_default(),
            attest,
            origid: payload.origid,
            iat: payload.iat,
            orig: payload.orig.tn.or(payload.orig.uri).ok_or(PassportError::Json)?,
            dest,
            div: payload.div.and_then(|div| div.tn.or(div.uri)),
            signed: &token[..second],
            signature,
        })
    }
}

/// A PASSporT in compact form (RFC 8225 section 7): the signature alone. The claims
/// are the call's own, put together as the signer must have done.
#[derive(Debug)]
pub struct Compact<'a> {
    /// Where its certificate is.
    pub x5u: &'a str,
    /// What must have been signed.
    pub signed: &'a [u8],
    /// The signature, r and s.
    pub signature: [u8; 64],
}

impl<'a> Compact<'a> {
    /// Reads `..signature;info=<…>` for a call from `orig` to `dest` (digits), signed at
    /// `iat` (the Date header, RFC 8224 section 4.1). `None` when it cannot be put
    /// together. Extensions other than `ppt` have claims that only the full form tells.
    pub fn parse(
        value: &'a [u8],
        (orig, dest): (&[u8], &[u8]),
        iat: i64,
        scratch: &'a mut Scratch,
    ) -> Option<Self> {
        if value.len() > LONGEST {
            return None;
        }
        let end = value.iter().position(|b| *b == b';')?;
        let token = value[..end].trim_ascii().strip_prefix(b"..")?;
        let mut signature = [0; 64];
        let length = URL_SAFE_NO_PAD.decode_slice(token, &mut signature);
        if length != Ok(64) {
            return None;
        }
        let info = memchr::memmem::find(&value[end..], b"info=<")? + end + 6;
        let x5u = &value[info..info + value[info..].iter().position(|b| *b == b'>')?];
        let plain = |text: &[u8]| text.iter().all(|b| b.is_ascii_graphic() && !b"\"\\".contains(b));
        if !plain(x5u) {
            return None;
        }
        let x5u = std::str::from_utf8(x5u).ok()?;
        let Scratch { header, payload, signed } = scratch;
        header.clear();
        header.extend_from_slice(br#"{"alg":"ES256","typ":"passport","x5u":""#);
        header.extend_from_slice(x5u.as_bytes());
        header.extend_from_slice(br#""}"#);
        payload.clear();
        payload.extend_from_slice(br#"{"dest":{"tn":[""#);
        payload.extend_from_slice(dest);
        payload.extend_from_slice(br#""]},"iat":"#);
        payload.extend_from_slice(itoa::Buffer::new().format(iat).as_bytes());
        payload.extend_from_slice(br#","orig":{"tn":""#);
        payload.extend_from_slice(orig);
        payload.extend_from_slice(br#""}}"#);
        signed.clear();
        URL_SAFE_NO_PAD.encode_string(header, signed);
        signed.push('.');
        URL_SAFE_NO_PAD.encode_string(payload, signed);
        Some(Self { x5u, signed: signed.as_bytes(), signature })
    }
}

/// Whether a claim is a number: its digits compared with ours, whatever stands
/// between them (RFC 8224 section 8.3).
pub(super) fn is_number(claim: &str, digits: &[u8]) -> bool {
    let mut rest = digits.iter();
    let same = claim
        .bytes()
        .filter(|b| !matches!(b, b'+' | b'-' | b'.' | b'(' | b')' | b' '))
        .all(|b| rest.next() == Some(&b));
    same && rest.next().is_none() && !digits.is_empty()
}
