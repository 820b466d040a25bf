//! TLS as servers speak it: with certificates of their own and, where clients must show
//! theirs, with an authority.

use std::sync::Arc;

use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        Error, RootCertStore, ServerConfig,
        crypto::{CryptoProvider, ring},
        pki_types::{CertificateDer, PrivateKeyDer},
        server::{VerifierBuilderError, WebPkiClientVerifier, danger::ClientCertVerifier},
    },
};

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Lets those in whose certificates one of these authorities signed.
///
/// # Errors
/// When there is none.
pub(crate) fn clients(
    authorities: RootCertStore,
) -> Result<Arc<dyn ClientCertVerifier>, VerifierBuilderError> {
    WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider()).build()
}

/// Accepts HTTP/1.1 over TLS, of anybody where there is no `clients`.
///
/// # Errors
/// When key and certificates do not fit.
pub(crate) fn acceptor(
    certificates: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<TlsAcceptor, Error> {
    let builder =
        ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let builder = match clients {
        Some(clients) => builder.with_client_cert_verifier(clients),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(certificates, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
