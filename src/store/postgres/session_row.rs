//! A session's row: what the refresh rule remembers, and what users see.

use tokio_postgres::Row;

use super::database::{Database, get};
use crate::{
    clock::Timestamp,
    id::{SessionId, UserId},
    store::{
        IssuedToken, Session, StoreError, former,
        refresh_rule::{Chain, Handed, Pair},
        refresh_step::Stored,
    },
};

/// Waits until nobody else refreshes or ends the session, and reads it.
pub(super) async fn lock(db: &Database<'_>, id: SessionId) -> Result<Option<Stored>, StoreError> {
    let sql = "SELECT user_id, greatest_expiry, ends_at, base, former, successor_used,
                      successor, successor_issued_at, successor_expires_at,
                      access, access_issued_at, access_expires_at, made_at
               FROM portcullis.sessions WHERE id = $1 FOR NO KEY UPDATE";
    let Some(row) = db.row_if_any(sql, &[&id]).await? else { return Ok(None) };
    Ok(Some(Stored {
        user: get(&row, 0)?,
        greatest_expiry: get(&row, 1)?,
        ends_at: get(&row, 2)?,
        chain: Chain { base: get(&row, 3)?, handed: handed(&row)? },
    }))
}

/// Writes the chain back after a refresh.
pub(super) async fn store(
    db: &Database<'_>,
    id: SessionId,
    chain: &Chain,
    greatest_expiry: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(handed) = &chain.handed else { return Ok(()) };
    let sql = "UPDATE portcullis.sessions SET
                   base = $2, former = $3, successor_used = $4,
                   successor = $5, successor_issued_at = $6, successor_expires_at = $7,
                   access = $8, access_issued_at = $9, access_expires_at = $10,
                   made_at = $11, greatest_expiry = $12, refreshed_at = $13
               WHERE id = $1";
    let Pair { refresh, access } = handed.successor;
    let parameters: super::database::Parameters<'_> = &[
        &id,
        &chain.base,
        &former::pack(&handed.former),
        &handed.successor_used,
        &refresh.id,
        &refresh.issued_at,
        &refresh.expires_at,
        &access.id,
        &access.issued_at,
        &access.expires_at,
        &handed.made_at,
        &greatest_expiry,
        &now,
    ];
    db.execute(sql, parameters).await?;
    Ok(())
}

/// Ends the session; gives the latest expiry of its tokens, where it was there.
pub(super) async fn delete(db: &Database<'_>, id: SessionId) -> Result<Option<Timestamp>, StoreError> {
    let sql = "DELETE FROM portcullis.sessions WHERE id = $1 RETURNING greatest_expiry";
    db.row_if_any(sql, &[&id]).await?.map(|row| get(&row, 0)).transpose()
}

/// Ends every session of the user; gives the latest expiry of their tokens, where there were any.
pub(super) async fn delete_all(db: &Database<'_>, user: &UserId) -> Result<Option<Timestamp>, StoreError> {
    let sql = "WITH gone AS (DELETE FROM portcullis.sessions WHERE user_id = $1 RETURNING greatest_expiry)
               SELECT max(greatest_expiry) FROM gone";
    get(&db.row(sql, &[user]).await?, 0)
}

/// The user's sessions of which a token may still be alive, the last refreshed first.
pub(super) async fn list(
    db: &Database<'_>,
    user: &UserId,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Session>, StoreError> {
    let sql = "SELECT id, opened_at, refreshed_at, ends_at, address, agent FROM portcullis.sessions
               WHERE user_id = $1 AND greatest_expiry > $2 AND ends_at > $2
               ORDER BY refreshed_at DESC, id DESC LIMIT $3";
    let rows = db.rows(sql, &[user, &now, &i64::from(limit)]).await?;
    rows.iter().map(session).collect()
}

/// As [`list`], of all users, in the order of ids.
pub(super) async fn page(
    db: &Database<'_>,
    after: Option<SessionId>,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<(UserId, Session)>, StoreError> {
    let sql = "SELECT id, opened_at, refreshed_at, ends_at, address, agent, user_id FROM portcullis.sessions
               WHERE id > coalesce($1, ''::bytea) AND greatest_expiry > $2 AND ends_at > $2
               ORDER BY id LIMIT $3";
    let rows = db.rows(sql, &[&after, &now, &i64::from(limit)]).await?;
    rows.iter().map(|row| Ok((get(row, 6)?, session(row)?))).collect()
}

fn session(row: &Row) -> Result<Session, StoreError> {
    // An address that no longer reads as one is as good as none.
    let address: Option<&str> = get(row, 4)?;
    Ok(Session {
        id: get(row, 0)?,
        opened_at: get(row, 1)?,
        refreshed_at: get(row, 2)?,
        ends_at: get(row, 3)?,
        address: address.and_then(|address| address.parse().ok()),
        agent: get(row, 5)?,
    })
}

fn handed(row: &Row) -> Result<Option<Handed>, StoreError> {
    let Some(successor) = get(row, 6)? else { return Ok(None) };
    let refresh = IssuedToken { id: successor, issued_at: get(row, 7)?, expires_at: get(row, 8)? };
    let access = IssuedToken { id: get(row, 9)?, issued_at: get(row, 10)?, expires_at: get(row, 11)? };
    let former = former::unpack(get(row, 4)?)
        .ok_or_else(|| StoreError::Corrupt("a session's former tokens are cut".to_owned()))?;
    let successor = Pair { refresh, access };
    Ok(Some(Handed { successor, made_at: get(row, 12)?, former, successor_used: get(row, 5)? }))
}
