//! The part of the log that one worker owns.

use std::{cell::RefCell, mem};

use super::{
    Record,
    line::{Format, Lines},
    writer::{Filled, Queue},
};
use crate::metrics::Metrics;

/// Gathers one worker's lines. Never waits: when the writer is behind, lines are dropped and counted.
///
/// Whoever owns it calls [`Self::tick`] about every 200 ms, so that no line waits long for its buffer to fill.
#[derive(Debug)]
pub struct WorkerLog {
    gathered: RefCell<Gathered>,
    queue: Queue,
    metrics: Metrics,
}

#[derive(Debug)]
struct Gathered {
    lines: Lines,
    bytes: Vec<u8>,
    count: u64,
}

impl WorkerLog {
    pub(super) fn new(format: Format, queue: Queue, metrics: Metrics) -> Self {
        let gathered = Gathered { lines: Lines::new(format), bytes: queue.empty_buffer(), count: 0 };
        Self { gathered: RefCell::new(gathered), queue, metrics }
    }

    /// Appends one line.
    pub fn write(&self, record: &Record<'_>) {
        let mut gathered = self.gathered.borrow_mut();
        let Gathered { lines, bytes, count } = &mut *gathered;
        lines.append(bytes, record);
        *count += 1;
        if bytes.len() >= FULL {
            self.hand_over(&mut gathered);
        }
    }

    /// Hands over what has gathered, however little.
    pub fn tick(&self) {
        self.hand_over(&mut self.gathered.borrow_mut());
    }

    fn hand_over(&self, gathered: &mut Gathered) {
        if gathered.count == 0 {
            return;
        }
        let lines = mem::take(&mut gathered.count);
        let bytes = mem::take(&mut gathered.bytes);
        gathered.bytes = match self.queue.push(Filled { bytes, lines }) {
            Ok(()) => self.queue.empty_buffer(),
            Err(mut refused) => {
                self.metrics.log_lines_dropped.add(refused.lines);
                refused.bytes.clear();
                refused.bytes
            }
        };
    }
}

impl Drop for WorkerLog {
    fn drop(&mut self) {
        self.tick();
    }
}

/// Bytes at which a buffer is handed over.
const FULL: usize = 32 * 1024;
