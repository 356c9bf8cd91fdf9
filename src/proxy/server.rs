//! What all workers share of an upstream and of its servers.
//!
//! Never here: connections (`stack`), which server a request goes to (`pool`).

use std::sync::{Arc, atomic::AtomicUsize};

use http::HeaderValue;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::{
    HostHeader, ServerSettings, UpstreamSettings,
    dial::Way,
    resolve::LookUp,
    share::{Client, Shares},
    standing::Standing,
};
use crate::metrics::{Metrics, ServerNumbers};

/// An upstream, for all workers.
pub(super) struct Upstream {
    pub(super) settings: UpstreamSettings,
    pub(super) name: Arc<str>,
    pub(super) servers: Box<[Arc<Server>]>,
    /// Somebody waits for a connection that another worker may hold idle.
    pub(super) wanted: Arc<Notify>,
    /// Pools made so far: each begins its round with another server.
    pub(super) pools: AtomicUsize,
}

impl Upstream {
    pub(super) fn new(settings: &UpstreamSettings, look_up: &LookUp, metrics: &Metrics) -> Self {
        let name: Arc<str> = settings.name.as_str().into();
        let wanted = Arc::new(Notify::new());
        let server = |server: &ServerSettings| {
            let numbers = metrics.server(&name, &server.name);
            Arc::new(Server {
                upstream: Arc::clone(&name),
                way: Way::new(&server.endpoint, look_up),
                authority: authority(server),
                names_itself: settings.host == HostHeader::Upstream,
                standing: Standing::new(settings.servers.len() > 1, Arc::clone(&numbers)),
                shares: Shares::new(settings.connections),
                permits: Arc::new(Semaphore::new(settings.connections.min(Semaphore::MAX_PERMITS))),
                spare: settings.connections / 2,
                waiting: AtomicUsize::new(0),
                wanted: Arc::clone(&wanted),
                numbers,
            })
        };
        Self {
            servers: settings.servers.iter().map(server).collect(),
            name: Arc::clone(&name),
            wanted: Arc::clone(&wanted),
            pools: AtomicUsize::new(0),
            settings: settings.clone(),
        }
    }
}

/// One server, for all workers.
pub(super) struct Server {
    /// The upstream's name.
    pub(super) upstream: Arc<str>,
    pub(super) way: Way,
    /// What it calls itself.
    pub(super) authority: HeaderValue,
    /// Whether `Host` says that, instead of what the client sent.
    pub(super) names_itself: bool,
    pub(super) standing: Standing,
    pub(super) shares: Shares,
    pub(super) numbers: Arc<ServerNumbers>,
    /// Requests that wait for a connection, in all workers.
    pub(super) waiting: AtomicUsize,
    pub(super) wanted: Arc<Notify>,
    permits: Arc<Semaphore>,
    /// Permits beyond which it cannot be half busy.
    spare: usize,
}

impl Server {
    /// Whether a request may be added to those of `client`. Where fewer than half of the connections are open, that
    /// is one load that only new connections write.
    pub(super) fn allows(&self, client: Client) -> bool {
        self.permits.available_permits() > self.spare || self.shares.allow(client)
    }

    /// Whether another connection could be opened.
    pub(super) fn has_permits(&self) -> bool {
        self.permits.available_permits() > 0
    }

    /// The permit for one more connection, if there is one.
    pub(super) fn try_permit(&self) -> Option<Permit> {
        Arc::clone(&self.permits).try_acquire_owned().ok().map(|permit| self.permit(permit))
    }

    /// The permit for one more connection, as soon as there is one. Whoever asked first is served first.
    pub(super) async fn next_permit(&self) -> Option<Permit> {
        Arc::clone(&self.permits).acquire_owned().await.ok().map(|permit| self.permit(permit))
    }

    fn permit(&self, permit: OwnedSemaphorePermit) -> Permit {
        self.numbers.connections.increment();
        Permit { _permit: permit, numbers: Arc::clone(&self.numbers) }
    }
}

/// The right to one connection; counted among its server's until it is dropped.
pub(super) struct Permit {
    _permit: OwnedSemaphorePermit,
    numbers: Arc<ServerNumbers>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.numbers.connections.decrement();
    }
}

fn authority(server: &ServerSettings) -> HeaderValue {
    // An authority that was read from a URL is a legal value.
    HeaderValue::from_str(&server.authority).unwrap_or_else(|_| HeaderValue::from_static(""))
}
