//! The refresh: one atomic step from a presented token to its successor.

use rusqlite::Connection;

use super::{Sqlite, revoke, session_row, user_row};
use crate::{
    clock::Timestamp,
    id::{TokenId, UserId},
    store::{
        IssuedToken, RefreshError, RefreshRequest, Refreshed, Replaced, Revocation, Revoked,
        refresh_rule::{self, Grant, Pair, Theft},
    },
};

impl Sqlite {
    pub(in crate::store) async fn refresh(
        &self,
        request: RefreshRequest,
        now: Timestamp,
    ) -> Result<Refreshed, RefreshError> {
        match self.write(move |db| refresh(db, &request, now)).await? {
            Outcome::Granted(refreshed) => Ok(*refreshed),
            Outcome::Theft { user, revoked } => Err(RefreshError::Theft { user, revoked }),
        }
    }
}

/// What is to be committed. A theft is: it ends the session.
enum Outcome {
    Granted(Box<Refreshed>),
    Theft { user: UserId, revoked: Vec<Revocation> },
}

fn refresh(db: &Connection, request: &RefreshRequest, now: Timestamp) -> Result<Outcome, RefreshError> {
    let id = request.session;
    let stored = session_row::load(db, id)?
        // A token that pairs somebody's session with somebody else's name is neither's.
        .filter(|stored| stored.user == request.user)
        .ok_or(RefreshError::UnknownSession)?;
    let user = match user_row::load(db, &stored.user)? {
        Some(account) if !account.user.disabled => account.user,
        _ => return Err(RefreshError::AccountBlocked),
    };
    if now >= stored.ends_at {
        return Err(RefreshError::Ended);
    }
    let issue = |lifetime| IssuedToken {
        id: TokenId::random(),
        issued_at: now,
        expires_at: now.plus(lifetime).min(stored.ends_at),
    };
    let offer = Pair { refresh: issue(request.refresh_lifetime), access: issue(request.access_lifetime) };
    match refresh_rule::decide(&stored.chain, request.presented, offer, now, request.grace) {
        Ok(Grant { pair, next, replaced }) => {
            if let Some(next) = &next
                && let Some(handed) = &next.handed
            {
                let expiries = [stored.greatest_expiry, pair.refresh.expires_at, pair.access.expires_at];
                let greatest = expiries.into_iter().fold(Timestamp::default(), Timestamp::max);
                session_row::store(db, id, next.base, handed, greatest, now)?;
            }
            let revoked = replaced
                .map(|pair| {
                    let until = pair.access.expires_at.plus(Revocation::SLACK);
                    revoke::append(db, Revoked::Token(pair.access.id), until)
                })
                .transpose()?;
            Ok(Outcome::Granted(Box::new(Refreshed {
                user,
                session: id,
                refresh: pair.refresh,
                access: pair.access,
                event: replaced.map(|pair| Replaced { refresh: pair.refresh.id, access: pair.access.id }),
                revoked: revoked.into_iter().collect(),
            })))
        }
        Err(Theft) => {
            session_row::delete(db, id)?;
            let until = stored.greatest_expiry.plus(Revocation::SLACK);
            let revoked = vec![revoke::append(db, Revoked::Session(id), until)?];
            Ok(Outcome::Theft { user: stored.user, revoked })
        }
    }
}
