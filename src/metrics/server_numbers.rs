//! What is counted of upstreams' servers. Requests in flight change with each request, so every worker has a cell
//! for them.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Counter, Gauge};

/// What is counted of one server of an upstream.
#[derive(Debug, Default)]
pub struct ServerNumbers {
    /// The upstream's name.
    pub upstream: String,
    /// The server as the configuration has it.
    pub server: String,
    /// 1 while requests go to it as a rule, 0 while it is unhealthy or set aside.
    pub healthy: Gauge,
    /// Connections to it, those being made included, those of health checks not.
    pub connections: Gauge,
    /// Connections that could not be made.
    pub connect_failures: Counter,
    /// Requests that it did not answer in time.
    pub timeouts: Counter,
    /// Answers that never came, could not be read, or broke off.
    pub broken_answers: Counter,
    /// Requests that were sent again because of it.
    pub retries: Counter,
    in_flight: Mutex<Vec<Arc<Gauge>>>,
}

impl ServerNumbers {
    /// Numbers of a healthy server without connections.
    pub(super) fn new(upstream: &str, server: &str) -> Self {
        let numbers = Self { upstream: upstream.to_owned(), server: server.to_owned(), ..Self::default() };
        numbers.healthy.set(1);
        numbers
    }

    /// The cell in which one more worker keeps its requests in flight.
    pub fn worker(&self) -> Arc<Gauge> {
        let cell = Arc::new(Gauge::default());
        let mut cells = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        // Of workers that have ended.
        cells.retain(|cell| Arc::strong_count(cell) > 1);
        cells.push(Arc::clone(&cell));
        cell
    }

    /// Requests at the server, or waiting for a connection to it, in all workers.
    pub fn in_flight(&self) -> u64 {
        let cells = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        cells.iter().map(|cell| cell.value()).sum()
    }
}
