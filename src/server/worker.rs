//! Threads with a runtime of their own.

use std::{
    io,
    pin::pin,
    thread::{self, JoinHandle},
};

use tokio::{
    runtime::{Builder, LocalOptions},
    sync::mpsc,
};

use super::{Drain, ServerError};

/// Threads that serve. They return when their drain has ended.
#[derive(Debug)]
pub struct Workers {
    threads: Vec<JoinHandle<()>>,
    ends: mpsc::Receiver<End>,
    running: usize,
}

impl Workers {
    /// Runs each of `works` on a thread and a runtime of its own. Where one thread cannot be had, ends the
    /// others.
    pub(super) fn start<F>(works: Vec<F>, drain: &Drain) -> Result<Self, ServerError>
    where
        F: AsyncFnOnce() -> io::Result<()> + Send + 'static,
    {
        let (sender, ends) = mpsc::channel(works.len().max(1));
        let mut workers = Self { threads: Vec::with_capacity(works.len()), ends, running: 0 };
        for (worker, work) in works.into_iter().enumerate() {
            let farewell = Farewell { ends: sender.clone(), worker, result: None };
            let thread = thread::Builder::new().name(format!("worker-{worker}"));
            match thread.spawn(move || run(work, farewell)) {
                Ok(handle) => workers.threads.push(handle),
                Err(error) => {
                    drain.cut();
                    let _ = workers.join();
                    return Err(ServerError::Thread(error));
                }
            }
            workers.running += 1;
        }
        Ok(workers)
    }

    /// Waits until all have returned, or one has failed. Best watched all the time: a worker that failed serves
    /// nobody, while the system goes on giving it connections.
    ///
    /// # Errors
    /// [`ServerError::Panicked`] or [`ServerError::Runtime`] of the first worker that failed.
    pub async fn wait(&mut self) -> Result<(), ServerError> {
        while self.running > 0 {
            let Some(end) = self.ends.recv().await else { break };
            self.running -= 1;
            end?;
        }
        Ok(())
    }

    /// Blocks until all threads have ended: nothing of a connection is left then.
    ///
    /// # Errors
    /// As [`Self::wait`].
    pub fn join(mut self) -> Result<(), ServerError> {
        for thread in self.threads.drain(..) {
            // A panic has said farewell as well.
            let _ = thread.join();
        }
        let mut first = Ok(());
        while let Ok(end) = self.ends.try_recv() {
            first = first.and(end);
        }
        first
    }
}

type End = Result<(), ServerError>;

/// Says how a worker ended, also where it unwinds.
struct Farewell {
    ends: mpsc::Sender<End>,
    worker: usize,
    result: Option<io::Result<()>>,
}

impl Drop for Farewell {
    fn drop(&mut self) {
        let worker = self.worker;
        let end = match self.result.take() {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(ServerError::Runtime { worker, error }),
            None => Err(ServerError::Panicked { worker }),
        };
        // There is room for one farewell of each worker.
        let _ = self.ends.try_send(end);
    }
}

fn run(work: impl AsyncFnOnce() -> io::Result<()>, mut farewell: Farewell) {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(async { pin!(work()).await });
            // Here every connection that is left is cut.
            drop(runtime);
            result
        }
        Err(error) => Err(error),
    };
    farewell.result = Some(result);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_of_one_worker_is_heard_while_others_run() {
        let drain = Drain::new();
        let work = |index: usize| {
            let drain = drain.clone();
            async move || {
                assert!(index != 1, "meant to be");
                drain.ended().await;
                Ok(())
            }
        };
        let mut workers = Workers::start(vec![work(0), work(1)], &drain).unwrap();
        assert_eq!(workers.wait().await.unwrap_err().to_string(), "worker 1 panicked");
        drain.cut();
        workers.join().unwrap();
    }

    #[tokio::test]
    async fn workers_return_when_the_drain_has_ended() {
        let drain = Drain::new();
        let work = |drain: Drain| {
            async move || {
                drain.ended().await;
                Ok(())
            }
        };
        let mut workers = Workers::start(vec![work(drain.clone()), work(drain.clone())], &drain).unwrap();
        drain.cut();
        workers.wait().await.unwrap();
        workers.join().unwrap();
    }

    #[test]
    fn tasks_of_a_worker_are_dropped_before_it_is_joined() {
        struct Held(std::sync::mpsc::Sender<&'static str>);
        impl Drop for Held {
            fn drop(&mut self) {
                self.0.send("dropped").unwrap();
            }
        }
        let (sender, dropped) = std::sync::mpsc::channel();
        let drain = Drain::new();
        let ended = drain.clone();
        let work = async move || {
            let held = Held(sender);
            tokio::task::spawn_local(async move {
                let _held = held;
                std::future::pending::<()>().await;
            });
            ended.ended().await;
            Ok(())
        };
        let workers = Workers::start(vec![work], &drain).unwrap();
        assert!(dropped.try_recv().is_err());
        drain.cut();
        workers.join().unwrap();
        assert_eq!(dropped.try_recv(), Ok("dropped"));
    }
}
