//! Which certificates are trusted, and how TLS is spoken.
//!
//! The machine's own store first, because organisations install their authority there; more can be
//! named in the configuration. There is no switch that turns verification off.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Certificate authorities whose servers are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roots {
    extra_pem: Vec<u8>,
    only_extra: bool,
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The machine has no trusted authorities.
    #[error(
        "no trusted certificates on this machine{0}: install the package `ca-certificates`, or name a PEM file in `[egress] extra_ca`"
    )]
    NoRoots(String),
    /// The extra certificates cannot be read.
    #[error(
        "certificate {number} of `[egress] extra_ca` is not usable ({reason}): write PEM blocks `BEGIN CERTIFICATE`"
    )]
    ExtraCa {
        /// Counted from one.
        number: usize,
        /// What the parser says.
        reason: String,
    },
    /// The extra certificates hold no certificate.
    #[error("`[egress] extra_ca` holds no certificate: write PEM blocks `BEGIN CERTIFICATE`")]
    ExtraCaEmpty,
    /// The crypto library refuses the protocol versions.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

impl Roots {
    /// The machine's own store.
    pub fn native() -> Self {
        Self::default()
    }

    /// The machine's own store and the certificates in `pem`.
    pub fn native_and(pem: impl Into<Vec<u8>>) -> Self {
        Self { extra_pem: pem.into(), only_extra: false }
    }

    /// The certificates in `pem` and no others.
    pub fn only(pem: impl Into<Vec<u8>>) -> Self {
        Self { extra_pem: pem.into(), only_extra: true }
    }

    /// Whether the certificates that were named can be used.
    ///
    /// # Errors
    /// The first that cannot, or that there is none.
    pub fn check(&self) -> Result<(), TlsError> {
        self.add_extra(&mut RootCertStore::empty())
    }

    /// TLS 1.2 and 1.3 with these roots and the crypto library of the project.
    pub(crate) fn client_config(&self) -> Result<ClientConfig, TlsError> {
        let mut store = RootCertStore::empty();
        self.add_extra(&mut store)?;
        if !self.only_extra {
            add_native(&mut store)?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok(config.with_root_certificates(store).with_no_client_auth())
    }

    fn add_extra(&self, store: &mut RootCertStore) -> Result<(), TlsError> {
        for (index, certificate) in CertificateDer::pem_slice_iter(&self.extra_pem).enumerate() {
            let bad = |reason: String| TlsError::ExtraCa { number: index + 1, reason };
            let certificate = certificate.map_err(|e| bad(e.to_string()))?;
            store.add(certificate).map_err(|e| bad(e.to_string()))?;
        }
        if store.is_empty() && (self.only_extra || !self.extra_pem.is_empty()) {
            return Err(TlsError::ExtraCaEmpty);
        }
        Ok(())
    }
}

/// Native stores hold the odd certificate that does not parse; one bad one must not cost the rest.
fn add_native(store: &mut RootCertStore) -> Result<(), TlsError> {
    let native = rustls_native_certs::load_native_certs();
    store.add_parsable_certificates(native.certs);
    if store.is_empty() {
        let reason = native.errors.first().map(|e| format!(" ({e})")).unwrap_or_default();
        return Err(TlsError::NoRoots(reason));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_files_without_a_usable_certificate() {
        let error = |pem: &str| Roots::native_and(pem).client_config().unwrap_err().to_string();
        assert_eq!(error("hello"), "`[egress] extra_ca` holds no certificate: write PEM blocks `BEGIN CERTIFICATE`");
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(error(broken).starts_with("certificate 1 of `[egress] extra_ca` is not usable ("), "{}", error(broken));
        assert!(Roots::only("").client_config().is_err(), "an empty store trusts nobody");
        assert!(Roots::native_and(broken).check().is_err() && Roots::native_and("hello").check().is_err());
        assert!(Roots::native().check().is_ok());
    }
}
