//! A number in the forms it may have been recorded in.

use crate::number::Number;

/// A number that records are looked through for.
#[derive(Clone, Debug)]
pub struct Sought {
    number: Number,
    home: Option<u16>,
}

impl Sought {
    /// Reads `+441632960001`, `00441632960001` or, with a home country, `01632960001`.
    /// `None` when it is no number, or has fewer than four digits.
    pub fn parse(text: &str, home: Option<u16>) -> Option<Self> {
        let number = Number::parse(text.trim().as_bytes(), home)?;
        (number.as_bytes().len() >= 4).then_some(Self { number, home })
    }

    /// Whether a recorded user part is this number, however it is written.
    pub fn is(&self, recorded: &str) -> bool {
        let Some(other) = Number::parse(recorded.as_bytes(), self.home) else { return false };
        if other.international == self.number.international {
            return other.as_bytes() == self.number.as_bytes();
        }
        // Switches write E.164 digits without a plus sign, too.
        other.as_bytes() == self.number.as_bytes() && self.digits().len() >= 8
    }

    /// As it was read.
    pub(super) fn number(&self) -> &Number {
        &self.number
    }

    /// Its digits, with the country code where that is known.
    pub fn digits(&self) -> &str {
        // They are digits.
        std::str::from_utf8(self.number.as_bytes()).unwrap_or_default()
    }

    /// The forms it is commonly written in, for exact comparison.
    pub fn forms(&self) -> Vec<String> {
        let digits = self.digits();
        if !self.number.international {
            return vec![digits.to_owned()];
        }
        let mut forms = vec![format!("+{digits}"), digits.to_owned(), format!("00{digits}")];
        if let Some(home) = self.home
            && let Some(rest) = digits.strip_prefix(&home.to_string())
        {
            forms.push(format!("0{rest}"));
        }
        forms
    }
}

#[cfg(test)]
mod tests {
    use super::Sought;

    #[test]
    fn a_number_is_found_in_every_form() {
        let sought = Sought::parse("+44 1632 960001", Some(44)).unwrap();
        let forms = sought.forms();
        assert_eq!(forms, ["+441632960001", "441632960001", "00441632960001", "01632960001"]);
        for form in &forms {
            assert!(sought.is(form), "{form}");
            assert!(Sought::parse(form, Some(44)).unwrap().is("+44-1632-960001"), "{form}");
        }
        for other in ["+441632960002", "alice", "", "anonymous", "960001"] {
            assert!(!sought.is(other), "{other}");
        }
        assert!(Sought::parse("alice", None).is_none());
        assert!(Sought::parse("112", None).is_none());
    }
}
