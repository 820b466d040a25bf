//! Look-ups, and the store with its follower.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
};

use proptest::prelude::*;

use super::{Entry, Follower, Hits, List, ListSet, Lists, News, Query, Store, StoreError, Stored};
use crate::{env::Trunks, number::Number, time::Timestamp};

const HOME: Option<u16> = Some(44);

fn entry(list: List, value: &str) -> Entry<'_> {
    let (reason, from) = ("", "");
    Entry { list, value, reason, expires: None, from, row: None, organisations: 0, shared_at: 0 }
}

/// A call: number shown, network's number, fingerprint, profile, source, trunk, second.
fn look(
    lists: &Lists,
    shown: &str,
    network: &str,
    source: &str,
    trunk: Option<u16>,
    now: u64,
) -> Hits {
    let number = |text: &str| Number::parse(text.as_bytes(), HOME);
    let (shown, network) = (number(shown), number(network));
    lists.look(&Query {
        shown: shown.as_ref(),
        network: network.as_ref(),
        fingerprint: 0xff,
        profile: 0xab,
        source: source.parse().expect("an address"),
        trunk,
        now: Timestamp::new(now, 0),
    })
}

fn names(hits: &Hits) -> Vec<&'static str> {
    hits.lists.iter().map(List::name).collect()
}

fn lists<'a>(entries: impl IntoIterator<Item = Entry<'a>>) -> Lists {
    let trunks =
        Trunks::parse(["a 192.0.2.0/24", "b 198.51.100.0/24"].into_iter()).expect("trunks");
    Lists::from_entries(entries, &trunks, HOME).expect("good entries")
}

#[test]
fn files_of_every_list() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("lists.csv");
    let text = "# mine\nallow_number,+442079460001\ndeny_number,+442079460002\ndeny_range,+8821\n\
                deny_fingerprint,00000000000000ff\ndeny_profile,ab\nallow_source,192.0.2.0/24\n\
                deny_source,2001:db8::/32\nscanner,198.51.100.7\nconsortium,+442079460003,3,1000\n\
                deny_trunk,b,\"noisy, always\",ann\n";
    std::fs::write(&path, text).expect("written");
    let trunks =
        Trunks::parse(["a 192.0.2.0/24", "b 198.51.100.0/24"].into_iter()).expect("trunks");
    let load = || Lists::load(std::slice::from_ref(&path), None, &trunks, HOME);
    let lists = load().expect("good lists");
    let at = |number: &str, source: &str| look(&lists, "", number, source, None, 1_060);
    let both = ["deny_fingerprint", "deny_profile"];
    assert_eq!(names(&at("+442079460009", "203.0.113.1")), both);
    assert!(at("+442079460001", "192.0.2.77").lists.contains(List::AllowSource));
    assert!(at("+442079460001", "192.0.2.77").lists.contains(List::AllowNumber));
    assert!(at("+442079460002", "2001:db8::9").lists.contains(List::DenyNumber));
    assert!(at("+442079460002", "2001:db8::9").lists.contains(List::DenySource));
    assert!(at("+88212345", "198.51.100.7").lists.contains(List::DenyRange));
    assert!(at("+88212345", "198.51.100.7").lists.contains(List::Scanner));
    let shared = at("+442079460003", "203.0.113.1");
    assert!(shared.consortium == 3 && (shared.consortium_age - 60.0).abs() < 1e-3);
    let trunk = look(&lists, "", "", "198.51.100.9", Some(1), 0);
    assert!(trunk.lists.contains(List::DenyTrunk));
    assert_eq!(lists.len(), 10);
    for bad in [
        "denynumber,+44",
        "deny_number,alice",
        "deny_range,4x",
        "scanner,1.2.3",
        "consortium,+44,x",
        "deny_number,+441632960001,why,who,never,whenever",
    ] {
        std::fs::write(&path, format!("\n{bad}\n")).expect("written");
        let error = load().expect_err(bad).to_string();
        assert!(error.contains("line 2"), "{error}");
    }
}

/// Withheld, shown as another, or written in another way: one caller.
#[test]
fn a_denied_caller_in_every_guise() {
    let lists = lists([
        Entry { reason: "threatened staff", ..entry(List::DenyNumber, "01632 960001") },
        entry(List::DenyProfile, "ab"),
    ]);
    let hits = |shown: &str, network: &str| {
        let hits = look(&lists, shown, network, "192.0.2.1", None, 0);
        hits.deny.map(|hit| (hit.list, lists.reason(hit).to_owned()))
    };
    let number = Some((List::DenyNumber, "threatened staff".to_owned()));
    for form in ["+441632960001", "00441632960001", "441632960001", "01632960001"] {
        assert_eq!(hits(form, ""), number, "{form}");
        assert_eq!(hits("", form), number, "withheld, {form}");
        assert_eq!(hits("+442079460111", form), number, "another is shown, {form}");
    }
    // Wholly another number: the signature still names him.
    assert_eq!(hits("+442079460111", "+442079460111"), Some((List::DenyProfile, String::new())));
}

#[test]
fn the_narrowest_counts_and_entries_stop_at_their_time() {
    let lists = lists([
        entry(List::DenyRange, "+4416329"),
        entry(List::AllowRange, "+441632960000-+441632960099"),
        Entry { expires: Some(100), ..entry(List::DenyNumber, "+441632960050") },
        entry(List::AllowNumber, "+441632970000"),
        entry(List::DenyNumber, "+441632970000"),
        entry(List::AllowSource, "192.0.2.0/24"),
        entry(List::DenySource, "192.0.2.128/25"),
        Entry { expires: Some(50), ..entry(List::AllowSource, "192.0.2.200") },
    ]);
    let of = |number: &str, now| {
        let hits = look(&lists, "", number, "203.0.113.1", None, now);
        (hits.allow.is_some(), hits.deny.is_some())
    };
    assert_eq!(of("+441632999999", 0), (false, true));
    assert_eq!(of("+441632960007", 0), (true, false));
    assert_eq!(of("+441632960100", 0), (false, true));
    assert_eq!(
        of("+441632960050", 99),
        (false, true),
        "denied in an allowed range in a denied one"
    );
    assert_eq!(of("+441632960050", 100), (true, false), "over from its second on");
    assert_eq!(of("+441632970000", 0), (false, true), "as narrow: denied");
    assert_eq!(of("+441733000000", 0), (false, false));
    let source = |address, now| names(&look(&lists, "", "", address, None, now));
    assert_eq!(source("192.0.2.1", 0), ["allow_source"]);
    assert_eq!(source("192.0.2.129", 0), ["deny_source"]);
    assert_eq!(source("192.0.2.200", 49), ["allow_source"]);
    assert_eq!(source("192.0.2.200", 50), ["deny_source"]);
}

#[test]
fn an_allowed_number_has_places() {
    let lists =
        lists([Entry { from: "a 203.0.113.0/24", ..entry(List::AllowNumber, "+441632960001") }]);
    let from = |source, trunk| look(&lists, "+441632960001", "", source, trunk, 0).from_usual;
    assert_eq!(from("192.0.2.1", Some(0)), Some(true));
    assert_eq!(from("203.0.113.7", None), Some(true));
    assert_eq!(from("198.51.100.1", Some(1)), Some(false));
    let hits = look(&lists, "+441632960001", "+441632960002", "192.0.2.1", Some(0), 0);
    assert!(hits.half_allowed);
    let hits = look(&lists, "+441632960001", "+441632960001", "192.0.2.1", Some(0), 0);
    assert!(!hits.half_allowed && hits.allow.is_some());
}

/// What the index says, from the definition.
fn plainly(ranges: &[(u16, u16, bool, bool)], number: u16) -> (bool, bool) {
    let mut best: BTreeMap<bool, i32> = BTreeMap::new();
    for (first, last, denies, exact) in ranges {
        let (first, last) = (*first.min(last), *first.max(last));
        if *exact {
            if first == number {
                best.insert(*denies, 99);
            }
        } else if (first..=last).contains(&number) {
            // The block of ten, hundred … that it is in, within the range.
            let narrow = (0..4).rev().find(|zeros| {
                let size = 10u16.pow(*zeros);
                let start = number / size * size;
                first <= start && start + (size - 1) <= last
            });
            let narrow = 4 - narrow.unwrap_or(0) as i32;
            let known = best.entry(*denies).or_insert(0);
            *known = narrow.max(*known);
        }
    }
    match (best.get(&false), best.get(&true)) {
        (Some(allow), Some(deny)) => (allow > deny, allow <= deny),
        (allow, deny) => (allow.is_some(), deny.is_some()),
    }
}

proptest! {
    #[test]
    fn numbers_are_found_as_defined(
        ranges in prop::collection::vec((1_000..9_999u16, 1_000..9_999u16, any::<bool>(), any::<bool>()), 0..20),
        asked in prop::collection::vec(1_000..9_999u16, 1..20),
    ) {
        let texts: Vec<_> = ranges.iter().map(|(a, b, denies, exact)| match (denies, exact) {
            (true, true) => (List::DenyNumber, format!("+{}", a.min(b))),
            (false, true) => (List::AllowNumber, format!("+{}", a.min(b))),
            (true, false) => (List::DenyRange, format!("+{}-+{}", a.min(b), a.max(b))),
            (false, false) => (List::AllowRange, format!("+{}-+{}", a.min(b), a.max(b))),
        }).collect();
        let lists = lists(texts.iter().map(|(list, text)| entry(*list, text)));
        for number in asked.into_iter().chain(ranges.iter().flat_map(|(a, b, ..)| [*a, *b])) {
            let hits = look(&lists, "", &format!("+{number}"), "203.0.113.1", None, 0);
            let expected = plainly(&ranges, number);
            prop_assert_eq!((hits.allow.is_some(), hits.deny.is_some()), expected, "{}", number);
        }
    }

    #[test]
    fn sources_are_found_as_defined(
        nets in prop::collection::vec((any::<u32>(), 0..=32u8, any::<bool>()), 0..30),
        near in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let texts: Vec<_> = nets.iter().map(|(net, bits, denies)| {
            let list = if *denies { List::DenySource } else { List::AllowSource };
            (list, format!("{}/{bits}", Ipv4Addr::from(*net)))
        }).collect();
        let lists = lists(texts.iter().map(|(list, text)| entry(*list, text)));
        for (index, low) in near {
            if nets.is_empty() { break; }
            let address = nets[index.index(nets.len())].0 & !0xff | u32::from(low);
            let best = |side: bool| nets.iter().filter(|(net, bits, denies)| {
                *denies == side && crate::env::contains(IpAddr::V4((*net).into()), *bits, IpAddr::V4(address.into()))
            }).map(|(_, bits, _)| *bits).max();
            let expected = match (best(false), best(true)) {
                (Some(allow), Some(deny)) => (allow > deny, allow <= deny),
                (allow, deny) => (allow.is_some(), deny.is_some()),
            };
            let hits = look(&lists, "", "", &Ipv4Addr::from(address).to_string(), None, 0);
            prop_assert_eq!((hits.allow.is_some(), hits.deny.is_some()), expected);
        }
    }
}

fn stored(list: List, value: &str) -> Stored {
    Stored {
        list,
        value: value.to_owned(),
        reason: "because".to_owned(),
        author: "ann".to_owned(),
        created: 10,
        expires: None,
        from: String::new(),
    }
}

fn all(store: &Store) -> Vec<(String, String)> {
    let mut all = Vec::new();
    store
        .entries(&mut |entry| all.push((entry.list.name().to_owned(), entry.value)))
        .expect("read");
    all
}

#[test]
fn the_store_keeps_entries_and_every_change() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("lists.sqlite");
    assert!(matches!(Store::look(&path), Err(StoreError::Missing { .. })));
    let mut store = Store::open(&path).expect("made");
    assert!(store.add(&stored(List::DenyNumber, "01632960001"), "ann", 11, HOME).expect("added"));
    // The same caller in another form is the same entry.
    let other = Stored { reason: "again".to_owned(), ..stored(List::DenyNumber, "+441632960001") };
    assert!(!store.add(&other, "bob", 12, HOME).expect("changed"));
    assert!(!store.add(&other, "bob", 13, HOME).expect("nothing to do"));
    assert!(store.remove(List::DenyNumber, "00441632960001", "cyd", 14, HOME).expect("removed"));
    assert!(!store.remove(List::DenyNumber, "00441632960001", "cyd", 15, HOME).expect("gone"));
    let mut trail = Vec::new();
    store.audit(10, &mut |line| trail.push(line)).expect("read");
    let told: Vec<_> =
        trail.iter().map(|line| (&*line.author, line.at, &*line.what, &*line.value)).collect();
    let value = "+441632960001";
    assert_eq!(
        told,
        [("ann", 11, "add", value), ("bob", 12, "change", value), ("cyd", 14, "remove", value)]
    );
    assert!(trail[1].old.contains("because") && trail[1].new.contains("again"));
    assert!(trail[0].old.is_empty() && trail[2].new.is_empty());
    for query in ["DELETE FROM audit", "UPDATE audit SET author = 'nobody'"] {
        let error =
            rusqlite::Connection::open(&path).expect("open").execute(query, []).expect_err(query);
        assert!(error.to_string().contains("only added to"), "{error}");
    }
    for bad in [
        Stored { reason: "x".repeat(501), ..stored(List::DenyTrunk, "a") },
        Stored { reason: "two\nlines".to_owned(), ..stored(List::DenyTrunk, "a") },
        Stored { from: "a".to_owned(), ..stored(List::DenyTrunk, "a") },
        stored(List::DenyNumber, "nobody"),
    ] {
        assert!(matches!(store.add(&bad, "ann", 1, HOME), Err(StoreError::Invalid(_))), "{bad:?}");
    }
    let other = folder.path().join("other");
    std::fs::write(&other, b"this is not a database, but it is long enough to be read")
        .expect("written");
    for error in [
        Store::open(&other).expect_err("no database"),
        Store::look(&other).expect_err("no database"),
    ] {
        assert!(error.to_string().contains("not a database"), "{error}");
    }
}

#[test]
fn files_come_in_and_go_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Store::open(&folder.path().join("l")).expect("made");
    let text = "list,value,reason,author,created,expires,from\ndeny_number,01632960001,rude,,,,\n\
                deny_number,alice,,,,,\nallow_number,+442079460001,\"main, line\",bob,2026-01-01,2026-12-31,a\n\
                consortium,+442079460003,3,1000\ndeny_number,+441632960001,rude,,,,\n";
    let done = store.import(text.as_bytes(), "ann", 5, HOME, false).expect("imported");
    assert_eq!((done.added, done.changed, done.same, done.wrong), (2, 0, 1, 2));
    assert_eq!(done.told.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3, 5]);
    assert_eq!(
        all(&store),
        [
            ("allow_number".into(), "+442079460001".into()),
            ("deny_number".into(), "+441632960001".into())
        ]
    );
    let strict = "deny_number,+441632960009\ndeny_number,alice\ndeny_trunk\n";
    let error = store.import(strict.as_bytes(), "ann", 5, HOME, true).expect_err("strict");
    let StoreError::Refused(refused) = &error else { panic!("{error}") };
    assert_eq!(refused.told.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3], "{error}");
    assert_eq!(all(&store).len(), 2, "nothing of it is there");
}

/// What a tap does every quarter of a second.
struct Reader {
    path: PathBuf,
    follower: Follower,
    lists: Lists,
}

impl Reader {
    fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), follower: Follower::new(path), lists: Lists::default() }
    }

    fn look(&mut self) -> Result<News, super::ListError> {
        let news = self.follower.look()?;
        let trunks = Trunks::default();
        let lists = &self.lists;
        let new = self.follower.take(
            &news,
            |store, rows| Ok(lists.with_changes(store, rows, &trunks, HOME)?),
            |store| Lists::load(&[], Some(store), &trunks, HOME),
        )?;
        self.lists = new.unwrap_or_else(|| self.lists.clone());
        Ok(news)
    }

    fn denied(&self, number: &str) -> bool {
        look(&self.lists, "", number, "203.0.113.1", None, 100).deny.is_some()
    }
}

#[test]
fn changes_are_followed_one_by_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("lists.sqlite");
    let mut reader = Reader::new(&path);
    assert!(reader.look().is_err(), "there is none yet");
    let mut store = Store::open(&path).expect("made");
    let add = |store: &mut Store, number: &str| {
        store.add(&stored(List::DenyNumber, number), "ann", 1, HOME).expect("added");
    };
    add(&mut store, "+441632960001");
    assert!(matches!(reader.look(), Ok(News::All)) && reader.denied("+441632960001"));
    assert!(matches!(reader.look(), Ok(News::Same)));
    add(&mut store, "+441632960002");
    store.remove(List::DenyNumber, "+441632960001", "ann", 2, HOME).expect("removed");
    let news = reader.look();
    assert!(matches!(&news, Ok(News::Few(rows)) if rows.len() == 2), "{news:?}");
    assert!(reader.denied("01632960002") && !reader.denied("+441632960001"));
    // An entry that comes back, and one that ends.
    add(&mut store, "+441632960001");
    let over = Stored { expires: Some(99), ..stored(List::DenyNumber, "+441632960002") };
    store.add(&over, "ann", 3, HOME).expect("changed");
    reader.look().expect("followed");
    assert!(reader.denied("+441632960001") && !reader.denied("+441632960002"));
    assert_eq!(reader.lists.len(), 2);
    // So many at once that all are read anew.
    let many: String = (0..6_000).map(|i| format!("deny_number,+44163297{i:04}\n")).collect();
    store.import(many.as_bytes(), "ann", 4, HOME, true).expect("imported");
    assert!(matches!(reader.look(), Ok(News::All)) && reader.denied("+441632975999"));

    // Held by another: what was read stays, and comes up to date afterwards.
    drop(store);
    reader.follower.forget();
    let blocker = rusqlite::Connection::open(&path).expect("open");
    blocker.pragma_update(None, "locking_mode", "exclusive").expect("set");
    blocker.execute_batch("BEGIN EXCLUSIVE").expect("held");
    let held = reader.look();
    assert!(reader.denied("+441632975999"), "{held:?}");
    blocker.execute_batch("ROLLBACK").expect("let go");
    drop(blocker);
    reader.look().expect("it can be read again");

    // Damaged, then gone, then another.
    std::fs::write(&reader.path, b"not a database at all, but some bytes of rubbish")
        .expect("written");
    let damaged = reader.look().and_then(|_| {
        reader.follower.forget();
        reader.look()
    });
    assert!(damaged.is_err() && reader.denied("+441632975999"));
    reader.follower.forget();
    std::fs::remove_file(&path).expect("removed");
    assert!(reader.look().is_err() && reader.denied("+441632975999"));
    for more in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{more}", path.display()));
    }
    let mut store = Store::open(&path).expect("made");
    add(&mut store, "+441632960077");
    reader.follower.forget();
    reader.look().expect("another file");
    assert!(reader.denied("+441632960077") && !reader.denied("+441632975999"));
}

#[test]
fn sets_of_lists() {
    assert!(ListSet::ALLOW.contains(List::AllowTrunk) && !ListSet::ALLOW.contains(List::Scanner));
    assert_eq!(ListSet::ALLOW.iter().count() + ListSet::DENY.iter().count(), 12);
    for list in List::ALL {
        assert_eq!(List::by_name(list.name()), Some(list));
    }
    assert_eq!(List::nearest("denynumber"), "deny_number");
}
