//! What the program counts; `admin` shows it as OpenMetrics.
//!
//! Whatever a request touches is counted in cells of its worker and summed when somebody looks, so that no
//! cache line is shared on the hot path.
//! Never here: HTTP, the words of a metric's help text (`admin`).

mod cells;
mod cut;
mod handshake;
mod limit;
mod listener;
mod sampled;
mod server_numbers;

use std::{
    collections::BTreeMap,
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
};

pub use cells::{Counter, Gauge, Histogram, RequestCells, Verdict};
pub use cut::{ByCut, Cut};
pub use handshake::{ByHandshakeFailure, HandshakeFailure};
pub use limit::{ByLimit, Limit};
pub use listener::{ByListener, Listener};
pub use sampled::Sampled;
pub use server_numbers::ServerNumbers;

use crate::clock::Timestamp;

/// Everything that is counted. A cheap handle; clones share one set of numbers.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Numbers>);

impl Metrics {
    /// Numbers at zero. `routes` are the labels of requests: route names by index, and behind them
    /// [`Numbers::AUTH_ENDPOINTS`] and [`Numbers::NO_ROUTE`].
    pub fn new(mut routes: Vec<String>) -> Self {
        routes.extend([Numbers::AUTH_ENDPOINTS.to_owned(), Numbers::NO_ROUTE.to_owned()]);
        Self(Arc::new(Numbers { routes, ..Numbers::default() }))
    }

    /// Cells for one more worker.
    pub fn worker(&self) -> Arc<RequestCells> {
        let cells = Arc::new(RequestCells::new(self.routes.len()));
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&cells));
        cells
    }

    /// Says until when the certificates in use are valid, each by a name of its own. Of two that share a name the one
    /// counts that ends first.
    pub fn set_certificates(&self, certificates: impl IntoIterator<Item = (String, Timestamp)>) {
        let mut ends = BTreeMap::<String, Timestamp>::new();
        for (name, end) in certificates {
            ends.entry(name).and_modify(|first| *first = end.min(*first)).or_insert(end);
        }
        *self.certificates.lock().unwrap_or_else(PoisonError::into_inner) = ends;
    }

    /// Until when the certificates in use are valid, by name.
    pub fn certificates(&self) -> BTreeMap<String, Timestamp> {
        self.certificates.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The cells of every worker, for whoever sums them.
    pub fn workers(&self) -> Vec<Arc<RequestCells>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The numbers of a server of an upstream: the same ones whenever it is named again.
    pub fn server(&self, upstream: &str, server: &str) -> Arc<ServerNumbers> {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let known = servers.iter().find(|known| known.upstream == upstream && known.server == server);
        if let Some(known) = known {
            return Arc::clone(known);
        }
        let numbers = Arc::new(ServerNumbers::new(upstream, server));
        servers.push(Arc::clone(&numbers));
        numbers
    }

    /// The numbers of every upstream's servers.
    pub fn servers(&self) -> Vec<Arc<ServerNumbers>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Deref for Metrics {
    type Target = Numbers;

    fn deref(&self) -> &Numbers {
        &self.0
    }
}

/// The numbers that do not belong to one worker.
#[derive(Debug, Default)]
pub struct Numbers {
    /// Labels of requests, by index.
    pub routes: Vec<String>,
    /// Connections open now.
    pub connections: ByListener<Gauge>,
    /// Connections ever accepted.
    pub connections_accepted: Counter,
    /// Connections closed at once because too many were open, in all or from one address.
    pub connections_refused: Counter,
    /// WebSocket tunnels open now.
    pub tunnels: Gauge,
    /// Answers cut before their end because their token died, or may have.
    pub answers_cut: ByCut,
    /// Requests refused before their head was read to its end: malformed, too large or too slow. No log tells of them.
    pub unread_requests: Counter,
    /// Failures to accept a connection, most often for lack of file descriptors.
    pub accept_failures: Counter,
    /// Connections closed because PROXY headers are wanted, and their peer is no trusted proxy.
    pub proxies_untrusted: Counter,
    /// Connections closed because their PROXY header was missing, malformed or late.
    pub proxy_header_failures: Counter,
    /// TLS handshakes completed.
    pub handshakes: Counter,
    /// TLS handshakes that failed or took too long.
    pub handshake_failures: ByHandshakeFailure,
    /// Good logins.
    pub logins: Counter,
    /// Refused logins.
    pub login_failures: Counter,
    /// Accounts registered.
    pub registrations: Counter,
    /// Logouts granted, of one session or of all.
    pub logouts: Counter,
    /// Passwords changed by their users.
    pub password_changes: Counter,
    /// Refreshes granted.
    pub refreshes: Counter,
    /// Sessions ended because a token came that only a thief can have kept.
    pub refresh_thefts: Counter,
    /// Successors of a rotating client replaced unused.
    pub refresh_replacements: Counter,
    /// Attempts refused by a throttle.
    pub throttled: ByLimit,
    /// Password hashes waiting for a thread.
    pub hash_queue: Gauge,
    /// Password hashes turned away because too many waited.
    pub hashes_refused: Counter,
    /// How long hashing a password, or checking one, takes a thread.
    pub hash_duration: Histogram,
    /// Revocations that the store could not keep, and that will not be written: too many waited.
    pub revocations_forgotten: Counter,
    /// How long revocations of other processes took to be in force here, by the store's clock.
    pub revocation_delay: Histogram,
    /// Number of the last log entry that this process has applied.
    pub revocation_sequence: Gauge,
    /// Store operations that failed.
    pub store_failures: Counter,
    /// Access log lines dropped because their writer could not keep up.
    pub log_lines_dropped: Counter,
    /// Lines on standard error dropped because nobody read it.
    pub event_lines_dropped: Sampled,
    certificates: Mutex<BTreeMap<String, Timestamp>>,
    workers: Mutex<Vec<Arc<RequestCells>>>,
    servers: Mutex<Vec<Arc<ServerNumbers>>>,
}

impl Numbers {
    /// The label of requests to the auth endpoints.
    pub const AUTH_ENDPOINTS: &'static str = "auth";
    /// The label of requests that no route took.
    pub const NO_ROUTE: &'static str = "none";

    /// The index of [`Self::AUTH_ENDPOINTS`].
    pub fn auth_endpoints(&self) -> usize {
        self.routes.len().saturating_sub(2)
    }

    /// The index of [`Self::NO_ROUTE`].
    pub fn no_route(&self) -> usize {
        self.routes.len().saturating_sub(1)
    }
}
