//! What reading ends in: each room's settings, whole.
//!
//! Never here: TOML, defaults, anything that could still be at fault.

use std::{net::SocketAddr, time::Duration};

use crate::{auth, net::Networks, password, proxy, revocation, route, server, store, telemetry, token};

/// What every room is set up with, finished: no room reads TOML or looks for a file.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The public listeners.
    pub server: server::Settings,
    /// Whose word on the client and its request is believed.
    pub trusted_proxies: Networks,
    /// How the gateway stops.
    pub shutdown: server::Shutdown,
    /// Where users and sessions are kept.
    pub store: store::Settings,
    /// How revocations are followed.
    pub revocation: revocation::Settings,
    /// How tokens are made and checked.
    pub tokens: token::Settings,
    /// Accounts and attempts.
    pub auth: auth::Settings,
    /// What passwords must be.
    pub password: password::Settings,
    /// What upstreams learn of the user.
    pub identity: proxy::IdentitySettings,
    /// The backends, by the index that [`route::Destination::Upstream`] has.
    pub upstreams: Vec<proxy::UpstreamSettings>,
    /// The routes, in the order of the file. Never empty.
    pub routes: Vec<route::Route>,
    /// The path below which the auth endpoints are, without a slash at its end; `None` to have none.
    pub auth_prefix: Option<String>,
    /// Which other sites' pages may use the auth endpoints.
    pub auth_cors: Option<route::Cors>,
    /// Bounds on request bodies.
    pub body: BodyLimits,
    /// Where the operators' surface listens.
    pub admin: SocketAddr,
    /// What the program says of itself.
    pub log: telemetry::Settings,
}

/// Bounds on request bodies, from `[limits]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimits {
    /// Between two reads of a body that is forwarded.
    pub request_idle: Duration,
    /// Bytes of a body sent to an auth endpoint.
    pub auth_size: usize,
    /// For a body sent to an auth endpoint, whole.
    pub auth_deadline: Duration,
}
