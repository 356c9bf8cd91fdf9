//! The only place that reads a clock.
//!
//! Everything that decides by time takes a [`Timestamp`] as an argument or holds a [`Clock`], so that a test can
//! put any decision at any instant. Clippy refuses `SystemTime::now` and `Instant::now` elsewhere.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// An instant of wall-clock time: whole milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Later than every instant a token or a session can name.
    pub const FOREVER: Self = Self(i64::MAX as u64);

    /// The instant `millis` milliseconds after the epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// The instant `seconds` seconds after the epoch; saturates.
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down: the unit of `iat` and `exp` (RFC 7519, section 2).
    pub const fn seconds(self) -> u64 {
        self.0 / 1000
    }

    /// This instant moved `by` into the future; saturates at [`Self::FOREVER`].
    pub fn plus(self, by: Duration) -> Self {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(by).min(Self::FOREVER.0))
    }

    /// This instant moved `by` into the past; saturates at the epoch.
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long `earlier` lies back; zero when it does not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds, as in `2026-11-21T09:30:00.000Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = i64::try_from(self.0).unwrap_or(i64::MAX);
        match jiff::Timestamp::from_millisecond(millis) {
            Ok(instant) => write!(f, "{instant:.3}"),
            Err(_) => f.write_str("never"),
        }
    }
}

/// Tells the wall-clock time. A cheap handle: clones share one clock.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// The clock of this machine.
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `start` until [`Self::advance`] moves it: for tests.
    pub fn manual(start: Timestamp) -> Self {
        Self(Source::Manual(Arc::new(AtomicU64::new(start.0))))
    }

    /// The present instant. A machine whose clock stands before 1970 is taken to be at the epoch, where every
    /// token is still to come and none opens anything.
    #[allow(clippy::disallowed_methods, reason = "this is the place that reads the wall clock")]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => {
                let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Timestamp(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
            }
            Source::Manual(millis) => Timestamp(millis.load(Ordering::SeqCst)),
        }
    }

    /// Moves a manual clock; the system's clock cannot be moved and ignores it.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(millis) = &self.0 {
            millis.fetch_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
        }
    }

    /// Moves a manual clock back, as a machine's clock may step; the system's clock ignores it.
    pub fn step_back(&self, by: Duration) {
        if let Source::Manual(millis) = &self.0 {
            millis.fetch_sub(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
        }
    }
}

/// Measures how long something took, by the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts to measure.
    #[allow(clippy::disallowed_methods, reason = "this is the place that measures")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Time between the starts of two measurements; zero when `earlier` is the later one.
    pub fn since(&self, earlier: Self) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }

    /// As if it had been started so much later: for tests.
    #[cfg(test)]
    pub(crate) fn later(self, by: Duration) -> Self {
        Self(self.0 + by)
    }

    /// Time since [`Self::start`].
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_reads_as_rfc_3339() {
        assert_eq!(Timestamp::from_millis(1_700_000_000_042).to_string(), "2023-11-14T22:13:20.042Z");
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Timestamp::FOREVER.plus(Duration::MAX), Timestamp::FOREVER);
        assert_eq!(Timestamp::from_seconds(1).minus(Duration::MAX), Timestamp::default());
        assert_eq!(Timestamp::from_seconds(u64::MAX).seconds(), u64::MAX / 1000);
    }

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = Clock::manual(Timestamp::from_seconds(10));
        let same = clock.clone();
        assert_eq!(same.now(), Timestamp::from_seconds(10));
        clock.advance(Duration::from_secs(5));
        assert_eq!(same.now(), Timestamp::from_seconds(15));
    }
}
