//! Sessions opened and listed.

use rusqlite::{Connection, params};

use super::{Sqlite, revoke, session_row, users, values};
use crate::{
    clock::Timestamp,
    id::{SessionId, UserId},
    store::{NewSession, OpenSessionError, Opened, Revocation, Revoked, Session, StoreError, session},
};

impl Sqlite {
    pub(in crate::store) async fn open_session(
        &self,
        user: &UserId,
        expected_hash: &str,
        new: NewSession,
        now: Timestamp,
    ) -> Result<Opened, OpenSessionError> {
        let (user, expected) = (user.clone(), expected_hash.to_owned());
        self.write(move |db| match users::standing(db, &user)? {
            Some(standing) if !standing.disabled && standing.password_hash == expected => {
                Ok(insert(db, &user, &new, None, now)?)
            }
            _ => Err(OpenSessionError::AccountChanged),
        })
        .await
    }

    pub(in crate::store) async fn sessions_of(
        &self,
        user: &UserId,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError> {
        let user = user.clone();
        self.read(move |db| Ok(session_row::list(db, &user, now, limit)?)).await
    }

    pub(in crate::store) async fn sessions(
        &self,
        after: Option<SessionId>,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(UserId, Session)>, StoreError> {
        self.read(move |db| Ok(session_row::page(db, after, now, limit)?)).await
    }
}

/// Opens a session and makes room for it; it counts as opened at `login_at`, where that was before. The caller's transaction has seen to it that the user may have one.
pub(super) fn insert(
    db: &Connection,
    user: &UserId,
    new: &NewSession,
    login_at: Option<Timestamp>,
    now: Timestamp,
) -> rusqlite::Result<Opened> {
    let revoked = make_room(db, user, new.per_user)?;
    let id = SessionId::opened_at(log_head(db)?);
    let sql = "INSERT INTO sessions (id, user_id, base, former, successor_used, greatest_expiry, ends_at,
                                     opened_at, refreshed_at, address, agent)
               VALUES (?1, ?2, ?3, x'', 0, ?4, ?5, ?6, ?7, ?8, ?9)";
    let greatest_expiry = new.refresh_expires_at.max(new.access_expires_at);
    let address = new.address.map(|address| address.to_string());
    let agent = session::cut_agent(&new.agent);
    db.prepare_cached(sql)?.execute(params![
        id,
        user,
        new.refresh,
        greatest_expiry,
        new.ends_at,
        login_at.unwrap_or(now).min(now),
        now,
        address,
        agent
    ])?;
    Ok(Opened { session: id, revoked })
}

/// The log's last number, also when that entry has been swept since.
pub(super) fn log_head(db: &Connection) -> rusqlite::Result<u64> {
    let sql = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'revocations'), 0)";
    db.prepare_cached(sql)?.query_row([], |row| row.get(0)).map(values::to_sequence)
}

/// Ends the sessions least recently refreshed until one more fits under `per_user`.
fn make_room(db: &Connection, user: &UserId, per_user: u32) -> rusqlite::Result<Vec<Revocation>> {
    let sql = "SELECT id, greatest_expiry FROM sessions WHERE user_id = ?1
               ORDER BY refreshed_at DESC, id DESC LIMIT -1 OFFSET ?2";
    let surplus = db
        .prepare_cached(sql)?
        .query_map(params![user, per_user.saturating_sub(1)], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<Vec<(SessionId, Timestamp)>>>()?;
    surplus
        .into_iter()
        .map(|(session, greatest_expiry)| {
            session_row::delete(db, session)?;
            revoke::append(db, Revoked::Session(session), greatest_expiry.plus(Revocation::SLACK))
        })
        .collect()
}
