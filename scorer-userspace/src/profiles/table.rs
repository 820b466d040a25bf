//! The profiles as the scoring thread knows them: bounded, without allocation.

use bytemuck::Zeroable as _;

use super::{
    Evidence, KINDS, Kind, Portrait,
    kind::PARENTS,
    known::{HALF_LIFE, Known, USERS, Users, decay, is_among, seconds},
    model::{Bounds, JOINS, Pace, VOTES},
    profile::{HELD, Habit, Profile, RECENT, SHARED_AT},
    weigh::{Ratios, Says, Scene, Score, product},
};
use crate::{
    history::{
        pages::{Pages, prefetch},
        table::Table,
    },
    time::Timestamp,
};

/// Profiles compared with a call.
const CANDIDATES: usize = 12;
/// Half-life of the rate of all calls, seconds.
const RATE_HALF_LIFE: f32 = 600.0;

/// Where a call belongs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Belongs {
    /// The profile's id.
    pub profile: u64,
    /// Its calls, this one among them.
    pub calls: u32,
    /// How sure that is, 0–1; 1 for a profile that begins with the call.
    pub confidence: f32,
    /// A profile that this call showed to be the same.
    pub joined: Option<u64>,
    /// What spoke for it.
    pub says: Says,
}

impl Belongs {
    /// To nobody that is known.
    pub const NOBODY: Self =
        Self { profile: 0, calls: 0, confidence: 0.0, joined: None, says: [0.0; KINDS + 1] };
}

/// What [`Profiles::find`] found, for [`Profiles::take`].
#[derive(Clone, Copy, Debug)]
pub struct Found {
    best: Option<(u32, Score)>,
    second: Option<(u32, Score)>,
    /// Number of the case that the profile is attached to.
    pub case: Option<usize>,
    /// Where the call belongs; profile 0 where it is of nobody known.
    pub belongs: Belongs,
}

/// Where [`Profiles::settle`] put a call.
#[derive(Clone, Copy, Debug)]
pub struct Place(u32);

/// All profiles.
#[derive(Debug)]
pub struct Profiles {
    pub(super) tokens: Table<Known>,
    pub(super) places: Pages<Profile>,
    /// Next place to be given away.
    pub(super) hand: usize,
    pub(super) everybody: f32,
    pub(super) last: u32,
    pub(super) rate: f32,
    pub(super) rate_last: u64,
    bounds: Bounds,
    /// What was known of the tokens of the call that was looked for last; not in what is
    /// found, since half a kilobyte would go from hand to hand.
    known: [Known; KINDS],
    /// Who had those tokens.
    users: Users,
    /// Handles of those that cases want.
    wanted: Vec<u32>,
    /// Profiles that made room for others.
    pub(crate) evicted: u64,
}

impl Profiles {
    /// As many as fit `bytes`.
    pub fn new(bytes: usize) -> Self {
        // A profile of some calls has a dozen tokens of its own.
        let profiles = (bytes / 100 * 40 / size_of::<Profile>()).clamp(8, 1 << 24);
        Self {
            tokens: Table::new(bytes / 100 * 60),
            places: Pages::new(profiles),
            hand: 0,
            everybody: 0.0,
            last: 0,
            rate: 0.0,
            rate_last: 0,
            bounds: Bounds::default(),
            known: [Known::zeroed(); KINDS],
            users: Users::NOBODY,
            wanted: Vec::new(),
            evicted: 0,
        }
    }

    /// Looks for the profile of a call. Counts nothing: it may be a retransmission.
    pub fn find(&mut self, evidence: &Evidence, now: Timestamp) -> Found {
        self.look(evidence, now);
        self.find_looked(evidence, now)
    }

    /// The same for the call that was looked for last.
    pub fn find_looked(&self, evidence: &Evidence, now: Timestamp) -> Found {
        let known = &self.known;
        let rate = (self.rate * std::f32::consts::LN_2 / RATE_HALF_LIFE).max(1e-6);
        let (bounds, everybody) = (&self.bounds, self.everybody);
        let scene = Scene::new(evidence, known, (everybody, rate), bounds);
        let mut ranked: [Option<(u32, f64, Ratios)>; 2] = [None; 2];
        let mut sum = bounds.new;
        let (handles, profiles) = self.candidates();
        let (mut paces, mut since) = ([Pace::default(); CANDIDATES], [0.0; CANDIDATES]);
        for (at, profile) in profiles.iter().flatten().enumerate() {
            paces[at] = profile.pace;
            since[at] = now.0.saturating_sub(profile.last) as f32 / 1e9;
        }
        let densities = Pace::densities(&paces, &since);
        let candidates = handles.iter().zip(profiles.iter().flatten());
        for ((handle, profile), density) in candidates.zip(densities) {
            let ratios = scene.ratios(*handle, profile, density);
            let total = product(&ratios);
            sum += total.min(bounds.sure);
            let beats = |other: Option<(u32, f64, Ratios)>| other.is_none_or(|(_, o, _)| total > o);
            if beats(ranked[0]) {
                ranked = [Some((*handle, total, ratios)), ranked[0]];
            } else if beats(ranked[1]) {
                ranked[1] = Some((*handle, total, ratios));
            }
        }
        let likely = ranked[0].map_or(0.0, |(_, total, _)| total.min(bounds.sure));
        let [best, second] = ranked.map(|of| {
            of.map(|(handle, _, ratios)| (handle, Score::of(&ratios)))
                .filter(|(_, score)| score.is_enough())
        });
        let confidence = best.map_or(1.0, |_| (likely / sum) as f32);
        let profile = best.and_then(|(handle, _)| self.profile(handle));
        let case = profile.and_then(|profile| profile.case.checked_sub(1));
        let belongs = Belongs {
            profile: profile.map_or(0, |profile| profile.id),
            calls: profile.map_or(0, |profile| profile.calls),
            confidence,
            joined: None,
            says: best.map_or([0.0; KINDS + 1], |(_, score)| score.says),
        };
        Found { best, second, case: case.map(|case| case as usize), belongs }
    }

    /// Counts a call with the profile that was found, or with a new one of the id `seed`;
    /// the call that was looked for last.
    pub fn take(
        &mut self,
        found: &Found,
        evidence: &Evidence,
        seed: u64,
        now: Timestamp,
    ) -> Belongs {
        let (place, belongs) = self.settle(found, seed, now);
        self.learn(place, evidence, now);
        belongs
    }

    /// The same, but for what the profile learns of the call: that is not needed for its
    /// verdict, and [`Self::learn`] is to be called after that.
    pub fn settle(&mut self, found: &Found, seed: u64, now: Timestamp) -> (Place, Belongs) {
        self.count_all(now);
        let joined = found.best.zip(found.second).and_then(|((a, of), (b, other))| {
            // One that a snapshot names twice is not its own other.
            if a == b || of.contradicted() || other.contradicted() {
                return None;
            }
            let one = of.joins() >= JOINS && other.joins() >= JOINS;
            (self.vote(a, b) || one).then(|| self.join(a, b))?
        });
        let handle = match (found.best, joined) {
            (Some(_), Some((survivor, _))) => survivor,
            (Some((handle, _)), None) => handle,
            (None, _) => self.begin(seed, now),
        };
        let profile = &self.places.get()[place(handle)];
        let (profile, calls) = (profile.id, profile.calls.saturating_add(1));
        let joined = joined.map(|(_, id)| id);
        (Place(handle), Belongs { profile, calls, joined, ..found.belongs })
    }

    /// Has the keys on their way that [`Self::find`] will compare: do something else, and
    /// then [`Self::prefetch_values`].
    pub fn prefetch(&self, evidence: &Evidence) {
        for token in evidence.0 {
            self.tokens.prefetch_keys(token);
        }
    }

    /// Has what stands behind the keys on its way, too.
    pub fn prefetch_values(&self, evidence: &Evidence) {
        for token in evidence.0 {
            self.tokens.prefetch_value(token);
        }
    }

    /// What is known of the call's tokens, and has the profiles that had them on their way:
    /// do something else, and then [`Self::find_looked`].
    pub fn look(&mut self, evidence: &Evidence, now: Timestamp) {
        let now = seconds(now);
        let nothing = Known { last: now, ..Known::zeroed() };
        let known = evidence.0.map(|token| match self.tokens.get(token) {
            Some(known) if token != 0 => *known,
            _ => nothing,
        });
        self.known = Known::all_decayed(known, now);
        self.users = Users::of(&self.known);
        // More are hardly ever looked at.
        for user in self.users.get().iter().take(CANDIDATES) {
            if let Some(profile) = self.places.get().get(place(*user)) {
                bytemuck::bytes_of(profile)[..HELD].iter().step_by(64).for_each(prefetch);
            }
        }
    }

    fn count_all(&mut self, now: Timestamp) {
        let second = seconds(now);
        self.everybody *= decay(second.saturating_sub(self.last) as f32, HALF_LIFE);
        // One that another host tells late counts as much as is left of it.
        self.everybody += decay(self.last.saturating_sub(second) as f32, HALF_LIFE);
        self.last = self.last.max(second);
        let since = now.0.saturating_sub(self.rate_last) as f32 / 1e9;
        let late = self.rate_last.saturating_sub(now.0) as f32 / 1e9;
        self.rate = self.rate * decay(since, RATE_HALF_LIFE) + decay(late, RATE_HALF_LIFE);
        self.rate_last = self.rate_last.max(now.0);
    }

    /// Profiles that share a token with the call, and their handles; places not taken come
    /// last.
    fn candidates(&self) -> ([u32; CANDIDATES], [Option<&Profile>; CANDIDATES]) {
        let (mut handles, mut profiles, mut count) = ([0; CANDIDATES], [None; CANDIDATES], 0);
        // Users are told apart until one turns out to be another.
        let mut apart = true;
        for (at, user) in self.users.get().iter().enumerate() {
            let Some((handle, profile)) = self.resolve(*user) else { continue };
            apart &= handle == *user && at < Users::APART;
            if !apart && is_among(&handles, handle) {
                continue;
            }
            (handles[count], profiles[count]) = (handle, Some(profile));
            count += 1;
            if count == CANDIDATES {
                break;
            }
        }
        (handles, profiles)
    }

    /// The profile that a handle's turned out to be, and its handle; `None` where it is gone.
    fn resolve(&self, mut handle: u32) -> Option<(u32, &Profile)> {
        // Joined ones point to the oldest; a chain of more than a few is cut.
        for _ in 0..4 {
            match self.profile(handle)? {
                profile if profile.is != 0 => handle = profile.is,
                profile => return Some((handle, profile)),
            }
        }
        None
    }

    fn profile(&self, handle: u32) -> Option<&Profile> {
        if handle.trailing_zeros() >= 24 {
            return None;
        }
        let profile = self.places.get().get(place(handle))?;
        (profile.id != 0 && profile.generation == generation(handle)).then_some(profile)
    }

    /// A call of `a` could be `b`'s, too; whether that was so often.
    fn vote(&mut self, a: u32, b: u32) -> bool {
        let profile = &mut self.places.get_mut()[place(a)];
        if profile.rival == b {
            profile.votes += 1;
        } else if profile.votes > 0 {
            profile.votes -= 1;
        } else {
            (profile.rival, profile.votes) = (b, 1);
        }
        profile.rival == b && profile.votes >= VOTES
    }

    /// Two are one: the one with more calls stays. Its handle, and the other's id.
    fn join(&mut self, a: u32, b: u32) -> Option<(u32, u64)> {
        let (of_a, of_b) = (*self.profile(a)?, *self.profile(b)?);
        let a_stays = (of_a.pinned, of_a.calls) >= (of_b.pinned, of_b.calls);
        let (stays, kept, goes, gone) =
            if a_stays { (a, of_a, b, of_b) } else { (b, of_b, a, of_a) };
        if gone.pinned != 0 {
            // Both are wanted by name.
            return None;
        }
        let profiles = self.places.get_mut();
        profiles[place(goes)].is = stays;
        let survivor = &mut profiles[place(stays)];
        survivor.calls = kept.calls.saturating_add(gone.calls);
        survivor.first = kept.first.min(gone.first);
        survivor.last = kept.last.max(gone.last);
        survivor.case = if kept.case == 0 { gone.case } else { kept.case };
        for (habit, other) in survivor.habits.iter_mut().zip(gone.habits) {
            habit.kept = habit.kept.saturating_add(other.kept);
            habit.seen = habit.seen.saturating_add(other.seen);
        }
        Some((stays, gone.id))
    }

    /// A profile that begins.
    fn begin(&mut self, seed: u64, now: Timestamp) -> u32 {
        self.hand = (self.hand + 1) % self.places.len();
        self.begin_at(self.hand, seed, now)
    }

    /// The same in one of eight places.
    fn begin_at(&mut self, start: usize, seed: u64, now: Timestamp) -> u32 {
        let profiles = self.places.get_mut();
        let length = profiles.len();
        let second = seconds(now);
        // Of eight the one that is worth the least.
        let mut chosen = start % length;
        let mut least = f32::INFINITY;
        for step in 0..8 {
            let at = (start + step) % length;
            let worth = profiles[at].worth(second);
            if worth < least {
                (chosen, least) = (at, worth);
            }
        }
        self.evicted += u64::from(profiles[chosen].id != 0);
        let generation = profiles[chosen].generation.wrapping_add(1);
        let id = seed.max(1);
        profiles[chosen] =
            Profile { id, last: now.0, first: second, generation, ..Profile::zeroed() };
        let handle = handle_of(chosen, generation);
        self.name(id, handle, now, false);
        handle
    }

    /// Has a profile found by its id.
    fn name(&mut self, id: u64, handle: u32, now: Timestamp, pinned: bool) {
        if let Some(entry) = self.tokens.entry(id_key(id), now) {
            let Known { count, .. } = *entry.value;
            let mut users = [0; USERS];
            users[0] = handle;
            let last = seconds(now);
            let pinned = u32::from(pinned);
            *entry.value = Known { count: count + 1.0, last, users, counts: [0.0; USERS], pinned };
        }
    }

    /// The profile of an id, or the one it turned out to be.
    fn by_id(&mut self, id: u64) -> Option<u32> {
        let handle = self.tokens.get(id_key(id))?.users[0];
        let named = self.profile(handle).is_some_and(|profile| profile.id == id);
        if named { self.resolve(handle).map(|(handle, _)| handle) } else { None }
    }

    /// Follows profiles for cases from now on, and no others: `cases` gives the number of
    /// a case and its profiles, each with what it was known by, if that is known. Those
    /// that were not met yet are made from that. How many are not known at all.
    pub fn want<'a>(
        &mut self,
        cases: impl IntoIterator<Item = (usize, u64, &'a Portrait)>,
        now: Timestamp,
    ) -> usize {
        for handle in std::mem::take(&mut self.wanted) {
            let profiles = self.places.get_mut();
            if let Some(profile) = profiles.get_mut(place(handle)) {
                (profile.pinned, profile.case) = (0, 0);
            }
        }
        let mut unknown = 0;
        for (case, id, portrait) in cases {
            let handle = self.by_id(id).or_else(|| {
                (!portrait.is_empty()).then(|| {
                    let evidence = portrait.typical();
                    let found = self.find(&evidence, now);
                    // The same caller under another id, or nobody met yet.
                    let sure = found.best.filter(|(_, score)| score.joins() >= JOINS);
                    sure.map_or_else(|| self.adopt(id, portrait, now), |(handle, _)| handle)
                })
            });
            let Some(handle) = handle else {
                unknown += 1;
                continue;
            };
            let profile = &mut self.places.get_mut()[place(handle)];
            (profile.pinned, profile.case) = (1, case as u32 + 1);
            self.wanted.push(handle);
        }
        unknown
    }

    /// Makes a profile from what is known of it.
    fn adopt(&mut self, id: u64, portrait: &Portrait, now: Timestamp) -> u32 {
        // Spread: eight side by side that are all wanted would have to make room.
        let start = id_key(id) as usize % self.places.len();
        let handle = self.begin_at(start, id, now);
        self.name(id, handle, now, true);
        let profile = &mut self.places.get_mut()[place(handle)];
        profile.calls = portrait.calls;
        profile.first = seconds(portrait.first);
        profile.last = portrait.last.0.min(now.0);
        for kind in Kind::ALL {
            let tokens = portrait.tokens(kind);
            let calls: u32 = tokens.iter().map(|(_, calls)| *calls).sum();
            // As many as a habit remembers.
            let seen = calls.saturating_sub(1).min(32);
            let changed = (tokens.len() as u32).saturating_sub(1);
            let kept = seen - (seen * changed).checked_div(calls.max(1)).unwrap_or(0).min(seen);
            profile.habits[kind as usize] = Habit { kept: kept as u16, seen: seen as u16 };
            if let Some(shared) = SHARED_AT[kind as usize] {
                for (at, (token, calls)) in tokens.iter().take(RECENT).enumerate() {
                    profile.recent[shared][at] = *token as u32;
                    profile.counts[shared][at] = (*calls).min(1_000) as u16;
                }
            }
        }
        for (token, calls) in Kind::ALL.into_iter().flat_map(|kind| portrait.tokens(kind)) {
            if let Some(entry) = self.tokens.entry(*token, now) {
                let mut next = entry.value.decayed(seconds(now));
                let calls = (*calls).min(1_000) as f32;
                next.count = next.count.max(calls);
                next.users.copy_within(..USERS - 1, 1);
                next.counts.copy_within(..USERS - 1, 1);
                (next.users[0], next.counts[0], next.pinned) = (handle, calls, 1);
                *entry.value = next;
            }
        }
        handle
    }

    /// What is wanted of a place at all times.
    pub(crate) fn populate(&self) {
        self.tokens.populate();
        self.places.populate();
    }

    /// Bytes it takes when all of it is used.
    pub fn bytes(&self) -> usize {
        self.tokens.bytes() + self.places.len() * size_of::<Profile>()
    }

    /// Adds the call that was settled last to its profile.
    pub fn learn(&mut self, at: Place, evidence: &Evidence, now: Timestamp) {
        let handle = at.0;
        let profile = &mut self.places.get_mut()[place(handle)];
        let since = now.0.saturating_sub(profile.last) as f32 / 1e9;
        let first = profile.calls == 0;
        if !first {
            profile.pace.learn(since, profile.calls + 1);
        }
        profile.last = profile.last.max(now.0);
        profile.calls = profile.calls.saturating_add(1);
        // One more is what stands for itself.
        let mut kept = [false; KINDS + 1];
        kept[KINDS] = true;
        for kind in Kind::ALL {
            let token = evidence.get(kind);
            if token == 0 {
                continue;
            }
            let at = kind as usize;
            kept[at] = match SHARED_AT[at] {
                Some(shared) => profile.had(shared, token as u32),
                None => self.known[at].users.contains(&handle),
            };
            if !first & kept[PARENTS[at]] {
                let habit = &mut profile.habits[at];
                habit.seen += 1;
                habit.kept += u16::from(kept[at]);
                if habit.seen >= 64 {
                    habit.seen /= 2;
                    habit.kept /= 2;
                }
            }
        }
        for kind in Kind::ALL {
            let token = evidence.get(kind);
            if token == 0 {
                continue;
            }
            if let Some(entry) = self.tokens.entry(token, now) {
                let known = &self.known[kind as usize];
                let one = decay(known.last.saturating_sub(seconds(now)) as f32, HALF_LIFE);
                *entry.value = known.with_call(handle, one);
            }
        }
    }
}

/// Key of an id among tokens.
const fn id_key(id: u64) -> u64 {
    (id ^ 0x7072_6f66_696c_6573).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
}

/// Of a handle other than 0.
fn place(handle: u32) -> usize {
    ((handle & 0xff_ffff) as usize).wrapping_sub(1)
}

fn generation(handle: u32) -> u8 {
    (handle >> 24) as u8
}

fn handle_of(place: usize, generation: u8) -> u32 {
    (place as u32 + 1) | u32::from(generation) << 24
}
