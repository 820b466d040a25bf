//! Telephone numbers: normalisation to E.164 digits, country, kind, tables, masking.

mod about;
mod plan;
mod ranges;

use std::fmt;

pub use about::About;
pub use plan::{NumberKind, Plan, Planned, country, country_code, warm_up};
pub use ranges::{Marks, RangeError, Ranges};

/// Digits of a number at most. E.164 allows 15; prefixes and extensions more.
const DIGITS: usize = 24;
/// Digits that [`Number::packed`] and [`Number::aligned`] hold.
pub(crate) const DIGITS_PACKED: usize = 18;
/// From as many digits on a number that does not begin with 0 has its country code,
/// whether a `+` says so or not.
const FULL: usize = 11;

/// A user part read as a telephone number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    digits: [u8; DIGITS],
    length: u8,
    /// Digits begin with a country code.
    pub international: bool,
}

impl Number {
    /// Reads a user part or tel number: `+44…`, `0044…`, national. Visual
    /// separators (RFC 3966) and %-escaped characters of them are left out.
    /// `home` is the country code that national numbers (a leading 0) get; without
    /// it they stay national. `None` when it is not a number of 1–24 digits.
    pub fn parse(user: &[u8], home: Option<u16>) -> Option<Self> {
        let mut digits = [0; DIGITS];
        let mut length = 0;
        let mut rest = user;
        let mut plus = false;
        while let Some((byte, after)) = next_byte(rest) {
            rest = after;
            match byte {
                b'0'..=b'9' => {
                    *digits.get_mut(length)? = byte;
                    length += 1;
                }
                b'+' if length == 0 && !plus => plus = true,
                b'-' | b'.' | b'(' | b')' | b' ' => {}
                _ => return None,
            }
        }
        let mut number = Self { digits, length: length as u8, international: plus };
        if length == 0 {
            return None;
        }
        if !plus && number.as_bytes().starts_with(b"00") && length > 4 {
            number.digits.copy_within(2.., 0);
            number.length -= 2;
            number.international = true;
        } else if let Some(home) = home
            && !plus
            && digits[0] == b'0'
            && length > 4
        {
            number = number.with_country(home)?;
        }
        Some(number)
    }

    /// The national trunk prefix 0 replaced by a country code.
    fn with_country(self, home: u16) -> Option<Self> {
        let mut code = itoa::Buffer::new();
        let code = code.format(home).as_bytes();
        let national = &self.as_bytes()[1..];
        let mut digits = [0; DIGITS];
        let length = code.len() + national.len();
        digits.get_mut(..code.len())?.copy_from_slice(code);
        digits.get_mut(code.len()..length)?.copy_from_slice(national);
        Some(Self { digits, length: length as u8, international: true })
    }

    /// The digits, ASCII.
    pub fn as_bytes(&self) -> &[u8] {
        &self.digits[..usize::from(self.length)]
    }

    /// Whether it can be a number of the international plan (E.164 section 6).
    pub fn is_e164(&self) -> bool {
        self.international && (7..=15).contains(&self.length) && self.digits[0] != b'0'
    }

    /// Whether the digits are taken to begin with a country code: as
    /// [`Self::international`] says, or since there are too many for anything else.
    pub fn is_full(&self) -> bool {
        self.international || usize::from(self.length) >= FULL && self.digits[0] != b'0'
    }

    /// The first eighteen digits as one integer, and how many there are: a 1 stands
    /// before them. The same for `+44…`, `0044…` and `44…`.
    pub fn packed(&self) -> u64 {
        self.as_bytes()
            .iter()
            .take(DIGITS_PACKED)
            .fold(1, |n, digit| n * 10 + u64::from(digit & 15))
    }

    /// The first eighteen digits as one integer with zeros behind them, so that numbers
    /// that begin alike lie side by side; below 10^18.
    pub fn aligned(&self) -> u64 {
        self.keys().1
    }

    /// [`Self::packed`] and [`Self::aligned`], the digits read once.
    pub(crate) fn keys(&self) -> (u64, u64) {
        let packed = self.packed();
        let length = usize::from(self.length).min(DIGITS_PACKED);
        let unit = POWERS[length];
        (packed, (packed - unit) * POWERS[DIGITS_PACKED - length])
    }

    /// Country code of an international number (ITU-T E.164 assigned codes).
    pub fn country(&self) -> Option<u16> {
        if !self.international {
            return None;
        }
        let digit = |i: usize| self.as_bytes().get(i).map(|d| u16::from(d - b'0'));
        let (a, b) = (digit(0)?, digit(1)?);
        Some(match (a, b) {
            (0, _) => return None,
            (1 | 7, _) => a,
            (2, 0 | 7)
            | (3, 0..=4 | 6 | 9)
            | (4, 0 | 1 | 3..=9)
            | (5, 1..=8)
            | (6, 0..=6)
            | (8, 1 | 2 | 4 | 6)
            | (9, 0..=5 | 8) => a * 10 + b,
            _ => a * 100 + b * 10 + digit(2)?,
        })
    }
}

/// Of ten.
const POWERS: [u64; DIGITS_PACKED + 1] = {
    let mut powers = [1; DIGITS_PACKED + 1];
    let mut i = 1;
    while i <= DIGITS_PACKED {
        powers[i] = 10 * powers[i - 1];
        i += 1;
    }
    powers
};

/// The next byte, a %-escape taken as the byte it stands for.
fn next_byte(text: &[u8]) -> Option<(u8, &[u8])> {
    if let [b'%', high, low, rest @ ..] = text
        && let (Some(high), Some(low)) = ((*high as char).to_digit(16), (*low as char).to_digit(16))
    {
        return Some(((high * 16 + low) as u8, rest));
    }
    text.split_first().map(|(first, rest)| (*first, rest))
}

/// Country codes to which calls cost much and which fraud pumps traffic to:
/// satellite and international networks (870, 881, 882, 883) and the premium
/// rate service 979, by their own nature (ITU-T E.164.1). Countries with high
/// termination rates differ by operator and month; they belong in a table of
/// the operator's.
pub fn is_high_cost(number: &Number) -> bool {
    matches!(number.country(), Some(870 | 881 | 882 | 883 | 979))
        || matches!(number.as_bytes(), [b'9', b'7', b'9', ..] if number.international)
}

/// Emergency numbers in wide use, dialled whole.
pub fn is_emergency(user: &[u8]) -> bool {
    matches!(
        user,
        b"112" | b"911" | b"999" | b"000" | b"110" | b"118" | b"119" | b"15" | b"17" | b"18"
    )
}

/// A user part for logs: country code or first three characters, and the last two.
pub fn mask(user: &[u8]) -> Masked<'_> {
    Masked(user)
}

/// See [`mask`].
#[derive(Clone, Copy, Debug)]
pub struct Masked<'a>(&'a [u8]);

impl fmt::Display for Masked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.0.len();
        let keep = if length >= 8 { (3, length - 2) } else { (0, length) };
        for (i, byte) in self.0.iter().enumerate() {
            let shown = i < keep.0 || i >= keep.1;
            let plain = byte.is_ascii_graphic();
            write!(f, "{}", if shown && plain { *byte as char } else { '*' })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Number, is_high_cost, mask};
    use proptest::prelude::*;

    fn digits(user: &str, home: Option<u16>) -> Option<(String, bool)> {
        let number = Number::parse(user.as_bytes(), home)?;
        Some((String::from_utf8(number.as_bytes().to_vec()).unwrap(), number.international))
    }

    #[test]
    fn forms() {
        let full = Some(("442079460123".to_owned(), true));
        for form in ["+442079460123", "00442079460123", "+44 (20) 7946-0123", "%2B442079460123"] {
            assert_eq!(digits(form, None), full, "{form}");
        }
        assert_eq!(digits("02079460123", Some(44)), full);
        assert_eq!(digits("02079460123", None), Some(("02079460123".to_owned(), false)));
        assert_eq!(digits("999", Some(44)), Some(("999".to_owned(), false)));
        for bad in ["alice", "", "+", "12a", "1234567890123456789012345", "++1"] {
            assert_eq!(digits(bad, None), None, "{bad}");
        }
    }

    #[test]
    fn countries() {
        for (user, country) in [
            ("+12025550100", 1),
            ("+79161234567", 7),
            ("+442079460123", 44),
            ("+27111234567", 27),
            ("+353112345678", 353),
            ("+88216123456", 882),
            ("+6421123456", 64),
            ("+97150123456", 971),
            ("+2348012345678", 234),
            ("+3801234567", 380),
        ] {
            assert_eq!(
                Number::parse(user.as_bytes(), None).unwrap().country(),
                Some(country),
                "{user}"
            );
        }
        assert_eq!(Number::parse(b"0123456", None).unwrap().country(), None);
        assert!(is_high_cost(&Number::parse(b"+88213123456", None).unwrap()));
        assert!(!is_high_cost(&Number::parse(b"+442079460123", None).unwrap()));
    }

    #[test]
    fn masks_hide_the_middle() {
        assert_eq!(mask(b"+442079460123").to_string(), "+44********23");
        assert_eq!(mask(b"alice").to_string(), "*****");
    }

    proptest! {
        #[test]
        fn any_bytes(user in prop::collection::vec(any::<u8>(), 0..60), home in any::<Option<u16>>()) {
            if let Some(number) = Number::parse(&user, home) {
                let _ = (number.country(), number.is_e164(), is_high_cost(&number));
            }
            prop_assert_eq!(mask(&user).to_string().len(), user.len());
        }
    }
}
