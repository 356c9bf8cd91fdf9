//! The auth endpoints: their paths, methods and parameter.
//!
//! Never here: what a request to one holds (`native`, `fields`).

use http::Method;

/// The native auth endpoints, below `[auth] prefix`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `POST login/`
    Login,
    /// `POST logout/`
    Logout,
    /// `POST logout/all/`
    LogoutAll,
    /// `GET me/`
    Me,
    /// `POST password/`
    Password,
    /// `POST token/refresh/`
    Refresh,
    /// `POST register/`
    Register,
    /// `DELETE sessions/{id}/`
    Session,
    /// `GET sessions/`
    Sessions,
    /// `POST token/verify/`
    Verify,
}

impl Endpoint {
    /// Every endpoint.
    pub const ALL: [Self; 10] = [
        Self::Login,
        Self::Logout,
        Self::LogoutAll,
        Self::Me,
        Self::Password,
        Self::Refresh,
        Self::Register,
        Self::Session,
        Self::Sessions,
        Self::Verify,
    ];

    /// Its path below the prefix, without slashes at the ends: both `login` and `login/` are the endpoint. Where it
    /// [`has_parameter`](Self::has_parameter), what stands before that.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Logout => "logout",
            Self::LogoutAll => "logout/all",
            Self::Me => "me",
            Self::Password => "password",
            Self::Refresh => "token/refresh",
            Self::Register => "register",
            Self::Session | Self::Sessions => "sessions",
            Self::Verify => "token/verify",
        }
    }

    /// Whether one more segment of the path, of any text, says what the request is about.
    pub const fn has_parameter(self) -> bool {
        matches!(self, Self::Session)
    }

    /// The only method it answers.
    pub const fn method(self) -> Method {
        match self {
            Self::Session => Method::DELETE,
            Self::Me | Self::Sessions => Method::GET,
            Self::Login
            | Self::Logout
            | Self::LogoutAll
            | Self::Password
            | Self::Refresh
            | Self::Register
            | Self::Verify => Method::POST,
        }
    }
}

/// The parameter in the path of a request that was found to lead to an endpoint with one: the last segment.
pub(super) fn parameter(path: &str) -> &str {
    let path = path.strip_suffix('/').unwrap_or(path);
    path.rsplit_once('/').map_or(path, |(_, segment)| segment)
}
