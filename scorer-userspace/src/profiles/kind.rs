//! Kinds of evidence, and the evidence of one call.

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal $parent:expr,)+) => {
        /// A kind of evidence.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Kind { $($(#[doc = $doc])+ $variant,)+ }

        impl Kind {
            /// All of them, parents before those that hang on them.
            pub const ALL: [Self; KINDS] = [$(Self::$variant,)+];

            /// Name in output.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What it is, in one line.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+),)+ }
            }

            /// The kind it hangs on; `None` where it stands for itself.
            pub const fn parent(self) -> Option<Self> {
                match self { $(Self::$variant => $parent,)+ }
            }
        }
    };
}

/// Kinds of evidence.
pub const KINDS: usize = 11;

kinds! {
    /// Address that the call came from.
    Source = "source" None,
    /// Stack at that source: agent, grammars, sets, offer, forms of what it writes.
    Stack = "stack" Some(Kind::Source),
    /// What stands behind it: hosts of Contact, last Via and offer that are not the source.
    Origin = "origin" Some(Kind::Stack),
    /// Manner: withheld, neighbour, forwarded, signed, impossible or dear numbers.
    Manner = "manner" None,
    /// The network's number.
    Network = "network number" None,
    /// The number shown, where it is not the network's.
    Shown = "shown number" None,
    /// Origination identifier of a PASSporT (RFC 8588), which names the customer.
    Origid = "origid" None,
    /// Country of the caller's number, at that source.
    Country = "country" Some(Kind::Source),
    /// Display name.
    Display = "display name" None,
    /// Leading digits of the number called.
    CalleeRange = "range called" None,
    /// The number or user called.
    Callee = "callee" Some(Kind::CalleeRange),
}

/// Where the kind stands that each kind hangs on; behind all of them where it hangs on none.
pub(super) const PARENTS: [usize; KINDS] = {
    let (mut parents, mut at) = ([KINDS; KINDS], 0);
    while at < KINDS {
        if let Some(parent) = Kind::ALL[at].parent() {
            parents[at] = parent as usize;
        }
        at += 1;
    }
    parents
};

/// Tokens of one call by kind; 0 where it has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence(pub [u64; KINDS]);

impl Evidence {
    /// The token of a kind; 0 for none.
    pub const fn get(&self, kind: Kind) -> u64 {
        self.0[kind as usize]
    }
}
