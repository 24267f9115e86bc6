//! TLS as a client: whom it trusts. For webhooks, providers of sign-in and collectors of traces, and for the command line at a server.

use std::sync::Arc;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

/// Trusts whom the system trusts, a company's own authority included.
pub fn of_the_system() -> TlsConfig {
    let trusted = rustls_native_certs::load_native_certs();
    for problem in &trusted.errors {
        tracing::warn!(%problem, "a certificate of the system cannot be used");
    }
    trusting(trusted.certs.iter().map(|cert| Certificate::from_der(cert.as_ref()).to_owned()).collect())
}

/// Trusts only the authorities in a PEM file; the error says why there are none.
pub fn of_pem(pem: &[u8]) -> Result<TlsConfig, String> {
    let mut roots = Vec::new();
    for item in parse_pem(pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|e| format!("is not PEM: {e}"))? {
            roots.push(certificate);
        }
    }
    if roots.is_empty() { Err("has no certificate in PEM".to_owned()) } else { Ok(trusting(roots)) }
}

fn trusting(roots: Vec<Certificate<'static>>) -> TlsConfig {
    TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build()
}
