//! Labelled carrier traffic for labs, tests and training: whole dialogs of a made-up
//! population behind made-up trunks, in the header styles of real stacks, with fraud
//! in its midst. The same seed gives the same bytes on every machine.
//!
//! What it cannot give is proof: a model that does well here has learnt what was
//! written into the recipes. docs/simulate.md says what they are.

mod call;
mod campaign;
mod dialog;
mod genuine;
mod invite;
mod mix;
mod numbers;
mod passport;
mod random;
mod site;
mod style;
mod template;
mod wire;
mod world;

#[cfg(test)]
mod tests;

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use rand::RngExt as _;

pub use call::Family;
pub use mix::{Drift, Mix};
pub use site::write as write_site;
pub use style::names as stacks;
pub use wire::Packet;

use crate::time::Timestamp;
use call::Spec;
use campaign::{Campaign, shape};
use dialog::{Dialog, Side, Step};
use genuine::Population;
use random::{Stream, chance, exponential, hash, stream};
use style::IpId;
use world::{Endpoint, World};

/// Why there is no simulation.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// A mix that cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A mix that cannot be.
    #[error("{what}")]
    Mix {
        /// What is wrong with it.
        what: String,
    },
    /// The site's certificates.
    #[error("cannot write certificates: {0}")]
    Certificates(String),
    /// The site's files.
    #[error("cannot write the site's files")]
    Site(#[source] io::Error),
}

/// The truth about one call.
#[derive(Clone, Copy, Debug)]
pub struct Label<'a> {
    /// Call-ID as it stands.
    pub call_id: &'a str,
    /// What it is.
    pub family: Family,
    /// Who is behind it: the same number for all calls of one party.
    pub actor: u64,
    /// Whose header style.
    pub stack: &'static str,
    /// Over which trunk.
    pub trunk: &'static str,
}

/// Takes what is simulated.
pub trait Sink {
    /// A message, in order of time.
    ///
    /// # Errors
    /// Ends the simulation.
    fn packet(&mut self, packet: &Packet<'_>) -> io::Result<()>;

    /// The truth about a call, before its first message.
    ///
    /// # Errors
    /// Ends the simulation.
    fn label(&mut self, label: &Label<'_>) -> io::Result<()>;
}

/// What was simulated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Calls.
    pub calls: u64,
    /// Of them fraud.
    pub fraud: u64,
    /// Messages.
    pub messages: u64,
    /// Seconds from first to last message.
    pub seconds: u64,
}

/// What happens at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Campaign(usize),
    Step(usize, Step),
}

/// A run of the simulator.
#[derive(Debug)]
pub struct Simulation {
    world: World,
    mix: Mix,
    population: Population,
    start: Timestamp,
    calls: u64,
    /// Messages and campaigns to come, soonest first; the second number keeps the order
    /// of what comes at the same time.
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    order: u64,
    dialogs: Vec<Option<Dialog>>,
    free: Vec<usize>,
    campaigns: Vec<Campaign>,
    credits: Vec<Credit>,
    /// Ordinary families and the sum of weights up to each.
    ordinary: Vec<(f64, Family)>,
    /// Share of calls that campaigns make.
    by_campaigns: f64,
    random: Stream,
    writer: invite::Writer,
    ids: [u16; 256],
    totals: Totals,
}

/// Calls that a family of campaigns is owed.
#[derive(Clone, Copy, Debug)]
struct Credit {
    family: Family,
    /// Share of all calls.
    share: f64,
    owed: f64,
    /// Calls of one campaign at most.
    most: f64,
}

/// Calls of an average campaign, as a multiple of the median one.
const MEAN: f64 = 1.23;

impl Simulation {
    /// A simulation of so many calls.
    ///
    /// # Errors
    /// When the mix cannot be.
    pub fn new(mix: Mix, seed: u64, calls: u64) -> Result<Self, SimulateError> {
        let wrong = |what| SimulateError::Mix { what };
        mix.check().map_err(wrong)?;
        let start = mix.begin().map_err(wrong)?;
        let world =
            World::new(seed, &mix.without_stacks, mix.drift.stacks_per_day).map_err(wrong)?;
        let subscribers = match mix.subscribers {
            0 => (mix.calls_per_second * 10_000.0) as u64,
            some => some,
        }
        .max(500);
        let population = Population {
            subscribers,
            people: subscribers * 2,
            offices: (subscribers / 50).max(20),
        };
        let mut random = stream(seed, 0x7369_6d75, 0);
        let weights = |fraud: bool| {
            let of = Family::ALL.iter().copied().filter(move |family| family.fraud() == fraud);
            let total: f64 = of.clone().map(|family| mix.weight(family)).sum();
            let share = if fraud { mix.fraud } else { 1.0 - mix.fraud };
            let factor = if total > 0.0 { share / total } else { 0.0 };
            of.map(move |family| (family, factor)).collect::<Vec<_>>()
        };
        let mut ordinary = Vec::new();
        let (mut credits, mut sum, mut by_campaigns) = (Vec::new(), 0.0, 0.0);
        for (family, factor) in weights(false).into_iter().chain(weights(true)) {
            let share = mix.weight(family) * factor;
            if share <= 0.0 {
                continue;
            }
            let Some((size, ..)) = shape(family) else {
                sum += share;
                ordinary.push((sum, family));
                continue;
            };
            by_campaigns += share;
            // In a short simulation campaigns are short, too.
            let most = (share * calls as f64 / 2.0).max(6.0);
            let owed = -random.random::<f64>() * (size * MEAN).min(most);
            credits.push(Credit { family, share, owed, most });
        }
        if ordinary.is_empty() && credits.is_empty() {
            return Err(wrong("every family has the weight 0".into()));
        }
        Ok(Self {
            writer: invite::Writer::new(seed),
            world,
            mix,
            population,
            start,
            calls,
            events: BinaryHeap::new(),
            order: 0,
            dialogs: Vec::new(),
            free: Vec::new(),
            campaigns: Vec::new(),
            credits,
            ordinary,
            by_campaigns,
            random,
            ids: [0; 256],
            totals: Totals::default(),
        })
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn run(mut self, sink: &mut dyn Sink) -> io::Result<Totals> {
        let end = self.mix.duration_s.map_or(u64::MAX, |s| self.start.0 + (s * 1e9) as u64);
        let mut clock = self.start.0;
        let mut last = clock;
        let mut next_call = Some(self.after(clock));
        loop {
            let due = self.events.peek().map(|Reverse((time, ..))| *time);
            match (next_call, due) {
                (Some(call), due) if due.is_none_or(|due| call <= due) => {
                    if self.totals.calls >= self.calls || call >= end {
                        next_call = None;
                        continue;
                    }
                    clock = call;
                    self.arrival(clock, sink)?;
                    next_call = Some(self.after(clock));
                }
                (_, Some(due)) => {
                    let Some(Reverse((_, _, event))) = self.events.pop() else { break };
                    let over = self.totals.calls >= self.calls || due >= end;
                    match event {
                        Event::Campaign(_) if over => {}
                        Event::Campaign(campaign) => self.campaign(campaign, due, sink)?,
                        Event::Step(call, step) => {
                            last = due;
                            self.step(call, step, due, sink)?;
                        }
                    }
                }
                (_, None) => break,
            }
        }
        self.totals.seconds = (last - self.start.0) / 1_000_000_000;
        Ok(self.totals)
    }

    /// Days since the start.
    fn days(&self, now: u64) -> f64 {
        (now - self.start.0) as f64 / 86_400e9
    }

    /// When the next ordinary call comes (a Poisson process whose rate follows the hours).
    fn after(&mut self, now: u64) -> u64 {
        let hour = if self.mix.hours { busy(now) } else { 1.0 };
        let rate = self.mix.calls_per_second * (1.0 - self.by_campaigns).max(0.01) * hour;
        now + (exponential(&mut self.random, rate) * 1e9) as u64 + 1
    }

    /// An ordinary call, and campaigns that are due.
    fn arrival(&mut self, now: u64, sink: &mut dyn Sink) -> io::Result<()> {
        let days = self.days(now);
        if let Some((sum, _)) = self.ordinary.last() {
            let at = self.random.random::<f64>() * sum;
            let place = self.ordinary.partition_point(|(sum, _)| *sum < at);
            let family = self.ordinary[place.min(self.ordinary.len() - 1)].1;
            let spec = self.world.genuine(family, &self.population, days, &mut self.random);
            self.begin(&spec, now, sink)?;
        }
        let growth = 1.0 + days * self.mix.drift.fraud_per_day;
        let hour = (now / 3_600_000_000_000) % 24;
        // As much again as this one call is of all calls that no campaign makes.
        let step = 1.0 / (1.0 - self.by_campaigns).max(0.01);
        for at in 0..self.credits.len() {
            let credit = &mut self.credits[at];
            credit.owed += credit.share * step * if credit.family.fraud() { growth } else { 1.0 };
            // Firms ring in the day.
            let asleep = matches!(credit.family, Family::ContactCentre | Family::Reminder)
                && self.mix.hours
                && !(8..20).contains(&hour);
            if credit.owed <= 0.0 || asleep {
                continue;
            }
            let (family, most) = (credit.family, credit.most);
            // Firms call again another day; fraudsters are many.
            let number: u64 = match family {
                Family::ContactCentre | Family::Reminder | Family::Institution => {
                    self.random.random_range(0..self.population.offices / 8 + 3)
                }
                _ => self.random.random(),
            };
            let actor = hash(self.world.seed, family as u64, number);
            let campaign =
                Campaign::begin(&self.world, family, &self.population, days, actor, most);
            self.credits[at].owed -= f64::from(campaign.calls());
            self.campaigns.push(campaign);
            let place = self.campaigns.len() - 1;
            let soon = self.random.random_range(0..5_000_000_000);
            self.later(now + soon, Event::Campaign(place));
        }
        Ok(())
    }

    fn campaign(&mut self, place: usize, now: u64, sink: &mut dyn Sink) -> io::Result<()> {
        let days = self.days(now);
        let (spec, gap) = self.campaigns[place].next(&self.world, &self.population, days);
        if let Some(gap) = gap {
            self.later(now + (gap * 1e9) as u64 + 1, Event::Campaign(place));
        }
        self.begin(&spec, now, sink)
    }

    fn later(&mut self, time: u64, event: Event) {
        self.order += 1;
        self.events.push(Reverse((time, self.order, event)));
    }

    /// The INVITE of a call, and when the rest of it comes.
    fn begin(&mut self, spec: &Spec, now: u64, sink: &mut dyn Sink) -> io::Result<()> {
        let at = Timestamp(now);
        let invite = self.writer.write(&self.world, spec, at, &mut self.random);
        let dialog = Dialog::new(spec, invite, &mut self.random);
        sink.label(&Label {
            call_id: dialog.call_id(),
            family: spec.family,
            actor: spec.actor,
            stack: self.world.styles[spec.from.style].name,
            trunk: world::TRUNKS[spec.from.trunk].name,
        })?;
        self.totals.calls += 1;
        self.totals.fraud += u64::from(spec.family.fraud());
        self.send(&spec.from, Side::Caller, &dialog.invite, at, sink)?;
        let place = self.free.pop().unwrap_or(self.dialogs.len());
        if place == self.dialogs.len() {
            self.dialogs.push(None);
        }
        self.dialogs[place] = Some(dialog);
        let again = chance(&mut self.random, self.mix.retransmissions);
        for (seconds, step) in Dialog::schedule(spec, again, &mut self.random) {
            self.later(now + (seconds * 1e9) as u64, Event::Step(place, step));
        }
        Ok(())
    }

    fn step(&mut self, call: usize, step: Step, now: u64, sink: &mut dyn Sink) -> io::Result<()> {
        let Some(dialog) = self.dialogs[call].take() else { return Ok(()) };
        if step == Step::Done {
            self.free.push(call);
            return Ok(());
        }
        let result = match dialog.message(step) {
            Some((side, message)) => self.send(&dialog.from, side, &message, Timestamp(now), sink),
            None => Ok(()),
        };
        self.dialogs[call] = Some(dialog);
        result
    }

    fn send(
        &mut self,
        from: &Endpoint,
        side: Side,
        payload: &[u8],
        timestamp: Timestamp,
        sink: &mut dyn Sink,
    ) -> io::Result<()> {
        let edge = if from.address.is_ipv4() {
            SocketAddr::from((Ipv4Addr::from(invite::EDGE), 5060))
        } else {
            SocketAddr::from((Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1), 5060))
        };
        let style = &self.world.styles[from.style];
        self.totals.messages += 1;
        let packet = match side {
            Side::Caller => {
                // Every sender numbers its own packets; by hash, so that few share.
                let place = hash(0, 0, u64::from(from.address.port()) ^ last_bits(from)) as usize;
                let counter = &mut self.ids[place % 256];
                *counter = counter.wrapping_add(1);
                Packet {
                    timestamp,
                    source: from.address,
                    destination: edge,
                    payload,
                    ttl: from.ttl,
                    dscp: style.dscp,
                    id: (style.ip_id == IpId::Count || payload.len() > 1_400).then_some(*counter),
                }
            }
            Side::Callee => Packet {
                timestamp,
                source: edge,
                destination: from.address,
                payload,
                ttl: 64,
                dscp: 24,
                id: None,
            },
        };
        sink.packet(&packet)
    }
}

fn last_bits(from: &Endpoint) -> u64 {
    match from.address {
        SocketAddr::V4(address) => u64::from(u32::from(*address.ip())) << 16,
        SocketAddr::V6(address) => (u128::from(*address.ip()) as u64) << 16,
    }
}

/// How busy an hour is beside the mean of all: offices by day, people in the evening,
/// less on Saturday and Sunday.
fn busy(now: u64) -> f64 {
    const HOURS: [f64; 24] = [
        0.15, 0.10, 0.08, 0.08, 0.10, 0.20, 0.45, 0.85, 1.45, 1.80, 1.90, 1.80, 1.60, 1.65, 1.70,
        1.65, 1.60, 1.55, 1.40, 1.25, 1.00, 0.75, 0.50, 0.30,
    ];
    let hours = now / 3_600_000_000_000;
    // The first of January 1970 was a Thursday.
    let weekday = (hours / 24 + 3) % 7;
    let week = if weekday >= 5 { 0.6 } else { 1.15 };
    HOURS[(hours % 24) as usize] * week
}
