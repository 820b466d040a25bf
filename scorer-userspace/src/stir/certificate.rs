//! Certificates of signers (RFC 8226): chain, validity, the numbers they cover.

use ring::signature::{ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use x509_parser::{
    oid_registry::Oid,
    prelude::{FromDer as _, X509Certificate},
};

/// Certificates in a chain at most.
const CHAIN: usize = 5;
/// Entries of a TNAuthorizationList at most.
const ENTRIES: usize = 4_096;

/// Why a certificate cannot be used at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// No PEM certificate.
    #[error("it has no certificate in PEM form")]
    Pem,
    /// Cannot be read.
    #[error("a certificate in it cannot be read")]
    Der,
    /// Not a key on P-256.
    #[error("its key is not on the curve P-256, which RFC 8226 asks for")]
    Key,
}

/// A public key, uncompressed.
type Key = [u8; 65];

/// What a certificate is good for.
#[derive(Clone, Debug)]
pub struct Certificate {
    key: Key,
    /// It leads to a trust anchor through certificates that may issue others.
    pub trusted: bool,
    /// First and last second of validity, since 1970, over all of the chain.
    pub valid: (i64, i64),
    /// Numbers it covers, as first and last; `None` when it has no list of numbers
    /// (service provider codes say nothing about numbers without a register).
    pub numbers: Option<Vec<(u64, u64)>>,
}

/// A trust anchor: subject and key.
#[derive(Clone, Debug)]
pub struct Anchor {
    subject: Vec<u8>,
    key: Key,
}

fn pems(text: &[u8]) -> Result<Vec<Vec<u8>>, CertificateError> {
    let found: Vec<Vec<u8>> = x509_parser::pem::Pem::iter_from_buffer(text)
        .take(CHAIN)
        .filter_map(Result::ok)
        .filter(|pem| pem.label == "CERTIFICATE")
        .map(|pem| pem.contents)
        .collect();
    if found.is_empty() { Err(CertificateError::Pem) } else { Ok(found) }
}

fn key_of(certificate: &X509Certificate<'_>) -> Result<Key, CertificateError> {
    let data = &certificate.public_key().subject_public_key.data;
    let key: Key = (**data).try_into().map_err(|_| CertificateError::Key)?;
    if key[0] == 4 { Ok(key) } else { Err(CertificateError::Key) }
}

/// Anchors from a PEM file: each certificate in it is one.
///
/// # Errors
/// [`CertificateError`].
pub fn anchors(text: &[u8]) -> Result<Vec<Anchor>, CertificateError> {
    x509_parser::pem::Pem::iter_from_buffer(text)
        .filter_map(Result::ok)
        .filter(|pem| pem.label == "CERTIFICATE")
        .map(|pem| {
            let (_, certificate) =
                X509Certificate::from_der(&pem.contents).map_err(|_| CertificateError::Der)?;
            Ok(Anchor {
                subject: certificate.subject().as_raw().to_vec(),
                key: key_of(&certificate)?,
            })
        })
        .collect()
}

impl Certificate {
    /// Reads a chain in PEM, the signer's certificate first.
    ///
    /// # Errors
    /// [`CertificateError`] when there is no key to check signatures with. A chain that
    /// is not trusted is no error.
    pub fn read(text: &[u8], anchors: &[Anchor]) -> Result<Self, CertificateError> {
        let ders = pems(text)?;
        let chain = ders
            .iter()
            .map(|der| X509Certificate::from_der(der).map(|(_, certificate)| certificate))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| CertificateError::Der)?;
        let leaf = chain.first().ok_or(CertificateError::Pem)?;
        let validity = |certificate: &X509Certificate<'_>| {
            let validity = certificate.validity();
            (validity.not_before.timestamp(), validity.not_after.timestamp())
        };
        let mut valid = validity(leaf);
        let mut trusted = false;
        for (i, certificate) in chain.iter().enumerate() {
            let of = validity(certificate);
            valid = (valid.0.max(of.0), valid.1.min(of.1));
            let issuer = certificate.issuer().as_raw();
            let anchored = anchors
                .iter()
                .any(|anchor| anchor.subject == issuer && signed_by(certificate, &anchor.key));
            if anchored {
                trusted = true;
                break;
            }
            let Some(next) = chain.get(i + 1) else { break };
            let issues = next.is_ca() && next.subject().as_raw() == issuer;
            if !issues || !key_of(next).is_ok_and(|key| signed_by(certificate, &key)) {
                break;
            }
        }
        Ok(Self { key: key_of(leaf)?, trusted, valid, numbers: numbers(leaf) })
    }

    /// Whether it signed these bytes (ES256, r and s).
    pub fn verifies(&self, signed: &[u8], signature: &[u8; 64]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.key)
            .verify(signed, signature)
            .is_ok()
    }

    /// Whether it is valid at a time, seconds since 1970.
    pub fn is_valid_at(&self, seconds: i64) -> bool {
        (self.valid.0..=self.valid.1).contains(&seconds)
    }

    /// Whether it covers a number; `None` when it has no list of numbers.
    pub fn covers(&self, digits: &[u8]) -> Option<bool> {
        let number = decimal(digits)?;
        let ranges = self.numbers.as_ref()?;
        Some(ranges.iter().any(|(first, last)| (*first..=*last).contains(&number)))
    }
}

fn signed_by(certificate: &X509Certificate<'_>, key: &Key) -> bool {
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key)
        .verify(certificate.tbs_certificate.as_ref(), &certificate.signature_value.data)
        .is_ok()
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 18 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |n, d| n * 10 + u64::from(d - b'0')))
}

/// The TNAuthorizationList (RFC 8226 section 9, OID 1.3.6.1.5.5.7.1.26): a sequence of
/// `[0]` service provider code, `[1]` range, `[2]` one number.
fn numbers(leaf: &X509Certificate<'_>) -> Option<Vec<(u64, u64)>> {
    const LIST: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 1, 26];
    let oid = Oid::from(LIST).ok()?;
    let extension = leaf.get_extension_unique(&oid).ok()??;
    let (0x30, mut entries, _) = tlv(extension.value)? else { return None };
    let mut ranges = Vec::new();
    for _ in 0..ENTRIES {
        let Some((tag, contents, rest)) = tlv(entries) else { break };
        entries = rest;
        match tag {
            0xa1 => {
                // Explicit: a sequence of the first number and how many there are.
                let (_, range, _) = tlv(contents)?;
                let (_, start, rest) = tlv(range)?;
                let (_, count, _) = tlv(rest)?;
                let first = decimal(start)?;
                let count = count
                    .iter()
                    .try_fold(0u64, |n, b| n.checked_mul(256)?.checked_add(u64::from(*b)))?;
                ranges.push((first, first.checked_add(count.checked_sub(1)?)?));
            }
            0xa2 => {
                let number = decimal(tlv(contents)?.1)?;
                ranges.push((number, number));
            }
            _ => {}
        }
    }
    (!ranges.is_empty()).then_some(ranges)
}

/// Tag, contents and what follows.
fn tlv(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81 => (usize::from(*rest.first()?), &rest[1..]),
        0x82 => (usize::from(u16::from_be_bytes(*rest.first_chunk()?)), &rest[2..]),
        _ => return None,
    };
    let (contents, rest) = rest.split_at_checked(length)?;
    Some((*tag, contents, rest))
}
