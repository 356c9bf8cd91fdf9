//! Who may connect: bounds on connections, in all and of one address.

use std::{net::IpAddr, sync::Arc};

use dashmap::{DashMap, Entry};
use foldhash::quality::RandomState;

use super::{Drain, Limits, accept::Trouble};
use crate::{
    metrics::{Listener, Metrics},
    net,
};

/// Hands out permits. A cheap handle; all workers and all listeners share one count.
#[derive(Clone, Debug)]
pub(super) struct Admission {
    shared: Arc<Shared>,
    listener: Listener,
}

impl Admission {
    /// That of the HTTPS listener; [`Self::of`] makes those of others.
    pub(super) fn new(limits: &Limits, metrics: &Metrics, drain: &Drain) -> Self {
        let shared = Shared {
            drain: drain.clone(),
            connections: limits.connections,
            per_address: limits.connections_per_address,
            by_address: DashMap::default(),
            metrics: metrics.clone(),
            trouble: Trouble::default(),
        };
        Self { shared: Arc::new(shared), listener: Listener::Https }
    }

    /// The same bounds and counts, for connections of another listener.
    pub(super) fn of(&self, listener: Listener) -> Self {
        Self { shared: Arc::clone(&self.shared), listener }
    }

    /// A permit for one connection of `peer`; `None` where there are too many.
    pub(super) fn admit(&self, peer: IpAddr) -> Option<Permit> {
        self.enter()?.claim(peer)
    }

    /// A place among all connections, for one whose address is still to be learned; `None` where there are too
    /// many.
    pub(super) fn enter(&self) -> Option<Place> {
        let shared = &self.shared;
        if !shared.drain.enter(shared.connections) {
            shared.metrics.connections_refused.increment();
            return None;
        }
        Some(Place(self.clone()))
    }

    pub(super) fn drain(&self) -> &Drain {
        &self.shared.drain
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    pub(super) fn trouble(&self) -> &Trouble {
        &self.shared.trouble
    }
}

/// Counts one connection among all.
#[derive(Debug)]
pub(super) struct Place(Admission);

impl Place {
    /// A permit for the connection, which is one of `peer`; `None` where that one has too many.
    pub(super) fn claim(self, peer: IpAddr) -> Option<Permit> {
        let Admission { shared, listener } = &self.0;
        let address = net::counted_as(peer);
        // Holds at most one entry per open connection, so the bound on these bounds the map.
        let fits = match shared.by_address.entry(address) {
            Entry::Occupied(mut entry) => {
                let fits = *entry.get() < shared.per_address;
                if fits {
                    *entry.get_mut() += 1;
                }
                fits
            }
            Entry::Vacant(entry) => {
                let fits = shared.per_address > 0;
                if fits {
                    entry.insert(1);
                }
                fits
            }
        };
        if !fits {
            shared.metrics.connections_refused.increment();
            return None;
        }
        shared.metrics.connections_accepted.increment();
        shared.metrics.connections.of(*listener).increment();
        Some(Permit { place: self, address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.shared.drain.leave();
    }
}

/// Counts one connection for as long as it lives.
///
/// Not `Clone`: a connection is counted once. It moves with the socket, so that a tunnel is still counted after
/// HTTP has let go of it.
#[derive(Debug)]
pub(super) struct Permit {
    /// Given back last, after what `drop` does: whoever waits for the last connection finds everything else done.
    place: Place,
    address: IpAddr,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Admission { shared, listener } = &self.place.0;
        shared.by_address.remove_if_mut(&self.address, |_, open| {
            *open -= 1;
            *open == 0
        });
        shared.metrics.connections.of(*listener).decrement();
    }
}

#[derive(Debug)]
struct Shared {
    drain: Drain,
    connections: usize,
    per_address: usize,
    by_address: DashMap<IpAddr, usize, RandomState>,
    metrics: Metrics,
    trouble: Trouble,
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
        assert_eq!(admission.shared.drain.open(), 2);
        assert_eq!(admission.shared.metrics.connections.value(), 2);
        drop(held);
        assert_eq!(admission.shared.drain.open(), 0);
        assert_eq!(admission.shared.metrics.connections.value(), 0);
        assert_eq!(admission.shared.metrics.connections_accepted.value(), 2);
        assert_eq!(admission.shared.metrics.connections_refused.value(), 1);
        assert!(admission.shared.by_address.is_empty());
    }

    #[test]
    fn listeners_count_together_and_show_apart() {
        let https = admission(2, 2);
        let plain = https.of(Listener::Plain);
        let held = [https.admit(of("192.0.2.1")), plain.admit(of("192.0.2.1"))];
        assert!(held.iter().all(Option::is_some));
        assert!(https.of(Listener::Http).enter().is_none());
        let open = &https.shared.metrics.connections;
        assert_eq!(
            [Listener::Https, Listener::Plain, Listener::Http].map(|listener| open.of(listener).value()),
            [1, 1, 0]
        );
    }

    #[test]
    fn a_place_without_an_address_counts_among_all_alone() {
        let admission = admission(1, 1);
        let place = admission.enter().unwrap();
        assert!(admission.admit(of("192.0.2.1")).is_none());
        assert_eq!((admission.shared.drain.open(), admission.shared.metrics.connections.value()), (1, 0));
        let permit = place.claim(of("192.0.2.1")).unwrap();
        assert_eq!((admission.shared.drain.open(), admission.shared.metrics.connections.value()), (1, 1));
        drop(permit);
        drop(admission.enter().unwrap());
        assert_eq!((admission.shared.drain.open(), admission.shared.metrics.connections.value()), (0, 0));
    }

    #[test]
    fn nobody_enters_while_draining() {
        let admission = admission(2, 2);
        admission.drain().start();
        assert!(admission.admit(of("192.0.2.1")).is_none());
    }
}
