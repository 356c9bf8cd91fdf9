//! Whether a server should be sent requests: what its health checks say, and what its last connections came to.
//!
//! Read by every request with one load that no request writes.
//! Never here: the checks themselves (`health`), which server is chosen (`pool`).

use std::{
    fmt::Display,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::metrics::ServerNumbers;

/// The standing of one server, for all workers.
pub(super) struct Standing {
    healthy: AtomicBool,
    /// Milliseconds since `epoch` until which requests go elsewhere; 0 while the server is trusted.
    aside_until: AtomicU64,
    epoch: Instant,
    /// Whether there is another server that requests could go to instead.
    has_others: bool,
    numbers: Arc<ServerNumbers>,
}

/// What one request may expect of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// It could not be connected to a moment ago.
    Aside,
    /// That moment is over: this request is the one that tries again.
    Trial,
    /// Nothing is known against it.
    Trusted,
    /// Its health checks fail.
    Unhealthy,
}

impl Standing {
    /// A server that nothing is known against yet.
    pub(super) fn new(has_others: bool, numbers: Arc<ServerNumbers>) -> Self {
        Self {
            healthy: AtomicBool::new(true),
            aside_until: AtomicU64::new(0),
            epoch: Instant::now(),
            has_others,
            numbers,
        }
    }

    pub(super) fn trust(&self) -> Trust {
        if !self.healthy.load(Ordering::Relaxed) {
            return Trust::Unhealthy;
        }
        let until = self.aside_until.load(Ordering::Relaxed);
        if until == 0 {
            return Trust::Trusted;
        }
        if self.now() < until {
            return Trust::Aside;
        }
        // Whoever gets here first: were it everybody, all would wait for a server that may be silent still.
        let next = self.now().saturating_add(SET_ASIDE_FOR);
        match self.aside_until.compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => Trust::Trial,
            Err(_) => Trust::Aside,
        }
    }

    /// A connection could not be made.
    pub(super) fn refused(&self, cause: &dyn Display) {
        self.numbers.connect_failures.increment();
        if !self.has_others {
            return;
        }
        let until = self.now().saturating_add(SET_ASIDE_FOR);
        if self.aside_until.swap(until, Ordering::Relaxed) == 0 {
            self.show();
            let ServerNumbers { upstream, server, .. } = &*self.numbers;
            tracing::warn!(
                upstream.name = upstream,
                upstream.server = server,
                error = %cause,
                "Set server `{server}` of upstream `{upstream}` aside for {} s: no connection",
                SET_ASIDE_FOR / 1000
            );
        }
    }

    /// A connection was made.
    pub(super) fn connected(&self) {
        if self.aside_until.load(Ordering::Relaxed) != 0 && self.aside_until.swap(0, Ordering::Relaxed) != 0 {
            self.show();
            let ServerNumbers { upstream, server, .. } = &*self.numbers;
            tracing::info!(
                upstream.name = upstream,
                upstream.server = server,
                "Server `{server}` of upstream `{upstream}` accepts connections again"
            );
        }
    }

    /// What the health checks say now.
    pub(super) fn set_healthy(&self, healthy: bool) {
        self.healthy.store(healthy, Ordering::Relaxed);
        self.show();
    }

    fn show(&self) {
        let trusted = self.healthy.load(Ordering::Relaxed) && self.aside_until.load(Ordering::Relaxed) == 0;
        self.numbers.healthy.set(trusted.into());
    }

    fn now(&self) -> u64 {
        // Never 0, which means something else.
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }
}

/// In milliseconds; nginx's `fail_timeout`.
const SET_ASIDE_FOR: u64 = Duration::from_secs(10).as_millis() as u64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    fn standing(has_others: bool) -> Standing {
        Standing::new(has_others, Metrics::default().server("a", "b"))
    }

    #[tokio::test(flavor = "local", start_paused = true)]
    async fn one_request_tries_a_server_that_was_set_aside() {
        let standing = standing(true);
        standing.refused(&"x");
        assert_eq!((standing.trust(), standing.numbers.healthy.value()), (Trust::Aside, 0));
        tokio::time::advance(Duration::from_millis(9900)).await;
        assert_eq!(standing.trust(), Trust::Aside);
        tokio::time::advance(Duration::from_millis(200)).await;
        assert_eq!([standing.trust(), standing.trust()], [Trust::Trial, Trust::Aside]);
        standing.connected();
        assert_eq!((standing.trust(), standing.numbers.healthy.value()), (Trust::Trusted, 1));
        assert_eq!(standing.numbers.connect_failures.value(), 1);
    }

    #[test]
    fn a_server_without_others_is_never_set_aside() {
        let standing = standing(false);
        standing.refused(&"x");
        assert_eq!((standing.trust(), standing.numbers.healthy.value()), (Trust::Trusted, 1));
    }

    #[test]
    fn connections_do_not_heal_what_checks_have_found() {
        let standing = standing(true);
        standing.refused(&"x");
        standing.set_healthy(false);
        standing.connected();
        assert_eq!((standing.trust(), standing.numbers.healthy.value()), (Trust::Unhealthy, 0));
        standing.set_healthy(true);
        assert_eq!((standing.trust(), standing.numbers.healthy.value()), (Trust::Trusted, 1));
    }
}
