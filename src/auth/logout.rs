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
    id::UserId,
    secret::{ExposeSecret, SecretText},
    store::{Revocation, Revoked, StoreError},
    token::{TokenKind, Verified},
};

impl Inner {
    /// Ends the session of the tokens that were sent.
    pub(super) async fn logout(
        &self,
        bearer: Option<&SecretText>,
        refresh: Option<&SecretText>,
    ) -> Result<Outcome, Rejection> {
        let now = self.clock.now();
        let (bearer, refresh) = self.verified(bearer, refresh, now);
        let refresh = match refresh {
            Some(Ok(token)) => Some(self.still_alive(token, now).await),
            refused => refused,
        };
        let alive = one_session(bearer, refresh)?;
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
        let ending = self.ending_of_all(&bearer.user, now);
        let ended = self.store.end_sessions_of(&bearer.user, ending.until, now).await;
        self.committed(ended, &ending)?;
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

    /// The tokens that were sent, each checked as far as memory can tell.
    pub(super) fn verified(
        &self,
        bearer: Option<&SecretText>,
        refresh: Option<&SecretText>,
        now: Timestamp,
    ) -> (Option<Checked>, Option<Checked>) {
        let verify = |token: &SecretText, kind| self.authenticator.verify(token.expose_secret(), kind, now);
        (
            bearer.map(|token| verify(token, TokenKind::Access)),
            refresh.map(|token| verify(token, TokenKind::Refresh)),
        )
    }

    /// Ends what a token stands for.
    pub(super) async fn end(&self, token: &Verified, now: Timestamp) -> Result<(), Rejection> {
        let ending = self.ending(token, now);
        let ended = match token.session {
            Some(session) => self.store.end_session(session, Some(ending.until)).await,
            None => self.store.revoke_token(token.token, ending.until).await,
        };
        self.committed(ended, &ending)
    }

    /// What a token stands for: its session, or itself where it names none.
    pub(super) fn ending(&self, token: &Verified, now: Timestamp) -> Ending {
        // However the lifetimes were when it was made: an entry must outlive the token that was shown.
        let expires_at = Timestamp::from_seconds(token.expires_at).plus(self.tokens.leeway);
        let (what, until) = match token.session {
            Some(session) => (Revoked::Session(session), self.latest_expiry(now).max(expires_at)),
            None => (Revoked::Token(token.token), expires_at),
        };
        Ending { what, until, user: token.user.clone() }
    }

    /// Everything that the user has until `now`.
    pub(super) fn ending_of_all(&self, user: &UserId, now: Timestamp) -> Ending {
        let what = Revoked::UserInstant { user: user.clone(), at: now };
        Ending { what, until: self.latest_expiry(now), user: user.clone() }
    }

    /// Applies what the store has committed. What it could not commit is refused by this process all the same,
    /// and answered as the failure it is. So is what somebody else has ended already: their word may be on its way here.
    pub(super) fn committed(
        &self,
        revoked: Result<Vec<Revocation>, StoreError>,
        wanted: &Ending,
    ) -> Result<(), Rejection> {
        match revoked {
            Ok(revoked) => {
                self.apply(&revoked);
                if revoked.is_empty() {
                    self.revocations().apply_local(&wanted.what, wanted.until);
                }
                Ok(())
            }
            Err(error) => {
                self.end_here(wanted);
                Err(self.store_failed(&error))
            }
        }
    }

    /// Refuses what the store has not been told, and has it told as soon as it can be.
    pub(super) fn end_here(&self, ending: &Ending) {
        self.revocations().apply_unwritten(&ending.what, ending.until, &ending.user);
    }
}

/// What is to be refused, and at least until when.
pub(super) struct Ending {
    pub(super) what: Revoked,
    pub(super) until: Timestamp,
    /// Whose it is.
    pub(super) user: UserId,
}

/// A token that was sent, or why it is not taken.
pub(super) type Checked = Result<Verified, TokenRefusal>;

/// The living tokens that stand for what a logout ends.
///
/// One authentic, living token is enough, and whatever else was sent is ignored; but two that live must be
/// one user's and one session's, or somebody is being logged out with somebody else's token.
pub(super) fn one_session(
    bearer: Option<Checked>,
    refresh: Option<Checked>,
) -> Result<Vec<Verified>, Rejection> {
    match (bearer, refresh) {
        (Some(Ok(one)), Some(Ok(other))) => {
            let of_two_sessions =
                one.session.zip(other.session).is_some_and(|(session, another)| session != another);
            if one.user != other.user || of_two_sessions {
                return Err(Rejection::TokenRejected(TokenRefusal::Invalid));
            }
            // One session's tokens end together; those of none must end one by one, as a backend's access
            // token beside what its refresh token has bought here.
            if one.session.is_some() && one.session == other.session {
                Ok(vec![one])
            } else {
                Ok(vec![one, other])
            }
        }
        (Some(Ok(one)), _) | (_, Some(Ok(one))) => Ok(vec![one]),
        (Some(Err(refusal)), _) | (None, Some(Err(refusal))) => Err(Rejection::TokenRejected(refusal)),
        (None, None) => Err(Rejection::NothingToLogOut),
    }
}
