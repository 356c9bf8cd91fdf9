//! The signals of the process: SIGTERM and SIGINT drain, the second of them ends at once, SIGHUP and SIGXFSZ kill nobody.
//!
//! Never here: how a drain goes (`start`, `server`).

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::warn;

use super::{App, StartError};

/// Runs until SIGTERM or SIGINT, then drains; a second one ends at once.
///
/// # Errors
/// As [`App::run`].
pub fn run_until_signal(app: App) -> Result<(), StartError> {
    let first = app.block_on(async { Signals::new() }).map_err(StartError::Resources)?;
    let second = app.block_on(async { Signals::new() }).map_err(StartError::Resources)?;
    let hangup = app.block_on(async { signal(SignalKind::hangup()) }).map_err(StartError::Resources)?;
    app.run(first.next_beside(hangup), second.second())
}

/// From here on, as long as the process lives, SIGHUP and SIGXFSZ kill nobody. To be called before anything that
/// waits: a start may wait for a database, or read a long log.
pub(super) fn survive() -> io::Result<()> {
    // The handler stays when its listener is dropped.
    drop(signal(SignalKind::hangup())?);
    survive_file_size_limits()
}

/// A write beyond the file-size limit (`ulimit -f`) shall fail like one on a full disk. By default its signal, SIGXFSZ,
/// kills the process; one that is listened to does not.
fn survive_file_size_limits() -> io::Result<()> {
    // The number on Linux, which `SignalKind` does not name.
    signal(SignalKind::from_raw(25)).map(drop)
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Whoever knows nginx sends SIGHUP to have the configuration read again. Ending at it, as a program does that asks
    /// for nothing else, would break off whatever is in flight.
    async fn next_beside(mut self, mut hangup: Signal) {
        loop {
            tokio::select! {
                () = self.wait() => return,
                Some(()) = hangup.recv() => {
                    warn!("SIGHUP changes nothing: a changed configuration needs a restart");
                }
            }
        }
    }

    /// Both listeners hear every signal: this one lets the first go by.
    async fn second(mut self) {
        self.wait().await;
        self.wait().await;
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
