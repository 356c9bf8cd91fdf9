//! Counting attempts in bounded memory.
//!
//! Never here: what an attempt was.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
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
    /// In nanoseconds since the epoch: of a large quota one attempt costs less than a millisecond.
    paid_off: DashMap<K, u64, foldhash::fast::RandomState>,
    quota: Quota,
    capacity: usize,
    /// Attempts since keys that owe nothing were last forgotten.
    since_sweep: AtomicUsize,
    making_room: Mutex<()>,
}

impl<K: std::hash::Hash + Eq + Clone> Throttle<K> {
    /// Allows `quota` to each of `capacity` keys at most.
    pub(super) fn new(quota: Quota, capacity: usize) -> Self {
        Self {
            paid_off: DashMap::default(),
            quota,
            capacity,
            since_sweep: AtomicUsize::new(0),
            making_room: Mutex::new(()),
        }
    }

    /// Counts an attempt.
    ///
    /// # Errors
    /// How long to wait, when there were too many.
    pub(super) fn begin(&self, key: &K, now: Timestamp) -> Result<(), Duration> {
        let now = nanos(Duration::from_millis(now.millis()));
        // A walk now and then, so that a quiet day does not keep the memory of a loud one; and always when full.
        if self.since_sweep.fetch_add(1, Ordering::Relaxed) % SWEEP_INTERVAL == SWEEP_INTERVAL - 1 {
            self.forget_paid_off(now);
        }
        if self.paid_off.len() >= self.capacity {
            self.make_room(now);
        }
        let (cost, window) = (self.cost(), nanos(self.quota.window));
        match self.paid_off.entry(key.clone()) {
            Entry::Vacant(place) => drop(place.insert(now.saturating_add(cost))),
            Entry::Occupied(mut place) => {
                // Nobody owes more than a window; it only seems so when the clock was set back, and must not
                // lock anybody out until the clock has caught up.
                let owing = (*place.get()).clamp(now, now.saturating_add(window));
                let debt = owing.saturating_add(cost).saturating_sub(now);
                if debt > window {
                    place.insert(owing);
                    return Err(Duration::from_nanos(debt.saturating_sub(window)));
                }
                place.insert(now.saturating_add(debt));
            }
        }
        Ok(())
    }

    /// Takes back an attempt that turned out well.
    pub(super) fn forgive(&self, key: &K) {
        let cost = self.cost();
        if let Entry::Occupied(mut place) = self.paid_off.entry(key.clone()) {
            let earlier = place.get().saturating_sub(cost);
            place.insert(earlier);
        }
    }

    /// Forgets keys that owe nothing. Where all of them owe, the table is beyond what one gateway can tell
    /// apart: the quarter that owes least is forgotten, so that whoever is at the limit goes last.
    fn make_room(&self, now: u64) {
        // Whoever finds somebody at it goes on: there are never many at once.
        let Ok(_alone) = self.making_room.try_lock() else { return };
        self.forget_paid_off(now);
        if self.paid_off.len() < self.capacity {
            return;
        }
        let mut debts: Vec<u64> = self.paid_off.iter().map(|entry| *entry.value()).collect();
        let surplus = debts.len() / 4;
        if surplus == 0 {
            // A table so small that it need not choose.
            self.paid_off.clear();
            return;
        }
        let (less, limit, _) = debts.select_nth_unstable(surplus);
        let limit = *limit;
        let mut ties = surplus.saturating_sub(less.iter().filter(|debt| **debt < limit).count());
        self.paid_off.retain(|_, paid_off| {
            if *paid_off == limit && ties > 0 {
                ties -= 1;
                return false;
            }
            *paid_off >= limit
        });
    }

    fn forget_paid_off(&self, now: u64) {
        self.paid_off.retain(|_, paid_off| *paid_off > now);
    }

    /// Never nothing: attempts without cost would not be counted.
    fn cost(&self) -> u64 {
        nanos(self.quota.window / self.quota.attempts.get()).max(1)
    }
}

/// Enough for five hundred years.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
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

    #[test]
    fn those_who_owe_least_are_forgotten_first() {
        let throttle = throttle(5, 50, 100);
        let guilty = 0..70;
        for key in guilty.clone() {
            (0..5).for_each(|_| throttle.begin(&key, NOW).unwrap());
        }
        for key in 100..10_000 {
            (0..=key % 3).for_each(|_| throttle.begin(&key, NOW).unwrap());
        }
        assert!(guilty.clone().all(|key| throttle.begin(&key, NOW).is_err()));
        // Where everybody is guilty somebody has to go, and no more than needed.
        for key in 20_000..20_100 {
            (0..5).for_each(|_| throttle.begin(&key, NOW).unwrap());
        }
        assert!(throttle.paid_off.len() <= 100);
        assert!(throttle.paid_off.len() >= 75);
    }

    #[test]
    fn a_hundred_attempts_at_once_are_a_hundred() {
        let throttle = throttle(10, 300, 100);
        let attempts = std::thread::scope(|scope| {
            let attempts: Vec<_> =
                (0..100).map(|_| scope.spawn(|| throttle.begin(&1, NOW).is_ok())).collect();
            attempts.into_iter().map(|attempt| attempt.join().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(attempts.iter().filter(|allowed| **allowed).count(), 10);
    }

    #[test]
    fn a_large_quota_is_one_too() {
        let throttle = throttle(100_000, 60, 100);
        let allowed = (0..200_000).filter(|_| throttle.begin(&1, NOW).is_ok()).count();
        assert_eq!(allowed, 100_000);
    }

    #[test]
    fn a_clock_that_was_set_back_locks_nobody_out() {
        let throttle = throttle(10, 300, 100);
        (0..10).for_each(|_| throttle.begin(&1, NOW).unwrap());
        let back = NOW.minus(Duration::from_hours(24));
        assert_eq!(throttle.begin(&1, back), Err(Duration::from_secs(30)));
        assert_eq!(throttle.begin(&1, back.plus(Duration::from_secs(30))), Ok(()));
        // Nor does it free anybody.
        assert_eq!(throttle.begin(&1, back.plus(Duration::from_secs(30))), Err(Duration::from_secs(30)));
    }
}
