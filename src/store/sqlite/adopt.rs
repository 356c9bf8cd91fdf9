//! Refresh tokens from elsewhere, signed with our secret but without `sid`: each opens a session once.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Sqlite, revoke, sessions, users};
use crate::{
    clock::Timestamp,
    id::{SessionId, TokenId, UserId},
    store::{Adoption, OpenSessionError, Opened, Revocation, Revoked, StoreError},
};

impl Sqlite {
    pub(in crate::store) async fn adopt_session(
        &self,
        adoption: Adoption,
        now: Timestamp,
    ) -> Result<Opened, OpenSessionError> {
        self.write(move |db| adopt(db, &adoption, now)).await
    }

    pub(in crate::store) async fn adopted_session(
        &self,
        token: TokenId,
        user: &UserId,
    ) -> Result<Option<SessionId>, StoreError> {
        let user = user.clone();
        self.read(move |db| {
            Ok(opened_by(db, token)?.filter(|(owner, _)| *owner == user).map(|(_, session)| session))
        })
        .await
    }
}

/// The session that a token has opened, and whose it was.
pub(super) fn opened_by(db: &Connection, token: TokenId) -> rusqlite::Result<Option<(UserId, SessionId)>> {
    db.prepare_cached("SELECT user_id, session_id FROM adoptions WHERE token = ?1")?
        .query_row([token], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

fn adopt(db: &Connection, adoption: &Adoption, now: Timestamp) -> Result<Opened, OpenSessionError> {
    let (user, new) = (&adoption.user, &adoption.session);
    match opened_by(db, new.refresh)? {
        // It may have ended since; the refresh that follows finds that out.
        Some((owner, session)) if owner == *user => return Ok(Opened { session, revoked: Vec::new() }),
        // Whoever made both gave two tokens one `jti`; the later one is nobody's.
        Some(_) => return Err(OpenSessionError::AccountChanged),
        None => {}
    }
    let may = users::standing(db, user)?.is_some_and(|standing| !standing.disabled);
    if !may || is_revoked(db, adoption)? {
        return Err(OpenSessionError::AccountChanged);
    }
    let opened = sessions::insert(db, user, new, Some(adoption.login_at), now)?;
    let sql = "INSERT INTO adoptions (token, user_id, session_id, until) VALUES (?1, ?2, ?3, ?4)";
    let until = new.refresh_expires_at.plus(Revocation::SLACK);
    db.prepare_cached(sql)?.execute(params![new.refresh, user, opened.session, until])?;
    Ok(opened)
}

/// Memory may lag behind the log, and a token must not outlive its revocation as a session.
fn is_revoked(db: &Connection, adoption: &Adoption) -> rusqlite::Result<bool> {
    let token: bool = db
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM revocations WHERE id = ?1 AND kind = ?2)")?
        .query_row(params![adoption.session.refresh, revoke::TOKEN], |row| row.get(0))?;
    let instant: Option<Timestamp> = db
        .prepare_cached("SELECT max(at) FROM revocations WHERE user_id = ?1 AND kind = ?2")?
        .query_row(params![adoption.user, revoke::USER_INSTANT], |row| row.get(0))?;
    let issued_at = adoption.issued_at.map(Timestamp::seconds);
    Ok(token || instant.is_some_and(|instant| Revoked::older_than(issued_at, instant)))
}
