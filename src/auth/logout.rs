//! Logging out, of one session or of all: committed first, then in force here, then answered.
//!
//! What the store cannot keep is in force here all the same, and answered as the failure it is.
//! Never here: how other gateways hear of it (`revocation`).

use super::{
    TokenRefusal,
    operation::{Outcome, Rejection},
    service::Inner,
};
use crate::{
    clock::Timestamp,
    secret::{ExposeSecret, SecretText},
    store::{Revocation, Revoked, StoreError},
    token::{TokenKind, Verified},
};

impl Inner {
    /// Ends the session of the tokens that were sent.
    ///
    /// One authentic, living token is enough, and whatever else was sent is ignored; but two that live must be
    /// one user's and one session's, or somebody is being logged out with somebody else's token.
    pub(super) async fn logout(
        &self,
        bearer: Option<&SecretText>,
        refresh: Option<&SecretText>,
    ) -> Result<Outcome, Rejection> {
        let now = self.clock.now();
        let verify = |token: &SecretText, kind| self.authenticator.verify(token.expose_secret(), kind, now);
        let bearer = bearer.map(|token| verify(token, TokenKind::Access));
        let refresh = match refresh.map(|token| verify(token, TokenKind::Refresh)) {
            Some(Ok(token)) => Some(self.still_alive(token, now).await),
            refused => refused,
        };
        let alive: Vec<Verified> = match (bearer, refresh) {
            (Some(Ok(one)), Some(Ok(other))) => {
                let of_two_sessions =
                    one.session.zip(other.session).is_some_and(|(session, another)| session != another);
                if one.user != other.user || of_two_sessions {
                    return Err(Rejection::TokenRejected(TokenRefusal::Invalid));
                }
                // One session's tokens end together; those of none must end one by one, as a backend's access
                // token beside what its refresh token has bought here.
                if one.session.is_some() && one.session == other.session {
                    vec![one]
                } else {
                    vec![one, other]
                }
            }
            (Some(Ok(one)), _) | (_, Some(Ok(one))) => vec![one],
            (Some(Err(refusal)), _) | (None, Some(Err(refusal))) => {
                return Err(Rejection::TokenRejected(refusal));
            }
            (None, None) => return Err(Rejection::NothingToLogOut),
        };
        // All of them, whatever becomes of the first: what the store cannot keep is refused here all the same.
        let mut ended = Ok(());
        for token in &alive {
            ended = ended.and(self.end(token, now).await);
        }
        let user = alive.into_iter().next().map(|token| token.user).ok_or(Rejection::NothingToLogOut)?;
        ended?;
        self.metrics.logouts.increment();
        Ok(Outcome::LoggedOut(user))
    }

    /// Ends every session of the bearer.
    pub(super) async fn logout_all(&self, bearer: &SecretText) -> Result<Outcome, Rejection> {
        let bearer = self.bearer_who_leaves(bearer)?;
        let now = self.clock.now();
        let until = self.latest_expiry(now);
        let ended = self.store.end_sessions_of(&bearer.user, until, now).await;
        self.committed(ended, Revoked::UserInstant { user: bearer.user.clone(), at: now }, until)?;
        self.metrics.logouts.increment();
        Ok(Outcome::LoggedOut(bearer.user))
    }

    /// A refresh token that names no session may be dead with the one that it has opened.
    async fn still_alive(&self, token: Verified, now: Timestamp) -> Result<Verified, TokenRefusal> {
        // Without the store it ends as a token alone, here; whoever asked is told of the failure then.
        let token = self.with_session(token.clone()).await.unwrap_or(token);
        match self.revocations().refuses(&token, now) {
            None => Ok(token),
            Some(_) => Err(TokenRefusal::Revoked),
        }
    }

    /// Ends what a token stands for: its session, or itself where it names none.
    pub(super) async fn end(&self, token: &Verified, now: Timestamp) -> Result<(), Rejection> {
        // However the lifetimes were when it was made: an entry must outlive the token that was shown.
        let expires_at = Timestamp::from_seconds(token.expires_at).plus(self.tokens.leeway);
        let until = self.latest_expiry(now).max(expires_at);
        match token.session {
            Some(session) => {
                let ended = self.store.end_session(session, Some(until)).await;
                self.committed(ended, Revoked::Session(session), until)
            }
            None => {
                let ended = self.store.revoke_token(token.token, expires_at).await;
                self.committed(ended, Revoked::Token(token.token), expires_at)
            }
        }
    }

    /// Applies what the store has committed. What it could not commit is refused by this process all the same,
    /// and answered as the failure it is. So is what somebody else has ended already: their word may be on its way here.
    pub(super) fn committed(
        &self,
        revoked: Result<Vec<Revocation>, StoreError>,
        wanted: Revoked,
        until: Timestamp,
    ) -> Result<(), Rejection> {
        match revoked {
            Ok(revoked) => {
                self.apply(&revoked);
                if revoked.is_empty() {
                    self.revocations().apply_local(&wanted, until);
                }
                Ok(())
            }
            Err(error) => {
                self.revocations().apply_unwritten(&wanted, until);
                Err(self.store_failed(&error))
            }
        }
    }
}
