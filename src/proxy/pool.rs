//! The connections of one worker to one upstream: a stack, the warmest on top.
//!
//! A connection holds its permit for life, idle or not, so that the number of sockets is capped over all workers
//! and a request on a warm connection touches nothing that workers share. Whoever finds no permit free waits for
//! one, or for a connection of its own worker to come back, or for another worker to give up an idle one.
//! Never here: what is sent, when a request is sent again.

use std::{
    cell::{Cell, RefCell},
    io,
    pin::pin,
    rc::{Rc, Weak},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::HeaderValue;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    task::spawn_local,
    time::timeout,
};

use super::{Awaited, HostHeader, ProxyError, UpstreamSettings, connection::Connection, resolve::Server};
use crate::clock::Stopwatch;

/// What all workers share of one upstream.
pub(super) struct Upstream {
    pub(super) settings: UpstreamSettings,
    pub(super) name: Arc<str>,
    /// What `Host` says, where it does not say what the client sent.
    pub(super) host: Option<HeaderValue>,
    server: Server,
    permits: Arc<Semaphore>,
    /// Requests that wait for a connection, in all workers.
    waiting: AtomicUsize,
    wanted: Notify,
}

impl Upstream {
    pub(super) fn new(settings: &UpstreamSettings) -> Self {
        let host = (settings.host == HostHeader::Upstream).then(|| {
            // An authority that was read from a URL is a legal value.
            HeaderValue::from_str(&settings.authority).unwrap_or_else(|_| HeaderValue::from_static(""))
        });
        Self {
            name: settings.name.as_str().into(),
            host,
            server: Server::new(&settings.server_host, settings.server_port),
            permits: Arc::new(Semaphore::new(settings.connections.min(Semaphore::MAX_PERMITS))),
            waiting: AtomicUsize::new(0),
            wanted: Notify::new(),
            settings: settings.clone(),
        }
    }
}

/// Which connection a request may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The warmest.
    Any,
    /// A new one if at all possible: an old one has just turned out dead, and its neighbours may be too.
    New,
}

/// One worker's connections to one upstream.
pub(super) struct Pool {
    pub(super) upstream: Arc<Upstream>,
    idle: RefCell<Vec<Idle>>,
    /// Requests of this worker that wait for a connection.
    waiting: Cell<usize>,
    returned: Notify,
}

struct Idle {
    connection: Connection,
    since: Stopwatch,
}

impl Pool {
    /// An empty pool, and the task that keeps it tidy until the pool is dropped. Must be called within a local
    /// runtime.
    pub(super) fn new(upstream: Arc<Upstream>) -> Rc<Self> {
        let pool = Rc::new(Self {
            idle: RefCell::default(),
            waiting: Cell::new(0),
            returned: Notify::new(),
            upstream: Arc::clone(&upstream),
        });
        spawn_local(sweep(Rc::downgrade(&pool), upstream));
        pool
    }

    /// A connection for one request; waits for a free one no longer than `connect_timeout`, and as long again for a
    /// new one to be accepted.
    ///
    /// # Errors
    /// [`ProxyError::Connect`], [`ProxyError::NoCapacity`], [`ProxyError::Timeout`].
    pub(super) async fn checkout(&self, wanted: Wanted) -> Result<Connection, ProxyError> {
        // Whoever waits was here first.
        if wanted == Wanted::Any
            && self.waiting.get() == 0
            && let Some(connection) = self.pop()
        {
            return Ok(connection);
        }
        // Boxed, as what a new connection needs is large, and every request would carry the room for it.
        Box::pin(self.acquire(wanted)).await
    }

    /// Takes a connection back once its exchange is over.
    pub(super) fn give_back(self: &Rc<Self>, mut connection: Connection) {
        connection.set_served();
        if connection.is_ready() {
            self.keep(connection);
        } else if !connection.is_closed() {
            // The answer came before the whole request had been sent.
            let pool = Rc::downgrade(self);
            spawn_local(async move {
                if timeout(SETTLING_TIME, connection.ready()).await == Ok(true)
                    && let Some(pool) = pool.upgrade()
                {
                    pool.keep(connection);
                }
            });
        }
    }

    /// Connections that wait for a request.
    #[cfg(test)]
    pub(super) fn idle(&self) -> usize {
        self.idle.borrow().len()
    }

    fn keep(&self, connection: Connection) {
        let waiting_here = self.waiting.get() > 0;
        if !waiting_here && self.upstream.waiting.load(Ordering::Relaxed) > 0 {
            // Another worker's request waits for the permit that this connection holds.
            return;
        }
        self.idle.borrow_mut().push(Idle { connection, since: Stopwatch::start() });
        if waiting_here {
            self.returned.notify_one();
        }
    }

    fn pop(&self) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        while let Some(Idle { connection, since }) = idle.pop() {
            if since.elapsed() >= self.upstream.settings.idle_timeout {
                // What lies below is older still.
                idle.clear();
                return None;
            }
            if !connection.is_closed() {
                return Some(connection);
            }
        }
        None
    }

    async fn acquire(&self, wanted: Wanted) -> Result<Connection, ProxyError> {
        let permit = match Arc::clone(&self.upstream.permits).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => match self.wait(wanted).await? {
                Found::Connection(connection) => return Ok(connection),
                Found::Permit(permit) => permit,
            },
        };
        self.open(permit).await
    }

    async fn open(&self, permit: OwnedSemaphorePermit) -> Result<Connection, ProxyError> {
        let opening = Connection::open(&self.upstream.server, self.upstream.settings.connect_timeout, permit);
        opening.await.map_err(|cause| {
            let upstream = Arc::clone(&self.upstream.name);
            match cause.kind() {
                io::ErrorKind::TimedOut => ProxyError::Timeout { upstream, awaited: Awaited::Connection },
                _ => ProxyError::Connect { upstream, cause },
            }
        })
    }

    async fn wait(&self, wanted: Wanted) -> Result<Found, ProxyError> {
        let _waiting = Waiting::new(self);
        if wanted == Wanted::New {
            // Its permit comes free as soon as its task has closed the socket.
            self.idle.borrow_mut().pop();
        }
        self.upstream.wanted.notify_waiters();
        let search = async {
            let mut permit = pin!(Arc::clone(&self.upstream.permits).acquire_owned());
            loop {
                tokio::select! {
                    biased;
                    () = self.returned.notified() => if let Some(connection) = self.pop() {
                        return Some(Found::Connection(connection));
                    },
                    permit = &mut permit => return permit.ok().map(Found::Permit),
                }
            }
        };
        match timeout(self.upstream.settings.connect_timeout, search).await {
            Ok(Some(found)) => Ok(found),
            Ok(None) | Err(_) => Err(ProxyError::NoCapacity { upstream: Arc::clone(&self.upstream.name) }),
        }
    }

    /// Closes what is too old or dead, and what another worker needs more.
    fn tidy(&self) {
        let mut idle = self.idle.borrow_mut();
        let limit = self.upstream.settings.idle_timeout;
        idle.retain(|idle| !idle.connection.is_closed() && idle.since.elapsed() < limit);
        let elsewhere = self.upstream.waiting.load(Ordering::Relaxed).saturating_sub(self.waiting.get());
        let surplus = elsewhere.min(idle.len().saturating_sub(self.waiting.get()));
        idle.drain(..surplus);
    }
}

/// What a waiting request finds.
enum Found {
    Connection(Connection),
    Permit(OwnedSemaphorePermit),
}

/// Counts a waiting request for as long as it waits.
struct Waiting<'a>(&'a Pool);

impl<'a> Waiting<'a> {
    fn new(pool: &'a Pool) -> Self {
        pool.waiting.set(pool.waiting.get() + 1);
        pool.upstream.waiting.fetch_add(1, Ordering::Relaxed);
        Self(pool)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get().saturating_sub(1));
        self.0.upstream.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn sweep(pool: Weak<Pool>, upstream: Arc<Upstream>) {
    let period = (upstream.settings.idle_timeout / 2).clamp(MIN_SWEEP, MAX_SWEEP);
    loop {
        // A wish that is uttered while nobody listens is met a period later.
        let _ = timeout(period, upstream.wanted.notified()).await;
        let Some(pool) = pool.upgrade() else { return };
        pool.tidy();
    }
}

/// For the rest of a request whose answer is complete: then the connection is closed.
const SETTLING_TIME: Duration = Duration::from_secs(1);

const MIN_SWEEP: Duration = Duration::from_millis(50);
const MAX_SWEEP: Duration = Duration::from_secs(1);
