//! Which certificate a client is shown: by the host it asks for (SNI, RFC 6066, section 3), then by what it can verify.

use std::{collections::HashMap, sync::Arc};

use rustls::{
    SignatureScheme,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::tls::Certificate;

/// Exact names first, then wildcards, which stand for one label; the first certificate for all else.
#[derive(Debug)]
pub(super) struct BySni {
    exact: HashMap<String, Candidates>,
    /// By what follows the `*.`.
    wildcard: HashMap<String, Candidates>,
    default: Candidates,
}

/// Certificates for one name, in the order of the configuration.
type Candidates = Vec<Arc<CertifiedKey>>;

impl BySni {
    pub(super) fn new(certificates: &[Certificate]) -> Self {
        let (mut exact, mut wildcard) = (HashMap::<_, Candidates>::new(), HashMap::<_, Candidates>::new());
        for certificate in certificates {
            for name in &certificate.names {
                let candidates = match name.strip_prefix("*.") {
                    Some(above) => wildcard.entry(above.to_owned()).or_default(),
                    None => exact.entry(name.clone()).or_default(),
                };
                candidates.push(Arc::clone(&certificate.key));
            }
        }
        // With the first its twins: the same names under a key of another kind.
        let first = certificates.first().map(|first| &first.names);
        let twins = certificates.iter().filter(|certificate| Some(&certificate.names) == first);
        Self { exact, wildcard, default: twins.map(|certificate| Arc::clone(&certificate.key)).collect() }
    }

    fn find(&self, host: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let candidates = host.and_then(|host| self.named(host)).unwrap_or(&self.default);
        let fits = candidates.iter().find(|candidate| candidate.key.choose_scheme(schemes).is_some());
        fits.or_else(|| candidates.first()).cloned()
    }

    fn named(&self, host: &str) -> Option<&Candidates> {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        self.exact.get(&host).or_else(|| {
            let (_, above) = host.split_once('.')?;
            self.wildcard.get(above)
        })
    }
}

impl ResolvesServerCert for BySni {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(hello.server_name(), hello.signature_schemes())
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};

    use super::*;
    use crate::server::tls;

    fn certificate(names: &[&str], kind: &'static rcgen::SignatureAlgorithm) -> Certificate {
        let key = KeyPair::generate_for(kind).unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        tls::load(certificate.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap()
    }

    #[test]
    fn the_host_chooses_the_certificate() {
        let certificates = [
            &["default.example"][..],
            &["a.example.com", "b.example.com"],
            &["*.example.com", "c.example.com"],
            &["a.example.com", "*.sub.example.com"],
        ]
        .map(|names| certificate(names, &PKCS_ECDSA_P256_SHA256));
        let by_sni = BySni::new(&certificates);
        for (host, expected) in [
            (None, 0),
            (Some("default.example"), 0),
            (Some("unknown.example"), 0),
            (Some("a.example.com"), 1),
            (Some("A.Example.COM"), 1),
            (Some("b.example.com."), 1),
            (Some("c.example.com"), 2),
            (Some("x.example.com"), 2),
            (Some("x.sub.example.com"), 3),
            (Some("sub.example.com"), 2),
            (Some("x.y.example.com"), 0),
            (Some("example.com"), 0),
            (Some("com"), 0),
            (Some(""), 0),
        ] {
            let found = by_sni.find(host, &[SignatureScheme::ECDSA_NISTP256_SHA256]).unwrap();
            let found = certificates.iter().position(|certificate| Arc::ptr_eq(&certificate.key, &found));
            assert_eq!(found, Some(expected), "{host:?}");
        }
    }

    #[test]
    fn of_two_kinds_of_keys_the_client_gets_one_that_it_can_verify() {
        let names = &["a.example.com"];
        let certificates = [&PKCS_ECDSA_P256_SHA256, &PKCS_RSA_SHA256].map(|kind| certificate(names, kind));
        let by_sni = BySni::new(&certificates);
        let (ecdsa, rsa) = (SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::RSA_PSS_SHA256);
        for (schemes, expected) in
            [(&[ecdsa, rsa][..], 0), (&[rsa, ecdsa], 0), (&[rsa], 1), (&[ecdsa], 0), (&[], 0)]
        {
            for host in [Some("a.example.com"), Some("other.example"), None] {
                let found = by_sni.find(host, schemes).unwrap();
                assert!(Arc::ptr_eq(&certificates[expected].key, &found), "{host:?} {schemes:?}");
            }
        }
    }
}
