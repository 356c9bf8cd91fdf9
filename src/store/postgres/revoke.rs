//! What ends tokens before their expiry: each is an entry of the log, committed before it is answered.

use std::time::Duration;

use super::{
    Postgres, adopt,
    database::{Database, get},
    open::LOCKS,
    session_row, sessions, users,
    values::to_sequence,
};
use crate::{
    clock::Timestamp,
    id::{SessionId, TokenId, UserId},
    store::{
        ChangePasswordError, NewSession, Revocation, Revoked, StoreError,
        log::{Kind, latest_number},
    },
};

impl Postgres {
    pub(in crate::store) async fn end_session(
        &self,
        session: SessionId,
        until_floor: Option<Timestamp>,
    ) -> Result<Vec<Revocation>, StoreError> {
        self.write((session, until_floor), |db, (session, floor)| Box::pin(end_session(db, *session, *floor)))
            .await
    }

    pub(in crate::store) async fn end_sessions_of(
        &self,
        user: &UserId,
        until_floor: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Revocation>, StoreError> {
        self.write((user.clone(), until_floor, now), |db, (user, floor, now)| {
            Box::pin(async move {
                users::lock(db, user).await?;
                Ok(vec![end_sessions_of(db, user, *floor, *now).await?])
            })
        })
        .await
    }

    pub(in crate::store) async fn revoke_token(
        &self,
        token: TokenId,
        expires_at: Timestamp,
    ) -> Result<Vec<Revocation>, StoreError> {
        let arguments = (token, expires_at.plus(Revocation::SLACK));
        self.write(arguments, |db, (token, until)| Box::pin(revoke_token(db, *token, *until))).await
    }

    pub(in crate::store) async fn change_password(
        &self,
        user: &UserId,
        expected_old_hash: Option<&str>,
        new_hash: &str,
        session: Option<NewSession>,
        until_floor: Timestamp,
        now: Timestamp,
    ) -> Result<(Option<SessionId>, Vec<Revocation>), ChangePasswordError> {
        let change = PasswordChange {
            user: user.clone(),
            expected: expected_old_hash.map(str::to_owned),
            new_hash: new_hash.to_owned(),
            session,
            until_floor,
            now,
        };
        self.write(change, |db, change| Box::pin(change.apply(db))).await
    }

    pub(in crate::store) async fn block_user(
        &self,
        user: &UserId,
        until_floor: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Revocation>, StoreError> {
        self.write((user.clone(), until_floor, now), |db, (user, floor, now)| {
            Box::pin(async move {
                db.execute("UPDATE portcullis.users SET disabled = true WHERE id = $1", &[user]).await?;
                block(db, user, *floor, *now).await
            })
        })
        .await
    }

    pub(in crate::store) async fn unblock_user(
        &self,
        user: &UserId,
        now: Timestamp,
    ) -> Result<Vec<Revocation>, StoreError> {
        self.write((user.clone(), now), |db, (user, now)| Box::pin(unblock(db, user, *now))).await
    }

    pub(in crate::store) async fn delete_user(
        &self,
        user: &UserId,
        until_floor: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Revocation>, StoreError> {
        self.write((user.clone(), until_floor, now), |db, (user, floor, now)| {
            Box::pin(async move {
                // The names stay, so that nobody else can pass for this user; the rest is nobody's business now.
                let sql = "UPDATE portcullis.users
                           SET deleted_at = $2, disabled = true, password_hash = '', roles = '[]', attributes = '{}'
                           WHERE id = $1 AND deleted_at IS NULL";
                let deleted_at = db.now(*now).await?;
                if db.execute(sql, &[user, &deleted_at]).await? == 0 {
                    return Ok(Vec::new());
                }
                block(db, user, *floor, *now).await
            })
        })
        .await
    }
}

/// Appends an entry to the log, under [a number](Revocation::sequence) above every other. The last of all locks is held from here to the commit, so that entries appear in the
/// order of their numbers: whoever has read up to one has read every lower one.
pub(super) async fn append(
    db: &Database<'_>,
    what: Revoked,
    until: Timestamp,
) -> Result<Revocation, StoreError> {
    // One statement: the number and the instant are taken behind the lock, which costs no journey of its own. Whoever
    // listens is told at the commit.
    let sql = concat!(
        "WITH turn AS MATERIALIZED (SELECT pg_advisory_xact_lock($6, $7))
         INSERT INTO portcullis.revocations (sequence, kind, id, user_id, at, until, revoked_at)
         SELECT setval('portcullis.revocation_numbers',
                       greatest(nextval('portcullis.revocation_numbers'), least(",
        now!(),
        ", ",
        latest_number!(),
        "))), $1::integer, $2::bytea, $3::text, $4::bigint, $5::bigint, ",
        now!(),
        " FROM turn RETURNING sequence, pg_notify('portcullis', '')"
    );
    let kind = Kind::of(&what) as i32;
    let (mut id, mut of, mut instant) = (None::<&[u8]>, None::<&UserId>, None::<Timestamp>);
    match &what {
        Revoked::Session(session) => id = Some(session.as_bytes()),
        Revoked::Token(token) => id = Some(token.as_bytes()),
        Revoked::UserBlocked(user) | Revoked::UserUnblocked(user) => of = Some(user),
        Revoked::UserInstant { user, at } => (of, instant) = (Some(user), Some(*at)),
    }
    let row = db.row(sql, &[&kind, &id, &of, &instant, &until, &LOCKS, &LOG_LOCK]).await?;
    let sequence = get(&row, 0).map(to_sequence)?;
    Ok(Revocation { sequence, what, until })
}

/// Waits until nobody else appends.
pub(super) async fn lock_log(db: &Database<'_>) -> Result<(), StoreError> {
    db.execute("SELECT pg_advisory_xact_lock($1, $2)", &[&LOCKS, &LOG_LOCK]).await?;
    Ok(())
}

/// Kills a token, and the session that it has opened.
async fn revoke_token(
    db: &Database<'_>,
    token: TokenId,
    until: Timestamp,
) -> Result<Vec<Revocation>, StoreError> {
    adopt::lock(db, token).await?;
    let opened = adopt::opened_by(db, token).await?.map(|(_, session)| session);
    // The session before the log, in the order of locks.
    let ended = match opened {
        Some(session) => session_row::delete(db, session).await?.map(|greatest| (session, greatest)),
        None => None,
    };
    let mut revoked = vec![append(db, Revoked::Token(token), until).await?];
    if let Some((session, greatest)) = ended {
        revoked.push(append(db, Revoked::Session(session), greatest.plus(Revocation::SLACK)).await?);
    }
    Ok(revoked)
}

async fn end_session(
    db: &Database<'_>,
    session: SessionId,
    until_floor: Option<Timestamp>,
) -> Result<Vec<Revocation>, StoreError> {
    let until = match (session_row::delete(db, session).await?, until_floor) {
        (Some(greatest), floor) => greatest.plus(Revocation::SLACK).max(floor.unwrap_or_default()),
        (None, Some(floor)) => match ended(db, session).await? {
            // The caller may not have heard of it yet.
            Some(ended) if ended.until >= floor => return Ok(vec![ended]),
            Some(_) | None => floor,
        },
        (None, None) => return Ok(Vec::new()),
    };
    Ok(vec![append(db, Revoked::Session(session), until).await?])
}

/// The entry that keeps the session dead for the longest.
async fn ended(db: &Database<'_>, session: SessionId) -> Result<Option<Revocation>, StoreError> {
    let sql = "SELECT sequence, until FROM portcullis.revocations WHERE id = $1 AND kind = $2
               ORDER BY until DESC LIMIT 1";
    let Some(row) = db.row_if_any(sql, &[&session, &(Kind::Session as i32)]).await? else { return Ok(None) };
    let sequence = get(&row, 0).map(to_sequence)?;
    Ok(Some(Revocation { sequence, what: Revoked::Session(session), until: get(&row, 1)? }))
}

/// Ends every session that the user has, and whatever else was issued to them before `now`. The caller holds the
/// user's row, where there is one.
async fn end_sessions_of(
    db: &Database<'_>,
    user: &UserId,
    until_floor: Timestamp,
    now: Timestamp,
) -> Result<Revocation, StoreError> {
    let until = until(session_row::delete_all(db, user).await?, until_floor);
    let at = instant(db, now).await?;
    append(db, Revoked::UserInstant { user: user.clone(), at }, until).await
}

/// Ends the sessions of somebody who had a new user's id before. What a backend made for that id is the backend's affair.
pub(super) async fn end_former(
    db: &Database<'_>,
    user: &UserId,
    until: Timestamp,
) -> Result<Revocation, StoreError> {
    append(db, Revoked::UserInstant { user: user.clone(), at: Revoked::SESSIONS_ALONE }, until).await
}

fn until(greatest: Option<Timestamp>, floor: Timestamp) -> Timestamp {
    greatest.map_or(floor, |expiry| expiry.plus(Revocation::SLACK).max(floor))
}

/// Until when tokens without session are dead. They carry the times of whoever issued them: of two clocks the later one
/// counts. One that is far ahead would shut the user out for as long, so it counts as far as clocks may differ.
async fn instant(db: &Database<'_>, now: Timestamp) -> Result<Timestamp, StoreError> {
    let databases = db.now(now).await?;
    Ok(now.clamp(databases, databases.plus(Revoked::CLOCK_TOLERANCE)))
}

/// As [`end_sessions_of`], behind a word that blocks the user.
async fn block(
    db: &Database<'_>,
    user: &UserId,
    until_floor: Timestamp,
    now: Timestamp,
) -> Result<Vec<Revocation>, StoreError> {
    // Sessions before the log, in the order of locks.
    let until = until(session_row::delete_all(db, user).await?, until_floor);
    lock_log(db).await?;
    forget(db, user, Kind::UserBlocked).await?;
    forget(db, user, Kind::UserUnblocked).await?;
    let blocked = append(db, Revoked::UserBlocked(user.clone()), Timestamp::FOREVER).await?;
    // What is dead stays dead when the user is unblocked.
    let at = instant(db, now).await?;
    Ok(vec![blocked, append(db, Revoked::UserInstant { user: user.clone(), at }, until).await?])
}

async fn unblock(db: &Database<'_>, user: &UserId, now: Timestamp) -> Result<Vec<Revocation>, StoreError> {
    if users::lock(db, user).await?.is_some_and(|standing| standing.deleted) {
        return Ok(Vec::new());
    }
    db.execute("UPDATE portcullis.users SET disabled = false WHERE id = $1", &[user]).await?;
    lock_log(db).await?;
    // Users of other issuers have no row, but may have a word in the log.
    forget(db, user, Kind::UserBlocked).await?;
    forget(db, user, Kind::UserUnblocked).await?;
    // Also where nothing says that they are blocked: gateways may believe a word that a failover has lost.
    let until = db.now(now).await?.plus(UNBLOCKED_KEPT);
    Ok(vec![append(db, Revoked::UserUnblocked(user.clone()), until).await?])
}

/// Removes the log's last word on whether the user is blocked, where it is `kind`, since a later word follows.
///
/// Whoever follows the log hears the later word alone, which is enough, and the log does not grow.
async fn forget(db: &Database<'_>, user: &UserId, kind: Kind) -> Result<(), StoreError> {
    let sql = "DELETE FROM portcullis.revocations WHERE user_id = $1 AND kind = $2";
    db.execute(sql, &[user, &(kind as i32)]).await?;
    Ok(())
}

struct PasswordChange {
    user: UserId,
    expected: Option<String>,
    new_hash: String,
    session: Option<NewSession>,
    until_floor: Timestamp,
    now: Timestamp,
}

impl PasswordChange {
    async fn apply(
        &self,
        db: &Database<'_>,
    ) -> Result<(Option<SessionId>, Vec<Revocation>), ChangePasswordError> {
        let Self { user, expected, new_hash, session, until_floor, now } = self;
        let standing = users::standing(db, user).await?.ok_or(ChangePasswordError::AccountChanged)?;
        // An operator, who names no old hash, may give a disabled user a password, but nobody a session.
        let as_expected = match expected {
            Some(hash) => *hash == standing.password_hash && !standing.disabled,
            None => session.is_none() || !standing.disabled,
        };
        if !as_expected {
            return Err(ChangePasswordError::AccountChanged);
        }
        let sql = "UPDATE portcullis.users SET password_hash = $2 WHERE id = $1";
        db.execute(sql, &[user, new_hash]).await?;
        // Before the new session is opened, whose number is then not below this entry's.
        let mut revoked = vec![end_sessions_of(db, user, *until_floor, *now).await?];
        let session = match session {
            None => None,
            Some(new) => {
                let opened = sessions::insert(db, user, new, None, *now).await?;
                revoked.extend(opened.revoked);
                Some(opened.session)
            }
        };
        Ok((session, revoked))
    }
}

const LOG_LOCK: i32 = 3;

/// How long an unblocking is kept in the log, for gateways that still believe the user blocked: as long as any
/// may be cut off from the store and go on.
const UNBLOCKED_KEPT: Duration = Duration::from_hours(30 * 24);
