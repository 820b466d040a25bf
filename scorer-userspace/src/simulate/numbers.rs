//! Telephone numbers of the simulated world: blocks of ten thousand that can exist by
//! their country's plan, found by asking libphonenumber about random ones.

use rand::RngExt as _;

use super::random::{Stream, hash, pick, stream};
use crate::{
    number::{NumberKind, Plan},
    time::Timestamp,
};

/// Numbers that share all but the last digits: those written as X, else four more.
pub(super) type Block = String;

/// A country and how its national numbers may look; X is any digit.
struct Country {
    code: &'static str,
    fixed: &'static [&'static str],
    mobile: &'static [&'static str],
    /// Share of calls from abroad.
    weight: f64,
}

const fn country(
    code: &'static str,
    fixed: &'static [&'static str],
    mobile: &'static [&'static str],
    weight: f64,
) -> Country {
    Country { code, fixed, mobile, weight }
}

/// Where calls from abroad come from.
const ABROAD: &[Country] = &[
    country("1", &["XXXXXXXXXX"], &["XXXXXXXXXX"], 18.0),
    country("353", &["1XXXXXXX"], &["8XXXXXXXX"], 15.0),
    country("33", &["1XXXXXXXX"], &["6XXXXXXXX"], 9.0),
    country("49", &["30XXXXXXXX"], &["15XXXXXXXXX"], 9.0),
    country("34", &["9XXXXXXXX"], &["6XXXXXXXX"], 7.0),
    country("48", &["XXXXXXXXX"], &["XXXXXXXXX"], 7.0),
    country("91", &["XXXXXXXXXX"], &["9XXXXXXXXX"], 7.0),
    country("40", &["2XXXXXXXX"], &["7XXXXXXXX"], 5.0),
    country("39", &["06XXXXXXXX"], &["3XXXXXXXXX"], 5.0),
    country("92", &["XXXXXXXXXX"], &["3XXXXXXXXX"], 4.0),
    country("234", &["XXXXXXXXXX"], &["8XXXXXXXXX"], 3.0),
    country("31", &["20XXXXXXX"], &["6XXXXXXXX"], 4.0),
    country("61", &["2XXXXXXXX"], &["4XXXXXXXX"], 3.0),
    country("371", &["6XXXXXXX"], &["2XXXXXXX"], 1.0),
    country("216", &["7XXXXXXX"], &["2XXXXXXX"], 0.7),
    country("252", &["XXXXXXXX"], &["6XXXXXXXX"], 0.4),
    country("53", &["7XXXXXXX"], &["5XXXXXXX"], 0.4),
    country("960", &["3XXXXXX"], &["7XXXXXX"], 0.3),
    country("224", &["31XXXXXX"], &["6XXXXXXXX"], 0.3),
    country("675", &["3XXXXXX"], &["7XXXXXXX"], 0.2),
];

/// Codes from [`ABROAD`] that wangiri and revenue-share fraud use.
const DEAR: &[&str] = &["371", "216", "252", "53", "960", "224", "675"];

/// Blocks of one country.
#[derive(Debug)]
pub(super) struct Blocks {
    pub(super) code: &'static str,
    pub(super) fixed: Vec<Block>,
    pub(super) mobile: Vec<Block>,
}

/// All numbers there are.
#[derive(Debug)]
pub(super) struct Numbers {
    /// The operator's own subscribers, who are called.
    pub(super) own: Vec<Block>,
    pub(super) fixed: Vec<Block>,
    pub(super) mobile: Vec<Block>,
    pub(super) toll_free: Vec<Block>,
    /// Numbers of businesses without an area (03).
    pub(super) business: Vec<Block>,
    pub(super) voip: Vec<Block>,
    /// What no plan allows.
    pub(super) unallocated: Vec<Block>,
    pub(super) abroad: Vec<Blocks>,
    /// Numbers of banks and public offices which are only called.
    pub(super) protected: Vec<String>,
    /// Digits that the numbers of a block differ in, four but for drama.
    pub(super) tail: usize,
}

/// Digits of a block's numbers behind it.
const TAIL: usize = 4;

impl Numbers {
    /// Those of one seed.
    pub(super) fn new(seed: u64, drama: bool) -> Self {
        if drama {
            return Self::of_drama(seed);
        }
        let mut finder =
            Finder { plan: Plan::new(), random: stream(seed, 0x6e75_6d62, 0), asked: 0 };
        let uk = |finder: &mut Finder, patterns, kinds, count| {
            finder.blocks("44", patterns, kinds, count)
        };
        let fixed_patterns = &["1XXXXXXXXX", "2XXXXXXXXX"];
        let own = uk(&mut finder, fixed_patterns, &[NumberKind::Fixed], 60);
        let fixed = uk(&mut finder, fixed_patterns, &[NumberKind::Fixed], 400);
        let mobile = uk(&mut finder, &["7XXXXXXXXX"], &[NumberKind::Mobile], 400);
        let toll_free = uk(&mut finder, &["80XXXXXXXX"], &[NumberKind::TollFree], 20);
        let business = uk(&mut finder, &["3XXXXXXXXX"], &[NumberKind::Universal], 40);
        let voip = uk(&mut finder, &["56XXXXXXXX"], &[NumberKind::Voip], 20);
        let either = NumberKind::FixedOrMobile;
        let abroad = ABROAD.iter().map(|country| Blocks {
            code: country.code,
            fixed: finder.blocks(country.code, country.fixed, &[NumberKind::Fixed, either], 25),
            mobile: finder.blocks(country.code, country.mobile, &[NumberKind::Mobile, either], 25),
        });
        let abroad: Vec<_> = abroad.collect();
        let unallocated = finder.impossible(40);
        let random = &mut finder.random;
        let protected = (0..40)
            .map(|i| number(pick(random, if i % 2 == 0 { &business } else { &toll_free }), random))
            .collect();
        Self {
            own,
            fixed,
            mobile,
            toll_free,
            business,
            voip,
            unallocated,
            abroad,
            protected,
            tail: TAIL,
        }
    }

    /// Numbers that are nobody's: of the ranges that regulators keep for drama (Ofcom,
    /// ComReg, Arcep, the Bundesnetzagentur, ACMA, 555-01XX of North America), and for
    /// countries without such a range numbers that no plan can give away.
    fn of_drama(seed: u64) -> Self {
        let mut finder =
            Finder { plan: Plan::new(), random: stream(seed, 0x6e75_6d62, 0), asked: 0 };
        let blocks = |blocks: &[&str]| blocks.iter().map(|block| (*block).to_owned()).collect();
        let abroad = ABROAD.iter().map(|country| {
            let own: Vec<Block> = match DRAMA_ABROAD.iter().find(|(code, _)| *code == country.code)
            {
                Some((_, own)) => blocks(own),
                // National numbers begin with no 0, but for Italy's.
                None => {
                    vec![format!("{}0000XXX", country.code), format!("{}0001XXX", country.code)]
                }
            };
            Blocks { code: country.code, fixed: own.clone(), mobile: own }
        });
        let business: Vec<Block> = blocks(&["443069990XXX"]);
        let toll_free: Vec<Block> = blocks(&["448081570XXX"]);
        let protected = (0..40)
            .map(|i| {
                let block = if i % 2 == 0 { &business } else { &toll_free };
                number(&block[0], &mut finder.random)
            })
            .collect();
        Self {
            own: blocks(&["442079460XXX", "441632960XXX"]),
            fixed: blocks(DRAMA_FIXED),
            mobile: blocks(&["447700900XXX"]),
            unallocated: finder.impossible(40),
            voip: blocks(&["441632960XXX"]),
            abroad: abroad.collect(),
            business,
            toll_free,
            protected,
            tail: 3,
        }
    }

    /// Number of the operator's `i`th subscriber.
    pub(super) fn subscriber(&self, seed: u64, i: u64) -> String {
        let hash = hash(seed, 0x6f77_6e65, i);
        let block = &self.own[(hash % self.own.len() as u64) as usize];
        fill(block, hash >> 32)
    }

    /// A country that calls come from, as often as they do.
    pub(super) fn foreign(&self, random: &mut Stream) -> &Blocks {
        let total: f64 = ABROAD.iter().map(|country| country.weight).sum();
        let mut at = random.random::<f64>() * total;
        let place = ABROAD.iter().position(|country| {
            at -= country.weight;
            at < 0.0
        });
        &self.abroad[place.unwrap_or(0)]
    }

    /// A country whose numbers are dear.
    pub(super) fn dear(&self, random: &mut Stream) -> &Blocks {
        let code = *pick(random, DEAR);
        self.abroad.iter().find(|blocks| blocks.code == code).unwrap_or(&self.abroad[0])
    }
}

/// A number of a block.
pub(super) fn number(block: impl AsRef<str>, random: &mut Stream) -> String {
    // Of this type, since it is part of what a seed gives.
    fill(block.as_ref(), random.random_range(0..10_000_i32) as u64)
}

/// The `n`th number of a block.
pub(super) fn fill(block: &str, n: u64) -> String {
    let prefix = block.trim_end_matches('X');
    let width = match block.len() - prefix.len() {
        0 => TAIL,
        some => some,
    };
    format!("{prefix}{:0width$}", n % 10u64.pow(width as u32))
}

/// Ofcom's numbers for drama, with an area.
const DRAMA_FIXED: &[&str] = &[
    "441134960XXX",
    "441144960XXX",
    "441154960XXX",
    "441164960XXX",
    "441174960XXX",
    "441184960XXX",
    "441214960XXX",
    "441314960XXX",
    "441414960XXX",
    "441514960XXX",
    "441614960XXX",
    "441914980XXX",
    "442896496XXX",
    "442920180XXX",
];

/// Those of other countries; of Italy numbers that its plan does not have.
const DRAMA_ABROAD: &[(&str, &[&str])] = &[
    ("1", &["120255501XX", "121255501XX", "131255501XX", "141555501XX", "161755501XX"]),
    ("353", &["35320910XXXX", "35320911XXXX"]),
    ("33", &["33199000XXX", "33261910XXX", "33353010XXX", "33639980XXX"]),
    ("49", &["493023125XXX", "494066969XXX", "498999998XXX"]),
    ("61", &["61255500XXX", "61355500XXX", "61755500XXX"]),
    ("39", &["39990000XXX"]),
];

struct Finder {
    plan: Plan,
    random: Stream,
    asked: u64,
}

impl Finder {
    /// Digits of a pattern, filled in.
    fn candidate(&mut self, code: &str, pattern: &str) -> String {
        let digit = |random: &mut Stream| char::from(b'0' + random.random_range(0..10u8));
        let national: String =
            pattern.chars().map(|c| if c == 'X' { digit(&mut self.random) } else { c }).collect();
        format!("{code}{national}")
    }

    fn planned(&mut self, digits: &str) -> crate::number::Planned {
        // A millisecond apart, so that the plan's budget suffices.
        self.asked += 1_000_000;
        self.plan.look(digits.as_bytes(), Timestamp(self.asked))
    }

    fn blocks(
        &mut self,
        code: &str,
        patterns: &[&str],
        kinds: &[NumberKind],
        count: usize,
    ) -> Vec<Block> {
        let mut found = Vec::with_capacity(count);
        // Some plans are sparse; a few hundred tries a block find them all.
        for _ in 0..300 * count {
            if found.len() == count {
                break;
            }
            let pattern = *pick(&mut self.random, patterns);
            let digits = self.candidate(code, pattern);
            let planned = self.planned(&digits);
            if planned.valid == Some(true) && kinds.contains(&planned.kind) {
                found.push(digits[..digits.len() - TAIL].to_owned());
            }
        }
        if found.is_empty() {
            // A plan that changed: numbers of the right form that it does not know.
            found.push(self.candidate(code, patterns[0])[..code.len() + 4].to_owned());
        }
        found
    }

    fn impossible(&mut self, count: usize) -> Vec<Block> {
        let mut found = Vec::with_capacity(count);
        for _ in 0..10_000 {
            if found.len() == count {
                break;
            }
            let pattern = *pick(
                &mut self.random,
                &["2XXXXXXXXX", "4XXXXXXXXX", "6XXXXXXXXX", "1XXXXXXXXX", "7XXXXXXXXX"],
            );
            let digits = self.candidate("44", pattern);
            if self.planned(&digits).valid == Some(false) {
                found.push(digits[..digits.len() - TAIL].to_owned());
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::{Numbers, fill};

    #[test]
    fn there_are_numbers_of_all_kinds() {
        let numbers = Numbers::new(1, false);
        assert_eq!(numbers.fixed.len(), 400);
        assert_eq!(numbers.mobile.len(), 400);
        for blocks in &numbers.abroad {
            assert!(blocks.fixed.len() >= 5, "{} fixed {}", blocks.code, blocks.fixed.len());
            assert!(blocks.mobile.len() >= 5, "{} mobile {}", blocks.code, blocks.mobile.len());
        }
        for list in [&numbers.toll_free, &numbers.business, &numbers.voip, &numbers.unallocated] {
            assert!(list.len() >= 10);
        }
        assert_eq!(Numbers::new(1, false).own, numbers.own);
        assert_ne!(Numbers::new(2, false).own, numbers.own);
    }

    #[test]
    fn blocks_are_filled() {
        assert_eq!(fill("441632960XXX", 12_345), "441632960345");
        assert_eq!(fill("120255501XX", 7), "12025550107");
        assert_eq!(fill("44207946", 12_345), "442079462345");
    }
}
