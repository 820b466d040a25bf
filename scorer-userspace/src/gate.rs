//! The kernel's gate: rules by source, fingerprint and caller's number, and a rate
//! for each source, obeyed by the XDP programs before anything else, also while user
//! space is down. Written through the maps that the programs have pinned.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use aya::{
    Pod,
    maps::{Array, HashMap, LpmTrie, Map, MapData, MapError, lpm_trie::Key},
};
use scorer_common::{
    gate::{self, Rule, Settings},
    maps,
};

use crate::tap::{Pins, monotonic};

/// What a rule looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Source prefix.
    Source(IpAddr, u8),
    /// Header fingerprint.
    Fingerprint(u64),
    /// Hash of the caller's number ([`gate::number_hash`]).
    Number(u64),
}

/// A rule as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it looks at.
    pub subject: Subject,
    /// [`gate::ALLOW`], [`gate::MARK`] or [`gate::DROP`].
    pub action: u32,
    /// How long it still counts; `None` for ever.
    pub left: Option<Duration>,
}

/// Why the gate cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// Nothing is pinned there.
    #[error(
        "no programs are pinned in {}: the gate is that of a running or ended `scorer inline` or \
         `scorer tap --keep`",
        path.display()
    )]
    Nothing {
        /// Folder.
        path: PathBuf,
    },
    /// Several are.
    #[error("there are gates on {}: say which with --interface", names.join(", "))]
    Several {
        /// Their names.
        names: Vec<String>,
    },
    /// A map.
    #[error("map {name} of the gate: {source}")]
    Map {
        /// Name.
        name: &'static str,
        /// Cause.
        #[source]
        source: Box<MapError>,
    },
}

fn of<T>(name: &'static str, result: Result<T, MapError>) -> Result<T, GateError> {
    result.map_err(|source| GateError::Map { name, source: Box::new(source) })
}

/// The gate of one set of programs.
pub struct Gate {
    source4: LpmTrie<MapData, [u8; 4], Rule>,
    source6: LpmTrie<MapData, [u8; 16], Rule>,
    fingerprints: HashMap<MapData, u64, Rule>,
    numbers: HashMap<MapData, u64, Rule>,
    settings: Array<MapData, Settings>,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").finish_non_exhaustive()
    }
}

fn table<K: Pod, V: Pod>(
    pins: &Pins,
    name: &'static str,
) -> Result<HashMap<MapData, K, V>, GateError> {
    let data = of(name, MapData::from_pin(pins.map(name)))?;
    of(name, HashMap::try_from(Map::HashMap(data)))
}

fn trie<K: Pod>(pins: &Pins, name: &'static str) -> Result<LpmTrie<MapData, K, Rule>, GateError> {
    let data = of(name, MapData::from_pin(pins.map(name)))?;
    of(name, LpmTrie::try_from(Map::LpmTrie(data)))
}

impl Gate {
    /// Opens the one in `root`; that on `interface` where there are several.
    ///
    /// # Errors
    /// [`GateError`].
    pub fn open(root: &Path, interface: Option<&str>) -> Result<Self, GateError> {
        let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
        let names = entries.filter(|entry| entry.path().is_dir());
        let mut names: Vec<_> =
            names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.retain(|name| {
            let on = name.split_once('-').filter(|(kind, _)| matches!(*kind, "inline" | "tap"));
            on.is_some_and(|(_, on)| interface.is_none_or(|wanted| wanted == on))
        });
        names.sort();
        let name = match &names[..] {
            [] => return Err(GateError::Nothing { path: root.to_owned() }),
            [name] => name,
            _ => return Err(GateError::Several { names }),
        };
        let Some(pins) = Pins::existing(root, name) else {
            return Err(GateError::Nothing { path: root.join(name) });
        };
        let data = MapData::from_pin(pins.map(maps::SETTINGS));
        let settings = of(maps::SETTINGS, data)?;
        Ok(Self {
            source4: trie(&pins, maps::GATE_SOURCE4)?,
            source6: trie(&pins, maps::GATE_SOURCE6)?,
            fingerprints: table(&pins, maps::GATE_FINGERPRINT)?,
            numbers: table(&pins, maps::GATE_NUMBER)?,
            settings: of(maps::SETTINGS, Array::try_from(Map::Array(settings)))?,
        })
    }

    /// What the programs are told.
    ///
    /// # Errors
    /// [`GateError::Map`].
    pub fn settings(&self) -> Result<Settings, GateError> {
        of(maps::SETTINGS, self.settings.get(&0, 0))
    }

    fn set(&mut self, settings: Settings) -> Result<(), GateError> {
        of(maps::SETTINGS, self.settings.set(0, settings, 0))
    }

    /// Adds a rule, or changes the one that is there; `lasts` is for ever where `None`.
    ///
    /// # Errors
    /// [`GateError::Map`], as where a table is full.
    pub fn add(
        &mut self,
        subject: Subject,
        action: u32,
        lasts: Option<Duration>,
    ) -> Result<(), GateError> {
        let expires = lasts.map_or(0, |lasts| monotonic().saturating_add(lasts.as_nanos() as u64));
        let rule = Rule { action, reserved: 0, expires };
        match subject {
            Subject::Source(IpAddr::V4(address), bits) => {
                let key = Key::new(u32::from(bits), address.octets());
                of(maps::GATE_SOURCE4, self.source4.insert(&key, rule, 0))?;
            }
            Subject::Source(IpAddr::V6(address), bits) => {
                let key = Key::new(u32::from(bits), address.octets());
                of(maps::GATE_SOURCE6, self.source6.insert(&key, rule, 0))?;
            }
            Subject::Fingerprint(value) => {
                of(maps::GATE_FINGERPRINT, self.fingerprints.insert(value, rule, 0))?;
            }
            Subject::Number(value) => {
                of(maps::GATE_NUMBER, self.numbers.insert(value, rule, 0))?;
            }
        }
        self.turn_on_what_is_used()
    }

    /// Takes a rule out; false when there is none.
    ///
    /// # Errors
    /// [`GateError::Map`].
    pub fn remove(&mut self, subject: Subject) -> Result<bool, GateError> {
        let result = match subject {
            Subject::Source(IpAddr::V4(address), bits) => {
                self.source4.remove(&Key::new(u32::from(bits), address.octets()))
            }
            Subject::Source(IpAddr::V6(address), bits) => {
                self.source6.remove(&Key::new(u32::from(bits), address.octets()))
            }
            Subject::Fingerprint(value) => self.fingerprints.remove(&value),
            Subject::Number(value) => self.numbers.remove(&value),
        };
        let found = match result {
            Ok(()) => true,
            Err(MapError::KeyNotFound) => false,
            Err(MapError::SyscallError(error))
                if error.io_error.raw_os_error() == Some(libc::ENOENT) =>
            {
                false
            }
            Err(source) => {
                return Err(GateError::Map { name: "GATE", source: Box::new(source) });
            }
        };
        self.turn_on_what_is_used()?;
        Ok(found)
    }

    /// Limits every source to `rate` INVITEs a second, `burst` at once; over it they
    /// are dropped, or only counted. `None` limits nothing.
    ///
    /// # Errors
    /// [`GateError::Map`].
    pub fn limit(&mut self, limit: Option<(u32, u32, bool)>) -> Result<(), GateError> {
        let mut settings = self.settings()?;
        settings.gate &= !(gate::USE_BUCKETS | gate::LIMIT_DROPS);
        if let Some((rate, burst, drops)) = limit {
            settings.gate |= gate::USE_BUCKETS | if drops { gate::LIMIT_DROPS } else { 0 };
            settings.bucket_interval = 1_000_000_000 / u64::from(rate.max(1));
            settings.bucket_burst = u64::from(burst.max(1));
        }
        self.set(settings)
    }

    /// Takes everything out.
    ///
    /// # Errors
    /// [`GateError::Map`].
    pub fn clear(&mut self) -> Result<usize, GateError> {
        // Off first, so that half a gate decides nothing.
        self.set(Settings { gate: 0, reserved: 0, bucket_interval: 0, bucket_burst: 0 })?;
        let entries = self.entries()?;
        for entry in &entries {
            self.remove(entry.subject)?;
        }
        Ok(entries.len())
    }

    /// All rules.
    ///
    /// # Errors
    /// [`GateError::Map`].
    pub fn entries(&self) -> Result<Vec<Entry>, GateError> {
        let now = monotonic();
        let mut all = Vec::new();
        let mut put = |subject: Subject, rule: Rule| {
            let left =
                (rule.expires != 0).then(|| Duration::from_nanos(rule.expires.saturating_sub(now)));
            all.push(Entry { subject, action: rule.action, left });
        };
        for item in &self.source4 {
            let (key, rule) = of(maps::GATE_SOURCE4, item)?;
            put(Subject::Source(IpAddr::from(key.data()), key.prefix_len() as u8), rule);
        }
        for item in &self.source6 {
            let (key, rule) = of(maps::GATE_SOURCE6, item)?;
            put(Subject::Source(IpAddr::from(key.data()), key.prefix_len() as u8), rule);
        }
        for item in &self.fingerprints {
            let (key, rule) = of(maps::GATE_FINGERPRINT, item)?;
            put(Subject::Fingerprint(key), rule);
        }
        for item in &self.numbers {
            let (key, rule) = of(maps::GATE_NUMBER, item)?;
            put(Subject::Number(key), rule);
        }
        Ok(all)
    }

    /// The programs look only into tables that hold something.
    fn turn_on_what_is_used(&mut self) -> Result<(), GateError> {
        let mut settings = self.settings()?;
        let mut used = |bit: u32, is: bool| {
            settings.gate = if is { settings.gate | bit } else { settings.gate & !bit };
        };
        used(
            gate::USE_SOURCE,
            self.source4.keys().next().is_some() || self.source6.keys().next().is_some(),
        );
        used(gate::USE_FINGERPRINT, self.fingerprints.keys().next().is_some());
        used(gate::USE_NUMBER, self.numbers.keys().next().is_some());
        self.set(settings)
    }
}
