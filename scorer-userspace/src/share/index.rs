//! What other organisations say, as calls are looked up in it: immutable, made off the
//! scoring thread. Looking up allocates nothing and costs at most three HMACs an epoch.

use hashbrown::HashMap;

use super::{
    MEMBERS,
    event::{Category, Event, Kind, Pseudonym},
    pseudonym::{Keys, Marks, Token},
};
use crate::{
    lists::{Hits, List},
    time::Timestamp,
};

/// Reports shown of a call.
const SHOWN: usize = 4;

/// When what several organisations say is strong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorum {
    /// Organisations that must say it.
    pub members: u8,
    /// What their words weigh together at least: trust times confidence of each, per
    /// cent; half of it where it is a suspicion.
    pub weight: u16,
}

impl Default for Quorum {
    fn default() -> Self {
        Self { members: 2, weight: 100 }
    }
}

/// What one organisation says of one caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its place in [`Index::name`].
    pub organisation: u8,
    /// Confirmed or suspected.
    pub kind: Kind,
    /// Of which fraud.
    pub category: Category,
    /// How sure it is, 0–100.
    pub confidence: u8,
    /// How much it is trusted here, 0–100.
    pub trust: u8,
    /// Calls that are the evidence.
    pub evidence: u32,
    /// When it said so, and until when it holds, seconds since 1970.
    pub at: u32,
    /// Until when it holds, seconds since 1970.
    pub until: u32,
}

impl Report {
    /// Of an event of an organisation.
    pub fn of(event: &Event, organisation: u8, trust: u8) -> Self {
        let seconds = |ms: u64| u32::try_from(ms / 1_000).unwrap_or(u32::MAX);
        Self {
            organisation,
            kind: event.kind,
            category: event.category,
            confidence: event.confidence,
            trust,
            evidence: event.evidence,
            at: seconds(event.time),
            until: seconds(event.expires),
        }
    }

    /// What it weighs, 0–100.
    pub fn weight(&self) -> u16 {
        let full = u16::from(self.trust.min(100)) * u16::from(self.confidence.min(100)) / 100;
        if self.kind == Kind::Confirmed { full } else { full / 2 }
    }
}

/// What a call was found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// The number that the network asserts.
    Network,
    /// The number shown.
    Number,
    /// How it signals, and who is behind.
    Signalling,
}

impl By {
    /// Name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Network => "network_number",
            Self::Number => "number",
            Self::Signalling => "signalling",
        }
    }
}

/// What is said of a call, with an entry for each of the organisations that weigh most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    /// Organisations.
    pub members: u8,
    /// Those that confirm it.
    pub confirmed: u8,
    /// What their words weigh together, per cent of one that is trusted and sure.
    pub weight: u16,
    /// Whether that is strong.
    pub strong: bool,
    /// What the call was found by.
    pub by: By,
    /// When it was last said, seconds since 1970.
    pub latest: u32,
    reports: [u32; SHOWN],
}

/// A match with the index that it is of.
#[derive(Clone, Copy, Debug)]
pub struct Shared<'a> {
    /// What is said.
    pub hit: Match,
    index: &'a Index,
}

impl<'a> Shared<'a> {
    /// A match of an index.
    pub fn new(index: &'a Index, hit: Match) -> Self {
        Self { hit, index }
    }

    /// Who says what, the weightiest first; of more than four the first four.
    pub fn reports(&self) -> impl Iterator<Item = (&'a str, &'a Report)> {
        let index = self.index;
        let reports = self.hit.reports.into_iter().take(usize::from(self.hit.members));
        reports.filter_map(move |at| {
            let report = &index.reports.get(at as usize)?.report;
            Some((index.name(report.organisation), report))
        })
    }
}

/// A report as it is kept.
#[derive(Clone, Copy, Debug)]
struct Kept {
    report: Report,
    /// That must be the call's, too, where it is found by its sketch.
    fingerprint: Pseudonym,
    /// The caller's network number is known: a call that asserts another is not its.
    numbered: bool,
    /// Another report of the same pseudonym; the numbers' and the sketches' chains.
    next: [u32; 2],
}

const NONE: u32 = u32::MAX;

/// The index.
#[derive(Debug, Default)]
pub struct Index {
    /// Of the current epoch and the one before.
    keys: Vec<Keys>,
    numbers: HashMap<Pseudonym, u32, foldhash::fast::RandomState>,
    sketches: HashMap<Pseudonym, u32, foldhash::fast::RandomState>,
    reports: Vec<Kept>,
    names: Vec<Box<str>>,
    quorum: Quorum,
}

impl Index {
    /// An index that knows nothing yet; `names` are those of organisations.
    pub fn new(keys: Vec<Keys>, names: Vec<Box<str>>, quorum: Quorum) -> Self {
        Self { keys, names, quorum, ..Self::default() }
    }

    /// Adds an accusation, found by these pseudonyms, which are the event's unless they
    /// are a member's own for it.
    pub fn add(&mut self, report: Report, subject: &super::event::Subject) {
        let at = self.reports.len() as u32;
        let mut next = [NONE; 2];
        // One that is both shown and asserted stands once.
        let network = subject.network.filter(|network| subject.number != Some(*network));
        if let Some(number) = subject.number.or(network) {
            next[0] = self.numbers.insert(number, at).unwrap_or(NONE);
        }
        let sketched = subject.sketch.zip(subject.fingerprint);
        if let Some((sketch, _)) = sketched {
            next[1] = self.sketches.insert(sketch, at).unwrap_or(NONE);
        }
        let fingerprint = sketched.map(|(_, fingerprint)| fingerprint).unwrap_or_default();
        let numbered = subject.network.is_some();
        self.reports.push(Kept { report, fingerprint, numbered, next });
        if let (Some(_), Some(network)) = (subject.number, network) {
            let also = super::event::Subject { network: Some(network), ..Default::default() };
            self.add(report, &also);
        }
    }

    /// Reports in it; one that has two numbers counts twice.
    pub fn len(&self) -> usize {
        self.reports.len()
    }

    /// Whether nothing is said of anybody.
    pub fn is_empty(&self) -> bool {
        self.reports.is_empty()
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        let tables = self.numbers.capacity() + self.sketches.capacity();
        tables * (size_of::<Pseudonym>() + 5) + self.reports.capacity() * size_of::<Kept>()
    }

    /// Name of an organisation.
    pub fn name(&self, organisation: u8) -> &str {
        self.names.get(usize::from(organisation)).map_or("?", |name| name)
    }

    /// What is said of a call. `crowd` says that its sketch is many callers'.
    pub fn look(&self, marks: &Marks, crowd: bool, now: Timestamp) -> Option<Match> {
        if self.is_empty() {
            return None;
        }
        let now = (now.0 / 1_000_000_000).min(u64::from(u32::MAX)) as u32;
        let mut found = Found { now, best: [NONE; MEMBERS], by: None };
        let number = |number: Option<&Number>| number.and_then(Token::number);
        let network = number(marks.network.as_ref());
        let shown = number(marks.shown.as_ref()).filter(|shown| Some(*shown) != network);
        for keys in &self.keys {
            for (token, by) in [(&network, By::Network), (&shown, By::Number)] {
                let Some(token) = token else { continue };
                let mut at = self.numbers.get(&keys.of(token)).copied().unwrap_or(NONE);
                while let Some(kept) = self.reports.get(at as usize) {
                    found.take(self, at, kept, by);
                    at = kept.next[0];
                }
            }
            let Some(sketch) = marks.sketch.filter(|_| !crowd && !self.sketches.is_empty()) else {
                continue;
            };
            let mut at =
                self.sketches.get(&keys.of(&Token::sketch(&sketch))).copied().unwrap_or(NONE);
            if at == NONE {
                continue;
            }
            let fingerprint = keys.of(&Token::fingerprint(&marks.fingerprint));
            while let Some(kept) = self.reports.get(at as usize) {
                // Another subscriber's number, which its network vouches for.
                let another = kept.numbered && network.is_some();
                if kept.fingerprint == fingerprint && !another {
                    found.take(self, at, kept, By::Signalling);
                }
                at = kept.next[1];
            }
        }
        found.end(self)
    }
}

use crate::number::Number;

/// What was found so far: of each organisation the report that weighs most.
struct Found {
    now: u32,
    best: [u32; MEMBERS],
    by: Option<By>,
}

impl Found {
    fn take(&mut self, index: &Index, at: u32, kept: &Kept, by: By) {
        let report = &kept.report;
        if report.until <= self.now {
            return;
        }
        let Some(best) = self.best.get_mut(usize::from(report.organisation)) else { return };
        let rank = |report: &Report| (report.kind == Kind::Confirmed, report.weight(), report.at);
        let known = index.reports.get(*best as usize).map(|kept| rank(&kept.report));
        if known.is_none_or(|known| known < rank(report)) {
            *best = at;
        }
        self.by = Some(self.by.map_or(by, |known| known.min(by)));
    }

    fn end(self, index: &Index) -> Option<Match> {
        let by = self.by?;
        let mut hit = Match {
            members: 0,
            confirmed: 0,
            weight: 0,
            strong: false,
            by,
            latest: 0,
            reports: [NONE; SHOWN],
        };
        let mut weights = [0; SHOWN];
        for at in self.best {
            let Some(Kept { report, .. }) = index.reports.get(at as usize) else { continue };
            hit.members += 1;
            hit.confirmed += u8::from(report.kind == Kind::Confirmed);
            hit.weight += report.weight();
            hit.latest = hit.latest.max(report.at);
            let weight = 1 + report.weight();
            if let Some(place) = weights.iter().position(|known| weight > *known) {
                weights[place..].rotate_right(1);
                hit.reports[place..].rotate_right(1);
                (weights[place], hit.reports[place]) = (weight, at);
            }
        }
        let Quorum { members, weight } = index.quorum;
        hit.strong = hit.confirmed > 0 && hit.members >= members && hit.weight >= weight;
        Some(hit)
    }
}

impl Match {
    /// Tells lists and features.
    pub fn tell(&self, hits: &mut Hits, now: Timestamp) {
        if self.confirmed == 0 {
            return;
        }
        let age = (now.0 / 1_000_000_000).saturating_sub(u64::from(self.latest)) as f32;
        hits.lists.insert(List::Consortium);
        hits.consortium = hits.consortium.max(self.confirmed);
        hits.consortium_age = hits.consortium_age.min(age);
        if self.strong {
            hits.lists.insert(List::ConsortiumStrong);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{By, Index, Quorum, Report};
    use crate::{
        number::Number,
        share::{
            event::{Category, Kind, Subject},
            pseudonym::{Keys, Marks},
        },
        time::Timestamp,
    };

    const NOW: Timestamp = Timestamp(1_760_000_000_000_000_000);

    fn report(organisation: u8, kind: Kind, confidence: u8, trust: u8) -> Report {
        let category = Category::Other;
        let (at, until) = (1_759_999_000, 1_760_000_100);
        Report { organisation, kind, category, confidence, trust, evidence: 1, at, until }
    }

    fn number(text: &str) -> Option<Number> {
        Number::parse(text.as_bytes(), None)
    }

    fn keys(epoch: u32) -> Keys {
        Keys::new(epoch, &[epoch as u8; 32])
    }

    fn index(epochs: &[u32], quorum: Quorum) -> Index {
        let names = (0..5).map(|i| format!("carrier-{i}").into()).collect();
        Index::new(epochs.iter().map(|epoch| keys(*epoch)).collect(), names, quorum)
    }

    fn subject(marks: &Marks, epoch: u32) -> Subject {
        let keys = keys(epoch);
        marks.subject(|token| Ok::<_, ()>(keys.of(token))).expect("made")
    }

    fn caller() -> Marks {
        let network = number("+441632960777");
        Marks { shown: None, network, sketch: Some([5; 16]), ..Marks::default() }
    }

    #[test]
    fn withheld_by_its_network_number_and_spoofed_by_its_signalling() {
        let mut index = index(&[1], Quorum::default());
        index.add(report(0, Kind::Confirmed, 90, 100), &subject(&caller(), 1));
        let by = |marks: &Marks| index.look(marks, false, NOW).map(|hit| hit.by);
        assert_eq!(by(&Marks { sketch: None, ..caller() }), Some(By::Network));
        let shown = Marks { shown: number("+441632960777"), ..Marks::default() };
        assert_eq!(by(&shown), Some(By::Number));
        // Another number is shown, and the network tells none.
        let spoofed = Marks { shown: number("+441632960001"), network: None, ..caller() };
        assert_eq!(by(&spoofed), Some(By::Signalling));
        // A crowd's signalling is nobody's; nor is it that of another subscriber, whom
        // the network knows; nor without the fingerprint.
        assert_eq!(index.look(&spoofed, true, NOW), None);
        assert_eq!(by(&Marks { network: number("+441632960002"), ..spoofed }), None);
        assert_eq!(by(&Marks { sketch: Some([6; 16]), ..spoofed }), None);
        assert_eq!(by(&Marks { sketch: None, ..spoofed }), None);
        assert_eq!(by(&Marks::default()), None);
        // It ends.
        let later = Timestamp(NOW.0 + 200_000_000_000);
        assert_eq!(index.look(&caller(), false, later), None);
    }

    #[test]
    fn both_epochs_count_as_one_caller() {
        let mut index = index(&[2, 1], Quorum::default());
        index.add(report(0, Kind::Confirmed, 90, 100), &subject(&caller(), 1));
        index.add(report(1, Kind::Confirmed, 80, 50), &subject(&caller(), 2));
        // Of an epoch before: not found.
        index.add(report(2, Kind::Confirmed, 99, 100), &subject(&caller(), 9));
        let hit = index.look(&caller(), false, NOW).expect("found");
        assert_eq!((hit.members, hit.weight, hit.strong), (2, 130, true));
        let shared = super::Shared::new(&index, hit);
        let names: Vec<_> = shared.reports().map(|(name, _)| name).collect();
        assert_eq!(names, ["carrier-0", "carrier-1"]);
    }

    #[test]
    fn suspicion_is_no_confirmation() {
        let mut index = index(&[1], Quorum { members: 1, weight: 10 });
        (0..4)
            .for_each(|i| index.add(report(i, Kind::Suspected, 100, 100), &subject(&caller(), 1)));
        let hit = index.look(&caller(), false, NOW).expect("found");
        assert_eq!((hit.members, hit.confirmed, hit.weight, hit.strong), (4, 0, 200, false));
        let mut hits = crate::lists::Hits::default();
        hit.tell(&mut hits, NOW);
        assert_eq!((hits.consortium, hits.lists.0), (0, 0));
    }

    proptest! {
        /// However often one organisation says it, it is one; and it is strong only when
        /// as many as must be say so, with as much weight, and one confirms.
        #[test]
        fn quorum(
            said in prop::collection::vec((0..5u8, any::<bool>(), 0..=100u8, 0..5u32), 0..40),
            members in 1..5u8,
            weight in 0..300u16,
        ) {
            let mut index = index(&[1], Quorum { members, weight });
            let trust = |organisation: u8| 100 - 20 * organisation;
            for (organisation, confirmed, confidence, at) in &said {
                let kind = if *confirmed { Kind::Confirmed } else { Kind::Suspected };
                let mut report = report(*organisation, kind, *confidence, trust(*organisation));
                report.at += at;
                index.add(report, &subject(&caller(), 1));
            }
            let hit = index.look(&caller(), false, NOW);
            let (mut count, mut sum, mut confirmed) = (0, 0, 0);
            for organisation in 0..5u8 {
                let own = said.iter().filter(|(of, ..)| *of == organisation);
                // A confirmation goes before a suspicion, then what weighs more.
                let best = own.map(|(_, confirmed, confidence, _)| {
                    let full = u16::from(trust(organisation)) * u16::from(*confidence) / 100;
                    (*confirmed, if *confirmed { full } else { full / 2 })
                }).max();
                if let Some((is, weight)) = best {
                    count += 1;
                    sum += weight;
                    confirmed += u8::from(is);
                }
            }
            prop_assert_eq!(hit.is_some(), count > 0);
            if let Some(hit) = hit {
                prop_assert_eq!((hit.members, hit.weight, hit.confirmed), (count, sum, confirmed));
                prop_assert_eq!(hit.strong, confirmed > 0 && count >= members && sum >= weight);
                let shown = super::Shared::new(&index, hit).reports().count();
                prop_assert_eq!(shown, usize::from(count).min(4));
            }
        }
    }
}
