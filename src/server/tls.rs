//! Certificates, and TLS as we speak it.

use std::sync::Arc;

use rustls::{
    CertificateError as BadCertificate, Error, ProtocolVersion, RootCertStore, ServerConfig,
    ServerConnection,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};

use super::{Https, Protocol, ServerError, TlsVersion, certificate, sni::BySni};
use crate::clock::Timestamp;

/// A certificate that a server may show.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// Chain and private key, known to belong together.
    pub key: Arc<CertifiedKey>,
    /// Whom it is for: DNS names in lower case, wildcards as `*.example.com`; addresses, IPv6 in brackets.
    pub names: Vec<String>,
    /// From when on it is valid.
    pub not_before: Timestamp,
    /// Until when it is valid.
    pub not_after: Timestamp,
}

impl Certificate {
    /// The first of its names that `earlier` has as well, with a key of the same kind: no client would ever be shown
    /// this one under that name.
    pub fn hidden_by<'c>(&'c self, earlier: &Self) -> Option<&'c str> {
        let is_same_kind = earlier.key.key.algorithm() == self.key.key.algorithm();
        let mut names = self.names.iter().filter(|_| is_same_kind);
        names.find(|name| earlier.names.contains(name)).map(String::as_str)
    }
}

/// Reads a certificate chain, the end entity's first, and its private key, both as PEM (RFC 7468).
///
/// # Errors
/// Says what is missing or wrong in either, and where the two do not belong together.
pub fn load(certificate_pem: &[u8], key_pem: &[u8]) -> Result<Certificate, CertificateError> {
    let chain = certificates(certificate_pem)?;
    let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|error| match error {
        pem::Error::NoItemsFound if is_encrypted(key_pem) => CertificateError::KeyEncrypted,
        pem::Error::NoItemsFound => CertificateError::NoKey,
        other => CertificateError::KeyUnreadable(other.to_string()),
    })?;
    // In two steps: the error of one does not tell a bad key from a bad certificate.
    let key = provider()
        .key_provider
        .load_private_key(key)
        .map_err(|error| CertificateError::KeyUnreadable(error.to_string()))?;
    let certified = CertifiedKey::new(chain, key);
    certified.keys_match().map_err(|error| match error {
        Error::InconsistentKeys(_) => CertificateError::KeyMismatch,
        Error::InvalidCertificate(BadCertificate::BadEncoding) => {
            CertificateError::CertificateUnreadable("it is not X.509".to_owned())
        }
        error => CertificateError::CertificateUnreadable(error.to_string()),
    })?;
    let subject = certificate::subject(certified.cert.first().ok_or(CertificateError::NoCertificate)?)?;
    Ok(Certificate {
        key: Arc::new(certified),
        names: subject.names,
        not_before: subject.not_before,
        not_after: subject.not_after,
    })
}

/// Reads the certificates of those who may vouch for clients, as PEM.
///
/// # Errors
/// Where there is none, or one cannot be read.
pub fn load_authorities(pem: &[u8]) -> Result<Arc<RootCertStore>, CertificateError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        let added = roots.add(certificate);
        added.map_err(|error| CertificateError::CertificateUnreadable(error.to_string()))?;
    }
    Ok(Arc::new(roots))
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let chain = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| CertificateError::CertificateUnreadable(error.to_string()))?;
    if chain.is_empty() { Err(CertificateError::NoCertificate) } else { Ok(chain) }
}

/// Why a certificate and its key cannot be used. Never names a byte of the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The certificate is no PEM or no X.509.
    #[error("the certificate cannot be read: {0}")]
    CertificateUnreadable(String),
    /// The key asks for a passphrase.
    #[error("the private key is encrypted; a gateway that starts by itself needs it without passphrase")]
    KeyEncrypted,
    /// The key is another certificate's.
    #[error("the private key does not belong to the certificate")]
    KeyMismatch,
    /// The key is no PEM, or of a kind that TLS does not know.
    #[error("the private key cannot be read: {0}")]
    KeyUnreadable(String),
    /// The PEM has no certificate.
    #[error("there is no certificate in the file")]
    NoCertificate,
    /// The PEM has no private key.
    #[error("there is no private key in the file")]
    NoKey,
}

/// TLS for the public listener.
pub(super) fn server_config(https: &Https) -> Result<Arc<ServerConfig>, ServerError> {
    let versions: &[_] = match https.min_version {
        TlsVersion::Tls12 => &[&TLS13, &TLS12],
        TlsVersion::Tls13 => &[&TLS13],
    };
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .map_err(ServerError::Tls)?;
    let builder = match &https.client_ca {
        None => builder.with_no_client_auth(),
        Some(authorities) => {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::clone(authorities), provider()).build();
            builder.with_client_cert_verifier(verifier.map_err(ServerError::ClientCa)?)
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(BySni::new(&https.certificates)));
    config.alpn_protocols = vec![H2.to_vec(), b"http/1.1".to_vec()];
    if https.client_ca.is_none() {
        // Sessions resume from what the client keeps, on any worker, and cost us no memory. The keys change every
        // six hours and never leave this process.
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(ServerError::Tls)?;
    } else {
        // Whoever resumes shows no certificate, so one that has expired since would go on for ever.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(Arc::new(config))
}

/// What a finished handshake has agreed on. Without ALPN that is HTTP/1.1 (RFC 9112).
pub(super) fn agreed(session: &ServerConnection) -> (Protocol, TlsVersion) {
    let protocol = if session.alpn_protocol() == Some(H2) { Protocol::Http2 } else { Protocol::Http1 };
    let version = match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => TlsVersion::Tls13,
        _ => TlsVersion::Tls12,
    };
    (protocol, version)
}

/// Named wherever TLS is set up, so that nothing depends on a default that somebody has to install.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn is_encrypted(pem: &[u8]) -> bool {
    const LABEL: &[u8] = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";
    pem.windows(LABEL.len()).any(|window| window == LABEL)
}

const H2: &[u8] = b"h2";

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn pair() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    #[test]
    fn sessions_are_kept_by_clients_and_early_data_is_refused() {
        let (certificate, key) = pair();
        let https = Https {
            address: "127.0.0.1:0".parse().unwrap(),
            certificates: vec![load(certificate.as_bytes(), key.as_bytes()).unwrap()],
            min_version: TlsVersion::Tls12,
            client_ca: None,
        };
        let config = server_config(&https).unwrap();
        assert!(config.ticketer.enabled());
        // A request in early data could be replayed (RFC 8446, section 8).
        assert_eq!(config.max_early_data_size, 0);

        let client_ca = Some(load_authorities(certificate.as_bytes()).unwrap());
        let config = server_config(&Https { client_ca, ..https }).unwrap();
        assert!(!config.ticketer.enabled() && !config.session_storage.can_cache());
        assert_eq!((config.send_tls13_tickets, config.max_early_data_size), (0, 0));
    }

    #[test]
    fn a_certificate_and_its_key_are_read() {
        let (certificate, key) = pair();
        let two = format!("{certificate}{}", pair().0);
        assert_eq!(load(two.as_bytes(), key.as_bytes()).unwrap().key.cert.len(), 2);
        // One file may hold both, in either order.
        let both = format!("{key}{certificate}");
        assert!(load(both.as_bytes(), both.as_bytes()).is_ok());
    }

    #[test]
    fn what_is_wrong_is_said_in_words() {
        let (certificate, key) = pair();
        let garbled = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let no_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        for (certificate, key, words) in [
            ("", key.as_str(), "there is no certificate in the file"),
            (key.as_str(), key.as_str(), "there is no certificate in the file"),
            (certificate.as_str(), "", "there is no private key in the file"),
            (certificate.as_str(), certificate.as_str(), "there is no private key in the file"),
            (certificate.as_str(), pair().1.as_str(), "the private key does not belong to the certificate"),
            (garbled, key.as_str(), "the certificate cannot be read: "),
            (certificate.as_str(), encrypted, "the private key is encrypted; "),
            (certificate.as_str(), no_key, "the private key cannot be read: "),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n", key.as_str(), "the certificate cannot be read: "),
        ] {
            let error = load(certificate.as_bytes(), key.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(words), "{error}");
        }
    }
}
