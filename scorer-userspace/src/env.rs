//! What the operator configured and calls are judged by: number tables, trunks,
//! lists, the database of addresses, policy. Loaded at start and again when a file
//! changes; the engine swaps one for the other between two calls.

mod renewal;

use std::{net::IpAddr, path::PathBuf, sync::Arc};

use crate::{
    cases::Cases,
    geo::{Database, GeoError, Located, NetworkKind},
    lists::{ListError, Lists, Store, StoreError},
    number::{RangeError, Ranges},
    policy::{Policy, PolicyError, Site},
    verdict::Thresholds,
};

pub use renewal::Renewal;

/// Files and settings an [`Env`] is made from.
#[derive(Clone, Debug, Default)]
pub struct EnvConfig {
    /// Country code that national numbers (a leading 0) are given.
    pub home_country: Option<u16>,
    /// Number tables; empty for the built-in ones.
    pub tables: Vec<PathBuf>,
    /// Lists.
    pub lists: Vec<PathBuf>,
    /// SQLite file of lists.
    pub store: Option<PathBuf>,
    /// Database of addresses.
    pub addresses: Option<PathBuf>,
    /// Trunks.
    pub trunks: Trunks,
    /// Policy; `None` passes every call.
    pub policy: Option<PathBuf>,
    /// Decide, but act with pass.
    pub observe: bool,
}

/// Why it cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum EnvError {
    /// A number table.
    #[error(transparent)]
    Ranges(#[from] RangeError),
    /// A list.
    #[error(transparent)]
    Lists(#[from] ListError),
    /// The database of addresses.
    #[error(transparent)]
    Addresses(#[from] GeoError),
    /// The policy.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

/// All of it, loaded. What stays the same over a reload is shared.
#[derive(Clone, Debug)]
pub struct Env {
    /// Country code of national numbers.
    pub home_country: Option<u16>,
    /// Number tables.
    pub ranges: Arc<Ranges>,
    /// Lists.
    pub lists: Arc<Lists>,
    /// Database of addresses.
    pub addresses: Option<Arc<Database>>,
    /// Trunks.
    pub trunks: Arc<Trunks>,
    /// Policy; `None` passes every call.
    pub policy: Option<Arc<Policy>>,
    /// Open cases.
    pub cases: Arc<Cases>,
    /// Nothing is acted on, whatever policy and cases say.
    pub observe: bool,
}

impl Env {
    /// Loads it. `levels` are where levels of scores begin, for the policy's checks. A
    /// store of lists that cannot be used is told and left out: it may come back.
    ///
    /// # Errors
    /// [`EnvError`], which names the file and the line.
    pub fn load(config: &EnvConfig, levels: Thresholds) -> Result<Self, EnvError> {
        let policy = config.policy(levels)?.map(Arc::new);
        Ok(Self {
            home_country: config.home_country,
            ranges: Arc::new(Ranges::load(&config.tables)?),
            lists: Arc::new(config.lists()?),
            addresses: config.addresses()?,
            trunks: Arc::new(config.trunks.clone()),
            observe: config.observe || policy.as_ref().is_some_and(|policy| policy.observes()),
            policy,
            cases: Arc::new(config.cases()),
        })
    }
}

impl EnvConfig {
    fn lists(&self) -> Result<Lists, ListError> {
        let load = |store: Option<&Store>| {
            Lists::load(&self.lists, store, &self.trunks, self.home_country)
        };
        let Some(path) = &self.store else { return load(None) };
        match Store::look(path).map_err(ListError::from).and_then(|store| load(Some(&store))) {
            Err(ListError::Store(error)) => {
                let missing = matches!(error, StoreError::Missing { .. });
                let level = if missing { log::Level::Warn } else { log::Level::Error };
                log::log!(level, "{error}; calls are scored without it until it is there");
                load(None)
            }
            result => result,
        }
    }

    /// Cases of the store of lists; what is wrong with it is told where lists are read.
    fn cases(&self) -> Cases {
        let Some(path) = self.store.as_deref().filter(|path| path.exists()) else {
            return Cases::default();
        };
        Cases::load(path).unwrap_or_else(|error| {
            log::error!("{error}; calls are scored without cases until it can be read");
            Cases::default()
        })
    }

    fn addresses(&self) -> Result<Option<Arc<Database>>, GeoError> {
        Ok(self.addresses.as_deref().map(Database::open).transpose()?.map(Arc::new))
    }

    fn policy(&self, levels: Thresholds) -> Result<Option<Policy>, PolicyError> {
        let Some(path) = &self.policy else { return Ok(None) };
        let names = self.trunks.0.iter().map(|trunk| trunk.name.clone()).collect();
        let site =
            Site { home_country: self.home_country, levels: Some(levels), trunks: Some(names) };
        Policy::load(path, &site).map(|policy| Some(policy.observing(self.observe)))
    }
}

/// A group of source addresses that belong to one carrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trunk {
    /// Name in output.
    pub name: String,
    /// Addresses and their prefix lengths.
    pub prefixes: Vec<(IpAddr, u8)>,
    /// Country codes of callers that are usual on it; none says nothing.
    pub countries: Vec<u16>,
}

/// The configured trunks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trunks(pub Vec<Trunk>);

/// Trunks at most.
const TRUNKS: usize = 256;

impl Trunks {
    /// Reads entries such as `carrier-a 192.0.2.0/24,2001:db8::/32 44,353`.
    ///
    /// # Errors
    /// What is wrong with which entry.
    pub fn parse<'a>(entries: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let mut trunks = Vec::new();
        for entry in entries {
            let mut fields = entry.split_whitespace();
            let (Some(name), Some(prefixes)) = (fields.next(), fields.next()) else {
                return Err(format!("`{entry}` must be NAME PREFIX[,PREFIX] [COUNTRY[,COUNTRY]]"));
            };
            let prefixes = prefixes
                .split(',')
                .map(|text| prefix(text).ok_or_else(|| format!("`{text}` is no address or prefix")))
                .collect::<Result<_, _>>()?;
            let countries = fields
                .next()
                .map(|list| list.split(',').map(|code| code.trim_start_matches('+').parse()))
                .into_iter()
                .flatten()
                .collect::<Result<_, _>>()
                .map_err(|_| format!("the countries of `{entry}` must be country codes"))?;
            trunks.push(Trunk { name: name.to_owned(), prefixes, countries });
        }
        if trunks.len() > TRUNKS {
            return Err(format!("there are more than {TRUNKS} trunks"));
        }
        Ok(Self(trunks))
    }

    /// Which trunk an address belongs to.
    pub fn of(&self, address: IpAddr) -> Option<u16> {
        let inside =
            |trunk: &Trunk| trunk.prefixes.iter().any(|(net, bits)| contains(*net, *bits, address));
        self.0.iter().position(inside).map(|at| at as u16)
    }

    /// Whether a source is of a trunk; `None` when none is configured.
    pub fn known(&self, trunk: Option<u16>) -> Option<bool> {
        (!self.0.is_empty()).then_some(trunk.is_some())
    }

    /// Whether callers of a country are usual on a trunk; `None` where nothing is said.
    pub fn expects(&self, trunk: Option<u16>, country: u16) -> Option<bool> {
        let countries = &self.0.get(usize::from(trunk?))?.countries;
        (!countries.is_empty()).then(|| countries.contains(&country))
    }
}

/// An address with or without `/length`.
pub(crate) fn prefix(text: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address.parse::<IpAddr>().ok()?, Some(bits.parse().ok()?)),
        None => (text.parse::<IpAddr>().ok()?, None),
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(most);
    (bits <= most).then_some((address, bits))
}

pub(crate) fn contains(net: IpAddr, bits: u8, address: IpAddr) -> bool {
    match (net, address) {
        (IpAddr::V4(net), IpAddr::V4(address)) => {
            let shift = 32 - u32::from(bits);
            bits == 0 || u32::from(net) >> shift == u32::from(address) >> shift
        }
        (IpAddr::V6(net), IpAddr::V6(address)) => {
            let shift = 128 - u32::from(bits);
            bits == 0 || u128::from(net) >> shift == u128::from(address) >> shift
        }
        _ => false,
    }
}

/// Where a packet comes from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place {
    /// Index of its trunk.
    pub trunk: Option<u16>,
    /// ISO 3166 code of its country; `[0, 0]` when not known.
    pub country: [u8; 2],
    /// Kind of its network.
    pub kind: NetworkKind,
}

impl Place {
    /// From its parts.
    pub fn new(trunk: Option<u16>, located: Located) -> Self {
        Self { trunk, country: located.country, kind: located.kind }
    }

    /// The country as a number, for models; NaN when not known.
    pub fn country_number(&self) -> f32 {
        match self.country {
            [0, 0] => f32::NAN,
            [a, b] => f32::from(a - b'A') * 26.0 + f32::from(b - b'A'),
        }
    }

    /// The network kind as a number, for models; NaN when not known.
    pub fn kind_number(&self) -> f32 {
        match self.kind {
            NetworkKind::Unknown => f32::NAN,
            NetworkKind::Hosting => 1.0,
            NetworkKind::Access => 2.0,
            NetworkKind::Mobile => 3.0,
            NetworkKind::Carrier => 4.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Trunks;

    #[test]
    fn trunks() {
        let entries = ["a 192.0.2.0/24,2001:db8::/32 44,+353", "b 198.51.100.7"];
        let trunks = Trunks::parse(entries.into_iter()).expect("good entries");
        let of = |text: &str| trunks.of(text.parse().expect("an address"));
        assert_eq!((of("192.0.2.9"), of("2001:db8::1")), (Some(0), Some(0)));
        assert_eq!((of("198.51.100.7"), of("198.51.100.8")), (Some(1), None));
        assert_eq!(
            (trunks.expects(Some(0), 44), trunks.expects(Some(0), 1)),
            (Some(true), Some(false))
        );
        assert_eq!((trunks.expects(Some(1), 44), trunks.expects(None, 44)), (None, None));
        for bad in ["a", "a 1.2.3", "a 192.0.2.0/33", "a 192.0.2.1 x"] {
            assert!(Trunks::parse([bad].into_iter()).is_err(), "{bad}");
        }
    }
}
