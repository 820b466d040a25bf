//! The Date header.

const MONTHS: [&[u8]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// Seconds since 1970 of `Sat, 13 Nov 2010 23:29:00 GMT` (RFC 3261 section 20.17).
pub(crate) fn seconds(value: &[u8]) -> Option<i64> {
    let comma = memchr::memchr(b',', value)?;
    let mut fields = value[comma + 1..].split(|b| *b == b' ').filter(|field| !field.is_empty());
    let number = |text: &[u8]| -> Option<i64> {
        if text.is_empty() || text.len() > 4 || !text.iter().all(u8::is_ascii_digit) {
            return None;
        }
        Some(text.iter().fold(0, |n, b| n * 10 + i64::from(b - b'0')))
    };
    let day = number(fields.next()?)?;
    let name = fields.next()?;
    let month = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(name))? as i64 + 1;
    let year = number(fields.next()?)?;
    let mut clock = fields.next()?.split(|b| *b == b':');
    let (hour, minute) = (number(clock.next()?)?, number(clock.next()?)?);
    let second = number(clock.next()?)?;
    if !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 || year < 1970 {
        return None;
    }
    // A civil date to days after Howard Hinnant, "chrono-compatible low-level date
    // algorithms".
    let shifted = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (shifted / 400, shifted % 400);
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn dates() {
        assert_eq!(seconds(b"Thu, 01 Jan 1970 00:00:01 GMT"), Some(1));
        assert_eq!(seconds(b"Tue, 24 Nov 2026 08:00:00 GMT"), Some(1_795_507_200));
        assert_eq!(seconds(b"Thu, 29 Feb 2024 23:59:59 GMT"), Some(1_709_251_199));
        for bad in
            [&b""[..], b"Tue", b"Tue, 24 Foo 2026 08:00:00 GMT", b"Tue, 24 Nov 2026", b"x, 1"]
        {
            assert_eq!(seconds(bad), None);
        }
    }
}
