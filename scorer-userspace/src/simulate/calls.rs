//! Which calls are made when: ordinary ones as they come, campaigns as they are due.

use std::{cmp::Reverse, collections::BinaryHeap};

use rand::RngExt as _;

use super::{
    Mix, SimulateError,
    call::{Family, Spec},
    campaign::{Campaign, shape},
    genuine::Population,
    random::{Stream, exponential, hash, stream},
    world::World,
};
use crate::time::Timestamp;

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

/// Calls in the order of time.
#[derive(Debug)]
pub(super) struct Calls {
    pub(super) world: World,
    mix: Mix,
    population: Population,
    pub(super) start: Timestamp,
    end: u64,
    left: u64,
    /// When campaigns call next, soonest first.
    due: BinaryHeap<Reverse<(u64, usize)>>,
    campaigns: Vec<Campaign>,
    credits: Vec<Credit>,
    /// Ordinary families and the sum of weights up to each.
    ordinary: Vec<(f64, Family)>,
    /// Share of calls that campaigns make.
    by_campaigns: f64,
    random: Stream,
    /// When the next ordinary call comes.
    next: u64,
}

impl Calls {
    /// So many calls.
    pub(super) fn new(mix: Mix, seed: u64, calls: u64) -> Result<Self, SimulateError> {
        let wrong = |what| SimulateError::Mix { what };
        mix.check().map_err(wrong)?;
        let start = mix.begin().map_err(wrong)?;
        let world = World::new(seed, &mix.without_stacks, mix.drift.stacks_per_day, mix.drama)
            .map_err(wrong)?;
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
            let most = match mix.campaign_calls {
                0 => most,
                wanted => most.min(wanted as f64),
            };
            let owed = -random.random::<f64>() * (size * MEAN).min(most);
            credits.push(Credit { family, share, owed, most });
        }
        if ordinary.is_empty() && credits.is_empty() {
            return Err(wrong("every family has the weight 0".into()));
        }
        let end = mix.duration_s.map_or(u64::MAX, |s| start.0 + (s * 1e9) as u64);
        let mut this = Self {
            world,
            mix,
            population,
            start,
            end,
            left: calls,
            due: BinaryHeap::new(),
            campaigns: Vec::new(),
            credits,
            ordinary,
            by_campaigns,
            random,
            next: 0,
        };
        this.next = this.after(start.0);
        Ok(this)
    }

    /// The next call and its time, nanoseconds since 1970.
    pub(super) fn next(&mut self) -> Option<(u64, Spec)> {
        loop {
            let due = self.due.peek().map(|Reverse((time, _))| *time);
            let campaign = due.filter(|due| *due <= self.next);
            let now = campaign.unwrap_or(self.next);
            if self.left == 0 || now >= self.end {
                return None;
            }
            let spec = if campaign.is_some() {
                let Reverse((_, place)) = self.due.pop()?;
                Some(self.campaign(place, now))
            } else {
                self.next = self.after(now);
                self.campaigns_due(now);
                self.ordinary_call(now)
            };
            if let Some(spec) = spec {
                self.left -= 1;
                return Some((now, spec));
            }
        }
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

    /// None when every ordinary family has the weight 0.
    fn ordinary_call(&mut self, now: u64) -> Option<Spec> {
        let (sum, _) = *self.ordinary.last()?;
        let at = self.random.random::<f64>() * sum;
        let place = self.ordinary.partition_point(|(sum, _)| *sum < at);
        let (_, family) = self.ordinary[place.min(self.ordinary.len() - 1)];
        let days = self.days(now);
        Some(self.world.genuine(family, &self.population, days, &mut self.random))
    }

    fn campaigns_due(&mut self, now: u64) {
        let days = self.days(now);
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
            self.due.push(Reverse((now + soon, place)));
        }
    }

    fn campaign(&mut self, place: usize, now: u64) -> Spec {
        let days = self.days(now);
        let (spec, gap) = self.campaigns[place].next(&self.world, &self.population, days);
        if let Some(gap) = gap {
            self.due.push(Reverse((now + (gap * 1e9) as u64 + 1, place)));
        }
        spec
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
