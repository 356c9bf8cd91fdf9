//! How old this process's knowledge of the log is, and whether that is too old.
//!
//! Never here: what follows from it (`gateway`, `auth`, `admin`).

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::clock::Stopwatch;

/// Whether what this process knows of the log is recent enough to let anybody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// The log was read to its end within `max_staleness`, or nobody asks for that.
    Fresh,
    /// It was not: somebody may have been logged out elsewhere, and nobody here would know.
    Stale,
}

/// When the log was last read to its end, by the monotonic clock: a wall clock set back would make old knowledge
/// look new.
///
/// Compared at each request instead of kept as a flag: a process that was stopped for a while and goes on must not
/// answer one request before whoever keeps the flag has had a turn.
#[derive(Debug)]
pub(super) struct LastLook {
    begun: Stopwatch,
    /// Milliseconds between `begun` and the beginning of the last look that succeeded.
    at: AtomicU64,
    max_staleness: Option<Duration>,
}

impl LastLook {
    pub(super) fn new(max_staleness: Option<Duration>) -> Self {
        Self { begun: Stopwatch::start(), at: AtomicU64::new(0), max_staleness }
    }

    /// A look that began at `began` has seen the end of the log.
    pub(super) fn succeeded(&self, began: Stopwatch) {
        let after = u64::try_from(began.since(self.begun).as_millis()).unwrap_or(u64::MAX);
        self.at.fetch_max(after, Ordering::Relaxed);
    }

    /// How long ago that was, seen from `now`.
    pub(super) fn age(&self, now: Stopwatch) -> Duration {
        now.since(self.begun).saturating_sub(Duration::from_millis(self.at.load(Ordering::Relaxed)))
    }

    /// One load, where there is a limit at all.
    pub(super) fn freshness(&self, now: Stopwatch) -> Freshness {
        match self.max_staleness {
            Some(limit) if self.age(now) > limit => Freshness::Stale,
            Some(_) | None => Freshness::Fresh,
        }
    }

    pub(super) const fn max_staleness(&self) -> Option<Duration> {
        self.max_staleness
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_as_old_as_its_beginning_and_no_older_one_counts() {
        let look = LastLook::new(Some(Duration::from_secs(10)));
        let after = |millis| look.begun.later(Duration::from_millis(millis));
        look.succeeded(after(5_000));
        look.succeeded(after(1_000));
        assert_eq!(look.age(after(9_000)), Duration::from_secs(4));
        assert_eq!(look.freshness(after(15_000)), Freshness::Fresh);
        assert_eq!(look.freshness(after(15_001)), Freshness::Stale);
    }
}
