//! Refresh tokens that a backend with our secret made: each opens a session at its first use, and is a token of
//! that session from then on.

use super::{
    operation::{Caller, Rejection},
    service::Inner,
};
use crate::{
    clock::Timestamp,
    id::SessionId,
    store::{Adoption, NewSession, OpenSessionError, StoreError},
    token::{TokenKind, Verified},
};

impl Inner {
    /// The token, and with it the session that it has opened where it is a refresh token that names none. The list
    /// of revocations knows such a token by that session: ask it once more.
    pub(super) async fn with_session(&self, token: Verified) -> Result<Verified, StoreError> {
        if token.kind != TokenKind::Refresh || token.session.is_some() {
            return Ok(token);
        }
        let session = self.store.adopted_session(token.token, &token.user).await?;
        Ok(Verified { session, ..token })
    }

    /// Opens the session of a refresh token that names none and has opened none.
    ///
    /// The user must be one of the store's: there are claims to be minted, and somebody to be disabled.
    pub(super) async fn adopt(
        &self,
        token: &Verified,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<SessionId, Rejection> {
        let expires_at = Timestamp::from_seconds(token.expires_at);
        let session = NewSession {
            refresh: token.token,
            refresh_expires_at: expires_at,
            // Tokens of the session are made by the refresh that follows.
            access_expires_at: expires_at,
            ends_at: now.plus(self.tokens.session_lifetime),
            address: Some(caller.address),
            agent: caller.agent.clone(),
            per_user: self.settings.sessions_per_user,
        };
        let issued_at = token.issued_at.map(Timestamp::from_seconds);
        // Without `iat`: as if it had been made to live as long as any may.
        let login_at = issued_at.unwrap_or_else(|| expires_at.minus(self.tokens.refresh_lifetime));
        let adoption = Adoption { user: token.user.clone(), issued_at, login_at, session };
        match self.store.adopt_session(adoption, now).await {
            Ok(opened) => {
                self.apply(&opened.revoked);
                tracing::info!(
                    user.id = %token.user,
                    session.id = %opened.session,
                    token.id = %token.token,
                    "Opened a session for a refresh token that another holder of the secret made"
                );
                Ok(opened.session)
            }
            Err(OpenSessionError::AccountChanged) => Err(Rejection::RefreshRejected),
            Err(OpenSessionError::Store(error)) => Err(self.store_failed(&error)),
        }
    }
}
