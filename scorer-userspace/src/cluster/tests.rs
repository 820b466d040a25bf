//! Clocks that are off, and what two histories say of calls that each saw half of.

use std::time::Duration;

use super::{is_name, receive::corrected};
use crate::time::Timestamp;

const SECOND: u64 = 1_000_000_000;
const NOW: u64 = 1_700_000_000 * SECOND;

#[test]
fn clocks_that_are_off_are_set_right() {
    let bound = Duration::from_secs(2);
    let at = |seconds: i64, skew: i64| {
        let at = Timestamp(NOW.saturating_add_signed(seconds * SECOND as i64));
        let (set, other) = corrected(at, skew * SECOND as i64, bound, NOW);
        ((set.0 as i64 - NOW as i64) / SECOND as i64, other)
    };
    // Little: as it was said.
    assert_eq!((at(-5, 1), at(1, 1), at(-7_200, 0)), ((-5, false), (1, false), (-7_200, false)));
    // Hours ahead, hours behind.
    assert_eq!((at(3_600, 3_600), at(-3_605, -3_600)), ((0, true), (-5, true)));
    // Ahead, and not known to be: now.
    assert_eq!(at(100, 0), (0, true));
    let (set, _) = corrected(Timestamp(u64::MAX), i64::MIN, bound, NOW);
    assert!(set.0 <= NOW);
}

#[test]
fn names_stand_in_subjects() {
    assert!(is_name("edge-1") && is_name("a"));
    for bad in ["", "Edge", "a.b", "a b", "a*", ">", &"x".repeat(64)] {
        assert!(!is_name(bad), "{bad}");
    }
}
