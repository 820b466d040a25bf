//! What is to be done with a call: the operator's policy over the verdict.

use scorer_common::verdict::Action;

/// SIP response that refuses a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Response {
    /// 603 Decline (RFC 3261 section 21.6.2).
    Decline = 603,
    /// 607 Unwanted (RFC 8197).
    Unwanted = 607,
    /// 608 Rejected (RFC 8688): by an intermediary, with a way to object.
    #[default]
    Rejected = 608,
}

impl Response {
    /// Status code.
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// Reason phrase of the status line.
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::Decline => "Decline",
            Self::Unwanted => "Unwanted",
            Self::Rejected => "Rejected",
        }
    }
}

/// Where a call is diverted to: what stands in the Request-URI instead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// User part; `None` leaves the one that was called.
    pub user: Option<Box<str>>,
    /// Host, and port if any; `None` leaves the one that was called.
    pub host: Option<Box<str>>,
}

/// What policy says of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision<'p> {
    /// What is to be done.
    pub action: Action,
    /// How a call is refused, where it is.
    pub response: Response,
    /// Where a call is diverted to, where it is.
    pub target: Option<&'p Target>,
    /// Name of the rule that decided; `None` where none did.
    pub rule: Option<&'p str>,
}

impl Decision<'_> {
    /// Lets the call through, without a rule.
    pub const PASS: Self =
        Self { action: Action::Pass, response: Response::Rejected, target: None, rule: None };
}
