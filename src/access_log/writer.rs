//! The thread that writes, and the bounded queue of buffers before it.

use std::{
    io::{self, Write},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TryRecvError},
    },
    thread,
    time::Duration,
};

use tracing::{error, warn};

use crate::metrics::Metrics;

/// Owns the thread; dropping it ends the thread, after everything in the queue is written.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Queue,
    stop: Arc<AtomicBool>,
    /// Disconnected as soon as the thread is through.
    ended: Receiver<()>,
}

impl Writer {
    pub(super) fn start(output: Box<dyn Write + Send>, metrics: Metrics) -> io::Result<Self> {
        let (sender, receiver) = mpsc::sync_channel(QUEUE);
        let (alive, ended) = mpsc::sync_channel(0);
        let queue = Queue { sender, spare: Arc::default() };
        let stop = Arc::new(AtomicBool::new(false));
        let work = Work {
            receiver,
            output,
            spare: Arc::clone(&queue.spare),
            stop: Arc::clone(&stop),
            metrics,
            failed: false,
        };
        thread::Builder::new().name("access-log".to_owned()).spawn(move || {
            let _alive: SyncSender<()> = alive;
            work.run();
        })?;
        Ok(Self { queue, stop, ended })
    }

    pub(super) fn queue(&self) -> Queue {
        self.queue.clone()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes a writer that waits; where the queue is full it does not wait.
        let _ = self.queue.sender.try_send(Filled { bytes: Vec::new(), lines: 0 });
        // A reader of standard output that has stopped reading must not keep the process from ending.
        if self.ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            error!("The access log could not be written to its end: nobody takes its lines");
        }
    }
}

/// The way to the writer. A cheap handle.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    sender: SyncSender<Filled>,
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Queue {
    /// Gives the buffer back where the queue is full or the writer has ended.
    pub(super) fn push(&self, filled: Filled) -> Result<(), Filled> {
        self.sender.try_send(filled).map_err(|error| match error {
            mpsc::TrySendError::Full(filled) | mpsc::TrySendError::Disconnected(filled) => filled,
        })
    }

    pub(super) fn empty_buffer(&self) -> Vec<u8> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.unwrap_or_else(|| Vec::with_capacity(BUFFER))
    }
}

/// Whole lines, and how many.
#[derive(Debug)]
pub(super) struct Filled {
    pub(super) bytes: Vec<u8>,
    pub(super) lines: u64,
}

struct Work {
    receiver: Receiver<Filled>,
    output: Box<dyn Write + Send>,
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
    stop: Arc<AtomicBool>,
    metrics: Metrics,
    failed: bool,
}

impl Work {
    fn run(mut self) {
        while let Some(filled) = self.next() {
            self.write(&filled);
            self.give_back(filled.bytes);
        }
    }

    /// `None` when the queue is empty and nobody will fill it again.
    fn next(&self) -> Option<Filled> {
        match self.receiver.try_recv() {
            Ok(filled) => Some(filled),
            Err(TryRecvError::Empty) if !self.stop.load(Ordering::SeqCst) => self.receiver.recv().ok(),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
        }
    }

    fn write(&mut self, filled: &Filled) {
        let written = self.output.write_all(&filled.bytes).and_then(|()| self.output.flush());
        match written {
            Ok(()) => self.failed = false,
            Err(error) => {
                self.metrics.log_lines_dropped.add(filled.lines);
                // Once per trouble: a full disk must not fill the other log as well.
                if !self.failed {
                    warn!(error = %error, "The access log cannot be written: {error}");
                }
                self.failed = true;
            }
        }
    }

    fn give_back(&self, mut buffer: Vec<u8>) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < QUEUE && (1..=2 * BUFFER).contains(&buffer.capacity()) {
            buffer.clear();
            spare.push(buffer);
        }
    }
}

/// Buffers that may wait for the writer: 2 MiB or so.
const QUEUE: usize = 64;
/// Bytes of a new buffer: one that is handed over at 32 KiB rarely grows beyond.
const BUFFER: usize = 36 * 1024;
/// What the writer gets to write the rest when the log ends.
const PATIENCE: Duration = Duration::from_secs(5);
