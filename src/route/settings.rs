//! A route, as configured.

use http::Method;

use super::{Cors, Prefix};

/// One `[[route]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// What logs and metrics call it: its host and path patterns as configured, as in `app.example.com/api/*`.
    pub name: String,
    /// Which paths it takes.
    pub path: PathPattern,
    /// Which hosts it takes; empty: any.
    pub hosts: Vec<HostPattern>,
    /// Which methods it takes; `None`: any. HEAD follows GET.
    pub methods: Option<Vec<Method>>,
    /// Who may pass.
    pub access: Access,
    /// What its users must be besides; all of it. Never on a public route, where nobody is known.
    pub require: Vec<Requirement>,
    /// Whether the credentials are passed on to the upstream.
    pub forward_token: bool,
    /// What the upstream does not see of the path.
    pub strip_prefix: Option<Prefix>,
    /// Which other sites' pages may read its answers; `None`: the upstream says so itself.
    pub cors: Option<Cors>,
    /// Where it leads.
    pub destination: Destination,
}

/// Who may pass a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Whoever presents a valid access token, and whoever presents none; a bad one is refused.
    Optional,
    /// Whoever presents a valid access token.
    Protected,
    /// Anybody.
    Public,
}

/// A claim, and which values of it open the route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The claim.
    pub claim: Claim,
    /// The claim is one of these, or a list that holds one. Never empty.
    pub values: Vec<String>,
}

/// A claim that rules may look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The claim of that index in `token::Settings::claims`.
    Extra(usize),
    /// The claim that names the user.
    User,
}

/// Where a route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The built-in backend that shows what it received.
    Echo,
    /// The upstream of that index in the configuration's list.
    Upstream(usize),
}

/// A path as a route names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PathPattern {
    /// Exactly this path; begins with a slash.
    Exact(String),
    /// `/api/*`, kept as `/api`: that path, `/api/`, and everything below. `/*` is kept as the empty text.
    Below(String),
}

/// A host as a route names it: lower case, without port and trailing dot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// Exactly this host.
    Exact(String),
    /// `*.example.com`, kept as `example.com`: every host at least one label below it.
    Below(String),
}
