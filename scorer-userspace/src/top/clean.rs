//! What strangers wrote, made safe to show.

use std::fmt::Write as _;

/// Longest text of a caller that is kept, characters.
pub(super) const LONGEST: usize = 256;

/// Whether a terminal only draws this: letters and digits of all scripts, and what ASCII
/// prints. Controls, C1 codes, marks that turn the direction or stack on others do more.
fn is_plain(c: char) -> bool {
    matches!(c, ' '..='~') || (!c.is_ascii() && c.is_alphanumeric())
}

/// The text with `?` for whatever a terminal might obey; cut at [`LONGEST`].
pub(super) fn text(text: &str) -> String {
    text.chars().take(LONGEST).map(|c| if is_plain(c) { c } else { '?' }).collect()
}

/// The lines of a message, likewise; what is not UTF-8 is shown as `\xNN`, and at most
/// `most` lines.
pub(super) fn lines(message: &[u8], most: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for line in message.split(|byte| *byte == b'\n').take(most) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let mut out = String::with_capacity(line.len());
        for chunk in line.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\t' => out.push(' '),
                    c if is_plain(c) => out.push(c),
                    // Writing to a String cannot fail.
                    c => {
                        let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
                    }
                }
            }
            for byte in chunk.invalid() {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
        lines.push(out);
    }
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{LONGEST, lines, text};

    #[test]
    fn what_terminals_obey_is_not_shown() {
        assert_eq!(text("Al\u{1b}[2Jice\u{7}\u{9b}31m\u{202e}\u{301}"), "Al?[2Jice??31m??");
        assert_eq!(text("Ærøskøbing Банк 銀行"), "Ærøskøbing Банк 銀行");
        assert_eq!(text(&"x".repeat(1_000)).len(), LONGEST);
        let message = b"INVITE sip:a SIP/2.0\r\nFrom: \"\x1b]0;x\x07\xff\"\tB\r\n\r\n";
        let shown = ["INVITE sip:a SIP/2.0", "From: \"\\u{1b}]0;x\\u{7}\\xff\" B"];
        assert_eq!(lines(message, 100), shown);
        assert_eq!(lines(message, 1).len(), 1);
    }

    proptest! {
        #[test]
        fn no_control_comes_through(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let shown = text(&String::from_utf8_lossy(&bytes));
            prop_assert!(!shown.chars().any(char::is_control));
            for line in lines(&bytes, 50) {
                prop_assert!(!line.chars().any(char::is_control));
            }
        }
    }
}
