//! Grammars of identifiers: how a stack makes its tags, branches and Call-IDs.
//! docs/fingerprint.md lists them.

const DIGIT: u16 = 1;
const LOWER_HEX: u16 = 2;
const LOWER: u16 = 4;
const UPPER_HEX: u16 = 8;
const UPPER: u16 = 16;
const DASH: u16 = 32;
const DOT: u16 = 64;
const BASE64: u16 = 128;
const OTHER: u16 = 256;

const CLASSES: [u16; 256] = {
    let mut table = [OTHER; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'0'..=b'9' => DIGIT,
            b'a'..=b'f' => LOWER_HEX,
            b'g'..=b'z' => LOWER,
            b'A'..=b'F' => UPPER_HEX,
            b'G'..=b'Z' => UPPER,
            b'-' => DASH,
            b'.' | b'_' | b'~' => DOT,
            b'+' | b'/' | b'=' => BASE64,
            _ => OTHER,
        };
        byte += 1;
    }
    table
};

/// Grammar of an identifier, from its first 128 bytes: 0 empty, 1 decimal digits,
/// 2 lower-case hexadecimal, 3 upper-case hexadecimal, 4 lower-case letters and
/// digits, 5 letters and digits, 6 UUID, 7 hexadecimal in groups, 8 letters and
/// digits in groups, 9 with dots, underscores or tildes, 10 base64, 11 other.
pub(super) fn pattern(text: &[u8]) -> u8 {
    let text = &text[..text.len().min(128)];
    let classes = text.iter().fold(0, |all, byte| all | CLASSES[usize::from(*byte)]);
    let only = |allowed: u16| classes & !allowed == 0;
    let hex = DIGIT | LOWER_HEX | UPPER_HEX;
    let letters = hex | LOWER | UPPER;
    if text.is_empty() {
        0
    } else if only(DIGIT) {
        1
    } else if only(DIGIT | LOWER_HEX) {
        2
    } else if only(DIGIT | UPPER_HEX) {
        3
    } else if only(DIGIT | LOWER_HEX | LOWER) {
        4
    } else if only(letters) {
        5
    } else if only(hex | DASH) {
        if is_uuid(text) { 6 } else { 7 }
    } else if only(letters | DASH) {
        8
    } else if only(letters | DASH | DOT) {
        9
    } else if only(letters | BASE64) {
        10
    } else {
        11
    }
}

/// 8-4-4-4-12 (RFC 9562).
fn is_uuid(text: &[u8]) -> bool {
    text.len() == 36
        && text.iter().enumerate().all(|(i, b)| (*b == b'-') == matches!(i, 8 | 13 | 18 | 23))
}

#[cfg(test)]
mod tests {
    use super::pattern;

    #[test]
    fn one_of_each() {
        for (text, expected) in [
            ("", 0),
            ("839271", 1),
            ("8f3a1b", 2),
            ("8F3A1B", 3),
            ("as58f4201b", 4),
            ("aZ19xQ", 5),
            ("f81d4fae-7dec-11d0-a765-00a0c91e6bf6", 6),
            ("8F3A-1b22", 7),
            ("gK0c-12ab", 8),
            ("~o1.pq_9", 9),
            ("aZ19+/==", 10),
            ("a b", 11),
        ] {
            assert_eq!(pattern(text.as_bytes()), expected, "{text}");
        }
    }
}
