//! The revocation log as gateways follow it, on a connection of its own, and its sweeping.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use deadpool_postgres::ClientWrapper;
use tokio::{sync::Mutex, time::timeout};
use tokio_postgres::Row;

use super::{
    OPERATION, Postgres, Work,
    connect::Connector,
    database::{Database, get},
    failure::{late, meaning},
    revoke, sessions,
    values::{from_sequence, to_sequence},
};
use crate::{
    clock::Timestamp,
    id::{SessionId, TokenId, UserId},
    store::{Judge, Logged, Marker, Page, Revocation, Revoked, StoreError, log::Kind},
};

/// The feed's connection, opened when first used and again whenever it has broken. It is never lent to operations, so
/// that no flood of them keeps the feed waiting.
pub(super) struct FeedLine {
    connector: Connector,
    judge: Judge,
    client: Mutex<Option<ClientWrapper>>,
    /// How often it was opened.
    opened: AtomicU64,
}

impl FeedLine {
    pub(super) fn new(connector: Connector, judge: Judge) -> Self {
        Self { connector, judge, client: Mutex::new(None), opened: AtomicU64::new(0) }
    }

    /// What was done, and by which connection, counted from the first.
    async fn run<A, T>(&self, arguments: &A, work: Work<A, T, StoreError>) -> Result<(T, u64), StoreError> {
        let mut kept = self.client.lock().await;
        // Out of its place: whatever goes wrong, or takes too long, leaves none behind.
        let client = match kept.take().filter(|client| !client.is_closed()) {
            Some(client) => client,
            None => self.open().await?,
        };
        let db = Database::alone(&client, self.judge);
        let done = timeout(OPERATION, work(&db, arguments)).await.unwrap_or_else(|_| Err(late(OPERATION)))?;
        drop(db);
        *kept = Some(client);
        Ok((done, self.opened.load(Ordering::Relaxed)))
    }

    async fn open(&self) -> Result<ClientWrapper, StoreError> {
        let opened = async {
            let client = self.connector.open().await?;
            client.batch_execute("LISTEN portcullis").await?;
            Ok(client)
        };
        let opened: Result<_, tokio_postgres::Error> =
            timeout(OPENING, opened).await.map_err(|_| late(OPENING))?;
        let client = opened.map_err(|error| meaning(&error))?;
        self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(client)
    }
}

/// Entries as [`entry`] reads them. The clock is read once, not for each of the millions that a new gateway reads.
macro_rules! entries {
    () => {
        concat!(
            "SELECT sequence, kind, id, user_id, at, until, (SELECT ",
            now!(),
            ") - revoked_at FROM portcullis.revocations"
        )
    };
}

impl Postgres {
    pub(in crate::store) async fn log_after(&self, sequence: u64, limit: u32) -> Result<Page, StoreError> {
        let sql = concat!(entries!(), " WHERE sequence > $1 ORDER BY sequence LIMIT $2");
        let read = self.feed((sql, sequence, limit), |db, (sql, sequence, limit)| {
            Box::pin(async move {
                let rows = db.rows(sql, &[&from_sequence(*sequence), &i64::from(*limit)]).await?;
                rows.iter().map(entry).collect()
            })
        });
        read.await.map(|(entries, way)| Page { way, entries })
    }

    pub(in crate::store) async fn log_about(
        &self,
        token: TokenId,
        session: Option<SessionId>,
        user: &UserId,
        limit: u32,
    ) -> Result<Vec<Logged>, StoreError> {
        self.read((token, session, user.clone(), limit), |db, (token, session, user, limit)| {
            Box::pin(async move {
                let rows = db.rows(ABOUT, &[token, session, user, &i64::from(*limit)]).await?;
                rows.iter().map(entry).collect()
            })
        })
        .await
    }

    pub(in crate::store) async fn log_head(&self) -> Result<u64, StoreError> {
        self.feed((), |db, ()| Box::pin(sessions::log_head(db))).await.map(|(head, _)| head)
    }

    pub(in crate::store) async fn change_marker(&self) -> Result<Marker, StoreError> {
        // Not the head: that counts what is still to be committed, and would be the same afterwards.
        let sql = "SELECT coalesce(max(sequence), 0) FROM portcullis.revocations";
        let work: Work<_, i64, _> =
            |db, sql: &&str| Box::pin(async move { get(&db.row(sql, &[]).await?, 0) });
        self.feed(sql, work).await.map(|(last, way)| Marker { way, change: to_sequence(last) })
    }

    pub(in crate::store) async fn hint(&self) {
        self.shared.feed.connector.hints().notified().await;
    }

    pub(in crate::store) async fn raise_log(&self, sequence: u64) -> Result<(), StoreError> {
        self.write(sequence, |db, sequence| {
            Box::pin(async move {
                revoke::lock_log(db).await?;
                let sql = "SELECT setval('portcullis.revocation_numbers', $1)
                           FROM portcullis.revocation_numbers WHERE last_value < $1 OR NOT is_called";
                db.rows(sql, &[&from_sequence(*sequence)]).await?;
                Ok(())
            })
        })
        .await
    }

    pub(in crate::store) async fn sweep(&self, now: Timestamp, limit: u32) -> Result<u32, StoreError> {
        self.write((now, limit), |db, (now, limit)| Box::pin(sweep(db, *now, *limit))).await
    }

    async fn feed<A, T>(&self, arguments: A, work: Work<A, T, StoreError>) -> Result<(T, u64), StoreError>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
    {
        let shared = std::sync::Arc::clone(&self.shared);
        self.thread.run(async move { shared.feed.run(&arguments, work).await }).await?
    }
}

fn entry(row: &Row) -> Result<Logged, StoreError> {
    let what = match Kind::from_number(get::<i32>(row, 1)?.into()) {
        Some(Kind::Token) => Revoked::Token(get(row, 2)?),
        Some(Kind::Session) => Revoked::Session(get(row, 2)?),
        Some(Kind::UserInstant) => Revoked::UserInstant { user: get(row, 3)?, at: get(row, 4)? },
        Some(Kind::UserBlocked) => Revoked::UserBlocked(get(row, 3)?),
        Some(Kind::UserUnblocked) => Revoked::UserUnblocked(get(row, 3)?),
        // The table's own check allows no other.
        None => return Err(StoreError::Corrupt("a revocation of an unknown kind".to_owned())),
    };
    let revocation = Revocation { sequence: get(row, 0).map(to_sequence)?, what, until: get(row, 5)? };
    let age = u64::try_from(get::<i64>(row, 6)?).unwrap_or_default();
    Ok(Logged { revocation, age: Some(Duration::from_millis(age)) })
}

async fn sweep(db: &Database<'_>, now: Timestamp, limit: u32) -> Result<u32, StoreError> {
    // Of two clocks the one behind: what goes too early comes to life.
    let now = db.now(now).await?.min(now);
    let mut left = limit;
    for sql in SWEEPS {
        let removed = db.execute(sql, &[&now, &i64::from(left)]).await?;
        left = left.saturating_sub(u32::try_from(removed).unwrap_or(u32::MAX));
    }
    Ok(limit.saturating_sub(left))
}

/// Each part by an index of its own.
const ABOUT: &str = concat!(
    entries!(),
    " WHERE id = $1 UNION ALL ",
    entries!(),
    " WHERE id = $2 UNION ALL ",
    entries!(),
    " WHERE user_id = $3 LIMIT $4"
);

/// What may go, each up to a limit; what somebody else works on is left to the next sweep. A blocking's `until` is for
/// ever; the word that takes it back removes it.
const SWEEPS: [&str; 3] = [
    // A session that nobody can refresh any more: its last token is dead, under every leeway.
    "DELETE FROM portcullis.sessions WHERE id = ANY (ARRAY (
         SELECT id FROM portcullis.sessions WHERE greatest_expiry < $1::bigint - 70000 LIMIT $2 FOR UPDATE SKIP LOCKED))",
    "DELETE FROM portcullis.adoptions WHERE token = ANY (ARRAY (
         SELECT token FROM portcullis.adoptions WHERE until < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))",
    "DELETE FROM portcullis.revocations WHERE sequence = ANY (ARRAY (
         SELECT sequence FROM portcullis.revocations WHERE until < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))",
];

/// What a new connection gets to be ready.
const OPENING: Duration = Duration::from_secs(5);
