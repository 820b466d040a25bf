//! What one call is to be: who, how, and how it ends.

use rand::RngExt as _;

use super::{
    random::{Stream, around, chance, pick},
    world::{Endpoint, TRUNKS, TrunkKind, World},
};

macro_rules! families {
    ($($variant:ident $name:literal $fraud:literal $share:literal $what:literal;)+) => {
        /// A kind of traffic.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "`what` says it")]
        pub enum Family { $($variant,)+ }

        impl Family {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Name in files.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// Whether its calls are fraud.
            pub const fn fraud(self) -> bool {
                match self { $(Self::$variant => $fraud,)+ }
            }

            /// What it is.
            pub const fn what(self) -> &'static str {
                match self { $(Self::$variant => $what,)+ }
            }

            /// Its weight among genuine, or among fraudulent, calls.
            pub(super) const fn share(self) -> f64 {
                match self { $(Self::$variant => $share,)+ }
            }
        }
    };
}

families! {
    Mobile "mobile" false 30.0 "subscribers of mobile networks, VoLTE and 2G/3G";
    Fixed "fixed" false 17.0 "subscribers of fixed networks";
    Pbx "pbx" false 16.0 "offices on trunks of carriers, resellers or their own";
    ContactCentre "contact_centre" false 9.0 "outbound diallers of call centres, many callees, abandoned calls";
    Reminder "reminder" false 3.0 "recorded reminders of surgeries, schools, couriers";
    Forwarded "forwarded" false 4.5 "forwarded calls (Diversion, History-Info, div)";
    Registered "registered" false 2.5 "the operator's own customers, from phones and softphones on the Internet";
    Roaming "roaming" false 2.0 "home mobiles that come in from abroad";
    Withheld "withheld" false 3.0 "private subscribers who withhold their number";
    Institution "institution" false 1.5 "hospitals and police, withheld, often again to the same callee";
    TollFree "toll_free" false 1.2 "firms that present a toll-free or 03 number";
    Bank "bank" false 0.3 "banks that really call, presenting their main number";
    Fax "fax" false 0.5 "fax over T.38";
    Abroad "abroad" false 5.0 "family and business calls from abroad";
    Insistent "insistent" false 2.5 "people who try the same number again and again";
    Hotline "hotline" false 1.2 "many callers to one hotline or vote";
    Odd "odd" false 2.5 "badly configured PBX: national or wrong forms, extensions, private addresses";
    OneRing "one_ring" false 0.8 "people who ring once on purpose";
    TestCall "test_call" false 0.3 "carriers' test calls";
    Emergency "emergency" false 0.2 "calls to emergency numbers";
    BankSpoof "bank_spoof" true 8.0 "a bank's number shown by somebody else";
    Neighbour "neighbour" true 10.0 "numbers that resemble the callee's";
    Unallocated "unallocated" true 6.0 "numbers that cannot exist or are only called";
    Takeover "takeover" true 5.0 "withheld repeat calls to a few callees (account takeover)";
    Changer "number_changer" true 6.0 "one fraudster who changes numbers";
    Robocall "robocall" true 22.0 "recorded calls to thousands";
    Wangiri "wangiri" true 10.0 "one ring from dear numbers";
    Irsf "irsf" true 6.0 "a hacked PBX that calls dear ranges";
    Tdos "tdos" true 9.0 "a flood of calls to one callee";
    Scanner "scanner" true 8.0 "scans for open relays";
    Attestation "attestation_abuse" true 5.0 "signed calls whose signature does not fit";
    Slow "slow_low" true 3.0 "numbers dialled one after the other, slowly";
    ForgedDiversion "forged_diversion" true 3.0 "a made-up forwarding explains a number that is not theirs";
}

/// How a call ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum End {
    /// Answered; the talk's seconds, and whether the caller hangs up.
    Talk(f64, bool),
    /// The caller gives up.
    Cancel,
    /// A final response other than 200.
    Fail(u16),
}

/// What is shown of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    Number,
    Anonymous,
    /// The number, with `Privacy: id`: hidden by the next network.
    Restricted,
}

/// A forwarding.
#[derive(Clone, Debug)]
pub(super) struct Forward {
    pub(super) number: String,
    pub(super) reason: &'static str,
}

/// A PASSporT.
#[derive(Clone, Debug)]
pub(super) struct Sign {
    pub(super) attest: char,
    pub(super) orig: String,
    pub(super) dest: String,
    /// Seconds since it was made.
    pub(super) age: f64,
    pub(super) signer: Signer,
}

/// Who signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signer {
    /// The trunk's own certificate.
    Trunk(usize),
    /// One that has expired.
    Expired,
    /// One that leads to no anchor.
    Untrusted,
}

/// One call to be made.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub(super) family: Family,
    /// Who is behind it.
    pub(super) actor: u64,
    pub(super) from: Endpoint,
    /// Presented number, digits, or a user that is no number.
    pub(super) caller: String,
    pub(super) shown: Shown,
    /// Number the network asserts.
    pub(super) network: Option<String>,
    pub(super) display: Option<String>,
    /// Digits.
    pub(super) callee: String,
    pub(super) forward: Option<Forward>,
    pub(super) sign: Option<Sign>,
    pub(super) isup: bool,
    pub(super) category: &'static str,
    /// Seconds until the callee rings.
    pub(super) setup: f64,
    /// Seconds of ringing.
    pub(super) ring: f64,
    pub(super) end: End,
    /// An INVITE without an offer.
    pub(super) no_offer: bool,
    /// Nobody answers the INVITE but with a failure, at once.
    pub(super) refused: bool,
}

impl Spec {
    /// An ordinary call: the number is shown, asserted as the trunk does, signed as the
    /// trunk does, and ends somehow.
    pub(super) fn ordinary(
        family: Family,
        actor: u64,
        from: Endpoint,
        caller: String,
        callee: String,
        random: &mut Stream,
    ) -> Self {
        let trunk = &TRUNKS[from.trunk];
        let network = chance(random, trunk.asserts).then(|| caller.clone());
        let isup = chance(random, trunk.isup);
        let mut spec = Self {
            family,
            actor,
            from,
            caller,
            shown: Shown::Number,
            network,
            display: None,
            callee,
            forward: None,
            sign: None,
            isup,
            category: "",
            setup: around(random, 1.2, 1.7),
            ring: 0.0,
            end: End::Cancel,
            no_offer: chance(random, 0.004),
            refused: false,
        };
        if chance(random, trunk.signs) {
            spec.signed(random);
        }
        spec
    }

    /// Signed by the trunk, as it knows its callers.
    pub(super) fn signed(&mut self, random: &mut Stream) {
        let levels: &[(char, f64)] = match TRUNKS[self.from.trunk].kind {
            TrunkKind::National | TrunkKind::Mobile => &[('A', 0.86), ('B', 0.09), ('C', 0.05)],
            TrunkKind::Voip => &[('A', 0.45), ('B', 0.35), ('C', 0.2)],
            _ => &[('A', 0.05), ('B', 0.1), ('C', 0.85)],
        };
        let mut at: f64 = random.random();
        let level = levels.iter().find(|(_, share)| {
            at -= share;
            at < 0.0
        });
        self.sign = Some(Sign {
            attest: level.map_or('C', |(level, _)| *level),
            orig: self.network.clone().unwrap_or_else(|| self.caller.clone()),
            dest: self.callee.clone(),
            age: around(random, 0.6, 2.0),
            signer: Signer::Trunk(self.from.trunk),
        });
    }

    /// How it ends when people know each other.
    pub(super) fn among_friends(&mut self, random: &mut Stream) {
        let talk = around(random, 85.0, 3.2);
        let ring = around(random, 7.0, 1.8);
        (self.ring, self.end) = match random.random_range(0..100) {
            0..62 => (ring, End::Talk(talk, chance(random, 0.5))),
            62..67 => (around(random, 20.0, 1.2), End::Talk(around(random, 14.0, 2.0), true)),
            67..74 => (0.1, End::Fail(486)),
            74..88 => (around(random, 20.0, 1.7), End::Cancel),
            88..93 => (around(random, 25.0, 1.2), End::Fail(480)),
            93..96 => (around(random, 4.0, 1.6), End::Fail(603)),
            96..98 => (0.0, End::Fail(404)),
            98 => (30.0, End::Fail(487)),
            _ => (0.0, End::Fail(503)),
        };
    }

    /// How it ends with a caller whom the callee does not know: `answered` is the share
    /// of calls that are, `talk` the median seconds.
    pub(super) fn among_strangers(&mut self, answered: f64, talk: f64, random: &mut Stream) {
        if chance(random, answered) {
            self.ring = around(random, 9.0, 1.7);
            let by_caller = chance(random, 0.35);
            self.end = End::Talk(around(random, talk, 2.2), by_caller);
            return;
        }
        (self.ring, self.end) = match random.random_range(0..100) {
            0..45 => (around(random, 18.0, 1.6), End::Cancel),
            45..60 => (0.1, End::Fail(486)),
            60..78 => (around(random, 25.0, 1.2), End::Fail(480)),
            78..88 => (around(random, 4.0, 1.8), End::Fail(603)),
            _ => (0.0, End::Fail(404)),
        };
    }

    /// Withheld, the way a trunk's network does it.
    pub(super) fn withhold(&mut self, random: &mut Stream) {
        self.display = None;
        self.shown = if chance(random, 0.8) { Shown::Anonymous } else { Shown::Restricted };
    }

    /// Without a display name half the time, else a person's or firm's.
    pub(super) fn named(&mut self, share: f64, firm: bool, random: &mut Stream) {
        if chance(random, share) {
            self.display = Some(super::world::display(random, firm));
        }
    }
}

/// Why calls are forwarded.
pub(super) fn reason(random: &mut Stream) -> &'static str {
    pick::<&str>(random, &["unconditional", "no-answer", "user-busy", "follow-me", "unavailable"])
}

/// A subscriber of the operator who is called.
pub(super) fn callee(world: &World, subscribers: u64, random: &mut Stream) -> String {
    world.numbers.subscriber(world.seed, random.random_range(0..subscribers))
}
