//! One line a request, written by a thread of its own.
//!
//! Each worker gathers lines in a buffer and hands it over when it is full or a moment old: a channel message
//! per request would cost more than the whole check of a token.
//! Never here: tokens, passwords, cookies, bodies, queries.

mod line;
mod record;
mod worker;
mod writer;

use std::{
    fmt,
    io::{self, Write},
};

pub use line::Format;
pub use record::Record;
pub use worker::WorkerLog;

use crate::metrics::Metrics;

/// The access log. Whoever owns it decides when it ends: dropping it writes what was handed over.
///
/// Not `Clone`: the end of one copy would be the end of all. End the workers first; what they still hold is
/// lost with the log.
#[derive(Debug)]
pub struct AccessLog {
    writer: writer::Writer,
    format: Format,
    metrics: Metrics,
}

impl AccessLog {
    /// Starts the writer's thread.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(sink: Sink, format: Format, metrics: Metrics) -> io::Result<Self> {
        let output = match sink {
            Sink::Stdout => Box::new(io::stdout()),
            Sink::Writer(writer) => writer,
        };
        Ok(Self { writer: writer::Writer::start(output, metrics.clone())?, format, metrics })
    }

    /// What workers open their parts of the log with.
    pub fn handle(&self) -> Handle {
        Handle { format: self.format, queue: self.writer.queue(), metrics: self.metrics.clone() }
    }

    /// The part of the log that one more worker writes to.
    pub fn worker(&self) -> WorkerLog {
        self.handle().worker()
    }
}

/// Opens parts of the log on whatever thread a worker runs. Not the log: it may outlive it, and then writes nothing.
#[derive(Clone, Debug)]
pub struct Handle {
    format: Format,
    queue: writer::Queue,
    metrics: Metrics,
}

impl Handle {
    /// The part of the log that one more worker writes to.
    pub fn worker(&self) -> WorkerLog {
        WorkerLog::new(self.format, self.queue.clone(), self.metrics.clone())
    }
}

/// Where the lines go.
pub enum Sink {
    /// Standard output.
    Stdout,
    /// Anything else that takes bytes.
    Writer(Box<dyn Write + Send>),
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stdout => "Stdout",
            Self::Writer(_) => "Writer",
        })
    }
}

#[cfg(test)]
mod tests;
