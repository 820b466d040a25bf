//! Server-sent events (WHATWG HTML, section 9.2), as they come in pieces.

/// Longest event, bytes; a call is some kilobytes.
const LONGEST: usize = 1 << 20;

/// An event longer than is taken.
#[derive(Debug, thiserror::Error)]
#[error("an event of the stream is longer than {LONGEST} bytes")]
pub(super) struct TooLong;

/// Puts lines together, and events of them.
#[derive(Debug, Default)]
pub(super) struct Events {
    line: Vec<u8>,
    after_cr: bool,
    name: String,
    data: Vec<u8>,
}

impl Events {
    /// Takes a piece; calls `each` with name and data of every event that is whole.
    pub(super) fn push(
        &mut self,
        piece: &[u8],
        each: &mut dyn FnMut(&str, &[u8]),
    ) -> Result<(), TooLong> {
        for byte in piece {
            match byte {
                // The second half of CR LF.
                b'\n' if std::mem::take(&mut self.after_cr) => {}
                b'\r' | b'\n' => {
                    self.after_cr = *byte == b'\r';
                    self.end_of_line(each);
                }
                _ if self.line.len() + self.data.len() >= LONGEST => return Err(TooLong),
                byte => {
                    self.after_cr = false;
                    self.line.push(*byte);
                }
            }
        }
        Ok(())
    }

    fn end_of_line(&mut self, each: &mut dyn FnMut(&str, &[u8])) {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            if !self.data.is_empty() {
                // Each line of data ends with a newline but the last.
                self.data.pop();
                each(&self.name, &self.data);
            }
            self.name.clear();
            self.data.clear();
            return;
        }
        let (field, value) = match line.iter().position(|byte| *byte == b':') {
            Some(at) => (&line[..at], &line[at + 1..]),
            None => (&line[..], &[][..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"event" => self.name = String::from_utf8_lossy(value).into_owned(),
            b"data" => {
                self.data.extend_from_slice(value);
                self.data.push(b'\n');
            }
            // Comments keep the connection up; ids are for browsers.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Events, LONGEST};

    const STREAM: &[u8] =
        b": hello\n\nevent: call\ndata: {\"a\":\ndata:1}\nid: 7\n\r\nevent: rates\r\ndata: x\r\n\r\ndata\n\nevent: only\n\n";

    fn read(pieces: impl Iterator<Item = Vec<u8>>) -> Vec<(String, String)> {
        let (mut events, mut got) = (Events::default(), Vec::new());
        for piece in pieces {
            let mut each = |name: &str, data: &[u8]| {
                got.push((name.to_owned(), String::from_utf8_lossy(data).into_owned()));
            };
            events.push(&piece, &mut each).expect("not too long");
        }
        got
    }

    #[test]
    fn events_are_put_together() {
        let got = read(std::iter::once(STREAM.to_vec()));
        let expected = [("call", "{\"a\":\n1}"), ("rates", "x"), ("", "")];
        assert_eq!(got, expected.map(|(name, data)| (name.to_owned(), data.to_owned())));
    }

    #[test]
    fn there_is_an_end_to_events() {
        let mut events = Events::default();
        let endless = [&b"data: "[..], &vec![b'x'; LONGEST]].concat();
        assert!(events.push(&endless, &mut |_, _| {}).is_err());
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(size in 1..STREAM.len()) {
            let whole = read(std::iter::once(STREAM.to_vec()));
            prop_assert_eq!(read(STREAM.chunks(size).map(<[u8]>::to_vec)), whole);
        }

        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = Events::default().push(&bytes, &mut |_, _| {});
        }
    }
}
