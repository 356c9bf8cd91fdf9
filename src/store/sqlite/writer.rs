//! The one thread that writes: jobs waiting at a moment share one transaction, and one wait for the disk.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread::{Builder, JoinHandle},
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::failure::Failure;
use crate::store::StoreError;

/// A handle to the thread that writes. It ends when the last handle is dropped.
#[derive(Clone)]
pub(super) struct Writer {
    queue: SyncSender<Message>,
}

impl Writer {
    /// Starts the thread. Once it has no more to do it waits for `readers`, and closes its connection last: the
    /// last connection to close a database moves the write-ahead log into it.
    pub(super) fn start(
        db: Connection,
        readers: Vec<JoinHandle<()>>,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (queue, jobs) = sync_channel(QUEUE);
        let thread = Builder::new().name("store-writer".to_owned()).spawn(move || {
            write_until_closed(&db, &jobs);
            // A call that comes now learns at once that nobody will answer.
            drop(jobs);
            for reader in readers {
                // A reader that panicked has said so itself; the file is to be closed all the same.
                let _ = reader.join();
            }
        })?;
        Ok((Self { queue }, thread))
    }

    /// Runs `work` in a transaction and answers once that has been committed. An `Err` keeps nothing of it.
    pub(super) async fn run<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: Failure,
    {
        let (answer, answered) = oneshot::channel();
        let job = Work { work: Some(work), result: None, answer };
        self.queue.try_send(Message::Job(Box::new(job))).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Overloaded,
            TrySendError::Disconnected(_) => closed(),
        })?;
        answered.await.unwrap_or_else(|_| Err(closed().into()))
    }

    /// Ends the thread behind the jobs that wait already.
    pub(super) fn stop(&self) {
        // It has ended already when it does not take the message.
        let _ = self.queue.send(Message::Stop);
    }
}

pub(super) fn closed() -> StoreError {
    StoreError::Unavailable("it has been closed".to_owned())
}

pub(super) fn panicked() -> StoreError {
    StoreError::Unavailable("an operation failed inside".to_owned())
}

enum Message {
    Job(Box<dyn Job>),
    Stop,
}

trait Job: Send {
    /// Does the work inside a savepoint.
    fn run(&mut self, db: &Connection) -> Ran;
    /// Tells whoever waits what became of it.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

enum Ran {
    Keep,
    Undo(Option<StoreError>),
}

struct Work<F, T, E> {
    work: Option<F>,
    result: Option<Result<T, E>>,
    answer: oneshot::Sender<Result<T, E>>,
}

impl<F, T, E> Job for Work<F, T, E>
where
    F: FnOnce(&Connection) -> Result<T, E> + Send,
    T: Send,
    E: Failure,
{
    fn run(&mut self, db: &Connection) -> Ran {
        let Some(work) = self.work.take() else { return Ran::Undo(None) };
        // Whatever the closure was about to change is rolled back with its savepoint.
        let result = catch_unwind(AssertUnwindSafe(|| work(db)));
        let result = result.unwrap_or_else(|_: Box<dyn Any + Send>| Err(panicked().into()));
        let ran = match &result {
            Ok(_) => Ran::Keep,
            Err(error) => Ran::Undo(error.store().cloned()),
        };
        self.result = Some(result);
        ran
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let result = match committed {
            Ok(()) => self.result.unwrap_or_else(|| Err(panicked().into())),
            // A refusal is void too: it may rest on what another job of this transaction had written.
            Err(error) => Err(error.into()),
        };
        // Nobody waits any more when the caller was dropped; what was asked for is done all the same.
        let _ = self.answer.send(result);
    }
}

fn write_until_closed(db: &Connection, jobs: &Receiver<Message>) {
    let mut open = true;
    while open {
        let Ok(first) = jobs.recv() else { return };
        let mut group = Vec::new();
        for message in std::iter::once(first).chain(jobs.try_iter().take(GROUP - 1)) {
            match message {
                Message::Job(job) => group.push(job),
                Message::Stop => {
                    open = false;
                    break;
                }
            }
        }
        let committed = transact(db, &mut group);
        for job in group {
            job.answer(committed.clone());
        }
    }
}

/// Runs every job of the group in a savepoint of its own and commits them as one.
fn transact(db: &Connection, group: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
    if group.is_empty() {
        return Ok(());
    }
    let done = db
        .execute_batch("BEGIN IMMEDIATE")
        .map_err(StoreError::from)
        .and_then(|()| group.iter_mut().try_for_each(|job| attempt(db, job.as_mut())))
        .and_then(|()| db.execute_batch("COMMIT").map_err(StoreError::from));
    // SQLite ends the transaction itself after some failures, a full disk among them, and not after others.
    if done.is_err() && !db.is_autocommit() {
        // Should even this fail, the next BEGIN does too, and this is tried once more.
        let _ = db.execute_batch("ROLLBACK");
    }
    if done == Err(StoreError::Full) {
        // What the write-ahead log holds may find room in the file itself, and the log be used from its start.
        let _ = db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    }
    done
}

/// An error ends the whole group; a job's own refusal or failure does not.
fn attempt(db: &Connection, job: &mut dyn Job) -> Result<(), StoreError> {
    db.prepare_cached("SAVEPOINT job")?.execute([])?;
    if let Ran::Undo(failure) = job.run(db) {
        if db.is_autocommit() {
            return Err(
                failure.unwrap_or_else(|| StoreError::Unavailable("the transaction ended".to_owned()))
            );
        }
        db.prepare_cached("ROLLBACK TO job")?.execute([])?;
    }
    db.prepare_cached("RELEASE job")?.execute([])?;
    Ok(())
}

/// Jobs that may wait. Each is answered within the time of those before it.
const QUEUE: usize = 1024;

/// Jobs that share one transaction at most, so that none waits long for the others' work.
const GROUP: usize = 128;

#[cfg(test)]
mod tests;
