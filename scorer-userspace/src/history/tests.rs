//! Calls, floods, restarts.

use std::os::unix::fs::PermissionsExt as _;

use super::{CallKeys, Event, History, HistoryConfig, Recall, Seen, SnapshotError, save};
use crate::{profiles::Kind, time::Timestamp};

const HOUR: usize = 3;

fn config(bytes: usize) -> HistoryConfig {
    HistoryConfig { bytes, profile_bytes: 1 << 20, secret: true, shared: None }
}

fn small() -> History {
    History::new(&config(1 << 20))
}

fn mixed(i: u64) -> u64 {
    i.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5555 | 1
}

fn keys(caller: u64, callee: u64) -> CallKeys {
    CallKeys {
        caller: mixed(caller),
        network: mixed(caller + 1_000_000),
        callee: mixed(callee),
        pair: mixed(caller * 1_000_003 + callee),
        source: mixed(9),
        trunk: mixed(10),
        fingerprint: mixed(11),
        profile: mixed(caller + 2_000_000),
        range: mixed(12),
        order: mixed(13),
        signature: 0xff00_ff00_ff00_ff00,
        ..CallKeys::default()
    }
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::new(1_700_000_000 + seconds, 0)
}

fn invite(
    history: &mut History,
    dialog: u64,
    ids: (u64, u64, u32),
    keys: &CallKeys,
    seconds: u64,
) -> (Seen, Recall) {
    let mut recall = Recall::default();
    let seen = history.invite(mixed(dialog), ids, keys, at(seconds), &mut recall);
    (seen, recall)
}

#[test]
fn what_is_a_new_call() {
    let mut history = small();
    let keys = keys(1, 2);
    let (seen, recall) = invite(&mut history, 5, (1, 1, 1), &keys, 0);
    assert_eq!(seen, Seen::New);
    assert!(
        recall.caller.is_new() && recall.caller.calls == [0.0; 5] && recall.person.calls == 0.0
    );
    assert!(recall.origid.calls[0].is_nan(), "there is no origid");
    assert_eq!(invite(&mut history, 5, (1, 1, 1), &keys, 1).0, Seen::Retransmission);
    assert_eq!(invite(&mut history, 5, (1, 2, 1), &keys, 1).0, Seen::Forked);
    // Authenticated: not a second call, and it does not see itself.
    let (seen, recall) = invite(&mut history, 5, (1, 3, 2), &keys, 2);
    assert_eq!(seen, Seen::Again);
    assert!(recall.caller.calls[HOUR] < 1e-3 && recall.pair.calls[HOUR] < 1e-3);
    assert!(recall.caller.since_last.is_nan() && recall.caller.is_new());
    assert_eq!((recall.caller.partners, recall.callee.partners), (0.0, 0.0));
    assert!(recall.person.calls == 0.0);
    // Another From tag is another caller's dialog.
    let (seen, recall) = invite(&mut history, 5, (2, 4, 1), &keys, 3);
    assert_eq!(seen, Seen::New);
    assert!(recall.caller.calls[HOUR] > 0.9 && recall.pair.calls[HOUR] > 0.9);
    assert!(recall.source.calls[0] > 0.5 && recall.fingerprint.calls[0] > 0.5);
    assert!(recall.source.special > 0.4, "a retransmission of two");
    assert!((recall.person.likeness - 1.0).abs() < 1e-6);
    assert_eq!(invite(&mut history, 5, (2, 4, 1), &keys, 9_999).0, Seen::New);
}

#[test]
fn outcomes_reach_all_parties() {
    let mut history = small();
    for (i, events) in [
        &[(1, Event::Response(180)), (2, Event::Response(200)), (3, Event::Bye)][..],
        &[(1, Event::Response(486)), (2, Event::Response(486))],
        &[(1, Event::Response(407)), (2, Event::Response(200)), (60, Event::Bye)],
        &[(2, Event::Cancel), (2, Event::Response(487))],
    ]
    .iter()
    .enumerate()
    {
        let dialog = 100 + i as u64;
        assert_eq!(invite(&mut history, dialog, (1, 1, 1), &keys(1, 2), 0).0, Seen::New);
        for (second, event) in *events {
            assert!(history.event(mixed(dialog), *event, at(*second)).known);
        }
    }
    assert!(!history.event(mixed(999), Event::Bye, at(0)).known);
    let (_, recall) = invite(&mut history, 200, (1, 1, 1), &keys(1, 3), 60);
    let close = |share: f32, expected: f32| (share - expected).abs() < 0.02;
    for known in [recall.caller, recall.network, recall.source, recall.trunk, recall.fingerprint] {
        assert!(close(known.answered, 0.5) && close(known.brief, 0.5), "{known:?}");
        assert!(close(known.cancelled, 0.25) && close(known.failed, 0.25), "{known:?}");
        assert!(close(known.setup, 2.0) && close(known.in_progress, 0.0), "{known:?}");
    }
    assert!(recall.callee.is_new() && (recall.caller.partners - 1.0).abs() < 0.1);
}

#[test]
fn labels_mark_the_person_and_what_is_like_it() {
    let mut history = small();
    invite(&mut history, 1, (1, 1, 1), &keys(1, 2), 0);
    history.scored(keys(1, 2).profile, 0.75);
    assert!(history.label(mixed(77), true, 0, at(5)).is_none(), "an unknown call");
    assert!(history.label(mixed(1), true, 3, at(5)).is_some());
    let (_, recall) = invite(&mut history, 2, (1, 1, 1), &keys(1, 2), 10);
    assert!((recall.person.risk - 0.75).abs() < 1e-6 && recall.person.fraud == 1.0);
    assert!(recall.person.organisations == 1.0 && recall.person.genuine == 0.0);
    assert!((recall.person.since_label - 5.0).abs() < 1e-6);
    assert!((recall.fraud_likeness - 1.0).abs() < 1e-6 && recall.linked_fraud == 1.0);
    // Another person with the same signalling from the same source.
    let (_, recall) = invite(&mut history, 3, (1, 1, 1), &keys(50, 2), 11);
    assert!(recall.person.fraud == 0.0 && recall.linked_fraud == 1.0);
    assert!(history.label(mixed(3), false, 0, at(12)).is_some());
    let (_, recall) = invite(&mut history, 4, (1, 1, 1), &keys(50, 2), 13);
    assert!(recall.person.genuine == 1.0);
}

#[test]
fn a_flood_of_random_callers_leaves_the_known_ones() {
    let mut history = small();
    let capacity = history.capacity();
    for round in 0..4u64 {
        for caller in 1..=200u64 {
            let dialog = round * 1_000 + caller;
            invite(&mut history, dialog, (1, 1, 1), &keys(caller, caller % 7), round * 60);
        }
    }
    for i in 0..300_000u64 {
        invite(&mut history, 10_000 + i, (1, 1, 1), &keys(10_000 + i, i % 7), 240 + i / 5_000);
    }
    assert_eq!(history.capacity(), capacity);
    assert!(history.refused() > 100_000 && history.bytes() <= 1 << 20, "{}", history.bytes());
    let mut known = 0;
    for caller in 1..=200u64 {
        let (_, recall) = invite(&mut history, 900_000 + caller, (1, 1, 1), &keys(caller, 3), 400);
        known += u32::from(recall.caller.calls[HOUR] > 3.0);
    }
    assert!(known >= 196, "{known} of 200 are still known");
}

#[test]
fn ten_million_keys_in_a_gibibyte() {
    // Not allocated: the sizes alone.
    let history = History::new(&config(1 << 30));
    assert!(history.capacity() >= 10_000_000, "{}", history.capacity());
    assert!(history.bytes() <= 1 << 30);
}

#[test]
fn a_restart_forgets_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("history.snap");
    let mut history = small();
    for caller in 1..=300u64 {
        invite(&mut history, caller, (1, 1, 1), &keys(caller, caller % 7), caller);
    }
    history.label(mixed(9), true, 0, at(300));
    let secret = history.key(1, b"442079460123");
    save(&history, &path, at(301)).expect("saved");
    let mode = std::fs::metadata(&path).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Into tables of another size, too.
    for bytes in [1 << 20, 3 << 20] {
        let mut again = History::restore(&path, &config(bytes), at(400)).expect("taken up");
        assert_eq!(again.key(1, b"442079460123"), secret);
        for caller in 1..=300u64 {
            let one = invite(&mut history, 1_000 + caller, (1, 1, 1), &keys(caller, 8), 400).1;
            let two = invite(&mut again, 1_000 + caller, (1, 1, 1), &keys(caller, 8), 400).1;
            if bytes == 1 << 20 {
                assert_eq!(format!("{one:?}"), format!("{two:?}"));
            } else {
                assert_eq!(one.caller.since_last.to_bits(), two.caller.since_last.to_bits());
            }
        }
        assert!(again.event(mixed(300), Event::Bye, at(500)).known, "dialogs, too");
        history = History::restore(&path, &config(1 << 20), at(400)).expect("taken up");
    }
}

#[test]
fn profiles_of_callers_come_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("history.snap");
    let mut history = small();
    let evidence = |number: u64| {
        let mut tokens = [0; crate::profiles::KINDS];
        tokens[Kind::Source as usize] = 11;
        tokens[Kind::Network as usize] = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        crate::profiles::Evidence(tokens)
    };
    let belongs = |history: &mut History, number: u64, second: u64| {
        let callers = history.callers.as_mut().expect("switched on");
        let found = callers.find(&evidence(number), at(second));
        callers.take(&found, &evidence(number), number, at(second))
    };
    for call in 0..600u64 {
        belongs(&mut history, 1 + call % 200, call);
    }
    save(&history, &path, at(601)).expect("saved");
    let mut again = History::restore(&path, &config(1 << 20), at(700)).expect("taken up");
    for number in 1..=200 {
        let one = belongs(&mut history, number, 700 + number);
        assert_eq!(belongs(&mut again, number, 700 + number), one);
        assert_eq!((one.profile, one.calls), (number, 4));
    }
    // Of another size, or switched off: what fits is taken up.
    for profile_bytes in [256 << 10, 4 << 20, 0] {
        let config = HistoryConfig { profile_bytes, ..config(1 << 20) };
        let mut other = History::restore(&path, &config, at(700)).expect("taken up");
        if profile_bytes == 4 << 20 {
            assert_eq!(belongs(&mut other, 7, 800).profile, 7);
        }
    }
}

#[test]
fn snapshots_that_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("history.snap");
    let mut history = small();
    for caller in 1..=50u64 {
        invite(&mut history, caller, (1, 1, 1), &keys(caller, 2), caller);
    }
    save(&history, &path, at(0)).expect("saved");
    let good = std::fs::read(&path).expect("read");
    let refused = |bytes: &[u8], now: Timestamp, what: &str| {
        std::fs::write(&path, bytes).expect("written");
        match History::restore(&path, &config(1 << 20), now) {
            Err(SnapshotError::Refused { what: why, .. }) => assert!(why.contains(what), "{why}"),
            other => panic!("{what}: {other:?}"),
        }
    };
    refused(&good, at(15 * 86_400), "two weeks");
    refused(&good[..good.len() - 1], at(0), "damaged");
    refused(&good[..20], at(0), "cut short");
    refused(b"", at(0), "cut short");
    refused(&[b'x'; 200], at(0), "no snapshot");
    for place in (0..good.len()).step_by(997) {
        let mut bytes = good.clone();
        bytes[place] ^= 1;
        refused(&bytes, at(0), "");
    }
    let mut other = good.clone();
    other[8] ^= 1;
    let body = other.len() - 32;
    let sum: [u8; 32] = <sha2::Sha256 as sha2::Digest>::digest(&other[..body]).into();
    other[body..].copy_from_slice(&sum);
    refused(&other, at(0), "another version");
    assert!(matches!(
        History::restore(&folder.path().join("none"), &config(1 << 20), at(0)),
        Err(SnapshotError::Io { .. })
    ));
}
