//! The store in a PostgreSQL database that several gateways share: a bounded pool of connections for operations, one
//! more for the revocation feed.
//!
//! What two gateways do at once is ordered by locks, always taken in this order: names, a foreign token, the user's row,
//! a session's row, the revocation log. So no two operations wait for each other, and whoever opens a session knows every number
//! of the log that concerns its user.
//! Never here: decisions about passwords and tokens; an operation without a bound on its time.

mod adopt;
mod connect;
#[macro_use]
mod database;
mod failure;
mod feed;
mod lent;
mod names;
mod open;
mod refresh;
mod revoke;
mod session_row;
mod sessions;
mod thread;
mod tls;
mod user_row;
mod users;
mod values;
mod words;

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts};
use tokio::{sync::Semaphore, time::timeout};
use tokio_postgres::{Config, IsolationLevel};

use self::{
    connect::Connector,
    database::Database,
    failure::{Trouble, late, meaning, no_connection, trouble},
    feed::FeedLine,
    lent::{Canceller, Lent},
    thread::StoreThread,
};
use super::{DatabaseServer, Durability, Judge, OpenError, PostgresFault, PostgresSettings, StoreError};

/// A PostgreSQL database. A cheap handle; clones share connections and a thread, which end with the last one.
#[derive(Clone)]
pub struct Postgres {
    shared: Arc<Shared>,
    thread: Arc<StoreThread>,
}

/// What operations work with. Never the thread: an operation must not be what keeps it alive.
struct Shared {
    pool: Pool,
    canceller: Canceller,
    feed: FeedLine,
    judge: Judge,
    /// As logs name it.
    place: String,
    /// Operations that may be under way.
    places: Arc<Semaphore>,
}

/// What an operation does with a connection: called again where others were in the way.
type Work<A, T, E> =
    for<'d, 'c> fn(&'d Database<'c>, &'d A) -> Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'd>>;

impl Postgres {
    /// Connects, brings the schema up to date and starts the thread. Blocking.
    pub(super) fn open(settings: &PostgresSettings) -> Result<Self, OpenError> {
        let fault = |fault| OpenError::Postgres { database: name(settings), fault };
        let unusable = |detail: String| fault(PostgresFault::Unusable(detail));
        let connector = Connector::new(settings).map_err(|error| unusable(error.to_string()))?;
        let thread = StoreThread::start().map_err(|error| unusable(error.to_string()))?;
        let opened = connector.clone();
        let opened = thread.block_on(async move { open::prepare(&opened).await });
        opened.unwrap_or_else(|| Err(open::panicked())).map_err(fault)?;
        let manager = Manager::from_connect(
            Config::new(),
            connector.clone(),
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS)
            .timeouts(Timeouts { wait: Some(WAIT), create: Some(CONNECT), recycle: Some(CONNECT) })
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| unusable(error.to_string()))?;
        let judge = settings.judge;
        let places = Arc::new(Semaphore::new(OPERATIONS));
        let canceller = Canceller::new(connector.clone(), thread.background());
        let feed = FeedLine::new(connector, judge);
        let shared = Shared { pool, canceller, feed, judge, place: place(settings), places };
        Ok(Self { shared: Arc::new(shared), thread: Arc::new(thread) })
    }

    /// Connects and looks, and changes nothing. Blocking.
    pub(super) fn probe(settings: &PostgresSettings) -> Result<(), OpenError> {
        let fault = |fault| OpenError::Postgres { database: name(settings), fault };
        let unusable = |detail: String| fault(PostgresFault::Unusable(detail));
        let connector = Connector::new(settings).map_err(|error| unusable(error.to_string()))?;
        let thread = StoreThread::start().map_err(|error| unusable(error.to_string()))?;
        let probed = thread.block_on(async move { open::probe(&connector).await });
        thread.stop();
        probed.unwrap_or_else(|| Err(open::panicked())).map_err(fault)
    }

    pub(super) fn close(&self) {
        self.thread.stop();
    }

    pub(super) async fn durability(&self) -> Result<Durability, StoreError> {
        self.read((), |db, ()| {
            Box::pin(async {
                let sql = "SELECT current_setting('synchronous_commit'), current_setting('fsync')::boolean";
                let row = db.row(sql, &[]).await?;
                let (synchronous_commit, fsync) = (database::get(&row, 0)?, database::get(&row, 1)?);
                Ok(Durability::Postgres { synchronous_commit, fsync })
            })
        })
        .await
    }

    /// Runs `work` in a transaction and answers once that has been committed. An `Err` keeps nothing of it, but that
    /// nobody knows what became of a commit whose answer was lost.
    async fn write<A, T, E>(&self, arguments: A, work: Work<A, T, E>) -> Result<T, E>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.run(true, arguments, work).await
    }

    /// Runs `work`, of which each statement stands alone.
    async fn read<A, T>(&self, arguments: A, work: Work<A, T, StoreError>) -> Result<T, StoreError>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
    {
        self.run(false, arguments, work).await
    }

    async fn run<A, T, E>(&self, writes: bool, arguments: A, work: Work<A, T, E>) -> Result<T, E>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let places = Arc::clone(&self.shared.places);
        let place = places.try_acquire_owned().map_err(|_| StoreError::Overloaded)?;
        let shared = Arc::clone(&self.shared);
        let operation = async move {
            let done = timeout(OPERATION, shared.attempts(writes, &arguments, work)).await;
            drop(place);
            done.unwrap_or_else(|_| Err(late(OPERATION).into()))
        };
        self.thread.run(operation).await.unwrap_or_else(|error| Err(error.into()))
    }
}

impl Shared {
    async fn attempts<A, T, E: From<StoreError>>(
        &self,
        writes: bool,
        arguments: &A,
        work: Work<A, T, E>,
    ) -> Result<T, E> {
        let mut attempt = 1;
        loop {
            match self.attempt(writes, arguments, work).await {
                Ok(value) => return Ok(value),
                Err(Attempt { again: true, .. }) if attempt < ATTEMPTS => attempt += 1,
                Err(Attempt { error, .. }) => return Err(error),
            }
        }
    }

    async fn attempt<A, T, E: From<StoreError>>(
        &self,
        writes: bool,
        arguments: &A,
        work: Work<A, T, E>,
    ) -> Result<T, Attempt<E>> {
        let pooled = self.pool.get().await;
        let pooled = pooled.map_err(|error| Attempt::last(no_connection(error)))?;
        let mut lent = Lent::new(pooled, &self.canceller);
        let Some(client) = lent.client() else { return Err(Attempt::last(failure::closed())) };
        let db = if writes {
            let begin =
                client.build_transaction().isolation_level(IsolationLevel::ReadCommitted).read_only(false);
            let begun = begin.start().await;
            // Most often a connection that has died in the pool.
            Database::transaction(
                begun.map_err(|error| Attempt::at(&error, Trouble::Connection))?,
                self.judge,
            )
        } else {
            Database::alone(client, self.judge)
        };
        match work(&db, arguments).await {
            Ok(value) => {
                let committed = db.commit().await;
                // A server that has answered has kept nothing, and may be asked again; silence may mean either.
                committed.map_err(|error| match error.code() {
                    Some(_) => Attempt::at(&error, trouble(&error)),
                    None => Attempt::last(meaning(&error)),
                })?;
                lent.give_back();
                Ok(value)
            }
            Err(error) => {
                let trouble = db.trouble();
                if trouble != Trouble::Connection && db.rollback().await.is_ok() {
                    lent.give_back();
                }
                Err(Attempt { error, again: trouble != Trouble::None })
            }
        }
    }
}

/// An attempt that came to nothing.
struct Attempt<E> {
    error: E,
    /// Whether another one may do better.
    again: bool,
}

impl<E: From<StoreError>> Attempt<E> {
    fn last(error: StoreError) -> Self {
        Self { error: error.into(), again: false }
    }

    fn at(error: &tokio_postgres::Error, trouble: Trouble) -> Self {
        Self { error: meaning(error).into(), again: trouble != Trouble::None }
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Postgres")
    }
}

impl fmt::Display for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgreSQL {}", self.shared.place)
    }
}

/// As logs name it: a folder stands for the socket in it.
fn place(settings: &PostgresSettings) -> String {
    let servers = settings.servers.iter().map(|server| match server {
        DatabaseServer::Socket(folder, port) => format!("{}:{port}", folder.display()),
        DatabaseServer::Tcp(..) => server.to_string(),
    });
    format!("{}/{}", servers.collect::<Vec<_>>().join(","), settings.database)
}

/// As errors name it.
fn name(settings: &PostgresSettings) -> String {
    let servers: Vec<String> = settings.servers.iter().map(ToString::to_string).collect();
    format!("`{}` at {}", settings.database, servers.join(", "))
}

/// Everything of an operation: waiting for a connection, every attempt, the commit.
const OPERATION: Duration = Duration::from_secs(5);

/// What an operation waits for a connection that others have.
const WAIT: Duration = Duration::from_secs(2);

/// What a new connection gets to be ready.
const CONNECT: Duration = Duration::from_secs(4);

/// Connections that operations share. PostgreSQL's own default allows a hundred in all.
const CONNECTIONS: usize = 8;

/// Operations under way or waiting.
const OPERATIONS: usize = 1024;

const ATTEMPTS: u32 = 3;
