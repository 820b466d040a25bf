//! Honest traffic of single people and offices.

use rand::RngExt as _;

use super::{
    call::{End, Family, Forward, Shown, Spec, callee, reason},
    numbers::{Block, number},
    random::{Stream, around, chance, hash, pick, stream},
    world::{TrunkKind, World},
};

/// How many there are of whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Population {
    /// The operator's subscribers.
    pub(super) subscribers: u64,
    /// People who call them.
    pub(super) people: u64,
    /// Offices that call them.
    pub(super) offices: u64,
}

/// A share of calls goes to few callers: ids that are drawn so that low ones are common.
fn somebody(random: &mut Stream, count: u64) -> u64 {
    let unit: f64 = random.random();
    ((unit * unit * count as f64) as u64).min(count - 1)
}

/// What stays the same about a caller.
struct Person {
    id: u64,
    number: String,
    trunk: usize,
}

fn of_block(blocks: &[Block], fixed: &mut Stream) -> String {
    number(pick(fixed, blocks), fixed)
}

impl World {
    fn person(&self, family: Family, kind: TrunkKind, blocks: &[Block], id: u64) -> Person {
        let id = hash(self.seed, family as u64, id);
        let mut fixed = stream(self.seed, 0x7065_7273, id);
        let trunk = self.trunk(kind, &mut fixed);
        Person { id, number: of_block(blocks, &mut fixed), trunk }
    }

    /// Somebody the caller knows, most of the time.
    fn friend(&self, person: u64, population: &Population, random: &mut Stream) -> String {
        if chance(random, 0.22) {
            return callee(self, population.subscribers, random);
        }
        let unit: f64 = random.random();
        let which = (unit * unit * 12.0) as u64;
        let friend = hash(self.seed ^ person, 0x6672_6e64, which) % population.subscribers;
        self.numbers.subscriber(self.seed, friend)
    }

    /// One call of a family that has no campaigns.
    pub(super) fn genuine(
        &self,
        family: Family,
        population: &Population,
        days: f64,
        random: &mut Stream,
    ) -> Spec {
        match family {
            Family::Mobile => {
                let person = self.people(family, TrunkKind::Mobile, population, random);
                let mut spec = self.social(family, &person, population, days, random);
                spec.named(0.1, false, random);
                spec
            }
            Family::Fixed => {
                let person = self.people(family, TrunkKind::National, population, random);
                let mut spec = self.social(family, &person, population, days, random);
                // Neighbours call each other.
                if chance(random, 0.04) {
                    let area = &spec.caller[..spec.caller.len() - self.numbers.tail];
                    let block = format!("{area}{:X<1$}", "", self.numbers.tail);
                    spec.callee = number(block, random);
                }
                spec.named(0.35, false, random);
                spec
            }
            Family::Roaming => {
                let person = self.people(family, TrunkKind::International, population, random);
                let mut spec = self.social(family, &person, population, days, random);
                spec.setup += around(random, 1.5, 1.5);
                spec
            }
            Family::Registered => self.registered(population, days, random),
            Family::Abroad => self.abroad(population, days, random),
            Family::Withheld => {
                let kind = *pick(random, &[TrunkKind::Mobile, TrunkKind::National]);
                let person = self.people(family, kind, population, random);
                let mut spec = self.social(family, &person, population, days, random);
                spec.withhold(random);
                spec
            }
            Family::Insistent => self.insistent(population, days, random),
            Family::OneRing => {
                let person = self.people(family, TrunkKind::Mobile, population, random);
                let mut spec = self.social(family, &person, population, days, random);
                (spec.ring, spec.end) = (around(random, 3.0, 1.5), End::Cancel);
                spec
            }
            Family::Forwarded => self.forwarded(population, days, random),
            Family::TollFree => {
                self.presenting(family, &self.numbers.toll_free, population, days, random)
            }
            Family::Bank => {
                let mut spec =
                    self.presenting(family, &self.numbers.business, population, days, random);
                spec.caller.clone_from(pick(random, &self.numbers.protected));
                spec.among_strangers(0.6, 150.0, random);
                spec
            }
            Family::Fax => self.fax(population, days, random),
            Family::Odd => self.odd(population, days, random),
            Family::TestCall => self.test_call(population, days, random),
            Family::Emergency => {
                let person = self.people(family, TrunkKind::Mobile, population, random);
                let mut spec = self.social(family, &person, population, days, random);
                spec.callee = pick(random, &["999", "112"]).to_string();
                (spec.ring, spec.end) = (1.5, End::Talk(around(random, 110.0, 1.8), true));
                spec
            }
            _ => self.office(population, days, random),
        }
    }

    fn people(
        &self,
        family: Family,
        kind: TrunkKind,
        population: &Population,
        random: &mut Stream,
    ) -> Person {
        let blocks = match (family, kind) {
            (Family::Roaming, _) | (_, TrunkKind::Mobile) => &self.numbers.mobile,
            _ => &self.numbers.fixed,
        };
        self.person(family, kind, blocks, somebody(random, population.people))
    }

    fn social(
        &self,
        family: Family,
        person: &Person,
        population: &Population,
        days: f64,
        random: &mut Stream,
    ) -> Spec {
        let from = self.endpoint(person.trunk, person.id, days);
        let callee = self.friend(person.id, population, random);
        let caller = person.number.clone();
        let mut spec = Spec::ordinary(family, person.id, from, caller, callee, random);
        spec.among_friends(random);
        spec
    }

    /// A customer's own phone, without any trunk before it.
    fn registered(&self, population: &Population, days: f64, random: &mut Stream) -> Spec {
        const PHONES: &[&str] =
            &["pjsip", "linphone", "zoiper", "grandstream", "asterisk-chan-sip", "threecx"];
        let id = hash(self.seed, 0x7265_6769, somebody(random, population.people / 20 + 1));
        let mut fixed = stream(self.seed, 0x7265_6769, id);
        let internet = self.trunk(TrunkKind::Internet, &mut fixed);
        let from = self.endpoint_with(internet, self.choose(PHONES, id), id, days);
        let caller = match fixed.random_range(0..10) {
            0..6 => of_block(&self.numbers.own, &mut fixed),
            6..8 => fixed.random_range(100..10_000).to_string(),
            _ => super::world::display(&mut fixed, false).to_lowercase().replace(' ', "."),
        };
        let mut callee = self.friend(id, population, random);
        if chance(random, 0.15) {
            callee = random.random_range(100..10_000).to_string();
        }
        let mut spec = Spec::ordinary(Family::Registered, id, from, caller, callee, random);
        if chance(&mut fixed, 0.5) {
            spec.display = Some(super::world::display(&mut fixed, false));
        }
        spec.among_friends(random);
        spec
    }

    fn abroad(&self, population: &Population, days: f64, random: &mut Stream) -> Spec {
        let id =
            hash(self.seed, Family::Abroad as u64, somebody(random, population.people / 3 + 1));
        let mut fixed = stream(self.seed, 0x7065_7273, id);
        let country = self.numbers.foreign(&mut fixed);
        let blocks = if chance(&mut fixed, 0.6) { &country.mobile } else { &country.fixed };
        let trunk = self.trunk(TrunkKind::International, &mut fixed);
        let person = Person { id, number: of_block(blocks, &mut fixed), trunk };
        let mut spec = self.social(Family::Abroad, &person, population, days, random);
        spec.setup += around(random, 2.0, 1.6);
        // Some come without a number, as old transit does.
        if chance(random, 0.06) {
            spec.shown = Shown::Anonymous;
            spec.network = None;
        }
        spec
    }

    /// The same call again and again: several ids share a callee for some minutes.
    fn insistent(&self, population: &Population, days: f64, random: &mut Stream) -> Spec {
        let few = (population.people / 2_000).max(3);
        let person = self.person(
            Family::Insistent,
            TrunkKind::Mobile,
            &self.numbers.mobile,
            random.random_range(0..few),
        );
        let mut spec = self.social(Family::Insistent, &person, population, days, random);
        let day = (days * 24.0) as u64;
        let friend = hash(self.seed ^ person.id, day, 0) % population.subscribers;
        spec.callee = self.numbers.subscriber(self.seed, friend);
        if chance(random, 0.7) {
            (spec.ring, spec.end) = (around(random, 18.0, 1.6), End::Cancel);
        }
        if hash(self.seed, person.id, 1).is_multiple_of(5) {
            spec.withhold(random);
        }
        spec
    }

    /// An office's trunk, number and stack, which stay the same.
    fn firm(&self, family: Family, id: u64) -> Person {
        let id = hash(self.seed, family as u64, id);
        let mut fixed = stream(self.seed, 0x6669_726d, id);
        let kind = match fixed.random_range(0..100) {
            0..30 => TrunkKind::National,
            30..68 => TrunkKind::Voip,
            _ => TrunkKind::Enterprise,
        };
        let blocks = match fixed.random_range(0..100) {
            0..80 => &self.numbers.fixed,
            80..90 => &self.numbers.business,
            _ => &self.numbers.voip,
        };
        Person { id, trunk: self.trunk(kind, &mut fixed), number: of_block(blocks, &mut fixed) }
    }

    fn office(&self, population: &Population, days: f64, random: &mut Stream) -> Spec {
        let firm = self.firm(Family::Pbx, somebody(random, population.offices));
        let from = self.endpoint(firm.trunk, firm.id, days);
        let mut callee = self.friend(firm.id, population, random);
        // Through the operator to customers abroad, now and then to where it is dear.
        if hash(self.seed, firm.id, 4).is_multiple_of(6) && chance(random, 0.25) {
            let country = if chance(random, 0.15) {
                self.numbers.dear(random)
            } else {
                self.numbers.foreign(random)
            };
            let blocks = if chance(random, 0.5) { &country.mobile } else { &country.fixed };
            callee = number(pick(random, blocks), random);
        }
        let mut caller = firm.number.clone();
        let main = caller.clone();
        // Direct lines of the same block, or the main number.
        if hash(self.seed, firm.id, 2).is_multiple_of(2) {
            let line = random.random_range(0..40);
            caller = format!("{}{line:02}", &caller[..caller.len() - 2]);
        }
        let mut spec = Spec::ordinary(Family::Pbx, firm.id, from, caller, callee, random);
        if spec.network.is_some() && chance(random, 0.25) {
            spec.network = Some(main);
        }
        spec.named(0.55, hash(self.seed, firm.id, 3).is_multiple_of(2), random);
        spec.among_friends(random);
        if chance(random, 0.05) {
            spec.withhold(random);
        }
        spec
    }

    fn forwarded(&self, population: &Population, days: f64, random: &mut Stream) -> Spec {
        let firm = self.firm(Family::Forwarded, somebody(random, population.offices));
        let from = self.endpoint(firm.trunk, firm.id, days);
        // The first caller's number is shown, the forwarder's is asserted.
        let blocks = if chance(random, 0.6) { &self.numbers.mobile } else { &self.numbers.fixed };
        let caller = number(pick(random, blocks), random);
        let callee = callee(self, population.subscribers, random);
        let mut spec = Spec::ordinary(Family::Forwarded, firm.id, from, caller, callee, random);
        if spec.network.is_some() && chance(random, 0.6) {
            spec.network = Some(firm.number.clone());
        }
        spec.forward = Some(Forward { number: firm.number, reason: reason(random) });
        spec.among_friends(random);
        spec.setup += 1.0;
        spec
    }

    /// A firm that shows another number than its line's.
    fn presenting(
        &self,
        family: Family,
        blocks: &[Block],
        population: &Population,
        days: f64,
        random: &mut Stream,
    ) -> Spec {
        let firm = self.firm(family, somebody(random, population.offices / 4 + 1));
        let from = self.endpoint(firm.trunk, firm.id, days);
        let shown = number(
            &blocks[(firm.id % blocks.len() as u64) as usize],
            &mut stream(self.seed, 5, firm.id),
        );
        let callee = callee(self, population.subscribers, random);
        let mut spec = Spec::ordinary(family, firm.id, from, shown, callee, random);
        if spec.network.is_some() && chance(random, 0.6) {
            spec.network = Some(firm.number);
            if let (Some(sign), true) = (&mut spec.sign, chance(random, 0.5)) {
                sign.orig = spec.network.clone().unwrap_or_default();
            }
        }
        spec.named(0.5, true, random);
        spec.among_strangers(0.5, 60.0, random);
        spec
    }

    fn fax(&self, population: &Population, days: f64, random: &mut Stream) -> Spec {
        let firm = self.firm(Family::Fax, somebody(random, population.offices / 10 + 1));
        let fax = super::style::index("fax").unwrap_or(0);
        let from = self.endpoint_with(firm.trunk, fax, firm.id, days);
        let callee = self.friend(firm.id, population, random);
        let mut spec = Spec::ordinary(Family::Fax, firm.id, from, firm.number, callee, random);
        (spec.ring, spec.end) =
            (around(random, 3.0, 1.3), End::Talk(around(random, 55.0, 1.6), true));
        spec
    }

    /// What administrators get wrong.
    fn odd(&self, population: &Population, days: f64, random: &mut Stream) -> Spec {
        let id = somebody(random, population.offices / 3 + 1);
        let firm = self.firm(Family::Odd, id);
        let mut habits = stream(self.seed, 0x6f64_6400, firm.id);
        let kind = if chance(&mut habits, 0.6) { TrunkKind::Enterprise } else { TrunkKind::Voip };
        let trunk = self.trunk(kind, &mut habits);
        let from = self.endpoint(trunk, firm.id, days);
        let callee = self.friend(firm.id, population, random);
        let wrong = match habits.random_range(0..7) {
            0 => random.random_range(100..8_000).to_string(),
            1 => format!("44{}", firm.number),
            2 => firm.number[2..].to_owned(),
            3 => "anonymous".to_owned(),
            4 => number(pick(&mut habits, &self.numbers.unallocated), &mut habits),
            5 => {
                pick(&mut habits, &["reception", "trunk1", "pbx", "unknown", "Office"]).to_string()
            }
            _ => firm.number.clone(),
        };
        let mut spec = Spec::ordinary(Family::Odd, firm.id, from, wrong, callee, random);
        if spec.network.is_some() {
            spec.network = chance(random, 0.5).then_some(firm.number);
        }
        spec.named(0.5, true, random);
        spec.among_friends(random);
        spec
    }

    fn test_call(&self, population: &Population, days: f64, random: &mut Stream) -> Spec {
        let kind = *pick(random, &[TrunkKind::National, TrunkKind::International, TrunkKind::Voip]);
        let trunk = self.trunk(kind, random);
        let tool = super::style::index("sipp").unwrap_or(0);
        let id = hash(self.seed, Family::TestCall as u64, trunk as u64);
        let from = self.endpoint_with(trunk, tool, id, days);
        let callee = self.numbers.subscriber(self.seed, id % 8 % population.subscribers);
        let caller = self.numbers.subscriber(self.seed, id % 97 % population.subscribers);
        let mut spec = Spec::ordinary(Family::TestCall, id, from, caller, callee, random);
        spec.isup = false;
        (spec.ring, spec.end) = (1.0, End::Talk(10.0, true));
        spec
    }
}
