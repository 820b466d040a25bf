//! Country and network kind of source addresses, from files in MaxMind's format that
//! the operator supplies.

use std::{net::IpAddr, path::Path};

use maxminddb::Reader;
use serde::Deserialize;

/// Kind of network an address is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NetworkKind {
    /// Not known.
    #[default]
    Unknown,
    /// Data centres: where rented machines call from.
    Hosting,
    /// Fixed access lines.
    Access,
    /// Mobile networks.
    Mobile,
    /// Carriers and telephone companies.
    Carrier,
}

/// What is known of an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Located {
    /// ISO 3166 code; `[0, 0]` when not known.
    pub country: [u8; 2],
    /// Network kind.
    pub kind: NetworkKind,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot use {path} as a database of addresses: {source}; it must be in MaxMind's format (.mmdb)"
)]
pub struct GeoError {
    path: String,
    #[source]
    source: maxminddb::MaxMindDbError,
}

/// The fields that are asked for, of GeoIP2 Country, City, Enterprise and Anonymous,
/// and of files that others make in the same format.
#[derive(Debug, Default, Deserialize)]
struct Record {
    #[serde(default)]
    country: Option<Country>,
    #[serde(default)]
    country_code: Option<String>,
    #[serde(default)]
    traits: Option<Traits>,
    #[serde(default)]
    connection_type: Option<String>,
    #[serde(default)]
    is_hosting_provider: Option<bool>,
}

/// A map as MaxMind writes it, or the code itself as others do.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Country {
    Map { iso_code: Option<String> },
    Code(String),
}

#[derive(Debug, Default, Deserialize)]
struct Traits {
    #[serde(default)]
    user_type: Option<String>,
    #[serde(default)]
    connection_type: Option<String>,
    #[serde(default)]
    is_hosting_provider: Option<bool>,
}

/// A database in memory.
pub struct Database(Reader<Vec<u8>>);

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Database").finish_non_exhaustive()
    }
}

impl Database {
    /// Reads a file.
    ///
    /// # Errors
    /// [`GeoError`].
    pub fn open(path: &Path) -> Result<Self, GeoError> {
        Reader::open_readfile(path)
            .map(Self)
            .map_err(|source| GeoError { path: path.display().to_string(), source })
    }

    /// What it says of an address; some microseconds.
    pub fn look(&self, address: IpAddr) -> Located {
        let record = self.0.lookup(address).ok().and_then(|found| found.decode::<Record>().ok());
        let Some(record) = record.flatten() else { return Located::default() };
        let code = match &record.country {
            Some(Country::Map { iso_code }) => iso_code.as_deref(),
            Some(Country::Code(code)) => Some(code.as_str()),
            None => record.country_code.as_deref(),
        };
        let country = code
            .and_then(|code| code.as_bytes().first_chunk::<2>().copied())
            .filter(|code| code.iter().all(u8::is_ascii_uppercase))
            .unwrap_or_default();
        let traits = record.traits.unwrap_or_default();
        let hosting = record.is_hosting_provider.or(traits.is_hosting_provider) == Some(true);
        let connection = record.connection_type.or(traits.connection_type);
        let kind = match (hosting, traits.user_type.as_deref(), connection.as_deref()) {
            (true, ..) | (_, Some("hosting" | "content_delivery_network"), _) => {
                NetworkKind::Hosting
            }
            (_, Some("cellular"), _) | (.., Some("Cellular")) => NetworkKind::Mobile,
            (_, Some("residential" | "business" | "college" | "school" | "cafe"), _)
            | (.., Some("Cable/DSL" | "Dialup" | "Corporate")) => NetworkKind::Access,
            (_, Some("telephone" | "carrier"), _) => NetworkKind::Carrier,
            _ => NetworkKind::Unknown,
        };
        Located { country, kind }
    }
}

/// Answers for networks, so that the database is asked once for each: a trunk has
/// few addresses.
#[derive(Debug)]
pub struct Memory(Box<[(u64, Located)]>);

impl Memory {
    /// Remembers nothing yet.
    pub fn new() -> Self {
        Self(vec![(0, Located::default()); 4_096].into())
    }

    /// What the database says of the address's /24 or /48.
    pub fn look(&mut self, database: &Database, address: IpAddr) -> Located {
        let network = match address {
            IpAddr::V4(v4) => 1 << 60 | u64::from(u32::from(v4) >> 8),
            IpAddr::V6(v6) => 2 << 60 | (u128::from(v6) >> 80) as u64,
        };
        let place = (network.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52) as usize;
        let (known, located) = self.0[place];
        if known == network {
            return located;
        }
        let located = database.look(address);
        self.0[place] = (network, located);
        located
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}
