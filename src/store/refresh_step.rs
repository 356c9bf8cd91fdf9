//! A refresh between its reading and its writing: what a store that holds the session's row must do with it.
//!
//! Never here: SQL.

use super::{
    IssuedToken, RefreshError, RefreshRequest, Refreshed, Replaced, Revocation, Revoked, User,
    refresh_rule::{self, Chain, Grant, Pair, Theft},
};
use crate::{
    clock::Timestamp,
    id::{TokenId, UserId},
};

/// What a refresh must know of a session.
pub(super) struct Stored {
    pub(super) user: UserId,
    pub(super) chain: Chain,
    pub(super) greatest_expiry: Timestamp,
    pub(super) ends_at: Timestamp,
}

/// What is to be written.
pub(super) enum Step {
    /// A pair is handed out.
    Granted {
        /// The chain from now on and the latest expiry of a token; `None` where the row stays as it is.
        next: Option<(Chain, Timestamp)>,
        /// A token to be revoked, and until when.
        revoke: Option<(Revoked, Timestamp)>,
        /// The answer, without the entry of that revocation.
        refreshed: Box<Refreshed>,
    },
    /// The session's row is to go, and the session to be revoked until then.
    Theft(Timestamp),
}

/// What is to be committed of a refresh. A theft is: it ends the session.
pub(super) enum Outcome {
    Granted(Box<Refreshed>),
    Theft { user: UserId, revoked: Vec<Revocation> },
}

impl Outcome {
    pub(super) fn into_result(self) -> Result<Refreshed, RefreshError> {
        match self {
            Self::Granted(refreshed) => Ok(*refreshed),
            Self::Theft { user, revoked } => Err(RefreshError::Theft { user, revoked }),
        }
    }
}

/// Decides. `user` is the session's, and neither disabled nor gone. `now` is when tokens are issued, by the clock of
/// whoever mints and checks them; `judged` is the same instant by the store's clock.
pub(super) fn step(
    stored: &Stored,
    user: User,
    request: &RefreshRequest,
    now: Timestamp,
    judged: Timestamp,
) -> Result<Step, RefreshError> {
    if judged >= stored.ends_at {
        return Err(RefreshError::Ended);
    }
    let issue = |lifetime| IssuedToken {
        id: TokenId::random(),
        issued_at: now,
        expires_at: now.plus(lifetime).min(stored.ends_at),
    };
    let offer = Pair { refresh: issue(request.refresh_lifetime), access: issue(request.access_lifetime) };
    match refresh_rule::decide(&stored.chain, request.presented, offer, judged, request.grace) {
        Ok(Grant { pair, next, replaced }) => {
            let greatest = stored.greatest_expiry.max(pair.refresh.expires_at).max(pair.access.expires_at);
            let revoke = replaced
                .map(|pair| (Revoked::Token(pair.access.id), pair.access.expires_at.plus(Revocation::SLACK)));
            let refreshed = Refreshed {
                user,
                session: request.session,
                refresh: pair.refresh,
                access: pair.access,
                event: replaced.map(|pair| Replaced { refresh: pair.refresh.id, access: pair.access.id }),
                revoked: Vec::new(),
            };
            let next = next.map(|chain| (chain, greatest));
            Ok(Step::Granted { next, revoke, refreshed: Box::new(refreshed) })
        }
        Err(Theft) => Ok(Step::Theft(stored.greatest_expiry.plus(Revocation::SLACK))),
    }
}
