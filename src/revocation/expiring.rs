//! Names with an end, many of them: tokens and sessions, looked up at each protected request.
//!
//! Made for ten million: exact, fewer than fifty bytes each, swept shard by shard.
//! Never here: what a name stands for.

use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::{DashMap, Entry};
use foldhash::fast::RandomState;

use crate::clock::Timestamp;

/// Sixteen-byte names, each with the second until which it counts.
pub(super) struct Expiring {
    until: DashMap<[u8; 16], u32, RandomState>,
    /// So that asking an empty map costs one load.
    len: AtomicUsize,
}

impl Expiring {
    pub(super) fn new() -> Self {
        Self {
            until: DashMap::with_hasher_and_shard_amount(RandomState::default(), SHARDS),
            len: AtomicUsize::new(0),
        }
    }

    pub(super) fn contains(&self, name: &[u8; 16], now: Timestamp) -> bool {
        self.len() > 0 && self.until.get(name).is_some_and(|until| counts(*until, now))
    }

    /// Keeps `name` at least until `until`. Never shortens.
    pub(super) fn insert(&self, name: [u8; 16], until: Timestamp) {
        let until = whole_seconds(until);
        match self.until.entry(name) {
            Entry::Occupied(mut entry) => {
                let longest = until.max(*entry.get());
                entry.insert(longest);
            }
            Entry::Vacant(entry) => {
                // First, while the shard is locked: whoever finds the count at zero was there before the name.
                self.len.fetch_add(1, Ordering::Release);
                entry.insert(until);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// The table's memory, spare room included: each place has a byte beside it that says what it holds.
    pub(super) fn bytes(&self) -> usize {
        places(self.until.capacity()).saturating_mul(size_of::<([u8; 16], u32)>() + 1)
    }

    /// Forgets what no longer counts, one shard locked at a time, and gives the second after which the next one
    /// will not.
    pub(super) fn sweep(&self, now: Timestamp) -> Option<u32> {
        let mut next = NEVER_ENDS;
        self.until.retain(|_, until| {
            let stays = counts(*until, now);
            if stays {
                next = next.min(*until);
            } else {
                self.len.fetch_sub(1, Ordering::Release);
            }
            stays
        });
        // A storm of revocations must not hold its memory for ever.
        if self.until.capacity() > SPARE.max(self.len().saturating_mul(4)) {
            self.until.shrink_to_fit();
        }
        (next < NEVER_ENDS).then_some(next)
    }
}

/// Places of a table that takes so many entries: it is never filled beyond seven eighths.
pub(super) const fn places(capacity: usize) -> usize {
    capacity.saturating_mul(8) / 7
}

/// Rounded up: a name never counts for less time than it was given.
pub(super) fn whole_seconds(until: Timestamp) -> u32 {
    u32::try_from(until.millis().div_ceil(1000)).unwrap_or(NEVER_ENDS)
}

pub(super) fn counts(until: u32, now: Timestamp) -> bool {
    until == NEVER_ENDS || u64::from(until) >= now.seconds()
}

/// Locks are held for one shard only, so that neither a sweep of ten million nor the growth of a shard stops anybody for a
/// millisecond.
pub(super) const SHARDS: usize = 1024;

/// Capacity that is never given back.
const SPARE: usize = 65_536;

/// Beyond the year 2106.
pub(super) const NEVER_ENDS: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_counts_until_its_second_has_passed_and_is_never_shortened() {
        let names = Expiring::new();
        names.insert([1; 16], Timestamp::from_millis(10_001));
        names.insert([1; 16], Timestamp::from_seconds(5));
        assert_eq!(names.len(), 1);
        assert!(names.contains(&[1; 16], Timestamp::from_millis(11_999)));
        assert!(!names.contains(&[1; 16], Timestamp::from_seconds(12)));
        assert!(!names.contains(&[2; 16], Timestamp::default()));
    }

    #[test]
    fn a_sweep_forgets_what_has_passed_and_keeps_the_rest() {
        let names = Expiring::new();
        for number in 0..100 {
            names.insert([number; 16], Timestamp::from_seconds(u64::from(number)));
        }
        names.insert([200; 16], Timestamp::FOREVER);
        assert_eq!(names.sweep(Timestamp::from_seconds(60)), Some(60));
        assert_eq!(names.len(), 41);
        assert_eq!(names.until.len(), 41);
        assert_eq!(names.sweep(Timestamp::FOREVER), None, "what never expires is never next");
        assert_eq!(names.len(), 1);
        assert!(names.contains(&[200; 16], Timestamp::FOREVER));
    }
}
