//! The verdict: one versioned record of 64 bytes.

/// Layout version of [`Verdict`].
pub const VERSION: u8 = 1;

/// Reasons in a verdict at most.
pub const REASONS: usize = 5;

/// Fills unused places in [`Verdict::reasons`].
pub const NO_REASON: u16 = u16::MAX;

/// How serious a score is. The thresholds are the operator's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Level {
    /// Nothing speaks against the call.
    Low = 0,
    /// Worth a mark.
    Medium = 1,
    /// Probably fraud.
    High = 2,
    /// Almost certainly fraud.
    Critical = 3,
}

impl Level {
    /// All levels, rising.
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    /// Name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// What the routing element is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Action {
    /// Let the call through untouched.
    Pass = 0,
    /// Let it through with the risk header.
    Tag = 1,
    /// Send it to another destination.
    Divert = 2,
    /// Refuse it with a SIP response.
    Reject = 3,
    /// Drop it silently.
    Drop = 4,
}

impl Action {
    /// All actions, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Pass, Self::Tag, Self::Divert, Self::Reject, Self::Drop];

    /// The action of a name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }

    /// Name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Tag => "tag",
            Self::Divert => "divert",
            Self::Reject => "reject",
            Self::Drop => "drop",
        }
    }
}

macro_rules! tags {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal),+ $(,)?) => {
        /// What is said about a call. A verdict carries a set of them as bits.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Tag { $($(#[doc = $doc])+ $variant),+ }

        impl Tag {
            /// All tags, in bit order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Name in output.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// What the tag says, in one line.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+)),+ }
            }
        }
    };
}

tags! {
    /// The number shown is not the caller's own.
    Spoofed = "spoofed",
    /// The number is withheld from presentation.
    Withheld = "withheld",
    /// A withheld caller calls the same callee again.
    RepeatWithheld = "repeat_withheld",
    /// The call comes from a VoIP stack or number.
    Voip = "voip",
    /// Caller and callee are in different countries.
    International = "international",
    /// The callee is in a premium or high-cost range.
    HighCost = "high_cost",
    /// The caller's number resembles the callee's (neighbour spoofing).
    Neighbour = "neighbour",
    /// The caller's number lies in no allocated range.
    Unallocated = "unallocated",
    /// The caller's number must never originate calls.
    DoNotOriginate = "do_not_originate",
    /// The signalling is a scanner's.
    Scanner = "scanner",
    /// The calls come from a machine that dials through numbers.
    Robocall = "robocall",
    /// Rings shortly at many callees to be called back.
    Wangiri = "wangiri",
    /// Many callers flood one callee.
    Tdos = "tdos",
    /// Traffic pumped to high-cost ranges.
    Irsf = "irsf",
    /// A confirmed bad caller.
    KnownBad = "known_bad",
    /// Confirmed by another organisation.
    Consortium = "consortium",
    /// Linked to a confirmed bad caller by signalling.
    Linked = "linked",
    /// The number is signed by its operator.
    Attested = "attested",
    /// No attestation, or one that says nothing of the number.
    Unattested = "unattested",
    /// A signature that does not verify.
    BadSignature = "bad_signature",
    /// On an allow list.
    Allowlisted = "allowlisted",
    /// On a deny list.
    Denylisted = "denylisted",
    /// A call to an emergency number: never acted on.
    Emergency = "emergency",
    /// The caller has called before within the memory of the history.
    Repeat = "repeat",
}

/// A set of tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Hash)]
#[repr(transparent)]
pub struct Tags(pub u32);

impl Tags {
    /// No tags.
    pub const NONE: Self = Self(0);

    /// Adds `tag`.
    pub const fn insert(&mut self, tag: Tag) {
        self.0 |= 1 << tag as u8;
    }

    /// Adds `tag`, or takes it away.
    pub const fn set(&mut self, tag: Tag, so: bool) {
        self.0 = self.0 & !(1 << tag as u8) | (so as u32) << tag as u8;
    }

    /// Whether `tag` is in the set.
    pub const fn contains(self, tag: Tag) -> bool {
        self.0 & (1 << tag as u8) != 0
    }

    /// The tags, in bit order.
    pub fn iter(self) -> impl Iterator<Item = Tag> {
        Tag::ALL.iter().copied().filter(move |tag| self.contains(*tag))
    }
}

/// The answer for one call, as it travels to the routing element.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Verdict {
    /// [`VERSION`].
    pub version: u8,
    /// 0–100: the calibrated probability of fraud, in per cent, rounded.
    pub score: u8,
    /// [`Level`].
    pub level: u8,
    /// [`Action`].
    pub action: u8,
    /// [`Tags`].
    pub tags: u32,
    /// Hash of Call-ID, From tag and CSeq number: names the call attempt.
    pub call: u64,
    /// When the INVITE was seen, ns since the Unix epoch.
    pub timestamp: u64,
    /// Header fingerprint.
    pub fingerprint: u64,
    /// First eight bytes of the model file's digest.
    pub model: u64,
    /// Feature ids of the reasons, strongest first; [`NO_REASON`] where fewer.
    pub reasons: [u16; REASONS],
    /// Zero.
    pub reserved: [u8; 6],
    /// Probability of fraud, 0–1.
    pub probability: f32,
    /// From the kernel's stamp to the verdict, ns, saturating; 0 in a replay.
    pub latency: u32,
}

const _: () = assert!(size_of::<Verdict>() == 64 && align_of::<Verdict>() == 8);
const _: () = assert!(Tag::ALL.len() <= 32);
