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
    /// Whether anything has failed since the last success. So that a success costs one load while all is well.
    failing: AtomicBool,
    failures: Mutex<Failures>,
}

#[derive(Debug, Default)]
struct Failures {
    /// When one was last told of.
    last: Option<Stopwatch>,
    /// Whether one was told of since the last success.
    told: bool,
    /// Those since the last success that nobody has been told of.
    untold: u64,
}

impl Outage {
    /// An operation has failed. Where that is to be told, with how many others of this outage that nobody has been told
    /// of.
    pub fn failed(&self, now: Stopwatch) -> Option<u64> {
        let mut failures = self.failures();
        self.failing.store(true, Ordering::Relaxed);
        if failures.last.is_some_and(|last| now.since(last) < PAUSE) {
            failures.untold = failures.untold.saturating_add(1);
            return None;
        }
        (failures.last, failures.told) = (Some(now), true);
        Some(std::mem::take(&mut failures.untold))
    }

    /// An operation was kept. Where that is news, with how many have failed that nobody has been told of.
    ///
    /// An outage that is over before its turn to be told of is not told of: its failures would be taken for the next
    /// one's.
    pub fn succeeded(&self) -> Option<u64> {
        if !self.failing.load(Ordering::Relaxed) {
            return None;
        }
        let mut failures = self.failures();
        self.failing.store(false, Ordering::Relaxed);
        let untold = std::mem::take(&mut failures.untold);
        std::mem::take(&mut failures.told).then_some(untold)
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

    /// Days may lie between, and another cause.
    #[test]
    fn what_was_not_told_of_one_outage_is_not_told_of_another() {
        let (outage, begun) = (Outage::default(), Stopwatch::start());
        let at = |millis| begun.later(Duration::from_millis(millis));
        assert_eq!((outage.failed(at(0)), outage.succeeded()), (Some(0), Some(0)));
        for millis in [1000, 2000, 3000] {
            assert_eq!(outage.failed(at(millis)), None);
        }
        assert_eq!(outage.succeeded(), None, "that was never told of");
        assert_eq!(outage.failed(at(300_000_000)), Some(0));
        // The first line may come late; its own outage is what it counts.
        assert_eq!((outage.failed(at(300_000_001)), outage.succeeded()), (None, Some(1)));
        assert_eq!(outage.failed(at(300_005_000)), None);
        assert_eq!(outage.failed(at(300_010_000)), Some(1));
        assert_eq!((outage.succeeded(), outage.succeeded()), (Some(0), None));
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
