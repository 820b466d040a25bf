//! Profiles that are probably the same caller: weighed off the scoring thread, over
//! the portraits of all.
//!
//! What two share counts by how few have it: a gateway's address is nothing, a number is
//! nearly all. What they do not share counts against them by how steady they are.

use std::collections::HashMap;

use super::{KINDS, Kind, Portrait};

/// A token of more profiles than this finds nobody.
const COMMON: usize = 200;
/// Links below are not told.
const DOUBT: f32 = 0.5;
/// Share of alike bits from which signalling counts as alike.
const ALIKE: f32 = 0.9;

/// What speaks for a link, or against it.
#[derive(Clone, Debug, PartialEq)]
pub struct Why {
    /// Kind of evidence, `signalling` or `time`.
    pub kind: &'static str,
    /// Nats; negative against.
    pub says: f32,
    /// Tokens that both have.
    pub shared: u32,
    /// Profiles that have the rarest of them.
    pub profiles: u32,
}

/// A probable link.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// To this profile.
    pub profile: u64,
    /// Probability that it is the same caller, 0–1.
    pub confidence: f32,
    /// What it rests on, strongest first.
    pub why: Vec<Why>,
}

/// All portraits, and who shares what.
#[derive(Debug, Default)]
pub struct Linker<'a> {
    portraits: HashMap<u64, &'a Portrait>,
    /// Profiles by token; of common ones the first.
    users: HashMap<u64, Vec<u64>>,
    counts: HashMap<u64, u32>,
    /// Seconds from the first call to the last.
    whole: f64,
}

impl<'a> Linker<'a> {
    /// Of portraits by the profile's id.
    pub fn new(portraits: impl IntoIterator<Item = (u64, &'a Portrait)>) -> Self {
        let mut this = Self::default();
        let (mut first, mut last) = (u64::MAX, 0);
        for (id, portrait) in portraits {
            first = first.min(portrait.first.0);
            last = last.max(portrait.last.0);
            for (token, _) in Kind::ALL.iter().flat_map(|kind| portrait.tokens(*kind)) {
                *this.counts.entry(*token).or_default() += 1;
                let users = this.users.entry(*token).or_default();
                if users.len() < COMMON {
                    users.push(id);
                }
            }
            this.portraits.insert(id, portrait);
        }
        this.whole = last.saturating_sub(first) as f64 / 1e9;
        this
    }

    /// Links of one profile, the surest first.
    pub fn links(&self, id: u64) -> Vec<Link> {
        let Some(of) = self.portraits.get(&id) else { return Vec::new() };
        let mut candidates: Vec<u64> = Vec::new();
        for (token, _) in Kind::ALL.iter().flat_map(|kind| of.tokens(*kind)) {
            let users = self.users.get(token).map_or(&[][..], Vec::as_slice);
            if users.len() < COMMON {
                candidates.extend(users);
            }
        }
        // Signalled alike, wherever they come from.
        let alike = |other: &Portrait| likeness(of.signature, other.signature) >= ALIKE;
        let like: Vec<u64> =
            self.portraits.iter().filter(|(_, other)| alike(other)).map(|(id, _)| *id).collect();
        if like.len() < COMMON {
            candidates.extend(&like);
        }
        candidates.sort_unstable();
        candidates.dedup();
        let mut links: Vec<_> = candidates
            .into_iter()
            .filter(|other| *other != id)
            .filter_map(|other| {
                let link = self.weigh(of, other, self.portraits.get(&other)?, like.len());
                (link.confidence >= DOUBT).then_some(link)
            })
            .collect();
        links.sort_by(|a, b| b.confidence.total_cmp(&a.confidence).then(a.profile.cmp(&b.profile)));
        links
    }

    fn weigh(&self, a: &Portrait, id: u64, b: &Portrait, alike: usize) -> Link {
        let all = self.portraits.len().max(2) as f32;
        let mut why = Vec::new();
        let mut rarest: [Option<u64>; KINDS] = [None; KINDS];
        for kind in Kind::ALL {
            let (of_a, of_b) = (a.tokens(kind), b.tokens(kind));
            let parent = kind.parent();
            let hangs = parent.is_some_and(|parent| rarest[parent as usize].is_none());
            if of_a.is_empty() || of_b.is_empty() || hangs {
                continue;
            }
            let count = |token: u64| self.counts.get(&token).copied().unwrap_or(1);
            let has = |tokens: &[(u64, u32)], token: u64| {
                tokens.iter().find(|(known, _)| *known == token).map_or(0, |(_, calls)| *calls)
            };
            let shared: Vec<_> = of_a.iter().filter(|(token, _)| has(of_b, *token) > 0).collect();
            let least = shared.iter().map(|(token, _)| *token).min_by_key(|t| (count(*t), *t));
            let Some(token) = least else {
                // Two who keep what they have would not differ in it.
                let steady = steadiness(of_a).min(steadiness(of_b));
                let says = (1.0 - 0.95 * steady).ln();
                why.push(Why { kind: kind.name(), says, shared: 0, profiles: 0 });
                continue;
            };
            rarest[kind as usize] = Some(token);
            let around =
                parent.and_then(|p| rarest[p as usize]).map_or(all, |token| count(token) as f32);
            let part = |tokens: &[(u64, u32)]| {
                let sum: u32 = tokens.iter().map(|(_, calls)| calls).sum();
                let both: u32 = shared.iter().map(|(token, _)| has(tokens, *token)).sum();
                both as f32 / sum.max(1) as f32
            };
            // Beside the two themselves.
            let others = (count(token).saturating_sub(2)) as f32 + kind.weight().unseen;
            let share = (others / around.max(others)).min(1.0);
            let kept = part(of_a).min(part(of_b)).max(0.1);
            let says = (-share.ln()).min(kind.weight().most) * kept;
            let (shared, profiles) = (shared.len() as u32, count(token));
            why.push(Why { kind: kind.name(), says, shared, profiles });
        }
        if rarest[Kind::Stack as usize].is_none() && likeness(a.signature, b.signature) >= ALIKE {
            let says = (all / alike.max(1) as f32).ln().clamp(0.0, 5.0);
            why.push(Why { kind: "signalling", says, shared: 1, profiles: alike as u32 });
        }
        let seconds = |from: u64, to: u64| to.saturating_sub(from) as f64 / 1e9;
        let apart = seconds(a.last.0, b.first.0).max(seconds(b.last.0, a.first.0));
        let shorter = seconds(a.first.0, a.last.0).min(seconds(b.first.0, b.last.0));
        let says = (self.whole / (apart + shorter + 60.0)).ln().clamp(-2.0, 3.0) as f32;
        why.push(Why { kind: "time", says, shared: 0, profiles: 0 });
        // One other profile among all is this caller's.
        let total = why.iter().map(|why| why.says).sum::<f32>() - all.ln();
        why.retain(|why| why.says.abs() >= 0.1);
        why.sort_by(|a, b| b.says.total_cmp(&a.says));
        Link { profile: id, confidence: 1.0 / (1.0 + (-total).exp()), why }
    }
}

/// How far one token stays the same from call to call, 0–1.
fn steadiness(tokens: &[(u64, u32)]) -> f32 {
    let calls: u32 = tokens.iter().map(|(_, calls)| calls).sum();
    // As if two calls before had kept it.
    1.0 - (tokens.len() as f32 - 1.0 + 0.3) / (calls as f32 + 1.0)
}

/// Share of alike bits.
fn likeness(a: u64, b: u64) -> f32 {
    1.0 - (a ^ b).count_ones() as f32 / 64.0
}

#[cfg(test)]
mod tests {
    use super::Linker;
    use crate::{
        profiles::{Evidence, KINDS, Kind, Portrait},
        time::Timestamp,
    };

    /// A caller on gateway 1 in a crowd, with a number.
    fn portrait(number: u64, calls: u64, start: u64, change: &dyn Fn(&mut Evidence)) -> Portrait {
        let mut portrait = Portrait::default();
        for call in 0..calls {
            let mut evidence = Evidence([0; KINDS]);
            evidence.0[Kind::Source as usize] = 1;
            evidence.0[Kind::Stack as usize] = 2;
            evidence.0[Kind::Network as usize] = number;
            evidence.0[Kind::Callee as usize] = 5_000 + number * 100 + call;
            evidence.0[Kind::CalleeRange as usize] = 3;
            change(&mut evidence);
            portrait.add(&evidence, 0xff, Timestamp((start + call * 60) * 1_000_000_000));
        }
        portrait
    }

    #[test]
    fn rare_evidence_links_and_common_does_not() {
        let mut crowd: Vec<(u64, Portrait)> = (100..1_100)
            .map(|number| (number, portrait(number, 3, number * 50, &|_| {})))
            .collect();
        // One customer's identifier on two numbers, and one that stands behind a proxy.
        let origid = |e: &mut Evidence| e.0[Kind::Origid as usize] = 77;
        crowd.push((1, portrait(1, 4, 20_000, &origid)));
        crowd.push((2, portrait(2, 4, 21_000, &origid)));
        let linker = Linker::new(crowd.iter().map(|(id, portrait)| (*id, portrait)));
        let links = linker.links(1);
        assert_eq!(links.len(), 1, "{links:?}");
        assert_eq!(links[0].profile, 2);
        assert!(links[0].confidence > 0.9, "{links:?}");
        assert_eq!((links[0].why[0].kind, links[0].why[0].profiles), ("origid", 2));
        assert!(links[0].why.iter().any(|why| why.kind == "network number" && why.says < 0.0));
        assert_eq!(linker.links(100), [], "a shared gateway links nobody");
        assert_eq!(linker.links(9), []);
    }
}
