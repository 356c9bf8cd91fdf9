//! The operations in no one's wire format: what may be asked, what comes of it, and why it is refused.
//!
//! Never here: JSON, statuses, and words for clients (`dialect`).

use std::{net::IpAddr, time::Duration};

use super::authenticate::TokenRefusal;
use crate::{
    id::{SessionId, UserId},
    secret::SecretText,
    store::{Session, User},
};

/// What a client may ask of us, in no one's wire format.
#[derive(Debug)]
pub enum Operation {
    /// A new password for the bearer of a token.
    ChangePassword {
        /// The access token.
        bearer: SecretText,
        /// The password in force.
        current: SecretText,
        /// The password to be.
        new: SecretText,
    },
    /// The end of one session of the bearer's.
    EndSession {
        /// The access token.
        bearer: SecretText,
        /// The session; `None` where what was named can be none.
        session: Option<SessionId>,
    },
    /// Who is the bearer?
    Identify {
        /// The access token.
        bearer: SecretText,
    },
    /// Which sessions does the bearer have?
    ListSessions {
        /// The access token.
        bearer: SecretText,
    },
    /// A session for a name and a password.
    Login(Credentials),
    /// The end of a session.
    Logout {
        /// An access token, where one was sent.
        bearer: Option<SecretText>,
        /// A refresh token, where one was sent.
        refresh: Option<SecretText>,
    },
    /// The end of all sessions of the bearer.
    LogoutAll {
        /// The access token.
        bearer: SecretText,
    },
    /// New tokens for a refresh token.
    Refresh {
        /// The refresh token.
        token: SecretText,
    },
    /// A new account, and a session for it.
    Register(Registration),
    /// Is this token good?
    Verify {
        /// An access or refresh token.
        token: SecretText,
    },
}

impl Operation {
    /// Whether it only takes away: what strangers ask for must not keep anybody from that.
    pub const fn only_ends(&self) -> bool {
        match self {
            Self::EndSession { .. } | Self::Logout { .. } | Self::LogoutAll { .. } => true,
            Self::ChangePassword { .. }
            | Self::Identify { .. }
            | Self::ListSessions { .. }
            | Self::Login(_)
            | Self::Refresh { .. }
            | Self::Register(_)
            | Self::Verify { .. } => false,
        }
    }
}

/// What logs in.
#[derive(Debug)]
pub struct Credentials {
    /// A user name or an e-mail address.
    pub name: String,
    /// The password.
    pub password: SecretText,
}

/// What opens an account.
#[derive(Debug)]
pub struct Registration {
    /// The name wished for.
    pub username: String,
    /// The e-mail address.
    pub email: String,
    /// The password wished for.
    pub password: SecretText,
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The client's address.
    pub address: IpAddr,
    /// Its `User-Agent`.
    pub agent: String,
}

/// An access token and its refresh token.
#[derive(Debug)]
pub struct TokenPair {
    /// Opens protected routes.
    pub access: String,
    /// Buys the next pair.
    pub refresh: String,
}

/// What came of an operation.
#[derive(Debug)]
pub enum Outcome {
    /// The tokens named are dead; they were this user's.
    LoggedOut(UserId),
    /// A session began.
    LoggedIn(User, TokenPair),
    /// The password is the new one, and this is the only session.
    PasswordChanged(UserId, TokenPair),
    /// The session goes on.
    Refreshed(UserId, TokenPair),
    /// An account and a session began.
    Registered(User, TokenPair),
    /// These sessions are alive.
    Sessions {
        /// Whose they are.
        user: UserId,
        /// The last refreshed first.
        sessions: Vec<Session>,
        /// The session of the token that asked, where it has one.
        current: Option<SessionId>,
    },
    /// This is the bearer.
    User(User),
    /// The token is good, and this user's.
    Valid(UserId),
}

impl Outcome {
    /// Whether the store has written anything for it.
    pub(super) const fn is_kept(&self) -> bool {
        match self {
            Self::LoggedIn(..)
            | Self::LoggedOut(_)
            | Self::PasswordChanged(..)
            | Self::Refreshed(..)
            | Self::Registered(..) => true,
            Self::Sessions { .. } | Self::User(_) | Self::Valid(_) => false,
        }
    }

    /// Whom it concerns.
    pub const fn user(&self) -> &UserId {
        match self {
            Self::LoggedIn(user, _) | Self::Registered(user, _) | Self::User(user) => &user.id,
            Self::LoggedOut(user)
            | Self::PasswordChanged(user, _)
            | Self::Refreshed(user, _)
            | Self::Sessions { user, .. }
            | Self::Valid(user) => user,
        }
    }
}

/// Why an operation was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Unknown, wrong or disabled: nobody learns which.
    #[error("the credentials are wrong")]
    CredentialsRejected,
    /// `current` is not the password in force.
    #[error("the current password is wrong")]
    CurrentPasswordWrong,
    /// Fields that cannot be taken: their names and why.
    #[error("a field cannot be taken")]
    FieldsRejected(Vec<(&'static str, String)>),
    /// Nothing was sent that could be logged out.
    #[error("there is no token to log out")]
    NothingToLogOut,
    /// More work than we can do now.
    #[error("too much is asked at once")]
    Overloaded,
    /// The refresh token is expired, unknown, revoked or stolen.
    #[error("the refresh token is rejected")]
    RefreshRejected,
    /// Strangers may not open accounts.
    #[error("registration is closed")]
    RegistrationClosed,
    /// The token may have been revoked elsewhere, and nobody here would know.
    #[error("the revocations known here are stale")]
    RevocationsStale,
    /// The user has no such session.
    #[error("the user has no such session")]
    SessionUnknown,
    /// Tokens cannot be signed.
    #[error("tokens cannot be signed")]
    SigningFailed,
    /// The disk is full.
    #[error("the store is full")]
    StoreFull,
    /// The store does not answer.
    #[error("the store is unavailable")]
    StoreUnavailable,
    /// Too many attempts.
    #[error("too many attempts")]
    Throttled {
        /// When the next one may be made.
        retry_after: Duration,
    },
    /// The access token does not open anything.
    #[error(transparent)]
    TokenRejected(#[from] TokenRefusal),
    /// The token that was to be verified is not good.
    #[error("the token is not good")]
    VerificationFailed,
}
