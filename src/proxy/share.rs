//! One client's share of a server's connections.
//!
//! A client that uploads or reads slowly holds a connection for as long as it likes; one that holds all of them
//! starves everybody else. So where half of a server's connections are in use, no client address may hold more than
//! a quarter of them, nor fewer than [`LEAST`].
//!
//! Counting must cost requests nothing: each worker counts in cells of its own, by plain loads and stores, and only
//! who finds the server half busy reads the others' cells. The cells are a count-min sketch: an address counts in one
//! cell of each row, and what it holds is at most the least of its cells. Whose cells coincide is decided by a seed
//! that nobody outside knows.
//! Never here: what happens to a client whose share is used up (`stack`).

use std::{
    cell::Cell,
    hash::BuildHasher,
    net::IpAddr,
    rc::Rc,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU32, Ordering},
    },
};

use foldhash::quality::RandomState;

use crate::{
    metrics::{Gauge, ServerNumbers},
    net::counted_as,
};

/// How a server's connections are shared, for all workers.
pub(super) struct Shares {
    busy: u64,
    share: u64,
    seed: RandomState,
    workers: RwLock<Vec<Arc<Cells>>>,
}

/// What one worker's requests hold of one server.
pub(super) struct Holdings {
    cells: Arc<Cells>,
    requests: Cell<u64>,
}

/// A client's cells, one a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client([u16; ROWS]);

/// One request's hold. Given back when dropped.
pub(super) struct Hold {
    holdings: Rc<Holdings>,
    client: Client,
}

/// Written by one worker alone.
struct Cells {
    requests: Arc<Gauge>,
    rows: [Box<[AtomicU32]>; ROWS],
}

impl Shares {
    pub(super) fn new(connections: usize) -> Self {
        let connections = u64::try_from(connections).unwrap_or(u64::MAX);
        Self {
            busy: connections.div_ceil(2),
            share: (connections / 4).max(LEAST),
            seed: RandomState::default(),
            workers: RwLock::default(),
        }
    }

    /// The cells of one more worker.
    pub(super) fn worker(&self, numbers: &ServerNumbers) -> Rc<Holdings> {
        let row = || (0..WIDTH).map(|_| AtomicU32::new(0)).collect();
        let cells = Arc::new(Cells { requests: numbers.worker(), rows: std::array::from_fn(|_| row()) });
        let mut workers = self.workers.write().unwrap_or_else(PoisonError::into_inner);
        // Of workers that have ended.
        workers.retain(|cells| Arc::strong_count(cells) > 1);
        workers.push(Arc::clone(&cells));
        Rc::new(Holdings { cells, requests: Cell::new(0) })
    }

    /// The client that this address counts as.
    pub(super) fn client(&self, address: IpAddr) -> Client {
        let hash = self.seed.hash_one(counted_as(address));
        let [a, b, c, d, ..] = hash.to_le_bytes();
        // Bits beyond the width are cut where the cells are looked up.
        Client([u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d])])
    }

    /// Whether `client` may have one more. Reads what other workers write: to be asked only where many connections
    /// are open.
    pub(super) fn allow(&self, client: Client) -> bool {
        let workers = self.workers.read().unwrap_or_else(PoisonError::into_inner);
        if workers.iter().map(|cells| cells.requests.value()).sum::<u64>() < self.busy {
            return true;
        }
        let rows = client.0.iter().enumerate();
        let held = rows.map(|(row, cell)| workers.iter().map(|cells| cells.count(row, *cell)).sum::<u64>());
        held.min().is_none_or(|held| held < self.share)
    }
}

impl Holdings {
    /// Counts one request of `client`.
    pub(super) fn hold(self: &Rc<Self>, client: Client) -> Hold {
        self.count(client, 1);
        Hold { holdings: Rc::clone(self), client }
    }

    /// Requests that are counted now.
    pub(super) const fn requests(&self) -> u64 {
        self.requests.get()
    }

    fn count(&self, client: Client, difference: i32) {
        let requests = self.requests.get().saturating_add_signed(difference.into());
        self.requests.set(requests);
        self.cells.requests.set(requests);
        for (row, cell) in self.cells.rows.iter().zip(client.0) {
            if let Some(cell) = row.get(usize::from(cell) % WIDTH) {
                // Nobody else writes it.
                cell.store(cell.load(Ordering::Relaxed).saturating_add_signed(difference), Ordering::Relaxed);
            }
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.holdings.count(self.client, -1);
    }
}

impl Cells {
    fn count(&self, row: usize, cell: u16) -> u64 {
        let cell = self.rows.get(row).and_then(|row| row.get(usize::from(cell) % WIDTH));
        cell.map_or(0, |cell| cell.load(Ordering::Relaxed).into())
    }
}

/// What a client may always hold: the connections that a browser opens at once, and a little more.
pub(super) const LEAST: u64 = 8;

const ROWS: usize = 2;

/// A power of two, so that the cells are equally likely.
const WIDTH: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn a_client_may_hold_half_of_an_idle_server_and_a_quarter_of_a_busy_one() {
        let numbers = Metrics::default().server("a", "b");
        let shares = Shares::new(64);
        let workers = [shares.worker(&numbers), shares.worker(&numbers)];
        let mut holds = Vec::new();
        let mut take = |last: u8| {
            let client = shares.client(address(last));
            let allowed = shares.allow(client);
            if allowed {
                holds.push(workers[holds.len() % 2].hold(client));
            }
            allowed
        };
        let greedy = (0..64).filter(|_| take(1)).count();
        assert_eq!(greedy, 32, "until the server is half busy");
        let late = (0..64).filter(|_| take(2)).count();
        assert_eq!(late, 16, "a quarter");
        assert!(take(3));
        assert_eq!(numbers.in_flight(), 49);

        holds.clear();
        assert_eq!(numbers.in_flight(), 0);
        assert!(shares.allow(shares.client(address(1))));
    }

    #[test]
    fn a_small_server_leaves_what_a_browser_needs() {
        let numbers = Metrics::default().server("a", "b");
        for (connections, most) in [(1, 8), (8, 8), (16, 8), (20, 10), (64, 32)] {
            let shares = Shares::new(connections);
            let worker = shares.worker(&numbers);
            let client = shares.client(address(1));
            let mut holds = Vec::new();
            while holds.len() < 100 && shares.allow(client) {
                holds.push(worker.hold(client));
            }
            assert_eq!(holds.len(), most, "{connections}");
        }
    }

    #[test]
    fn one_network_is_one_client() {
        let shares = Shares::new(64);
        let of = |text: &str| shares.client(text.parse().unwrap()).0;
        assert_eq!(of("2001:db8::1"), of("2001:db8::2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    }
}
