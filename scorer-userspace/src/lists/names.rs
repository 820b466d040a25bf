//! The lists there are, and sets of them.

macro_rules! lists {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal),+ $(,)?) => {
        /// A list.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum List { $($(#[doc = $doc])+ $variant),+ }

        impl List {
            /// All of them.
            pub const ALL: [Self; 15] = [$(Self::$variant),+];

            /// Name in files, options and output.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// What stands on it, in one line.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+)),+ }
            }
        }
    };
}

lists! {
    /// Numbers that are allowed.
    AllowNumber = "allow_number",
    /// Ranges of numbers that are allowed.
    AllowRange = "allow_range",
    /// Source addresses that are allowed.
    AllowSource = "allow_source",
    /// Trunks that are allowed.
    AllowTrunk = "allow_trunk",
    /// Header fingerprints that are allowed.
    AllowFingerprint = "allow_fingerprint",
    /// Profiles (signatures) that are allowed.
    AllowProfile = "allow_profile",
    /// Numbers that are denied.
    DenyNumber = "deny_number",
    /// Ranges of numbers that are denied.
    DenyRange = "deny_range",
    /// Source addresses that are denied.
    DenySource = "deny_source",
    /// Trunks that are denied.
    DenyTrunk = "deny_trunk",
    /// Header fingerprints that are denied.
    DenyFingerprint = "deny_fingerprint",
    /// Profiles (signatures) that are denied.
    DenyProfile = "deny_profile",
    /// Numbers that other organisations confirmed as fraudsters'.
    Consortium = "consortium",
    /// Source addresses of known scanners.
    Scanner = "scanner",
    /// Callers whom enough members of the consortium report with enough weight.
    ConsortiumStrong = "consortium_strong",
}

impl List {
    /// The list of this name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|list| list.name() == name)
    }

    /// The list whose name is most like `name`.
    pub fn nearest(name: &str) -> &'static str {
        // A hostile name may be of any length; comparing costs its square.
        let asked: String = name.chars().take(80).collect();
        let like = |list: &Self| strsim::jaro_winkler(list.name(), &asked);
        let best = Self::ALL.into_iter().max_by(|a, b| like(a).total_cmp(&like(b)));
        best.map_or("", Self::name)
    }

    /// Whether its entries allow.
    pub const fn allows(self) -> bool {
        matches!(
            self,
            Self::AllowNumber
                | Self::AllowRange
                | Self::AllowSource
                | Self::AllowTrunk
                | Self::AllowFingerprint
                | Self::AllowProfile
        )
    }

    /// Whether its entries deny.
    pub const fn denies(self) -> bool {
        matches!(
            self,
            Self::DenyNumber
                | Self::DenyRange
                | Self::DenySource
                | Self::DenyTrunk
                | Self::DenyFingerprint
                | Self::DenyProfile
        )
    }

    /// Whether its entries are numbers or ranges of them: personal data.
    pub const fn personal(self) -> bool {
        matches!(
            self,
            Self::AllowNumber
                | Self::AllowRange
                | Self::DenyNumber
                | Self::DenyRange
                | Self::Consortium
                | Self::ConsortiumStrong
        )
    }
}

/// A set of lists, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ListSet(pub u16);

impl ListSet {
    /// Of the lists that allow.
    pub const ALLOW: Self = Self::of(true);
    /// Of the lists that deny.
    pub const DENY: Self = Self::of(false);

    const fn of(allows: bool) -> Self {
        let (mut set, mut i) = (Self(0), 0);
        while i < List::ALL.len() {
            let list = List::ALL[i];
            if if allows { list.allows() } else { list.denies() } {
                set.insert(list);
            }
            i += 1;
        }
        set
    }

    /// Adds a list.
    pub const fn insert(&mut self, list: List) {
        self.0 |= 1 << list as u8;
    }

    /// Whether the list is in the set.
    pub const fn contains(self, list: List) -> bool {
        self.0 & 1 << list as u8 != 0
    }

    /// Whether the two sets share a list.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Those that are not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The lists.
    pub fn iter(self) -> impl Iterator<Item = List> {
        List::ALL.into_iter().filter(move |list| self.contains(*list))
    }
}

impl FromIterator<List> for ListSet {
    fn from_iter<I: IntoIterator<Item = List>>(lists: I) -> Self {
        lists.into_iter().fold(Self::default(), |mut set, list| {
            set.insert(list);
            set
        })
    }
}
