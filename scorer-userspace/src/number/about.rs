//! All that is known of a number, put together.

use super::{Marks, Number, NumberKind, Plan, Planned, Ranges};
use crate::time::Timestamp;

/// What is known of a number. The default knows nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct About {
    /// There is a number.
    pub present: bool,
    /// By its country's plan.
    pub planned: Planned,
    /// By the operator's tables.
    pub marks: Marks,
    /// E.164 country code; 0 where it is not known.
    pub country: u16,
}

impl About {
    /// Looks a number up.
    pub fn of(number: Option<&Number>, plan: &mut Plan, ranges: &Ranges, now: Timestamp) -> Self {
        let Some(number) = number else { return Self::default() };
        let digits = number.as_bytes();
        if !number.international {
            return Self { present: true, marks: ranges.dialled(digits), ..Self::default() };
        }
        Self {
            present: true,
            planned: plan.look(digits, now),
            marks: ranges.look(digits),
            country: number.country().unwrap_or(0),
        }
    }

    /// Premium rate, by plan or tables.
    pub fn premium(&self) -> bool {
        self.planned.kind == NumberKind::Premium || self.marks.premium()
    }

    /// Dear to call.
    pub fn high_cost(&self) -> bool {
        self.premium() || self.marks.high_cost() || self.planned.kind == NumberKind::Satellite
    }

    /// Hour of the day where the number is, from its country's main time zone without
    /// summer time; `None` for countries of several zones and unknown ones.
    pub fn local_hour(&self, now: Timestamp) -> Option<u8> {
        let minutes = offset(self.country)?;
        let day = (now.0 / 60_000_000_000) as i64 + i64::from(minutes);
        Some((day.rem_euclid(1_440) / 60) as u8)
    }
}

/// Minutes east of UTC, standard time, of countries with one zone (IANA tz database).
const fn offset(country: u16) -> Option<i16> {
    Some(match country {
        44 | 353 | 351 | 233 | 225 | 221 | 220 | 224 | 232 | 212 => 0,
        33 | 34 | 49 | 39 | 31 | 32 | 41 | 43 | 45 | 46 | 47 | 48 | 36 | 420 | 421 | 386 | 385
        | 387 | 381 | 382 | 389 | 355 | 352 | 356 | 376 | 377 | 423 | 234 | 216 | 213 => 60,
        30 | 40 | 358 | 359 | 370 | 371 | 372 | 373 | 380 | 20 | 27 | 972 | 961 | 962 | 357 => 120,
        90 | 966 | 965 | 974 | 973 | 964 | 254 | 255 | 256 | 251 | 252 | 375 => 180,
        971 | 968 | 994 | 995 | 374 | 230 => 240,
        92 | 960 | 992 | 993 | 998 => 300,
        91 | 94 => 330,
        880 | 975 | 996 => 360,
        66 | 84 | 855 | 856 => 420,
        86 | 65 | 60 | 63 | 852 | 853 | 886 => 480,
        81 | 82 => 540,
        675 => 600,
        677 | 678 => 660,
        64 => 720,
        54 | 598 => -180,
        58 | 591 => -240,
        51 | 57 | 593 => -300,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::About;
    use crate::{
        number::{Number, Plan, Ranges},
        time::Timestamp,
    };

    #[test]
    fn put_together() {
        let (mut plan, ranges) = (Plan::new(), Ranges::builtin().expect("defaults"));
        let now = Timestamp::new(13 * 3_600, 0);
        let mut about =
            |user: &[u8]| About::of(Number::parse(user, None).as_ref(), &mut plan, &ranges, now);
        assert!(about(b"+88213123456").high_cost() && about(b"+449098790000").premium());
        assert!(about(b"112").marks.emergency() && !about(b"+442079460123").high_cost());
        assert!(!about(b"alice").present);
        assert_eq!(about(b"+919876543210").local_hour(now), Some(18));
        assert_eq!(about(b"+442079460123").local_hour(now), Some(13));
        assert_eq!(about(b"+12015550123").local_hour(now), None);
    }
}
