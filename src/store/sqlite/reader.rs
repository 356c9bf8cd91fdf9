//! Threads that read, each with its own connection; a reader sees whatever was committed before it began.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::{Builder, JoinHandle},
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::writer::{closed, panicked};
use crate::store::StoreError;

/// A handle to threads that read from one queue. They end when the last handle is dropped.
#[derive(Clone)]
pub(super) struct Readers {
    queue: SyncSender<Message>,
    threads: usize,
}

impl Readers {
    /// Starts one thread for each connection.
    pub(super) fn start(name: &str, connections: Vec<Connection>) -> io::Result<(Self, Vec<JoinHandle<()>>)> {
        let (queue, jobs) = sync_channel(QUEUE);
        let jobs = Arc::new(Mutex::new(jobs));
        let threads = connections
            .into_iter()
            .map(|db| {
                let jobs = Arc::clone(&jobs);
                Builder::new().name(name.to_owned()).spawn(move || read_until_closed(&db, &jobs))
            })
            .collect::<io::Result<Vec<_>>>()?;
        Ok((Self { queue, threads: threads.len() }, threads))
    }

    /// Runs `work` on one of the connections.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |db| {
            let result = catch_unwind(AssertUnwindSafe(|| work(db)));
            // Nobody waits any more when the caller was dropped.
            let _ = answer.send(result.unwrap_or_else(|_| Err(panicked())));
        });
        self.queue.try_send(Message::Job(job)).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Overloaded,
            TrySendError::Disconnected(_) => closed(),
        })?;
        answered.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Ends the threads behind the jobs that wait already.
    pub(super) fn stop(&self) {
        for _ in 0..self.threads {
            // They have ended already when they do not take the message.
            let _ = self.queue.send(Message::Stop);
        }
    }
}

type Job = Box<dyn FnOnce(&Connection) + Send>;

enum Message {
    Job(Job),
    Stop,
}

fn read_until_closed(db: &Connection, jobs: &Mutex<Receiver<Message>>) {
    // The guard is gone before the job runs: one thread waits for the queue while the other works.
    let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
    while let Ok(Message::Job(job)) = next() {
        job(db);
    }
}

/// Jobs that may wait.
const QUEUE: usize = 1024;
