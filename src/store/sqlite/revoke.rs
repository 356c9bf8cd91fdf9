//! What ends tokens before their expiry: each is an entry of the log, committed before it is answered.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    Sqlite, adopt, session_row, sessions, users,
    values::{self, now},
};
use crate::{
    clock::Timestamp,
    id::{SessionId, TokenId, UserId},
    store::{
        ChangePasswordError, NewSession, Revocation, Revoked, StoreError,
        log::{Kind, latest_number},
    },
};

impl Sqlite {
    pub(in crate::store) async fn end_session(
        &self,
        session: SessionId,
        until_floor: Option<Timestamp>,
    ) -> Result<Vec<Revocation>, StoreError> {
        self.write(move |db| Ok(end_session(db, session, until_floor)?)).await
    }

    pub(in crate::store) async fn end_sessions_of(
        &self,
        user: &UserId,
        until_floor: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Revocation>, StoreError> {
        let user = user.clone();
        self.write(move |db| Ok(vec![end_sessions_of(db, &user, until_floor, now)?])).await
    }

    pub(in crate::store) async fn revoke_token(
        &self,
        token: TokenId,
        expires_at: Timestamp,
    ) -> Result<Vec<Revocation>, StoreError> {
        let until = expires_at.plus(Revocation::SLACK);
        self.write(move |db| {
            let mut revoked = vec![append(db, Revoked::Token(token), until)?];
            if let Some((_, session)) = adopt::opened_by(db, token)? {
                revoked.extend(end_session(db, session, None)?);
            }
            Ok(revoked)
        })
        .await
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
        };
        self.write(move |db| change.apply(db, until_floor, now)).await
    }

    pub(in crate::store) async fn block_user(
        &self,
        user: &UserId,
        until_floor: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Revocation>, StoreError> {
        let user = user.clone();
        self.write(move |db| {
            db.prepare_cached("UPDATE users SET disabled = 1 WHERE id = ?1")?.execute([&user])?;
            Ok(block(db, &user, until_floor, now)?)
        })
        .await
    }

    pub(in crate::store) async fn unblock_user(
        &self,
        user: &UserId,
        now: Timestamp,
    ) -> Result<Vec<Revocation>, StoreError> {
        let user = user.clone();
        self.write(move |db| {
            if is_deleted(db, &user)? {
                return Ok(Vec::new());
            }
            db.prepare_cached("UPDATE users SET disabled = 0 WHERE id = ?1")?.execute([&user])?;
            // Users of other issuers have no row, but may have a word in the log.
            forget(db, &user, USER_BLOCKED)?;
            forget(db, &user, USER_UNBLOCKED)?;
            // Also where nothing says that they are blocked: gateways may believe a word that a failover has lost.
            Ok(vec![append(db, Revoked::UserUnblocked(user), now.plus(UNBLOCKED_KEPT))?])
        })
        .await
    }

    pub(in crate::store) async fn delete_user(
        &self,
        user: &UserId,
        until_floor: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Revocation>, StoreError> {
        let user = user.clone();
        self.write(move |db| {
            // The names stay, so that nobody else can pass for this user; the rest is nobody's business now.
            let sql = "UPDATE users
                       SET deleted_at = ?2, disabled = 1, password_hash = '', roles = '[]', attributes = '{}'
                       WHERE id = ?1 AND deleted_at IS NULL";
            if db.prepare_cached(sql)?.execute(params![user, now])? == 0 {
                return Ok(Vec::new());
            }
            Ok(block(db, &user, until_floor, now)?)
        })
        .await
    }
}

/// Appends an entry to the log, under [a number](Revocation::sequence) above every other.
pub(super) fn append(db: &Connection, what: Revoked, until: Timestamp) -> rusqlite::Result<Revocation> {
    let sql = concat!(
        "INSERT INTO revocations (sequence, kind, id, user_id, at, until, revoked_at) VALUES (
             max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'revocations'), 0) + 1,
                 min(",
        now!(),
        ", ",
        latest_number!(),
        ")), ?1, ?2, ?3, ?4, ?5, ",
        now!(),
        ")"
    );
    let mut statement = db.prepare_cached(sql)?;
    let sequence = match &what {
        Revoked::Token(token) => statement.insert(params![TOKEN, token, None::<UserId>, None::<i64>, until]),
        Revoked::Session(session) => {
            statement.insert(params![SESSION, session, None::<UserId>, None::<i64>, until])
        }
        Revoked::UserInstant { user, at } => {
            statement.insert(params![USER_INSTANT, None::<TokenId>, user, at, until])
        }
        Revoked::UserBlocked(user) => {
            statement.insert(params![USER_BLOCKED, None::<TokenId>, user, None::<i64>, until])
        }
        Revoked::UserUnblocked(user) => {
            statement.insert(params![USER_UNBLOCKED, None::<TokenId>, user, None::<i64>, until])
        }
    }?;
    Ok(Revocation { sequence: values::to_sequence(sequence), what, until })
}

fn end_session(
    db: &Connection,
    session: SessionId,
    until_floor: Option<Timestamp>,
) -> rusqlite::Result<Vec<Revocation>> {
    let until = match (session_row::load(db, session)?, until_floor) {
        (Some(stored), floor) => {
            session_row::delete(db, session)?;
            stored.greatest_expiry.plus(Revocation::SLACK).max(floor.unwrap_or_default())
        }
        (None, Some(floor)) => match ended(db, session)? {
            // The caller may not have heard of it yet.
            Some(ended) if ended.until >= floor => return Ok(vec![ended]),
            Some(_) | None => floor,
        },
        (None, None) => return Ok(Vec::new()),
    };
    Ok(vec![append(db, Revoked::Session(session), until)?])
}

/// The entry that keeps the session dead for the longest.
fn ended(db: &Connection, session: SessionId) -> rusqlite::Result<Option<Revocation>> {
    let sql =
        "SELECT sequence, until FROM revocations WHERE id = ?1 AND kind = ?2 ORDER BY until DESC LIMIT 1";
    db.prepare_cached(sql)?
        .query_row(params![session, SESSION], |row| {
            let sequence = row.get(0).map(values::to_sequence)?;
            Ok(Revocation { sequence, what: Revoked::Session(session), until: row.get(1)? })
        })
        .optional()
}

/// Ends every session that the user has, and whatever else was issued to them before `now`.
fn end_sessions_of(
    db: &Connection,
    user: &UserId,
    until_floor: Timestamp,
    now: Timestamp,
) -> rusqlite::Result<Revocation> {
    let greatest: Option<Timestamp> = db
        .prepare_cached("SELECT max(greatest_expiry) FROM sessions WHERE user_id = ?1")?
        .query_row([user], |row| row.get(0))?;
    let until = greatest.map_or(until_floor, |expiry| expiry.plus(Revocation::SLACK).max(until_floor));
    db.prepare_cached("DELETE FROM sessions WHERE user_id = ?1")?.execute([user])?;
    append(db, Revoked::UserInstant { user: user.clone(), at: now }, until)
}

/// Ends the sessions of somebody who had a new user's id before. What a backend made for that id is the backend's affair.
pub(super) fn end_former(db: &Connection, user: &UserId, until: Timestamp) -> rusqlite::Result<Revocation> {
    append(db, Revoked::UserInstant { user: user.clone(), at: Revoked::SESSIONS_ALONE }, until)
}

fn block(
    db: &Connection,
    user: &UserId,
    until_floor: Timestamp,
    now: Timestamp,
) -> rusqlite::Result<Vec<Revocation>> {
    forget(db, user, USER_BLOCKED)?;
    forget(db, user, USER_UNBLOCKED)?;
    let blocked = append(db, Revoked::UserBlocked(user.clone()), Timestamp::FOREVER)?;
    // What is dead stays dead when the user is unblocked.
    Ok(vec![blocked, end_sessions_of(db, user, until_floor, now)?])
}

fn is_deleted(db: &Connection, user: &UserId) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT EXISTS (SELECT 1 FROM users WHERE id = ?1 AND deleted_at IS NOT NULL)")?
        .query_row([user], |row| row.get(0))
}

/// Removes the log's last word on whether the user is blocked, where it is `kind`, since a later word follows.
///
/// Whoever follows the log hears the later word alone, which is enough, and the log does not grow.
fn forget(db: &Connection, user: &UserId, kind: i64) -> rusqlite::Result<()> {
    let sql = "DELETE FROM revocations WHERE user_id = ?1 AND kind = ?2";
    db.prepare_cached(sql)?.execute(params![user, kind])?;
    Ok(())
}

struct PasswordChange {
    user: UserId,
    expected: Option<String>,
    new_hash: String,
    session: Option<NewSession>,
}

impl PasswordChange {
    fn apply(
        self,
        db: &Connection,
        until_floor: Timestamp,
        now: Timestamp,
    ) -> Result<(Option<SessionId>, Vec<Revocation>), ChangePasswordError> {
        let standing = users::standing(db, &self.user)?.ok_or(ChangePasswordError::AccountChanged)?;
        // An operator, who names no old hash, may give a disabled user a password, but nobody a session.
        let as_expected = match &self.expected {
            Some(hash) => *hash == standing.password_hash && !standing.disabled,
            None => self.session.is_none() || !standing.disabled,
        };
        if !as_expected {
            return Err(ChangePasswordError::AccountChanged);
        }
        db.prepare_cached("UPDATE users SET password_hash = ?2 WHERE id = ?1")?
            .execute(params![self.user, self.new_hash])?;
        // Before the new session is opened, whose number is then not below this entry's.
        let mut revoked = vec![end_sessions_of(db, &self.user, until_floor, now)?];
        let session = match &self.session {
            None => None,
            Some(new) => {
                let opened = sessions::insert(db, &self.user, new, None, now)?;
                revoked.extend(opened.revoked);
                Some(opened.session)
            }
        };
        Ok((session, revoked))
    }
}

/// Kinds of entries, as the log's table has them.
pub(super) const TOKEN: i64 = Kind::Token as i64;
pub(super) const SESSION: i64 = Kind::Session as i64;
pub(super) const USER_INSTANT: i64 = Kind::UserInstant as i64;
pub(super) const USER_BLOCKED: i64 = Kind::UserBlocked as i64;
pub(super) const USER_UNBLOCKED: i64 = Kind::UserUnblocked as i64;

/// How long an unblocking is kept in the log, for gateways that still believe the user blocked: as long as any
/// may be cut off from the store and go on.
const UNBLOCKED_KEPT: Duration = Duration::from_hours(30 * 24);
