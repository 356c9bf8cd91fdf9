//! Who may connect: bounds on connections, in all and of one address.

use std::{net::IpAddr, sync::Arc};

use dashmap::{DashMap, Entry};
use foldhash::quality::RandomState;

use super::{Drain, Limits};
use crate::{metrics::Metrics, net};

/// Hands out permits. A cheap handle; all workers share one count.
#[derive(Clone, Debug)]
pub(super) struct Admission(Arc<Shared>);

impl Admission {
    pub(super) fn new(limits: &Limits, metrics: &Metrics, drain: &Drain) -> Self {
        Self(Arc::new(Shared {
            drain: drain.clone(),
            connections: limits.connections,
            per_address: limits.connections_per_address,
            by_address: DashMap::default(),
            metrics: metrics.clone(),
        }))
    }

    /// A permit for one connection of `peer`; `None` where there are too many.
    pub(super) fn admit(&self, peer: IpAddr) -> Option<Permit> {
        let permit = self.try_admit(net::counted_as(peer));
        let numbers = &self.0.metrics;
        if permit.is_some() { &numbers.connections_accepted } else { &numbers.connections_refused }
            .increment();
        permit
    }

    pub(super) fn drain(&self) -> &Drain {
        &self.0.drain
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    fn try_admit(&self, address: IpAddr) -> Option<Permit> {
        if !self.0.drain.enter(self.0.connections) {
            return None;
        }
        // Holds at most one entry per open connection, so the bound on these bounds the map.
        let admitted = match self.0.by_address.entry(address) {
            Entry::Occupied(mut entry) => {
                let fits = *entry.get() < self.0.per_address;
                if fits {
                    *entry.get_mut() += 1;
                }
                fits
            }
            Entry::Vacant(entry) => {
                let fits = self.0.per_address > 0;
                if fits {
                    entry.insert(1);
                }
                fits
            }
        };
        if !admitted {
            self.0.drain.leave();
            return None;
        }
        self.0.metrics.connections.increment();
        Some(Permit { admission: self.clone(), address })
    }
}

/// Counts one connection for as long as it lives.
///
/// Not `Clone`: a connection is counted once. It moves with the socket, so that a tunnel is still counted after
/// HTTP has let go of it.
#[derive(Debug)]
pub(super) struct Permit {
    admission: Admission,
    address: IpAddr,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let shared = &self.admission.0;
        shared.by_address.remove_if_mut(&self.address, |_, open| {
            *open -= 1;
            *open == 0
        });
        shared.metrics.connections.decrement();
        // Last: whoever waits for the last connection finds everything else done.
        shared.drain.leave();
    }
}

#[derive(Debug)]
struct Shared {
    drain: Drain,
    connections: usize,
    per_address: usize,
    by_address: DashMap<IpAddr, usize, RandomState>,
    metrics: Metrics,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn admission(connections: usize, per_address: usize) -> Admission {
        let second = Duration::from_secs(1);
        let limits = Limits {
            handshake_timeout: second,
            header_timeout: second,
            idle_timeout: second,
            header_size: 8192,
            header_count: 100,
            streams: 1,
            connections,
            connections_per_address: per_address,
        };
        Admission::new(&limits, &Metrics::default(), &Drain::new())
    }

    fn of(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_cannot_take_all() {
        let admission = admission(10, 2);
        let held = [admission.admit(of("192.0.2.1")), admission.admit(of("::ffff:192.0.2.1"))];
        assert!(held.iter().all(Option::is_some));
        assert!(admission.admit(of("192.0.2.1")).is_none());
        assert!(admission.admit(of("192.0.2.2")).is_some());
        drop(held);
        assert!(admission.admit(of("192.0.2.1")).is_some());
    }

    #[test]
    fn neighbours_in_a_slash_64_count_together() {
        let admission = admission(10, 1);
        let _held = admission.admit(of("2001:db8::1"));
        assert!(admission.admit(of("2001:db8::2")).is_none());
        assert!(admission.admit(of("2001:db8:0:1::1")).is_some());
    }

    #[test]
    fn the_whole_is_bounded_and_every_count_returns_to_zero() {
        let admission = admission(2, 2);
        let held = [admission.admit(of("192.0.2.1")), admission.admit(of("192.0.2.2"))];
        assert!(admission.admit(of("192.0.2.3")).is_none());
        assert_eq!(admission.0.drain.open(), 2);
        assert_eq!(admission.0.metrics.connections.value(), 2);
        drop(held);
        assert_eq!(admission.0.drain.open(), 0);
        assert_eq!(admission.0.metrics.connections.value(), 0);
        assert_eq!(admission.0.metrics.connections_accepted.value(), 2);
        assert_eq!(admission.0.metrics.connections_refused.value(), 1);
        assert!(admission.0.by_address.is_empty());
    }

    #[test]
    fn nobody_enters_while_draining() {
        let admission = admission(2, 2);
        admission.drain().start();
        assert!(admission.admit(of("192.0.2.1")).is_none());
    }
}
