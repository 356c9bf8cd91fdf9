//! Counting attempts in bounded memory.
//!
//! Never here: what an attempt was.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use aws_lc_rs::digest;
use dashmap::{DashMap, mapref::entry::Entry};

use super::settings::Quota;
use crate::{
    clock::Timestamp,
    id::{UserId, random_bytes},
};

/// Counts attempts under a key and refuses those beyond the quota.
///
/// An attempt is counted when it begins, so that a thousand guesses at once are a thousand guesses, and forgiven
/// when it turns out well. The arithmetic is the generic cell rate algorithm: one instant a key, the one at which
/// every attempt so far is paid off.
#[derive(Debug)]
pub(super) struct Throttle<K: std::hash::Hash + Eq> {
    paid_off: DashMap<K, Timestamp, foldhash::fast::RandomState>,
    quota: Quota,
    capacity: usize,
    /// Attempts since keys that owe nothing were last forgotten.
    since_sweep: AtomicUsize,
}

impl<K: std::hash::Hash + Eq + Clone> Throttle<K> {
    /// Allows `quota` to each of `capacity` keys at most.
    pub(super) fn new(quota: Quota, capacity: usize) -> Self {
        Self { paid_off: DashMap::default(), quota, capacity, since_sweep: AtomicUsize::new(0) }
    }

    /// Counts an attempt.
    ///
    /// # Errors
    /// How long to wait, when there were too many.
    pub(super) fn begin(&self, key: &K, now: Timestamp) -> Result<(), Duration> {
        // A walk now and then, so that a quiet day does not keep the memory of a loud one; and always when full.
        let sweeps = self.since_sweep.fetch_add(1, Ordering::Relaxed) % SWEEP_INTERVAL == SWEEP_INTERVAL - 1;
        if sweeps || self.paid_off.len() >= self.capacity {
            self.make_room(now);
        }
        let cost = self.cost();
        let window = self.quota.window;
        match self.paid_off.entry(key.clone()) {
            Entry::Vacant(place) => drop(place.insert(now.plus(cost))),
            Entry::Occupied(mut place) => {
                let next = (*place.get()).max(now).plus(cost);
                let debt = next.since(now);
                if debt > window {
                    return Err(debt.saturating_sub(window));
                }
                place.insert(next);
            }
        }
        Ok(())
    }

    /// Takes back an attempt that turned out well.
    pub(super) fn forgive(&self, key: &K) {
        let cost = self.cost();
        if let Entry::Occupied(mut place) = self.paid_off.entry(key.clone()) {
            let earlier = place.get().minus(cost);
            place.insert(earlier);
        }
    }

    /// Forgets keys that owe nothing. Where all of them owe, the table is beyond what one gateway can tell
    /// apart: those that owe least are forgotten, never those close to their limit.
    fn make_room(&self, now: Timestamp) {
        self.paid_off.retain(|_, paid_off| *paid_off > now);
        let mut light = now.plus(self.cost());
        while self.paid_off.len() >= self.capacity && light < now.plus(self.quota.window) {
            self.paid_off.retain(|_, paid_off| *paid_off > light);
            light = light.plus(self.cost());
        }
        if self.paid_off.len() >= self.capacity {
            self.paid_off.clear();
        }
    }

    fn cost(&self) -> Duration {
        self.quota.window / self.quota.attempts.get()
    }
}

/// Attempts between two walks through the keys.
const SWEEP_INTERVAL: usize = 4096;

/// A name that attempts are counted under: sixteen bytes, however long the name.
///
/// Hashed with a salt of this process, so that nobody can choose two names that share a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Counted([u8; 16]);

/// Makes [`Counted`] names.
#[derive(Debug)]
pub(super) struct Counting {
    salt: [u8; 16],
}

impl Counting {
    pub(super) fn new() -> Self {
        Self { salt: random_bytes() }
    }

    /// The canonical form of a name that somebody typed.
    pub(super) fn name(&self, canonical: &str) -> Counted {
        self.fold(b"name", canonical)
    }

    /// A user, by id.
    pub(super) fn user(&self, id: &UserId) -> Counted {
        self.fold(b"user", id.as_str())
    }

    fn fold(&self, kind: &[u8], text: &str) -> Counted {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&self.salt);
        context.update(kind);
        context.update(text.as_bytes());
        let digest = context.finish();
        Counted(*digest.as_ref().first_chunk::<16>().unwrap_or(&[0; 16]))
    }
}

/// Remembers which name logged in from where, so that a stranger cannot lock a user out of the places they use.
///
/// Bounded: when it is full, every other place is forgotten.
#[derive(Debug)]
pub(super) struct KnownPlaces {
    places: DashMap<(Counted, IpAddr), (), foldhash::fast::RandomState>,
}

impl KnownPlaces {
    const CAPACITY: usize = 100_000;

    pub(super) fn new() -> Self {
        Self { places: DashMap::default() }
    }

    pub(super) fn remember(&self, name: Counted, address: IpAddr) {
        if self.places.len() >= Self::CAPACITY {
            let mut keeps = false;
            self.places.retain(|_, ()| {
                keeps = !keeps;
                keeps
            });
        }
        self.places.insert((name, address), ());
    }

    pub(super) fn knows(&self, name: Counted, address: IpAddr) -> bool {
        self.places.contains_key(&(name, address))
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_000_000);

    fn throttle(attempts: u32, seconds: u64, capacity: usize) -> Throttle<u32> {
        let attempts = NonZeroU32::new(attempts).unwrap();
        Throttle::new(Quota { attempts, window: Duration::from_secs(seconds) }, capacity)
    }

    #[test]
    fn so_many_attempts_in_so_much_time_and_no_more() {
        let throttle = throttle(10, 300, 100);
        for _ in 0..10 {
            assert_eq!(throttle.begin(&1, NOW), Ok(()));
        }
        assert_eq!(throttle.begin(&1, NOW), Err(Duration::from_secs(30)));
        assert_eq!(throttle.begin(&2, NOW), Ok(()), "another key is not concerned");
        assert_eq!(throttle.begin(&1, NOW.plus(Duration::from_secs(29))), Err(Duration::from_secs(1)));
        assert_eq!(throttle.begin(&1, NOW.plus(Duration::from_secs(30))), Ok(()));
        assert_eq!(throttle.begin(&1, NOW.plus(Duration::from_secs(30))), Err(Duration::from_secs(30)));
    }

    #[test]
    fn a_good_attempt_costs_nothing() {
        let throttle = throttle(2, 10, 100);
        for _ in 0..100 {
            assert_eq!(throttle.begin(&1, NOW), Ok(()));
            throttle.forgive(&1);
        }
    }

    #[test]
    fn its_memory_is_bounded_and_the_guilty_stay() {
        let throttle = throttle(5, 50, 100);
        for _ in 0..5 {
            throttle.begin(&0, NOW).unwrap();
        }
        for key in 1..10_000 {
            throttle.begin(&key, NOW).unwrap();
        }
        assert!(throttle.paid_off.len() <= 100);
        assert!(throttle.begin(&0, NOW).is_err(), "a flood of other keys does not set the guilty free");
    }
}
