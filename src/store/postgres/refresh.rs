//! The refresh: one atomic step from a presented token to its successor.

use super::{Postgres, database::Database, revoke, session_row, user_row};
use crate::{
    clock::Timestamp,
    store::{
        RefreshError, RefreshRequest, Refreshed, Revoked,
        refresh_step::{self, Outcome, Step},
    },
};

impl Postgres {
    pub(in crate::store) async fn refresh(
        &self,
        request: RefreshRequest,
        now: Timestamp,
    ) -> Result<Refreshed, RefreshError> {
        let done =
            self.write((request, now), |db, (request, now)| Box::pin(refresh(db, request, *now))).await;
        done?.into_result()
    }
}

async fn refresh(
    db: &Database<'_>,
    request: &RefreshRequest,
    now: Timestamp,
) -> Result<Outcome, RefreshError> {
    let id = request.session;
    // Whoever blocks or logs out the user waits for this row, and this waited for them: while it is there, nobody has.
    let stored = session_row::lock(db, id)
        .await?
        // A token that pairs somebody's session with somebody else's name is neither's.
        .filter(|stored| stored.user == request.user)
        .ok_or(RefreshError::UnknownSession)?;
    let user = match user_row::load(db, &stored.user).await? {
        Some(account) if !account.user.disabled => account.user,
        _ => return Err(RefreshError::AccountBlocked),
    };
    let judged = db.now(now).await?;
    match refresh_step::step(&stored, user, request, now, judged)? {
        Step::Granted { next, revoke, mut refreshed } => {
            if let Some((chain, greatest_expiry)) = &next {
                session_row::store(db, id, chain, *greatest_expiry, judged).await?;
            }
            if let Some((what, until)) = revoke {
                refreshed.revoked.push(revoke::append(db, what, until).await?);
            }
            Ok(Outcome::Granted(refreshed))
        }
        Step::Theft(until) => {
            session_row::delete(db, id).await?;
            let revoked = vec![revoke::append(db, Revoked::Session(id), until).await?];
            Ok(Outcome::Theft { user: stored.user, revoked })
        }
    }
}
