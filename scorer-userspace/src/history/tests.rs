//! Calls, retransmissions, outcomes.

use super::{CallKeys, Event, History, HistoryConfig, Seen};
use crate::time::Timestamp;

fn small() -> History {
    History::new(&HistoryConfig { callers: 64, sources: 64, pairs: 64, dialogs: 64, secret: true })
}

fn keys(caller: u64, callee: u64) -> CallKeys {
    CallKeys {
        caller: caller << 20 | 1,
        callee: callee << 20 | 1,
        pair: (caller ^ callee << 10) << 20 | 1,
        source: 9,
        fingerprint: 11,
        withheld: false,
    }
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::new(1_000_000 + seconds, 0)
}

#[test]
fn what_is_a_new_call() {
    let mut history = small();
    let invite = |history: &mut History, dialog, tag, branch, cseq, second| {
        history.invite(dialog, (tag, branch, cseq), &keys(1, 2), at(second))
    };
    let Seen::New(recall) = invite(&mut history, 5, 1, 1, 1, 0) else { panic!() };
    assert_eq!(
        (recall.caller_1h, recall.caller_since_last, recall.fingerprint_new),
        (0.0, None, None)
    );
    assert_eq!(invite(&mut history, 5, 1, 1, 1, 1), Seen::Retransmission);
    assert_eq!(invite(&mut history, 5, 1, 2, 1, 1), Seen::Forked);
    // Authenticated: not a second call, and it does not see itself.
    let Seen::Again(recall) = invite(&mut history, 5, 1, 3, 2, 2) else { panic!() };
    assert!(recall.caller_1h < 1e-3 && recall.pair_1h < 1e-3 && recall.caller_since_last.is_none());
    assert_eq!((recall.caller_distinct_callees, recall.callee_distinct_callers), (0.0, 0.0));
    // Another From tag is another caller's dialog.
    let Seen::New(recall) = invite(&mut history, 5, 2, 4, 1, 3) else { panic!() };
    assert!(recall.caller_1h > 0.9 && recall.pair_1h > 0.9 && recall.source_10s > 0.5);
    assert_eq!(recall.fingerprint_new, Some(false));
    assert!(matches!(invite(&mut history, 5, 2, 4, 1, 9_999), Seen::New(_)));
}

#[test]
fn outcomes_become_shares() {
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
        assert!(matches!(history.invite(dialog, (1, 1, 1), &keys(1, 2), at(0)), Seen::New(_)));
        for (second, event) in *events {
            assert!(history.event(dialog, *event, at(*second)));
        }
    }
    assert!(!history.event(999, Event::Bye, at(0)));
    let Seen::New(recall) = history.invite(200, (1, 1, 1), &keys(1, 3), at(60)) else { panic!() };
    let close = |share: Option<f32>, expected: f32| (share.unwrap() - expected).abs() < 0.02;
    assert!(close(recall.caller_answered, 0.5), "{recall:?}");
    assert!(close(recall.caller_short, 0.5), "{recall:?}");
    assert!(close(recall.caller_failed, 0.25), "{recall:?}");
    assert!((recall.caller_distinct_callees - 1.0).abs() < 0.1);
}

#[test]
fn floods_stay_within_bounds() {
    let mut history = small();
    let capacity = history.capacity();
    for i in 1..200_000u64 {
        let key = i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        history.invite(key, (1, 1, 1), &keys(i, i % 7), at(i / 1000));
    }
    assert_eq!(history.capacity(), capacity);
    assert!(history.evicted() > 100_000);
}
