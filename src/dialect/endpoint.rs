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
    /// `POST token/verify/`
    Verify,
}

impl Endpoint {
    /// Every endpoint.
    pub const ALL: [Self; 8] = [
        Self::Login,
        Self::Logout,
        Self::LogoutAll,
        Self::Me,
        Self::Password,
        Self::Refresh,
        Self::Register,
        Self::Verify,
    ];

    /// Its path below the prefix, without slashes at the ends: both `login` and `login/` are the endpoint.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Logout => "logout",
            Self::LogoutAll => "logout/all",
            Self::Me => "me",
            Self::Password => "password",
            Self::Refresh => "token/refresh",
            Self::Register => "register",
            Self::Verify => "token/verify",
        }
    }

    /// The only method it answers.
    pub const fn method(self) -> Method {
        match self {
            Self::Me => Method::GET,
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
