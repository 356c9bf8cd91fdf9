//! Failed TLS handshakes, by reason: a few of ours for the many of the library's, so that labels are bounded.

use super::Counter;

/// Why a TLS handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeFailure {
    /// The client refused: most often it does not trust our certificate.
    Alert,
    /// The client's certificate is not one that we trust.
    CertificateRefused,
    /// The client went away.
    Closed,
    /// Client and gateway have no version, cipher or protocol in common.
    Incompatible,
    /// A certificate is asked for, and the client has shown none.
    NoCertificate,
    /// Something went wrong here.
    Other,
    /// What came is no TLS, or breaks its rules.
    Protocol,
    /// It took too long.
    Timeout,
}

impl HandshakeFailure {
    /// Every reason, in the order of the cells.
    pub const ALL: [Self; 8] = [
        Self::Alert,
        Self::CertificateRefused,
        Self::Closed,
        Self::Incompatible,
        Self::NoCertificate,
        Self::Other,
        Self::Protocol,
        Self::Timeout,
    ];

    /// Its label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::CertificateRefused => "certificate_refused",
            Self::Closed => "closed",
            Self::Incompatible => "incompatible",
            Self::NoCertificate => "no_certificate",
            Self::Other => "other",
            Self::Protocol => "protocol",
            Self::Timeout => "timeout",
        }
    }
}

/// A count for each reason.
#[derive(Debug, Default)]
pub struct ByHandshakeFailure([Counter; HandshakeFailure::ALL.len()]);

impl ByHandshakeFailure {
    /// That of one reason.
    pub const fn of(&self, reason: HandshakeFailure) -> &Counter {
        let [alert, refused, closed, incompatible, none, other, protocol, timeout] = &self.0;
        match reason {
            HandshakeFailure::Alert => alert,
            HandshakeFailure::CertificateRefused => refused,
            HandshakeFailure::Closed => closed,
            HandshakeFailure::Incompatible => incompatible,
            HandshakeFailure::NoCertificate => none,
            HandshakeFailure::Other => other,
            HandshakeFailure::Protocol => protocol,
            HandshakeFailure::Timeout => timeout,
        }
    }

    /// That of all reasons together.
    pub fn value(&self) -> u64 {
        self.0.iter().map(Counter::value).sum()
    }
}
