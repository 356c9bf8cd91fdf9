//! The thread that watches upstreams' servers: no load on a worker may make a server look ill.
//!
//! Never here: what a check is (`proxy`).

use std::{io, thread};

use tokio::{
    runtime::{Builder, LocalOptions},
    sync::oneshot,
};

use crate::proxy::HealthChecks;

/// The health checks' own thread and runtime. Dropped, it ends.
pub(super) struct HealthThread {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl HealthThread {
    /// Begins to check; `None` where nothing is to be watched.
    ///
    /// # Errors
    /// There is no thread or no runtime to be had.
    pub(super) fn start(checks: HealthChecks) -> io::Result<Option<Self>> {
        if checks.is_empty() {
            return Ok(None);
        }
        let (stop, stopped) = oneshot::channel::<()>();
        let (begun, told) = std::sync::mpsc::sync_channel(1);
        let thread = thread::Builder::new().name("health".to_owned()).spawn(move || {
            // Made here, as it cannot be moved.
            match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
                Ok(runtime) => {
                    let _ = begun.send(Ok(()));
                    runtime.block_on(checks.run(async { drop(stopped.await) }));
                    // A look-up that hangs would hold up the end of the program.
                    runtime.shutdown_background();
                }
                Err(error) => drop(begun.send(Err(error))),
            }
        })?;
        told.recv().map_err(io::Error::other)??;
        Ok(Some(Self { stop: Some(stop), thread: Some(thread) }))
    }
}

impl Drop for HealthThread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic was printed where it happened.
            let _panicked = thread.join();
        }
    }
}
