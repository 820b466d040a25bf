//! Kind, validity and country of numbers by libphonenumber, remembered by prefix.
//!
//! libphonenumber takes some microseconds a number. Kind and validity are told by the
//! first eight digits and the length (checked in tests), so an answer stands for
//! all numbers that share them. The table of answers is of fixed size; new prefixes
//! are asked for within a budget, so that a flood of made-up numbers costs no more
//! than a twentieth of a core. Beyond it the answer is unknown.

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberType};

use crate::time::Timestamp;

/// What a number is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the kinds")]
pub enum NumberKind {
    #[default]
    Unknown,
    Fixed,
    Mobile,
    FixedOrMobile,
    TollFree,
    Premium,
    SharedCost,
    Voip,
    Personal,
    Pager,
    /// Universal access numbers.
    Universal,
    Voicemail,
    /// Satellite and international networks (E.164 codes 870, 881, 882, 883).
    Satellite,
}

/// What the numbering plan says of a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Planned {
    /// Kind.
    pub kind: NumberKind,
    /// Whether it can exist; `None` when that is not known.
    pub valid: Option<bool>,
    /// ISO 3166 code of its country; `[0, 0]` when not known.
    pub region: [u8; 2],
    /// Digits of country code and area; 0 when there is no area.
    pub area: u8,
}

/// Answers remembered.
const PLACES: usize = 1 << 16;
/// Digits that tell numbers apart.
const PREFIX: usize = 8;
/// Questions in a second of packets' time, and at once after a pause.
const RATE: f64 = 5_000.0;
const BURST: f64 = 50_000.0;

/// The numbering plans of the world.
pub struct Plan {
    places: Box<[(u64, Planned)]>,
    tokens: f64,
    last: Timestamp,
}

impl Plan {
    /// One that remembers nothing yet.
    pub fn new() -> Self {
        Self {
            places: vec![(0, Planned::default()); PLACES].into(),
            tokens: BURST,
            last: Timestamp(0),
        }
    }

    /// What the plan says of an international number, digits without `+`.
    #[inline]
    pub fn look(&mut self, digits: &[u8], now: Timestamp) -> Planned {
        // The digits behind a one, so that leading zeros count; then the length.
        let prefix = digits.iter().take(PREFIX).fold(1u64, |n, d| n * 10 + u64::from(d & 15));
        let key = prefix << 5 | digits.len().min(31) as u64;
        let place = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as usize % PLACES;
        let (known, planned) = self.places[place];
        if known == key { planned } else { self.ask(digits, now, key, place) }
    }

    #[cold]
    fn ask(&mut self, digits: &[u8], now: Timestamp, key: u64, place: usize) -> Planned {
        self.tokens = (self.tokens + now.seconds_since(self.last) * RATE).min(BURST);
        self.last = self.last.max(now);
        if self.tokens < 1.0 {
            return Planned::default();
        }
        self.tokens -= 1.0;
        let planned = ask(digits);
        self.places[place] = (key, planned);
        planned
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan").field("tokens", &self.tokens).finish_non_exhaustive()
    }
}

/// ISO 3166 code of the country of an E.164 country code; of one that several share, the
/// country that has most of its numbers (1 is `US`, 7 is `RU`). `None` for networks that
/// are of no country.
pub fn country(code: u16) -> Option<&'static str> {
    PHONE_NUMBER_UTIL
        .get_region_code_for_country_code(code.into())
        .filter(|iso| iso.len() == 2 && *iso != "ZZ")
}

/// E.164 country code of an ISO 3166 code.
pub fn country_code(iso: &str) -> Option<u16> {
    let iso = iso.to_ascii_uppercase();
    PHONE_NUMBER_UTIL.get_country_code_for_region(&iso).and_then(|code| u16::try_from(code).ok())
}

/// Has libphonenumber compile its patterns, which it does when a country is first asked
/// for: milliseconds that no call should wait. Half a second for all of them; meant for
/// a thread of its own at start.
pub fn warm_up() {
    for region in PHONE_NUMBER_UTIL.get_supported_regions() {
        // A fixed line's number is compared with the patterns of every other kind first.
        let Ok(number) = PHONE_NUMBER_UTIL.get_example_number(region) else { continue };
        let code = number.country_code();
        let national = PHONE_NUMBER_UTIL.get_national_significant_number(&number);
        std::hint::black_box(ask(format!("{code}{national}").as_bytes()));
    }
}

fn ask(digits: &[u8]) -> Planned {
    let not = Planned { valid: Some(false), ..Planned::default() };
    let Ok(text) = std::str::from_utf8(digits) else { return not };
    let Ok(number) = PHONE_NUMBER_UTIL.parse(format!("+{text}")) else { return not };
    let kind = match PHONE_NUMBER_UTIL.get_number_type(&number) {
        _ if matches!(number.country_code(), 870 | 881..=883) => NumberKind::Satellite,
        PhoneNumberType::FixedLine => NumberKind::Fixed,
        PhoneNumberType::Mobile => NumberKind::Mobile,
        PhoneNumberType::FixedLineOrMobile => NumberKind::FixedOrMobile,
        PhoneNumberType::TollFree => NumberKind::TollFree,
        PhoneNumberType::PremiumRate => NumberKind::Premium,
        PhoneNumberType::SharedCost => NumberKind::SharedCost,
        PhoneNumberType::VoIP => NumberKind::Voip,
        PhoneNumberType::PersonalNumber => NumberKind::Personal,
        PhoneNumberType::Pager => NumberKind::Pager,
        PhoneNumberType::UAN => NumberKind::Universal,
        PhoneNumberType::VoiceMail => NumberKind::Voicemail,
        PhoneNumberType::Unknown => NumberKind::Unknown,
    };
    let region = PHONE_NUMBER_UTIL
        .get_region_code_for_number(&number)
        .and_then(|code| code.as_bytes().first_chunk::<2>().copied())
        .filter(|code| code.iter().all(u8::is_ascii_uppercase));
    let area = PHONE_NUMBER_UTIL.get_length_of_geographical_area_code(&number);
    let code = number.country_code().to_string().len();
    Planned {
        kind,
        valid: Some(PHONE_NUMBER_UTIL.is_valid_number(&number)),
        region: region.unwrap_or_default(),
        area: if area == 0 { 0 } else { (code + area).min(15) as u8 },
    }
}

#[cfg(test)]
mod tests {
    use super::{NumberKind, Plan, ask};
    use crate::time::Timestamp;

    #[test]
    fn kinds() {
        let mut plan = Plan::new();
        for (digits, kind, valid, region) in [
            ("442079460123", NumberKind::Fixed, true, *b"GB"),
            ("447400123456", NumberKind::Mobile, true, *b"GB"),
            ("448081570192", NumberKind::TollFree, true, *b"GB"),
            ("12015550123", NumberKind::FixedOrMobile, true, *b"US"),
            ("4915123456789", NumberKind::Mobile, true, *b"DE"),
            ("88213123456", NumberKind::Satellite, false, [0, 0]),
            ("4400000", NumberKind::Unknown, false, [0, 0]),
        ] {
            // Twice: asked, then remembered.
            for _ in 0..2 {
                let planned = plan.look(digits.as_bytes(), Timestamp(1));
                assert_eq!((planned.kind, planned.region), (kind, region), "{digits}");
                assert_eq!(planned.valid, Some(valid), "{digits}");
            }
        }
    }

    #[test]
    fn a_prefix_stands_for_its_numbers() {
        let mut plan = Plan::new();
        let (mut state, mut alike, mut total) = (7u64, 0, 0);
        for code in ["44", "1", "49", "33", "353", "39", "34", "91", "86", "234", "61", "81"] {
            for _ in 0..500 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let digits = format!("{code}{}", state >> 33);
                let digits = &digits.as_bytes()[..digits.len().min(12)];
                let mut other = digits.to_vec();
                if let Some(last) = other.last_mut() {
                    *last = b'0' + (*last - b'0' + 3) % 10;
                }
                plan.look(digits, Timestamp(1));
                let (remembered, asked) = (plan.look(&other, Timestamp(1)), ask(&other));
                total += 1;
                alike += u32::from(remembered == asked);
            }
        }
        // What is left are plans that look further than eight digits.
        assert!(alike * 1_000 >= total * 990, "{alike} of {total}");
    }

    #[test]
    fn a_flood_is_not_asked_about_for_ever() {
        let mut plan = Plan::new();
        let mut unknown = 0;
        for i in 0..60_000u64 {
            let digits = format!("44{:010}", i * 9_973 % 10_000_000_000);
            unknown += u32::from(plan.look(digits.as_bytes(), Timestamp(1)).valid.is_none());
        }
        assert!(unknown > 5_000, "{unknown}");
        let later = plan.look(b"33612345678", Timestamp::new(10, 0));
        assert_eq!(later.kind, NumberKind::Mobile);
    }
}
