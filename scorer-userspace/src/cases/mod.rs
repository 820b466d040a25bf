//! Cases: fraudsters who are tracked. A case is attached to profiles, and says what is
//! done at the next call of one of them, whatever number it shows.
//!
//! They stand in the lists' SQLite file ([`Store`]), with an audit trail. On the scoring
//! thread they are an immutable index ([`Cases`]) that is swapped between two calls.

mod follow;
mod store;

use scorer_common::verdict::Action;

use crate::{
    lists::StoreError,
    policy::{Response, Target},
    profiles::Portrait,
};

pub use self::{
    follow::Follower,
    store::{Change, Store},
};

/// Why a case cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is none of the name.
    #[error("there is no case {0}; `scorer case list` shows those there are")]
    Unknown(String),
    /// There is one of the name.
    #[error("there is a case {0} already; `scorer case attach` adds profiles to it")]
    Exists(String),
    /// What cannot be.
    #[error("{0}")]
    Invalid(String),
}

/// Whether it is worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Calls are acted on.
    Open,
    /// Kept to be read.
    Closed,
}

impl Status {
    /// The status of a name; what is not open is closed.
    pub(crate) fn by_name(name: &str) -> Self {
        if name == Self::Open.name() { Self::Open } else { Self::Closed }
    }

    /// Name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

/// What is done at the next call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orders {
    /// An action of policy; `None` leaves it to the policy, which sees the tags.
    pub action: Option<Action>,
    /// How a call is refused, where it is.
    pub response: Response,
    /// Where a call is diverted to, where it is: `user@host`, `user@` or `host`.
    pub target: String,
    /// Why, shown with every such call.
    pub reason: String,
}

impl Default for Orders {
    fn default() -> Self {
        Self {
            action: Some(Action::Tag),
            response: Response::default(),
            target: String::new(),
            reason: String::new(),
        }
    }
}

impl Orders {
    /// Where a call is diverted to.
    pub fn target(&self) -> Target {
        let part = |text: &str| (!text.is_empty()).then(|| text.into());
        match self.target.split_once('@') {
            Some((user, host)) => Target { user: part(user), host: part(host) },
            None => Target { user: None, host: part(&self.target) },
        }
    }

    /// In one line, for the audit trail.
    fn told(&self) -> String {
        let action = self.action.map_or("policy", Action::name);
        let how = match self.action {
            Some(Action::Reject) => format!(" {}", self.response.code()),
            Some(Action::Divert) => format!(" to {}", self.target),
            _ => String::new(),
        };
        format!("{action}{how}: {}", self.reason)
    }
}

/// A profile of a case.
#[derive(Clone, Debug, PartialEq)]
pub struct Attached {
    /// Its id.
    pub profile: u64,
    /// What it was known by, so that a scorer that has not met it knows it, too.
    pub portrait: Portrait,
    /// Who attached it.
    pub author: String,
    /// When, seconds since 1970.
    pub created: i64,
}

/// A note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// When, seconds since 1970.
    pub at: i64,
    /// Who.
    pub author: String,
    /// What.
    pub text: String,
}

/// A case as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Name, unique.
    pub name: String,
    /// Whether it is worked on.
    pub status: Status,
    /// How the fraudster works, in words.
    pub method: String,
    /// What is done at the next call.
    pub orders: Orders,
    /// Who opened it.
    pub author: String,
    /// When, seconds since 1970.
    pub created: i64,
    /// Last change, seconds since 1970.
    pub changed: i64,
    /// Its profiles.
    pub profiles: Vec<Attached>,
    /// Notes, oldest first.
    pub notes: Vec<Note>,
}

/// A case as the scoring thread sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Ruled {
    /// `case:` and its name, which stands where a rule's name does.
    pub rule: Box<str>,
    /// Why, for the reasons of a verdict.
    pub reason: Box<str>,
    /// Action; `None` leaves it to the policy.
    pub action: Option<Action>,
    /// How a call is refused.
    pub response: Response,
    /// Where a call is diverted to.
    pub target: Target,
    /// Its profiles.
    pub profiles: Box<[(u64, Portrait)]>,
}

/// Open cases, immutable.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cases(Box<[Ruled]>);

/// Open cases at most.
const CASES: usize = 60_000;

impl Cases {
    /// Of those that are open.
    pub fn new(cases: &[Case]) -> Self {
        let open = cases.iter().filter(|case| case.status == Status::Open);
        let ruled = open.take(CASES).map(|case| {
            let reason = match &*case.orders.reason {
                "" => format!("case {}", case.name),
                reason => format!("case {}: {reason}", case.name),
            };
            Ruled {
                rule: format!("case:{}", case.name).into(),
                reason: reason.into(),
                action: case.orders.action,
                response: case.orders.response,
                target: case.orders.target(),
                profiles: case.profiles.iter().map(|a| (a.profile, a.portrait.clone())).collect(),
            }
        });
        Self(ruled.collect())
    }

    /// Reads those of a store's file.
    ///
    /// # Errors
    /// Those of the store.
    pub fn load(path: &std::path::Path) -> Result<Self, CaseError> {
        Ok(Self::new(&Store::look(path)?.cases()?))
    }

    /// The case of a number from [`Self::iter`].
    pub fn get(&self, number: usize) -> Option<&Ruled> {
        self.0.get(number)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Ruled> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests;
