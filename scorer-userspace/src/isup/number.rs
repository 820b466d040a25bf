//! Numbers as ISUP writes them: called and calling party number and their kin
//! (ITU-T Q.763, section 3).

/// Digits of a number at most; more are cut off.
const DIGITS: usize = 32;

/// Nature of address: an international number.
const INTERNATIONAL: u8 = 4;

/// Address digits, ASCII.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digits {
    digits: [u8; DIGITS],
    length: u8,
}

impl Digits {
    /// The digits.
    pub fn as_bytes(&self) -> &[u8] {
        &self.digits[..usize::from(self.length)]
    }
}

impl std::fmt::Debug for Digits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Numbers are personal data.
        write!(f, "{} digits", self.length)
    }
}

/// A number and what is said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IsupNumber {
    /// Digits; in national form the country code is not among them.
    pub digits: Digits,
    /// Nature of address: 1 subscriber, 2 unknown, 3 national, 4 international.
    pub nature: u8,
    /// Numbering plan: 1 is E.164.
    pub plan: u8,
    /// Presentation: 0 allowed, 1 restricted, 2 not available. 0 for called numbers.
    pub presentation: u8,
    /// Screening: 0 user provided, not verified, 1 verified and passed, 2 failed,
    /// 3 network provided. 0 for called numbers.
    pub screening: u8,
}

impl IsupNumber {
    /// Reads the contents of a number parameter: odd indicator and nature, plan and
    /// the rest, digits two a byte, the low half first. `None` when it is too short.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let [first, second, coded @ ..] = bytes else { return None };
        let odd = first & 0x80 != 0;
        let count = (coded.len() * 2).saturating_sub(usize::from(odd)).min(DIGITS);
        let mut digits = [0; DIGITS];
        let mut length = 0;
        for i in 0..count {
            let byte = coded[i / 2];
            let nibble = if i % 2 == 0 { byte & 0x0f } else { byte >> 4 };
            match nibble {
                0..=9 => {
                    digits[length] = b'0' + nibble;
                    length += 1;
                }
                // End of pulsing; codes 11 and 12 and spare ones are no digits.
                0x0f => break,
                _ => {}
            }
        }
        Some(Self {
            digits: Digits { digits, length: length as u8 },
            nature: first & 0x7f,
            plan: second >> 4 & 0x07,
            presentation: second >> 2 & 0x03,
            screening: second & 0x03,
        })
    }

    /// Whether the digits are those of an international number, in either form: all
    /// of them, or the national significant number behind the country code.
    pub fn is(&self, digits: &[u8]) -> bool {
        let own = self.digits.as_bytes();
        if own.is_empty() {
            return false;
        }
        if self.nature == INTERNATIONAL {
            return own == digits;
        }
        // Without the country's code, with or without a trunk prefix.
        let own = own.strip_prefix(b"0").unwrap_or(own);
        own.len() >= 3 && digits.ends_with(own)
    }
}
