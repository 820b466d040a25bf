//! Time as the engine knows it: what a packet's stamp says, nothing else.

use std::fmt;
use std::time::Duration;

/// Nanoseconds since the Unix epoch (1970-01-01T00:00:00Z), to the year 2554.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// From whole seconds and nanoseconds, saturating.
    pub const fn new(seconds: u64, nanoseconds: u32) -> Self {
        Self(seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds as u64))
    }

    /// Seconds since `earlier`, 0 when that lies ahead (packets come out of order).
    pub fn seconds_since(self, earlier: Self) -> f64 {
        // Signed numbers are converted by one instruction.
        self.0.saturating_sub(earlier.0).min(i64::MAX as u64) as i64 as f64 / 1e9
    }

    /// Seconds between two times, whichever is later.
    pub fn apart(self, other: Self) -> f64 {
        self.0.abs_diff(other.0) as f64 / 1e9
    }

    /// This time plus `duration`, saturating.
    #[must_use]
    pub const fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_nanos() as u64))
    }
}

impl Timestamp {
    /// RFC 3339 in UTC with nanoseconds: `2026-11-24T08:00:00.000000001Z`.
    pub fn rfc3339(self) -> [u8; 30] {
        let seconds = self.0 / 1_000_000_000;
        let (days, second) = (seconds / 86_400, (seconds % 86_400) as u32);
        // Days to a civil date after Howard Hinnant, "chrono-compatible low-level date algorithms".
        let shifted = days + 719_468;
        let (era, of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        let mut text = *b"0000-00-00T00:00:00.000000000Z";
        let mut put = |at: usize, digits: usize, mut value: u32| {
            for place in (at..at + digits).rev() {
                text[place] = b'0' + (value % 10) as u8;
                value /= 10;
            }
        };
        put(0, 4, year as u32);
        put(5, 2, month as u32);
        put(8, 2, day as u32);
        put(11, 2, second / 3_600);
        put(14, 2, second / 60 % 60);
        put(17, 2, second % 60);
        put(20, 9, (self.0 % 1_000_000_000) as u32);
        text
    }
}

impl Timestamp {
    /// Reads a time as people ask for it: so long before `now` (`90s`, `15m`, `1h`, `7d`,
    /// `2w`), RFC 3339, or a date. `None` when it is none, or later than signed
    /// nanoseconds can tell (2262).
    pub fn asked(text: &str, now: Self) -> Option<Self> {
        let ago = |unit: char, seconds: u64| {
            let count: u64 = text.strip_suffix(unit)?.parse().ok()?;
            count.checked_mul(seconds)
        };
        let units = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400), ('w', 604_800)];
        if let Some(ago) = units.into_iter().find_map(|(unit, seconds)| ago(unit, seconds)) {
            return Some(Self(now.0.saturating_sub(ago.saturating_mul(1_000_000_000))));
        }
        let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
        let time = whole.parse::<jiff::Timestamp>().ok()?;
        u64::try_from(time.as_nanosecond()).ok().filter(|ns| i64::try_from(*ns).is_ok()).map(Self)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.rfc3339()))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_as_they_are_asked_for() {
        let now = Timestamp(1_700_000_000_000_000_000);
        let of = |text: &str| Timestamp::asked(text, now);
        assert_eq!(of("2026-11-25"), of("2026-11-25T00:00:00Z"));
        assert_eq!(of("1h"), of("60m"));
        assert!(of("1h") < of("59m") && of("59m") < Some(now));
        assert_eq!(of("99999999999999d"), Some(Timestamp(0)));
        for wrong in [
            "",
            "h",
            "1y",
            "-1h",
            "yesterday",
            "2026-13-01",
            "99999999999999999999d",
            "9999-01-01",
            "1960-01-01",
        ] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }

    use super::Timestamp;
    use proptest::prelude::*;

    #[test]
    fn known_dates() {
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(Timestamp::new(951_782_400, 1).to_string(), "2000-02-29T00:00:00.000000001Z");
    }

    proptest! {
        #[test]
        fn agrees_with_jiff(ns in any::<u64>()) {
            let reference = jiff::Timestamp::from_nanosecond(i128::from(ns)).unwrap();
            prop_assert_eq!(Timestamp(ns).to_string(), format!("{reference:.9}"));
        }
    }
}
