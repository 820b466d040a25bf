//! Who calls whom, as hashes.

/// The keys of one call, 0 where there is none, and what is counted with them.
/// [`super::History`] makes them; no number is kept.
#[derive(Clone, Copy, Debug, Default)]
pub struct CallKeys {
    /// Number shown, else the network's, else source and user.
    pub caller: u64,
    /// The network's number.
    pub network: u64,
    /// Number or user called.
    pub callee: u64,
    /// Source address.
    pub source: u64,
    /// Trunk the source belongs to: as configured, else its network.
    pub trunk: u64,
    /// Header fingerprint at this source.
    pub fingerprint: u64,
    /// Caller and callee.
    pub pair: u64,
    /// The caller's first seven digits.
    pub range: u64,
    /// The caller's country.
    pub country: u64,
    /// The person: the network's number, else the number shown, else the
    /// signalling and where it comes from.
    pub profile: u64,
    /// The origid of a PASSporT.
    pub origid: u64,
    /// Header order, wherever it comes from.
    pub order: u64,
    /// User-Agent family.
    pub agent: u64,
    /// Codecs in their order.
    pub codecs: u64,
    /// User-Agent family with header order.
    pub agent_order: u64,
    /// User-Agent family with shape of the SDP.
    pub agent_sdp: u64,
    /// Not a hash alone: bits of how the call is signalled, so that calls of one
    /// stack and path have most bits alike.
    pub signature: u64,
    /// The number dialled, its last nine digits; 0 where it is none.
    pub dialled: u32,
    /// The number is withheld.
    pub withheld: bool,
    /// It is night where the caller is.
    pub night: bool,
    /// The callee is in a high-cost range.
    pub high_cost: bool,
}

/// Kinds of keys in one table.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Caller = 1,
    Network,
    Callee,
    Source,
    Trunk,
    Fingerprint,
    Pair,
    Range,
    Country,
    Origid,
    Order,
    Agent,
    Codecs,
    AgentOrder,
    AgentSdp,
}

/// The same hash for another kind of key; 0 stays 0.
pub(super) const fn of(kind: Kind, key: u64) -> u64 {
    if key == 0 {
        return 0;
    }
    // An odd factor loses nothing; the high bits, which choose the set, get all.
    let mixed = (key ^ (kind as u64) << 56).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ mixed >> 29 | 1
}

impl CallKeys {
    /// What the caller shows, else the network's number.
    pub(super) const fn shown(&self) -> u64 {
        if self.caller == 0 { self.network } else { self.caller }
    }

    /// Keys in the table of [`super::entry::Entry`], in the order of a dialog's
    /// parties.
    pub(super) fn parties(&self) -> [u64; 6] {
        [
            of(Kind::Caller, self.caller),
            of(Kind::Network, self.network),
            of(Kind::Callee, self.callee),
            of(Kind::Source, self.source),
            of(Kind::Trunk, self.trunk),
            of(Kind::Fingerprint, self.fingerprint),
        ]
    }

    /// Keys in the table of [`super::small::Small`].
    pub(super) fn few(&self) -> [u64; 9] {
        [
            of(Kind::Pair, self.pair),
            of(Kind::Range, self.range),
            of(Kind::Country, self.country),
            of(Kind::Origid, self.origid),
            of(Kind::Order, self.order),
            of(Kind::Agent, self.agent),
            of(Kind::Codecs, self.codecs),
            of(Kind::AgentOrder, self.agent_order),
            of(Kind::AgentSdp, self.agent_sdp),
        ]
    }
}
