use std::time::Duration;

use http::HeaderName;

/// A backend (`[upstream.NAME]`, or the URL of a route).
#[derive(Clone, Debug)]
pub struct UpstreamSettings {
    /// Its name in logs and metrics: the configured one, or the URL.
    pub name: String,
    /// Host name or address of the server, as in the URL, without port. IPv6 addresses without brackets.
    pub server_host: String,
    /// Its port.
    pub server_port: u16,
    /// `host:port` as the URL has it: what `Host` says when `host` is [`HostHeader::Upstream`].
    pub authority: String,
    /// For a connection to be made.
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
    /// Connections to the server at once, over all workers.
    pub connections: usize,
    /// What the upstream sees as `Host`.
    pub host: HostHeader,
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
