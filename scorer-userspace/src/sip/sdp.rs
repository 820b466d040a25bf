//! SDP bodies (RFC 8866), also inside multipart bodies (RFC 2046, RFC 5621).

use super::{
    find,
    text::{split_at_byte, starts_with, trim},
    uri::Params,
};

/// An SDP body, read line by line on demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sdp<'a> {
    /// All of it.
    pub raw: &'a [u8],
}

impl<'a> Sdp<'a> {
    /// Lines as (type letter, value), in order; what is not `x=…` is left out.
    pub fn lines(&self) -> impl Iterator<Item = (u8, &'a [u8])> + use<'a> {
        let mut rest = self.raw;
        std::iter::from_fn(move || {
            while !rest.is_empty() {
                let line;
                (line, rest) = match find(rest, b'\n') {
                    Some(at) => (&rest[..at], &rest[at + 1..]),
                    None => (rest, &[][..]),
                };
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                if let [letter, b'=', value @ ..] = line {
                    return Some((*letter, value));
                }
            }
            None
        })
    }

    /// Finds the SDP in a body of the given Content-Type.
    pub(super) fn find(content_type: Option<&'a [u8]>, body: &'a [u8]) -> Option<Self> {
        match content_type {
            Some(kind) if starts_with(kind, b"application/sdp") => Some(Self { raw: body }),
            Some(kind) if starts_with(kind, b"multipart/") => {
                part(kind, body, b"application/sdp").map(|raw| Self { raw })
            }
            Some(_) => None,
            None => starts_with(body, b"v=").then_some(Self { raw: body }),
        }
        .filter(|sdp| !sdp.raw.is_empty())
    }
}

/// The ISUP message in a body of the given Content-Type (RFC 3204).
pub(super) fn find_isup<'a>(content_type: Option<&'a [u8]>, body: &'a [u8]) -> Option<&'a [u8]> {
    let kind = content_type?;
    if starts_with(kind, b"application/isup") {
        Some(body)
    } else if starts_with(kind, b"multipart/") {
        // Binary: line ends within it are its own, the one before a boundary is not.
        part(kind, body, b"application/isup")
            .map(|raw| raw.strip_suffix(b"\n").unwrap_or(raw))
            .map(|raw| raw.strip_suffix(b"\r").unwrap_or(raw))
    } else {
        None
    }
}

/// The first part of a media type in a multipart body.
fn part<'a>(content_type: &'a [u8], body: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    let (_, params) = split_at_byte(content_type, b';');
    let boundary = Params(params?).get(b"boundary")?;
    // RFC 2046 allows 70 characters; an empty one would match everywhere.
    if boundary.is_empty() || boundary.len() > 200 {
        return None;
    }
    let finder = memchr::memmem::Finder::new(boundary);
    let mut rest = body;
    let mut inside = false;
    while let Some(at) = finder.find(rest) {
        let delimiter = at >= 2 && &rest[at - 2..at] == b"--";
        if inside
            && delimiter
            && let Some(found) = body_of_part(&rest[..at - 2], wanted)
        {
            return Some(found);
        }
        inside |= delimiter;
        rest = &rest[at + boundary.len()..];
    }
    // A last part whose end was cut off.
    if inside { body_of_part(rest, wanted) } else { None }
}

/// What is behind a part's header lines, if it is of the media type.
fn body_of_part<'a>(part: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    let mut rest = split_at_byte(part, b'\n').1?;
    let mut is_wanted = false;
    loop {
        let (line, after) = split_at_byte(rest, b'\n');
        rest = after?;
        let line = trim(line);
        if line.is_empty() {
            break;
        }
        let (name, value) = split_at_byte(line, b':');
        if trim(name).eq_ignore_ascii_case(b"content-type") {
            is_wanted = starts_with(trim(value.unwrap_or_default()), wanted);
        }
    }
    is_wanted.then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::Sdp;

    #[test]
    fn plain_and_multipart() {
        let body = b"--b1\r\nContent-Type: application/isup\r\n\r\nxx\r\n--b1\r\ncontent-type:application/sdp\r\n\r\nv=0\r\nm=audio 1 RTP/AVP 8\r\n--b1--\r\n";
        let sdp = Sdp::find(Some(b"multipart/mixed; boundary=\"b1\""), body).unwrap();
        let lines: Vec<_> = sdp.lines().collect();
        assert_eq!(lines, [(b'v', &b"0"[..]), (b'm', b"audio 1 RTP/AVP 8")]);
        let isup = super::find_isup(Some(b"multipart/mixed; boundary=b1"), body);
        assert_eq!(isup, Some(&b"xx"[..]));
        assert_eq!(
            super::find_isup(Some(b"application/ISUP;version=itu-t92+"), b"y\n"),
            Some(&b"y\n"[..])
        );
        assert!(super::find_isup(Some(b"application/sdp"), body).is_none());
        assert!(Sdp::find(Some(b"application/SDP;x"), b"v=0").is_some());
        assert!(Sdp::find(Some(b"text/plain"), b"v=0").is_none());
        assert!(Sdp::find(None, b"v=0\n").is_some());
        assert!(Sdp::find(Some(b"multipart/mixed"), body).is_none());
    }
}
