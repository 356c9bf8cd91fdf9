//! A refresh token for its successor.
//!
//! Never here: which token is whose successor and what is theft: that is one atomic step of the store (`store`,
//! `refresh_rule`).

use super::{
    operation::{Caller, Outcome, Rejection},
    service::Inner,
};
use crate::{
    secret::{ExposeSecret, SecretText},
    store::{RefreshError, RefreshRequest},
    token::TokenKind,
};

impl Inner {
    /// Hands out the successor of a refresh token. The rule itself is the store's, one atomic step.
    pub(super) async fn refresh(&self, token: &SecretText, caller: &Caller) -> Result<Outcome, Rejection> {
        let now = self.clock.now();
        let presented = self
            .authenticator
            .verify(token.expose_secret(), TokenKind::Refresh, now)
            .map_err(|_| Rejection::RefreshRejected)?;
        let presented = self.with_session(presented).await.map_err(|error| self.store_failed(&error))?;
        let session = match presented.session {
            Some(_) if self.revocations().refuses(&presented, now).is_some() => {
                return Err(Rejection::RefreshRejected);
            }
            Some(session) => session,
            None => self.adopt(&presented, caller, now).await?,
        };
        let request = RefreshRequest {
            session,
            user: presented.user,
            presented: presented.token,
            access_lifetime: self.tokens.access_lifetime,
            refresh_lifetime: self.tokens.refresh_lifetime,
            grace: self.tokens.refresh_grace,
        };
        match self.store.refresh(request, now).await {
            Ok(refreshed) => {
                self.apply(&refreshed.revoked);
                if let Some(replaced) = refreshed.event {
                    self.metrics.refresh_replacements.increment();
                    tracing::warn!(
                        user.id = %refreshed.user.id,
                        session.id = %refreshed.session,
                        token.id = %replaced.refresh,
                        "Replaced a refresh token that its client had not used, and revoked what went with it"
                    );
                }
                self.metrics.refreshes.increment();
                let pair =
                    self.mint(&refreshed.user, refreshed.session, &refreshed.access, &refreshed.refresh)?;
                Ok(Outcome::Refreshed(refreshed.user.id, pair))
            }
            Err(RefreshError::Theft { user, revoked }) => {
                self.apply(&revoked);
                self.metrics.refresh_thefts.increment();
                tracing::warn!(
                    user.id = %user,
                    session.id = %session,
                    token.id = %presented.token,
                    "Ended a session: a refresh token came that its rightful holder has left behind"
                );
                Err(Rejection::RefreshRejected)
            }
            Err(RefreshError::AccountBlocked | RefreshError::Ended | RefreshError::UnknownSession) => {
                Err(Rejection::RefreshRejected)
            }
            Err(RefreshError::Store(error)) => Err(self.store_failed(&error)),
        }
    }
}
