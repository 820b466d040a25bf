//! The hub as a member asks it, over mutual TLS.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use ureq::{
    Agent,
    tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig},
};

use super::{Bundle, Directory, ShareError};

/// An answer at most, bytes.
const LARGEST: u64 = 1 << 20;
/// All of a question.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A hub.
#[derive(Debug)]
pub struct HubClient {
    agent: Agent,
    url: String,
}

impl HubClient {
    /// With a member's certificate.
    ///
    /// # Errors
    /// [`ShareError::Crypto`], when the bundle's are none.
    pub fn new(bundle: &Bundle) -> Result<Self, ShareError> {
        let wrong = |what: &str, error: ureq::Error| {
            ShareError::Crypto(format!("the bundle's {what} cannot be used: {error}"))
        };
        let authority = Certificate::from_pem(bundle.authority.as_bytes())
            .map_err(|error| wrong("authority", error))?;
        let certificate = Certificate::from_pem(bundle.certificate.as_bytes())
            .map_err(|error| wrong("certificate", error))?;
        let key =
            PrivateKey::from_pem(bundle.key.as_bytes()).map_err(|error| wrong("key", error))?;
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(vec![authority])))
            .client_cert(Some(ClientCert::new_with_certs(&[certificate], key)))
            .build();
        let config = Agent::config_builder()
            .https_only(true)
            .max_redirects(0)
            .http_status_as_error(false)
            .timeout_global(Some(TIMEOUT))
            .proxy(None)
            .tls_config(tls)
            .user_agent(concat!("scorer/", env!("CARGO_PKG_VERSION")))
            .build();
        let url = bundle.hub.trim_end_matches('/').to_owned();
        Ok(Self { agent: config.new_agent(), url })
    }

    #[expect(clippy::needless_pass_by_value, reason = "as map_err gives it")]
    fn failed(&self, what: impl ToString) -> ShareError {
        ShareError::Hub { url: self.url.clone(), what: what.to_string() }
    }

    fn answer(
        &self,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Vec<u8>, ShareError> {
        let mut answer = answer.map_err(|error| self.failed(error))?;
        let status = answer.status();
        let body = answer.body_mut().with_config().limit(LARGEST).read_to_vec();
        let body = body.map_err(|error| self.failed(error))?;
        if status == 200 {
            return Ok(body);
        }
        let said: Value = serde_json::from_slice(&body).unwrap_or_default();
        let said: String = said["detail"].as_str().unwrap_or_default().chars().take(300).collect();
        Err(self.failed(format!("{}: {said}", status.as_u16())))
    }

    fn post(&self, what: &str) -> ureq::RequestBuilder<ureq::typestate::WithBody> {
        self.agent.post(format!("{}/v1/{what}", self.url)).content_type("application/json")
    }

    /// Members and keys.
    ///
    /// # Errors
    /// [`ShareError::Hub`].
    pub fn directory(&self) -> Result<Directory, ShareError> {
        let body = self.answer(self.agent.get(format!("{}/v1/directory", self.url)).call())?;
        Directory::parse(&body).map_err(|what| self.failed(what))
    }

    /// Tells the key that the member signs with; once.
    ///
    /// # Errors
    /// [`ShareError::Hub`]: it knows another already.
    pub fn register(&self, key: &[u8]) -> Result<(), ShareError> {
        let asked = json!({"key": STANDARD.encode(key)}).to_string();
        self.answer(self.post("register").send(asked))?;
        Ok(())
    }

    /// Has blinded elements evaluated under an epoch's key (RFC 9497, mode VOPRF); the
    /// evaluated ones and the proof.
    ///
    /// # Errors
    /// [`ShareError::Hub`]: too many in a minute, an epoch that is over.
    pub fn evaluate(
        &self,
        epoch: u32,
        blinded: &[Vec<u8>],
    ) -> Result<(Vec<Vec<u8>>, Vec<u8>), ShareError> {
        let blinded: Vec<_> = blinded.iter().map(|element| STANDARD.encode(element)).collect();
        let asked = json!({"epoch": epoch, "blinded": blinded}).to_string();
        let body = self.answer(self.post("evaluate").send(asked))?;
        let said: Value = serde_json::from_slice(&body).map_err(|error| self.failed(error))?;
        let decode = |value: &Value| STANDARD.decode(value.as_str()?).ok();
        let evaluated = said["evaluated"].as_array().map(|all| all.iter().map(decode).collect());
        let (Some(Some(evaluated)), Some(proof)) = (evaluated, decode(&said["proof"])) else {
            return Err(self.failed("its answer is none"));
        };
        Ok((evaluated, proof))
    }
}
