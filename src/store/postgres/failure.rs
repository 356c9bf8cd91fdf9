//! What PostgreSQL's failures mean to a caller (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).

use std::time::Duration;

use deadpool_postgres::{PoolError, TimeoutType};
use tokio_postgres::{Error, error::SqlState};

use super::words::described;
use crate::store::StoreError;

/// How an attempt has failed, beside what its caller will be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nothing that another attempt or another connection would change.
    None,
    /// Others were in the way; nothing was kept.
    Conflict,
    /// The connection is of no more use. Unless it was committing, nothing was kept.
    Connection,
}

/// What to tell a caller.
pub(super) fn meaning(error: &Error) -> StoreError {
    match error.code() {
        Some(&SqlState::DISK_FULL) => StoreError::Full,
        Some(&SqlState::DATA_CORRUPTED | &SqlState::INDEX_CORRUPTED) => StoreError::Corrupt(described(error)),
        _ => StoreError::Unavailable(described(error)),
    }
}

/// What to do about it.
pub(super) fn trouble(error: &Error) -> Trouble {
    match error.code() {
        Some(&SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED) => Trouble::Conflict,
        // A statement prepared before the schema changed, or on a connection that a pooler has swapped below us.
        Some(&SqlState::FEATURE_NOT_SUPPORTED | &SqlState::INVALID_SQL_STATEMENT_NAME) => Trouble::Connection,
        // Class 57: the server goes down, or ends connections.
        Some(state) if state.code().starts_with("57P") => Trouble::Connection,
        // Idle for too long within a transaction, or a primary that has become a standby.
        Some(state) if state.code().starts_with("25") => Trouble::Connection,
        Some(_) => Trouble::None,
        // The server has said nothing: the connection has.
        None => Trouble::Connection,
    }
}

/// What it means that no connection was to be had.
pub(super) fn no_connection(error: PoolError) -> StoreError {
    match error {
        PoolError::Backend(error) => meaning(&error),
        PoolError::Closed => closed(),
        PoolError::Timeout(TimeoutType::Wait) => StoreError::Overloaded,
        PoolError::Timeout(TimeoutType::Create | TimeoutType::Recycle)
        | PoolError::NoRuntimeSpecified
        | PoolError::PostCreateHook(_) => StoreError::Unavailable("its server does not answer".to_owned()),
    }
}

pub(super) fn late(bound: Duration) -> StoreError {
    StoreError::Unavailable(format!("no answer within {} s", bound.as_secs()))
}

pub(super) fn closed() -> StoreError {
    StoreError::Unavailable("it has been closed".to_owned())
}

pub(super) fn panicked() -> StoreError {
    StoreError::Unavailable("an operation failed inside".to_owned())
}
