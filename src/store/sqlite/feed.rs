//! The revocation log as gateways follow it, and its sweeping.

use std::time::Duration;

use rusqlite::{Connection, Row, params};

use super::{
    Sqlite,
    revoke::{SESSION, TOKEN, USER_BLOCKED, USER_INSTANT, USER_UNBLOCKED},
    sessions,
    values::{self, now},
};
use crate::{
    clock::Timestamp,
    id::{SessionId, TokenId, UserId},
    store::{Logged, Marker, Page, Revocation, Revoked, StoreError},
};

/// Entries as [`entry`] reads them.
macro_rules! entries {
    () => {
        concat!("SELECT sequence, kind, id, user_id, at, until, ", now!(), " - revoked_at FROM revocations")
    };
}

impl Sqlite {
    pub(in crate::store) async fn log_after(&self, sequence: u64, limit: u32) -> Result<Page, StoreError> {
        let sql = concat!(entries!(), " WHERE sequence > ?1 ORDER BY sequence LIMIT ?2");
        self.feed
            .run(move |db| {
                let mut statement = db.prepare_cached(sql)?;
                let rows = statement.query_map(params![values::from_sequence(sequence), limit], entry)?;
                Ok(Page { way: ONE_FILE, entries: rows.collect::<rusqlite::Result<_>>()? })
            })
            .await
    }

    pub(in crate::store) async fn log_about(
        &self,
        token: TokenId,
        session: Option<SessionId>,
        user: &UserId,
        limit: u32,
    ) -> Result<Vec<Logged>, StoreError> {
        let user = user.clone();
        self.read(move |db| {
            let mut statement = db.prepare_cached(ABOUT)?;
            let rows = statement.query_map(params![token, session, user, limit], entry)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    pub(in crate::store) async fn log_head(&self) -> Result<u64, StoreError> {
        self.feed.run(|db| Ok(sessions::log_head(db)?)).await
    }

    pub(in crate::store) async fn change_marker(&self) -> Result<Marker, StoreError> {
        self.feed
            .run(|db| {
                let version: i64 = db.pragma_query_value(None, "data_version", |row| row.get(0))?;
                Ok(Marker { way: ONE_FILE, change: version.cast_unsigned() })
            })
            .await
    }

    pub(in crate::store) async fn sweep(&self, now: Timestamp, limit: u32) -> Result<u32, StoreError> {
        self.write(move |db| Ok(sweep(db, now, limit)?)).await
    }
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Logged> {
    let kind: i64 = row.get(1)?;
    let what = match kind {
        TOKEN => Revoked::Token(row.get(2)?),
        SESSION => Revoked::Session(row.get(2)?),
        USER_INSTANT => Revoked::UserInstant { user: row.get(3)?, at: row.get(4)? },
        USER_BLOCKED => Revoked::UserBlocked(row.get(3)?),
        USER_UNBLOCKED => Revoked::UserUnblocked(row.get(3)?),
        // The table's own check allows no other.
        _ => return Err(rusqlite::Error::IntegralValueOutOfRange(1, kind)),
    };
    let revocation = Revocation { sequence: row.get(0).map(values::to_sequence)?, what, until: row.get(5)? };
    let age: Option<i64> = row.get(6)?;
    // Less than nothing where the machine's clock was set back meanwhile.
    let age = age.map(|millis| Duration::from_millis(u64::try_from(millis).unwrap_or_default()));
    Ok(Logged { revocation, age })
}

fn sweep(db: &Connection, now: Timestamp, limit: u32) -> rusqlite::Result<u32> {
    let mut left = limit;
    for sql in SWEEPS {
        let removed = db.prepare_cached(sql)?.execute(params![now, left])?;
        left = left.saturating_sub(u32::try_from(removed).unwrap_or(u32::MAX));
    }
    Ok(limit.saturating_sub(left))
}

/// Opened once: the way to the log never changes.
const ONE_FILE: u64 = 0;

/// Each part by an index of its own.
const ABOUT: &str = concat!(
    entries!(),
    " WHERE id = ?1 UNION ALL ",
    entries!(),
    " WHERE id = ?2 UNION ALL ",
    entries!(),
    " WHERE user_id = ?3 LIMIT ?4"
);

/// What may go, each up to a limit. A blocking's `until` is for ever; the word that takes it back removes it.
const SWEEPS: [&str; 3] = [
    // A session that nobody can refresh any more: its last token is dead, with the slack of revocations.
    "DELETE FROM sessions WHERE id IN (
         SELECT id FROM sessions WHERE greatest_expiry < ?1 - 70000 LIMIT ?2)",
    "DELETE FROM adoptions WHERE token IN (SELECT token FROM adoptions WHERE until < ?1 LIMIT ?2)",
    "DELETE FROM revocations WHERE sequence IN (
         SELECT sequence FROM revocations WHERE until < ?1 LIMIT ?2)",
];

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn what_is_said_of_a_token_is_found_without_reading_the_log() {
        let folder = TempDir::new().unwrap();
        let db = super::super::open::writer(&folder.path().join("a.db")).unwrap();
        let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {ABOUT}")).unwrap();
        let steps =
            statement.query_map(params![[1_u8; 16], [2_u8; 16], "1", 1], |row| row.get::<_, String>(3));
        let steps: Vec<String> = steps.unwrap().map(Result::unwrap).collect();
        let of_table: Vec<&String> = steps.iter().filter(|step| step.contains("revocations")).collect();
        assert_eq!(of_table.len(), 3, "{steps:?}");
        assert!(of_table.iter().all(|step| step.contains(" USING INDEX revocations_by_")), "{steps:?}");
    }
}
