//! Profiles as the scoring thread uses them, and what they are worth on simulated traffic.

use std::{collections::HashMap, io, sync::Arc};

use super::{Belongs, Evidence, KINDS, Kind, Measured, Portrait, Profiles, Truth};
use crate::{
    cli::keeping::kept_certificates,
    config::Config,
    engine::Engine,
    features,
    model::Model,
    simulate::{Label, Mix, Packet, Simulation, Sink, write_site},
    time::Timestamp,
};

fn at(seconds: f64) -> Timestamp {
    Timestamp(1_760_000_000_000_000_000 + (seconds * 1e9) as u64)
}

/// A call by way of a gateway that many share.
fn call(gateway: u64, number: u64, callee: u64) -> Evidence {
    let mut evidence = Evidence([0; KINDS]);
    let mut set = |kind: Kind, token: u64| {
        evidence.0[kind as usize] =
            ((token << 8) | (kind as u64 + 1)).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    };
    set(Kind::Source, gateway);
    set(Kind::Stack, gateway);
    set(Kind::Manner, 1);
    set(Kind::Network, number);
    set(Kind::CalleeRange, callee / 100);
    set(Kind::Callee, callee);
    evidence
}

fn with(mut evidence: Evidence, kind: Kind, token: u64) -> Evidence {
    evidence.0[kind as usize] = token;
    evidence
}

fn take(profiles: &mut Profiles, evidence: &Evidence, seed: u64, now: Timestamp) -> Belongs {
    let found = profiles.find(evidence, now);
    profiles.take(&found, evidence, seed, now)
}

/// Two thousand callers of ten gateways, a call a second.
fn crowd(profiles: &mut Profiles) -> f64 {
    for i in 0..2_000u64 {
        let evidence = call(i % 10, 10_000 + i, 500_000 + i * 7);
        take(profiles, &evidence, 1_000_000 + i, at(i as f64));
    }
    2_000.0
}

#[test]
fn a_number_is_followed_when_it_is_withheld_or_another_is_shown() {
    let mut profiles = Profiles::new(4 << 20);
    let start = crowd(&mut profiles);
    let origin = 0xabcd_ef01;
    for i in 0..5u64 {
        let evidence = with(call(0, 7, 900_000 + i * 13), Kind::Origin, origin);
        let belongs = take(&mut profiles, &evidence, 1, at(start + i as f64 * 30.0));
        assert_eq!((belongs.profile, belongs.calls), (1, i as u32 + 1));
    }
    let now = at(start + 170.0);
    // Withheld, without any number, from behind the same proxy, to one called before.
    let silent = with(call(0, 0, 900_013), Kind::Origin, origin);
    let silent = with(with(silent, Kind::Network, 0), Kind::Manner, 99);
    let belongs = take(&mut profiles, &silent, 2, now);
    assert_eq!(belongs.profile, 1, "{belongs:?}");
    assert!(belongs.confidence > 0.6, "{belongs:?}");
    // Another number.
    let other = with(call(0, 8, 900_026), Kind::Origin, origin);
    let belongs = take(&mut profiles, &other, 3, at(start + 200.0));
    assert_eq!(belongs.profile, 1, "{belongs:?}");
    // The number that was used once, without what stood behind it.
    assert_eq!(take(&mut profiles, &call(0, 8, 900_700), 4, at(start + 230.0)).profile, 1);
    // The crowd of the same gateway is not drawn in.
    for i in 0..50 {
        let evidence = call(0, 70_000 + i, 700_000 + i * 1_117);
        let belongs = take(&mut profiles, &evidence, 10_000 + i, at(start + 240.0 + i as f64));
        assert_eq!(belongs.profile, 10_000 + i);
    }
}

#[test]
fn two_profiles_become_one_when_a_call_has_what_is_rare_of_both() {
    let mut profiles = Profiles::new(4 << 20);
    let start = crowd(&mut profiles);
    for i in 0..3u64 {
        let time = at(start + i as f64 * 60.0);
        assert_eq!(take(&mut profiles, &call(0, 7, 900_000 + i), 1, time).profile, 1);
        assert_eq!(take(&mut profiles, &call(0, 8, 910_000 + i), 2, time).profile, 2);
    }
    let number_of = |n: u64| call(0, n, 0).get(Kind::Network);
    let both = with(call(0, 7, 900_009), Kind::Shown, number_of(8));
    let belongs = take(&mut profiles, &both, 3, at(start + 180.0));
    assert_eq!((belongs.profile, belongs.joined), (1, Some(2)), "{belongs:?}");
    assert_eq!(belongs.calls, 7);
    assert_eq!(take(&mut profiles, &call(0, 8, 910_002), 4, at(start + 300.0)).profile, 1);
}

#[test]
fn a_number_that_many_show_does_not_make_them_one() {
    let mut profiles = Profiles::new(4 << 20);
    let start = crowd(&mut profiles);
    // A bank's number, a hundred times from one place.
    for i in 0..100u64 {
        let evidence = with(call(20, 7, 900_000 + i * 13), Kind::Manner, 2);
        take(&mut profiles, &evidence, 1, at(start + i as f64 * 30.0));
    }
    let of_one = profiles.find(&call(20, 7, 1), at(start + 3_030.0)).belongs.profile;
    // Others show it as well, elsewhere and otherwise.
    for i in 0..100u64 {
        let evidence = with(call(21, 7, 800_000 + i * 17), Kind::Manner, 3);
        let belongs = take(&mut profiles, &evidence, 2, at(start + 3_100.0 + i as f64 * 30.0));
        assert!(
            i == 0 || belongs.profile != of_one && belongs.joined.is_none(),
            "{i}: {belongs:?}"
        );
    }
}

#[test]
fn memory_is_bounded_and_runs_are_alike() {
    let run = || {
        let mut profiles = Profiles::new(256 << 10);
        let mut all = Vec::new();
        for i in 0..20_000u64 {
            let evidence = call(i % 7, i * i % 9_000, i % 3_000);
            all.push(take(&mut profiles, &evidence, i + 1, at(i as f64 * 0.5)).profile);
        }
        assert!(profiles.bytes() <= 260 << 10, "{}", profiles.bytes());
        assert!(profiles.evicted > 0);
        all
    };
    assert_eq!(run(), run());
    // As small as it gets.
    let mut tiny = Profiles::new(1);
    for i in 0..1_000 {
        take(&mut tiny, &call(i, i, i), i + 1, at(i as f64));
    }
}

#[test]
fn nothing_is_remembered_of_what_was_only_looked_for() {
    let mut profiles = Profiles::new(1 << 20);
    take(&mut profiles, &call(0, 7, 1), 1, at(0.0));
    let before = profiles.find(&call(0, 7, 2), at(10.0)).belongs;
    for _ in 0..5 {
        assert_eq!(profiles.find(&call(0, 7, 2), at(10.0)).belongs, before);
    }
    let empty = profiles.find(&Evidence::default(), at(10.0)).belongs;
    assert_eq!((empty.profile, empty.calls), (0, 0));
}

#[test]
fn cases_follow_a_profile_that_is_known_by_its_portrait() {
    let mut portrait = Portrait::default();
    let origin = 0xabcd_ef01;
    for i in 0..6u64 {
        let evidence = with(call(0, 7, 900_000 + i * 13), Kind::Origin, origin);
        portrait.add(&evidence, 0, at(i as f64 * 60.0));
    }
    let portrait = Portrait::from_json(&portrait.to_json()).expect("ours");
    let mut profiles = Profiles::new(4 << 20);
    let start = crowd(&mut profiles);
    assert_eq!(profiles.want([(3, 77, &portrait)], at(start)), 0);
    let spoofed = with(call(0, 8, 900_013), Kind::Origin, origin);
    let found = profiles.find(&spoofed, at(start + 20.0));
    assert_eq!((found.case, found.belongs.profile), (Some(3), 77), "{found:?}");
    assert_eq!(profiles.find(&call(0, 7, 1), at(start + 20.0)).case, Some(3), "by its number");
    assert_eq!(profiles.find(&call(0, 9, 1), at(start + 20.0)).case, None, "the crowd is not");
    // Nobody drives it out.
    for i in 0..30_000u64 {
        take(
            &mut profiles,
            &call(i % 5, 1_000_000 + i, i),
            2_000_000 + i,
            at(start + 20.0 + i as f64),
        );
    }
    assert_eq!(profiles.find(&call(0, 7, 1), at(start + 31_000.0)).case, Some(3));
    take(&mut profiles, &call(0, 7, 1), 1, at(start + 30_990.0));
    // A case that is closed is forgotten, and its profile is not.
    assert_eq!(profiles.want([], at(start + 31_000.0)), 0);
    let found = profiles.find(&call(0, 7, 1), at(start + 31_000.0));
    assert_eq!((found.case, found.belongs.profile), (None, 77));
    // Met before under another id: by its number it is the same.
    assert_eq!(profiles.want([(0, 78, &portrait)], at(start + 31_000.0)), 0);
    let found = profiles.find(&call(0, 7, 1), at(start + 31_001.0));
    assert_eq!((found.case, found.belongs.profile), (Some(0), 77));
    // An id that nobody has met, and nothing known of it.
    assert_eq!(profiles.want([(0, 99, &Portrait::default())], at(start)), 1);
}

/// Calls of a simulation, with what they are and the profile that the engine gave them.
struct Run {
    engine: Engine,
    seed: u64,
    truth: HashMap<String, Truth>,
    calls: Vec<(u64, String)>,
    joined: HashMap<u64, u64>,
}

impl Run {
    fn of(mix: &Mix, seed: u64) -> Self {
        let mut run = Self {
            engine: site(mix, seed),
            seed,
            truth: HashMap::new(),
            calls: Vec::new(),
            joined: HashMap::new(),
        };
        let simulation = Simulation::new(mix.clone(), seed, 60_000).expect("it can be");
        simulation.run(&mut run).expect("it runs");
        run
    }

    /// Of every call the profile, as it turned out to be, and the truth.
    fn told(&self) -> impl Iterator<Item = (u64, &Truth)> {
        self.calls.iter().map(|(profile, call_id)| {
            let mut profile = *profile;
            while let Some(next) = self.joined.get(&profile) {
                profile = *next;
            }
            (profile, &self.truth[call_id])
        })
    }
}

impl Sink for Run {
    fn packet(&mut self, packet: &Packet<'_>) -> io::Result<()> {
        let Self { engine, calls, joined, .. } = self;
        packet.frames(&mut |frame| {
            engine.inspect(frame, &mut |a| {
                joined.extend(a.belongs.joined.map(|gone| (gone, a.profile)));
                calls.push((a.profile, String::from_utf8_lossy(a.call_id).into_owned()));
            });
            Ok(())
        })
    }

    fn label(&mut self, label: &Label<'_>) -> io::Result<()> {
        let truth = Truth {
            family: label.family.name().into(),
            fraud: label.family.fraud(),
            // Those of two days have nothing to do with each other.
            caller: format!("{} {:016x}", self.seed, label.actor),
        };
        self.truth.insert(label.call_id.into(), truth);
        Ok(())
    }
}

/// An engine as the operator would have configured it who sees this traffic.
fn site(mix: &Mix, seed: u64) -> Engine {
    let folder = tempfile::tempdir().expect("a folder");
    write_site(folder.path(), mix, seed).expect("written");
    let config = Config::read(&folder.path().join("scorer.toml")).expect("a configuration");
    let mut engine = config.engine.clone();
    engine.history.bytes = 32 << 20;
    // The transparent model: scores are not looked at.
    let model = Arc::new(Model::baseline(&features::names()).expect("built in"));
    let mut engine = Engine::new(&engine, model).expect("the site's tables");
    let store = kept_certificates(&config.stir).expect("the site's certificates");
    engine.set_store(Arc::new(store.expect("trust anchors")));
    engine
}

/// Fraudsters who change and withhold numbers, in much fraud, on traffic that no weight was
/// chosen on: three days, since a single big campaign makes a day. docs/profiles.md has the
/// table of more.
#[test]
fn simulated_fraudsters_are_told_apart() {
    let mix: Mix = toml::from_str(include_str!("fraudsters.toml")).expect("a mix");
    let days: Vec<_> = [91, 92, 93].map(|seed| Run::of(&mix, seed)).into();
    let measured = Measured::of(days.iter().flat_map(Run::told));
    println!("{}", measured.table(false));
    assert_eq!(measured.all.calls, 180_000);
    let fraud = measured.fraud;
    assert!(fraud.calls > 3_000 && fraud.callers > 90, "a real test: {fraud:?}");
    assert!(fraud.precision() >= 0.95, "precision {}", fraud.precision());
    assert!(fraud.recall() >= 0.8, "recall {}", fraud.recall());
}
