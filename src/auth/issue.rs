//! Sessions that operators open for somebody, without a password.
//!
//! No client's request leads here.

use std::{net::Ipv4Addr, time::Duration};

use super::{
    operation::{Caller, Rejection},
    service::AuthService,
};
use crate::{
    clock::Timestamp,
    id::SessionId,
    store::{Account, OpenSessionError, StoreError},
};

/// What an operator asks for.
#[derive(Clone, Copy, Debug)]
pub struct Issue {
    /// How long the access token shall live, where not as long as others; at most as long as a session.
    pub access_lifetime: Option<Duration>,
    /// Whether no refresh token goes with it.
    pub access_only: bool,
}

/// A session's first tokens.
#[derive(Debug)]
pub struct Issued {
    /// The session, to be listed and revoked like any other.
    pub session: SessionId,
    /// Opens protected routes.
    pub access: String,
    /// When it no longer does.
    pub access_expires_at: Timestamp,
    /// Buys the next pair; `None` where none was asked for.
    pub refresh: Option<String>,
}

/// Why no tokens were issued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// The user is gone or disabled, or has another password by now.
    #[error("the account is disabled, or has changed meanwhile")]
    AccountChanged,
    /// Tokens cannot be signed.
    #[error("tokens cannot be signed")]
    SigningFailed,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AuthService {
    /// Opens a session without a password. For operators: whoever may ask for this may be anybody.
    ///
    /// # Errors
    /// See [`IssueError`].
    pub async fn issue(&self, account: &Account, wish: Issue, agent: &str) -> Result<Issued, IssueError> {
        let inner = self.inner();
        let now = inner.clock.now();
        let caller = Caller { address: Ipv4Addr::UNSPECIFIED.into(), agent: agent.to_owned() };
        let (mut session, mut first) = inner.new_session(&caller, now);
        // Nobody has logged in from anywhere.
        session.address = None;
        if let Some(lifetime) = wish.access_lifetime {
            first.access.expires_at = now.plus(lifetime).min(session.ends_at);
            session.access_expires_at = first.access.expires_at;
        }
        if wish.access_only {
            // Nothing of the session is left when its one token is dead.
            session.refresh_expires_at = first.access.expires_at;
            session.ends_at = first.access.expires_at;
        }
        let opened = inner.store.open_session(&account.user.id, &account.password_hash, session, now).await;
        let opened = opened.map_err(|error| match error {
            OpenSessionError::AccountChanged => IssueError::AccountChanged,
            OpenSessionError::Store(error) => IssueError::Store(error),
        })?;
        inner.apply(&opened.revoked);
        let pair = inner
            .mint(&account.user, opened.session, &first.access, &first.refresh)
            .map_err(|_: Rejection| IssueError::SigningFailed)?;
        Ok(Issued {
            session: opened.session,
            access: pair.access,
            access_expires_at: first.access.expires_at,
            refresh: (!wish.access_only).then_some(pair.refresh),
        })
    }
}
