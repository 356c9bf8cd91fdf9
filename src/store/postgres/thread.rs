//! The thread on which the database is spoken to: connections outlive whoever asked for them, and what was begun is
//! done, whether or not its caller still waits.

use std::{
    io,
    sync::{Mutex, PoisonError, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
    time::timeout,
};
use tokio_util::task::TaskTracker;

use super::failure::{closed, panicked};
use crate::store::StoreError;

/// Does on a [`StoreThread`] what nobody waits for but the thread's end. It does not keep the thread alive.
pub(super) struct Background {
    handle: Handle,
    tasks: TaskTracker,
}

impl Background {
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        // Once the thread has ended, it is dropped.
        drop(self.tasks.spawn_on(work, &self.handle));
    }
}

/// A thread and its runtime. Dropped, it finishes what it has begun, and ends.
pub(super) struct StoreThread {
    handle: Handle,
    tasks: TaskTracker,
    running: Mutex<Option<Running>>,
}

struct Running {
    /// Never sent: the thread is told by its end.
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl StoreThread {
    pub(super) fn start() -> io::Result<Self> {
        // Blocking threads look up names: a resolver that hangs must not have all that there can be.
        let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(2).build()?;
        let handle = runtime.handle().clone();
        let tasks = TaskTracker::new();
        let (stop, stopped) = oneshot::channel::<()>();
        let begun = tasks.clone();
        let thread = thread::Builder::new().name("store".to_owned()).spawn(move || {
            runtime.block_on(async {
                let _ = stopped.await;
                begun.close();
                let _ = timeout(GRACE, begun.wait()).await;
            });
            // A name that is still being looked up is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, tasks, running: Mutex::new(Some(Running { stop, thread })) })
    }

    /// Does `work` to its end and answers; the caller may go away meanwhile.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, StoreError> {
        if self.tasks.is_closed() {
            return Err(closed());
        }
        let done = self.tasks.spawn_on(work, &self.handle).await;
        done.map_err(|error| if error.is_panic() { panicked() } else { closed() })
    }

    pub(super) fn background(&self) -> Background {
        Background { handle: self.handle.clone(), tasks: self.tasks.clone() }
    }

    /// As [`Self::run`], blocking, on whatever thread; `None` where the work panicked.
    pub(super) fn block_on<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = mpsc::channel();
        self.tasks.spawn_on(async move { answer.send(work.await) }, &self.handle);
        answered.recv().ok()
    }

    /// Refuses what comes, finishes what was begun, and ends the thread. Blocking.
    pub(super) fn stop(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.tasks.close();
        if let Some(Running { stop, thread }) = running {
            drop(stop);
            // It runs nothing that panics outside a task.
            let _ = thread.join();
        }
    }
}

/// What operations that were begun get to finish, and then what is left of them on the server: each has a bound of
/// its own.
const GRACE: Duration = Duration::from_secs(8);
