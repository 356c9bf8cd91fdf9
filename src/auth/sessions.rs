//! A user's own sessions: listed, and ended one by one.

use super::{
    logout::Ending,
    operation::{Outcome, Rejection},
    service::Inner,
};
use crate::{id::SessionId, secret::SecretText, store::Revoked};

impl Inner {
    /// The bearer's sessions, at most as many as a user may have.
    pub(super) async fn list_sessions(&self, bearer: &SecretText) -> Result<Outcome, Rejection> {
        let bearer = self.bearer(bearer)?;
        let listed =
            self.store.sessions_of(&bearer.user, self.clock.now(), self.settings.sessions_per_user).await;
        match listed {
            Ok(sessions) => Ok(Outcome::Sessions { user: bearer.user, sessions, current: bearer.session }),
            Err(error) => Err(self.store_failed(&error)),
        }
    }

    /// Ends one of the bearer's sessions; their present one as a logout does. Somebody else's and one that does not
    /// exist are alike.
    pub(super) async fn end_session(
        &self,
        bearer: &SecretText,
        session: Option<SessionId>,
    ) -> Result<Outcome, Rejection> {
        let bearer = self.bearer_who_leaves(bearer)?;
        let session = session.ok_or(Rejection::SessionUnknown)?;
        let now = self.clock.now();
        if bearer.session == Some(session) {
            self.end(&bearer, now).await?;
            self.metrics.logouts.increment();
            return Ok(Outcome::LoggedOut(bearer.user));
        }
        // A session never changes hands, so it cannot be another user's by the time it is ended. While the store is
        // away nobody can tell whose it is, and nothing is ended here either.
        let alive = now.minus(self.tokens.leeway);
        let owned = self.store.sessions_of(&bearer.user, alive, u32::MAX).await;
        let owned = owned.map_err(|error| self.store_failed(&error))?;
        if owned.iter().all(|one| one.id != session) {
            return Err(Rejection::SessionUnknown);
        }
        let ended = self.store.end_session(session, None).await;
        let ending = Ending {
            what: Revoked::Session(session),
            until: self.latest_expiry(now),
            user: bearer.user.clone(),
        };
        self.committed(ended, &ending)?;
        self.metrics.logouts.increment();
        Ok(Outcome::LoggedOut(bearer.user))
    }
}
