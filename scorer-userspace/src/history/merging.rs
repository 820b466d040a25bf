//! Hosts of a cluster count each other's calls: as one host would that saw them all.

use proptest::prelude::*;

use super::{
    CallFact, CallKeys, Event, Fact, History, HistoryConfig, Mark, Merged, Recall, Seen,
    entry::{Added, Entry, Outcome},
    save,
    small::Small,
};
use crate::time::Timestamp;

const SHARED: [u64; 2] = [77, 78];

fn config() -> HistoryConfig {
    HistoryConfig { bytes: 1 << 20, profile_bytes: 1 << 20, secret: true, shared: Some(SHARED) }
}

fn at(seconds: f64) -> Timestamp {
    Timestamp((1.7e18 + seconds * 1e9) as u64)
}

fn mixed(i: u64) -> u64 {
    i.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5555 | 1
}

fn keys(caller: u64, callee: u64) -> CallKeys {
    CallKeys {
        caller: mixed(caller),
        network: mixed(caller + 1_000),
        callee: mixed(callee + 2_000),
        source: mixed(9),
        fingerprint: mixed(11),
        pair: mixed(caller * 1_003 + callee),
        profile: mixed(caller + 3_000),
        order: mixed(13),
        signature: 0xff,
        dialled: callee as u32,
        withheld: callee.is_multiple_of(3),
        high_cost: callee.is_multiple_of(2),
        ..CallKeys::default()
    }
}

/// A new call at a host; what it tells the others.
fn invite(history: &mut History, dialog: u64, keys: &CallKeys, now: Timestamp) -> Fact {
    let seen = history.invite(mixed(dialog), (1, 1, 1), keys, now, &mut Recall::default());
    assert_eq!(seen, Seen::New);
    Fact::Call(CallFact::new(mixed(dialog), keys, now))
}

fn end(history: &mut History, dialog: u64, event: Event, now: Timestamp) -> Option<Fact> {
    history.event(mixed(dialog), event, now).counted.map(Fact::Ended)
}

fn recall(history: &mut History, keys: &CallKeys, now: Timestamp) -> Recall {
    let mut recall = Recall::default();
    history.invite(mixed(now.0), (1, 1, 1), keys, now, &mut recall);
    recall
}

fn close(a: f32, b: f32) -> bool {
    a.is_nan() && b.is_nan() || (a - b).abs() <= 1e-3 * a.abs().max(b.abs()).max(0.01)
}

/// One caller's calls over two hosts, told in batches behind: both say of the next call
/// what one host says that saw them all.
#[test]
fn two_hosts_are_as_one() {
    let mut one = History::new(&config());
    let mut two = [History::new(&config()), History::new(&config())];
    let mut facts: [Vec<(usize, Fact)>; 2] = Default::default();
    for call in 0..60u64 {
        let host = (call % 3 == 0) as usize;
        let keys = keys(1, call % 20);
        let now = at(call as f64 * 2.0);
        invite(&mut one, call, &keys, now);
        facts[host].push((host, invite(&mut two[host], call, &keys, now)));
        for (event, after) in [(Event::Response(200), 0.5), (Event::Bye, 1.5)] {
            let now = at(call as f64 * 2.0 + after);
            end(&mut one, call, event, now).expect("counted");
            facts[host].push((host, end(&mut two[host], call, event, now).expect("counted")));
        }
        // Every few calls; the last of one host come when all is over.
        if call % 7 == 6 || call == 59 {
            for (from, fact) in facts[0].drain(..) {
                assert_eq!(two[1 - from].merge(from as u64 + 1, &fact), Merged::Counted);
            }
        }
    }
    for (from, fact) in facts[1].drain(..) {
        two[1 - from].merge(from as u64 + 1, &fact);
    }
    let (keys, now) = (keys(1, 7), at(125.0));
    let as_one = recall(&mut one, &keys, now);
    for history in &mut two {
        let recall = recall(history, &keys, now);
        for (a, b) in [
            (&as_one.caller, &recall.caller),
            (&as_one.network, &recall.network),
            (&as_one.callee, &recall.callee),
            (&as_one.source, &recall.source),
            (&as_one.fingerprint, &recall.fingerprint),
        ] {
            for (a, b) in a.calls.iter().zip(b.calls) {
                assert!(close(*a, b), "{a} {b}");
            }
            for (a, b) in [
                (a.partners, b.partners),
                (a.answered, b.answered),
                (a.brief, b.brief),
                (a.setup, b.setup),
                (a.withheld, b.withheld),
                (a.high_cost, b.high_cost),
                (a.age, b.age),
                (a.in_progress, b.in_progress),
            ] {
                assert!(close(a, b), "{a} {b}\n{as_one:?}\n{recall:?}");
            }
        }
        for (a, b) in as_one.pair.calls.iter().zip(recall.pair.calls) {
            assert!(close(*a, b), "{a} {b}");
        }
        assert!(close(as_one.everybody, recall.everybody));
        assert_eq!(as_one.person.calls, recall.person.calls);
    }
}

/// A call that two hosts see counts once: at both, and at a third that hears of it twice.
#[test]
fn the_same_call_at_two_hosts_counts_once() {
    let [mut a, mut b, mut c] = [(); 3].map(|()| History::new(&config()));
    let keys = keys(1, 2);
    let of_a = invite(&mut a, 5, &keys, at(0.0));
    let of_b = invite(&mut b, 5, &keys, at(0.01));
    assert_eq!(a.merge(2, &of_b), Merged::SameCall);
    assert_eq!(b.merge(1, &of_a), Merged::SameCall);
    assert_eq!((c.merge(1, &of_a), c.merge(2, &of_b)), (Merged::Counted, Merged::SameCall));
    let ended = |history: &mut History| end(history, 5, Event::Cancel, at(2.0)).expect("counted");
    let (end_a, end_b) = (ended(&mut a), ended(&mut b));
    assert_eq!((c.merge(2, &end_b), c.merge(1, &end_a)), (Merged::SameCall, Merged::Counted));
    assert_eq!((a.merge(2, &end_b), b.merge(1, &end_a)), (Merged::SameCall, Merged::SameCall));
    // At a third that sees it after it heard of it, there is a verdict, and no count.
    let seen = c.invite(mixed(5), (1, 1, 1), &keys, at(0.5), &mut Recall::default());
    assert_eq!(seen, Seen::Elsewhere);
    assert_eq!(c.event(mixed(5), Event::Response(200), at(3.0)).counted, None);
    for history in [&mut a, &mut b, &mut c] {
        let recall = recall(history, &keys, at(4.0));
        assert!(close(recall.caller.calls[4], 1.0), "{recall:?}");
        assert!(close(recall.caller.cancelled, 1.0), "{recall:?}");
    }
    // Labels, too.
    let (label, own) = a.label(mixed(5), true, 0, at(9.0)).expect("known");
    assert!(own && !c.label(mixed(5), true, 0, at(9.0)).expect("known").1);
    assert_eq!(b.merge(1, &Fact::Labelled(label)), Merged::SameCall);
    assert_eq!(c.merge(1, &Fact::Labelled(label)), Merged::Counted);
    assert_eq!(recall(&mut c, &keys, at(9.0)).person.fraud, 1.0);
}

#[test]
fn a_restart_knows_what_is_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("history");
    let mut history = History::new(&config());
    history.marks.set(Mark { host: 1, epoch: 5, next: 70 });
    history.marks.set(Mark { host: 2, epoch: 6, next: 80 });
    history.marks.stream = 99;
    save(&history, &path, at(0.0)).expect("saved");
    let again = History::restore(&path, &config(), at(1.0)).expect("restored");
    assert_eq!(again.marks(), history.marks());
    let counted = |epoch, first| again.marks().counted(1, epoch, first);
    assert_eq!((counted(5, 70), counted(5, 50), counted(5, 90)), (Some(0), Some(20), Some(0)));
    assert_eq!((counted(4, 900), counted(6, 0)), (None, Some(0)));
    // Keys that another secret made are none.
    let other = HistoryConfig { shared: Some([1, 2]), ..config() };
    let error = History::restore(&path, &other, at(1.0)).expect_err("refused").to_string();
    assert!(error.contains("another secret than the cluster's"), "{error}");
    // Out of the cluster again: the marks mean nothing.
    let alone = HistoryConfig { shared: None, ..config() };
    assert!(
        History::restore(&path, &alone, at(1.0)).expect("restored").marks().iter().next().is_none()
    );
}

fn added(partner: u64, flags: u8) -> Added {
    Added {
        partner: partner << 58,
        dialled: 0,
        withheld: flags & 1 != 0,
        special: flags & 2 != 0,
        high_cost: flags & 4 != 0,
    }
}

fn outcome(which: u8) -> Outcome {
    match which % 5 {
        0 => Outcome::Answered(4.0),
        1 => Outcome::Brief,
        2 => Outcome::BriefCancel,
        3 => Outcome::Cancelled,
        _ => Outcome::Failed,
    }
}

proptest! {
    /// Calls that come in any order count as in theirs.
    #[test]
    fn late_calls_count_as_in_order(
        mut calls in proptest::collection::vec((0.0f64..7_000.0, 0u64..64, 0u8..8, 0u8..5), 1..40),
        order in proptest::collection::vec(any::<u32>(), 40),
    ) {
        let zero = || (<Entry as bytemuck::Zeroable>::zeroed(), <Small as bytemuck::Zeroable>::zeroed());
        let count = |calls: &[(f64, u64, u8, u8)]| {
            let (mut entry, mut small) = zero();
            for (when, partner, flags, _) in calls {
                entry.merge(at(*when), &added(*partner, *flags));
                small.merge(at(*when), flags & 1 != 0);
            }
            // Outcomes come behind the calls, in the order of these.
            for (when, _, _, which) in calls {
                entry.outcome(at(when + 1.0), outcome(*which));
            }
            (entry, small)
        };
        let shuffled: Vec<_> = {
            let mut by: Vec<_> = calls.iter().zip(&order).collect();
            by.sort_by_key(|(_, key)| **key);
            by.into_iter().map(|(call, _)| *call).collect()
        };
        calls.sort_by(|a, b| a.0.total_cmp(&b.0));
        let ((mut a, mut few_a), (mut b, mut few_b)) = (count(&calls), count(&shuffled));
        let now = at(7_100.0);
        let (a, b) = (a.known(now, None), b.known(now, None));
        let pairs = a.calls.iter().zip(b.calls).map(|(a, b)| (*a, b));
        let others = [
            (a.partners, b.partners), (a.answered, b.answered), (a.brief, b.brief),
            (a.cancelled, b.cancelled), (a.failed, b.failed), (a.setup, b.setup),
            (a.withheld, b.withheld), (a.special, b.special), (a.high_cost, b.high_cost),
            (a.age, b.age), (a.since_last, b.since_last),
        ];
        for (in_order, late) in pairs.chain(others) {
            prop_assert!(close(in_order, late), "{in_order} {late}\n{a:?}\n{b:?}");
        }
        let (few_a, few_b) = (few_a.known(now, None), few_b.known(now, None));
        for (a, b) in few_a.calls.iter().zip(few_b.calls).chain([(&few_a.withheld, few_b.withheld)]) {
            prop_assert!(close(*a, b), "{a} {b}");
        }
    }
}
