//! The store in a SQLite file: one thread writes, two read, one serves the revocation feed.
//!
//! Never here: waiting for a disk on an async thread; decisions about passwords and tokens.

mod adopt;
mod failure;
mod feed;
mod names;
mod open;
mod reader;
mod refresh;
mod revoke;
mod session_row;
mod sessions;
mod user_row;
mod users;
mod values;
mod writer;

use std::{
    fmt, io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};

use rusqlite::Connection;

use self::{failure::Failure, reader::Readers, writer::Writer};
use super::{Durability, OpenError, StoreError};

/// A SQLite database file. A cheap handle; clones share connections and threads, which end with the last one.
#[derive(Clone)]
pub struct Sqlite {
    writer: Writer,
    readers: Readers,
    /// On a connection of its own: `data_version` compares with itself only, and lookups of users must not keep
    /// the feed waiting.
    feed: Readers,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
    path: Arc<Path>,
}

impl Sqlite {
    /// Opens the file and starts the threads. Blocking.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let writer = open::writer(path)?;
        let readers = (0..READERS).map(|_| open::reader(path)).collect::<Result<_, _>>()?;
        let feed = open::reader(path)?;
        Self::start(path, writer, readers, feed)
            .map_err(|source| OpenError::Io { path: path.to_owned(), source })
    }

    /// Checks the file and changes nothing. Blocking.
    pub(super) fn probe(path: &Path) -> Result<(), OpenError> {
        open::probe(path)
    }

    fn start(
        path: &Path,
        writer: Connection,
        readers: Vec<Connection>,
        feed: Connection,
    ) -> io::Result<Self> {
        let (readers, mut threads) = Readers::start("store-reader", readers)?;
        let (feed, feed_thread) = Readers::start("store-feed", vec![feed])?;
        threads.extend(feed_thread);
        let (writer, thread) = Writer::start(writer, threads)?;
        Ok(Self { writer, readers, feed, thread: Arc::new(Mutex::new(Some(thread))), path: path.into() })
    }

    pub(super) fn close(&self) {
        self.readers.stop();
        self.feed.stop();
        self.writer.stop();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // It catches panics of jobs; there is nothing to be learnt from one of its own.
            let _ = thread.join();
        }
    }

    pub(super) async fn durability(&self) -> Result<Durability, StoreError> {
        self.write(|db| {
            Ok(Durability::Sqlite {
                foreign_keys: db.pragma_query_value(None, "foreign_keys", |row| row.get(0))?,
                journal_mode: db.pragma_query_value(None, "journal_mode", |row| row.get(0))?,
                synchronous: db.pragma_query_value(None, "synchronous", |row| row.get(0))?,
            })
        })
        .await
    }

    async fn write<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: Failure,
    {
        self.writer.run(work).await
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.readers.run(work).await
    }
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sqlite")
    }
}

impl fmt::Display for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SQLite {}", self.path.display())
    }
}

/// Connections for lookups.
const READERS: usize = 2;
