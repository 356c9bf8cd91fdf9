//! What an operation sees of its connection: statements prepared once for each, failures in the store's words.

use std::sync::{Mutex, PoisonError};

use deadpool_postgres::{ClientWrapper, Transaction};
use tokio_postgres::{
    Row, Statement,
    types::{FromSql, ToSql},
};

use super::failure::{Trouble, meaning, trouble};
use crate::{
    clock::Timestamp,
    store::{Judge, StoreError},
};

/// A connection on loan, in a transaction or not.
pub(super) struct Database<'c> {
    way: Way<'c>,
    judge: Judge,
    /// Of the last statement that failed, since an operation's own error does not tell.
    trouble: Mutex<Trouble>,
}

enum Way<'c> {
    /// Each statement is a transaction of its own.
    Alone(&'c ClientWrapper),
    Transaction(Transaction<'c>),
}

/// What a statement takes.
pub(super) type Parameters<'p> = &'p [&'p (dyn ToSql + Sync)];

impl<'c> Database<'c> {
    pub(super) fn alone(client: &'c ClientWrapper, judge: Judge) -> Self {
        Self { way: Way::Alone(client), judge, trouble: Mutex::new(Trouble::None) }
    }

    pub(super) fn transaction(transaction: Transaction<'c>, judge: Judge) -> Self {
        Self { way: Way::Transaction(transaction), judge, trouble: Mutex::new(Trouble::None) }
    }

    /// Ends the transaction.
    pub(super) async fn commit(self) -> Result<(), tokio_postgres::Error> {
        match self.way {
            Way::Alone(_) => Ok(()),
            Way::Transaction(transaction) => transaction.commit().await,
        }
    }

    /// Undoes the transaction.
    pub(super) async fn rollback(self) -> Result<(), tokio_postgres::Error> {
        match self.way {
            Way::Alone(_) => Ok(()),
            Way::Transaction(transaction) => transaction.rollback().await,
        }
    }

    /// What was wrong with the last statement that failed.
    pub(super) fn trouble(&self) -> Trouble {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The present instant by the clock that judges; `callers` is what the caller's shows. To be read behind the locks
    /// that an operation waits for: others may have decided meanwhile.
    pub(super) async fn now(&self, callers: Timestamp) -> Result<Timestamp, StoreError> {
        match self.judge {
            Judge::Caller => Ok(callers),
            Judge::Database => get(&self.row(concat!("SELECT ", now!()), &[]).await?, 0),
        }
    }

    /// Every row of the answer.
    pub(super) async fn rows(&self, sql: &str, parameters: Parameters<'_>) -> Result<Vec<Row>, StoreError> {
        let done = async {
            let statement = self.prepare(sql).await?;
            match &self.way {
                Way::Alone(client) => client.query(&statement, parameters).await,
                Way::Transaction(transaction) => transaction.query(&statement, parameters).await,
            }
        };
        done.await.map_err(|error| self.failed(&error))
    }

    /// The first row, where there is any.
    pub(super) async fn row_if_any(
        &self,
        sql: &str,
        parameters: Parameters<'_>,
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(sql, parameters).await?.into_iter().next())
    }

    /// The first row of an answer that always has one.
    pub(super) async fn row(&self, sql: &str, parameters: Parameters<'_>) -> Result<Row, StoreError> {
        let row = self.row_if_any(sql, parameters).await?;
        row.ok_or_else(|| StoreError::Corrupt("an answer has no row".to_owned()))
    }

    /// How many rows were changed.
    pub(super) async fn execute(&self, sql: &str, parameters: Parameters<'_>) -> Result<u64, StoreError> {
        let done = async {
            let statement = self.prepare(sql).await?;
            match &self.way {
                Way::Alone(client) => client.execute(&statement, parameters).await,
                Way::Transaction(transaction) => transaction.execute(&statement, parameters).await,
            }
        };
        done.await.map_err(|error| self.failed(&error))
    }

    async fn prepare(&self, sql: &str) -> Result<Statement, tokio_postgres::Error> {
        match &self.way {
            Way::Alone(client) => client.prepare_cached(sql).await,
            Way::Transaction(transaction) => transaction.prepare_cached(sql).await,
        }
    }

    fn failed(&self, error: &tokio_postgres::Error) -> StoreError {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble(error);
        meaning(error)
    }
}

/// A column. One that does not read as what it should cannot have been written by this program.
pub(super) fn get<'r, T: FromSql<'r>>(row: &'r Row, column: usize) -> Result<T, StoreError> {
    row.try_get(column).map_err(|error| StoreError::Corrupt(super::words::described(&error)))
}

/// Milliseconds since the epoch by the database's clock, as SQL: not the transaction's beginning, which may lie far
/// back.
macro_rules! now {
    () => {
        "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    };
}
pub(super) use now;
