//! What an entry of a list names: read from text, told apart, written in one form.

use std::{fmt::Write as _, net::IpAddr};

use super::List;
use crate::{
    env::prefix,
    number::{DIGITS_PACKED, Number},
};

/// What an entry names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number: [`Number::packed`].
    Number(u64),
    /// Numbers: first and last of [`Number::aligned`], both inside.
    Range(u64, u64),
    /// Addresses: one of them and how many leading bits count.
    Source(IpAddr, u8),
    /// A trunk by its name.
    Trunk(Box<str>),
    /// A fingerprint, or the signature of a profile.
    Hash(u64),
}

/// Longest text of a value, bytes.
const LONGEST: usize = 200;

/// Digits of a number and of the numbers of a range at most.
const DIGITS: usize = DIGITS_PACKED;

/// Reads the value of an entry of `list`, and gives its text in the one form in which
/// it is kept: a number as `+` and digits, whether it was written `+44…`, `0044…`, `44…`
/// or, with `home`, in national form.
///
/// # Errors
/// What the value must be.
pub fn read(list: List, text: &str, home: Option<u16>) -> Result<(Value, String), &'static str> {
    let text = text.trim();
    if text.is_empty() {
        return Err("the value is empty");
    }
    if text.len() > LONGEST {
        return Err("the value is longer than 200 bytes");
    }
    match list {
        List::AllowNumber | List::DenyNumber | List::Consortium => number(text, home),
        List::AllowRange | List::DenyRange => range(text, home),
        List::AllowSource | List::DenySource | List::Scanner => source(text),
        List::AllowTrunk | List::DenyTrunk => trunk(text),
        List::AllowFingerprint | List::DenyFingerprint => hash(text, 6),
        List::AllowProfile | List::DenyProfile => hash(text, 8),
        List::ConsortiumStrong => Err("nothing is put on this list: a consortium tells it"),
    }
}

fn number(text: &str, home: Option<u16>) -> Result<(Value, String), &'static str> {
    let number = Number::parse(text.as_bytes(), home)
        .filter(|number| number.as_bytes().len() <= DIGITS)
        .ok_or("the value must be a number of at most 18 digits, such as +442079460001")?;
    Ok((Value::Number(number.packed()), written(number.as_bytes(), number.is_full())))
}

/// Digits as they are kept.
fn written(digits: &[u8], full: bool) -> String {
    let digits = String::from_utf8_lossy(digits);
    if full { format!("+{digits}") } else { digits.into_owned() }
}

/// `+4416329`, or `+441632960000-+441632960999`.
fn range(text: &str, home: Option<u16>) -> Result<(Value, String), &'static str> {
    const WRONG: &str =
        "the value must be a prefix of 1 to 15 digits, or FIRST-LAST with as many digits each";
    let bound = |text: &str| leading(text, home).ok_or(WRONG);
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (bound(first)?, bound(last)?),
        None => (bound(text)?, bound(text)?),
    };
    if first.len() != last.len() || first > last {
        return Err(WRONG);
    }
    let plus = |digits: &str| if digits.starts_with('0') { "" } else { "+" };
    let mut kept = format!("{}{first}", plus(&first));
    if first != last {
        // Writing to a String cannot fail.
        let _ = write!(kept, "-{}{last}", plus(&last));
    }
    let (low, high) = (span(&first), span(&last));
    Ok((Value::Range(low.0, high.1), kept))
}

/// Whether a number or range that is kept as `text` has no country code: such a one names
/// only calls that are signalled as it stands. Short codes have none.
pub fn is_national(list: List, text: &str) -> bool {
    list.personal() && !text.starts_with('+') && (text.starts_with('0') || text.len() > 6)
}

/// Leading digits of numbers with their country code: `+44…`, `0044…`, `44…`, or, with
/// `home`, `0…`; without `home` those stay as they are. No country code begins with 0.
pub(crate) fn leading(text: &str, home: Option<u16>) -> Option<String> {
    let text = text.trim();
    let digits = match (text.strip_prefix('+').or_else(|| text.strip_prefix("00")), home) {
        (Some(digits), _) if digits.starts_with('0') => return None,
        (Some(digits), _) => digits.to_owned(),
        (None, Some(home)) if text.starts_with('0') => format!("{home}{}", &text[1..]),
        (None, _) => text.to_owned(),
    };
    let good = (1..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    good.then_some(digits)
}

/// First and last [`Number::aligned`] of numbers that begin with these digits.
pub(crate) fn span(digits: &str) -> (u64, u64) {
    let free = 10u64.pow(DIGITS.saturating_sub(digits.len()) as u32);
    let start = digits.bytes().take(DIGITS).fold(0, |n, b| n * 10 + u64::from(b & 15)) * free;
    (start, start + free - 1)
}

fn source(text: &str) -> Result<(Value, String), &'static str> {
    let (address, bits) =
        prefix(text).ok_or("the value must be an address or a prefix, such as 192.0.2.0/24")?;
    let (network, most) = match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            (IpAddr::from((u32::from(v4) & mask).to_be_bytes()), 32)
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            (IpAddr::from((u128::from(v6) & mask).to_be_bytes()), 128)
        }
    };
    let kept = if bits == most { network.to_string() } else { format!("{network}/{bits}") };
    Ok((Value::Source(network, bits), kept))
}

fn trunk(text: &str) -> Result<(Value, String), &'static str> {
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) || text.len() > 64 {
        return Err("the value must be the name of a trunk, as in sources.trunks");
    }
    Ok((Value::Trunk(text.into()), text.to_owned()))
}

/// Sixteen hexadecimal digits, or the whole `signature` of a verdict, whose part of this
/// number, from 1, they are.
fn hash(text: &str, part: usize) -> Result<(Value, String), &'static str> {
    const WRONG: &str = "the value must be 16 hex digits, or a verdict's whole signature";
    let digits = if text.starts_with("s1") {
        text.split('_').nth(part - 1).filter(|digits| digits.len() == 16).ok_or(WRONG)?
    } else {
        text
    };
    if digits.len() > 16 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(WRONG);
    }
    match u64::from_str_radix(digits, 16) {
        Ok(0) | Err(_) => Err(WRONG),
        Ok(hash) => Ok((Value::Hash(hash), format!("{hash:016x}"))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Value, is_national, read};
    use crate::lists::List;

    fn kept(list: List, text: &str, home: Option<u16>) -> Option<String> {
        read(list, text, home).ok().map(|(_, kept)| kept)
    }

    #[test]
    fn one_number_in_every_form() {
        for form in
            ["+441632960001", "00441632960001", "01632960001", "441632960001", "+44 (1632) 960-001"]
        {
            let (value, text) = read(List::DenyNumber, form, Some(44)).expect(form);
            assert_eq!(
                (value, &*text),
                (Value::Number(1_000_000_000_000 + 441_632_960_001), "+441632960001")
            );
        }
        assert_eq!(kept(List::DenyNumber, "999", Some(44)).as_deref(), Some("999"));
        for form in ["+4416329", "004416329", "016329", "4416329"] {
            assert_eq!(
                kept(List::DenyRange, form, Some(44)).as_deref(),
                Some("+4416329"),
                "{form}"
            );
        }
        // Without a country code it stays so, and is given one when it is read with it.
        assert_eq!(kept(List::DenyRange, "016329", None).as_deref(), Some("016329"));
        assert!(is_national(List::DenyRange, "016329") && !is_national(List::DenyNumber, "999"));
        assert_eq!(
            read(List::AllowRange, "+441632960000-+441632960999", None).map(|(value, _)| value),
            Ok(Value::Range(441_632_960_000_000_000, 441_632_960_999_999_999))
        );
    }

    #[test]
    fn the_other_kinds() {
        assert_eq!(kept(List::DenySource, "192.0.2.77/24", None).as_deref(), Some("192.0.2.0/24"));
        assert_eq!(kept(List::DenySource, "2001:DB8::1", None).as_deref(), Some("2001:db8::1"));
        assert_eq!(kept(List::DenySource, "::1/0", None).as_deref(), Some("::/0"));
        let signature =
            "s1u_b5c6t4_f01_a03ff_o0005_8f3a12bc90de55aa_77aa01c2d3e4f506_0123456789abcdef";
        assert_eq!(kept(List::DenyProfile, signature, None).as_deref(), Some("0123456789abcdef"));
        assert_eq!(
            kept(List::DenyFingerprint, signature, None).as_deref(),
            Some("8f3a12bc90de55aa")
        );
        assert_eq!(kept(List::DenyFingerprint, "FF", None).as_deref(), Some("00000000000000ff"));
        for (list, bad) in [
            (List::DenyNumber, "alice"),
            (List::DenyNumber, "1234567890123456789"),
            (List::DenyRange, "+4x"),
            (List::DenyRange, "+44-+4"),
            (List::DenyRange, "+45-+44"),
            (List::DenyRange, "+016329"),
            (List::DenySource, "192.0.2.0/33"),
            (List::DenyTrunk, "a b"),
            (List::DenyProfile, "0"),
            (List::DenyProfile, "00000000000000000"),
            (List::DenyProfile, "s1_x"),
            (List::Scanner, ""),
        ] {
            assert!(read(list, bad, None).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_kept_reads_as_the_same(
            text in "[+0-9a-f.:/-]{0,24}|\\PC{0,30}",
            home in prop::option::of(1..999u16),
        ) {
            for list in List::ALL {
                if let Ok((value, kept)) = read(list, &text, home) {
                    prop_assert_eq!(read(list, &kept, home), Ok((value, kept.clone())), "{}", kept);
                }
            }
        }
    }
}
