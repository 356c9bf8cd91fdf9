//! The refresh: one atomic step from a presented token to its successor.

use rusqlite::Connection;

use super::{Sqlite, revoke, session_row, user_row};
use crate::{
    clock::Timestamp,
    store::{
        RefreshError, RefreshRequest, Refreshed, Revoked,
        refresh_step::{self, Outcome, Step},
    },
};

impl Sqlite {
    pub(in crate::store) async fn refresh(
        &self,
        request: RefreshRequest,
        now: Timestamp,
    ) -> Result<Refreshed, RefreshError> {
        self.write(move |db| refresh(db, &request, now)).await?.into_result()
    }
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
    // One machine, one clock.
    match refresh_step::step(&stored, user, request, now, now)? {
        Step::Granted { next, revoke, mut refreshed } => {
            if let Some((chain, greatest_expiry)) = &next
                && let Some(handed) = &chain.handed
            {
                session_row::store(db, id, chain.base, handed, *greatest_expiry, now)?;
            }
            if let Some((what, until)) = revoke {
                refreshed.revoked.push(revoke::append(db, what, until)?);
            }
            Ok(Outcome::Granted(refreshed))
        }
        Step::Theft(until) => {
            session_row::delete(db, id)?;
            let revoked = vec![revoke::append(db, Revoked::Session(id), until)?];
            Ok(Outcome::Theft { user: stored.user, revoked })
        }
    }
}
