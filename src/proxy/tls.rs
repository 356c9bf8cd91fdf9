//! TLS as it is spoken with upstreams: who is believed, who we are, whom we expect.
//!
//! Never here: files (`config`), sockets (`dial`).

use std::{fmt, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
    sign::{CertifiedKey, SingleCertAndKey},
};

/// How the servers of one upstream must prove themselves, and how we do. A cheap handle.
#[derive(Clone)]
pub struct UpstreamTls(Arc<ClientConfig>);

impl UpstreamTls {
    /// Believes `roots`; shows `identity` to servers that ask for a certificate.
    ///
    /// # Errors
    /// Never with the cipher suites that we are built with.
    pub fn new(
        roots: Arc<RootCertStore>,
        identity: Option<Arc<CertifiedKey>>,
    ) -> Result<Self, rustls::Error> {
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let mut config = match identity {
            Some(identity) => {
                let identity = SingleCertAndKey::from(CertifiedKey::clone(&identity));
                builder.with_client_cert_resolver(Arc::new(identity))
            }
            None => builder.with_no_client_auth(),
        };
        // Nothing else is spoken with upstreams.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    /// For a server whose certificate must be for `name`, a DNS name or an address (RFC 9525). A DNS name is
    /// also told to the server (SNI).
    ///
    /// # Errors
    /// A certificate cannot be for such a name.
    pub fn expecting(&self, name: &str) -> Result<ServerTls, TlsError> {
        let name = ServerName::try_from(name.to_owned()).map_err(|_| TlsError::Name)?;
        Ok(ServerTls { config: Arc::clone(&self.0), name })
    }
}

/// How one server must prove itself.
#[derive(Clone)]
pub struct ServerTls {
    pub(super) config: Arc<ClientConfig>,
    pub(super) name: ServerName<'static>,
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name.to_str())
    }
}

/// Reads the certificates of those who are believed, as PEM (RFC 7468).
///
/// # Errors
/// Says what is wrong with them.
pub fn roots(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| TlsError::Unreadable(error.to_string()))?;
        roots.add(certificate).map_err(|error| TlsError::Unreadable(error.to_string()))?;
    }
    if roots.is_empty() { Err(TlsError::Empty) } else { Ok(roots) }
}

/// Why TLS with an upstream cannot be set up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The file has no certificate.
    #[error("there is no certificate in the file")]
    Empty,
    /// No certificate can be for that name.
    #[error("expected a DNS name or an address, as a certificate has it")]
    Name,
    /// A certificate is no PEM or no X.509.
    #[error("a certificate cannot be read: {0}")]
    Unreadable(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_certificates() {
        let made = rcgen::generate_simple_self_signed(vec!["a".to_owned()]).unwrap();
        let pem = made.cert.pem();
        assert_eq!(roots(pem.repeat(2).as_bytes()).unwrap().len(), 2);
        assert_eq!(roots(b"").unwrap_err(), TlsError::Empty);
        assert_eq!(roots(made.signing_key.serialize_pem().as_bytes()).unwrap_err(), TlsError::Empty);
        let garbled = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for bad in [garbled, "-----BEGIN CERTIFICATE-----\nAAAA\n"] {
            assert!(matches!(roots(bad.as_bytes()), Err(TlsError::Unreadable(_))), "{bad}");
        }
    }

    #[test]
    fn names_are_what_certificates_are_for() {
        let tls = UpstreamTls::new(Arc::new(RootCertStore::empty()), None).unwrap();
        for name in ["backend", "a.example", "10.0.0.1", "2001:db8::1"] {
            assert_eq!(format!("{:?}", tls.expecting(name).unwrap()), name);
        }
        for name in ["", "a b", "-a", "a..b"] {
            assert_eq!(tls.expecting(name).unwrap_err(), TlsError::Name, "{name}");
        }
    }
}
