//! Refresh tokens from elsewhere, signed with our secret but without `sid`: each opens a session once.

use super::{
    Postgres,
    database::{Database, get},
    open::LOCKS,
    sessions, users,
};
use crate::{
    clock::Timestamp,
    id::{SessionId, TokenId, UserId},
    store::{Adoption, OpenSessionError, Opened, Revocation, Revoked, StoreError, log::Kind},
};

impl Postgres {
    pub(in crate::store) async fn adopt_session(
        &self,
        adoption: Adoption,
        now: Timestamp,
    ) -> Result<Opened, OpenSessionError> {
        self.write((adoption, now), |db, (adoption, now)| Box::pin(adopt(db, adoption, *now))).await
    }

    pub(in crate::store) async fn adopted_session(
        &self,
        token: TokenId,
        user: &UserId,
    ) -> Result<Option<SessionId>, StoreError> {
        self.read((token, user.clone()), |db, (token, user)| {
            Box::pin(async move {
                let opened = opened_by(db, *token).await?;
                Ok(opened.filter(|(owner, _)| owner == user).map(|(_, session)| session))
            })
        })
        .await
    }
}

async fn adopt(db: &Database<'_>, adoption: &Adoption, now: Timestamp) -> Result<Opened, OpenSessionError> {
    let (user, new) = (&adoption.user, &adoption.session);
    // First: of two who present the token at once, the second finds the first one's session.
    lock(db, new.refresh).await?;
    match opened_by(db, new.refresh).await? {
        // It may have ended since; the refresh that follows finds that out.
        Some((owner, session)) if owner == *user => return Ok(Opened { session, revoked: Vec::new() }),
        // Whoever made both gave two tokens one `jti`; the later one is nobody's.
        Some(_) => return Err(OpenSessionError::AccountChanged),
        None => {}
    }
    let standing = users::standing(db, user).await?;
    let may = standing.is_some_and(|standing| !standing.disabled);
    if !may || is_revoked(db, adoption).await? {
        return Err(OpenSessionError::AccountChanged);
    }
    let opened = sessions::insert(db, user, new, Some(adoption.login_at), now).await?;
    let sql = "INSERT INTO portcullis.adoptions (token, user_id, session_id, until) VALUES ($1, $2, $3, $4)";
    let until = new.refresh_expires_at.plus(Revocation::SLACK);
    db.execute(sql, &[&new.refresh, user, &opened.session, &until]).await?;
    Ok(opened)
}

/// Waits until nobody else opens a session with the token, or revokes it.
pub(super) async fn lock(db: &Database<'_>, token: TokenId) -> Result<(), StoreError> {
    // Two that share it only wait for each other.
    let part = i32::from_be_bytes(*token.as_bytes().first_chunk().unwrap_or(&[0; 4]));
    db.execute("SELECT pg_advisory_xact_lock($1, $2)", &[&TOKEN_LOCKS, &part]).await?;
    Ok(())
}

/// The session that a token has opened, and whose it was.
pub(super) async fn opened_by(
    db: &Database<'_>,
    token: TokenId,
) -> Result<Option<(UserId, SessionId)>, StoreError> {
    let sql = "SELECT user_id, session_id FROM portcullis.adoptions WHERE token = $1";
    let Some(row) = db.row_if_any(sql, &[&token]).await? else { return Ok(None) };
    Ok(Some((get(&row, 0)?, get(&row, 1)?)))
}

/// Memory may lag behind the log, and a token must not outlive its revocation as a session.
async fn is_revoked(db: &Database<'_>, adoption: &Adoption) -> Result<bool, StoreError> {
    let token = "SELECT EXISTS (SELECT 1 FROM portcullis.revocations WHERE id = $1 AND kind = $2)";
    let token: bool = get(&db.row(token, &[&adoption.session.refresh, &(Kind::Token as i32)]).await?, 0)?;
    let instant = "SELECT max(at) FROM portcullis.revocations WHERE user_id = $1 AND kind = $2";
    let instant = db.row(instant, &[&adoption.user, &(Kind::UserInstant as i32)]).await?;
    let instant: Option<Timestamp> = get(&instant, 0)?;
    let issued_at = adoption.issued_at.map(Timestamp::seconds);
    Ok(token || instant.is_some_and(|instant| Revoked::older_than(issued_at, instant)))
}

/// A space of their own beside our other locks.
const TOKEN_LOCKS: i32 = LOCKS + 1;
