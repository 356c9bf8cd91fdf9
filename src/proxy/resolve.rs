//! Names of upstreams' servers become addresses.
//!
//! The system does not tell how long an answer is good for, so it is used for a few seconds and then asked for
//! again. A resolver that fails or hangs is bridged with the last good answer, for a bounded while.
//! Never here: connections.

use std::{
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Semaphore,
    task::{spawn_blocking, spawn_local},
    time::{Instant, timeout},
};

/// The addresses of one server, for all workers.
pub(super) struct Names {
    host: String,
    port: u16,
    /// Whether the host is an address, which stands for itself.
    is_fixed: bool,
    look_up: LookUp,
    /// Never held across an await; touched when connections are made, not by requests on warm ones.
    known: Mutex<Known>,
    /// Grows whenever the addresses change.
    generation: AtomicU64,
    /// A look-up runs on a thread that cannot be interrupted: one at a time, or a resolver that hangs would gather
    /// them without end.
    turn: Arc<Semaphore>,
}

/// Asks the system, blocking. A value, so that a test can be the system.
pub(super) type LookUp = Arc<dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync>;

/// The addresses of a server, in the order in which they are to be tried; never none.
pub(super) struct Addresses {
    pub(super) list: Arc<[SocketAddr]>,
    /// [`Names::generation`] of the moment.
    pub(super) generation: u64,
}

#[derive(Default)]
struct Known {
    /// The last good answer and its age. Never empty.
    good: Option<(Arc<[SocketAddr]>, Instant)>,
    /// Why the last look-up failed, if it did, and when.
    failed: Option<(Arc<str>, Instant)>,
    /// Since when a look-up is under way.
    asking: Option<Instant>,
}

impl Names {
    pub(super) fn new(host: &str, port: u16, look_up: LookUp) -> Arc<Self> {
        let fixed = host.parse::<IpAddr>().ok().map(|address| Arc::from([(address, port).into()]));
        let is_fixed = fixed.is_some();
        let known = Known { good: fixed.map(|list| (list, Instant::now())), ..Known::default() };
        Arc::new(Self {
            host: host.to_owned(),
            port,
            is_fixed,
            look_up,
            known: Mutex::new(known),
            generation: AtomicU64::new(0),
            turn: Arc::new(Semaphore::new(1)),
        })
    }

    /// How the system is asked.
    pub(super) fn system() -> LookUp {
        Arc::new(|host, port| (host, port).to_socket_addrs().map(Iterator::collect))
    }

    /// Where the server is. Must be called within a local runtime. Waits for an answer as long as it takes where
    /// there is no older one.
    ///
    /// # Errors
    /// What the system said.
    pub(super) async fn addresses(self: &Arc<Self>) -> io::Result<Addresses> {
        if !self.is_stale() {
            return self.last();
        }
        let (bridge, hangs) = {
            let known = self.known();
            (known.bridge().is_some(), known.asking.is_some_and(|since| since.elapsed() > PATIENCE))
        };
        if !bridge {
            self.refresh().await?;
        } else if !hangs {
            // An answer that is late is kept for whoever asks next.
            let _ = timeout(PATIENCE, self.refresh()).await;
        }
        self.last()
    }

    /// Looks the name up, unless somebody else has just done so. The look-up goes on if nobody waits for it.
    pub(super) async fn refresh(self: &Arc<Self>) -> io::Result<()> {
        let turn = Arc::clone(&self.turn).acquire_owned().await.map_err(io::Error::other)?;
        if !self.is_stale() {
            return Ok(());
        }
        self.known().asking = Some(Instant::now());
        let names = Arc::clone(self);
        let asked = spawn_local(async move {
            let _turn = turn;
            let (host, port, look_up) = (names.host.clone(), names.port, Arc::clone(&names.look_up));
            let answer = spawn_blocking(move || look_up(&host, port)).await;
            names.learn(answer.map_err(io::Error::other).and_then(|answer| answer));
        });
        asked.await.map_err(io::Error::other)
    }

    /// Whether the name should be looked up again. Addresses that stand for themselves never are.
    pub(super) fn is_stale(&self) -> bool {
        if self.is_fixed {
            return false;
        }
        let known = self.known();
        let failed_just_now = known.failed.as_ref().is_some_and(|(_, at)| at.elapsed() < FAILURE_KEPT);
        !failed_just_now && known.good.as_ref().is_none_or(|(_, at)| at.elapsed() >= USED_FOR)
    }

    /// What changes whenever the addresses do.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// Whether `address` is one of the last answer's.
    pub(super) fn contains(&self, address: SocketAddr) -> bool {
        self.known().good.as_ref().is_some_and(|(list, _)| list.contains(&address))
    }

    fn last(&self) -> io::Result<Addresses> {
        let known = self.known();
        let fixed = known.good.as_ref().filter(|_| self.is_fixed).map(|(list, _)| list);
        match (fixed.or(known.bridge()), &known.failed) {
            (Some(list), _) => Ok(Addresses { list: Arc::clone(list), generation: self.generation() }),
            (None, Some((why, _))) => Err(io::Error::new(io::ErrorKind::NotFound, why.to_string())),
            (None, None) => Err(io::Error::new(io::ErrorKind::NotFound, "its name has not been looked up")),
        }
    }

    fn learn(&self, answer: io::Result<Vec<SocketAddr>>) {
        let answer = answer.and_then(|mut found| {
            found.truncate(MAX_ADDRESSES);
            let none = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
            if found.is_empty() { Err(none()) } else { Ok(found) }
        });
        let mut known = self.known();
        known.asking = None;
        match answer {
            Ok(found) => {
                let old = known.good.take();
                if old.is_some_and(|(old, _)| !is_same(&old, &found)) {
                    self.generation.fetch_add(1, Ordering::Relaxed);
                }
                known.good = Some((found.into(), Instant::now()));
                known.failed = None;
            }
            Err(error) => {
                let is_news = known.failed.is_none();
                known.failed = Some((error.to_string().into(), Instant::now()));
                if is_news && known.bridge().is_some() {
                    let host = &self.host;
                    tracing::warn!(
                        server.host = host,
                        %error,
                        "`{host}` could not be looked up: its last addresses are used for {} s",
                        BRIDGED_FOR.as_secs()
                    );
                }
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// The last good answer while it can stand in for a new one.
    fn bridge(&self) -> Option<&Arc<[SocketAddr]>> {
        self.good.as_ref().filter(|(_, at)| at.elapsed() < BRIDGED_FOR).map(|(list, _)| list)
    }
}

/// Whether both are the same addresses; some resolvers turn the order with each answer.
fn is_same(one: &[SocketAddr], other: &[SocketAddr]) -> bool {
    one.len() == other.len() && one.iter().all(|address| other.contains(address))
}

/// How long an answer is used before the name is looked up again.
const USED_FOR: Duration = Duration::from_secs(5);

/// How old the last good answer may become while no new one comes.
const BRIDGED_FOR: Duration = Duration::from_mins(1);

/// How long a failure stands before the name is looked up again.
const FAILURE_KEPT: Duration = Duration::from_secs(1);

/// What a look-up gets while there is an older answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 16;

#[cfg(test)]
mod tests;
