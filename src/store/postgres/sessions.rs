//! Sessions opened and listed.

use super::{
    Postgres,
    database::{Database, get},
    revoke, session_row, users,
    values::to_sequence,
};
use crate::{
    clock::Timestamp,
    id::{SessionId, UserId},
    store::{NewSession, OpenSessionError, Opened, Revocation, Revoked, Session, StoreError, session},
};

impl Postgres {
    pub(in crate::store) async fn open_session(
        &self,
        user: &UserId,
        expected_hash: &str,
        new: NewSession,
        now: Timestamp,
    ) -> Result<Opened, OpenSessionError> {
        let arguments = (user.clone(), expected_hash.to_owned(), new, now);
        self.write(arguments, |db, (user, expected, new, now)| {
            Box::pin(async move {
                match users::standing(db, user).await? {
                    Some(standing) if !standing.disabled && standing.password_hash == *expected => {
                        Ok(insert(db, user, new, None, *now).await?)
                    }
                    _ => Err(OpenSessionError::AccountChanged),
                }
            })
        })
        .await
    }

    pub(in crate::store) async fn sessions_of(
        &self,
        user: &UserId,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError> {
        self.read((user.clone(), now, limit), |db, (user, now, limit)| {
            Box::pin(async move {
                let now = db.now(*now).await?;
                session_row::list(db, user, now, *limit).await
            })
        })
        .await
    }

    pub(in crate::store) async fn sessions(
        &self,
        after: Option<SessionId>,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(UserId, Session)>, StoreError> {
        self.read((after, now, limit), |db, (after, now, limit)| {
            Box::pin(async move {
                let now = db.now(*now).await?;
                session_row::page(db, *after, now, *limit).await
            })
        })
        .await
    }
}

/// Opens a session and makes room for it; it counts as opened at `login_at`, where that was before. The caller holds the user's row, so that the number read here is behind
/// every instant that has ended this user's sessions, and before every one that will.
pub(super) async fn insert(
    db: &Database<'_>,
    user: &UserId,
    new: &NewSession,
    login_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<Opened, StoreError> {
    let revoked = make_room(db, user, new.per_user).await?;
    let id = SessionId::opened_at(log_head(db).await?);
    let now = db.now(now).await?;
    let opened_at = login_at.unwrap_or(now).min(now);
    let sql = "INSERT INTO portcullis.sessions (id, user_id, base, former, successor_used, greatest_expiry, ends_at,
                                                opened_at, refreshed_at, address, agent)
               VALUES ($1, $2, $3, '', false, $4, $5, $6, $7, $8, $9)";
    let greatest_expiry = new.refresh_expires_at.max(new.access_expires_at);
    let address = new.address.map(|address| address.to_string());
    let agent = session::cut_agent(&new.agent).replace('\0', "");
    let ends = (&greatest_expiry, &new.ends_at);
    db.execute(sql, &[&id, user, &new.refresh, ends.0, ends.1, &opened_at, &now, &address, &agent]).await?;
    Ok(Opened { session: id, revoked })
}

/// The log's last number, also when that entry has been swept since, and those whose commit is still to come.
pub(super) async fn log_head(db: &Database<'_>) -> Result<u64, StoreError> {
    let sql = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM portcullis.revocation_numbers";
    get(&db.row(sql, &[]).await?, 0).map(to_sequence)
}

/// Ends the sessions least recently refreshed until one more fits under `per_user`.
async fn make_room(db: &Database<'_>, user: &UserId, per_user: u32) -> Result<Vec<Revocation>, StoreError> {
    // All rows before the log, in the order of locks.
    let sql = "DELETE FROM portcullis.sessions WHERE id IN (
                   SELECT id FROM portcullis.sessions WHERE user_id = $1
                   ORDER BY refreshed_at DESC, id DESC OFFSET $2)
               RETURNING id, greatest_expiry, refreshed_at";
    let rows = db.rows(sql, &[user, &i64::from(per_user.saturating_sub(1))]).await?;
    let mut surplus = Vec::with_capacity(rows.len());
    for row in &rows {
        surplus.push((get::<Timestamp>(row, 2)?, get::<SessionId>(row, 0)?, get::<Timestamp>(row, 1)?));
    }
    surplus.sort_unstable_by(|one, other| other.cmp(one));
    let mut revoked = Vec::with_capacity(surplus.len());
    for (_, session, greatest_expiry) in surplus {
        let until = greatest_expiry.plus(Revocation::SLACK);
        revoked.push(revoke::append(db, Revoked::Session(session), until).await?);
    }
    Ok(revoked)
}
