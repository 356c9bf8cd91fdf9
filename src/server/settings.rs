//! Listeners, bounds on connections, and how they end, as configured.

use std::{net::SocketAddr, num::NonZeroUsize, sync::Arc, time::Duration};

use rustls::RootCertStore;

use super::tls::Certificate;
use crate::net::Networks;

/// The public listeners and their limits.
#[derive(Clone, Debug)]
pub struct Settings {
    /// HTTPS.
    pub https: Option<Https>,
    /// Where to listen for the same without TLS; port 0 picks a free one.
    pub plain: Option<SocketAddr>,
    /// Where to listen for clients that shall learn of HTTPS; port 0 picks a free one.
    pub http: Option<SocketAddr>,
    /// Threads that serve requests.
    pub workers: NonZeroUsize,
    /// Who must say in a PROXY header whom it stands for; nobody else may connect then. `None`: no such headers.
    pub proxies: Option<Networks>,
    /// Bounds on what a client may ask of a connection.
    pub limits: Limits,
}

/// The HTTPS listener (`[tls]`).
#[derive(Clone, Debug)]
pub struct Https {
    /// Where to listen; port 0 picks a free one.
    pub address: SocketAddr,
    /// At least one; the first is for clients that name no host, or none of ours.
    pub certificates: Vec<Certificate>,
    /// The oldest TLS version that is spoken.
    pub min_version: TlsVersion,
    /// Whose certificates clients must show; `None` where they need none.
    pub client_ca: Option<Arc<RootCertStore>>,
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
