//! All that is configured and that a request is judged by: one value, and nobody changes it.

use std::time::Duration;

use super::redirect::Redirection;
use crate::{
    auth::Authenticator,
    net::Networks,
    proxy::IdentitySettings,
    route::{Cors, RouteTable},
};

/// All that a request is judged by. One request sees one snapshot from its head to its end.
#[derive(Debug)]
pub struct Snapshot {
    /// Where requests lead.
    pub routes: RouteTable,
    /// Which other sites' pages may use the auth endpoints.
    pub auth_cors: Option<Cors>,
    /// Where those lead that came without TLS where TLS is asked for.
    pub redirection: Redirection,
    /// Whose they are.
    pub authenticator: Authenticator,
    /// Whose word on the client and its request is believed.
    pub trusted_proxies: Networks,
    /// What the upstream may learn, and what no client may tell it.
    pub identity: IdentitySettings,
    /// Bounds on bodies.
    pub bodies: BodyLimits,
    /// Header fields of a request; HTTP/2 bounds their bytes alone.
    pub header_count: usize,
    /// Names of the upstreams, by index, for logs.
    pub upstreams: Vec<String>,
}

impl Snapshot {
    /// Whether any answer speaks to other sites' pages.
    pub(super) const fn has_cors(&self) -> bool {
        self.auth_cors.is_some() || self.routes.has_cors()
    }
}

/// Bounds on requests' bodies.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// Between two reads of a forwarded body.
    pub request_idle: Duration,
    /// Bytes of an auth endpoint's body.
    pub auth_size: usize,
    /// For an auth endpoint's body, whole.
    pub auth_deadline: Duration,
}
