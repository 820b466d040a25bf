//! Cases: kept, audited, followed.

use scorer_common::verdict::Action;

use super::{Attached, Case, CaseError, Cases, Follower, Orders, Status, Store};
use crate::{
    lists,
    policy::Response,
    profiles::{Evidence, KINDS, Portrait},
    time::Timestamp,
};

fn case(name: &str) -> Case {
    Case {
        name: name.into(),
        status: Status::Open,
        method: "calls as a bank".into(),
        orders: Orders {
            action: Some(Action::Divert),
            response: Response::Decline,
            target: "desk@fraud.example.net".into(),
            reason: "three victims".into(),
        },
        author: "ann".into(),
        created: 100,
        changed: 100,
        profiles: Vec::new(),
        notes: Vec::new(),
    }
}

fn attached(profile: u64) -> Attached {
    let mut portrait = Portrait::default();
    portrait.add(&Evidence([profile; KINDS]), 5, Timestamp(7));
    Attached { profile, portrait, author: "ann".into(), created: 110 }
}

#[test]
fn a_case_is_kept_with_its_trail() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("lists.sqlite");
    assert!(matches!(Store::look(&path), Err(CaseError::Store(lists::StoreError::Missing { .. }))));
    let mut store = Store::open(&path).expect("made");
    store.create(&case("bank-1")).expect("opened");
    assert!(matches!(store.create(&case("bank-1")), Err(CaseError::Exists(_))));
    assert!(store.attach("bank-1", &attached(0xab)).expect("attached"));
    assert!(!store.attach("bank-1", &attached(0xab)).expect("renewed"));
    assert!(store.attach("bank-1", &attached(0xcd)).expect("attached"));
    assert!(store.detach("bank-1", 0xcd, ("bob", 120)).expect("detached"));
    assert!(!store.detach("bank-1", 0xcd, ("bob", 120)).expect("not there"));
    store.note("bank-1", "called the branch", ("bob", 130)).expect("noted");
    let read = Store::look(&path).expect("there").case("bank-1").expect("there");
    assert_eq!(read.orders, case("").orders);
    assert_eq!((read.profiles.len(), read.changed), (1, 130));
    assert_eq!(read.profiles[0].portrait, attached(0xab).portrait);
    assert_eq!((&*read.notes[0].author, &*read.notes[0].text), ("bob", "called the branch"));

    let orders = Orders { action: None, reason: "wait".into(), ..Orders::default() };
    store.order("bank-1", &orders, ("bob", 140)).expect("ordered");
    assert!(store.set_status("bank-1", Status::Closed, ("ann", 150)).expect("closed"));
    assert!(!store.set_status("bank-1", Status::Closed, ("ann", 151)).expect("is"));
    let trail = store.trail("bank-1").expect("a trail");
    let what: Vec<_> = trail.iter().map(|change| &*change.what).collect();
    assert_eq!(what, ["open", "attach", "attach", "attach", "detach", "note", "change", "close"]);
    assert_eq!(trail[6].old, "divert to desk@fraud.example.net: three victims");
    assert_eq!(trail[6].new, "policy: wait");
    // The lists beside it go on.
    assert!(lists::Store::look(&path).is_ok());
}

#[test]
fn what_cannot_be_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("lists.sqlite");
    let mut store = Store::open(&path).expect("made");
    for bad in ["", "a b", "x/../y", &"n".repeat(65), "a\n"] {
        assert!(matches!(store.create(&case(bad)), Err(CaseError::Invalid(_))), "{bad}");
    }
    let long = Case { method: "m".repeat(4_001), ..case("long") };
    assert!(matches!(store.create(&long), Err(CaseError::Invalid(_))));
    assert!(matches!(store.case("nobody"), Err(CaseError::Unknown(_))));
    assert!(matches!(store.note("nobody", "x", ("a", 1)), Err(CaseError::Unknown(_))));
    assert!(matches!(store.attach("nobody", &attached(1)), Err(CaseError::Unknown(_))));
    let other = folder.path().join("other.sqlite");
    std::fs::write(&other, "no database").expect("written");
    assert!(Store::look(&other).is_err() && Store::open(&other).is_err());
    assert!(Cases::load(&other).is_err());
}

#[test]
fn changes_are_followed_and_damage_is_survived() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("lists.sqlite");
    let mut follower = Follower::new(&path);
    assert!(follower.look().is_err(), "not there yet");
    lists::Store::open(&path).expect("a store of lists alone");
    assert_eq!(follower.look().expect("read").map(|cases| cases.len()), Some(0));
    assert!(follower.look().expect("read").is_none(), "nothing new");
    let mut store = Store::open(&path).expect("made");
    store.create(&case("one")).expect("opened");
    store.attach("one", &attached(3)).expect("attached");
    let cases = follower.look().expect("read").expect("new");
    let ruled = cases.get(0).expect("one");
    assert_eq!((&*ruled.rule, ruled.action), ("case:one", Some(Action::Divert)));
    assert_eq!(&*ruled.reason, "case one: three victims");
    assert_eq!(ruled.target.user.as_deref(), Some("desk"));
    assert_eq!(ruled.target.host.as_deref(), Some("fraud.example.net"));
    assert_eq!(ruled.profiles[0].0, 3);
    store.set_status("one", Status::Closed, ("ann", 5)).expect("closed");
    assert!(follower.look().expect("read").expect("new").is_empty());
    std::fs::write(folder.path().join("other"), "no database").expect("written");
    std::fs::rename(folder.path().join("other"), &path).expect("moved");
    assert!(follower.look().is_err());
}

#[test]
fn targets() {
    let target = |text: &str| {
        let target = Orders { target: text.into(), ..Orders::default() }.target();
        (target.user.map(String::from), target.host.map(String::from))
    };
    assert_eq!(target("a@b"), (Some("a".into()), Some("b".into())));
    assert_eq!(target("a@"), (Some("a".into()), None));
    assert_eq!(target("b:5080"), (None, Some("b:5080".into())));
}
