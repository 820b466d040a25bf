//! ISUP carried in SIP (SIP-I, ITU-T Q.1912.5; SIP-T, RFC 3372): the initial address
//! message of ITU-T Q.763. ANSI ISUP is not read.

pub mod build;
mod number;

pub use number::{Digits, IsupNumber};

/// Message type of the initial address message (Q.763 table 4).
const IAM: u8 = 0x01;
/// Optional parameters looked at; no message has as many.
const PARAMETERS: usize = 64;

/// Codes of optional parameters (Q.763 table 5).
const CALLING_PARTY_NUMBER: u8 = 0x0a;
const REDIRECTING_NUMBER: u8 = 0x0b;
const REDIRECTION_INFORMATION: u8 = 0x13;
const ORIGINAL_CALLED_NUMBER: u8 = 0x28;
const HOP_COUNTER: u8 = 0x3d;
const GENERIC_NUMBER: u8 = 0xc0;

/// Why a body is no IAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IamError {
    /// Another message, or none.
    NotIam,
    /// Ends before the called party number does.
    Truncated,
    /// A pointer or length leads out of the message.
    BadPointer,
}

impl std::fmt::Display for IamError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotIam => "not an initial address message",
            Self::Truncated => "ends within its mandatory part",
            Self::BadPointer => "a pointer or length leads out of the message",
        })
    }
}

/// An initial address message, as far as it tells about the caller.
#[derive(Clone, Copy, Debug)]
pub struct Iam {
    /// Satellite circuits in the connection, 0 to 2 (3 is spare).
    pub satellites: u8,
    /// Calling party's category: 10 ordinary, 15 payphone, 13 test call ….
    pub category: u8,
    /// Called party number.
    pub called: Option<IsupNumber>,
    /// Calling party number.
    pub calling: Option<IsupNumber>,
    /// Generic number, such as an additional calling party number.
    pub generic: Option<IsupNumber>,
    /// A redirecting or original called number is there.
    pub redirecting: bool,
    /// Hop counter.
    pub hops: Option<u8>,
    /// The optional part is cut short or lies; what came before is here.
    pub damaged: bool,
}

impl Iam {
    /// Reads a body, which begins with the message type.
    ///
    /// # Errors
    /// [`IamError`] when the mandatory part is not whole.
    pub fn parse(body: &[u8]) -> Result<Self, IamError> {
        // Type; nature of connection, forward call indicators (2), category,
        // transmission medium; pointers to the called number and the optional part.
        let [IAM, connection, _, _, category, _, called_at, optional_at, ..] = body else {
            let is_iam = body.first() == Some(&IAM);
            return Err(if is_iam { IamError::Truncated } else { IamError::NotIam });
        };
        // A pointer counts from itself.
        let called = variable(body, 6 + usize::from(*called_at)).ok_or(IamError::BadPointer)?;
        let mut iam = Self {
            satellites: connection & 0x03,
            category: *category,
            called: IsupNumber::parse(called),
            calling: None,
            generic: None,
            redirecting: false,
            hops: None,
            damaged: false,
        };
        if *optional_at != 0 {
            iam.optional(body.get(7 + usize::from(*optional_at)..).unwrap_or_default());
        }
        Ok(iam)
    }

    fn optional(&mut self, mut rest: &[u8]) {
        for _ in 0..PARAMETERS {
            match rest {
                // End of optional parameters.
                [0, ..] => return,
                [code, length, after @ ..] if usize::from(*length) <= after.len() => {
                    let (contents, after) = after.split_at(usize::from(*length));
                    self.parameter(*code, contents);
                    rest = after;
                }
                _ => break,
            }
        }
        self.damaged = true;
    }

    fn parameter(&mut self, code: u8, contents: &[u8]) {
        match code {
            CALLING_PARTY_NUMBER => self.calling = IsupNumber::parse(contents),
            // A qualifier stands before the number.
            GENERIC_NUMBER => {
                self.generic = contents.get(1..).and_then(IsupNumber::parse).or(self.generic);
            }
            REDIRECTING_NUMBER | ORIGINAL_CALLED_NUMBER | REDIRECTION_INFORMATION => {
                self.redirecting = true;
            }
            HOP_COUNTER => self.hops = contents.first().map(|hops| hops & 0x1f),
            // Unknown ones are passed over by their length.
            _ => {}
        }
    }
}

/// A mandatory parameter of variable length.
fn variable(body: &[u8], at: usize) -> Option<&[u8]> {
    let length = usize::from(*body.get(at)?);
    body.get(at + 1..at + 1 + length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        Iam, IamError,
        build::{Number, iam},
    };

    fn number(digits: &str) -> Number<'_> {
        Number { digits, nature: 4, presentation: 0, screening: 3 }
    }

    #[test]
    fn a_message_written_by_hand() {
        // An IAM to +44 20 7946 0123 from national 1632 960001, presentation
        // restricted, network provided; category ordinary; one satellite.
        let body = [
            0x01, // message type
            0x01, // nature of connection: one satellite circuit
            0x20, 0x01, // forward call indicators
            0x0a, // ordinary subscriber
            0x03, // 3.1 kHz audio
            0x02, // pointer to the called party number
            0x0a, // pointer to the optional part
            0x08, 0x04, 0x10, 0x44, 0x02, 0x97, 0x64, 0x10, 0x32, // 442079460123
            0x0a, 0x07, 0x03, 0x17, 0x61, 0x23, 0x69, 0x00, 0x10, // 1632960001
            0x3d, 0x01, 0x14, // hop counter 20
            0x00, // end
        ];
        let iam = Iam::parse(&body).expect("an IAM");
        assert_eq!((iam.satellites, iam.category, iam.hops), (1, 10, Some(20)));
        let (called, calling) = (iam.called.expect("called"), iam.calling.expect("calling"));
        assert_eq!(called.digits.as_bytes(), b"442079460123");
        assert_eq!(calling.digits.as_bytes(), b"1632960001");
        assert_eq!((calling.nature, calling.plan), (3, 1));
        assert_eq!((calling.presentation, calling.screening), (1, 3));
        assert!(calling.is(b"441632960001") && !calling.is(b"441632960002"));
        assert!(called.is(b"442079460123") && !iam.damaged && !iam.redirecting);
        // Cut anywhere: an error, or what came before and the mark.
        for cut in 0..body.len() {
            match Iam::parse(&body[..cut]) {
                Ok(iam) => assert!(iam.damaged && cut >= 17, "{cut}"),
                Err(error) => assert!(cut < 17, "{cut}: {error}"),
            }
        }
        assert_eq!(Iam::parse(&[0x09, 0, 0]).err(), Some(IamError::NotIam));
        let mut lying = body;
        lying[6] = 0xff;
        assert_eq!(Iam::parse(&lying).err(), Some(IamError::BadPointer));
    }

    proptest! {
        #[test]
        fn what_is_built_is_read(
            called in "[0-9]{1,15}", calling in "[0-9]{1,15}", generic in "[0-9]{1,15}",
            hops in 0u8..32, redirected in any::<bool>(),
        ) {
            let body = iam(&number(&called), Some(&number(&calling)), Some(&number(&generic)), redirected, hops);
            let read = Iam::parse(&body).unwrap();
            prop_assert!(read.called.is_some_and(|n| n.digits.as_bytes() == called.as_bytes()));
            prop_assert!(read.calling.is_some_and(|n| n.digits.as_bytes() == calling.as_bytes()));
            prop_assert!(read.generic.is_some_and(|n| n.digits.as_bytes() == generic.as_bytes()));
            prop_assert_eq!((read.hops, read.redirecting, read.damaged), (Some(hops), redirected, false));
        }

        #[test]
        fn any_bytes(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Iam::parse(&body);
            let mut body = body;
            body.insert(0, 1);
            let _ = Iam::parse(&body);
        }
    }
}
