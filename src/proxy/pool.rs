//! Which server of an upstream a request goes to, and where it goes next.
//!
//! Round robin, per worker, over the servers that nothing is known against. Nothing here is written by two workers.
//! Never here: what is sent, connections (`stack`), what is known of a server (`standing`).

use std::{
    cell::Cell,
    net::IpAddr,
    rc::{Rc, Weak},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use http::HeaderValue;
use tokio::{task::spawn_local, time::timeout};

use super::{
    ProxyError,
    connection::Connection,
    server::Upstream,
    share::Client,
    stack::{Stack, Wanted},
    standing::Trust,
};
use crate::metrics::{Counter, ServerNumbers};

/// One worker's connections to one upstream.
pub(super) struct Pool {
    pub(super) upstream: Arc<Upstream>,
    stacks: Box<[Stack]>,
    /// Where the next round begins.
    next: Cell<usize>,
}

/// How often a request may still be sent, and where not.
pub(super) struct Attempts {
    left: u32,
    /// The server that it failed at.
    failed_at: Option<usize>,
}

impl Attempts {
    /// The first one and `retries` more.
    pub(super) const fn new(retries: u32) -> Self {
        Self { left: retries, failed_at: None }
    }

    /// Whether there is another one.
    pub(super) const fn remain(&self) -> bool {
        self.left > 0
    }
}

/// A server, and which of its connections.
#[derive(Clone, Copy)]
struct Choice {
    server: usize,
    wanted: Wanted,
}

impl Pool {
    /// An empty pool, and the task that keeps it tidy until the pool is dropped. Must be called within a local
    /// runtime.
    pub(super) fn new(upstream: Arc<Upstream>) -> Rc<Self> {
        let settings = &upstream.settings;
        let servers = upstream.servers.iter().enumerate();
        let stacks = servers.map(|(index, server)| {
            Stack::new(Arc::clone(server), index, settings.connect_timeout, settings.idle_timeout)
        });
        let pool = Rc::new(Self {
            stacks: stacks.collect(),
            next: Cell::new(upstream.pools.fetch_add(1, Ordering::Relaxed)),
            upstream: Arc::clone(&upstream),
        });
        spawn_local(sweep(Rc::downgrade(&pool), upstream));
        pool
    }

    /// A connection for one request of `client`. A server that cannot be connected to uses up one of `attempts`,
    /// and another one is asked; one that is too slow to accept ends the search.
    ///
    /// # Errors
    /// [`ProxyError::Connect`], [`ProxyError::NoCapacity`], [`ProxyError::NoHealthyServer`],
    /// [`ProxyError::ShareUsed`], [`ProxyError::Timeout`].
    pub(super) async fn checkout(
        &self,
        client: IpAddr,
        attempts: &mut Attempts,
    ) -> Result<Connection, ProxyError> {
        // The seed of the first server serves for all of them.
        let Some(client) = self.stacks.first().map(|stack| stack.server.shares.client(client)) else {
            return Err(self.no_healthy_server());
        };
        let choice = self.choose(client, attempts.failed_at)?;
        if choice.wanted == Wanted::Any
            && let Some(connection) = self.stacks.get(choice.server).and_then(|stack| stack.take(client))
        {
            return Ok(connection);
        }
        // Boxed, as what a new connection needs is large, and every request would carry the room for it.
        Box::pin(self.acquire(choice, client, attempts)).await
    }

    /// Counts one more of what happens at a server.
    pub(super) fn count(&self, server: usize, what: impl FnOnce(&ServerNumbers) -> &Counter) {
        if let Some(stack) = self.stacks.get(server) {
            what(&stack.server.numbers).increment();
        }
    }

    /// The upstream and its server, for the log: of several, an operator must know which one failed.
    pub(super) fn name_of(&self, server: usize) -> Arc<str> {
        let upstream = &self.upstream;
        match upstream.settings.servers.get(server) {
            Some(server) if *server.name != *upstream.name => {
                format!("{}` at `{}", upstream.name, server.name).into()
            }
            _ => Arc::clone(&upstream.name),
        }
    }

    /// What `Host` says on that connection, where it does not say what the client sent.
    pub(super) fn host(&self, connection: &Connection) -> Option<&HeaderValue> {
        self.stacks.get(connection.server)?.host.as_ref()
    }

    /// Whether a request that `connection` has failed may be sent once more; it then goes elsewhere if it can.
    pub(super) fn again(&self, connection: &Connection, attempts: &mut Attempts) -> bool {
        self.use_up(connection.server, attempts)
    }

    /// Takes a connection back once its exchange is over.
    pub(super) fn give_back(self: &Rc<Self>, mut connection: Connection) {
        let Some(stack) = self.stacks.get(connection.server) else { return };
        connection.set_served();
        stack.end(&mut connection);
        if connection.is_ready() {
            stack.keep(connection);
        } else if !connection.is_closed() {
            // The answer came before the whole request had been sent.
            let pool = Rc::downgrade(self);
            spawn_local(async move {
                if timeout(SETTLING_TIME, connection.ready()).await == Ok(true)
                    && let Some(pool) = pool.upgrade()
                    && let Some(stack) = pool.stacks.get(connection.server)
                {
                    stack.keep(connection);
                }
            });
        }
    }

    /// Connections that wait for a request.
    #[cfg(test)]
    pub(super) fn idle(&self) -> usize {
        self.stacks.iter().map(Stack::idle).sum()
    }

    async fn acquire(
        &self,
        mut choice: Choice,
        client: Client,
        attempts: &mut Attempts,
    ) -> Result<Connection, ProxyError> {
        loop {
            let Some(stack) = self.stacks.get(choice.server) else { return Err(self.no_healthy_server()) };
            let error = match stack.acquire(choice.wanted, client).await {
                Ok(connection) => return Ok(connection),
                Err(error) => error,
            };
            // Nothing was sent. A second question to the same server would get the same answer.
            let has_others = self.stacks.len() > 1;
            if !(matches!(error, ProxyError::Connect { .. })
                && has_others
                && self.use_up(choice.server, attempts))
            {
                return Err(error);
            }
            choice = match self.choose(client, attempts.failed_at) {
                Ok(next) if next.server != choice.server => next,
                _ => return Err(error),
            };
        }
    }

    /// The next server in the round, but for the one that the request has just failed at.
    fn choose(&self, client: Client, failed_at: Option<usize>) -> Result<Choice, ProxyError> {
        let wanted = if failed_at.is_some() { Wanted::New } else { Wanted::Any };
        let count = self.stacks.len();
        let first = self.next.get();
        let (mut busy, mut aside, mut failed) = (None, None, None);
        for index in (first..first.saturating_add(count)).map(|index| index % count) {
            let Some(stack) = self.stacks.get(index) else { continue };
            let other = match stack.server.standing.trust() {
                Trust::Unhealthy => continue,
                _ if count == 1 => return Ok(Choice { server: index, wanted }),
                _ if failed_at == Some(index) => &mut failed,
                Trust::Aside => &mut aside,
                Trust::Trial => return Ok(Choice { server: index, wanted: Wanted::New }),
                Trust::Trusted if !stack.has_room(client) => &mut busy,
                Trust::Trusted => {
                    self.next.set((index + 1) % count);
                    return Ok(Choice { server: index, wanted });
                }
            };
            // The first in the round is the next of its kind.
            other.get_or_insert(index);
        }
        // A server that was set aside may have come back; that all of them have failed is no proof.
        let server = busy.or(aside).or(failed).ok_or_else(|| self.no_healthy_server())?;
        self.next.set((server + 1) % count.max(1));
        Ok(Choice { server, wanted })
    }

    fn use_up(&self, server: usize, attempts: &mut Attempts) -> bool {
        let Some(left) = attempts.left.checked_sub(1) else { return false };
        *attempts = Attempts { left, failed_at: Some(server) };
        if let Some(stack) = self.stacks.get(server) {
            stack.server.numbers.retries.increment();
        }
        true
    }

    fn no_healthy_server(&self) -> ProxyError {
        let health = self.upstream.settings.health.as_ref();
        ProxyError::NoHealthyServer {
            upstream: Arc::clone(&self.upstream.name),
            // Before the next check nothing changes.
            retry_after: health.map_or(Duration::from_secs(1), |health| health.interval),
        }
    }
}

async fn sweep(pool: Weak<Pool>, upstream: Arc<Upstream>) {
    let period = (upstream.settings.idle_timeout / 2).clamp(MIN_SWEEP, MAX_SWEEP);
    loop {
        // A wish that is uttered while nobody listens is met a period later.
        let _ = timeout(period, upstream.wanted.notified()).await;
        let Some(pool) = pool.upgrade() else { return };
        pool.stacks.iter().for_each(Stack::tidy);
    }
}

/// For the rest of a request whose answer is complete: then the connection is closed.
const SETTLING_TIME: Duration = Duration::from_secs(1);

const MIN_SWEEP: Duration = Duration::from_millis(50);
const MAX_SWEEP: Duration = Duration::from_secs(1);
