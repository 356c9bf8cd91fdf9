//! The connections of one worker to one server: a stack, the warmest on top.
//!
//! A connection holds its permit for life, idle or not, so that the number of sockets is capped over all workers
//! and a request on a warm connection touches nothing that workers share. Whoever finds no permit free waits for
//! one, or for a connection of its own worker to come back, or for another worker to give up an idle one.
//! Never here: which server, when a request is sent again (`pool`).

use std::{
    cell::{Cell, RefCell},
    io,
    pin::pin,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use http::HeaderValue;
use tokio::{sync::Notify, task::spawn_local, time::timeout};

use super::{
    Awaited, ProxyError,
    connection::Connection,
    server::{Permit, Server},
    share::{Client, Hold, Holdings},
};
use crate::clock::Stopwatch;

/// Which connection a request may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The warmest.
    Any,
    /// A new one if at all possible: an old one has just turned out dead, and its neighbours may be too.
    New,
}

/// One worker's connections to one server.
pub(super) struct Stack {
    pub(super) server: Arc<Server>,
    /// What `Host` says, where it does not say what the client sent. This worker's own copy, as what is shared
    /// would be counted by all workers in one place.
    pub(super) host: Option<HeaderValue>,
    index: usize,
    connect_timeout: Duration,
    idle_timeout: Duration,
    holdings: Rc<Holdings>,
    idle: RefCell<Vec<Idle>>,
    /// Requests of this worker that wait for a connection.
    waiting: Cell<usize>,
    /// Those that wait because their client's share is used up.
    waiting_for_share: Cell<usize>,
    returned: Notify,
    share_returned: Notify,
}

struct Idle {
    connection: Connection,
    since: Stopwatch,
}

impl Stack {
    pub(super) fn new(
        server: Arc<Server>,
        index: usize,
        connect_timeout: Duration,
        idle_timeout: Duration,
    ) -> Self {
        let own = || HeaderValue::from_bytes(server.authority.as_bytes()).ok();
        Self {
            host: if server.names_itself { own() } else { None },
            index,
            connect_timeout,
            idle_timeout,
            holdings: server.shares.worker(&server.numbers),
            idle: RefCell::default(),
            waiting: Cell::new(0),
            waiting_for_share: Cell::new(0),
            returned: Notify::new(),
            share_returned: Notify::new(),
            server,
        }
    }

    /// Whether `client` would get a connection at once, or a new one.
    pub(super) fn has_room(&self, client: Client) -> bool {
        let is_there = !self.idle.borrow().is_empty() || self.server.has_permits();
        is_there && self.server.allows(client)
    }

    /// The warmest connection, if there is one and nobody else waits for it.
    pub(super) fn take(&self, client: Client) -> Option<Connection> {
        // Whoever waits was here first.
        if self.waiting.get() > 0 || !self.server.allows(client) {
            return None;
        }
        let mut connection = self.pop()?;
        connection.hold = Some(self.holdings.hold(client));
        Some(connection)
    }

    /// A connection for one request; waits for a free one no longer than `connect_timeout`, and as long again for a
    /// new one to be accepted.
    ///
    /// # Errors
    /// [`ProxyError::Connect`], [`ProxyError::NoCapacity`], [`ProxyError::ShareUsed`], [`ProxyError::Timeout`].
    pub(super) async fn acquire(&self, wanted: Wanted, client: Client) -> Result<Connection, ProxyError> {
        let stopwatch = Stopwatch::start();
        let hold = self.share(client).await?;
        let found = match self.find(wanted) {
            Some(found) => found,
            None => self.wait(wanted, self.connect_timeout.saturating_sub(stopwatch.elapsed())).await?,
        };
        let mut connection = match found {
            Found::Connection(connection) => connection,
            Found::Permit(permit) => self.open(permit).await?,
        };
        connection.hold = Some(hold);
        Ok(connection)
    }

    /// Takes a connection back that can serve again.
    pub(super) fn keep(&self, mut connection: Connection) {
        if let Some(names) = self.server.way.names()
            && !connection.is_current(names)
        {
            return;
        }
        let waiting_here = self.waiting.get() > 0;
        if !waiting_here && self.server.waiting.load(Ordering::Relaxed) > 0 {
            // Another worker's request waits for the permit that this connection holds.
            return;
        }
        self.idle.borrow_mut().push(Idle { connection, since: Stopwatch::start() });
        if waiting_here {
            self.returned.notify_one();
        }
    }

    /// The request that a connection carried is over.
    pub(super) fn end(&self, connection: &mut Connection) {
        connection.hold = None;
        if self.waiting_for_share.get() > 0 {
            self.share_returned.notify_one();
        }
    }

    /// Closes what is too old or dead, and what another worker needs more; and has the server's name looked up again
    /// while it is in use, as requests on warm connections never would.
    pub(super) fn tidy(&self) {
        let mut idle = self.idle.borrow_mut();
        let names = self.server.way.names();
        if let Some(names) = names.filter(|names| names.is_stale())
            && (self.holdings.requests() > 0 || !idle.is_empty())
        {
            let names = Arc::clone(names);
            spawn_local(async move { names.refresh().await });
        }
        let limit = self.idle_timeout;
        idle.retain_mut(|idle| {
            let current = names.is_none_or(|names| idle.connection.is_current(names));
            current && !idle.connection.is_closed() && idle.since.elapsed() < limit
        });
        let elsewhere = self.server.waiting.load(Ordering::Relaxed).saturating_sub(self.waiting.get());
        let surplus = elsewhere.min(idle.len().saturating_sub(self.waiting.get()));
        idle.drain(..surplus);
    }

    /// Connections that wait for a request.
    #[cfg(test)]
    pub(super) fn idle(&self) -> usize {
        self.idle.borrow().len()
    }

    fn pop(&self) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        while let Some(Idle { connection, since }) = idle.pop() {
            if since.elapsed() >= self.idle_timeout {
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

    /// Waits until `client` may have one more.
    async fn share(&self, client: Client) -> Result<Hold, ProxyError> {
        if self.server.allows(client) {
            return Ok(self.holdings.hold(client));
        }
        let used = || ProxyError::ShareUsed { upstream: Arc::clone(&self.server.upstream) };
        if self.waiting_for_share.get() >= MAX_WAITING_FOR_SHARE {
            return Err(used());
        }
        let _waiting = Counted::new(&self.waiting_for_share);
        let search = async {
            loop {
                // Told is who has waited longest, of whatever client. What other workers give back is not told,
                // but seen.
                let _ = timeout(SHARE_RECHECKED, self.share_returned.notified()).await;
                if self.server.allows(client) {
                    return self.holdings.hold(client);
                }
            }
        };
        timeout(self.connect_timeout, search).await.map_err(|_| used())
    }

    /// What can be had without waiting.
    fn find(&self, wanted: Wanted) -> Option<Found> {
        // Whoever waits was here first.
        if self.waiting.get() > 0 {
            return None;
        }
        let warm = if wanted == Wanted::Any { self.pop() } else { None };
        warm.map(Found::Connection).or_else(|| self.server.try_permit().map(Found::Permit))
    }

    async fn open(&self, permit: Permit) -> Result<Connection, ProxyError> {
        match Connection::open(&self.server.way, self.connect_timeout, Some(permit)).await {
            Ok(mut connection) => {
                self.server.standing.connected();
                connection.server = self.index;
                Ok(connection)
            }
            Err(cause) => {
                self.server.standing.refused(&cause);
                let upstream = Arc::clone(&self.server.upstream);
                Err(match cause.kind() {
                    io::ErrorKind::TimedOut => ProxyError::Timeout { upstream, awaited: Awaited::Connection },
                    _ => ProxyError::Connect { upstream, cause },
                })
            }
        }
    }

    async fn wait(&self, wanted: Wanted, limit: Duration) -> Result<Found, ProxyError> {
        let _waiting = Waiting::new(self);
        if wanted == Wanted::New {
            // Its permit comes free as soon as its task has closed the socket.
            self.idle.borrow_mut().pop();
        }
        self.server.wanted.notify_waiters();
        let search = async {
            let mut permit = pin!(self.server.next_permit());
            loop {
                tokio::select! {
                    biased;
                    () = self.returned.notified() => if let Some(connection) = self.pop() {
                        return Some(Found::Connection(connection));
                    },
                    permit = &mut permit => return permit.map(Found::Permit),
                }
            }
        };
        match timeout(limit, search).await {
            Ok(Some(found)) => Ok(found),
            Ok(None) | Err(_) => Err(ProxyError::NoCapacity { upstream: Arc::clone(&self.server.upstream) }),
        }
    }
}

/// What a waiting request finds.
enum Found {
    Connection(Connection),
    Permit(Permit),
}

/// Counts a waiting request for as long as it waits.
struct Waiting<'a> {
    stack: &'a Stack,
    _here: Counted<'a>,
}

impl<'a> Waiting<'a> {
    fn new(stack: &'a Stack) -> Self {
        stack.server.waiting.fetch_add(1, Ordering::Relaxed);
        Self { stack, _here: Counted::new(&stack.waiting) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.stack.server.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Counted<'a>(&'a Cell<usize>);

impl<'a> Counted<'a> {
    fn new(count: &'a Cell<usize>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// Requests of a worker that wait because their client's share is used up; more are refused at once.
const MAX_WAITING_FOR_SHARE: usize = 1024;

/// How often they look whether another worker has given something back.
const SHARE_RECHECKED: Duration = Duration::from_millis(50);
