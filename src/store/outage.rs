//! What operators are told of a store that fails operations: a line when that begins, one now and then while it lasts,
//! one when it is over. A line for each would bury what else there is to read.
//!
//! Never here: what is written (whoever asked the store does that), counters (`metrics`).

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::clock::Stopwatch;

/// Failures since one was last told of.
#[derive(Debug, Default)]
pub struct Outage {
    /// Whether the last line was of a failure. So that a success costs one load while all is well.
    told: AtomicBool,
    failures: Mutex<Failures>,
}

#[derive(Debug, Default)]
struct Failures {
    /// When one was last told of.
    last: Option<Stopwatch>,
    /// Those that nobody has been told of.
    untold: u64,
}

impl Outage {
    /// An operation has failed. Where that is to be told, with how many others that nobody has been told of.
    pub fn failed(&self, now: Stopwatch) -> Option<u64> {
        let mut failures = self.failures();
        if failures.last.is_some_and(|last| now.since(last) < PAUSE) {
            failures.untold = failures.untold.saturating_add(1);
            return None;
        }
        failures.last = Some(now);
        self.told.store(true, Ordering::Relaxed);
        Some(std::mem::take(&mut failures.untold))
    }

    /// An operation was kept. Where that is news, with how many have failed that nobody has been told of.
    pub fn succeeded(&self) -> Option<u64> {
        if !self.told.load(Ordering::Relaxed) || !self.told.swap(false, Ordering::Relaxed) {
            return None;
        }
        Some(std::mem::take(&mut self.failures().untold))
    }

    fn failures(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Between two lines of failures.
const PAUSE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_at_once_and_then_every_ten_seconds_with_what_was_left_out() {
        let (outage, begun) = (Outage::default(), Stopwatch::start());
        let at = |millis| begun.later(Duration::from_millis(millis));
        assert_eq!(outage.succeeded(), None);
        assert_eq!(outage.failed(at(0)), Some(0));
        for millis in [1, 5000, 9999] {
            assert_eq!(outage.failed(at(millis)), None);
        }
        assert_eq!(outage.failed(at(10_000)), Some(3));
        assert_eq!(outage.failed(at(19_999)), None);
        assert_eq!(outage.succeeded(), Some(1));
        assert_eq!(outage.succeeded(), None);
    }

    #[test]
    fn a_store_that_comes_and_goes_is_told_of_no_more_often() {
        let (outage, begun) = (Outage::default(), Stopwatch::start());
        let mut lines = (0, 0);
        for millis in (0..30_000).step_by(100) {
            lines.0 += u32::from(outage.failed(begun.later(Duration::from_millis(millis))).is_some());
            lines.1 += u32::from(outage.succeeded().is_some());
        }
        assert_eq!(lines, (3, 3));
    }
}
