use std::{net::SocketAddr, num::NonZeroUsize, sync::Arc, time::Duration};

use rustls::sign::CertifiedKey;

/// The public listener, its TLS and its limits.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen for HTTPS; port 0 picks a free one.
    pub https: SocketAddr,
    /// Threads that serve requests.
    pub workers: NonZeroUsize,
    /// Certificate chain and private key, known to belong together.
    pub certificate: Arc<CertifiedKey>,
    /// The oldest TLS version that is spoken.
    pub min_version: TlsVersion,
    /// Bounds on what a client may ask of a connection.
    pub limits: Limits,
}

/// Versions of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// Bounds on connections, from `[limits]`.
#[derive(Clone, Debug)]
pub struct Limits {
    /// For a TLS handshake, whole.
    pub handshake_timeout: Duration,
    /// For a request's head, whole.
    pub header_timeout: Duration,
    /// Between two requests of a connection; and for a client that takes nothing of what we have for it.
    pub idle_timeout: Duration,
    /// Bytes of a request's head.
    pub header_size: usize,
    /// Header fields of a request.
    pub header_count: usize,
    /// Concurrent streams of an HTTP/2 connection.
    pub streams: u32,
    /// Open connections in all.
    pub connections: usize,
    /// Open connections of one address.
    pub connections_per_address: usize,
}

/// How the gateway stops (`[shutdown]`).
#[derive(Clone, Debug)]
pub struct Shutdown {
    /// Between `/readyz` failing and no longer accepting.
    pub delay: Duration,
    /// What requests in flight get to finish.
    pub grace: Duration,
}
