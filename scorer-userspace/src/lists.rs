//! Lists of numbers, ranges, signalling and sources, in CSV:
//! `list,value[,organisations[,seconds since 1970]]`.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _},
    net::IpAddr,
    path::PathBuf,
};

use hashbrown::{HashMap, HashSet};

use crate::{
    env::{contains, prefix},
    number::Number,
    time::Timestamp,
};

/// Entries of all lists at most.
const ENTRIES: usize = 10_000_000;
/// Prefixes of sources at most; they are gone through one by one.
const SOURCES: usize = 1_024;

/// Which lists name a call.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names are the lists")]
#[expect(clippy::struct_excessive_bools, reason = "one for each list")]
pub struct Hits {
    pub allow_number: bool,
    pub allow_source: bool,
    pub deny_number: bool,
    pub deny_range: bool,
    pub deny_fingerprint: bool,
    pub deny_profile: bool,
    pub deny_source: bool,
    pub scanner: bool,
    /// Organisations that share the number.
    pub consortium: u8,
    /// Seconds since it was last shared; NaN when it is not.
    pub consortium_age: f32,
}

impl Default for Hits {
    fn default() -> Self {
        Self {
            allow_number: false,
            allow_source: false,
            deny_number: false,
            deny_range: false,
            deny_fingerprint: false,
            deny_profile: false,
            deny_source: false,
            scanner: false,
            consortium: 0,
            consortium_age: f32::NAN,
        }
    }
}

/// Why a list cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// Cannot be read.
    #[error("cannot read the list {}: {source}", path.display())]
    Io {
        /// File.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// A line says nothing that can be understood.
    #[error("{}, line {line}: {what}", path.display())]
    Line {
        /// File.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong, what to do.
        what: &'static str,
    },
}

/// The lists.
#[derive(Clone, Debug, Default)]
pub struct Lists {
    allow: HashSet<u64>,
    deny: HashSet<u64>,
    /// Prefixes of numbers, and which lengths there are, a bit each.
    deny_prefixes: HashSet<u64>,
    prefix_lengths: u32,
    fingerprints: HashSet<u64>,
    signatures: HashSet<u64>,
    consortium: HashMap<u64, (u8, u32)>,
    allow_sources: Vec<(IpAddr, u8)>,
    deny_sources: Vec<(IpAddr, u8)>,
    scanners: Vec<(IpAddr, u8)>,
    entries: usize,
}

/// Up to eighteen digits and how many there are.
fn packed(digits: &[u8]) -> u64 {
    digits.iter().take(18).fold(1, |n, d| n * 10 + u64::from(d & 15))
}

impl Lists {
    /// Loads them.
    ///
    /// # Errors
    /// [`ListError`].
    pub fn load(files: &[PathBuf]) -> Result<Self, ListError> {
        let mut lists = Self::default();
        for path in files {
            let io = |source| ListError::Io { path: path.clone(), source };
            let mut source = BufReader::new(File::open(path).map_err(io)?);
            let mut text = Vec::new();
            for line in 1.. {
                let wrong = |what| ListError::Line { path: path.clone(), line, what };
                text.clear();
                if (&mut source).take(1_024).read_until(b'\n', &mut text).map_err(io)? == 0 {
                    break;
                }
                let line = std::str::from_utf8(&text).map_err(|_| wrong("is not UTF-8"))?;
                let line = line.trim_start_matches('\u{feff}').trim();
                if !line.is_empty() && !line.starts_with('#') {
                    lists.add(line).map_err(wrong)?;
                }
            }
        }
        Ok(lists)
    }

    fn add(&mut self, line: &str) -> Result<(), &'static str> {
        self.entries += 1;
        if self.entries > ENTRIES {
            return Err("there are more than ten million entries; leave some out");
        }
        let mut fields = line.split(',').map(str::trim);
        let (list, value) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        let number = || {
            Number::parse(value.as_bytes(), None)
                .map(|number| packed(number.as_bytes()))
                .ok_or("the value must be a number with its country code")
        };
        let hash = || u64::from_str_radix(value, 16).map_err(|_| "the value must be 16 hex digits");
        let source = |list: &mut Vec<_>| {
            if list.len() == SOURCES {
                return Err("there are more than 1,024 sources; join them to larger prefixes");
            }
            list.push(prefix(value).ok_or("the value must be an address or a prefix")?);
            Ok(())
        };
        match list {
            "allow_number" => drop(self.allow.insert(number()?)),
            "deny_number" => drop(self.deny.insert(number()?)),
            "deny_range" => {
                let digits = value.strip_prefix('+').unwrap_or(value).as_bytes();
                if !(1..=15).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
                    return Err("the value must be a prefix of 1 to 15 digits");
                }
                self.prefix_lengths |= 1 << digits.len();
                self.deny_prefixes.insert(packed(digits));
            }
            "deny_fingerprint" => drop(self.fingerprints.insert(hash()?)),
            "deny_profile" => drop(self.signatures.insert(hash()?)),
            "consortium" => {
                let organisations = fields.next().map_or(Ok(1), str::parse);
                let at = fields.next().map_or(Ok(0), str::parse);
                let wrong = "organisations and seconds since 1970 must be whole numbers";
                let entry = (organisations.map_err(|_| wrong)?, at.map_err(|_| wrong)?);
                self.consortium.insert(number()?, entry);
            }
            "allow_source" => source(&mut self.allow_sources)?,
            "deny_source" => source(&mut self.deny_sources)?,
            "scanner" => source(&mut self.scanners)?,
            _ => {
                return Err("the first field must be allow_number, allow_source, deny_number, \
                            deny_range, deny_fingerprint, deny_profile, deny_source, consortium \
                            or scanner");
            }
        }
        Ok(())
    }

    /// Which lists name a call. `numbers` are the one shown and the network's.
    pub fn look(
        &self,
        numbers: [Option<&Number>; 2],
        fingerprint: u64,
        signature: u64,
        source: IpAddr,
        now: Timestamp,
    ) -> Hits {
        let mut hits = Hits::default();
        if self.entries == 0 {
            return hits;
        }
        for number in numbers.into_iter().flatten() {
            let digits = number.as_bytes();
            let key = packed(digits);
            hits.allow_number |= self.allow.contains(&key);
            hits.deny_number |= self.deny.contains(&key);
            let mut lengths = self.prefix_lengths;
            while lengths != 0 {
                let length = lengths.trailing_zeros() as usize;
                lengths &= lengths - 1;
                hits.deny_range |= digits
                    .get(..length)
                    .is_some_and(|start| self.deny_prefixes.contains(&packed(start)));
            }
            if let Some((organisations, at)) = self.consortium.get(&key) {
                hits.consortium = *organisations;
                let age = (now.0 / 1_000_000_000).saturating_sub(u64::from(*at));
                hits.consortium_age = age as f32;
            }
        }
        hits.deny_fingerprint = self.fingerprints.contains(&fingerprint);
        hits.deny_profile = self.signatures.contains(&signature);
        let inside =
            |list: &[(IpAddr, u8)]| list.iter().any(|(net, bits)| contains(*net, *bits, source));
        hits.allow_source = inside(&self.allow_sources);
        hits.deny_source = inside(&self.deny_sources);
        hits.scanner = inside(&self.scanners);
        hits
    }
}

#[cfg(test)]
mod tests {
    use super::Lists;
    use crate::{number::Number, time::Timestamp};

    #[test]
    fn every_list() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lists.csv");
        let text = "# mine\nallow_number,+442079460001\ndeny_number,+442079460002\ndeny_range,+8821\n\
                    deny_fingerprint,00000000000000ff\ndeny_profile,ab\nallow_source,192.0.2.0/24\n\
                    deny_source,2001:db8::/32\nscanner,198.51.100.7\nconsortium,+442079460003,3,1000\n";
        std::fs::write(&path, text).expect("written");
        let lists = Lists::load(std::slice::from_ref(&path)).expect("good lists");
        let look = |number: &str, fingerprint, signature, source: &str| {
            let number = Number::parse(number.as_bytes(), None);
            let source = source.parse().expect("an address");
            lists.look(
                [None, number.as_ref()],
                fingerprint,
                signature,
                source,
                Timestamp::new(1_060, 0),
            )
        };
        let none = look("+442079460009", 0, 0, "203.0.113.1");
        assert_eq!(format!("{none:?}"), format!("{:?}", super::Hits::default()));
        let all = look("+442079460001", 0xff, 0xab, "192.0.2.77");
        assert!(all.allow_number && all.deny_fingerprint && all.deny_profile && all.allow_source);
        assert!(look("+442079460002", 0, 0, "2001:db8::9").deny_number);
        assert!(look("+442079460002", 0, 0, "2001:db8::9").deny_source);
        assert!(look("+88212345", 0, 0, "198.51.100.7").deny_range);
        assert!(look("+88212345", 0, 0, "198.51.100.7").scanner);
        let shared = look("+442079460003", 0, 0, "203.0.113.1");
        assert!(shared.consortium == 3 && (shared.consortium_age - 60.0).abs() < 1e-3);
        for bad in [
            "denynumber,+44",
            "deny_number,alice",
            "deny_range,4x",
            "scanner,1.2.3",
            "consortium,+44,x",
        ] {
            std::fs::write(&path, format!("\n{bad}\n")).expect("written");
            let error = Lists::load(std::slice::from_ref(&path)).expect_err(bad).to_string();
            assert!(error.contains("line 2"), "{error}");
        }
    }
}
