use std::{collections::HashMap, io};

use super::{Family, Label, Mix, Packet, Simulation, Sink, stacks};
use crate::{
    capture::Frame,
    engine::{Engine, EngineConfig},
    features::names,
    model::Model,
    sip::{Message, Scratch, StartLine},
};
use proptest::prelude::*;

/// Counts, and keeps what tests look at.
#[derive(Default)]
struct Seen {
    hash: u64,
    frames: u64,
    last: u64,
    families: HashMap<Family, u64>,
    stacks: HashMap<&'static str, u64>,
    bad: Vec<String>,
    scratch: Option<Scratch>,
}

impl Sink for Seen {
    fn packet(&mut self, packet: &Packet<'_>) -> io::Result<()> {
        assert!(packet.timestamp.0 >= self.last, "time goes on");
        self.last = packet.timestamp.0;
        let mut scratch = self.scratch.take().unwrap_or_default();
        match Message::parse(packet.payload, None, &mut scratch) {
            Ok(message) => {
                let body = message.body().len();
                let whole = message.content_length() == Some(body as u32);
                let invite = matches!(message.start(), StartLine::Request { .. });
                let named = message.call_id().is_some() && message.from().is_some();
                if !whole || !named || (invite && message.cseq().is_none()) {
                    self.bad.push(String::from_utf8_lossy(packet.payload).into_owned());
                }
            }
            Err(error) => self.bad.push(error.to_string()),
        }
        self.scratch = Some(scratch);
        packet.frames(&mut |frame: &Frame<'_>| {
            self.frames += 1;
            for chunk in frame.bytes.chunks(8) {
                let word = chunk.iter().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
                self.hash = (self.hash ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(9);
            }
            Ok(())
        })
    }

    fn label(&mut self, label: &Label<'_>) -> io::Result<()> {
        *self.families.entry(label.family).or_default() += 1;
        *self.stacks.entry(label.stack).or_default() += 1;
        Ok(())
    }
}

fn run(mix: Mix, seed: u64, calls: u64) -> Seen {
    let mut seen = Seen::default();
    let totals = Simulation::new(mix, seed, calls).unwrap().run(&mut seen).unwrap();
    assert_eq!(totals.calls, calls);
    seen
}

#[test]
fn every_message_is_whole_and_every_family_and_stack_comes() {
    let mix = Mix { fraud: 0.5, retransmissions: 0.01, ..Mix::default() };
    let seen = run(mix, 1, 12_000);
    assert_eq!(seen.bad, Vec::<String>::new());
    for family in Family::ALL {
        assert!(seen.families.contains_key(family), "{}", family.name());
    }
    let unused: Vec<_> = stacks().filter(|stack| !seen.stacks.contains_key(stack)).collect();
    assert_eq!(unused, Vec::<&str>::new());
    assert!(stacks().count() >= 15);
}

#[test]
fn a_seed_gives_the_same_bytes() {
    let of = |seed| run(Mix::default(), seed, 1_500).hash;
    assert_eq!(of(7), of(7));
    assert_ne!(of(7), of(8));
}

#[test]
fn knobs_do_what_they_say() {
    let none = run(Mix { fraud: 0.0, ..Mix::default() }, 3, 3_000);
    assert!(none.families.keys().all(|family| !family.fraud()));
    let half = run(Mix { fraud: 0.5, ..Mix::default() }, 3, 6_000);
    let fraud: u64 = half.families.iter().filter(|(f, _)| f.fraud()).map(|(_, n)| n).sum();
    // Campaigns that go on beyond the end are cut short.
    assert!((1_200..4_000).contains(&fraud), "{fraud}");
    let without = Mix {
        without_stacks: vec!["nokia".into(), "yeastar".into()],
        families: [("robocall".to_owned(), 0.0)].into(),
        fraud: 0.5,
        ..Mix::default()
    };
    let without = run(without, 3, 6_000);
    assert!(!without.stacks.contains_key("nokia") && !without.stacks.contains_key("yeastar"));
    assert!(!without.families.contains_key(&Family::Robocall));
    // Twice as many calls a second take half the time.
    let time = |rate| {
        let mix = Mix {
            calls_per_second: rate,
            hours: false,
            fraud: 0.0,
            duration_s: Some(200.0),
            ..Mix::default()
        };
        let mut seen = Seen::default();
        Simulation::new(mix, 3, 1_000_000).unwrap().run(&mut seen).unwrap().calls
    };
    let (slow, fast) = (time(10.0), time(20.0));
    assert!((1_500..2_300).contains(&slow) && (3_000..4_600).contains(&fast), "{slow} {fast}");
}

#[test]
fn wrong_mixes_are_refused_with_the_reason() {
    let read = |text: &str| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Mix::read(file.path()).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(read("fraud = 0.1\n[drift]\nstacks_per_day = 0.1\n"), Ok(()));
    for (text, says) in [
        ("fraud = 2.0", "fraud is 2; it must be from 0 to 1"),
        ("fraud = nan", "fraud is NaN"),
        ("calls_per_second = 0.0", "must be from 0.001"),
        ("frauds = 0.1", "unknown field `frauds`"),
        ("start = \"yesterday\"", "write it as 2026-11-02T08:00:00Z"),
        ("[families]\nrobots = 1.0", "there is no family robots; there are mobile, fixed"),
    ] {
        let error = read(text).expect_err(text);
        assert!(error.contains(says), "{error}");
    }
    let mix = Mix { without_stacks: vec!["avya".into()], ..Mix::default() };
    assert!(
        Simulation::new(mix, 1, 1).unwrap_err().to_string().contains("no stack avya; there are")
    );
}

#[test]
fn the_engine_sees_every_call_once() {
    struct Scored(Engine, u64);
    impl Sink for Scored {
        fn packet(&mut self, packet: &Packet<'_>) -> io::Result<()> {
            let Self(engine, verdicts) = self;
            packet.frames(&mut |frame| {
                engine.inspect(frame, &mut |_| *verdicts += 1);
                Ok(())
            })
        }
        fn label(&mut self, _: &Label<'_>) -> io::Result<()> {
            Ok(())
        }
    }
    let model = std::sync::Arc::new(Model::builtin(&names()).unwrap());
    let mut scored = Scored(Engine::new(&EngineConfig::default(), model).unwrap(), 0);
    let mix = Mix { fraud: 0.2, retransmissions: 0.2, ..Mix::default() };
    Simulation::new(mix, 5, 3_000).unwrap().run(&mut scored).unwrap();
    assert_eq!(scored.1, 3_000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn any_seed_runs_to_its_end(seed: u64, fraud in 0.0..1.0f64) {
        let seen = run(Mix { fraud, ..Mix::default() }, seed, 60);
        prop_assert!(seen.bad.is_empty(), "{:?}", seen.bad);
    }
}
