//! Traffic that one party makes on purpose, call after call: diallers, floods, fraud.

use rand::RngExt as _;

use super::{
    call::{End, Family, Forward, Shown, Sign, Signer, Spec, callee, reason},
    genuine::Population,
    numbers::{fill, number},
    random::{Stream, around, chance, exponential, hash, pick, stream},
    style,
    world::{Endpoint, TrunkKind, World},
};

/// Families that come in campaigns: calls of one (median), seconds between them
/// (median), and whether a machine keeps the pace.
pub(super) const fn shape(family: Family) -> Option<(f64, f64, bool)> {
    Some(match family {
        Family::ContactCentre => (150.0, 4.0, false),
        Family::Reminder => (60.0, 5.0, true),
        Family::Institution => (7.0, 700.0, false),
        Family::Hotline => (200.0, 0.8, false),
        Family::BankSpoof => (60.0, 110.0, false),
        Family::Neighbour => (200.0, 7.0, false),
        Family::Unallocated => (60.0, 20.0, false),
        Family::Takeover => (12.0, 420.0, false),
        Family::Changer => (60.0, 90.0, false),
        Family::Robocall => (500.0, 1.5, true),
        Family::Wangiri => (250.0, 1.2, true),
        Family::Irsf => (50.0, 15.0, false),
        Family::Tdos => (400.0, 0.4, false),
        Family::Scanner => (120.0, 0.7, true),
        Family::Attestation => (50.0, 30.0, false),
        Family::Slow => (50.0, 240.0, false),
        Family::ForgedDiversion => (50.0, 60.0, false),
        _ => return None,
    })
}

/// One of them.
#[derive(Debug)]
pub(super) struct Campaign {
    pub(super) family: Family,
    actor: u64,
    from: Endpoint,
    random: Stream,
    /// Calls it will still make.
    left: u32,
    made: u32,
    /// Numbers it shows.
    pool: Vec<String>,
    /// Whom it calls, where that is fixed.
    targets: Vec<String>,
    /// Seconds between calls, and whether a machine keeps them.
    pace: f64,
    machine: bool,
    /// Which of a family's ways it goes.
    way: u32,
    /// The number it really has.
    own: String,
}

impl Campaign {
    /// Begins one, of at most `most` calls.
    pub(super) fn begin(
        world: &World,
        family: Family,
        population: &Population,
        days: f64,
        actor: u64,
        most: f64,
    ) -> Self {
        let mut random = stream(world.seed, 0x6361_6d70 + family as u64, actor);
        let (calls, pace, machine) = shape(family).unwrap_or((1.0, 1.0, false));
        let left = around(&mut random, calls, 1.9).clamp(2.0, most.max(2.0)) as u32;
        let pace = around(&mut random, pace, 1.7);
        let from = source(world, family, actor, days, &mut random);
        let numbers = &world.numbers;
        let blocks = match random.random_range(0..10) {
            0..4 => &numbers.fixed,
            4..7 => &numbers.mobile,
            7..9 => &numbers.voip,
            _ => &numbers.business,
        };
        let own = number(pick(&mut random, blocks), &mut random);
        let way = random.random_range(0..1_000);
        let mut this = Self {
            family,
            actor,
            from,
            random,
            left,
            made: 0,
            pool: Vec::new(),
            targets: Vec::new(),
            pace,
            machine,
            way,
            own,
        };
        this.choose(world, population);
        this
    }

    /// Numbers to show and people to call that stay the same.
    fn choose(&mut self, world: &World, population: &Population) {
        let numbers = &world.numbers;
        let random = &mut self.random;
        let shown = match self.family {
            Family::ContactCentre => random.random_range(1..8),
            Family::Robocall => random.random_range(1..25),
            Family::Wangiri => random.random_range(1..30),
            Family::Unallocated => random.random_range(1..6),
            Family::Tdos => random.random_range(5..60),
            _ => 1,
        };
        for _ in 0..shown {
            let number = match self.family {
                Family::Wangiri => {
                    let dear = numbers.dear(random);
                    number(pick(random, &dear.mobile), random)
                }
                Family::Unallocated if self.way < 300 => pick(random, &numbers.protected).clone(),
                Family::Unallocated => number(pick(random, &numbers.unallocated), random),
                Family::BankSpoof | Family::ForgedDiversion if self.way < 850 => {
                    pick(random, &numbers.protected).clone()
                }
                Family::BankSpoof => number(pick(random, &numbers.business), random),
                _ => somewhere(world, random),
            };
            self.pool.push(number);
        }
        let targets = match self.family {
            Family::Takeover => random.random_range(1..5),
            Family::Institution => random.random_range(1..4),
            Family::Tdos | Family::Hotline => 1,
            _ => 0,
        };
        for _ in 0..targets {
            self.targets.push(callee(world, population.subscribers, random));
        }
    }

    /// Calls it will make.
    pub(super) const fn calls(&self) -> u32 {
        self.left
    }

    /// Its next call, and the seconds until the one after it, if there is one.
    pub(super) fn next(
        &mut self,
        world: &World,
        population: &Population,
        days: f64,
    ) -> (Spec, Option<f64>) {
        let spec = self.call(world, population, days);
        self.made += 1;
        self.left -= 1;
        let random = &mut self.random;
        let gap = if self.machine {
            self.pace * (1.0 + 0.03 * (random.random::<f64>() - 0.5))
        } else if self.pace > 30.0 {
            around(random, self.pace, 1.9)
        } else {
            exponential(random, 1.0 / self.pace)
        };
        (spec, (self.left > 0).then_some(gap))
    }

    fn call(&mut self, world: &World, population: &Population, days: f64) -> Spec {
        let random = &mut self.random;
        let callee = match self.targets.len() {
            0 => callee(world, population.subscribers, random),
            _ => pick(random, &self.targets).clone(),
        };
        let shown = pick(random, &self.pool).clone();
        let mut spec = Spec::ordinary(self.family, self.actor, self.from, shown, callee, random);
        match self.family {
            Family::ContactCentre => self.contact_centre(&mut spec),
            Family::Reminder => {
                spec.among_strangers(0.55, 17.0, random);
                spec.named(0.4, true, random);
            }
            Family::Institution => {
                spec.withhold(random);
                spec.among_friends(random);
            }
            Family::Hotline => return hotline(world, population, days, &spec, random),
            Family::BankSpoof => self.bank(&mut spec),
            Family::ForgedDiversion => {
                self.bank(&mut spec);
                let random = &mut self.random;
                let number = number(pick(random, &world.numbers.fixed), random);
                spec.network = chance(random, 0.6).then(|| number.clone());
                spec.forward = Some(Forward { number, reason: reason(random) });
            }
            Family::Neighbour => {
                let shared = if self.way < 500 { 8 } else { 7 };
                let drama = world.numbers.tail < 4;
                let shared = if drama { spec.callee.len() - world.numbers.tail } else { shared };
                let tail = random.random_range(0..100_000);
                let last = spec.callee.len() - shared;
                let number = format!("{}{tail:05}", &spec.callee[..shared]);
                number[..shared + last.min(5)].clone_into(&mut spec.caller);
                asserted(&mut spec, 0.6, &self.own, random);
                spec.among_strangers(0.35, 14.0, random);
            }
            Family::Unallocated => {
                if self.way >= 700 {
                    spec.caller = number(pick(random, &world.numbers.unallocated), random);
                }
                asserted(&mut spec, 0.7, &self.own, random);
                spec.among_strangers(0.3, 25.0, random);
            }
            Family::Takeover => {
                spec.withhold(random);
                spec.network = (self.way < 550).then(|| self.own.clone());
                spec.ring = around(random, 3.0, 1.5);
                spec.end = End::Talk(around(random, 170.0, 2.0), chance(random, 0.7));
            }
            Family::Changer => self.changer(&mut spec, world),
            Family::Robocall => {
                asserted(&mut spec, 0.8, &self.own, random);
                spec.among_strangers(0.33, 9.0, random);
            }
            Family::Wangiri => {
                (spec.ring, spec.end) = (around(random, 2.2, 1.3), End::Cancel);
                if chance(random, 0.04) {
                    spec.end = End::Talk(2.0, true);
                }
            }
            Family::Irsf => {
                let dear = world.numbers.dear(random);
                spec.callee = number(pick(random, &dear.mobile), random);
                spec.caller.clone_from(&self.own);
                spec.ring = around(random, 2.0, 1.6);
                spec.end = if chance(random, 0.85) {
                    End::Talk(around(random, 500.0, 2.0), true)
                } else {
                    End::Fail(503)
                };
            }
            Family::Tdos => {
                if self.way < 600 {
                    spec.caller = somewhere(world, random);
                    spec.network = spec.network.is_some().then(|| spec.caller.clone());
                }
                spec.ring = around(random, 2.0, 1.7);
                spec.end = match random.random_range(0..10) {
                    0..5 => End::Fail(486),
                    5..8 => End::Talk(around(random, 25.0, 1.8), chance(random, 0.5)),
                    _ => End::Cancel,
                };
            }
            Family::Scanner => self.scan(&mut spec),
            Family::Attestation => self.attested(&mut spec, world),
            _ => {
                // Slow: the operator's numbers in their order, a few at a time.
                let block = pick(random, &world.numbers.own[..1]);
                let first = hash(world.seed, 0x736c_6f77, self.actor) % 9_000;
                spec.callee = fill(block, first + u64::from(self.made));
                asserted(&mut spec, 0.8, &self.own, random);
                spec.among_strangers(0.4, 55.0, random);
            }
        }
        spec
    }

    fn contact_centre(&mut self, spec: &mut Spec) {
        let random = &mut self.random;
        if spec.network.is_some() && self.way < 600 {
            spec.network = Some(self.own.clone());
            if let (Some(sign), true) = (&mut spec.sign, self.way < 300) {
                sign.orig.clone_from(&self.own);
            }
        }
        spec.named(if self.way.is_multiple_of(2) { 0.9 } else { 0.0 }, true, random);
        spec.among_strangers(0.42, 45.0, random);
        if self.way.is_multiple_of(23) {
            spec.withhold(random);
        }
    }

    fn bank(&mut self, spec: &mut Spec) {
        let random = &mut self.random;
        match self.way % 10 {
            0..4 => spec.network = None,
            4..8 => spec.network = Some(spec.caller.clone()),
            _ => spec.network = Some(self.own.clone()),
        }
        if self.way.is_multiple_of(3) {
            spec.display = Some("Bank Fraud Team".into());
        }
        spec.among_strangers(0.55, 210.0, random);
        // The same victim again, until it works.
        if chance(random, 0.3) && !self.targets.is_empty() {
            spec.callee.clone_from(&self.targets[0]);
            self.targets.clear();
        }
    }

    fn changer(&mut self, spec: &mut Spec, world: &World) {
        let random = &mut self.random;
        let every = 3 + self.way % 8;
        if self.made.is_multiple_of(every) {
            self.pool[0] = somewhere(world, random);
        }
        spec.caller.clone_from(&self.pool[0]);
        asserted(spec, 0.75, &self.own, random);
        spec.among_strangers(0.45, 140.0, random);
        // Half of them withhold every third of their numbers.
        if self.way.is_multiple_of(2) && self.made / every % 3 == 2 {
            spec.withhold(random);
        }
    }

    fn scan(&mut self, spec: &mut Spec) {
        let random = &mut self.random;
        spec.caller = match self.way % 4 {
            0 => random.random_range(100..10_000).to_string(),
            1 => "100".into(),
            2 => (1_000 + self.made).to_string(),
            _ => pick(random, &["admin", "test", "sip", "user", "1001", "2000"]).to_string(),
        };
        let prefix = pick(random, &["", "0", "00", "9", "900", "011", "+", "9011", "000", "810"]);
        spec.callee = match self.way % 3 {
            0 => (100 + self.made).to_string(),
            _ => format!("{prefix}{}", self.own),
        };
        spec.network = None;
        spec.sign = None;
        spec.no_offer = self.way.is_multiple_of(5);
        spec.refused = true;
        let code = *pick(random, &[404, 403, 401, 484, 488]);
        (spec.setup, spec.ring, spec.end) = (0.02, 0.0, End::Fail(code));
    }

    fn attested(&mut self, spec: &mut Spec, world: &World) {
        let random = &mut self.random;
        spec.caller = match self.way % 3 {
            0 => pick(random, &world.numbers.protected).clone(),
            1 => somewhere(world, random),
            _ => self.pool[0].clone(),
        };
        asserted(spec, 0.7, &self.own, random);
        let trunk = Signer::Trunk(spec.from.trunk);
        let fits = Sign {
            attest: 'A',
            orig: spec.caller.clone(),
            dest: spec.callee.clone(),
            age: around(random, 0.6, 2.0),
            signer: trunk,
        };
        let sign = match self.way / 3 % 5 {
            // A number of one's own is signed, another is shown.
            0 => Sign { orig: self.own.clone(), ..fits },
            // Taken from another call.
            1 => Sign { age: around(random, 2_000.0, 3.0), dest: somewhere(world, random), ..fits },
            2 => Sign { signer: Signer::Expired, ..fits },
            3 => Sign { signer: Signer::Untrusted, ..fits },
            // A careless provider signs what it does not know.
            _ => fits,
        };
        spec.sign = Some(sign);
        spec.among_strangers(0.4, 90.0, random);
    }
}

/// Where a campaign comes in.
fn source(world: &World, family: Family, actor: u64, days: f64, random: &mut Stream) -> Endpoint {
    let on = |kind: TrunkKind, random: &mut Stream| {
        let trunk = world.trunk(kind, random);
        world.endpoint(trunk, actor, days)
    };
    match family {
        Family::ContactCentre | Family::Reminder => {
            let kind = match random.random_range(0..10) {
                0..2 => TrunkKind::National,
                2..7 => TrunkKind::Voip,
                7 => TrunkKind::International,
                _ => TrunkKind::Enterprise,
            };
            on(kind, random)
        }
        Family::Institution => {
            let kind =
                *pick(random, &[TrunkKind::National, TrunkKind::Enterprise, TrunkKind::Voip]);
            on(kind, random)
        }
        Family::Wangiri if chance(random, 0.8) => on(TrunkKind::International, random),
        Family::Irsf => on(TrunkKind::Enterprise, random),
        Family::Scanner => {
            let internet = world.trunk(TrunkKind::Internet, random);
            let tool = if chance(random, 0.75) {
                "friendly-scanner"
            } else {
                *pick(random, &["pjsip", "asterisk-chan-sip", "zoiper", "linphone"])
            };
            world.endpoint_with(internet, style::index(tool).unwrap_or(0), actor, days)
        }
        Family::Attestation => {
            let kind = *pick(
                random,
                &[TrunkKind::Voip, TrunkKind::Voip, TrunkKind::International, TrunkKind::National],
            );
            on(kind, random)
        }
        _ => world.entry(random, days),
    }
}

/// A number that exists, mostly of this country.
fn somewhere(world: &World, random: &mut Stream) -> String {
    let numbers = &world.numbers;
    match random.random_range(0..20) {
        0..7 => number(pick(random, &numbers.fixed), random),
        7..15 => number(pick(random, &numbers.mobile), random),
        15..17 => number(pick(random, &numbers.voip), random),
        17 => number(pick(random, &numbers.business), random),
        _ => {
            let country = numbers.foreign(random);
            number(pick(random, &country.mobile), random)
        }
    }
}

/// What the network asserts on a call with a false number: often the same, since the
/// trunk believes its customer, sometimes the true one, sometimes nothing.
fn asserted(spec: &mut Spec, same: f64, own: &str, random: &mut Stream) {
    if spec.network.is_some() {
        spec.network =
            Some(if chance(random, same) { spec.caller.clone() } else { own.to_owned() });
    }
}

/// Many people who call one number, each from where they are.
fn hotline(
    world: &World,
    population: &Population,
    days: f64,
    of: &Spec,
    random: &mut Stream,
) -> Spec {
    let family = *pick(random, &[Family::Mobile, Family::Mobile, Family::Fixed]);
    let mut spec = world.genuine(family, population, days, random);
    spec.family = Family::Hotline;
    spec.callee.clone_from(&of.callee);
    spec.ring = around(random, 2.0, 1.5);
    spec.end = if chance(random, 0.35) {
        End::Fail(486)
    } else {
        End::Talk(around(random, 30.0, 2.0), chance(random, 0.5))
    };
    if spec.shown != Shown::Number {
        spec.network = None;
    }
    spec
}
