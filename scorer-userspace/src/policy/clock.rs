//! Hours and days of a zone, told without I/O: the changes of its offset are read once.

use jiff::{Timestamp as Moment, tz::TimeZone};

use crate::time::Timestamp;

/// Minutes of a week, from Monday 00:00.
pub(super) const WEEK: u16 = 7 * DAY;
/// Minutes of a day.
pub(super) const DAY: u16 = 24 * 60;

/// Names of the days.
pub(super) const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// A time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Zone {
    pub(super) name: String,
    /// Seconds since 1970 from which an offset, in seconds, holds; rising.
    changes: Vec<(i64, i32)>,
    /// What holds before the first.
    first: i32,
}

/// Until when changes are known: 2100-01-01.
const END: i64 = 4_102_444_800;

impl Zone {
    /// Of a name such as `Europe/London`, `UTC`, or of an offset such as `+01:00`.
    pub(super) fn named(name: &str) -> Option<Self> {
        if let Some(offset) = fixed(name) {
            return Some(Self { name: name.to_owned(), changes: Vec::new(), first: offset });
        }
        // Such names only: the file system is asked for it.
        let plain = |c: char| c.is_ascii_alphanumeric() || "/_+-".contains(c);
        if name.len() > 64 || !name.chars().all(plain) || name.starts_with('/') {
            return None;
        }
        let zone = TimeZone::get(name).ok()?;
        let start = Moment::UNIX_EPOCH;
        let changes = zone
            .following(start)
            .take(1_000)
            .map(|change| (change.timestamp().as_second(), change.offset().seconds()))
            .take_while(|(at, _)| *at < END)
            .collect();
        Some(Self { name: name.to_owned(), changes, first: zone.to_offset(start).seconds() })
    }

    /// Minute of the week.
    pub(super) fn minute(&self, now: Timestamp) -> u16 {
        let seconds = (now.0 / 1_000_000_000) as i64;
        let at = self.changes.partition_point(|(start, _)| *start <= seconds);
        let offset = at.checked_sub(1).map_or(self.first, |last| self.changes[last].1);
        // 1970 began on a Thursday.
        let minutes = (seconds + i64::from(offset)).div_euclid(60) + 3 * i64::from(DAY);
        minutes.rem_euclid(i64::from(WEEK)) as u16
    }
}

/// `+01:00`, `-05:30`; in seconds.
fn fixed(name: &str) -> Option<i32> {
    let sign = match name.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let minutes = clock(&name[1..])?;
    (minutes <= 14 * 60).then_some(sign * 60 * i32::from(minutes))
}

/// Minutes of `HH:MM`, up to 24:00.
pub(super) fn clock(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str| {
        let good = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        good.then(|| text.parse::<u16>().ok()).flatten()
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let at = 60 * hours + minutes;
    (minutes < 60 && at <= DAY).then_some(at)
}

/// A minute of the week for people: `tue 09:30`.
pub(super) fn shown(minute: u16) -> String {
    let (day, minute) = (minute / DAY % 7, minute % DAY);
    format!("{} {:02}:{:02}", DAYS[usize::from(day)], minute / 60, minute % 60)
}

#[cfg(test)]
mod tests {
    use super::{Zone, clock, shown};
    use crate::time::Timestamp;

    fn at(zone: &str, time: &str) -> String {
        let seconds = time.parse::<jiff::Timestamp>().expect("a time").as_second();
        shown(Zone::named(zone).expect(zone).minute(Timestamp::new(seconds as u64, 0)))
    }

    #[test]
    fn summer_and_winter() {
        assert_eq!(at("UTC", "2026-11-24T08:00:59Z"), "tue 08:00");
        assert_eq!(at("Europe/London", "2026-11-24T08:00:00Z"), "tue 08:00");
        assert_eq!(at("Europe/London", "2026-07-05T23:30:00Z"), "mon 00:30");
        assert_eq!(at("Europe/London", "2091-07-05T23:30:00Z"), "fri 00:30");
        assert_eq!(at("America/New_York", "2026-11-01T05:59:00Z"), "sun 01:59");
        assert_eq!(at("America/New_York", "2026-11-01T06:01:00Z"), "sun 01:01");
        assert_eq!(at("+05:30", "1970-01-01T00:00:00Z"), "thu 05:30");
        assert_eq!(at("-01:00", "1970-01-01T00:00:00Z"), "wed 23:00");
    }

    #[test]
    fn no_zones_and_no_times() {
        for bad in
            ["", "Mars/Olympus", "../../etc/passwd", "/etc/passwd", "+25:00", "+1", "Europe/\0"]
        {
            assert_eq!(Zone::named(bad), None, "{bad}");
        }
        assert_eq!((clock("24:00"), clock("00:00")), (Some(1_440), Some(0)));
        for bad in ["24:01", "7:00", "07:60", "0700", "+7:00", "aa:bb"] {
            assert_eq!(clock(bad), None, "{bad}");
        }
    }
}
