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

/// A text that may have numbers in it. Digits of one number may stand apart by a space,
/// a hyphen, a dot or brackets.
pub(super) fn text(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut out: Option<Vec<u8>> = None;
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let (start, mut digits) = (at, 0);
        let mut end = at;
        // A sign is part of a number where a digit follows it at once.
        while at < bytes.len() {
            if bytes[at].is_ascii_digit() {
                digits += 1;
                at += 1;
                end = at;
            } else if matches!(bytes[at], b' ' | b'-' | b'.' | b'(' | b')' | b'/')
                && at - end < 2
            {
                at += 1;
            } else {
                break;
            }
        }
        at = end;
        if digits >= NUMBER {
            let out = out.get_or_insert_with(|| bytes.to_vec());
            let mut seen = 0;
            for byte in &mut out[start..end] {
                if byte.is_ascii_digit() {
                    seen += 1;
                    if seen > 3 && seen + 2 <= digits {
                        *byte = b'*';
                    }
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
    use super::{text, user};
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
