//! The profiles as the scoring thread knows them: bounded, without allocation.

use bytemuck::{Pod, Zeroable};

use super::{
    Evidence, KINDS, Kind, Portrait,
    kind::PARENTS,
    model::{Bounds, JOINS, Pace, VOTES},
    weigh::{Ratios, Says, Scene, Score, product},
};
use crate::{
    history::{
        pages::{Pages, prefetch},
        table::{Aged, Table},
    },
    maths::exp2,
    time::Timestamp,
};

/// Profiles remembered of a token.
const USERS: usize = 4;
/// Values remembered of a kind that many callers share.
const RECENT: usize = 6;
/// Profiles compared with a call.
const CANDIDATES: usize = 12;
/// Kinds whose tokens many share: a token's few users do not tell who had it.
pub(super) const SHARED: [Kind; 6] =
    [Kind::Source, Kind::Stack, Kind::Origin, Kind::Manner, Kind::Country, Kind::CalleeRange];
/// Place of a kind among those that many share.
pub(super) const SHARED_AT: [Option<usize>; KINDS] = {
    let mut places = [None; KINDS];
    let mut at = 0;
    while at < SHARED.len() {
        places[SHARED[at] as usize] = Some(at);
        at += 1;
    }
    places
};
/// Kinds by which candidates are found, the best first.
const FINDERS: [Kind; 10] = [
    Kind::Network,
    Kind::Origid,
    Kind::Shown,
    Kind::Origin,
    Kind::Callee,
    Kind::Display,
    Kind::Manner,
    Kind::Country,
    Kind::Stack,
    Kind::Source,
];
/// Half-life of how common a token is, seconds.
const HALF_LIFE: f32 = 86_400.0;
/// Half-life of the rate of all calls, seconds.
const RATE_HALF_LIFE: f32 = 600.0;

/// What is known of a token.
#[derive(Clone, Copy, Debug, Zeroable, Pod)]
#[repr(C)]
pub(crate) struct Known {
    /// Calls that had it, decayed.
    pub(super) count: f32,
    /// Seconds since 1970.
    last: u32,
    /// Handles of the profiles that had it last, latest first; 0 for none.
    pub(super) users: [u32; USERS],
    /// Their calls, decayed.
    pub(super) counts: [f32; USERS],
    /// Of a profile that a case wants: stays whatever comes.
    pinned: u32,
}

impl Aged for Known {
    const BY_FREQUENCY: bool = true;

    fn worth(&self, now: Timestamp) -> f32 {
        let since = seconds(now).saturating_sub(self.last) as f32;
        // Worth a thousand calls, and for months.
        let wanted = 1_000.0 * self.pinned as f32 * decay(since, 30.0 * HALF_LIFE);
        self.count * decay(since, HALF_LIFE) + wanted
    }
}

impl Known {
    /// Calls of a profile that had it.
    pub(super) fn calls_of(&self, handle: u32) -> f32 {
        let calls = self.users.iter().zip(&self.counts);
        calls.map(|(user, count)| if *user == handle { *count } else { 0.0 }).sum()
    }

    /// The same with one more call of a profile, which is its latest user.
    fn with_call(&self, handle: u32, one: f32) -> Self {
        let count = self.calls_of(handle) + one;
        // Those before its place, or all but the last, move on.
        let (mut users, mut counts, mut moves) = ([handle; USERS], [count; USERS], true);
        for at in 1..USERS {
            moves &= self.users[at - 1] != handle;
            let from = if moves { at - 1 } else { at };
            (users[at], counts[at]) = (self.users[from], self.counts[from]);
        }
        Self { count: self.count + one, users, counts, ..*self }
    }

    fn decayed(mut self, now: u32) -> Self {
        let left = decay(now.saturating_sub(self.last) as f32, HALF_LIFE);
        self.count *= left;
        self.counts = self.counts.map(|count| count * left);
        self.last = self.last.max(now);
        self
    }
}

/// Handles of profiles that had a call's tokens, those of the best kind first. Few come
/// twice, and none is 0.
#[derive(Clone, Copy, Debug)]
struct Users {
    handles: [u32; FINDERS.len() * USERS],
    count: usize,
}

impl Users {
    const NOBODY: Self = Self { handles: [0; FINDERS.len() * USERS], count: 0 };

    fn of(known: &[Known; KINDS]) -> Self {
        // Of so many it is known whether they are there. A call has hardly more.
        const FIRST: usize = 16;
        let Self { mut handles, mut count } = Self::NOBODY;
        for kind in FINDERS {
            for user in known[kind as usize].users {
                let (first, _) = handles.split_first_chunk::<FIRST>().unwrap_or((&[0; FIRST], &[]));
                // Without a branch: whether it is new is as good as chance.
                let is_new = !is_among(first, user) & (user != 0);
                handles[count] = user;
                count += usize::from(is_new);
            }
        }
        Self { handles, count }
    }

    fn get(&self) -> &[u32] {
        &self.handles[..self.count]
    }
}

/// Whether it is one of them; all are compared at once.
pub(super) fn is_among<const N: usize>(handles: &[u32; N], handle: u32) -> bool {
    handles.iter().map(|known| u8::from(*known == handle)).sum::<u8>() > 0
}

/// How steady a profile is in a kind.
#[derive(Clone, Copy, Debug, Zeroable, Pod)]
#[repr(C)]
pub(super) struct Habit {
    kept: u16,
    seen: u16,
}

/// One of them. What every call that might be its is held against lies in its first four
/// cache lines.
#[derive(Clone, Copy, Debug, Zeroable, Pod)]
#[repr(C, align(64))]
pub(crate) struct Profile {
    /// 0 is a free place.
    pub(super) id: u64,
    /// Last call, ns since 1970.
    pub(super) last: u64,
    /// Handle of the profile that it turned out to be; 0 for none.
    is: u32,
    /// Rises when another profile takes the place.
    generation: u8,
    /// Kept whatever comes.
    pub(super) pinned: u8,
    /// Calls that could as well have been the rival's.
    votes: u8,
    spare: u8,
    pub(super) pace: Pace,
    pub(super) habits: [Habit; KINDS],
    /// Values of the kinds that many share that it had last.
    pub(super) recent: [[u32; RECENT]; SHARED.len()],
    /// Handle of the profile that its calls could be of, too.
    rival: u32,
    /// How often it had each of the recent values.
    counts: [[u16; RECENT]; SHARED.len()],
    /// First call, seconds since 1970.
    first: u32,
    calls: u32,
    /// Number of its case, from 1; 0 for none.
    case: u32,
    spare2: [u32; 3],
}

const _: () = assert!(size_of::<Profile>() == 320);
const _: () = assert!(std::mem::offset_of!(Profile, rival) <= HELD);

/// Bytes that every call that might be its is held against.
const HELD: usize = 256;

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
        let scene = Scene::new(evidence, known, (everybody, rate), bounds, now);
        let mut ranked: [Option<(u32, f64, Ratios)>; 2] = [None; 2];
        let mut sum = bounds.new;
        let (candidates, count) = self.candidates();
        for handle in &candidates[..count] {
            let Some(profile) = self.profile(*handle) else { continue };
            let ratios = scene.ratios(*handle, profile);
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
            if of.contradicted() || other.contradicted() {
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
        for (known, token) in self.known.iter_mut().zip(evidence.0) {
            *known = match self.tokens.get(token) {
                Some(known) if token != 0 => known.decayed(now),
                _ => Known { last: now, ..Known::zeroed() },
            };
        }
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

    /// Profiles that share a token with the call.
    fn candidates(&self) -> ([u32; CANDIDATES], usize) {
        let (mut found, mut count) = ([0; CANDIDATES], 0);
        for user in self.users.get() {
            let handle = self.resolve(*user);
            // Places not taken yet are 0.
            if is_among(&found, handle) {
                continue;
            }
            found[count] = handle;
            count += 1;
            if count == CANDIDATES {
                break;
            }
        }
        (found, count)
    }

    /// The profile that a handle's turned out to be; 0 where it is gone.
    fn resolve(&self, mut handle: u32) -> u32 {
        // Joined ones point to the oldest; a chain of more than a few is cut.
        for _ in 0..4 {
            match self.profile(handle) {
                Some(profile) if profile.is != 0 => handle = profile.is,
                Some(_) => return handle,
                None => return 0,
            }
        }
        0
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
        if named { Some(self.resolve(handle)).filter(|handle| *handle != 0) } else { None }
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

impl Profile {
    /// As if no case wanted it.
    pub(super) const fn forget_case(&mut self) {
        (self.pinned, self.case) = (0, 0);
    }

    /// It had a value of a kind that many share once more; whether that was among the
    /// recent ones.
    fn had(&mut self, shared: usize, token: u32) -> bool {
        let (tokens, counts) = (&mut self.recent[shared], &mut self.counts[shared]);
        if let Some(at) = tokens.iter().position(|known| *known == token) {
            if counts[at] == u16::MAX {
                *counts = counts.map(|count| count / 2);
            }
            counts[at] += 1;
            return true;
        }
        let at = (0..RECENT).min_by_key(|at| counts[*at]).unwrap_or(0);
        (tokens[at], counts[at]) = (token, 1);
        false
    }

    fn worth(&self, now: u32) -> f32 {
        if self.id == 0 {
            return -1.0;
        }
        if self.pinned != 0 {
            return f32::INFINITY;
        }
        let last = (self.last / 1_000_000_000) as u32;
        self.calls as f32 * decay(now.saturating_sub(last) as f32, HALF_LIFE)
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

fn seconds(now: Timestamp) -> u32 {
    (now.0 / 1_000_000_000).min(u64::from(u32::MAX)) as u32
}

/// What is left of 1 after so many seconds.
fn decay(since: f32, half_life: f32) -> f32 {
    if since < 1.0 { 1.0 } else { exp2((-since / half_life).max(-120.0)) }
}
