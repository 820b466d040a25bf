//! Pseudonyms: what stands for a number or a way of signalling, under a key.

use ring::hmac;

use super::event::{PSEUDONYM, Pseudonym, Subject};
use crate::{features::Fingerprint, number::Number};

/// What a call is found by, in the clear.
#[derive(Clone, Copy, Debug, Default)]
pub struct Marks {
    /// The number shown.
    pub shown: Option<Number>,
    /// The number that the network asserts.
    pub network: Option<Number>,
    /// How it signals.
    pub fingerprint: Fingerprint,
    /// Who is behind the signalling ([`super::sketch`]).
    pub sketch: Option<[u8; 16]>,
}

/// What is made a pseudonym of: a letter for its kind, then what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token {
    bytes: [u8; Self::MOST],
    length: u8,
}

impl Token {
    const MOST: usize = 32;

    fn of(kind: u8, what: &[u8]) -> Self {
        let mut bytes = [0; Self::MOST];
        bytes[0] = kind;
        let length = what.len().min(Self::MOST - 1);
        bytes[1..=length].copy_from_slice(&what[..length]);
        Self { bytes, length: 1 + length as u8 }
    }

    /// Of a number: its digits with the country code (E.164), without `+`. `None` where
    /// it is none of the international plan, which means another one elsewhere.
    pub fn number(number: &Number) -> Option<Self> {
        let digits = number.as_bytes();
        let full = number.is_full() && (7..=15).contains(&digits.len()) && digits[0] != b'0';
        full.then(|| Self::of(b'n', digits))
    }

    /// Of a fingerprint.
    pub fn fingerprint(fingerprint: &Fingerprint) -> Self {
        Self::of(b'f', &fingerprint.canonical())
    }

    /// Of a sketch.
    pub fn sketch(sketch: &[u8; 16]) -> Self {
        Self::of(b's', sketch)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl Marks {
    /// Pseudonyms of it all, by whatever makes them of tokens.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn subject<E>(
        &self,
        mut make: impl FnMut(&Token) -> Result<Pseudonym, E>,
    ) -> Result<Subject, E> {
        let mut number = |number: Option<&Number>| {
            number.and_then(Token::number).map(|token| make(&token)).transpose()
        };
        // What a caller shows while the network says otherwise may be anybody's.
        let own = self.network.is_none_or(|network| Some(network) == self.shown);
        let shown = if own { number(self.shown.as_ref())? } else { None };
        let network = number(self.network.as_ref())?;
        let sketch = self.sketch.map(|sketch| make(&Token::sketch(&sketch))).transpose()?;
        let fingerprint = match sketch {
            Some(_) => Some(make(&Token::fingerprint(&self.fingerprint))?),
            None => None,
        };
        Ok(Subject { number: shown, network, fingerprint, sketch })
    }
}

/// An epoch's key, prepared. HMAC-SHA256 (RFC 2104) of a token, its first 16 bytes.
#[derive(Clone)]
pub struct Keys {
    /// The epoch.
    pub epoch: u32,
    /// What the key makes of a known text: events of another key are told by it.
    pub check: [u8; 8],
    key: hmac::Key,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

impl Keys {
    /// Of an epoch's key.
    pub fn new(epoch: u32, key: &[u8]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        let mut check = [0; 8];
        check.copy_from_slice(&hmac::sign(&key, b"c").as_ref()[..8]);
        Self { epoch, check, key }
    }

    /// A token's pseudonym. Allocates nothing.
    pub fn of(&self, token: &Token) -> Pseudonym {
        let mut pseudonym = [0; PSEUDONYM];
        let tag = hmac::sign(&self.key, token.as_bytes());
        pseudonym.copy_from_slice(&tag.as_ref()[..PSEUDONYM]);
        pseudonym
    }
}

#[cfg(test)]
mod tests {
    use super::{Keys, Marks, Token};
    use crate::number::Number;

    #[test]
    fn the_same_number_however_written_and_never_two_kinds_alike() {
        let keys = Keys::new(1, &[5; 32]);
        let of = |text: &str, home| {
            let number = Number::parse(text.as_bytes(), home).expect("a number");
            Token::number(&number).map(|token| keys.of(&token))
        };
        let one = of("+441632960001", None);
        assert!(one.is_some());
        for (text, home) in
            [("00441632960001", None), ("441632960001", None), ("01632960001", Some(44))]
        {
            assert_eq!(of(text, home), one, "{text}");
        }
        // National numbers mean another one elsewhere.
        assert_eq!((of("01632960001", None), of("112", None)), (None, None));
        assert_ne!(of("+441632960002", None), one);
        let other = Keys::new(2, &[6; 32]);
        assert_ne!(keys.check, other.check);
        let sketch = Token::sketch(b"4416329600010000");
        assert_ne!(Some(keys.of(&sketch)), one);
    }

    #[test]
    fn a_number_that_may_be_anybodys_is_not_named() {
        let keys = Keys::new(1, &[5; 32]);
        let number = |text: &str| Number::parse(text.as_bytes(), None);
        let subject = |shown: Option<&str>, network: Option<&str>| {
            let marks = Marks {
                shown: shown.and_then(number),
                network: network.and_then(number),
                ..Marks::default()
            };
            marks.subject(|token| Ok::<_, ()>(keys.of(token))).expect("made")
        };
        let spoofed = subject(Some("+441632960001"), Some("+441632960777"));
        assert!(spoofed.number.is_none() && spoofed.network.is_some());
        assert_eq!(spoofed, subject(None, Some("+441632960777")));
        let plain = subject(Some("+441632960777"), Some("+441632960777"));
        assert_eq!((plain.number, plain.network), (spoofed.network, spoofed.network));
        assert!(subject(Some("+441632960001"), None).number.is_some());
        assert!(subject(None, None).is_nobody());
    }
}
