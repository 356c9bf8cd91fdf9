//! What a certificate says of itself: for whom it is, and when.

use std::net::{IpAddr, Ipv6Addr};

use rustls::pki_types::CertificateDer;
use x509_parser::{
    certificate::X509Certificate,
    extensions::GeneralName,
    prelude::{ASN1Time, FromDer},
};

use super::tls::CertificateError;
use crate::clock::Timestamp;

/// Names and times of an end entity's certificate.
#[derive(Debug)]
pub(super) struct Subject {
    /// DNS names in lower case, wildcards as `*.example.com`; addresses, IPv6 in brackets.
    pub(super) names: Vec<String>,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
}

/// Reads a certificate. Of its names those alone that a client would compare (RFC 9525, section 6.3): not the common
/// name, and nothing that is no name.
pub(super) fn subject(certificate: &CertificateDer<'_>) -> Result<Subject, CertificateError> {
    let unreadable = |why: String| CertificateError::CertificateUnreadable(why);
    let (_, certificate) =
        X509Certificate::from_der(certificate).map_err(|error| unreadable(error.to_string()))?;
    let names = certificate.subject_alternative_name().map_err(|error| unreadable(error.to_string()))?;
    let names = names.into_iter().flat_map(|extension| &extension.value.general_names);
    let validity = certificate.validity();
    Ok(Subject {
        names: names.filter_map(name).collect(),
        not_before: instant(validity.not_before),
        not_after: instant(validity.not_after),
    })
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => {
            let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
            let plain = name.strip_prefix("*.").unwrap_or(&name);
            let is_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            (!plain.is_empty() && plain.bytes().all(is_byte)).then_some(name)
        }
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            match v4
                .or_else(|_| <[u8; 16]>::try_from(*bytes).map(|v6| IpAddr::V6(Ipv6Addr::from(v6))))
                .ok()?
            {
                IpAddr::V4(address) => Some(address.to_string()),
                IpAddr::V6(address) => Some(format!("[{address}]")),
            }
        }
        _ => None,
    }
}

/// Whatever was before the epoch was at its beginning.
fn instant(time: ASN1Time) -> Timestamp {
    Timestamp::from_seconds(u64::try_from(time.timestamp()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn names_and_times_are_read() {
        let names = ["App.Example.com", "*.example.com", "192.0.2.1", "2001:db8::1"].map(str::to_owned);
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2026, 4, 1);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let subject = subject(certificate.der()).unwrap();
        assert_eq!(subject.names, ["app.example.com", "*.example.com", "192.0.2.1", "[2001:db8::1]"]);
        assert_eq!(subject.not_before.to_string(), "2026-01-01T00:00:00.000Z");
        assert_eq!(subject.not_after.to_string(), "2026-04-01T00:00:00.000Z");
    }

    #[test]
    fn a_certificate_may_have_no_name() {
        let certificate = CertificateParams::default().self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert_eq!(subject(certificate.der()).unwrap().names, [""; 0]);
        assert!(subject(&CertificateDer::from(vec![0; 9])).is_err());
    }
}
