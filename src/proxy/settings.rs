//! Upstreams, their servers, and what these are told, as configured.
//!
//! Never here: what is found out about a server while running (`standing`, `health`).

use std::{fmt, path::PathBuf, time::Duration};

use http::{HeaderName, uri::PathAndQuery};

use super::ServerTls;

/// A backend (`[upstream.NAME]`, or the URL of a route).
#[derive(Clone, Debug)]
pub struct UpstreamSettings {
    /// Its name in logs and metrics: the configured one, or the URL.
    pub name: String,
    /// Its servers, each once; one at least, or nothing can be forwarded.
    pub servers: Vec<ServerSettings>,
    /// For a connection to be made, TLS included.
    pub connect_timeout: Duration,
    /// From the request's sending to the response's head.
    pub response_timeout: Duration,
    /// Between two reads of the response's body.
    pub response_idle_timeout: Duration,
    /// Between two reads of server-sent events, and the silence of a tunnel.
    pub stream_idle_timeout: Duration,
    /// How often a request that provably was not processed is sent again.
    pub retries: u32,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
    /// Connections to each server at once, over all workers.
    pub connections: usize,
    /// What the upstream sees as `Host`.
    pub host: HostHeader,
    /// How its servers are watched; `None` to learn of them from requests alone.
    pub health: Option<HealthSettings>,
}

/// One server of an upstream.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Its name in logs and metrics: as it was written.
    pub name: String,
    /// Where it is.
    pub endpoint: Endpoint,
    /// `host:port` as it was written: what `Host` says when it is [`HostHeader::Upstream`].
    pub authority: String,
}

/// Where a server is, and how it is spoken to.
#[derive(Clone)]
pub enum Endpoint {
    /// TCP, with or without TLS.
    Tcp {
        /// Host name or address, IPv6 without brackets.
        host: String,
        /// The port.
        port: u16,
        /// How it must prove itself; `None` for plain HTTP.
        tls: Option<ServerTls>,
    },
    /// A unix socket.
    Unix(PathBuf),
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port, tls: Some(tls) } => write!(f, "{host}:{port} as {tls:?}"),
            Self::Tcp { host, port, tls: None } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{path:?}"),
        }
    }
}

/// How servers are asked whether they are well (`health`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthSettings {
    /// What is asked for with GET; 2xx and 3xx are well.
    pub path: PathAndQuery,
    /// Between the end of one check and the next.
    pub interval: Duration,
    /// Failures in a row that make a server unhealthy.
    pub unhealthy_after: u32,
    /// Successes in a row that make it healthy again.
    pub healthy_after: u32,
}

/// What the upstream sees as `Host`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostHeader {
    /// What the client sent.
    Keep,
    /// The upstream's own authority.
    Upstream,
}

/// What the upstream may learn of the user, and what no client may tell it (`[identity]`).
#[derive(Clone, Debug)]
pub struct IdentitySettings {
    /// The headers, set last and only from a verified token.
    pub headers: Vec<IdentityHeader>,
    /// How a value that is not visible ASCII is written.
    pub encoding: Encoding,
    /// Further request headers that never pass.
    pub strip: Vec<HeaderName>,
}

/// One identity header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityHeader {
    /// Its name.
    pub name: HeaderName,
    /// What it says.
    pub value: IdentityValue,
}

/// Where an identity header's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityValue {
    /// The claim that names the user.
    User,
    /// The claim of that index in `token::Settings::claims`; absent claims leave the header out.
    Claim(usize),
}

/// How a claim becomes a header's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Percent-encoding of everything that is not visible ASCII, and of `%`, `,` and `;`.
    Percent,
    /// The bytes of UTF-8.
    Utf8,
    /// ISO 8859-1; a value with another character is left out, as no other user's name may stand for it.
    Latin1,
}
