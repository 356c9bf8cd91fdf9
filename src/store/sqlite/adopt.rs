//! Refresh tokens from elsewhere, signed with our secret but without `sid`: each opens a session once.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Sqlite, revoke, sessions, users};
use crate::{
    clock::Timestamp,
    id::{SessionId, TokenId, UserId},
    store::{Adoption, OpenSessionError, Opened, Revocation, Revoked},
};

impl Sqlite {
    pub(in crate::store) async fn adopt_session(
        &self,
        adoption: Adoption,
        now: Timestamp,
    ) -> Result<Opened, OpenSessionError> {
        self.write(move |db| adopt(db, &adoption, now)).await
    }
}

fn adopt(db: &Connection, adoption: &Adoption, now: Timestamp) -> Result<Opened, OpenSessionError> {
    let (user, new) = (&adoption.user, &adoption.session);
    if let Some(session) = adopted_by(db, new.refresh, user)? {
        // It may have ended since; the refresh that follows finds that out.
        return Ok(Opened { session, revoked: Vec::new() });
    }
    let may = users::standing(db, user)?.is_some_and(|standing| !standing.disabled);
    if !may || is_revoked(db, adoption)? {
        return Err(OpenSessionError::AccountChanged);
    }
    let opened = sessions::insert(db, user, new, now)?;
    let sql = "INSERT INTO adoptions (token, user_id, session_id, until) VALUES (?1, ?2, ?3, ?4)";
    let until = new.refresh_expires_at.plus(Revocation::SLACK);
    db.prepare_cached(sql)?.execute(params![new.refresh, user, opened.session, until])?;
    Ok(opened)
}

fn adopted_by(db: &Connection, token: TokenId, user: &UserId) -> rusqlite::Result<Option<SessionId>> {
    db.prepare_cached("SELECT session_id FROM adoptions WHERE token = ?1 AND user_id = ?2")?
        .query_row(params![token, user], |row| row.get(0))
        .optional()
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
