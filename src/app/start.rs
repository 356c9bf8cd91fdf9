//! Start and stop, in the order in which each thing needs the other.
//!
//! Never here: signals (`signal`), what any of it does.

use std::{net::SocketAddr, num::NonZeroUsize, sync::Arc, thread, time::Duration};

use tokio::{
    runtime::{self, Runtime},
    sync::oneshot,
};

use super::{error::StartError, health::HealthThread, listeners, signal};
use crate::{
    access_log::{self, AccessLog, Sink},
    auth::{AuthService, Authenticator},
    clock::Clock,
    config::Settings,
    dialect::{self, Endpoint},
    gateway::{BodyLimits, Operations, Shared, Snapshot},
    metrics::Metrics,
    password::Passwords,
    proxy::SharedUpstreams,
    readiness::Readiness,
    revocation::{Feed, RevocationList},
    route::RouteTable,
    server::{Addresses, Drain, Server, Shutdown, Workers},
    store::Store,
    telemetry,
    token::KeyRing,
};

/// What a gateway has of the world outside, beside its files and sockets.
pub struct Io {
    /// The time.
    pub clock: Clock,
    /// Where the access log goes.
    pub access_log: Sink,
    /// Whether that is a terminal.
    pub terminal: bool,
    /// Lines that nobody read on standard error.
    pub dropped: telemetry::Dropped,
}

/// A running gateway.
pub struct App {
    addresses: Addresses,
    admin: SocketAddr,
    shutdown: Shutdown,
    drain: Drain,
    admin_drain: Drain,
    readiness: Readiness,
    metrics: Metrics,
    workers: Workers,
    admin_workers: Workers,
    feed: FeedThread,
    health: Option<HealthThread>,
    store: Store,
    access_log: Option<AccessLog>,
    control: Runtime,
}

impl App {
    /// Starts a gateway: the store is read and the revocation list complete before a public socket listens.
    ///
    /// Blocks; not to be called within a runtime.
    ///
    /// # Errors
    /// [`StartError`], one sentence; nothing goes on then.
    pub fn start(settings: Settings, io: Io) -> Result<Self, StartError> {
        // Taken first: two gateways on one address must not both get as far as the store.
        let server = Server::bind(&settings.server)?;
        let addresses = server.addresses();
        let admin_listener = listeners::listen_for_operators(settings.admin)?;
        let admin_address = admin_listener.local_addr().map_err(StartError::Resources)?;

        let control = control_plane(settings.server.workers).map_err(StartError::Resources)?;
        control.block_on(async { signal::survive() }).map_err(StartError::Resources)?;
        let routes = routes(&settings)?;
        let metrics = Metrics::new(routes.routes().iter().map(|route| route.name.clone()).collect());
        metrics.set_certificates(listeners::certificate_ends(&settings));
        let dropped = io.dropped.clone();
        metrics.event_lines_dropped.read_from(move || dropped.lines());
        let readiness = Readiness::new();

        let store = Store::open(&settings.store)?;
        let revocations = RevocationList::with(settings.revocation, metrics.clone());
        let feed = control.block_on(Feed::catch_up(
            store.clone(),
            revocations.clone(),
            metrics.clone(),
            io.clock.clone(),
        ))?;
        let feed = FeedThread::start(feed).map_err(StartError::Resources)?;
        readiness.set_store_read(true);

        let upstreams = SharedUpstreams::new(&settings.upstreams, &metrics);
        let health = HealthThread::start(upstreams.health_checks()).map_err(StartError::Resources)?;
        let shared = shared(
            &settings,
            routes,
            &store,
            revocations.clone(),
            upstreams,
            &metrics,
            &io.clock,
            &control,
            &addresses,
        )?;
        let access_log = start_access_log(&settings, io, &metrics)?;
        let (drain, admin_drain) = (Drain::new(), Drain::new());
        let workers = listeners::start_public(server, shared, access_log.as_ref(), &metrics, &drain)?;
        let limits = &settings.server.limits;
        let admin = listeners::admin(&metrics, &readiness, revocations);
        let admin_workers = listeners::start_admin(admin_listener, limits, admin, &admin_drain)?;
        listeners::announce(&addresses, admin_address, &store);
        Ok(Self {
            addresses,
            admin: admin_address,
            shutdown: settings.shutdown,
            drain,
            admin_drain,
            readiness,
            metrics,
            workers,
            admin_workers,
            feed,
            health,
            store,
            access_log,
            control,
        })
    }

    /// Where clients are heard.
    pub const fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Where operators are heard.
    pub const fn admin_addr(&self) -> SocketAddr {
        self.admin
    }

    /// The counters.
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The store, for whoever works on it beside the gateway.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Runs a future on the control plane, blocking.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.control.block_on(future)
    }

    /// Waits for `stop`, then drains: `/readyz` fails, `delay`, no more accepting, requests in flight finish
    /// within `grace`, what is left is cut. Returns when all has ended, or at once when `now` comes meanwhile.
    ///
    /// # Errors
    /// A worker that ended by itself: a gateway that serves a part of its clients is worse than none.
    pub fn run(
        mut self,
        stop: impl Future<Output = ()>,
        now: impl Future<Output = ()>,
    ) -> Result<(), StartError> {
        let ended = self.control.block_on(async {
            tokio::select! {
                () = stop => Ok(()),
                ended = self.workers.wait() => ended.map_err(StartError::from),
                _ = &mut self.feed.ended => Err(StartError::FeedEnded),
            }
        });
        let (readiness, drain, shutdown) = (&self.readiness, &self.drain, &self.shutdown);
        readiness.set_draining();
        let drained = self.control.block_on(async {
            let orderly = async {
                tracing::info!("Draining");
                tokio::time::sleep(if ended.is_ok() { shutdown.delay } else { Duration::ZERO }).await;
                drain.finish(shutdown.grace).await
            };
            tokio::select! {
                cut = orderly => Some(cut),
                () = now => None,
            }
        });
        match drained {
            Some(0) => tracing::info!("Stopped: every request was answered"),
            Some(cut) => {
                tracing::warn!(connections = cut, "Stopped: connections were cut after the grace period")
            }
            None => tracing::warn!("Stopped at once"),
        }
        drain.cut();
        self.admin_drain.cut();
        let joined = self.workers.join();
        drop(self.admin_workers.join());
        drop(self.feed);
        drop(self.health);
        // After the workers: the last lines are theirs.
        drop(self.access_log);
        // Operations that were begun are finished before the store closes.
        self.control.shutdown_timeout(OPERATIONS_GRACE);
        self.store.close();
        ended.and(joined.map_err(StartError::from))
    }

    /// Drains and stops.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn stop(self) -> Result<(), StartError> {
        self.run(std::future::ready(()), std::future::pending())
    }
}

/// The feed's own thread and runtime: nothing that clients ask for may delay what operators and other processes
/// have revoked. Dropped, it ends.
struct FeedThread {
    stop: Option<oneshot::Sender<()>>,
    /// Disconnected when the feed has ended.
    ended: oneshot::Receiver<()>,
    thread: Option<thread::JoinHandle<()>>,
}

impl FeedThread {
    fn start(feed: Feed) -> std::io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let (alive, ended) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name("feed".to_owned()).spawn(move || {
            let _alive = alive;
            runtime.block_on(feed.run(async { drop(stopped.await) }));
        })?;
        Ok(Self { stop: Some(stop), ended, thread: Some(thread) })
    }
}

impl Drop for FeedThread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A feed that panicked has been noticed by whoever waited for its end.
            let _panicked = thread.join();
        }
    }
}

/// What an operation that outlived its client gets to finish.
const OPERATIONS_GRACE: Duration = Duration::from_secs(5);

/// The auth operations, the feed: little work, so few threads.
fn control_plane(workers: NonZeroUsize) -> std::io::Result<Runtime> {
    runtime::Builder::new_multi_thread()
        .worker_threads(workers.get().min(2))
        .max_blocking_threads(4)
        .thread_name("control")
        .enable_all()
        .build()
}

fn routes(settings: &Settings) -> Result<RouteTable, StartError> {
    let endpoints = settings.auth_prefix.iter().flat_map(|prefix| {
        Endpoint::ALL.into_iter().map(move |endpoint| (format!("{prefix}/{}", endpoint.path()), endpoint))
    });
    RouteTable::new(settings.routes.clone(), endpoints.collect()).map_err(StartError::Routes)
}

#[allow(clippy::too_many_arguments, reason = "it joins what was built one by one above")]
fn shared(
    settings: &Settings,
    routes: RouteTable,
    store: &Store,
    revocations: RevocationList,
    upstreams: SharedUpstreams,
    metrics: &Metrics,
    clock: &Clock,
    control: &Runtime,
    addresses: &Addresses,
) -> Result<Shared, StartError> {
    let keys = Arc::new(KeyRing::new(&settings.tokens.keys));
    let profile = Arc::new(dialect::profile(&settings.tokens));
    let authenticator = Authenticator::new(keys, profile, revocations);
    let passwords = Passwords::start(settings.password.clone(), settings.server.workers, metrics.clone())
        .map_err(StartError::Resources)?;
    let auth = AuthService::new(
        settings.auth.clone(),
        settings.tokens.clone(),
        store.clone(),
        passwords,
        authenticator.clone(),
        clock.clone(),
        metrics.clone(),
    );
    let snapshot = Snapshot {
        routes,
        auth_cors: settings.auth_cors.clone(),
        redirection: listeners::redirection(settings, addresses),
        authenticator,
        trusted_proxies: settings.trusted_proxies.clone(),
        identity: settings.identity.clone(),
        bodies: BodyLimits {
            request_idle: settings.body.request_idle,
            auth_size: settings.body.auth_size,
            auth_deadline: settings.body.auth_deadline,
        },
        header_count: settings.server.limits.header_count,
        upstreams: settings.upstreams.iter().map(|upstream| upstream.name.clone()).collect(),
    };
    Ok(Shared {
        snapshot: Arc::new(snapshot),
        auth,
        upstreams,
        clock: clock.clone(),
        metrics: metrics.clone(),
        operations: Operations::default(),
        endings: Operations::default(),
        control: control.handle().clone(),
    })
}

fn start_access_log(settings: &Settings, io: Io, metrics: &Metrics) -> Result<Option<AccessLog>, StartError> {
    if !settings.log.access {
        return Ok(None);
    }
    let format = match telemetry::resolve(settings.log.format, io.terminal) {
        telemetry::Format::Text => access_log::Format::Text,
        telemetry::Format::Auto | telemetry::Format::Json => access_log::Format::Json,
    };
    AccessLog::start(io.access_log, format, metrics.clone()).map(Some).map_err(StartError::Resources)
}
