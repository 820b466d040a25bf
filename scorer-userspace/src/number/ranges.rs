//! Tables of number ranges in CSV, as operators keep them. `data/ranges.csv` tells
//! the format and has small defaults.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read as _},
    path::{Path, PathBuf},
};

/// The defaults.
const BUILTIN: &str = include_str!("data/ranges.csv");
/// Lines of all tables at most.
const LINES: usize = 5_000_000;
/// Bytes of a line at most.
const LINE: usize = 1_024;

/// What is said of a number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Marks {
    bits: u16,
    /// Risk of its range or country, 0–1; NaN where none is given.
    risk: f32,
}

const ALLOCATED: u16 = 1;
const COMPLETE: u16 = 2;
const PREMIUM: u16 = 4;
const HIGH_COST: u16 = 8;
const DO_NOT_ORIGINATE: u16 = 16;
const PROTECTED: u16 = 32;
const SHORT_CODE: u16 = 64;
const EMERGENCY: u16 = 128;
const RISK: u16 = 256;

impl Marks {
    const fn has(self, bit: u16) -> bool {
        self.bits & bit != 0
    }

    /// Whether the range is allocated; `None` where the tables do not say.
    pub fn allocated(self) -> Option<bool> {
        if self.has(ALLOCATED) { Some(true) } else { self.has(COMPLETE).then_some(false) }
    }

    /// Premium rate.
    pub fn premium(self) -> bool {
        self.has(PREMIUM)
    }

    /// Dear, by rate or by what is known of fraud.
    pub fn high_cost(self) -> bool {
        self.has(HIGH_COST | PREMIUM)
    }

    /// Only ever called.
    pub fn do_not_originate(self) -> bool {
        self.has(DO_NOT_ORIGINATE)
    }

    /// Shown by impostors.
    pub fn protected(self) -> bool {
        self.has(PROTECTED)
    }

    /// A short code.
    pub fn short_code(self) -> bool {
        self.has(SHORT_CODE)
    }

    /// An emergency number.
    pub fn emergency(self) -> bool {
        self.has(EMERGENCY)
    }

    /// Risk of the range, 0–1; NaN where none is given.
    pub fn risk(self) -> f32 {
        if self.has(RISK) { self.risk } else { f32::NAN }
    }
}

/// Why a table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RangeError {
    /// Cannot be read.
    #[error("cannot read the number table {}: {source}", path.display())]
    Io {
        /// File.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// A line says nothing that can be understood.
    #[error("{file}, line {line}: {what}")]
    Line {
        /// File.
        file: String,
        /// From 1.
        line: usize,
        /// What is wrong, what to do.
        what: String,
    },
}

/// A range of numbers, inclusive, digits padded to [`WIDTH`] with 0 and with 9.
#[derive(Clone, Copy, Debug)]
struct Range {
    first: u64,
    last: u64,
    marks: Marks,
}

/// Digits that are compared.
const WIDTH: usize = 15;

/// The tables, as intervals that do not overlap.
#[derive(Clone, Debug, Default)]
pub struct Ranges {
    /// Where intervals begin, rising.
    starts: Vec<u64>,
    /// What is said from there to the next.
    marks: Vec<Marks>,
    /// Short numbers, dialled whole: they are no prefixes.
    whole: Vec<(u64, u8, u16)>,
    /// For each three first digits: the interval in which they begin.
    index: Vec<u32>,
}

impl Ranges {
    /// The defaults compiled in.
    ///
    /// # Errors
    /// None, as a test shows.
    pub fn builtin() -> Result<Self, RangeError> {
        let mut lines = Lines::default();
        lines.read(BUILTIN.as_bytes(), "built-in ranges")?;
        Ok(lines.finish())
    }

    /// The defaults, or in their place the tables of `files`.
    ///
    /// # Errors
    /// [`RangeError`].
    pub fn load(files: &[PathBuf]) -> Result<Self, RangeError> {
        if files.is_empty() {
            return Self::builtin();
        }
        let mut lines = Lines::default();
        for path in files {
            let name = path.display().to_string();
            lines.read(BufReader::new(open(path)?), &name)?;
        }
        Ok(lines.finish())
    }

    /// What is said of an international number, digits without `+`.
    #[inline]
    pub fn look(&self, digits: &[u8]) -> Marks {
        let number = padded(digits, 0);
        let group = (number / 1_000_000_000_000) as usize;
        let Some(from) = self.index.get(group) else { return Marks::default() };
        let from = *from as usize;
        let to = self.index.get(group + 1).map_or(self.starts.len(), |to| *to as usize + 1);
        let within = self.starts.get(from..to.min(self.starts.len())).unwrap_or_default();
        let at = from + within.partition_point(|start| *start <= number);
        at.checked_sub(1).and_then(|at| self.marks.get(at)).copied().unwrap_or_default()
    }

    /// What is said of digits as they are dialled: short codes, emergency numbers.
    #[inline]
    pub fn dialled(&self, digits: &[u8]) -> Marks {
        if digits.is_empty() || digits.len() > 6 {
            return Marks::default();
        }
        let key = (padded(digits, 0), digits.len() as u8);
        let found = self.whole.binary_search_by(|(first, length, _)| (*first, *length).cmp(&key));
        found.map_or_else(
            |_| Marks::default(),
            |at| Marks { bits: self.whole[at].2, risk: f32::NAN },
        )
    }
}

fn open(path: &Path) -> Result<File, RangeError> {
    File::open(path).map_err(|source| RangeError::Io { path: path.to_owned(), source })
}

fn padded(digits: &[u8], with: u64) -> u64 {
    (0..WIDTH).fold(0, |n, i| n * 10 + digits.get(i).map_or(with, |d| u64::from(d & 15)))
}

#[derive(Default)]
struct Lines {
    ranges: Vec<Range>,
    whole: Vec<(u64, u8, u16)>,
    read: usize,
}

impl Lines {
    fn read(&mut self, mut source: impl BufRead, file: &str) -> Result<(), RangeError> {
        let mut text = Vec::new();
        for line in 1.. {
            let wrong = |what: &str| RangeError::Line {
                file: file.to_owned(),
                line,
                what: what.to_owned(),
            };
            text.clear();
            let mut limited = (&mut source).take(LINE as u64 + 1);
            let length = limited
                .read_until(b'\n', &mut text)
                .map_err(|source| RangeError::Io { path: file.into(), source })?;
            if length == 0 {
                break;
            }
            if length > LINE {
                return Err(wrong("is longer than 1,024 bytes; is this a CSV file?"));
            }
            self.read += 1;
            if self.read > LINES {
                return Err(wrong("there are more than five million lines; leave some out"));
            }
            let content = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text).trim_ascii();
            if content.is_empty() || content.starts_with(b"#") {
                continue;
            }
            let mut fields = content.splitn(3, |b| *b == b',');
            let numbers = fields.next().unwrap_or_default().trim_ascii();
            let kind = fields.next().unwrap_or_default().trim_ascii();
            self.add(numbers, kind).map_err(wrong)?;
        }
        Ok(())
    }

    fn add(&mut self, numbers: &[u8], kind: &[u8]) -> Result<(), &'static str> {
        let mut risk = f32::NAN;
        let bits = match kind {
            b"allocated" => ALLOCATED,
            b"complete" => COMPLETE,
            b"premium" => PREMIUM,
            b"high_cost" => HIGH_COST,
            b"do_not_originate" => DO_NOT_ORIGINATE,
            b"protected" => PROTECTED,
            b"short_code" => SHORT_CODE,
            b"emergency" => EMERGENCY,
            _ => {
                let value = kind
                    .strip_prefix(b"risk:")
                    .and_then(|text| std::str::from_utf8(text).ok()?.parse().ok())
                    .filter(|risk: &f32| (0.0..=1.0).contains(risk));
                risk = value.ok_or(
                    "the second field must be allocated, complete, premium, high_cost, \
                     do_not_originate, protected, short_code, emergency or risk:0.0 to risk:1.0",
                )?;
                RISK
            }
        };
        let mut ends = numbers.splitn(2, |b| *b == b'-').map(|end| {
            let end = end.trim_ascii();
            end.strip_prefix(b"+").unwrap_or(end)
        });
        let first = ends.next().unwrap_or_default();
        let last = ends.next().unwrap_or(first);
        let digits = |end: &[u8]| {
            !end.is_empty() && end.len() <= WIDTH && end.iter().all(u8::is_ascii_digit)
        };
        if !digits(first) || !digits(last) || first.len() != last.len() {
            return Err(
                "the first field must be a prefix of 1 to 15 digits, or two of one length \
                        with a - between them",
            );
        }
        let marks = Marks { bits, risk };
        if bits & (SHORT_CODE | EMERGENCY) != 0 {
            return self.add_whole(first, last, bits);
        }
        let (first, last) = (padded(first, 0), padded(last, 9));
        if first > last {
            return Err("the range ends before it begins");
        }
        self.ranges.push(Range { first, last, marks });
        Ok(())
    }

    fn add_whole(&mut self, first: &[u8], last: &[u8], bits: u16) -> Result<(), &'static str> {
        if first.len() > 6 {
            return Err("short codes and emergency numbers have at most six digits");
        }
        let value = |digits: &[u8]| digits.iter().fold(0u64, |n, d| n * 10 + u64::from(d & 15));
        let step = 10u64.pow((WIDTH - first.len()) as u32);
        for number in value(first)..=value(last) {
            self.whole.push((number * step, first.len() as u8, bits));
        }
        Ok(())
    }

    /// Cuts overlapping ranges into intervals that carry all their marks.
    fn finish(mut self) -> Ranges {
        let mut edges: Vec<(u64, bool, usize)> = Vec::with_capacity(2 * self.ranges.len());
        for (i, range) in self.ranges.iter().enumerate() {
            edges.push((range.first, true, i));
            edges.push((range.last + 1, false, i));
        }
        edges.sort_unstable();
        let mut out = Ranges::default();
        let mut counts = [0u32; 16];
        // The narrowest range's risk counts, which began last.
        let mut risks: std::collections::BTreeMap<usize, f32> = std::collections::BTreeMap::new();
        let mut i = 0;
        while i < edges.len() {
            let at = edges[i].0;
            while i < edges.len() && edges[i].0 == at {
                let (_, begins, range) = edges[i];
                let marks = self.ranges[range].marks;
                let bit = marks.bits.trailing_zeros() as usize;
                if begins {
                    counts[bit] += 1;
                    if marks.bits == RISK {
                        risks.insert(range, marks.risk);
                    }
                } else {
                    counts[bit] -= 1;
                    risks.remove(&range);
                }
                i += 1;
            }
            let bits = counts
                .iter()
                .enumerate()
                .fold(0, |bits, (bit, count)| bits | u16::from(*count > 0) << bit);
            let risk = risks.values().next_back().copied().unwrap_or(f32::NAN);
            out.starts.push(at);
            out.marks.push(Marks { bits, risk });
        }
        let mut at = 0;
        for group in 0..1_000u64 {
            // The last interval that begins at or before the group.
            while out.starts.get(at + 1).is_some_and(|start| *start <= group * 1_000_000_000_000) {
                at += 1;
            }
            out.index.push(at as u32);
        }
        self.whole.sort_unstable();
        // One number may be both.
        for entry in self.whole {
            match out.whole.last_mut() {
                Some(last) if (last.0, last.1) == (entry.0, entry.1) => last.2 |= entry.2,
                _ => out.whole.push(entry),
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Lines, Ranges};

    fn ranges(text: &str) -> Ranges {
        let mut lines = Lines::default();
        lines.read(text.as_bytes(), "t").expect("good lines");
        lines.finish()
    }

    #[test]
    fn the_defaults() {
        let ranges = Ranges::builtin().expect("good defaults");
        assert!(ranges.look(b"88213123456").high_cost());
        assert!(ranges.look(b"449098790000").premium());
        assert!(!ranges.look(b"442079460123").high_cost());
        assert_eq!(ranges.look(b"442079460123").allocated(), None);
        assert!(ranges.look(b"25212345678").risk() > 0.7);
        assert!(ranges.dialled(b"112").emergency() && ranges.dialled(b"118500").short_code());
        assert!(!ranges.dialled(b"1125").emergency() && !ranges.look(b"1125551234").emergency());
    }

    #[test]
    fn allocation_is_known_where_it_is_complete() {
        let ranges = ranges(
            "\u{feff}# c\r\n+44,complete,\r\n4420,allocated,x\r\n442079460000-442079460999,do_not_originate,drama\r\n",
        );
        assert_eq!(ranges.look(b"442071234567").allocated(), Some(true));
        assert_eq!(ranges.look(b"449991234567").allocated(), Some(false));
        assert_eq!(ranges.look(b"33123456789").allocated(), None);
        let drama = ranges.look(b"442079460123");
        assert!(drama.do_not_originate() && drama.allocated() == Some(true));
        assert!(!ranges.look(b"442079461000").do_not_originate());
    }

    #[test]
    fn lines_that_are_wrong() {
        for (text, what) in [
            ("44,alocated,x", "the second field must be"),
            ("x,premium", "the first field must be"),
            ("44-443,premium", "two of one length"),
            ("45-44,premium", "ends before it begins"),
            ("1234567,emergency", "at most six digits"),
            ("44,risk:1.5", "the second field must be"),
        ] {
            let error = Lines::default().read(format!("#\n{text}\n").as_bytes(), "f.csv");
            let error = error.expect_err(what).to_string();
            assert!(error.contains(what) && error.starts_with("f.csv, line 2"), "{error}");
        }
        let long = "4".repeat(5_000);
        assert!(Lines::default().read(long.as_bytes(), "f").is_err());
    }

    proptest! {
        #[test]
        fn as_a_search_through_all_says(
            list in prop::collection::vec(("[0-9]{1,6}", 0usize..4), 0..40),
            asked in prop::collection::vec("[0-9]{1,15}", 1..40),
        ) {
            let kinds = ["allocated", "premium", "high_cost", "protected"];
            let text: String =
                list.iter().map(|(prefix, kind)| format!("{prefix},{}\n", kinds[*kind])).collect();
            let ranges = ranges(&text);
            for number in &asked {
                let marks = ranges.look(number.as_bytes());
                // A number shorter than a prefix stands for its first.
                let full = format!("{number:0<15}");
                let has = |kind: usize| {
                    list.iter().any(|(prefix, k)| *k == kind && full.starts_with(prefix.as_str()))
                };
                prop_assert_eq!(marks.allocated() == Some(true), has(0));
                prop_assert_eq!(marks.premium(), has(1));
                prop_assert_eq!(marks.high_cost(), has(1) || has(2));
                prop_assert_eq!(marks.protected(), has(3));
            }
        }
    }
}
