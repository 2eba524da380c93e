//! Whom we trust: the system's certificates, else a bundled set, and the account's own file.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// `system` is false where the base URL is plain http on loopback: nothing is loaded for it.
pub(crate) fn config(ca_file: Option<&Path>, system: bool) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    if system {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    if let Some(file) = ca_file {
        let unreadable = || format!("cannot read certificates from {}", file.display());
        let mut found = false;
        for certificate in CertificateDer::pem_file_iter(file).map_err(|_| unreadable())? {
            roots.add(certificate.map_err(|_| unreadable())?).map_err(|_| unreadable())?;
            found = true;
        }
        if !found {
            return Err(format!("{} holds no certificate", file.display()));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| "TLS cannot be set up".to_owned())?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
