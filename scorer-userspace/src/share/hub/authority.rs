//! Certificates of a consortium: an authority of its own, which signs the hub's, the NATS
//! server's and the members'.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

use crate::share::ShareError;

/// Years that the authority lasts; the days of what it signs.
const YEARS: i64 = 10;
const DAYS: i64 = 825;

/// A certificate and its key, PEM.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) certificate: String,
    pub(super) key: String,
    /// SHA-256 of the certificate.
    pub(super) digest: Vec<u8>,
}

/// For whom a certificate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Server,
    Client,
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err gives it")]
fn failed(error: rcgen::Error) -> ShareError {
    ShareError::Crypto(format!("a certificate cannot be made: {error}"))
}

fn params(
    names: Vec<String>,
    common: &str,
    lasts: Duration,
) -> Result<CertificateParams, ShareError> {
    let mut params = CertificateParams::new(names).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, common);
    let now = OffsetDateTime::now_utc();
    // Clocks differ.
    params.not_before = now - Duration::days(1);
    params.not_after = now + lasts;
    Ok(params)
}

/// What the authority is; its name is what certificates name it by.
fn root(consortium: &str) -> Result<CertificateParams, ShareError> {
    let common = format!("{consortium} consortium");
    let mut params = params(Vec::new(), &common, Duration::days(365 * YEARS))?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

/// Makes the authority.
pub(super) fn create(consortium: &str) -> Result<Pair, ShareError> {
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = root(consortium)?.self_signed(&key).map_err(failed)?;
    Ok(pair(&certificate, &key))
}

/// Signs a certificate with the authority's key: of a server by its hosts, of a member by
/// its name.
pub(super) fn sign(
    (consortium, key): (&str, &str),
    common: &str,
    hosts: Vec<String>,
    usage: Use,
) -> Result<Pair, ShareError> {
    let key = KeyPair::from_pem(key).map_err(failed)?;
    let issuer = Issuer::new(root(consortium)?, key);
    let mut params = params(hosts, common, Duration::days(DAYS))?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![match usage {
        Use::Server => ExtendedKeyUsagePurpose::ServerAuth,
        Use::Client => ExtendedKeyUsagePurpose::ClientAuth,
    }];
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.signed_by(&key, &issuer).map_err(failed)?;
    Ok(pair(&certificate, &key))
}

fn pair(certificate: &rcgen::Certificate, key: &KeyPair) -> Pair {
    let digest = ring::digest::digest(&ring::digest::SHA256, certificate.der());
    Pair {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
        digest: digest.as_ref().to_vec(),
    }
}
