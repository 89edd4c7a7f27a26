//! Certificate and key from PEM files.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::config;
use crate::error::{Error, Result};

/// TLS 1.2 and 1.3 with HTTP/2 and HTTP/1.1 on offer; `None` if neither file is configured.
///
/// # Errors
/// `Config`: one file of the two is missing, cannot be read, or is not what it should be.
pub(super) fn acceptor(front: &config::Front) -> Result<Option<TlsAcceptor>> {
    let (cert, key) = match (&front.tls_cert, &front.tls_key) {
        (None, None) => return Ok(None),
        (Some(cert), Some(key)) => (cert, key),
        (Some(_), None) => return Err(wrong("tls_key", "missing: HTTPS needs tls_cert and tls_key")),
        (None, Some(_)) => return Err(wrong("tls_cert", "missing: HTTPS needs tls_cert and tls_key")),
    };
    let chain = certificates(cert)?;
    let secret = PrivateKeyDer::from_pem_file(key)
        .map_err(|cause| wrong("tls_key", &format!("{}: {cause}; expected a private key in PEM", key.display())))?;
    let mut server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|cause| wrong("tls_cert", &cause.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|cause| {
            let (cert, key) = (cert.display(), key.display());
            wrong("tls_key", &format!("{key} does not go with {cert}: {cause}"))
        })?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(server))))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let unusable = |cause: &dyn std::fmt::Display| {
        wrong("tls_cert", &format!("{}: {cause}; expected a chain of certificates in PEM", file.display()))
    };
    let chain = CertificateDer::pem_file_iter(file)
        .map_err(|cause| unusable(&cause))?
        .collect::<Result<Vec<_>, _>>()
        .map_err(|cause| unusable(&cause))?;
    if chain.is_empty() { Err(unusable(&"no certificate in it")) } else { Ok(chain) }
}

fn wrong(key: &str, problem: &str) -> Error {
    Error::Config { key: format!("front.{key}"), problem: problem.to_owned() }
}
