//! Opening the database: the schema made where it is missing, refused where it is not ours, altered or too new.
//!
//! Everything lies in a schema of its own, since the database may well be a backend's that has a `users` of its own.
//! Every statement of the store names it: no `search_path` decides whose table is meant.

use std::time::Duration;

use deadpool_postgres::{ClientWrapper, Transaction};
use tokio::time::timeout;
use tokio_postgres::Error;

use super::{connect::Connector, words::described};
use crate::store::PostgresFault;

/// Connects, makes or completes the schema, and checks it.
pub(super) async fn prepare(connector: &Connector) -> Result<(), PostgresFault> {
    let mut client = connect(connector).await?;
    let done = timeout(MIGRATING, async {
        let found = version(&client).await?;
        if found < KNOWN_VERSION {
            migrate(&mut client).await?;
        }
        check(&client).await
    });
    done.await.unwrap_or_else(|_| Err(late(MIGRATING)))
}

/// What [`prepare`] would say, and makes nothing. A schema that is missing or older is fine.
pub(super) async fn probe(connector: &Connector) -> Result<(), PostgresFault> {
    let client = connect(connector).await?;
    let done = timeout(CONNECTING, async {
        match version(&client).await? {
            KNOWN_VERSION => check(&client).await,
            0 => may_make(&client).await,
            _ => Ok(()),
        }
    });
    done.await.unwrap_or_else(|_| Err(late(CONNECTING)))
}

/// Whether the role may make the tables that are missing.
async fn may_make(client: &ClientWrapper) -> Result<(), PostgresFault> {
    let sql = "SELECT CASE WHEN to_regnamespace('portcullis') IS NULL
                   THEN has_database_privilege(current_database(), 'CREATE')
                   ELSE has_schema_privilege('portcullis', 'CREATE') END";
    let row = client.query_one(sql, &[]).await.map_err(|error| unusable(&error))?;
    match row.try_get(0) {
        Ok(true) => Ok(()),
        _ => Err(PostgresFault::Unusable("its role may not make the schema `portcullis`".to_owned())),
    }
}

async fn connect(connector: &Connector) -> Result<ClientWrapper, PostgresFault> {
    match timeout(CONNECTING, connector.open()).await {
        Ok(connected) => connected.map_err(|error| unusable(&error)),
        Err(_) => Err(late(CONNECTING)),
    }
}

/// The version of the schema; 0 where there is none yet.
async fn version(client: &ClientWrapper) -> Result<i32, PostgresFault> {
    let row = client.query_one(PRESENT, &[]).await.map_err(|error| unusable(&error))?;
    match (row.try_get(1), row.try_get(2)) {
        (Ok(false), Ok(false)) => return Ok(0),
        (Ok(true), Ok(true)) => {}
        _ => return Err(PostgresFault::Foreign),
    }
    let latest = client.query_one("SELECT max(version) FROM portcullis.migrations", &[]).await;
    let found = match latest {
        Ok(row) => row.try_get::<_, Option<i32>>(0).map_err(|_| PostgresFault::Foreign)?,
        Err(error) if error.code() == Some(&tokio_postgres::error::SqlState::UNDEFINED_COLUMN) => None,
        Err(error) => return Err(unusable(&error)),
    };
    match found {
        Some(found) if found > KNOWN_VERSION => {
            Err(PostgresFault::TooNew { found: found.into(), known: KNOWN_VERSION.into() })
        }
        Some(found) if found > 0 => Ok(found),
        _ => Err(PostgresFault::Foreign),
    }
}

/// Applies what the schema lacks, one transaction a migration. Gateways that start at once do so one after the other.
async fn migrate(client: &mut ClientWrapper) -> Result<(), PostgresFault> {
    for (number, sql) in (1_i32..).zip(MIGRATIONS) {
        let transaction = client.transaction().await.map_err(|error| unusable(&error))?;
        transaction.batch_execute(PATIENT).await.map_err(|error| unusable(&error))?;
        if present(&transaction).await.map_err(|error| unusable(&error))? < number {
            let applied = apply(&transaction, number, sql).await;
            applied.map_err(|error| unusable(&error))?;
        }
        transaction.commit().await.map_err(|error| unusable(&error))?;
    }
    Ok(())
}

/// The version once nobody else is migrating.
async fn present(transaction: &Transaction<'_>) -> Result<i32, Error> {
    transaction.query_one("SELECT pg_advisory_xact_lock($1, $2)", &[&LOCKS, &MIGRATING_LOCK]).await?;
    let made = transaction.query_one(PRESENT, &[]).await?;
    if !made.try_get::<_, bool>(1)? {
        return Ok(0);
    }
    let latest =
        transaction.query_one("SELECT coalesce(max(version), 0) FROM portcullis.migrations", &[]).await?;
    latest.try_get(0)
}

async fn apply(transaction: &Transaction<'_>, number: i32, sql: &str) -> Result<(), Error> {
    if number == 1 {
        // One that is there and empty was made by an operator, whose role may not make any.
        let made = transaction.query_one(PRESENT, &[]).await?;
        if !made.try_get::<_, bool>(0)? {
            transaction.batch_execute("CREATE SCHEMA portcullis").await?;
        }
        transaction.batch_execute("CREATE TABLE portcullis.migrations (version integer PRIMARY KEY)").await?;
    }
    transaction.batch_execute(sql).await?;
    transaction.execute("INSERT INTO portcullis.migrations (version) VALUES ($1)", &[&number]).await?;
    Ok(())
}

/// Refuses tables, columns and indexes other than those that the migrations make, and whatever changes what a
/// statement does.
async fn check(client: &ClientWrapper) -> Result<(), PostgresFault> {
    let rows = client.query(OBJECTS, &[]).await.map_err(|error| unusable(&error))?;
    let present = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, _>>();
    let present = present.map_err(|error| unusable(&error))?;
    let expected: Vec<&str> = EXPECTED.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if let Some(missing) = expected.iter().find(|object| !present.iter().any(|present| present == *object)) {
        return Err(PostgresFault::Altered(format!("{missing} is missing or was changed")));
    }
    match present.iter().find(|object| !expected.contains(&object.as_str())) {
        Some(unknown) => Err(PostgresFault::Altered(format!("{unknown} is not known"))),
        None => Ok(()),
    }
}

fn unusable(error: &Error) -> PostgresFault {
    PostgresFault::Unusable(described(error))
}

fn late(bound: Duration) -> PostgresFault {
    PostgresFault::Unusable(format!("no answer within {} s", bound.as_secs()))
}

pub(super) fn panicked() -> PostgresFault {
    PostgresFault::Unusable("the program failed inside".to_owned())
}

const MIGRATIONS: [&str; 1] = [include_str!("migrations/0001_users_sessions_revocations.sql")];

const KNOWN_VERSION: i32 = MIGRATIONS.len() as i32;

/// "Prtc": our advisory locks among those of others in this database.
pub(super) const LOCKS: i32 = 0x5072_7463;

const MIGRATING_LOCK: i32 = 1;

/// A migration may rewrite a large table, and another gateway wait for it.
const PATIENT: &str = "SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0";
const MIGRATING: Duration = Duration::from_secs(600);

const CONNECTING: Duration = Duration::from_secs(5);

/// Whether the schema is there, our table of migrations, anything at all. From the tables themselves: `to_regclass` may
/// answer out of a cache that has not heard of another's commit.
const PRESENT: &str = "
    SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = 'portcullis'),
           EXISTS (SELECT 1 FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
                   WHERE nspname = 'portcullis' AND relname = 'migrations'),
           EXISTS (SELECT 1 FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
                   WHERE nspname = 'portcullis')";

/// Everything in the schema that decides what statements do.
const OBJECTS: &str = "
    SELECT 'column ' || relname || '.' || attname || ' ' || format_type(atttypid, atttypmod)
           || CASE WHEN attnotnull THEN ' not null' ELSE '' END
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE relnamespace = to_regnamespace('portcullis') AND relkind NOT IN ('i', 'S') AND attnum > 0
      AND NOT attisdropped
    UNION ALL
    SELECT CASE relkind WHEN 'r' THEN 'table ' WHEN 'i' THEN 'index ' WHEN 'S' THEN 'sequence ' ELSE 'relation ' END
           || relname || CASE WHEN relrowsecurity THEN ' with row security' ELSE '' END
    FROM pg_class WHERE relnamespace = to_regnamespace('portcullis')
    UNION ALL
    SELECT 'trigger ' || tgname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
    WHERE relnamespace = to_regnamespace('portcullis') AND NOT tgisinternal
    UNION ALL
    SELECT 'rule ' || rulename FROM pg_rewrite JOIN pg_class ON pg_class.oid = ev_class
    WHERE relnamespace = to_regnamespace('portcullis')
    UNION ALL
    SELECT 'function ' || proname FROM pg_proc WHERE pronamespace = to_regnamespace('portcullis')";

const EXPECTED: &str = "
    table migrations
    column migrations.version integer not null
    index migrations_pkey
    sequence user_numbers
    table users
    column users.number bigint not null
    column users.id text not null
    column users.password_hash text not null
    column users.roles text not null
    column users.attributes text not null
    column users.created_at bigint not null
    column users.disabled boolean not null
    column users.deleted_at bigint
    index users_pkey
    index users_id_key
    table names
    column names.user_id text not null
    column names.kind integer not null
    column names.exact text not null
    column names.canonical text not null
    index names_pkey
    index names_by_exact
    index names_by_canonical
    table sessions
    column sessions.id bytea not null
    column sessions.user_id text not null
    column sessions.base bytea not null
    column sessions.successor bytea
    column sessions.successor_issued_at bigint
    column sessions.successor_expires_at bigint
    column sessions.access bytea
    column sessions.access_issued_at bigint
    column sessions.access_expires_at bigint
    column sessions.made_at bigint
    column sessions.former bytea not null
    column sessions.successor_used boolean not null
    column sessions.greatest_expiry bigint not null
    column sessions.ends_at bigint not null
    column sessions.opened_at bigint not null
    column sessions.refreshed_at bigint not null
    column sessions.address text
    column sessions.agent text not null
    index sessions_pkey
    index sessions_by_user
    index sessions_by_expiry
    table adoptions
    column adoptions.token bytea not null
    column adoptions.user_id text not null
    column adoptions.session_id bytea not null
    column adoptions.until bigint not null
    index adoptions_pkey
    index adoptions_by_until
    sequence revocation_numbers
    table revocations
    column revocations.sequence bigint not null
    column revocations.kind integer not null
    column revocations.id bytea
    column revocations.user_id text
    column revocations.at bigint
    column revocations.until bigint not null
    column revocations.revoked_at bigint not null
    index revocations_pkey
    index revocations_by_id
    index revocations_by_user
    index revocations_by_until";
