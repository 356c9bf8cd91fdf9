//! Numbers: counters, gauges, histograms, and those of one worker's requests.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Counts `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The count.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that rises and falls.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// One more.
    pub fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One less.
    pub fn decrement(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// Exactly so many.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// How many.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Durations, sorted into buckets.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [Duration; 12],
    buckets: [Counter; 13],
    nanos: Counter,
}

impl Histogram {
    /// Upper bounds of the buckets for what waits for somebody; behind the last comes infinity.
    pub const BOUNDS: &'static [Duration; 12] = &[
        Duration::from_micros(250),
        Duration::from_micros(500),
        Duration::from_millis(1),
        Duration::from_micros(2500),
        Duration::from_millis(5),
        Duration::from_millis(10),
        Duration::from_millis(25),
        Duration::from_millis(50),
        Duration::from_millis(100),
        Duration::from_millis(500),
        Duration::from_millis(2500),
        Duration::from_secs(10),
    ];

    /// The same for what is only reckoned.
    pub const SHORT_BOUNDS: &'static [Duration; 12] = &[
        Duration::from_nanos(500),
        Duration::from_micros(1),
        Duration::from_nanos(2500),
        Duration::from_micros(5),
        Duration::from_micros(10),
        Duration::from_micros(25),
        Duration::from_micros(50),
        Duration::from_micros(100),
        Duration::from_micros(250),
        Duration::from_millis(1),
        Duration::from_millis(10),
        Duration::from_millis(100),
    ];

    /// One with these bounds.
    pub fn new(bounds: &'static [Duration; 12]) -> Self {
        Self { bounds, buckets: Default::default(), nanos: Counter::default() }
    }

    /// Its bounds.
    pub const fn bounds(&self) -> &'static [Duration; 12] {
        self.bounds
    }

    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        let index = self.bounds.partition_point(|bound| *bound < duration);
        if let Some(bucket) = self.buckets.get(index) {
            bucket.increment();
        }
        // Enough for five hundred years.
        self.nanos.add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// How many durations fell into each bucket, the last being those above every bound.
    pub fn counts(&self) -> impl Iterator<Item = u64> + '_ {
        self.buckets.iter().map(Counter::value)
    }

    /// The sum of all durations in seconds.
    pub fn sum(&self) -> f64 {
        Duration::from_nanos(self.nanos.value()).as_secs_f64()
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new(Self::BOUNDS)
    }
}

/// What the judge said of a request, as metrics and the access log call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A valid token opened a protected route.
    Allowed,
    /// The route asks for no token, and none came.
    Anonymous,
    /// An auth endpoint answered.
    Endpoint,
    /// The token is good, and a rule of the route is not met.
    Forbidden,
    /// The route lists other methods.
    MethodNotAllowed,
    /// Whoever came without TLS asked for a host that is not ours.
    Misdirected,
    /// No route takes the path.
    NotFound,
    /// The path has no single meaning, or the head is malformed.
    Malformed,
    /// The connection asks for too much at once.
    Overloaded,
    /// A browser asked whether it may ask.
    Preflight,
    /// The route is public.
    Public,
    /// Whoever came without TLS was sent to HTTPS.
    Redirected,
    /// The token may have been revoked, and nobody here would know.
    Stale,
    /// The token is past its expiry.
    TokenExpired,
    /// The token is not one of ours, or not an access token.
    TokenInvalid,
    /// There is no token.
    TokenMissing,
    /// The token was revoked, or its user is blocked.
    TokenRevoked,
}

impl Verdict {
    /// Every verdict, in the order of the cells.
    pub const ALL: [Self; 17] = [
        Self::Allowed,
        Self::Anonymous,
        Self::Endpoint,
        Self::Forbidden,
        Self::MethodNotAllowed,
        Self::Misdirected,
        Self::NotFound,
        Self::Malformed,
        Self::Overloaded,
        Self::Preflight,
        Self::Public,
        Self::Redirected,
        Self::Stale,
        Self::TokenExpired,
        Self::TokenInvalid,
        Self::TokenMissing,
        Self::TokenRevoked,
    ];

    /// Whether a token was looked at for it.
    pub const fn is_of_a_token(self) -> bool {
        match self {
            Self::Allowed
            | Self::Forbidden
            | Self::Stale
            | Self::TokenExpired
            | Self::TokenInvalid
            | Self::TokenRevoked => true,
            Self::Anonymous
            | Self::Endpoint
            | Self::Malformed
            | Self::MethodNotAllowed
            | Self::Misdirected
            | Self::NotFound
            | Self::Overloaded
            | Self::Preflight
            | Self::Public
            | Self::Redirected
            | Self::TokenMissing => false,
        }
    }

    /// Its label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Anonymous => "anonymous",
            Self::Endpoint => "endpoint",
            Self::Forbidden => "forbidden",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Misdirected => "misdirected",
            Self::NotFound => "not_found",
            Self::Malformed => "malformed",
            Self::Overloaded => "overloaded",
            Self::Preflight => "preflight",
            Self::Public => "public",
            Self::Redirected => "redirected",
            Self::Stale => "stale",
            Self::TokenExpired => "token_expired",
            Self::TokenInvalid => "token_invalid",
            Self::TokenMissing => "token_missing",
            Self::TokenRevoked => "token_revoked",
        }
    }
}

/// What one worker counts of its requests.
#[derive(Debug)]
pub struct RequestCells {
    answers: Box<[[Counter; 5]]>,
    verdicts: [Counter; Verdict::ALL.len()],
    /// From the request's head to the end of its answer.
    pub duration: Histogram,
    /// From forwarding to the head of the upstream's answer.
    pub upstream_duration: Histogram,
    /// From a request's head to the verdict on its token, where there was one to judge.
    pub auth_duration: Histogram,
}

impl RequestCells {
    pub(super) fn new(routes: usize) -> Self {
        Self {
            answers: (0..routes).map(|_| Default::default()).collect(),
            verdicts: Default::default(),
            duration: Histogram::default(),
            upstream_duration: Histogram::default(),
            auth_duration: Histogram::new(Histogram::SHORT_BOUNDS),
        }
    }

    /// Counts an answer with that status on the route of that index.
    pub fn answered(&self, route: usize, status: u16) {
        let class = usize::from(status / 100).saturating_sub(1);
        if let Some(cell) = self.answers.get(route).and_then(|classes| classes.get(class)) {
            cell.increment();
        }
    }

    /// Counts a verdict.
    pub fn judged(&self, verdict: Verdict) {
        if let Some(cell) = self.verdicts.get(verdict as usize) {
            cell.increment();
        }
    }

    /// Answers of one route by status class, 1xx first.
    pub fn answers(&self, route: usize) -> [u64; 5] {
        self.answers.get(route).map_or([0; 5], |classes| classes.each_ref().map(Counter::value))
    }

    /// Verdicts in the order of [`Verdict::ALL`].
    pub fn verdicts(&self) -> [u64; Verdict::ALL.len()] {
        self.verdicts.each_ref().map(Counter::value)
    }
}
