//! A session's row: what the refresh rule remembers, and what users see.

use rusqlite::{
    Connection, OptionalExtension as _, Row, params,
    types::{FromSqlError, Type},
};

use crate::{
    clock::Timestamp,
    id::{SessionId, TokenId, UserId},
    store::{
        IssuedToken, Session, former,
        refresh_rule::{Chain, Handed, Pair},
        refresh_step::Stored,
    },
};

pub(super) fn load(db: &Connection, id: SessionId) -> rusqlite::Result<Option<Stored>> {
    let sql = "SELECT user_id, greatest_expiry, ends_at, base, former, successor_used,
                      successor, successor_made_at, successor_expires_at,
                      access, access_made_at, access_expires_at
               FROM sessions WHERE id = ?1";
    db.prepare_cached(sql)?
        .query_row([id], |row| {
            Ok(Stored {
                user: row.get(0)?,
                greatest_expiry: row.get(1)?,
                ends_at: row.get(2)?,
                chain: Chain { base: row.get(3)?, handed: handed(row)? },
            })
        })
        .optional()
}

/// Writes the chain back after a refresh.
pub(super) fn store(
    db: &Connection,
    id: SessionId,
    base: TokenId,
    handed: &Handed,
    greatest_expiry: Timestamp,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let sql = "UPDATE sessions SET
                   base = ?2, former = ?3, successor_used = ?4,
                   successor = ?5, successor_made_at = ?6, successor_expires_at = ?7,
                   access = ?8, access_made_at = ?9, access_expires_at = ?10,
                   greatest_expiry = ?11, refreshed_at = ?12
               WHERE id = ?1";
    let Pair { refresh, access } = handed.successor;
    db.prepare_cached(sql)?.execute(params![
        id,
        base,
        former::pack(&handed.former),
        handed.successor_used,
        refresh.id,
        refresh.issued_at,
        refresh.expires_at,
        access.id,
        access.issued_at,
        access.expires_at,
        greatest_expiry,
        now
    ])?;
    Ok(())
}

pub(super) fn delete(db: &Connection, id: SessionId) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM sessions WHERE id = ?1")?.execute([id])?;
    Ok(())
}

/// The user's sessions of which a token may still be alive, the last refreshed first.
pub(super) fn list(
    db: &Connection,
    user: &UserId,
    now: Timestamp,
    limit: u32,
) -> rusqlite::Result<Vec<Session>> {
    let sql = "SELECT id, opened_at, refreshed_at, ends_at, address, agent FROM sessions
               WHERE user_id = ?1 AND greatest_expiry > ?2 AND ends_at > ?2
               ORDER BY refreshed_at DESC, id DESC LIMIT ?3";
    db.prepare_cached(sql)?.query_map(params![user, now, limit], shown)?.collect()
}

/// As [`list`], of all users, in the order of ids.
pub(super) fn page(
    db: &Connection,
    after: Option<SessionId>,
    now: Timestamp,
    limit: u32,
) -> rusqlite::Result<Vec<(UserId, Session)>> {
    let sql = "SELECT id, opened_at, refreshed_at, ends_at, address, agent, user_id FROM sessions
               WHERE id > coalesce(?1, x'') AND greatest_expiry > ?2 AND ends_at > ?2
               ORDER BY id LIMIT ?3";
    db.prepare_cached(sql)?
        .query_map(params![after, now, limit], |row| Ok((row.get(6)?, shown(row)?)))?
        .collect()
}

fn shown(row: &Row<'_>) -> rusqlite::Result<Session> {
    // An address that no longer reads as one is as good as none.
    let address: Option<String> = row.get(4)?;
    Ok(Session {
        id: row.get(0)?,
        opened_at: row.get(1)?,
        refreshed_at: row.get(2)?,
        ends_at: row.get(3)?,
        address: address.and_then(|address| address.parse().ok()),
        agent: row.get(5)?,
    })
}

fn handed(row: &Row<'_>) -> rusqlite::Result<Option<Handed>> {
    let Some(successor) = row.get(6)? else { return Ok(None) };
    let refresh = IssuedToken { id: successor, issued_at: row.get(7)?, expires_at: row.get(8)? };
    let access = IssuedToken { id: row.get(9)?, issued_at: row.get(10)?, expires_at: row.get(11)? };
    let bytes = row.get_ref(4)?.as_blob()?;
    let former = former::unpack(bytes).ok_or_else(|| {
        let error = FromSqlError::InvalidBlobSize { expected_size: 24, blob_size: bytes.len() };
        rusqlite::Error::FromSqlConversionFailure(4, Type::Blob, Box::new(error))
    })?;
    let made_at = refresh.issued_at;
    Ok(Some(Handed { successor: Pair { refresh, access }, made_at, former, successor_used: row.get(5)? }))
}
