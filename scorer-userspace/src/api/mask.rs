//! Numbers as viewers see them.
//!
//! A number shows its first three characters and its last two. In texts that may hold
//! numbers, Call-IDs and notes, every run of digits as long as a number is treated so.

use std::borrow::Cow;

use crate::number::mask;

/// Digits from which on a run of them may be somebody's number.
const NUMBER: usize = 7;

/// A user part: a number, or a name.
pub(super) fn user(user: &str) -> String {
    mask(user.as_bytes()).to_string()
}

/// A Call-ID: every run of digits as long as a number.
pub(super) fn call_id(text: &str) -> Cow<'_, str> {
    starred(text, |_| false)
}

/// A text that may have numbers in it. Digits of one number may stand apart by a space,
/// a hyphen, a dot or brackets.
pub(super) fn text(text: &str) -> Cow<'_, str> {
    starred(text, |byte| matches!(byte, b' ' | b'-' | b'.' | b'(' | b')' | b'/'))
}

/// Between two digits of a number stand two bytes that are `apart`, at most.
fn starred(text: &str, apart: impl Fn(u8) -> bool) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut out: Option<Vec<u8>> = None;
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let (start, mut end, mut digits) = (at, at, 0);
        while at < bytes.len() {
            if bytes[at].is_ascii_digit() {
                digits += 1;
                at += 1;
                end = at;
            } else if apart(bytes[at]) && at - end < 2 {
                at += 1;
            } else {
                break;
            }
        }
        at = end;
        if digits < NUMBER {
            continue;
        }
        let mut seen = 0;
        for byte in &mut out.get_or_insert_with(|| bytes.to_vec())[start..end] {
            if byte.is_ascii_digit() {
                seen += 1;
                if seen > 3 && seen + 2 <= digits {
                    *byte = b'*';
                }
            }
        }
    }
    match out {
        // Digits were replaced by stars, so that it is UTF-8 still.
        Some(out) => Cow::Owned(String::from_utf8(out).unwrap_or_default()),
        None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::{call_id, text, user};
    use proptest::prelude::*;

    #[test]
    fn numbers_in_texts() {
        for (whole, masked) in [
            ("01632960001@host", "016******01@host"),
            ("+44 1632 960-001 rang", "+44 1*** ***-*01 rang"),
            ("a84b4c76e66710@pc33.atlanta.example", "a84b4c76e66710@pc33.atlanta.example"),
            ("x-441632960001-77@192.0.2.1", "x-441*********-77@192.0.2.1"),
            ("call 999, then 123456", "call 999, then 123456"),
            ("", ""),
            ("é1234567é", "é123**67é"),
        ] {
            assert_eq!(text(whole), masked, "{whole}");
        }
        assert_eq!(call_id("441632960001-77@192.0.2.100"), "441*******01-77@192.0.2.100");
        assert_eq!(user("+441632960001"), "+44********01");
    }

    proptest! {
        #[test]
        fn no_run_of_seven_digits_is_left(whole in ".{0,80}") {
            let masked = text(&whole);
            prop_assert_eq!(masked.chars().count(), whole.chars().count());
            let mut run = 0;
            for byte in masked.bytes() {
                run = if byte.is_ascii_digit() { run + 1 } else { 0 };
                prop_assert!(run < 7, "{} -> {}", whole, masked);
            }
        }
    }
}
