//! Small byte-string tools: white space, commas, quoted strings.

use super::{find, find2};

/// SP, HTAB, and the line ends inside folded values (RFC 3261 `LWS`).
#[inline]
pub(super) const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Without white space at either end.
#[inline]
pub(super) fn trim(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_blank(*first)
    {
        text = rest;
    }
    trim_end(text)
}

/// Without white space at its end.
#[inline]
pub(super) fn trim_end(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., last] = text
        && is_blank(*last)
    {
        text = rest;
    }
    text
}

/// Splits at the first `byte`; all and nothing where there is none.
#[inline]
pub(super) fn split_at_byte(text: &[u8], byte: u8) -> (&[u8], Option<&[u8]>) {
    match find(text, byte) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

/// Length of the quoted string that `text` begins with, quotes included; all of
/// it where the closing quote is missing.
pub(super) fn quoted(text: &[u8]) -> usize {
    let mut escaped = false;
    for (i, byte) in text.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return i + 1,
            _ => {}
        }
    }
    text.len()
}

/// Values between commas, where commas in quoted strings and in `<>` do not
/// count (RFC 3261 section 7.3.1). Empty values are left out.
#[derive(Clone, Debug)]
pub struct Values<'a> {
    rest: &'a [u8],
    /// So many bytes of it are known to have neither quotes nor brackets.
    plain: usize,
}

impl<'a> Values<'a> {
    pub(crate) const fn new(text: &'a [u8]) -> Self {
        Self { rest: text, plain: 0 }
    }

    /// The value up to the first comma that counts; [`Self::rest`] is what is behind that.
    #[inline(always)]
    fn split(&mut self) -> &'a [u8] {
        let text = self.rest;
        let Some(comma) = find(text, b',') else {
            self.rest = &[];
            return text;
        };
        if self.plain <= comma {
            // As far as it goes: a list of a dozen tokens is looked over once.
            let known = self.plain;
            self.plain = find2(&text[known..], b'"', b'<').map_or(text.len(), |at| known + at);
        }
        let value;
        if comma < self.plain {
            (value, self.rest) = (&text[..comma], &text[comma + 1..]);
            self.plain -= comma + 1;
        } else {
            (value, self.rest) = split_value(text);
            self.plain = 0;
        }
        value
    }

    /// The next value: what [`Iterator::next`] gives, for loops over a dozen of them, where
    /// calls would take as long as the values do.
    #[inline(always)]
    pub(crate) fn step(&mut self) -> Option<&'a [u8]> {
        while !self.rest.is_empty() {
            let value = trim(self.split());
            if !value.is_empty() {
                return Some(value);
            }
        }
        None
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.step()
    }
}

pub(super) fn split_value(text: &[u8]) -> (&[u8], &[u8]) {
    let mut i = 0;
    let mut inside = false;
    while let Some(byte) = text.get(i) {
        match byte {
            b'"' if !inside => i += quoted(&text[i..]),
            b'<' => {
                inside = true;
                i += 1;
            }
            b'>' => {
                inside = false;
                i += 1;
            }
            b',' if !inside => return (&text[..i], &text[i + 1..]),
            _ => i += 1,
        }
    }
    (text, &[])
}

/// A decimal number of at most ten digits that fits; blanks around it are allowed.
pub(super) fn number(text: &[u8]) -> Option<u32> {
    let text = trim(text);
    if text.is_empty() || text.len() > 10 {
        return None;
    }
    let mut value = 0u64;
    for byte in text {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value * 10 + u64::from(byte - b'0');
    }
    u32::try_from(value).ok()
}

/// Whether `text` begins with `prefix`, without regard to case.
pub(super) fn starts_with(text: &[u8], prefix: &[u8]) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use super::{Values, number, quoted, trim};

    #[test]
    fn values_respect_quotes_and_brackets() {
        let values: Vec<_> = Values::new(b"\"a,\\\"b\" <sip:1,2@x>;p=1 , , c ,d\r\n e").collect();
        assert_eq!(values, [&b"\"a,\\\"b\" <sip:1,2@x>;p=1"[..], b"c", b"d\r\n e"]);
        assert_eq!(Values::new(b"\"open, never closed").count(), 1);
        assert_eq!(Values::new(b",,,").count(), 0);
        let values: Vec<_> = Values::new(b"a,b,<c,d>,e,f,\"g,h\",i,j").collect();
        let plain: [&[u8]; 8] = [b"a", b"b", b"<c,d>", b"e", b"f", b"\"g,h\"", b"i", b"j"];
        assert_eq!(values, plain);
    }

    #[test]
    fn numbers_and_trim() {
        assert_eq!(number(b" 4294967295 "), Some(u32::MAX));
        for bad in [&b"4294967296"[..], b"-1", b"", b" ", b"1 2", b"99999999999"] {
            assert_eq!(number(bad), None);
        }
        assert_eq!(trim(b" \r\n a b\t"), b"a b");
        assert_eq!(quoted(b"\"a\\\"b\"c"), 6);
    }
}
