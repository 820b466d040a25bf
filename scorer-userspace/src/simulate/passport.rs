//! PASSporTs of the simulated carriers (RFC 8225, 8588), and the certificates that a
//! site needs to check them.

use std::{fs, io, path::Path};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use p256::{
    ecdsa::{Signature, SigningKey, signature::Signer as _},
    pkcs8::EncodePrivateKey as _,
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::{
    SimulateError,
    call::{Sign, Signer},
    random::hash,
    world::TRUNKS,
};
use crate::{stir, time::Timestamp};

/// Keys by signer, made from the seed. Signatures are deterministic (RFC 6979).
#[derive(Debug)]
pub(super) struct Passports {
    seed: u64,
    keys: Vec<Option<SigningKey>>,
}

/// Places of keys behind those of trunks.
const EXPIRED: usize = TRUNKS.len();
const UNTRUSTED: usize = TRUNKS.len() + 1;
const SIGNERS: usize = TRUNKS.len() + 2;

const fn place(signer: Signer) -> usize {
    match signer {
        Signer::Trunk(trunk) => trunk,
        Signer::Expired => EXPIRED,
        Signer::Untrusted => UNTRUSTED,
    }
}

fn key(seed: u64, place: usize) -> Option<SigningKey> {
    // All but a vanishing share of 256-bit numbers are keys.
    (0..8).find_map(|attempt| {
        let mut bytes = [0; 32];
        for (i, word) in bytes.chunks_mut(8).enumerate() {
            let number = attempt << 8 | i as u64;
            word.copy_from_slice(&hash(seed, 0x6b65_7900 + place as u64, number).to_be_bytes());
        }
        SigningKey::from_slice(&bytes).ok()
    })
}

/// Where a signer's certificate is to be had.
fn url(place: usize) -> String {
    match place {
        EXPIRED => "https://certificates.old.example.com/shaken.pem".into(),
        UNTRUSTED => "https://certificates.odd.example.com/shaken.pem".into(),
        _ => format!("https://certificates.{}.example.com/shaken.pem", TRUNKS[place].name),
    }
}

impl Passports {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, keys: (0..SIGNERS).map(|place| key(seed, place)).collect() }
    }

    /// The value of an Identity header.
    pub(super) fn identity(&self, sign: &Sign, actor: u64, now: Timestamp) -> String {
        let place = place(sign.signer);
        let url = url(place);
        let header = format!(r#"{{"alg":"ES256","ppt":"shaken","typ":"passport","x5u":"{url}"}}"#);
        let iat = (now.0 as f64 / 1e9 - sign.age) as u64;
        // One a customer, as carriers are advised to (ATIS-1000089).
        let (high, low) = (hash(self.seed, 1, actor), hash(self.seed, 2, actor));
        let payload = format!(
            r#"{{"attest":"{}","dest":{{"tn":["{}"]}},"iat":{iat},"orig":{{"tn":"{}"}},"origid":"{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}"}}"#,
            sign.attest,
            sign.dest,
            sign.orig,
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xfff,
            low >> 52,
            low & 0xffff_ffff_ffff,
        );
        let text =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = self.keys[place].as_ref().map_or_else(Vec::new, |key| {
            let signature: Signature = key.sign(text.as_bytes());
            signature.to_bytes().to_vec()
        });
        format!("{text}.{};info=<{url}>;alg=ES256;ppt=shaken", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// Writes the trust anchor to `folder/anchors.pem` and the signers' certificates to
/// `folder/certificates`, as a store keeps them.
pub(super) fn write_certificates(
    folder: &Path,
    seed: u64,
    now: Timestamp,
) -> Result<(), SimulateError> {
    let failed = |error: &dyn std::fmt::Display| SimulateError::Certificates(error.to_string());
    let (anchor, pem) = authority("simulated STI-CA").map_err(|error| failed(&error))?;
    let (stranger, _) = authority("an authority nobody knows").map_err(|error| failed(&error))?;
    let written = |error: io::Error| failed(&error);
    fs::create_dir_all(folder.join("certificates")).map_err(written)?;
    fs::write(folder.join("anchors.pem"), pem).map_err(written)?;
    for place in 0..SIGNERS {
        let issuer = if place == UNTRUSTED { &stranger } else { &anchor };
        let Some(key) = key(seed, place) else { continue };
        let der = key.to_pkcs8_der().map_err(|error| failed(&error))?;
        let key = KeyPair::try_from(der.as_bytes()).map_err(|error| failed(&error))?;
        let days = if place == EXPIRED { (-400, -30) } else { (-30, 3_650) };
        let text = certificate(&key, issuer, now, days).map_err(|error| failed(&error))?;
        stir::keep_certificate(&folder.join("certificates"), &url(place), text.as_bytes())
            .map_err(written)?;
    }
    Ok(())
}

fn authority(name: &str) -> Result<(Issuer<'static, KeyPair>, String), rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate()?;
    let pem = params.self_signed(&key)?.pem();
    Ok((Issuer::new(params, key), pem))
}

/// A signer's certificate, valid from and until so many days from now.
fn certificate(
    key: &KeyPair,
    issuer: &Issuer<'_, KeyPair>,
    now: Timestamp,
    (from, until): (i64, i64),
) -> Result<String, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "SHAKEN 1234");
    let day = |days: i64| {
        let seconds = (now.0 / 1_000_000_000) as i64 + days * 86_400;
        time::OffsetDateTime::from_unix_timestamp(seconds)
            .unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
    };
    (params.not_before, params.not_after) = (day(from), day(until));
    Ok(params.signed_by(key, issuer)?.pem())
}
