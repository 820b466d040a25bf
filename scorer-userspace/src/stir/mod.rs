//! STIR/SHAKEN: what Identity headers claim, whether the claims fit the call, and
//! whether the signature is good (RFC 8224, 8225, 8226, 8588, 8946).
//!
//! Certificates are fetched by a thread of its own (see [`Store`]); a call whose
//! certificate is not at hand is scored without it. Checking a signature takes some
//! tens of microseconds, so how many are checked in a second is limited.

mod certificate;
mod fetch;
mod passport;
mod store;

#[cfg(test)]
mod tests;

pub use certificate::{Anchor, Certificate, CertificateError, anchors};
pub use fetch::{Fetch, FetchError, Https};
pub use passport::{Compact, Passport, PassportError, Ppt, Scratch};
pub use store::{Lookup, Store, StoreConfig, keep_certificate};

use crate::{
    number::Number,
    sip::{HeaderName, Message},
    time::Timestamp,
};

/// Identity headers looked at; each forwarding adds one.
const HEADERS: usize = 8;

/// What the Identity headers of a call say. The default is a call without any.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "facts, each on its own")]
pub struct Facts {
    /// Identity headers.
    pub count: u16,
    /// One cannot be read.
    pub unreadable: bool,
    /// There is a shaken PASSporT.
    pub shaken: bool,
    /// There is a div PASSporT.
    pub div: bool,
    /// There is an rcd PASSporT.
    pub rcd: bool,
    /// Attestation, `A`, `B` or `C`.
    pub attest: Option<u8>,
    /// The signed caller is the call's.
    pub orig_matches: Option<bool>,
    /// The signed callee is the call's.
    pub dest_matches: Option<bool>,
    /// Seconds from the signature to the packet.
    pub age: Option<i64>,
    /// The signature is good.
    pub valid: Option<bool>,
    /// Its certificate leads to a trust anchor.
    pub trusted: Option<bool>,
    /// Its certificate is not valid now.
    pub expired: Option<bool>,
    /// Its certificate is being fetched.
    pub pending: bool,
    /// A certificate of its host was had before.
    pub host_known: Option<bool>,
    /// Hash of its origid, without a secret; 0 when there is none.
    pub origid: u64,
    /// Each div goes on where the one before ended.
    pub div_chain: Option<bool>,
    /// The certificate's list covers the number.
    pub covers: Option<bool>,
}

/// Checks in a second, and at once after a pause.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    rate: f64,
    tokens: f64,
    last: Timestamp,
}

impl Budget {
    /// So many checks in a second of packets' time.
    pub fn new(rate: u32) -> Self {
        Self { rate: f64::from(rate), tokens: f64::from(rate), last: Timestamp(0) }
    }

    fn take(&mut self, now: Timestamp) -> bool {
        let more = now.seconds_since(self.last) * self.rate;
        self.tokens = (self.tokens + more).min(self.rate);
        self.last = self.last.max(now);
        let may = self.tokens >= 1.0;
        self.tokens -= f64::from(u8::from(may));
        may
    }
}

/// The call that claims are compared with.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The number the network asserts, else the one shown: what is to be signed.
    pub caller: Option<&'a Number>,
    /// The number called.
    pub callee: Option<&'a Number>,
    /// The packet's time.
    pub now: Timestamp,
}

/// Reads the Identity headers of a call, and checks them as far as certificates are
/// at hand and the budget allows.
pub fn examine(
    message: &Message<'_>,
    subject: &Subject<'_>,
    store: Option<&Store>,
    budget: &mut Budget,
    scratch: &mut Scratch,
) -> Facts {
    let mut facts = Facts::default();
    if !message.has(HeaderName::Identity) {
        return facts;
    }
    // Numbers that forwarded: where the chain stands, as digits.
    let mut chain = Chain::default();
    for value in message.values(HeaderName::Identity).take(HEADERS) {
        facts.count += 1;
        let passport = match Passport::parse(value, scratch) {
            Ok(passport) => passport,
            Err(PassportError::Compact) => {
                compact(message, value, subject, store, budget, scratch, &mut facts);
                continue;
            }
            Err(_) => {
                facts.unreadable = true;
                continue;
            }
        };
        match passport.ppt {
            Ppt::Shaken => facts.shaken = true,
            Ppt::Div => facts.div = true,
            Ppt::Rcd => facts.rcd = true,
            Ppt::Other => {}
        }
        chain.add(&passport, &mut facts);
        // The first that says who calls is the caller's own.
        if passport.ppt == Ppt::Div || facts.orig_matches.is_some() {
            continue;
        }
        claims(&passport, subject, &mut facts);
        let signed = (&*passport.x5u, passport.signed, &passport.signature);
        signature(signed, subject, store, budget, &mut facts);
    }
    facts
}

/// The compact form: the claims are the call's own, and only the signature can be wrong.
fn compact(
    message: &Message<'_>,
    value: &[u8],
    subject: &Subject<'_>,
    store: Option<&Store>,
    budget: &mut Budget,
    scratch: &mut Scratch,
    facts: &mut Facts,
) {
    let date = message.header(HeaderName::Date).and_then(crate::features::date_seconds);
    let ends = subject.caller.zip(subject.callee);
    let found = date.zip(ends).and_then(|(iat, (orig, dest))| {
        Compact::parse(value, (orig.as_bytes(), dest.as_bytes()), iat, scratch).map(|c| (c, iat))
    });
    let Some((passport, iat)) = found else {
        facts.unreadable = true;
        return;
    };
    facts.age = Some((subject.now.0 / 1_000_000_000) as i64 - iat);
    let signed = (passport.x5u, passport.signed, &passport.signature);
    signature(signed, subject, store, budget, facts);
}

fn claims(passport: &Passport<'_>, subject: &Subject<'_>, facts: &mut Facts) {
    facts.attest = passport.attest;
    let is = |claim: &str, number: Option<&Number>| {
        number.is_some_and(|number| passport::is_number(claim, number.as_bytes()))
    };
    facts.orig_matches = Some(is(&passport.orig, subject.caller));
    facts.dest_matches = Some(passport.dest.iter().any(|dest| is(dest, subject.callee)));
    let now = (subject.now.0 / 1_000_000_000) as i64;
    facts.age = Some(now.saturating_sub_unsigned(passport.iat));
    if let Some(origid) = &passport.origid {
        facts.origid = hash(origid.as_bytes());
    }
}

/// FNV-1a; the history puts its secret in.
fn hash(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    bytes.iter().take(128).fold(0xcbf2_9ce4_8422_2325, step) | 1
}

fn signature(
    (x5u, signed, signature): (&str, &[u8], &[u8; 64]),
    subject: &Subject<'_>,
    store: Option<&Store>,
    budget: &mut Budget,
    facts: &mut Facts,
) {
    let Some(store) = store else { return };
    facts.host_known = Some(store.knows_host(x5u));
    let certificate = match store.look_up(x5u, subject.now) {
        Lookup::Ready(certificate) => certificate,
        Lookup::Pending => {
            facts.pending = true;
            return;
        }
        Lookup::Failed => return,
    };
    facts.trusted = Some(certificate.trusted);
    let now = (subject.now.0 / 1_000_000_000) as i64;
    facts.expired = Some(!certificate.is_valid_at(now));
    facts.covers = subject.caller.and_then(|caller| certificate.covers(caller.as_bytes()));
    if budget.take(subject.now) {
        facts.valid = Some(certificate.verifies(signed, signature));
    }
}

/// Whether the PASSporTs of a forwarded call hang together (RFC 8946 section 5): each
/// `div` claims a number that an earlier one was signed to.
#[derive(Default)]
struct Chain {
    /// Hashes of the destinations signed to so far.
    reached: [u64; 16],
    length: usize,
}

impl Chain {
    fn add(&mut self, passport: &Passport<'_>, facts: &mut Facts) {
        if passport.ppt == Ppt::Div {
            let from = passport.div.as_deref().map(|div| hash(div.as_bytes()));
            let known = from.is_some_and(|from| self.reached[..self.length].contains(&from));
            facts.div_chain = Some(known && facts.div_chain != Some(false));
        }
        for dest in passport.dest.iter() {
            if let Some(place) = self.reached.get_mut(self.length) {
                *place = hash(dest.as_bytes());
                self.length += 1;
            }
        }
    }
}
